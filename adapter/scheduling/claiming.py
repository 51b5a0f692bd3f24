"""Asks for many names in parts: who claims them (`claims`), or names them. One query would be too large for a command.

A set of month-long visits names so many hours, and so does a search among all practitioners of a large clinic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapter.scheduling.people import Finds
from store.chunks import chunks
from store.codec import Resource

_MOST = 20_000  # names in one query

Query = Callable[[Sequence[str]], Mapping[str, Any]]
"""Makes the query for some names."""


def one_of(names: Sequence[str]) -> dict[str, Any]:
    """Return the query for what claims one of `names`."""
    return {"_index.claims": {"$in": names}}


def queries(names: Sequence[str], query: Query = one_of) -> Iterator[Mapping[str, Any]]:
    """Return the queries for all of `names`, one after another; two of them may find the same."""
    return map(query, chunks(names, _MOST))


async def found(find: Finds, kind: str, names: Iterable[str], query: Query = one_of) -> dict[str, Resource]:
    """Return the resources of a type for which the queries for `names` ask, by relative reference."""
    return {
        f"{kind}/{resource['id']}": resource
        for part in queries(sorted(set(names)), query)
        for resource in await find.find(kind, part)
    }
