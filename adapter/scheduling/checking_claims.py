"""What appointments, Slots and Schedules take and offer, worked out a second time for ``mediloop-fhir check``.

`claims`, `occupancy`, `people` and `rooms` tell the same to the code that books. None of them is called here: a mistake
in them would hide itself from a check that asked them. Pure functions on resources as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from store.codec import Resource
from store.extract import instant, reference, type_of, walk

HOLDING = frozenset({"pending", "booked", "arrived", "checked-in", "fulfilled"})
_MAY_STAND_BESIDE = frozenset({"EMERGENCY", "WALKIN"})
_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0276", "http://hl7.org/fhir/v2/0276"  # the present one goes first
_CAPACITY = "http://fhir-registry.smarthealthit.org/StructureDefinition/slot-capacity"
_OVERBOOKED = "/StructureDefinition/overbooked"
_ATTENDING = frozenset({"ATND", "PPRF", "SPRF"})
_PARTICIPATION = frozenset(
    {"http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "http://hl7.org/fhir/v3/ParticipationType"}
)
PERSON, ROLE = "Practitioner/", "PractitionerRole/"
_MODELS = "http://hl7.org/fhir/StructureDefinition/"

Roles = Mapping[str, str]
"""Who is behind a role: ``PractitionerRole/r`` to ``Practitioner/p``."""


@dataclass(frozen=True, slots=True)
class Visit:
    """An Appointment that takes time.

    Attributes:
        name: of the Appointment.
        start, end: its time.
        people: whose time it takes.
        slots: the Slots that it holds.
        lenient: may stand beside others, by its type or because it was booked over them.
    """

    name: str
    start: datetime
    end: datetime
    people: frozenset[str]
    slots: frozenset[str]
    lenient: bool


def visit_of(appointment: Resource, roles: Roles) -> Visit | None:
    """Return an Appointment as what takes time; None for one that takes none."""
    start, end = times_of(appointment)
    if appointment.get("status") not in HOLDING or start is None or end is None or end <= start:
        return None
    name = f"Appointment/{appointment['id']}"
    slots = frozenset(slots_of(appointment))
    return Visit(name, start, end, people_of(appointment, roles), slots, is_lenient(appointment))


def times_of(resource: Resource) -> tuple[datetime | None, datetime | None]:
    """Return when an Appointment or Slot starts and ends; None for what it does not say."""
    return instant(resource.get("start")), instant(resource.get("end"))


def slots_of(appointment: Resource) -> list[str]:
    """Return the Slots that an Appointment names."""
    named = [reference(str(link.get("reference", ""))) for link in walk(appointment, "slot")]
    return [name for name in named if name.startswith("Slot/")]


def schedule_of(slot: Resource) -> str:
    """Return the Schedule that a Slot names."""
    return reference(str(slot.get("schedule", {}).get("reference", "")))


def is_lenient(appointment: Resource) -> bool:
    """Tell whether an Appointment may stand beside others, or was booked over them."""
    said = [one for one in walk(appointment, "appointmentType.coding") if one.get("system") in _TYPES and "code" in one]
    said.sort(key=lambda one: _TYPES.index(one["system"]))
    return (bool(said) and said[0]["code"] in _MAY_STAND_BESIDE) or was_booked_over(appointment)


def was_booked_over(appointment: Resource) -> bool:
    """Tell whether an Appointment says why it was booked over others."""
    return any(
        str(one.get("url", "")).endswith(_OVERBOOKED) and isinstance(one.get("valueString"), str)
        for one in walk(appointment, "extension")
    )


def people_of(appointment: Resource, roles: Roles) -> frozenset[str]:
    """Return the practitioners whose time an Appointment takes: who has declined is not coming."""
    coming = [one for one in walk(appointment, "participant") if one.get("status") != "declined"]
    actors = [_known(one.get("actor", {})) if _attends(one) else one.get("actor", {}) for one in coming]
    return _practitioners(appointment, actors, roles)


def offered_by(schedule: Resource, roles: Roles) -> frozenset[str]:
    """Return the practitioners whose Slots a Schedule offers; an address that tells nothing may be one's."""
    actors = walk(schedule, "actor")
    known = [_known(one) if "://" in str(one.get("reference", "")) else one for one in actors]
    return _practitioners(schedule, known, roles)


