"""Find, hold, book, cancel and reschedule: IHE's transactions through the door, under everybody's names for them."""

from __future__ import annotations

import asyncio
import json
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.appointment import Appointment
from fhir.resources.R4B.bundle import Bundle

from adapter.scheduling import availability
from store.reading import Moment
from tests.adapter.fhir.door import BASE, HOST, Json, bare, bundled, call, get, made, names, outcome
from tests.adapter.mediloop.clinic import (
    JAMES,
    MULAGO,
    OTHER_UHID,
    SARAH,
    appointment,
    booking,
    concept,
    location,
    patient,
    practitioner,
    put,
    schedule,
    slot,
    with_actors,
)
from tests.adapter.scheduling.weekly import weekly
from tests.conftest import Api, ApiMaker, Clock

START, END = "2024-01-20T00:00:00Z", "2024-01-21T00:00:00Z"
ANYBODY = "Patient/anybody"
"""For whom a visit is that was proposed for nobody."""

SERVICE = "http://snomed.info/sct"


@pytest.fixture(autouse=True)
async def clinic(api: Api) -> None:
    await put(
        api.service.stores["test"],
        practitioner(SARAH, "Dr. Sarah Nakamya"),
        practitioner(JAMES, "Dr. James"),
        {**location(MULAGO, "Mulago Hospital"), "address": {"city": "Kampala"}},
        location("room", "Room 1"),
        patient("john", "UG123456789A", "John Doe"),
        schedule("sarah", f"Practitioner/{SARAH}", f"Location/{MULAGO}", specialty=concept(SERVICE, "394579002")),
        schedule("james", f"Practitioner/{JAMES}"),
        schedule("room", "Location/room"),
        slot("s1", "2024-01-20T10:00", "2024-01-20T10:30"),
        slot("s2", "2024-01-20T10:30", "2024-01-20T11:00"),
        slot("s3", "2024-01-20T12:00", "2024-01-20T12:30"),
        slot("j1", "2024-01-20T10:00", "2024-01-20T10:30", of="james"),
        slot("j2", "2024-01-20T11:00", "2024-01-20T11:30", of="james"),
        slot("r1", "2024-01-20T10:00", "2024-01-20T11:00", of="room"),
    )


def parameters(**given: Any) -> Json:
    """Return a Parameters resource; names with ``_`` for ``-``, values by their type, lists for repeats."""
    parts: list[Json] = []
    for name, values in given.items():
        for value in values if isinstance(values, list) else [values]:
            key = "resource" if isinstance(value, dict) and "resourceType" in value else _type(value)
            parts.append({"name": name if name == "_count" else name.replace("_", "-"), key: value})
    return {"resourceType": "Parameters"} | ({"parameter": parts} if parts else {})


def _type(value: object) -> str:
    if isinstance(value, dict):
        return "valueCodeableConcept" if "coding" in value else "valueReference"
    return "valueInteger" if isinstance(value, int) else "valueString"


async def find(api: Api, **given: Any) -> Json:
    sent = parameters(**{"start": START, "end": END} | given)
    found = bundled(await call(api, "POST", "Appointment/$find", sent))
    for one in found["entry"]:
        if one["resource"]["resourceType"] == "Appointment":
            Appointment.model_validate(one["resource"])
    return found


async def first(api: Api, **given: Any) -> str:
    found = await find(api, **given)
    ident: str = found["entry"][0]["resource"]["id"]
    return ident


