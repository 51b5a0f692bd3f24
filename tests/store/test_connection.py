"""The client's limits, and servers that are not fit."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import BulkWriteError, DuplicateKeyError, InvalidOperation, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from store import connection
from store.connection import Client, bounded, connect, renew_deadline, require_fit, within
from store.embedded import find_mongod
from store.errors import Unfit, Unreachable
from tests.store.embedded.servers import quick
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


@pytest.fixture
def uninitiated() -> Iterator[str]:
    """The address of a member of a replica set that does not know its set yet: neither primary nor secondary."""
    with socket.socket() as one, TemporaryDirectory(prefix="mlt-", dir="/tmp") as folder:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        one.close()
        options = ["--replSet", "late", "--dbpath", folder, "--nounixsocket", "--port", str(port)]
        command = [str(find_mongod()), *options, "--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.25"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


async def test_a_connection_made_while_its_member_was_neither_primary_nor_secondary_is_not_kept(
    uninitiated: str,
) -> None:
    """The driver's own pool would keep it, as one without sessions, and fail transactions on a primary for ever."""
    client = connect(f"mongodb://{uninitiated}/?directConnection=true")

    async def read() -> None:
        async with client.start_session() as session, await session.start_transaction():
            await client.late.things.find_one({}, session=session)

    with pytest.raises(Unreachable):
        await bounded(read, 5)
    config = {"_id": "late", "members": [{"_id": 0, "host": uninitiated}]}
    async with AsyncMongoClient[dict[str, Any]](f"mongodb://{uninitiated}/?directConnection=true") as other:
        await other.admin.command("replSetInitiate", config)
        while not (await other.admin.command("hello"))["isWritablePrimary"]:
            await asyncio.sleep(0.05)
    for _ in range(3):
        await bounded(read, 10)
    await client.close()


async def test_a_client_that_was_closed_is_unreachable_and_a_mistake_is_not(tmp_path: Path) -> None:
    client: Client = AsyncMongoClient("mongodb://127.0.0.1:1/")
    await client.aconnect()
    await client.close()
    with pytest.raises(Unreachable):
        await bounded(lambda: client.admin.command("ping"), 5)

    async def mistake() -> None:
        raise InvalidOperation("no transaction started")

    with pytest.raises(InvalidOperation):
        await bounded(mistake, 5)


async def test_writes_are_journaled_on_a_majority_and_reads_see_what_a_majority_holds(client: Client) -> None:
    assert client.write_concern == WriteConcern("majority", j=True)
    assert client.read_concern == ReadConcern("majority")


@pytest.mark.parametrize(
    "stated",
    [
        "readPreference=secondaryPreferred",
        "readPreference=nearest&readPreferenceTags=dc:east&readPreferenceTags=",
        "readPreference=secondary&maxStalenessSeconds=120",
        "maxStalenessSeconds=120",
    ],
)
async def test_reads_are_the_primarys_whatever_the_address_says(mongodb_uri: str, stated: str) -> None:
    """A secondary may lag, and a transaction by another member than the primary is refused by the driver."""
    client = connect(f"{mongodb_uri}{'&' if '?' in mongodb_uri else '?'}{stated}")
    assert client.read_preference == ReadPreference.PRIMARY
    async with client.start_session() as session, await session.start_transaction():
        await client.mediloop.things.find_one({}, session=session)
    await client.close()


async def test_a_replica_set_is_fit(client: Client) -> None:
    await require_fit(client)
    hello = await client.admin.command("hello")
    assert "setName" in hello


async def test_a_standalone_server_is_refused_with_the_remedy(standalone: str) -> None:
    client = connect(standalone)
    with pytest.raises(Unfit, match=r"standalone.*mongod --replSet.*ADAPTER_MONGODB_URI"):
        await require_fit(client)
    await client.close()


