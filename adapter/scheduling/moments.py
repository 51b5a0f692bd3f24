"""When it happened: the moment of each status that an appointment comes to, and of its last move, by whichever door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from adapter.clock import text
from adapter.scheduling.status import WAYS
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
    """Return `after` with the moments of the status and the start that it moves to, where it brings none.

    Those of what has happened before stay as they are stored: a copy that knows nothing of them, or a change that is
    sent again, since its answer was lost, takes nothing away. Who moves loses the reason of the move before together
    with its moment.

    Args:
        before: as it is stored. What comes from elsewhere with its history (None) is left as it was sent.
        after: as it is to be stored; it is not changed.
        systems: the canonical URLs of the deployment.
        moment: now.
    """
    if before is None:
        return after
    for status, member in MEMBERS.items():
        if status == after["status"] != before["status"]:
            after = _dated(before, after, member, systems, moment)
        elif _has_been(status, before["status"]):
            after = _kept(before, after, [member], systems)
    starts = instant(before.get("start")), instant(after.get("start"))
    if None in starts:  # it was given its first time, and not another one
        return after
    if starts[0] != starts[1]:
        return _dated(before, after, MOVED, systems, moment)
    # A reason that is sent is not that of another one, and one that the moment is sent without is taken away.
    return _kept(before, after, [MOVED] if _stated(after, REASON, systems) else [MOVED, REASON], systems)


def _has_been(status: str, present: str) -> bool:
    """Tell whether a visit may have had `status` by now: what is sent of another one has not happened."""
    return present in (status, *WAYS[status], "entered-in-error")


def _dated(before: Resource, after: Resource, member: str, systems: Systems, moment: datetime) -> Resource:
    # Who sends the stored one back does not say anew when it happened, unless it is the present one: two moves may come
    # within a second, and what is said of the second one stays.
    stated = _stated(after, member, systems)
    if stated is not None and (stated != _stated(before, member, systems) or stated == text(moment)):
        return after
    told: dict[str, str | None] = {member: text(moment)}
    if member == MOVED and _stated(after, REASON, systems) == _stated(before, REASON, systems):
        told[REASON] = None
    return lens.update(after, told, systems=systems)


def _kept(before: Resource, after: Resource, members: Sequence[str], systems: Systems) -> Resource:
    """Return `after` with the extensions of `before` that say `members`, as they are, unless it says the first."""
    if _stated(after, members[0], systems) is not None:
        return after
    there = before.get("extension", ())
    saying = [[one for one in there if _stated({"extension": [one]}, name, systems) is not None] for name in members]
    if not saying[0]:
        return after
    return {**after, "extension": [*after.get("extension", ()), *(found[0] for found in saying if found)]}


def _stated(appointment: Resource, member: str, systems: Systems) -> str | None:
    found: str | None = _READ[member](Reading(appointment, systems, Vocabulary.default(), NOBODY))
    return found
