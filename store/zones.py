"""The time zone for which the dates of a database were made searchable, so that nobody searches them by another.

A date that names no zone (a birth date) is indexed as a span of moments, of the zone that counted at its write. A
search under another zone looks for other moments: it finds nothing, and a conditional create then makes a second one.
So each database remembers the zone, and is refused under another until `store.reindex` has made everything anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from store.connection import MAJORITY
from store.errors import StoreError

ZONES = "zones"
"""One document: `zone`, by its name, and where an unfinished reindex is about to change it, `becoming`."""

_SEARCHED = "searched"
Database = AsyncDatabase[dict[str, Any]]


class OtherZone(StoreError):
    """What is stored was made searchable for another time zone.

    Attributes:
        database: its name.
        made: the zone for which it was made; also the one for which some was, if that was not finished.
        wanted: the one that is to count.
    """

    def __init__(self, database: str, made: str, wanted: str) -> None:
        super().__init__(f"The dates in {database} were made searchable for {made}, not for {wanted}.")
        self.database, self.made, self.wanted = database, made, wanted


async def require(database: Database, zone: tzinfo) -> None:
    """Make sure that the zone of a database is `zone`; where none is noted, it is from now on.

    Raises:
        OtherZone: it is another one.
    """
    noted = await _noted(database, zone)
    made, becoming = noted["zone"], noted.get("becoming")
    if becoming is not None:
        raise OtherZone(database.name, f"{made}, in part for {becoming}", str(zone))
    if made != str(zone):
        raise OtherZone(database.name, made, str(zone))


async def noted(database: Database) -> str | None:
    """Return the zone for which what is stored is searchable, or is being made so; None where none is noted."""
    found = await _marks(database).find_one({"_id": _SEARCHED})
    return None if found is None else found.get("becoming", found["zone"])


async def begin(database: Database, zone: tzinfo) -> None:
    """Note that everything is about to be made anew for `zone`: until `finish` no zone is right."""
    noted = await _noted(database, zone)
    if noted != {"_id": _SEARCHED, "zone": str(zone)}:
        await _marks(database).update_one({"_id": _SEARCHED}, {"$set": {"becoming": str(zone)}})


async def finish(database: Database, zone: tzinfo) -> None:
    """Note that everything was made for `zone`, unless somebody has begun with another one meanwhile."""
    change = {"$set": {"zone": str(zone)}, "$unset": {"becoming": ""}}
    await _marks(database).update_one({"_id": _SEARCHED, "becoming": str(zone)}, change)


async def _noted(database: Database, zone: tzinfo) -> Mapping[str, Any]:
    """Return what is noted; `zone` is, where nothing was. Of several that do so at once, one is the first."""
    found: dict[str, Any] = await _marks(database).find_one_and_update(
        {"_id": _SEARCHED},
        {"$setOnInsert": {"zone": str(zone)}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )  # type: ignore[assignment]  # an upsert that returns the document after it always has one
    return found


def _marks(database: Database) -> AsyncCollection[dict[str, Any]]:
    return database.get_collection(ZONES, write_concern=MAJORITY)
