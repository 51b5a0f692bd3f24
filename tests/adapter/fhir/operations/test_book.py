"""``$book``: by value or by reference, with the patients it brings, on the schedules it names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from adapter.fhir.operations.scheduling import placing
from adapter.scheduling.availability import openings
from store.store import Store
from tests.adapter.fhir.door import HOST, Json, bundled, call, get, made, outcome
from tests.adapter.fhir.operations.calling import ANYBODY, clinic, first, only, operate, refused, status_of, visit
from tests.adapter.mediloop.clinic import JAMES, SARAH, appointment, put, slot
from tests.adapter.scheduling.weekly import available, open_on, weekly
from tests.adapter.scheduling.weekly import parameters as minutes
from tests.conftest import Api, ApiMaker

__all__ = ["clinic"]


async def test_book_by_value(api: Api) -> None:
    answer = await operate(api, "$book", appointment_resource=visit())
    booked = only(answer, 201)
    assert (booked["status"], booked["slot"]) == ("booked", [{"reference": "Slot/s1"}])
    assert answer.headers["location"] == f"{HOST}/Appointment/{booked['id']}/_history/1"
    bare = await call(api, "POST", "Appointment/$book", visit(start="2024-01-20T10:30"))
    assert only(bare, 201)["slot"] == [{"reference": "Slot/s2"}], "the bare resource, as ISiK sends it"
    codes = ("slot_unavailable", "time_conflict")
    refused(await operate(api, "$book", appt_resource=visit()), 409, *codes)


@pytest.mark.parametrize("way", ["by value", "proposed", "held"])
async def test_a_booking_keeps_its_labels_and_profiles(api: Api, way: str) -> None:
    labels: Json = {
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}],
        "tag": [{"system": "urn:clinic", "code": "psychiatry"}],
        "profile": ["https://gematik.de/fhir/isik/StructureDefinition/ISiKTermin"],
    }
    sent = visit(meta=labels | {"versionId": "7", "lastUpdated": "2020-01-01T00:00:00Z"})
    if way == "by value":
        answer = await operate(api, "$book", appointment_resource=sent)
    else:
        ident = await first(api, practitioner=SARAH)
        if way == "held":
            only(await operate(api, f"{ident}/$hold"))
        answer = await operate(api, f"{ident}/$book", appointment_resource=sent)
    meta = only(answer, 201)["meta"]
    assert meta == labels | {"versionId": "2" if way == "held" else "1", "lastUpdated": meta["lastUpdated"]}


async def test_book_names_every_rule_that_is_broken(api: Api) -> None:
    wrong = visit(slot=[{"reference": "Slot/none"}, {"reference": "Slot/j1"}])
    refused(await operate(api, "$book", appointment_resource=wrong), 422, "unknown_slot", "slot_mismatch")


async def test_of_thousands_of_problems_a_thousand_are_told(api: Api) -> None:
    wanted = visit(slot=[{"reference": f"Slot/none{number}"} for number in range(1_500)])
    answer = await operate(api, "$book", appointment_resource=wanted)
    *named, last = answer.json()["entry"][0]["resource"]["issue"]
    assert (answer.status_code, len(named)) == (422, 1_000)
    assert last["diagnostics"].startswith("There are 500 further problems. ")


async def test_book_changes_and_cancels(api: Api) -> None:
    booked = only(await operate(api, "$book", appointment_resource=visit()), 201)
    later = {**booked, "start": "2024-01-20T12:00:00Z", "end": "2024-01-20T12:30:00Z"}
    moved = only(await operate(api, "$book", appointment_resource=later))
    assert (moved["id"], moved["slot"]) == (booked["id"], [{"reference": "Slot/s3"}])
    assert await status_of(api, "s1", "s3") == ["free", "busy"]
    reason = {"coding": [{"code": "pat"}], "text": "Better"}
    gone = only(
        await operate(api, "$book", appointment_resource={**moved, "status": "cancelled", "cancelationReason": reason})
    )
    assert (gone["status"], gone["cancelationReason"]) == ("cancelled", reason)
    assert await status_of(api, "s3") == ["free"]
    again = {**moved, "status": "cancelled"}
    refused(await operate(api, "$book", appointment_resource=again), 422, "invalid_status_transition")
    refused(await operate(api, "$book", appointment_resource={**moved, "id": "none"}), 404, "unknown_appointment")
    refused(await operate(api, "$book", appointment_resource={**moved, "status": "noshow"}), 422, "invalid_status")


async def test_what_is_for_a_new_booking_alone_is_not_passed_over_in_a_change(api: Api) -> None:
    booked = only(await operate(api, "$book", appointment_resource=visit()), 201)
    beside: dict[str, Any] = {
        "cancelled_appt_id": "Appointment/other",
        "overbook": "An emergency",
        "patient_reference": "Patient/other",
        "patient_resource": {"resourceType": "Patient"},
    }
    for status in ("booked", "cancelled"):
        answer = await operate(api, "$book", appointment_resource={**booked, "status": status}, **beside)
        outcome(answer, 400, *["not-supported"] * 4)
        for name in beside:
            assert f"{name.replace('_', '-')} is for a new booking" in answer.text
    assert (await get(api, f"Appointment/{booked['id']}")).json() == booked
    patients = [one["actor"]["reference"] for one in booked["participant"] if "Patient" in one["actor"]["reference"]]
    only(await operate(api, "$book", appointment_resource=booked, patient_reference=patients))


async def test_book_replaces_another(api: Api) -> None:
    old = only(await operate(api, "$book", appointment_resource=visit()), 201)
    ident = await first(api, practitioner=SARAH)
    new = only(
        await operate(
            api, "$book", appt_id=f"Appointment/{ident}", patient=ANYBODY, cancelled_appt_id=f"Appointment/{old['id']}"
        )
    )
    assert new["slot"] == [{"reference": "Slot/s2"}]
    assert (await get(api, f"Appointment/{old['id']}")).json()["status"] == "cancelled"
    assert await status_of(api, "s1", "s2") == ["free", "busy"]
    same = visit(start="2024-01-20T10:30")
    answer = await operate(api, "$book", appt_resource=same, cancelled_appt_id=f"Appointment/{new['id']}")
    assert only(answer, 201)["slot"] == [{"reference": "Slot/s2"}], "it takes what the other gives up"


async def test_what_is_replaced_is_one_visit_however_often_it_is_named(api: Api) -> None:
    old = only(await operate(api, "$book", appointment_resource=visit()), 201)
    twice = [old["id"], f"{HOST}/Appointment/{old['id']}/_history/1"]
    only(await operate(api, "$book", appt_resource=visit(), cancelled_appt_id=twice), 201)
    assert (await get(api, f"Appointment/{old['id']}")).json()["meta"]["versionId"] == "2", "it is cancelled once"


async def test_what_is_not_to_be_replaced_is_named_by_its_parameter(api: Api) -> None:
    await made(api, appointment("waiting", "pending"))
    await made(api, appointment("gone", "cancelled", "2024-01-20T12:00"))
    by_itself = outcome(await operate(api, "waiting/$book", cancelled_appt_id="waiting"), 400, "value")
    assert by_itself["expression"] == ["Parameters.parameter[0]"]
    for other, status, code in (("none", 404, "unknown_appointment"), ("gone", 422, "invalid_status_transition")):
        answer = await operate(api, "$book", appt_id="waiting", cancelled_appt_id=other)
        refused(answer, status, code)
        issue = answer.json()["entry"][0]["resource"]["issue"][0]
        assert issue["location"] == ["http.cancelled-appt-id"]
    assert (await get(api, "Appointment/waiting")).json()["status"] == "pending"


@pytest.mark.parametrize("status", ["pending", "booked", "cancelled"])
async def test_a_resource_with_another_id_than_the_one_named_changes_neither(api: Api, status: str) -> None:
    named = await made(api, appointment("named", slot=[{"reference": "Slot/s1"}]))
    other = await made(api, appointment("other", start="2024-01-20T10:30", slot=[{"reference": "Slot/s2"}]))
    sent = {**other, "status": status}
    for answer in (
        await operate(api, "named/$book", appointment_resource=sent),
        await operate(api, "$book", appointment_resource=sent, appt_id="named"),
    ):
        assert "Name one appointment" in outcome(answer, 400, "value")["diagnostics"]
    outcome(await call(api, "POST", "Appointment/named/$book", sent), 400, "value")
    for one in (named, other):
        assert (await get(api, f"Appointment/{one['id']}")).json() == one
    same = only(await operate(api, "named/$book", appointment_resource={**named, "description": "Seen before"}))
    assert same["description"] == "Seen before"


async def test_nobody_has_accepted_a_role_that_is_open(api: Api) -> None:
    role = {"type": [{"text": "Whoever is on duty"}], "status": "needs-action"}
    asked = visit(participant=[*({**one, "status": "needs-action"} for one in visit()["participant"]), role])
    booked = only(await operate(api, "$book", appointment_resource=asked), 201)
    assert [one["status"] for one in booked["participant"]] == ["accepted", "accepted", "accepted", "needs-action"]


async def test_book_brings_patients(api: Api) -> None:
    ident = await first(api, practitioner=SARAH)
    new = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "1"}], "name": [{"family": "New"}]}
    booked = only(await operate(api, "$book", appointment_reference=f"Appointment/{ident}", patient_resource=new))
    [reference] = [
        one["actor"]["reference"] for one in booked["participant"] if one["actor"]["reference"].startswith("Patient/")
    ]
    assert (await get(api, reference)).json()["name"] == new["name"]
    other = await first(api, practitioner=SARAH)
    again = only(
        await operate(
            api,
            "$book",
            appointment_reference=f"Appointment/{other}",
            patient_resource=new,
            patient="john",
        )
    )
    actors = [one["actor"]["reference"] for one in again["participant"]]
    assert actors[-2:] == ["Patient/john", reference], "known by the identifier"
    assert bundled(await get(api, "Patient?identifier=urn:x|1"))["total"] == 1


@pytest.mark.parametrize(
    ("identifier", "known"),
    [({"system": "urn:x", "value": "a,1"}, True), ({"value": "urn:x|1"}, False), ({"system": "urn:x"}, False)],
)
async def test_book_knows_a_patient_by_the_very_identifier(api: Api, identifier: Json, known: bool) -> None:
    """Commas and bars in it are its own; what has no value identifies nobody."""
    stored_ones = [{"system": "urn:x", "value": value} for value in ("1", "a,1")]
    for ident, one in zip(("one", "two"), stored_ones, strict=True):
        await made(api, {"resourceType": "Patient", "id": ident, "identifier": [one]})
    ident = await first(api, practitioner=SARAH)
    new = {"resourceType": "Patient", "identifier": [identifier], "name": [{"family": "New"}]}
    booked = only(await operate(api, "$book", appointment_reference=f"Appointment/{ident}", patient_resource=new))
    named = [one["actor"]["reference"] for one in booked["participant"] if "Patient/" in one["actor"]["reference"]]
    assert (named == ["Patient/two"]) is known
    assert named != ["Patient/one"]


async def test_book_over_others(api: Api, make_api: ApiMaker) -> None:
    only(await operate(api, "$book", appointment_resource=visit()), 201)
    over = only(await operate(api, "$book", appointment_resource=visit(), overbook="An emergency"), 201)
    assert "An emergency" in [one["valueString"] for one in over["extension"] if "valueString" in one]
    other: Api = await make_api(api.service, granted=["appointments:write", "slots:read"])
    outcome(await operate(other, "$book", appointment_resource=visit(), overbook="Mine"), 403, "forbidden")


async def test_book_needs_one_appointment(api: Api) -> None:
    outcome(await operate(api, "$book"), 400, "required")
    outcome(await operate(api, "$hold"), 400, "required")
    outcome(await operate(api, "$book", appointment_resource=visit(status="noshow")), 400, "required")
    outcome(await operate(api, "$book", appointment_resource=visit(participant=None)), 400, "required")
    outcome(await operate(api, "a/$book", appt_id="b"), 400, "invalid")
    outcome(await operate(api, "$hold", appt_id={"identifier": {"value": "b"}}), 400, "value")
    outcome(await operate(api, "$book", appointment_resource={"resourceType": "Patient"}), 400, "value")


# The schedule to book on (ISiK)


def at(clock: str) -> Json:
    """Half an hour of that day."""
    begins = datetime.fromisoformat(f"2024-01-20T{clock}:00+00:00")
    return {"start": begins.isoformat(), "end": (begins + timedelta(minutes=30)).isoformat()}


def at_ten(**more: Any) -> Json:
    patient_only = [{"actor": {"reference": "Patient/john"}, "status": "accepted"}]
    visit = {"status": "pending", "start": "2024-01-20T10:00:00Z", "end": "2024-01-20T10:30:00Z"}
    return {"resourceType": "Appointment", "participant": patient_only} | visit | more


async def test_book_on_a_schedule_takes_its_slot_and_the_time_of_whom_it_is_of(api: Api) -> None:
    sent = {"appt_resource": at_ten(), "schedule": {"reference": "Schedule/james"}}
    booked = only(await operate(api, "$book", **sent), 201)
    assert booked["slot"] == [{"reference": "Slot/j1"}]
    assert [one["actor"]["reference"] for one in booked["participant"]] == ["Patient/john", f"Practitioner/{JAMES}"]
    assert await status_of(api, "j1", "s1") == ["busy", "free"]
    refused(await operate(api, "$book", **sent), 409, "slot_unavailable")


async def test_what_becomes_free_while_a_booking_is_decided_is_in_no_ones_way(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which Slots are open is read as of the moment that the booking is decided on: j1 was free all the time."""
    ten = ("2024-01-20T10:00", "2024-01-20T10:30")
    await put(store, slot("j0", *ten, "busy", of="james"))

    async def freed_before(*given: Any, **named: Any) -> Any:
        await put(store, slot("j0", *ten, of="james"))
        return await openings(*given, **named)

    monkeypatch.setattr(placing, "openings", freed_before)
    booked = only(await operate(api, "$book", appt_resource=at_ten(), schedule={"reference": "Schedule/james"}), 201)
    assert booked["slot"] == [{"reference": "Slot/j1"}]


