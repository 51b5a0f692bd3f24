"""Does a booking stand, and which slots does it take? Pure functions on what the transaction has read.

Decisions 2.9 to 2.11 and 3. Every reason against a booking is named at once; none names a patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from adapter.errors import Conflict, Problem, Unprocessable
from adapter.scheduling import claims, intervals, leave, occupancy, reasons
from adapter.scheduling.hours import Timetable
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People
from store.codec import Resource
from store.extract import references


class Names(NamedTuple):
    """What a request calls what a refusal is about; what it cannot say is the fault of what it can."""

    slot: str = "slot_id"
    start: str = "start_time"
    end: str = "end_time"
    practitioner: str = "practitioner_id"
    facility: str = "facility_id"


BOOKING = Names()
MOVING = Names("new_slot_id", "new_start_time", "new_end_time", "new_slot_id", "new_slot_id")
"""Those of a request that moves an appointment: with whom and where it is stays as it is."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a booking asks for.

    Attributes:
        when: the time.
        practitioners: who must be free (``Practitioner/p``; see `People.of`).
        facilities: where (``Location/l``), if it matters: at one of these.
        slot: the Slot asked for by name (``Slot/s``).
        beside: may stand beside other appointments, and takes no slot unless one is named.
        elsewhere: those of the practitioners who are known to be another server's (`claims.practitioners`). They are as
            busy as their namesakes here, but what is published here is not for them: they take no Slot.
        own: the appointment that is moved (``Appointment/a``): it never stands in its own way.
        own_slots: the Slots it holds now.
        overbooks: passes over busy Slots and other appointments (`occupancy`).
        yields: was booked over others, and is no longer: its own Slots are its own only if they have a place for it.
        names: what the request calls it all, for messages.
    """

    when: Interval
    practitioners: tuple[str, ...]
    facilities: tuple[str, ...] = ()
    slot: str | None = None
    beside: bool = False
    elsewhere: frozenset[str] = frozenset()
    own: str | None = None
    own_slots: frozenset[str] = frozenset()
    overbooks: bool = False
    yields: bool = False
    names: Names = BOOKING


@dataclass(frozen=True, slots=True)
class Facts:
    """What the transaction has read about the time asked for.

    Attributes:
        slot: the named Slot, None where there is no such one.
        schedules: the Schedules of the practitioners (and of the named Slot), by relative reference.
        slots: published Slots of those Schedules near that time.
        appointments: appointments that hold time of those practitioners near that time.
        people: who is behind the roles that Schedules name.
        tables: the timetables of those Schedules that have weekly hours: leave closes their Slots (`leave`).
        holders: the other appointments that hold a Slot for several, one of its own or, for who books over, any;
            by the Slot's name.
    """

    slot: Resource | None = None
    schedules: Mapping[str, Resource] = field(default_factory=dict)
    slots: Sequence[Resource] = ()
    appointments: Sequence[Resource] = ()
    people: People = field(default_factory=People)
    tables: Mapping[str, Timetable] = field(default_factory=dict)
    holders: Mapping[str, Sequence[Resource]] = field(default_factory=dict)


def decide(wish: Wish, facts: Facts) -> list[Resource]:
    """Return the Slots that the booking takes.

    Raises:
        Unprocessable: the request contradicts itself or names a slot that there is none of.
        Conflict: a slot is not free (``slot_unavailable``) or a practitioner is busy (``time_conflict``).
    """
    require_consistent(wish, facts)
    problems: list[Problem] = []
    taken: list[Resource] = []
    if wish.slot is not None and facts.slot is not None:
        if _is_free(facts.slot, wish, facts, over=wish.overbooks):
            taken.append(facts.slot)
        else:
            away = [schedule_of(facts.slot)] if leave.closes(facts.tables, facts.slot) else []
            problems.append(_unavailable([facts.slot], wish, away))
    elif not wish.beside:
        for practitioner in wish.practitioners:
            found, problem = cover(practitioner, wish, facts)
            taken += [slot for slot in found if slot not in taken and practitioner not in wish.elsewhere]
            problems += [problem] if problem else []
    if not wish.beside:
        problems += busy(wish, facts, taken)
    if problems:
        raise Conflict(problems)
    return taken


def require_consistent(wish: Wish, facts: Facts) -> None:
    """Make sure that a named Slot agrees with the rest of the request.

    Raises:
        Unprocessable: ``unknown_slot``, or ``slot_mismatch`` for each thing in which it does not.
    """
    contradictions = _contradictions(wish, facts)
    if contradictions:
        raise Unprocessable(contradictions)


def _contradictions(wish: Wish, facts: Facts) -> list[Problem]:
    """Name everything in which a named Slot disagrees with the rest of the request (422, decision 2.9)."""
    if wish.slot is None:
        return []
    slot = facts.slot
    span = None if slot is None else intervals.of(slot)
    if slot is None or span is None or slot["status"] == "entered-in-error":
        return [Problem("unknown_slot", "There is no such slot. Search availability for one.", wish.names.slot)]
    found: list[Problem] = []
    if wish.when.start != span.start or wish.when.end > span.end:
        found.append(
            Problem(
                "slot_mismatch",
                f"The slot is from {slot['start']} to {slot['end']}: give a time that starts with it and ends "
                "no later, or another slot.",
                wish.names.start,
            )
        )
    if not any(practitioner in _people(slot, facts) for practitioner in wish.practitioners):
        found.append(reasons.not_theirs(wish.names.practitioner, stays=wish.names == MOVING))
    if not is_at(wish.facilities, facts.schedules.get(schedule_of(slot), {})):
        found.append(reasons.not_there(wish.names.facility, stays=wish.names == MOVING))
    return found


def schedule_of(slot: Resource) -> str:
    """Return the Slot's Schedule (``Schedule/s``); empty where it is not named by a literal reference."""
    return next(iter(references(slot, "schedule")), "")


