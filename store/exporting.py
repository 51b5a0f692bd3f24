"""All resources as they were at one moment, in parts, however long it takes and whatever is written meanwhile.

The moment is a cut through the order of the history (`store.ordering`), not a snapshot of MongoDB: those are kept for
300 seconds only. Nothing in the history ever changes, so the state at the cut can be told at any time: what has not
changed since is read from the live documents, in one pass over their ids, and what has is taken from the history.
Which those are is asked after each part of the documents was read: a change that they show is in the history by then.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import bson
from pymongo.asynchronous.cursor import AsyncRawBatchCursor
from pymongo.errors import CursorNotFound

from store.codec import CODEC_OPTIONS, decode
from store.connection import bounded
from store.documents import compose
from store.history import HISTORY, versions_of
from store.store import Store
from store.types import TYPES

BATCH = 2_000
"""Resources in a part, about."""

SECONDS = 60.0
"""After which a step gives up: nobody waits for an answer here, and a filter may read far for its first match."""

_LOOKED_UP = 500  # resources in one query of the history
_END = "\uffff"  # after every id

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


@dataclass(frozen=True, slots=True)
class Selection:
    """Which resources of a type.

    Attributes:
        kind: the type.
        since: only what changed then or later.
        queries: over the stored document's ``_id`` and ``_index``, any of which it must match; none: all.
    """

    kind: str
    since: datetime | None = None
    queries: tuple[Query, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the resources, by their ids.

    Attributes:
        last: how far they reach: to be given as `after` to go on from there.
        lines: their JSON, each.
    """

    last: str
    lines: list[bytes]


async def take_cut(store: Store) -> Cut:
    """Cut the history now: everything acknowledged by now is before it.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    return Cut(*await store.cut())


async def resources(
    store: Store, cut: Cut, selection: Selection, *, after: str = "", batch: int = BATCH
) -> AsyncIterator[Part]:
    """Give the resources as they were at the cut, in the order of their ids.

    Args:
        store: where they are.
        cut: from `take_cut`, at any time before.
        selection: which.
        after: the `last` of the part to go on after.
        batch: resources in a part, about.

    Raises:
        Unreachable: MongoDB did not answer in time; go on after the last part.
    """
    changes = _Changes(store, selection.kind, cut)
    wanted: frozenset[str] | None
    async for wanted, found, last in _read(store, cut, selection, after, batch):
        await changes.refresh()
        changed = changes.between(after, last)
        if wanted is not None:
            changed = [ident for ident in changed if ident in wanted]
        for ident in changed:
            found.pop(ident, None)
        if changed:
            found |= await _at_cut(store, cut, selection, changed)
            found = dict(sorted(found.items()))
        after = last
        yield Part(last, list(found.values()))


async def deletions(
    store: Store, cut: Cut, since: datetime, kinds: Sequence[str], queries: Mapping[str, Sequence[Query]] | None = None
) -> AsyncIterator[list[str]]:
    """Give what was deleted at `since` or later, and is not there at the cut, as ``Type/id``.

    Args:
        store: where.
        cut: from `take_cut`.
        since: the cut before.
        kinds: of these types.
        queries: by type, what it must have matched before it was deleted: any of them; none: all.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    first = await store.first_since(since, cut.seq + 1)
    for kind in kinds:
        query = deleted_between(kind, first, cut.seq)
        cursor = store.database[HISTORY].find(query, {"_id": 1}, sort=[("seq", 1)], batch_size=BATCH)
        while keys := [one["_id"] for one in await bounded(partial(cursor.to_list, BATCH), SECONDS)]:
            newest = await _newest(store, cut, kind, {_ident(key) for key in keys})
            gone = [key for key in keys if newest[_ident(key)] == key]
            if gone and queries and queries.get(kind):
                gone = await _were(store, kind, gone, queries[kind])
            if gone:
                yield [f"{kind}/{_ident(key)}" for key in gone]
        await cursor.close()


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


class _Changes:
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
            new.update(_ident(one["_id"]) for one in found)
            self._seen = found[-1]["seq"]
        if new:
            self._idents = sorted(new.union(self._idents))

    def between(self, after: str, last: str) -> list[str]:
        """Return those with ids after one, up to another; they and those before them are not asked for again."""
        begin, end = bisect_right(self._idents, after), bisect_right(self._idents, last)
        found, self._idents = self._idents[begin:end], self._idents[end:]
        return found


_Batch = tuple[frozenset[str] | None, Found, str]


async def _read(store: Store, cut: Cut, selection: Selection, after: str, batch: int) -> AsyncIterator[_Batch]:
    """Give live documents in the order of their ids, with how far they reach; those ids alone matter, if named."""
    if selection.since is None:
        async for documents in _live(store, selection, after, batch):
            found = {one["_id"]: one["_json"] for one in documents}
            if found:
                after = documents[-1]["_id"]
                yield None, found, after
        yield None, {}, _END
        return
    first = await store.first_since(selection.since, cut.seq + 1)
    cursor = await store.database[HISTORY].aggregate(
        [
            {"$match": changed_between(selection.kind, first, cut.seq) | {"id": {"$gt": after}}},
            {"$group": {"_id": "$id"}},
            {"$sort": {"_id": 1}},
        ],
        allowDiskUse=True,
        batchSize=batch,
    )
    while idents := [one["_id"] for one in await bounded(partial(cursor.to_list, batch), SECONDS)]:
        query = filtered(selection.queries, {"_id": {"$in": idents}})
        documents = await bounded(partial(store.documents, selection.kind, query, sort=[("_id", 1)]), SECONDS)
        yield frozenset(idents), {one["_id"]: one["_json"] for one in documents}, idents[-1]


