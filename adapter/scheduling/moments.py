"""When it happened: the moment that an appointment keeps of each status that it comes to, by whichever door."""

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

MEMBERS: Mapping[str, str] = {
    "arrived": "arrived_at",
    "checked-in": "checked_in_at",
    "fulfilled": "fulfilled_at",
    "noshow": "noshow_at",
    "cancelled": "cancelled_at",
}
"""The statuses that are remembered with their moment, and MediLoop's members for it (`mappings.fields`)."""

_READ = {field.name: field.read for field in lens.FIELDS}


def stamped(before: Resource | None, after: Resource, systems: Systems, moment: datetime) -> Resource:
    """Return `after` with the moment of the status that it moves to, where it does not bring one.

    Args:
        before: as it is stored. What comes from elsewhere with its history (None) is left as it was sent.
        after: as it is to be stored; it is not changed.
        systems: the canonical URLs of the deployment.
        moment: now.
    """
    if before is None or before["status"] == after["status"]:
        return after
    member = MEMBERS.get(after["status"])
    # Who sends the stored one back does not say anew when it happened.
    if member is None or _stated(after, member, systems) not in (None, _stated(before, member, systems)):
        return after
    return lens.update(after, {member: text(moment)}, systems=systems)


def _stated(appointment: Resource, member: str, systems: Systems) -> str | None:
    found: str | None = _READ[member](Reading(appointment, systems, Vocabulary.default(), NOBODY))
    return found
