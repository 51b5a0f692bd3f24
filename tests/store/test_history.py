"""The order of the history: nothing twice on its pages, nothing missed by who polls, and no more work as it grows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from pymongo import monitoring

from store import history, ordering
from store.codec import encode
from store.connection import Client, connect
from store.counters import COUNTERS
from store.documents import past
from store.errors import Unreachable
from store.history import BATCH, COUNTED, HistoryPage, Version
from store.ordering import Order
from store.store import Store
from store.types import TYPES
from store.unit_of_work import UnitOfWork
from tests.conftest import Clock, connected
from tests.store.support import RULES, Database, Listener, appointment, change, create, patient, present

MOMENT = datetime(2024, 1, 15, 10, tzinfo=UTC)


def names(page: HistoryPage) -> list[str]:
    """The versions of a page, as ``a/1``."""
    return [f"{one.ident}/{one.version}" for one in page.entries]


async def pages(ask: Callable[[int | None], Awaitable[HistoryPage]]) -> list[HistoryPage]:
    """All pages, the first to the last."""
    found = [await ask(None)]
    while found[-1].cursor is not None:
        found.append(await ask(found[-1].cursor))
    return found


async def delete(store: Store, kind: str, ident: str) -> None:
    async def step(work: UnitOfWork) -> None:
        work.delete(await present(work, kind, ident))

    await store.transact(step)


async def three_versions(store: Store, clock: Clock) -> None:
    """Patient a, made, changed, deleted, a minute apart; another beside it."""
    await create(store, patient("a"), patient("other"))
    clock.advance(minutes=1)
    await change(store, "Patient", "a", gender="other")
    clock.advance(minutes=1)
    await delete(store, "Patient", "a")


# Of one resource.


async def test_the_history_of_a_resource_is_its_versions_newest_first(store: Store, clock: Clock) -> None:
    [made] = await create(store, patient("a"))
    clock.advance(minutes=1)
    changed = await change(store, "Patient", "a", gender="other")
    clock.advance(minutes=1)
    await delete(store, "Patient", "a")
    page = await store.history("Patient", "a", limit=10)
    assert page == HistoryPage(
        (
            Version("Patient", "a", 3, MOMENT + timedelta(minutes=2), "DELETE", None),
            Version("Patient", "a", 2, MOMENT + timedelta(minutes=1), "PUT", encode(changed)),
            Version("Patient", "a", 1, MOMENT, "POST", encode(made)),
        ),
        None,
        3,
    )
    assert page.cursor is None


async def test_the_history_of_a_resource_is_paged_by_version(store: Store, clock: Clock) -> None:
    await three_versions(store, clock)
    found = await pages(lambda before: store.history("Patient", "a", limit=2, before=before))
    assert [names(page) for page in found] == [["a/3", "a/2"], ["a/1"]]
    assert [page.total for page in found] == [3, 3]


async def test_the_history_of_a_resource_since_a_moment(store: Store, clock: Clock) -> None:
    await three_versions(store, clock)
    page = await store.history("Patient", "a", since=MOMENT + timedelta(minutes=1), limit=10)
    assert (names(page), page.total) == (["a/3", "a/2"], 2)


async def test_the_history_of_a_resource_leaves_others_out(store: Store) -> None:
    await create(store, patient("a"), patient("a0"), patient("a-1"), patient("A"), appointment("a"))
    assert names(await store.history("Patient", "a", limit=10)) == ["a/1"]
    assert (await store.history("Patient", "nobody", limit=10)).entries == ()


async def page_of(store: Store, kind: str | None, ident: str | None, before: int | None) -> HistoryPage:
    return await store.history(kind, ident, limit=10, before=before)


async def test_a_page_of_large_versions_has_fewer_and_nothing_is_left_out(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await three_versions(store, clock)
    raw = await store.read_version("Patient", "a", 1)
    assert raw is not None
    assert raw.raw is not None
    for most, expected in (
        (1, [["a/3"], ["a/2"], ["a/1"]]),
        (len(raw.raw) * 3 // 2, [["a/3", "a/2"], ["a/1"]]),  # a deletion is as good as nothing
        (3 * len(raw.raw), [["a/3", "a/2", "a/1"]]),
    ):
        monkeypatch.setattr(history, "PAGE_BYTES", most)
        assert [names(page) for page in await pages(partial(page_of, store, "Patient", "a"))] == expected
        for kind in ("Patient", None):
            found = await pages(partial(page_of, store, kind, None))
            assert [name for page in found for name in names(page)] == ["a/3", "a/2", "other/1", "a/1"]
            assert {page.total for page in found} == {4}


# Of a type, and of all.


async def test_the_history_of_a_type_and_of_all_is_newest_first_and_told_how_much_it_is(
    store: Store, clock: Clock
) -> None:
    await three_versions(store, clock)
    clock.advance(minutes=1)
    await create(store, appointment("b"))
    of_type = await store.history("Patient", limit=10)
    assert (names(of_type), of_type.total) == (["a/3", "a/2", "other/1", "a/1"], 4)
    of_all = await store.history(limit=10)
    assert (names(of_all), of_all.total) == (["b/1", "a/3", "a/2", "other/1", "a/1"], 5)
    assert of_all.entries[1] == Version("Patient", "a", 3, MOMENT + timedelta(minutes=2), "DELETE", None)


async def test_the_history_of_all_tells_of_the_types_that_are_asked_for(store: Store) -> None:
    await create(store, patient("a"), appointment("b"), {"resourceType": "Location", "id": "c"})
    assert sorted(names(await store.history(limit=10, kinds=["Patient", "Location"]))) == ["a/1", "c/1"]
    assert (await store.history(limit=10, kinds=[])).entries == ()
    assert (await store.history(limit=10, kinds=list(TYPES))).total == 3


async def test_an_empty_history_is_an_empty_page(store: Store) -> None:
    for page in (await store.history(limit=5), await store.history("Patient", limit=5)):
        assert (page.entries, page.cursor, page.total) == ((), None, 0)


async def test_no_entries_are_asked_for_where_the_total_is(store: Store, clock: Clock) -> None:
    await three_versions(store, clock)
    for page, total in (
        (await store.history(limit=0), 4),
        (await store.history("Patient", limit=0), 4),
        (await store.history("Patient", "a", limit=0), 3),
        (await store.history(limit=0, since=MOMENT + timedelta(minutes=1)), 2),
        (await store.history(limit=0, since=MOMENT + timedelta(hours=1)), 0),
    ):
        assert (page.entries, page.cursor, page.total) == ((), None, total)


@pytest.mark.parametrize("kind", ["Patient", None])
async def test_what_comes_while_a_page_is_read_is_told_once_by_the_next(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    await create(store, patient("a"))
    clock.advance(minutes=1)
    tell = Order.tell

    async def overtaken(order: Order) -> dict[str, Any]:
        told = await tell(order)
        await create(store, patient("late"))
        await store.sequence()
        return told

    with monkeypatch.context() as patched:
        patched.setattr(Order, "tell", overtaken)
        page = await store.history(kind, limit=10)
    assert (names(page), page.total) == (["a/1"], 1)
    assert names(await store.history(kind, since=page.moment, limit=10)) == ["late/1"]


async def test_what_is_too_much_to_count_has_no_total(store: Store) -> None:
    await grown(store.database, 2 * COUNTED)
    assert (await store.history("Patient", limit=5)).total is None
    assert (await store.history("Appointment", limit=5)).total == COUNTED // 10
    assert (await store.history("Patient", limit=0)).total == 19 * COUNTED // 10
    assert (await store.history(limit=5)).total == 2 * COUNTED  # numbers without gaps need no counting


async def test_since_is_what_was_made_then_or_later_even_if_nobody_has_read_before(store: Store, clock: Clock) -> None:
    await three_versions(store, clock)
    for kind in ("Patient", None):
        for minutes, expected in ((0, 4), (1, 2), (2, 1), (3, 0)):
            page = await store.history(kind, since=MOMENT + timedelta(minutes=minutes), limit=10)
            assert (len(page.entries), page.total) == (expected, expected)


async def test_since_is_meant_to_the_millisecond_and_in_any_zone(store: Store, clock: Clock) -> None:
    clock.moment = MOMENT.replace(microsecond=123_400)
    await create(store, patient("a"))
    east = MOMENT.replace(microsecond=123_900).astimezone(tz=None)
    assert names(await store.history(since=east, limit=10)) == ["a/1"]
    assert names(await store.history(since=MOMENT.replace(microsecond=124_000), limit=10)) == []


async def test_the_versions_of_one_resource_keep_their_order_whatever_the_clocks_say(
    client: Client, store: Store, clock: Clock
) -> None:
    behind = Store(client, store.database.name, rules=RULES, now=lambda: clock() - timedelta(minutes=10))
    await create(store, patient("a"))
    for each in (behind, store, behind):
        await change(each, "Patient", "a", gender="other")
    await delete(behind, "Patient", "a")

    async def revive(work: UnitOfWork) -> None:
        work.create(patient("a"), version=await work.last_version("Patient", "a") + 1, method="PUT")

    await behind.transact(revive)
    assert names(await store.history(limit=10)) == [f"a/{number}" for number in range(6, 0, -1)]


async def test_a_clock_that_is_far_ahead_does_not_take_the_order_with_it(
    client: Client, store: Store, clock: Clock
) -> None:
    ahead = Store(client, store.database.name, rules=RULES, now=lambda: clock() + timedelta(days=365))
    await create(ahead, patient("ahead"))
    await store.sequence()
    clock.advance(minutes=10)
    await create(store, patient("a"))
    clock.advance(minutes=1)
    await store.history(limit=1)
    assert names(await store.history(since=clock(), limit=10)) == []


@pytest.mark.parametrize("ask", [lambda ahead: ahead.history(limit=1), lambda ahead: ahead.cut()], ids=["told", "cut"])
async def test_who_reads_by_a_clock_that_is_far_ahead_does_not_take_the_order_along_either(
    client: Client, store: Store, ask: Callable[[Store], Awaitable[Any]]
) -> None:
    """MongoDB's clock is the judge of it."""
    right, ahead = (
        Store(client, store.database.name, rules=RULES, now=lambda by=by: datetime.now(UTC) + timedelta(days=by))  # type: ignore[misc]
        for by in (0, 365)
    )
    await create(ahead, patient("ahead"))
    await ask(ahead)
    assert (await right.cut())[1] < datetime.now(UTC) + timedelta(minutes=2)


