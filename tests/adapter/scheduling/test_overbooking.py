"""Overbooking, through both ways to decide: who may stand beside whom."""

from __future__ import annotations

import asyncio

import pytest

from adapter.errors import Conflict, Forbidden, Unprocessable
from adapter.scheduling import commands, occupancy
from adapter.scheduling.wish import MOVING
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.sharing import (
    DOORS,
    EXTENSIONS,
    Step,
    both_doors,
    fhir,
    fhir_changes,
    group,
    holders,
    mediloop,
    over,
)
from tests.adapter.scheduling.support import (
    advance,
    advancing,
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
    settling,
    slot,
    statuses,
    visit,
)
from tests.store.support import create, present, side_by_side, stored


@both_doors
async def test_two_who_book_over_both_stand_and_the_slot_is_busy_until_the_last_leaves(store: Store, door: str) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    steps = [DOORS[door](over(visit(ident)), "a") for ident in "yz"]
    await asyncio.gather(*map(store.transact, steps))
    assert await holders(store, "a") == 3
    for ident in "xyz":
        assert await statuses(store, "a") == ["busy"]
        with pytest.raises(Conflict):
            await store.transact(DOORS[door](visit("late"), "a"))
        await advance(store, ident, "cancelled")
    assert await statuses(store, "a") == ["free"]


@both_doors
async def test_who_books_over_while_the_holder_leaves_keeps_the_slot_busy(store: Store, door: str) -> None:
    await publish_day(store, *(slot(f"a{n}", f"{10 + n}:00", f"{10 + n}:30") for n in range(6)))
    for n in range(6):
        times = (f"{10 + n}:00", f"{10 + n}:30")
        await book(store, visit(f"x{n}", *times), f"a{n}")
        await asyncio.gather(
            store.transact(advancing(f"x{n}", "cancelled")),
            store.transact(DOORS[door](over(visit(f"y{n}", *times)), f"a{n}")),
        )
        assert (await statuses(store, f"a{n}"), await holders(store, f"a{n}")) == (["busy"], 1)


LEAVES: dict[str, Step] = {"MediLoop": advancing("y", "cancelled"), "FHIR": fhir_changes("y", "cancelled")}
STAYS: dict[str, Step] = {"MediLoop": advancing("x", "booked"), "FHIR": fhir_changes("x", "booked")}


@pytest.mark.parametrize("leaving", LEAVES)
@pytest.mark.parametrize("staying", STAYS)
async def test_a_hold_that_is_booked_while_who_booked_over_it_leaves_has_a_busy_slot(
    store: Store, staying: str, leaving: str
) -> None:
    await publish_day(store)
    await book(store, visit("x", status="pending"), "a")
    await store.transact(mediloop(over(visit("y")), "a"))
    assert await statuses(store, "a") == ["busy"]
    await side_by_side(store, STAYS[staying], LEAVES[leaving])
    assert (await statuses(store, "a"), await holders(store, "a")) == (["busy"], 1)


@pytest.mark.parametrize("named", ["a", None])
async def test_a_hold_over_a_booking_leaves_the_slot_of_both_busy(store: Store, named: str | None) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    await store.transact(mediloop(over(visit("y", status="pending")), named))
    assert await statuses(store, "a") == ["busy"]


async def test_booking_over_passes_over_busy_slots_and_times_and_nothing_else(store: Store) -> None:
    await publish_day(
        store, slot("a"), slot("b", "10:30", "11:00"), slot("no", "11:00", "11:30", status="busy-unavailable")
    )
    await book(store, visit("x", "10:00", "11:00"))
    assert links(await store.transact(mediloop(over(visit("y", "10:15", "10:45"))))) == ["Slot/a", "Slot/b"]
    (made, *_) = await store.transact(fhir(over(visit("z", "10:15", "10:45"))))
    assert links(made) == ["Slot/a", "Slot/b"]
    assert occupancy.by(made) == "key-1"
    for step in (
        mediloop(over(visit("n", "11:00", "11:30")), "no"),
        mediloop(over(visit("n", "11:00", "11:30"))),
        fhir({**over(visit("n", "11:00", "11:30")), **linking("no")}),
        fhir(over(visit("n", "11:00", "11:30"))),
    ):
        with pytest.raises(Conflict) as raised:
            await store.transact(step)
        assert [problem.code for problem in raised.value.problems] == ["slot_unavailable"]


