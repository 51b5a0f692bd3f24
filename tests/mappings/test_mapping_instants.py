from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.instants import lasting, minutes_between, parse, shift, shown, to_utc
from tests.strategies import instants


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("2024-01-20T13:00:00.100+03:00", "2024-01-20T10:00:00.100Z"),
        ("2024-01-20T10:00:00Z", "2024-01-20T10:00:00Z"),
        ("2024-01-20T10:00:00.123456789-00:00", "2024-01-20T10:00:00.123456789Z"),
        ("2024-01-01T00:00:00+05:45", "2023-12-31T18:15:00Z"),
        ("2024-01-01T10:00:00+14:00", "2023-12-31T20:00:00Z"),
        ("2024-01-01T20:00:00-03:30", "2024-01-01T23:30:00Z"),
        ("2017-01-01T02:59:60+03:00", "2016-12-31T23:59:60Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60Z"),
        ("0999-06-01T12:00:00+01:00", "0999-06-01T11:00:00Z"),
        ("2024", "2024-01-01T00:00:00Z"),
        ("2024-02", "2024-02-01T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59-05:00"),
        ("0001-01-01T00:00:00+03:00", "0001-01-01T00:00:00+03:00"),
    ],
)
def test_to_utc(given_: str, shown: str) -> None:
    assert to_utc(given_) == shown


@pytest.mark.parametrize("zone", ["", "z", "+0300", "+03", "+14:30", "+15:00", "Z "])
@pytest.mark.parametrize("function", [to_utc, parse, lambda text: shift(text, 1)])
def test_an_offset_is_needed_and_well_formed(zone: str, function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="is not a point in time"):
        function(f"2024-01-20T10:00:00{zone}")


@pytest.mark.parametrize(
    "text",
    ["2024-02-30T10:00:00+03:00", "2024-01-20T24:00:00+03:00", "2024-01-20T10:00+03:00", "soon", "٢٠٢٤", ""],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    for function in (to_utc, parse):
        with pytest.raises(ValueError):
            function(text)


@pytest.mark.parametrize("text", ["1-01-01T00:00:00Z", "2024-13", "soon", None])
def test_what_is_stored_and_no_time_shows_as_none(text: str | None) -> None:
    assert shown(text) is None


def test_a_date_is_no_instant_but_has_a_first_moment() -> None:
    with pytest.raises(ValueError):
        parse("2024-01-20")
    with pytest.raises(ValueError):
        to_utc("2024-13")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-20T13:00:00.1234567+03:00", datetime(2024, 1, 20, 10, 0, 0, 123456, UTC)),
        ("2024-01-20T10:00:00+14:00", datetime(2024, 1, 19, 20, tzinfo=UTC)),
        ("2024-01-20T10:00:00.5-14:00", datetime(2024, 1, 21, 0, 0, 0, 500000, UTC)),
        ("2016-12-31T23:59:60.9Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2024-02-29T10:00:00Z", datetime(2024, 2, 29, 10, tzinfo=UTC)),
        ("9999-12-31T23:59:59-05:00", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00+03:00", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_parse(text: str, moment: datetime) -> None:
    assert parse(text) == moment
    assert parse(text).tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "minutes", "moved"),
    [
        ("2024-01-20T23:45:00.100+05:45", 30, "2024-01-21T00:15:00.100+05:45"),
        ("2024-03-01T00:10:00-00:00", -20, "2024-02-29T23:50:00-00:00"),
        ("2016-12-31T23:59:60.25Z", 30, "2017-01-01T00:30:00.00Z"),
    ],
)
def test_shift(text: str, minutes: int, moved: str) -> None:
    assert shift(text, minutes) == moved


def test_shift_out_of_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be moved by 30 minutes"):
        shift("9999-12-31T23:59:00Z", 30)


@pytest.mark.parametrize(
    ("start", "begin", "end", "expected"),
    [
        ("2024-01-22T14:00:00Z", "2024-01-20T10:00:00Z", "2024-01-20T10:29:59Z", "2024-01-22T14:29:59Z"),
        ("2024-01-22T14:00:00+03:00", "2024-01-20T10:00:00Z", "2024-01-20T10:00:30Z", "2024-01-22T14:00:30+03:00"),
        ("2024-01-22T14:00:00Z", "2024-01-20T10:00:00.5Z", "2024-01-20T13:30:00.500+03:00", "2024-01-22T14:30:00Z"),
        ("2024-01-22T14:00:00Z", "2024-01-20T10:00:00.5Z", "2024-01-20T10:30:00.75Z", "2024-01-22T14:30:00.25Z"),
        ("2024-01-22T14:00:00.900Z", "2024-01-20T10:00:00Z", "2024-01-20T10:30:00.1Z", "2024-01-22T14:30:01.000Z"),
        ("2024-01-22T23:59:59Z", "2024-01-20T10:00:00Z", "2024-01-21T10:00:01Z", "2024-01-24T00:00:00Z"),
        (
            "2024-01-22T14:00:00.123456789Z",
            "2024-01-20T10:00:00Z",
            "2024-01-20T10:30:00Z",
            "2024-01-22T14:30:00.123456789Z",
        ),
        ("2024-01-22T14:00:00Z", "2016-12-31T23:30:00Z", "2016-12-31T23:59:60.5Z", "2024-01-22T14:30:00Z"),
        ("2016-12-31T23:59:60.2Z", "2024-01-20T10:00:00Z", "2024-01-20T10:30:00Z", "2017-01-01T00:30:00.0Z"),
        (
            "2024-01-22T14:00:00Z",
            "2024-01-20T10:00:00.0000000019Z",  # what is beyond the nanosecond is cut off
            "2024-01-20T10:30:00.000000002Z",
            "2024-01-22T14:30:00.000000001Z",
        ),
    ],
)
def test_lasting_keeps_the_exact_length(start: str, begin: str, end: str, expected: str) -> None:
    assert lasting(start, begin, end) == expected


def test_what_would_last_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves the calendar"):
        lasting("9999-12-31T23:59:00Z", "2024-01-20T10:00:00Z", "2024-01-20T10:30:00Z")


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        ("2024-01-20T09:50:00Z", "2024-01-20T11:05:00Z", 75),
        ("2024-01-20T11:05:00Z", "2024-01-20T09:50:00Z", -75),
        ("2024-01-20T09:50:00Z", "2024-02-20T10:05:00Z", 31 * 24 * 60 + 15),
        ("2024-01-20T10:00:00Z", "2024-01-20T13:30:59.9+03:00", 30),
        ("2024-01-20T10:00:00Z", "2024-01-20T09:59:59Z", -1),
        ("2016-12-31T23:30:00Z", "2016-12-31T23:59:60Z", 30),
        ("9999-12-31T23:00:00-05:00", "9999-12-31T23:30:59.9-05:00", 30),  # UTC has no such years
        ("9999-12-31T18:30:00-05:00", "9999-12-31T19:30:00-05:00", 60),
        ("0001-01-01T01:00:00+03:00", "0001-01-01T00:30:00+03:00", -30),
    ],
)
def test_minutes_between(start: str, end: str, minutes: int) -> None:
    assert minutes_between(start, end) == minutes


@given(instants, st.integers(-100_000, 100_000))
def test_moving_and_measuring_agree(instant: str, minutes: int) -> None:
    assert minutes_between(instant, shift(instant, minutes)) in {minutes, minutes - 1}
    assert parse(to_utc(instant)) == parse(instant)
