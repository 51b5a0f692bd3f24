"""Free Slots that nobody can have, because their practitioner is engaged elsewhere, are offered by no door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapter.scheduling import claiming, engaged
from adapter.scheduling.intervals import Interval
from adapter.scheduling.lookup import Wanted
from adapter.scheduling.occupancy import CAPACITY
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling import looking
from tests.adapter.scheduling.growth import SLACK, lines_run
from tests.adapter.scheduling.support import linking, of_type, role, schedule, slot, span, visit
from tests.store.support import change, create, explain

DAY = span("00:00", "23:59")
SEARCHES: list[dict[str, Any]] = [{}, {"actors": (("Practitioner/p",),)}]


async def offered(store: Store, window: Interval = DAY, **wanted: Any) -> list[str]:
    """What is open, asked for by everybody's calendar and by the practitioner's own: the same."""
    found = [
        [one.ident for one in await looking.openings(store, Wanted(window, **asked, **wanted), zone=UTC)]
        for asked in SEARCHES
    ]
    assert found[0] == found[1]
    return found[0]


def at_two_places(*more: Resource) -> list[Resource]:
    """Practitioner p publishes the same hour at two places."""
    return [
        schedule("s"),
        schedule("t", "Practitioner/p", "Location/m"),
        *(slot(ident, schedule=of) for ident, of in (("a", "s"), ("b", "t"))),
        *(slot(ident, "10:30", "11:00", schedule=of) for ident, of in (("c", "s"), ("d", "t"))),
        *more,
    ]


async def test_who_is_at_one_place_is_not_offered_at_the_other(store: Store) -> None:
    await create(store, *at_two_places(slot("busy", "11:00", "11:30", status="busy")))
    assert await offered(store) == ["a", "b", "c", "d"]
    await create(store, visit("x", "11:00", **linking("busy"), end="11:30"), slot("e", "11:15", "11:45", schedule="t"))
    assert await offered(store) == ["a", "b", "c", "d"]
    await create(store, visit("y", "10:00", "10:15"))
    assert await offered(store) == ["c", "d"]


@pytest.mark.parametrize(
    ("taking", "left"),
    [
        (visit("x", status="cancelled"), ["a", "b", "c", "d"]),
        (visit("x", status="proposed"), ["a", "b", "c", "d"]),
        (visit("x", appointmentType=of_type("WALKIN")), ["a", "b", "c", "d"]),
        (visit("x", who=("Practitioner/q",)), ["a", "b", "c", "d"]),
        (visit("x", status="pending"), ["c", "d"]),
        (visit("x", "09:00", "10:30"), ["c", "d"]),
        (visit("x", "10:15", "10:45"), []),
        ({**visit("x"), "start": "2024-01-19T23:00:00Z", "end": "2024-01-20T10:05:00Z"}, ["c", "d"]),
        (visit("x", who=("PractitionerRole/r",)), ["c", "d"]),
        (visit("x", who=("Practitioner/q", "Practitioner/p")), ["c", "d"]),
    ],
)
async def test_what_holds_their_time_is_in_the_way_and_nothing_else(
    store: Store, taking: Resource, left: list[str]
) -> None:
    await create(store, *at_two_places(role("r"), taking))
    assert await offered(store) == left


@pytest.mark.parametrize("begun", ["2024-01-18T12:00:00Z", "2023-12-20T11:00:00Z"])
async def test_who_has_been_engaged_for_days_is_not_offered(store: Store, begun: str) -> None:
    """The longest visit of all among them: from day to day, each day's window."""
    long = {**visit("x", end="10:10"), "start": begun}
    await create(store, *at_two_places(long))
    assert await offered(store) == ["c", "d"]


LONG = {**slot("long"), "end": "2024-01-23T10:00:00Z"}
"""A Slot of three days."""
THIRD_DAY = {"start": "2024-01-23T09:00:00Z", "end": "2024-01-23T09:30:00Z"}


