"""What ``$find`` and ``$prefetch`` are asked for: when, whom, where, for how long. Everything wrong is told at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.errors import Malformed, Problem
from adapter.fhir.call import Call
from adapter.fhir.operations.scheduling.asked import Asked, Given, bad, text_of
from adapter.fhir.refusing import invalid
from adapter.scheduling import intervals
from adapter.scheduling.intervals import Interval
from store.codec import Resource
from store.dates import latest, span
from store.search import SearchRefused, results
from store.search.dates import repaired

LARGEST = 200
"""So many are shown at most, and of whom is named by a criterion so many are looked at."""

_PAGE = 20
_LONGEST = timedelta(days=366)
_CLOCKS_CHANGE = timedelta(hours=2)  # so much longer whole days may last than days of 24 hours
_LONGEST_VISIT = intervals.LONGEST // timedelta(minutes=1)
_MINUTES = {"min": 1, "h": 60, "d": 1_440}


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for, as it was asked for: nobody has been looked up.

    Attributes:
        window: within it.
        people, places, organizations: references; any of each.
        addresses: the beginnings of parts of a place's address, or of its name.
        service_types, specialties: tokens.
        minutes: how long the visit is to be; 0: as long as a Slot.
    """

    window: Interval
    people: list[Resource]
    places: list[Resource]
    addresses: list[str]
    organizations: list[Resource]
    service_types: list[str]
    specialties: list[str]
    minutes: int

    @classmethod
    def of(cls, call: Call, asked: Asked) -> Sought:
        """Read it, after all else that the operation takes.

        Raises:
            Malformed: with everything that is wrong with the parameters.
        """
        bounds = _bounds(call, asked)
        people = asked.references("practitioner", "Practitioner", "PractitionerRole", base=call.base)
        places = asked.references("location-reference", "Location", base=call.base)
        addresses = asked.texts("location-string")
        organizations = asked.references("organization", "Organization", base=call.base)
        service_types, specialties = asked.tokens("visit-type"), asked.tokens("specialty")
        minutes = _minutes(asked)
        asked.require_sound()
        window = Interval(*bounds)
        return cls(window, people, places, addresses, organizations, service_types, specialties, minutes)


def _bounds(call: Call, asked: Asked) -> list[datetime]:
    """Return the beginning and the end of the time in which to look; what is wrong with them is noted."""
    moments: list[datetime] = []
    zone = call.who.service.settings.zone

    def moment(given: Given) -> datetime:
        sent = repaired(text_of(given))
        try:
            first, after = span(sent, zone)
            end = latest(sent, zone) if "T" in sent else after
        except ValueError:
            raise invalid(given.name, f"{given.name} takes a date and time such as 2024-01-20T10:00:00Z.") from None
        return first if given.name == "start" else end

    for name in ("start", "end"):
        found = asked.read(name, moment)
        moments += [] if found is None else [found]
        if not asked.all(name):
            asked.note(Problem("invalid_parameter", f"Give {name}: a date and time.", name, issue="required"))
    if len(moments) > 1 and not timedelta(0) < moments[1] - moments[0] <= _LONGEST + _CLOCKS_CHANGE:
        text_ = f"end must be after start, and {_LONGEST.days} days later at most."
        asked.note(Problem("invalid_parameter", text_, "end", issue="value"))
    return moments


def count(asked: Asked) -> int:
    """Return how many are to be shown at most; what is wrong with it is noted."""
    found = asked.read("_count", _number)
    return _PAGE if found is None else found


def _number(given: Given) -> int:
    try:
        return results.count(str(given.value), most=LARGEST)
    except SearchRefused:
        raise Malformed(bad(given, "_count takes a number from 0.")) from None


def _minutes(asked: Asked) -> int:
    """Return how long the visit is to be: ``duration`` in minutes, or ``timing.repeat.duration``."""
    return asked.read("duration", _duration) or asked.read("timing", _planned) or 0


def _duration(given: Given) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", str(given.value)) or int(given.value) > _LONGEST_VISIT:
        raise Malformed(bad(given, f"duration takes a number of minutes from 1 to {_LONGEST_VISIT}."))
    return int(given.value)


def _planned(given: Given) -> int:
    if not isinstance(given.value, dict):
        raise Malformed(bad(given, "timing takes a Timing, whose repeat.duration is how long the visit is to be."))
    repeat = given.value.get("repeat", {})
    if "duration" not in repeat:
        return 0
    unit = _MINUTES.get(repeat.get("durationUnit", ""))
    if unit is None:
        raise Malformed(bad(given, f"timing takes a duration in one of: {', '.join(_MINUTES)}."))
    minutes = float(repeat["duration"]) * unit
    if minutes > _LONGEST_VISIT:
        raise Malformed(bad(given, f"timing takes a duration of {_LONGEST_VISIT} minutes at most."))
    return max(1, int(minutes))
