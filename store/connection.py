"""The client and its limits: every call answers or fails within a stated bound.

The driver's own defaults wait for 30 seconds for a server and for ever for an answer; a caller who books a
patient should not. Two bounds hold: each call of the store gives up after its own patience (10 s), and all the calls of
one request share a `Deadline`, so that several slow ones in a row cannot add up.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.pool import AsyncConnection, Pool
from pymongo.errors import (
    AutoReconnect,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)
from pymongo.monitoring import ConnectionClosedReason
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from store.errors import Unfit, Unreachable

T = TypeVar("T")
Client = AsyncMongoClient[dict[str, Any]]

MAJORITY = WriteConcern("majority", j=True)
COMMITTED = ReadConcern("majority")

SERVER_SELECTION_MS = 5_000
# Also the patience of the heartbeat: less, and a busy moment of this process would look like a dead server.
CONNECT_MS = 10_000
POOL_SIZE = 64
# MongoDB's version, and the wire version it speaks: exports use $documents, which 5.0 has not.
OLDEST = ("6.0", 17)

# Codes of MongoDB's error_codes.yml under which the same call may go well in a moment.
_PASSING = frozenset(
    {
        # The server is stepping down, shutting down or not there yet: what the driver has already tried again once.
        *(6, 7, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436),
        # It has not initiated or not yet the keys that sign its time: NotYetInitialized, KeyNotFound.
        *(94, 211),
        # Written, but not told to enough members yet (or not enough are there): WriteConcernTimeout (formerly
        # WriteConcernFailed), UnsatisfiableWriteConcern. Whether it stands is not known.
        *(64, 100),
        # What was being read or done was ended, by a failover, a rollback or its age: CursorNotFound, QueryPlanKilled,
        # CursorKilled, NoSuchTransaction, TransactionExceededLifetimeLimitSeconds, Interrupted.
        *(43, 175, 237, 251, 290, 11601),
        # Somebody was first: LockTimeout, WriteConflict, SnapshotTooOld, SnapshotUnavailable.
        *(24, 112, 239, 246),
        # The cache is full for a moment, or mongos has found nobody to ask in time: TemporarilyUnavailable,
        # FailedToSatisfyReadPreference, NetworkInterfaceExceededTimeLimit.
        *(365, 133, 202),
    }
)
# BSONObjectTooLarge, TransactionTooLarge, TransactionTooLargeForCache, and what an update would make too large.
_OVERSIZED = frozenset({10334, 257, 388, 17419})
# A document that is created with some KB too many is a mere BadValue: by its text alone it can be told from others.
_TOO_LARGE = (2, "object to insert too large")
_NOT_ALLOWED = (13, 18)  # Unauthorized, AuthenticationFailed
_NOISE = re.compile(r"\[Errno -?\d+\] | \(configured timeouts: [^)]*\)")
_SENT = re.compile(r" dup key: | to execute command ")
_LABELS = (
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
    "RetryableWriteError",
    "SystemOverloadedError",
)


class SessionPool(Pool):
    """Keeps no connection that was made while its member was neither primary nor secondary.

    The driver notes once, when a connection is made, whether sessions may be used on it. A member that was paused
    as the primary is neither for a moment when it goes on: connections made in that moment stay in the driver's pool
    as ones without sessions, and fail every transaction with a `ConfigurationError` (found by
    tests/linearizability), also when their member is the primary again. To fail while connecting is what the driver
    knows how to deal with: it looks again for a primary, and transactions are run again.
    """

    async def connect(self, handler: Any = None) -> AsyncConnection:
        """Return a new connection.

        Raises:
            AutoReconnect: sessions cannot be used on it just now.
        """
        made = await super().connect(handler)
        if not (made.supports_sessions or self.is_sdam):
            await made.close_conn(ConnectionClosedReason.ERROR)
            async with self.lock:
                self.active_contexts.discard(made.cancel_context)
            raise AutoReconnect(f"{self.address} is neither primary nor secondary")
        return made


class Deadline:
    """The moment (of the event loop's clock) at which a request stops waiting for MongoDB."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = 0.0
        self.renew()

    def renew(self) -> None:
        """Begin again: MongoDB answers, and what is being done is long (the next entry of a batch)."""
        self._end = asyncio.get_running_loop().time() + self._seconds

    def lift(self) -> None:
        """Wait as long as each call likes from now on: the answer has begun, or the work is nobody's request."""
        self._end = math.inf

    def left(self) -> float:
        """Return the seconds that are left, 0 at least."""
        return max(0.0, self._end - asyncio.get_running_loop().time())


_deadline: ContextVar[Deadline | None] = ContextVar("store_deadline", default=None)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[Deadline]:
    """Have all calls of the store made in this context (its tasks too) give up `seconds` from now at the latest."""
    made = Deadline(seconds)
    token = _deadline.set(made)
    try:
        yield made
    finally:
        _deadline.reset(token)


def renew_deadline() -> None:
    """Begin the present request's deadline again, if there is one: see `Deadline.renew`."""
    found = _deadline.get()
    if found is not None:
        found.renew()


def connect(uri: str, *, listeners: Sequence[Any] = ()) -> Client:
    """Return a client for `uri` (nothing is sent yet).

    Writes are acknowledged by a majority, journaled; reads see only what a majority holds, so that no
    failover takes back what was shown, and go to the primary, as transactions have to. That is not for
    `uri` to change; limits in it are kept.
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
        # By this name it comes before tags and a staleness in `uri` as well, which the driver refuses of a primary.
        read_preference=ReadPreference.PRIMARY,
        retryWrites=True,
        retryReads=True,
        event_listeners=list(listeners),
        _pool_class=SessionPool,
        **{name: value for name, value in limits.items() if f"{name.lower()}=" not in stated},
    )
    return client


async def bounded(call: Callable[[], Awaitable[T]], seconds: float | None) -> T:
    """Return what `call` gives; without `seconds` it may take as long as it likes, but must not fail for MongoDB.

    Raises:
        Unreachable: MongoDB did not answer within `seconds`, or before the present request's deadline.
    """
    deadline = _deadline.get()
    if deadline is not None:
        seconds = min(math.inf if seconds is None else seconds, deadline.left())
    try:
        # Not pymongo.timeout: that costs each command a tenth of its time (measured), and bounds no better.
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            return await call()
    except (TimeoutError, ConnectionFailure, ExecutionTimeout) as error:
        raise Unreachable("MongoDB did not answer in time") from error
    except PyMongoError as error:
        if error.timeout or passes(error):
            raise Unreachable("MongoDB did not answer in time") from error
        raise


def passes(error: PyMongoError) -> bool:
    """Tell whether the same call may go well in a moment, once there is a primary again."""
    if any(error.has_error_label(label) for label in _LABELS):
        return True
    if isinstance(error, InvalidOperation):  # this process is ending; another one may take the call
        return "after close" in str(error)
    return not _PASSING.isdisjoint(_codes(error))


def is_oversized(error: Exception) -> bool:
    """Tell whether what was to be written is more than one document, or one transaction, can be."""
    if isinstance(error, DocumentTooLarge) or not _OVERSIZED.isdisjoint(_codes(error)):
        return True
    code, text = _TOO_LARGE
    return any(part.get("code") == code and part.get("errmsg", "").startswith(text) for part in _parts(error))


def _codes(error: Exception) -> set[Any]:
    return {getattr(error, "code", None), *(part.get("code") for part in _parts(error))}


def _parts(error: Exception) -> list[dict[str, Any]]:
    """Return what a bulk write says in its parts alone: what was wrong with each."""
    details = getattr(error, "details", None) or {}
    return [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]


def reason(error: PyMongoError) -> str:
    """Return what the driver says, without its timeouts and all that it knows of each server: that fills a screen."""
    return _NOISE.sub("", str(error).partition(", Timeout: ")[0])


def refusal(error: OperationFailure) -> str:
    """Return what MongoDB says of why it refuses, without what it was sent: whole resources, sessions, signatures."""
    parts = [*_parts(error), error.details or {}]
    said = next((str(part["errmsg"]) for part in parts if "errmsg" in part), "no reason given")
    code = next((part["code"] for part in parts if "code" in part), error.code)
    return f"{_SENT.split(said, maxsplit=1)[0]} (error {code})"


async def require_fit(client: Client) -> None:
    """Make sure that the server can do what is asked of it: transactions, and the stages of aggregations.

    Raises:
        Unfit: it is a standalone, or older than `OLDEST`.
        Unreachable: it does not answer, or takes no writes as another member does.
    """
    try:
        hello = await client.admin.command("hello")
    except OperationFailure as error:  # its text holds the server's whole answer
        said = (error.details or {}).get("errmsg", "no reason given")
        remedy = " Check user and password in ADAPTER_MONGODB_URI." if error.code in _NOT_ALLOWED else ""
        raise Unreachable(f"MongoDB refuses to answer: {str(said).rstrip('.')}.{remedy}") from error
    except PyMongoError as error:
        servers = client.topology_description.server_descriptions().values()
        if any(one.server_type_name == "RSGhost" for one in servers):  # a member that is in no replica set as yet
            remedy = "Has rs.initiate() been run?"
        else:
            remedy = "Check ADAPTER_MONGODB_URI, and that it runs there."
        raise Unreachable(f"MongoDB does not answer: {reason(error).rstrip('.')}. {remedy}") from error
    if hello.get("secondary"):
        raise Unreachable(
            "This MongoDB server is not the primary. Name the whole replica set in ADAPTER_MONGODB_URI, and "
            "leave directConnection out."
        )
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise Unfit(
            "This MongoDB is a standalone server, which has no transactions. Start it as a replica set "
            "(mongod --replSet rs0, then rs.initiate(); one member is enough) or name one in ADAPTER_MONGODB_URI."
        )
    version, spoken = OLDEST
    if hello["maxWireVersion"] < spoken:
        raise Unfit(
            f"This MongoDB is older than {version}, which is needed. Upgrade it (of a replica set each member, and its "
            "featureCompatibilityVersion), or name another one in ADAPTER_MONGODB_URI."
        )
