"""Does a booking stand, and which slots does it take? Pure functions on what the transaction has read.

Decisions 2.9 to 2.11 and 3. Every reason against a booking is named at once; none names a patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from adapter.errors import Conflict, Problem, Unprocessable
from adapter.scheduling import intervals
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People
from store.codec import Resource
from store.extract import references


@dataclass(frozen=True, slots=True)
class Wish:
    """What a booking asks for.

    Attributes:
        when: the time.
        practitioners: who must be free (``Practitioner/p``; see `People.of`).
        facilities: where (``Location/l``), if it matters: at one of these.
        slot: the Slot asked for by name (``Slot/s``).
        beside: may stand beside other appointments, and takes no slot unless one is named.
        own: the appointment that is moved (``Appointment/a``): it never stands in its own way.
        own_slots: the Slots it holds now.
        slot_param: the member of the request that names the slot, for messages.
        start_param: the one that names the start.
    """

    when: Interval
    practitioners: tuple[str, ...]
    facilities: tuple[str, ...] = ()
    slot: str | None = None
    beside: bool = False
    own: str | None = None
    own_slots: frozenset[str] = frozenset()
    slot_param: str = "slot_id"
    start_param: str = "start_time"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the transaction has read about the time asked for.

    Attributes:
        slot: the named Slot, None where there is no such one.
        schedules: the Schedules of the practitioners (and of the named Slot), by relative reference.
        slots: published Slots of those Schedules near that time.
        appointments: appointments that hold time of those practitioners near that time.
        people: who is behind the roles that Schedules name.
    """

    slot: Resource | None = None
    schedules: Mapping[str, Resource] = field(default_factory=dict)
    slots: Sequence[Resource] = ()
    appointments: Sequence[Resource] = ()
    people: People = field(default_factory=People)


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
        if _is_free(facts.slot, wish, facts):
            taken.append(facts.slot)
        else:
            problems.append(_unavailable([facts.slot], wish))
    elif not wish.beside:
        for practitioner in wish.practitioners:
            found, problem = cover(practitioner, wish, facts)
            taken += [slot for slot in found if slot not in taken]
            problems += [problem] if problem else []
    if not wish.beside:
        problems += busy(wish, facts)
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
        return [Problem("unknown_slot", "There is no such slot. Search availability for one.", wish.slot_param)]
    found: list[Problem] = []
    if wish.when.start != span.start or wish.when.end > span.end:
        found.append(
            Problem(
                "slot_mismatch",
                f"The slot is from {slot['start']} to {slot['end']}: give a time that starts with it and ends "
                "no later, or another slot.",
                wish.start_param,
            )
        )
    if not any(practitioner in _people(slot, facts) for practitioner in wish.practitioners):
        found.append(
            Problem(
                "slot_mismatch",
                "The slot is not one of that practitioner's: give the slot's own practitioner or another slot.",
                "practitioner_id",
            )
        )
    if not is_at(wish.facilities, facts.schedules.get(schedule_of(slot), {})):
        found.append(
            Problem(
                "slot_mismatch",
                "The slot is at another facility: give the slot's own facility or another slot.",
                "facility_id",
            )
        )
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


def _is_free(slot: Resource, wish: Wish, facts: Facts) -> bool:
    """Tell whether the booking may take the Slot: free in an active Schedule, or its own already."""
    if not _schedule_is_active(slot, facts):
        return False
    if f"Slot/{slot['id']}" in wish.own_slots:
        return slot["status"] in ("free", "busy", "busy-tentative")
    return bool(slot["status"] == "free")


def cover(practitioner: str, wish: Wish, facts: Facts) -> tuple[list[Resource], Problem | None]:
    """Find free Slots of one practitioner that cover the time; nothing to find where none are published."""
    published = [
        (span, slot)
        for slot in facts.slots
        if (span := intervals.of(slot)) is not None
        and span.overlaps(wish.when)
        and slot["status"] != "entered-in-error"
        and practitioner in _people(slot, facts)
        and _schedule_is_active(slot, facts)
    ]
    if not published:
        return [], None
    free = [
        (span, slot)
        for span, slot in published
        if _is_free(slot, wish, facts) and is_at(wish.facilities, facts.schedules.get(schedule_of(slot), {}))
    ]
    taken: list[Resource] = []
    reached = wish.when.start
    while reached < wish.when.end:
        usable = [(span, slot) for span, slot in free if span.start <= reached < span.end]
        if not usable:
            return [], _unavailable([slot for _, slot in published], wish)
        span, slot = _best(usable, wish)
        reached = span.end
        taken.append(slot)
    return taken, None


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


def busy(wish: Wish, facts: Facts) -> list[Problem]:
    """Name every appointment that holds the time of one of the practitioners."""
    rivals = [
        f"Appointment/{other['id']}"
        for other in facts.appointments
        if f"Appointment/{other['id']}" != wish.own
        and (span := intervals.of(other)) is not None
        and span.overlaps(wish.when)
    ]
    if not rivals:
        return []
    return [
        Problem(
            "time_conflict",
            "The practitioner has another appointment at that time. Choose another time.",
            wish.start_param,
            {"appointments": [rival.partition("/")[2] for rival in rivals]},
        )
    ]


def _unavailable(slots: Sequence[Resource], wish: Wish) -> Problem:
    in_the_way = [slot["id"] for slot in slots if slot["status"] != "free"] or [slot["id"] for slot in slots]
    return Problem(
        "slot_unavailable",
        "No free slot covers that time. Search availability for another one.",
        wish.slot_param if wish.slot else wish.start_param,
        {"slots": in_the_way},
    )
