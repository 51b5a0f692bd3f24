"""What `_index` holds of a type beyond its search parameters: what nobody searches for, and deciding and listing go by.

Each function adds to the values that the parameters gave (`store.indexing`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from store import slotids
from store.codec import Resource
from store.dates import shifted
from store.extract import instant, type_of, walk
from store.indexing import Reading
from store.values import period

Finish = Callable[[Resource, dict[str, Any], Reading], None]

HOLD_EXPIRES = "hold-expires"
"""The name of the extension, below the deployment's StructureDefinitions; its valueInstant is when a hold ends."""

LONG = timedelta(days=1)
"""What lasts longer is found by its end as well (``long``), whoever looks for what is under way at a time: of all that
began in the weeks before, few are."""


def _lasting(index: dict[str, Any], start: str) -> None:
    if start in index and "end" in index and index["end"] - index[start] > LONG:
        index["long"] = index["end"]


def appointment(resource: Resource, index: dict[str, Any], reading: Reading) -> None:
    """Give an appointment without a start the periods that were asked for."""
    if "date" in index:
        # As long as the shortest span of time that a search can mean.
        spans = [{"lo": index["date"], "hi": shifted(index["date"], timedelta(milliseconds=1))}]
    else:
        asked = resource.get("requestedPeriod")
        found = [period(one, reading.zone) for one in (asked if isinstance(asked, list) else ())]
        spans = [one for one in found if one is not None]
    _lasting(index, "date")
    ends = hold_end(resource)
    if ends is not None and resource.get("status") == "pending":
        index["hold"] = ends
    if spans:
        index["date-or-req-period"] = spans
        starts = [one["lo"] for one in spans]
        index["date-or-req-period:sort"], index["date-or-req-period:last"] = min(starts), max(starts)


def hold_end(resource: Resource) -> datetime | None:
    """Return when an appointment ends as a hold, whatever has become of it: the first instant that says so."""
    found = [instant(one.get("valueInstant")) for one in walk(resource, "extension") if is_hold_end(one)]
    return next((moment for moment in found if moment is not None), None)


def is_hold_end(extension: Resource) -> bool:
    """Tell whether an extension is the one that says when a hold ends."""
    return str(extension.get("url", "")).endswith(f"/StructureDefinition/{HOLD_EXPIRES}")


def slot(resource: Resource, index: dict[str, Any], _: Reading) -> None:
    """Tell how long a slot is; and when a computed one is that was booked and given back: it may be open no longer.

    Likewise the start of the opening whose id is that of a slot which is something else.
    """
    if "start" in index and "end" in index:
        index["minutes"] = int((index["end"] - index["start"]).total_seconds() // 60)
        _lasting(index, "start")
    ident = resource.get("id")
    named = slotids.parts(ident) if isinstance(ident, str) else None
    if named is None:
        return
    if not slotids.is_computed(resource):
        index["otherwise"] = named.start
    elif index.get("status") == "free":
        index["computed"] = index["start"]


_PRACTITIONERS = ("Practitioner", "PractitionerRole")


def schedule(resource: Resource, index: dict[str, Any], _: Reading) -> None:
    """Mark a Schedule whose openings are computed from weekly hours, and one that is nobody's: of things alone."""
    named = [one.get("reference") for one in walk(resource, "actor") if isinstance(one, dict)]
    if named and not any(isinstance(text, str) and type_of(text) in _PRACTITIONERS for text in named):
        index["nobodys"] = True
    own = resource.get("extension")
    for one in own if isinstance(own, list) else ():
        if str(one.get("url", "")).endswith("/StructureDefinition/availability"):
            index["computed"] = True


def patient(_: Resource, index: dict[str, Any], __: Reading) -> None:
    """Let who is not said to be dead be found alive: the parameter's expression is never empty."""
    index.setdefault("deceased", "false")
