"""What is open, as every door asks for it: filters, limits, services, indexes, and how many queries it takes."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapter.errors import Malformed
from adapter.scheduling import availability, holds, nobodys, openings
from adapter.scheduling.intervals import Interval
from adapter.scheduling.lookup import Wanted
from store.codec import Resource
from store.reading import Moment
from store.store import Store
from tests.adapter.scheduling import looking
from tests.adapter.scheduling.support import of_type, role, schedule, slot, span, visit
from tests.adapter.scheduling.weekly import available, open_on, parameters, weekly
from tests.store.support import create, explain

DAY = span("00:00", "23:59")
NOW = datetime(2024, 1, 15, tzinfo=UTC)
SYSTEM = "urn:types"


def typed(code: str) -> list[Resource]:
    return [{"coding": [{"system": SYSTEM, "code": code}]}]


def service(ident: str, minutes: int, **more: Any) -> Resource:
    return {"resourceType": "HealthcareService", "id": ident, "extension": [parameters(duration=minutes)], **more}


async def found(store: Store, window: Interval = DAY, **wanted: Any) -> list[str]:
    made = await looking.openings(store, Wanted(window, **wanted), zone=UTC)
    for one in made:
        assert one.slot["schedule"]["reference"] == f"Schedule/{one.schedule['id']}"
        assert one.stored == ("meta" in one.slot)
        assert one.slot["status"] == "free"
    return [one.slot["id"] for one in made]


async def test_published_and_computed_come_in_one_order_up_to_the_limit(store: Store) -> None:
    hours = available(open_on("", "10:00", "11:00"))
    await create(
        store, schedule("s"), slot("a"), slot("z", "10:30", "11:00"), weekly("w", hours, actors=("Practitioner/q",))
    )
    everything = ["a", "w.20240120T1000Z.30", "w.20240120T1030Z.30", "z"]
    assert await found(store) == everything
    assert await found(store, limit=3) == everything[:3]
    assert await found(store, actors=(("Practitioner/p", "Practitioner/x"), ("Location/l",))) == ["a", "z"]
    assert await found(store, actors=(("Practitioner/p",), ("Location/other",))) == []
    assert await found(store, minutes=31) == []
    assert await found(store, actors=(("Practitioner/q",),)) == everything[1:3]


async def test_who_needs_a_practitioner_passes_over_what_is_nobodys(store: Store) -> None:
    room = available(open_on("", "10:00", "10:30"))
    await create(
        store,
        role("taken"),
        role("vacant", None),
        role("vacant-too", None),
        schedule("s"),
        schedule("things", "Location/l", "Device/d"),
        schedule("vacant", "PractitionerRole/vacant", "PractitionerRole/vacant-too", "Location/l"),
        schedule("taken", "PractitionerRole/taken"),
        schedule("both", "PractitionerRole/vacant", "PractitionerRole/taken"),
        schedule("named", "PractitionerRole/vacant", "https://elsewhere.example.org/fhir/Practitioner/x"),
        weekly("room", room, actors=("Location/l",)),
        slot("a"),
        slot("b", schedule="things"),
    )
    useless = await looking.nobodys(store)
    assert useless == {"Schedule/things", "Schedule/vacant", "Schedule/room"}
    assert await found(store) == ["a", "b", "room.20240120T1000Z.30"]
    for actors in ((), (("Location/l",),)):
        assert await found(store, actors=actors, passed_over=useless) == ["a"]


async def test_without_vacant_roles_only_things_are_nobodys(store: Store) -> None:
    await create(store, schedule("s"), schedule("things", "Location/l"))
    assert await looking.nobodys(store) == {"Schedule/things"}


async def test_who_is_not_stored_may_be_nobody_too(store: Store) -> None:
    far = "https://elsewhere.example.org/fhir/{}"
    await create(
        store,
        {"resourceType": "Practitioner", "id": "p"},
        role("r"),
        role("ghosts", "ghost"),
        role("vacant", None),
        schedule("s"),
        schedule("role", "PractitionerRole/r"),
        schedule("one-of-two", "Practitioner/ghost", "PractitionerRole/r"),
        schedule("far", far.format("Practitioner/p")),
        schedule("ghost", "Practitioner/ghost", "Location/l"),
        schedule("ghosts", "PractitionerRole/ghosts", "PractitionerRole/vacant", "PractitionerRole/missing"),
        schedule("far-ghost", far.format("PractitionerRole/ghosts")),
        schedule("things", "Location/l", "Device/d"),
    )
    strangers = {"Schedule/ghost", "Schedule/ghosts", "Schedule/far-ghost"}
    assert await looking.nobodys(store) == {"Schedule/things"}
    assert await looking.nobodys(store, strangers=True) == {"Schedule/things", *strangers}


async def test_whose_practitioners_are_not_stored_is_looked_for_every_two_seconds(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this process writes is seen at once, what others do then; while one looks, the rest go by the last time."""
    other = Store(store.database.client, store.database.name, rules=store.rules)
    await create(store, schedule("p", "Practitioner/p"), schedule("q", "Practitioner/q"))
    assert await looking.nobodys(store, strangers=True) == {"Schedule/p", "Schedule/q"}
    await create(store, {"resourceType": "Practitioner", "id": "p"})
    assert await looking.nobodys(store, strangers=True) == {"Schedule/q"}
    await create(other, {"resourceType": "Practitioner", "id": "q"})
    assert await looking.nobodys(store, strangers=True) == {"Schedule/q"}
    begun, going, look = asyncio.Event(), asyncio.Event(), nobodys._of_strangers

    async def slowly(source: Moment) -> list[str]:
        begun.set()
        await going.wait()
        return await look(source)

    monkeypatch.setattr(nobodys, "_of_strangers", slowly)
    nobodys._looks[store].until = 0.0  # two seconds later
    first = asyncio.create_task(looking.nobodys(store, strangers=True))
    await begun.wait()
    assert await looking.nobodys(store, strangers=True) == {"Schedule/q"}
    going.set()
    assert await first == frozenset()
    assert await looking.nobodys(store, strangers=True) == frozenset()


