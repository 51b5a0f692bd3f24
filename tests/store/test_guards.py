"""Write skew, the fault that guards are for, and the guards: of those who each saw no overlap, one stands."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymongo import monitoring
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.read_concern import ReadConcern

from store import documents, writing
from store import guards as store_guards
from store.connection import MAJORITY, Client, connect
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.conftest import Clock
from tests.store.support import (
    HOUR,
    RULES,
    Database,
    Listener,
    appointment,
    change,
    create,
    document,
    everything,
    guards,
    overtaken,
    patient,
    side_by_side,
)

BUSY = {"_index.claims": HOUR}


async def book(work: UnitOfWork, ident: str) -> str:
    """A booking that stands if nobody holds the hour."""
    if await work.find("Appointment", BUSY):
        return "refused"
    work.create(appointment(ident))
    return "booked"


def booking(ident: str) -> Callable[[UnitOfWork], Awaitable[str]]:
    return lambda work: book(work, ident)


async def test_without_guards_two_snapshots_that_each_saw_no_overlap_both_commit(
    client: Client, database: Database
) -> None:
    await database.create_collection("Appointment")
    both_have_read = asyncio.Barrier(2)

    async def naive(ident: str) -> None:
        async def attempt(session: AsyncClientSession) -> None:
            overlapping = await database.Appointment.find({"practitioner": "p", "hour": 10}, session=session).to_list()
            assert overlapping == []
            await both_have_read.wait()
            await database.Appointment.insert_one({"_id": ident, "practitioner": "p", "hour": 10}, session=session)

        async with client.start_session() as session:
            await session.with_transaction(attempt, read_concern=ReadConcern("snapshot"), write_concern=MAJORITY)

    await asyncio.gather(naive("one"), naive("two"))
    assert await database.Appointment.count_documents({"practitioner": "p", "hour": 10}) == 2


async def test_with_guards_exactly_one_of_two_that_each_saw_no_overlap_stands(store: Store) -> None:
    assert sorted(await side_by_side(store, booking("one"), booking("two"))) == ["booked", "refused"]
    assert await store.count("Appointment", BUSY) == 1
    assert await store.count("history", {}) == 1


async def test_a_guard_that_is_there_already_keeps_rivals_apart_as_well(store: Store) -> None:
    await create(store, appointment("before"))
    await change(store, "Appointment", "before", status="cancelled")
    assert sorted(await side_by_side(store, booking("one"), booking("two"))) == ["booked", "refused"]


async def test_of_many_who_each_saw_no_overlap_exactly_one_stands(store: Store) -> None:
    results = await side_by_side(store, *(booking(f"a{number}") for number in range(8)))
    assert sorted(results) == ["booked"] + ["refused"] * 7
    assert await store.count("Appointment", BUSY) == 1


async def test_who_is_overtaken_between_reading_and_writing_is_run_again(store: Store) -> None:
    result, runs = await overtaken(store, booking("slow"), lambda: store.transact(booking("fast")))
    assert (result, runs) == ("refused", 2)
    assert [found["id"] async for found in store.database.Appointment.find()] == ["fast"]


async def test_a_guard_that_expires_between_reading_and_writing_still_keeps_rivals_apart(store: Store) -> None:
    await create(store, appointment("before"))
    await change(store, "Appointment", "before", status="cancelled")

    async def rival() -> None:
        await store.transact(booking("fast"))
        await store.database.guards.delete_many({})

    result, runs = await overtaken(store, booking("slow"), rival)
    assert (result, runs) == ("refused", 2)


async def test_a_brand_new_guard_that_expires_at_once_still_keeps_rivals_apart(store: Store) -> None:
    async def rival() -> None:
        await store.transact(booking("fast"))
        await store.database.guards.delete_many({})

    result, runs = await overtaken(store, booking("slow"), rival)
    assert (result, runs) == ("refused", 2)


async def test_two_who_make_two_new_guards_at_once_both_get_through(store: Store) -> None:
    def guarding(ident: str) -> Callable[[UnitOfWork], Awaitable[None]]:
        async def step(work: UnitOfWork) -> None:
            work.guard(["brand-new-1", "brand-new-2"])
            work.create(patient(ident))

        return step

    assert await side_by_side(store, guarding("a"), guarding("b")) == [None, None]
    assert await guards(store.database) == {"brand-new-1": 2, "brand-new-2": 2}


@pytest.mark.parametrize("stored", [False, True], ids=["new", "stored"])
async def test_who_makes_many_guards_meets_who_makes_one(store: Store, stored: bool) -> None:
    names = [f"g{number:03}" for number in range(120)]

    def guarding(ident: str, wanted: list[str]) -> Callable[[UnitOfWork], Awaitable[int]]:
        async def step(work: UnitOfWork) -> int:
            present = await work.find("Patient", {})
            work.guard(wanted)
            work.create(patient(ident))
            return len(present)

        return step

    if stored:
        await store.transact(guarding("before", names[:100]))
    before = int(stored)
    many, one = guarding("many", names), guarding("one", ["g050"])
    assert await overtaken(store, many, lambda: store.transact(one)) == (before + 1, 2)
    assert await guards(store.database) == {
        name: 1 + (stored and place < 100) + (name == "g050") for place, name in enumerate(names)
    }
    one_more = guarding("one-more", ["g050", "g119"])
    assert await overtaken(store, one_more, lambda: store.transact(guarding("again", names))) == (before + 3, 2)
    assert await side_by_side(store, guarding("x", names), guarding("y", names[10:])) in (
        [before + 4, before + 5],
        [before + 5, before + 4],
    )


async def test_guards_of_many_hours_are_written_in_parts(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_guards, "_SLICE", 30)
    names = [f"g{number:03}" for number in range(100)]

    async def step(work: UnitOfWork) -> None:
        work.guard(names)

    for count in (1, 2):
        await store.transact(step)
        assert await guards(store.database) == dict.fromkeys(names, count)
        assert await store.database.guards.distinct("at") == [clock()], "they expire"
        clock.advance(hours=1)


@pytest.mark.parametrize("count", [50, 51])
async def test_rivals_who_share_several_meet_at_the_first_of_them(mongodb_uri: str, store: Store, count: int) -> None:
    """Were each to take them in an order of its own, two could take from each other what both need, and both lose."""
    names = [f"g{number:03}" for number in range(count)]
    written: list[str] = []

    class Noted(Listener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            if event.command_name == "update":
                written.extend(one["q"]["_id"] for one in event.command["updates"])
            elif event.command_name == "insert":
                written.extend(one["_id"] for one in event.command["documents"])

    client = connect(mongodb_uri, listeners=[Noted()])

    async def step(work: UnitOfWork) -> None:
        work.guard(names)

    await Store(client, store.database.name, rules=RULES).transact(step)
    await client.close()
    assert written == names


async def test_what_cannot_be_composed_leaves_nothing_of_its_guards(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guards are sent while the documents are composed: they end with them, before the transaction does."""
    composed = itertools.count(1)

    def compose(*given: Any) -> dict[str, Any]:
        if next(composed) == 30:
            raise RuntimeError("not to be composed")
        return documents.compose(*given)

    async def step(work: UnitOfWork) -> None:
        for number in range(60):
            work.create(patient(f"p{number}"))
        work.guard(f"g{number:03}" for number in range(100))

    bump, over = store_guards.bump, asyncio.Event()

    async def bumped(*given: Any) -> None:
        try:
            await bump(*given)
        finally:
            await asyncio.sleep(0.01)  # to cut a command off may take a while
            over.set()

    before = asyncio.all_tasks()
    with monkeypatch.context() as patched:
        patched.setattr(writing, "compose", compose)
        patched.setattr(store_guards, "bump", bumped)
        with pytest.raises(RuntimeError, match="not to be composed"):
            await store.transact(step)
        assert over.is_set()
    assert asyncio.all_tasks() <= before
    assert not any((await everything(store.database)).values())
    await store.transact(step)
    assert set((await guards(store.database)).values()) == {1}


