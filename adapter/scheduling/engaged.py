"""Which published Slots are free, and still nobody can have them: their practitioner, or room, is engaged then.

A Slot says whether it is taken itself. A practitioner who has Slots in two places, or Slots that overlap, or an
appointment that no Slot was taken for, cannot be had in one of them while being in the other; a booking is refused
then (``time_conflict``), so it must not be offered. Of a room, or a device, Slots alone tell when it is had (`rooms`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapter.aside import aside
from adapter.scheduling import claiming, claims, occupancy, people, rooms
from adapter.scheduling.calendars import Reader, spellings
from adapter.scheduling.indexes import BY_DATE, SLOT_TIMES, SLOTS_BY_SCHEDULE
from adapter.scheduling.intervals import DAY, MINUTE, Interval, Spans
from adapter.scheduling.people import People
from adapter.scheduling.status import HOLDING
from store.codec import Resource
from store.dates import shifted
from store.extract import reference, references
from store.finishing import LONG
from store.indexing import naming
from store.source import Documents

_FEW = 1_000  # visits, or Slots, that are filed at once; more beside other requests (`aside`)
_TIMES = ("_index.date", "_index.end", "_index.claims")
_OFFERED = ("free", *occupancy.TAKEN)

Document = Mapping[str, Any]


async def near(source: Documents, window: Interval, schedules: Iterable[Resource] | None) -> Interval:
    """Return the time in which something can be in the way of free Slots that begin in `window`.

    That is until a day later, or as long as one of them goes on that lasts longer.

    Args:
        source: where to look.
        window: of time.
        schedules: those that matter; None for all.
    """
    last = shifted(window.end, DAY)
    begun = {"$gte": window.start, "$lt": window.end}
    query = {"_index.long": {"$gt": last}, "_index.start": begun, "_index.status": "free"}
    theirs = None if schedules is None else {f"Schedule/{one['id']}" for one in schedules}
    for slot in await source.values("Slot", query, ("_index.long", "_index.schedule")):
        name = slot["_index"].get("schedule")  # a list of Schedules is none: it came from elsewhere than our doors
        if theirs is None or (isinstance(name, str) and reference(name) in theirs):
            last = max(last, slot["_index"]["long"])
    return Interval(window.start, last)


async def slots(
    source: Documents,
    window: Interval,
    reach: Interval,
    schedules: Iterable[Resource] | None,
    without: frozenset[str] = frozenset(),
) -> list[str]:
    """Return the ids of free Slots that begin in `window` and that nobody can have.

    Args:
        source: where to look.
        window: of time.
        reach: the time in which something can be in their way (`near`).
        schedules: those that matter; None for all.
        without: Appointments (``Appointment/a``) that do not count: those that are about to move.
    """
    if schedules is None:
        visits = await _anybodys(source, reach)
        known, named = await _people(source, {name for one in visits for name in _names(one)})
        # Who has no Slots is in nobody's way.
        schedules = await Reader(source).find("Schedule", naming("actor", named)) if named else ()
    else:
        schedules = list(schedules)
        known, named = await _people(source, {name for one in schedules for name in references(one, "actor")})
        visits = await _theirs(source, reach, named)
    taken: dict[str, list[Document]] = {}
    for visit in visits:
        if f"Appointment/{visit['_id']}" not in without:
            for person in known.of(_names(visit)):
                taken.setdefault(person, []).append(visit)
    offered = {
        f"Schedule/{one['id']}": found
        for one in schedules
        if (found := [visit for person in known.of(references(one, "actor")) for visit in taken.get(person, ())])
    }
    return await _overlapping(source, window, reach, offered) if offered else []


async def _people(source: Documents, actors: Iterable[str]) -> tuple[People, list[str]]:
    """Return who is behind the practitioners among `actors`, and every name of theirs."""
    wanted = sorted(name for name in actors if name.startswith(claims.PRACTITIONERS))
    if not wanted:
        return People(), []
    known = await people.read(Reader(source), wanted)
    return known, list(known.names(known.of(wanted)))


async def _anybodys(source: Documents, reach: Interval) -> list[dict[str, Any]]:
    """Read the appointments that hold time in `reach`, however long before it they began."""
    holding = {"_index.status": {"$in": list(HOLDING)}}
    before = shifted(reach.start, -LONG)
    usual = {"_index.date": {"$gte": before, "$lt": reach.end}, "_index.end": {"$gt": reach.start}}
    found = await source.values("Appointment", holding | usual, _TIMES, hint=BY_DATE)
    long = {"_index.long": {"$gt": reach.start}, "_index.date": {"$lt": before}}
    return found + await source.values("Appointment", holding | long, _TIMES)


async def _theirs(source: Documents, reach: Interval, names: Sequence[str]) -> list[dict[str, Any]]:
    """Read the appointments of practitioners that hold time in `reach`."""
    if not names:
        return []
    # Who began earlier and still goes on claims this hour.
    hour = Interval(reach.start, shifted(reach.start, MINUTE))
    between = {"$gte": reach.start, "$lt": reach.end}
    query = {
        "_index.status": {"$in": list(HOLDING)},
        "$or": [
            *naming("actor", names, {"_index.date": between})["$or"],
            {"_index.claims": {"$in": list(claims.names(names, hour))}},
        ],
    }
    return await source.values("Appointment", query, _TIMES)


def _names(visit: Document) -> list[str]:
    """Return whose time an appointment takes, by its claims; its Slots are claims without an hour."""
    return list({claim.rpartition("|")[0]: None for claim in visit["_index"].get("claims", ()) if "|" in claim})


class _Engaged:
    """When a Schedule's practitioners are engaged, and by which Slots."""

    def __init__(self, visits: Sequence[Document]) -> None:
        self.spans = [_span(visit) for visit in visits]
        held: dict[str, list[Interval]] = {}
        for visit, when in zip(visits, self.spans, strict=True):
            for claim in {*visit["_index"]["claims"]}:
                if "|" not in claim:
                    held.setdefault(claim, []).append(when)
        self._all = Spans(self.spans)
        self._held = {name: Spans(spans) for name, spans in held.items()}

    def elsewhere(self, slot: str, when: Interval) -> bool:
        """Tell whether somebody who does not hold a Slot, by name, takes some of its time."""
        others = self._all.overlapping(when)
        return others > (self._held[slot].overlapping(when) if slot in self._held else 0)