async def test_a_server_that_is_too_old_is_refused_with_the_remedy(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried with a real 5.0 as well, which is on no registry that the tests can ask: here the bound is moved."""
    hello = await client.admin.command("hello")
    monkeypatch.setattr(connection, "OLDEST", ("6.0", hello["maxWireVersion"]))
    await require_fit(client)
    monkeypatch.setattr(connection, "OLDEST", ("6.0", hello["maxWireVersion"] + 1))
    with pytest.raises(Unfit, match=r"older than 6\.0.*Upgrade it.*ADAPTER_MONGODB_URI"):
        await require_fit(client)


async def test_a_member_that_is_not_the_primary_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with quick(tmp_path) as server:
        client = connect(server.uri)  # by `directConnection`
        await client.admin.command("replSetStepDown", 60, force=True)
        with pytest.raises(Unreachable, match=r"is not the primary\. .* leave directConnection out\.$"):
            await require_fit(client)
        await client.close()


async def test_a_replica_set_that_nobody_has_initiated_is_told_the_remedy(uninitiated: str) -> None:
    """It runs, and at the right address: to check these, as for a server that is not there, would find nothing."""
    client: Client = AsyncMongoClient(f"mongodb://{uninitiated}/?replicaSet=late", serverSelectionTimeoutMS=2_000)
    with pytest.raises(Unreachable, match=r"^MongoDB does not answer: .*\. Has rs\.initiate\(\) been run\?$"):
        await require_fit(client)
    await client.close()


async def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    address = f"mongodb://{quote(str(tmp_path / 'no.sock'), safe='')}/"
    client: Client = AsyncMongoClient(address, serverSelectionTimeoutMS=100)
    with pytest.raises(Unreachable) as raised:
        await require_fit(client)
    said = str(raised.value)
    assert said.startswith(f"MongoDB does not answer: {tmp_path}/no.sock:")
    assert said.endswith("No such file or directory. Check ADAPTER_MONGODB_URI, and that it runs there.")
    assert len(said) < len(str(tmp_path)) + 150
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


async def test_all_calls_of_a_request_share_its_deadline() -> None:
    """Each has a patience of its own, which would add up."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    with within(0.3):
        for _ in range(5):
            with pytest.raises(Unreachable):
                await bounded(lambda: asyncio.sleep(2), 0.2)
    assert loop.time() - started < 1.0
    await bounded(lambda: asyncio.sleep(0.01), 5)  # the next request has its own


async def test_a_deadline_holds_in_the_tasks_of_its_request_and_is_lifted_for_what_comes_after() -> None:
    async def later() -> None:
        await asyncio.sleep(0.3)
        await bounded(lambda: asyncio.sleep(0.01), 5)

    with within(0.2) as deadline:
        late, in_time = asyncio.create_task(later()), asyncio.create_task(bounded(lambda: asyncio.sleep(0), 5))
        await in_time
        with pytest.raises(Unreachable):
            await late
        assert deadline.left() == 0
        deadline.lift()
        await asyncio.create_task(later())


async def test_a_deadline_begins_again_where_the_work_is_long_and_mongodb_answers() -> None:
    renew_deadline()  # where there is none, nothing happens
    with within(0.2) as deadline:
        await asyncio.sleep(0.15)
        renew_deadline()
        assert deadline.left() > 0.15
        await asyncio.sleep(0.15)
        await bounded(lambda: asyncio.sleep(0), 5)


@pytest.mark.parametrize(
    "code", [43, 64, 91, 100, 112, 133, 175, 189, 202, 211, 237, 251, 365, 10107, 11600, 11602, 13435]
)
async def test_a_server_that_changes_its_part_is_unreachable_for_a_moment(code: int) -> None:
    async def call() -> None:
        raise OperationFailure("stepping down", code)

    with pytest.raises(Unreachable):
        await bounded(call, 5)


async def test_a_bulk_write_says_it_in_its_parts() -> None:
    for parts in ({"writeErrors": [{"code": 11602}]}, {"writeErrors": [], "writeConcernErrors": [{"code": 91}]}):

        async def call(parts: dict[str, Any] = parts) -> None:
            raise BulkWriteError(parts)

        with pytest.raises(Unreachable):
            await bounded(call, 5)


async def test_what_the_driver_would_try_again_is_unreachable() -> None:
    for label in ("TransientTransactionError", "UnknownTransactionCommitResult", "RetryableWriteError"):

        async def call(label: str = label) -> None:
            raise OperationFailure("not now", 1, {"errorLabels": [label]})

        with pytest.raises(Unreachable):
            await bounded(call, 5)


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (18, "Authentication failed.", "Authentication failed. Check user and password in ADAPTER_MONGODB_URI."),
        (59, "no such command: 'hello'", "no such command: 'hello'."),
    ],
)
async def test_a_server_that_refuses_is_told_in_one_line(code: int, said: str, told: str) -> None:
    answer = {"ok": 0.0, "errmsg": said, "code": code, "$clusterTime": {"signature": "x"}}

    class Admin:
        async def command(self, _: str) -> None:
            raise OperationFailure(f"{said}, full error: {answer}", code, answer)

    class Refusing:
        admin = Admin()

    with pytest.raises(Unreachable) as raised:
        await require_fit(Refusing())  # type: ignore[arg-type]  # a client that only asks who is there
    assert str(raised.value) == f"MongoDB refuses to answer: {told}"
