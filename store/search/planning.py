"""The order in which matches come, and the index that gives them in it.

Where no order is asked for, the one is chosen that an index serves together with the conditions: appointments of a
patient come by their date, slots by their start. It follows from the conditions' paths alone and never from their
values, so that it is the same for every page. An index is named to MongoDB only where it answers the whole query: it
then need not be found by trial, and what is stored does not change the choice. All else is left to MongoDB, but for one
thing: of an order that no index gives together with the conditions, MongoDB goes through all there is, in that order,
where many may match, and finds the few that do at its end. So the index that answers such a query is named to whoever
knows that few match (`store.search.running`): they are sorted by what the index holds, before a document is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from store.search.model import NOTHING, Order, Query
from store.source import Hint
from store.types import TYPES

BY_ID: Order = (("_id", 1),)
_KEYS = 2  # of an order that nobody asked for: a date and the id
_EQUAL = frozenset({"$eq", "$in"})
_RANGE = frozenset({"$gte", "$gt", "$lt", "$lte"})


class Plan(NamedTuple):
    """How the matches of a query are found.

    Attributes:
        order: in which they come.
        hint: the index to name, or None.
        few: the index to name where few match, though it does not give the order; None: there is no such.
    """

    order: Order
    hint: Hint
    few: Hint


def planned(kind: str, query: Query, wanted: Order) -> Plan:
    """Return how a query's matches are found.

    Args:
        kind: the type searched.
        query: over the documents of the type.
        wanted: the order asked for, as far as it goes; none if empty.
    """
    if query is NOTHING:
        return Plan(_whole(wanted), None, None)
    equal, ranged, other = set(), set(), False
    for path, condition in query.items():
        if path[0] == "$":
            other = True
        elif _is_equality(condition):
            equal.add(path)
        elif condition.keys() <= _RANGE:
            ranged.add(path)
        else:
            other = True
    return _planned(kind, frozenset(equal), frozenset(ranged), other, wanted)


def _is_equality(condition: Any) -> bool:
    if not isinstance(condition, Mapping):
        return True
    # Patterns come first in a list.
    return condition.keys() <= _EQUAL and ("$in" not in condition or isinstance(condition["$in"][0], str))


@lru_cache(maxsize=4_096)
def _planned(kind: str, equal: frozenset[str], ranged: frozenset[str], other: bool, wanted: Order) -> Plan:
    whole = _whole(wanted)
    if "_id" in equal:
        return Plan(whole, None, None)  # nothing finds them faster
    best: tuple[tuple[bool, int, int], Order, tuple[str, ...]] | None = None
    few: tuple[tuple[bool, int, int], tuple[str, ...]] | None = None
    for keys in TYPES[kind].indexes:
        paths = [key if key == "_id" else f"_index.{key}" for key in keys]
        fixed = 0
        while fixed < len(paths) and paths[fixed] in equal:
            fixed += 1
        entered = bool(fixed or ranged & set(paths[:1]))
        rank = (entered, len((equal | ranged) & set(paths)), fixed)
        order = _served(paths[fixed:], wanted)
        if order is not None and (entered or wanted) and (best is None or rank > best[0]):
            best = rank, order, keys
        if {path for path, _ in whole} <= set(paths) and (few is None or rank > few[0]):
            few = rank, keys
    answers = (True, len(equal) + len(ranged))  # the whole query
    order = whole if best is None else best[1]
    if best is not None and best[0][:2] == answers and not other:
        return Plan(order, best[2], None)
    served = best is not None and best[0][0]
    return Plan(order, None, few[1] if few is not None and few[0][:2] == answers and not other and not served else None)


def _whole(wanted: Order) -> Order:
    """Return an order that tells any two apart: the one asked for, and then by the id."""
    if not wanted:
        return BY_ID
    path, direction = wanted[-1]
    return wanted if path == "_id" else (*wanted, ("_id", direction))


def _served(paths: list[str], wanted: Order) -> Order | None:
    """Return the order that an index gives and that is the one asked for, or any that ends with the id.

    What is equal in what was asked for comes in whatever order the index has it, down to the id.
    """
    given = paths[: paths.index("_id") + 1] if "_id" in paths else []
    if wanted:
        asked, directions = [path for path, _ in wanted], {direction for _, direction in wanted}
        if given[: len(asked)] != asked or len(directions) > 1:
            return None
        return tuple((path, wanted[0][1]) for path in given)
    return tuple((path, 1) for path in given) if 0 < len(given) <= _KEYS else None
