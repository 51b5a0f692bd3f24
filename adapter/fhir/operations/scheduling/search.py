"""Finds time that is free: which openings suit whom, one after another for a longer visit, and at which place.

What is open is told by `adapter.scheduling.availability`; here openings of several Schedules are put together. All or
nothing: a candidate has the Slots of every Schedule that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, NamedTuple

import orjson

from adapter.aside import aside
from adapter.fhir.operations.scheduling import following
from adapter.scheduling import claims, free_slots, hours, intervals
from adapter.scheduling.availability import FEW, first, openings
from adapter.scheduling.intervals import Interval
from adapter.scheduling.lookup import Opening, Wanted
from adapter.scheduling.openings import merged, touches
from adapter.scheduling.status import HOLDING
from store.codec import Resource
from store.dates import shifted
from store.extract import reference, references, walk
from store.indexing import naming
from store.reading import Moment

Query = Mapping[str, Any]

_DAY = timedelta(days=1)


class Candidate(NamedTuple):
    """A time that could be booked.

    Attributes:
        when: the time.
        openings: the Slots it takes, with their Schedules.
        place: a Location that has no Schedule of its own (``Location/l``), where one was asked for.
    """

    when: Interval
    openings: tuple[Opening, ...]
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for.

    Attributes:
        window: within it.
        people: any of these practitioners (or roles); none: whoever.
        places: at any of these Locations; none: wherever.
        others: further groups of actors, of each of which a Schedule must name one.
        service_types, specialties: tokens, any of each.
        minutes: how long; 0: as long as a Slot.
    """

    window: Interval
    people: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    others: tuple[tuple[str, ...], ...] = ()
    service_types: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    minutes: int = 0

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Return the groups of actors of which a single Schedule would have to name one each."""
        return tuple(group for group in (self.people, self.places, *self.others) if group)


async def page(
    moment: Moment, search: Search, visits: Sequence[Query], count: int, *, zone: tzinfo
) -> tuple[list[Candidate], int]:
    """Return the first `count` candidates and how many there are.

    Published Slots among them may not have been read (`Opening.made`). They come in order of time, then of the caller's
    preference, then of the Slots' ids. None overlaps an appointment that matches one of the queries `visits`: those
    that the patients have already.
    """
    one_each = all(len(group) == 1 for group in search.groups())
    if one_each and not search.minutes and not visits and not await _puts_together(moment, search, zone=zone):
        # One opening each, and no preference among them: in that order already.
        wanted = replace(_wanted(search), limit=count, contents=True)
        found, total = await first(moment, wanted, zone=zone)
        return [Candidate(one.when, (one,)) for one in found], total
    every = await without_clashes(moment, await candidates(moment, search, zone=zone), visits)
    return every[:count], len(every)


def _wanted(search: Search) -> Wanted:
    # Of those that are put together for a longer visit the last may reach beyond the window.
    return Wanted(
        search.window,
        search.groups(),
        service_types=search.service_types,
        specialties=search.specialties,
        contents=False,
        whole=not search.minutes,
    )


async def candidates(moment: Moment, search: Search, *, zone: tzinfo) -> list[Candidate]:
    """Return what is free, in order of time, then of the caller's preference, then of the Slots' ids."""
    if await _puts_together(moment, search, zone=zone):
        found = await _together(moment, search, zone=zone)
    else:
        free = await openings(moment, _wanted(search), zone=zone)
        found = await aside(
            lambda: [Candidate(when, run) for when, run in following.runs(free, search.minutes, search.window.end)],
            much=len(free) > FEW,
        )
    return await aside(lambda: _ordered(found, search), much=len(found) > FEW)


def _ordered(found: Iterable[Candidate], search: Search) -> list[Candidate]:
    ranks: dict[object, tuple[int, ...]] = {}  # by whose they are: of many there are few

    def place(one: Candidate) -> tuple[datetime, tuple[int, ...], str]:
        whose = (*(opening.schedule["id"] for opening in one.openings), one.place)
        if whose not in ranks:
            ranks[whose] = _preference(one, search)
        return one.when.start, ranks[whose], one.openings[0].ident

    return sorted(found, key=place)


async def _puts_together(moment: Moment, search: Search, *, zone: tzinfo) -> bool:
    """Tell whether a candidate may need Slots of several Schedules: a practitioner's, and those of the place."""
    if not search.places:
        return False
    return bool(search.people) or any(map(_is_rooms, await _of_places(moment, search, zone=zone)))


async def _of_places(moment: Moment, search: Search, *, zone: tzinfo) -> list[Resource]:
    """Return the Schedules of the places that are nobody's: of all that are there, few.

    None that is over, or planned for another time, unless it has Slots then all the same: each says itself when it is.
    """
    query = naming("actor", search.places, {"_index.nobodys": True, "_index.active": {"$ne": "false"}})
    every = {f"Schedule/{one['id']}": one for one in map(orjson.loads, await moment.find("Schedule", query))}
    planned = {name for name, one in every.items() if hours.horizon(one, zone).overlaps(search.window)}
    there = planned | await free_slots.publishing(moment, search.window, sorted(every.keys() - planned))
    return [one for name, one in every.items() if name in there]


