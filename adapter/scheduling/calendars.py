"""Reads what openings are computed from: timetables, and what stands in their way, for many Schedules in few queries.

The same for everybody who looks (the store as it is now) and for who takes (one transaction's snapshot).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta, tzinfo
from typing import Any

from adapter import clock
from adapter.scheduling import claiming, claims, hours, intervals, occupancy, openings, people, rooms
from adapter.scheduling.hours import Timetable
from adapter.scheduling.intervals import MINUTE, Interval
from adapter.scheduling.people import People
from adapter.scheduling.status import HOLDING
from store import slotids
from store.codec import Resource, decode
from store.dates import shifted
from store.extract import references, token, walk
from store.indexing import named_field, naming
from store.source import Documents

_ROLE = "PractitionerRole/"


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
        return self.schedule.get("active") is not False

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
    named = {name.partition("/")[2] for one in schedules for name in _named_services(one)}
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
    known = {f"HealthcareService/{one['id']}": one for one in services if one.get("active") is not False}
    named = _named_services(schedule)
    if named:
        return [known[name] for name in named if name in known]
    types = _tokens(schedule, "serviceType.coding")
    places = {name for name in references(schedule, "actor") if name.startswith("Location/")}
    fitting = (one for one in known.values() if types & _tokens(one, "type.coding") and _is_at(one, places))
    return [one for one in (next(fitting, None),) if one is not None]


def _is_at(service: Resource, places: set[str]) -> bool:
    located = set(references(service, "location"))
    return not places or not located or bool(places & located)


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
        calendars: from `read`.
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
        found |= {name.partition("/")[2] for one in staying for name in claims.slots(one) if name in several}
    return found


def _held(slot: Resource, table: Timetable, shared: Collection[str]) -> list[Interval]:
    """Return the time that a stored Slot keeps others from: with its buffers, if it is an opening of the timetable."""
    when = intervals.of(slot)
    offered = slot["status"] == "free" and slot["id"] not in shared
    if when is None or offered or slot["status"] == "entered-in-error":
        return []
    return [table.kept(when) if slotids.is_computed(slot) else when]
