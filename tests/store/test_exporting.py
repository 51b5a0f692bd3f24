"""All resources at one moment: exact under writes, in any number of sittings, and never without an index."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.regex import Regex
from pymongo import monitoring
from pymongo.read_concern import ReadConcern

from store import exporting, exporting_live, exporting_past
from store.codec import decode
from store.connection import connect
from store.exporting import Cut, Part, Selection, deletions, resources, take_cut
from store.exporting_live import live
from store.ordering import HISTORY
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.conftest import Clock
from tests.store.support import Listener, appointment, change, create, explain, large, patient, present

BEFORE = datetime(2020, 1, 1, tzinfo=UTC)


async def delete(store: Store, kind: str, ident: str) -> None:
    async def step(work: UnitOfWork) -> None:
        work.delete(await present(work, kind, ident))

    await store.transact(step)


async def again(store: Store, ident: str, **more: Any) -> None:
    """Make a Patient that was deleted anew."""

    async def step(work: UnitOfWork) -> None:
        work.create(patient(ident, **more), version=await work.last_version("Patient", ident) + 1)

    await store.transact(step)


async def parts(store: Store, cut: Cut, kind: str = "Patient", after: str = "", **options: Any) -> list[Part]:
    batch = options.pop("batch", 3)
    return [part async for part in resources(store, cut, Selection(kind, **options), after=after, batch=batch)]


async def told(store: Store, cut: Cut, kind: str = "Patient", **options: Any) -> dict[str, str]:
    """By id: the version that is told; each is told once, in the order of the ids."""
    found = [decode(raw) for part in await parts(store, cut, kind, **options) for raw in part.lines]
    idents = [one["id"] for one in found]
    assert idents == sorted(set(idents))
    return {one["id"]: one["meta"]["versionId"] for one in found}


async def gone(store: Store, cut: Cut, since: datetime, *kinds: str, **options: Any) -> list[str]:
    return [name async for names in deletions(store, cut, since, kinds or ("Patient",), **options) for name in names]


@pytest.fixture
def _few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read in thousands otherwise takes several steps here."""
    monkeypatch.setattr(exporting, "BATCH", 2)
    monkeypatch.setattr(exporting_past, "BATCH", 2)
    monkeypatch.setattr(exporting_past, "_LOOKED_UP", 2)


@pytest.fixture(params=["all in one step", "in several"])
def steps(request: pytest.FixtureRequest) -> None:
    """Whoever asks for it is run both ways."""
    if request.param == "in several":
        request.getfixturevalue("_few_at_a_time")


@pytest.mark.usefixtures("steps")
async def test_the_state_at_the_cut_whatever_came_later(store: Store) -> None:
    await create(store, *(patient(f"p{n}") for n in range(8)))
    await change(store, "Patient", "p3", gender="other")
    await delete(store, "Patient", "p7")
    cut = await take_cut(store)
    state = {"p0": "1", "p1": "1", "p2": "1", "p3": "2", "p4": "1", "p5": "1", "p6": "1"}
    assert await told(store, cut) == state
    await create(store, patient("a-new-one"), patient("p99"))
    await change(store, "Patient", "p0", gender="male")
    await change(store, "Patient", "p3", gender="male")
    await delete(store, "Patient", "p1")
    await delete(store, "Patient", "p6")
    await again(store, "p6")
    await again(store, "p7")
    await change(store, "Patient", "p4", gender="male")
    await delete(store, "Patient", "p4")
    assert await told(store, cut) == state
    later = await take_cut(store)
    assert await told(store, later) == {
        "a-new-one": "1",
        "p0": "2",
        "p2": "1",
        "p3": "3",
        "p5": "1",
        "p6": "3",
        "p7": "3",
        "p99": "1",
    }


async def test_an_empty_store_has_a_cut(store: Store) -> None:
    cut = await take_cut(store)
    assert cut.seq == 0
    assert await told(store, cut) == {}
    assert await gone(store, cut, BEFORE) == []
    await create(store, patient("a"))
    assert await told(store, cut) == {}


async def test_each_cut_has_a_moment_of_its_own_and_what_follows_is_not_before_it(store: Store, clock: Clock) -> None:
    first, second = await take_cut(store), await take_cut(store)
    assert first.moment < second.moment
    await create(store, patient("a"))  # by a clock that stands still
    third = await take_cut(store)
    entries = await store.database[HISTORY].find({}, {"at": 1, "seq": 1}).to_list()
    assert [second.moment <= one["at"] < third.moment for one in entries] == [True]
    clock.advance(minutes=1)
    assert (await take_cut(store)).moment == clock()


