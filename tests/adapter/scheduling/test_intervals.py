"""Spans of time and the hours they touch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.scheduling.intervals import Interval, Spans, covered, of
from tests.adapter.scheduling.support import at, span

moments = st.timedeltas(timedelta(), timedelta(days=2)).map(lambda since: datetime(2024, 1, 1, tzinfo=UTC) + since)
intervals = st.builds(
    lambda start, length: Interval(start, start + length),
    moments,
    st.timedeltas(timedelta(milliseconds=1), timedelta(hours=30)),
)


@given(intervals, intervals)
def test_intervals_that_overlap_share_an_hour(one: Interval, other: Interval) -> None:
    assert not one.overlaps(other) or set(one.hours()) & set(other.hours())


@given(intervals, intervals)
def test_two_intervals_overlap_exactly_if_they_share_a_moment(one: Interval, other: Interval) -> None:
    assert one.overlaps(other) == (max(one.start, other.start) < min(one.end, other.end)) == other.overlaps(one)


@given(st.lists(intervals), intervals)
def test_how_many_overlap_is_told_as_by_looking_at_each(some: list[Interval], when: Interval) -> None:
    assert Spans(some).overlapping(when) == sum(one.overlaps(when) for one in some)


@given(intervals)
def test_the_hours_are_those_that_the_interval_touches_each_once(one: Interval) -> None:
    hours = [datetime.strptime(f"{hour}+0000", "%Y-%m-%dT%H%z") for hour in one.hours()]
    assert hours == sorted(set(hours))
    assert hours[0] <= one.start < hours[0] + timedelta(hours=1)
    assert hours[-1] < one.end <= hours[-1] + timedelta(hours=1)
    assert len(hours) == (hours[-1] - hours[0]) / timedelta(hours=1) + 1


def test_visits_that_touch_do_not_overlap() -> None:
    assert not span("10:00", "10:30").overlaps(span("10:30", "11:00"))
    assert not span("10:30", "11:00").overlaps(span("10:00", "10:30"))


def test_an_interval_overlaps_what_lies_inside_it_and_itself() -> None:
    assert span("10:00", "11:00").overlaps(span("10:15", "10:30"))
    assert span("10:15", "10:30").overlaps(span("10:00", "11:00"))
    assert span("10:00", "11:00").overlaps(span("10:00", "11:00"))


@pytest.mark.parametrize(
    ("other", "left"),
    [
        (("10:00", "11:00"), []),
        (("09:00", "12:00"), []),
        (("10:20", "10:40"), [("10:00", "10:20"), ("10:40", "11:00")]),
        (("09:00", "10:40"), [("10:40", "11:00")]),
        (("10:20", "11:00"), [("10:00", "10:20")]),
        (("09:00", "10:00"), [("10:00", "11:00")]),
        (("12:00", "13:00"), [("10:00", "11:00")]),
    ],
)
def test_what_is_left_of_a_span_lies_before_and_after_the_other(
    other: tuple[str, str], left: list[tuple[str, str]]
) -> None:
    assert span("10:00", "11:00").without(span(*other)) == tuple(span(*one) for one in left)


def test_an_interval_up_to_the_full_hour_does_not_touch_the_next() -> None:
    assert list(span("10:00", "11:00").hours()) == ["2024-01-20T10"]


@pytest.mark.parametrize(("start", "end"), [("10:00:30", "11:00:20"), ("10:00:00.000002", "11:00:00.000001")])
def test_an_hour_is_touched_by_who_reaches_into_it_for_less_than_a_minute(start: str, end: str) -> None:
    when = (datetime.fromisoformat(f"2024-01-20T{clock}+00:00") for clock in (start, end))
    assert list(Interval(*when).hours()) == ["2024-01-20T10", "2024-01-20T11"]


def test_an_interval_over_midnight_touches_hours_of_both_days() -> None:
    night = Interval(datetime(2024, 1, 20, 23, 59, tzinfo=UTC), datetime(2024, 1, 21, 0, 1, tzinfo=UTC))
    assert list(night.hours()) == ["2024-01-20T23", "2024-01-21T00"]


def test_hours_are_those_of_utc() -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    visit = Interval(datetime(2024, 1, 20, 10, tzinfo=kathmandu), datetime(2024, 1, 20, 10, 30, tzinfo=kathmandu))
    assert list(visit.hours()) == ["2024-01-20T04"]


def test_the_last_hour_of_the_calendar_has_a_name() -> None:
    end = datetime.max.replace(tzinfo=UTC)
    assert list(Interval(end - timedelta(minutes=90), end).hours()) == ["9999-12-31T22", "9999-12-31T23"]


def test_a_resource_with_both_times_has_a_span() -> None:
    assert of({"start": "2024-01-20T13:00:00+03:00", "end": at("10:30")}) == span("10:00", "10:30")


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"start": at("10:00")},
        {"end": at("10:00")},
        {"start": at("10:00"), "end": at("10:00")},
        {"start": at("10:30"), "end": at("10:00")},
        {"start": "2024-01-20T10:00:00+00:00", "end": "2024-01-20T12:00:00+03:00"},
    ],
)
def test_a_resource_without_a_time_between_start_and_end_has_none(times: dict[str, str]) -> None:
    assert of(times) is None


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], False),
        ([("10:00", "11:00")], True),
        ([("09:00", "12:00")], True),
        ([("10:30", "11:00"), ("10:00", "10:30")], True),
        ([("10:00", "10:40"), ("10:20", "11:00")], True),
        ([("10:00", "10:50"), ("10:10", "10:20"), ("10:50", "11:00")], True),
        ([("10:00", "10:30"), ("10:31", "11:00")], False),
        ([("10:00", "10:59")], False),
        ([("10:01", "11:00")], False),
        ([("12:00", "13:00")], False),
    ],
)
def test_spans_cover_a_time_if_they_leave_no_gap(spans: list[tuple[str, str]], expected: bool) -> None:
    assert covered(span("10:00", "11:00"), [span(*one) for one in spans]) == expected