@both_doors
async def test_a_slot_of_a_schedule_that_is_not_active_is_not_booked_over(store: Store, door: str) -> None:
    await publish_day(store, active=False)
    with pytest.raises(Conflict) as raised:
        await store.transact(DOORS[door](over(visit("y")), "a"))
    assert codes(raised.value)[0][0] == "slot_unavailable"


async def test_a_free_slot_goes_before_one_that_is_booked_over(store: Store) -> None:
    await create(store, schedule(), schedule("t"), slot("a", status="busy"), slot("b", schedule="t"))
    assert links(await store.transact(mediloop(over(visit("y"))))) == ["Slot/b"]


async def test_who_books_over_in_a_group_is_one_more(store: Store) -> None:
    await publish_day(store, group("a", 2))
    for n in range(2):
        await book(store, visit(f"v{n}"), "a")
    await store.transact(mediloop(over(visit("more")), "a"))
    await advance(store, "v0", "cancelled")
    assert (await statuses(store, "a"), await holders(store, "a")) == (["busy"], 2)
    await settle_all(store, {**group("a", 1), "status": "busy"})  # one and one that was booked over it
    await advance(store, "v1", "cancelled")
    await advance(store, "more", "cancelled")
    assert await statuses(store, "a") == ["free"]


async def test_in_one_transaction_who_books_over_stands_in_nobodys_way(store: Store) -> None:
    await publish_day(store)
    await store.transact(fhir(visit("x", **linking("a")), over({**visit("y"), **linking("a")})))
    assert await holders(store, "a") == 2
    await store.transact(fhir(visit("s", "11:00", "11:30"), over(visit("t", "11:00", "11:30"))))
    assert await holders(store, "c") == 2
    # Another reason alone is no new booking: who comes meanwhile finds the time taken.
    other = over(await stored(store, "Appointment", "y"), "another reason")
    with pytest.raises(Conflict):
        await store.transact(fhir(other, visit("z", **linking("a"))))
    with pytest.raises(Conflict):
        await store.transact(fhir(other, visit("z", slot=[], appointmentType=of_type("ROUTINE"))))


