"""What a search may ask of MongoDB at once: how much there is to look for, in all its parameters and chains together.

MongoDB keeps what a query looks for in memory while it plans and runs it, for a pattern or a circle many times what it
keeps for a value. A parameter by itself has a bound (`store.search.conditions`); a thousand of them would take
gigabytes, for a request of some kilobytes, whoever sent it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bson.regex import Regex

from store.search.model import Note, Query, SearchRefused

MOST = 50_000
"""Of weight in one search: so many values, 400 patterns, or 2,000 periods of time."""

MOST_LOOKUPS = 64

_PATTERN = 125
_WASTED = 50  # a value beside one that cannot be used: read for nothing
_BRANCH = 20  # of an `or`: MongoDB plans each by itself
_BYTES = 256  # of a value that weighs twice: together they stay below what one command may have (16 MB)

_TOO_MUCH = "This search looks for too much at once. Give its parameters fewer values, or search in parts."
_TOO_FAR = "These chains take too many look-ups. Use fewer, or name the types that they go through."


@dataclass(slots=True)
class Budget:
    """What is left of the bounds of one search."""

    weight: int = MOST
    lookups: int = MOST_LOOKUPS

    @property
    def spent(self) -> bool:
        """Whether it was overdrawn: the search is refused already."""
        return self.weight < 0 or self.lookups < 0

    def charge(self, query: Query, wire: str) -> None:
        """Take what a condition weighs.

        Raises:
            SearchRefused: there is not so much left.
        """
        self.weight -= weight(query)
        if self.weight < 0:
            raise SearchRefused(Note("too-costly", wire, _TOO_MUCH))

    def waste(self, values: int) -> None:
        """Take what it cost to read values of which one cannot be used: the search is refused, and says why."""
        self.weight -= _WASTED * values

    def look_up(self, wire: str) -> None:
        """Take one look-up.

        Raises:
            SearchRefused: there is none left.
        """
        self.lookups -= 1
        if self.lookups < 0:
            raise SearchRefused(Note("too-costly", wire, _TOO_FAR))


def as_far_as_bearable(forms: Iterable[Any]) -> list[Any]:
    """Return what a parameter looks for, no further than to where it weighs too much for any search.

    One id may be that of any type, one URI has many above it: a few kilobytes of values stand for gigabytes of forms,
    and who charges them (`Budget.charge`) comes after they were made.
    """
    made: list[Any] = []
    left = MOST
    for form in forms:
        made.append(form)
        left -= weight(form)
        if left < 0:
            break
    return made


def weight(part: Any) -> int:
    """Return what a query, or a part of one, weighs."""
    if isinstance(part, dict):
        return sum(_PATTERN if name == "$centerSphere" else weight(value) for name, value in part.items())
    if isinstance(part, list | tuple):
        return sum(weight(one) + (_BRANCH if isinstance(one, dict) else 0) for one in part)
    if isinstance(part, Regex):
        return _PATTERN + len(part.pattern.encode()) // _BYTES
    return 1 + (len(part.encode()) // _BYTES if isinstance(part, str) else 0)
