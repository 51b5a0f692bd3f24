"""What deciding and listing go by, beside the search parameters: each mark where it belongs, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from store.documents import Rules
from store.finishing import HOLD_EXPIRES
from store.slotids import CAPACITY
from store.types import TYPES

AT = datetime(2024, 1, 20, 10, tzinfo=UTC)
START, END = "2024-01-20T10:00:00Z", "2024-01-20T10:30:00Z"
MARKS = {"hold", "long", "minutes", "computed", "otherwise", "nobodys"}


def marks(kind: str, **members: Any) -> dict[str, Any]:
    found = TYPES[kind].extract({"resourceType": kind, **members}, Rules())
    return {name: value for name, value in found.items() if name in MARKS}


def _ending(at: str | None, name: str = HOLD_EXPIRES) -> dict[str, Any]:
    return {"url": f"https://any.example/StructureDefinition/{name}", **({} if at is None else {"valueInstant": at})}


@pytest.mark.parametrize(
    ("status", "extension", "end"),
    [
        ("pending", [_ending(START)], AT),
        ("pending", [_ending(END, "other"), _ending(None), _ending(START), _ending(END)], AT),
        ("pending", [_ending(START, f"not-{HOLD_EXPIRES}")], None),
        ("pending", [], None),
        ("booked", [_ending(START)], None),  # its hold was made a booking, and ends no more
        ("cancelled", [_ending(START)], None),
    ],
)
def test_what_is_pending_with_an_end_is_a_hold(
    status: str, extension: list[dict[str, Any]], end: datetime | None
) -> None:
    assert marks("Appointment", status=status, extension=extension) == ({} if end is None else {"hold": end})


@pytest.mark.parametrize("kind", ["Appointment", "Slot"])
def test_what_has_an_end_alone_is_stored_all_the_same(kind: str) -> None:
    assert marks(kind, end=END) == {}


COMPUTED = {"id": "s.20240120T1000Z.30", "schedule": {"reference": "Schedule/s"}, "start": START, "end": END}
LATER = {"start": END, "end": "2024-01-20T11:00:00Z"}
FOR_TWO = {"extension": [{"url": CAPACITY, "valueInteger": 2}]}
NOT_FOR_TWO = {"extension": [{"url": "urn:another", "valueInteger": 2}, {"url": CAPACITY, "valueInteger": 0}]}


@pytest.mark.parametrize(
    ("slot", "found"),
    [
        ({**COMPUTED, "status": "free"}, {"minutes": 30, "computed": AT}),
        ({**COMPUTED, "status": "busy"}, {"minutes": 30}),
        ({**COMPUTED, "status": "free", **LATER}, {"minutes": 30, "otherwise": AT}),
        ({**COMPUTED, "status": "busy", **LATER}, {"minutes": 30, "otherwise": AT}),
        ({**COMPUTED, "status": "free", **FOR_TWO}, {"minutes": 30, "otherwise": AT}),
        ({**COMPUTED, "status": "free", "schedule": {"reference": "Schedule/t"}}, {"minutes": 30, "otherwise": AT}),
        ({**COMPUTED, "status": "free", "end": "2024-01-20T10:20:00Z"}, {"minutes": 20, "otherwise": AT}),
        ({**COMPUTED, "status": "free", "start": "2024-01-20T10:10:00Z"}, {"minutes": 20, "otherwise": AT}),
        ({**COMPUTED, "status": "free", **NOT_FOR_TWO}, {"minutes": 30, "computed": AT}),
        ({**COMPUTED, "status": "free", "id": "published"}, {"minutes": 30}),
        ({**COMPUTED, "status": "free", "id": "s.20240230T1000Z.30"}, {"minutes": 30}),
        ({**COMPUTED, "status": "free", "id": "s.99991231T2359Z.30"}, {"minutes": 30}),
        ({"id": "published", "start": START, "end": "2024-01-20T16:00:00Z"}, {"minutes": 360}),
    ],
)
def test_a_slot_with_the_id_of_an_opening_is_that_opening_or_in_its_way(
    slot: dict[str, Any], found: dict[str, Any]
) -> None:
    assert marks("Slot", **slot) == found


@pytest.mark.parametrize(
    ("actors", "nobodys"),
    [
        (["Location/l"], True),
        (["Location/l", "HealthcareService/h"], True),
        (["Location/l", "Practitioner/p"], False),
        (["PractitionerRole/r", "Location/l"], False),
        (["https://elsewhere.example/fhir/Practitioner/p"], False),
        ([], False),
    ],
)
def test_a_schedule_of_things_alone_is_nobodys(actors: list[str], nobodys: bool) -> None:
    found = marks("Schedule", actor=[{"reference": name} for name in actors])
    assert found == ({"nobodys": True} if nobodys else {})


@pytest.mark.parametrize(("name", "found"), [("availability", {"computed": True}), ("unavailability", {})])
def test_a_schedule_with_weekly_hours_has_computed_openings(name: str, found: dict[str, Any]) -> None:
    hours = [{"url": "urn:note"}, {"url": f"https://any.example/StructureDefinition/{name}"}]
    assert marks("Schedule", extension=hours) == found
