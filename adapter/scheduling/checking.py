"""The rules that a store must obey, written down a second time: what ``mediloop-fhir check`` holds it to.

Nothing here calls the code that books: a mistake in that would hide itself from a check that asked it. The little that
both need to know is said again in `checking_claims`. Pure functions on resources as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from adapter.scheduling.checking_claims import (
    HOLDING,
    PERSON,
    ROLE,
    Visit,
    capacity,
    schedule_of,
    slots_of,
    times_of,
    was_booked_over,
)
from store.checking import Finding
from store.codec import Resource


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
    start, end = times_of(resource)
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
    unknown = not any(person.startswith((PERSON, ROLE)) for person in one.people | other.people)
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
    spans = [times_of(slot) for slot in slots]
    for opens, closes in sorted((a, b) for a, b in spans if a is not None and b is not None):
        if opens <= start:
            start = max(start, closes)
    return start >= end


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
    start, end = times_of(slot)
    begins, ends = times_of(appointment)
    if start is None or end is None or begins is None or ends is None:
        return True
    return begins < end and start < ends


def _at_once(appointments: Iterable[Resource]) -> int:
    """Return how many of `appointments` are there at one moment; those without a time always are."""
    times = [times_of(one) for one in appointments]
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
