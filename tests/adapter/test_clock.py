"""The one clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from adapter import clock


def test_now_is_in_utc_and_cut_to_milliseconds() -> None:
    before = datetime.now(UTC)
    now = clock.now()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0
    assert abs(now - before) < timedelta(seconds=5)


def test_a_moment_is_printed_as_mediloop_prints_it() -> None:
    kampala = timezone(timedelta(hours=3))
    assert clock.text(datetime(2024, 1, 15, 13, 0, 0, 999_000, tzinfo=kampala)) == "2024-01-15T10:00:00Z"
    assert clock.text(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"


def test_it_is_printed_with_its_milliseconds_where_that_is_asked_for() -> None:
    half = datetime(2024, 1, 15, 13, 0, 0, 500_000, tzinfo=timezone(timedelta(hours=3)))
    assert clock.exact(half) == "2024-01-15T10:00:00.500Z"
    assert clock.exact(half.replace(microsecond=0)) == "2024-01-15T10:00:00Z"
