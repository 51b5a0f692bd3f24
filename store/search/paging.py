"""From page to page by the keys of the last match, so that a page costs the same wherever it is.

What is written meanwhile neither repeats a match nor hides one: a page begins after a place in the order, not after a
number of matches. The cursor holds that place and nothing that the search does not say already.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from store.search.model import Note, Order, Position, Query, SearchRefused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CHANGED = "This page link was changed, or is of another release. Search again and follow its links."


def cursor(position: Position) -> str:
    """Return the text of a position."""
    values = [_plain(value) for value in position.values]
    return base64.urlsafe_b64encode(orjson.dumps([position.kind, position.total, values])).rstrip(b"=").decode()


def _plain(value: Any) -> Any:
    # In milliseconds, as MongoDB counts: exact, and before 1970 too.
    return {"at": (value - _EPOCH) // _MILLISECOND} if isinstance(value, datetime) else value


def position(text: str, kinds: int) -> Position:
    """Return the position that a cursor tells.

    Args:
        text: from `cursor`.
        kinds: how many types are searched.

    Raises:
        SearchRefused: it is from somewhere else.
    """
    try:
        kind, total, values = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        read = tuple(_read(value) for value in values)
    except (ValueError, TypeError, OverflowError):
        raise _changed() from None
    if type(kind) is not int or not 0 <= kind < kinds or not read or not isinstance(read[-1], str):
        raise _changed()
    if total is not None and (type(total) is not int or total < 0):
        raise _changed()
    return Position(kind, total, read)


def _read(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, dict) or value.keys() != {"at"} or type(value["at"]) is not int:
        raise ValueError("no value of an order")
    return _EPOCH + value["at"] * _MILLISECOND


def _changed() -> SearchRefused:
    return SearchRefused(Note("invalid", "_cursor", _CHANGED))


def at(document: Mapping[str, Any], path: str) -> Any:
    """Return the value of a document at a path of an order; None if it has none."""
    found: Any = document
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def beyond(order: Order, values: Sequence[Any], *, inclusive: bool = False) -> Query | None:
    """Return the query for what comes after a place in the order; None if nothing can.

    MongoDB sorts what has no value first, and last in a descending order.

    Args:
        order: the keys.
        values: at the place, one for each key.
        inclusive: the place itself also.

    Raises:
        SearchRefused: the values are of another order.
    """
    if len(order) != len(values):
        raise _changed()
    branches: list[Query] = []
    same: Query = {}
    for (path, direction), value in zip(order, values, strict=True):
        later = _later(path, direction, value)
        if later is not None:
            branches.append({**same, **later})
        same[path] = value  # null is also what is not there
    if inclusive:
        branches.append(same)
    if not branches:
        return None
    if len(branches) == 1:
        return branches[0]
    # What the branches have in common comes first: it is what an index is entered at.
    (path, direction), value = order[0], values[0]
    if value is None:
        bound: Query = {} if direction > 0 else {path: None}
    else:
        bound = {path: {"$gte": value} if direction > 0 else {"$not": {"$gt": value}}}
    return {**bound, "$or": branches}


def _later(path: str, direction: int, value: Any) -> Query | None:
    if value is None:
        return {path: {"$exists": True}} if direction > 0 else None
    if direction > 0:
        return {path: {"$gt": value}}
    return {path: {"$lt": value}} if path == "_id" else {path: {"$not": {"$gte": value}}}