# Putting in order.


async def test_the_order_may_be_made_ahead_of_its_readers_in_parts(store: Store) -> None:
    await create(store, *(patient(f"p{number}") for number in range(5)))
    assert [await store.sequence(2), await store.sequence(2), await store.sequence(2), await store.sequence(2)] == [
        2,
        2,
        1,
        0,
    ]
    found = await store.database.history.find(sort=[("seq", 1)]).to_list()
    assert [one["seq"] for one in found] == [1, 2, 3, 4, 5]
    assert all("pending" not in one for one in found)


async def test_more_than_one_part_is_put_in_order_by_who_reads(store: Store) -> None:
    await store.database.history.insert_many(
        [past("Patient", "a", number, MOMENT, "PUT", b"{}") for number in range(1, 2 * BATCH + 2)]
    )
    page = await store.history(limit=1)
    assert (names(page), page.total) == ([f"a/{2 * BATCH + 1}"], 2 * BATCH + 1)
    assert await numbers(store.database) == list(range(1, 2 * BATCH + 2))


async def test_many_who_read_at_once_put_everything_in_order_once(client: Client, store: Store, clock: Clock) -> None:
    await create(store, *(patient(f"p{number}") for number in range(30)))
    rivals = [Store(client, store.database.name, rules=RULES, now=clock) for _ in range(4)]
    found = await asyncio.gather(*(each.history(limit=50) for each in rivals for _ in range(3)))
    assert len({tuple(names(page)) for page in found}) == 1
    assert await numbers(store.database) == list(range(1, 31))


