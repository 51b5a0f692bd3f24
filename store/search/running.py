"""A search carried out: look-ups first, then one query for the page, and one that counts where the page is not all.

The query asks for one match more than the page has: whether there is a next page costs nothing, and where there is none
the total is known. Where the order is one that no index gives with the conditions, what matches is counted first. A
page of large resources has fewer than were asked for (`PAGE_BYTES`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from pymongo.errors import DocumentTooLarge, OperationFailure

from store.connection import is_oversized
from store.search import includes, paging, planning, results
from store.search.lookups import conjunction, resolved
from store.search.model import (
    NOTHING,
    Entry,
    Note,
    Order,
    Page,
    Pair,
    Position,
    Query,
    Reading,
    Search,
    SearchRefused,
)
from store.search.parsing import parse
from store.source import PAGE_BYTES, Hint, Source, fitting

COUNTED = 10_000
"""Matches that are counted for a total that nobody asked to be accurate."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What MongoDB is asked for one type: all of it, before a page is cut out. The last three as in `planning.Plan`."""

    kind: str
    query: Query
    sort: Order
    hint: Hint
    few: Hint


@dataclass(frozen=True, slots=True)
class _Match:
    place: int  # of its type in the search
    kind: str
    document: Mapping[str, Any]
    order: Order

    @property
    def values(self) -> tuple[Any, ...]:
        """What it is ordered by."""
        return tuple(paging.at(self.document, path) for path, _ in self.order)


@asynccontextmanager
async def _that_mongodb_takes() -> AsyncIterator[None]:
    """Refuse a search that chains have made larger than a command can be: how large, only their ends show."""
    try:
        yield
    except (OperationFailure, DocumentTooLarge) as error:
        if not is_oversized(error):
            raise
        text = "Its chains lead to too many resources together. Make them narrower, use fewer, or search in parts."
        raise SearchRefused(Note("too-costly", "", text)) from None


@_that_mongodb_takes()
async def compiled(source: Source, search: Search) -> list[Compiled]:
    """Return the queries of a search, one for each type; chains are looked up for it.

    Raises:
        SearchRefused: a chain leads to too many resources, or all of them do together.
        Unreachable: MongoDB did not answer in time.
    """
    made = []
    for place, kind in enumerate(search.kinds):
        query = await resolved(source, search.filters[place], search.base)
        made.append(Compiled(kind, query, *planning.planned(kind, query, _wanted(search, place))))
    return made


def _wanted(search: Search, place: int) -> Order:
    """Return the order that was asked for, as far as it goes."""
    asked: Order = ()
    for paths, direction in search.sort:
        asked += ((paths[place], direction),)
        if paths[place] == "_id":
            break  # nothing is left to be ordered
    return asked


@_that_mongodb_takes()
async def run(source: Source, search: Search) -> Page:
    """Return the page that a search asks for.

    Raises:
        SearchRefused: a chain leads to too many resources, or the cursor is of another search.
        Unreachable: MongoDB did not answer in time.
    """
    queries = await compiled(source, search)
    if search.summary == "count" or search.count == 0:
        return Page((), await _count(source, queries, 0), None, ())
    queries = [await _measured(source, one) for one in queries]
    found = await (_merged if search.sort and len(queries) > 1 else _in_turn)(source, search, queries)
    matches = found[: _room(search, found)]
    more = len(found) > len(matches)
    total = await _total(source, search, queries, len(found), more=more)
    cursor = None
    if more:
        last = matches[-1]
        cursor = paging.cursor(Position(last.place, total, last.values))
    entries = [Entry(one.kind, one.document["_id"], one.document["_json"], "match") for one in matches]
    notes: tuple[Note, ...] = ()
    if search.includes and matches:
        included = includes.Included(source, search.includes, search.base, search.readable)
        await included.collect([(one.kind, one.document) for one in matches])
        entries += included.entries
        notes = await included.notes()
    return Page(tuple(entries), None if search.total == "none" else total, cursor, notes)


async def _measured(source: Source, one: Compiled) -> Compiled:
    """Name the index of a query that few match: so many entries of an index are counted and sorted in milliseconds."""
    if one.few is None or await source.count(one.kind, one.query, limit=COUNTED + 1, hint=one.few) > COUNTED:
        return one
    return replace(one, hint=one.few)


