"""``$book``, ``$cancel``, ``$reschedule``: versions, patients who are known, and refusals that name everything."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.adapter.fhir.door import HOST, TAGS, Json, bundled, call, get, made, outcome, person, tagged
from tests.adapter.fhir.operations.calling import ANYBODY, clinic, find, first, only, operate, refused, status_of, visit
from tests.adapter.mediloop.clinic import SARAH, UHID, appointment, patient, put, slot, with_actors
from tests.conftest import Api, ServiceMaker

__all__ = ["clinic"]

STALE, FRESH = {"If-Match": 'W/"1"'}, {"If-Match": 'W/"2"'}
LATER = {"start": "2024-01-20T12:00:00Z", "end": "2024-01-20T12:30:00Z"}
UNKNOWN = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


# If-Match


@pytest.fixture
async def second(api: Api) -> Json:
    """An appointment in its second version."""
    await made(api, appointment("a"))
    return await made(api, appointment("a", comment="Second"))


async def test_a_version_that_is_not_the_present_one_changes_nothing(api: Api, second: Json) -> None:
    calls: list[tuple[str, Json]] = [
        ("$book", {"appointment_resource": {**second, **LATER}}),
        ("$book", {"appointment_resource": {**second, "status": "cancelled"}}),
        ("$book", {"appointment_reference": "Appointment/a"}),
        ("$hold", {"appointment_reference": "Appointment/a"}),
        ("a/$cancel", {}),
        ("a/$reschedule", {"start": LATER["start"]}),
    ]
    for path, given in calls:
        assert refused(await operate(api, path, STALE, **given), 412, "version_mismatch") == ["conflict"]
    assert (await get(api, "Appointment/a")).json() == second
    moved = only(await operate(api, "a/$reschedule", FRESH, start=LATER["start"]))
    refused(await operate(api, "a/$cancel", FRESH), 412, "version_mismatch")
    third = {"If-Match": f'W/"{moved["meta"]["versionId"]}"'}
    cancelled = {**moved, "status": "cancelled"}
    assert only(await operate(api, "$book", third, appointment_resource=cancelled))["status"] == "cancelled"
    # What the present version says comes after the question whether it is the one that was meant.
    refused(await operate(api, "a/$cancel", third), 412, "version_mismatch")


async def test_what_was_changed_after_a_date_is_changed_by_no_operation(api: Api, second: Json) -> None:
    before, then = ({"If-Unmodified-Since": f"Mon, 15 Jan 2024 {clock} GMT"} for clock in ("09:59:59", "10:00:00"))
    calls: list[tuple[str, Json]] = [
        ("$book", {"appointment_resource": {**second, **LATER}}),
        ("$book", {"appointment_resource": {**second, "status": "cancelled"}}),
        ("a/$hold", {}),
        ("a/$cancel", {}),
        ("a/$reschedule", {"start": LATER["start"]}),
    ]
    for path, given in calls:
        refused(await operate(api, path, before, **given), 412, "version_mismatch")
    assert (await get(api, "Appointment/a")).json() == second
    ident = await first(api, practitioner=SARAH)
    only(await operate(api, f"{ident}/$hold", before))  # what is only proposed was never changed
    only(await operate(api, "a/$cancel", then))


async def test_a_proposal_has_no_version_and_what_is_replaced_is_not_meant(api: Api, second: Json) -> None:
    ident = await first(api, practitioner=SARAH)
    proposal = await get(api, f"Appointment/{ident}", if_none_match=STALE["If-Match"])
    assert (proposal.status_code, "etag" in proposal.headers, "meta" in proposal.json()) == (200, False, False)
    for version in (STALE, FRESH, {"If-Match": "*"}):
        refused(await operate(api, f"{ident}/$book", version, patient=ANYBODY), 412, "version_mismatch")
    only(await operate(api, f"{ident}/$hold"))
    # Who holds it has seen the first version, and nobody who was only offered it.
    only(await operate(api, f"{ident}/$book", STALE, patient=ANYBODY, cancelled_appt_id="Appointment/a"))
    refused(await operate(api, "$book", STALE, appointment_resource=visit()), 412, "version_mismatch")


@pytest.mark.parametrize("way", ["$hold", "$book"])
async def test_what_became_of_a_proposal_and_was_deleted_is_gone(api: Api, way: str) -> None:
    ident = await first(api, practitioner=SARAH)
    given: Json = {"patient": ANYBODY} if way == "$book" else {}
    only(await operate(api, f"{ident}/{way}", **given))
    assert (await call(api, "DELETE", f"Appointment/{ident}")).status_code in (200, 204)
    answer = await get(api, f"Appointment/{ident}")
    outcome(answer, 410, "deleted")
    assert answer.headers["etag"] == 'W/"2"'
    refused(await operate(api, f"{ident}/$hold"), 404, "unknown_appointment")
    refused(await operate(api, f"{ident}/$book", patient=ANYBODY), 404, "unknown_appointment")


async def test_of_many_who_change_one_version_one_does(api: Api, second: Json) -> None:
    moves = [operate(api, "a/$reschedule", FRESH, start=f"2024-01-20T1{n % 4 + 2}:00:00Z") for n in range(16)]
    answers = [one.status_code for one in await asyncio.gather(*moves)]
    assert sorted(answers) == [200] + [412] * 15


# Slots that a hospital has set busy for the very appointment


@pytest.fixture
async def set_by_hand(api: Api) -> None:
    """Slot s1, at ten, is busy, and nobody's."""
    await put(api.service.stores["test"], slot("s1", "2024-01-20T10:00", "2024-01-20T10:30", "busy"))


