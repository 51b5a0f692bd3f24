"""A visit that MediLoop moves within its own time, or beyond it: of what it had it was there first, as by FHIR."""

from __future__ import annotations

import pytest

from adapter.errors import Refused
from adapter.scheduling import commands, occupancy
from adapter.scheduling.wish import MOVING
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import (
    advance,
    at,
    book,
    codes,
    linking,
    links,
    move,
    of_type,
    publish_day,
    refused,
    schedule,
    settle_all,
    slot,
    statuses,
    visit,
)
from tests.adapter.scheduling.test_kept_beside_writes import two_in_a_shared_slot
from tests.adapter.scheduling.weekly import available, away, open_on, weekly
from tests.store.support import change, create, present, stored

ROOM = "Location/room"
EMERGENCY: Resource = {"appointmentType": of_type("EMERGENCY")}
OURS = "https://example.org/fhir/StructureDefinition"


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


# What may stand beside others has the Slot that was named for it, and is found none.


@pytest.mark.parametrize("times", [("10:00", "10:45"), ("10:15", "10:45"), ("10:30", "11:30"), ("09:30", "11:30")])
async def test_what_stands_beside_others_keeps_its_slot_till_it_leaves(store: Store, times: tuple[str, str]) -> None:
    """By every door alike: another patient must not be booked into it."""
    await publish_day(store, slot("a", end="11:00"))
    await book(store, visit("x", **EMERGENCY), "a")
    assert links(await move(store, "x", *times)) == ["Slot/a"]
    assert await statuses(store, "a") == ["busy"]
    there = [("slot_unavailable", "Appointment.slot[0]", 0)]
    assert await refused(store, visit("y", end="11:00", **linking("a"))) == there
    [after, *_] = await settle_all(store, visit("x", *times, **EMERGENCY))
    assert links(after) == ["Slot/a"]
    assert links(await move(store, "x", "11:00", "11:30")) == []
    assert await statuses(store, "a") == ["free"]


@pytest.mark.parametrize("times", [("10:30", "11:30"), ("09:30", "11:30")])
async def test_what_stands_beside_others_may_name_the_slot_that_it_leaves_in_part(
    store: Store, times: tuple[str, str]
) -> None:
    """A patch of its times does; nobody who has it not yet may."""
    await publish_day(store, slot("a", end="11:00"))
    mismatch, moved = [("slot_mismatch", "Appointment.slot", 0)], {**EMERGENCY, **linking("a")}
    assert await refused(store, visit("x", *times, **moved)) == mismatch
    await book(store, visit("x", **EMERGENCY), "a")
    [after, *_] = await settle_all(store, visit("x", *times, **moved))
    assert links(after) == ["Slot/a"]
    assert await statuses(store, "a") == ["busy"]
    outside = [("slot_mismatch", "Appointment.slot[0]", 0)]
    assert await refused(store, visit("x", "11:00", "11:30", **moved)) == outside


async def test_what_stands_beside_others_has_another_slot_in_the_place_of_its_own(store: Store) -> None:
    await publish_day(store, slot("a", end="11:00"), slot("b", "10:15", "11:15"))
    await book(store, visit("x", **EMERGENCY), "a")
    assert links(await move(store, "x", "10:15", "10:45", "b")) == ["Slot/b"]
    assert await statuses(store, "a", "b") == ["free", "busy"]


async def test_what_stands_beside_others_keeps_its_slot_and_finds_one_of_its_room(store: Store) -> None:
    rooms = [slot("r", schedule="r"), slot("late", "10:30", "11:00", schedule="r")]
    await create(store, schedule("s", "Practitioner/p"), schedule("r", ROOM), slot("a", end="11:00"), *rooms)
    await settle_all(store, visit("x", who=("Practitioner/p", ROOM), **linking("a", "r"), **EMERGENCY))
    assert links(await move(store, "x", "10:15", "10:45")) == ["Slot/a", "Slot/r", "Slot/late"]
    assert links(await move(store, "x", "10:30", "11:00")) == ["Slot/a", "Slot/late"]
    assert await statuses(store, "a", "r", "late") == ["busy", "free", "busy"]


async def test_a_proposal_beside_others_takes_no_slots_that_it_noted(store: Store) -> None:
    await publish_day(store)
    await create(store, visit("y"))
    await create(store, visit("x", end="11:00", status="proposed", **linking("a", "b"), **EMERGENCY))
    assert links(await advance(store, "x", "booked")) == []


@pytest.mark.parametrize(("alone", "expected"), [(True, ["Slot/a"]), (False, [])])
async def test_what_was_booked_over_others_keeps_its_slot_if_that_has_a_place_for_it(
    store: Store, alone: bool, expected: list[str]
) -> None:
    over = occupancy.overbooking(visit("x", **linking("a"), **EMERGENCY), "a fit", OURS)
    await publish_day(store, slot("a", end="11:00", status="busy"))
    await create(store, over, *([] if alone else [visit("y", **linking("a"))]))

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", "x")
        moved = {**occupancy.overbooking(before, None, OURS), "end": at("10:45")}
        return commands.stage(work, before, await commands.reschedule(work, before, moved, slot_id=None, names=MOVING))

    assert links(await store.transact(step)) == expected
    assert await statuses(store, "a") == ["busy"]