async def test_a_role_and_a_schedule_of_ones_own_are_seen_at_once(store: Store) -> None:
    await create(store, {"resourceType": "Practitioner", "id": "p"}, schedule("s", "PractitionerRole/r"))
    assert await looking.nobodys(store, strangers=True) == {"Schedule/s"}
    await create(store, role("r"))
    assert await looking.nobodys(store, strangers=True) == frozenset()
    await create(store, schedule("t", "Practitioner/ghost"))
    assert await looking.nobodys(store, strangers=True) == {"Schedule/t"}


async def test_what_was_seen_of_an_earlier_moment_is_not_taken_for_the_present(store: Store) -> None:
    await create(store, schedule("s", "Practitioner/new"))
    async with store.moment() as old:
        assert await old.count("Patient", {}) == 0  # the first read: what is seen is of now
        await create(store, {"resourceType": "Practitioner", "id": "new"})
        assert await nobodys.schedules(old, store) == {"Schedule/s"}
    assert await looking.nobodys(store, strangers=True) == frozenset()


async def test_without_practitioners_things_alone_are_nobodys(store: Store) -> None:
    await create(store, schedule("things", "Location/l"))
    assert await looking.nobodys(store, strangers=True) == {"Schedule/things"}


async def test_codes_are_matched_with_and_without_their_system(store: Store) -> None:
    await create(
        store,
        weekly("w", available(open_on("", "10:00", "10:30")), serviceType=typed("Check"), specialty=typed("eyes")),
        schedule("s", specialty=typed("eyes")),
        slot("a", "12:00", "12:30"),
        {**slot("b", "13:00", "13:30"), "serviceType": typed("check")},
    )
    one = "w.20240120T1000Z.30"
    assert await found(store, service_types=("check",)) == [one, "b"]
    assert await found(store, service_types=(f"{SYSTEM}|CHECK",), specialties=("other", "eyes")) == [one, "b"]
    assert await found(store, specialties=(f"{SYSTEM}|eyes",)) == [one, "a", "b"]
    assert await found(store, service_types=("urn:other|check",)) == []
    await create(store, {**slot("c", "14:00", "14:30"), "serviceType": typed("x|y")})
    assert (
        await found(store, service_types=(r"x\|y",)) == await found(store, service_types=(rf"{SYSTEM}|x\|y",)) == ["c"]
    )
    assert await found(store, service_types=("x|y",)) == []


