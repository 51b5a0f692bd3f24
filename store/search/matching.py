"""The small queries that all others are put together from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bson.regex import Regex

from store.parameters import Parameter
from store.search.model import NOTHING, Query

_LONGEST = 16_000
"""Bytes of a pattern. MongoDB takes twice as many; what was sent has fewer, but one letter may become eighteen."""


class BadValue(ValueError):
    """A value that cannot be read; the text says why, and what would be one."""


def path_of(parameter: Parameter) -> str:
    """Return where in a document a parameter's values are."""
    return "_id" if parameter.field == "_id" else f"_index.{parameter.field}"


def shares(parameter: Parameter) -> bool:
    """Tell whether a reference parameter is one of several over one element, set apart by the target's type."""
    return parameter.kind == "reference" and parameter.field != parameter.name


def any_of(path: str, wanted: Sequence[Any]) -> Query:
    """Return the query for one of `wanted`: texts, and patterns from the start of a text."""
    if not wanted:
        return NOTHING
    if len(wanted) > 1:
        return {path: {"$in": list(wanted)}}
    return {path: {"$regex": wanted[0]} if isinstance(wanted[0], Regex) else wanted[0]}


def either(queries: list[Query]) -> Query:
    """Return the query for one of `queries`."""
    return queries[0] if len(queries) == 1 else {"$or": queries} if queries else NOTHING


def starting(text: str) -> Regex[str]:
    """Return the pattern of what begins with `text`: MongoDB goes straight to it in an index.

    Raises:
        BadValue: MongoDB would not take it.
    """
    return _pattern("^" + re.escape(text))


def containing(text: str) -> Regex[str]:
    """Return the pattern of what has `text` anywhere.

    Raises:
        BadValue: as `starting`.
    """
    return _pattern(re.escape(text))


def _pattern(text: str) -> Regex[str]:
    """Return `text` as a pattern.

    Raises:
        BadValue: MongoDB would not take it.
    """
    if len(text.encode()) > _LONGEST:
        raise BadValue("It is too long once its letters are written out. Search for its beginning.")
    # Not re.compile: its flag for Unicode, which goes without saying, makes MongoDB read the whole index.
    return Regex(text)


def patterns_first(wanted: list[Any]) -> list[Any]:
    """Return the same, so that a look at the first tells whether all are texts."""
    return sorted(wanted, key=lambda one: isinstance(one, str)) if len(wanted) > 1 else wanted