AT_S1: Json = {"slot": [{"reference": "Slot/s1"}]}
AT_NOON = appointment("a", start="2024-01-20T12:00")
FILLING: dict[str, tuple[Json | None, str, Json]] = {
    "a new one": (None, "$book", {"appointment_resource": visit(**AT_S1)}),
    "a request": (appointment("a", "waitlist", **AT_S1), "$book", {"appointment_reference": "Appointment/a"}),
    "a proposed one": (appointment("a", "proposed", **AT_S1), "a/$hold", {}),
    "a change": (AT_NOON, "$book", {"appointment_resource": appointment("a", **AT_S1)}),
    "a move": (AT_NOON, "a/$reschedule", {"slot": "Slot/s1"}),
}


@pytest.mark.parametrize("case", FILLING)
async def test_who_may_write_slots_fills_one_that_the_appointment_names(
    api: Api, make_api: Any, set_by_hand: None, case: str
) -> None:
    before, path, given = FILLING[case]
    if before is not None:
        await made(api, before)
    limited: Api = await make_api(api.service, granted=["appointments:write", "slots:read"])
    refused(await operate(limited, path, **given), 409, "slot_unavailable")
    answer = await operate(api, path, **given)
    filled = only(answer, 200 if before else 201)
    assert filled["slot"] == AT_S1["slot"]
    assert await status_of(api, "s1") == ["busy-tentative" if path == "a/$hold" else "busy"]


async def test_nobody_fills_one_that_was_found(api: Api) -> None:
    ident = await first(api, practitioner=SARAH)
    found = (await get(api, f"Appointment/{ident}")).json()["slot"]
    await put(api.service.stores["test"], slot("s1", "2024-01-20T10:00", "2024-01-20T10:30", "busy"))
    john = visit(participant=with_actors("Patient/john"))
    for path, given in (
        (f"{ident}/$hold", {}),
        (f"{ident}/$book", {"patient": ANYBODY}),
        ("$book", {"appointment_reference": f"Appointment/{ident}", "appointment_resource": visit(slot=found)}),
        ("$book", {"appointment_resource": visit()}),
        ("$book", {"appointment_resource": john, "schedule": {"reference": "Schedule/sarah"}}),
    ):
        refused(await operate(api, path, **given), 409, "slot_unavailable")
    assert await status_of(api, "s1") == ["busy"]


async def test_nobody_fills_one_that_was_proposed_by_naming_another_beside_it(api: Api) -> None:
    ident = await first(api, practitioner=SARAH)
    proposed = (await get(api, f"Appointment/{ident}")).json()["slot"]
    by_hand, store = slot("r1", "2024-01-20T10:00", "2024-01-20T11:00", "busy", of="room"), api.service.stores["test"]
    await put(store, by_hand, slot("s1", "2024-01-20T10:00", "2024-01-20T10:30", "busy"))
    people = with_actors("Patient/john", f"Practitioner/{SARAH}")
    both = visit(slot=[*proposed, {"reference": "Slot/r1"}], participant=people)
    given: Json = {"appointment_reference": f"Appointment/{ident}", "appointment_resource": both}
    refused(await operate(api, "$book", **given), 409, "slot_unavailable")
    assert await status_of(api, "s1", "r1") == ["busy", "busy"]
    await put(store, slot("s1", "2024-01-20T10:00", "2024-01-20T10:30"))
    assert only(await operate(api, "$book", **given), 201)["slot"] == both["slot"]


# Patients