async def test_the_service_is_the_one_that_is_named_or_the_first_of_the_type_at_the_place(store: Store) -> None:
    here, there = [{"reference": "Location/l"}], [{"reference": "Location/m"}]
    await create(
        store,
        service("a", 10, type=typed("check"), location=there),
        service("b", 15, type=typed("check"), active=False),
        service("c", 20, type=typed("check"), location=here),
        service("d", 25, type=typed("check")),
        service("e", 40, type=typed("other")),
        weekly("w", available(open_on("", "10:00", "10:20")), serviceType=typed("check")),
        weekly("x", available(open_on("", "11:00", "11:40")), actors=("HealthcareService/e", "HealthcareService/no")),
        weekly("y", available(open_on("", "12:00", "12:30")), serviceType=[{"text": "any"}]),
    )
    assert await found(store) == ["w.20240120T1000Z.20", "x.20240120T1100Z.40", "y.20240120T1200Z.30"]


async def test_a_role_is_as_busy_as_who_plays_it(store: Store) -> None:
    hours = available(open_on("", "10:00", "11:00"))
    await create(store, role("r"), weekly("w", hours, actors=("PractitionerRole/r",)), visit("x"))
    assert await found(store) == ["w.20240120T1030Z.30"]


async def test_who_is_about_to_move_is_in_the_way_of_no_opening(store: Store) -> None:
    hours, first = available(open_on("", "10:00", "11:00")), "w.20240120T1000Z.30"
    holding = slot(first, status="busy", schedule="w")
    held = visit("x", slot=[{"reference": f"Slot/{first}"}])
    await create(store, weekly("w", hours), holding, held, visit("y", "10:30", "11:00"))
    assert await found(store) == []
    assert await found(store, without=frozenset({"Appointment/y"})) == ["w.20240120T1030Z.30"]


async def test_who_may_stand_beside_others_is_in_the_way_of_no_opening(store: Store) -> None:
    hours = available(open_on("", "10:00", "10:30"))
    await create(store, weekly("w", hours), visit("x", appointmentType=of_type("WALKIN")))
    assert await found(store) == ["w.20240120T1000Z.30"]


async def test_who_declined_is_not_busy_and_a_room_has_no_appointments(store: Store) -> None:
    hours = available(open_on("", "10:00", "10:30"))
    declined = visit("x")
    declined["participant"][1]["status"] = "declined"
    await create(store, weekly("w", hours), weekly("room", hours, actors=("Location/l",)), declined)
    assert await found(store) == ["room.20240120T1000Z.30", "w.20240120T1000Z.30"]


async def test_rooms_alone_are_busy_by_their_slots(store: Store) -> None:
    hours = available(open_on("", "10:00", "11:00"))
    busy = slot("busy", status="busy", schedule="room")
    await create(store, weekly("room", hours, actors=("Location/l",)), busy)
    assert await found(store) == ["room.20240120T1030Z.30"]


async def test_what_began_long_before_and_goes_on_is_in_the_way(store: Store) -> None:
    hours = available(open_on("", "10:00", "12:00"))
    long = {**visit("x"), "start": "2024-01-10T00:00:00Z", "end": "2024-01-20T10:30:00Z"}
    shut = {**slot("shut", status="busy-unavailable", schedule="w"), "start": "2024-01-10T00:00:00Z"}
    shut["end"] = "2024-01-20T11:00:00Z"
    await create(store, weekly("w", hours), long, shut)
    assert await found(store) == ["w.20240120T1100Z.30", "w.20240120T1130Z.30"]


