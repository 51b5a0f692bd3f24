"""Openings are what the wall clock shows: held to a slow evaluation minute by minute, over changes of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.scheduling import leave, openings
from adapter.scheduling.hours import ALWAYS, Timetable, Weekly
from adapter.scheduling.intervals import Interval
from tests.scale import examples

BERLIN, NEW_YORK, KAMPALA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Africa/Kampala")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its clocks change by half an hour
UTC_ZONE = ZoneInfo("UTC")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
EVERY_DAY = frozenset(range(7))


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def weekly(opens: int, closes: int, days: frozenset[int] = EVERY_DAY) -> Weekly:
    return Weekly(days, timedelta(minutes=opens), timedelta(minutes=closes))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def window(first: str, last: str | None = None, zone: ZoneInfo = BERLIN) -> Interval:
    """Whole days of a zone, the last included."""
    start = datetime.combine(date.fromisoformat(first), datetime.min.time(), zone)
    end = datetime.combine(date.fromisoformat(last or first) + DAY, datetime.min.time(), zone)
    return Interval(start.astimezone(UTC), end.astimezone(UTC))


def starts(table: Timetable, span: Interval, busy: tuple[Interval, ...] = ()) -> list[str]:
    """When openings begin, by the wall clock."""
    return [f"{when.start.astimezone(table.zone):%d %H:%M%z}" for when in openings.free(table, span, busy)]


# The slow way: look at the clock each minute.


def shows(entry: Weekly, local: datetime) -> date | None:
    """The day whose hours the wall clock is in, if it is in any."""
    for back in (0, 1):
        day = local.date() - back * DAY
        passed = timedelta(days=back, hours=local.hour, minutes=local.minute)
        if day.weekday() in entry.days and entry.opens <= passed < entry.closes:
            return day
    return None


def whole(when: Interval, is_open: set[datetime]) -> bool:
    return all(when.start + minutes(step) in is_open for step in range(int((when.end - when.start) / MINUTE)))


def slowly(table: Timetable, span: Interval, busy: list[Interval]) -> list[Interval]:
    begin, end = span.start - 3 * DAY, span.end + 3 * DAY
    every = [begin + minutes(step) for step in range(int((end - begin) / MINUTE))]
    local = {minute: minute.astimezone(table.zone) for minute in every}
    found: set[datetime] = set()
    length, step = minutes(table.minutes), minutes(table.minutes + table.before + table.after)
    is_open = {minute for minute in every if any(shows(entry, local[minute]) is not None for entry in table.weekly)}
    if table.every is None:
        for entry in table.weekly:
            day_of = {minute: day for minute in every if (day := shows(entry, local[minute])) is not None}
            anchor: datetime | None = None
            for minute in every:
                day = day_of.get(minute)
                if day is None or day != day_of.get(minute - MINUTE):
                    anchor = minute
                if day is None or anchor is None or (minute - anchor) % step:
                    continue
                if all(day_of.get(minute + minutes(ahead)) == day for ahead in range(table.minutes)):
                    found.add(minute)
    else:
        for minute in every:
            of_day = local[minute].hour * 60 + local[minute].minute
            if of_day % table.every == table.offset % table.every and whole(Interval(minute, minute + length), is_open):
                found.add(minute)
    others = [{m for m in every if any(shows(one, local[m]) is not None for one in hours)} for hours in table.within]
    made = []
    for start in sorted(found):
        when = Interval(start, start + length)
        kept = Interval(start - minutes(table.before), when.end + minutes(table.after))
        if (
            span.start <= start < span.end
            and table.horizon.start <= start
            and when.end <= table.horizon.end
            and all(whole(when, other) for other in others)
            and not any(when.overlaps(one) for one in table.away)
            and not any(kept.overlaps(one) for one in busy)
        ):
            made.append(when)
    return made


entries = st.builds(
    lambda days, opens, length: weekly(opens, opens + length, days),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1440),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Timetable, Interval, list[Interval]]:
    zone, around = draw(
        st.sampled_from(
            [
                (BERLIN, "2024-03-31"),
                (BERLIN, "2024-10-27"),
                (NEW_YORK, "2024-03-10"),
                (NEW_YORK, "2024-11-03"),
                (KAMPALA, "2024-03-31"),
                (LORD_HOWE, "2024-04-07"),
                (LORD_HOWE, "2024-10-06"),
            ]
        )
    )
    middle = datetime.fromisoformat(f"{around}T00:00:00Z")
    near = st.integers(-2880, 2880).map(lambda step: middle + minutes(step))
    spans = st.builds(lambda start, length: Interval(start, start + minutes(length)), near, st.integers(1, 600))
    every = draw(st.none() | st.integers(1, 200))
    table = Timetable(
        zone=zone,
        weekly=tuple(draw(st.lists(entries, max_size=3))),
        within=tuple(tuple(one) for one in draw(st.lists(st.lists(entries, min_size=1, max_size=2), max_size=1))),
        away=tuple(draw(st.lists(spans, max_size=2))),
        horizon=draw(st.just(ALWAYS) | st.builds(lambda start: Interval(start, start + DAY), near)),
        minutes=draw(st.integers(5, 200)),
        before=draw(st.integers(0, 40)),
        after=draw(st.integers(0, 40)),
        every=every,
        offset=0 if every is None else draw(st.integers(0, 300)),
    )
    begin = draw(near)
    return table, Interval(begin, begin + minutes(draw(st.integers(0, 2880)))), draw(st.lists(spans, max_size=4))


@settings(max_examples=examples(60), deadline=None)
@given(cases())
def test_openings_are_those_that_a_look_at_the_clock_each_minute_finds(
    case: tuple[Timetable, Interval, list[Interval]],
) -> None:
    table, span, busy = case
    assert openings.free(table, span, busy) == slowly(table, span, busy)


# By hand.


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (Timetable(UTC, (weekly(540, 1020),), minutes=15), 31 * 33),
        (Timetable(UTC, (weekly(540, 1020), weekly(0, 60)), minutes=20, before=5, after=5), 31 * 20),
        (Timetable(UTC, (weekly(540, 1020),), minutes=60, every=10), 31 * 49),
        (Timetable(UTC, (weekly(540, 1020),), within=((weekly(0, 60), weekly(60, 90)),), minutes=15), 31 * 35),
        (Timetable(UTC, (weekly(540, 1020, frozenset({0})),), minutes=15), 147),  # rounded up
        (Timetable(UTC, (weekly(540, 1020),), horizon=window("2024-01-30", "2024-03-01", KAMPALA)), 2 * 17 + 3),
        (Timetable(UTC, (weekly(540, 1020),), horizon=window("2025-01-30")), 0),
        (Timetable(UTC, ()), 0),
    ],
)
def test_how_many_there_may_be_is_known_beforehand(table: Timetable, expected: int) -> None:
    january = Interval(moment("2024-01-01T00:00:00Z"), moment("2024-02-01T00:00:00Z"))
    assert openings.about(table, january) == expected
    assert len(openings.candidates(table, january)) <= expected * 1.1


def test_a_day_on_which_the_clocks_go_forward_leaves_out_an_hour() -> None:
    table = Timetable(BERLIN, (weekly(60, 240),), minutes=60)
    assert starts(table, window("2024-03-31")) == ["31 01:00+0100", "31 03:00+0200"]
    assert starts(table, window("2024-03-30")) == ["30 01:00+0100", "30 02:00+0100", "30 03:00+0100"]


def test_a_day_on_which_the_clocks_go_back_has_an_hour_more() -> None:
    table = Timetable(BERLIN, (weekly(60, 240),), minutes=60)
    assert starts(table, window("2024-10-27")) == [
        "27 01:00+0200",
        "27 02:00+0200",
        "27 02:00+0100",
        "27 03:00+0100",
    ]


@pytest.mark.parametrize(
    ("zone", "first", "last", "expected"),
    [
        (BERLIN, "2024-03-30", "2024-03-31", ["30 09:00+0100", "31 09:00+0200"]),
        (BERLIN, "2024-10-26", "2024-10-27", ["26 09:00+0200", "27 09:00+0100"]),
        (NEW_YORK, "2024-03-09", "2024-03-10", ["09 09:00-0500", "10 09:00-0400"]),
        (NEW_YORK, "2024-11-02", "2024-11-03", ["02 09:00-0400", "03 09:00-0500"]),
        (KAMPALA, "2024-03-30", "2024-03-31", ["30 09:00+0300", "31 09:00+0300"]),
    ],
)
def test_nine_is_nine_by_the_wall_clock(zone: ZoneInfo, first: str, last: str, expected: list[str]) -> None:
    table = Timetable(zone, (weekly(540, 570),))
    assert starts(table, window(first, last, zone)) == expected


def test_an_hour_that_comes_twice_is_open_twice() -> None:
    table = Timetable(BERLIN, (weekly(135, 165),), minutes=30)
    assert starts(table, window("2024-10-27")) == ["27 02:15+0200", "27 02:15+0100"]
    assert starts(table, window("2024-03-31")) == []


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    table = Timetable(KAMPALA, (weekly(1380, 1500, frozenset({5})),), minutes=60)  # Saturday 23:00 to 01:00
    assert starts(table, window("2024-01-20", "2024-01-22", KAMPALA)) == ["20 23:00+0300", "21 00:00+0300"]
    assert starts(table, window("2024-01-21", zone=KAMPALA)) == ["21 00:00+0300"]


def test_the_grid_begins_anew_each_midnight_and_has_an_offset() -> None:
    table = Timetable(KAMPALA, (weekly(0, 1440),), minutes=30, every=420, offset=10)
    assert starts(table, window("2024-01-20", "2024-01-21", KAMPALA)) == [
        f"{day} {clock}+0300" for day in (20, 21) for clock in ("00:10", "07:10", "14:10", "21:10")
    ]


def test_a_grid_that_would_go_on_at_midnight_begins_anew_with_its_offset() -> None:
    table = Timetable(KAMPALA, (weekly(0, 1440),), minutes=20, every=700, offset=40)  # 40 + 2 * 700 is midnight
    assert starts(table, window("2024-01-20", "2024-01-21", KAMPALA)) == [
        f"{day} {clock}+0300" for day in (20, 21) for clock in ("00:40", "12:20")
    ]


@pytest.mark.parametrize("every", [None, 30])
def test_what_begins_when_the_window_ends_is_not_in_it(every: int | None) -> None:
    table = Timetable(KAMPALA, (weekly(540, 720),), every=every)
    span = Interval(moment("2024-01-20T09:30:00+03:00"), moment("2024-01-20T10:30:00+03:00"))
    assert starts(table, span) == ["20 09:30+0300", "20 10:00+0300"]


@pytest.mark.parametrize("every", [None, 30])
def test_what_ends_after_the_horizon_is_not_planned(every: int | None) -> None:
    planned = Interval(moment("2024-01-20T00:00:00+03:00"), moment("2024-01-20T10:15:00+03:00"))
    table = Timetable(KAMPALA, (weekly(540, 720),), horizon=planned, every=every)
    assert starts(table, window("2024-01-20", zone=KAMPALA)) == ["20 09:00+0300", "20 09:30+0300"]


def test_a_visit_on_the_grid_may_pass_midnight_where_both_days_are_open() -> None:
    table = Timetable(KAMPALA, (weekly(1410, 1440), weekly(0, 30)), minutes=60, every=30)
    assert starts(table, window("2024-01-20", zone=KAMPALA)) == ["20 23:30+0300"]


def test_without_a_grid_visits_follow_each_other_with_their_buffers_between() -> None:
    table = Timetable(KAMPALA, (weekly(540, 660),), minutes=30, before=5, after=10)
    assert starts(table, window("2024-01-20", zone=KAMPALA)) == ["20 09:00+0300", "20 09:45+0300", "20 10:30+0300"]


def test_buffers_are_kept_free_before_and_after() -> None:
    table = Timetable(KAMPALA, (weekly(540, 720),), minutes=30, before=5, after=10, every=30)
    taken = Interval(moment("2024-01-20T10:00:00+03:00"), moment("2024-01-20T10:30:00+03:00"))
    day = window("2024-01-20", zone=KAMPALA)
    assert starts(table, day, (taken,)) == ["20 09:00+0300", "20 11:00+0300", "20 11:30+0300"]


def test_hours_that_end_in_the_middle_of_a_minute_are_entered_at_the_next() -> None:
    table = Timetable(KAMPALA, (Weekly(EVERY_DAY, timedelta(hours=9, seconds=30), timedelta(hours=10)),), minutes=29)
    assert starts(table, window("2024-01-20", zone=KAMPALA)) == ["20 09:01+0300", "20 09:30+0300"]


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-30"])
@pytest.mark.parametrize("every", [None, 60])
@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_the_first_and_the_last_days_that_there_are_can_be_asked_for(
    zone: ZoneInfo, day: str, every: int | None
) -> None:
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    table = Timetable(zone, (weekly(540, 600),), minutes=60, before=1440, every=every)
    assert isinstance(openings.free(table, Interval(start, start + DAY), [Interval(start, start + MINUTE)]), list)


def test_what_overlaps_or_touches_is_merged() -> None:
    def span(start: int, end: int) -> Interval:
        zero = moment("2024-01-20T00:00:00Z")
        return Interval(zero + minutes(start), zero + minutes(end))

    assert openings.merged([span(5, 6), span(0, 3), span(1, 2), span(3, 4)]) == [span(0, 4), span(5, 6)]


@pytest.mark.parametrize(
    ("start", "end", "is_in"),
    [
        ("10:00", "10:30", True),
        ("09:00", "09:30", False),
        ("09:45", "10:15", False),
        ("10:45", "11:15", False),
        ("12:00", "12:30", False),
    ],
)
def test_a_time_is_within_the_hours_of_the_schedule_and_of_each_service(start: str, end: str, is_in: bool) -> None:
    table = Timetable(UTC_ZONE, (weekly(540, 720),), within=((weekly(600, 660),), (weekly(480, 780),)))
    when = Interval(moment(f"2024-01-20T{start}:00Z"), moment(f"2024-01-20T{end}:00Z"))
    assert openings.covers(table, when) is is_in


def test_nobody_is_in_beyond_the_horizon_of_a_schedule() -> None:
    table = Timetable(UTC, (weekly(540, 1020),), horizon=window("2024-01-29", "2024-01-30", UTC_ZONE))
    inside = window("2024-01-30", zone=UTC_ZONE).start + minutes(600)
    assert openings.covers(table, Interval(inside, inside + minutes(60)))
    for days in (-2, 1):
        beyond = Interval(inside + days * DAY, inside + days * DAY + minutes(60))
        assert not openings.covers(table, beyond)
        assert not leave.is_in([table], beyond)
