"""The client's limits, and servers that are not fit."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from store.connection import Client, bounded, connect, require_transactions
from store.embedded import find_mongod
from store.errors import NoTransactions, Unreachable
from tests.store.support import Database


@pytest.fixture(scope="module")
def standalone() -> Iterator[str]:
    """A mongod without a replica set, on a socket of its own."""
    with TemporaryDirectory(prefix="mlt-", dir="/tmp") as folder:
        address = Path(folder) / "m.sock"
        options = ["--dbpath", folder, "--nounixsocket", "--bind_ip", str(address), "--port", "0", "--nojournal"]
        server = subprocess.Popen(
            [find_mongod(), *options, "--wiredTigerCacheSizeGB", "0.25"], stdout=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 20
            while not address.exists():
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield f"mongodb://{quote(str(address), safe='')}/"
        finally:
            server.kill()
            server.wait()


async def test_writes_are_journaled_on_a_majority_and_reads_see_what_a_majority_holds(client: Client) -> None:
    assert client.write_concern == WriteConcern("majority", j=True)
    assert client.read_concern == ReadConcern("majority")


async def test_a_replica_set_is_fit(client: Client) -> None:
    await require_transactions(client)
    hello = await client.admin.command("hello")
    assert "setName" in hello


async def test_a_standalone_server_is_refused_with_the_remedy(standalone: str) -> None:
    client = connect(standalone)
    with pytest.raises(NoTransactions, match=r"standalone.*mongod --replSet.*ADAPTER_MONGODB_URI"):
        await require_transactions(client)
    await client.close()


async def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    address = f"mongodb://{quote(str(tmp_path / 'no.sock'), safe='')}/"
    client: Client = AsyncMongoClient(address, serverSelectionTimeoutMS=100)
    with pytest.raises(Unreachable, match="MongoDB does not answer"):
        await require_transactions(client)
    await client.close()


async def test_a_call_that_answers_in_time_gives_its_result(database: Database) -> None:
    assert (await bounded(lambda: database.command("ping"), 5))["ok"] == 1


async def test_a_call_that_takes_longer_than_its_bound_is_unreachable(database: Database) -> None:
    await database.things.insert_one({})
    started = asyncio.get_running_loop().time()
    with pytest.raises(Unreachable):
        await bounded(lambda: database.things.find_one({"$where": "sleep(2000) || true"}), 0.2)
    assert asyncio.get_running_loop().time() - started < 1.5


async def test_an_error_that_has_nothing_to_do_with_time_stays_what_it_is(database: Database) -> None:
    await database.things.insert_one({"_id": 1})
    with pytest.raises(DuplicateKeyError):
        await bounded(lambda: database.things.insert_one({"_id": 1}), 5)
    with pytest.raises(OperationFailure, match="no such command"):
        await bounded(lambda: database.command("nonsense"), 5)


async def test_a_conflict_that_is_not_run_again_is_unreachable(client: Client, database: Database) -> None:
    await database.things.insert_one({"_id": 1, "n": 0})
    async with client.start_session() as one, client.start_session() as other:
        await one.start_transaction()
        await other.start_transaction()
        await database.things.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=one)
        with pytest.raises(Unreachable):
            await bounded(lambda: database.things.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=other), 5)
