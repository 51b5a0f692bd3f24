"""The openings of a timetable: when a visit may begin, by the wall clock of its own zone, whatever the clocks do.

Pure. The hours mean what the clock on the wall shows: between two changes of the clocks the offset stands still, so
each such stretch is looked at by itself. Where an hour comes twice, it is open twice; where one is left out, so are its
openings. A visit's length, and the steps from one to the next where there is no grid, are real time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from adapter.scheduling.hours import Timetable, Weekly
from adapter.scheduling.intervals import DAY, MINUTE, Interval
from store.dates import shifted

_WEEK = 7 * 1_440  # minutes
_MARGIN = timedelta(days=4)  # hours that begin, or end, outside of the window must be seen whole
_STEP = timedelta(hours=12)  # no zone changes its clocks twice within


def candidates(table: Timetable, window: Interval) -> list[Interval]:
    """Return the visits that begin in `window` within the hours, in order, whatever is away or busy then."""
    first = max(window.start, table.horizon.start)
    window = Interval(first, max(first, window.end))
    length = timedelta(minutes=table.minutes)
    starts = _in_a_row(table, window, length) if table.every is None else _on_grid(table, table.every, window, length)
    found = [Interval(start, start + length) for start in sorted(set(starts))]
    for hours in table.within:
        open_then = merged(piece for piece in pieces(hours, table.zone, window))
        found = [when for when in found if _inside(when, open_then)]
    return [when for when in found if when.end <= table.horizon.end]


def free(table: Timetable, window: Interval, busy: Iterable[Interval]) -> list[Interval]:
    """Return those of the `candidates` that touch no leave, and, buffers included, nothing of `busy`."""
    away, taken = merged(table.away), merged(busy)
    return [
        when
        for when in candidates(table, window)
        if not (away and touches(when, away)) and not (taken and touches(table.kept(when), taken))
    ]


def about(table: Timetable, window: Interval) -> int:
    """Return how many openings there may be in `window`, by a usual week: about what it costs to compute them."""
    span = min(window.end, table.horizon.end) - max(window.start, table.horizon.start)
    step = timedelta(minutes=table.every or table.minutes + table.before + table.after)
    a_week = sum(len(one.days) * (1 + (one.closes - one.opens) // step) for one in table.weekly)
    a_week += sum(len(one.days) for hours in table.within for one in hours)
    return -(a_week * max(0, span // MINUTE) // -_WEEK)  # rounded up


def covers(table: Timetable, when: Interval) -> bool:
    """Tell whether a time lies within the hours, wherever visits may begin and whatever is away or busy then."""
    hours = (table.weekly, *table.within)
    within = all(_inside(when, merged(pieces(one, table.zone, when))) for one in hours)
    return within and table.horizon.start <= when.start and when.end <= table.horizon.end


def merged(spans: Iterable[Interval]) -> list[Interval]:
    """Return the same time in intervals that neither overlap nor touch, in order."""
    made: list[Interval] = []
    for span in sorted(spans, key=lambda span: span.start):
        if made and span.start <= made[-1].end:
            if span.end > made[-1].end:
                made[-1] = Interval(made[-1].start, span.end)
        else:
            made.append(span)
    return made


def touches(when: Interval, spans: Sequence[Interval]) -> bool:
    """Tell whether `when` overlaps one of `spans` (merged)."""
    place = bisect_right(spans, when.start, key=lambda span: span.end)
    return place < len(spans) and spans[place].start < when.end


def _inside(when: Interval, spans: Sequence[Interval]) -> bool:
    """Tell whether `when` lies within one of `spans` (merged)."""
    place = bisect_right(spans, when.start, key=lambda span: span.end)
    return place < len(spans) and spans[place].start <= when.start and when.end <= spans[place].end


def _in_a_row(table: Timetable, window: Interval, length: timedelta) -> Iterator[datetime]:
    step = length + timedelta(minutes=table.before + table.after)
    for piece in pieces(table.weekly, table.zone, window):
        start = _whole_minute(piece.start)
        while start + length <= piece.end:
            if window.start <= start < window.end:
                yield start
            start += step


def _on_grid(table: Timetable, every: int, window: Interval, length: timedelta) -> Iterator[datetime]:
    hours = merged(pieces(table.weekly, table.zone, window))
    for stretch, offset in _stretches_of(table.zone, window):
        for span in hours:
            start = max(span.start, stretch.start, window.start)
            last = min(span.end - length, window.end - MINUTE)
            while (start := _next(start, offset, every, table.offset)) <= last and start < stretch.end:
                yield start
                start += MINUTE


def _next(moment: datetime, offset: timedelta, every: int, rest: int) -> datetime:
    """Return the first moment of the grid that is not before `moment`, by a clock that is `offset` ahead of UTC."""
    local = shifted(_whole_minute(moment), offset)
    minute = local.hour * 60 + local.minute
    ahead = (rest - minute) % every
    if minute + ahead >= 1440:
        ahead = 1440 - minute + rest % every  # the grid begins anew each midnight
    return shifted(local, timedelta(minutes=ahead) - offset)


def _whole_minute(moment: datetime) -> datetime:
    """Return `moment`, or the beginning of the next minute: the ids of openings name minutes."""
    below = moment.replace(second=0, microsecond=0)
    return moment if below == moment else shifted(below, MINUTE)


def pieces(weekly: Sequence[Weekly], zone: tzinfo, window: Interval) -> Iterator[Interval]:
    """Yield the times at which the wall clock shows one of the hours: one piece for a day's entry, if it can be."""
    stretches = _stretches_of(zone, window)
    for day in _days(window):
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for entry in weekly:
            if day.weekday() in entry.days:
                shown = [
                    piece
                    for stretch, offset in stretches
                    if (
                        piece := _common(
                            Interval(
                                shifted(midnight, entry.opens - offset),
                                shifted(midnight, entry.closes - offset),
                            ),
                            stretch,
                        )
                    )
                ]
                yield from merged(shown) if len(shown) > 1 else shown


