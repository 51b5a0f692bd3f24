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
    """Return `after` with the moment of the status that it moves to, or stays in, where it does not bring one.

    Who stays keeps the one that is stored: a change that is sent again, since its answer was lost, takes nothing away.

    Args:
        before: as it is stored. What comes from elsewhere with its history (None) is left as it was sent.
        after: as it is to be stored; it is not changed.
        systems: the canonical URLs of the deployment.
        moment: now.
    """
    member = MEMBERS.get(after["status"])
    if before is None or member is None:
        return after
    if before["status"] == after["status"]:
        return _kept(before, after, member, systems)
    # Who sends the stored one back does not say anew when it happened.
    if _stated(after, member, systems) not in (None, _stated(before, member, systems)):
        return after
    return lens.update(after, {member: text(moment)}, systems=systems)


def _kept(before: Resource, after: Resource, member: str, systems: Systems) -> Resource:
    """Return `after` with the extension of `before` that says the moment, as it is, where it has none."""
    if _stated(after, member, systems) is not None:
        return after
    saying = [one for one in before.get("extension", ()) if _stated({"extension": [one]}, member, systems) is not None]
    return {**after, "extension": [*after.get("extension", ()), saying[0]]} if saying else after


def _stated(appointment: Resource, member: str, systems: Systems) -> str | None:
    found: str | None = _READ[member](Reading(appointment, systems, Vocabulary.default(), NOBODY))
    return found