@pytest.mark.usefixtures("steps")
async def test_what_changed_since_a_cut_is_told_once(store: Store) -> None:
    await create(store, *(patient(f"p{n}") for n in range(4)))
    first = await take_cut(store)
    await change(store, "Patient", "p1", gender="other")
    await change(store, "Patient", "p1", gender="male")
    await delete(store, "Patient", "p2")
    await create(store, patient("p9"))
    second = await take_cut(store)
    await change(store, "Patient", "p0", gender="male")
    await change(store, "Patient", "p9", gender="male")
    await delete(store, "Patient", "p3")
    third = await take_cut(store)
    assert await told(store, second, since=first.moment) == {"p1": "3", "p9": "1"}
    assert await told(store, third, since=second.moment) == {"p0": "2", "p9": "2"}
    assert await told(store, third, since=third.moment) == {}
    assert await gone(store, second, first.moment) == ["Patient/p2"]
    assert await gone(store, third, second.moment) == ["Patient/p3"]
    assert await gone(store, third, BEFORE) == ["Patient/p2", "Patient/p3"]
    assert await gone(store, third, third.moment) == []


@pytest.mark.usefixtures("steps")
async def test_what_was_deleted_and_made_anew_is_not_told_as_deleted(store: Store) -> None:
    await create(store, patient("a"), patient("b"))
    first = await take_cut(store)
    for _ in range(2):
        await delete(store, "Patient", "a")
        await again(store, "a")
        await delete(store, "Patient", "b")
        await again(store, "b")
    await delete(store, "Patient", "b")
    cut = await take_cut(store)
    await again(store, "b")
    assert await gone(store, cut, first.moment) == ["Patient/b"]
    assert await told(store, cut, since=first.moment) == {"a": "5"}


@pytest.mark.parametrize("since", [None, BEFORE], ids=["all", "since"])
@pytest.mark.parametrize("queries", [(), ({"_index.active": "true"},)], ids=["any", "judged"])
async def test_it_goes_on_where_it_stopped(store: Store, since: datetime | None, queries: tuple[Any, ...]) -> None:
    await create(store, *(patient(f"p{n:02}", active=True) for n in range(20)))
    cut = await take_cut(store)
    whole = await parts(store, cut, since=since, queries=queries)
    await change(store, "Patient", "p05", gender="other")
    await delete(store, "Patient", "p11")
    for place, part in enumerate(whole):
        rest = await parts(store, cut, after=part.last, batch=4, since=since, queries=queries)
        assert [raw for one in rest for raw in one.lines] == [raw for one in whole[place + 1 :] for raw in one.lines]


@pytest.mark.parametrize("since", [None, BEFORE], ids=["all", "since"])
@pytest.mark.usefixtures("steps")
async def test_queries_judge_the_state_at_the_cut(store: Store, since: datetime | None) -> None:
    await create(store, *(patient(f"p{n}", gender="other") for n in range(6)), patient("x", gender="male"))
    await change(store, "Patient", "p1", gender="male", name=[{"text": "$name"}])
    cut = await take_cut(store)
    await change(store, "Patient", "p0", gender="male")  # it did match
    await change(store, "Patient", "p1", gender="other")  # it did not
    await change(store, "Patient", "x", gender="other")
    await delete(store, "Patient", "p2")
    queries = ({"_index.gender": "other"}, {"_id": "x"})
    state = {"p0": "1", "p2": "1", "p3": "1", "p4": "1", "p5": "1", "x": "1"}
    assert await told(store, cut, queries=queries, since=since) == state


@pytest.mark.usefixtures("steps")
async def test_only_what_matched_before_is_told_as_deleted(store: Store) -> None:
    await create(store, patient("a", gender="male"), patient("b", gender="other"))
    first = await take_cut(store)
    await delete(store, "Patient", "a")
    await delete(store, "Patient", "b")
    cut = await take_cut(store)
    matched = {"Patient": [{"_index.gender": "male"}]}
    assert await gone(store, cut, first.moment, queries=matched) == ["Patient/a"]
    assert await gone(store, cut, first.moment, queries={"Patient": [{"_index.gender": "unknown"}]}) == []


