"""Foresight decides nothing: whatever is asked of whatever is stored, the answer is that of reading step by step."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from itertools import repeat
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pymongo.read_concern import ReadConcern

from adapter.errors import Refused
from adapter.scheduling.occupancy import CAPACITY
from store.codec import Resource
from store.snapshot import Snapshot
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import (
    advancing,
    booking,
    linking,
    moving,
    role,
    schedule,
    settling,
    slot,
)
from tests.adapter.scheduling.test_settling_property import clock, moves_along, once, slots, visits, writes
from tests.adapter.scheduling.weekly import weekly
from tests.scale import examples
from tests.store.support import RULES, create, emptied

P, Q, R, ROOM = "Practitioner/p", "Practitioner/q", "PractitionerRole/r", "Location/room"
COMPUTED = ("w.20240120T1000Z.30", "w.20240120T1030Z.30")  # openings of the weekly hours
STORED, NAMED = "xyzw", ("a", "b", "c", "k", "m", "n", "none", *COMPUTED)
Step = Callable[[UnitOfWork], Awaitable[Any]]

roles = st.builds(role, st.sampled_from(["r", "o"]), st.sampled_from(["p", "q", None]))
calendars = st.builds(
    lambda ident, who, more: schedule(ident, who, **more),
    st.sampled_from("stu"),
    st.sampled_from([P, Q, R, ROOM]),
    st.sampled_from([{}, {}, {"active": False}]),
)
hours = st.builds(lambda who: weekly(actors=(who,)), st.sampled_from([P, Q, R]))
groups = st.builds(
    lambda quarter, status: {
        **slot("k", clock(quarter), clock(quarter + 3), status=status, schedule="t"),
        "extension": [{"url": CAPACITY, "valueInteger": 2}],
    },
    st.integers(0, 3),
    st.sampled_from(["free", "busy"]),
)
of_rooms = st.builds(
    lambda ident, quarter, status: slot(ident, clock(quarter), clock(quarter + 2), status=status, schedule="u"),
    st.sampled_from("mn"),
    st.integers(0, 3),
    st.sampled_from(["free", "busy"]),
)
taking = st.builds(
    lambda made, status, named: {**made, "status": status} | (linking(*named) if named else {}),
    visits(),
    st.sampled_from(["booked", "booked", "booked", "pending", "proposed"]),
    st.one_of(
        st.just([]), st.just([]), st.lists(st.sampled_from(["a", "k", "m", "n", *COMPUTED]), max_size=2, unique=True)
    ),
)
usual = (
    role("r"),
    schedule("s", P, "Location/l"),
    schedule("t", R),
    schedule("u", ROOM),
    *(slot(ident, clock(quarter), clock(quarter + 2)) for ident, quarter in (("a", 0), ("b", 2), ("c", 4))),
)
changed = st.lists(st.one_of(roles, calendars, hours, groups, of_rooms, slots(), visits()), max_size=5)
worlds = st.builds(
    lambda changed, taken, missing: [*(one for at, one in enumerate(usual) if at not in missing), *taken, *changed],
    changed,
    st.lists(taking, max_size=4),
    st.one_of(st.just(()), st.sets(st.integers(0, len(usual)), max_size=2)),
)
"""Anything at all, whether or not any decision could have left it so; the last of an id counts."""

times = st.builds(
    lambda start, length: (clock(start), None if length is None else clock(start + length)),
    st.integers(0, 6),
    st.one_of(st.none(), st.integers(1, 6)),
)
by_slot = st.one_of(st.none(), st.none(), st.none(), st.sampled_from(NAMED))


def to_book(made: Resource, ends: bool) -> Resource:
    left_out = ("slot",) if ends else ("slot", "end")
    return {name: value for name, value in made.items() if name not in left_out} | {"id": "new"}


bookings = st.tuples(st.just("book"), st.builds(to_book, taking, st.booleans()), by_slot)
moves = st.builds(
    lambda ident, when, slot_id: ("move", ident, *when, slot_id),
    st.sampled_from(STORED),
    times,
    by_slot,
)
statuses = moves_along().map(lambda one: ("advance", one[0].partition("/")[2], one[1]))
sets = st.lists(st.one_of(writes, taking, taking, taking, calendars, roles, of_rooms), min_size=1, max_size=3).map(
    lambda wanted: ("settle", wanted)
)
alone = st.lists(taking, min_size=1, max_size=1).map(lambda wanted: ("settle", wanted))
asked = st.one_of(bookings, bookings, bookings, moves, moves, statuses, sets, alone)


def steps(wanted: list[Any], there: dict[str, Resource]) -> list[Step]:
    """The steps that are asked for, those left out that are about what is not there."""
    made: list[Step] = []
    for kind, *rest in copy.deepcopy(wanted):
        if kind == "book":
            made.append(booking(*rest))
        elif kind == "settle":
            asked_for = once(rest[0], there)
            made += [settling(*asked_for)] if asked_for else []
        elif f"Appointment/{rest[0]}" in there:
            made.append(moving(*rest) if kind == "move" else advancing(*rest))
    return made


async def outcome(step: Step, work: UnitOfWork) -> Any:
    """What is to be written for it, and where rivals are met; or what it is refused for."""
    try:
        await step(work)
    except Refused as refused:
        return type(refused), refused.problems
    return work.staged


@given(worlds, st.lists(asked, min_size=4, max_size=8))
@settings(max_examples=examples(90), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_foresight_changes_no_decision(store: Store, world: list[Resource], wanted: list[Any]) -> None:
    await emptied(store)
    made = await create(store, *{(one["resourceType"], one["id"]): one for one in world}.values())
    there = {f"{one['resourceType']}/{one['id']}": one for one in made}

    def deciding(snapshots: Iterable[Snapshot]) -> list[Coroutine[Any, Any, Any]]:
        units = (UnitOfWork(snapshot, RULES, store.now()) for snapshot in snapshots)
        return [outcome(step, unit) for step, unit in zip(steps(wanted, there), units, strict=False)]

    async with store.database.client.start_session() as session:
        await session.start_transaction(read_concern=ReadConcern("snapshot"))  # nothing is written in it
        blind = Snapshot(store.database, session, ahead=False)
        expected = [await one for one in deciding(repeat(blind))]
        each = (Snapshot(store.database, session) for _ in repeat(None))
        assert [await one for one in deciding(each)] == expected
        together = Snapshot(store.database, session, joins=True)
        assert await asyncio.gather(*deciding(repeat(together))) == expected
        await session.abort_transaction()
    for one in expected:
        event(" ".join(sorted({problem.code for problem in one[1]})) if isinstance(one, tuple) else "accepted")