def _common(one: Interval, other: Interval) -> Interval | None:
    start, end = max(one.start, other.start), min(one.end, other.end)
    return Interval(start, end) if start < end else None


def _days(window: Interval) -> Iterator[date]:
    """Yield the days whose hours may concern `window`, in whatever zone."""
    day, last = shifted(window.start, -3 * DAY).date(), shifted(window.end, 2 * DAY).date()
    while day < last:
        yield day
        day += DAY
    yield last


def _stretches_of(zone: tzinfo, window: Interval) -> tuple[tuple[Interval, timedelta], ...]:
    return _stretches(zone, shifted(window.start, -_MARGIN).date(), shifted(window.end, _MARGIN).date())


@lru_cache(maxsize=256)
def _stretches(zone: tzinfo, first: date, last: date) -> tuple[tuple[Interval, timedelta], ...]:
    """Return the times from day `first` to `last` between two changes of the clocks, with the offset from UTC."""
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC)
    made: list[tuple[Interval, timedelta]] = []
    start, moment, offset = begin, begin, _offset(begin, zone)
    while moment < end:
        later = min(moment + _STEP, end) if end - moment > _STEP else end
        changed = _offset(later, zone)
        if changed != offset:
            turn = _turn(moment, later, zone)
            made.append((Interval(start, turn), offset))
            start, offset = turn, changed
        moment = later
    return (*made, (Interval(start, end), offset))


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    try:
        return moment.astimezone(zone).utcoffset() or timedelta()
    except OverflowError:  # the first and the last day there is
        return timedelta()


def _turn(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the moment between the two at which the clocks change, to the second."""
    old = _offset(before, zone)
    seconds = int((after - before).total_seconds())
    low, high = 0, seconds  # old at low, new at high
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(before + timedelta(seconds=middle), zone) == old:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)
