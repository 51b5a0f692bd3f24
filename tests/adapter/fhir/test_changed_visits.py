"""Visits that change through FHIR: what they give up is to be had again, and what they had stays theirs."""

from __future__ import annotations

from typing import Any

import httpx
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


async def test_who_accepts_an_open_role_is_booked_once(api: Api) -> None:
    when = {"start": "2032-09-06T09:00:00Z", "end": "2032-09-06T10:00:00Z"}
    attender = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}]}]
    role = {"type": attender, "status": "needs-action"}

    def wanted(ident: str, status: str, *others: dict[str, Any]) -> dict[str, Any]:
        patient = {"actor": {"reference": "Patient/1"}, "status": "accepted"}
        return {"resourceType": "Appointment", "id": ident, "status": status, "participant": [patient, *others], **when}

    async def accepts(ident: str, who: str) -> httpx.Response:
        to = {"appointment": {"reference": f"Appointment/{ident}"}, "participantStatus": "accepted"}
        says = {"resourceType": "AppointmentResponse", "actor": {"reference": who}, "participantType": attender, **to}
        return await call(api, "POST", "AppointmentResponse", says)

    await made(api, wanted("x", "proposed", role))
    outcome(await accepts("x", "Patient/nobody"), 422, "not-found")
    assert (await accepts("x", Q)).status_code == 201
    assert (await patched(api, "/status", "booked"))["participant"][1] == {
        "type": attender, "actor": {"reference": Q}, "status": "accepted"
    }  # fmt: skip
    named = {"actor": {"reference": Q}, "status": "accepted"}
    outcome(await call(api, "PUT", "Appointment/y", wanted("y", "booked", named)), 409, "conflict")
    await made(api, wanted("z", "booked", role))
    outcome(await accepts("z", Q), 409, "conflict")
    outcome(await accepts("x", P), 422, "not-found")

    found = (await get(api, f"Appointment?practitioner={Q}")).json()
    assert [one["resource"]["id"] for one in found["entry"]] == ["x"]
    assert (await api.get("/api/v1/appointments/x/")).json()["practitioner_id"] == "q"
    assert (await api.get("/api/v1/appointments/z/")).json()["practitioner_id"] is None
