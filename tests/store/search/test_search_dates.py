"""Dates, against a real MongoDB and an obvious comparison of spans (https://hl7.org/fhir/R4/search.html#prefix)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.dates import FIRST, LAST, span
from store.search import dates
from store.store import Store
from tests.store.search.support import NOW, appointment, found, put, reading, refusal, resource, schedule

KAMPALA = reading(zone=ZoneInfo("Africa/Kampala"))
HOURS = ("2026-01-09T23:59:59Z", "2026-01-10T00:00:00Z", "2026-01-10T12:00:00.250Z", "2026-01-11T00:00:00Z")


async def _hours(store: Store) -> None:
    await put(store, *(appointment(str(number), text) for number, text in enumerate(HOURS)), appointment("none"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-10", "12"),
        ("eq2026-01-10", "12"),
        ("ne2026-01-10", "03"),
        ("gt2026-01-10", "3"),
        ("ge2026-01-10", "123"),
        ("lt2026-01-10", "0"),
        ("le2026-01-10", "012"),
        ("sa2026-01-10", "3"),
        ("eb2026-01-10", "0"),
        ("2026-01", "0123"),
        ("2026", "0123"),
        ("gt2025", "0123"),
        ("ge2026", "0123"),
        ("ge2027", ""),
        ("lt2027", "0123"),
        ("2026-01-10T12:00", "2"),
        ("2026-01-10T12:00Z", "2"),
        ("2026-01-10T12:00:00Z", "2"),
        ("2026-01-10T12:00:00.2Z", "2"),
        ("2026-01-10T12:00:00.25Z", "2"),
        ("2026-01-10T12:00:00.251Z", ""),
        ("gt2026-01-10T12:00:00Z", "3"),
        ("le2026-01-10T12:00:00Z", "012"),
        ("2026-01-10T15:00:00 03:00", "2"),
        ("2026-01-10T15:00:00.25 03:00", "2"),
        ("2026-01-10T15:00 03:00", "2"),
        ("2026-01-10T12:00:60Z", ""),
        ("2026-01-09,2026-01-11", "03"),
        ("lt9999", "0123"),
        ("le9999-12-31", "0123"),
        ("gt9999", ""),
        ("ge0001-01-01", "0123"),
        ("lt0001", ""),
        ("ap9000", ""),
        ("ap0001", ""),
    ],
)
async def test_every_prefix_and_precision_on_a_moment(store: Store, value: str, expected: str) -> None:
    await _hours(store)
    assert await found(store, "Appointment", f"date={value}") == set(expected)


FINE = "2026-01-10T12:00:00.2501234567890123"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"{FINE}Z", "245"),
        (f"{FINE}{'0' * 1_000}Z", "245"),
        (f"{FINE}{'0' * 1_000}-00:30", ""),
        ("ge1990-01-01T00:00:00.1234567890123Z", "012345"),
        (f"lt{FINE}Z", "01"),
    ],
)
async def test_a_fraction_may_have_any_number_of_digits(store: Store, value: str, expected: str) -> None:
    finer = (HOURS[2].replace("250", fraction) for fraction in ("2501234567", f"250{'9' * 300}"))
    await put(store, *(appointment(str(number), text) for number, text in enumerate((*HOURS, *finer))))
    assert await found(store, "Appointment", f"date={value}") == set(expected)


async def test_two_bounds_are_one_span(store: Store) -> None:
    await _hours(store)
    assert await found(store, "Appointment", "date=ge2026-01-10&date=lt2026-01-11") == {"1", "2"}
    assert await found(store, "Appointment", "date=ge2026-01-10&date=ge2026-01-11") == {"3"}


async def test_a_day_is_a_day_where_the_clinic_is(store: Store) -> None:
    await _hours(store)
    assert await found(store, "Appointment", "date=2026-01-10", KAMPALA) == {"0", "1", "2"}
    assert await found(store, "Appointment", "date=2026-01-10T15:00", KAMPALA) == {"2"}
    assert await found(store, "Appointment", "date=2026-01-10T12:00Z", KAMPALA) == {"2"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2027-11-07T01:30", "12"),
        ("le2027-11-07T01:59:59", "12"),
        ("gt2027-11-07T01:59", "3"),
        ("lt2027-11-07T01:30", ""),
    ],
)
async def test_an_hour_that_comes_twice_is_looked_for_twice(store: Store, value: str, expected: str) -> None:
    starts = ("05:30", "06:30", "07:00")  # in New York half past one, half past one, two
    await put(store, *(appointment(str(nth), f"2027-11-07T{one}:00Z") for nth, one in enumerate(starts, 1)))
    assert await found(store, "Appointment", f"date={value}", reading(zone=ZoneInfo("America/New_York"))) == {*expected}


async def test_about_is_a_tenth_of_the_distance(store: Store) -> None:
    starts = {"early": "09T23:59", "first": "10T00:00", "last": "12T23:59", "late": "13T00:00"}
    await put(store, *(appointment(ident, f"2026-01-{start}:00Z") for ident, start in starts.items()))
    # Ten days off: a day more on either side.
    assert await found(store, "Appointment", "date=ap2026-01-11") == {"first", "last"}


async def test_last_updated(store: Store) -> None:
    await put(store, appointment("a"))  # the clock stands in January 2024
    assert await found(store, "Appointment", "_lastUpdated=2024-01-15") == {"a"}
    assert await found(store, "Appointment", "_lastUpdated=gt2024-01-15") == set()


async def _planned(store: Store) -> None:
    for ident, period in {
        "week": {"start": "2026-01-05", "end": "2026-01-11"},
        "day": {"start": "2026-01-10T08:00:00Z", "end": "2026-01-10T17:00:00Z"},
        "open": {"start": "2026-01-11"},
        "past": {"end": "2026-01-01"},
        "none": None,
    }.items():
        await put(store, schedule(ident, "Practitioner/1", **({"planningHorizon": period} if period else {})))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-10", "day"),
        ("2026-01", "week day"),
        ("ne2026-01-10", "week open past"),
        ("gt2026-01-10", "week open"),
        ("ge2026-01-10", "week day open"),
        ("lt2026-01-10", "week past"),
        ("le2026-01-10", "week day past"),
        ("sa2026-01-10", "open"),
        ("eb2026-01-05", "past"),
        ("ap2026-01-01", "past"),
        ("ap2026-01-10T10:00:00Z", "week day open"),
        ("2026-01-10,gt2026-01-11", "day open"),
    ],
)
async def test_every_prefix_on_a_period(store: Store, value: str, expected: str) -> None:
    await _planned(store)
    assert await found(store, "Schedule", f"date={value}") == set(expected.split())


async def test_periods_that_begin_and_end_with_the_one_that_is_searched(store: Store) -> None:
    for ident, day in (("before", "2026-01-09"), ("same", "2026-01-10"), ("after", "2026-01-11")):
        await put(store, schedule(ident, "Practitioner/1", planningHorizon={"start": day, "end": day}))
    for prefix, expected in {
        "eq": "same",
        "ne": "before after",
        "gt": "after",
        "ge": "same after",
        "lt": "before",
        "le": "before same",
        "sa": "after",
        "eb": "before",
    }.items():
        assert await found(store, "Schedule", f"date={prefix}2026-01-10") == set(expected.split()), prefix


async def test_a_date_of_birth(store: Store) -> None:
    await put(store, resource("Patient", "1", birthDate="1990-05"), resource("Patient", "2", birthDate="1990-05-03"))
    assert await found(store, "Patient", "birthdate=1990") == {"1", "2"}
    assert await found(store, "Patient", "birthdate=1990-05-03") == {"2"}
    assert await found(store, "Patient", "birthdate=le1990-05-03") == {"1", "2"}
    assert await found(store, "Patient", "birthdate:missing=true") == set()


async def test_spans_of_no_length_are_found(store: Store) -> None:
    apia = reading(zone=ZoneInfo("Pacific/Apia"))
    await put(store, schedule("last", "Practitioner/1", planningHorizon={"start": "9999-12-31T23:59:59.999Z"}))
    lo, hi = span("2011-12-30", apia.zone)  # the day that Samoa left out
    assert lo == hi
    await store.database["Patient"].insert_one(
        {"_id": "none", "_json": b"{}", "_index": {"birthdate": {"lo": lo, "hi": hi}}}
    )
    for value in ("9999-12-31T23:59:59.999Z", "9999-12-31", "9999"):
        assert await found(store, "Schedule", f"date={value}") == {"last"}
    for value in ("2011-12-30", "2011-12", "2011"):
        assert await found(store, "Patient", f"birthdate={value}", apia) == {"none"}


async def test_appointments_by_their_start_or_what_was_asked_for(store: Store) -> None:
    asked = [{"start": "2026-02-01", "end": "2026-02-03"}, {"start": "2026-03-01", "end": "2026-03-02"}]
    await put(store, appointment("fixed", "2026-02-02T10:00:00Z"), appointment("asked", requestedPeriod=asked))
    for value, expected in {
        "2026-02": {"fixed", "asked"},
        "2026-02-02": {"fixed"},
        "2026-03": {"asked"},
        "2026-02-02T10:00:00Z": {"fixed"},
        "ap2026-02-01": {"fixed", "asked"},
        "ap2026-02-14": set(),  # between the two
        "gt2026-02-02": {"asked"},
        "lt2026-02-02": {"asked"},
        "ne2026-03": {"fixed", "asked"},
        "sa2026-03-05": set(),
    }.items():
        assert await found(store, "Appointment", f"-date-or-req-period={value}") == expected


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-01-10T09:30:00 03:00", "2026-01-10T09:30:00+03:00"),
        ("ge2026-01-10T09:30 03:00", "ge2026-01-10T09:30+03:00"),
        (
            "2026-01-10T09:30:00.5 03:00,2026-01-11T09:30:00 03:00",
            "2026-01-10T09:30:00.5+03:00,2026-01-11T09:30:00+03:00",
        ),
        ("2026-01-10 09:30", "2026-01-10 09:30"),
        ("2026-01-10T09:30:00-03:00", "2026-01-10T09:30:00-03:00"),
    ],
)
def test_a_blank_before_an_offset_was_a_plus(text: str, meant: str) -> None:
    assert dates.repaired(text) == meant


def test_what_is_no_date_is_refused_with_a_remedy() -> None:
    for value in (
        "tomorrow",
        "2026-13",
        "2026-02-30",
        "2026-1-1",
        "xx2026",
        "2026-01-10T25:00",
        "2026-01-10T10",
        "2026-01-10T10:00%2B19:00",
        "2026-01-10T10:00%2B01:75",
        "0000",
        "٢٠٢٦",
        "2" * 100,
        "ge",
    ):
        (problem,) = refusal("Appointment", f"date=2026,{value}")
        assert (problem.code, problem.parameter) == ("value", "date")
        assert "2026-01-10T09:00:00+03:00" in problem.text
    (problem,) = refusal("Appointment", "date:exact=2026")
    assert problem.code == "not-supported"


_moments = st.datetimes(datetime(2025, 12, 1), datetime(2026, 2, 1)).map(  # noqa: DTZ001  # made aware here
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)
_texts = st.one_of(
    _moments.map(lambda moment: moment.strftime("%Y-%m-%d")),
    _moments.map(lambda moment: moment.strftime("%Y-%m")),
    _moments.map(lambda moment: moment.strftime("%Y-%m-%dT%H:%MZ")),
    _moments.map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")),
)


def _matches(prefix: str, start: datetime, end: datetime, lo: datetime, hi: datetime) -> bool:
    """The table of FHIR for a span [start, end) in a resource and a span [lo, hi) in a search, word by word."""
    equal = lo <= start and end <= hi
    above, below = end > hi, start < lo
    return {
        "eq": equal,
        "ne": not equal,
        "gt": above,
        "lt": below,
        "ge": above or equal,
        "le": below or equal,
        "sa": start >= hi,
        "eb": end <= lo,
        "ap": start < hi and lo < end,
    }[prefix]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_spans_are_compared_as_the_table_says(store: Store, data: st.DataObject) -> None:
    await store.database["Schedule"].delete_many({})
    await store.database["history"].delete_many({})
    periods = data.draw(st.lists(st.tuples(st.none() | _texts, st.none() | _texts), min_size=3, max_size=6))
    kept = {}
    for number, (start, end) in enumerate(periods):
        lo = span(start, UTC)[0] if start else FIRST
        hi = span(end, UTC)[1] if end else LAST
        if lo < hi and (start or end):
            kept[str(number)] = (lo, hi)
            period = ({"start": start} if start else {}) | ({"end": end} if end else {})
            await put(store, schedule(str(number), "Practitioner/1", planningHorizon=period))
    text = data.draw(_texts)
    lo, hi = span(text, UTC)
    for prefix in dates.PREFIXES:
        if prefix == "ap":
            lo, hi = dates.widened(lo, hi, NOW)
        expected = {name for name, (start, end) in kept.items() if _matches(prefix, start, end, lo, hi)}
        assert await found(store, "Schedule", f"date={prefix}{text}") == expected, prefix


def test_widening_stays_within_the_calendar() -> None:
    assert dates.widened(LAST - timedelta(days=1), LAST, NOW)[1] == LAST
    assert dates.widened(FIRST, FIRST + timedelta(days=1), NOW)[0] == FIRST
    assert dates.widened(NOW, NOW + timedelta(days=1), NOW) == (NOW, NOW + timedelta(days=1))
