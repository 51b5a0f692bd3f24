"""The pieces of FHIRPath that the columns of the views (`views`) are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ColumnPath = str | tuple[str, str]
"""The path of a column from its resource; or what it starts from, and the path from there."""
ID = "[A-Za-z0-9.-]+"
NOTHING = "{}"


def pattern_of(kind: str) -> str:
    """Return the regular expression of literal references to a type, wherever it lies."""
    return f"^(.*/)?{kind}/{ID}(/_history/{ID})?$"


def first_of(paths: Sequence[str]) -> str:
    """Return the expression for the first of some that has a value."""
    made = paths[-1]
    for path in reversed(paths[:-1]):
        made = f"iif({path}.exists(), {path}, {made})"
    return made


def literal(value: str) -> str:
    """Return a FHIRPath literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def union(values: Iterable[str]) -> str:
    """Return the expression for several texts."""
    return " | ".join(map(literal, values))