async def test_rivals_who_have_both_seen_the_same_pending_versions_give_each_one_number(
    client: Client, store: Store, clock: Clock
) -> None:
    await create(store, *(patient(f"p{number}") for number in range(10)))
    rivals = [Store(client, store.database.name, rules=RULES, now=clock) for _ in range(4)]
    results = await asyncio.gather(*(each.sequence() for each in rivals))
    assert sorted(results) == [0, 0, 0, 10]
    assert await numbers(store.database) == list(range(1, 11))


async def test_who_comes_between_gives_the_places_alone(
    client: Client, mongodb_uri: str, store: Store, clock: Clock
) -> None:
    await create(store, patient("a"), patient("b"))
    given: list[int] = []

    async def rival() -> int:
        async with connected(mongodb_uri) as other:
            return await Store(other, store.database.name, rules=RULES, now=clock).sequence()

    def now() -> datetime:
        """The clock is asked when the pending versions are known, and none of them has its place."""
        if not given:
            with ThreadPoolExecutor(1) as pool:
                given.append(pool.submit(asyncio.run, rival()).result())
        return clock()

    assert await Store(client, store.database.name, rules=RULES, now=now).sequence() == 0
    assert given == [2]
    assert await numbers(store.database) == [1, 2]


async def test_places_that_are_not_committed_were_never_given(store: Store, clock: Clock) -> None:
    """Else another reader gives their numbers once more, to others."""
    await create(store, patient("a"))
    await store.sequence_all()
    await create(store, patient("b"), patient("c"))

    async def given_up(attempt: ordering.Attempt) -> int:
        async with store.database.client.start_session() as session:
            await session.start_transaction()
            try:
                return await attempt(session)
            finally:
                await session.abort_transaction()

    async def everything() -> list[Any]:
        names = (ordering.HISTORY, COUNTERS)
        return [await store.database[name].find({}, {"_json": 0}, sort=[("_id", 1)]).to_list() for name in names]

    before = await everything()
    async with asyncio.timeout(20):
        assert await Order(store.database, given_up, clock, 5).sequence() == 2
    assert await everything() == before


