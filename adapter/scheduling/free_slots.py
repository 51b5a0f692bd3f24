"""Published Slots that are open: the query that finds them, and what is read of them.

A Slot is open if it is free, its Schedule is active and fits what is looked for (`lookup`), and nothing else closes it:
its practitioner or room is engaged elsewhere then (`engaged`), or its Schedule has leave (`leave`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, tzinfo
from typing import Any

from adapter.scheduling import calendars, engaged, leave
from adapter.scheduling.indexes import SLOT_TIMES, SLOTS_BY_SCHEDULE, SLOTS_BY_STATUS
from adapter.scheduling.intervals import LONGEST, Interval
from adapter.scheduling.lookup import Opening, Wanted
from store.codec import Resource, decode
from store.dates import shifted
from store.extract import folded, reference
from store.indexing import naming
from store.reading import Moment
from store.search.tokens import stored_token, system_and_code
from store.source import PAGE_BYTES, fitting

ORDER = (("_index.start", 1), ("_id", 1))
"""How openings are sorted."""


async def query_for(
    source: Moment, wanted: Wanted, computing: Collection[Resource], zone: tzinfo
) -> tuple[dict[str, Any], tuple[str, ...], dict[str, Resource]]:
    """Return the query of the published Slots, the index that serves it, and the Schedules that were read for it."""
    query: dict[str, Any] = {
        "_index.status": "free",
        "_index.start": {"$gte": wanted.window.start, "$lt": wanted.window.end},
    }
    if wanted.minutes:
        query["_index.minutes"] = {"$gte": wanted.minutes}
    if wanted.whole:
        query["_index.end"] = {"$lte": wanted.window.end}
    schedules: dict[str, Resource] = {}
    if wanted.actors:
        found = await schedules_where(source, matching(wanted.actors))
        schedules = {name: one for name, one in found.items() if wanted.is_useful(name)}
        query["_index.schedule"] = {"$in": await calendars.spellings(source, schedules, wanted.window)}
        hint = SLOTS_BY_SCHEDULE
    else:
        # A Schedule that is not active must not be offered (FHIR: Schedule.active is a modifier).
        useless = [*await _names(source, {"_index.active": "false"}), *(wanted.passed_over or ())]
        query["_index.schedule"] = {"$nin": await calendars.spellings(source, useless, wanted.window)}
        hint = SLOTS_BY_STATUS
    asked = schedules.values() if wanted.actors else None
    hidden = await _not_offered(source, wanted, asked, computing, zone)
    if hidden:
        query["_id"] = {"$nin": hidden}
    both: list[dict[str, Any]] = []
    for own, none in stated(wanted):
        # A Slot's own says more than its Schedule's; without its own it has the Schedule's.
        inherited = await calendars.spellings(source, await _names(source, own), wanted.window)
        both.append({"$or": [own, {**none, "_index.schedule": {"$in": inherited}}]})
    if both:
        query["$and"] = both
    return query, hint, schedules


async def _not_offered(
    source: Moment,
    wanted: Wanted,
    schedules: Collection[Resource] | None,
    computing: Collection[Resource],
    zone: tzinfo,
) -> list[str]:
    """Return the ids of Slots that are stored as free and are not open as such.

    Computed ones that were booked and given back are open only while they are computed; and nobody can have one whose
    practitioner, or room, is engaged elsewhere then (`engaged`), or away (`leave`).

    Args:
        source: where to look.
        wanted: what for.
        schedules: those that matter; None for all.
        computing: the `computed_schedules` of `wanted`.
        zone: of hours whose Schedule names no time zone.
    """
    window, without = wanted.window, wanted.without
    query = {"_index.computed": {"$gte": window.start, "$lt": window.end}}
    leftover = await source.keys("Slot", query, limit=0)
    reach = await engaged.near(source, window, schedules)
    taken = await engaged.slots(source, window, reach, schedules, without)
    if wanted.passed_over is None:  # else rooms are anyhow
        taken += await engaged.in_rooms(source, window, reach, schedules, without)
    # Where all were looked at and none has weekly hours, none has leave.
    away = await leave.slots(source, window, schedules, zone) if computing or wanted.is_of_some else []
    return [*leftover, *taken, *away]


async def read(
    source: Moment, wanted: Wanted, query: dict[str, Any], hint: tuple[str, ...], schedules: dict[str, Resource]
) -> list[Opening]:
    """Return what is open of the published Slots, in order; the arguments are what `query_for` returns."""
    if wanted.contents:
        most = PAGE_BYTES if wanted.limit else 0  # of a page; who asks for all has to have all
        slots = await source.documents(
            "Slot", query, fields=SLOT_TIMES, sort=ORDER, limit=wanted.limit, hint=hint, most=most
        )
        slots = slots[: fitting(slots, most)] if most else slots
    else:
        slots = await source.values("Slot", query, SLOT_TIMES, sort=ORDER, limit=wanted.limit, hint=hint)
    names = {reference(name) for slot in slots if isinstance(name := slot["_index"].get("schedule"), str)}
    missing = sorted(names - schedules.keys())
    schedules |= {name: decode(one) for name, one in (await source.read_all(missing)).items()}
    return [
        Opening(slot["_id"], slot.get("_json"), schedules[name], Interval(index["start"], end), True)
        for slot in slots
        # A list of Schedules is none: it came from elsewhere than our doors.
        if (name := (index := slot["_index"]).get("schedule")).__class__ is str
        and (name := reference(name)) in schedules
        and (end := index.get("end")) is not None
    ]


async def publishing(source: Moment, window: Interval, schedules: Collection[str]) -> set[str]:
    """Return those of `schedules` that have Slots in `window`, free or not."""
    if not schedules:
        return set()
    begun = Interval(shifted(window.start, -LONGEST), window.end)
    names = await calendars.spellings(source, schedules, begun)
    query = {
        "_index.schedule": {"$in": names},
        "_index.status": {"$ne": "entered-in-error"},
        "_index.start": {"$gte": begun.start, "$lt": begun.end},
        "_index.end": {"$gt": window.start},
    }
    found = await source.distinct("Slot", "_index.schedule", query, limit=len(names))
    return {reference(one) for one in found}


async def under_way(source: Moment, moment: datetime, schedules: Collection[str]) -> datetime:
    """Return when the first of the free Slots began that go on at `moment`, of those that last longer than a day.

    `moment` itself, if there is none.
    """
    begun = Interval(shifted(moment, -LONGEST), moment)
    query = {
        "_index.schedule": {"$in": await calendars.spellings(source, schedules, begun)},
        "_index.status": "free",
        "_index.start": {"$gte": begun.start, "$lt": begun.end},
        "_index.long": {"$gt": moment},
    }
    found = await source.values("Slot", query, ("_index.start",), sort=ORDER, limit=1)
    return min((slot["_index"]["start"] for slot in found), default=moment)


def stated(wanted: Wanted) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the `_stating` of what is asked for: of service types and of specialties."""
    asked = (("service-type", wanted.service_types), ("specialty", wanted.specialties))
    return [_stating(element, codes, by_text=wanted.by_text) for element, codes in asked if codes]


