"""Reading stored bytes, the declared indexes, and the bounds within which every call ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest
from pymongo import monitoring

from store import embedded
from store.codec import decode, encode
from store.connection import Client, connect
from store.errors import Unreachable
from store.store import REMEMBERED_FOR, Store
from store.types import TYPES, key_pattern
from store.unit_of_work import UnitOfWork
from tests.store.embedded.servers import quick
from tests.store.support import Database, Listener, appointment, create, everything, explain, patient, stop

DAY = "2024-01-{:02}T10:00:00Z"


async def indexes(database: Database, collection: str) -> list[dict[str, Any]]:
    return [dict(found["key"]) async for found in await database[collection].list_indexes()]


# Preparing.


async def test_every_declared_index_exists_after_preparing(client: Client, database: Database) -> None:
    await Store(client, database.name).prepare()
    for kind in TYPES.values():
        found = await indexes(database, kind.name)
        for keys in kind.indexes:
            assert dict(key_pattern(keys)) in found
        assert {"_index.unique": 1} in found
        assert len(found) == len(kind.index_models()) + 1  # and `_id`: nothing else is made


async def test_the_index_of_unique_identifiers_is_unique_and_of_those_alone(client: Client, database: Database) -> None:
    await Store(client, database.name).prepare()
    async for found in await database.Appointment.list_indexes():
        if dict(found["key"]) == {"_index.unique": 1}:
            assert found["unique"] is True
            assert found["partialFilterExpression"] == {"_index.unique": {"$exists": True}}
            return
    pytest.fail("there is no such index")


@pytest.mark.parametrize(
    ("collection", "seconds"), [("guards", 3600), ("idempotency", int(REMEMBERED_FOR.total_seconds()))]
)
async def test_guards_and_remembered_answers_expire(
    client: Client, database: Database, collection: str, seconds: int
) -> None:
    await Store(client, database.name).prepare()
    expiring = [
        (dict(found["key"]), found["expireAfterSeconds"])
        async for found in await database[collection].list_indexes()
        if "expireAfterSeconds" in found
    ]
    assert expiring == [({"at": 1}, seconds)]


async def test_every_collection_that_a_transaction_writes_is_there_before(client: Client, database: Database) -> None:
    await Store(client, database.name).prepare()
    assert set(await database.list_collection_names()) >= {*TYPES, "history", "guards", "idempotency"}


async def test_preparing_again_changes_nothing(store: Store) -> None:
    await create(store, patient("a"))
    await store.prepare()
    names = await store.database.list_collection_names()
    before = [await indexes(store.database, name) for name in names], await everything(store.database)
    await store.prepare()
    await store.prepare()
    assert ([await indexes(store.database, name) for name in names], await everything(store.database)) == before


async def test_two_processes_may_prepare_a_new_database_at_once(client: Client, database: Database) -> None:
    await asyncio.gather(*(Store(client, database.name).prepare() for _ in range(4)))
    assert "history" in await database.list_collection_names()


# Reading.


async def test_what_is_not_stored_reads_as_none(store: Store) -> None:
    assert await store.read("Patient", "nobody") is None
    assert await store.read_version("Patient", "nobody", 1) is None


async def test_a_read_gives_the_stored_bytes(store: Store) -> None:
    [made] = await create(store, patient("a", gender="other"))
    assert await store.read("Patient", "a") == encode(made)


async def test_a_find_gives_the_page_that_is_asked_for_in_order(store: Store) -> None:
    await create(store, *(appointment(f"a{day}", DAY.format(day), DAY.format(day + 1)) for day in (5, 3, 1, 4, 2)))
    page = await store.find("Appointment", {}, sort=[("_index.date", -1)], skip=1, limit=3)
    assert [decode(raw)["id"] for raw in page] == ["a4", "a3", "a2"]


async def test_a_find_may_name_its_index(store: Store) -> None:
    await create(store, appointment("a"), appointment("b", status="cancelled"))
    found = await store.find("Appointment", {"_index.status": "booked"}, hint=("status", "date", "_id"))
    assert [decode(raw)["id"] for raw in found] == ["a"]


async def test_a_count_gives_how_many_match(store: Store) -> None:
    await create(store, appointment("a"), appointment("b", status="cancelled"))
    assert await store.count("Appointment", {"_index.status": "booked"}) == 1
    assert await store.count("Appointment", {"_index.status": "booked"}, hint=("status", "date", "_id")) == 1


async def test_many_resources_are_read_at_once_by_reference(store: Store) -> None:
    one, two, three = await create(store, patient("a"), patient("b"), {"resourceType": "Location", "id": "a"})
    found = await store.read_all(["Patient/a", "Location/a", "Patient/nobody", "Patient/b", "Unknown/a", "#c", "text"])
    assert found == {"Patient/a": encode(one), "Patient/b": encode(two), "Location/a": encode(three)}


@pytest.mark.parametrize("count", [False, True])
async def test_an_explanation_tells_which_index_is_used(store: Store, count: bool) -> None:
    await create(store, appointment("a"))
    found = await explain(
        store, "Appointment", {"_index.status": "booked"}, hint=("status", "date", "_id"), count=count
    )
    assert "_index.status_1__index.date_1__id_1" in str(found)


async def test_an_explanation_without_a_hint_leaves_the_choice_to_mongodb(store: Store) -> None:
    found = await explain(store, "Patient", {"_id": "a"}, sort=[("_id", 1)])
    assert "IDHACK" in str(found) or "IXSCAN" in str(found)


async def test_numbers_are_handed_out_by_the_store(store: Store) -> None:
    assert [await store.next_number("n"), await store.next_number("n")] == [1, 2]


async def test_a_server_that_takes_writes_answers_the_ping(store: Store) -> None:
    await store.ping()
    assert await store.count("readiness", {}) == 1


async def test_a_server_that_refuses_the_write_of_the_ping_is_unreachable(client: Client, database: Database) -> None:
    await database.create_collection("readiness", validator={"never": {"$exists": True}})
    with pytest.raises(Unreachable, match="takes no writes"):
        await Store(client, database.name).ping()


async def test_a_transaction_reads_a_snapshot_and_is_journaled_on_a_majority(mongodb_uri: str, store: Store) -> None:
    sent: list[dict[str, Any]] = []

    class Noted(Listener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            sent.append(dict(event.command))

    client = connect(mongodb_uri, listeners=[Noted()])
    await create(Store(client, store.database.name), patient("a"))
    await client.close()
    first = next(command for command in sent if command.get("startTransaction"))
    commit = next(command for command in sent if "commitTransaction" in command)
    assert first["readConcern"]["level"] == "snapshot"
    assert commit["writeConcern"] == {"w": "majority", "j": True}
    assert all(command["autocommit"] is False for command in sent if "insert" in command or "bulkWrite" in command)


# Bounds.


async def _create(work: UnitOfWork) -> None:
    work.create(patient("a"))


async def _at_a_moment(store: Store) -> None:
    async with store.moment() as moment:
        await moment.count("Patient", {})


@pytest.fixture
async def dead(tmp_path: Path) -> Any:
    """A store whose server is not there."""
    client = connect(f"mongodb://{quote(str(tmp_path / 'no.sock'), safe='')}/")
    yield Store(client, "none", timeout=0.2)
    await client.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.read("Patient", "a"),
        lambda store: store.read_version("Patient", "a", 1),
        lambda store: store.find("Patient", {}),
        lambda store: store.count("Patient", {}),
        lambda store: store.read_all(["Patient/a"]),
        lambda store: store.ping(),
        lambda store: store.transact(_create),
        lambda store: store.next_number("n"),
        lambda store: _at_a_moment(store),
    ],
    ids=["read", "version", "find", "count", "read-all", "ping", "transact", "number", "moment"],
)
async def test_a_dead_server_is_unreachable_within_the_bound(dead: Store, call: Any) -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises(Unreachable, match="did not answer in time"):
        await call(dead)
    assert asyncio.get_running_loop().time() - started < 1


async def test_the_bound_holds_where_the_client_would_wait_longer(tmp_path: Path) -> None:
    client = connect(f"mongodb://{quote(str(tmp_path / 'no.sock'), safe='')}/")
    started = asyncio.get_running_loop().time()
    with pytest.raises(Unreachable):
        await Store(client, "none", timeout=0.3).read("Patient", "a")
    assert asyncio.get_running_loop().time() - started < 1
    await client.close()


async def test_a_callback_that_takes_longer_than_the_bound_writes_nothing(client: Client, store: Store) -> None:
    async def slow(work: UnitOfWork) -> None:
        await work.read("Patient", "a")
        work.create(patient("a"))
        await asyncio.sleep(0.4)

    with pytest.raises(Unreachable):
        await Store(client, store.database.name, timeout=0.3).transact(slow)
    assert await store.read("Patient", "a") is None


async def test_a_rival_who_keeps_coming_first_does_not_hold_a_call_for_ever(client: Client, store: Store) -> None:
    await create(store, patient("a"))
    impatient = Store(client, store.database.name, timeout=0.5)
    async with client.start_session() as session:
        await session.start_transaction()
        await impatient.database.Patient.update_one({"_id": "a"}, {"$set": {"held": 1}}, session=session)

        async def step(work: UnitOfWork) -> None:
            before = await work.read("Patient", "a")
            assert before is not None
            work.update(before, {**before, "gender": "other"})

        started = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable):
            await impatient.transact(step)
        assert asyncio.get_running_loop().time() - started < 2


@pytest.fixture(scope="module")
def frozen() -> Iterator[embedded.EmbeddedMongo]:
    """A server of its own, which a test may bring to a standstill."""
    with TemporaryDirectory(prefix="mlt-", dir="/tmp") as folder, quick(Path(folder)) as server:
        yield server


@pytest.mark.parametrize("when", ["before", "within"])
async def test_a_server_that_stops_answering_is_unreachable_within_the_bound(
    frozen: embedded.EmbeddedMongo, when: str
) -> None:
    client = connect(frozen.uri)
    store = Store(client, "frozen", timeout=0.5)
    await store.ping()
    if when == "before":
        stop(frozen.pid)

    async def step(work: UnitOfWork) -> None:
        await work.read("Patient", "a")
        stop(frozen.pid)
        work.create(patient("a"))

    started = asyncio.get_running_loop().time()
    try:
        with pytest.raises(Unreachable):
            await asyncio.wait_for(store.transact(step) if when == "within" else store.read("Patient", "a"), 30)
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    assert asyncio.get_running_loop().time() - started < 2
    await client.close()


async def test_nobody_hears_of_a_transaction_that_was_cut_off_and_ended_badly(store: Store) -> None:
    begun = asyncio.Event()

    async def stubborn(_: UnitOfWork) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("the client is closed")

    waiting = asyncio.create_task(store.transact(stubborn))
    await begun.wait()
    [task] = store._transactions._running
    waiting.cancel()
    await asyncio.wait([task])
    assert "client is closed" in str(task)
    assert not task._log_traceback  # else asyncio complains when it is forgotten