async def test_who_waits_too_long_for_the_order_is_told_so(client: Client, store: Store, clock: Clock) -> None:
    await create(store, patient("a"))
    await store.history(limit=1)
    await create(store, patient("b"))
    impatient = Store(client, store.database.name, rules=RULES, now=clock, timeout=0.3)
    async with client.start_session() as session:
        await session.start_transaction()
        await store.database.counters.update_one({"_id": ordering.COUNTER}, {"$set": {"held": 1}}, session=session)
        with pytest.raises(Unreachable):
            await impatient.history(limit=1)
    assert names(await store.history(limit=1)) == ["b/1"]


async def numbers(database: Database) -> list[int]:
    return [one["seq"] async for one in database.history.find(sort=[("seq", 1)])]


async def test_versions_of_older_releases_are_taken_into_the_order(
    client: Client, database: Database, clock: Clock
) -> None:
    old = [
        {"_id": f"Patient/a/{number:010d}", "type": "Patient", "lastUpdated": MOMENT, "method": "PUT", "_json": b"{}"}
        for number in (2, 1)
    ]
    await database.history.insert_many([dict(one) for one in old])
    store = Store(client, database.name, rules=RULES, now=clock)
    await store.prepare()
    assert names(await store.history("Patient", limit=10)) == ["a/2", "a/1"]
    late = {**old[0], "_id": "Patient/a/0000000003"}  # of a process that still runs the older release
    await database.history.insert_one(late)
    await store.prepare()
    assert names(await store.history("Patient", limit=10)) == ["a/2", "a/1"]
    assert [await store.adopt_history(), await store.adopt_history()] == [1, 0]
    assert names(await store.history("Patient", limit=10)) == ["a/3", "a/2", "a/1"]


# What commits late.


async def test_what_commits_late_is_found_by_who_polls_and_comes_on_no_page_that_was_shown(
    store: Store, clock: Clock
) -> None:
    await create(store, patient("first"))
    started, released = asyncio.Event(), asyncio.Event()

    async def late(work: UnitOfWork) -> None:
        work.create(patient("late"))
        started.set()
        await released.wait()

    writing = asyncio.create_task(store.transact(late))
    await started.wait()
    clock.advance(seconds=3)
    await create(store, patient("second"))
    clock.advance(seconds=1)
    asked = clock()
    shown = await store.history(limit=1)
    assert names(shown) == ["second/1"]
    clock.advance(seconds=1)
    released.set()
    await writing
    [version] = (await store.history("Patient", "late", limit=1)).entries
    assert version.moment == MOMENT  # three seconds before what was shown already
    assert names(await store.history(limit=10, before=shown.cursor)) == ["first/1"]
    assert shown.moment == asked
    for since in (shown.moment, asked):
        assert names(await store.history(limit=10, since=since)) == ["late/1"]
    assert names(await store.history(limit=10)) == ["late/1", "second/1", "first/1"]


