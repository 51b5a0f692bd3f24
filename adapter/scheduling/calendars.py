"""Schedules whose openings are computed: reads their timetables, for many of them in few queries.

What stands in the way of the openings is read by `busy_times`. Both read the same for everybody who looks (the store as
it is now) and for who takes (one transaction's snapshot).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from adapter import clock
from adapter.scheduling import claims, hours, openings, people, rooms
from adapter.scheduling.hours import Timetable
from adapter.scheduling.intervals import MINUTE, Interval
from store import slotids
from store.codec import Resource, decode
from store.extract import id_of, references, token, walk
from store.indexing import named_field
from store.source import Documents


class Reader:
    """Finds resources, as a unit of work does, in whatever documents there are."""

    def __init__(self, source: Documents) -> None:
        self._source = source

    async def find(self, kind: str, query: Mapping[str, Any]) -> list[Resource]:
        """Return the resources that match a MongoDB query; it must have an index."""
        return [decode(found["_json"]) for found in await self._source.documents(kind, query)]


async def spellings(source: Documents, schedules: Iterable[str], window: Interval) -> list[str]:
    """Return how Slots that begin in `window` name `schedules`: so (``Schedule/s``), or by addresses not known as ours.

    For queries that have their order from the index by Schedule, which `naming` has not.
    """
    names = list(schedules)
    if not names:
        return names
    begun = {"_index.start": {"$gte": window.start, "$lt": window.end}}
    query = {f"_index.{named_field('schedule')}": {"$in": names}, **begun}
    found = await source.values("Slot", query, ("_index.schedule",))
    spelt = (slot["_index"]["schedule"] for slot in found)
    # A list of Schedules is none: it came from elsewhere than our doors.
    return list(dict.fromkeys((*names, *(one for one in spelt if isinstance(one, str)))))


@dataclass(frozen=True, slots=True)
class Calendar:
    """One Schedule whose openings are computed.

    Attributes:
        schedule: the Schedule.
        table: its timetable.
        people: whose time a visit takes.
        names: every name under which these are known.
        busy: what is taken, buffers of its own openings included; of a room, in its other Schedules too.
        slots: those of its Slots that are stored, by id.
        unnamed: ids of its openings that are had by something else: another Schedule's Slot, or one that was moved.
    """

    schedule: Resource
    table: Timetable
    people: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    busy: tuple[Interval, ...] = ()
    slots: Mapping[str, Resource] = field(default_factory=dict)
    unnamed: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The Schedule (``Schedule/s``)."""
        return f"Schedule/{self.schedule['id']}"

    @property
    def is_active(self) -> bool:
        """Whether it is offered at all."""
        return claims.is_active(self.schedule)

    def open(self, window: Interval) -> list[tuple[Interval, Resource, bool]]:
        """Return the openings that begin in `window`: when, the Slot as it is or would be stored, whether it is."""
        return [(when, known or self.slot(when), known is not None) for when, _, known in self.times(window)]

    def times(self, window: Interval) -> list[tuple[Interval, str, Resource | None]]:
        """Return the openings that begin in `window`: when, the Slot's id, and the Slot where it is stored."""
        made: list[tuple[Interval, str, Resource | None]] = []
        for when in openings.free(self.table, window, self.busy):
            ident = slotids.make(self.schedule["id"], when.start, self.table.minutes)
            known = self.slots.get(ident)
            is_open = known is None or known["status"] == "free"
            if is_open and ident not in self.unnamed:
                made.append((when, ident, known))
        return made

    def slot(self, when: Interval) -> Resource:
        """Return the Slot of an opening as it would be stored."""
        return slot_of(self.schedule, when)

    def guards(self, when: Interval) -> tuple[str, ...]:
        """Return where who takes that opening meets rivals, for it or for what is within its buffers."""
        room = rooms.of(self.schedule)
        return claims.names((self.name, *self.people, *([room] if room else ())), self.table.reach(when))

    def has(self, when: Interval) -> bool:
        """Tell whether that is one of its openings, free or not."""
        return when in openings.candidates(self.table, Interval(when.start, when.start + MINUTE))

    def is_open(self, when: Interval) -> bool:
        """Tell whether that opening is free."""
        return when in openings.free(self.table, Interval(when.start, when.start + MINUTE), self.busy)


def slot_of(schedule: Resource, when: Interval) -> Resource:
    """Return the Slot of a computed opening of a Schedule as it would be stored."""
    return {
        "resourceType": "Slot",
        "id": slotids.make(schedule["id"], when.start, (when.end - when.start) // MINUTE),
        "schedule": {"reference": f"Schedule/{schedule['id']}"},
        "status": "free",
        "start": clock.text(when.start),
        "end": clock.text(when.end),
    }


async def read(
    find: people.Finds,
    schedules: Iterable[Resource],
    zone: tzinfo,
    written: Mapping[str, Resource | None] | None = None,
) -> list[Calendar]:
    """Return the calendars of those `schedules` that have weekly hours; what is busy is not read yet.

    Args:
        find: what to read through.
        schedules: Schedules of whatever kind.
        zone: of hours whose Schedule names no time zone.
        written: HealthcareServices as they are going to be, by reference; None for those that go.
    """
    computed = [one for one in schedules if hours.is_computed(one)]
    if not computed:
        return []
    services = await _services(find, computed, written or {})
    tables = ((one, hours.read(one, _services_of(one, services), zone)) for one in computed)
    return [Calendar(one, table) for one, table in tables if table is not None]


async def _services(
    find: people.Finds, schedules: Iterable[Resource], written: Mapping[str, Resource | None]
) -> list[Resource]:
    """Read the HealthcareServices that Schedules name, and those of their types where they name none.

    What is `written` lies over what is stored; which of it a Schedule is of is told as of the others.
    """
    named = {id_of(name) for one in schedules for name in _named_services(one)}
    types = {code for one in schedules if not _named_services(one) for code in _tokens(one, "serviceType.coding")}
    either: list[dict[str, Any]] = [{"_id": {"$in": sorted(named)}}] if named else []
    either += [{"_index.service-type": {"$in": sorted(types)}}] if types else []
    found = await find.find("HealthcareService", {"$or": either}) if either else []
    known = {**{f"HealthcareService/{one['id']}": one for one in found}, **written}
    return [one for _, one in sorted(known.items()) if one is not None]


def _named_services(schedule: Resource) -> list[str]:
    return [name for name in references(schedule, "actor") if name.startswith("HealthcareService/")]


def _tokens(resource: Resource, path: str) -> set[str]:
    return {token(coding.get("system", ""), coding["code"]) for coding in walk(resource, path) if "code" in coding}


def _services_of(schedule: Resource, services: Sequence[Resource]) -> list[Resource]:
    """Return the services that a Schedule is of: those it names, or else the first of its type at its place."""
    known = {f"HealthcareService/{one['id']}": one for one in services if claims.is_active(one)}
    named = _named_services(schedule)
    if named:
        return [known[name] for name in named if name in known]
    types = _tokens(schedule, "serviceType.coding")
    places = claims.places_of(schedule)
    fitting = (one for one in known.values() if types & _tokens(one, "type.coding") and _is_at(one, places))
    return [one for one in (next(fitting, None),) if one is not None]


def _is_at(service: Resource, places: frozenset[str]) -> bool:
    located = set(references(service, "location"))
    return not places or not located or bool(places & located)
