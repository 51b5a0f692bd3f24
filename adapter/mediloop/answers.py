"""Shapes answers from stored documents.

An answer about an appointment is the whole object of the page, absent members as null, plus the members of
what has happened to it (cancelled, rescheduled, ...), which stay with it from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from adapter.mediloop import actors, directory
from adapter.mediloop.asked import NOBODY, Asked
from adapter.security.callers import Caller
from adapter.service import Service
from mappings import appointment as lens
from mappings.references import Names, names_of
from store.codec import Resource

_CANCELLATION = ("cancellation_reason_code", "cancellation_reason_text", "cancelled_at")
_MOVE = ("rescheduled_at", "reschedule_reason")
_EVENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    *((sign, _CANCELLATION) for sign in _CANCELLATION),  # of a no-show, any of them may be all that is stated
    *((sign, _MOVE) for sign in _MOVE),  # a FHIR client may give the reason alone
    ("checked_in_at", ("checked_in_at",)),
    ("arrived_at", ("arrived_at",)),
    ("fulfilled_at", ("fulfilled_at",)),
    ("noshow_at", ("noshow_at",)),
)
_EVENT_MEMBERS = frozenset(member for _, members in _EVENTS for member in members)
_OBJECT_MEMBERS = tuple(field.name for field in lens.FIELDS if field.name not in _EVENT_MEMBERS)


async def appointments(who: Caller, resources: Sequence[Resource], asked: Asked = NOBODY) -> list[dict[str, Any]]:
    """Return the MediLoop objects of stored Appointments, with everybody's present name; of several who is `asked`."""
    people = await directory.known_for(
        who, resources, asked.carrying, roles=asked.roles, asked=asked.shown, sought=asked.sought
    )
    names = names_of(people.known)
    return [_shown(who.service, resource, people, names, asked) for resource in resources]


def appointment(service: Service, resource: Resource, people: directory.People) -> dict[str, Any]:
    """Return the MediLoop object of a stored Appointment.

    Who is among `people` is called as there: a name that was corrected since the booking reaches every answer. The
    names that the document states are for everybody else.
    """
    return _shown(service, resource, people, names_of(people.known), NOBODY)


def _shown(
    service: Service, resource: Resource, people: directory.People, names: Names, asked: Asked
) -> dict[str, Any]:
    systems, vocabulary = service.systems, service.vocabulary
    known, carrying = people
    plain = actors.as_shown(resource, service.settings.fhir_bases, known, asked.roles, systems, carrying)
    return _told(lens.view(plain, systems=systems, vocabulary=vocabulary, known=known, names=names, asked=asked.shown))


def _told(whole: dict[str, Any]) -> dict[str, Any]:
    """Leave out the members of what has not happened."""
    told = {member: whole[member] for member in _OBJECT_MEMBERS}
    for sign, members in _EVENTS:
        if whole[sign] is not None or (sign == "cancelled_at" and whole["status"] == "cancelled"):
            told |= {member: whole[member] for member in members}
    return told


def page(items: Sequence[Mapping[str, Any]], total: int, number: int, size: int) -> bytes:
    """Return a list's envelope: `items` is one page of `total` matches."""
    following = number + 1 if number * size < total else None
    return orjson.dumps(
        {
            "count": len(items),
            "total": total,
            "page": number,
            "page_size": size,
            "next": following,
            "previous": number - 1 if number > 1 else None,
            "results": items,
        }
    )
