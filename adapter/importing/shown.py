"""What MediLoop's lists show of a stored Appointment, so that what an object says of it is told from what it changes.

A list shows one person of each kind, and of several the one who is asked for (`adapter.mediloop.asked`). So an object
says that somebody takes part, and never that nobody else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapter.mediloop import actors
from adapter.uhids import carriers
from mappings import appointment as lens
from mappings.elements import NOBODY
from mappings.reading import Reading
from mappings.references import KINDS, LOCATION, PATIENT, PRACTITIONER, Asked, names_of, stated_uhid, uhids
from store.codec import Resource
from store.extract import relative

if TYPE_CHECKING:
    from adapter.importing.means import Means

_OF = {
    PATIENT: ("patient_uhid", "patient_name"),
    PRACTITIONER: ("practitioner_id", "practitioner_name"),
    LOCATION: ("facility_id", "facility_name"),
}
"""The members that say who it is, and what they are called."""

_READ = tuple(f"{kind}/" for kind in (*KINDS, "PractitionerRole"))


def referred(service: Means, before: Resource) -> list[str]:
    """Return whom, in what roles and where a stored Appointment refers to on this server."""
    bases = service.settings.fhir_bases
    texts = (one.get("actor", {}).get("reference", "") for one in before["participant"])
    return [name for name in (relative(text, bases) for text in texts) if name.startswith(_READ)]


def unlinked(service: Means, before: Resource) -> set[str]:
    """Return the UHIDs that are all that a stored Appointment says of somebody."""
    actors_ = (one["actor"] for one in before["participant"] if "actor" in one)
    alone = (stated_uhid(actor, service.systems) for actor in actors_ if "reference" not in actor)
    return {uhid for uhid in alone if uhid is not None}


def told_already(
    service: Means, before: Resource, wanted: Mapping[str, Any], known: Mapping[str, Resource]
) -> frozenset[str]:
    """Return the members of `wanted` about people and the place that are to stay unwritten.

    That is all of a kind of which the one given takes part, by whatever name, as the first or as a further one.

    Args:
        service: whose settings, systems and tables.
        before: what is stored.
        wanted: the members that are given.
        known: who, and where, is stored of those whom the two name, by a UHID alone (`unlinked`) as well; those behind
            roles are among them.
    """
    systems, bases, uhid = service.systems, service.settings.fhir_bases, wanted.get("patient_uhid")
    theirs = (name for name, one in known.items() if one["resourceType"] == PATIENT and uhid in uhids(one, systems))
    person, place = f"{PRACTITIONER}/{wanted.get('practitioner_id')}", f"{LOCATION}/{wanted.get('facility_id')}"
    asked = Asked(uhid, frozenset(theirs), person, place)
    roles = {role: who for role, who in actors.behind(known).items() if who == person}
    carrying = carriers(known, systems, of=unlinked(service, before))
    plain = actors.as_shown(before, bases, known, roles, systems, carrying)
    names = names_of(known)
    shown = lens.view(plain, systems=systems, vocabulary=service.vocabulary, known=known, names=names, asked=asked)
    seen = Reading(plain, systems, service.vocabulary, known, asked)
    first = Reading(before, systems, service.vocabulary, NOBODY)
    own = {member for member, one in lens.referred(plain, systems=systems, asked=asked).items() if one in names}
    found: set[str] = set()
    for kind, (who, name) in _OF.items():
        takes_part = wanted.get(who) is not None and wanted[who] == shown[who]
        if takes_part:
            found.add(who)
        # A name is written to whom the document has first of that kind, and to nobody else in their place.
        is_another = takes_part and _place(seen, kind) != _place(first, kind)
        # The name of a stored resource is its own: null takes away nothing that is shown.
        is_its_own = wanted.get(name) is None and name in own
        is_told = takes_part or wanted.get(who) is None
        if is_another or (is_told and (is_its_own or wanted.get(name) == shown[name])):
            found.add(name)
    return frozenset(found)


def _place(reading: Reading, kind: str) -> int | None:
    """Return which participant is shown; None where nobody is, or one whose reference leads to somebody else."""
    actor = reading.actor(kind)
    places = enumerate(reading.resource["participant"])
    return next((place for place, one in places if one.get("actor") is actor), None) if actor is not None else None
