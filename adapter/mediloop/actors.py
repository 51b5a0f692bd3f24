"""Whom the actors of a document mean, where `mappings` alone cannot tell.

It knows neither the service's own address nor what is stored. So before a document is shown, an absolute address that
is ours becomes a relative reference, and a PractitionerRole the practitioner behind it: one person has one calendar,
whichever way a document names them (`adapter.scheduling.people`). A patient who is named by the UHID alone is referred
to, where one Patient carries it. The stored documents stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapter.uhids import NO_CARRIERS, Carriers
from mappings.references import LOCATION, PATIENT, PRACTITIONER, contained, kind_of, stated_uhid
from mappings.systems import Systems
from store.codec import Resource
from store.extract import reference, references, relative, type_of

_PRACTITIONER, _ROLE, _PLACE = "Practitioner/", "PractitionerRole/", "Location/"


def roles(resources: Iterable[Resource], bases: tuple[str, ...]) -> list[str]:
    """Return the roles that stand for the practitioner in Appointments or Schedules, as references.

    Args:
        resources: as they are stored.
        bases: the service's own FHIR addresses, without a slash at the end.
    """
    found = (name for one in resources if not _is_plain(one) for name in _roles(one, bases))
    return [name for name in found if name.startswith(_ROLE)]


def as_shown(
    resource: Resource,
    bases: tuple[str, ...],
    known: Mapping[str, Resource],
    asked: Mapping[str, str],
    systems: Systems,
    carrying: Carriers = NO_CARRIERS,
) -> Resource:
    """Return an Appointment or a Schedule as MediLoop's view is to see it; the very same where nothing changes.

    Args:
        resource: as it is stored.
        bases: as for `roles`.
        known: stored resources by reference, those that `roles` names among them.
        asked: the roles of a practitioner who is asked for, with whom they stand for: also beside others.
        systems: canonical URLs.
        carrying: who has the UHIDs that stand in the document alone.
    """
    if _is_plain(resource):
        return resource
    meant = {**{name: _behind(name, resource, known, bases) for name in _roles(resource, bases)}, **asked}

    def changed(actor: Resource) -> Resource:
        text = actor.get("reference")
        if text is None:
            carrier = carrying.get(stated_uhid(actor, systems) or "")
            return actor | {"reference": carrier} if carrier and kind_of(actor, resource, systems) == PATIENT else actor
        name = relative(text, bases)
        # A Schedule is found by the id alone, at whatever address (`store.indexing.naming`).
        far = asked.get(reference(text)) if resource["resourceType"] == "Schedule" else None
        return actor | {"reference": meant.get(name) or far or name}

    if resource["resourceType"] == "Schedule":
        return resource | {"actor": [changed(actor) for actor in resource["actor"]]}
    participants = [
        one | {"actor": changed(one["actor"])} if "actor" in one else one for one in resource["participant"]
    ]
    return resource | {"participant": participants}


def behind(known: Mapping[str, Resource]) -> dict[str, str]:
    """Return whom the roles among stored resources stand for, by type and id alone, at whatever address."""
    return {
        name: practitioner
        for name, one in known.items()
        if name.startswith(_ROLE)
        for practitioner in references(one, "practitioner")
    }


def without_strangers(schedule: Resource, known: Mapping[str, Resource]) -> Resource:
    """Return a Schedule without the practitioners, and without the ids of the places, that are not stored.

    Args:
        schedule: as it is stored.
        known: who and what is stored of those that it names, and of those behind its roles (`behind`).
    """
    having = behind(known)
    kept: list[Resource] = []
    places: list[Resource] = []  # after those with an id, of which the first is shown
    for actor in schedule["actor"]:
        name = reference(actor.get("reference", ""))
        if having.get(name, name) in known or not name.startswith((_PRACTITIONER, _ROLE, _PLACE)):
            kept.append(actor)
        elif name.startswith(_PLACE):
            unnamed = {"type": LOCATION, "display": actor.get("display")}
            places.append({member: value for member, value in unnamed.items() if value is not None})
    return schedule | {"actor": [*kept, *places]}


def _actors(resource: Resource, *, declined: bool = True) -> Iterator[Resource]:
    if resource["resourceType"] == "Schedule":
        yield from resource["actor"]
    else:
        for one in resource.get("participant", ()):
            if "actor" in one and (declined or one.get("status") != "declined"):
                yield one["actor"]


def _is_plain(resource: Resource) -> bool:
    """Tell whether nothing is to be done, as for almost every document."""
    for actor in _actors(resource):
        text = actor.get("reference", "")
        if "://" in text or text.startswith((_ROLE, "#")) or (not text and "identifier" in actor):
            return False
    return True


def _roles(resource: Resource, bases: tuple[str, ...]) -> list[str]:
    """Return the roles among the actors, contained ones too (``#r``); none where a practitioner is named by an id.

    Who has declined does not count as named.
    """
    coming = (type_of(actor.get("reference", "")) for actor in _actors(resource, declined=False))
    if "Practitioner" in coming:
        return []
    names = (relative(actor.get("reference", ""), bases) for actor in _actors(resource))
    return [name for name in names if name.startswith(_ROLE) or _is_role(contained(resource, name))]


def _is_role(inside: Resource | None) -> bool:
    return inside is not None and inside.get("resourceType") == "PractitionerRole"


def _behind(name: str, resource: Resource, known: Mapping[str, Resource], bases: tuple[str, ...]) -> str | None:
    """Return the reference to the practitioner whom a role stands for; None where it names nobody by one."""
    inside = contained(resource, name)
    practitioner: Mapping[str, Any] = (inside or known.get(name) or {}).get("practitioner", {})
    meant = relative(practitioner.get("reference", ""), bases)
    # What a stored role contains is in another document.
    beside = contained(resource, meant) if inside is not None else None
    is_person = meant.startswith(_PRACTITIONER) or (beside or {}).get("resourceType") == PRACTITIONER
    return meant if is_person else None
