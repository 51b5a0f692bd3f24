"""What ``mediloop-fhir check`` takes appointments, Slots and Schedules to mean, beside the code that books."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling import checking_claims, occupancy, rooms
from adapter.scheduling.checking_claims import visit_of
from adapter.scheduling.claims import BESIDE
from store.codec import Resource
from tests.adapter.scheduling.sharing import EXTENSIONS, group
from tests.adapter.scheduling.support import TYPE_SYSTEM, at, role, schedule, slot, visit

ROOMS = [
    (["Location/l"], "Location/l"),
    (["https://elsewhere.example/fhir/Location/l"], "Location/l"),
    (["Location/m", "Location/l"], "Location/l and Location/m"),
    (["Location/l", "Device/d"], "Device/d"),
    (["Device/e", "Device/d"], "Device/d and Device/e"),
    (["Location/l", "Practitioner/p"], ""),
    (["Device/d", "HealthcareService/h"], ""),
    ([], ""),
]


def test_who_takes_the_time_of_a_visit() -> None:
    contained = [
        {"resourceType": "Practitioner", "id": "in", "identifier": [{"system": "urn:s", "value": "1"}]},
        {"resourceType": "Patient", "id": "pat"},
    ]
    actors: list[Resource] = [
        {"reference": "Practitioner/p"},
        {"reference": "http://elsewhere/fhir/PractitionerRole/r"},
        {"reference": "#in"},
        {"reference": "#pat"},
        {"type": "Practitioner", "identifier": {"system": "urn:s", "value": "2"}},
        {"type": "PractitionerRole", "identifier": {"system": "urn:S", "value": " Three "}},
        {
            "type": "http://hl7.org/fhir/StructureDefinition/Practitioner",
            "reference": "http://elsewhere/d/7/_history/2",
        },
        {"type": "Practitioner", "reference": "http://elsewhere/d/8", "identifier": {"system": "urn:s", "value": "4"}},
        {"reference": "http://elsewhere/d/9"},
        {"display": "nobody"},
    ]
    one = {**visit("x"), "contained": contained, "participant": [{"actor": actor} for actor in actors]}
    expected = {"Practitioner/p", "Practitioner/q", "http://elsewhere/d/7", "http://elsewhere/d/8"}
    expected |= {"urn:s|1", "urn:s|2", "urn:s|three", "urn:s|4"}
    assert checking_claims.people_of(one, {"PractitionerRole/r": "Practitioner/q"}) == expected


def test_a_contained_practitioner_that_is_said_to_play_itself_is_one_practitioner() -> None:
    """R4 has no such member: somebody has written it past the service, and `check` is for whatever is there."""
    odd: Resource = {"resourceType": "Practitioner", "id": "in", "identifier": [{"system": "urn:s", "value": "1"}]}
    odd["practitioner"] = {"reference": "#in"}
    one = {**visit("x"), "contained": [odd], "participant": [{"actor": {"reference": "#in"}}]}
    assert checking_claims.people_of(one, {}) == {"urn:s|1"}


@pytest.mark.parametrize("members", [{"status": "proposed"}, {"start": None}, {"end": at("09:00")}])
def test_what_takes_no_time_is_no_visit(members: dict[str, Any]) -> None:
    assert visit_of({**visit("x"), **members}, {}) is None


@pytest.mark.parametrize(("stated", "room"), [(None, 1), (0, 1), ("2", 1), (4, 4)])
def test_the_room_of_a_slot(stated: Any, room: int) -> None:
    assert checking_claims.capacity(group("a", stated)) == room
    assert occupancy.CAPACITY == checking_claims._CAPACITY  # written twice, meant once


@pytest.mark.parametrize("times", [{"end": None}, {"end": at("10:00")}])
def test_what_has_no_end_after_its_start_takes_no_time(times: Resource) -> None:
    assert visit_of(visit("x") | times, {}) is None
    assert checking_claims.stay("Location/l", slot("a") | times, visit("x")) is None


@pytest.mark.parametrize("system", [TYPE_SYSTEM, "http://hl7.org/fhir/v2/0276", "urn:other"])
@pytest.mark.parametrize("code", ["EMERGENCY", "WALKIN", "ROUTINE"])
def test_who_may_stand_beside_others_does_so_in_time_and_holds_a_slot_of_a_room_all_the_same(
    code: str, system: str
) -> None:
    one = visit("x", appointmentType={"coding": [{"system": system, "code": code}]})
    assert checking_claims.is_lenient(one) is (code in BESIDE and system != "urn:other")
    there = checking_claims.stay("Location/l", slot("a"), one)
    assert there is not None
    assert not there.lenient


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ({"url": f"{EXTENSIONS}/overbooked", "valueString": "why"}, True),
        ({"url": f"{EXTENSIONS}/overbooked", "valueBoolean": True}, False),
        ({"url": f"{EXTENSIONS}/overbooked-by", "valueString": "key"}, False),
        ({"valueString": "why"}, False),
    ],
)
def test_what_was_booked_over_others_says_why(extension: Resource, expected: bool) -> None:
    one = visit("x", extension=[{"url": "urn:x", "valueString": "x"}, extension])
    assert checking_claims.was_booked_over(one) is checking_claims.is_lenient(one) is expected
    assert (occupancy.reason(one) is not None) is expected  # written twice, meant once
    there = checking_claims.stay("Location/l", slot("a"), one)
    assert there is not None
    assert there.lenient is expected


def test_who_has_declined_takes_no_time() -> None:
    one = visit("x", who=("Practitioner/p", "Practitioner/q"))
    one["participant"][1]["status"] = "declined"
    assert checking_claims.people_of(one, {}) == {"Practitioner/q"}


def test_who_plays_a_role_is_behind_it() -> None:
    far = {**role("far"), "practitioner": {"reference": "https://elsewhere.example/fhir/Practitioner/z"}}
    group_ = {**role("g"), "practitioner": {"reference": "Group/g"}}
    known = checking_claims.behind(
        [role("r", "q"), role("vacant", None), {**role("odd"), "practitioner": {}}, far, group_]
    )
    assert known == {"PractitionerRole/r": "Practitioner/q", "PractitionerRole/far": "Practitioner/z"}
    assert checking_claims.offered_by(schedule("s", "PractitionerRole/r", "Location/l"), known) == {"Practitioner/q"}


@pytest.mark.parametrize(("actors", "room"), ROOMS)
def test_which_room_a_schedule_is_of(actors: list[str], room: str) -> None:
    whose = {**schedule(), "actor": [{"reference": name} for name in actors]}
    assert checking_claims.room_of(whose) == room
    assert rooms.of(whose) == room.replace(" and ", "+")  # written twice, meant once


def test_the_first_capacity_that_a_slot_states_is_its_own() -> None:
    other = {"url": "urn:other", "valueInteger": 9}
    stated = [other, {"url": occupancy.CAPACITY, "valueInteger": 2}, {"url": occupancy.CAPACITY, "valueInteger": 5}]
    assert checking_claims.capacity(slot("a") | {"extension": stated}) == 2
    assert checking_claims.capacity(slot("a") | {"extension": [other]}) == 1
