"""A create or a transaction that its sender repeats is carried out once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from adapter import clock as clocks
from store.store import Store
from tests.adapter.fhir.bundles.sending import bundle, entry, urn
from tests.adapter.fhir.door import HOST, TAGS, bare, bundled, call, get, outcome, person, tagged
from tests.adapter.mediloop.clinic import appointment, open_clinic, stored
from tests.conftest import Api, ApiMaker, Clock

Json = dict[str, Any]
KEY = {"X-Idempotency-Key": "k1"}
ONE = bundle("transaction", entry("POST", "Patient", bare(person("x"))))
OF_A_VERSION = ("etag", "location", "last-modified")


@pytest.fixture(autouse=True)
async def clinic(store: Store, clock: Clock) -> None:
    # MongoDB removes what its own clock says is 24 hours old: the test's must not stand in the past.
    clock.moment = clocks.now()
    await open_clinic(store)


def told(answer: httpx.Response) -> tuple[Any, ...]:
    return (answer.status_code, answer.content, *(answer.headers.get(name) for name in OF_A_VERSION))


def require_replay(answer: httpx.Response, first: httpx.Response) -> None:
    assert told(answer) == told(first)
    assert "x-idempotency-replayed" not in first.headers
    assert answer.headers["x-idempotency-replayed"] == "true"


async def how_many(store: Store, kind: str) -> int:
    return await store.count(kind, {})


def visit(**members: Any) -> Json:
    return bare(appointment("x", start="2024-03-01T10:00", **members))


async def test_a_create_that_is_sent_again_makes_one(api: Api, store: Store, clock: Clock) -> None:
    before = await how_many(store, "Patient")
    first = await call(api, "POST", "Patient", bare(person("x")), headers=KEY)
    assert first.status_code == 201
    ident = first.json()["id"]
    assert first.headers["location"] == f"{HOST}/Patient/{ident}/_history/1"
    clock.advance(hours=23)
    require_replay(await call(api, "POST", "Patient", bare(person("x")), headers=KEY), first)
    # It is the first answer, whatever has become of the resource since.
    assert (await call(api, "DELETE", f"Patient/{ident}")).status_code == 204
    require_replay(await call(api, "POST", "Patient", bare(person("x")), headers=KEY), first)
    assert await how_many(store, "Patient") == before


@pytest.mark.parametrize("kind", ["booked", "EMERGENCY"])
async def test_a_visit_that_is_sent_again_is_not_in_its_own_way(api: Api, store: Store, kind: str) -> None:
    code = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0276", "code": kind}]}
    body = visit() | ({} if kind == "booked" else {"appointmentType": code})
    first = await call(api, "POST", "Appointment", body, headers=KEY)
    assert first.status_code == 201, first.text
    require_replay(await call(api, "POST", "Appointment", body, headers=KEY), first)
    assert await how_many(store, "Appointment") == 1


async def test_a_create_that_is_sent_again_under_what_its_key_was_rolled_to_makes_one(api: Api, store: Store) -> None:
    before = await how_many(store, "Patient")
    first = await call(api, "POST", "Patient", bare(person("x")), headers=KEY)
    keys = api.service.keys["test"]
    [key] = await keys.list()
    _, secret = await keys.roll(key.id)
    rolled = replace(api, key=secret)
    require_replay(await call(rolled, "POST", "Patient", bare(person("x")), headers=KEY), first)
    assert await how_many(store, "Patient") == before + 1


async def test_equal_requests_at_once_make_one(api: Api, store: Store) -> None:
    answers = await asyncio.gather(*(call(api, "POST", "Appointment", visit(), headers=KEY) for _ in range(16)))
    assert len({told(one) for one in answers}) == 1
    assert answers[0].status_code == 201
    assert sum("x-idempotency-replayed" in one.headers for one in answers) == 15
    assert await how_many(store, "Appointment") == 1


async def test_how_it_is_shown_is_for_each_request_to_say(api: Api) -> None:
    first = await call(api, "POST", "Patient", bare(person("x")), headers=KEY)
    bare_one = await call(api, "POST", "Patient", bare(person("x")), headers=KEY | {"Prefer": "return=minimal"})
    assert (bare_one.status_code, bare_one.content) == (201, b"")
    assert bare_one.headers["location"] == first.headers["location"]
    wanted = KEY | {"Prefer": "return=OperationOutcome"}
    said = await call(api, "POST", "Patient", bare(person("x")), headers=wanted)
    assert said.json()["issue"][0]["diagnostics"] == "Created."


async def test_how_it_is_shown_is_no_part_of_the_request(api: Api) -> None:
    first = await call(api, "POST", "Patient", bare(person("x")), headers=KEY)
    again = await call(api, "POST", "Patient?_format=json&_pretty=true", bare(person("x")), headers=KEY)
    assert (again.status_code, again.headers["location"]) == (201, first.headers["location"])


async def test_another_request_under_the_key_is_refused(api: Api, make_api: ApiMaker) -> None:
    assert (await call(api, "POST", "Patient", bare(person("x")), headers=KEY)).status_code == 201
    others: tuple[tuple[str, Json, dict[str, str]], ...] = (
        ("Patient", bare(person("x", "Auma")), {}),
        ("Practitioner", {"resourceType": "Practitioner"}, {}),
        ("Patient", bare(person("x")), {"If-None-Exist": f"identifier={TAGS}|1"}),
        ("", ONE, {}),
    )
    for path, body, headers in others:
        issue = outcome(await call(api, "POST", path, body, headers=KEY | headers), 422, "business-rule")
        assert issue["details"]["coding"][0]["code"] == "idempotency_key_reuse"
    another: Api = await make_api(api.service)
    assert (await call(another, "POST", "Patient", bare(person("x", "Auma")), headers=KEY)).status_code == 201


@pytest.mark.parametrize(
    "body", [bare(person("x")), bundle("transaction", entry("POST", "Patient", bare(person("x"))))]
)
async def test_a_key_that_is_none_is_refused(api: Api, body: Json) -> None:
    path = "" if body["resourceType"] == "Bundle" else "Patient"
    for key in ("", "x" * 256):
        issue = outcome(await call(api, "POST", path, body, headers={"X-Idempotency-Key": key}), 400, "invalid")
        assert issue["location"] == ["http.X-Idempotency-Key"]


async def test_what_is_refused_is_not_remembered(api: Api, store: Store) -> None:
    first = await call(api, "POST", "Appointment", visit())
    outcome(await call(api, "POST", "Appointment", visit(), headers=KEY), 409, "conflict")
    assert await store.count("idempotency", {}) == 0
    assert (await call(api, "DELETE", f"Appointment/{first.json()['id']}")).status_code == 204
    assert (await call(api, "POST", "Appointment", visit(), headers=KEY)).status_code == 201


async def test_a_conditional_create_tells_again_what_it_told(api: Api, store: Store) -> None:
    before = await how_many(store, "Patient")
    headers = KEY | {"If-None-Exist": f"identifier={TAGS}|1"}
    body = bare(tagged("x", "1"))
    first = await call(api, "POST", "Patient", body, headers=headers)
    assert first.status_code == 201
    require_replay(await call(api, "POST", "Patient", body, headers=headers), first)
    found = await call(api, "POST", "Patient", body, headers=headers | {"X-Idempotency-Key": "k2"})
    assert found.status_code == 200
    assert (await call(api, "DELETE", f"Patient/{first.json()['id']}")).status_code == 204
    require_replay(await call(api, "POST", "Patient", body, headers=headers | {"X-Idempotency-Key": "k2"}), found)
    assert await how_many(store, "Patient") == before


async def test_a_transaction_that_is_sent_again_is_done_once(api: Api, store: Store) -> None:
    await call(api, "PUT", "Patient/gone", person("gone"))
    before = await how_many(store, "Patient")
    body = bundle(
        "transaction",
        entry("POST", "Patient", bare(person("x")), urn(1)),
        entry("PUT", "Patient/p", person("p")),
        entry("DELETE", "Patient/gone"),
        entry("DELETE", "Patient/never"),
        entry("POST", "Patient", bare(tagged("x", "2")), ifNoneExist=f"identifier={TAGS}|2"),
        entry("POST", "Appointment", visit()),
        entry("GET", "Patient/p"),
    )
    headers = KEY | {"Prefer": "return=representation"}
    first = await call(api, "POST", "", body, headers=headers)
    entries = bundled(first, "transaction-response")["entry"]
    assert [one["response"]["status"][:3] for one in entries] == ["201", "201", "204", "204", "201", "201", "200"]
    require_replay(await call(api, "POST", "", body, headers=headers), first)
    assert (await stored(store, "Patient", "p"))["meta"]["versionId"] == "1"
    assert await how_many(store, "Patient") == before + 2
    assert await how_many(store, "Appointment") == 1
    # Reads are no part of the unit of work: they tell what is there when they are asked.
    await call(api, "PUT", "Patient/p", person("p", "Auma"))
    again = bundled(await call(api, "POST", "", body, headers=headers), "transaction-response")["entry"]
    assert again[:-1] == entries[:-1]
    assert again[-1]["resource"]["name"] == [{"family": "Auma"}]


async def test_a_transaction_that_only_reads_needs_no_memory(api: Api, store: Store) -> None:
    answer = await call(api, "POST", "", bundle("transaction", entry("GET", "Patient/none")), headers=KEY)
    assert bundled(answer, "transaction-response")["entry"][0]["response"]["status"].startswith("404")
    assert "x-idempotency-replayed" not in answer.headers
    assert await store.count("idempotency", {}) == 0


async def test_a_batch_that_writes_refuses_the_key(api: Api, store: Store) -> None:
    before = await how_many(store, "Patient")
    for one in (entry("POST", "Patient", bare(person("x"))), entry("POST", "Appointment/$book")):
        body = bundle("batch", one, entry("GET", "Patient/x"))
        issue = outcome(await call(api, "POST", "", body, headers=KEY), 400, "not-supported")
        assert issue["location"] == ["http.X-Idempotency-Key"]
        assert "transaction" in issue["diagnostics"]
    assert await how_many(store, "Patient") == before
    reading = bundle("batch", entry("GET", "Patient?_summary=count"))
    assert (await call(api, "POST", "", reading, headers=KEY)).status_code == 200


async def test_other_methods_pay_no_heed_to_the_key(api: Api, store: Store) -> None:
    for _ in range(2):
        assert (await call(api, "PUT", "Patient/p", person("p"), headers=KEY)).status_code in (200, 201)
    assert await store.count("idempotency", {}) == 0
    assert (await get(api, "Patient/p", x_idempotency_key="k1")).status_code == 200


async def test_decimals_come_back_as_they_were(api: Api) -> None:
    sent: dict[str, Any] = {
        "content": b'{"resourceType": "Location", "position": {"longitude": 32.50, "latitude": 0.30}}',
        "headers": KEY | {"Content-Type": "application/fhir+json"},
    }
    first = await call(api, "POST", "Location", **sent)
    assert b"32.50" in first.content
    require_replay(await call(api, "POST", "Location", **sent), first)
