"""Openings that follow each other until a visit is long enough, or that cover a time without a gap. Pure functions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from adapter.scheduling.intervals import Interval
from adapter.scheduling.lookup import Opening

_Starting = dict[datetime, list[Opening]]


class Near:
    """Openings, of which those near a time are looked up: of a month's a visit overlaps few."""

    def __init__(self, found: Sequence[Opening]) -> None:  # in order of time
        self._found = found
        self._longest = max(one.when.end - one.when.start for one in found)

    def to(self, when: Interval) -> Sequence[Opening]:
        """Return those that may overlap `when`."""
        first = bisect_right(self._found, when.start - self._longest, key=lambda one: one.when.start)
        last = bisect_left(self._found, when.end, key=lambda one: one.when.start)
        return self._found[first:last]


def runs(found: Iterable[Opening], minutes: int, last: datetime) -> Iterator[tuple[Interval, tuple[Opening, ...]]]:
    """Yield openings that are long enough, or follow each other in one Schedule until they are.

    Args:
        found: the openings, in order of time.
        minutes: how long; 0: as long as an opening.
        last: when the time must be over, if its length is given.
    """
    if not minutes:
        yield from ((one.when, (one,)) for one in found)
        return
    length = timedelta(minutes=minutes)
    ordered = list(found)
    starting: dict[str, _Starting] = {}
    for one in ordered:
        starting.setdefault(one.schedule["id"], {}).setdefault(one.when.start, []).append(one)
    for begin in ordered:
        when = Interval(begin.when.start, begin.when.start + length)
        if when.end <= last and (run := _follow(begin, starting[begin.schedule["id"]], when.end)):
            yield when, run


def _follow(begin: Opening, starting: _Starting, last: datetime) -> tuple[Opening, ...]:
    """Return the fewest openings that follow each other from `begin` on until `last`; none if they end before.

    Several may begin at one time, and any of them may be the one that leads on.
    """
    ending = {begin.when.end: begin}  # by which of them each time is reached first
    reached = [begin]
    for one in reached:  # grows meanwhile
        if one.when.end >= last:
            run = [one]
            while run[-1] is not begin:
                run.append(ending[run[-1].when.start])
            return tuple(reversed(run))
        for after in starting.get(one.when.end, ()):
            if after.when.end not in ending:
                ending[after.when.end] = after
                reached.append(after)
    return ()


def covering(free: Iterable[Opening], when: Interval) -> tuple[Opening, ...]:
    """Return openings of one Schedule that cover a time without a gap; none where there are no such.

    None overlaps another: of computed openings that do only one can be taken.
    """
    grouped: dict[str, list[Opening]] = {}
    for one in free:
        if one.when.overlaps(when):
            grouped.setdefault(one.schedule["id"], []).append(one)
    for group in grouped.values():
        group.sort(key=lambda one: (min(one.when.end, when.end), one.when.start), reverse=True)
        starting: _Starting = {}
        for one in group:
            starting.setdefault(one.when.start, []).append(one)
        for begin in group:
            if begin.when.start <= when.start < begin.when.end and (run := _follow(begin, starting, when.end)):
                return run
    return ()