async def test_a_booking_on_a_schedule_has_the_slot_of_what_it_replaces(api: Api) -> None:
    james = {"reference": "Schedule/james"}
    old = only(await operate(api, "$book", appt_resource=at_ten(), schedule=james), 201)
    replaces: Json = {"appt_resource": at_ten(), "schedule": james, "cancelled_appt_id": f"Appointment/{old['id']}"}
    booked = only(await operate(api, "$book", **replaces), 201)
    assert booked["slot"] == old["slot"] == [{"reference": "Slot/j1"}]
    assert (await get(api, f"Appointment/{old['id']}")).json()["status"] == "cancelled"
    assert await status_of(api, "j1") == ["busy"]


@pytest.mark.parametrize("start", ["09:00", "09:15", "09:30"])
async def test_a_booking_on_weekly_hours_has_the_time_of_what_it_replaces(api: Api, start: str) -> None:
    hours = available(open_on("", "09:00", "10:00"))
    grid = minutes(duration=30, alignmentInterval=15)
    await made(api, weekly("w", hours, grid, actors=(f"Practitioner/{JAMES}",)))
    named = {"reference": "Schedule/w"}
    old = only(await operate(api, "$book", appt_resource=at_ten(**at("09:15")), schedule=named), 201)
    again = {"appt_resource": at_ten(**at(start)), "schedule": named}
    refused(await operate(api, "$book", **again), 409, "slot_unavailable")
    booked = only(await operate(api, "$book", **again, cancelled_appt_id=f"Appointment/{old['id']}"), 201)
    assert booked["slot"] == [{"reference": f"Slot/w.20240120T{start.replace(':', '')}Z.30"}]


