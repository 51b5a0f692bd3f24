"""What the history says of the resources at a cut: which have changed since, and what they were.

Nothing in the history ever changes, so this can be asked at any time (see `store.exporting`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from store.chunks import chunks
from store.codec import CODEC_OPTIONS, decode
from store.connection import bounded
from store.documents import compose, resource_in
from store.extract import id_of
from store.history import HISTORY, versions_of
from store.store import Store
from store.types import TYPES

BATCH = 2_000
"""Versions read at a time, and resources in a part, about."""

SECONDS = 60.0
"""After which a step gives up: nobody waits for an answer here, and a filter may read far for its first match."""

_LOOKED_UP = 500  # resources in one query of the history
# Bytes of JSON in one command, which takes 16 MB of BSON: up to six times as large, and what a query names of it.
_TOGETHER = 1_000_000

T = TypeVar("T")
Query = Mapping[str, Any]
Found = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Cut:
    """A place in the order of the history.

    Attributes:
        seq: the last version before it.
        moment: everything later has an `at` that is not before it, all up to it has an earlier one.
    """

    seq: int
    moment: datetime


# Queries of the history, each with an index.


def deleted_between(kind: str, first: int, last: int) -> dict[str, Any]:
    """Return the query for the deletions at these places."""
    return {"type": kind, "method": "DELETE", "seq": {"$gte": first, "$lte": last}}


def changed_between(kind: str, first: int, last: int) -> dict[str, Any]:
    """Return the query for the versions at these places."""
    return {"type": kind, "seq": {"$gte": first, "$lte": last}}


def changed_after(kind: str, seq: int) -> dict[str, Any]:
    """Return the query for the versions after a place."""
    return {"type": kind, "seq": {"$gt": seq}}


def filtered(queries: Sequence[Query], *conditions: Query) -> dict[str, Any]:
    """Return the query for all `conditions` and any of `queries`, if there are some."""
    every = [*conditions, *([{"$or": list(queries)}] if queries else [])]
    return dict(every[0]) if len(every) == 1 else {"$and": every} if every else {}


class Changes:
    """The resources of a type that have changed since the cut."""

    def __init__(self, store: Store, kind: str, cut: Cut) -> None:
        self._store = store
        self._kind = kind
        self._seen = cut.seq
        self._idents: list[str] = []

    async def refresh(self) -> None:
        """Take in what is committed by now."""
        await self._store.sequence_all()
        find = self._store.database[HISTORY].find
        cursor = find(changed_after(self._kind, self._seen), {"seq": 1}, sort=[("seq", 1)], batch_size=BATCH)
        new: set[str] = set()
        while found := await bounded(partial(cursor.to_list, BATCH), SECONDS):
            new.update(ident_in(one["_id"]) for one in found)
            self._seen = found[-1]["seq"]
        if new:
            self._idents = sorted(new.union(self._idents))

    def between(self, after: str, last: str) -> list[str]:
        """Return those with ids after one, up to another; they and those before them are not asked for again."""
        begin, end = bisect_right(self._idents, after), bisect_right(self._idents, last)
        found, self._idents = self._idents[begin:end], self._idents[end:]
        return found


async def at_cut(store: Store, cut: Cut, kind: str, queries: Sequence[Query], idents: Sequence[str]) -> Found:
    """Return those of the resources that were there, as they were; from the history."""
    keys_of = await newest(store, cut, kind, idents)
    found: Found = {}
    for keys in chunks([*keys_of.values()], _LOOKED_UP):
        found_versions = await _versions(store, keys)
        found |= {ident_in(one["_id"]): one["_json"] for one in found_versions if one["method"] != "DELETE"}
    return await matching(store, kind, found, queries)


async def newest(store: Store, cut: Cut, kind: str, idents: Iterable[str]) -> dict[str, str]:
    """Return the keys of their last versions before the cut, by id; those that had none are left out."""
    last: dict[str, str] = {}
    for some in chunks([*idents], _LOOKED_UP):
        query = {"$or": [{"_id": versions_of(kind, ident)} for ident in some]}
        find = store.database[HISTORY].find(query, {"seq": 1}, batch_size=BATCH)
        while found := await bounded(partial(find.to_list, BATCH), SECONDS):
            for one in found:
                # One without a place was made after the cut: it took in all that was there.
                if one.get("seq", cut.seq + 1) <= cut.seq:
                    ident = ident_in(one["_id"])
                    last[ident] = max(last.get(ident, ""), one["_id"])
    return last


async def _versions(store: Store, keys: Sequence[str]) -> list[dict[str, Any]]:
    find = store.database[HISTORY].find({"_id": {"$in": list(keys)}}, {"_json": 1, "method": 1}, batch_size=BATCH)
    return await bounded(find.to_list, SECONDS)


async def were(store: Store, kind: str, gone: Sequence[str], queries: Sequence[Query]) -> list[str]:
    """Return those of the keys of deletions before which the resource matched."""
    before = {key: f"{key[:-10]}{int(key[-10:]) - 1:010}" for key in gone}
    found: Found = {}
    for keys in chunks([*before.values()], _LOOKED_UP):
        found |= {ident_in(one["_id"]): one["_json"] for one in await _versions(store, keys) if "_json" in one}
    kept = await matching(store, kind, found, queries)
    return [key for key in gone if ident_in(key) in kept]


async def matching(store: Store, kind: str, found: Found, queries: Sequence[Query]) -> Found:
    """Return those that match: MongoDB itself judges what it would find, were it stored.

    A query may name 50,000 patients, and documents and query have 16 MB together: it goes with what is in them alone.
    """
    if not queries:
        return found
    kept: Found = {}
    for some in _parcels(found):
        documents = [_document(store, kind, raw) for _, raw in some]
        there = frozenset(chain.from_iterable(map(_texts, documents)))
        pipeline: list[dict[str, Any]] = [
            {"$documents": [{"$literal": one} for one in documents]},
            {"$match": _narrowed(filtered(queries), there)},
            {"$project": {"_id": 1}},
        ]
        database = store.database.with_options(codec_options=CODEC_OPTIONS)
        cursor = await bounded(partial(database.aggregate, pipeline), SECONDS)
        matched = {one["_id"] for one in await bounded(cursor.to_list, SECONDS)}
        kept |= {ident: raw for ident, raw in some if ident in matched}
    return kept


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _narrowed(query: Any, there: Set[str]) -> Any:
    """Return a query without the texts of its lists that no document has: they make no difference to what matches."""
    if isinstance(query, Mapping):
        return {
            name: [one for one in value if not isinstance(one, str) or one in there]
            if name in ("$in", "$nin")
            else _narrowed(value, there)
            for name, value in query.items()
        }
    return [_narrowed(one, there) for one in query] if isinstance(query, list) else query


def _document(store: Store, kind: str, raw: bytes) -> dict[str, Any]:
    """Return a resource as it would be stored, without its bytes: `:missing` asks the elements themselves."""
    resource = decode(raw)
    moment = datetime.fromisoformat(resource["meta"]["lastUpdated"])
    document = compose(TYPES[kind], resource, raw, moment, store.rules)
    del document["_json"]
    return document


def ident_in(key: str) -> str:
    """Return the id in the key of a version."""
    return id_of(resource_in(key))


def _parcels(found: Found) -> Iterator[list[tuple[str, bytes]]]:
    """Cut into what fits into one command."""
    some: list[tuple[str, bytes]] = []
    size = 0
    for ident, raw in found.items():
        if some and (size + len(raw) > _TOGETHER or len(some) == _LOOKED_UP):
            yield some
            some, size = [], 0
        some.append((ident, raw))
        size += len(raw)
    if some:
        yield some
