"""Weekly hours without published Slots: what a Schedule and its HealthcareServices say of them.

A Schedule carries them in our extension ``.../StructureDefinition/availability``: ``availableTime`` (like
HealthcareService.availableTime) and ``notAvailable`` (like HealthcareService.notAvailable: leave). How long a visit is,
how much time is kept before and after it and where visits may begin is told by ``.../scheduling-parameters``, of the
HealthcareService or of the Schedule itself, which has the last word. HL7's extension ``timezone`` says whose wall clock
the hours are read on.

Pure. What is stored is read leniently: a part that makes no sense opens nothing (`hours_faults` lets none in).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import time, timedelta, timezone, tzinfo
from typing import Any

from adapter import timezones
from adapter.scheduling.intervals import Interval
from store.codec import Resource
from store.dates import FIRST, LAST, span
from store.extract import instant, value_of, walk
from store.remembering import remembered

AVAILABILITY = "/StructureDefinition/availability"
PARAMETERS = "/StructureDefinition/scheduling-parameters"
"""How the canonicals of our extensions end, below whatever base a deployment has."""
TIMEZONE = "http://hl7.org/fhir/StructureDefinition/timezone"

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DEFAULT_MINUTES = 30
"""The length of a visit where nothing says one (the MediLoop page's own default)."""

ALWAYS = Interval(FIRST, LAST)
NEVER = Interval(FIRST, FIRST)

_DAY = 1440
MOST = {
    "duration": (1, _DAY),
    "bufferBefore": (0, _DAY),
    "bufferAfter": (0, _DAY),
    "alignmentInterval": (1, _DAY),
    "alignmentOffset": (0, _DAY - 1),
}
"""The parameters, each with the least and the most that it can be, in minutes."""
MOST_ENTRIES = {"availableTime": 100, "notAvailable": 1_000}
"""How many there may be in one resource: each is looked at for each day. Of seven days with a dozen hours each, and of
decades of leave, there are fewer."""
_EVERY_DAY = frozenset(range(7))
_OUTERMOST = (timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)))  # where a day begins first, and ends last


@dataclass(frozen=True, slots=True)
class Weekly:
    """Open on `days` (0 is Monday) from `opens` to `closes` on the wall clock, counted from that day's midnight.

    `closes` is the later one: after midnight it is more than a day.
    """

    days: frozenset[int]
    opens: timedelta
    closes: timedelta


@dataclass(frozen=True, slots=True)
class Timetable:
    """When visits may begin.

    Attributes:
        zone: whose wall clock is meant.
        weekly: the hours.
        within: further hours, of services: a visit lies within each of them as well.
        away: leave and holidays; a visit touches none.
        horizon: what is planned at all (Schedule.planningHorizon).
        minutes: how long a visit is.
        before, after: minutes that are kept free around it.
        every, offset: visits begin at wall-clock minutes of the day that leave `offset` when divided by `every`; None:
            one after the other from opening time on, with the buffers between them.
    """

    zone: tzinfo
    weekly: tuple[Weekly, ...]
    within: tuple[tuple[Weekly, ...], ...] = ()
    away: tuple[Interval, ...] = ()
    horizon: Interval = ALWAYS
    minutes: int = DEFAULT_MINUTES
    before: int = 0
    after: int = 0
    every: int | None = None
    offset: int = 0

    def kept(self, when: Interval) -> Interval:
        """Return the time that a visit needs, buffers included."""
        return _widened(when, self.before, self.after)

    def reach(self, when: Interval) -> Interval:
        """Return the time in which another visit, buffers included, can be in the way of this one."""
        both = self.before + self.after
        return _widened(when, both, both)

    def is_away(self, when: Interval) -> bool:
        """Tell whether leave touches a time."""
        return any(one.overlaps(when) for one in self.away)


def _widened(when: Interval, before: int, after: int) -> Interval:
    start = when.start - min(timedelta(minutes=before), when.start - FIRST)
    return Interval(start, when.end + min(timedelta(minutes=after), LAST - when.end))


def is_computed(schedule: Resource) -> bool:
    """Tell whether a Schedule has weekly hours of its own."""
    return _extension(schedule, AVAILABILITY) is not None


def horizon(schedule: Resource, zone: tzinfo) -> Interval:
    """Return the time for which a Schedule is planned at all; `zone` is that of days where it names none.

    A horizon without any time in it is one all the same: nothing is planned.
    """
    period = schedule.get("planningHorizon")
    if not _says_when(period):
        return ALWAYS
    return _period(period, _zone(schedule) or zone) or NEVER