def _attends(participant: Resource) -> bool:
    codings = walk(participant, "type.coding")
    return any(one.get("system") in _PARTICIPATION and one.get("code") in _ATTENDING for one in codings)


def _known(actor: Resource) -> Resource:
    """Return an actor as a practitioner, unless it says, or its reference, what else it is."""
    told = "type" in actor or type_of(str(actor.get("reference", ""))) is not None
    return actor if told else {**actor, "type": "Practitioner"}


def _practitioners(resource: Resource, actors: Sequence[Resource], roles: Roles) -> frozenset[str]:
    contained = {f"#{one.get('id')}": one for one in walk(resource, "contained")}
    people: set[str] = set()
    for actor in actors:
        text = str(actor.get("reference", ""))
        name, inner = reference(text), contained.get(text)
        kind = actor.get("type", "") if inner is None else inner.get("resourceType")
        if name.startswith((PERSON, ROLE)):
            people.add(roles.get(name, name))
        elif str(kind).removeprefix(_MODELS) not in ("Practitioner", "PractitionerRole"):
            continue
        elif inner is not None:
            player = _player(inner, contained, roles) if kind == "PractitionerRole" else frozenset[str]()
            people |= player or _known_as(inner) or _known_as(actor)
        elif text.startswith(("#", "urn:")) or not text:
            people |= _known_as(actor)
        elif ":" in text:  # an address that does not tell who it is; what refers to something else is something else
            people |= {text.partition("/_history/")[0], *_known_as(actor)}
    return frozenset(people)


def _player(role: Resource, contained: Mapping[str, Resource], roles: Roles) -> frozenset[str]:
    """Return who plays a contained role, or nobody; of contained resources only people may be meant, no role."""
    people = [one for one in contained.values() if one.get("resourceType") == "Practitioner"]
    return _practitioners({"contained": people}, [{"type": "Practitioner", **role.get("practitioner", {})}], roles)


def _known_as(one: Resource) -> set[str]:
    return {
        f"{found.get('system', '')}|{str(found['value']).strip()}".casefold()
        for found in walk(one, "identifier")
        if "value" in found
    }


def behind(roles: Iterable[Resource]) -> dict[str, str]:
    """Return who is behind PractitionerRoles."""
    return {
        f"{ROLE}{role['id']}": practitioner
        for role in roles
        if (practitioner := reference(str(role.get("practitioner", {}).get("reference", "")))).startswith(PERSON)
    }


def room_of(schedule: Resource) -> str:
    """Return which room, or device, a Schedule is of; empty where it is a practitioner's, a service's or nobody's."""
    actors = {reference(str(one.get("reference", ""))) for one in walk(schedule, "actor")}
    devices = {name for name in actors if name.startswith("Device/")}
    rest = {name for name in actors - devices if not name.startswith("Location/")}
    return "" if rest else " and ".join(sorted(devices or actors))


def stay(room: str, slot: Resource, appointment: Resource) -> Visit | None:
    """Return an Appointment as what has a room as long as a Slot lasts; None for one that does not."""
    start, end = times_of(slot)
    if appointment.get("status") not in HOLDING or start is None or end is None or end <= start:
        return None
    # WALKIN and EMERGENCY may stand beside others in time, but a Slot that they name they hold like everybody.
    lenient = was_booked_over(appointment)
    name, slots = f"Appointment/{appointment['id']}", frozenset(slots_of(appointment))
    return Visit(name, start, end, frozenset({room}), slots, lenient)


def capacity(slot: Resource) -> int:
    """Return how many may hold a Slot."""
    stated = [one.get("valueInteger") for one in walk(slot, "extension") if one.get("url") == _CAPACITY]
    return max([1, *(number for number in stated[:1] if isinstance(number, int))])
