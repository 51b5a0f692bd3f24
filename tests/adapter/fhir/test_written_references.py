"""References that a write brings: to another server's, and to nothing at all."""

from __future__ import annotations

import pytest

from store.store import Store
from tests.adapter.fhir.door import HOST, Json, call, made, outcome
from tests.adapter.fhir.writes import SECURE
from tests.adapter.mediloop.clinic import appointment, open_clinic, put, slot, stored
from tests.conftest import Api


async def test_what_another_server_keeps_is_none_of_ours_that_has_the_same_id(api: Api, store: Store) -> None:
    await open_clinic(store)
    await put(store, appointment("a1", status="proposed"))
    other, foreign = "https://other.example/fhir", "foreign_reference"
    answer: Json = {"resourceType": "AppointmentResponse", "participantStatus": "declined"}
    answer |= {"actor": {"reference": "Patient/john"}, "appointment": {"reference": f"{other}/Appointment/a1"}}
    booked = appointment("a2", slot=[{"reference": f"{SECURE}/Slot/slot-002"}, {"reference": f"{other}/Slot/slot-002"}])
    offered = slot("s2", "2024-01-21T10:00", "2024-01-21T10:30") | {
        "schedule": {"reference": f"{other}/Schedule/sarah"}
    }
    for resource, where in (
        (booked, "Appointment.slot[1].reference"),
        (answer, "AppointmentResponse.appointment.reference"),
        (offered, "Slot.schedule.reference"),
    ):
        issue = outcome(await call(api, "POST", resource["resourceType"], resource), 422, "not-found")
        assert (issue["details"]["coding"][0]["code"], issue["expression"]) == (foreign, [where])
    assert (await stored(store, "Slot", "slot-002"))["status"] == "free"
    booked["slot"].pop()
    assert (await call(api, "POST", "Appointment", booked)).status_code == 201
    assert (await stored(store, "Slot", "slot-002"))["status"] == "busy"


@pytest.mark.parametrize(
    "text",
    [
        "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
        "urn:oid:1.2.3",
        f"{HOST}/Practitioner?identifier=urn:x|yb",
        # Below our own address what is no Type/id would be another name of who has one.
        f"{HOST}/Practitioner/sarah/x",
        f"{HOST}/Practitioner//sarah",
        f"{HOST.replace('http:', 'https:')}/practitioner/sarah",
        f"{HOST}/Doctor/sarah",
    ],
)
async def test_what_leads_nowhere_is_refused(api: Api, store: Store, text: str) -> None:
    """Nor would anybody's time be taken by it."""
    await open_clinic(store)
    who = {"actor": {"reference": text, "type": "Practitioner"}, "status": "accepted"}
    wanted = appointment("a1", participant=[who])
    where = ["Appointment.participant[0].actor.reference"]
    for method, path in (("PUT", "Appointment/a1"), ("POST", "Appointment")):
        issue = outcome(await call(api, method, path, wanted), 400, "value")
        assert (issue["details"]["coding"][0]["code"], issue["expression"]) == ("bad_reference", where)
    plain = appointment("a2")
    await made(api, plain)
    patch = [{"op": "add", "path": "/participant/0", "value": who}]
    issue = outcome(await call(api, "PATCH", "Appointment/a2", patch), 400, "value")
    assert issue["expression"] == where
    # An import brings such a reference, and one that was taken in earlier may be there: changes go on being possible.
    await put(store, wanted)
    assert (await call(api, "PUT", "Appointment/a1", wanted | {"comment": "x"})).status_code == 200
    wanted["participant"].append({"actor": {"reference": "urn:oid:1.2.4"}, "status": "accepted"})
    issue = outcome(await call(api, "PUT", "Appointment/a1", wanted), 400, "value")
    assert issue["expression"] == ["Appointment.participant[1].actor.reference"]
