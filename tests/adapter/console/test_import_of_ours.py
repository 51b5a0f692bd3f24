"""A MediLoop list of our own comes in again and changes nobody: an Appointment may have more people than it shows."""

from __future__ import annotations

import os
from typing import Any

import pytest
from pymongo import MongoClient

from adapter.mediloop import actors
from mappings import appointment as lens
from mappings.references import Asked, names_of
from mappings.systems import DEFAULT_SYSTEMS
from tests.adapter.console.imports import MEDILOOP, PEOPLE, Import, Json, Stored, lines, visit

UHIDS = "https://mediloop.co/fhir/sid/uhid"


def patient(ident: str, name: str, *uhids: str) -> Json:
    carried = [{"system": UHIDS, "value": uhid} for uhid in uhids]
    return {"resourceType": "Patient", "id": ident, "name": [{"text": name}], "identifier": carried}


CLINIC: tuple[Json, ...] = (
    patient("a", "Ann", "UG111111111A"),
    patient("b", "Bob", "UG222222222B", "UG333333333C"),
    *({"resourceType": "Practitioner", "id": one, "name": [{"text": f"Dr. {one}"}]} for one in ("p", "q", "o")),
    *({"resourceType": "Location", "id": one, "name": f"Ward {one}"} for one in ("l", "m")),
    {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/p"}},
)
BY_NAME = {f"{one['resourceType']}/{one['id']}": one for one in CLINIC}
ANN = Asked("UG111111111A", frozenset({"Patient/a"}))
BOB = Asked("UG222222222B", frozenset({"Patient/b"}))


def with_(*references: str, declined: str = "") -> Json:
    return visit(
        "x",
        9,
        participant=[
            {"actor": {"reference": one}, "status": "declined" if one == declined else "accepted"} for one in references
        ],
    )


def listed(appointment: Json, asked: Asked, roles: dict[str, str] | None = None, bases: tuple[str, ...] = ()) -> Json:
    """The object that MediLoop's lists have of it for whom is asked for."""
    plain = actors.as_shown(appointment, bases, BY_NAME, roles or {}, DEFAULT_SYSTEMS)
    return lens.view(plain, known=BY_NAME, names=names_of(BY_NAME), asked=asked)


@pytest.mark.parametrize(
    ("appointment", "asked", "roles"),
    [
        (with_("Patient/a", "Patient/b", "Practitioner/p"), BOB, {}),
        (with_("Patient/a", "Patient/b", "Practitioner/p"), BOB._replace(uhid="UG333333333C"), {}),
        (with_("Patient/b", "Practitioner/p"), BOB._replace(uhid="UG333333333C"), {}),
        (with_("Patient/a", "Practitioner/p", "Practitioner/q"), ANN._replace(practitioner="Practitioner/q"), {}),
        (with_("Patient/a", "Practitioner/p", "Location/l", "Location/m"), ANN._replace(facility="Location/m"), {}),
        (with_("Patient/a", "PractitionerRole/r"), ANN, {}),
        (with_("Patient/a", "PractitionerRole/r", "Practitioner/q", declined="Practitioner/q"), ANN, {}),
        (
            with_("Patient/a", "Practitioner/o", "PractitionerRole/r"),
            ANN._replace(practitioner="Practitioner/p"),
            {"PractitionerRole/r": "Practitioner/p"},
        ),
    ],
)
def test_whom_a_list_shows_of_several_replaces_nobody(
    bring: Import, stored: Stored, appointment: Json, asked: Asked, roles: dict[str, str]
) -> None:
    assert bring(a__ndjson=lines(*CLINIC, appointment)) == {"created": len(CLINIC) + 1}
    before = stored("Appointment")
    assert bring(b__json=lines(listed(before[0], asked, roles))) == {"unchanged": 1}
    assert stored("Appointment") == before


def test_an_address_of_ours_stays_as_it_is(bring: Import, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    base = "https://here.test/fhir/R4"
    monkeypatch.setenv("ADAPTER_BASE_URL", "https://here.test")
    appointment = with_(f"{base}/Patient/a", f"{base}/Practitioner/p", f"{base}/Location/l")
    bring(a__ndjson=lines(*CLINIC, appointment))
    before = stored("Appointment")
    assert bring(b__json=lines(listed(before[0], ANN, bases=(base,)))) == {"unchanged": 1}
    assert stored("Appointment") == before


def test_another_practitioner_is_written(bring: Import, stored: Stored) -> None:
    bring(a__ndjson=lines(*CLINIC, with_("Patient/a", "Patient/b", "Practitioner/p")))
    changed = listed(stored("Appointment")[0], BOB) | {"practitioner_id": "q", "practitioner_name": "Dr. q"}
    assert bring(b__json=lines(changed)) == {"updated": 1}
    [after] = stored("Appointment")
    assert [one["actor"]["reference"] for one in after["participant"]] == ["Patient/a", "Patient/b", "Practitioner/q"]


def unlinked(uhid: str) -> Json:
    actor = {"type": "Patient", "identifier": {"system": UHIDS, "value": uhid}}
    return with_("Practitioner/p") | {"participant": [{"actor": actor, "status": "accepted"}]}


def test_a_visit_by_a_uhid_of_earlier_days_is_shown_by_the_present_one_and_stays(bring: Import, stored: Stored) -> None:
    known = patient("c", "Cy", "UG444444444D", "UG555555555E")
    known["identifier"][0]["use"] = "old"
    bring(a__ndjson=lines(*CLINIC, known, unlinked("UG444444444D")))
    before = stored("Appointment")
    shown = listed(before[0], Asked()) | {"patient_uhid": "UG555555555E", "patient_name": "Cy", "practitioner_id": "p"}
    bring(b__json=lines(shown))
    [after] = stored("Appointment")
    assert after["participant"][0] == before[0]["participant"][0]


def object_of(**members: Any) -> Json:
    times = {"start_time": "2027-01-20T09:00:00Z", "end_time": "2027-01-20T09:30:00Z", "cancellation_reason_code": None}
    return MEDILOOP | {"status": "booked", "cancelled_at": None, "branch": None} | times | members


@pytest.fixture
def twins(bring: Import, stored: Stored, mongodb_uri: str) -> None:
    """Two Patients with one UHID, as the FHIR door lets them in."""
    bring(a__ndjson=lines(*PEOPLE, patient("first", "Wrong One", "UG123456789A")))
    [one] = [document for document in stored("Patient") if document["_id"] == "first"]
    second = one | {"_id": "second", "id": "second", "_json": one["_json"].replace(b'"first"', b'"second"')}
    with MongoClient[Json](mongodb_uri) as client:
        client[f"{os.environ['ADAPTER_DATABASE']}_test"]["Patient"].insert_one(second)


@pytest.mark.usefixtures("twins")
def test_of_two_patients_with_one_uhid_neither_is_referred_to(bring: Import, stored: Stored) -> None:
    assert bring(b__json=lines(object_of(patient_name="Right Two"))) == {"created": 1}
    [made] = stored("Appointment")
    assert "Patient/" not in str(made["participant"])
    assert bring(b__json=lines(object_of(patient_name="Right Two"))) == {"unchanged": 1}


@pytest.mark.usefixtures("twins")
def test_they_are_known_where_strangers_are_refused(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_UNKNOWN_PATIENTS", "refuse")
    assert bring(b__json=lines(object_of())) == {"created": 1}


def test_the_reason_of_a_move_is_not_told_of_the_next(bring: Import, stored: Stored) -> None:
    moved = object_of(rescheduled_at="2027-01-02T08:00:00Z", reschedule_reason="Doctor ill")
    bring(a__ndjson=lines(*PEOPLE), b__json=lines(moved))
    again = moved | {"rescheduled_at": "2027-01-03T08:00:00Z", "reschedule_reason": None}
    assert bring(b__json=lines(again)) == {"updated": 1}
    shown = lens.view(stored("Appointment")[0])
    assert (shown["rescheduled_at"], shown["reschedule_reason"]) == ("2027-01-03T08:00:00Z", None)


@pytest.mark.usefixtures("twins")
def test_a_uhid_that_two_carry_is_replaced_by_another_of_one_of_them(bring: Import, stored: Stored) -> None:
    """It says of nobody whose visit that was: so a UHID that one alone carries says something new."""
    bring(b__json=lines(object_of()), c__ndjson=lines(patient("first", "One", "UG123456789A", "UG555555555E")))
    assert bring(d__json=lines(object_of(patient_uhid="UG555555555E"))) == {"updated": 1}
    actor = stored("Appointment")[0]["participant"][0]["actor"]
    assert (actor["reference"], actor["identifier"]["value"]) == ("Patient/first", "UG555555555E")
