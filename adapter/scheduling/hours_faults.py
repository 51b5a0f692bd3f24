"""What makes no sense in weekly hours and scheduling parameters: the door asks, and lets nothing of the kind in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from adapter.errors import Problem
from adapter.scheduling import hours
from store import slotids
from store.codec import Resource
from store.extract import value_of

_OURS = (hours.AVAILABILITY, hours.PARAMETERS, hours.TIMEZONE)


def faults(resource: Resource) -> Iterator[Problem]:
    """Yield what makes no sense in the hours of a Schedule or the parameters of a HealthcareService (422).

    `resource` is a valid one of FHIR's; problems name its elements by FHIRPath.
    """
    kind = resource["resourceType"]
    seen: set[str] = set()
    if kind == "HealthcareService":
        yield from _service_faults(resource)
    for index, one in enumerate(resource.get("extension", ())):
        place, url = f"{kind}.extension[{index}]", str(one.get("url", ""))
        ending = next((known for known in _OURS if url.endswith(known)), None)
        if ending is None or (ending == hours.AVAILABILITY and kind != "Schedule"):
            continue
        if ending in seen:
            yield _fault("It is there already. Give it once.", place)
        seen.add(ending)
        if ending == hours.PARAMETERS:
            yield from _number_faults(one, place)
        elif ending == hours.AVAILABILITY:
            yield from _hours_faults(resource, one, place)
        elif hours.named_zone(str(value_of(one))) is None:
            yield _fault("There is no such time zone. Use an IANA name such as Africa/Kampala.", place)


def _service_faults(service: Resource) -> Iterator[Problem]:
    """Yield what makes no sense in a service's own hours. Less is asked of them than of ours: R4 needs no times there.

    R4 also has times beside ``allDay`` be ignored, and so they are.
    """
    kind = service["resourceType"]
    too_many = list(_too_many({name: len(service.get(name, ())) for name in hours.MOST_ENTRIES}, kind))
    yield from too_many
    if too_many:
        return
    for index, entry in enumerate(service.get("availableTime", ())):
        if not entry.get("allDay"):
            yield from _closing_faults(entry, f"{kind}.availableTime[{index}]")
    for index, entry in enumerate(service.get("notAvailable", ())):
        # In the zone of whichever Schedule it serves.
        yield from _during_faults(entry.get("during"), {}, f"{kind}.notAvailable[{index}]")


def _closing_faults(entry: Resource, place: str) -> Iterator[Problem]:
    opens, closes = (hours.clock(entry.get(name, "00:00:00")) for name in _TIME_PARTS[2:])
    if opens == closes != timedelta():
        yield _fault("It closes when it opens. Give another end, or allDay.", place)


def _during_faults(during: Any, schedule: Resource, place: str) -> Iterator[Problem]:
    if hours.closes_nothing(during, schedule):
        yield _fault("It ends before it begins, or as it does: no time would be closed. Give a later end.", place)


def _fault(text: str, place: str) -> Problem:
    return Problem("invalid_hours", text, place, issue="business-rule")


def _number_faults(extension: Resource, place: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for inner, one in _inner(extension, place):
        name, value = str(one.get("url")), value_of(one)
        if name not in hours.MOST:
            yield _fault(f"It takes {', '.join(hours.MOST)} here.", inner)
        elif name in seen:
            yield _fault(f"{name} is there already. Give it once.", inner)
        elif not isinstance(value, int) or isinstance(value, bool) or not hours.in_range(name, value):
            least, most = hours.MOST[name]
            yield _fault(f"{name} is a number of minutes from {least} to {most} (valueUnsignedInt).", inner)
        seen.add(name)
    if "alignmentOffset" in seen and "alignmentInterval" not in seen:
        yield _fault("alignmentOffset needs an alignmentInterval beside it.", place)


def _inner(extension: Resource, place: str) -> Iterator[tuple[str, Resource]]:
    for index, one in enumerate(extension.get("extension", ())):
        yield f"{place}.extension[{index}]", one


def _hours_faults(schedule: Resource, extension: Resource, place: str) -> Iterator[Problem]:
    if len(schedule.get("id", "")) > slotids.LONGEST_SCHEDULE:
        text = (
            f"A Schedule with weekly hours has an id of {slotids.LONGEST_SCHEDULE} characters at most: the ids of its "
            "openings are made of it. Give a shorter one."
        )
        yield _fault(text, "Schedule.id")
    many = Counter(str(one.get("url")) for _, one in _inner(extension, place))
    too_many = list(_too_many(many, place))
    yield from too_many
    for inner, one in () if too_many else _inner(extension, place):
        name = one.get("url")
        if name == "availableTime":
            yield from _time_faults(one, inner)
        elif name == "notAvailable":
            yield from _leave_faults(schedule, one, inner)
        else:
            yield _fault("It takes availableTime and notAvailable here.", inner)


def _too_many(many: Mapping[str, int], place: str) -> Iterator[Problem]:
    for name, most in hours.MOST_ENTRIES.items():
        if many[name] > most:
            yield _fault(f"It has {many[name]} {name}, and {most} at most. Put several days into one.", place)


_TIME_PARTS = ("daysOfWeek", "allDay", "availableStartTime", "availableEndTime")
_LEAVE_PARTS = ("description", "during")


def _unknown_parts(part: Resource, place: str, known: tuple[str, ...]) -> Iterator[Problem]:
    seen: set[str] = set()
    for inner, one in _inner(part, place):
        name = str(one.get("url"))
        if name not in known:
            yield _fault(f"It takes {', '.join(known)} here.", inner)
        elif name in seen and name != "daysOfWeek":
            yield _fault(f"{name} is there already. Give it once.", inner)
        seen.add(name)


def _time_faults(part: Resource, place: str) -> Iterator[Problem]:
    yield from _unknown_parts(part, place, _TIME_PARTS)
    for inner, one in _inner(part, place):
        if one.get("url") == "daysOfWeek" and value_of(one) not in hours.DAYS:
            yield _fault(f"A day is one of {', '.join(hours.DAYS)} (valueCode).", inner)
    plain = hours.plain(part)
    times = [plain.get(name) for name in _TIME_PARTS[2:]]
    if plain.get("allDay") is True:
        if times != [None, None]:
            yield _fault("allDay says from when to when: leave the times out.", place)
    elif any(hours.clock(text) is None for text in times):
        yield _fault("Give availableStartTime and availableEndTime (valueTime), or allDay.", place)
    else:
        yield from _closing_faults(plain, place)


def _leave_faults(schedule: Resource, part: Resource, place: str) -> Iterator[Problem]:
    yield from _unknown_parts(part, place, _LEAVE_PARTS)
    during = hours.plain(part).get("during")
    if not isinstance(during, dict) or not ("start" in during or "end" in during):
        yield _fault("Give the time as during (valuePeriod) with a start, an end or both.", place)
    else:
        yield from _during_faults(during, schedule, place)
