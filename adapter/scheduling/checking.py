"""The rules that a store must obey, written down a second time: what ``mediloop-fhir check`` holds it to.

Nothing here calls the code that books. A mistake in that would hide itself from a check that asked it; so the little
that both need to know is said here again, in plain words. Pure functions on resources as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from store.checking import Finding
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
_PERSON, _ROLE = "Practitioner/", "PractitionerRole/"
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
    start, end = instant(appointment.get("start")), instant(appointment.get("end"))
    if appointment.get("status") not in HOLDING or start is None or end is None or end <= start:
        return None
    name = f"Appointment/{appointment['id']}"
    slots = frozenset(slots_of(appointment))
    return Visit(name, start, end, people_of(appointment, roles), slots, is_lenient(appointment))


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
        if name.startswith((_PERSON, _ROLE)):
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
        f"{_ROLE}{role['id']}": practitioner
        for role in roles
        if (practitioner := reference(str(role.get("practitioner", {}).get("reference", "")))).startswith(_PERSON)
    }


class Sweep:
    """Finds visits of one practitioner that overlap, where visits come in the order of their starts.

    It remembers those alone that are not over yet, so it needs as much room as there are visits at one moment.
    """

    def __init__(self) -> None:
        self._open: dict[str, list[Visit]] = {}

    def add(self, visit: Visit) -> list[tuple[Visit, Visit]]:
        """Return the pairs that a visit makes with earlier ones, each once."""
        found: dict[str, tuple[Visit, Visit]] = {}
        for person in visit.people:
            running = [one for one in self._open.get(person, ()) if one.end > visit.start]
            for one in running:
                # The earlier ones were read before: one that has moved since is met again under its own name.
                if one.name != visit.name and not (one.lenient or visit.lenient):
                    found[one.name] = (one, visit)
            self._open[person] = [*running, visit]
        return list(found.values())


def room_of(schedule: Resource) -> str:
    """Return which room, or device, a Schedule is of; empty where it is a practitioner's, a service's or nobody's."""
    actors = {reference(str(one.get("reference", ""))) for one in walk(schedule, "actor")}
    devices = {name for name in actors if name.startswith("Device/")}
    rest = {name for name in actors - devices if not name.startswith("Location/")}
    return "" if rest else " and ".join(sorted(devices or actors))


def stay(room: str, slot: Resource, appointment: Resource) -> Visit | None:
    """Return an Appointment as what has a room as long as a Slot lasts; None for one that does not."""
    start, end = instant(slot.get("start")), instant(slot.get("end"))
    if appointment.get("status") not in HOLDING or start is None or end is None or end <= start:
        return None
    # WALKIN and EMERGENCY may stand beside others in time, but a Slot that they name they hold like everybody.
    lenient = was_booked_over(appointment)
    name, slots = f"Appointment/{appointment['id']}", frozenset(slots_of(appointment))
    return Visit(name, start, end, frozenset({room}), slots, lenient)


def doubled(
    room: str, one: Resource, other: Resource, slots: Mapping[str, Resource], rooms: Mapping[str, str]
) -> Finding | None:
    """Return what is wrong with two Appointments that have Slots of one room, read at one moment; None if both may.

    Args:
        room: the room.
        one, other: the Appointments.
        slots: the Slots that they name, by relative reference.
        rooms: which room a Schedule is of (``Schedule/s``).
    """
    if was_booked_over(one) or was_booked_over(other) or not {one.get("status"), other.get("status")} <= HOLDING:
        return None
    theirs, others = (
        [name for name in slots_of(each) if name in slots and rooms.get(schedule_of(slots[name])) == room]
        for each in (one, other)
    )
    for first, second in ((first, second) for first in theirs for second in others):
        # One that both have tells itself how many may be in it (`slot_findings`).
        if first not in others and second not in theirs:
            times = [_time(each) for each in (slots[first], slots[second], one, other)]
            start, end = max(start for start, _ in times), min(end for _, end in times)
            if start < end:
                names, by = sorted(f"Appointment/{each['id']}" for each in (one, other)), sorted((first, second))
                told = f"{' and '.join(names)} from {start.isoformat()} to {end.isoformat()}"
                text = f"{room} is had by {told}, by {' and '.join(by)}."
                return Finding("room-overlap", names[1], text)
    return None


def _time(resource: Resource) -> tuple[datetime, datetime]:
    """Return the time of a Slot or an Appointment; all time there is, where it states none."""
    start, end = instant(resource.get("start")), instant(resource.get("end"))
    return start or datetime.min.replace(tzinfo=UTC), end or datetime.max.replace(tzinfo=UTC)