async def operate(api: Api, path: str, headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
    return await call(api, "POST", f"Appointment/{path}", parameters(**given), headers=headers)


def refused(answer: httpx.Response, status: int, *codes: str) -> list[str]:
    """Check that the answer is a searchset with nothing but a fatal outcome; return the issue types."""
    assert answer.status_code == status, answer.text
    read = answer.json()
    Bundle.model_validate_json(answer.content)
    assert (read["type"], read["total"]) == ("searchset", 0)
    [entry] = read["entry"]
    assert entry["search"] == {"mode": "outcome"}
    issues = entry["resource"]["issue"]
    assert {issue["severity"] for issue in issues} == {"fatal"}
    assert tuple(issue["details"]["coding"][0]["code"] for issue in issues) == codes, answer.text
    return [issue["code"] for issue in issues]


def only(answer: httpx.Response, status: int = 200) -> Json:
    assert answer.status_code == status, answer.text
    Bundle.model_validate_json(answer.content)
    [entry] = answer.json()["entry"]
    found: Json = entry["resource"]
    assert entry["fullUrl"] == f"{HOST}/Appointment/{found['id']}"
    return found


async def status_of(api: Api, *slots: str) -> list[str]:
    return [(await get(api, f"Slot/{one}")).json()["status"] for one in slots]


# $find


async def test_find_proposes_what_is_free(api: Api) -> None:
    found = await find(api, practitioner={"reference": f"Practitioner/{SARAH}"})
    assert (found["type"], found["total"], len(found["entry"])) == ("searchset", 3, 3)
    proposed = found["entry"][0]["resource"]
    assert proposed["status"] == "proposed"
    assert (proposed["start"], proposed["end"]) == ("2024-01-20T10:00:00Z", "2024-01-20T10:30:00Z")
    assert proposed["requestedPeriod"] == [{"start": START, "end": END}]
    assert proposed["slot"] == [{"reference": "Slot/s1"}]
    assert proposed["specialty"] == concept(SERVICE, "394579002")
    assert {(one["required"], one["status"]) for one in proposed["participant"]} == {("required", "needs-action")}
    again = await get(api, f"Appointment/{proposed['id']}")
    assert (again.status_code, again.json()) == (200, proposed)
    assert bundled(await get(api, "Appointment"))["total"] == 0, "it is no part of the record"


async def test_find_honours_its_count_and_tells_the_total(api: Api) -> None:
    found = await find(api, _count=2)
    assert (found["total"], len(found["entry"])) == (6, 2)
    sent = parameters(start=START, end=END)
    by_query = bundled(await call(api, "POST", "Appointment/$find?_count=1", sent))
    assert (by_query["total"], len(by_query["entry"])) == (6, 1)
    none = await find(api, _count=0)
    assert (none["total"], names(none)) == (6, ["OperationOutcome/"])


async def test_find_by_get_as_argonaut_allows(api: Api) -> None:
    found = bundled(await get(api, f"Appointment/$find?start={START}&end={END}&provider={JAMES}"))
    assert found["total"] == 2
    by_day = bundled(await get(api, f"Appointment/$find?start=2024-01-20&end=2024-01-20&provider={JAMES}"))
    assert by_day["total"] == 2


@pytest.mark.parametrize(
    "given",
    [
        {"practitioner": f"Practitioner/{JAMES}"},
        {"practitioner": JAMES},
        {"provider": f"{HOST}/Practitioner/{JAMES}"},
        {"practitioner": {"reference": f"Practitioner/{JAMES}"}},
    ],
)
async def test_find_reads_references_of_all_kinds(api: Api, given: Json) -> None:
    assert (await find(api, **given))["total"] == 2


async def test_find_by_epics_names(api: Api) -> None:
    sent = parameters(startTime=START, endTime=END, service_type={"coding": [{"system": "x", "code": "y"}]})
    assert bundled(await call(api, "POST", "Appointment/$find", sent))["total"] == 0


async def test_find_joins_kinds_with_and_and_repeats_with_or(api: Api) -> None:
    both = [{"reference": f"Practitioner/{JAMES}"}, {"reference": f"Practitioner/{SARAH}"}]
    found = await find(api, practitioner=both)
    slots = [one["resource"]["slot"][0]["reference"] for one in found["entry"]]
    assert slots == ["Slot/j1", "Slot/s1", "Slot/s2", "Slot/j2", "Slot/s3"], "of equal times the preferred one first"
    here = await find(api, practitioner=both, specialty=f"{SERVICE}|394579002")
    assert here["total"] == 3
    assert (await find(api, location_string="kampala"))["total"] == 3
    assert (await find(api, location_reference={"reference": "Location/room"}))["total"] == 1
    token = {"identifier": {"system": "urn:nobody", "value": "1"}}
    assert (await find(api, practitioner=token))["total"] == 0


async def test_find_puts_practitioner_and_room_together(api: Api) -> None:
    james, room = {"reference": f"Practitioner/{JAMES}"}, {"reference": "Location/room"}
    found = await find(api, practitioner=james, location_reference=room)
    assert found["total"] == 1, "at eleven the room is not free"
    [proposed] = [one["resource"] for one in found["entry"]]
    assert [one["reference"] for one in proposed["slot"]] == ["Slot/j1", "Slot/r1"]
    booked = only(await operate(api, "$book", appointment_reference=f"Appointment/{proposed['id']}", patient=ANYBODY))
    assert booked["status"] == "booked"
    assert await status_of(api, "j1", "r1") == ["busy", "busy"]
    await operate(api, f"{booked['id']}/$cancel")
    assert await status_of(api, "j1", "r1") == ["free", "free"]


async def test_several_or_none(api: Api) -> None:
    james, room = {"reference": f"Practitioner/{JAMES}"}, {"reference": "Location/room"}
    ident = await first(api, practitioner=james, location_reference=room)
    await made(api, slot("r1", "2024-01-20T10:00", "2024-01-20T11:00", of="room", status="busy-unavailable"))
    refused(
        await operate(api, "$book", appointment_reference=f"Appointment/{ident}", patient=ANYBODY),
        409,
        "slot_unavailable",
    )
    assert await status_of(api, "j1", "r1") == ["free", "busy-unavailable"]


async def test_find_at_a_place_without_a_schedule(api: Api) -> None:
    await made(api, location("ward", "Ward"))
    james = {"reference": f"Practitioner/{JAMES}"}
    found = await find(api, practitioner=james, location_reference={"reference": "Location/ward"})
    assert found["total"] == 2
    actors = [one["actor"]["reference"] for one in found["entry"][0]["resource"]["participant"]]
    assert actors == [f"Practitioner/{JAMES}", "Location/ward"]


async def test_find_joins_slots_for_a_longer_visit(api: Api) -> None:
    found = await find(api, practitioner={"reference": f"Practitioner/{SARAH}"}, duration=60)
    assert found["total"] == 1
    proposed = found["entry"][0]["resource"]
    assert [one["reference"] for one in proposed["slot"]] == ["Slot/s1", "Slot/s2"]
    assert (proposed["end"], proposed["minutesDuration"]) == ("2024-01-20T11:00:00Z", 60)
    only(await operate(api, "$book", appointment_reference=f"Appointment/{proposed['id']}", patient=ANYBODY))
    assert await status_of(api, "s1", "s2") == ["busy", "busy"]


async def test_find_leaves_out_when_the_patient_is_elsewhere(api: Api) -> None:
    await made(api, {**appointment("other", slot=[{"reference": "Slot/s1"}])})
    found = await find(api, patient_reference={"reference": "Patient/john"})
    starts = {one["resource"]["start"] for one in found["entry"]}
    assert starts == {"2024-01-20T10:30:00Z", "2024-01-20T11:00:00Z", "2024-01-20T12:00:00Z"}


async def test_find_goes_by_the_id_of_who_is_named_by_another_address(api: Api) -> None:
    """As who decides does: the address may be one of ours, which nobody has told the service."""
    abroad = "https://other.example/fhir"
    role = {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": f"{abroad}/Practitioner/q"}}
    await put(api.service.stores["test"], role, schedule("james", f"{abroad}/PractitionerRole/role"))
    await made(api, appointment("there", start="2024-01-20T11:00", participant=with_actors(f"{abroad}/Patient/john")))
    q, john = {"reference": "Practitioner/q"}, {"reference": "Patient/john"}
    assert (await find(api, practitioner=q))["total"] == 2
    [proposed] = (await find(api, practitioner=q, patient_reference=john))["entry"]
    assert proposed["resource"]["slot"] == [{"reference": "Slot/j1"}]


async def test_what_find_asks_at_whatever_address_it_finds_by_an_index(api: Api, monkeypatch: Any) -> None:
    store = api.service.stores["test"]
    asked: list[tuple[str, Any]] = []
    for read in ("find", "keys"):
        real = getattr(Moment, read)

        def noted(self: Moment, kind: str, query: Any, real: Any = real, **options: Any) -> Any:
            asked.append((kind, query))
            return real(self, kind, query, **options)

        monkeypatch.setattr(Moment, read, noted)
    sarah, john = {"reference": f"Practitioner/{SARAH}"}, {"reference": "Patient/john"}
    await find(api, practitioner=sarah, patient_reference=john, location_reference={"reference": f"Location/{MULAGO}"})
    monkeypatch.undo()
    named = [(kind, query) for kind, query in asked if ":named" in str(query)]
    assert {kind for kind, _ in named} == {"PractitionerRole", "Schedule", "Appointment"}
    for kind, query in named:
        plan = await store.explain(kind, query)
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]), (kind, query)