WRITERS, ROUNDS, RESOURCES = 8, 12, 6


async def test_among_many_writers_paging_shows_each_version_once_and_polling_misses_none(
    client: Client, store: Store
) -> None:
    """Writers with clocks apart and transactions of all lengths; pagers and pollers read along."""
    chance = random.Random(1)
    zero = datetime.now(UTC)
    skews = (0.0, -0.4, 0.4)
    patient = partial(Store, client, store.database.name, rules=RULES, timeout=60)  # rivals come first again and again
    stores = [patient(now=lambda s=skew: datetime.now(UTC) + timedelta(seconds=s)) for skew in skews]  # type: ignore[misc]
    done = asyncio.Event()
    made: list[str] = []

    async def write(each: Store) -> None:
        for _ in range(ROUNDS):
            chosen = chance.sample(range(RESOURCES), chance.randint(1, 3))
            pause = chance.choice((0, 0, 0.005, 0.03, 0.15))
            made.extend(await each.transact(lambda work, c=chosen, p=pause: scribble(work, c, p)))  # type: ignore[misc]

    async def poll(each: Store) -> set[str]:
        seen: set[str] = set()
        since = zero - timedelta(days=1)
        last = False
        while not last:
            last = done.is_set()
            found = await pages(lambda before, s=since: each.history(since=s, limit=7, before=before))  # type: ignore[misc]
            seen.update(name for page in found for name in names(page))
            assert found[0].moment is not None
            since = found[0].moment
        return seen

    async def page_through(each: Store) -> None:
        while not done.is_set():
            at_first = set(made)
            found = [name for page in await pages(lambda b: each.history(limit=5, before=b)) for name in names(page)]
            assert max(Counter(found).values(), default=1) == 1
            assert at_first <= set(found)  # all that was answered before

    async with asyncio.TaskGroup() as group:
        pollers = [group.create_task(poll(each)) for each in stores]
        for each in stores[:2]:
            group.create_task(page_through(each))
        writers = [group.create_task(write(stores[number % 3])) for number in range(WRITERS)]
        await asyncio.gather(*writers)
        done.set()
    expected = sorted(made)
    assert len(set(expected)) == len(expected)
    everything = [name for page in await pages(lambda b: store.history(limit=11, before=b)) for name in names(page)]
    assert sorted(everything) == expected
    for poller in pollers:
        assert sorted(poller.result()) == expected
    for number in range(RESOURCES):
        versions = [int(name.partition("/")[2]) for name in everything if name.startswith(f"p{number}/")]
        assert versions == list(range(len(versions), 0, -1))
    assert await numbers(store.database) == list(range(1, len(expected) + 1))


async def scribble(work: UnitOfWork, chosen: list[int], pause: float) -> list[str]:
    """Make, change or delete some Patients, slowly; tell the versions made."""
    wanted = [f"Patient/p{number}" for number in chosen]
    found, last = await work.read_many(wanted), await work.last_versions(wanted)
    await asyncio.sleep(pause)
    for name in wanted:
        if name not in found:
            work.create(patient(name.partition("/")[2]), version=last[name] + 1, method="PUT")
        elif last[name] % 5 == 4:
            work.delete(found[name])
        else:
            work.update(found[name], {**found[name], "gender": "other"})
    return [f"{name.partition('/')[2]}/{last[name] + 1}" for name in wanted]


# The work.