def _people(slot: Resource, facts: Facts) -> tuple[str, ...]:
    return facts.people.of(references(facts.schedules.get(schedule_of(slot), {}), "actor"))


def is_at(facilities: Sequence[str], schedule: Resource) -> bool:
    """Tell whether Slots of `schedule` are at one of `facilities`: one who is published elsewhere is not here."""
    places = [actor for actor in references(schedule, "actor") if actor.startswith("Location/")]
    return not facilities or not places or any(place in places for place in facilities)


def _is_free(slot: Resource, wish: Wish, facts: Facts, *, over: bool = False) -> bool:
    """Tell whether the booking may take the Slot: free, neither full nor closed, in an active Schedule; or its own.

    What is busy may be taken as well by who books `over` others.
    """
    name = f"Slot/{slot['id']}"
    if not _schedule_is_active(slot, facts) or _is_closed(slot, wish, facts):
        return False
    has_place = len(facts.holders.get(name, ())) < occupancy.capacity(slot)
    if over or (name in wish.own_slots and (has_place or not wish.yields)):
        return slot["status"] in ("free", *occupancy.TAKEN)
    return slot["status"] == "free" and has_place


def _is_closed(slot: Resource, wish: Wish, facts: Facts) -> bool:
    """Tell whether leave closes a Slot to the booking; whoever has it already keeps it."""
    return f"Slot/{slot['id']}" not in wish.own_slots and leave.closes(facts.tables, slot)


def cover(practitioner: str, wish: Wish, facts: Facts) -> tuple[list[Resource], Problem | None]:
    """Find free Slots of one practitioner that cover the time; nothing to find where none are published.

    Leave is in the way at the places asked for, unless the practitioner is in by another Schedule there.
    """
    here = {
        name: table
        for name, table in facts.tables.items()
        if practitioner in facts.people.of(references(facts.schedules[name], "actor"))
        and is_at(wish.facilities, facts.schedules[name])
    }
    if leave.is_in(here.values(), wish.when):
        here = {}
    published = [
        (span, slot)
        for slot in facts.slots
        if (span := intervals.of(slot)) is not None
        and span.overlaps(wish.when)
        and slot["status"] != "entered-in-error"
        and practitioner in _people(slot, facts)
        and _schedule_is_active(slot, facts)
        and (schedule_of(slot) in here or not _is_closed(slot, wish, facts))
    ]
    closed = {schedule_of(slot) for _, slot in published if _is_closed(slot, wish, facts)}
    away = sorted(closed.union(name for name, table in here.items() if table.is_away(wish.when)))
    if not published and not away:
        return [], None
    for over in (False, True) if wish.overbooks else (False,):  # what is free goes before what is booked over
        free = [
            (span, slot)
            for span, slot in published
            if _is_free(slot, wish, facts, over=over)
            and is_at(wish.facilities, facts.schedules.get(schedule_of(slot), {}))
        ]
        taken = _covering(free, wish)
        if taken:
            return taken, None
    return [], _unavailable([slot for _, slot in published], wish, away)


