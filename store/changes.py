"""Every version as it is written, in the order of MongoDB's own log: a change stream on the history.

A place in it is a token, which stays good as long as MongoDB keeps its log (the oplog). A failover is survived: the
stream is opened again behind the last version that was given out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from store.errors import StoreError, Unreachable
from store.ordering import HISTORY
from store.store import Store
from store.types import TYPES

WAIT_MS = 200
"""How long MongoDB lets a quiet stream wait, and so how late a version can be told of at most."""

_PATIENCE = 60.0  # seconds without MongoDB after which following it is given up
_PAUSE = 0.5
_LOST = (286, 280, 136)  # ChangeStreamHistoryLost, ChangeStreamFatalError, CappedPositionLost
_UNREADABLE = (2, 9, 15, 260, 40647, 40649, 50795, 50811)  # FailedToParse, InvalidResumeToken and what parsing gives


class TokenLost(StoreError):
    """The place that a token names is not to be found: the log has moved on, or it is no token."""


@dataclass(frozen=True, slots=True)
class Change:
    """One version that was written.

    Attributes:
        kind, ident, version: which.
        method: POST PUT PATCH DELETE.
        moment: its ``lastUpdated``.
        raw: its JSON; None for a deletion.
    """

    kind: str
    ident: str
    version: int
    method: str
    moment: datetime
    raw: bytes | None


async def follow(
    store: Store, kinds: Sequence[str] = (), token: str | None = None
) -> AsyncGenerator[tuple[str | None, Change | None]]:
    """Yield versions as they are written, each with the token behind it; ``(token, None)`` where there is a pause.

    Args:
        store: which.
        kinds: resource types; all where none is named.
        token: a place from before, to go on there; None begins now.

    Raises:
        TokenLost: MongoDB's log does not reach back to the token, or it is none.
        Unreachable: MongoDB has been away for a minute.
    """
    failing: float | None = None
    clock = asyncio.get_running_loop().time
    while True:
        try:
            async with aclosing(_stream(store, kinds, token)) as stream:
                async for token, change in stream:
                    failing = None
                    yield token, change
        except OperationFailure as error:
            if error.code in _LOST or (token is not None and error.code in _UNREADABLE):
                raise TokenLost(
                    "The place that the token names is no longer in MongoDB's log, or it is no token. Take the data "
                    "anew (export, or _history) and follow from now."
                ) from error
            if not error.has_error_label("ResumableChangeStreamError"):
                raise
            failing = _waited(failing, clock(), error)
        except (ConnectionFailure, TimeoutError) as error:
            failing = _waited(failing, clock(), error)
        await asyncio.sleep(_PAUSE)


def _waited(since: float | None, now: float, error: Exception) -> float:
    """Return since when MongoDB has been away.

    Raises:
        Unreachable: too long.
    """
    if since is not None and now - since > _PATIENCE:
        raise Unreachable("MongoDB did not answer in time") from error
    return now if since is None else since


async def _stream(
    store: Store, kinds: Sequence[str], token: str | None
) -> AsyncGenerator[tuple[str | None, Change | None]]:
    wanted = sorted(set(kinds) or TYPES)
    # Versions are inserted once; that they get their place in the history's order later is no change.
    pipeline = [{"$match": {"operationType": "insert", "fullDocument.type": {"$in": wanted}}}]
    after = None if token is None else {"_data": token}
    async with await store.database[HISTORY].watch(pipeline, resume_after=after, max_await_time_ms=WAIT_MS) as stream:
        while stream.alive:
            found = await stream.try_next()
            place = stream.resume_token
            yield None if place is None else str(place["_data"]), None if found is None else _change(found)
    raise PyMongoError("the stream has ended: the database was dropped")


def _change(found: Mapping[str, Any]) -> Change:
    one = found["fullDocument"]
    raw = one.get("_json")
    kind, ident, version = one["_id"].split("/")
    return Change(kind, ident, int(version), one["method"], one["lastUpdated"], None if raw is None else bytes(raw))
