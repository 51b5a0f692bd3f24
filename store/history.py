"""Every version that ever was: one, those of a resource, those of a type or of all, newest first.

The order of types and of all is made by `store.ordering`; a resource's own is that of its versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.asynchronous.database import AsyncDatabase

from store.connection import bounded
from store.documents import history_id, resource_in, version_in
from store.ordering import BATCH, HISTORY, Order
from store.source import PAGE_BYTES, Documents, by_kind, fitting, read_until
from store.types import TYPES

COUNTED = 1_000
"""A history of a type that has more entries than this has no total: counting takes time for each."""

_NEWEST = 9_999_999_999  # no version number is higher
_FEW = 50  # resources whose versions are looked for one by one

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a resource.

    Attributes:
        kind, ident: of the resource.
        version: its number.
        moment: when it was made: ``meta.lastUpdated``.
        method: what made it: POST, PUT, PATCH or DELETE.
        raw: its JSON; None where the resource was deleted.
        revives: it brings back what the version before had deleted. Entries of older releases do not tell.
    """

    kind: str
    ident: str
    version: int
    moment: datetime
    method: str
    raw: bytes | None
    revives: bool = False


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some versions, newest first.

    Attributes:
        entries: the versions.
        cursor: `before` for the next page; None if this is the last.
        total: how many there are on all pages; None if they are too many to count.
        moment: to ask `since` next time without missing anything; None for the history of one resource.
    """

    entries: tuple[Version, ...]
    cursor: int | None
    total: int | None
    moment: datetime | None = None


class History:
    """The versions kept in one database.

    Args:
        database: where.
        order: of its versions.
        timeout: seconds after which a call gives up with `Unreachable`.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]], order: Order, timeout: float) -> None:
        self._versions = database[HISTORY]
        self._order = order
        self._timeout = timeout

    # One version.

    async def version(self, kind: str, ident: str, version: int) -> Version | None:
        """Return one version, or None."""
        key = history_id(kind, ident, version)
        found = await bounded(lambda: self._versions.find_one({"_id": key}), self._timeout)
        return None if found is None else _version(found)

    async def gone(self, kind: str, ident: str) -> int | None:
        """Return the version with which a resource was deleted; None if it was not."""
        keys, newest = {"_id": versions_of(kind, ident)}, [("_id", DESCENDING)]
        found = await bounded(lambda: self._versions.find_one(keys, {"method": 1}, sort=newest), self._timeout)
        return version_in(found["_id"]) if found is not None and found["method"] == "DELETE" else None

    # Pages.

    async def page(
        self,
        kind: str | None = None,
        ident: str | None = None,
        *,
        since: datetime | None = None,
        limit: int,
        before: int | None = None,
        kinds: Sequence[str] | None = None,
    ) -> HistoryPage:
        """Return versions of a resource, a type or all, newest first.

        Args:
            kind: of the resource or type; None for all.
            ident: of the resource; None for all of the type.
            since: only what was made then or later.
            limit: so many at most; 0 asks for the total alone.
            before: the cursor of the page before.
            kinds: where `kind` is None, the types to tell of; None for all.

        Raises:
            Unreachable: MongoDB did not answer in time.
        """
        if since is not None:
            since = as_stored(since)
        if kind is not None and ident is not None:
            return await self._of_resource(kind, ident, since, limit, before)
        await self._order.sequence_all()
        last = await self._order.tell()
        first = 1 if since is None else await self.first_since(since, last["value"] + 1)
        types = set(TYPES if kinds is None else kinds) if kind is None else {kind}
        # Of all types as well: their parts of the one index are merged, which is cheaper than a second index.
        query = {"type": {"$in": sorted(types)}}
        # Not beyond what the counter says: what is put in its place meanwhile is for the next poll.
        every = {**query, "seq": {"$gte": first, "$lte": last["value"]}}
        wanted = every if before is None else {**query, "seq": {"$gte": first, "$lt": before}}
        if types >= set(TYPES):  # nothing to count: the numbers have no gaps
            found, total = await self._find(wanted, "seq", limit), last["value"] - first + 1
        else:
            found, total = await asyncio.gather(self._find(wanted, "seq", limit), self._count(every, limit))
        return _page(found, limit, total, lambda one: int(one["seq"]), last["at"])

    async def _of_resource(
        self, kind: str, ident: str, since: datetime | None, limit: int, before: int | None
    ) -> HistoryPage:
        later: dict[str, Any] = {} if since is None else {"lastUpdated": {"$gte": since}}
        every = {"_id": versions_of(kind, ident), **later}
        wanted = {"_id": versions_of(kind, ident, before), **later}
        found, total = await asyncio.gather(self._find(wanted, "_id", limit), self._count(every, limit))
        return _page(found, limit, total, lambda one: version_in(one["_id"]), None)

    async def first_since(self, since: datetime, otherwise: int) -> int:
        """Return the number from which on every version counts as made at `since` or later."""
        query = {"at": {"$gte": since}, "seq": {"$gte": 1}}
        order = [("at", ASCENDING), ("seq", ASCENDING)]
        found = await bounded(lambda: self._versions.find_one(query, {"seq": 1}, sort=order), self._timeout)
        return otherwise if found is None else int(found["seq"])

    async def _find(self, query: Document, key: str, limit: int) -> list[dict[str, Any]]:
        if limit == 0:
            return []
        order = [(key, DESCENDING)]

        def call() -> Awaitable[list[dict[str, Any]]]:
            found = self._versions.find(query, sort=order, limit=limit + 1, batch_size=limit + 2)
            return read_until(found, PAGE_BYTES)

        return await bounded(call, self._timeout)

    async def _count(self, query: Document, limit: int) -> int | None:
        if limit == 0:  # the total is what is asked for
            return await bounded(lambda: self._versions.count_documents(query), self._timeout)
        number = await bounded(lambda: self._versions.count_documents(query, limit=COUNTED + 1), self._timeout)
        return None if number > COUNTED else number


