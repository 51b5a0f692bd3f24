"""``date_from`` and ``date_to`` are the clinic's own calendar days, both included."""

from __future__ import annotations

import pytest

from mappings.instants import shift
from store.store import Store
from tests.adapter.mediloop.clinic import PATH, appointment, ids, open_clinic, put, slot
from tests.conftest import Api, ApiMaker, ServiceMaker

# A day in each zone, with its first moment, its last minute and the minutes beside it, in UTC.
EDGES = [
    ("UTC", "2024-01-20", "2024-01-19T23:59", "2024-01-20T00:00", "2024-01-20T23:59", "2024-01-21T00:00"),
    ("Africa/Kampala", "2024-01-20", "2024-01-19T20:59", "2024-01-19T21:00", "2024-01-20T20:59", "2024-01-20T21:00"),
    ("America/New_York", "2024-01-20", "2024-01-20T04:59", "2024-01-20T05:00", "2024-01-21T04:59", "2024-01-21T05:00"),
    # Clocks go forward at 02:00: the day has 23 hours.
    ("Europe/Berlin", "2024-03-31", "2024-03-30T22:59", "2024-03-30T23:00", "2024-03-31T21:59", "2024-03-31T22:00"),
    # And back: 25 hours.
    ("Europe/Berlin", "2024-10-27", "2024-10-26T21:59", "2024-10-26T22:00", "2024-10-27T22:59", "2024-10-27T23:00"),
    # Clocks go forward at midnight: the day begins at one.
    ("Asia/Beirut", "2024-03-31", "2024-03-30T21:59", "2024-03-30T22:00", "2024-03-31T20:59", "2024-03-31T21:00"),
    (
        "Pacific/Kiritimati",
        "2024-01-20",
        "2024-01-19T09:59",
        "2024-01-19T10:00",
        "2024-01-20T09:59",
        "2024-01-20T10:00",
    ),
]
_OPTIONS = ("zone", "day", "before", "first", "last", "after")


@pytest.mark.parametrize(_OPTIONS, EDGES)
async def test_a_day_of_appointments(
    make_service: ServiceMaker,
    make_api: ApiMaker,
    store: Store,
    zone: str,
    day: str,
    before: str,
    first: str,
    last: str,
    after: str,
) -> None:
    api: Api = await make_api(make_service(timezone=zone))
    times = {"before": before, "first": first, "last": last, "after": after}
    await put(store, *(appointment(name, "cancelled", start) for name, start in times.items()))
    assert ids(await api.get(f"{PATH}?date_from={day}&date_to={day}")) == ["first", "last"]
    assert ids(await api.get(f"{PATH}?date_from={day}")) == ["first", "last", "after"]
    assert ids(await api.get(f"{PATH}?date_to={day}")) == ["before", "first", "last"]


@pytest.mark.parametrize(_OPTIONS, EDGES)
async def test_a_day_of_slots(
    make_service: ServiceMaker,
    make_api: ApiMaker,
    store: Store,
    zone: str,
    day: str,
    before: str,
    first: str,
    last: str,
    after: str,
) -> None:
    await open_clinic(store)
    api: Api = await make_api(make_service(timezone=zone))
    times = {"before": before, "first": first, "last": last, "after": after}
    await put(store, *(slot(name, start, shift(f"{start}:00Z", 30)[:16]) for name, start in times.items()))
    listed = ids(await api.get(f"{PATH}availability/?date_from={day}&date_to={day}"))
    assert [name for name in listed if name in times] == ["first", "last"]


@pytest.mark.parametrize(("day", "expected"), [("2024-01-20", ["x"]), ("2024-01-21", [])])
async def test_a_time_counts_by_its_moment_whatever_its_offset(
    api: Api, store: Store, day: str, expected: list[str]
) -> None:
    times = {"start": "2024-01-21T02:30:00+03:00", "end": "2024-01-21T03:00:00+03:00"}
    await put(store, appointment("x", "cancelled") | times)
    assert ids(await api.get(f"{PATH}?date_from={day}&date_to={day}")) == expected


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
async def test_the_first_and_the_last_day_that_can_be_named_work(
    make_service: ServiceMaker, make_api: ApiMaker, zone: str
) -> None:
    api: Api = await make_api(make_service(timezone=zone))
    for day in ("1900-01-01", "2999-12-31"):
        assert ids(await api.get(f"{PATH}?date_from={day}&date_to={day}")) == []


@pytest.mark.parametrize(
    ("zone", "day", "shown", "beyond"),
    [
        ("America/Havana", "2999-12-31", "2999-12-31T23:00", "3000-01-01T00:00"),
        ("Asia/Tokyo", "1900-01-01", "1900-01-01T00:00", "1899-12-31T23:59"),
    ],
)
async def test_slots_that_no_booking_can_name_are_not_shown_and_appointments_are(
    make_service: ServiceMaker, make_api: ApiMaker, store: Store, zone: str, day: str, shown: str, beyond: str
) -> None:
    await open_clinic(store)
    api: Api = await make_api(make_service(timezone=zone))
    await put(store, slot("in", shown, shift(f"{shown}:00Z", 10)[:16]))
    await put(store, slot("out", beyond, shift(f"{beyond}:00Z", 10)[:16]), appointment("x", "cancelled", beyond))
    assert ids(await api.get(f"{PATH}availability/?date_from={day}&date_to={day}")) == ["in"]
    assert ids(await api.get(f"{PATH}?date_from={day}&date_to={day}")) == ["x"]
