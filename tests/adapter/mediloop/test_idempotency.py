"""A request that its sender repeats is carried out once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest

from adapter import clock as clocks
from store.store import Store
from tests.adapter.mediloop.clinic import (
    ACTION_BODIES,
    ACTIONS,
    PATH,
    UHID,
    action_path,
    appointment,
    booking,
    malformed,
    open_clinic,
    put,
    refused,
    slot_status,
    stored,
)
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker

ENDPOINTS: dict[str, tuple[str, Any]] = {"book": (PATH, booking())} | {
    action: (action_path("a1", action), ACTION_BODIES.get(action)) for action in ACTIONS
}


@pytest.fixture(autouse=True)
async def clinic(store: Store, clock: Clock) -> None:
    # MongoDB removes what its own clock says is 24 hours old: the test's must not stand in the past.
    clock.moment = clocks.now()
    await open_clinic(store)
    await put(store, appointment("a1", start="2024-03-01T10:00"))


async def _send(api: Api, path: str, body: Any = None, key: str = "k1") -> httpx.Response:
    return await api.post(path, body, headers={"X-Idempotency-Key": key})


def _is_replay(answer: httpx.Response, first: httpx.Response) -> bool:
    assert answer.headers.get("X-Idempotency-Replayed", "true") == "true"
    same = (answer.status_code, answer.content, answer.headers["content-type"])
    assert same == (first.status_code, first.content, first.headers["content-type"])
    return "X-Idempotency-Replayed" in answer.headers


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_same_request_is_answered_alike_and_changes_nothing_more(
    api: Api, store: Store, clock: Clock, endpoint: str
) -> None:
    path, body = ENDPOINTS[endpoint]
    first = await _send(api, path, body)
    assert first.status_code == (201 if endpoint == "book" else 200)
    assert "X-Idempotency-Replayed" not in first.headers
    clock.advance(hours=23, minutes=59)
    for again in (path, path.rstrip("/")):
        assert _is_replay(await _send(api, again, body), first)
    version = (await stored(store, "Appointment", first.json()["id"]))["meta"]["versionId"]
    assert version == ("1" if endpoint == "book" else "2")


@pytest.mark.parametrize("content", [b"", b"  ", b"{}", b" { } "])
async def test_an_action_without_a_body_is_the_same_as_one_with_an_empty_object(api: Api, content: bytes) -> None:
    path = action_path("a1", "arrived")
    headers = {"X-Idempotency-Key": "k1", "Content-Type": "application/json"}
    first = await _send(api, path)
    assert _is_replay(await api.post(path, content=content, headers=headers), first)


async def test_the_order_of_members_and_blanks_make_no_other_request(api: Api) -> None:
    first = await _send(api, PATH, booking())
    assert _is_replay(await _send(api, PATH, dict(reversed(booking().items()))), first)


@pytest.mark.parametrize("endpoint", ["book", "cancel", "reschedule"])
async def test_another_body_under_the_same_key_is_422(api: Api, endpoint: str) -> None:
    path, body = ENDPOINTS[endpoint]
    await _send(api, path, body)
    name = {"book": "notes", "cancel": "cancellation_reason_text", "reschedule": "reason"}[endpoint]
    other = await _send(api, path, body | {name: "other"})
    refused(other, 422, ("idempotency_key_reuse", "X-Idempotency-Key"))


@pytest.mark.parametrize("endpoint", [name for name in ENDPOINTS if name != "arrived"])
async def test_another_path_under_the_same_key_is_422(api: Api, endpoint: str) -> None:
    path, body = ENDPOINTS[endpoint]
    await _send(api, action_path("a1", "arrived"))
    refused(await _send(api, path, body), 422, ("idempotency_key_reuse", "X-Idempotency-Key"))


async def test_the_same_action_on_another_appointment_is_another_request(api: Api, store: Store) -> None:
    await put(store, appointment("a2", start="2024-03-02T10:00"))
    await _send(api, action_path("a1", "arrived"))
    answer = await _send(api, action_path("a2", "arrived"))
    refused(answer, 422, ("idempotency_key_reuse", "X-Idempotency-Key"))


async def test_the_key_of_another_api_key_is_another(api: Api, make_api: ApiMaker) -> None:
    other: Api = await make_api(api.service)
    first = await _send(api, PATH, booking())
    second = await _send(other, PATH, booking(start_time="2024-02-01T10:00:00Z"))
    assert (first.status_code, second.status_code) == (201, 201)
    assert "X-Idempotency-Replayed" not in second.headers


async def test_a_retry_under_what_its_api_key_was_rolled_to_is_the_same_request(api: Api, store: Store) -> None:
    keys = api.service.keys["test"]
    [key] = await keys.list()
    walk_in = booking(appointment_type_code="WALKIN")  # nothing else keeps it from being booked twice
    first = await _send(api, PATH, walk_in)
    second, secret = await keys.roll(key.id)
    _, last = await keys.roll(second.id)
    for one in (secret, last, api.key):
        assert _is_replay(await _send(replace(api, key=one), PATH, walk_in), first)
    assert await store.count("Appointment", {}) == 2


async def test_the_key_of_a_live_key_is_another(api: Api, make_api: ApiMaker) -> None:
    live: Api = await make_api(api.service, mode="live")
    await open_clinic(api.service.stores["live"])
    first, second = [await _send(one, PATH, booking()) for one in (api, live)]
    assert second.status_code == 201
    assert first.json()["id"] != second.json()["id"]


class TestRefusals:
    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    async def test_two_keys_are_400_as_nobody_may_choose_one(self, api: Api, store: Store, endpoint: str) -> None:
        path, body = ENDPOINTS[endpoint]
        lines = [("Authorization", f"Bearer {api.key}"), ("X-Idempotency-Key", "k1"), ("x-idempotency-key", "k2")]
        malformed(await api.http.post(path, json=body or {}, headers=lines), "X-Idempotency-Key")
        assert await store.count("Appointment", {}) == 1

    async def test_one_stores_nothing(self, api: Api) -> None:
        malformed(await _send(api, PATH, booking(priority=11)), "priority")
        refused(await _send(api, PATH, booking(practitioner_id="x")), 422, ("unknown_practitioner", "practitioner_id"))
        refused(await _send(api, action_path("nothing", "arrived")), 404, ("appointment_not_found", "id"))
        assert (await _send(api, PATH, booking())).status_code == 201

    async def test_a_clash_that_has_gone_away_is_carried_out(self, api: Api) -> None:
        rival = (await api.post(PATH, booking())).json()
        refused(
            await _send(api, PATH, booking()), 409, ("slot_unavailable", "start_time"), ("time_conflict", "start_time")
        )
        await api.post(action_path(rival["id"], "cancel"), {"cancellation_reason_code": "x"})
        answer = await _send(api, PATH, booking())
        assert answer.status_code == 201
        assert "X-Idempotency-Replayed" not in answer.headers

    @pytest.mark.parametrize("key", ["", "x" * 256])
    async def test_a_key_without_or_with_too_many_characters_is_400(self, api: Api, key: str) -> None:
        for path, body in ENDPOINTS.values():
            malformed(await _send(api, path, body, key), "X-Idempotency-Key")

    @pytest.mark.parametrize("key", ["x", "x" * 255, " two words ", "é", "'$ne'", "%00"])
    async def test_any_other_key_works(self, api: Api, key: str) -> None:
        headers = {"X-Idempotency-Key": key.encode("latin-1")}
        first, again = [await api.post(PATH, booking(), headers=headers) for _ in range(2)]
        assert first.status_code == 201
        assert _is_replay(again, first)


async def test_after_24_hours_the_key_is_as_new(api: Api, clock: Clock) -> None:
    first = await _send(api, PATH, booking())
    clock.advance(hours=24)
    second = await _send(api, PATH, booking(start_time="2024-02-01T10:00:00Z"))
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]
    assert _is_replay(await _send(api, PATH, booking(start_time="2024-02-01T10:00:00Z")), second)


async def test_a_replay_is_given_also_when_the_request_would_be_refused_by_now(
    make_service: ServiceMaker, make_api: ApiMaker, api: Api, store: Store
) -> None:
    first = await _send(api, PATH, booking())
    await store.database["Practitioner"].delete_many({})
    await store.database["Patient"].delete_many({})
    assert _is_replay(await _send(api, PATH, booking()), first)


async def test_without_a_key_the_same_request_is_carried_out_again(api: Api) -> None:
    assert (await api.post(action_path("a1", "arrived"))).status_code == 200
    assert (await api.post(action_path("a1", "arrived"))).status_code == 409


async def test_of_equal_requests_at_once_one_is_carried_out_and_all_get_its_answer(api: Api, store: Store) -> None:
    answers = await asyncio.gather(*(_send(api, PATH, booking()) for _ in range(6)))
    first = next(answer for answer in answers if "X-Idempotency-Replayed" not in answer.headers)
    assert sum(_is_replay(answer, first) for answer in answers) == 5
    assert await store.count("Appointment", {}) == 2
    assert await slot_status(store, "slot-002") == "busy"


async def test_neither_the_key_nor_the_patient_is_in_the_name_of_the_record(api: Api, store: Store) -> None:
    await _send(api, PATH, booking(), key=f"book-{UHID}")
    [record] = [one async for one in store.database["idempotency"].find()]
    assert UHID not in record["_id"]
    assert isinstance(record["at"], datetime)
