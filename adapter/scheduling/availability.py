"""What is open: the one truth that MediLoop's availability, ``$find`` and every other door show.

Openings are published free Slots, and computed ones where a Schedule has weekly hours (`hours`, `openings`). Several
queries tell them, so they are read from one moment (`holds.settled`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from adapter.aside import aside
from adapter.errors import Malformed, Problem
from adapter.scheduling import calendars, engaged, leave
from adapter.scheduling import openings as computing
from adapter.scheduling.calendars import Reader
from adapter.scheduling.intervals import Interval
from adapter.scheduling.leave import SLOTS_BY_SCHEDULE
from store import slotids
from store.codec import Resource, decode
from store.extract import folded, reference
from store.indexing import naming
from store.reading import Moment
from store.search.tokens import stored_token, system_and_code
from store.source import PAGE_BYTES, fitting

SLOTS_BY_STATUS = ("status", "start", "_id", "schedule", "minutes", "end")
MOST_COMPUTED = 150_000
"""Openings that are computed for one request: some seconds of work. A quarter of a year of 60 practitioners, in quarter
hours from eight to five, are fewer."""
_TOO_MANY = (
    "There may be about {many} openings in that time, and "
    f"{MOST_COMPUTED} at most are computed for one request. Ask for a shorter time, or for one practitioner or place."
)
FEW = 1_000
"""So many openings are dealt with at once; more beside other requests (`aside`)."""
_FIELDS = ("_index.start", "_index.end", "_index.schedule")
_ORDER = (("_index.start", 1), ("_id", 1))


class Opening(NamedTuple):
    """A time that can be booked.

    Attributes:
        ident: of the Slot.
        made: the Slot, or its bytes: of a month's openings a page is shown, and only that is worth reading. None where
            nobody asked for it (`Wanted.contents`), or has stored it.
        schedule: the Schedule it belongs to.
        when: its time.
        stored: whether the Slot is stored.
    """

    ident: str
    made: Resource | bytes | None
    schedule: Resource
    when: Interval
    stored: bool

    @property
    def slot(self) -> Resource:
        """The Slot, as it is stored or would be; empty where it was not read."""
        if self.made is None and not self.stored:
            return calendars.slot_of(self.schedule, self.when)
        return decode(self.made) if isinstance(self.made, bytes) else self.made or {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for.

    Attributes:
        window: openings start in it.
        actors: groups of references; the Schedule must name one of each group.
        service_types: tokens as a search has them (``code`` or ``system|code``, a bar within escaped), any of them;
            none: any.
        specialties: likewise.
        minutes: how long an opening must be at least.
        limit: how many to return at most, the first ones; 0: all.
        without: Appointments (``Appointment/a``) that are in nobody's way, and what they hold of computed Slots: those
            that are about to move, or to end.
        contents: whether to read the Slots that are published; their times are read from an index alone.
        whole: whether openings are to end within the window as well.
        by_text: whether what has no code is known by its text, as MediLoop shows it.
        passed_over: Schedules (``Schedule/s``) whose openings are of no use, all of rooms and devices among them
            (`nobodys`); None: each is of use.
    """

    window: Interval
    actors: tuple[tuple[str, ...], ...] = ()
    service_types: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    minutes: int = 0
    limit: int = 0
    without: frozenset[str] = frozenset()
    contents: bool = True
    whole: bool = False
    by_text: bool = False
    passed_over: frozenset[str] | None = None

    @property
    def is_of_some(self) -> bool:
        """Whether something is asked of the Schedules: not all have to be looked at."""
        return bool(self.actors or self.service_types or self.specialties)

    def is_useful(self, schedule: str) -> bool:
        """Tell whether the openings of a Schedule are of use."""
        return self.passed_over is None or schedule not in self.passed_over


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
        found = await _openings(source, replace(wanted, limit=0), computing, zone)
        return found[: wanted.limit], len(found)
    query, hint, known = await _query(source, wanted, computing, zone)
    shown = await _read(source, wanted, query, hint, known) if wanted.limit else []
    return shown, await source.count("Slot", query, hint=hint)