def _covering(free: Sequence[tuple[Interval, Resource]], wish: Wish) -> list[Resource]:
    """Choose Slots that leave no gap in the time; none where there is one."""
    taken: list[Resource] = []
    reached = wish.when.start
    while reached < wish.when.end:
        usable = [(span, slot) for span, slot in free if span.start <= reached < span.end]
        if not usable:
            return []
        span, slot = _best(usable, wish)
        reached = span.end
        taken.append(slot)
    return taken


def _best(usable: Sequence[tuple[Interval, Resource]], wish: Wish) -> tuple[Interval, Resource]:
    """Of those that reach the end, or reach furthest, choose its own, the shortest; the id settles a tie.

    Rivals must choose alike, to meet there.
    """

    def rank(found: tuple[Interval, Resource]) -> tuple[bool, timedelta, str]:
        span, slot = found
        return f"Slot/{slot['id']}" not in wish.own_slots, span.end - span.start, slot["id"]

    furthest = min(wish.when.end, max(span.end for span, _ in usable))
    return min((found for found in usable if found[0].end >= furthest), key=rank)


def _schedule_is_active(slot: Resource, facts: Facts) -> bool:
    return facts.schedules.get(schedule_of(slot), {}).get("active") is not False


def busy(wish: Wish, facts: Facts, taken: Sequence[Resource]) -> list[Problem]:
    """Name every appointment in the way: it holds the time of one of the practitioners, and shares no Slot for it."""
    if wish.overbooks:
        return []
    rivals = [
        f"Appointment/{other['id']}"
        for other in facts.appointments
        if f"Appointment/{other['id']}" != wish.own
        and (span := intervals.of(other)) is not None
        and span.overlaps(wish.when)
        and not _together(other, span, wish, facts, taken)
    ]
    if not rivals:
        return []
    return [
        Problem(
            "time_conflict",
            "The practitioner has another appointment at that time. Choose another time.",
            wish.names.start,
            {"appointments": [rival.partition("/")[2] for rival in rivals]},
        )
    ]


def _together(other: Resource, span: Interval, wish: Wish, facts: Facts, taken: Sequence[Resource]) -> bool:
    """Tell whether the two hold Slots for several together, for each practitioner that both have."""
    theirs = claims.slots(other)
    shared = [slot for slot in taken if f"Slot/{slot['id']}" in theirs and occupancy.capacity(slot) > 1]
    if not shared:
        return False
    overlap = Interval(max(span.start, wish.when.start), min(span.end, wish.when.end))
    both = set(wish.practitioners) & set(facts.people.of(claims.practitioners(other)))
    return all(occupancy.share(overlap, [slot for slot in shared if one in _people(slot, facts)]) for one in both)


def _unavailable(slots: Sequence[Resource], wish: Wish, away: Sequence[str] = ()) -> Problem:
    """Return the problem with Slots that are not to be had, and with the Schedules of who is `away` then."""
    in_the_way = [slot["id"] for slot in slots if slot["status"] != "free"] or [slot["id"] for slot in slots]
    details = {"slots": in_the_way} | ({"schedules": [name.partition("/")[2] for name in away]} if away else {})
    return Problem(
        "slot_unavailable",
        reasons.AWAY if away else "No free slot covers that time. Search availability for another one.",
        wish.names.slot if wish.slot else wish.names.start,
        details,
    )