async def test_what_matched_at_the_cut_before_is_told_as_deleted_whatever_became_of_it(store: Store) -> None:
    await create(store, patient("moved", gender="male"), patient("never"), patient("gone", gender="male"))
    await delete(store, "Patient", "gone")
    first = await take_cut(store)
    await again(store, "gone")
    for ident in ("moved", "never", "gone"):
        await change(store, "Patient", ident, gender="other")
        await delete(store, "Patient", ident)
    cut = await take_cut(store)
    matched = {"Patient": [{"_index.gender": "male"}]}
    assert await gone(store, cut, first.moment, queries=matched) == ["Patient/moved"]
    assert await gone(store, cut, cut.moment, queries=matched) == []


async def test_what_is_missing_is_judged_by_the_state_at_the_cut(store: Store) -> None:
    await create(store, patient("has", identifier=[{"value": "1"}]), patient("none"))
    there, absent = {"identifier": {"$exists": True}}, {"identifier": {"$exists": False}}
    first = await take_cut(store)
    await change(store, "Patient", "has", gender="other")
    await change(store, "Patient", "none", gender="other")
    assert await told(store, first, queries=(there,)) == {"has": "1"}
    assert await told(store, first, queries=(absent,)) == {"none": "1"}
    await delete(store, "Patient", "has")
    await delete(store, "Patient", "none")
    cut = await take_cut(store)
    assert await gone(store, cut, first.moment, queries={"Patient": [there]}) == ["Patient/has"]
    assert await gone(store, cut, first.moment, queries={"Patient": [absent]}) == ["Patient/none"]


async def test_chains_of_exports_under_constant_writing_miss_nothing_and_tell_nothing_twice(store: Store) -> None:
    """What a client knows who takes every export since the one before, against what is stored at each cut."""
    chance = random.Random(4711)
    alive: set[str] = set()
    ended = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(150):
            ident = f"w{writer}-{chance.randrange(15):02}"
            if ident not in alive:
                await again(store, ident)
                alive.add(ident)
            elif chance.random() < 0.3:
                await delete(store, "Patient", ident)
                alive.discard(ident)
            else:
                await change(store, "Patient", ident, active=bool(number % 2))

    async def follow() -> tuple[dict[str, str], int]:
        known: dict[str, str] = {}
        since: datetime | None = None
        rounds = 0
        while True:
            last = ended.is_set() and rounds > 2
            cut = await take_cut(store)
            new = await told(store, cut, since=since, batch=20)
            removed = set() if since is None else {name[8:] for name in await gone(store, cut, since)}
            assert not removed & new.keys()
            for ident, version in new.items():
                assert int(version) > int(known.get(ident, "0"))  # never a second time
            known = {ident: version for ident, version in (known | new).items() if ident not in removed}
            assert known == await told(store, cut, batch=20)
            since, rounds = cut.moment, rounds + 1
            if last:
                break
        return known, rounds

    following = asyncio.create_task(follow())
    await asyncio.gather(*(write(writer) for writer in range(4)))
    ended.set()
    known, rounds = await following
    assert rounds > 2
    assert set(known) == alive


async def kill_cursors(store: Store, kind: str) -> int:
    """Have MongoDB forget the cursors that it keeps of a collection; return how many there were."""
    local = store.database.client.get_database("admin", read_concern=ReadConcern("local"))
    session = await local.aggregate(
        [{"$currentOp": {"idleCursors": True, "localOps": True}}, {"$match": {"type": "idleCursor"}}]
    )
    ours = [one["cursor"]["cursorId"] async for one in session if one["ns"] == f"{store.database.name}.{kind}"]
    if ours:
        await store.database.command({"killCursors": kind, "cursors": ours})
    return len(ours)


@pytest.mark.parametrize("filtered", [False, True])
async def test_a_lost_cursor_is_no_end(store: Store, filtered: bool) -> None:
    """Of large resources a reply holds a few: the next ones are asked for by the same cursor."""
    everyone = [f"p{n:02}" for n in range(24)]
    for ident in everyone:
        await create(store, large(ident, active=True))
    cut = await take_cut(store)
    found: list[bytes] = []
    killed = 0
    queries = ({"_index.active": "true"},) if filtered else ()
    async for part in resources(store, cut, Selection("Patient", queries=queries), batch=100):
        found += part.lines
        await asyncio.sleep(0.2)  # the next reply is asked for already
        killed += await kill_cursors(store, "Patient")
    assert killed
    assert [decode(raw)["id"] for raw in found] == everyone


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 12, 13])
async def test_spans_of_ids_give_everything_once_whatever_is_written_meanwhile(store: Store, batch: int) -> None:
    await create(store, *(patient(f"p{n:02}") for n in range(12)))
    cut = await take_cut(store)
    assert await told(store, cut, batch=batch) == {f"p{n:02}": "1" for n in range(12)}
    assert [len(part.lines) for part in await parts(store, cut, batch=batch)][:-1] == [
        min(batch, 12 - begun) for begun in range(0, 12, batch)
    ]
    state: list[str] = []
    async for part in resources(store, cut, Selection("Patient"), batch=batch):
        state += [decode(raw)["id"] for raw in part.lines]
        if len(state) == len(part.lines):
            await create(store, *(patient(f"p{n:02}-more") for n in range(12)))  # spans become longer
            for ident in ("p04", "p05", "p11"):
                await delete(store, "Patient", ident)
            await change(store, "Patient", "p06", active=True)
    assert state == [f"p{n:02}" for n in range(12)]


