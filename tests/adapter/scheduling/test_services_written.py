"""A HealthcareService that is written with a booking says what is open, as a Schedule that is written with it does."""

from __future__ import annotations

from typing import Any

import pytest

from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import linking, links, refused, settle_all, slot, visit
from tests.adapter.scheduling.weekly import available, open_on, parameters, weekly
from tests.store.support import create

NAMED = weekly("w", actors=("Practitioner/p", "HealthcareService/h"))
EYES = [{"coding": [{"system": "urn:kinds", "code": "eyes"}]}]
BY_TYPE = weekly("w", actors=("Practitioner/p",), serviceType=EYES)
HOLIDAY = [{"description": "New Year", "during": {"start": "2024-01-20", "end": "2024-01-20"}}]
OPENING, CLOSED = visit("x", "09:00", "09:20", **linking("w.20240120T0900Z.20")), visit("x", "10:00", "10:30")


def service(minutes: int = 20, **more: Any) -> Resource:
    """A HealthcareService with visits of so many minutes."""
    extension = [parameters(duration=minutes)]
    return {"resourceType": "HealthcareService", "id": "h", "type": EYES, "extension": extension, **more}


@pytest.mark.parametrize("schedule", [NAMED, BY_TYPE])
async def test_an_opening_goes_by_the_service_that_is_written_with_its_booking(
    store: Store, schedule: Resource
) -> None:
    [_, _, made, *_] = await settle_all(store, service(), schedule, OPENING)
    assert links(made) == ["Slot/w.20240120T0900Z.20"]


@pytest.mark.parametrize("before", [service(30), service(active=False), service(type=[])])
async def test_an_opening_goes_by_the_service_as_it_is_going_to_be(store: Store, before: Resource) -> None:
    await create(store, before, BY_TYPE)
    assert await refused(store, OPENING) == [("unknown_slot", "Appointment.slot[0]", 0)]
    await settle_all(store, OPENING, service())


@pytest.mark.parametrize("now", [service(30), "HealthcareService/h"])
async def test_there_is_no_opening_of_a_service_that_goes(store: Store, now: Resource | str) -> None:
    await create(store, service(), BY_TYPE)
    assert await refused(store, now, OPENING) == [("unknown_slot", "Appointment.slot[0]", 1)]


@pytest.mark.parametrize("named", [{}, linking("a")])
async def test_leave_of_a_service_counts_as_it_is_going_to_be(store: Store, named: dict[str, Any]) -> None:
    wanted = CLOSED | named
    await create(store, service(), NAMED, slot("a", schedule="w"))
    assert (await refused(store, service(notAvailable=HOLIDAY), wanted))[0][0] == "slot_unavailable"
    await settle_all(store, service(notAvailable=HOLIDAY))
    assert (await refused(store, wanted))[0][0] == "slot_unavailable"
    await settle_all(store, wanted, service())


async def test_an_opening_is_closed_by_leave_that_is_written_with_its_booking(store: Store) -> None:
    await create(
        store, service(), weekly("w", available(open_on("", "09:00", "12:00")), actors=("HealthcareService/h",))
    )
    assert await refused(store, OPENING, service(notAvailable=HOLIDAY)) == [
        ("slot_unavailable", "Appointment.slot[0]", 0)
    ]