async def test_thirty_days_of_twenty_schedules_take_as_many_queries_as_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(store, *(weekly(f"w{n}", actors=(f"Practitioner/p{n}",)) for n in range(20)))
    await looking.openings(store, Wanted(DAY), zone=UTC)
    queries: list[tuple[str, Any]] = []
    for name in ("documents", "find"):
        original = getattr(Moment, name)

        async def counted(self: Moment, kind: str, query: Any, *rest: Any, of: Any = original, **options: Any) -> Any:
            queries.append((kind, query))
            return await of(self, kind, query, *rest, **options)

        monkeypatch.setattr(Moment, name, counted)
    month = Interval(DAY.start, DAY.start + timedelta(days=30))
    assert len(await found(store, month)) == 30 * 20 * 6
    assert len(queries) <= 8
    for kind, query in queries:
        explained = await explain(store, kind, query)
        assert "COLLSCAN" not in str(explained["queryPlanner"]["winningPlan"]), (kind, query)


async def test_the_first_ones_come_with_the_number_of_all(store: Store) -> None:
    late = {**slot("late", "23:30"), "end": "2024-01-21T00:30:00Z"}
    await create(store, schedule("s"), slot("a"), slot("b", "10:30", "11:00"), late)

    async def shown(**wanted: Any) -> tuple[list[str], int]:
        page, total = await looking.first(store, Wanted(DAY, **wanted), zone=UTC)
        return [one.slot.get("id", f"({one.ident})") for one in page], total

    assert await shown(limit=2) == (["a", "b"], 3)
    assert await shown(limit=9) == (["a", "b", "late"], 3)
    assert await shown(limit=9, whole=True) == (["a", "b"], 2)
    assert await shown(limit=1, contents=False) == (["(a)"], 3)
    assert await shown() == ([], 3)
    hours = available(open_on("", "12:00", "12:30"), open_on("", "23:30", "00:30"))
    await create(store, weekly("w", hours, actors=("Practitioner/q",)))
    assert await shown(limit=3) == (["w.20240120T0000Z.30", "a", "b"], 6)
    assert await shown(limit=1) == (["w.20240120T0000Z.30"], 6)
    assert await shown(whole=True) == ([], 4)


async def test_a_page_has_what_comes_after_those_before_it_and_the_number_of_all(store: Store) -> None:
    large = {"comment": 1_000_000 * "x"}
    wide = [{**slot(f"a{n:02d}"), **large} for n in range(19)]
    await create(store, schedule("s"), slot("b", "10:30", "11:00"), slot("c", "11:00", "11:30"))
    for one in wide:  # all at once may be more than a transaction has room for in the cache of a small MongoDB
        await create(store, one)

    async def shown(skip: int, limit: int) -> tuple[list[str], int]:
        slots, total = await looking.page(store, Wanted(DAY, limit=limit), skip, zone=UTC)
        return [one["id"] for one in slots], total

    assert await shown(0, 20) == ([*(one["id"] for one in wide), "b"], 21)
    assert await shown(20, 20) == (["c"], 21)
    assert await shown(18, 2) == (["a18", "b"], 21)
    assert await shown(40, 20) == ([], 21)
    await create(store, weekly("w", available(open_on("", "10:30", "11:00")), actors=("Practitioner/q",)))
    assert await shown(18, 2) == (["a18", "b"], 22)
    assert await shown(20, 20) == (["w.20240120T1030Z.30", "c"], 22)


@pytest.mark.parametrize("computed", [False, True])
async def test_of_a_page_that_is_too_large_the_last_slots_are_left_out(
    store: Store, monkeypatch: pytest.MonkeyPatch, computed: bool
) -> None:
    monkeypatch.setattr(availability, "WHOLE_PAGE_BYTES", 7_000)
    monkeypatch.setattr(availability, "PAGE_BYTES", 7_000)
    wide = [{**slot(f"a{n:02d}"), "comment": 1_000 * "x"} for n in range(20)]
    await create(store, schedule("s"), *wide)
    if computed:
        await create(store, weekly("w", available(open_on("", "10:30", "11:00")), actors=("Practitioner/q",)))
    slots, total = await looking.page(store, Wanted(DAY, limit=20), 0, zone=UTC)
    assert 4 < len(slots) < 7
    assert [one["id"] for one in slots] == [one["id"] for one in wide[: len(slots)]]
    assert total == 20 + computed
    first, total = await looking.first(store, Wanted(DAY, limit=20), zone=UTC)
    assert ([one.ident for one in first][: len(slots)], total) == ([one["id"] for one in slots], 20 + computed)
    monkeypatch.setattr(availability, "WHOLE_PAGE_BYTES", 10)
    slots, _ = await looking.page(store, Wanted(DAY, limit=20), 3, zone=UTC)
    assert [one["id"] for one in slots] == ["a03"]


