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
