"""What cannot be stored beside what is there: a second one of an id, or of an identifier that must be unique.

Of one unit of work the outcome counts, not the order in which it was given (https://hl7.org/fhir/R4/http.html#trules).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pymongo.errors import BulkWriteError

from store.codec import Resource
from store.documents import Rules, unique_identifiers
from store.errors import AlreadyExists, Clash, NotUnique

_DUPLICATE_KEY = 11000


def handed_over(changes: Iterable[tuple[Resource, Resource]], rules: Rules) -> set[str]:
    """Return the ids of those that give up a unique identifier which another takes.

    Args:
        changes: updates of one type: the resource before and after.
        rules: which identifiers are unique.
    """
    given: dict[str, Any] = {}
    taken: set[str] = set()
    for before, after in changes:
        old, new = set(unique_identifiers(before, rules)), set(unique_identifiers(after, rules))
        given |= dict.fromkeys(old - new, after["id"])
        taken |= new - old
    return {ident for name, ident in given.items() if name in taken}


def as_duplicate(error: BulkWriteError, kind: str, names: Sequence[str]) -> Clash | None:
    """Return what MongoDB's refusal to write resources of type `kind` means; None where it is for no clash.

    `names`: which resource (``Appointment/x``) each operation of the command is about.
    """
    for problem in (error.details or {}).get("writeErrors", ()):
        if problem.get("code") == _DUPLICATE_KEY:
            clash = not_unique if "_index.unique" in problem.get("keyPattern", {}) else exists
            return clash(kind, names[problem["index"]])
    return None


def exists(kind: str, name: str) -> AlreadyExists:
    """Return the error for an id that is there already: that of `name`."""
    return AlreadyExists(f"a {kind} with that id is stored already", name)


def not_unique(kind: str, name: str) -> NotUnique:
    """Return the error for an identifier of `name` that another carries."""
    return NotUnique(f"another {kind} carries the same unique identifier", name)
