"""Capacity and overbooking as callers see them: the header of the MediLoop API, the extension of the FHIR API."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling import occupancy
from adapter.service import Service
from store.store import Store
from tests.adapter.fhir.door import call, made
from tests.adapter.mediloop.clinic import PATH, action_path, booking, malformed, open_clinic, put, slot
from tests.conftest import Api, ApiMaker

BASE = "https://mediloop.co/fhir/StructureDefinition"
WHY = {"X-Overbook-Reason": "Twins came early"}
NAMED = booking(slot_id="slot-002")
Json = dict[str, Any]


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)


@pytest.fixture
async def clerk(make_api: ApiMaker, service: Service) -> Api:
    """A key that may do everything but book over others."""
    words = ("appointments", "slots", "schedules", "patients", "practitioners", "locations")
    found: Api = await make_api(service, granted=[f"{word}:read,write" for word in words])
    return found


async def fhir(api: Api, ident: str) -> Json:
    found: Json = (await call(api, "GET", f"Appointment/{ident}")).json()
    return found


def recorded(resource: Json) -> dict[str, str]:
    return {one["url"]: one["valueString"] for one in resource.get("extension", ()) if "valueString" in one}


async def test_the_header_books_over_and_says_why_and_by_whom(api: Api, service: Service) -> None:
    first = (await api.post(PATH, NAMED)).json()
    assert (await api.post(PATH, NAMED)).status_code == 409
    answer = await api.post(PATH, NAMED, headers=WHY)
    assert answer.status_code == 201
    (key,) = await service.keys["test"].list()
    expected = {f"{BASE}/overbooked": "Twins came early", f"{BASE}/overbooked-by": key.id}
    assert recorded(await fhir(api, answer.json()["id"])) == expected
    for ident in (first["id"], answer.json()["id"]):
        assert (await call(api, "GET", "Slot/slot-002")).json()["status"] == "busy"
        assert (
            await api.post(action_path(ident, "cancel"), {"cancellation_reason_code": "patient-request"})
        ).is_success
    assert (await call(api, "GET", "Slot/slot-002")).json()["status"] == "free"


@pytest.mark.parametrize("path", [PATH, action_path("x", "reschedule")])
async def test_two_reasons_are_400_as_nobody_may_choose_one(api: Api, path: str) -> None:
    lines = [("Authorization", f"Bearer {api.key}"), *WHY.items(), *WHY.items()]
    body = NAMED if path == PATH else {"new_start_time": "2024-01-22T14:00:00Z"}
    malformed(await api.http.post(path, json=body, headers=lines), "X-Overbook-Reason")


async def test_a_move_by_header_books_over_and_one_without_is_an_ordinary_one(api: Api) -> None:
    await api.post(PATH, NAMED)
    other = (await api.post(PATH, booking(start_time="2024-01-22T10:00:00Z"))).json()["id"]
    there = {"new_start_time": "2024-01-20T10:00:00Z"}
    assert (await api.post(action_path(other, "reschedule"), there)).status_code == 409
    assert (await api.post(action_path(other, "reschedule"), there, headers=WHY)).status_code == 200
    assert recorded(await fhir(api, other))[f"{BASE}/overbooked"] == "Twins came early"
    back = {"new_start_time": "2024-01-22T10:00:00Z"}
    assert (await api.post(action_path(other, "reschedule"), back)).status_code == 200
    assert not any("overbooked" in url for url in recorded(await fhir(api, other)))


async def test_without_the_permission_it_is_403_and_names_it(api: Api, clerk: Api) -> None:
    await api.post(PATH, NAMED)
    answer = await clerk.post(PATH, NAMED, headers=WHY)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "permission_denied"
    assert "overbook:write" in answer.json()["error"]["message"]
    whole = await fhir(api, (await api.post(PATH, NAMED, headers=WHY)).json()["id"])
    wanted = {name: value for name, value in whole.items() if name not in ("id", "meta", "identifier")}
    entry = {"resource": wanted, "request": {"method": "POST", "url": "Appointment"}}
    for refused in (
        await call(clerk, "POST", "Appointment", wanted),
        await call(clerk, "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
    ):
        assert refused.status_code == 403
        assert "overbook:write" in refused.text
    assert (await call(api, "POST", "Appointment", wanted)).status_code == 201
    assert (await call(clerk, "PUT", f"Appointment/{whole['id']}", whole | {"comment": "seen"})).status_code == 200


@pytest.mark.parametrize("reason", ["", " ", "x" * 501])
async def test_a_reason_must_say_something(api: Api, reason: str) -> None:
    answer = await api.post(PATH, NAMED, headers={"X-Overbook-Reason": reason})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "X-Overbook-Reason")


@pytest.mark.parametrize(("sent", "kept"), [("Née à terme".encode(), "Née à terme"), (b"N\xe9e", "Née")])
async def test_a_reason_may_have_accents(api: Api, sent: bytes, kept: str) -> None:
    answer = await api.http.post(
        PATH, json=NAMED, headers={b"Authorization": f"Bearer {api.key}".encode(), b"X-Overbook-Reason": sent}
    )
    assert recorded(await fhir(api, answer.json()["id"]))[f"{BASE}/overbooked"] == kept


async def test_the_reason_is_part_of_a_request_that_is_repeated(api: Api) -> None:
    key = {"X-Idempotency-Key": "k"}
    first = await api.post(PATH, NAMED, headers=WHY | key)
    again = await api.post(PATH, NAMED, headers=WHY | key)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert (await api.post(PATH, NAMED, headers=key)).json()["error"]["code"] == "idempotency_key_reuse"


async def test_a_slot_for_several_is_offered_until_it_is_full(api: Api, store: Store) -> None:
    several = slot("group", "2024-01-25T10:00", "2024-01-25T11:00")
    await put(store, several | {"extension": [{"url": occupancy.CAPACITY, "valueInteger": 2}]})
    search = f"{PATH}availability/?date_from=2024-01-25&date_to=2024-01-25"
    for place in range(3):
        offered = (await api.get(search)).json()["results"]
        assert [one["id"] for one in offered] == (["group"] if place < 2 else [])
        answer = await api.post(PATH, booking(start_time="2024-01-25T10:00:00Z", slot_id="group"))
        assert answer.status_code == (201 if place < 2 else 409)
    lower = await made_capacity(api, 1)
    assert (lower.status_code, lower.json()["issue"][0]["details"]["coding"][0]["code"]) == (409, "slot_held")
    assert (await made_capacity(api, 3)).status_code == 200


async def made_capacity(api: Api, room: int) -> Any:
    present = (await call(api, "GET", "Slot/group")).json()
    present["extension"] = [{"url": occupancy.CAPACITY, "valueInteger": room}]
    return await call(api, "PUT", "Slot/group", present)


async def test_fhir_keeps_a_capacity_as_it_was_sent(api: Api) -> None:
    sent = slot("group", "2024-01-25T10:00", "2024-01-25T11:00")
    sent |= {"extension": [{"url": occupancy.CAPACITY, "valueInteger": 2}]}
    assert (await made(api, sent))["extension"] == sent["extension"]
