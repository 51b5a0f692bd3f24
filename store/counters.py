"""Numbers that are handed out once: unique and growing, gaps allowed.

Outside the booking transaction, where one shared document would make every booking conflict with every other;
and in blocks, so that a booking seldom pays for one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from store.connection import MAJORITY, bounded

COUNTERS = "counters"


class Numbers:
    """Hands out numbers of one database; each process takes them in blocks of `block`."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], block: int = 20, timeout: float = 10.0) -> None:
        # Majority and journaled: a number that a failover took back would be handed out twice.
        self._collection = database.get_collection(COUNTERS, write_concern=MAJORITY)
        self._block = block
        self._timeout = timeout
        self._ready: dict[str, range] = {}
        self._taking = asyncio.Lock()

    async def next(self, name: str) -> int:
        """Return the next number of the counter `name`, from 1.

        Raises:
            Unreachable: MongoDB did not answer in time.
        """
        return await bounded(lambda: self._next(name), self._timeout)

    async def pass_over(self, name: str, last: int) -> None:
        """Hand out no number of the counter `name` up to `last` from now on: others have given them out.

        Other processes go on with the blocks that they have taken; of a number that is used twice one is refused.

        Raises:
            Unreachable: MongoDB did not answer in time.
        """
        await bounded(lambda: self._pass_over(name, last), self._timeout)

    async def _pass_over(self, name: str, last: int) -> None:
        async with self._taking:
            ready = self._ready.get(name, range(0))
            left = range(max(ready.start, last + 1), ready.stop)
            if not left:  # else the counter is beyond `last` already
                await self._collection.update_one({"_id": name}, {"$max": {"value": last}}, upsert=True)
            self._ready[name] = left

    async def _next(self, name: str) -> int:
        async with self._taking:
            ready = self._ready.get(name)
            if not ready:
                ready = await self._take(name)
            self._ready[name] = ready[1:]
            return ready[0]

    async def _take(self, name: str) -> range:
        counter: dict[str, Any] = await self._collection.find_one_and_update(
            {"_id": name},
            {"$inc": {"value": self._block}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )  # type: ignore[assignment]  # an upsert that returns the document after it always has one
        last: int = counter["value"]
        return range(last - self._block + 1, last + 1)