async def test_who_is_engaged_elsewhere_is_offered_by_no_door(api: Api) -> None:
    await put(
        api.service.stores["test"],
        schedule("kla", f"Practitioner/{SARAH}", "Location/room"),
        slot("k1", "2024-01-20T10:00", "2024-01-20T10:30", of="kla"),
        slot("k2", "2024-01-20T11:30", "2024-01-20T12:00", of="kla"),
    )
    sarahs = parameters(start=START, end=END, practitioner={"reference": f"Practitioner/{SARAH}"})

    async def shown() -> list[list[str]]:
        availability = "/api/v1/appointments/availability/?date_from=2024-01-20&date_to=2024-01-20"
        found = [await api.get(f"{availability}{more}") for more in ("", f"&practitioner_id={SARAH}")]
        doors = [[one["id"] for one in answer.json()["results"]] for answer in found]
        free = bundled(await call(api, "POST", "Slot/$prefetch", sarahs))
        doors.append([name.removeprefix("Slot/") for name in names(free)])
        proposed = bundled(await call(api, "POST", "Appointment/$find", sarahs))["entry"]
        doors.append([one["resource"]["slot"][0]["reference"].removeprefix("Slot/") for one in proposed])
        return [[ident for ident in door if ident[0] in "sk"] for door in doors]

    assert await shown() == [["k1", "s1", "s2", "k2", "s3"]] * 4
    assert (await api.post("/api/v1/appointments/", json=booking(slot_id="k1"))).status_code == 201
    assert await shown() == [["s2", "k2", "s3"]] * 4


async def test_find_nothing_says_so(api: Api) -> None:
    found = await find(api, practitioner="nobody")
    [entry] = found["entry"]
    assert (found["total"], entry["search"]["mode"]) == (0, "outcome")
    assert entry["resource"]["issue"][0]["severity"] == "information"


async def test_find_refuses_what_it_cannot_read(api: Api) -> None:
    for body in (
        parameters(),
        parameters(start=START),
        parameters(start="soon", end=END),
        parameters(start=END, end=START),
        parameters(start=START, end=END, nobody="x"),
        parameters(start=START, end=END, practitioner={"reference": "Patient/john"}),
        parameters(start=START, end=END, _count="many"),
        parameters(start=START, end=END, duration=0),
        parameters(start=[START, START], end=END),
        parameters(start=3, end=END),
        parameters(start=START, end=END, reason="|"),
        parameters(start=START, end=END, specialty=f"{SERVICE}|"),
        {"resourceType": "Patient"},
    ):
        answer = await call(api, "POST", "Appointment/$find", body)
        assert answer.status_code == 400, (body, answer.text)
        assert answer.json()["resourceType"] == "OperationOutcome"
    outcome(await call(api, "POST", "Appointment/$find", parameters()), 400, "required", "required")


