"""Dates in searches: a value is the span of time that its precision leaves open, a prefix compares spans.

https://hl7.org/fhir/R4/search.html#date and https://hl7.org/fhir/R4/search.html#prefix. Both sides are half-open spans
[lo, hi) in UTC (`store.dates`); a stored instant is a point. With that, ``le2026-01-10`` holds the whole of the tenth,
and ``gt2026-01-10`` begins at the midnight after it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from store.dates import LAST, shifted
from store.search.model import Query

PREFIXES = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")

_LOST_PLUS = re.compile(r"(:[0-9]{2}(?:\.[0-9]+)?) (?=[0-9]{2}:[0-9]{2}(?:,|$))")


def prefixed(text: str) -> tuple[str, str]:
    """Return the prefix (``eq`` if there is none) and the date."""
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


def repaired(text: str) -> str:
    """Return a date, or several with commas, with the ``+`` that a URL turned into a blank: ``09:00:00 03:00``."""
    return _LOST_PLUS.sub(r"\1+", text) if " " in text else text


def widened(lo: datetime, hi: datetime, now: datetime) -> tuple[datetime, datetime]:
    """Return the span that ``ap`` means: wider by a tenth of its distance from now, on both sides."""
    distance = max(lo - now, now - hi, timedelta(0)) / 10
    distance -= timedelta(microseconds=distance.microseconds % 1000)
    return shifted(lo, -distance), shifted(hi, distance)


def of_instants(path: str, prefix: str, lo: datetime, hi: datetime) -> Query:
    """Return the query for a moment stored at `path`."""
    match prefix:
        case "eq" | "ap":
            return {path: {"$gte": lo, "$lt": hi}}
        case "ne":
            return {"$or": [{path: {"$lt": lo}}, {path: {"$gte": hi}}]}
        case "gt" | "sa":
            return {path: {"$gte": hi}}
        case "ge":
            return {path: {"$gte": lo}}
        case "le":
            return {path: {"$lt": hi}}
        case _:
            return {path: {"$lt": lo}}


def of_spans(path: str, prefix: str, lo: datetime, hi: datetime, *, several: bool) -> Query:
    """Return the query for a span ``{lo, hi}`` stored at `path`, or `several` of which one must match."""
    start, end = f"{path}.lo", f"{path}.hi"
    match prefix:
        case "eq":
            # What ends by then begins before: said as well, it is one range of an index, and not all that comes after.
            # Spans of no length are those at the end of time, and a day that a zone has left out (Samoa's).
            before = "$lt" if lo < hi < LAST else "$lte"
            within: Query = {"lo": {"$gte": lo, before: hi}, "hi": {"$lte": hi}}
            return {path: {"$elemMatch": within}} if several else {start: within["lo"], end: within["hi"]}
        case "ap":
            overlapping: Query = {"lo": {"$lt": hi}, "hi": {"$gt": lo}}
            return {path: {"$elemMatch": overlapping}} if several else {start: {"$lt": hi}, end: {"$gt": lo}}
        case "ne":
            return {"$or": [{start: {"$lt": lo}}, {end: {"$gt": hi}}]}
        case "gt":
            return {end: {"$gt": hi}}
        case "ge":  # beyond, or within
            return {"$or": [{end: {"$gt": hi}}, {start: {"$gte": lo}}]}
        case "lt":
            return {start: {"$lt": lo}}
        case "le":
            return {"$or": [{start: {"$lt": lo}}, {end: {"$lte": hi}}]}
        case "sa":
            return {start: {"$gte": hi}}
        case _:
            return {end: {"$lte": lo}}