async def grown(database: Database, size: int) -> None:
    """Fill the history with versions in their order: a resource in twenty is an Appointment."""
    for start in range(0, size, 5_000):
        await database.history.insert_many(
            [
                {
                    "_id": f"{kind}/p{seq % 997}/{seq:010d}",
                    "type": kind,
                    "lastUpdated": MOMENT + timedelta(seconds=seq),
                    "at": MOMENT + timedelta(seconds=seq),
                    "seq": seq,
                    "method": "PUT",
                    "_json": b"{}",
                }
                for seq in range(start + 1, min(start + 5_000, size) + 1)
                for kind in ("Appointment" if seq % 20 == 0 else "Patient",)
            ]
        )
    end = {"value": size, "at": MOMENT + timedelta(seconds=size)}
    await database.counters.replace_one({"_id": ordering.COUNTER}, end, upsert=True)


class Sent(Listener):
    """The reads that were sent, so that they can be explained."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate"):
            about = ("find", "aggregate", "filter", "pipeline", "sort", "limit", "projection", "cursor")
            self.commands.append({name: value for name, value in event.command.items() if name in about})


@pytest.fixture
async def watched(mongodb_uri: str, store: Store, clock: Clock) -> AsyncIterator[tuple[Store, Sent]]:
    """A store on the same database whose reads are noted."""
    sent = Sent()
    client = connect(mongodb_uri, listeners=[sent])
    yield Store(client, store.database.name, rules=RULES, now=clock), sent
    await client.close()


def stages(plan: Any) -> set[str]:
    """The names of all stages in an explanation."""
    if isinstance(plan, list):
        return set().union(*map(stages, plan))
    if not isinstance(plan, dict):
        return set()
    own = {plan["stage"]} if "stage" in plan else set()
    return own.union(*(stages(value) for name, value in plan.items() if name != "rejectedPlans"))


def examined(plan: Any) -> int:
    """Keys and documents that were looked at."""
    if isinstance(plan, list):
        return max(map(examined, plan), default=0)
    if not isinstance(plan, dict):
        return 0
    if "totalKeysExamined" in plan:
        return int(plan["totalKeysExamined"]) + int(plan["totalDocsExamined"])
    return max(map(examined, plan.values()), default=0)


ASKED: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "resource": lambda store: store.history("Patient", "p7", limit=5),
    "resource-page": lambda store: store.history("Patient", "p7", limit=5, before=900),
    "resource-since": lambda store: store.history("Patient", "p7", limit=5, since=MOMENT),
    "type": lambda store: store.history("Patient", limit=5),
    "rare-type": lambda store: store.history("Appointment", limit=5),
    "type-page": lambda store: store.history("Patient", limit=5, before=500),
    "type-since": lambda store: store.history("Patient", limit=5, since=MOMENT + timedelta(seconds=100)),
    "type-since-now": lambda store: store.history("Patient", limit=5, since=MOMENT + timedelta(days=9)),
    "all": lambda store: store.history(limit=5),
    "all-page": lambda store: store.history(limit=5, before=500),
    "all-since": lambda store: store.history(limit=5, since=MOMENT + timedelta(seconds=100)),
    "types": lambda store: store.history(limit=5, kinds=["Patient", "Slot", "Appointment"]),
    "sequence": lambda store: store.sequence(5),
    "version": lambda store: store.read_version("Patient", "p7", 7),
    "gone": lambda store: store.gone("Patient", "p7"),
    "last": lambda store: store.transact(lambda work: work.last_versions(["Patient/p7", "Patient/no"])),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_no_question_costs_more_as_the_history_grows(
    watched: tuple[Store, Sent], asked: Callable[[Store], Awaitable[Any]]
) -> None:
    store, sent = watched
    work: list[int] = []
    for size in (1_000, 6_000):
        await store.database.history.delete_many({})
        await grown(store.database, size)
        await create(store, patient(f"pending-{size}"))
        sent.commands.clear()
        await asked(store)
        commands = [
            command for command in sent.commands if "history" in (command.get("find"), command.get("aggregate"))
        ]
        assert commands
        total = 0
        for command in commands:
            plan = await store.database.command({"explain": command, "verbosity": "executionStats"})
            assert not stages(plan) & {"COLLSCAN", "SORT"}
            total += examined(plan)
        work.append(total)
    assert work[1] <= max(2 * COUNTED + 50, work[0] * 1.1)
    assert work[1] <= 3 * COUNTED


async def test_a_part_of_the_order_is_no_more_than_a_transaction_carries() -> None:
    assert BATCH <= 1_000  # what MongoDB advises for one transaction
