"""Spans of time and the hours they touch."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from store.codec import Resource
from store.extract import instant

LONGEST = timedelta(days=31)
"""The longest span that one appointment or slot may take: it bounds the guards that one booking writes."""

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `start` up to, not including, `end` (UTC): visits that only touch do not overlap."""

    start: datetime
    end: datetime

    def overlaps(self, other: Interval) -> bool:
        """Tell whether the two share a moment."""
        return self.start < other.end and other.start < self.end

    def without(self, other: Interval) -> tuple[Interval, ...]:
        """Return what is left of it beside `other`: nothing, one span, or what lies before and what after."""
        if not self.overlaps(other):
            return (self,)
        beside = (self.start, other.start), (other.end, self.end)
        return tuple(Interval(start, end) for start, end in beside if start < end)

    def hours(self) -> tuple[str, ...]:
        """Return the UTC hours it touches (``2024-01-20T10``); two intervals that overlap share at least one."""
        return _few_hours(self.start, self.end) if self.end - self.start <= DAY else _hours(self.start, self.end)

    def how_many_hours(self) -> int:
        """Return how many `hours` there are, without naming them: of centuries they are millions."""
        return _steps(_hour_of(self.start), self.end)


def _hours(start: datetime, end: datetime) -> tuple[str, ...]:
    first = _hour_of(start)
    return tuple((first + step * HOUR).isoformat()[:13] for step in range(_steps(first, end)))


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _steps(first: datetime, end: datetime) -> int:
    return -((first - end) // HOUR)  # rounded up


# One decision asks about the same visit several times; of long spans the answers would fill the memory.
_few_hours = lru_cache(maxsize=2_048)(_hours)


class Spans:
    """Several intervals, of which is told how many overlap one without looking at each."""

    def __init__(self, spans: Iterable[Interval]) -> None:
        some = list(spans)
        self._starts = sorted(span.start for span in some)
        self._ends = sorted(span.end for span in some)

    def overlapping(self, when: Interval) -> int:
        """Return how many of them share a moment with `when`."""
        # Who is over by then has begun by then, too.
        return bisect_left(self._starts, when.end) - bisect_right(self._ends, when.start)


def ends(resource: Resource) -> tuple[datetime | None, datetime | None]:
    """Return when an Appointment or Slot starts and ends; None for what it does not say."""
    return instant(resource.get("start")), instant(resource.get("end"))


def of(resource: Resource) -> Interval | None:
    """Return the span of an Appointment or Slot; None where it has no start, no end, or ends before it starts."""
    start, end = ends(resource)
    if start is None or end is None or end <= start:
        return None
    return Interval(start, end)


def meet(*spans: Interval) -> bool:
    """Tell whether all `spans` share a moment."""
    return max(span.start for span in spans) < min(span.end for span in spans)


def covered(when: Interval, spans: Iterable[Interval]) -> bool:
    """Tell whether `spans` together leave no gap in `when`."""
    reached = when.start
    for span in sorted(spans, key=lambda span: span.start):
        if span.start > reached:
            break
        reached = max(reached, span.end)
    return reached >= when.end