async def _together(moment: Moment, search: Search, *, zone: tzinfo) -> list[Candidate]:
    """Put openings of practitioners beside those of the places, where these have Schedules of their own.

    A practitioner's Schedule that names a Location is for there; one that names none is for anywhere, if the
    practitioner is asked for. A room, which has a Schedule whose actors are Locations alone, is taken in either case; a
    Schedule that is a service's as well tells only where practitioners could be who name no place: at a whole site many
    see patients at once. A Schedule that is not active makes no room. If no practitioner is asked for, what the places
    offer by themselves is found as well.
    """
    wanted = _wanted(search)
    theirs = replace(wanted, actors=replace(search, places=()).groups()) if search.people else wanted
    usable = [
        one
        for one in await openings(moment, theirs, zone=zone)
        if not (named := claims.places_of(one.schedule)) or not named.isdisjoint(search.places)
    ]
    if not usable:
        return []
    own = await _of_places(moment, search, zone=zone)
    kept = {name for one in own for name in claims.places_of(one)}
    rooms = {name for one in own if _is_rooms(one) for name in claims.places_of(one)}
    # A room may be had by a Slot that began before; nothing that is computed lasts longer than a day.
    first = shifted(min(one.when.start for one in usable), -_DAY)
    around = Interval(
        await free_slots.under_way(moment, first, [f"Schedule/{one['id']}" for one in own]), search.window.end
    )
    theirs = Wanted(around, (tuple(sorted(kept)),), contents=False)
    there = await openings(moment, theirs, zone=zone) if kept else []
    return await aside(lambda: _beside(search, usable, there, kept, rooms), much=len(usable) + len(there) > FEW)


def _beside(
    search: Search, usable: Iterable[Opening], there: Iterable[Opening], kept: set[str], rooms: set[str]
) -> list[Candidate]:
    """Return the openings of practitioners with what is free then at the places: `kept` have Schedules, `rooms` too."""
    free: dict[str, list[Opening]] = {}
    for one in there:
        if _is_of_place(one.schedule):
            for name in claims.places_of(one.schedule):
                free.setdefault(name, []).append(one)
    near = {name: following.Near(some) for name, some in free.items()}
    found: list[Candidate] = []
    for when, run in _runs(usable, search):
        if _is_of_place(run[0].schedule):
            found.append(Candidate(when, run))
            continue
        named = claims.places_of(run[0].schedule)
        for place in search.places:
            if named and place not in named:
                continue
            if place not in (rooms if named else kept):
                found.append(Candidate(when, run, None if named else place))
                break
            around = near[place].to(when) if place in near else ()
            beside = following.covering((one for one in around if not named or _is_rooms(one.schedule)), when)
            if beside:
                found.append(Candidate(when, (*run, *beside)))
                break
    return found


def _is_of_place(schedule: Resource) -> bool:
    """Tell whether a Schedule is nobody's who could be elsewhere."""
    return not any(name.startswith(claims.PRACTITIONERS) for name in references(schedule, "actor"))


def _is_rooms(schedule: Resource) -> bool:
    """Tell whether a Schedule is that of a room alone."""
    return all(reference(one.get("reference", "")).startswith("Location/") for one in walk(schedule, "actor"))


def _runs(found: Iterable[Opening], search: Search) -> Iterator[tuple[Interval, tuple[Opening, ...]]]:
    return following.runs(found, search.minutes, search.window.end)


def _preference(found: Candidate, search: Search) -> tuple[int, ...]:
    groups = search.groups()
    actors = {name for one in found.openings for name in references(one.schedule, "actor")}
    actors |= {found.place} if found.place else set()
    return tuple(next((rank for rank, name in enumerate(group) if name in actors), len(group)) for group in groups)


async def without_clashes(moment: Moment, found: list[Candidate], visits: Sequence[Query]) -> list[Candidate]:
    """Leave out what overlaps an appointment that matches one of the queries."""
    if not visits or not found:
        return found
    earliest = shifted(min(one.when.start for one in found), -intervals.LONGEST)
    last = max(one.when.end for one in found)
    then = {"_index.date": {"$gte": earliest, "$lt": last}, "_index.status": {"$in": list(HOLDING)}}
    raw = await moment.find("Appointment", {"$or": [{**one, **then} for one in visits]})
    busy = merged(when for one in raw if (when := intervals.of(orjson.loads(one))) is not None)
    return await aside(lambda: [one for one in found if not touches(one.when, busy)], much=len(found) > FEW)