async def _overlapping(
    source: Documents, window: Interval, reach: Interval, taken: Mapping[str, Sequence[Document]]
) -> list[str]:
    """Return the free Slots that overlap what is taken from their Schedules, by appointments that do not hold them."""

    def filed() -> tuple[dict[str, _Engaged], list[str]]:
        engaged = {schedule: _Engaged(visits) for schedule, visits in taken.items()}
        hours = {
            name: None
            for schedule, one in engaged.items()
            for span in one.spans
            for name in claims.names((schedule,), _within(span, reach))
        }
        return engaged, list(hours)

    engaged, wanted = await aside(filed, much=sum(map(len, taken.values())) > _FEW)
    found: dict[str, None] = {}
    for query in claiming.queries(wanted):
        for slot in await source.values("Slot", {**query, "_index.status": "free"}, SLOT_TIMES):
            when = _span(slot, "start")
            theirs = engaged[reference(slot["_index"]["schedule"])]
            if window.start <= when.start < window.end and theirs.elsewhere(f"Slot/{slot['_id']}", when):
                found[slot["_id"]] = None
    return list(found)


def _span(found: Document, start: str = "date") -> Interval:
    return Interval(found["_index"][start], found["_index"]["end"])


def _within(when: Interval, reach: Interval) -> Interval:
    start = max(when.start, reach.start)
    return Interval(start, max(start, min(when.end, reach.end)))


