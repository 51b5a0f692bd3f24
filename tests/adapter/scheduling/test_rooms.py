"""A room is had by one visit at a time, whichever of its Slots they name: overlapping ones are in each other's way."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Conflict, Unprocessable
from adapter.scheduling import claiming, commands, engaged, rooms
from adapter.scheduling.intervals import Interval
from adapter.scheduling.lookup import Wanted
from adapter.scheduling.wish import MOVING
from store.codec import Resource
from store.source import Documents, Find
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling import looking
from tests.adapter.scheduling.growth import SLACK, lines_run
from tests.adapter.scheduling.sharing import group, over
from tests.adapter.scheduling.support import (
    at,
    linking,
    links,
    move,
    moving,
    of_type,
    refused,
    schedule,
    settle_all,
    settling,
    slot,
    statuses,
    visit,
)
from tests.adapter.scheduling.test_engaged import DAY
from tests.adapter.scheduling.weekly import weekly
from tests.store.support import change, create, explain, present, side_by_side

P, ROOM = "Practitioner/p", "Location/room"
QUARTER = timedelta(minutes=15)
TAKEN = [("slot_unavailable", "Appointment.slot[0]", 0)]
COMPUTED = "w.20240120T1030Z.30"
HALF, WHOLE = slot("half", "10:30", "11:00"), slot("whole", "10:00", "11:00")


async def of_room(store: Store, *slots: Resource, actors: tuple[str, ...] = (ROOM,)) -> None:
    """A room (or what is named) with two Schedules, s and t."""
    await create(store, schedule("s", *actors), schedule("t", *actors), *slots)


def of(schedule_: str, one: Resource) -> Resource:
    return {**one, "schedule": {"reference": f"Schedule/{schedule_}"}}


def half(ident: str = "x", name: str = "half", **more: Any) -> Resource:
    return visit(ident, "10:30", "11:00", **{"who": ()} | linking(name) | more)


def whole(ident: str = "y", **more: Any) -> Resource:
    return visit(ident, "10:00", "11:00", **{"who": ()} | linking("whole") | more)


async def offered(store: Store, *actors: str, **wanted: Any) -> list[str]:
    asked = Wanted(DAY, (actors,) if actors else (), **wanted)
    return [one.ident for one in await looking.openings(store, asked, zone=UTC)]


def told(results: list[Any]) -> list[type[Exception]]:
    return [type(result) for result in results if isinstance(result, Exception)]


# Which Slots are in each other's way.


@pytest.mark.parametrize("where", ["s", "t"])
@pytest.mark.parametrize("actors", [(ROOM,), (ROOM, "Location/site"), ("Device/d",), ("Device/d", ROOM)])
async def test_slots_that_overlap_are_not_both_had(store: Store, where: str, actors: tuple[str, ...]) -> None:
    near = (slot("next", "11:00", "11:30"), slot("quarter", "10:00", "10:15", schedule="t"))
    await of_room(store, of(where, HALF), WHOLE, *near, actors=actors)
    await settle_all(store, visit("z", "10:00", "10:15", who=(), **linking("quarter")))
    await settle_all(store, half(), visit("z", "10:00", "10:15", who=(), status="cancelled"))
    assert await offered(store) == await offered(store, *actors) == ["quarter", "next"]
    assert await refused(store, whole()) == TAKEN
    with pytest.raises(Conflict, match="room or device then, by a slot that overlaps it") as raised:
        await settle_all(store, whole())
    assert raised.value.problems[0].details == {"slots": ["whole"], "appointments": ["x"]}
    await settle_all(store, half(status="cancelled"), whole())
    assert await statuses(store, "half", "whole") == ["free", "busy"]
    assert await offered(store) == ["next"]
    assert await refused(store, half("other")) == TAKEN


@pytest.mark.parametrize("actors", [(P,), (P, ROOM), ("HealthcareService/h", ROOM), ("Patient/1",)])
async def test_what_is_no_rooms_is_told_by_the_slot_alone(store: Store, actors: tuple[str, ...]) -> None:
    await of_room(store, HALF, WHOLE, actors=actors)
    await settle_all(store, half())
    assert await offered(store) == ["whole"]
    await settle_all(store, whole())


def test_several_places_are_one_room_in_whatever_order_they_are_named() -> None:
    places = [f"Location/{name}" for name in "abcdef"]
    assert rooms.of(schedule("s", *places)) == rooms.of(schedule("s", *reversed(places))) == "+".join(places)


async def test_of_two_slots_of_one_set_in_the_same_hour_each_meets_who_has_the_room_then(store: Store) -> None:
    early = slot("early", "10:00", "10:15")
    await of_room(store, early, HALF, slot("k", "10:45", "11:00", schedule="t"))
    await settle_all(store, visit("z", "10:45", "11:00", who=(), **linking("k")))
    both = visit("y", "10:00", "10:15", who=(), **linking("early")), half()
    assert await refused(store, *both) == [("slot_unavailable", "Appointment.slot[0]", 1)]
    await settle_all(store, both[0])


async def test_who_is_about_to_move_is_in_nobodys_way_in_a_room(store: Store) -> None:
    await of_room(store, HALF, of("t", WHOLE))
    await settle_all(store, half())
    for actors in ((), (ROOM,)):
        assert await offered(store, *actors) == []
        assert await offered(store, *actors, without=frozenset({"Appointment/x"})) == ["whole"]


async def test_a_group_with_places_left_has_the_room_where_openings_are_computed(store: Store) -> None:
    await create(store, weekly("w", actors=(ROOM,)), schedule("s", ROOM), group("g", 3, "10:30", "11:00"))
    assert COMPUTED in await offered(store)
    await settle_all(store, half("x", "g"))
    assert COMPUTED not in await offered(store)


async def test_another_room_or_device_at_the_site_is_another(store: Store) -> None:
    await create(store, schedule("s", ROOM, "Location/site"), HALF, schedule("t", "Location/m", "Location/site"))
    await create(store, of("t", WHOLE), schedule("d", "Device/d", ROOM), of("d", slot("other", "10:00", "11:00")))
    await settle_all(store, half())
    assert await offered(store) == ["other", "whole"]
    await settle_all(store, whole(), visit("z", "10:00", "11:00", who=(), **linking("other")))


async def test_a_device_is_the_same_wherever_it_is_said_to_be(store: Store) -> None:
    await create(store, schedule("s", "Device/d", ROOM), HALF, schedule("t", "Device/d", "Location/m"), of("t", WHOLE))
    await settle_all(store, half())
    assert await offered(store) == []
    assert await refused(store, whole()) == TAKEN


def test_an_actor_that_is_not_referred_to_may_be_anybody() -> None:
    unknown = {"resourceType": "Schedule", "actor": [{"reference": ROOM}, {"display": "Dr. Okello"}]}
    assert (rooms.of(unknown), rooms.of({}), rooms.of(schedule("s", ROOM))) == ("", "", ROOM)


async def test_two_of_one_set_meet_too_and_a_visit_has_overlapping_slots_itself(store: Store) -> None:
    await of_room(store, HALF, WHOLE)
    assert await refused(store, half(), whole()) == [*TAKEN, ("slot_unavailable", "Appointment.slot[0]", 1)]
    both = whole(**linking("half", "whole"))
    await settle_all(store, both)
    await settle_all(store, {**both, "description": "still"})


async def test_by_hand_nobody_has_the_room(store: Store) -> None:
    await of_room(store, slot("half", "10:30", "11:00", status="busy"), WHOLE)
    assert await offered(store) == ["whole"]
    await settle_all(store, whole())
    assert await refused(store, half()) == TAKEN


# Who may be there beside others.


async def test_several_share_a_room_by_a_slot_for_several_alone(store: Store) -> None:
    await of_room(store, HALF, group("whole", 3, "10:00", "11:00"))
    await settle_all(store, whole("one"))
    assert await offered(store) == ["whole"]
    assert await refused(store, half()) == TAKEN
    await settle_all(store, half("two", **linking("half", "whole")))
    await settle_all(store, whole("three"))
    assert await statuses(store, "half", "whole") == ["busy", "busy"]


async def test_who_has_both_slots_for_several_hides_nobody_who_has_the_other_alone(store: Store) -> None:
    await of_room(store, group("half", 3, "10:30", "11:00"), group("whole", 3, "10:00", "11:00"))
    await settle_all(store, half("a", **linking("half", "whole")))
    await settle_all(store, whole("b"))
    assert await refused(store, half("c")) == TAKEN
    await settle_all(store, half("c", **linking("half", "whole")))


async def test_who_lets_go_of_what_several_share_has_the_room_no_longer(store: Store) -> None:
    """By that alone the two were there at once; it is no way to what is refused when it is asked for at once."""
    await of_room(store, HALF, group("whole", 2, "10:00", "11:00"))
    await settle_all(store, half(**linking("half", "whole")), whole())
    assert await refused(store, half()) == TAKEN
    assert await refused(store, half(), group("whole", 1, "10:00", "11:00")) == TAKEN
    await settle_all(store, visit("x", "10:30", "10:50", who=()))  # it names none, and keeps both
    assert await refused(store, visit("x", "10:30", "10:50", who=(), **linking("half"))) == TAKEN
    await settle_all(store, whole(status="cancelled"), half())
    assert await statuses(store, "half", "whole") == ["busy", "free"]


async def test_who_leaves_the_time_that_several_share_keeps_the_rest(store: Store) -> None:
    await of_room(store, slot("all", "10:00", "11:00"), group("early", 2, "10:00", "10:30"))
    await settle_all(store, visit("x", "10:00", "11:00", who=(), **linking("all", "early")))
    await settle_all(store, visit("y", who=(), **linking("early")))
    await settle_all(store, visit("x", "10:30", "11:00", who=(), **linking("all")))
    assert await statuses(store, "all", "early") == ["busy", "free"]


@pytest.mark.parametrize("leaving", [False, True])
async def test_who_was_booked_over_lets_go_of_what_they_share_and_keeps_the_room(store: Store, leaving: bool) -> None:
    await of_room(store, HALF, WHOLE)
    both = half(**linking("half", "whole"))
    await settle_all(store, whole() if leaving else both)
    await store.transact(settling(over(both if leaving else whole()), overbooks="key-1"))
    await settle_all(store, over(half()) if leaving else half())
    assert await statuses(store, "half", "whole") == ["busy", "busy"], "each has the one that is left to it"


async def test_who_books_over_others_has_it_and_holds_it_like_any_other(store: Store) -> None:
    await of_room(store, HALF, WHOLE)
    await settle_all(store, half())
    booked = await store.transact(settling(over(whole()), overbooks="key-1"))
    assert links(booked[0].after or {}) == ["Slot/whole"]
    assert await refused(store, whole()) == TAKEN  # without the reason
    assert await refused(store, half("z")) == TAKEN
    await settle_all(store, half(status="arrived"))


async def test_who_books_over_another_of_the_same_set_is_not_in_its_way(store: Store) -> None:
    await of_room(store, HALF, WHOLE)
    await store.transact(settling(half(), over(whole()), overbooks="key-1"))
    assert await statuses(store, "half", "whole") == ["busy", "busy"]


async def test_a_walk_in_holds_the_slot_that_it_names(store: Store) -> None:
    await of_room(store, HALF, WHOLE)
    await settle_all(store, half(appointmentType=of_type("WALKIN")))
    assert await refused(store, whole()) == TAKEN
    assert await refused(store, whole(appointmentType=of_type("EMERGENCY"))) == TAKEN


# What was there first.


async def test_what_it_had_it_keeps_and_of_more_it_is_judged(store: Store) -> None:
    await of_room(store, slot("early", "10:00", "10:30"), HALF)
    early = visit("y", "10:00", "10:30", who=(P,), **linking("early"))
    await settle_all(store, half(), early)
    await change(store, "Slot", "early", end="2024-01-20T11:00:00Z")
    await settle_all(store, {**early, "end": "2024-01-20T10:20:00Z"})
    await settle_all(store, visit("y", "10:05", "10:25"))
    assert await refused(store, visit("y", "10:30", "10:50", **linking("early"))) == TAKEN
    with pytest.raises(Conflict):
        await move(store, "y", "10:30", "10:50")
    await move(store, "y", "10:10", "10:30")
    assert links((await settle_all(store, visit("y", "10:00", "10:30")))[0]) == ["Slot/early"]


async def test_a_copy_is_refused_where_two_are_there_at_once(store: Store) -> None:
    await of_room(store, HALF, WHOLE, of("t", slot("moved", "10:00", "11:00")))
    await settle_all(store, half())
    assert await refused(store, whole(), copied=True) == TAKEN
    await settle_all(store, visit("early", who=(), **linking("whole")), copied=True)
    # A Schedule may have been another room's then.
    await create(store, slot("timeless", "10:30", "10:30"))
    await settle_all(store, whole("z", **linking("moved", "timeless")), copied=True)
    await settle_all(store, half(status="cancelled"), half("v"), copied=True)  # who has the whole one was there before


# Openings that are computed, and rooms that move along.


@pytest.mark.parametrize("where", ["w", "t"])
async def test_published_and_computed_ones_are_in_each_others_way(store: Store, where: str) -> None:
    await create(store, weekly("w", actors=(ROOM,)), schedule("t", ROOM), of(where, WHOLE))
    await settle_all(store, half(name=COMPUTED))
    assert await refused(store, whole()) == TAKEN
    assert "whole" not in await offered(store, ROOM)
    await settle_all(store, half(status="cancelled"), whole())
    there = await offered(store, ROOM)
    assert [ident for ident in there if "T10" in ident] == []
    assert await refused(store, half("z", COMPUTED)) == TAKEN
    # One of its own Schedule that is busy says so itself.
    freed = 2 if where == "t" else 0
    assert len(await offered(store, ROOM, without=frozenset({"Appointment/y"}))) == len(there) + freed


async def test_a_place_in_a_slot_for_several_closes_computed_ones(store: Store) -> None:
    await create(store, weekly("w", actors=(ROOM,)), of("w", group("whole", 3, "10:00", "11:00")))
    assert COMPUTED in await offered(store, ROOM)
    await settle_all(store, whole())
    assert [ident for ident in await offered(store, ROOM) if ident == "whole" or "T10" in ident] == ["whole"]


async def test_a_room_moves_along_only_where_it_is_not_had(store: Store) -> None:
    await create(store, schedule("p", P), *(of("p", slot(f"p{n}", f"{n}:30", f"{n + 1}:00")) for n in (10, 12)))
    await of_room(store, HALF, slot("noon", "12:30", "13:00"), of("t", slot("long", "12:00", "13:00")))
    await settle_all(store, visit("x", "10:30", "11:00", who=(P, ROOM), **linking("p10", "half")))
    await settle_all(store, visit("y", "12:00", "12:30", who=(), **linking("long")))
    with pytest.raises(Conflict) as raised:
        await move(store, "x", "12:30", "13:00")
    assert raised.value.problems[0].details == {"slots": ["noon"], "schedules": ["s"]}
    await settle_all(store, visit("y", "12:00", "12:30", who=(), status="cancelled"))
    assert links(await move(store, "x", "12:30", "13:00")) == ["Slot/p12", "Slot/noon"]


@pytest.mark.parametrize(("start", "end", "stands"), [("12:50", "13:10", False), ("12:00", "12:30", True)])
async def test_a_room_that_moves_along_is_had_for_all_of_its_slot(
    store: Store, start: str, end: str, *, stands: bool
) -> None:
    near = slot("before", "12:00", "12:30"), of("t", slot("near", start, end))
    await of_room(store, HALF, slot("noon", "12:30", "13:00"), *near)
    await settle_all(store, half(), visit("y", start, end, who=(), **linking("near")))
    if stands:
        assert links(await move(store, "x", "12:30", "12:40")) == ["Slot/noon"]
    else:
        with pytest.raises(Conflict):
            await move(store, "x", "12:30", "12:40")


@pytest.mark.parametrize("named", [None, "noon"])
async def test_a_move_that_books_over_others_has_the_room_as_well(store: Store, named: str | None) -> None:
    await of_room(store, HALF, slot("noon", "12:30", "13:00"), of("t", slot("long", "12:00", "13:00")))
    await settle_all(store, half(), visit("y", "12:00", "12:30", who=(), **linking("long")))

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", "x")
        moved = over({**before, "start": at("12:30"), "end": at("13:00")})
        planned = await commands.reschedule(work, before, moved, slot_id=named, names=MOVING, overbooks=True)
        return commands.stage(work, before, planned)

    assert links(await store.transact(step)) == ["Slot/noon"]
    assert await statuses(store, "half", "noon", "long") == ["free", "busy", "busy"]


async def test_who_names_the_slot_of_the_room_in_a_move_is_asked_as_well(store: Store) -> None:
    await of_room(store, HALF, slot("noon", "12:30", "13:00"), of("t", slot("long", "12:00", "13:00")))
    await settle_all(store, half(), visit("y", "12:00", "12:30", who=(), **linking("long")))
    await create(store, slot("timeless", "12:30", "12:30"))
    for named, error in (("noon", Conflict), ("timeless", Unprocessable)):
        with pytest.raises(error):
            await move(store, "x", "12:30", "13:00", named)
    await settle_all(store, visit("y", "12:00", "12:30", who=(), status="cancelled"))
    assert links(await move(store, "x", "12:30", "13:00", "noon")) == ["Slot/noon"]


# Rivals.


async def rivals(store: Store, door: str) -> list[Any]:
    """Two who want Slots of a room that overlap, in two Schedules, and share no other document."""
    await of_room(store, of("t", HALF), WHOLE, slot("before", "08:00", "08:30"))
    await settle_all(store, visit("y", "08:00", "08:30", who=("Practitioner/q",), **linking("before")))
    second = settling(whole()) if door == "FHIR" else moving("y", "10:00", "11:00", "whole")
    return await side_by_side(store, settling(half(who=(P,))), second)


@pytest.mark.parametrize("door", ["FHIR", "MediLoop"])
async def test_of_two_who_want_a_room_at_once_one_has_it(store: Store, door: str) -> None:
    assert told(await rivals(store, door)) == [Conflict]


@pytest.mark.parametrize("door", ["FHIR", "MediLoop"])
async def test_without_guards_both_would_have_it(store: Store, door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "guards", lambda slot, known: ())
    assert told(await rivals(store, door)) == []


async def test_of_many_who_want_a_room_at_once_one_has_it(store: Store) -> None:
    slots = [of("st"[n % 2], slot(f"n{n}", "10:00", f"10:{n + 10}")) for n in range(8)]
    await of_room(store, *slots)
    wanted = [settling(visit(f"v{n}", "10:00", f"10:{n + 10}", who=(), **linking(f"n{n}"))) for n in range(8)]
    assert told(await side_by_side(store, *wanted)) == [Conflict] * 7


async def test_a_computed_one_meets_a_published_one(store: Store) -> None:
    await create(store, weekly("w", actors=(ROOM,)), schedule("t", ROOM), of("t", WHOLE))
    results = await side_by_side(store, settling(half(name=COMPUTED, who=(P,))), settling(whole()))
    assert told(results) == [Conflict]


# What is read.


async def test_every_query_has_an_index_and_without_a_room_there_is_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(store, schedule("p", P), of("p", slot("b")))
    await of_room(store, HALF, WHOLE)
    await settle_all(store, half())
    asked: list[tuple[str, Any]] = []
    original = Documents._find

    async def counted(self: Documents, find: Find) -> Any:
        asked.append((find.kind, find.query))
        return await original(self, find)

    monkeypatch.setattr(Documents, "_find", counted)
    assert await engaged.in_rooms(store, DAY, DAY, [schedule("p", P)]) == []
    assert asked == []
    assert await engaged.in_rooms(store, DAY, DAY, None) == ["whole"]
    assert len(asked) == 5

    async def nothing(work: UnitOfWork) -> None:
        asked.clear()
        await rooms.beside(work, [of("p", slot("b"))], {"Schedule/p": schedule("p", P)})
        assert asked == []

    await store.transact(nothing)
    with pytest.raises(Conflict):
        await store.transact(settling(whole()))
    monkeypatch.undo()
    for kind, query in asked:
        explained = await explain(store, kind, query)
        assert "COLLSCAN" not in str(explained["queryPlanner"]["winningPlan"]), (kind, query)


# Read in parts.


async def test_a_slot_that_a_later_query_finds_is_in_the_way_as_well(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_MOST", 1)
    await of_room(store, slot("early", "09:30", "10:45"), of("t", HALF))
    await settle_all(store, half())
    assert await refused(store, visit("y", "09:30", "10:45", who=(), **linking("early"))) == TAKEN


async def test_so_is_who_has_the_room_when_it_is_computed_what_is_open(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_MOST", 1)
    first = slot("first", "10:00", "10:30", schedule="t")
    await create(store, weekly("w", actors=(ROOM,)), schedule("t", ROOM), first, of("t", HALF))
    await settle_all(store, half(), visit("y", who=(), **linking("first")))
    assert await offered(store) == [f"w.20240120T{clock}Z.30" for clock in ("0900", "0930", "1100", "1130")]


# Many.


async def test_slots_of_a_room_that_overlap_are_not_compared_in_pairs(store: Store) -> None:
    async def lines(count: int) -> int:
        theirs, who = schedule(f"r{count}", f"Location/{count}"), {"who": (), **linking(f"{count}.0")}
        slots = [slot(f"{count}.{n}", "10:00", f"10:{30 + n % 30}", schedule=theirs["id"]) for n in range(count)]
        await create(store, theirs, *slots)
        with lines_run() as counted:
            assert await engaged.in_rooms(store, DAY, DAY, [theirs]) == []
        await create(store, visit(f"{count}", **who))
        with lines_run() as counted_held:
            assert len(await engaged.in_rooms(store, DAY, DAY, [theirs])) == count - 1
        return counted[0] + counted_held[0]

    assert await lines(60) <= await lines(15) * SLACK * 4


quarters = st.lists(st.integers(0, 8), min_size=2, max_size=2, unique=True).map(sorted)
held = st.lists(st.tuples(quarters, st.sets(st.sampled_from("xyz"))), min_size=1, max_size=8)


@given(held)
def test_whose_room_is_had_is_told_as_by_comparing_each_with_each(some: list[tuple[list[int], set[str]]]) -> None:
    in_order = sorted(some, key=lambda one: one[0])
    whens = {
        f"{n}": Interval(DAY.start + a * QUARTER, DAY.start + b * QUARTER) for n, ((a, b), _) in enumerate(in_order)
    }
    holders = {f"Slot/{n}": those for n, (_, those) in enumerate(in_order)}
    parts = [*engaged.apart({"_id": n, "_index": {"start": when.start, "end": when.end}} for n, when in whens.items())]
    assert [one["_id"] for part in parts for one in part] == [*whens]
    beside = {n: [f"Slot/{m}" for m, other in whens.items() if other.overlaps(when)] for n, when in whens.items()}
    assert [one["_id"] for part in parts for one in engaged.had(part, holders)] == [
        n for n, others in beside.items() if rooms.is_had(f"Slot/{n}", others, holders)
    ]


async def test_many_slots_are_judged_beside_other_requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engaged, "_FEW", 0)
    await of_room(store, HALF, WHOLE)
    await settle_all(store, half())
    assert await offered(store) == []
