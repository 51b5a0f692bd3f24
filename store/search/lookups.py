"""Chains carried out: the resources at their ends are looked up first, by ids, and the query names these.

Each look-up is one indexed query; ``patient.identifier=...`` costs one before the search itself. What would name too
many is refused with a way out, since a part of the answer would look like the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from store.extract import relative
from store.search.matching import path_of
from store.search.model import NOTHING, Chain, Filter, Has, Note, Query, SearchRefused
from store.search.references import own_forms
from store.source import Source

MOST_IDS = 10_000


async def resolved(source: Source, filters: Sequence[Filter], base: str) -> Query:
    """Return one query for all `filters`.

    Raises:
        SearchRefused: a chain leads to too many resources.
        Unreachable: MongoDB did not answer in time.
    """
    return conjunction([await _resolved(source, one, base) for one in filters])


async def _resolved(source: Source, one: Filter, base: str) -> Query:
    if isinstance(one, Chain):
        return await _chain(source, one, base)
    if isinstance(one, Has):
        return await _has(source, one, base)
    return one


async def _chain(source: Source, chain: Chain, base: str) -> Query:
    references: list[str] = []
    room = MOST_IDS
    for kind, inner in chain.branches.items():
        query = await _resolved(source, inner, base)
        if query is NOTHING:
            continue
        idents = await source.keys(kind, query, limit=room + 1)
        room -= len(idents)
        if room < 0:
            raise _too_many(chain.wire)
        for ident in idents:
            references += own_forms(kind, ident, base)
    return {path_of(chain.parameter): {"$in": references}} if references else NOTHING


async def _has(source: Source, has: Has, base: str) -> Query:
    query = await _resolved(source, has.matching, base)
    if query is NOTHING:
        return NOTHING
    path = path_of(has.parameter)
    # Other targets of the same references come along, `actor` is more than patients: room for these too.
    found = await source.distinct(has.kind, path, query, limit=4 * MOST_IDS)
    names = {relative(text, (base,)) for text in found}
    prefix = f"{has.target}/"
    idents = sorted(text.removeprefix(prefix) for text in names if text.startswith(prefix))
    if len(found) == 4 * MOST_IDS or len(idents) > MOST_IDS:
        raise _too_many(has.wire)
    return {"_id": {"$in": idents}} if idents else NOTHING


def _too_many(wire: str) -> SearchRefused:
    text = f"'{wire}' leads to more than {MOST_IDS} resources. Make it narrower, or search for these first."
    return SearchRefused(Note("too-costly", wire, text))


def conjunction(queries: Sequence[Query]) -> Query:
    """Return the query for documents that match all of `queries`; NOTHING, the very object, if one of them is that.

    Conditions on one path are put into one where their operators differ: two bounds of a date then are one span.
    """
    together: Query = {}
    rest: list[Query] = []
    for query in queries:
        if query is NOTHING:
            return NOTHING
        for path, wanted in query.items():
            known = together.get(path)
            if path == "$and":  # of a conjunction that is put beside others
                rest += wanted
            elif path not in together:
                together[path] = wanted
            elif path[0] == "$":
                rest.append({path: wanted})
            else:
                left, right = _operators(known), _operators(wanted)
                if left is None or right is None or left.keys() & right.keys():
                    rest.append({path: wanted})
                else:
                    together[path] = left | right
    if rest:
        together["$and"] = rest
    return together


def _operators(wanted: Any) -> dict[str, Any] | None:
    """Return a condition as operators; None if it is a pattern, which does not stand beside others."""
    if isinstance(wanted, dict):
        return None if "$regex" in wanted else wanted
    return {"$eq": wanted} if isinstance(wanted, str) else None
