"""The parameters that say how the results shall be, not which.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import cast

from store import r4
from store.indexing import sort_fields
from store.search.matching import path_of, shares
from store.search.model import Note, SearchRefused, SortKey, Total
from store.types import TYPES

NAMES = frozenset(
    {
        "_sort",
        "_count",
        "_include",
        "_revinclude",
        "_summary",
        "_total",
        "_elements",
        "_contained",
        "_containedType",
        "_type",
        "_cursor",
    }
)
PASSED_BY = frozenset({"_format", "_pretty"})
"""They are about the answer's form, which the doors see to."""

DEFAULT_COUNT = 50
MOST_COUNT = 1_000
MOST_NAMES = 1_000
"""So many names a list may have: there are some forty elements and parameters to name."""

_SUMMARIES = ("true", "text", "data", "count", "false")
_TOTALS = ("none", "estimate", "accurate")


def count(value: str, *, least: int = 0, most: int = MOST_COUNT) -> int:
    """Return the size of a page; of one that is larger than `most`, that.

    Raises:
        SearchRefused: it is no number, or less than `least`.
    """
    if value.isascii() and value.isdigit():
        digits = value.lstrip("0") or "0"
        # Python reads no number of thousands of digits.
        size = most if len(digits) > len(str(most)) else min(int(digits), most)
        if size >= least:
            return size
    raise _refused("_count", f"It is a number of matches for a page, {least} to {most}.")


def summary(value: str) -> str | None:
    """Return what of each resource is wanted; None for all.

    Raises:
        SearchRefused: FHIR knows no such summary.
    """
    if value not in _SUMMARIES:
        raise _refused("_summary", f"It is one of {', '.join(_SUMMARIES)}.")
    return None if value == "false" else value


def total(value: str) -> Total:
    """Return how exact the total shall be.

    Raises:
        SearchRefused: FHIR knows no such word.
    """
    if value not in _TOTALS:
        raise _refused("_total", f"It is one of {', '.join(_TOTALS)}.")
    return cast(Total, value)


def contained(name: str, value: str) -> None:
    """Make sure that contained resources are not asked for: they are found only with what contains them.

    Raises:
        SearchRefused: they are.
    """
    allowed = "false" if name == "_contained" else "container"
    if value != allowed:
        text = f"Contained resources are not searched: '{name}' can only be '{allowed}'."
        raise SearchRefused(Note("not-supported", name, text))


def listed(name: str, value: str) -> tuple[str, ...]:
    """Return the names that stand between commas in parameter `name`, each once; blanks around a name are none of it.

    Raises:
        SearchRefused: there are too many, repeated ones counted.
    """
    if value.count(",") >= MOST_NAMES:
        raise too_many(name)
    return tuple(dict.fromkeys(name for part in value.split(",") if (name := part.strip())))


def too_many(name: str) -> SearchRefused:
    """Return the refusal of a list of too many names."""
    return SearchRefused(Note("too-costly", name, f"'{name}' takes at most {MOST_NAMES:,} names. Give fewer."))


def elements(names: Sequence[str], kinds: Sequence[str]) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Return those of `names` that are elements, as written, and a note for each that no type searched has."""
    known = {name: _is_element(name, kinds) for name in names}
    text = "There is no element '{}' in {}: it is left out."
    return (
        tuple(name for name, is_one in known.items() if is_one),
        tuple(
            Note("not-supported", "_elements", text.format(name, ", ".join(kinds)))
            for name, is_one in known.items()
            if not is_one
        ),
    )


def _is_element(name: str, kinds: Sequence[str]) -> bool:
    """Tell whether a name (``start``, ``Appointment.start``, ``participant.actor``) begins with an element."""
    first, _, rest = name.partition(".")
    if first in TYPES and rest:
        first, kinds = rest.partition(".")[0], (first,)
    return any(members(kind, first) for kind in kinds)


def members(kind: str, name: str) -> tuple[str, ...]:
    """Return the names in JSON of an element: one, or one for each type of a choice (``deceased``, ``deceased[x]``).

    That of a choice in JSON (``deceasedBoolean``) stands for itself. None if there is no such element.
    """
    return _members(kind).get(name.removesuffix("[x]"), ())


@cache
def _members(kind: str) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for one in r4.elements(kind):
        _, _, name = one["path"].partition(".")
        if "." in name:
            continue
        if name.endswith("[x]"):
            name = name.removesuffix("[x]")
            found[name] = tuple(name + of["code"][0].upper() + of["code"][1:] for of in one["type"])
            found |= {typed: (typed,) for typed in found[name]}
        elif name:
            found[name] = (name,)
    return found


def sort(given: Sequence[str], kinds: Sequence[str]) -> tuple[list[SortKey], list[str], list[Note]]:
    """Return the keys to sort by (``-date``, ``_id``), how they were written, and a note for each that is none."""
    keys: list[SortKey] = []
    items: list[str] = []
    wrong: list[str] = []
    for item in given:
        name, direction = (item[1:], -1) if item.startswith("-") else (item, 1)
        if direction < 0 and all(item in TYPES[kind].parameters for kind in kinds):
            name, direction = item, 1  # `-date-or-req-period` is a name that begins so
        paths = tuple(path for path in (_sortable(kind, name, direction) for kind in kinds) if path is not None)
        if name and len(paths) == len(kinds):
            if paths not in {known for known, _ in keys}:
                keys.append((paths, direction))
                items.append(item)
        elif name:
            wrong.append(name)
    return keys, items, _unsortable(wrong, kinds) if wrong else []


def _sortable(kind: str, name: str, direction: int = 1) -> str | None:
    """Return the path to sort by: of several values that which comes first; None where there is no such order."""
    parameter = TYPES[kind].parameters.get(name)
    if parameter is None:
        return None
    if name in TYPES[kind].sorts:
        least, greatest = sort_fields(parameter)
        return f"_index.{least if direction > 0 else greatest}"
    if not parameter.single or parameter.kind == "special" or shares(parameter):
        return None
    return f"{path_of(parameter)}.lo" if parameter.interval else path_of(parameter)


def _unsortable(names: Sequence[str], kinds: Sequence[str]) -> list[Note]:
    possible = [one for one in TYPES[kinds[0]].parameters if all(_sortable(kind, one) for kind in kinds)]
    text = f"{' and '.join(kinds)} cannot be sorted by '{{}}'. Possible: {', '.join(sorted(possible))}."
    return [Note("not-supported", "_sort", text.format(name)) for name in names]


def _refused(name: str, text: str) -> SearchRefused:
    return SearchRefused(Note("value", name, f"The value of '{name}' cannot be used. {text}"))
