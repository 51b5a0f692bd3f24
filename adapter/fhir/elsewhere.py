"""References by which time is kept must lead to what is kept here.

`adapter.scheduling` knows Slots, Schedules and Appointments by type and id alone: an address on another server that
ends like one of ours (``https://other.org/fhir/Slot/1``) would take ours. FHIR knows the difference, so it is seen to
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from adapter.errors import Problem, Unprocessable
from store.codec import Resource

_KEPT = {"Appointment": "slot", "AppointmentResponse": "appointment", "Slot": "schedule"}


def require_here(resources: Iterable[Resource | None], places: Sequence[int], bases: Sequence[str]) -> None:
    """Refuse what names a Slot, a Schedule or an Appointment of another server.

    Args:
        resources: as they are to be stored; None for a deletion.
        places: for each, the index of its write.
        bases: addresses of this server, without a slash at the end.

    Raises:
        Unprocessable: with a problem for each such reference.
    """
    own = tuple(f"{base}/" for base in bases)
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
