"""Bookings, moves and cancellations at once: never two at one time, and no slot left behind."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import (
    advance,
    advancing,
    book,
    booking,
    links,
    moving,
    of_type,
    publish_day,
    schedule,
    settle_all,
    settling,
    slot,
    statuses,
    visit,
)
from tests.store.support import create, overtaken, side_by_side, stored


async def test_of_two_bookings_of_one_time_at_once_exactly_one_stands(store: Store) -> None:
    results = await side_by_side(store, booking(visit("x")), booking(visit("y", "10:15", "10:45")))
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict]
    assert await store.count("Appointment", {}) == 1


async def test_of_two_bookings_of_one_slot_at_once_exactly_one_stands(store: Store) -> None:
    await publish_day(store)
    rivals = [visit(ident, appointmentType=of_type("WALKIN")) for ident in ("x", "y")]
    results = await side_by_side(store, *(booking(one, "a") for one in rivals))
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict]
    assert await store.count("Appointment", {"_index.slot": "Slot/a"}) == 1


async def test_a_booking_and_a_move_to_one_time_at_once_do_not_both_stand(store: Store) -> None:
    await book(store, visit("x", "14:00", "14:30"))
    results = await side_by_side(store, moving("x", "10:00", "10:30"), booking(visit("y")))
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict]
    assert await store.count("Appointment", {"_index.claims": "Practitioner/p|2024-01-20T10"}) == 1


async def test_two_visits_that_swap_their_times_at_once_do_not_end_at_one_time(store: Store) -> None:
    await book(store, visit("x"))
    await book(store, visit("y", "14:00", "14:30"))
    results = await side_by_side(store, moving("x", "14:00", "14:30"), moving("y", "10:00", "10:30"))
    assert [type(result) for result in results] == [Conflict, Conflict]


async def test_a_booking_overtaken_by_a_cancellation_gets_the_slot(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await advance(store, "x", "cancelled")
    result, runs = await overtaken(store, booking(visit("y")), lambda: book(store, visit("z", "10:30", "11:00")))
    assert (links(result), runs) == (["Slot/a"], 2)


async def test_a_cancellation_and_a_move_at_once_leave_no_slot_behind(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await side_by_side(store, advancing("x", "cancelled"), moving("x", "11:00", "11:30"))
    final = await stored(store, "Appointment", "x")
    assert final["status"] == "cancelled"
    assert await statuses(store, "a", "c") == ["free", "free"]


async def test_two_who_leave_a_shared_slot_at_once_do_not_leave_it_busy(store: Store) -> None:
    link = [{"reference": "Slot/a"}]
    await create(store, slot("a", status="busy"), visit("x", slot=link), visit("y", slot=link, who=("Practitioner/q",)))
    await side_by_side(store, advancing("x", "cancelled"), advancing("y", "cancelled"))
    assert await statuses(store, "a") == ["free"]


async def test_a_slot_that_is_filled_while_its_holder_leaves_stays_busy(store: Store) -> None:
    link = [{"reference": "Slot/a"}]
    await create(store, slot("a", status="busy"), visit("x", slot=link))

    async def fill() -> None:  # as a hospital system may, which set the slot busy itself
        await create(store, visit("y", slot=link, who=("Practitioner/q",)))

    _, runs = await overtaken(store, advancing("x", "cancelled"), fill)
    assert runs == 2
    assert await statuses(store, "a") == ["busy"]


async def test_a_proposal_and_a_booking_that_take_one_time_at_once_do_not_both_stand(store: Store) -> None:
    await book(store, visit("x", status="proposed"))
    results = await side_by_side(store, advancing("x", "booked"), booking(visit("y")))
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict]
    assert await store.count("Appointment", {"_index.status": "booked"}) == 1


@pytest.mark.parametrize("door", [booking, settling])
@pytest.mark.parametrize("before", [slot("a", "15:00", "15:30"), slot("a", schedule="t")], ids=["later", "another's"])
async def test_a_booking_overtaken_by_a_slot_that_comes_to_its_time_takes_it(
    store: Store, before: Resource, door: Any
) -> None:
    await create(store, schedule(), schedule("t", "Practitioner/q"), before)
    _, runs = await overtaken(store, door(visit("y")), lambda: settle_all(store, slot("a")))
    assert (links(await stored(store, "Appointment", "y")), runs) == (["Slot/a"], 2)


async def test_a_slot_that_is_offered_as_it_was_makes_no_booking_beside_it_wait(store: Store) -> None:
    await publish_day(store)
    described = {**slot("b", "10:30", "11:00"), "comment": "by the window"}
    _, runs = await overtaken(store, booking(visit("y")), lambda: settle_all(store, described))
    assert runs == 1