async def _in_turn(source: Source, search: Search, queries: Sequence[Compiled]) -> list[_Match]:
    """Read one match more than the page has, type after type."""
    found: list[_Match] = []
    start = search.position.kind if search.position else 0
    for place in range(start, len(queries)):
        after: Query | None = {}
        if search.position and place == start:
            after = paging.beyond(queries[place].sort, search.position.values)
        found += await _read(source, search, queries[place], place, after, search.count + 1 - len(found))
        if len(found) > _room(search, found):
            break
    return found


def _room(search: Search, found: Sequence[_Match]) -> int:
    """Return how many of what was found are on the page."""
    return min(search.count, fitting([one.document for one in found], PAGE_BYTES))


async def _merged(source: Source, search: Search, queries: Sequence[Compiled]) -> list[_Match]:
    """Read one match more than the page has, of all types in one order: the keys asked for, then type, then id."""
    found: list[_Match] = []
    asked = [direction for _, direction in search.sort]
    for place, one in enumerate(queries):
        after: Query | None = {}
        if search.position:
            keys = one.sort[: len(asked)]
            values = search.position.values
            if place == search.position.kind:
                after = paging.beyond(one.sort, values)
            else:
                # Of equal keys, those of an earlier type have been shown, those of a later one have not.
                later = place > search.position.kind
                after = paging.beyond(keys, values[: len(keys)], inclusive=later)
        found += await _read(source, search, one, place, after, search.count + 1)
    for index in reversed(range(len(queries[0].sort[: len(asked)]))):
        found.sort(key=lambda match: _comparable(match.values[index]), reverse=asked[index] < 0)
    return found[: search.count + 1]


def _comparable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


async def _read(
    source: Source, search: Search, one: Compiled, place: int, after: Query | None, limit: int
) -> list[_Match]:
    if after is None or one.query is NOTHING:
        return []
    fields = includes.fields(search.includes, one.kind) + [path for path, _ in one.sort if path != "_id"]
    documents = await source.documents(
        one.kind,
        conjunction([one.query, after]) if after else one.query,
        fields=list(dict.fromkeys(fields)),
        sort=one.sort,
        limit=limit,
        hint=one.hint,
        most=PAGE_BYTES,
    )
    return [_Match(place, one.kind, document, one.sort) for document in documents]


async def _total(source: Source, search: Search, queries: Sequence[Compiled], found: int, *, more: bool) -> int | None:
    if search.position is not None:
        return search.position.total  # as the first page told it: it was counted then
    if not more:
        return found
    if search.total == "none":
        return None
    if search.total == "accurate":
        return await _count(source, queries, 0)
    total = await _count(source, queries, COUNTED + 1)
    return total if total <= COUNTED else None


async def _count(source: Source, queries: Sequence[Compiled], limit: int) -> int:
    """Return how many match; more than `limit` (0: no limit) may be counted as one more."""
    total = 0
    for one in queries:
        if one.query is NOTHING or (limit and total >= limit):
            continue
        # Without conditions the keys are counted, not the documents.
        hint: Hint = one.hint if one.query else ("_id",)
        total += await source.count(one.kind, one.query, limit=limit - total if limit else 0, hint=hint)
    return total


@_that_mongodb_takes()
async def matches(
    source: Source, kind: str, pairs: Sequence[Pair], reading: Reading, *, without: Collection[str] = ()
) -> list[str]:
    """Return the ids of what the criteria of a conditional interaction match, at most two.

    Nothing is left out of them: criteria that match more than was meant would change the wrong resource. `without`:
    ids that do not count, as they are about to be deleted.

    Raises:
        SearchRefused: a criterion is unknown, empty, about results or by a name that nothing stored has; or there is
            none.
        Unreachable: MongoDB did not answer in time.
    """
    problems = [
        Note("invalid", name, f"'{name}' is not a criterion: it says how results are shown.")
        for name, _ in pairs
        if name.partition(":")[0] in results.NAMES
    ]
    problems += [
        Note("invalid", name, f"The criterion '{name}' is empty. Give it a value, or leave it out.")
        for name, value in pairs
        if not value.strip(",") and name not in results.PASSED_BY
    ]
    if problems:
        raise SearchRefused(*problems)
    search = parse((kind,), pairs, replace(reading, strict=True, conditional=True))
    if not search.used:
        text = "The criteria are empty: they would match everything. Name what identifies the resource."
        raise SearchRefused(Note("required", "", text))
    query = await resolved(source, search.filters[0], search.base)
    if query is NOTHING:
        return []
    found = await source.keys(kind, query, limit=2 + len(without))
    return [ident for ident in found if ident not in without][:2]
