"""What is wrong with one resource whatever is stored beside it: for who asks before writing (``$validate``).

It is judged as a creation where all that it names is there, by the functions that judge a write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from adapter.errors import Problem
from adapter.scheduling import inherent, mismatches, slot_changes
from adapter.scheduling.claimset import ClaimSet, Draft, Visit
from adapter.scheduling.reading import Stored
from adapter.scheduling.world import World
from store.codec import Resource
from store.extract import references

_NAMELESS = {"id": "new"}  # for what has no id yet
_FREE = {"resourceType": "Slot", "status": "free"}


def faults(resource: Resource) -> Iterator[Problem]:
    """Yield what a write of `resource`, which is valid, is refused for (422), whatever is stored.

    What a ``urn:uuid`` leads to is for the transaction to say that it is sent in.
    """
    kind = resource["resourceType"]
    draft = Draft(0, None, _NAMELESS | resource)
    if kind == "Appointment":
        yield from _of_visit(draft)
    elif kind == "Slot":
        schedules = dict.fromkeys(_named(resource, "schedule"), Resource())
        yield from slot_changes.faults(World(ClaimSet([draft]), Stored(schedules=schedules)), draft)
    elif kind == "AppointmentResponse" and not _named(resource, "appointment"):
        text = "It names no appointment that could be stored here. Name one as Appointment/<id>."
        yield Problem("unknown_appointment", text, "AppointmentResponse.appointment", issue="not-found")


def _of_visit(draft: Draft) -> Iterator[Problem]:
    visit = Visit(draft)
    # What is stored may be the no-show already, and hold the Slots that it names.
    yield from (problem for problem in inherent.faults(visit) if problem.code != "slot_mismatch")
    if visit.is_new:
        slots: dict[str, Resource] = dict.fromkeys(_named(visit.appointment, "slot"), _FREE)
        yield from mismatches.unknown_slots(World(ClaimSet([draft]), Stored(slots=slots)), visit)


def _named(resource: Resource, path: str) -> Iterable[str]:
    """Return what is named by references that can lead to what is stored: not by those to what is contained."""
    return [name for name in references(resource, path) if not name.startswith("#")]