async def booked_with(api: Api, *identifiers: Json) -> list[str]:
    """The patients of a booking that brings one with these identifiers."""
    new = {"resourceType": "Patient", "identifier": list(identifiers), "name": [{"family": "New"}]}
    answer = await operate(api, f"{await first(api)}/$book", patient_resource=new)
    actors = [one["actor"]["reference"] for one in only(answer)["participant"]]
    return [name for name in actors if name.startswith("Patient/")]


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        {"patient_reference": "Patient/john"},
        {"patient_reference": {"identifier": {"system": "urn:mrn", "value": "4711"}}},
        {"patient_resource": {name: value for name, value in patient("x", UHID, "John").items() if name != "id"}},
        {"appointment_resource": visit()},
    ],
)
async def test_what_was_proposed_for_nobody_is_booked_for_somebody(api: Api, held: bool, given: Json) -> None:
    named = f"Appointment/{await first(api, practitioner=SARAH)}"
    if held:
        only(await operate(api, "$hold", appointment_reference=named))
    issue = outcome(await operate(api, "$book", appointment_reference=named), 400, "required")
    assert issue["location"] == ["http.patient-reference"]
    nobody = visit(participant=with_actors(f"Practitioner/{SARAH}"))
    outcome(await operate(api, "$book", appointment_reference=named, appointment_resource=nobody), 400, "required")
    answer = await operate(api, "$book", appointment_reference=named, **given)
    assert only(answer, answer.status_code)["status"] == "booked"


@pytest.mark.parametrize("whom", ["Patient/john", {"identifier": {"system": "urn:mrn", "value": "4711"}}])
async def test_whom_it_was_proposed_for_need_not_be_named_again(api: Api, whom: Any) -> None:
    proposed = await first(api, practitioner=SARAH, patient_reference=whom)
    booked = only(await operate(api, f"{proposed}/$book"))
    actor = whom if isinstance(whom, dict) else {"reference": whom}
    assert any(one["actor"].items() >= actor.items() for one in booked["participant"])


async def test_time_of_ones_own_is_booked_for_nobody(api: Api) -> None:
    alone = visit(participant=with_actors(f"Practitioner/{SARAH}"))
    only(await operate(api, "$book", appointment_resource=alone), 201)
    await made(api, alone | {"id": "later", "start": LATER["start"], "end": LATER["end"]})
    only(await operate(api, "$book", appointment_reference="Appointment/later"))


@pytest.mark.parametrize("uhid", [UHID, f"{UHID} ", f" {UHID.lower()}"])
async def test_a_patient_is_known_by_any_identifier(api: Api, uhid: str) -> None:
    record = {"system": "urn:mrn", "value": "4711"}
    system = api.service.systems.uhid
    assert await booked_with(api, record, {"system": system, "value": uhid}) == ["Patient/john"]
    assert bundled(await get(api, "Patient"))["total"] == 1


async def test_a_uhid_is_the_same_under_every_name_of_its_system(make_service: ServiceMaker, make_api: Any) -> None:
    alias = "urn:old-uhid"
    api: Api = await make_api(make_service(uhid_aliases=[alias]))
    await clinic.__wrapped__(api)  # type: ignore[attr-defined]  # the fixture, for this service
    await made(api, patient("other", "UG555000111D", "Grace Auma", alias))
    assert await booked_with(api, {"system": alias, "value": UHID}) == ["Patient/john"]
    assert await booked_with(api, {"system": api.service.systems.uhid, "value": "ug555000111d"}) == ["Patient/other"]


@pytest.mark.parametrize("are_uhids", [True, False])
async def test_identifiers_of_two_patients_are_nobodys(api: Api, are_uhids: bool) -> None:
    system = api.service.systems.uhid if are_uhids else TAGS
    values = ("UG555000111D", "UG666000222E")
    for ident, value in zip(("one", "other"), values, strict=True):
        await made(api, patient(ident, value, "Somebody", system))
    both = [{"system": system, "value": value} for value in values]
    new = {"resourceType": "Patient", "identifier": both, "name": [{"family": "New"}]}
    answer = await operate(api, f"{await first(api)}/$book", patient_resource=new)
    assert refused(answer, 412, "multiple_matches") == ["multiple-matches"]
    told = answer.json()["entry"][0]["resource"]["issue"][0]["diagnostics"]
    assert "Patient/one" in told
    assert "Patient/other" in told
    assert bundled(await get(api, "Patient"))["total"] == 3


async def test_a_uhid_says_who_it_is_whatever_else_is_shared(api: Api) -> None:
    uhids, family = api.service.systems.uhid, {"system": TAGS, "value": "FAM-1"}
    await made(api, tagged("father", "FAM-1"))
    # Who has no UHID yet may be the one who brings one.
    child = {"system": uhids, "value": "UG555000111D"}
    assert await booked_with(api, family, child) == ["Patient/father"]
    await made(api, person("father", identifier=[family, {"system": uhids, "value": "UG777000333F"}]))
    await made(api, person("mother", identifier=[family, {"system": uhids, "value": "UG987654321B"}]))
    assert await booked_with(api, family, {"system": uhids, "value": "UG987654321B"}) == ["Patient/mother"]
    [made_anew] = await booked_with(api, family, child)
    stored = (await get(api, made_anew)).json()
    assert (stored["name"], stored["identifier"]) == ([{"family": "New"}], [family, child])


