"""Counters of requests in MongoDB, through the service's own PyMongo client.

Why it exists: several worker processes must count together, so the counters are in the database. The libraries for this
need Motor, which is retired and would open a second pool of connections, and ask three times for what the three rate
limit headers need. One hit here is one round trip.

One document per counter in the collection ``rate_limits``: ``{_id: "<which counter>", count, expires: Date}``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import pymongo
from bson.codec_options import CodecOptions
from pymongo import ASCENDING, ReadPreference, ReturnDocument, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from adapter.clock import Now

#: Seconds that a counter may take before the request goes on without it.
PATIENCE: Final = 1.0


class Hits:
    """Fixed windows, counted in MongoDB. A window starts with its first hit."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], now: Now) -> None:
        self._now = now
        # w:1, not journaled: a counter that is lost in a failover or a crash gives somebody a few requests more
        # within one minute, and waiting for a majority would cost every request a replication round trip.
        self._counters = database.get_collection(
            "rate_limits",
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("local"),
            write_concern=WriteConcern(w=1, j=False),
        )

    async def ensure_indexes(self) -> None:
        """Make the TTL index by which MongoDB removes ended windows (it looks once a minute)."""
        await self._counters.create_index([("expires", ASCENDING)], name="expires", expireAfterSeconds=0)

    async def hit(self, key: str, length: timedelta) -> tuple[int, datetime]:
        """Count one hit.

        Args:
            key: which counter.
            length: of a window.

        Returns:
            The hits in the present window, this one included, and the moment at which it ends, UTC.

        Raises:
            PyMongoError: it could not be counted within `PATIENCE` seconds.
        """
        with pymongo.timeout(PATIENCE):  # not `bounded`, as in `adapter.operations`
            try:
                return await self._hit(key, length)
            except DuplicateKeyError:
                # Two upserts may both find nothing and both insert; the one that came second now finds it.
                return await self._hit(key, length)

    async def _hit(self, key: str, length: timedelta) -> tuple[int, datetime]:
        moment = self._now()
        # Whether the present window runs. One that has ended may still be there, as the TTL index is in no
        # hurry; a missing document counts as ended, since BSON sorts "missing" before every date; and one that
        # ends too far ahead was written before a clock was set back (by one length the processes may disagree).
        running = {"$and": [{"$gt": ["$expires", moment]}, {"$lte": ["$expires", moment + 2 * length]}]}
        document = await self._counters.find_one_and_update(
            {"_id": key},
            [
                {
                    "$set": {
                        "count": {"$cond": [running, {"$add": ["$count", 1]}, 1]},
                        "expires": {"$cond": [running, "$expires", moment + length]},
                    }
                }
            ],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        counter = cast("dict[str, Any]", document)  # never None: it was inserted if it was not there
        return counter["count"], counter["expires"]
