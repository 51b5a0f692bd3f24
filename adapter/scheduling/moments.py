"""When it happened: the moment of each status that an appointment comes to, and of its last move, by whichever door."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from adapter.clock import text
from mappings import appointment as lens
from mappings.elements import NOBODY
from mappings.reading import Reading
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary
from store.codec import Resource
from store.extract import instant

MEMBERS: Mapping[str, str] = {
    "arrived": "arrived_at",
    "checked-in": "checked_in_at",
    "fulfilled": "fulfilled_at",
    "noshow": "noshow_at",
    "cancelled": "cancelled_at",
}
"""The statuses that are remembered with their moment, and MediLoop's members for it (`mappings.fields`)."""

MOVED = "rescheduled_at"
"""MediLoop's member for the moment at which an appointment got another start."""

REASON = "reschedule_reason"
"""MediLoop's member for why it got that."""

_READ = {field.name: field.read for field in lens.FIELDS}


def stamped(before: Resource | None, after: Resource, systems: Systems, moment: datetime) -> Resource:
    """Return `after` with the moments of the status and the start that it moves to, or stays at, where it brings none.

    Who stays keeps the one that is stored: a change that is sent again, since its answer was lost, takes nothing away.
    Who moves loses the reason of the move before together with its moment.

    Args:
        before: as it is stored. What comes from elsewhere with its history (None) is left as it was sent.
        after: as it is to be stored; it is not changed.
        systems: the canonical URLs of the deployment.
        moment: now.
    """
    if before is None:
        return after
    member = MEMBERS.get(after["status"])
    if member is not None:
        after = _dated(before, after, member, systems, moment, stays=before["status"] == after["status"])
    starts = instant(before.get("start")), instant(after.get("start"))
    if None in starts:  # it was given its first time, and not another one
        return after
    return _dated(before, after, MOVED, systems, moment, stays=starts[0] == starts[1])


def _dated(
    before: Resource, after: Resource, member: str, systems: Systems, moment: datetime, *, stays: bool
) -> Resource:
    if stays:
        return _kept(before, after, member, systems)
    # Who sends the stored one back does not say anew when it happened, unless it is the present one: two moves may come
    # within a second, and what is said of the second one stays.
    stated = _stated(after, member, systems)
    if stated is not None and (stated != _stated(before, member, systems) or stated == text(moment)):
        return after
    told: dict[str, str | None] = {member: text(moment)}
    if member == MOVED and _stated(after, REASON, systems) == _stated(before, REASON, systems):
        told[REASON] = None
    return lens.update(after, told, systems=systems)


def _kept(before: Resource, after: Resource, member: str, systems: Systems) -> Resource:
    """Return `after` with the extension of `before` that says the moment, as it is, where it has none."""
    if _stated(after, member, systems) is not None:
        return after
    saying = [one for one in before.get("extension", ()) if _stated({"extension": [one]}, member, systems) is not None]
    return {**after, "extension": [*after.get("extension", ()), saying[0]]} if saying else after


def _stated(appointment: Resource, member: str, systems: Systems) -> str | None:
    found: str | None = _READ[member](Reading(appointment, systems, Vocabulary.default(), NOBODY))
    return found
