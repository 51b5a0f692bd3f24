"""Which rooms and devices move along with appointments whose writes do not say otherwise, and what they have there.

A write that names no Slots leaves them to the service: the practitioners' are looked for at the new time, and so are
those of the things that the appointment had. One that names Slots says which things it keeps; a link that is left over
from the former time says that as well.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from adapter.scheduling import bounds, claiming, claims, intervals, leave, people, surplus, taking
from adapter.scheduling.calendars import Calendar
from adapter.scheduling.claimset import ClaimSet, Stake, Visit
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People
from store.codec import Resource
from store.unit_of_work import UnitOfWork

Moving = Mapping[str, tuple[Interval, Sequence[str]]]
"""By an appointment's name (``Appointment/a``) its new time, and the Schedules of what moves along there."""
Offers = Mapping[str, Mapping[str, Sequence[str]]]
"""By an appointment's name each of these Schedules, with its Slots near the time, in whatever status."""

Filed = Mapping[str, Sequence[tuple[Interval, str]]]
"""Slots by what they claim (``Schedule/s|2024-01-20T10``): when they are, and their names."""


def things(asked: ClaimSet, stored: Mapping[str, Resource], schedules: Mapping[str, Resource], known: People) -> Moving:
    """Return what moves along with the appointments of a set.

    Args:
        asked: the set.
        stored: the Slots that they have, as they are stored, but for those that the set writes.
        schedules: of these Slots, as they are going to be.
        known: who is behind the roles.
    """
    before = {**stored, **{name: draft.before for name, draft in asked.written_of("Slot").items() if draft.before}}
    final = asked.overlaid("Slot", stored)
    found: dict[str, tuple[Interval, Sequence[str]]] = {}
    for visit, stake, when in asked.new:
        left = _left_behind(visit, stake, when, before)
        gone = surplus.left(visit, before, schedules, known) if left else ()
        kept = {claims.schedule_of(final[name]) for name in _at(stake.slots, when, final)}
        theirs = {claims.schedule_of(before[name]) for name in left if name not in gone} - kept
        there = {name: schedules[name] for name in sorted(theirs) if name in schedules}
        moving = people.moving_along(visit.appointment, there)
        if moving:
            found[visit.name] = when, moving
    bounds.require_few_hours((len(some), when) for when, some in found.values())
    return found


def _left_behind(visit: Visit, stake: Stake, when: Interval, slots: Mapping[str, Resource]) -> list[str]:
    """Return the Slots at its former time of whose Schedule it has none at the new one.

    If it names Slots, those of the former ones that it leaves out are given up on purpose.
    """
    had = visit.had
    if had is None or had.when is None:
        return []
    meant = [name for name in had.slots if not stake.slots or name in stake.slots]
    staying = {claims.schedule_of(slots[name]) for name in _at(had.slots, when, slots)}
    return [name for name in _at(meant, had.when, slots) if claims.schedule_of(slots[name]) not in staying]


def _at(names: Iterable[str], when: Interval, slots: Mapping[str, Resource]) -> list[str]:
    there = ((name, intervals.of(slots[name])) for name in names if name in slots)
    return [name for name, span in there if span is not None and span.overlaps(when)]


async def offers(
    work: UnitOfWork, asked: ClaimSet, moving: Moving, schedules: Mapping[str, Resource]
) -> tuple[dict[str, Resource], Offers]:
    """Read the Slots and openings of what moves along, near the new times.

    Args:
        work: the unit of work to read through; rivals for the openings will meet it.
        asked: the set.
        moving: what moves along.
        schedules: of it, as they are going to be.

    Returns:
        Those that the set does not write, by name; and for each appointment which there are.
    """
    if not moving:
        return {}, {}
    names = sorted({name for _, some in moving.values() for name in some})
    wanted = [claim for when, some in moving.values() for claim in claims.names(some, when)]
    published = asked.overlaid("Slot", await claiming.found(work, "Slot", wanted))
    # An opening that was given back is one again only if it is computed anew.
    found = {name: slot for name, slot in published.items() if not taking.is_left_over(slot, (), None)}
    tables = await leave.timetables(
        work, [schedules[name] for name in names], work.zone, asked.after("HealthcareService")
    )
    if tables:
        times: dict[str, list[Interval]] = {}
        for when, some in moving.values():
            for name in some:
                times.setdefault(name, []).append(when)
        used = [(Calendar(schedules[name], table), times[name]) for name, table in tables.items()]
        found |= await taking.opened_for_set(work, asked, used)
    by_hour = filed(found)
    near = {
        visit: {thing: overlapping(by_hour, [thing], when) for thing in some} for visit, (when, some) in moving.items()
    }
    return {name: slot for name, slot in found.items() if name not in asked.written}, near


def filed(slots: Mapping[str, Resource], *, passed_over: Container[str] = ()) -> Filed:
    """Return when `slots` are, with their names, by what they claim."""
    found: dict[str, list[tuple[Interval, str]]] = {}
    for name, slot in slots.items():
        when = intervals.of(slot)
        if when is not None and name not in passed_over:
            for claim in claims.claims(slot).names:
                found.setdefault(claim, []).append((when, name))
    return found


def overlapping(slots: Filed, schedules: Iterable[str], when: Interval) -> list[str]:
    """Return those of the `filed` Slots of some Schedules that overlap a time."""
    near = (pair for claim in claims.names(schedules, when) for pair in slots.get(claim, ()))
    return list(dict.fromkeys(name for span, name in near if span.overlaps(when)))
