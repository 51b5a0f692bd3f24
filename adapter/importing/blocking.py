"""What a refused item is refused for: other resources, that may be about to change as well."""

from __future__ import annotations

import re
from collections.abc import Collection

from adapter.errors import Conflict, Problem, Refused

_KINDS = {"appointments": "Appointment/", "slots": "Slot/", "references": "", "resources": ""}
"""The details of a problem that name resources, and of which type."""

_REFERENCE = re.compile(rb'"reference"\s*:\s*"((?:Slot|Schedule|Appointment)/[A-Za-z0-9\-.]{1,64})"')


def of(refused: Refused, entry: int) -> Refused:
    """Return the part of a batch's refusal that is about one of its entries."""
    return Refused([problem for problem in refused.problems if problem.entry == entry], status=refused.status)


def named(refused: Refused) -> set[str]:
    """Return the resources that are in the way (``Appointment/a``), as far as the refusal names them."""
    return {name for problem in refused.problems for name in _named(problem)}


def _named(problem: Problem) -> set[str]:
    found: set[str] = set()
    for member, prefix in _KINDS.items():
        idents = problem.details.get(member)
        if isinstance(idents, list | tuple):
            found.update(f"{prefix}{one}" for one in idents)
    return found


def is_stored(refused: Refused, batch: Collection[str]) -> bool:
    """Tell whether all that is in the way is stored, and nothing of it in the `batch`: it is refused alone as well."""
    return refused.status == Conflict.status and all(
        problem.details.get("appointments") and not _named(problem) & set(batch) for problem in refused.problems
    )


def references(raw: bytes) -> set[str]:
    """Return what keeps time among what the JSON of a resource refers to: it may have to come together with that."""
    return {text.decode() for text in _REFERENCE.findall(raw)}