async def in_rooms(
    source: Documents,
    window: Interval,
    reach: Interval,
    schedules: Iterable[Resource] | None,
    without: frozenset[str] = frozenset(),
) -> list[str]:
    """Return the ids of free Slots that begin in `window` and whose room is had by a Slot that overlaps them.

    The arguments are those of `slots`. Who asks for no room reads nothing.
    """
    reader = Reader(source)
    if schedules is None:  # all that there are: each room's others among them
        every = await reader.find("Schedule", {"_index.nobodys": True})
        theirs = {f"Schedule/{one['id']}": one for one in every if rooms.of(one)}
    else:
        theirs = await rooms.schedules(reader, schedules)
    known = {name: rooms.of(one) for name, one in theirs.items()}
    if not known:
        return []
    found = await _of_rooms(source, reach, list(known))

    def beside() -> list[list[Document]]:
        """Return the Slots that overlap others of their room, where one of them may be told of."""
        of_room: dict[str, list[Document]] = {}
        for slot in found:
            of_room.setdefault(known[reference(slot["_index"]["schedule"])], []).append(slot)
        parts = [part for slots in of_room.values() for part in apart(slots) if len(part) > 1]
        return [part for part in parts if any(_is_free(slot, window) for slot in part)]

    parts = await aside(beside, much=len(found) > _FEW)
    held = await holders(source, {_name(slot) for part in parts for slot in part}, without)
    return await aside(
        lambda: [slot["_id"] for part in parts for slot in had(part, held) if _is_free(slot, window)],
        much=len(found) > _FEW,
    )


def apart(slots: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield Slots, which are in order of their starts, in parts: no Slot of one overlaps a Slot of another."""
    part: list[Document] = []
    until = datetime.min.replace(tzinfo=UTC)
    for slot in slots:
        when = _span(slot, "start")
        if part and when.start >= until:
            yield part
            part = []
        part.append(slot)
        until = max(until, when.end)
    yield part


def had(slots: Sequence[Document], holders: Mapping[str, Collection[str]]) -> Iterator[Document]:
    """Yield those of a room's Slots that overlap one which somebody holds who does not hold them too (`rooms.is_had`).

    `holders` are the appointments that hold Slots, by the Slot's name.
    """
    held: dict[str, list[Interval]] = {}
    for slot in slots:
        for one in holders.get(_name(slot), ()):
            held.setdefault(one, []).append(_span(slot, "start"))
    every = Spans(when for spans in held.values() for when in spans)
    by_holder = {one: Spans(spans) for one, spans in held.items()}
    for slot in slots:
        when = _span(slot, "start")
        own = sum(by_holder[one].overlapping(when) for one in holders.get(_name(slot), ()))
        if every.overlapping(when) > own:
            yield slot


def _name(slot: Document) -> str:
    return f"Slot/{slot['_id']}"


def _is_free(slot: Document, window: Interval) -> bool:
    index = slot["_index"]
    return bool(index["status"] == "free" and window.start <= index["start"] < window.end)


async def _of_rooms(source: Documents, reach: Interval, schedules: Sequence[str]) -> list[Document]:
    """Read the Slots of Schedules that are there in `reach`, in order of their starts."""
    some = {
        "_index.schedule": {"$in": await spellings(source, schedules, reach)},
        "_index.status": {"$in": list(_OFFERED)},
    }
    between = {"$gte": reach.start, "$lt": reach.end}
    fields = (*SLOT_TIMES, "_index.status")
    found = await source.values("Slot", {**some, "_index.start": between}, fields, hint=SLOTS_BY_SCHEDULE)
    # Who began earlier and still goes on claims this hour.
    hour = claims.names(schedules, Interval(reach.start, shifted(reach.start, MINUTE)))
    earlier = {"_index.start": {"$lt": reach.start}, "_index.status": {"$in": list(_OFFERED)}}
    for query in claiming.queries(hour):
        found += await source.values("Slot", {**query, **earlier}, fields)
    # A list of Schedules is none: it came from elsewhere than our doors.
    there = [slot for slot in found if "end" in slot["_index"] and slot["_index"]["schedule"].__class__ is str]
    return sorted(there, key=lambda slot: (slot["_index"]["start"], slot["_id"]))


async def holders(source: Documents, slots: set[str], without: frozenset[str] = frozenset()) -> dict[str, set[str]]:
    """Return the appointments that hold Slots, by the Slot's name, but for those in `without`."""
    held: dict[str, set[str]] = {}
    for query in claiming.queries(sorted(slots)):
        for one in await source.values("Appointment", query, ("_index.claims",)):
            if f"Appointment/{one['_id']}" not in without:
                for claim in slots.intersection(one["_index"]["claims"]):
                    held.setdefault(claim, set()).add(one["_id"])
    return held
