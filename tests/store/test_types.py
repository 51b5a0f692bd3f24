"""What is declared of each resource type: its search values and its indexes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from store.types import TYPES, ResourceType, key_pattern
from tests import strategies


def index_of(resource: dict[str, Any]) -> dict[str, Any]:
    return TYPES[resource["resourceType"]].extract(resource)


def test_an_appointment_is_found_by_status_time_actors_and_slot() -> None:
    resource = {
        "resourceType": "Appointment",
        "status": "booked",
        "start": "2024-01-20T10:00:00+03:00",
        "end": "2024-01-20T10:30:00+03:00",
        "identifier": [{"system": "urn:n", "value": "7"}],
        "slot": [{"reference": "https://x.example/Slot/s"}],
        "participant": [
            {"actor": {"reference": "Patient/a", "identifier": {"system": "urn:uhid", "value": "UG1"}}},
            {"actor": {"reference": "Practitioner/b"}},
        ],
    }
    assert index_of(resource) == {
        "status": "booked",
        "date": datetime(2024, 1, 20, 7, tzinfo=UTC),
        "end": datetime(2024, 1, 20, 7, 30, tzinfo=UTC),
        "actor": ["Patient/a", "Practitioner/b"],
        "actor:identifier": ["urn:uhid|UG1"],
        "identifier": ["urn:n|7"],
        "slot": ["Slot/s"],
    }


def test_a_slot_is_found_by_schedule_time_and_length() -> None:
    resource = {
        "resourceType": "Slot",
        "status": "free",
        "schedule": {"reference": "Schedule/s"},
        "start": "2024-01-20T10:00:00Z",
        "end": "2024-01-20T10:45:30Z",
        "serviceType": [{"coding": [{"system": "urn:t", "code": "57"}]}],
        "specialty": [{"coding": [{"code": "gp"}]}],
    }
    assert index_of(resource) == {
        "status": "free",
        "start": datetime(2024, 1, 20, 10, tzinfo=UTC),
        "end": datetime(2024, 1, 20, 10, 45, 30, tzinfo=UTC),
        "minutes": 45,
        "schedule": "Schedule/s",
        "service-type": ["57", "urn:t|57"],
        "specialty": ["gp", "|gp"],
    }


def test_a_schedule_is_found_by_its_actors_and_whether_it_is_active() -> None:
    resource = {"resourceType": "Schedule", "active": False, "actor": [{"reference": "Practitioner/p"}]}
    assert index_of(resource) == {"active": False, "actor": ["Practitioner/p"]}


@pytest.mark.parametrize("kind", ["Patient", "Practitioner", "Location"])
def test_people_and_places_are_found_by_identifier(kind: str) -> None:
    resource = {"resourceType": kind, "identifier": [{"system": "urn:s", "value": "1"}], "name": "n"}
    assert index_of(resource) == {"identifier": ["urn:s|1"]}


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_what_a_resource_does_not_say_is_left_out(kind: str) -> None:
    assert index_of({"resourceType": kind}) == {}


def test_a_slot_without_an_end_has_no_length() -> None:
    found = index_of({"resourceType": "Slot", "start": "2024-01-20T10:00:00Z"})
    assert found == {"start": datetime(2024, 1, 20, 10, tzinfo=UTC)}


def test_a_slot_whose_schedule_is_no_literal_reference_has_none() -> None:
    assert index_of({"resourceType": "Slot", "schedule": {"display": "the old paper book"}}) == {}


@given(strategies.appointments())
def test_every_appointment_that_has_times_is_found_by_them(resource: dict[str, Any]) -> None:
    found = index_of(resource)
    assert ("date" in found) == ("start" in resource)
    assert found["status"] == resource["status"]
    assert all(isinstance(name, str) for name in found.get("actor", []))


@given(strategies.slots())
def test_every_slot_is_found_by_its_schedule(resource: dict[str, Any]) -> None:
    found = index_of(resource)
    assert found["schedule"] == "Schedule/s1"
    assert isinstance(found["minutes"], int)


def test_an_index_is_over_the_search_values_and_the_id() -> None:
    assert key_pattern(("status", "_id")) == [("_index.status", 1), ("_id", 1)]


def test_each_type_has_its_declared_indexes_and_the_unique_one() -> None:
    declared = ResourceType("Thing", lambda _: {}, (("a", "_id"), ("b",)))
    assert [model.document["key"] for model in declared.index_models()] == [
        {"_index.a": 1, "_id": 1},
        {"_index.b": 1},
        {"_index.unique": 1},
    ]
    assert [model.document.get("unique", False) for model in declared.index_models()] == [False, False, True]
