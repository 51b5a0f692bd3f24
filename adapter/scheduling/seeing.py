"""Reads what a decision about one appointment is to see: each by an index, and no more than it needs.

What a whole claim set is judged on is read by `reading`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapter.scheduling import booking, claims, intervals, leave, occupancy, people, rooms, taking
from adapter.scheduling.calendars import Calendar
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People
from adapter.scheduling.wish import Facts, Wish
from store.codec import Resource
from store.extract import id_of
from store.indexing import naming
from store.unit_of_work import UnitOfWork


async def read(
    work: UnitOfWork,
    appointment: Resource,
    wish: Wish,
    named: Resource | None,
    held: Sequence[Resource],
    known: People,
    *,
    deciding: bool,
) -> tuple[Wish, Facts]:
    """Return the wish with the things that move along, and what the decision about it is to see.

    Args:
        work: the unit of work to read through.
        appointment: what is wished for.
        wish: what it asks for.
        named: the Slot asked for by name, if there is such a one.
        held: the Slots that the appointment links to as it is stored.
        known: who is behind its roles.
        deciding: whether time is taken; else only the named Slot has to agree with the rest.
    """
    mine = set(map(claims.schedule_of, held))
    near = {*mine, *([] if named is None else [claims.schedule_of(named)])}
    by_time = deciding and named is None and not wish.beside
    persons = known.names(wish.practitioners) if by_time else ()
    schedules = await _schedules(work, persons, near)
    things = people.moving_along(appointment, {name: one for name, one in schedules.items() if name in mine})
    wish = replace(wish, things=things)
    if not deciding:
        return wish, Facts(named, schedules, people=known)
    sought = booking.sought(wish, Facts(named, schedules, people=known))
    others = known.names(one for one in sought if one not in things)
    if others and not by_time:
        schedules |= await _schedules(work, others, ())
    slots = await _slots(work, wish, schedules) if sought else []
    unjudged = claims.schedule_of(named) if named is not None and leave.is_judged_elsewhere(named) else None
    judged = [one for name, one in schedules.items() if name != unjudged]
    tables = await leave.timetables(work, judged, work.zone)
    computed = [Calendar(schedules[name], tables[name]) for name in things if name in tables and name in sought]
    without = wish.own_slots | ({wish.own} if wish.own else set())
    if computed:
        # Its own Slot, if that is an opening still, is among the Slots already: it is busy.
        slots += await taking.opened_near(work, [(one, [wish.when]) for one in computed], without)
    rivals = () if wish.beside else known.names(wish.practitioners)
    appointments = await _claiming(work, "Appointment", rivals, wish.when)
    kept = _staying(wish, held)
    crowds = [
        slot
        for slot in (*slots, *([] if named is None else [named]), *kept)
        if wish.overbooks or f"Slot/{slot['id']}" in wish.own_slots or occupancy.capacity(slot) > 1
    ]
    of_things = [slot for slot in (*slots, *([] if named is None else [named])) if claims.schedule_of(slot) in things]
    engaged = await _engaged(work, wish, of_things, schedules) if of_things else frozenset[str]()
    held_by = await holders(work, crowds, wish.own)
    if wish.yields:
        kept = [slot for slot in kept if len(held_by[f"Slot/{slot['id']}"]) < occupancy.capacity(slot)]
    facts = Facts(named, schedules, slots, appointments, known, tables, held_by, engaged, kept)
    theirs = {name: schedules[name] for name in tables} if others else {}
    uncovered = known.serving(booking.uncovered(wish, facts), theirs)
    computed = [Calendar(theirs[name], tables[name]) for name in uncovered]
    if computed:
        openings = await taking.opened_near(work, [(one, [wish.when]) for one in computed], without)
        facts = replace(facts, openings=openings)
    return wish, facts


def _staying(wish: Wish, held: Sequence[Resource]) -> list[Resource]:
    """Return the Slots that the appointment goes on holding, whatever else is found for it.

    None is found by time for what stands beside others: so it keeps those that it leaves in part alone, which must not
    be had by the next one, where it names no other. Its things move along.
    """
    there = [slot for slot in held if is_at(slot, wish.when)]
    if not wish.newly:
        return there
    if not wish.beside or wish.slot is not None:
        return []
    own = [slot for slot in there if f"Slot/{slot['id']}" in wish.own_slots]
    return [slot for slot in own if claims.schedule_of(slot) not in wish.things]


def is_at(slot: Resource, when: Interval) -> bool:
    """Tell whether a Slot is of use to what is at `when`."""
    span = intervals.of(slot)
    return span is not None and span.overlaps(when) and slot["status"] != "entered-in-error"


async def _schedules(work: UnitOfWork, persons: Sequence[str], names: Collection[str]) -> dict[str, Resource]:
    """Read the Schedules of practitioners, and those of these names."""
    names = sorted(name for name in names if name.startswith("Schedule/"))
    if not persons:
        return await work.read_many(names)
    either: list[dict[str, Any]] = [*naming("actor", persons)["$or"]]
    either += [{"_id": {"$in": [id_of(name) for name in names]}}] if names else []
    found = await work.find("Schedule", {"$or": either})
    return {f"Schedule/{one['id']}": one for one in found}


async def _slots(work: UnitOfWork, wish: Wish, schedules: Mapping[str, Resource]) -> list[Resource]:
    """Read the published Slots of `schedules` near the time, those that are offered and those that are not."""
    offered = await _claiming(work, "Slot", tuple(schedules), wish.when)
    return [
        slot
        for slot in offered
        # Of a thing its own Slot is one of those that its time is put together from.
        if not taking.is_left_over(slot, () if claims.schedule_of(slot) in wish.things else wish.own_slots, wish.when)
    ]


async def _claiming(work: UnitOfWork, kind: str, whose: tuple[str, ...], when: Interval) -> list[Resource]:
    """Read the resources of a type that claim one of the hours of `when` for one of `whose`."""
    if not whose:
        return []
    query: dict[str, Any] = {"_index.claims": {"$in": list(claims.names(whose, when))}}
    return await work.find(kind, query)


async def _engaged(
    work: UnitOfWork, wish: Wish, slots: Sequence[Resource], schedules: Mapping[str, Resource]
) -> frozenset[str]:
    """Return those of `slots` whose room others have then; its own are in their way only at the time wished for."""
    beside, theirs = await rooms.beside(work, slots, schedules)
    if not beside:
        return frozenset()
    held = await holders(work, [*beside.values()], wish.own)  # `slots` are among them
    holding = {name: [one["id"] for one in ones] for name, ones in held.items()}
    hours = rooms.by_hour(rooms.hours(beside, theirs))
    found: set[str] = set()
    for slot in slots:
        name = f"Slot/{slot['id']}"
        own = (wish.when,) if name in wish.own_slots else ()
        near = {one for guard in rooms.guards(slot, theirs) for one in hours.get(guard, ())}
        others = [one for one in near if intervals.meet(*own, *filter(None, map(intervals.of, (slot, beside[one]))))]
        found |= {name} if rooms.is_had(name, others, holding) else set()
    return frozenset(found)


async def holders(work: UnitOfWork, slots: Sequence[Resource], own: str | None) -> dict[str, list[Resource]]:
    """Read the appointments that hold `slots`, `own` left out, by the Slot's name."""
    found: dict[str, list[Resource]] = {f"Slot/{slot['id']}": [] for slot in slots}
    if found:
        for one in await work.find("Appointment", {"_index.claims": {"$in": list(found)}}):
            for name in claims.slots(one):
                if name in found and f"Appointment/{one['id']}" != own:
                    found[name].append(one)
    return found


async def linked(work: UnitOfWork, appointment: Resource) -> list[Resource]:
    """Read the Slots that an appointment links to, those that are there."""
    return list((await work.read_many(claims.slots(appointment))).values())


async def noted(work: UnitOfWork, before: Resource, when: Interval) -> list[Resource]:
    """Return the Slots that a proposal goes on noting when it moves: those at its new time, if they cover that."""
    slots = [await taking.named(work, id_of(name), before) for name in claims.slots(before)]
    there = [slot for slot in slots if slot is not None and is_at(slot, when)]
    return there if intervals.covered(when, filter(None, map(intervals.of, there))) else []
