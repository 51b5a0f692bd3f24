"""Writes weekly hours and leave into a Schedule, in the extensions that `hours` reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapter.scheduling.hours import AVAILABILITY, DAYS, PARAMETERS, TIMEZONE
from adapter.scheduling.publishing import Opening
from store.codec import Resource
from store.extract import walk


def with_hours(
    schedule: Resource, base: str, openings: Sequence[Opening], numbers: Mapping[str, int], zone: str
) -> Resource:
    """Return `schedule` with other weekly hours; its leave stays.

    Args:
        schedule: the Schedule.
        base: of our StructureDefinitions.
        openings: the hours.
        numbers: the scheduling parameters, in minutes.
        zone: the time zone's IANA name.
    """
    leave = [part for part in _inner(schedule) if part.get("url") == "notAvailable"]
    parameters = [
        {"url": name, "valuePositiveInt" if name == "duration" else "valueUnsignedInt": value}
        for name, value in numbers.items()
    ]
    ours = (AVAILABILITY, PARAMETERS, TIMEZONE)
    others = [one for one in walk(schedule, "extension") if not str(one.get("url", "")).endswith(ours)]
    made = [
        {"url": f"{base}/availability", "extension": [*_available(openings), *leave]},
        {"url": f"{base}/scheduling-parameters", "extension": parameters},
        {"url": TIMEZONE, "valueCode": zone},
    ]
    return {**schedule, "extension": [*others, *made]}


def _inner(schedule: Resource) -> list[Resource]:
    own = (one for one in walk(schedule, "extension") if str(one.get("url", "")).endswith(AVAILABILITY))
    return [part for one in own for part in walk(one, "extension")]


def _available(openings: Sequence[Opening]) -> list[Resource]:
    """Return an availableTime for each span of the day, with its days."""
    days: dict[tuple[str, str], list[str]] = {}
    for one in openings:
        days.setdefault((one.opens.isoformat(), one.closes.isoformat()), []).append(DAYS[one.day])
    return [
        {
            "url": "availableTime",
            "extension": [
                *({"url": "daysOfWeek", "valueCode": day} for day in dict.fromkeys(named)),
                {"url": "availableStartTime", "valueTime": opens},
                {"url": "availableEndTime", "valueTime": closes},
            ],
        }
        for (opens, closes), named in days.items()
    ]


def with_leave(schedule: Resource, first: str, last: str, reason: str) -> Resource:
    """Return `schedule` with the days from `first` to `last` taken out of its weekly hours; once, if asked again."""
    during = {"start": first, "end": last}
    leave = {
        "url": "notAvailable",
        "extension": [{"url": "description", "valueString": reason}, {"url": "during", "valuePeriod": during}],
    }
    return {
        **schedule,
        "extension": [
            {**one, "extension": [*(part for part in walk(one, "extension") if part != leave), leave]}
            if str(one.get("url", "")).endswith(AVAILABILITY)
            else one
            for one in walk(schedule, "extension")
        ],
    }