async def test_what_an_index_finds_in_another_order_comes_in_that_of_the_ids(store: Store) -> None:
    """Whoever goes on after the last id would miss what had come before it."""
    numbered = {"p10": "3", "p20": "2", "p30": "1"}
    others = [patient(f"p{n:02}") for n in range(40) if f"p{n:02}" not in numbered]
    await create(store, *others, *(patient(one, identifier=[{"value": value}]) for one, value in numbered.items()))
    queries = ({"_index.identifier": {"$in": ["1", "2", "3"]}},)
    found = [raw async for lines, _ in live(store, "Patient", queries, "", 2) for raw in lines]
    assert [decode(raw)["id"] for raw in found] == list(numbered)


async def test_only_what_a_majority_holds_is_read(mongodb_uri: str, store: Store) -> None:
    """An export is no request of which a failover could take something back."""

    concerns: list[str] = []

    class Reads(Listener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            if event.command_name == "find":
                concerns.append(event.command.get("readConcern", {}).get("level", "none"))

    await create(store, *(patient(f"p{n:02}") for n in range(4)))
    client = connect(mongodb_uri, listeners=[Reads()])
    watched = Store(client, store.database.name)
    assert len([line async for lines, _ in live(watched, "Patient", (), "", 2) for line in lines]) == 4
    await client.close()
    assert len(concerns) >= 4, "where spans end, and what they hold"
    assert set(concerns) == {"majority"}


async def test_no_more_is_read_ahead_than_memory_is_meant_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(store, *(patient(f"p{n:02}") for n in range(12)))
    begun = 0
    begin = exporting_live._Span._begin

    def noted(span: exporting_live._Span) -> None:
        nonlocal begun
        begun += 1
        begin(span)

    monkeypatch.setattr(exporting_live._Span, "_begin", noted)
    async with aclosing(live(store, "Patient", (), "", 1)) as reading:
        for dealt_with in range(4):
            await anext(reading)
            assert begun == dealt_with + 3


async def test_who_stops_reading_leaves_no_cursor(store: Store) -> None:
    for n in range(24):
        await create(store, large(f"p{n:02}"))
    async with aclosing(live(store, "Patient", (), "", 100)) as reading:
        await anext(reading)
    assert await kill_cursors(store, "Patient") == 0


@pytest.fixture
async def short_window(store: Store) -> AsyncIterator[None]:
    """MongoDB keeps snapshots for a second."""
    admin = store.database.client.admin
    before = await admin.command({"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 1})
    yield
    await admin.command({"setParameter": 1, "minSnapshotHistoryWindowInSeconds": before["was"]})


@pytest.mark.usefixtures("short_window")
async def test_an_export_may_last_longer_than_mongodb_keeps_snapshots(store: Store) -> None:
    await create(store, *(patient(f"p{n:02}") for n in range(12)))
    cut = await take_cut(store)
    state: dict[str, str] = {}
    async for part in resources(store, cut, Selection("Patient"), batch=3):
        state |= {one["id"]: one["meta"]["versionId"] for one in map(decode, part.lines)}
        await asyncio.sleep(0.8)
        for ident in ("p00", "p04", "p11"):
            await change(store, "Patient", ident, active=True)
    assert state == {f"p{n:02}": "1" for n in range(12)}


async def test_large_resources_come_in_smaller_parts(store: Store) -> None:
    for n in range(24):
        await create(store, large(f"p{n:02}"))
    cut = await take_cut(store)
    found = await parts(store, cut, batch=100)
    assert max(sum(map(len, part.lines)) for part in found) < 17_000_000
    assert sum(len(part.lines) for part in found) == 24


async def test_what_a_query_names_and_no_document_has_makes_no_difference(store: Store) -> None:
    """A Group's may name 50,000 patients, and MongoDB takes 16 MB, the query and what it is to judge together."""
    everybody = [f"Patient/{number}" for number in range(1_000)]
    wards = [everybody[7:9], ["Patient/other"], everybody[3:4]]
    made = [patient(f"p{n}", link=[{"other": {"reference": one}} for one in ward]) for n, ward in enumerate(wards)]
    await create(store, *made)
    raws = {ident: raw for ident in ("p0", "p1", "p2") if (raw := await store.read("Patient", ident)) is not None}

    async def judged(*queries: dict[str, Any]) -> list[str]:
        return sorted(await exporting_past.matching(store, "Patient", raws, queries))

    those: dict[str, Any] = {"_index.link": {"$in": everybody}}
    assert await judged(those) == ["p0", "p2"]
    assert await judged({"$nor": [those]}) == ["p1"]
    assert await judged({"$and": [{"_index.link": {"$nin": everybody}}, {"_index.link": "Patient/other"}]}) == ["p1"]
    assert await judged({"$and": [those, {"_index.link": {"$in": [Regex("^Patient/7$")]}}]}) == ["p0"]
    assert await judged({"_index.link": {"$in": ["Patient/nobody"]}}) == []
    there = frozenset(exporting_past._texts({"a": ["x", {"b": "y"}], "c": 1}))
    assert there == {"x", "y"}
    query = {"$and": [{"c": {"$in": ["x", "z", 1]}}, {"$nor": [{"c": {"$nin": ["z"]}}]}, {"c": "z"}]}
    narrow = {"$and": [{"c": {"$in": ["x", 1]}}, {"$nor": [{"c": {"$nin": []}}]}, {"c": "z"}]}
    assert exporting_past._narrowed(query, there) == narrow


def stages(plan: Any) -> set[str]:
    if isinstance(plan, dict):
        own = {plan["stage"]} if isinstance(plan.get("stage"), str) else set()
        return own.union(*map(stages, plan.values()))
    return set().union(*map(stages, plan)) if isinstance(plan, list) else set()


def queries() -> Iterable[tuple[str, dict[str, Any], list[tuple[str, int]]]]:
    yield HISTORY, exporting.deleted_between("Patient", 1, 50), [("seq", 1)]
    yield HISTORY, exporting.changed_after("Patient", 3), [("seq", 1)]
    yield HISTORY, exporting.changed_between("Patient", 1, 50) | {"id": {"$gt": "p"}}, []
    yield "Appointment", exporting.filtered((), {"_id": {"$gt": ""}}), [("_id", 1)]
    yield "Appointment", exporting.filtered(({"_index.status": "booked"},), {"_id": {"$gt": "a3"}}), [("_id", 1)]


@pytest.mark.parametrize(("collection", "query", "sort"), list(queries()))
async def test_every_query_has_an_index(
    store: Store, collection: str, query: dict[str, Any], sort: list[tuple[str, int]]
) -> None:
    await create(store, *(appointment(f"a{n}", practitioner=f"p{n}") for n in range(20)))
    await create(store, *(patient(f"p{n}") for n in range(20)))
    await delete(store, "Patient", "p3")
    await take_cut(store)
    found = await explain(store, collection, query, sort=sort)
    assert "COLLSCAN" not in stages(found["queryPlanner"]["winningPlan"])
    if collection == HISTORY:
        assert "SORT" not in stages(found["queryPlanner"]["winningPlan"])
    if query.get("method"):
        assert found["executionStats"]["totalDocsExamined"] <= 1


async def test_where_a_span_ends_is_told_by_the_index_alone(store: Store) -> None:
    await create(store, *(patient(f"p{n}") for n in range(20)))
    query = {"_id": {"$gt": "p1"}}
    found = await explain(store, "Patient", query, sort=[("_id", 1)], skip=4, limit=1, hint="_id_", fields=["_id"])
    assert (found["executionStats"]["totalKeysExamined"], found["executionStats"]["totalDocsExamined"]) == (5, 0)


async def test_a_cut_includes_what_was_written_by_a_clock_that_is_ahead(store: Store, clock: Clock) -> None:
    clock.advance(hours=2)
    await create(store, patient("ahead"))
    clock.advance(hours=-2)
    cut = await take_cut(store)
    await create(store, patient("b"))
    assert await told(store, cut) == {"ahead": "1"}
    later = await take_cut(store)
    assert await told(store, later, since=cut.moment) == {"b": "1"}
    assert later.moment > cut.moment > clock() - timedelta(minutes=2)
