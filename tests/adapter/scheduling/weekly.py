"""Schedules with weekly hours, and what services add to them, for tests."""

from __future__ import annotations

from typing import Any

from store.codec import Resource

BASE = "https://mediloop.co/fhir/StructureDefinition"
TIMEZONE = "http://hl7.org/fhir/StructureDefinition/timezone"


def parts(**values: Any) -> list[Resource]:
    """The parts of a complex extension: ``parts(duration=("UnsignedInt", 30))``; a list is given part by part."""
    return [
        {"url": name, f"value{kind}": one}
        for name, (kind, value) in values.items()
        for one in (value if isinstance(value, list) else [value])
    ]


def open_on(days: str, opens: str, closes: str) -> Resource:
    """An availableTime: ``open_on("sat,sun", "09:00", "12:00")``."""
    return {
        "url": "availableTime",
        "extension": parts(
            daysOfWeek=("Code", days.split(",") if days else []),
            availableStartTime=("Time", f"{opens}:00"),
            availableEndTime=("Time", f"{closes}:00"),
        ),
    }


def away(start: str, end: str) -> Resource:
    """A notAvailable."""
    period = {"start": start, "end": end}
    return {"url": "notAvailable", "extension": parts(description=("String", "leave"), during=("Period", period))}


def available(*inner: Resource) -> Resource:
    """The extension with the hours."""
    return {"url": f"{BASE}/availability", "extension": list(inner)}


def parameters(**minutes: int) -> Resource:
    """The extension with duration, buffers and grid."""
    units = {name: ("PositiveInt" if name == "duration" else "UnsignedInt", value) for name, value in minutes.items()}
    return {"url": f"{BASE}/scheduling-parameters", "extension": parts(**units)}


def weekly(ident: str = "w", *extensions: Resource, actors: tuple[str, ...] = (), **more: Any) -> Resource:
    """A Schedule with hours: every day from 09:00 to 12:00 UTC, unless others are given."""
    named = actors or ("Practitioner/p", "Location/l")
    return {
        "resourceType": "Schedule",
        "id": ident,
        "extension": list(extensions) or [available(open_on("", "09:00", "12:00"))],
        "actor": [{"reference": name} for name in named],
        **more,
    }


def timezone(name: str) -> Resource:
    """The extension that names a time zone."""
    return {"url": TIMEZONE, "valueCode": name}
