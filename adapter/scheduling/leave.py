"""Leave closes what is published inside it: a Slot that touches a ``notAvailable`` of its Schedule is nobody's.

It is the leave of one Schedule with weekly hours (and of its HealthcareServices): whoever is away from one place may be
at another. A Slot keeps its status; whoever has it already keeps it. Likewise one that was set busy by hand stays what
it is, meant for the appointment that is going to name it: so visits that were agreed before can be
brought in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import tzinfo

from adapter.scheduling import calendars, claims, intervals, openings, people
from adapter.scheduling.calendars import Reader
from adapter.scheduling.hours import Timetable
from adapter.scheduling.indexes import SLOT_TIMES, SLOTS_BY_SCHEDULE
from adapter.scheduling.intervals import Interval
from store import slotids
from store.codec import Resource
from store.dates import shifted
from store.extract import reference
from store.source import Documents


async def timetables(
    find: people.Finds,
    schedules: Iterable[Resource],
    zone: tzinfo,
    services: Mapping[str, Resource | None] | None = None,
) -> dict[str, Timetable]:
    """Return the timetables of those `schedules` that have weekly hours and are active, by name (``Schedule/s``).

    Nothing is read where there are no such; else the HealthcareServices they are of, under those that are written
    (`services`, as for `calendars.read`).
    """
    active = [one for one in schedules if claims.is_active(one)]
    return {one.name: one.table for one in await calendars.read(find, active, zone, services)}


def is_judged_elsewhere(slot: Resource) -> bool:
    """Tell whether a Slot is a computed opening that is free: whether that is open is told by its computation."""
    return slot["status"] == "free" and slotids.is_computed(slot)


def closes(tables: Mapping[str, Timetable], slot: Resource) -> bool:
    """Tell whether leave of its Schedule touches a Slot."""
    table = tables.get(claims.schedule_of(slot))
    when = None if table is None else intervals.of(slot)
    return table is not None and when is not None and table.is_away(when)


def is_in(tables: Iterable[Timetable], when: Interval) -> bool:
    """Tell whether somebody with these timetables is in: one has the time within its hours, and no leave then."""
    return any(not one.is_away(when) and openings.covers(one, when) for one in tables)


async def slots(source: Documents, window: Interval, schedules: Iterable[Resource] | None, zone: tzinfo) -> list[str]:
    """Return the ids of free Slots that begin in `window` and are closed by leave.

    Args:
        source: where to look.
        window: of time.
        schedules: those that matter; None for all.
        zone: of hours whose Schedule names no time zone.
    """
    reader = Reader(source)
    if schedules is None:
        schedules = await reader.find("Schedule", {"_index.computed": True})
    near = Interval(window.start, shifted(window.end, intervals.LONGEST))
    tables = {name: table for name, table in (await timetables(reader, schedules, zone)).items() if table.is_away(near)}
    if not tables:
        return []
    query = {
        "_index.schedule": {"$in": await calendars.spellings(source, tables, window)},
        "_index.status": "free",
        "_index.start": {"$gte": window.start, "$lt": window.end},
    }
    found = await source.values("Slot", query, SLOT_TIMES, hint=SLOTS_BY_SCHEDULE)
    return [
        slot["_id"]
        for slot in found
        if tables[reference((index := slot["_index"])["schedule"])].is_away(Interval(index["start"], index["end"]))
    ]