def _stating(element: str, codes: Iterable[str], *, by_text: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the queries of the Slots, or Schedules, that state one of the codes, and of those that state none at all.

    Args:
        element: the search parameter.
        codes: as `Wanted` has them.
        by_text: as there.
    """
    field, wanted = f"_index.{element}", [system_and_code(code) for code in codes]
    coded: dict[str, Any] = {field: {"$in": [stored_token(*one) for one in wanted]}}
    if not by_text:
        return coded, {field: None}
    text = f"{field}:text"
    said = {field: None, text: {"$in": [folded(code) for _, code in wanted]}}
    return {"$or": [coded, said]}, {field: None, text: None}


def matching(actors: Iterable[Iterable[str]]) -> dict[str, Any]:
    """Return the query of the active Schedules that name one reference of each group, at whatever address."""
    groups = [naming("actor", group) for group in actors]
    active: dict[str, Any] = {"_index.active": {"$ne": "false"}}
    return active | ({"$and": groups} if groups else {})


async def schedules_where(source: Moment, query: dict[str, Any]) -> dict[str, Resource]:
    """Return the Schedules that match a query, by reference."""
    found = [decode(raw) for raw in await source.find("Schedule", query)]
    return {f"Schedule/{one['id']}": one for one in found}


async def _names(source: Moment, query: dict[str, Any]) -> list[str]:
    return [f"Schedule/{ident}" for ident in await source.keys("Schedule", query, limit=0)]
