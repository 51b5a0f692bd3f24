"""Visits that change through FHIR: what they give up is to be had again, and what they had stays theirs."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling import occupancy
from tests.adapter.fhir.door import call, get, made, outcome
from tests.adapter.scheduling.support import links, schedule, slot, visit
from tests.conftest import Api

P, Q = "Practitioner/p", "Practitioner/q"
EXTENSIONS = "https://mediloop.co/fhir/StructureDefinition"


@pytest.fixture(autouse=True)
async def clinic(api: Api) -> None:
    for ident in "pq":
        await made(api, {"resourceType": "Practitioner", "id": ident})
        await made(api, schedule(f"of-{ident}", f"Practitioner/{ident}"))
        await made(api, slot(f"{ident}1", schedule=f"of-{ident}"))
        await made(api, slot(f"{ident}2", "10:30", "11:00", schedule=f"of-{ident}"))
    await made(api, {"resourceType": "Patient", "id": "1"})
    await made(api, {"resourceType": "Location", "id": "room", "name": "Room 1"})


async def patched(api: Api, path: str, value: Any = None, op: str = "replace") -> dict[str, Any]:
    change = {"op": op, "path": path} | ({} if value is None else {"value": value})
    answer = await call(api, "PATCH", "Appointment/x", [change])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def status(api: Api, ident: str) -> str:
    found: str = (await get(api, f"Slot/{ident}")).json()["status"]
    return found


async def test_who_is_taken_out_can_be_booked_again(api: Api) -> None:
    assert links(await made(api, visit("x", who=(P, Q)))) == ["Slot/p1", "Slot/q1"]
    assert links(await patched(api, "/participant/2", op="remove")) == ["Slot/p1"]
    assert await status(api, "q1") == "free"
    await patched(api, "/end", "2024-01-20T10:20:00Z")
    assert links(await made(api, visit("y", who=(Q,)))) == ["Slot/q1"]


async def test_what_was_booked_over_changes_all_the_same(api: Api) -> None:
    sent = visit("x")
    assert links(await made(api, sent)) == ["Slot/p1"]
    await made(api, occupancy.overbooking(visit("y"), "a mother in labour", EXTENSIONS))
    room = {"actor": {"reference": "Location/room"}, "status": "accepted"}
    await patched(api, "/participant/-", room, op="add")
    await patched(api, "/participant/-", {"actor": {"reference": Q}, "status": "accepted"}, op="add")
    await patched(api, "/end", "2024-01-20T10:20:00Z")
    later = [{"op": "replace", "path": "/end", "value": "2024-01-20T10:30:00Z"}]
    outcome(await call(api, "PATCH", "Appointment/x", later), 409, "conflict")
    arrived = await made(api, {**sent, "end": "2024-01-20T10:20:00Z", "status": "arrived"})
    assert links(arrived) == ["Slot/p1"]


@pytest.mark.parametrize("unlinked", [False, True])
async def test_a_noshow_that_is_deleted_leaves_its_slot_free(api: Api, unlinked: bool) -> None:
    made_ = await made(api, visit("x"))
    bare = {name: value for name, value in made_.items() if name != "slot" or not unlinked}
    await made(api, {**bare, "status": "noshow"})
    assert await status(api, "p1") == "busy"
    assert (await call(api, "DELETE", "Appointment/x")).status_code == 204
    assert await status(api, "p1") == "free"


async def test_a_shorter_visit_gives_its_second_slot_back(api: Api) -> None:
    assert links(await made(api, visit("x", "10:00", "11:00"))) == ["Slot/p1", "Slot/p2"]
    assert links(await patched(api, "/end", "2024-01-20T10:30:00Z")) == ["Slot/p1"]
    assert await status(api, "p2") == "free"


async def test_a_slot_at_another_time_is_refused_and_named(api: Api) -> None:
    sent = {**visit("x"), "slot": [{"reference": "Slot/p1"}, {"reference": "Slot/p2"}]}
    issue = outcome(await call(api, "PUT", "Appointment/x", sent), 422, "business-rule")
    assert issue["expression"] == ["Appointment.slot[1]"]
    assert "Leave it out" in issue["diagnostics"]
    assert await status(api, "p2") == "free"