async def test_what_would_take_too_long_to_compute_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "MOST_COMPUTED", 1_000)
    await made(api, weekly(actors=("Practitioner/weekly",)))
    asked = "start=2024-01-01&practitioner=weekly&_count=1"
    assert bundled(await get(api, f"Appointment/$find?{asked}&end=2024-05-01"))["total"] == 122 * 6
    for operation in ("Appointment/$find", "Slot/$prefetch"):
        outcome(await get(api, f"{operation}?{asked}&end=2024-12-31"), 400, "too-costly")


async def test_find_by_organization_role_and_timing(api: Api) -> None:
    await made(api, {"resourceType": "Organization", "id": "clinic", "name": "Clinic"})
    role = {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": f"Practitioner/{JAMES}"}}
    await made(api, role | {"organization": {"reference": "Organization/clinic"}})
    assert (await find(api, organization={"reference": "Organization/clinic"}))["total"] == 2
    assert (await find(api, organization={"identifier": {"value": "none"}}))["total"] == 0
    sent = parameters(start=START, end=END, reason="urn:x|ill", insurance_reference={"reference": "InsurancePlan/1"})
    timing = {"name": "timing", "valueTiming": {"repeat": {"duration": 1, "durationUnit": "h"}}}
    referral = {"name": "referral-identifier", "valueIdentifier": {"system": "urn:r", "value": "7"}}
    sent["parameter"] += [timing, referral]
    found = bundled(await call(api, "POST", "Appointment/$find", sent))
    proposed = found["entry"][0]["resource"]
    assert proposed["minutesDuration"] == 60
    assert proposed["reasonCode"] == [{"coding": [{"system": "urn:x", "code": "ill"}]}]
    assert proposed["basedOn"] == [{"type": "ServiceRequest", "identifier": {"system": "urn:r", "value": "7"}}]
    assert proposed["supportingInformation"] == [{"reference": "InsurancePlan/1"}]


async def test_computed_openings_are_proposed_held_booked_and_moved(api: Api) -> None:
    base = "https://mediloop.co/fhir/StructureDefinition"
    hours = [
        {"url": "daysOfWeek", "valueCode": "sat"},
        {"url": "availableStartTime", "valueTime": "09:00:00"},
        {"url": "availableEndTime", "valueTime": "11:00:00"},
    ]
    extensions = [
        {"url": f"{base}/availability", "extension": [{"url": "availableTime", "extension": hours}]},
        {
            "url": f"{base}/scheduling-parameters",
            "extension": [{"url": "duration", "valuePositiveInt": 30}],
        },
    ]
    await made(api, practitioner("weekly", "Dr. Weekly"))
    await made(api, schedule("weekly", "Practitioner/weekly", extension=extensions))
    found = await find(api, practitioner="weekly")
    assert found["total"] == 4
    ident = found["entry"][0]["resource"]["id"]
    last = found["entry"][3]["resource"]["slot"][0]["reference"]
    held = only(await operate(api, f"{ident}/$hold"))
    name = held["slot"][0]["reference"].partition("/")[2]
    assert await status_of(api, name) == ["busy-tentative"]
    assert (await find(api, practitioner="weekly"))["total"] == 3
    only(await operate(api, f"{ident}/$book", patient=ANYBODY))
    moved = only(await operate(api, f"{ident}/$reschedule", slot=last))
    assert (moved["start"], moved["slot"]) == ("2024-01-20T10:30:00Z", [{"reference": last}])
    assert (await find(api, practitioner="weekly"))["total"] == 3
    only(await operate(api, f"{ident}/$reschedule", start="2024-01-20T09:30:00Z"))
    assert {one["resource"]["start"][11:16] for one in (await find(api, practitioner="weekly"))["entry"]} == {
        "09:00",
        "10:00",
        "10:30",
    }


# $hold


async def test_hold_keeps_the_slots_until_it_expires(api: Api, clock: Clock) -> None:
    ident = await first(api)
    answer = await operate(api, "$hold", appointment_reference=f"Appointment/{ident}")
    held = only(answer)
    assert (held["status"], held["id"]) == ("pending", ident)
    assert parsedate_to_datetime(answer.headers["expires"]).timestamp() == clock().timestamp() + 300
    [taken] = [one["reference"].partition("/")[2] for one in held["slot"]]
    assert await status_of(api, taken) == ["busy-tentative"]
    assert (await find(api))["total"] == 5, "what is held is not offered"
    clock.advance(seconds=299)
    assert (await get(api, f"Appointment/{ident}")).json()["status"] == "pending"
    clock.advance(seconds=1)
    assert (await get(api, f"Appointment/{ident}")).json()["status"] == "cancelled"
    assert await status_of(api, taken) == ["free"]
    refused(await operate(api, "$book", appointment_reference=f"Appointment/{ident}"), 410, "hold_expired")


async def test_a_hold_is_booked_by_its_reference(api: Api, clock: Clock) -> None:
    ident = await first(api, practitioner=SARAH)
    only(await operate(api, f"{ident}/$hold"))
    refused(await operate(api, f"{ident}/$hold"), 409, "already_held")
    booked = only(
        await operate(api, "$book", appt_id=f"{HOST}/Appointment/{ident}", patient=ANYBODY, comment="By phone")
    )
    assert (booked["status"], booked["comment"], "extension" in booked) == ("booked", "By phone", False)
    assert {one["status"] for one in booked["participant"]} == {"accepted"}
    clock.advance(seconds=301)
    assert await status_of(api, "s1") == ["busy"]
    refused(await operate(api, "$book", appt_id=f"Appointment/{ident}"), 409, "already_booked")
    refused(await operate(api, f"{ident}/$hold"), 409, "already_booked")


async def test_what_is_held_is_nobody_elses(api: Api) -> None:
    one, other = await first(api, practitioner=SARAH), await first(api, practitioner=SARAH)
    only(await operate(api, f"{one}/$hold"))
    issues = refused(await operate(api, f"{other}/$hold"), 409, "slot_unavailable", "time_conflict")
    assert issues == ["not-found", "not-found"], "as IHE has it"
    issues = refused(await operate(api, f"{other}/$book", patient=ANYBODY), 409, "slot_unavailable", "time_conflict")
    assert issues == ["conflict", "conflict"]


async def test_proposals_expire_by_the_clock(api: Api, clock: Clock) -> None:
    ident = await first(api)
    clock.advance(seconds=899)
    assert (await get(api, f"Appointment/{ident}")).status_code == 200
    clock.advance(seconds=1)
    outcome(await get(api, f"Appointment/{ident}"), 410, "expired")
    patch, headers = b'[{"op": "remove", "path": "/slot"}]', {"Content-Type": "application/json-patch+json"}
    outcome(await call(api, "PATCH", f"Appointment/{ident}", content=patch, headers=headers), 410, "expired")
    refused(await operate(api, f"{ident}/$hold"), 410, "proposal_expired")
    refused(await operate(api, "never/$hold"), 404, "unknown_appointment")


async def test_a_proposal_can_be_deleted_and_is_not_stored(api: Api) -> None:
    one, other, third = [entry["resource"]["id"] for entry in (await find(api))["entry"]][:3]
    patch = [{"op": "replace", "path": "/status", "value": "booked"}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await call(api, "PATCH", f"Appointment/{one}", content=json.dumps(patch), headers=headers)
    assert "$hold or $book it" in outcome(answer, 404, "not-found")["diagnostics"]
    outcome(await call(api, "DELETE", f"Appointment/{one}", headers={"If-Match": 'W/"1"'}), 412, "conflict")
    assert (await get(api, f"Appointment/{one}")).status_code == 200
    told = await call(api, "DELETE", f"Appointment/{one}", headers={"Prefer": "return=OperationOutcome"})
    assert told.json()["issue"][0]["diagnostics"] == "Deleted."
    for repeat in ({}, {"X-Idempotency-Key": "k"}):
        gone = {"request": {"method": "DELETE", "url": f"Appointment/{third if repeat else other}"}}
        sent = {"resourceType": "Bundle", "type": "transaction", "entry": [gone]}
        assert (await call(api, "POST", "", sent, headers=repeat)).status_code == 200
    for ident in (one, other, third):
        outcome(await get(api, f"Appointment/{ident}"), 404, "not-found")
        refused(await operate(api, f"{ident}/$hold"), 404, "unknown_appointment")
    assert (await call(api, "DELETE", f"Appointment/{one}")).status_code == 204


# $book


def visit(**members: Any) -> Json:
    return appointment("x", **{"id": None, "status": "pending"} | members)


async def test_book_by_value(api: Api) -> None:
    answer = await operate(api, "$book", appointment_resource=visit())
    booked = only(answer, 201)
    assert (booked["status"], booked["slot"]) == ("booked", [{"reference": "Slot/s1"}])
    assert answer.headers["location"] == f"{HOST}/Appointment/{booked['id']}/_history/1"
    bare = await call(api, "POST", "Appointment/$book", visit(start="2024-01-20T10:30"))
    assert only(bare, 201)["slot"] == [{"reference": "Slot/s2"}], "the bare resource, as ISiK sends it"
    codes = ("slot_unavailable", "time_conflict")
    refused(await operate(api, "$book", appt_resource=visit()), 409, *codes)


async def test_book_names_every_rule_that_is_broken(api: Api) -> None:
    wrong = visit(slot=[{"reference": "Slot/none"}, {"reference": "Slot/j1"}])
    refused(await operate(api, "$book", appointment_resource=wrong), 422, "unknown_slot", "slot_mismatch")


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
    outcome(await operate(api, "$hold", appt_id={"identifier": {"value": "b"}}), 400, "invalid")
    outcome(await operate(api, "$book", appointment_resource={"resourceType": "Patient"}), 400, "value")


# The schedule to book on (ISiK)


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
    outcome(await operate(api, "$book", appt_resource=at_ten(), schedule=by_identifier), 400, "invalid")
    outcome(await operate(api, "$book", appt_resource=at_ten(), schedule="Slot/s1"), 400, "value")


# $cancel and $reschedule


async def test_cancel(api: Api) -> None:
    await made(api, appointment("a", slot=[{"reference": "Slot/s1"}]))
    gone = only(await operate(api, "a/$cancel", reason="Ill", comment="Told by phone"))
    assert (gone["status"], gone["cancelationReason"], gone["comment"]) == (
        "cancelled",
        {"text": "Ill"},
        "Told by phone",
    )
    assert await status_of(api, "s1") == ["free"]
    seen = (await api.get("/api/v1/appointments/a/")).json()
    assert (seen["status"], seen["cancelled_at"]) == ("cancelled", "2024-01-15T10:00:00Z")
    refused(await operate(api, "a/$cancel"), 422, "invalid_status_transition")
    refused(await operate(api, "none/$cancel"), 404, "unknown_appointment")


@pytest.mark.parametrize(
    ("members", "end"),
    [
        ({"start": "2024-01-20T10:00:30Z", "end": "2024-01-20T10:20:45Z"}, "2024-01-20T12:20:15Z"),
        ({"status": "proposed", "start": None, "end": None, "minutesDuration": 45}, "2024-01-20T12:45:00Z"),
        ({"status": "proposed", "start": None, "end": None}, "2024-01-20T12:30:00Z"),
    ],
)
async def test_what_moves_keeps_its_length(api: Api, members: Json, end: str) -> None:
    whole = appointment("a") | members
    await made(api, {name: value for name, value in whole.items() if value is not None})
    moved = only(await operate(api, "a/$reschedule", start="2024-01-20T12:00:00Z"))
    assert moved["end"] == end


async def test_reschedule(api: Api) -> None:
    await made(api, appointment("a", slot=[{"reference": "Slot/s1"}]))
    moved = only(await operate(api, "a/$reschedule", start="2024-01-20T12:00:00Z", reason="Later"))
    assert (moved["start"], moved["end"], moved["slot"]) == (
        "2024-01-20T12:00:00Z",
        "2024-01-20T12:30:00Z",
        [{"reference": "Slot/s3"}],
    )
    assert await status_of(api, "s1", "s3") == ["free", "busy"]
    moved = only(await operate(api, "a/$reschedule", slot="Slot/s2"))
    assert (moved["start"], moved["slot"]) == ("2024-01-20T10:30:00Z", [{"reference": "Slot/s2"}])
    seen = (await api.get("/api/v1/appointments/a/")).json()
    assert seen["rescheduled_at"] == "2024-01-15T10:00:00Z"
    outcome(await operate(api, "a/$reschedule"), 400, "required")
    for wrong in ("noon", "2024-01-20T12:00:00", "2024-01-20"):
        outcome(await operate(api, "a/$reschedule", start=wrong), 400, "value")
    for last in ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-05:00"):
        refused(await operate(api, "a/$reschedule", start=last), 422, "invalid_time")
    for unknown in ("none", "james.20240199T0900Z.30", "james.20240120T0900Z.0"):
        refused(await operate(api, "a/$reschedule", slot=f"Slot/{unknown}"), 422, "unknown_slot")
    refused(await operate(api, "a/$reschedule", start=END, end=START), 422, "invalid_time")
    only(await operate(api, "a/$cancel"))
    refused(await operate(api, "a/$reschedule", slot="Slot/s1"), 422, "invalid_status_transition")


@pytest.mark.parametrize("room", [True, False])
async def test_who_declined_is_booked_by_a_move(api: Api, room: bool) -> None:
    await made(api, slot("r2", "2024-01-20T11:00", "2024-01-20T11:30", of="room"))
    names = [f"Practitioner/{JAMES}", *(["Location/room"] if room else [])]
    there = [{"actor": {"reference": name}, "status": "accepted"} for name in names]
    links = [{"reference": f"Slot/{one}"} for one in ("j1", *(["r1"] if room else []))]
    await made(api, appointment("a", slot=links, participant=there))
    answer: Json = {"resourceType": "AppointmentResponse", "participantStatus": "declined", "actor": there[0]["actor"]}
    said = await call(api, "POST", "AppointmentResponse", answer | {"appointment": {"reference": "Appointment/a"}})
    assert said.status_code == 201
    moved = only(await operate(api, "a/$reschedule", start="2024-01-20T11:00:00Z"))
    assert moved["participant"][0]["status"] == "needs-action"
    assert {one["reference"] for one in moved["slot"]} == {"Slot/j2", *(["Slot/r2"] if room else [])}
    assert await status_of(api, "j1", "j2") == ["free", "busy"]


@pytest.mark.parametrize(
    "reason", [{"valuePeriod": {"start": "2020"}}, {"valueQuantity": {"unit": "mm", "value": 3}}, {"valueInteger": 3}]
)
async def test_a_reason_of_another_type_is_not_stored(api: Api, reason: Json) -> None:
    await made(api, appointment("a"))
    sent = parameters(start="2024-01-20T12:00:00Z")
    sent["parameter"].append({"name": "reason"} | reason)
    outcome(await call(api, "POST", "Appointment/a/$reschedule", sent), 400, "value")
    del sent["parameter"][0]
    outcome(await call(api, "POST", "Appointment/a/$cancel", sent), 400, "value")


async def test_what_is_proposed_is_valid_whatever_was_sent(api: Api) -> None:
    asked = f"Appointment/$find?start=2024-01-20T00:00:00&end=2024-01-21T03:00:00+03:00&practitioner={SARAH}"
    [proposed, *_] = bundled(await get(api, asked))["entry"]
    assert proposed["resource"]["requestedPeriod"] == [
        {"start": "2024-01-20T00:00:00Z", "end": "2024-01-21T03:00:00+03:00"}
    ]
    sent = parameters(start="2024-01-20", end="2024-01-21")
    huge = {"name": "timing", "valueTiming": {"repeat": {"duration": 1e30, "durationUnit": "d"}}}
    assert (
        bundled(await call(api, "POST", "Appointment/$find", {**sent, "parameter": [*sent["parameter"], huge]}))[
            "total"
        ]
        == 0
    )
    quantity = {"valueQuantity": {"value": 3, "unit": "mm"}}
    sent["parameter"] += [{"name": name} | quantity for name in ("insurance-reference", "referral-identifier")]
    found = bundled(await call(api, "POST", "Appointment/$find", sent))["entry"][0]["resource"]
    assert found["requestedPeriod"] == [{"start": "2024-01-20", "end": "2024-01-21"}]
    assert not {"basedOn", "supportingInformation"} & found.keys()


async def test_a_hold_that_is_over_is_booked_by_nobody(api: Api) -> None:
    """Whoever looked last knew of no hold that ends so soon: another process holds for a shorter time."""
    over = {
        "url": f"{api.service.systems.extensions}/hold-expires",
        "valueInstant": api.service.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    await api.get("/api/v1/appointments/")
    await put(
        api.service.stores["test"],
        {**appointment("a"), "status": "pending", "extension": [over]},
    )
    refused(await operate(api, "$book", appointment_reference="Appointment/a"), 410, "hold_expired")
    await put(api.service.stores["test"], {**appointment("b"), "status": "pending", "extension": [over]})
    answer = await call(api, "PUT", "Appointment/b", {**appointment("b"), "status": "booked"})
    outcome(answer, 422, "business-rule")
    await put(api.service.stores["test"], {**appointment("c"), "status": "pending", "extension": [over]})
    moved = await api.post("/api/v1/appointments/c/reschedule/", json={"new_start_time": "2024-01-20T12:00:00Z"})
    assert moved.json()["error"]["code"] == "invalid_status_transition"
    held = {**appointment("d"), "status": "pending", "extension": [over], "slot": [{"reference": "Slot/held"}]}
    busy = slot("held", "2024-01-20T10:00", "2024-01-20T10:30", "busy-tentative")
    await put(api.service.stores["test"], busy, held)
    answer = await call(api, "POST", "Appointment", {**bare(appointment("e")), "slot": held["slot"]})
    assert answer.status_code == 201, answer.text
    assert await status_of(api, "held") == ["busy"]


async def test_reschedule_moves_the_room_too(api: Api) -> None:
    await made(api, slot("r2", "2024-01-20T11:00", "2024-01-20T11:30", of="room"))
    james, room = {"reference": f"Practitioner/{JAMES}"}, {"reference": "Location/room"}
    ident = await first(api, practitioner=james, location_reference=room)
    only(await operate(api, f"{ident}/$book", patient=ANYBODY))
    moved = only(await operate(api, f"{ident}/$reschedule", start="2024-01-20T11:00:00Z"))
    assert {one["reference"] for one in moved["slot"]} == {"Slot/j2", "Slot/r2"}
    assert await status_of(api, "j1", "r1", "j2", "r2") == ["free", "free", "busy", "busy"]
    refused(
        await operate(api, f"{ident}/$reschedule", start="2024-01-20T15:00:00Z"),
        409,
        "slot_unavailable",
        "slot_unavailable",
    )


# Races, repeats, permissions


async def test_64_clients_hold_one_time(api: Api) -> None:
    idents = [await first(api, practitioner=SARAH) for _ in range(8)]
    answers = await asyncio.gather(*(operate(api, f"{idents[n % 8]}/$hold") for n in range(64)))
    assert sorted({one.status_code for one in answers}) == [200, 409]
    assert sum(one.status_code == 200 for one in answers) == 1


async def test_64_clients_book_one_hold(api: Api) -> None:
    ident = await first(api, practitioner=SARAH)
    only(await operate(api, f"{ident}/$hold"))
    answers = await asyncio.gather(*(operate(api, f"{ident}/$book", patient=ANYBODY) for _ in range(64)))
    assert sum(one.status_code == 200 for one in answers) == 1
    assert sum(one.status_code == 409 for one in answers) == 63


async def test_a_repeated_request_books_once(api: Api) -> None:
    ident = await first(api, practitioner=SARAH)
    key = {"X-Idempotency-Key": "once"}
    answers = await asyncio.gather(*(operate(api, f"{ident}/$book", headers=key, patient=ANYBODY) for _ in range(16)))
    assert {one.status_code for one in answers} == {200}
    assert len({one.content for one in answers}) == 1
    assert sum("x-idempotency-replayed" in one.headers for one in answers) == 15
    held = await first(api, practitioner=SARAH)
    first_answer = await operate(api, f"{held}/$hold", headers={"X-Idempotency-Key": "hold"})
    again = await operate(api, f"{held}/$hold", headers={"X-Idempotency-Key": "hold"})
    assert again.headers["expires"] == first_answer.headers["expires"]
    refused(await operate(api, f"{ident}/$hold", headers={"X-Idempotency-Key": "hold"}), 422, "idempotency_key_reuse")
    long = {"X-Idempotency-Key": "x" * 256}
    outcome(await operate(api, f"{ident}/$book", headers=long), 400, "invalid")


async def test_permissions(api: Api, make_api: ApiMaker) -> None:
    ident = await first(api)
    reader: Api = await make_api(api.service, granted=["appointments:read", "slots:read"])
    assert (await find(reader))["total"] == 6
    for path in ("$hold", "$book", f"{ident}/$cancel", f"{ident}/$reschedule"):
        outcome(await operate(reader, path, appt_id="x"), 403, "forbidden")
    writer: Api = await make_api(api.service, granted=["appointments:write", "slots:read"])
    outcome(await call(writer, "POST", "Appointment/$find", parameters(start=START, end=END)), 403, "forbidden")
    new = {"resourceType": "Patient", "name": [{"family": "New"}]}
    outcome(await operate(writer, f"{ident}/$book", patient_resource=new), 403, "forbidden")
    only(await operate(writer, f"{ident}/$book", patient=ANYBODY))


async def test_who_takes_slots_reads_them_and_who_cancels_need_not(api: Api, make_api: ApiMaker) -> None:
    """As a write of the status, and MediLoop's cancel, need none."""
    ident = only(await operate(api, "$book", appointment_resource=visit()), 201)["id"]
    writer: Api = await make_api(api.service, granted=["appointments:write"])
    for path in ("$hold", "$book", f"{ident}/$reschedule"):
        issue = outcome(await operate(writer, path, appt_id="x", start="2024-01-20T14:00:00Z"), 403, "forbidden")
        assert "slots:read" in issue["diagnostics"]
    assert only(await operate(writer, f"{ident}/$cancel"))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("path", "given", "permission"),
    [
        ("Appointment/$find", {"patient_reference": {"identifier": {"value": "INS-42"}}}, "patients"),
        *(
            (path, given, permission)
            for path in ("Appointment/$find", "Slot/$prefetch")
            for given, permission in (
                ({"practitioner": {"identifier": {"value": "7"}}}, "practitioners"),
                ({"location_reference": {"identifier": {"value": "7"}}}, "locations"),
                ({"location_string": "Mul"}, "locations"),
                ({"organization": "o"}, "locations"),
                ({"organization": "o"}, "practitioners"),
            )
        ),
    ],
)
async def test_what_looks_into_another_type_needs_read_of_it(
    api: Api, make_api: ApiMaker, path: str, given: Json, permission: str
) -> None:
    words = {"appointments", "slots", "patients", "practitioners", "locations"}
    asked = parameters(start=START, end=END, **given)
    other: Api = await make_api(api.service, granted=[f"{one}:read" for one in words - {permission}])
    issue = outcome(await call(other, "POST", path, asked), 403, "forbidden")
    assert f"{permission}:read" in issue["diagnostics"]
    knowing: Api = await make_api(api.service, granted=[f"{one}:read" for one in words])
    bundled(await call(knowing, "POST", path, asked))


async def test_who_or_what_is_named_is_not_looked_into(api: Api, make_api: ApiMaker) -> None:
    reader: Api = await make_api(api.service, granted=["appointments:read", "slots:read"])
    assert (await find(reader, location_reference=MULAGO))["total"] == 3
    assert (await find(reader, practitioner=SARAH))["total"] == (await find(api, practitioner=SARAH))["total"] > 0


async def test_mediloop_books_what_a_hold_has_left(api: Api, clock: Clock) -> None:
    ident = await first(api, practitioner=SARAH)
    only(await operate(api, f"{ident}/$hold"))
    wanted = booking(patient_uhid=OTHER_UHID)
    assert (await api.post("/api/v1/appointments/", wanted)).status_code == 409
    clock.advance(seconds=300)
    assert (await api.post("/api/v1/appointments/", wanted)).status_code == 201


# Slot/$prefetch, and what is said of all this


@pytest.mark.parametrize("name", ["prefetch", "find"])
async def test_free_slots_as_argonaut_fetches_them(api: Api, name: str) -> None:
    found = bundled(await get(api, f"Slot/${name}?start={START}&end={END}&location-reference={MULAGO}&_count=2"))
    assert (found["total"], names(found)) == (3, ["Slot/s1", "Slot/s2"])
    nothing = bundled(await call(api, "POST", f"Slot/${name}", parameters(start=START, end=END, provider="nobody")))
    assert (nothing["total"], names(nothing)) == (0, ["OperationOutcome/"])


async def test_the_definitions_are_served(api: Api) -> None:
    everything = bundled(await get(api, "OperationDefinition"))
    assert everything["total"] == 7
    one = (await get(api, "OperationDefinition/appointment-hold")).json()
    assert one["base"] == "https://profiles.ihe.net/ITI/Scheduling/OperationDefinition/appointment-hold"
    for asked in (
        f"url={one['url']}",
        f"base={one['base']}",
        "code=hold",
        "name=appointmentHold",
        "_id=appointment-hold",
    ):
        assert names(bundled(await get(api, f"OperationDefinition?{asked}"))) == [
            "OperationDefinition/appointment-hold"
        ]
    for entry in everything["entry"]:
        answer = await call(api, "POST", f"{entry['resource']['resource'][0]}/$validate", entry["resource"])
        assert answer.status_code in (200, 400)
    outcome(await get(api, "OperationDefinition/none"), 404, "not-found")
    said = (await api.http.get(f"{BASE}/metadata")).json()
    [visits] = [one for one in said["rest"][0]["resource"] if one["type"] == "Appointment"]
    assert {one["name"] for one in visits["operation"]} >= {"find", "hold", "book", "cancel", "reschedule"}
