"""Appointments that are proposed to somebody and stored nowhere else: what a search for free time has offered.

They hold nothing and are no part of the record: no version, no history, no search finds them. They can be read, and
booked by their reference, until they expire. Who books or deletes one takes it up (`store.unit_of_work`): of two at
once the later finds what the first has left. Who reads decides by the clock; MongoDB's own expiry removes them an hour
later, so that for so long one that has expired can be told from one that never was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson.binary import Binary
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from store.codec import Resource, encode
from store.connection import bounded

PROPOSALS = "proposals"
_REMEMBERED_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Proposal:
    """One that was offered: its JSON, and until when it stands."""

    raw: bytes
    expires: datetime


class Proposals:
    """The proposals of one database.

    Args:
        database: where they are.
        timeout: seconds after which a call gives up with `Unreachable`.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]], timeout: float) -> None:
        self._collection = database[PROPOSALS]
        self._timeout = timeout

    async def prepare(self) -> None:
        """Make the index (a no-op where it exists)."""
        await self._collection.create_indexes(
            [IndexModel([("expires", ASCENDING)], expireAfterSeconds=_REMEMBERED_SECONDS)]
        )

    async def keep(self, resources: Sequence[Resource], until: datetime) -> None:
        """Keep what was offered, up to `until`."""
        entries = [{"_id": one["id"], "expires": until, "_json": Binary(encode(one))} for one in resources]
        if entries:
            await bounded(lambda: self._collection.insert_many(entries), self._timeout)

    async def read(self, ident: str) -> Proposal | None:
        """Return a proposal, one that has expired included; None if there is none (any more)."""
        found = await bounded(lambda: self._collection.find_one({"_id": ident}), self._timeout)
        return None if found is None else Proposal(bytes(found["_json"]), found["expires"])
