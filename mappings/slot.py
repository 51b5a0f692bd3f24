"""A FHIR R4 Slot as an item of MediLoop's availability list.

Source of the members: https://docs.mediloop.co/docs/api/appointments, "Check Availability".
"""

from __future__ import annotations

from typing import Any

from mappings.elements import NOBODY, Known, Resource
from mappings.instants import shown
from mappings.references import LOCATION, PRACTITIONER, Asked, identity, kind_of, named, present_name, relative
from mappings.systems import DEFAULT_SYSTEMS, Systems


def _actor(schedule: Resource | None, kind: str, systems: Systems, asked: Asked | None) -> Resource:
    """Return the first actor of a resource type, or the one that is asked for.

    The one asked for may be named at any address, as Schedules are found by the id alone; one of ours goes first.
    """
    within = schedule or {}
    actors = (actor for actor in within.get("actor", ()) if kind_of(actor, within, systems) == kind)
    if asked is None:
        return next(actors, {})
    found: list[Resource] = list(actors)
    wanted = asked.practitioner if kind == PRACTITIONER else asked.facility
    meant = (one for names in (relative, named) for one in found if wanted is not None and names(one) == wanted)
    return next(meant, found[0] if found else {})


def _moment(slot: Resource, element: str) -> str | None:
    return shown(slot.get(element))


def view(
    slot: Resource,
    schedule: Resource | None,
    *,
    known: Known = NOBODY,
    systems: Systems = DEFAULT_SYSTEMS,
    asked: Asked | None = None,
) -> dict[str, Any]:
    """Return `slot` as MediLoop shows it.

    The members are ``id``, ``practitioner_id``, ``practitioner_name``, ``facility_id``, ``facility_name``,
    ``start_time``, ``end_time`` (UTC with ``Z``) and ``status`` (FHIR's own). Absent ones are `None`, and so is a
    stored time that cannot be read.

    Args:
        slot: a FHIR R4 Slot; it is not changed.
        schedule: the Schedule it belongs to, whose first Practitioner and Location are shown, or those `asked` for.
        known: stored resources by relative reference; their present names go before those in the schedule.
            `referred` says which there can be.
        systems: the canonical URLs of the deployment.
        asked: who, and which place, is shown if there are several.
    """
    practitioner = _actor(schedule, PRACTITIONER, systems, asked)
    facility = _actor(schedule, LOCATION, systems, asked)
    return {
        "id": slot.get("id"),
        "practitioner_id": identity(practitioner),
        "practitioner_name": present_name(practitioner, schedule or {}, known),
        "facility_id": identity(facility),
        "facility_name": present_name(facility, schedule or {}, known),
        "start_time": _moment(slot, "start"),
        "end_time": _moment(slot, "end"),
        "status": slot.get("status"),
    }


def referred(
    schedule: Resource | None, *, systems: Systems = DEFAULT_SYSTEMS, asked: Asked | None = None
) -> tuple[str, ...]:
    """Return the relative references to practitioner and facility; `asked` as for `view`."""
    actors = (_actor(schedule, kind, systems, asked) for kind in (PRACTITIONER, LOCATION))
    wanted = (relative(actor) for actor in actors)
    return tuple(reference for reference in wanted if reference is not None)
