"""Decides whether a booking stands, and which slots it takes. Pure functions on what the transaction has read.

A refusal names every reason at once, and never a patient.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from adapter.errors import Conflict, Problem, Unprocessable
from adapter.scheduling import claims, intervals, leave, occupancy, reasons
from adapter.scheduling.choosing import Free, choose
from adapter.scheduling.intervals import Interval
from adapter.scheduling.wish import MOVING, Facts, Wish
from store.codec import Resource
from store.extract import id_of, references


def decide(wish: Wish, facts: Facts) -> list[Resource]:
    """Return the Slots that the booking takes.

    Raises:
        Unprocessable: the request contradicts itself or names a slot that there is none of.
        Conflict: a slot is not free (``slot_unavailable``) or a practitioner is busy (``time_conflict``).
    """
    require_consistent(wish, facts)
    problems: list[Problem] = []
    taken = list(facts.kept)
    if facts.slot is not None and not taken:
        if _is_free(facts.slot, wish, facts, over=wish.overbooks):
            taken.append(facts.slot)
        else:
            away = [claims.schedule_of(facts.slot)] if leave.closes(facts.tables, facts.slot) else []
            is_offered = _is_offered(facts.slot, wish, facts)
            text = reasons.AWAY if away else reasons.NONE_FREE if is_offered else reasons.INACTIVE
            problems.append(_unavailable([facts.slot], wish.names.slot, text, away))
    for whose in sought(wish, facts):
        found, problem = cover(whose, wish, facts)
        taken += [slot for slot in found if slot not in taken and whose not in wish.elsewhere]
        # In the time that it had already, a visit goes on without a Slot where none is to be had; but not in a room.
        problems += [problem] if problem and (wish.newly or whose in wish.things) else []
    if not wish.beside:
        problems += busy(wish, facts, taken)
    if problems:
        raise Conflict(problems)
    return taken


def sought(wish: Wish, facts: Facts) -> list[str]:
    """Return for whom free Slots are looked for by time: those to whom the named one does not belong.

    A booking that keeps the Slots that it has needs some only for things to which none of these belongs.
    """
    if facts.kept:
        having = set(map(claims.schedule_of, facts.kept))
        return [thing for thing in wish.things if thing not in having]
    named = [] if facts.slot is None else [facts.slot]
    given = {name: facts.schedules.get(name, {}) for name in map(claims.schedule_of, named)}
    people = [] if wish.beside else facts.people.unserved(wish.practitioners, given.values())
    return [*people, *(thing for thing in wish.things if thing not in given)]


def uncovered(wish: Wish, facts: Facts) -> list[str]:
    """Return for whom published Slots are in the way and do not cover the time: computed openings may."""
    people = [one for one in sought(wish, facts) if one not in wish.things]
    return [one for one in people if cover(one, wish, facts)[1] is not None]


def require_consistent(wish: Wish, facts: Facts) -> None:
    """Make sure that a named Slot agrees with the rest of the request.

    Raises:
        Unprocessable: ``unknown_slot``, or ``slot_mismatch`` for each thing in which it does not.
    """
    contradictions = _contradictions(wish, facts)
    if contradictions:
        raise Unprocessable(contradictions)


def _contradictions(wish: Wish, facts: Facts) -> list[Problem]:
    """Name everything in which a named Slot disagrees with the rest of the request (422)."""
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
                f"The slot is from {reasons.times(slot)}: give a time that starts with it and ends "
                "no later, or another slot.",
                wish.names.start if wish.when.start != span.start else wish.names.end,
            )
        )
    theirs = any(practitioner in _people(slot, facts) for practitioner in wish.practitioners)
    if not theirs and claims.schedule_of(slot) not in wish.things:
        found.append(reasons.not_theirs(wish.names.practitioner, stays=wish.names == MOVING))
    if not is_at(wish.facilities, facts.schedules.get(claims.schedule_of(slot), {})):
        found.append(reasons.not_there(wish.names.facility, stays=wish.names == MOVING))
    return found


def _people(slot: Resource, facts: Facts) -> tuple[str, ...]:
    return facts.people.of(claims.offering(facts.schedules.get(claims.schedule_of(slot), {})))


def is_at(facilities: Sequence[str], schedule: Resource) -> bool:
    """Tell whether Slots of `schedule` are at one of `facilities`: one who is published elsewhere is not here."""
    places = claims.places_of(schedule)
    return not facilities or not places or not places.isdisjoint(facilities)


def _is_free(slot: Resource, wish: Wish, facts: Facts, *, over: bool = False) -> bool:
    """Tell whether the booking may take the Slot.

    It has to be free, with a place left, of an active Schedule and not closed by leave; or the booking's own already.
    Nobody may be engaged elsewhere. A booking `over` others may take busy and engaged ones as well.
    """
    name = f"Slot/{slot['id']}"
    if not _is_offered(slot, wish, facts) or _is_closed(slot, wish, facts):
        return False
    if name in facts.engaged and not over:
        return False
    has_place = len(facts.holders.get(name, ())) < occupancy.capacity(slot)
    if over or (name in wish.own_slots and (has_place or not wish.yields)):
        return slot["status"] in ("free", *occupancy.TAKEN)
    return slot["status"] == "free" and has_place


def _is_closed(slot: Resource, wish: Wish, facts: Facts) -> bool:
    """Tell whether leave closes a Slot to the booking: not one that it has already."""
    return f"Slot/{slot['id']}" not in wish.own_slots and leave.closes(facts.tables, slot)


def cover(whose: str, wish: Wish, facts: Facts) -> tuple[list[Resource], Problem | None]:
    """Find free Slots that cover the time, of a practitioner or of one Schedule (of a room, say); or say what is wrong.

    A practitioner who has published none for that time needs none; a Schedule must have some. Where the published ones
    do not cover it, computed openings may: what is offered can be had by its time, too. A Schedule that is not
    active publishes nothing: the booking's own Slot there may be kept, and is never in the way. A practitioner whose
    Schedules at the places asked for are all inactive is not to be had. Leave in one of these Schedules is in the way,
    unless the practitioner works there at that time by another one.
    """
    is_thing = whose.startswith("Schedule/")
    offering = {
        name: schedule
        for name, schedule in facts.schedules.items()
        if (name == whose if is_thing else whose in facts.people.of(references(schedule, "actor")))
    }
    suiting = {name for name, schedule in offering.items() if is_thing or is_at(wish.facilities, schedule)}
    here = {name: table for name, table in facts.tables.items() if name in suiting}
    if leave.is_in(here.values(), wish.when):
        here = {}

    def there(slots: Sequence[Resource]) -> list[tuple[Interval, Resource]]:
        return [
            (span, slot)
            for slot in slots
            if (span := intervals.of(slot)) is not None
            and span.overlaps(wish.when)
            and slot["status"] != "entered-in-error"
            and claims.schedule_of(slot) in offering
            and _is_offered(slot, wish, facts)
            and (claims.schedule_of(slot) in here or not _is_closed(slot, wish, facts))
        ]

    published = there(facts.slots)
    opened = there(facts.openings) if published else []
    closed = {claims.schedule_of(slot) for _, slot in published if _is_closed(slot, wish, facts)}
    away = sorted(closed.union(name for name, table in here.items() if table.is_away(wish.when)))
    # What is published goes before what is computed, and what is free before what is booked over.
    ways = [(published, False), ([*published, *opened], False), (published, True)]
    for some, over in ways[: 3 if wish.overbooks else 2]:
        free = [
            Free(span, slot, claims.places_of(facts.schedules[claims.schedule_of(slot)]))
            for span, slot in some
            if claims.schedule_of(slot) in suiting and _is_free(slot, wish, facts, over=over)
        ]
        taken = choose(free, wish.when, wish.own_slots, one_place=not wish.facilities)
        if taken:
            return taken, None
    if not away and not is_thing and not any(_schedule_is_active(slot, facts) for _, slot in published):
        if suiting and not any(claims.is_active(offering[name]) for name in suiting):
            return [], _unavailable([], wish.names.start, reasons.IDLE, sorted(suiting))
        return [], None
    concerned = away or ([whose] if is_thing else [])
    # A Slot that it might take, such as its own, is not in the way: it only does not cover the whole time.
    barred = [slot for _, slot in published if not _is_free(slot, wish, facts, over=wish.overbooks)]
    near = barred or [slot for _, slot in published]
    text = reasons.AWAY if away else reasons.NONE_FREE if barred or not near else _gap(near, suiting, wish)
    return [], _unavailable(near, wish.names.start, text, concerned)


def _gap(slots: Sequence[Resource], suiting: Container[str], wish: Wish) -> str:
    """Say why Slots that could all be had do not cover the time; `suiting` are Schedules at the places asked for."""
    here = [slot for slot in slots if claims.schedule_of(slot) in suiting]
    return reasons.in_part(here) if here else reasons.elsewhere(stays=wish.names == MOVING)


def _is_offered(slot: Resource, wish: Wish, facts: Facts) -> bool:
    """Tell whether the Slot's Schedule offers it, or the booking has it already."""
    return f"Slot/{slot['id']}" in wish.own_slots or _schedule_is_active(slot, facts)