async def test_more_published_slots_than_are_put_together_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "MOST_PUBLISHED", 2)
    await create(store, schedule("s"), schedule("t", "Practitioner/q"), *(slot(name) for name in "abc"))
    assert await found(store, actors=(("Practitioner/q",),), contents=False) == []
    with pytest.raises(Malformed) as refused:
        await found(store, contents=False)
    assert [(one.code, one.issue) for one in refused.value.problems] == [("too_costly", "too-costly")]
    # A page is counted in an index.
    assert len((await looking.first(store, Wanted(DAY, limit=1), zone=UTC))[0]) == 1


async def test_a_page_of_several_schedules_is_in_one_order(store: Store) -> None:
    await create(
        store,
        schedule("s"),
        schedule("t", "Practitioner/q"),
        slot("a", "10:30", "11:00"),
        slot("b", schedule="t"),
        slot("c", "11:00", "11:30", schedule="t"),
    )
    for asked in ((), (("Practitioner/p", "Practitioner/q"),)):
        slots, total = await looking.page(store, Wanted(DAY, asked, limit=2), 0, zone=UTC)
        assert ([one["id"] for one in slots], total) == (["b", "a"], 3)


async def test_what_is_computed_is_of_whom_and_of_what_was_asked_for(store: Store) -> None:
    hours = available(open_on("", "10:00", "10:30"))
    of = {"p": "check", "q": "check", "r": "other"}
    theirs = [weekly(who, hours, actors=(f"Practitioner/{who}",), serviceType=typed(code)) for who, code in of.items()]
    await create(store, *theirs)
    names = {who: f"{who}.20240120T1000Z.30" for who in of}
    assert await found(store, service_types=("check",)) == [names["p"], names["q"]]
    assert await found(store, actors=(("Practitioner/q", "Practitioner/r"),), service_types=("check",)) == [names["q"]]
    assert await found(store, actors=(("Practitioner/r",),), minutes=30) == [names["r"]]
    assert await found(store, actors=(("Practitioner/r",),), minutes=31) == []


@pytest.mark.parametrize("closes", ["10:29", "10:30"])
async def test_what_has_to_end_in_the_window_may_end_with_it(store: Store, closes: str) -> None:
    hours = available(open_on("", "10:00", "10:30"))
    await create(store, schedule("s"), slot("a"), weekly("w", hours, actors=("Practitioner/q",)))
    expected = ["a", "w.20240120T1000Z.30"] if closes == "10:30" else []
    assert await found(store, span("09:00", closes), whole=True) == expected


@pytest.mark.parametrize("asked", [(), (("Practitioner/p",),)])
async def test_whatever_was_given_back_and_is_computed_no_longer_is_not_open(store: Store, asked: Any) -> None:
    left = [slot(f"w.20240120T{hour}00Z.30", f"{hour}:00", f"{hour}:30", schedule="w") for hour in (10, 12, 13)]
    await create(store, weekly("w", available(open_on("", "10:00", "10:30"))), *left)
    assert await found(store, actors=asked) == [left[0]["id"]]
    assert await found(store, span("12:00", "13:00"), actors=asked) == []


async def test_a_page_has_what_is_counted_though_its_schedule_is_gone(store: Store) -> None:
    await create(store, schedule("s"), slot("a"), slot("b", "10:30", "11:00", schedule="gone"))
    slots, total = await looking.page(store, Wanted(DAY, limit=9), 0, zone=UTC)
    assert ([one["id"] for one in slots], total) == (["a", "b"], 2)


async def test_a_slot_whose_schedule_is_gone_is_nowhere(store: Store) -> None:
    await create(store, schedule("s"), slot("a"), slot("b", "10:30", "11:00", schedule="gone"))
    assert await found(store) == ["a"]