async def test_without_the_permission_nothing_is_booked_over_and_what_was_stays(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    wanted = {**over(visit("y")), **linking("a")}
    for step in (settling(wanted), fhir(visit("o", "11:00", "11:30"), wanted, key=None)):
        with pytest.raises(Forbidden) as raised:
            await store.transact(step)
        assert raised.value.problems[0].details == {"permission": "overbook:write"}
    assert raised.value.problems[0].entry == 1
    (made, *_) = await store.transact(fhir(wanted, key="key-7"))
    unsigned = occupancy.signed(made, None)
    (arrived, *_) = await settle_all(store, {**unsigned, "status": "arrived"})
    assert occupancy.by(arrived) == "key-7"
    with pytest.raises(Forbidden):  # another reason
        await store.transact(settling(over(arrived, "another")))
    # Without its reason it has to fit like any other.
    assert await refused(store, occupancy.overbooking(arrived, None, EXTENSIONS)) == [
        ("slot_unavailable", "Appointment.slot[0]", 0), ("time_conflict", "Appointment.start", 0)
    ]  # fmt: skip
    await settle_all(store, {**arrived, "status": "cancelled"})


async def test_a_proposal_with_a_reason_needs_the_permission_when_it_takes_time(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    (noted,) = await settle_all(store, {**over(visit("y", status="proposed")), **linking("a")})
    with pytest.raises(Forbidden):
        await store.transact(settling({**noted, "status": "booked"}))
    (made, *_) = await store.transact(fhir({**noted, "status": "booked"}))
    assert occupancy.by(made) == "key-1"
    (brought, *_) = await store.transact(fhir({**made, "id": "z"}, key=""))
    assert occupancy.by(brought) == "key-1"


async def test_a_move_may_book_over_too_and_without_a_reason_it_does_not(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    await book(store, visit("y", "11:00", "11:30"), "c")
    with pytest.raises(Conflict):
        await move(store, "y", "10:00", "10:30", "a")

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", "y")
        times = {name: value for name, value in visit("y").items() if name in ("start", "end")}
        moved = over({**before, **times})
        planned = await commands.reschedule(work, before, moved, slot_id=None, names=MOVING, overbooks=True)
        return commands.stage(work, before, planned)

    assert links(await store.transact(step)) == ["Slot/a"]
    assert (await statuses(store, "a", "c"), await holders(store, "a")) == (["busy", "free"], 2)
    await move(store, "y", "11:00", "11:30")
    assert (await statuses(store, "a", "c"), await holders(store, "a")) == (["busy", "busy"], 1)


@both_doors
@pytest.mark.parametrize("why", [None, "a mother in labour"])
async def test_a_move_that_is_refused_names_its_own_slot_as_none_in_the_way(
    store: Store, door: str, why: str | None
) -> None:
    await publish_day(store, group("a", 2), slot("b", "10:30", "11:00"))
    await book(store, visit("x"), "a")
    await book(store, visit("y"), "a")
    await settle_all(store, slot("b", "10:30", "11:00", status="busy-unavailable"))
    before = await stored(store, "Appointment", "y")
    moved = occupancy.overbooking({**before, "start": at("10:15"), "end": at("10:45")}, why, EXTENSIONS)

    async def rescheduled(work: UnitOfWork) -> Resource:
        over_ = why is not None
        planned = await commands.reschedule(work, before, moved, slot_id=None, names=MOVING, overbooks=over_)
        return commands.stage(work, before, planned)

    unlinked = {name: value for name, value in moved.items() if name != "slot"}
    with pytest.raises(Conflict) as raised:
        await store.transact(rescheduled if door == "mediloop" else fhir(unlinked))
    told = {problem.code: problem.details for problem in raised.value.problems}
    assert told["slot_unavailable"] == {"slots": ["b"]}


@pytest.mark.parametrize("type_", ["ROUTINE", "WALKIN"])
async def test_one_moved_within_its_slot_without_its_reason_needs_a_place_there(store: Store, type_: str) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    await store.transact(mediloop(over(visit("y", appointmentType=of_type(type_))), "a"))

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", "y")
        moved = occupancy.overbooking({**before, "start": "2024-01-20T10:00:00.000Z"}, None, EXTENSIONS)
        planned = await commands.reschedule(work, before, moved, slot_id="a", names=MOVING)
        return commands.stage(work, before, planned)

    bare = occupancy.overbooking(await stored(store, "Appointment", "y"), None, EXTENSIONS)
    with pytest.raises(Conflict):
        await store.transact(step)
    assert ("slot_unavailable", "Appointment.slot[0]", 0) in await refused(store, bare)
    await advance(store, "x", "cancelled")
    (made, *_) = await settle_all(store, bare)
    assert occupancy.by(made) is None
    await store.transact(step)
    assert await statuses(store, "a") == ["busy"]


@pytest.mark.parametrize("named", [(), ("a",)])
async def test_who_was_there_first_may_use_more_of_a_slot_that_another_was_booked_over(
    store: Store, named: tuple[str, ...]
) -> None:
    await publish_day(store)
    await book(store, visit("x", end="10:20"), "a")
    await store.transact(mediloop(over(visit("y", end="10:20")), "a"))
    assert links(await move(store, "x", "10:00", "10:30", *named)) == ["Slot/a"]


@pytest.mark.parametrize("why", ["", " ", "\n\t"])
async def test_a_blank_reason_is_none(store: Store, why: str) -> None:
    await publish_day(store)
    with pytest.raises(Unprocessable) as raised:
        await store.transact(fhir(over(visit("x"), why)))
    assert codes(raised.value) == [("blank_reason", "Appointment.extension")]
