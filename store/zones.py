"""The time zone for which the dates of a database were made searchable, so that nobody searches them by another.

A date that names no zone (a birth date) is indexed as a span of moments, of the zone that counted at its write. A
search under another zone looks for other moments: it finds nothing, and a conditional create then makes a second one.
So each database remembers the zone, and is refused under another until `store.reindex` has made everything anew. A zone
is another one, too, by other rules: releases of the IANA database change them, also for times past.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from functools import lru_cache
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from store.connection import MAJORITY
from store.errors import StoreError

ZONES = "zones"
"""One document: `zone`, by its name, and its `rules` (a former release noted none); where an unfinished reindex is
about to change them, `becoming` and `becoming_rules`."""

_SEARCHED = "searched"
_FIRST, _LAST = date(1900, 1, 1).toordinal(), date(2100, 1, 1).toordinal()
Database = AsyncDatabase[dict[str, Any]]


class OtherZone(StoreError):
    """What is stored was made searchable for another time zone.

    Attributes:
        database: its name.
        made: the zone for which it was made, and whether by other rules; also the one for which some was, if that was
            not finished.
        wanted: the one that is to count.
    """

    def __init__(self, database: str, made: str, wanted: str) -> None:
        super().__init__(f"The dates in {database} were made searchable for {made}, not for {wanted}.")
        self.database, self.made, self.wanted = database, made, wanted


@lru_cache(maxsize=64)
def rules_of(zone: tzinfo) -> str:
    """Return a text that is the same for rules by which each day from 1900 to 2099 is the same time.

    Dates without a zone are made of days (`store.dates`): whatever else a release changes leaves them as they are.
    """
    changes, before = "", None
    for day in range(_FIRST, _LAST + 1):
        offset = zone.utcoffset(datetime.fromordinal(day))
        if offset != before:
            changes += f"{day} {offset}\n"
            before = offset
    return hashlib.sha256(changes.encode()).hexdigest()[:16]


async def require(database: Database, zone: tzinfo) -> None:
    """Make sure that the zone of a database is `zone`; where none is noted, it is from now on.

    Raises:
        OtherZone: it is another one, or the same by other rules.
    """
    noted = await _noted(database, zone)
    made = _told(noted["zone"], noted.get("rules"), zone)
    if "becoming" in noted:
        made += f", in part for {_told(noted['becoming'], noted.get('becoming_rules'), zone)}"
    if made != str(zone):
        raise OtherZone(database.name, made, str(zone))


async def other(database: Database, zone: tzinfo) -> str | None:
    """Return the zone for which what is stored is searchable, or being made so; None if it is `zone` or not noted."""
    found = await _marks(database).find_one({"_id": _SEARCHED})
    if found is None:
        return None
    name, rules = ("becoming", "becoming_rules") if "becoming" in found else ("zone", "rules")
    made = _told(found[name], found.get(rules), zone)
    return None if made == str(zone) else made


async def begin(database: Database, zone: tzinfo) -> None:
    """Note that everything is about to be made anew for `zone`: until `finish` no zone is right."""
    noted = await _noted(database, zone)
    if noted != {"_id": _SEARCHED, "zone": str(zone), "rules": rules_of(zone)}:
        change = {"becoming": str(zone), "becoming_rules": rules_of(zone)}
        await _marks(database).update_one({"_id": _SEARCHED}, {"$set": change})


async def finish(database: Database, zone: tzinfo) -> None:
    """Note that everything was made for `zone`, unless somebody has begun with another one meanwhile."""
    begun = {"_id": _SEARCHED, "becoming": str(zone), "becoming_rules": rules_of(zone)}
    made = {"zone": str(zone), "rules": rules_of(zone)}
    await _marks(database).update_one(begun, {"$set": made, "$unset": {"becoming": "", "becoming_rules": ""}})


async def _noted(database: Database, zone: tzinfo) -> Mapping[str, Any]:
    """Return what is noted; `zone` is, where nothing was, and its rules, where none were noted of it.

    Of several that do so at once, one is the first.
    """
    name = str(zone)
    rules = {"$cond": [{"$eq": ["$zone", name]}, {"$ifNull": ["$rules", rules_of(zone)]}, "$rules"]}
    found: dict[str, Any] = await _marks(database).find_one_and_update(
        {"_id": _SEARCHED},
        [{"$set": {"zone": {"$ifNull": ["$zone", name]}}}, {"$set": {"rules": rules}}],
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )  # type: ignore[assignment]  # an upsert that returns the document after it always has one
    return found


def _told(name: str, rules: str | None, zone: tzinfo) -> str:
    """Return what a noted zone is called beside `zone`: alike, if it is the same by the same rules."""
    other_rules = name == str(zone) and rules not in (None, rules_of(zone))
    return f"{name} by the rules of another tzdata" if other_rules else name


def _marks(database: Database) -> AsyncCollection[dict[str, Any]]:
    return database.get_collection(ZONES, write_concern=MAJORITY)