async def _live(store: Store, selection: Selection, after: str, batch: int) -> AsyncIterator[list[dict[str, Any]]]:
    """Read the documents as they are: one cursor, and where it was lost another one."""
    collection = store.database[selection.kind]
    while True:
        query = filtered(selection.queries, {"_id": {"$gt": after}})
        # Undecoded, and as large as MongoDB makes them at most: resources may be large.
        cursor = collection.find_raw_batches(query, {"_json": 1}, sort=[("_id", 1)], batch_size=batch)
        following = asyncio.create_task(_following(cursor))
        try:
            while raw := await following:
                # Asked for before this one is given away: MongoDB reads it meanwhile.
                following = asyncio.create_task(_following(cursor))
                documents = bson.decode_all(raw)
                if documents:
                    after = documents[-1]["_id"]
                    yield documents
        except CursorNotFound:
            continue  # whoever takes the parts had other things to do for ten minutes, or the server was another one
        else:
            return
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await cursor.close()


async def _following(cursor: AsyncRawBatchCursor[Any]) -> bytes:
    """Return the next batch; empty at the end."""
    return await bounded(partial(anext, cursor, b""), SECONDS)


async def _at_cut(store: Store, cut: Cut, selection: Selection, idents: Sequence[str]) -> Found:
    """Return those of the resources that were there, as they were; from the history."""
    newest = await _newest(store, cut, selection.kind, idents)
    found: Found = {}
    for keys in _slices(newest.values()):
        versions = await _versions(store, keys)
        found |= {_ident(one["_id"]): one["_json"] for one in versions if one["method"] != "DELETE"}
    return await _matching(store, selection.kind, found, selection.queries)


async def _newest(store: Store, cut: Cut, kind: str, idents: Iterable[str]) -> dict[str, str]:
    """Return the keys of their last versions before the cut, by id; those that had none are left out."""
    newest: dict[str, str] = {}
    for some in _slices(idents):
        query = {"$or": [{"_id": versions_of(kind, ident)} for ident in some]}
        find = store.database[HISTORY].find(query, {"seq": 1}, batch_size=BATCH)
        while found := await bounded(partial(find.to_list, BATCH), SECONDS):
            for one in found:
                # One without a place was made after the cut: it took in all that was there.
                if one.get("seq", cut.seq + 1) <= cut.seq:
                    ident = _ident(one["_id"])
                    newest[ident] = max(newest.get(ident, ""), one["_id"])
    return newest


async def _versions(store: Store, keys: Sequence[str]) -> list[dict[str, Any]]:
    find = store.database[HISTORY].find({"_id": {"$in": list(keys)}}, {"_json": 1, "method": 1}, batch_size=BATCH)
    return await bounded(find.to_list, SECONDS)


async def _were(store: Store, kind: str, gone: Sequence[str], queries: Sequence[Query]) -> list[str]:
    """Return those of the keys of deletions before which the resource matched."""
    before = {key: f"{key[:-10]}{int(key[-10:]) - 1:010}" for key in gone}
    found: Found = {}
    for keys in _slices(before.values()):
        found |= {_ident(one["_id"]): one["_json"] for one in await _versions(store, keys) if "_json" in one}
    matching = await _matching(store, kind, found, queries)
    return [key for key in gone if _ident(key) in matching]


async def _matching(store: Store, kind: str, found: Found, queries: Sequence[Query]) -> Found:
    """Return those that match: MongoDB itself judges what it would find, were it stored."""
    if not queries:
        return found
    kept: Found = {}
    for some in _slices(found.items()):
        documents = [_indexed(store, kind, raw) for _, raw in some]
        pipeline: list[dict[str, Any]] = [
            {"$documents": [{"$literal": one} for one in documents]},
            {"$match": filtered(queries)},
            {"$project": {"_id": 1}},
        ]
        database = store.database.with_options(codec_options=CODEC_OPTIONS)
        cursor = await database.aggregate(pipeline)
        matching = {one["_id"] for one in await bounded(cursor.to_list, SECONDS)}
        kept |= {ident: raw for ident, raw in some if ident in matching}
    return kept


def _indexed(store: Store, kind: str, raw: bytes) -> dict[str, Any]:
    """Return what queries look at of a resource."""
    resource = decode(raw)
    moment = datetime.fromisoformat(resource["meta"]["lastUpdated"])
    document = compose(TYPES[kind], resource, raw, moment, store.rules)
    return {"_id": document["_id"], "_index": document["_index"]}


def _ident(key: str) -> str:
    """Return the id in the key of a version."""
    return key.split("/")[1]


def _slices(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut into what fits into one query."""
    rest = iter(values)
    while some := list(islice(rest, _LOOKED_UP)):
        yield some
