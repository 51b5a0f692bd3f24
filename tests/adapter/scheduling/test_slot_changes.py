"""Slots written by hand: what they need, and what the appointments that hold them have against it."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict
from adapter.scheduling.occupancy import CAPACITY
from adapter.scheduling.settling import Change, settle
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import (
    at,
    linking,
    links,
    publish_day,
    refused,
    schedule,
    settle_all,
    slot,
    statuses,
    visit,
)
from tests.adapter.scheduling.weekly import weekly
from tests.store.support import create, stored


async def held_day(store: Store, status: str = "booked") -> Resource:
    """A day of slots of which a is held by x."""
    await publish_day(store)
    return (await settle_all(store, visit("x", status=status, **linking("a"))))[0]


# In itself.


async def test_a_slot_needs_a_schedule_that_is_stored(store: Store) -> None:
    assert await refused(store, slot("a")) == [("unknown_schedule", "Slot.schedule", 0)]
    paper = {**slot("a"), "schedule": {"display": "the paper book"}}
    assert await refused(store, paper) == [("unknown_schedule", "Slot.schedule", 0)]
    await settle_all(store, slot("a"), schedule())
    await settle_all(store, slot("b", "10:30", "11:00"))
    assert await refused(store, "Schedule/s", slot("c", "11:00", "11:30")) == [("unknown_schedule", "Slot.schedule", 1)]


OPENING = "w.20240120T1000Z.30"
"""The id of an opening of the Schedule w."""


async def test_a_slot_does_not_take_the_id_of_an_opening_of_another_schedule(store: Store) -> None:
    await create(store, schedule(), weekly())
    taken = [("reserved_id", "Slot.id", 0)]
    assert await refused(store, slot(OPENING)) == taken
    assert await refused(store, slot(OPENING, "15:00", "15:30", status="busy")) == taken
    await settle_all(store, slot(OPENING, schedule="w"))
    assert await refused(store, slot(OPENING)) == taken  # it was theirs
    await settle_all(store, slot(OPENING, "15:00", "15:30", schedule="w", status="busy"))
    assert await refused(store, slot("v.20240120T1000Z.30"), weekly("v")) == taken


async def test_what_has_such_an_id_where_no_hours_are_or_had_it_before_goes_on(store: Store) -> None:
    await settle_all(store, schedule(), slot(OPENING))
    await settle_all(store, schedule("w"), slot("w.20240120T1030Z.30"))
    await settle_all(store, weekly())
    await settle_all(store, slot(OPENING, status="busy"))
    # A copy says itself what it is: our own export must come in whole.
    await settle_all(store, slot("w.20240120T1100Z.30"), copied=True)


async def test_a_slot_may_belong_to_a_schedule_that_is_not_active(store: Store) -> None:
    await settle_all(store, schedule(active=False), slot("a"))


@pytest.mark.parametrize(
    ("times", "where"),
    [
        ({"end": at("10:00")}, "start"),
        ({"end": at("09:00")}, "start"),
        ({"end": "2024-02-20T10:00:01Z"}, "end"),
        ({"start": None}, "start"),
        ({"end": None}, "start"),
    ],
)
async def test_a_slot_needs_some_time_and_not_too_much(store: Store, times: dict[str, Any], where: str) -> None:
    await create(store, schedule(), slot("b"))
    for ident in "ab":  # a new one, and one that is there
        assert await refused(store, {**slot(ident), **times}) == [("invalid_time", f"Slot.{where}", 0)]


async def test_a_slot_that_is_entered_in_error_may_be_as_wrong_as_it_was(store: Store) -> None:
    await create(store, slot("a", "10:00", "09:00"))
    await settle_all(store, slot("a", "10:00", "09:00", status="entered-in-error"))


async def test_everything_that_is_wrong_is_told_at_once(store: Store) -> None:
    assert await refused(store, slot("b", "11:00", "10:00"), visit("x", "11:00", "10:00")) == [
        ("invalid_time", "Slot.start", 0),
        ("unknown_schedule", "Slot.schedule", 0),
        ("invalid_time", "Appointment.start", 1),
    ]


@pytest.mark.parametrize("status", ["busy", "busy-tentative", "busy-unavailable", "entered-in-error", "free"])
async def test_a_slot_that_nobody_holds_becomes_what_is_written(store: Store, status: str) -> None:
    await publish_day(store, slot("a", status="busy"))
    await settle_all(store, slot("a", "12:00", "13:00", status=status))
    assert await statuses(store, "a") == [status]
    await settle_all(store, "Slot/a")
    assert await store.read("Slot", "a") is None


# Held.


@pytest.mark.parametrize("status", ["free", "busy-unavailable", "entered-in-error"])
async def test_a_held_slot_stays_busy(store: Store, status: str) -> None:
    await held_day(store)
    assert await refused(store, slot("a", status=status)) == [("slot_held", "Slot.status", 0)]


async def test_the_refusal_names_the_appointment_and_the_remedy(store: Store) -> None:
    await held_day(store)
    with pytest.raises(Conflict, match="Move or cancel that one first") as raised:
        await settle_all(store, slot("a"))
    assert raised.value.problems[0].details == {"slots": ["a"], "appointments": ["x"]}


@pytest.mark.parametrize("status", ["busy", "busy-tentative"])
@pytest.mark.parametrize("holder", ["pending", "booked", "arrived"])
async def test_a_held_slot_is_busy_as_its_appointment_has_it(store: Store, holder: str, status: str) -> None:
    becomes = "busy-tentative" if holder == "pending" else "busy"
    await held_day(store, holder)
    for _ in range(2):  # as often as it is sent
        [after] = await settle_all(store, {**slot("a", status=status), "comment": "by hand"})
        assert (after["status"], after["comment"]) == (becomes, "by hand")
        assert await statuses(store, "a") == [becomes]


async def test_a_slot_that_stands_wrong_is_put_right_by_the_next_that_is_written(store: Store) -> None:
    await create(store, schedule(), slot("a"), slot("b", status="busy-tentative"))
    await create(store, visit("x", **linking("a")), visit("y", **linking("b")))
    await settle_all(store, slot("a"), slot("b", status="busy-tentative"))
    assert await statuses(store, "a", "b") == ["busy", "busy"]


async def test_a_held_slot_is_not_deleted(store: Store) -> None:
    await held_day(store)
    assert await refused(store, "Slot/a") == [("slot_held", "Slot", 0)]


async def test_a_held_slot_stays_in_its_schedule(store: Store) -> None:
    await held_day(store)
    await create(store, schedule("t"))
    assert await refused(store, slot("a", status="busy", schedule="t")) == [("slot_held", "Slot.schedule", 0)]


@pytest.mark.parametrize(("start", "end"), [("10:00", "10:20"), ("10:10", "10:30"), ("12:00", "13:00")])
async def test_a_held_slot_goes_on_covering_the_time(store: Store, start: str, end: str) -> None:
    await held_day(store)
    assert await refused(store, slot("a", start, end, status="busy")) == [("slot_held", "Slot.start", 0)]
    await settle_all(store, slot("a", "09:00", "11:00", status="busy"))


async def test_of_several_slots_each_keeps_its_part(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:10", "10:50", **linking("a", "b")))
    await settle_all(store, slot("a", "10:10", "10:30", status="busy"), slot("b", "10:30", "10:50", status="busy"))
    assert await refused(store, slot("b", "10:40", "10:50", status="busy")) == [("slot_held", "Slot.start", 0)]


async def test_a_slot_that_never_covered_its_holder_may_move(store: Store) -> None:
    timeless = {**visit("y", **linking("a"), who=()), "end": None}
    await create(store, schedule(), slot("a", status="busy"), visit("x", "14:00", "14:30", **linking("a")), timeless)
    await settle_all(store, slot("a", "12:00", "13:00", status="busy"))


async def test_a_slot_that_is_held_in_another_status_may_keep_it(store: Store) -> None:
    await create(store, schedule(), slot("a", status="busy-unavailable"), visit("x", **linking("a")))
    await settle_all(store, {**slot("a", status="busy-unavailable"), "comment": "closed"})


async def test_a_slot_that_comes_back_under_its_holder_must_be_busy(store: Store) -> None:
    await create(store, schedule(), visit("x", **linking("a")))
    assert await refused(store, slot("a")) == [("slot_held", "Slot.status", 0)]
    await settle_all(store, slot("a", status="busy"))


async def test_a_slot_without_a_time_may_get_one_under_its_holder(store: Store) -> None:
    await create(store, schedule(), slot("a", "10:00", "10:00", status="busy"), visit("x", **linking("a")))
    await settle_all(store, slot("a", status="busy"))


async def test_what_only_noted_the_slot_has_nothing_against_its_change(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", status="proposed", **linking("a")))
    await settle_all(store, "Slot/a")


# Together with the appointment: one claim, not two.


@pytest.mark.parametrize("status", ["busy", "busy-tentative"])
@pytest.mark.parametrize("named", [("a",), ()])
async def test_a_slot_set_busy_and_the_appointment_that_fills_it_are_one_claim(
    store: Store, status: str, named: tuple[str, ...]
) -> None:
    await publish_day(store)
    written = {**slot("a", status=status), "comment": "for x"}
    [after, made] = await settle_all(store, written, visit("x", **linking(*named)), fills_slots=False)
    assert (after["status"], after["comment"], links(made)) == ("busy", "for x", ["Slot/a"])
    assert (await stored(store, "Slot", "a"))["meta"]["versionId"] == "2"


async def test_a_slot_that_comes_with_its_appointment_is_taken(store: Store) -> None:
    [made, taken, _] = await settle_all(store, visit("x", **linking("a")), slot("a"), schedule(), fills_slots=False)
    assert (links(made), taken["status"]) == (["Slot/a"], "busy")


async def test_a_slot_withdrawn_with_the_appointment_that_wants_it_is_refused(store: Store) -> None:
    await publish_day(store)
    wanted = visit("x", **linking("a"))
    found = await refused(store, slot("a", status="busy-unavailable"), wanted)
    assert found == [("slot_unavailable", "Appointment.slot[0]", 1)]
    assert await refused(store, "Slot/a", wanted) == [("unknown_slot", "Appointment.slot[0]", 1)]


async def test_a_slot_withdrawn_with_the_appointment_that_has_it_is_refused(store: Store) -> None:
    await held_day(store)
    moved = visit("x", "10:00", "10:20", **linking("a"))
    found = await refused(store, slot("a", status="busy-unavailable"), moved)
    assert found == [("slot_unavailable", "Appointment.slot[0]", 1)]


async def test_a_slot_moves_with_its_appointment(store: Store) -> None:
    await held_day(store)
    await settle_all(store, slot("a", "15:00", "15:30", status="busy"), visit("x", "15:00", "15:30", **linking("a")))


@pytest.mark.parametrize("status", ["free", "busy", "busy-unavailable", "entered-in-error"])
async def test_a_slot_given_back_becomes_what_the_set_says(store: Store, status: str) -> None:
    await held_day(store)
    await settle_all(store, visit("x", status="cancelled"), slot("a", status=status))
    assert await statuses(store, "a") == [status]


async def test_a_slot_is_deleted_with_its_appointment(store: Store) -> None:
    await held_day(store)
    await settle_all(store, "Slot/a", "Appointment/x", "Slot/b", "Slot/c", "Slot/d", "Schedule/s")
    assert await store.count("Slot", {}) == 0


@pytest.mark.parametrize("status", ["busy", "busy-tentative"])
async def test_a_slot_that_is_written_with_its_appointment_is_busy_as_that_has_it(store: Store, status: str) -> None:
    await publish_day(store)
    for holder, becomes in (("pending", "busy-tentative"), ("booked", "busy")):
        await settle_all(store, visit("x", status=holder, **linking("a")), slot("a", status=status))
        assert await statuses(store, "a") == [becomes]
    assert (await stored(store, "Slot", "a"))["meta"]["versionId"] == "3"
    await settle_all(store, visit("x", status="cancelled"), slot("a", status=status))
    assert await statuses(store, "a") == [status]


async def test_a_copied_slot_is_busy_as_its_appointment_has_it_in_whatever_order_they_come(store: Store) -> None:
    await create(store, schedule())
    await settle_all(store, slot("a", status="busy-tentative"), copied=True)
    await settle_all(store, visit("x", **linking("a")), copied=True)
    assert await statuses(store, "a") == ["busy"]
    await settle_all(store, slot("a", status="busy-tentative"), copied=True)
    assert await statuses(store, "a") == ["busy"]
    together = slot("b", "11:00", "11:30", status="busy-tentative"), visit("y", "11:00", "11:30", **linking("b"))
    await settle_all(store, *together, copied=True)
    assert await statuses(store, "b") == ["busy"]


async def test_a_slot_with_places_left_that_is_busy_was_closed_by_hand(store: Store) -> None:
    room = {"extension": [{"url": CAPACITY, "valueInteger": 3}]}
    hours = {"a": ("10:00", "10:30"), "b": ("10:30", "11:00"), "c": ("11:00", "11:30"), "d": ("11:30", "12:00")}
    await publish_day(store, *(slot(one, *when) | (room if one != "d" else {}) for one, when in hours.items()))
    for ident, where in (("x", "a"), ("y", "b"), ("z", "d")):
        await settle_all(store, visit(ident, *hours[where], **linking(where)))
    await settle_all(store, *(slot(one, *hours[one], status="busy") | room for one in "ac"))

    async def step(work: UnitOfWork) -> dict[str, Resource]:
        before = await work.read_many([f"Appointment/{one}" for one in "xyz"])
        gone = [Change(one, {**one, "status": "cancelled"}) for one in before.values()]
        new = Change(None, visit("v", *hours["c"], **linking("c")))
        shut: dict[str, Resource] = {}
        await settle(work, [*gone, new], fills_slots=True, copied=True, shut=shut)
        return shut

    assert await store.transact(step) == {"Slot/a": await stored(store, "Slot", "a")}
