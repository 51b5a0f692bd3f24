"""References must lead somewhere, and those by which time is kept to what is kept here.

A ``urn:uuid`` means an entry of the same transaction, a search (``Patient?identifier=...``) is resolved in one. What is
left of either when all is resolved leads to nobody for ever: their time would be unguarded.

`adapter.scheduling` knows Slots, Schedules and Appointments by type and id alone: an address on another server that
ends like one of ours (``https://other.org/fhir/Slot/1``) would take ours. FHIR knows the difference, so it is seen to
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from adapter.errors import Malformed, Problem, Unprocessable
from adapter.fhir.references import is_astray, rewriting
from adapter.scheduling.settling import Change
from store.codec import Resource
from store.extract import every_reference, is_urn, spellings

_KEPT = {"Appointment": "slot", "AppointmentResponse": "appointment", "Slot": "schedule"}


_NO_ENTRY = (
    "A urn:uuid or urn:oid is the fullUrl of another entry of the same transaction, and here none has this one. "
    "Give the entry that is meant this fullUrl, or refer to what is stored as Type/id."
)
_NO_PLACE = (
    "It lies below the address of this server, where every resource is Type/id of a type that R4 has. Write that alone."
)
_NO_SEARCH = "A reference by search is resolved in a transaction alone. Refer to the resource as Type/id."


def require_resolved(changes: Iterable[Change], places: Sequence[int], bases: Sequence[str]) -> None:
    """Refuse references that lead nowhere; one that is stored already may stay, as an import brings them.

    Args:
        changes: with all references as they are to be stored.
        places: for each, the index of its write.
        bases: addresses of this server, without a slash at the end.

    Raises:
        Malformed: with a problem for each such reference.
    """
    found = [
        Problem("bad_reference", told, where, issue="value", entry=place)
        for change, place in zip(changes, places, strict=True)
        if change.after is not None
        for told, where in _unresolved(change.after, change.before, bases)
    ]
    if found:
        raise Malformed(found)


def _unresolved(after: Resource, before: Resource | None, bases: Sequence[str]) -> Iterator[tuple[str, str]]:
    if not any(is_urn(text) or "?" in text or is_astray(text, bases) for text in every_reference(after)):
        return  # as nearly always: what tells where things stand takes longer
    walk, kept = rewriting({}, bases), frozenset(every_reference(before))
    walk.resource(after)
    yield from ((_NO_ENTRY, one.where) for one in walk.urns if one.text not in kept)
    yield from ((_NO_PLACE, one.where) for one in walk.astray if one.text not in kept)
    yield from ((_NO_SEARCH, one.where) for one in walk.conditionals if one.text not in kept)


def require_here(resources: Iterable[Resource | None], places: Sequence[int], bases: Sequence[str]) -> None:
    """Refuse what names a Slot, a Schedule or an Appointment of another server.

    Args:
        resources: as they are to be stored; None for a deletion.
        places: for each, the index of its write.
        bases: addresses of this server, without a slash at the end.

    Raises:
        Unprocessable: with a problem for each such reference.
    """
    own = tuple(f"{one}/" for base in bases for one in spellings(base))
    found = [
        Problem(
            "foreign_reference",
            "It lies on another server, whose time is not kept here. Refer to one that is stored here, as Type/id.",
            where,
            issue="not-found",
            entry=place,
        )
        for resource, place in zip(resources, places, strict=True)
        if resource is not None
        for text, where in _references(resource)
        if "://" in text and not text.startswith(own)
    ]
    if found:
        raise Unprocessable(found)


def _references(resource: Resource) -> Iterator[tuple[str, str]]:
    kind = resource["resourceType"]
    member = _KEPT.get(kind)
    value: Any = None if member is None else resource.get(member)
    if isinstance(value, dict):
        yield value.get("reference", ""), f"{kind}.{member}.reference"
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield one.get("reference", ""), f"{kind}.{member}[{index}].reference"
