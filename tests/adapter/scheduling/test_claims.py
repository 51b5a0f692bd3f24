"""What an appointment or a slot takes for itself."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling import checking_claims
from adapter.scheduling.claims import (
    BESIDE,
    claims,
    is_attended,
    link,
    locations,
    names,
    offering,
    practitioners,
    slots,
    stands_beside,
)
from mappings.appointment import view
from store.documents import NO_CLAIMS, Claims
from tests.adapter.scheduling.sharing import over
from tests.adapter.scheduling.support import ABROAD, HERE, TYPE_SYSTEM, at, of_type, role, schedule, slot, span, visit

WHEN = span("10:00", "10:30")
HOUR = "Practitioner/p|2024-01-20T10"


@pytest.mark.parametrize("status", ["pending", "booked", "arrived", "checked-in", "fulfilled"])
def test_an_appointment_that_holds_time_claims_its_practitioners_hours(status: str) -> None:
    assert claims(visit("a", status=status)) == Claims((HOUR,), (WHEN,), ("Practitioner/p",))


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


def codings(*codes: tuple[str, str]) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for system, code in codes]}


STU3 = "http://hl7.org/fhir/v2/0276"
SEVERAL = [  # MediLoop is shown the first of the present system, else of the obsolete one
    (codings((TYPE_SYSTEM, "ROUTINE"), (TYPE_SYSTEM, "EMERGENCY")), False),
    (codings((STU3, "EMERGENCY"), (TYPE_SYSTEM, "ROUTINE")), False),
    (codings((STU3, "ROUTINE"), (TYPE_SYSTEM, "EMERGENCY"), (TYPE_SYSTEM, "ROUTINE")), True),
    ({"coding": [{"system": TYPE_SYSTEM}, {"system": TYPE_SYSTEM, "code": "WALKIN"}]}, True),
]


@pytest.mark.parametrize(("kind", "beside"), SEVERAL)
def test_of_several_types_the_one_that_is_shown_tells(kind: dict[str, Any], beside: bool) -> None:
    wanted = visit("a", appointmentType=kind)
    assert stands_beside(wanted) is beside
    assert checking_claims.is_lenient(wanted) is beside
    assert (view(wanted)["appointment_type_code"] in BESIDE) is beside


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


def test_who_is_known_to_be_another_servers_can_be_left_out() -> None:
    wanted = visit("a", who=(f"{ABROAD}/Practitioner/p", f"{HERE[0]}/Practitioner/q", "Practitioner/r"))
    assert practitioners(wanted) == ("Practitioner/p", "Practitioner/q", "Practitioner/r")
    assert practitioners(wanted, bases=HERE) == ("Practitioner/q", "Practitioner/r")
    both = visit("a", who=(f"{ABROAD}/Practitioner/p", "Practitioner/p"))
    assert practitioners(both, bases=HERE) == ("Practitioner/p",)
    played = {**role("r"), "practitioner": {"reference": f"{ABROAD}/Practitioner/p"}}
    contained = visit("a", who=("#r",), contained=[played])
    assert practitioners(contained) == ("Practitioner/p",)
    assert practitioners(contained, bases=HERE) == ()


def test_patients_places_and_people_who_cannot_be_told_are_no_practitioners() -> None:
    who = ("Patient/p", "Location/l", "#p", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0")
    assert practitioners(visit("a", who=who)) == ()


def test_a_practitioner_in_a_role_is_claimed_by_the_role() -> None:
    wanted = visit("a", who=("PractitionerRole/r", "Practitioner/p"))
    assert practitioners(wanted) == ("PractitionerRole/r", "Practitioner/p")
    assert claims(wanted).names == ("PractitionerRole/r|2024-01-20T10", HOUR)


def test_who_has_declined_is_not_coming() -> None:
    wanted = visit("a", who=("Practitioner/p", "Practitioner/q"))
    wanted["participant"][1]["status"] = "declined"
    assert practitioners(wanted) == ("Practitioner/q",)
    assert practitioners(wanted, declined=True) == ("Practitioner/p", "Practitioner/q")
    assert claims(wanted).names == ("Practitioner/q|2024-01-20T10",)


ATTENDER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}]}


@pytest.mark.parametrize(
    ("actor", "expected"),
    [
        ({"reference": "Practitioner/p"}, True),
        ({"reference": "https://x.example/fhir/PractitionerRole/r"}, True),
        ({"type": "Practitioner", "display": "Locum"}, True),
        ({"type": "http://hl7.org/fhir/StructureDefinition/PractitionerRole", "display": "Cardiology"}, True),
        ({"type": "Practitioner", "reference": "https://x.example/Staff/7"}, True),
        ({"type": "Practitioner", "reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}, True),
        ({"reference": "#d"}, True),
        ({"reference": "#k", "type": "Practitioner"}, False),
        ({"reference": "Patient/k", "type": "Practitioner"}, False),
        ({"reference": "Location/l"}, False),
        ({"display": "Somebody"}, False),
    ],
)
def test_a_practitioner_may_come_whose_time_cannot_be_taken(actor: dict[str, Any], expected: bool) -> None:
    inner = [{"resourceType": "Practitioner", "id": "d"}, {"resourceType": "Patient", "id": "k"}]
    wanted = {**visit("a"), "contained": inner, "participant": [{"actor": actor, "status": "accepted"}]}
    assert is_attended(wanted) is expected
    wanted["participant"][0]["status"] = "declined"
    assert not is_attended(wanted)


def test_who_attends_is_a_practitioner_and_an_open_role_is_nobody() -> None:
    somebody = {"type": [ATTENDER], "actor": {"display": "Locum"}, "status": "accepted"}
    assert is_attended({**visit("a"), "participant": [somebody]})
    assert not is_attended({**visit("a"), "participant": [{"type": [ATTENDER], "status": "accepted"}]})


LICENCE = {"system": "https://x.example/Licence", "value": "UMDPC-7"}
STRUCTURE = "http://hl7.org/fhir/StructureDefinition/Practitioner"
DOCTOR = "https://other.example/doctors/7"
BY_LICENCE = ("identifier:https://x.example/licence|umdpc-7",)
SOMEBODY = {"resourceType": "Practitioner", "id": "s", "identifier": [{"system": "urn:no-value"}, LICENCE]}


@pytest.mark.parametrize(
    ("actor", "contained", "expected"),
    [
        ({"type": "Practitioner", "identifier": LICENCE}, [], BY_LICENCE),
        ({"type": "PractitionerRole", "identifier": LICENCE}, [], BY_LICENCE),
        ({"type": "Practitioner", "identifier": {"value": "7"}}, [], ("identifier:|7",)),
        ({"type": "Practitioner", "identifier": {**LICENCE, "value": f" {LICENCE['value']} "}}, [], BY_LICENCE),
        ({"type": "Practitioner", "identifier": LICENCE, "reference": "urn:uuid:x"}, [], BY_LICENCE),
        ({"type": "Practitioner", "identifier": LICENCE, "reference": "Practitioner/p"}, [], ("Practitioner/p",)),
        ({"type": "Practitioner", "identifier": LICENCE, "reference": "Patient/p"}, [], ()),
        ({"type": "Practitioner", "identifier": LICENCE, "reference": "#gone"}, [], BY_LICENCE),
        ({"type": STRUCTURE, "identifier": LICENCE}, [], BY_LICENCE),
        ({"type": "Practitioner", "display": "Dr. A"}, [], ()),
        ({"type": "Patient", "identifier": LICENCE}, [], ()),
        ({"identifier": LICENCE}, [], ()),
        ({"reference": "#s"}, [SOMEBODY], BY_LICENCE),
        ({"reference": "#s"}, [{"resourceType": "Practitioner", "id": "s"}], ()),
        ({"reference": "#s", "identifier": LICENCE}, [{"resourceType": "Practitioner", "id": "s"}], BY_LICENCE),
        ({"reference": "#s", "identifier": LICENCE}, [{"resourceType": "Patient", "id": "s"}], ()),
        ({"reference": "#s"}, [{**SOMEBODY, "resourceType": "Patient"}], ()),
        ({"reference": "#r"}, [role("r")], ("Practitioner/p",)),
        ({"reference": "#r"}, [{**role("r", None), "identifier": [LICENCE]}], BY_LICENCE),
        ({"reference": "#r"}, [{**role("r"), "practitioner": {"reference": "#s"}}, SOMEBODY], BY_LICENCE),
        ({"reference": "#r"}, [{**role("r"), "practitioner": {"identifier": LICENCE}}], BY_LICENCE),
        ({"reference": "#r"}, [{**role("r"), "practitioner": {"reference": "#r"}}], ()),
        ({"reference": "#r"}, [{**role("r"), "practitioner": {"reference": DOCTOR}}], (DOCTOR,)),
    ],
)
def test_who_is_contained_or_known_by_an_identifier_alone_is_claimed_by_it(
    actor: dict[str, Any], contained: list[dict[str, Any]], expected: tuple[str, ...]
) -> None:
    wanted = {**visit("a"), "contained": contained, "participant": [{"actor": actor, "status": "accepted"}]}
    assert practitioners(wanted) == expected
    assert checking_claims.people_of(wanted, {}) == {name.removeprefix("identifier:") for name in expected}


@pytest.mark.parametrize("kind", ["Practitioner", "PractitionerRole", STRUCTURE])
@pytest.mark.parametrize("address", [DOCTOR, "https://other.example/Doctors/7", "https://other.example/d?id=7", "x:7"])
def test_whose_address_does_not_tell_who_it_is_is_claimed_by_it(address: str, kind: str) -> None:
    actor = {"type": kind, "reference": address}
    wanted = {**visit("a"), "participant": [{"actor": actor}, {"actor": {**actor, "identifier": LICENCE}}]}
    assert practitioners(wanted) == (address, *BY_LICENCE)
    assert claims(wanted).names == tuple(f"{name}|2024-01-20T10" for name in (address, *BY_LICENCE))


PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


def as_(code: str, system: str = PARTICIPATION) -> list[dict[str, Any]]:
    return [{"text": "doctor"}, {"coding": [{"code": "x"}, {"system": system, "code": code}]}]


@pytest.mark.parametrize(
    ("type_", "actor", "expected"),
    [
        *((as_(code), {"reference": DOCTOR}, (DOCTOR,)) for code in ("ATND", "PPRF", "SPRF")),
        (as_("ATND", "http://hl7.org/fhir/v3/ParticipationType"), {"reference": DOCTOR}, (DOCTOR,)),
        (as_("ATND"), {"reference": DOCTOR, "identifier": LICENCE}, (DOCTOR, *BY_LICENCE)),
        (as_("PPRF"), {"identifier": LICENCE}, BY_LICENCE),
        (as_("PPRF"), {"display": "Dr. Okello"}, ()),
        (as_("REF"), {"reference": DOCTOR}, ()),
        (as_("ATND", "urn:own"), {"reference": DOCTOR}, ()),
        ([], {"reference": DOCTOR}, ()),
        (as_("ATND"), {"reference": DOCTOR, "type": "Device"}, ()),
        (as_("ATND"), {"reference": f"{ABROAD}/Patient/1"}, ()),
        (as_("ATND"), {"reference": "Location/l"}, ()),
        (as_("ATND"), {"reference": "#s"}, BY_LICENCE),
        (as_("ATND"), {"reference": "#t", "identifier": LICENCE}, ()),
    ],
)
def test_who_attends_or_performs_is_a_practitioner_unless_the_actor_says_otherwise(
    type_: list[dict[str, Any]], actor: dict[str, Any], expected: tuple[str, ...]
) -> None:
    contained = [SOMEBODY, {"resourceType": "Patient", "id": "t"}]
    wanted = {**visit("a"), "contained": contained, "participant": [{"type": type_, "actor": actor}]}
    assert practitioners(wanted) == expected
    assert checking_claims.people_of(wanted, {}) == {name.removeprefix("identifier:") for name in expected}


@pytest.mark.parametrize(
    ("actor", "expected"),
    [
        ({"reference": "PractitionerRole/r"}, ("PractitionerRole/r",)),
        ({"reference": DOCTOR}, (DOCTOR,)),
        ({"reference": DOCTOR, "identifier": LICENCE}, (DOCTOR, *BY_LICENCE)),
        ({"reference": DOCTOR, "type": "Location"}, ()),
        ({"reference": f"{ABROAD}/Location/l"}, ()),
        ({"identifier": LICENCE}, ()),
        ({"identifier": LICENCE, "type": "Practitioner"}, BY_LICENCE),
        ({"reference": "urn:uuid:x", "identifier": LICENCE}, ()),
        ({"reference": "#s"}, BY_LICENCE),
    ],
)
def test_a_schedule_is_of_whom_an_address_leads_to_that_tells_nothing_unless_the_actor_says_what_that_is(
    actor: dict[str, Any], expected: tuple[str, ...]
) -> None:
    whose = {**schedule(), "contained": [SOMEBODY], "actor": [actor]}
    assert offering(whose) == expected
    assert checking_claims.offered_by(whose, {}) == {name.removeprefix("identifier:") for name in expected}


def test_such_an_address_is_one_in_each_version_and_may_be_known_to_be_another_servers() -> None:
    actors = [
        {"type": "Practitioner", "reference": f"{DOCTOR}{end}", "identifier": LICENCE} for end in ("/_history/2", "")
    ]
    wanted = {**visit("a"), "participant": [{"actor": actor} for actor in actors]}
    assert practitioners(wanted) == (DOCTOR, *BY_LICENCE)
    assert practitioners(wanted, bases=HERE) == ()


@pytest.mark.parametrize("kind", [{}, {"type": "Patient"}, {"type": "Location"}])
def test_an_address_that_is_not_said_to_be_a_practitioners_is_none(kind: dict[str, Any]) -> None:
    wanted = {**visit("a"), "participant": [{"actor": {"reference": DOCTOR, "identifier": LICENCE, **kind}}]}
    assert practitioners(wanted) == ()


def test_a_participant_of_a_type_alone_is_nobody_yet() -> None:
    assert practitioners({**visit("a"), "participant": [{"type": [{"text": "nurse"}], "status": "tentative"}]}) == ()


def test_the_places_are_those_that_take_part() -> None:
    assert locations(visit("a", who=("Location/l", "Practitioner/p", "Location/m"))) == ("Location/l", "Location/m")


def test_a_link_to_a_slot_is_the_one_that_is_there_or_a_plain_one() -> None:
    kept = {"reference": "https://x.example/Slot/a", "display": "first"}
    wanted = visit("a", slot=[{"display": "?"}, kept])
    assert link(wanted, "Slot/a") == kept
    assert link(wanted, "Slot/b") == {"reference": "Slot/b"}


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


@pytest.mark.parametrize("code", ["ROUTINE", "WALKIN"])
def test_what_was_booked_over_others_has_the_same_names_and_another_claim(code: str) -> None:
    ordinary = visit("a", appointmentType=of_type(code), slot=[{"reference": "Slot/a"}])
    assert claims(over(ordinary)) != claims(ordinary)
    assert claims(over(ordinary)).names == claims(ordinary).names
    assert claims(over({**ordinary, "status": "cancelled"})) == NO_CLAIMS


def test_another_time_in_the_same_hour_is_another_claim() -> None:
    assert claims(visit("a")) != claims(visit("a", "10:15", "10:45"))
    assert claims(visit("a")).names == claims(visit("a", "10:15", "10:45")).names


@pytest.mark.parametrize("status", ["free", "busy", "busy-unavailable", "entered-in-error"])
def test_a_slot_claims_its_schedules_hours_whatever_its_status(status: str) -> None:
    assert claims(slot("a", status=status)) == Claims(("Schedule/s|2024-01-20T10",), (WHEN,), ("Schedule/s",))


def test_a_slot_without_a_time_claims_nothing() -> None:
    assert claims(slot("a", "10:00", "10:00")) == NO_CLAIMS


def test_other_resources_claim_nothing() -> None:
    assert claims(schedule()) == NO_CLAIMS
    assert claims({"resourceType": "Patient", "start": at("10:00"), "end": at("10:30")}) == NO_CLAIMS


def test_a_guard_is_named_for_whom_and_the_hour() -> None:
    assert names(["Schedule/s"], span("09:45", "10:15")) == ("Schedule/s|2024-01-20T09", "Schedule/s|2024-01-20T10")
    assert names([], WHEN) == ()