@pytest.mark.parametrize("actors", [(), (("Practitioner/p",),)])
async def test_a_month_is_counted_and_timed_from_an_index_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, actors: Any
) -> None:
    # Anew: of an index in which some test has had a list, MongoDB tells nothing without the documents.
    await store.database["Slot"].drop()
    await store.prepare()
    await create(store, schedule("s"), slot("a"), slot("b", "10:30", "11:00"))
    asked: list[dict[str, Any]] = []
    for name in ("values", "count"):
        original = getattr(Moment, name)

        async def seen(self: Moment, kind: str, query: Any, *rest: Any, of: Any = original, **options: Any) -> Any:
            if kind == "Slot" and "hint" in options:
                asked.append({"query": query, "hint": options["hint"], "count": of.__name__ == "count"})
            return await of(self, kind, query, *rest, **options)

        monkeypatch.setattr(Moment, name, seen)
    wanted = Wanted(DAY, actors, contents=False, whole=True)
    assert len(await looking.openings(store, wanted, zone=UTC)) == 2
    assert (await looking.first(store, wanted, zone=UTC))[1] == 2
    assert [one["count"] for one in asked] == [False, True]
    fields = ("_index.start", "_index.end", "_index.schedule")
    for one in asked:
        did = await explain(store, "Slot", one["query"], hint=one["hint"], count=one["count"], fields=fields)
        did = did["stages"][0]["$cursor"] if "stages" in did else did
        assert did["executionStats"]["totalKeysExamined"] >= 2
        assert did["executionStats"]["totalDocsExamined"] == 0


async def test_more_than_can_be_computed_is_refused_before_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "MOST_COMPUTED", 100)
    await create(store, *(weekly(f"w{n}", actors=(f"Practitioner/p{n}",)) for n in range(4)))  # 49 a week each
    fortnight = Interval(DAY.start, DAY.start + timedelta(days=14))
    with monkeypatch.context() as nothing:
        nothing.setattr(openings, "free", None)
        for asked in (looking.openings, looking.first):
            with pytest.raises(Malformed) as refused:
                await asked(store, Wanted(fortnight), zone=UTC)
            [problem] = refused.value.problems
            assert (problem.code, problem.issue) == ("too_costly", "too-costly")
            assert "about 392 openings" in problem.message
    assert len(await found(store, fortnight, actors=(("Practitioner/p1",),))) == 14 * 6
    assert len(await found(store, Interval(DAY.start, DAY.start + timedelta(days=3)))) == 3 * 4 * 6


async def test_many_are_computed_beside_other_requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[bool] = []
    free = openings.free

    def seen(*asked: Any) -> list[Interval]:
        threads.append(threading.current_thread() is threading.main_thread())
        return free(*asked)

    monkeypatch.setattr(openings, "free", seen)
    await create(store, weekly("w"))
    assert len(await found(store)) == 6
    assert threads.pop() is True
    assert len(await found(store, Interval(DAY.start, DAY.start + timedelta(days=365)))) == 365 * 6
    assert threads.pop() is False


async def test_a_single_opening_is_told_and_what_is_none_is_not(store: Store) -> None:
    hours = available(open_on("", "10:00", "11:00"))
    await create(
        store,
        schedule("s"),
        weekly("w", hours),
        weekly("off", hours, actors=("Practitioner/q",), active=False),
        visit("x"),
    )

    async def told(ident: str) -> str | None:
        async with holds.settled(store) as moment:
            found = await availability.computed_slot(moment, ident, UTC)
        assert found is None or found["id"] == ident
        return None if found is None else str(found["status"])

    assert await told("w.20240120T1030Z.30") == "free"
    for closed in ("w.20240120T1000Z.30", "off.20240120T1030Z.30"):
        assert await told(closed) == "busy-unavailable"
    off_the_grid, too_long = "w.20240120T1015Z.30", "w.20240120T1000Z.60"
    for nothing in (
        off_the_grid,
        too_long,
        "w.20240120T1100Z.30",
        "gone.20240120T1030Z.30",
        "s.20240120T1030Z.30",
        "w",
    ):
        assert await told(nothing) is None
