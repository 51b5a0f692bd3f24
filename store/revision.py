"""By which rules what is stored is filed: a mark in each database, so that an operator is told where it is another.

What `_index` holds of a resource follows from it by the rules of the release and by what the settings decide
(`store.documents.Rules`). Where either was another, what is stored is found otherwise, and claims other time: until
`store.reindex` has made it anew, somebody may be booked twice. An empty database is marked, and one that was made anew;
a service or an import that begins by other rules takes the mark away, and so does a service that goes on by them, every
few seconds. It does not tell of what such a service writes after its last look, nor of an import that began before the
mark was set.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from store import zones
from store.connection import MAJORITY
from store.documents import Rules
from store.history import HISTORY
from store.types import TYPES

REVISIONS = "revisions"
"""One document: `revision`, by which all that is stored is filed. None: nobody knows."""

RULES = 1
"""Raised with every change of what `store.documents.compose` files of a resource, its claims included."""

_FILED = "filed"
Database = AsyncDatabase[dict[str, Any]]


def revision(rules: Rules) -> str:
    """Return a digest of all that decides how a resource is filed."""
    systems = (rules.bases, rules.patient_systems, rules.unique_systems)
    zone = f"{rules.zone} {zones.rules_of(rules.zone)}"
    decided = [RULES, zone, *(sorted(set(one)) for one in systems)]
    return hashlib.sha256(orjson.dumps(decided)).hexdigest()


async def prepare(database: Database, rules: Rules) -> None:
    """Mark a database that is empty as filed by `rules`."""
    if not await _is_marked(database, rules) and await _is_empty(database):
        await finish(database, rules)


async def is_due(database: Database, rules: Rules) -> bool:
    """Tell whether what is stored is filed by other rules, at least in part, or nobody knows by which."""
    return not await _is_marked(database, rules) and not await _is_empty(database)


async def begin(database: Database, rules: Rules) -> None:
    """Note that resources are filed by `rules` from now on: what is there is no longer all filed by others."""
    await _marks(database).delete_one({"_id": _FILED, "revision": {"$ne": revision(rules)}})


async def finish(database: Database, rules: Rules) -> None:
    """Note that all that is stored is filed by `rules`."""
    await _marks(database).replace_one({"_id": _FILED}, {"revision": revision(rules)}, upsert=True)


async def _is_marked(database: Database, rules: Rules) -> bool:
    return await _marks(database).find_one({"_id": _FILED, "revision": revision(rules)}) is not None


async def _is_empty(database: Database) -> bool:
    """Tell whether there is no resource, and never was one: the history has its order from a reindex, too."""
    for name in (HISTORY, *TYPES):
        if await database[name].find_one({}, {"_id": 1}) is not None:
            return False
    return True


def _marks(database: Database) -> AsyncCollection[dict[str, Any]]:
    return database.get_collection(REVISIONS, write_concern=MAJORITY)