async def test_a_booking_on_a_schedule_has_no_slot_that_what_it_replaces_only_waits_for(api: Api) -> None:
    james = {"reference": "Schedule/james"}
    only(await operate(api, "$book", appt_resource=at_ten(), schedule=james), 201)
    waiting = await made(api, {**at_ten(status="waitlist", slot=[{"reference": "Slot/j1"}]), "id": "waiting"})
    replaces: Json = {"appt_resource": at_ten(), "schedule": james, "cancelled_appt_id": f"Appointment/{waiting['id']}"}
    refused(await operate(api, "$book", **replaces), 409, "slot_unavailable")


async def test_book_on_two_schedules_is_all_or_nothing(api: Api) -> None:
    both = [{"reference": "Schedule/james"}, {"reference": f"{HOST}/Schedule/room"}]
    late = at_ten(start="2024-01-20T11:00:00Z", end="2024-01-20T11:30:00Z")
    refused(await operate(api, "$book", appt_resource=late, schedule=both), 409, "slot_unavailable")
    assert await status_of(api, "j2") == ["free"]
    booked = only(await operate(api, "$book", appt_resource=at_ten(), schedule=both), 201)
    assert {one["reference"] for one in booked["slot"]} == {"Slot/j1", "Slot/r1"}


async def test_a_booking_is_changed_on_its_schedule(api: Api) -> None:
    james = {"reference": "Schedule/james"}
    booked = only(await operate(api, "$book", appt_resource=at_ten(), schedule=james), 201)
    later = booked | {"start": "2024-01-20T11:00:00Z", "end": "2024-01-20T11:30:00Z"}
    moved = only(await operate(api, "$book", appt_resource=later, schedule=james))
    assert moved["slot"] == [{"reference": "Slot/j2"}]
    assert await status_of(api, "j1", "j2") == ["free", "busy"]


