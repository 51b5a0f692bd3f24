"""What an appointment or a slot takes for itself, as names that rivals share.

An appointment that holds time claims every hour that it touches, for each of its practitioners. Two that overlap share
a name, so MongoDB makes their transactions meet. Hours rather than days, so that bookings of a busy practitioner meet
only where they are near each other; and few names, so that "who holds this time" is one look-up in an index, however
many appointments there are.

It claims its Slots by name as well. Which appointments hold a Slot is told by their links to it, so a write can change
that without writing the Slot. Two that give back a shared Slot at once, or one that fills a busy Slot while its holder
leaves, must meet all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from adapter.scheduling import intervals, occupancy
from adapter.scheduling.intervals import Interval
from adapter.scheduling.status import HOLDING
from store.codec import Resource
from store.documents import Claims
from store.extract import is_elsewhere, reference, references, relative, type_of, walk

BESIDE = frozenset({"EMERGENCY", "WALKIN"})
"""The appointment types that may stand beside others: they neither block nor are blocked."""

_KINDS = ("Practitioner", "PractitionerRole")
PRACTITIONERS = tuple(f"{kind}/" for kind in _KINDS)
"""How references begin whose targets have a calendar."""

_ATTENDS = frozenset({"ATND", "PPRF", "SPRF"})
_PARTICIPATION = frozenset(
    {"http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "http://hl7.org/fhir/v3/ParticipationType"}
)

_TYPE_SYSTEMS = ("http://terminology.hl7.org/CodeSystem/v2-0276", "http://hl7.org/fhir/v2/0276")


def names(references_: Iterable[str], when: Interval) -> tuple[str, ...]:
    """Return the guard names of `references_` (``Practitioner/p``, ``Schedule/s``) for the hours of `when`."""
    hours = tuple(when.hours())
    return tuple(f"{reference}|{hour}" for reference in references_ for hour in hours)


def practitioners(appointment: Resource, *, declined: bool = False, bases: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names under which the time of an appointment's practitioners is claimed.

    A literal reference gives ``Practitioner/p`` or ``PractitionerRole/r`` (`people` tells who is behind a role).
    Somebody who is contained, or known by an identifier alone, gives ``identifier:<system>|<value>``. An address
    without such an id (``https://x.org/doctors/7``) gives itself and the identifier beside it, if the actor's type says
    that a practitioner is there, or the participation (attending, performing) does.

    Participants who have declined are left out, unless `declined`. An id counts as ours at whatever address: in doubt a
    practitioner is busy. Given the addresses of this server (`bases`), those known to be another server's are left out.
    """
    contained = _contained(appointment)
    return tuple(
        dict.fromkeys(
            name
            for participant in walk(appointment, "participant")
            if declined or participant.get("status") != "declined"
            for name in _names(_actor(participant), contained, bases)
        )
    )


def is_attended(appointment: Resource) -> bool:
    """Tell whether a practitioner takes part who has not declined.

    It may be one whose time cannot be claimed: of a locum perhaps only the name is known.
    """
    contained = _contained(appointment)
    coming = [one for one in walk(appointment, "participant") if "actor" in one and one.get("status") != "declined"]
    return any(
        _names(actor, contained, ())
        or (type_of(actor.get("reference", "")) is None and _kind(actor, contained) in _KINDS)
        for actor in map(_actor, coming)
    )


def _contained(resource: Resource) -> dict[str, Resource]:
    return {f"#{one.get('id')}": one for one in walk(resource, "contained")}


def _actor(participant: Resource) -> Resource:
    """Return a participant's actor: as a practitioner if it attends or performs, and does not say what it is itself."""
    actor: Resource = participant.get("actor", {})
    if "type" in actor or type_of(actor.get("reference", "")) is not None or not attends(participant):
        return actor
    return {**actor, "type": "Practitioner"}


def attends(participant: Resource) -> bool:
    """Tell whether a participant attends or performs, as practitioners do."""
    if "type" not in participant:
        return False
    codings = walk(participant, "type.coding")
    return any(one.get("system") in _PARTICIPATION and one.get("code") in _ATTENDS for one in codings)


def offering(schedule: Resource) -> tuple[str, ...]:
    """Return the practitioners whose Slots a Schedule offers, by the names under which appointments claim their time.

    An actor at an address that tells no type counts as a practitioner, unless the actor says what it is.
    """
    contained = _contained(schedule)
    found: list[str] = []
    for actor in walk(schedule, "actor"):
        text = actor.get("reference", "")
        unknown = {"type": "Practitioner"} if "://" in text and type_of(text) is None else {}
        found += _names(unknown | actor, contained, ())
    return tuple(found)


