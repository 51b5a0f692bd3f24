"""Counters for the `limits` library in MongoDB, through the service's own PyMongo client.

Why it exists: several worker processes must count together, so the counters are in the database. The storage
that `limits` brings for asynchronous MongoDB needs Motor, which is retired and would open a second pool of
connections; and its strategies ask three times for what the three rate limit headers need. One hit here is
one round trip.

One document per counter in the collection ``rate_limits``: ``{_id: "<key of limits>", count, expires: Date}``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import pymongo
from bson.codec_options import CodecOptions
from limits.aio.storage import Storage
from pymongo import ASCENDING, ReadPreference, ReturnDocument, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern

from adapter.clock import Now

#: Seconds that a counter may take before the request goes on without it.
PATIENCE: Final = 1.0


class MongoStorage(Storage):
    """Fixed windows, counted in MongoDB. A window starts with its first hit.

    Methods raise `pymongo.errors.PyMongoError`, within `PATIENCE` seconds for `hit`.
    """

    STORAGE_SCHEME = None  # never made from a URI

    def __init__(self, database: AsyncDatabase[dict[str, Any]], now: Now) -> None:
        super().__init__()
        self._now = now
        self._admin = database.client.admin
        # w:1, not journaled: a counter that is lost in a failover or a crash gives somebody a few requests more
        # within one minute, and waiting for a majority would cost every request a replication round trip.
        self._counters = database.get_collection(
            "rate_limits",
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("local"),
            write_concern=WriteConcern(w=1, j=False),
        )

    @property
    def base_exceptions(self) -> type[Exception]:
        """What `limits` may wrap."""
        return PyMongoError

    async def ensure_indexes(self) -> None:
        """Make the TTL index by which MongoDB removes ended windows (it looks once a minute)."""
        await self._counters.create_index([("expires", ASCENDING)], name="expires", expireAfterSeconds=0)

    async def hit(self, key: str, expiry: int, amount: int = 1) -> tuple[int, datetime]:
        """Count `amount` hits.

        Args:
            key: which counter.
            expiry: length of a window in seconds.
            amount: how many.

        Returns:
            The hits in the present window, these included, and the moment at which it ends, UTC.
        """
        with pymongo.timeout(PATIENCE):
            try:
                return await self._hit(key, expiry, amount)
            except DuplicateKeyError:
                # Two upserts may both find nothing and both insert; the one that came second now finds it.
                return await self._hit(key, expiry, amount)

    async def _hit(self, key: str, expiry: int, amount: int) -> tuple[int, datetime]:
        moment = self._now()
        length = timedelta(seconds=expiry)
        # Whether the present window runs. One that has ended may still be there, as the TTL index is in no
        # hurry; a missing document counts as ended, since BSON sorts "missing" before every date; and one that
        # ends too far ahead was written before a clock was set back (by one length the processes may disagree).
        running = {"$and": [{"$gt": ["$expires", moment]}, {"$lte": ["$expires", moment + 2 * length]}]}
        document = await self._counters.find_one_and_update(
            {"_id": key},
            [
                {
                    "$set": {
                        "count": {"$cond": [running, {"$add": ["$count", amount]}, amount]},
                        "expires": {"$cond": [running, "$expires", moment + length]},
                    }
                }
            ],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        counter = cast("dict[str, Any]", document)  # never None: it was inserted if it was not there
        return counter["count"], counter["expires"]

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` hits and return those in the present window of `expiry` seconds."""
        return (await self.hit(key, expiry, amount))[0]

    async def get(self, key: str) -> int:
        """Return the hits in the present window, 0 where none runs."""
        document = await self._counters.find_one({"_id": key, "expires": {"$gt": self._now()}})
        return 0 if document is None else int(document["count"])

    async def get_expiry(self, key: str) -> float:
        """Return the end of the present window in Unix seconds; the present moment where none runs."""
        document = await self._counters.find_one({"_id": key, "expires": {"$gt": self._now()}})
        end: datetime = self._now() if document is None else document["expires"]
        return end.timestamp()

    async def check(self) -> bool:
        """Return whether MongoDB answers within `PATIENCE` seconds."""
        try:
            with pymongo.timeout(PATIENCE):
                await self._admin.command("ping")
        except PyMongoError:
            return False
        return True

    async def reset(self) -> int | None:
        """Remove every counter and return how many there were."""
        return (await self._counters.delete_many({})).deleted_count

    async def clear(self, key: str) -> None:
        """Remove one counter."""
        await self._counters.delete_one({"_id": key})