def read(schedule: Resource, services: Sequence[Resource], zone: tzinfo) -> Timetable | None:
    """Return the timetable of a Schedule; None where it has no weekly hours.

    Args:
        schedule: the Schedule.
        services: the HealthcareServices that it is of, the most telling first.
        zone: where it names no time zone.
    """
    own = _extension(schedule, AVAILABILITY)
    if own is None:
        return None
    zone = _zone(schedule) or zone
    numbers: dict[str, int] = {}
    for one in (*reversed(services), schedule):
        numbers |= _numbers(one)
    hours = [found for found in (_weekly(walk(one, "availableTime")) for one in services) if found]
    mine = _weekly(plain(part) for part in _parts(own, "availableTime"))
    if not mine and hours:
        mine = hours.pop(0)
    leave = [plain(part) for part in _parts(own, "notAvailable")]
    holidays = [one for service in services for one in walk(service, "notAvailable")]
    return Timetable(
        zone=zone,
        weekly=mine,
        within=tuple(hours),
        away=tuple(_away([*leave, *holidays], zone)),
        horizon=horizon(schedule, zone),
        minutes=numbers.get("duration", DEFAULT_MINUTES),
        before=numbers.get("bufferBefore", 0),
        after=numbers.get("bufferAfter", 0),
        every=numbers.get("alignmentInterval"),
        offset=numbers.get("alignmentOffset", 0),
    )


def _extension(resource: Resource, ending: str) -> Resource | None:
    found = (one for one in walk(resource, "extension") if str(one.get("url", "")).endswith(ending))
    return next(found, None)


def _parts(extension: Resource, name: str) -> Iterator[Resource]:
    return (one for one in walk(extension, "extension") if one.get("url") == name)


def plain(part: Resource) -> Resource:
    """Return a complex extension as the object it stands for; ``daysOfWeek`` may be there several times."""
    made: dict[str, Any] = {}
    for one in walk(part, "extension"):
        name, value = one.get("url"), value_of(one)
        if name == "daysOfWeek":
            made.setdefault(name, []).append(value)
        else:
            made[str(name)] = value
    return made


def _numbers(resource: Resource) -> dict[str, int]:
    found = _extension(resource, PARAMETERS) or {}
    return {
        one["url"]: value
        for one in walk(found, "extension")
        if one.get("url") in MOST and isinstance(value := value_of(one), int) and in_range(one["url"], value)
    }


def in_range(name: str, value: int) -> bool:
    """Tell whether a parameter can have that value."""
    least, most = MOST[name]
    return least <= value <= most


def _zone(schedule: Resource) -> tzinfo | None:
    found = _extension(schedule, TIMEZONE)
    return None if found is None else named_zone(str(value_of(found)))


@remembered(64)
def named_zone(name: str) -> tzinfo | None:
    """Return the time zone of an IANA name; None if there is none."""
    try:
        return timezones.zone(name)
    except LookupError:
        return None


def _weekly(entries: Iterable[Resource]) -> tuple[Weekly, ...]:
    """Return the hours; those from the same time to the same time are one, on all their days."""
    days: dict[tuple[timedelta, timedelta], frozenset[int]] = {}
    for found in filter(None, map(_entry, entries)):
        times = found.opens, found.closes
        days[times] = days.get(times, frozenset()) | found.days
    return tuple(Weekly(some, *times) for times, some in days.items())


def _entry(entry: Resource) -> Weekly | None:
    named = entry.get("daysOfWeek")
    days = _EVERY_DAY if named is None else frozenset(DAYS.index(day) for day in named if day in DAYS)
    if entry.get("allDay"):
        return Weekly(days, timedelta(), timedelta(days=1))
    opens, closes = (clock(entry.get(name, "00:00:00")) for name in ("availableStartTime", "availableEndTime"))
    if opens is None or closes is None:
        return None
    return Weekly(days, opens, closes if closes > opens else closes + timedelta(days=1))


def clock(text: Any) -> timedelta | None:
    """Return a FHIR time, counted from midnight; None for what is none. A leap second begins the next minute."""
    plain = str(text)
    leap = plain[6:8] == "60"
    try:
        found = time.fromisoformat(plain[:6] + "59" + plain[8:] if leap else plain)
    except ValueError:
        return None
    return timedelta(hours=found.hour, minutes=found.minute, seconds=found.second + leap)


def _away(entries: Iterable[Resource], zone: tzinfo) -> Iterator[Interval]:
    for entry in entries:
        found = _period(entry.get("during"), zone)
        if found is not None:
            yield found


def closes_nothing(during: Any, schedule: Resource) -> bool:
    """Tell whether leave that says when holds no time: in the zone that the Schedule names, in any if it names none."""
    zone = _zone(schedule)
    zones = _OUTERMOST if zone is None else (zone,)
    return _says_when(during) and all(_period(during, one) is None for one in zones)


def _says_when(period: Any) -> bool:
    return isinstance(period, dict) and ("start" in period or "end" in period)


def _period(period: Any, zone: tzinfo) -> Interval | None:
    """Return the time of a Period, open where it says nothing; None if it says nothing at all, or nothing sensible.

    A day is meant up to its end; a moment is the end itself.
    """
    if not _says_when(period):
        return None
    start = span(period["start"], zone)[0] if "start" in period else FIRST
    end = LAST
    if "end" in period:
        end = (instant(period["end"]) or LAST) if "T" in period["end"] else span(period["end"], zone)[1]
    return Interval(start, end) if start < end else None