async def page(
    source: Moment, wanted: Wanted, computing: Sequence[Resource], skip: int, *, zone: tzinfo
) -> tuple[list[Resource], int]:
    """Return the Slots of `wanted.limit` openings after the first `skip`, and how many openings there are in all.

    As `first`, for pages that go by their number: each Slot that was counted is on its page, however large those before
    it are, and whether or not its Schedule is stored.

    Args:
        source: where to look.
        wanted: what for.
        computing: the `computed_schedules` of `wanted`.
        skip: how many are on the pages before.
        zone: of hours whose Schedule names no time zone.
    """
    if computing:
        found = await _openings(source, replace(wanted, limit=0), computing, zone)
        return [one.slot for one in found[skip : skip + wanted.limit]], len(found)
    query, hint, _ = await _query(source, wanted, computing, zone)
    shown = await source.find("Slot", query, sort=_ORDER, skip=skip, limit=wanted.limit, hint=hint)
    return [decode(raw) for raw in shown], await source.count("Slot", query, hint=hint)


async def _openings(source: Moment, wanted: Wanted, computing: Sequence[Resource], zone: tzinfo) -> list[Opening]:
    """Return the first `wanted.limit` that are published, and all that are `computing`, in one order."""
    found = await _read(source, wanted, *await _query(source, wanted, computing, zone))
    if computing:
        found += await _computed(source, wanted, computing, zone)
        found = await aside(lambda: sorted(found, key=_place), much=len(found) > FEW)
    return found


def _place(opening: Opening) -> tuple[datetime, str]:
    return opening.when.start, opening.ident


async def computed_schedules(source: Moment, wanted: Wanted) -> list[Resource]:
    """Return the active Schedules with weekly hours that fit."""
    query: dict[str, Any] = {"_index.computed": True, **matching(wanted.actors)}
    stated = [one for one, _ in _stated(wanted)]
    if stated:
        query["$and"] = [*query.get("$and", ()), *stated]
    return [one for name, one in (await _schedules(source, query)).items() if wanted.is_useful(name)]


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

    busy = await calendars.with_busy(reader, fitting, wanted.window, without=wanted.without)

    def computed() -> list[Opening]:
        return [
            Opening(ident, known, one.schedule, when, known is not None)
            for one in busy
            for when, ident, known in one.times(wanted.window)
            if not wanted.whole or when.end <= wanted.window.end
        ]

    return await aside(computed, much=many > FEW)


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
    for one in await calendars.with_busy(reader, found, Interval(when.start, when.end)):
        is_open = one.is_active and one.is_open(when)
        return one.slot(when) if is_open else {**one.slot(when), "status": "busy-unavailable"}
    return None


async def _query(
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
        found = await _schedules(source, matching(wanted.actors))
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
    for own, none in _stated(wanted):
        # A Slot's own says more than its Schedule's; without its own it has the Schedule's.
        inherited = await calendars.spellings(source, await _names(source, own), wanted.window)
        both.append({"$or": [own, {**none, "_index.schedule": {"$in": inherited}}]})
    if both:
        query["$and"] = both
    return query, hint, schedules


async def _read(
    source: Moment, wanted: Wanted, query: dict[str, Any], hint: tuple[str, ...], schedules: dict[str, Resource]
) -> list[Opening]:
    if wanted.contents:
        most = PAGE_BYTES if wanted.limit else 0  # of a page; who asks for all has to have all
        slots = await source.documents(
            "Slot", query, fields=_FIELDS, sort=_ORDER, limit=wanted.limit, hint=hint, most=most
        )
        slots = slots[: fitting(slots, most)] if most else slots
    else:
        slots = await source.values("Slot", query, _FIELDS, sort=_ORDER, limit=wanted.limit, hint=hint)
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


def _stated(wanted: Wanted) -> list[tuple[dict[str, Any], dict[str, Any]]]:
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


async def _schedules(source: Moment, query: dict[str, Any]) -> dict[str, Resource]:
    found = [decode(raw) for raw in await source.find("Schedule", query)]
    return {f"Schedule/{one['id']}": one for one in found}


async def _names(source: Moment, query: dict[str, Any]) -> list[str]:
    return [f"Schedule/{ident}" for ident in await source.keys("Schedule", query, limit=0)]
