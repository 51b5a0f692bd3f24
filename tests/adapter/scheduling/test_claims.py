"""What an appointment or a slot takes for itself."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling.claims import claims, names, practitioners, slots, stands_beside
from store.documents import NO_CLAIMS, Claims
from tests.adapter.scheduling.support import TYPE_SYSTEM, at, of_type, schedule, slot, span, visit

WHEN = span("10:00", "10:30")
HOUR = "Practitioner/p|2024-01-20T10"


@pytest.mark.parametrize("status", ["pending", "booked", "arrived", "checked-in", "fulfilled"])
def test_an_appointment_that_holds_time_claims_its_practitioners_hours(status: str) -> None:
    assert claims(visit("a", status=status)) == Claims((HOUR,), (WHEN,))


@pytest.mark.parametrize("status", ["proposed", "waitlist", "cancelled", "noshow", "entered-in-error"])
def test_an_appointment_that_holds_no_time_claims_nothing(status: str) -> None:
    assert claims(visit("a", status=status, slot=[{"reference": "Slot/a"}])) == NO_CLAIMS


@pytest.mark.parametrize("code", ["EMERGENCY", "WALKIN"])
@pytest.mark.parametrize("system", [TYPE_SYSTEM, "http://hl7.org/fhir/v2/0276"])
def test_what_may_stand_beside_others_claims_no_time(code: str, system: str) -> None:
    wanted = visit(
        "a", appointmentType={"coding": [{"system": "urn:own", "code": "7"}, {"system": system, "code": code}]}
    )
    assert stands_beside(wanted)
    assert claims(wanted) == NO_CLAIMS


@pytest.mark.parametrize(
    "kind",
    [
        of_type("ROUTINE"),
        of_type("emergency"),
        {"coding": [{"code": "EMERGENCY"}]},
        {"coding": [{"system": "urn:other", "code": "WALKIN"}]},
        {"text": "EMERGENCY"},
        {},
    ],
)
def test_any_other_type_claims_its_time(kind: dict[str, Any]) -> None:
    assert claims(visit("a", appointmentType=kind)).names == (HOUR,)


def test_every_practitioner_is_claimed_for_every_hour() -> None:
    wanted = visit("a", "10:30", "11:30", who=("Practitioner/p", "Location/l", "Practitioner/q"))
    assert claims(wanted).names == (
        "Practitioner/p|2024-01-20T10",
        "Practitioner/p|2024-01-20T11",
        "Practitioner/q|2024-01-20T10",
        "Practitioner/q|2024-01-20T11",
    )


def test_a_practitioner_is_the_same_one_by_whatever_reference() -> None:
    who = ("https://x.example/fhir/Practitioner/p", "Practitioner/p/_history/2", "Practitioner/p")
    assert practitioners(visit("a", who=who)) == ("Practitioner/p",)


def test_patients_places_and_contained_or_unresolved_people_are_no_practitioners() -> None:
    who = ("Patient/p", "Location/l", "#p", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "PractitionerRole/p")
    assert practitioners(visit("a", who=who)) == ()


def test_an_appointment_of_nobody_in_particular_claims_no_name() -> None:
    assert claims(visit("a", who=("#p",))).names == ()


@pytest.mark.parametrize("times", [{"start": None}, {"end": None}, {"end": at("10:00")}, {"end": at("09:00")}])
def test_an_appointment_without_a_time_claims_nothing(times: dict[str, Any]) -> None:
    assert claims({**visit("a"), **times}) == NO_CLAIMS


def test_the_slots_that_a_holding_appointment_links_to_are_claimed_too() -> None:
    linked = [{"reference": "https://x.example/Slot/a"}, {"reference": "Slot/b"}, {"reference": "urn:uuid:x"}, {}]
    wanted = visit("a", slot=linked)
    assert slots(wanted) == ("Slot/a", "Slot/b")
    assert claims(wanted).names == (HOUR, "Slot/a", "Slot/b")


def test_what_stands_beside_others_claims_the_slot_it_takes() -> None:
    wanted = visit("a", appointmentType=of_type("WALKIN"), slot=[{"reference": "Slot/a"}])
    assert claims(wanted) == Claims(("Slot/a",))


def test_another_time_in_the_same_hour_is_another_claim() -> None:
    assert claims(visit("a")) != claims(visit("a", "10:15", "10:45"))
    assert claims(visit("a")).names == claims(visit("a", "10:15", "10:45")).names


@pytest.mark.parametrize("status", ["free", "busy", "busy-unavailable", "entered-in-error"])
def test_a_slot_claims_its_schedules_hours_whatever_its_status(status: str) -> None:
    assert claims(slot("a", status=status)) == Claims(("Schedule/s|2024-01-20T10",), (WHEN,))


def test_a_slot_without_a_time_claims_nothing() -> None:
    assert claims(slot("a", "10:00", "10:00")) == NO_CLAIMS


def test_other_resources_claim_nothing() -> None:
    assert claims(schedule()) == NO_CLAIMS
    assert claims({"resourceType": "Patient", "start": at("10:00"), "end": at("10:30")}) == NO_CLAIMS


def test_a_guard_is_named_for_whom_and_the_hour() -> None:
    assert names(["Schedule/s"], span("09:45", "10:15")) == ("Schedule/s|2024-01-20T09", "Schedule/s|2024-01-20T10")
    assert names([], WHEN) == ()
