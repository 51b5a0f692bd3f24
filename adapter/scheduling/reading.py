"""Reads what a claim set is to be judged on: a handful of queries, however many changes it has."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from adapter.scheduling import along, bounds, claiming, claims, foresight, leave, people, rooms, surplus, taking
from adapter.scheduling.along import Offers, filed, overlapping
from adapter.scheduling.calendars import Calendar
from adapter.scheduling.claimset import ClaimSet
from adapter.scheduling.hours import Timetable
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People
from store.codec import Resource
from store.extract import references
from store.indexing import naming
from store.unit_of_work import UnitOfWork

Seeking = tuple[str, list[str], Interval]
"""An appointment (``Appointment/a``), for which practitioners it is to find Slots, and when."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored around a claim set, by relative reference; of what the set writes there may be less.

    Attributes:
        slots: those that its appointments name or held, the published ones near those for whom some are looked for, and
            what overlaps one of a room (`rooms`).
        schedules: of these Slots, of written ones, and of the practitioners for whom some are looked for.
        appointments: that hold one of these Slots, or time of the practitioners near that asked for; and those that
            name a Slot which a no-show gives up.
        people: who is behind the roles.
        tables: the timetables of those of the Schedules that have weekly hours, as they are going to be (`leave`).
        hidden: computed Slots among them that nobody finds by time (`taking.hidden`).
        along: the Slots of what moves along with appointments of the set (`along`).
        openings: the openings near the time of an appointment of the set, by its name and the practitioner, where
            published Slots may be in its way.
    """

    slots: dict[str, Resource] = field(default_factory=dict)
    schedules: dict[str, Resource] = field(default_factory=dict)
    appointments: dict[str, Resource] = field(default_factory=dict)
    people: People = field(default_factory=People)
    tables: dict[str, Timetable] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    along: Offers = field(default_factory=dict)
    openings: Offers = field(default_factory=dict)


async def read(work: UnitOfWork, asked: ClaimSet, *, copied: bool = False) -> Stored:
    """Read what `asked` needs, each by an index; `copied` as for `settling.settle`.

    Raises:
        Unprocessable, TooLarge: it is more than can be decided at once (`bounds`).
    """
    await work.foresee(foresight.claim_set(asked))
    known = await _people(work, asked)
    bounds.require_affordable(asked, known)
    stirred = {name for visit in asked.visits.values() for name in visit.stirs}
    slots = await _named(work, "Slot", stirred - asked.written.keys())
    written = asked.written_of("Slot")
    named = asked.overlaid("Slot", slots)  # once, not for each
    offered_by = {
        name: schedule
        for name in {*stirred, *written}
        if (schedule := taking.schedule_of(name, named.get(name))) is not None
    }
    schedules = await _named(work, "Schedule", set(offered_by.values()) - asked.written.keys())
    opened = await taking.for_set(work, asked, slots, asked.overlaid("Schedule", schedules))
    seeking = _seeking(asked, Stored(slots | opened, schedules, people=known), offered_by, copied=copied)
    actors = known.names(person for _, persons, _ in seeking for person in persons)
    schedules |= await claiming.found(work, "Schedule", actors, partial(naming, "actor"))
    slots |= await _offers(work, asked, known, schedules, seeking)
    there = asked.overlaid("Schedule", schedules)
    moving = {} if copied else along.things(asked, slots, there, known)
    near, offers = await along.offers(work, asked, moving, there)
    slots |= near | opened
    final = asked.overlaid("Slot", slots)
    stirring = [name for visit, _, _ in asked.new for name in visit.stirs]
    stirring += [name for some in offers.values() for names in some.values() for name in names]
    taken = [final[name] for name in stirring if name in final]
    beside, theirs = await rooms.beside(work, taken, asked.overlaid("Schedule", schedules))
    slots, schedules = beside | slots, theirs | schedules
    things = {thing for some in offers.values() for thing in some}
    tables = await _timetables(work, asked, known, slots, schedules, seeking, things)
    beyond, openings = ({}, {}) if copied else await _openings(work, asked, known, slots, schedules, tables, seeking)
    slots = beyond | slots
    for name in written:
        slots.pop(name, None)
    held = {*stirred, *written, *slots}
    rivals = [
        name
        for _, stake, when in asked.new
        if not stake.beside
        for name in claims.names(known.names(known.of(stake.people)), when)
    ]
    appointments = await claiming.found(work, "Appointment", [*rivals, *held])
    left = [name for visit in asked.visits.values() if visit.had is None for name in visit.gives_up]
    # A no-show's: another may leave it busy.
    appointments |= await claiming.found(work, "Appointment", left, partial(naming, "slot"))
    return Stored(slots, schedules, appointments, known, tables, taking.hidden(asked, slots), offers, openings)


async def _people(work: UnitOfWork, asked: ClaimSet) -> People:
    visits = [visit.appointment for visit, _, _ in asked.new]
    for visit in asked.visits.values():
        if visit.sheds:  # whose the Slots are that may go back
            visits += [visit.draft.before or {}, visit.appointment]
    names = [name for one in visits for name in claims.practitioners(one, declined=True)]
    if not names:
        return People()
    return await people.read(work, names, asked.after("PractitionerRole"))


def _seeking(asked: ClaimSet, stored: Stored, offered_by: Mapping[str, str], *, copied: bool) -> list[Seeking]:
    """Return for whom Slots are to be found; `offered_by` is the Schedule of each Slot that is named.

    What is given back is named no longer: for whose it was, one is looked for.
    """
    found: list[Seeking] = []
    slots, schedules = asked.overlaid("Slot", stored.slots), asked.overlaid("Schedule", stored.schedules)
    for visit, stake, when in asked.new:
        gone = frozenset() if copied else surplus.of(visit, slots, schedules, stored.people)
        kept = [offered_by.get(name, "") for name in stake.slots if name not in gone]
        named = [schedules[name] for name in kept if name in schedules]
        persons = [
            one for one in visit.seeks(stored.people, named, copied=copied) if one.startswith(claims.PRACTITIONERS)
        ]
        found += [(visit.name, persons, when)] if persons else []
    return found


async def _offers(
    work: UnitOfWork,
    asked: ClaimSet,
    known: People,
    schedules: dict[str, Resource],
    seeking: Iterable[Seeking],
) -> dict[str, Resource]:
    """Read the Slots that are published near the times for which some are to be found."""
    calendars = _calendars(asked, known, schedules)
    names = [
        name
        for _, persons, when in seeking
        for person in persons
        for name in claims.names(calendars.get(person, ()), when)
    ]
    return await claiming.found(work, "Slot", names)


def _calendars(asked: ClaimSet, known: People, schedules: Mapping[str, Resource]) -> dict[str, list[str]]:
    """Return the Schedules of each practitioner, as they are going to be."""
    calendars: dict[str, list[str]] = {}
    for name, schedule in asked.overlaid("Schedule", schedules).items():
        for person in known.of(references(schedule, "actor")):
            calendars.setdefault(person, []).append(name)
    return calendars


async def _openings(
    work: UnitOfWork,
    asked: ClaimSet,
    known: People,
    slots: Mapping[str, Resource],
    schedules: Mapping[str, Resource],
    tables: Mapping[str, Timetable],
    seeking: Iterable[Seeking],
) -> tuple[dict[str, Resource], Offers]:
    """Read the openings of practitioners near times at which they have published Slots; return where they matter.

    Where nothing is published, a time is taken without any.
    """
    calendars = _calendars(asked, known, schedules)
    published = filed(asked.overlaid("Slot", slots), passed_over=taking.hidden(asked, slots))
    wanted = [
        (visit, person, when)
        for visit, persons, when in seeking
        for person in persons
        if any(name in tables for name in calendars.get(person, ())) and overlapping(published, calendars[person], when)
    ]
    if not wanted:
        return {}, {}
    times: dict[str, list[Interval]] = {}
    for _, person, when in wanted:
        for name in calendars[person]:
            times.setdefault(name, []).append(when)
    there = asked.overlaid("Schedule", schedules)
    used = [(Calendar(there[name], tables[name]), theirs) for name, theirs in times.items() if name in tables]
    found = await taking.opened_for_set(work, asked, used)
    opened = filed(found)
    near: dict[str, dict[str, list[str]]] = {}
    for visit, person, when in wanted:
        near.setdefault(visit, {})[person] = overlapping(opened, calendars[person], when)
    return found, near


async def _timetables(
    work: UnitOfWork,
    asked: ClaimSet,
    known: People,
    slots: Mapping[str, Resource],
    schedules: Mapping[str, Resource],
    seeking: Sequence[Seeking],
    things: Container[str],
) -> dict[str, Timetable]:
    """Read the timetables by which leave may be in the way: of the Slots that are named, of those for whom none are.

    Those of `things` that move along, too.
    """
    there = asked.overlaid("Schedule", schedules)
    final = asked.overlaid("Slot", slots)
    named = (final[name] for _, stake, _ in asked.new for name in stake.slots if name in final)
    wanted = {claims.schedule_of(slot) for slot in named if not leave.is_judged_elsewhere(slot)}
    if seeking:
        people_ = {person for _, persons, _ in seeking for person in persons}
        wanted |= {name for name, one in there.items() if people_ & {*known.of(references(one, "actor"))}}
    concerned = [one for name, one in there.items() if name in wanted or name in things]
    return await leave.timetables(work, concerned, work.zone, asked.after("HealthcareService"))


async def _named(work: UnitOfWork, kind: str, names: Iterable[str]) -> dict[str, Resource]:
    return await work.read_many(sorted({name for name in names if name.startswith(f"{kind}/")}))