async def test_what_has_no_system_says_of_nobody_who_it_is(api: Api) -> None:
    await made(api, person("other", identifier=[{"value": "4711"}]))
    [found] = await booked_with(api, {"value": "4711"})
    assert found != "Patient/other"


async def test_bookings_that_bring_one_patient_at_once_make_one(api: Api) -> None:
    uhid = {"system": api.service.systems.uhid, "value": "UG555000111D"}
    sent = [[uhid], [{"system": "urn:mrn", "value": "1"}, uhid], [{**uhid, "value": "ug555000111d"}]] * 2
    proposals = [one["resource"]["id"] for one in (await find(api))["entry"]]
    news = [{"resourceType": "Patient", "identifier": one, "name": [{"family": "New"}]} for one in sent]
    pairs = zip(proposals, news, strict=True)
    answers = await asyncio.gather(*(operate(api, f"{ident}/$book", patient_resource=new) for ident, new in pairs))
    assert {one.status_code for one in answers} <= {200, 409}
    assert bundled(await get(api, "Patient"))["total"] == 2


# References to versions


async def test_a_reference_to_a_version_means_the_resource(api: Api) -> None:
    booked = only(await operate(api, "$book", appointment_resource=visit()), 201)
    version = f"{HOST}/Appointment/{booked['id']}/_history/1"
    assert (await find(api, practitioner={"reference": f"Practitioner/{SARAH}/_history/1"}))["total"] == 2
    ident = await first(api, practitioner=f"{HOST}/Practitioner/{SARAH}/_history/1")
    john = {"reference": "Patient/john/_history/1"}
    new = only(
        await operate(api, "$book", appt_id=f"Appointment/{ident}/_history/1", patient=john, cancelled_appt_id=version)
    )
    assert "Patient/john" in [one["actor"]["reference"] for one in new["participant"]]
    assert (await get(api, f"Appointment/{booked['id']}")).json()["status"] == "cancelled"
    moved = only(await operate(api, f"{new['id']}/$reschedule", slot=f"{HOST}/Slot/s3/_history/1"))
    assert moved["slot"] == [{"reference": "Slot/s3"}]


# Refusals


async def test_what_breaks_a_rule_is_told_at_once_and_as_ihe_wants_it(api: Api) -> None:
    backwards = {"start": "2024-01-20T10:30", "end": "2024-01-20T10:00:00Z"}
    wrong = visit(**backwards, slot=[{"reference": "Slot/none"}])
    sent: list[tuple[Json, tuple[str, ...]]] = [
        ({"appointment_resource": visit(**backwards)}, ("end_before_start",)),
        ({"appointment_resource": wrong}, ("end_before_start", "unknown_slot")),
        ({"appointment_resource": wrong | {"end": wrong["start"]}}, ("invalid_time", "unknown_slot")),
        ({"appointment_resource": wrong | {"end": "2025-01-20T10:00:00Z"}}, ("too_long",)),
        (
            {"appointment_resource": wrong | {"meta": {"tag": [SUBSETTED]}}},
            ("end_before_start", "subsetted", "unknown_slot"),
        ),
        ({"appointment_resource": visit(meta={"tag": [SUBSETTED]})}, ("subsetted",)),
        ({"appointment_resource": visit(status=None, _status=UNKNOWN)}, ("missing_value",)),
        ({"appointment_resource": wrong, "overbook": " "}, ("end_before_start", "blank_reason", "unknown_slot")),
    ]
    for given, codes in sent:
        refused(await operate(api, "$book", **given), 422, *codes)
    changed = only(await operate(api, "$book", appointment_resource=visit()), 201)
    both = {**changed, "end": "2024-01-20T09:00:00Z", "slot": [{"reference": "Slot/none"}]}
    refused(await operate(api, "$book", appointment_resource=both), 422, "end_before_start", "unknown_slot")
    part = {"resourceType": "Patient", "meta": {"tag": [SUBSETTED]}}
    refused(await operate(api, f"{await first(api)}/$book", patient_resource=part), 422, "subsetted")
    outcome(await operate(api, "$book", appointment_resource=visit(status="pend")), 400, "code-invalid")


async def test_a_reason_for_overbooking_says_something(api: Api) -> None:
    only(await operate(api, "$book", appointment_resource=visit()), 201)
    for blank in (" ", "\t\n"):
        refused(await operate(api, "$book", appointment_resource=visit(), overbook=blank), 422, "blank_reason")
    assert await status_of(api, "s1") == ["busy"]