def _names(actor: Resource, contained: Mapping[str, Resource], bases: Sequence[str]) -> list[str]:
    text: str = actor.get("reference", "")
    found = reference(text)
    if found.startswith(PRACTITIONERS):
        return [] if is_elsewhere(text, bases) else [found]
    kind = _kind(actor, contained)
    if text in contained:
        inner = contained[text]
        names = _player(inner, contained, bases) if kind == "PractitionerRole" else []
        names = names or (_tokens(inner) if kind in _KINDS else [])
        if names:
            return names
    if kind not in _KINDS:
        return []
    if not text or text.startswith(("#", "urn:")):
        return _tokens(actor)
    # A reference to another type is no practitioner, whatever the actor says; only an address may tell no type.
    return [relative(text, ()), *_tokens(actor)] if ":" in text and not is_elsewhere(text, bases) else []


def _kind(actor: Resource, contained: Mapping[str, Resource]) -> str | None:
    """Return the type of an actor whose reference tells none: that of the contained resource, else what it says."""
    inner = contained.get(actor.get("reference", ""))
    # May be spelt as the StructureDefinition's URL.
    return actor.get("type", "").rpartition("/")[2] if inner is None else inner.get("resourceType")


def _player(role: Resource, contained: Mapping[str, Resource], bases: Sequence[str]) -> list[str]:
    """Return the names of the practitioner in a contained role; of contained resources that can be no further role."""
    people = {name: one for name, one in contained.items() if one.get("resourceType") == "Practitioner"}
    return _names({"type": "Practitioner", **role.get("practitioner", {})}, people, bases)


def _tokens(resource: Resource) -> list[str]:
    """Return the names by identifiers; as in searches, case and blanks at the ends make no difference."""
    return [
        f"identifier:{identifier.get('system', '')}|{identifier['value'].strip()}".casefold()
        for identifier in walk(resource, "identifier")
        if "value" in identifier
    ]


def locations(appointment: Resource) -> tuple[str, ...]:
    """Return the places where it takes place, as relative references."""
    return tuple(r for r in references(appointment, "participant.actor") if r.startswith("Location/"))


def slots(appointment: Resource) -> tuple[str, ...]:
    """Return the Slots that the appointment links to, as relative references."""
    return tuple(r for r in references(appointment, "slot") if r.startswith("Slot/"))


def places_of(schedule: Resource) -> frozenset[str]:
    """Return the places where the Slots of a Schedule are, as relative references."""
    return frozenset(r for r in references(schedule, "actor") if r.startswith("Location/"))


def is_active(resource: Resource) -> bool:
    """Tell whether a Schedule, or a HealthcareService, is in use: unless it says otherwise."""
    return resource.get("active") is not False


def schedule_of(slot: Resource) -> str:
    """Return the Slot's Schedule (``Schedule/s``); empty where it is not named by a literal reference."""
    return next(iter(references(slot, "schedule")), "")


def link(appointment: Resource, slot: str) -> Resource:
    """Return the appointment's own link to a Slot, with all that it says besides, or else a plain one."""
    for found in walk(appointment, "slot"):
        if reference(found.get("reference", "")) == slot:
            return dict(found)
    return {"reference": slot}


def stands_beside(appointment: Resource) -> bool:
    """Tell whether the appointment is of a type that may stand beside others.

    Of several codings that one counts which MediLoop is shown (`mappings.members.read_type`). How a deployment's table
    translates a local type does not: claims stand in an index, and the table may be another one tomorrow.
    """
    codings = [one for one in walk(appointment, "appointmentType.coding") if "code" in one]
    codes = (one["code"] for system in _TYPE_SYSTEMS for one in codings if one.get("system") == system)
    return next(codes, None) in BESIDE


def claims(resource: Resource) -> Claims:
    """Return what a resource claims: the rule that the store is given."""
    whose, when, held = _claimed(resource)
    taken = held if when is None else (*names(whose, when), *held)
    span: tuple[object, ...] = () if when is None else (when,)
    # Some rules ignore what was booked over others (`occupancy`). If it no longer is, though its time stays, its claim
    # has to be another one, so that it meets those who went by these rules.
    lenient = (occupancy.OVERBOOKED,) if taken and occupancy.reason(resource) is not None else ()
    return Claims(taken, (*span, *lenient), () if when is None else tuple(whose))


def how_many(resource: Resource) -> int:
    """Return how many names `claims` has for a resource, without making them."""
    whose, when, held = _claimed(resource)
    return len(held) + (0 if when is None else len(whose) * when.how_many_hours())


def _claimed(resource: Resource) -> tuple[Sequence[str], Interval | None, tuple[str, ...]]:
    """Return whose hours it claims and when (None: nobody's), and which Slots."""
    when = intervals.of(resource)
    if resource["resourceType"] == "Slot":
        return references(resource, "schedule"), when, ()
    if resource["resourceType"] != "Appointment" or resource["status"] not in HOLDING:
        return (), None, ()
    if when is None or stands_beside(resource):
        return (), None, slots(resource)
    return practitioners(resource), when, slots(resource)
