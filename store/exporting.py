"""All resources as they were at one moment, in parts, however long it takes and whatever is written meanwhile.

The moment is a cut through the order of the history (`store.ordering`), not a snapshot of MongoDB: those are kept for
300 seconds only. Nothing in the history ever changes, so the state at the cut can be told at any time: what has not
changed since is read from the live documents, in one pass over their ids, and what has is taken from the history.
Which those are is asked after each part of the documents was read: a change that they show is in the history by then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from store import codec
from store.connection import bounded
from store.exporting_live import live
from store.exporting_past import (
    BATCH,
    SECONDS,
    Changes,
    Cut,
    Query,
    at_cut,
    changed_after,
    changed_between,
    deleted_between,
    filtered,
    ident_in,
    newest,
    were,
)
from store.history import HISTORY
from store.store import Store

_END = "\uffff"  # after every id


@dataclass(frozen=True, slots=True)
class Selection:
    """Which resources of a type.

    Attributes:
        kind: the type.
        since: only what changed then or later.
        queries: over the stored document, but for its ``_json``, any of which it must match; none: all.
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


async def cut_before(store: Store, cut: Cut, since: datetime) -> Cut:
    """Return the cut after which everything counts as made at `since` or later: of the export before, if that is its.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    return Cut(await store.first_since(since, cut.seq + 1) - 1, since)


async def resource(store: Store, cut: Cut, kind: str, ident: str) -> bytes | None:
    """Return the JSON of one resource as it was at the cut; None if it was not there.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    return (await at_cut(store, cut, kind, (), [ident])).get(ident)


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
    changes = Changes(store, selection.kind, cut)
    wanted: frozenset[str] | None
    async for wanted, lines, last in _read(store, cut, selection, after, batch):
        await changes.refresh()
        changed = changes.between(after, last)
        if wanted is not None:
            changed = [ident for ident in changed if ident in wanted]
        if changed:
            found = await at_cut(store, cut, selection.kind, selection.queries, changed)
            for ident in changed:
                place = bisect_left(lines, ident, key=codec.ident)
                there = place < len(lines) and codec.ident(lines[place]) == ident
                lines[place : place + there] = [found[ident]] if ident in found else []
        after = last
        yield Part(last, lines)


async def deletions(
    store: Store, cut: Cut, since: datetime, kinds: Sequence[str], queries: Mapping[str, Sequence[Query]] | None = None
) -> AsyncIterator[list[str]]:
    """Give what was deleted at `since` or later, and is not there at the cut, as ``Type/id``.

    Args:
        store: where.
        cut: from `take_cut`.
        since: the cut before.
        kinds: of these types.
        queries: by type, what it must have matched before it was deleted, or at `since`: any of them; none: all.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    first = await store.first_since(since, cut.seq + 1)
    for kind in kinds:
        query = deleted_between(kind, first, cut.seq)
        cursor = store.database[HISTORY].find(query, {"_id": 1}, sort=[("seq", 1)], batch_size=BATCH)
        while keys := [one["_id"] for one in await bounded(partial(cursor.to_list, BATCH), SECONDS)]:
            last = await newest(store, cut, kind, {ident_in(key) for key in keys})
            gone = [key for key in keys if last[ident_in(key)] == key]
            if gone and queries and queries.get(kind):
                # Whoever goes on from the cut before has it as it was then, whatever became of it in between.
                then = await at_cut(store, Cut(first - 1, since), kind, queries[kind], [ident_in(key) for key in gone])
                told = {*await were(store, kind, gone, queries[kind])}
                gone = [key for key in gone if key in told or ident_in(key) in then]
            if gone:
                yield [f"{kind}/{ident_in(key)}" for key in gone]
        await cursor.close()


_Batch = tuple[frozenset[str] | None, list[bytes], str]


async def _read(store: Store, cut: Cut, selection: Selection, after: str, batch: int) -> AsyncIterator[_Batch]:
    """Give what is live in the order of the ids, with how far it reaches; those ids alone matter, if named."""
    if selection.since is None:
        async for lines, last in live(store, selection.kind, selection.queries, after, batch):
            yield None, lines, last
        yield None, [], _END
        return
    first = await store.first_since(selection.since, cut.seq + 1)
    pipeline: list[dict[str, Any]] = [
        {"$match": changed_between(selection.kind, first, cut.seq) | {"id": {"$gt": after}}},
        {"$group": {"_id": "$id"}},
        {"$sort": {"_id": 1}},
    ]
    history = store.database[HISTORY]
    cursor = await bounded(lambda: history.aggregate(pipeline, allowDiskUse=True, batchSize=batch), SECONDS)
    while idents := [one["_id"] for one in await bounded(partial(cursor.to_list, batch), SECONDS)]:
        wanted = frozenset(idents)
        async for lines, last in live(store, selection.kind, selection.queries, "", batch, idents):
            yield wanted, lines, last
        yield wanted, [], idents[-1]


__all__ = [
    "BATCH",
    "Cut",
    "Part",
    "Query",
    "Selection",
    "changed_after",
    "changed_between",
    "cut_before",
    "deleted_between",
    "deletions",
    "filtered",
    "resource",
    "resources",
    "take_cut",
]