def overlap(
    one: Visit, other: Visit, slots: Mapping[str, Resource], calendars: Mapping[str, frozenset[str]]
) -> Finding | None:
    """Return what is wrong with two visits, read at one moment; None if both may stand.

    Args:
        one, other: the visits.
        slots: the Slots that both name, by relative reference.
        calendars: whose Slots a Schedule offers (``Schedule/s`` to practitioners).
    """
    start, end = max(one.start, other.start), min(one.end, other.end)
    if one.lenient or other.lenient or start >= end:
        return None
    # Where nobody is named by an id, whoever is named may be the Slots' own practitioner.
    unknown = not any(person.startswith((_PERSON, _ROLE)) for person in one.people | other.people)
    for person in sorted(one.people & other.people):
        shared = [
            slot
            for name, slot in slots.items()
            if name in one.slots & other.slots
            and capacity(slot) > 1
            and (whose := calendars.get(schedule_of(slot), frozenset()))
            and (unknown or person in whose)
        ]
        if not _covers(shared, start, end):
            text = f"{person} has {one.name} and {other.name} from {start.isoformat()} to {end.isoformat()}."
            return Finding("overlap", max(one.name, other.name), text)
    return None


def _covers(slots: Sequence[Resource], start: datetime, end: datetime) -> bool:
    spans = [(instant(slot.get("start")), instant(slot.get("end"))) for slot in slots]
    for opens, closes in sorted((a, b) for a, b in spans if a is not None and b is not None):
        if opens <= start:
            start = max(start, closes)
    return start >= end


def capacity(slot: Resource) -> int:
    """Return how many may hold a Slot."""
    stated = [one.get("valueInteger") for one in walk(slot, "extension") if one.get("url") == _CAPACITY]
    return max([1, *(number for number in stated[:1] if isinstance(number, int))])


def slot_findings(slot: Resource, appointments: Iterable[Resource]) -> Iterator[Finding]:
    """Yield what is wrong with a Slot and the Appointments that name it, read at one moment."""
    name, status, room = f"Slot/{slot['id']}", slot.get("status"), capacity(slot)
    naming = list(appointments)
    holding = [one for one in naming if one.get("status") in HOLDING]
    # WALKIN and EMERGENCY may stand beside others in time, but a Slot that they name they hold like everybody.
    counted = [one for one in holding if not was_booked_over(one)]
    told = ", ".join(f"Appointment/{one['id']}" for one in holding)
    if _at_once(counted) > room:
        yield Finding("capacity", name, f"It has room for {room} and is held by {told}.")
    elif len(counted) > room:
        # Published over visits that stood already, one after the other within it.
        yield Finding(
            "slot-shared", name, f"It has room for {room} and is held by {told}, one after another.", note=True
        )
    allowed = ("busy", "busy-tentative") if len(holding) >= room else ("free", "busy", "busy-tentative")
    if holding and status not in allowed:
        yield Finding("slot-not-busy", name, f"It is {status}, but held by {told}.")
    elif len(holding) >= room:
        due = "busy-tentative" if all(one.get("status") == "pending" for one in holding) else "busy"
        if status != due:
            yield Finding("slot-otherwise-busy", name, f"It is {status}, but {due} for {told}.", note=True)
    away = ", ".join(f"Appointment/{one['id']}" for one in holding if not _meet(slot, one))
    if away:
        yield Finding("slot-elsewhere", name, f"It is held by {away}, which is at another time.")
    if (
        status in ("busy", "busy-tentative")
        and not holding
        and not any(one.get("status") == "noshow" for one in naming)
    ):
        yield Finding("slot-without-owner", name, f"It is {status}, but held by no appointment.", note=True)


def _meet(slot: Resource, appointment: Resource) -> bool:
    """Tell whether an Appointment is in the time of a Slot; of what states no time nothing is told."""
    start, end = instant(slot.get("start")), instant(slot.get("end"))
    begins, ends = instant(appointment.get("start")), instant(appointment.get("end"))
    if start is None or end is None or begins is None or ends is None:
        return True
    return begins < end and start < ends


def _at_once(appointments: Iterable[Resource]) -> int:
    """Return how many of `appointments` are there at one moment; those without a time always are."""
    times = [(instant(one.get("start")), instant(one.get("end"))) for one in appointments]
    spans = [(start, end) for start, end in times if start is not None and end is not None]
    peak = max((sum(start <= moment < end for start, end in spans) for moment, _ in spans), default=0)
    return peak + len(times) - len(spans)


def missing_slots(appointment: Resource, present: Iterable[str]) -> Iterator[Finding]:
    """Yield the Slots that an Appointment holds and that are not there."""
    if appointment.get("status") in HOLDING:
        for slot in sorted(set(slots_of(appointment)) - set(present)):
            yield Finding("slot-missing", f"Appointment/{appointment['id']}", f"It holds {slot}, which is not stored.")


def missing_schedule(slot: Resource, present: Iterable[str]) -> Iterator[Finding]:
    """Yield that the Schedule of a Slot is not there: nobody can tell whose time it is."""
    schedule = schedule_of(slot)
    if schedule and slot.get("status") != "entered-in-error" and schedule not in present:
        yield Finding("schedule-missing", f"Slot/{slot['id']}", f"It belongs to {schedule}, which is not stored.")