@pytest.mark.parametrize("ends", ["2024-01-23T10:00:00Z", "2024-02-20T10:00:00Z"])
async def test_a_slot_of_days_is_not_offered_where_its_practitioner_is_engaged_on_a_later_one(
    store: Store, ends: str
) -> None:
    last = datetime.fromisoformat(ends) - timedelta(minutes=15)
    taken = {**visit("x"), "start": last.isoformat(), "end": (last + timedelta(days=1)).isoformat()}
    await create(store, schedule("s"), {**LONG, "end": ends}, slot("a", "11:00", "11:30"))
    assert await offered(store) == ["long", "a"]
    await create(store, taken)
    assert await offered(store) == ["a"]
    assert await offered(store, span("00:00", "11:00")) == []


async def test_so_is_one_whose_room_is_had_on_a_later_day(store: Store) -> None:
    later = {**slot("later", status="busy"), **THIRD_DAY}
    await create(store, schedule("s", "Location/l"), LONG, later, visit("x", **linking("later")))
    for wanted in (Wanted(DAY), Wanted(DAY, (("Location/l",),))):
        assert await looking.openings(store, wanted, zone=UTC) == []


async def test_slots_that_overlap_in_one_schedule_cannot_both_be_had(store: Store) -> None:
    await create(
        store, schedule("s"), slot("half", status="busy"), slot("whole", end="11:00"), slot("next", "10:30", "11:00")
    )
    await create(store, visit("x", **linking("half")))
    assert await offered(store) == ["next"]


async def test_a_slot_for_several_is_offered_to_those_who_join(store: Store) -> None:
    group = {**slot("group"), "extension": [{"url": CAPACITY, "valueInteger": 3}]}
    await create(store, schedule("s"), group, visit("x", **linking("group")))
    assert await offered(store) == ["group"]
    await create(store, visit("y"))
    assert await offered(store) == []


async def test_a_schedule_of_a_role_is_that_of_its_practitioner(store: Store) -> None:
    await create(store, role("r"), schedule("s", "PractitionerRole/r"), slot("a"), visit("x"))
    window = Wanted(DAY)
    assert await looking.openings(store, window, zone=UTC) == []


async def test_what_is_about_to_move_is_in_nobodys_way(store: Store) -> None:
    await create(store, *at_two_places(visit("x")))
    assert await offered(store, without=frozenset({"Appointment/x"})) == ["a", "b", "c", "d"]


async def test_rooms_are_taken_by_their_slots_alone(store: Store) -> None:
    await create(store, schedule("s", "Location/l"), slot("a"), visit("x", who=("Location/l",)))
    assert [one.ident for one in await looking.openings(store, Wanted(DAY), zone=UTC)] == ["a"]
    asked = Wanted(DAY, (("Location/l",),))
    assert [one.ident for one in await looking.openings(store, asked, zone=UTC)] == ["a"]


@pytest.mark.parametrize("opens", ["00:00", "10:10"])
async def test_of_a_room_what_says_when_and_whose_it_is_is_in_the_way_by_whatever_address(
    store: Store, opens: str
) -> None:
    """It may have begun before the time that is asked for; what came from elsewhere than our doors is passed over."""
    far = {"schedule": {"reference": "https://elsewhere.example/fhir/Schedule/s"}}
    had = {**slot("had", status="busy"), **far}
    await create(store, schedule("s", "Location/l"), slot("a", "10:15", "10:45"), slot("b", "11:00", "11:30"))
    await create(store, had, visit("x", who=(), **linking("had")))

    async def both_ways() -> list[str]:
        asked = [Wanted(span(opens, "12:00"), actors) for actors in ((), (("Location/l",),))]
        by_all, by_room = [await looking.openings(store, one, zone=UTC) for one in asked]
        assert by_all == by_room
        return [one.ident for one in by_all]

    assert await both_ways() == ["b"]
    for kept in (far, {"schedule": slot("had")["schedule"]}):
        await change(store, "Slot", "had", status="entered-in-error", **kept)
        assert await both_ways() == ["a", "b"]
    for wrong in ({"$set": {"_index.schedule": ["Schedule/s", "Schedule/t"]}}, {"$unset": {"_index.end": ""}}):
        await change(store, "Slot", "had", status="busy", comment=str(wrong))
        assert await both_ways() == ["b"]
        await store.database["Slot"].update_one({"_id": "had"}, wrong)
        assert await both_ways() == ["a", "b"]