def _schedule_is_active(slot: Resource, facts: Facts) -> bool:
    return claims.is_active(facts.schedules.get(claims.schedule_of(slot), {}))


def busy(wish: Wish, facts: Facts, taken: Sequence[Resource]) -> list[Problem]:
    """Name every appointment that holds time which is newly taken of a practitioner, and shares no Slot with it."""
    if wish.overbooks:
        return []
    rivals = [
        f"Appointment/{other['id']}"
        for other in facts.appointments
        if f"Appointment/{other['id']}" != wish.own
        and (span := intervals.of(other)) is not None
        and any(span.overlaps(newly) for newly in wish.newly)
        and not _together(other, span, wish, facts, taken)
    ]
    if not rivals:
        return []
    return [
        Problem(
            "time_conflict",
            "The practitioner has another appointment at that time. Choose another time.",
            wish.names.start,
            {"appointments": [id_of(rival) for rival in rivals]},
        )
    ]


def _together(other: Resource, span: Interval, wish: Wish, facts: Facts, taken: Sequence[Resource]) -> bool:
    """Tell whether the two hold Slots for several together, for each practitioner that both have."""
    theirs = claims.slots(other)
    shared = [slot for slot in taken if f"Slot/{slot['id']}" in theirs and occupancy.capacity(slot) > 1]
    if not shared:
        return False
    overlap = Interval(max(span.start, wish.when.start), min(span.end, wish.when.end))
    theirs = facts.people.of(claims.practitioners(other))
    nameless = not any(name.startswith(claims.PRACTITIONERS) for name in (*wish.practitioners, *theirs))
    return all(
        occupancy.share(overlap, [slot for slot in shared if _is_of(one, slot, facts, nameless=nameless)])
        for one in set(wish.practitioners) & set(theirs)
    )


def _is_of(person: str, slot: Resource, facts: Facts, *, nameless: bool) -> bool:
    """Tell whether a Slot is `person`'s; where nobody has an id (`nameless`), any practitioner's Slot may be theirs."""
    offered = _people(slot, facts)
    return person in offered or (nameless and bool(offered))


def _unavailable(slots: Sequence[Resource], param: str, text: str, schedules: Sequence[str]) -> Problem:
    """Return the problem with Slots that are not to be had, and with Schedules that have leave or are a thing's."""
    in_the_way = [slot["id"] for slot in slots if slot["status"] != "free"] or [slot["id"] for slot in slots]
    told = {"schedules": [id_of(name) for name in schedules]} if schedules else {}
    return Problem("slot_unavailable", text, param, {"slots": in_the_way} | told)
