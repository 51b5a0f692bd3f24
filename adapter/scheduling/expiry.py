"""When a hold ends, that nobody makes anything else of one that is over, and what lapsed here alone. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from adapter.errors import Conflict, Problem
from adapter.scheduling.status import HOLDING
from store.codec import Resource
from store.extract import walk
from store.finishing import hold_end, is_hold_end

LAPSED = "The hold lapsed before it was booked."
"""The reason of a cancellation that nobody has asked for."""


def expires(appointment: Resource) -> datetime | None:
    """Return when a hold ends; None for what is no hold (any more)."""
    return ended(appointment) if appointment["status"] == "pending" else None


def ended(appointment: Resource) -> datetime | None:
    """Return when an appointment ends, or ended, as a hold, whatever has become of it; None if it never was one."""
    return hold_end(appointment)


def has_lapsed(appointment: Resource) -> bool:
    """Tell whether it is a hold that lapsed, and was cancelled by nobody but this service."""
    lapsed: bool = appointment.get("cancelationReason", {}).get("text") == LAPSED
    return appointment["status"] == "cancelled" and lapsed and ended(appointment) is not None


def other_extensions(appointment: Resource) -> list[Any]:
    """Return the extensions of an appointment but for the end of a hold."""
    return [one for one in walk(appointment, "extension") if not is_hold_end(one)]


def released(appointment: Resource) -> Resource:
    """Return an appointment that is to stand without the end of the hold that it was; others as they are.

    Cancelled some day, it would be told to have lapsed, which is a hold's own end.
    """
    held_on = appointment["status"] in HOLDING and appointment["status"] != "pending"
    if not held_on or not any(map(is_hold_end, walk(appointment, "extension"))):
        return appointment
    rest = other_extensions(appointment)
    bare = {name: value for name, value in appointment.items() if name != "extension"}
    return {**bare, "extension": rest} if rest else bare


def require_running(before: Resource, after: Resource | None, now: datetime, entry: int | None = None) -> None:
    """Let nothing go on taking time that is a hold which is over, though nobody has come by to let it lapse.

    The road then lets it lapse, and asks again.

    Raises:
        Conflict: ``hold_expired``.
    """
    end = expires(before)
    if end is not None and end <= now and after is not None and after["status"] in HOLDING:
        text = "That hold is over. Search for time again."
        raise Conflict(
            Problem("hold_expired", text, "Appointment.status", {"appointments": [before["id"]]}, entry=entry)
        )
