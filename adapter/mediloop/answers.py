"""Shapes answers from stored documents (decisions 2.2 and 2.3).

An answer about an appointment is the whole object of the page, absent members as null, plus the members of
what has happened to it (cancelled, rescheduled, ...), which stay with it from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from adapter.service import Service
from mappings import appointment as lens
from store.codec import Resource

_EVENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("cancelled_at", ("cancellation_reason_code", "cancellation_reason_text", "cancelled_at")),
    ("cancellation_reason_code", ("cancellation_reason_code", "cancellation_reason_text", "cancelled_at")),
    ("rescheduled_at", ("rescheduled_at", "reschedule_reason")),
    ("checked_in_at", ("checked_in_at",)),
    ("arrived_at", ("arrived_at",)),
    ("fulfilled_at", ("fulfilled_at",)),
    ("noshow_at", ("noshow_at",)),
)
_EVENT_MEMBERS = frozenset(member for _, members in _EVENTS for member in members)


def appointment(service: Service, resource: Resource, known: Mapping[str, Resource] | None = None) -> dict[str, Any]:
    """Return the MediLoop object of a stored Appointment."""
    whole = lens.view(resource, systems=service.systems, vocabulary=service.vocabulary, known=known or {})
    happened = {
        member
        for sign, members in _EVENTS
        if whole[sign] is not None or (sign == "cancelled_at" and whole["status"] == "cancelled")
        for member in members
    }
    return {name: value for name, value in whole.items() if name not in _EVENT_MEMBERS or name in happened}


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