def as_stored(moment: datetime) -> datetime:
    """Return a moment as MongoDB has it: in UTC, whole milliseconds."""
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)


async def last_versions(seen: Documents, references: Iterable[str]) -> dict[str, tuple[int, datetime]]:
    """Return the newest version and its moment of each of relative `references` that ever was, by reference."""
    named = [(kind, ident) for kind, idents in by_kind(references).items() for ident in idents]
    if len(named) > _FEW:
        # Most of many are new (an import). MongoDB makes a plan for each range, which costs far more than to look for a
        # key; and what ever was has its first version.
        firsts = [history_id(kind, ident, 1) for kind, ident in named]
        there = await seen.values(HISTORY, {"_id": {"$in": firsts}}, ("_id",))
        named = [(kind, ident) for kind, ident, _ in (one["_id"].split("/") for one in there)]
    if not named:
        return {}
    wanted = [{"_id": versions_of(kind, ident)} for kind, ident in named]
    keys = await seen.values(HISTORY, {"$or": wanted}, ("_id",))
    newest: dict[str, str] = {}
    for found in keys:
        name = resource_in(found["_id"])
        newest[name] = max(newest.get(name, ""), found["_id"])
    if not newest:
        return {}
    last = await seen.values(HISTORY, {"_id": {"$in": list(newest.values())}}, ("lastUpdated",))
    return {resource_in(one["_id"]): (version_in(one["_id"]), one["lastUpdated"]) for one in last}


def versions_of(kind: str, ident: str, before: int | None = None) -> dict[str, str]:
    """Return the range of the keys of a resource's versions: all, or those before one."""
    end = _NEWEST if before is None else min(before, _NEWEST)
    return {"$gte": history_id(kind, ident, 0), "$lt": history_id(kind, ident, end)}


def _version(found: Document) -> Version:
    # From the key: the entries of older releases have no member for it.
    kind, ident, _ = found["_id"].split("/")
    number, revives = version_in(found["_id"]), found.get("revives", False)
    return Version(kind, ident, number, found["lastUpdated"], found["method"], found.get("_json"), revives)


def _page(
    found: list[dict[str, Any]], limit: int, total: int | None, key: Callable[[Document], int], moment: datetime | None
) -> HistoryPage:
    shown = found[: min(limit, fitting(found, PAGE_BYTES))]
    cursor = key(shown[-1]) if len(found) > len(shown) > 0 else None
    return HistoryPage(tuple(map(_version, shown)), cursor, total, moment)


__all__ = [
    "BATCH",
    "COUNTED",
    "HISTORY",
    "History",
    "HistoryPage",
    "Version",
    "as_stored",
    "last_versions",
    "versions_of",
]
