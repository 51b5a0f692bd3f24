"""Dates as spans of time."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given

from store import extract
from store.dates import FIRST, LAST, as_instant, latest, shifted, span
from tests import strategies

KAMPALA = ZoneInfo("Africa/Kampala")
NEW_YORK = ZoneInfo("America/New_York")
AT = (2026, 1, 10, 9, 30, 15)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "zone", "lo", "hi"),
    [
        ("2026", UTC, utc(2026, 1, 1), utc(2027, 1, 1)),
        ("2026-02", UTC, utc(2026, 2, 1), utc(2026, 3, 1)),
        ("2026-12", UTC, utc(2026, 12, 1), utc(2027, 1, 1)),
        ("2026-01-10", UTC, utc(2026, 1, 10), utc(2026, 1, 11)),
        ("2026-01-10", KAMPALA, utc(2026, 1, 9, 21), utc(2026, 1, 10, 21)),
        ("2026-03-29", ZoneInfo("Europe/Berlin"), utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)),
        ("2026-01-10T09:30", KAMPALA, utc(2026, 1, 10, 6, 30), utc(2026, 1, 10, 6, 31)),
        ("2026-01-10T09:30Z", KAMPALA, utc(2026, 1, 10, 9, 30), utc(2026, 1, 10, 9, 31)),
        ("2026-01-10T09:30:15+03:00", UTC, utc(2026, 1, 10, 6, 30, 15), utc(2026, 1, 10, 6, 30, 16)),
        (
            "2026-01-10T09:30:15.5-01:30",
            UTC,
            utc(2026, 1, 10, 11, 0, 15, 500_000),
            utc(2026, 1, 10, 11, 0, 15, 600_000),
        ),
        ("2026-01-10T09:30:15.1234Z", UTC, utc(2026, 1, 10, 9, 30, 15, 123_000), utc(2026, 1, 10, 9, 30, 15, 124_000)),
        *(
            (f"2026-01-10T12:30:15.5{more}+03:00", UTC, utc(*AT, 500_000), utc(*AT, 501_000))
            for more in ("0" * 9, "00123456789", "00" + "9" * 5_000)
        ),
        ("2024-12-31T23:59:60Z", UTC, utc(2025, 1, 1), utc(2025, 1, 1, 0, 0, 1)),
        ("9999", UTC, utc(9999, 1, 1), LAST),
        ("9999-12", UTC, utc(9999, 12, 1), LAST),
        ("9999-12-31", UTC, utc(9999, 12, 31), LAST),
        ("9999-12-31T23:59:59-05:00", UTC, LAST, LAST),
        ("0001-01-01", KAMPALA, FIRST, utc(1, 1, 1, 21, 32, 20)),
    ],
)
def test_a_date_is_the_time_that_its_precision_leaves_open(text: str, zone: tzinfo, lo: datetime, hi: datetime) -> None:
    if text.startswith("0001"):  # local mean time, before there were zones
        hi = span(text, zone)[1]
    assert span(text, zone) == (lo, hi)


@pytest.mark.parametrize(
    ("text", "lo", "last", "hi"),
    [
        ("2027-11-07T01:30", utc(2027, 11, 7, 5, 30), utc(2027, 11, 7, 6, 30), utc(2027, 11, 7, 6, 31)),
        ("2027-11-07T01:59:59", *(utc(2027, 11, 7, hour, 59, 59) for hour in (5, 6)), utc(2027, 11, 7, 7)),
        ("2027-11-07T01:30-05:00", *[utc(2027, 11, 7, 6, 30)] * 2, utc(2027, 11, 7, 6, 31)),
        ("2027-11-07T02:00", *[utc(2027, 11, 7, 7)] * 2, utc(2027, 11, 7, 7, 1)),
        ("2027-11-07", *[utc(2027, 11, 7, 4)] * 2, utc(2027, 11, 8, 5)),
        ("2027-03-14T02:30", *[utc(2027, 3, 14, 7, 30)] * 2, utc(2027, 3, 14, 7, 31)),
    ],
)
def test_what_the_clocks_show_twice_is_both(text: str, lo: datetime, last: datetime, hi: datetime) -> None:
    """And what they leave out is as long after the change as it would be after the hour before."""
    assert (span(text, NEW_YORK), latest(text, NEW_YORK)) == ((lo, hi), last)


@pytest.mark.parametrize(
    "text",
    [
        *("", "26", "2026-1", "2026-13", "2026-02-30", "2026-01-10T", "2026-01-10T09", "2026-01-10 09:30", "today"),
        *("2026-01-10T25:00Z", "2026-01-10T09:61Z", "2026-01-10T09:30:61Z", "2026-01-10T09:30+15:00", "20260110"),
        *("2026-01-10T09:30+03:60", "2026-W02", "0000", "2026-01-10T09:30:00.Z", "٢٠٢٦"),
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        span(text, UTC)


def test_a_long_fraction_costs_next_to_nothing() -> None:
    """Neither time nor, in what is remembered of the texts, room."""
    digits = "7" * 1_000_000
    tracemalloc.start()
    try:
        for second in range(10, 60):
            text = f"2026-01-10T09:30:{second}.{digits}Z"
            assert span(text, UTC)[0] == extract.instant(text) == utc(2026, 1, 10, 9, 30, second, 777_000)
        del text
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(ValueError):
        span(f"{digits}.{digits}", UTC)


@given(strategies.instants)
def test_an_instant_begins_where_it_is_elsewhere_said_to_be(text: str) -> None:
    assert span(text, KAMPALA)[0] == extract.instant(text)


def test_time_ends_at_the_edges_of_the_calendar() -> None:
    assert shifted(LAST, timedelta(days=1)) == LAST
    assert shifted(FIRST, -timedelta(days=1)) == FIRST
    assert shifted(FIRST, timedelta(days=1)) == utc(1, 1, 2)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 10, 12, 30, 15, 123_999, KAMPALA), "2026-01-10T09:30:15.123Z"),
        (utc(2026, 1, 10), "2026-01-10T00:00:00.000Z"),
        (FIRST, "0001-01-01T00:00:00.000Z"),
        (LAST, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_has_milliseconds(moment: datetime, text: str) -> None:
    assert as_instant(moment) == text
    assert extract.instant(text) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
