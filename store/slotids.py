"""The ids of computed Slots: ``<schedule id>.<start yyyymmddThhmmZ>.<minutes>``.

A Slot that nobody has published has an id all the same, so that it can be named before it is stored. Whoever reads such
an id knows which opening is meant, without a look at what is stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from store.codec import Resource
from store.extract import instant, references, walk

LONGEST_SCHEDULE = 44
"""The longest id of a Schedule that leaves room for start and length: an id has 64 characters at most."""

CAPACITY = "http://fhir-registry.smarthealthit.org/StructureDefinition/slot-capacity"
"""Argonaut's extension of Slot: its valueInteger is how many may hold it."""

_NAME = re.compile(r"([A-Za-z0-9\-.]{1,44})\.(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)Z\.([1-9]\d{0,3})")


@dataclass(frozen=True, slots=True)
class Named:
    """What such an id says: the Schedule's id, start and end."""

    schedule: str
    start: datetime
    end: datetime


def make(schedule: str, start: datetime, minutes: int) -> str:
    """Return the id of the opening of `minutes` at `start` (UTC, a whole minute) of the Schedule with id `schedule`."""
    moment = f"{start.year:04}{start.month:02}{start.day:02}T{start.hour:02}{start.minute:02}Z"
    return f"{schedule}.{moment}.{minutes}"


def parts(ident: str) -> Named | None:
    """Return what an id says; None if it is not of that shape."""
    found = _NAME.fullmatch(ident)
    if found is None:
        return None
    try:
        start = datetime(*(int(part) for part in found.groups()[1:6]), tzinfo=UTC)  # type: ignore[misc,arg-type]  # five
        return Named(found[1], start, start + timedelta(minutes=int(found[7])))
    except (ValueError, OverflowError):
        return None


def is_computed(slot: Resource) -> bool:
    """Tell whether a Slot is one of those: its id says its own Schedule, start and end.

    One that was moved since is a published Slot like any other; so is one for several, which no computation yields.
    """
    named = parts(slot.get("id", ""))
    return (
        named is not None
        and references(slot, "schedule") == [f"Schedule/{named.schedule}"]
        and instant(slot.get("start")) == named.start
        and instant(slot.get("end")) == named.end
        and capacity(slot) == 1
    )


def capacity(slot: Resource) -> int:
    """Return how many appointments may hold a Slot: 1, unless it says otherwise in a way that makes sense."""
    stated = next((one.get("valueInteger") for one in stating_capacity(slot)), None)
    return stated if isinstance(stated, int) and stated > 1 else 1


def stating_capacity(slot: Resource) -> list[Resource]:
    """Return the extensions by which the Slot says so: one, if any; earlier releases have let in several."""
    return [one for one in walk(slot, "extension") if isinstance(one, dict) and one.get("url") == CAPACITY]