async def test_bookings_of_different_practitioners_do_not_meet(store: Store) -> None:
    runs = 0

    async def other(work: UnitOfWork) -> None:
        nonlocal runs
        runs += 1
        work.create(appointment("other", practitioner="q"))

    await side_by_side(store, booking("mine"), other)
    assert runs == 1
    assert await store.count("Appointment", {}) == 2


async def test_a_change_that_claims_the_same_leaves_the_guards_alone(store: Store) -> None:
    await create(store, appointment("a"))
    before = (await everything(store.database))["guards"]
    await change(store, "Appointment", "a", status="arrived", comment="here")
    assert (await everything(store.database))["guards"] == before
    assert await guards(store.database) == {HOUR: 1}


async def test_a_move_writes_to_the_guards_of_both_times(store: Store) -> None:
    await create(store, appointment("a"))
    await change(store, "Appointment", "a", start="2024-01-20T12:00:00Z", end="2024-01-20T12:30:00Z")
    assert await guards(store.database) == {HOUR: 2, "Practitioner/p|2024-01-20T12": 1}


async def test_a_move_within_the_hour_writes_to_its_guard(store: Store) -> None:
    await create(store, appointment("a"))
    await change(store, "Appointment", "a", end="2024-01-20T10:15:00Z")
    assert await guards(store.database) == {HOUR: 2}


async def test_what_claims_nothing_writes_no_guard(store: Store) -> None:
    await create(store, patient("a"), appointment("b", status="proposed"))
    assert await guards(store.database) == {}


async def test_a_guard_alone_can_be_asked_for(store: Store, clock: Clock) -> None:
    async def step(work: UnitOfWork) -> None:
        work.guard(["b", "a", "b"])

    await store.transact(step)
    assert await guards(store.database) == {"a": 1, "b": 1}
    assert (await document(store.database, "guards", "a"))["at"] == clock()