async def test_what_can_be_in_the_way_goes_as_far_as_the_slots_that_matter(store: Store) -> None:
    long = {**slot("long", schedule="t"), "end": "2024-01-23T10:00:00Z"}
    await create(store, schedule("s"), schedule("t", "Practitioner/q"), slot("a"), long)
    usual, far = DAY.end + timedelta(days=1), datetime(2024, 1, 23, 10, tzinfo=UTC)
    for matters, end in (([schedule("s")], usual), ([schedule("t")], far), (None, far)):
        assert await engaged.near(store, DAY, matters) == Interval(DAY.start, end)
    # What came from elsewhere than our doors is no reason to offer nothing.
    for wrong in (["Schedule/s", "Schedule/t"], None):
        await store.database["Slot"].update_one({"_id": "long"}, {"$set": {"_index.schedule": wrong}})
        assert await engaged.near(store, DAY, [schedule("t")]) == Interval(DAY.start, usual)


async def test_every_query_has_an_index_and_there_are_few(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(store, *at_two_places(visit("x")))
    asked: list[tuple[str, Any]] = []
    for name in ("documents", "values"):
        original = getattr(store, name)

        async def counted(kind: str, query: Any, *rest: Any, of: Any = original, **options: Any) -> Any:
            asked.append((kind, query))
            return await of(kind, query, *rest, **options)

        monkeypatch.setattr(store, name, counted)
    month = Interval(DAY.start, DAY.start + timedelta(days=30))
    for schedules in (None, [schedule("s"), schedule("t")]):
        asked.clear()
        reach = await engaged.near(store, month, schedules)
        assert await engaged.slots(store, month, reach, schedules) == ["a", "b"]
        assert len(asked) <= 6
        for kind, query in asked:
            explained = await explain(store, kind, query)
            assert "COLLSCAN" not in str(explained["queryPlanner"]["winningPlan"]), (kind, query)


async def test_what_later_queries_find_is_not_offered_either(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "_MOST", 1)
    await create(store, *at_two_places(visit("x", "09:30", "10:45")))
    assert await offered(store) == []


async def test_nor_is_what_they_find_of_rooms(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "_MOST", 1)
    for ident in ("l", "m"):
        had = slot(f"had-{ident}", "09:00", "10:15", status="busy", schedule=ident)
        taking = visit(ident, "09:00", "10:15", who=(), **linking(f"had-{ident}"))
        await create(store, schedule(ident, f"Location/{ident}"), had, taking, slot(f"free-{ident}", schedule=ident))
    found = await looking.openings(store, Wanted(span("10:00", "12:00")), zone=UTC)
    assert [one.ident for one in found] == []


async def test_what_is_in_the_way_is_told_without_comparing_each_slot_with_each_visit(store: Store) -> None:
    async def lines(count: int) -> int:
        who = f"Practitioner/{count}"
        theirs = schedule(f"s{count}", who)
        await create(store, theirs, slot(f"taken{count}", "10:04", "10:12", schedule=theirs["id"]))
        for n in range(count):
            free = slot(f"{count}.{n}", "10:00", "10:05", schedule=theirs["id"])
            await create(store, free, visit(f"{count}.{n}", "10:10", "10:15", who=(who,)))
        with lines_run() as counted:
            assert await engaged.slots(store, DAY, DAY, [theirs]) == [f"taken{count}"]
        return counted[0]

    assert await lines(60) <= await lines(15) * SLACK * 4


async def test_many_visits_are_filed_beside_other_requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engaged, "_FEW", 0)
    await create(store, *at_two_places(visit("x")))
    assert await offered(store) == ["c", "d"]
