"""The client and its limits: every call answers or fails within a stated bound.

The driver's own defaults wait for 30 seconds for a server and for ever for an answer; a caller who books a
patient should not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from pymongo import AsyncMongoClient
from pymongo.errors import ConnectionFailure, ExecutionTimeout, NetworkTimeout, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from store.errors import NoTransactions, Unreachable

T = TypeVar("T")
Client = AsyncMongoClient[dict[str, Any]]

MAJORITY = WriteConcern("majority", j=True)
COMMITTED = ReadConcern("majority")

SERVER_SELECTION_MS = 5_000
# Also the patience of the heartbeat: less, and a busy moment of this process would look like a dead server.
CONNECT_MS = 10_000
POOL_SIZE = 64


def connect(uri: str, *, listeners: Sequence[Any] = ()) -> Client:
    """Return a client for `uri` (nothing is sent yet).

    Writes are acknowledged by a majority, journaled; reads see only what a majority holds, so that no
    failover takes back what was shown (decision 3.4). That is not for `uri` to change; limits in it are kept.
    """
    limits: dict[str, Any] = {
        "serverSelectionTimeoutMS": SERVER_SELECTION_MS,
        "connectTimeoutMS": CONNECT_MS,
        "maxPoolSize": POOL_SIZE,
    }
    stated = uri.partition("?")[2].lower()
    client: Client = AsyncMongoClient(
        uri,
        appname="mediloop-fhir",
        tz_aware=True,
        w="majority",
        journal=True,
        readConcernLevel="majority",
        retryWrites=True,
        retryReads=True,
        event_listeners=list(listeners),
        **{name: value for name, value in limits.items() if f"{name.lower()}=" not in stated},
    )
    return client


async def bounded(call: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Return what `call` gives.

    Raises:
        Unreachable: MongoDB did not answer within `seconds`.
    """
    try:
        # Not pymongo.timeout: that costs each command a tenth of its time (measured), and bounds no better.
        async with asyncio.timeout(seconds):
            return await call()
    except (TimeoutError, ConnectionFailure, ExecutionTimeout, NetworkTimeout) as error:
        raise Unreachable("MongoDB did not answer in time") from error
    except PyMongoError as error:
        if error.timeout or error.has_error_label("TransientTransactionError"):
            raise Unreachable("MongoDB did not answer in time") from error
        raise


async def require_transactions(client: Client) -> None:
    """Make sure that the server can do transactions.

    Raises:
        NoTransactions: it is a standalone.
        Unreachable: it does not answer.
    """
    try:
        hello = await client.admin.command("hello")
    except PyMongoError as error:
        raise Unreachable(f"MongoDB does not answer: {error}") from error
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise NoTransactions(
            "This MongoDB is a standalone server, which has no transactions. Start it as a replica set "
            "(mongod --replSet rs0, then rs.initiate(); one member is enough) or name one in ADAPTER_MONGODB_URI."
        )
