"""Reads what stands in the way of computed openings: visits, Slots that are held, rooms that are had elsewhere.

For many calendars (`calendars`) at once, in few queries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from adapter.scheduling import claiming, claims, intervals, occupancy, openings, people, rooms
from adapter.scheduling.calendars import Calendar
from adapter.scheduling.hours import Timetable
from adapter.scheduling.intervals import MINUTE, Interval
from adapter.scheduling.people import People
from adapter.scheduling.status import HOLDING
from store import slotids
from store.codec import Resource
from store.dates import shifted
from store.extract import id_of
from store.indexing import naming

_ROLE = "PractitionerRole/"


async def with_busy(
    find: people.Finds,
    calendars: Sequence[Calendar],
    window: Interval,
    *,
    without: frozenset[str] = frozenset(),
    written: Mapping[str, Resource | None] | None = None,
) -> list[Calendar]:
    """Return `calendars` with all that can be in the way of visits that begin in `window`.

    Args:
        find: what to read through.
        calendars: from `calendars.read`.
        window: of time.
        without: Appointments and Slots that do not count: those that are about to move.
        written: Slots and PractitionerRoles as they are going to be, by reference; None for those that go.
    """
    given = written or {}
    if not calendars:
        return []
    near = _near(calendars, window)
    actors = {one.name: claims.offering(one.schedule) for one in calendars}
    everyone = [name for names in actors.values() for name in names]
    known = await people.read(find, everyone, {name: one for name, one in given.items() if name.startswith(_ROLE)})
    names = known.names(known.of(everyone))
    alike = await rooms.schedules(find, [one.schedule for one in calendars])
    listed = [*dict.fromkeys((*(one.name for one in calendars), *alike))]
    hour = Interval(near.start, near.start + MINUTE)  # who began earlier and still goes on claims this hour
    between = {"$gte": near.start, "$lt": near.end}
    slots = await find.find(
        "Slot",
        {
            "$or": [
                *naming("schedule", listed, {"_index.start": between})["$or"],
                {"_index.claims": {"$in": list(claims.names(listed, hour))}},
                {"_index.otherwise": {"$gte": window.start, "$lt": window.end}},
            ]
        },
    )
    slots = [slot for slot in slots if f"Slot/{slot['id']}" not in given]
    slots += [one for name, one in given.items() if one is not None and name.startswith("Slot/")]
    appointments: list[Resource] = []
    if names:
        appointments = await find.find(
            "Appointment",
            {
                "_index.status": {"$in": list(HOLDING)},
                "$or": [
                    *naming("actor", names, {"_index.date": between})["$or"],
                    {"_index.claims": {"$in": list(claims.names(names, hour))}},
                ],
            },
        )
    taken = _taken([one for one in appointments if f"Appointment/{one['id']}" not in without], known)
    stored: dict[str, dict[str, Resource]] = {}
    for slot in slots:
        stored.setdefault(claims.schedule_of(slot), {})[slot["id"]] = slot
    unnamed = frozenset(slot["id"] for slot in slots if slotids.parts(slot["id"]) and not slotids.is_computed(slot))
    had = await rooms.had(find, slots, alike, without) if alike else {}
    shared = await _shared(find, slots, without)
    made: list[Calendar] = []
    for one in calendars:
        own = stored.get(one.name, {})
        persons = known.of(actors[one.name])
        visits = [when for name in persons for when in taken.get(name, ())]
        counting = [slot for slot in own.values() if f"Slot/{slot['id']}" not in without or slot["id"] in shared]
        busy = [when for slot in counting for when in _held(slot, one.table, shared)]
        spans = tuple(openings.merged([*visits, *busy, *had.get(rooms.of(one.schedule), ())]))
        made.append(replace(one, people=persons, names=known.names(persons), busy=spans, slots=own, unnamed=unnamed))
    return made


def _near(calendars: Sequence[Calendar], window: Interval) -> Interval:
    """Return the time in which something can be in the way of a visit that begins in `window`."""
    last = Interval(window.start, shifted(window.end, timedelta(minutes=max(one.table.minutes for one in calendars))))
    reach = [one.table.reach(last) for one in calendars]
    return Interval(min(one.start for one in reach), max(one.end for one in reach))


def _taken(appointments: Iterable[Resource], known: People) -> dict[str, list[Interval]]:
    """Return the times that appointments hold, by practitioner; those that stand beside others hold none."""
    made: dict[str, list[Interval]] = {}
    for one in appointments:
        when = intervals.of(one)
        if when is not None and not claims.stands_beside(one):
            for name in known.of(claims.practitioners(one)):
                made.setdefault(name, []).append(when)
    return made


async def _shared(find: people.Finds, slots: Iterable[Resource], without: frozenset[str]) -> set[str]:
    """Return the ids of Slots for several that somebody holds who is not in `without`: they may still be free."""
    several = {f"Slot/{slot['id']}" for slot in slots if occupancy.capacity(slot) > 1}
    if not several:
        return set()
    found = set[str]()
    for query in claiming.queries(sorted(several)):
        holders = await find.find("Appointment", query)
        staying = [one for one in holders if f"Appointment/{one['id']}" not in without]
        found |= {id_of(name) for one in staying for name in claims.slots(one) if name in several}
    return found


def _held(slot: Resource, table: Timetable, shared: Collection[str]) -> list[Interval]:
    """Return the time that a stored Slot keeps others from: with its buffers, if it is an opening of the timetable."""
    when = intervals.of(slot)
    offered = slot["status"] == "free" and slot["id"] not in shared
    if when is None or offered or slot["status"] == "entered-in-error":
        return []
    return [table.kept(when) if slotids.is_computed(slot) else when]
