"""Every version that ever was, in an order in which nothing turns up late.

Versions are written in transactions, and those commit in another order than their ``lastUpdated`` says: who pages or
polls by that would miss what commits behind it. A counter inside each transaction would tell the order, and would make
every write wait for every other. So a version is written as `pending`, and gets its place afterwards: whoever reads the
history first gives what is committed by then the next numbers, ``seq``. Readers meet at the counter, writers never do.

``_since`` goes by ``at``: a version's ``lastUpdated``, or the moment of the last answer that was given without it, if
that is later. The counter remembers that moment. So a page once shown gets no older neighbour, and a poller that asks
for everything since a moment it was told, or at which it has asked, never misses a version; one that commits late it
may see though its ``lastUpdated`` is earlier. The history of one resource needs none of that: its versions order it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, IndexModel, ReturnDocument, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from store.connection import bounded
from store.counters import COUNTERS

HISTORY = "history"
COUNTER = "history-order"
"""The counter document: ``value``, the last number given, and ``at``: no version after that gets an earlier one."""

BATCH = 1_000

_ADOPTED = "history-adopted"
# A process whose clock is further ahead of MongoDB's than this does not take the order's clock with it.
_TRUSTED = timedelta(minutes=1)

Attempt = Callable[[AsyncClientSession], Awaitable[int]]


class Order:
    """The order of the versions kept in one database.

    Args:
        database: where.
        transaction: runs a callback in a transaction (snapshot, majority), again where a rival came first.
        now: the clock.
        timeout: seconds after which a call gives up with `Unreachable`.
    """

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        transaction: Callable[[Attempt], Awaitable[int]],
        now: Callable[[], datetime],
        timeout: float,
    ) -> None:
        self._versions = database[HISTORY]
        self._counters = database[COUNTERS]
        self._transaction = transaction
        self._now = now
        self._timeout = timeout
        self._sequencing = asyncio.Lock()

    async def prepare(self) -> None:
        """Make the indexes; once, take in the versions that older releases have written."""
        ordered = {"seq": {"$exists": True}}
        await self._versions.create_indexes(
            [
                IndexModel(
                    [("pending", ASCENDING), ("lastUpdated", ASCENDING), ("_id", ASCENDING)],
                    partialFilterExpression={"pending": True},
                ),
                IndexModel([("type", ASCENDING), ("seq", ASCENDING)], partialFilterExpression=ordered),
                IndexModel([("at", ASCENDING), ("seq", ASCENDING)], partialFilterExpression=ordered),
                # What was deleted, without reading all that was written.
                IndexModel(
                    [("type", ASCENDING), ("method", ASCENDING), ("seq", ASCENDING)],
                    partialFilterExpression={"method": "DELETE"},
                ),
            ]
        )
        if await self._counters.find_one({"_id": _ADOPTED}) is None:
            await self.adopt()
            await self._counters.update_one({"_id": _ADOPTED}, {"$set": {"value": 1}}, upsert=True)

    async def adopt(self) -> int:
        """Mark the versions that older releases have written as pending; return how many they were."""
        unordered = {"seq": {"$exists": False}, "pending": {"$exists": False}}
        return (await self._versions.update_many(unordered, {"$set": {"pending": True}})).modified_count

    async def sequence(self, limit: int = BATCH) -> int:
        """Give at most `limit` committed versions their places in the order; return how many they were.

        Raises:
            Unreachable: MongoDB did not answer in time.
        """
        if not await self._is_pending():
            return 0
        return await self._transaction(lambda session: self._sequence(session, limit))

    async def _sequence(self, session: AsyncClientSession, limit: int) -> int:
        found = await self._versions.find(
            {"pending": True},
            {"lastUpdated": 1, "now": "$$NOW"},
            # The versions of one resource have rising times, or equal ones: its own order is kept.
            sort=[("lastUpdated", ASCENDING), ("_id", ASCENDING)],
            limit=limit,
            batch_size=limit + 1,
            session=session,
        ).to_list()
        if not found:
            return 0
        latest = min(self._now(), found[0]["now"]) + _TRUSTED
        moments = [min(one["lastUpdated"], latest) for one in found]
        # Rivals meet here: the later one is run again, and finds these versions no longer pending.
        counter = await self._counters.find_one_and_update(
            {"_id": COUNTER},
            {"$inc": {"value": len(found)}, "$max": {"at": moments[-1]}},
            upsert=True,
            return_document=ReturnDocument.BEFORE,
            session=session,
        )
        last, told = (0, moments[0]) if counter is None else (counter["value"], counter["at"])
        places = [
            UpdateOne({"_id": one["_id"]}, {"$set": {"seq": seq, "at": max(moment, told)}, "$unset": {"pending": ""}})
            for seq, (one, moment) in enumerate(zip(found, moments, strict=True), last + 1)
        ]
        await self._versions.bulk_write(places, ordered=True, session=session)
        return len(found)

    async def sequence_all(self) -> None:
        """Give every version that is committed now its place.

        Raises:
            Unreachable: that took too long; what was done remains, the next call goes on.
        """
        if await self._is_pending():
            await bounded(self._until_done, self._timeout)

    async def _until_done(self) -> None:
        async with self._sequencing:  # those of this process need not meet in the database
            while await self.sequence() == BATCH:
                pass

    async def _is_pending(self) -> bool:
        # Most calls find nothing to do, and need no transaction to see it.
        find = self._versions.find_one
        return await bounded(lambda: find({"pending": True}, {"_id": 1}), self._timeout) is not None

    async def tell(self) -> dict[str, Any]:
        """Return the counter, having noted that an answer is given now with all that has its place by now."""
        return await self._moved(self._now(), "$at")

    async def cut(self) -> tuple[int, datetime]:
        """Return a place in the order and its moment: what has its place by now is before, all else at it or later.

        Everything that was committed when this was called has its place. Nobody is ever told of two cuts with one
        moment, so that what changes between two of them is told by exactly one.

        Raises:
            Unreachable: MongoDB did not answer in time.
        """
        asked = self._now()
        await self.sequence_all()
        # $at is that of what came last, or of an earlier cut.
        counter = await self._moved(asked, {"$add": ["$at", 1]})
        return int(counter["value"]), counter["at"]

    async def _moved(self, asked: datetime, at_least: Any) -> dict[str, Any]:
        """Return the counter, its moment moved on to when it was asked for, or to `at_least` if that is later."""
        trusted = {"$add": ["$$NOW", _TRUSTED // timedelta(milliseconds=1)]}
        at = {"$max": [at_least, {"$min": [asked, trusted]}]}

        def call() -> Awaitable[dict[str, Any]]:
            return self._counters.find_one_and_update(
                {"_id": COUNTER},
                [{"$set": {"at": at, "value": {"$ifNull": ["$value", 0]}}}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )  # type: ignore[return-value]  # an upsert that returns the document after it always has one

        return await bounded(call, self._timeout)