@pytest.mark.parametrize(
    ("appointment", "named", "code"),
    [
        (at_ten(), "Schedule/none", "unknown_schedule"),
        (at_ten(slot=[{"reference": "Slot/s1"}]), "Schedule/james", "slot_mismatch"),
        (at_ten(slot=[{"reference": "Slot/sarah.20240120T1000Z.30"}]), "Schedule/james", "slot_mismatch"),
        (at_ten(slot=[{"reference": "Slot/nowhere"}]), "Schedule/james", "unknown_slot"),
        (
            at_ten(participant=[{"actor": {"reference": f"Practitioner/{SARAH}"}, "status": "accepted"}]),
            "Schedule/james",
            "slot_mismatch",
        ),
    ],
)
async def test_a_schedule_that_does_not_fit_is_422(api: Api, appointment: Json, named: str, code: str) -> None:
    answer = await operate(api, "$book", appt_resource=appointment, schedule={"reference": named})
    refused(answer, 422, code)
    assert await status_of(api, "s1", "j1") == ["free", "free"]


async def test_a_schedule_is_named_by_its_id(api: Api) -> None:
    by_identifier = {"identifier": {"value": "x"}}
    outcome(await operate(api, "$book", appt_resource=at_ten(), schedule=by_identifier), 400, "value")
    outcome(await operate(api, "$book", appt_resource=at_ten(), cancelled_appt_id=by_identifier), 400, "value")
    outcome(await operate(api, "$book", appt_resource=at_ten(), schedule="Slot/s1"), 400, "value")


@pytest.mark.parametrize("status", ["waitlist", "proposed"])
async def test_what_has_no_time_is_booked_on_no_schedule(api: Api, status: str) -> None:
    await made(api, appointment("a", status, start=None))
    refused(await operate(api, "a/$book", schedule="Schedule/sarah"), 422, "invalid_time")
