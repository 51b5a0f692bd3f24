"""A visit that MediLoop moves within its own time, or beyond it: of what it had it was there first, as by FHIR."""

from __future__ import annotations

import pytest

from adapter.errors import Refused
from store.store import Store
from tests.adapter.scheduling.support import (
    book,
    codes,
    linking,
    links,
    move,
    publish_day,
    schedule,
    settle_all,
    slot,
    statuses,
    visit,
)
from tests.adapter.scheduling.test_kept_beside_writes import two_in_a_shared_slot
from tests.adapter.scheduling.weekly import available, away, open_on, weekly
from tests.store.support import change, create, stored

ROOM = "Location/room"


async def refusal(store: Store, start: str, end: str, slot_id: str | None = None) -> list[tuple[str, str | None]]:
    """What is against a move of x."""
    with pytest.raises(Refused) as raised:
        await move(store, "x", start, end, slot_id)
    return codes(raised.value)


@pytest.mark.parametrize("named", [None, "a"])
async def test_who_was_booked_over_it_is_not_in_its_way(store: Store, named: str | None) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await create(store, visit("y"))
    assert links(await move(store, "x", "10:00", "10:20", named)) == ["Slot/a"]
    assert await refusal(store, "10:00", "10:25", named) == [("time_conflict", "new_start_time")]
    assert await statuses(store, "a") == ["busy"]


async def test_only_what_it_takes_newly_is_judged(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await create(store, visit("y"), visit("z", "11:00", "11:30"))
    assert links(await move(store, "x", "10:00", "11:00")) == ["Slot/a", "Slot/b"]
    assert await refusal(store, "10:00", "11:10") == [("time_conflict", "new_start_time")]


async def test_another_slot_is_judged_as_a_whole(store: Store) -> None:
    await publish_day(store, slot("a", end="11:00"), slot("b"))
    await book(store, visit("x"), "a")
    await create(store, visit("y"))
    assert await refusal(store, "10:00", "10:20", "b") == [("time_conflict", "new_start_time")]
    assert links(await move(store, "x", "10:00", "10:20", "a")) == ["Slot/a"]


async def test_leave_that_was_entered_later_is_not_in_its_way(store: Store) -> None:
    await create(store, weekly())
    await book(store, visit("x"))
    leave = available(open_on("", "09:00", "12:00"), away("2024-01-20T09:00:00Z", "2024-01-20T12:00:00Z"))
    await change(store, "Schedule", "w", extension=[leave])
    assert links(await move(store, "x", "10:00", "10:20")) == []
    assert await refusal(store, "10:00", "10:30") == [("slot_unavailable", "new_start_time")]


async def test_it_keeps_its_room_and_gives_back_what_is_of_no_more_use(store: Store) -> None:
    rooms = [slot("r", schedule="r"), slot("late", "10:30", "11:00", schedule="r")]
    await create(store, schedule("s", "Practitioner/p"), schedule("r", ROOM), slot("a", end="11:00"), *rooms)
    await settle_all(store, visit("x", end="11:00", who=("Practitioner/p", ROOM), **linking("a", "r", "late")))
    await change(store, "Slot", "r", status="busy-unavailable")
    assert links(await move(store, "x", "10:00", "10:20")) == ["Slot/a", "Slot/r"]
    assert await statuses(store, "a", "r", "late") == ["busy", "busy-unavailable", "free"]


async def test_a_slot_that_was_entered_in_error_is_not_kept(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await change(store, "Slot", "a", status="entered-in-error")
    await create(store, slot("k"))
    assert links(await move(store, "x", "10:00", "10:20")) == ["Slot/k"]


async def test_the_slot_that_it_keeps_is_busy_whatever_it_was_set_to(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await change(store, "Slot", "a", status="free")
    await move(store, "x", "10:00", "10:20")
    assert await statuses(store, "a") == ["busy"]


async def test_who_declined_keeps_the_slot_in_place(store: Store) -> None:
    await create(store, schedule(), schedule("t", "Practitioner/q"), slot("a"), slot("k", schedule="t"))
    await settle_all(store, visit("x", who=("Practitioner/p", "Practitioner/q"), **linking("a", "k")))
    wanted = await stored(store, "Appointment", "x")
    wanted["participant"][2]["status"] = "declined"
    await settle_all(store, wanted)
    assert links(await move(store, "x", "10:00", "10:20")) == ["Slot/a", "Slot/k"]


async def test_beyond_a_slot_for_several_it_is_judged_as_a_whole(store: Store) -> None:
    """By that Slot alone it stood beside the others: z, who was booked over them, is in its way from 10:15 on."""
    await two_in_a_shared_slot(store)
    await create(store, visit("z"))
    assert await refusal(store, "10:15", "10:45") == [("time_conflict", "new_start_time")]
    assert links(await move(store, "x", "10:00", "10:20")) == ["Slot/a"]
    assert await statuses(store, "a") == ["busy"]
