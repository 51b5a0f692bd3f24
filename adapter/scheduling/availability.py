"""What is open: the one truth that MediLoop's availability, ``$find`` and every other door show.

Openings are published free Slots, and computed ones where a Schedule has weekly hours (`hours`, `openings`). Several
queries tell them, so they are read from one moment (`holds.settled`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

from adapter.aside import aside
from adapter.errors import Malformed, Problem
from adapter.scheduling import busy_times, calendars, free_slots
from adapter.scheduling import openings as computing
from adapter.scheduling.calendars import Reader
from adapter.scheduling.intervals import Interval
from adapter.scheduling.lookup import Opening, Wanted
from store import slotids
from store.codec import Resource, decode
from store.reading import Moment
from store.source import PAGE_BYTES, WHOLE_PAGE_BYTES, fitting

MOST_COMPUTED = 150_000
"""Openings that are computed for one request: some seconds of work. A quarter of a year of 60 practitioners, in quarter
hours from eight to five, are fewer."""
_TOO_MANY = (
    "There may be about {many} openings in that time, and "
    f"{MOST_COMPUTED} at most are computed for one request. Ask for a shorter time, or for one practitioner or place."
)
MOST_PUBLISHED = 150_000
"""Published free Slots that are put together for one request: each is looked at, as the answer tells how many there
are. Some hundred megabytes."""
_TOO_MANY_PUBLISHED = (
    f"More than {MOST_PUBLISHED} free Slots are published in that time, and no more are put together for one request. "
    "Ask for a shorter time, or for one practitioner or place."
)
FEW = 1_000
"""So many openings are dealt with at once; more beside other requests (`aside`)."""


async def openings(source: Moment, wanted: Wanted, *, zone: tzinfo) -> list[Opening]:
    """Return what is open, ordered by start, then by the Slot's id.

    Args:
        source: where to look.
        wanted: what for.
        zone: of hours whose Schedule names no time zone.
    """
    found = await _openings(source, wanted, await computed_schedules(source, wanted), zone)
    return found[: wanted.limit] if wanted.limit else found


async def first(source: Moment, wanted: Wanted, *, zone: tzinfo) -> tuple[list[Opening], int]:
    """Return the first `wanted.limit` of the `openings` (0: none), and how many there are in all.

    What is published is counted in the index: of a month's openings nothing is read but the page.
    """
    computing = await computed_schedules(source, wanted)
    if computing:
        found = await _openings(source, replace(wanted, limit=0, contents=False), computing, zone)
        shown = found[: wanted.limit]
        return await _with_contents(source, shown, PAGE_BYTES) if wanted.contents else shown, len(found)
    query, hint, known = await free_slots.query_for(source, wanted, computing, zone)
    shown = await free_slots.read(source, wanted, query, hint, known) if wanted.limit else []
    return shown, await source.count("Slot", query, hint=hint)


async def page(
    source: Moment, wanted: Wanted, computing: Sequence[Resource], skip: int, *, zone: tzinfo
) -> tuple[list[Resource], int]:
    """Return the Slots of `wanted.limit` openings after the first `skip`, and how many openings there are in all.

    As `first`, for pages that go by their number: each Slot that was counted has its place on its page, whether or not
    its Schedule is stored. A page has no more than `WHOLE_PAGE_BYTES` of Slots; those beyond are left out.

    Args:
        source: where to look.
        wanted: what for.
        computing: the `computed_schedules` of `wanted`.
        skip: how many are on the pages before.
        zone: of hours whose Schedule names no time zone.
    """
    if computing:
        found = await _openings(source, replace(wanted, limit=0, contents=False), computing, zone)
        shown = await _with_contents(source, found[skip : skip + wanted.limit], WHOLE_PAGE_BYTES)
        return [one.slot for one in shown], len(found)
    query, hint, _ = await free_slots.query_for(source, wanted, computing, zone)
    read = await source.documents(
        "Slot", query, sort=free_slots.ORDER, skip=skip, limit=wanted.limit, hint=hint, most=WHOLE_PAGE_BYTES
    )
    there = [decode(one["_json"]) for one in read[: fitting(read, WHOLE_PAGE_BYTES)]]
    return there, await source.count("Slot", query, hint=hint)


async def _with_contents(source: Moment, found: Sequence[Opening], most: int) -> list[Opening]:
    """Return `found` with the Slots that are stored, the first ones that have no more than `most` bytes."""
    wanted = [one.ident for one in found if one.stored]
    if not wanted:
        return list(found)
    read = await source.documents("Slot", {"_id": {"$in": wanted}}, sort=free_slots.ORDER, limit=len(wanted), most=most)
    made = {one["_id"]: one["_json"] for one in read[: fitting(read, most)]}
    left_out = (number for number, one in enumerate(found) if one.stored and one.ident not in made)
    return [one._replace(made=made.get(one.ident)) for one in found[: next(left_out, len(found))]]


async def _openings(source: Moment, wanted: Wanted, computing: Sequence[Resource], zone: tzinfo) -> list[Opening]:
    """Return the first `wanted.limit` that are published, and all that are `computing`, in one order.

    Raises:
        Malformed: there are more than are looked at for one request.
    """
    bounded = wanted if wanted.limit or wanted.contents else replace(wanted, limit=MOST_PUBLISHED + 1)
    query, hint, known = await free_slots.query_for(source, wanted, computing, zone)
    found = await free_slots.read(source, bounded, query, hint, known)
    if len(found) > MOST_PUBLISHED:
        raise Malformed(Problem("too_costly", _TOO_MANY_PUBLISHED, issue="too-costly"))
    if computing:
        found += await _computed(source, wanted, computing, zone)
        found = await aside(lambda: sorted(found, key=_place), much=len(found) > FEW)
    return found


def _place(opening: Opening) -> tuple[datetime, str]:
    return opening.when.start, opening.ident


async def computed_schedules(source: Moment, wanted: Wanted) -> list[Resource]:
    """Return the active Schedules with weekly hours that fit."""
    query: dict[str, Any] = {"_index.computed": True, **free_slots.matching(wanted.actors)}
    stated = [one for one, _ in free_slots.stated(wanted)]
    if stated:
        query["$and"] = [*query.get("$and", ()), *stated]
    return [one for name, one in (await free_slots.schedules_where(source, query)).items() if wanted.is_useful(name)]


async def _computed(source: Moment, wanted: Wanted, schedules: Sequence[Resource], zone: tzinfo) -> list[Opening]:
    """Return what is computed.

    Raises:
        Malformed: it would be more than is computed for one request; nothing of it was.
    """
    reader = Reader(source)
    fitting = [one for one in await calendars.read(reader, schedules, zone) if one.table.minutes >= wanted.minutes]
    many = sum(computing.about(one.table, wanted.window) for one in fitting)
    if many > MOST_COMPUTED:
        raise Malformed(Problem("too_costly", _TOO_MANY.format(many=many), issue="too-costly"))

    busy = await busy_times.with_busy(reader, fitting, wanted.window, without=wanted.without)

    def computed() -> list[Opening]:
        return [
            Opening(ident, known, one.schedule, when, known is not None)
            for one in busy
            for when, ident, known in one.times(wanted.window)
            if not wanted.whole or when.end <= wanted.window.end
        ]

    return await aside(computed, much=many > FEW)


async def computed_slot(source: Moment, ident: str, zone: tzinfo) -> Resource | None:
    """Return the computed Slot of that id, which is not stored; None if no Schedule has such an opening.

    It is ``free``, or ``busy-unavailable`` where something is in the way.
    """
    named = slotids.parts(ident)
    raw = None if named is None else await source.read("Schedule", named.schedule)
    if named is None or raw is None:
        return None
    when = Interval(named.start, named.end)
    reader = Reader(source)
    found = [one for one in await calendars.read(reader, [decode(raw)], zone) if one.has(when)]
    for one in await busy_times.with_busy(reader, found, Interval(when.start, when.end)):
        is_open = one.is_active and one.is_open(when)
        return one.slot(when) if is_open else {**one.slot(when), "status": "busy-unavailable"}
    return None
