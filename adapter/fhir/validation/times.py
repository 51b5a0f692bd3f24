"""Times that must be in order: periods by FHIR's rule, appointments and slots by those of scheduling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from adapter.fhir.validation.findings import Findings, Place
from adapter.fhir.validation.primitives import PRIMITIVES
from adapter.scheduling import reasons
from adapter.scheduling.intervals import LONGEST
from adapter.scheduling.status import HOLDING
from store.codec import Resource
from store.dates import FIRST, shifted
from store.extract import instant
from store.remembering import remembered

_DATE_TIME, _INSTANT = PRIMITIVES["dateTime"].accepts, PRIMITIVES["instant"].accepts
_EAST, _WEST = timedelta(hours=14), timedelta(hours=12)
_HOLDING = tuple(HOLDING)


def ordered(start: Any, end: Any) -> bool:
    """Tell whether a Period may start at `start` and end at `end` (dateTimes).

    Only what certainly ends first is out of order: an end of ``2024-01-20`` includes that day, wherever on earth.
    """
    if not (_DATE_TIME(start) and _DATE_TIME(end)):
        return True
    if len(start) <= len("2024-01-20") and len(end) <= len("2024-01-20"):
        shared = min(len(start), len(end))
        return bool(start[:shared] <= end[:shared])
    return _bounds(start)[0] <= _bounds(end)[1]


@remembered(1_024)
def _bounds(text: str) -> tuple[datetime, datetime]:
    """Return the first and the last moment that `text`, a dateTime, may mean."""
    if "T" in text:
        moment = instant(text) or FIRST
        return moment, moment
    year, month, day = (*(int(part) for part in text.split("-")), 0, 0)[:3]
    first = datetime(year, month or 1, day or 1, tzinfo=UTC)
    length = timedelta(days=1 if day else 31 if month else 366)
    return shifted(first, -_EAST), shifted(first, length + _WEST)


def check_told(resource: Resource, findings: Findings, kind: str) -> None:
    """Add what is told by an extension alone (``_status``), which FHIR allows, where time is kept by the value."""
    names: tuple[str, ...] = ("status", "start", "end")
    if kind == "AppointmentResponse":
        names = ("participantStatus",)
    elif kind == "Appointment" and resource.get("status") not in _HOLDING:
        names = ("status",)
    for name in names:
        if name not in resource and f"_{name}" in resource:
            text = f"{name} needs a value here: time is kept and given back by it. An extension alone does not tell it."
            findings.add("missing_value", "business-rule", text, (kind, name, None))


def check_span(resource: Resource, findings: Findings, place: Place, *, empty: bool) -> None:
    """Add what is wrong with the time from ``start`` to ``end``; `empty` allows them to be the same moment."""
    start, end = resource.get("start"), resource.get("end")
    first = instant(start) if _INSTANT(start) else None
    last = instant(end) if _INSTANT(end) else None
    if first is None or last is None:
        return
    if last < first or (last == first and not empty):
        text = "The end must not be before the start." if empty else reasons.not_after(resource)
        findings.add("end_before_start", "business-rule", f"{text} Correct one of them.", (place, "end", None))
    elif last - first > LONGEST:
        text = f"It lasts longer than {LONGEST.days} days, which is the most that one {place} may take."
        findings.add("too_long", "business-rule", text, (place, "end", None))
