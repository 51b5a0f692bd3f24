"""Whose visit it is that an appointment without an id would change.

An order's number may be that of several visits, and a ``urn:uuid`` may have been used before. So what is found by
anything but its appointment number may be another visit: certainly another patient's, and one at another time of which
an earlier line of the same import was. Moved since an earlier import, it is the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from adapter.errors import Conflict, Problem
from adapter.importing.carriers import Carriers
from adapter.importing.checking import Ready
from adapter.importing.criteria import tokens
from adapter.scheduling.settling import Change
from mappings import instants, references
from mappings.systems import Systems
from store.codec import Resource

Taken = Callable[[Collection[str]], Collection[str]]


def signs(systems: Systems, batch: Sequence[Ready]) -> set[str]:
    """Return the identifiers by which Appointments of a batch are known, and that others may have as well."""
    found = {text for ready in batch if _is_guessed(ready) for text in ready.told}
    return found.difference(Carriers(systems).unique("Appointment", found))


def require_own(
    systems: Systems, batch: Sequence[Ready], places: Sequence[int], changes: Sequence[Change], taken: Taken
) -> None:
    """Refuse an Appointment without an id that would change another visit than it is.

    Args:
        systems: of the deployment.
        batch: the items.
        places: of each change, its item's in the batch.
        changes: what they would change.
        taken: returns which of some `signs` an earlier line of the same import had.

    Raises:
        Conflict: ``identifier_taken``.
    """
    problems: list[Problem] = []
    for place, change in zip(places, changes, strict=True):
        ready, before, after = batch[place], change.before, change.after
        if not _is_guessed(ready) or before is None or after is None or _has_number(systems, ready, before):
            continue
        name = f"Appointment/{before['id']}"
        if _is_anothers(systems, before, after):
            said = f"What is stored under its identifier is another patient's visit: {name}."
        elif _start(before) != _start(after) and taken(signs(systems, [ready])):
            said = f"An earlier one of this import has its identifier, at another time: {name}."
        else:
            continue
        text = f"{said} Give it that id if it is the same visit, else an appointment number or an id of its own."
        problems.append(Problem("identifier_taken", text, "Appointment.identifier", {"resources": [name]}, entry=place))
    if problems:
        raise Conflict(problems)


def _is_guessed(ready: Ready) -> bool:
    return ready.kind == "Appointment" and not ready.stated


def _has_number(systems: Systems, ready: Ready, before: Resource) -> bool:
    return not set(tokens(before)).isdisjoint(Carriers(systems).unique("Appointment", ready.told))


def _is_anothers(systems: Systems, before: Resource, after: Resource) -> bool:
    """Tell whether they are two visits by their patients: both have some, and none of them in common."""
    one, other = (_who(systems, visit) for visit in (before, after))
    return bool(one and other) and one.isdisjoint(other)


def _who(systems: Systems, visit: Resource) -> set[str]:
    actors = [one["actor"] for one in visit.get("participant", ()) if "actor" in one]
    patients = [one for one in actors if references.kind_of(one, visit, systems) == references.PATIENT]
    signs = (
        (references.identity(one) or one.get("reference"), references.stated_uhid(one, systems)) for one in patients
    )
    return {text for some in signs for text in some if text}


def _start(visit: Resource) -> object:
    return instants.parse(visit["start"]) if "start" in visit else None
