"""Where those who refer to a resource meet who takes it away: guards of which each of many writes one, and one all.

Whoever refers to a resource anew writes one of its guards, a deletion all of them, so the two never both commit unaware
of each other. Those who refer to it are no rivals: which guard is theirs goes by the turn of their transaction, and of
those that run beside each other in one process none has the turn of another. (By what they write it would be chance:
of sixteen bookings at once at one place two would nearly always meet.)
"""

from __future__ import annotations

from collections.abc import Iterator

from store.codec import Resource
from store.extract import reference, walk
from store.types import TYPES

_PARTS = 64
_FEW = 4
_PERSONAL = frozenset({"Patient", "RelatedPerson", "Appointment"})
"""What few refer to at once, and what is deleted by the hundred."""

# A visit's Slots are no tie: who takes one and who deletes it write its own name.
_TIES = frozenset(TYPES) - {"Slot"}


def part(name: str, turn: int) -> str:
    """Return the guard of `name` (``Practitioner/p``) for those whose transaction has the turn `turn`."""
    return f"{name}~{turn % _parts(name)}"


def parts(name: str) -> Iterator[str]:
    """Yield all of them."""
    return (f"{name}~{number}" for number in range(_parts(name)))


def tied(before: Resource | None, after: Resource) -> Iterator[str]:
    """Yield what may be stored here of what `after` refers to and `before` does not, as far as searches find it.

    What lies elsewhere is taken for ours if it is called so: a guard more does no harm.
    """
    for name in {reference(text) for text in _texts(after).difference(() if before is None else _texts(before))}:
        kind, slash, _ = name.partition("/")
        if slash and kind in _TIES:
            yield name


def _texts(resource: Resource) -> set[str]:
    paths = TYPES[resource["resourceType"]].references
    found = (one.get("reference") for path in paths for one in walk(resource, path) if isinstance(one, dict))
    return {text for text in found if isinstance(text, str)}


def _parts(name: str) -> int:
    return _FEW if name.partition("/")[0] in _PERSONAL else _PARTS
