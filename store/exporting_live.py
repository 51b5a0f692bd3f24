"""The live documents of a type in the order of their ids, read as fast as MongoDB gives them.

One cursor keeps one core of the server busy, and waits while its last reply is under way. So the ids are cut into spans
of as many documents as one reply takes, and the spans that come next are read while this one is dealt with. Where
queries judge the documents nobody knows how many of a span match: then it is one cursor, asked ahead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import CursorNotFound, PyMongoError

from store import codec
from store.connection import COMMITTED, bounded
from store.errors import Unreachable
from store.exporting_past import SECONDS, Query, filtered
from store.store import Store

_SPANS = 3
"""That are read or dealt with at a time: memory holds one reply of each, 16 MB at most."""

_GOODBYE = 1.0  # seconds for MongoDB to hear that a cursor is not needed any more: it forgets it by itself, too

Lines = list[bytes]
"""Resources' JSON."""


async def live(
    store: Store, kind: str, queries: Sequence[Query], after: str, batch: int, among: Sequence[str] | None = None
) -> AsyncGenerator[tuple[Lines, str]]:
    """Give the resources as they are, some at a time, each time with the last one's id.

    Args:
        store: where they are.
        kind: their type.
        queries: any of which they must match; none: all are wanted.
        after: only those with a later id.
        batch: how many at a time, about: of large ones fewer.
        among: only those with one of these ids.

    Raises:
        Unreachable: MongoDB did not answer in time; go on after the last one.
    """
    spans: deque[_Span] = deque()
    judged = filtered(queries, *([] if among is None else [{"_id": {"$in": list(among)}}]))
    begun: str | None = after
    try:
        while spans or begun is not None:
            while begun is not None and len(spans) < _SPANS:
                until = None if judged else await _end(store, kind, begun, batch)
                spans.append(_Span(store, kind, judged, begun, until, batch))
                begun = until
            async for lines, last in spans[0].lines():
                yield lines, last
            await spans.popleft().close()
    finally:
        await asyncio.gather(*(span.close() for span in spans))


async def _end(store: Store, kind: str, after: str, batch: int) -> str | None:
    """Return the id with which a span ends that begins after another one; None if it is the last."""
    # Of the index alone.
    find = store.database[kind].find(
        {"_id": {"$gt": after}}, {"_id": 1}, sort=[("_id", 1)], skip=batch - 1, limit=1, hint="_id_"
    )
    found = await bounded(find.to_list, SECONDS)
    return found[0]["_id"] if found else None


class _Span:
    """The documents from one id to another; they are asked for at once, and again where their cursor is lost."""

    def __init__(self, store: Store, kind: str, query: Query, after: str, until: str | None, batch: int) -> None:
        self._store = store
        self._kind = kind
        self._query = query
        self._after = after
        self._until = until
        self._batch = batch
        self._begin()

    def _begin(self) -> None:
        bounds = {"$gt": self._after} | ({} if self._until is None else {"$lte": self._until})
        query = {"$and": [self._query, {"_id": bounds}]} if self._query else {"_id": bounds}
        self._session = self._store.database.client.start_session(causal_consistency=False)
        # One more than a span has, and the reply ends the cursor.
        batch = self._batch if self._until is None else self._batch + 1
        self._replies = _Replies(self._store.database, self._session, self._kind, query, batch)
        self._following = asyncio.create_task(self._replies.following())

    async def lines(self) -> AsyncIterator[tuple[Lines, str]]:
        """Give them; the next ones are asked for before these are given away: MongoDB reads them meanwhile."""
        while (found := await self._following) != []:
            if found is None:
                await self.close()
                self._begin()
                continue
            self._following = asyncio.create_task(self._replies.following())
            # Ids are not asked for: that would take a fifth of the time.
            self._after = codec.ident(found[-1])
            yield found, self._after

    async def close(self) -> None:
        """Read no more."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self._replies.close()
        await self._session.end_session()


class _Replies:
    """A cursor of which whole replies are taken, each decoded at once and as large as MongoDB makes it at most.

    The driver's own cursors tell nothing of where a reply ends, and its raw batches are cut apart and put together
    again before they are decoded: that took twice the time of this (measured: 6 and 3 microseconds of a busy core).

    Args:
        database: where to read.
        session: to read in.
        kind: the collection.
        query: of it.
        batch: documents in a reply, at most; of large ones there are fewer.
    """

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        session: AsyncClientSession,
        kind: str,
        query: Query,
        batch: int,
    ) -> None:
        self._database = database
        self._session = session
        self._kind = kind
        self._find = {
            "find": kind,
            "filter": query,
            "projection": {"_json": 1, "_id": 0},
            "sort": {"_id": 1},
            "batchSize": batch,
            "readConcern": COMMITTED.document,
        }
        self._more = {"collection": kind, "batchSize": batch}
        self._cursor: int | None = None

    async def following(self) -> Lines | None:
        """Return the next ones; empty at the end, None where the cursor is lost.

        Whoever takes the parts had other things to do for ten minutes then, or the server was another one.
        """

        async def step() -> Lines | None:
            command = self._find if self._cursor is None else {"getMore": self._cursor, **self._more}
            try:
                reply = await self._database.command(command, session=self._session)
            except CursorNotFound:
                return None
            cursor = reply["cursor"]
            self._cursor = cursor["id"]
            batch = cursor["firstBatch"] if command is self._find else cursor["nextBatch"]
            return [one["_json"] for one in batch]

        lines: Lines | None = []
        while not lines and self._cursor != 0:  # a reply may be empty and not the last
            lines = await bounded(step, SECONDS)
            if lines is None:
                return None
        return lines

    async def close(self) -> None:
        """Let MongoDB forget it; that it cannot be told so is no fault of what was read."""
        if self._cursor:
            command = {"killCursors": self._kind, "cursors": [self._cursor]}
            with suppress(PyMongoError, Unreachable):
                await bounded(lambda: self._database.command(command, session=self._session), _GOODBYE)
