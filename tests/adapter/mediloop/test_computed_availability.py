"""Availability of who has weekly hours instead of published slots; bookings of it by no other rules and errors."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling import availability
from adapter.service import Service
from store.store import Store
from tests.adapter.mediloop.clinic import JAMES, KAMPALA, MULAGO, PATH, SARAH, booking, concept, location, practitioner
from tests.adapter.mediloop.clinic import put as keep
from tests.adapter.mediloop.clinic import schedule as published
from tests.adapter.mediloop.clinic import slot as stored_slot
from tests.adapter.scheduling.weekly import available, away, open_on, parameters, timezone, weekly
from tests.conftest import Api, ApiMaker, ServiceMaker

SEARCH = f"{PATH}availability/"
DAY = {"date_from": "2024-01-20", "date_to": "2024-01-20"}
HOURS = available(open_on("", "09:00", "11:00"))
ACTORS = (f"Practitioner/{SARAH}", f"Location/{MULAGO}")
NINE, HALF, TEN, LAST = (f"w.20240120T{clock}Z.30" for clock in ("0900", "0930", "1000", "1030"))


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    """Sarah has hours; James is there."""
    await keep(
        store,
        practitioner(SARAH, "Dr. Sarah Nakamya"),
        practitioner(JAMES, "Dr. James Okello"),
        location(MULAGO, "Mulago Hospital"),
        location(KAMPALA, "Kampala Family Clinic"),
        weekly("w", HOURS, actors=ACTORS),
    )


async def change(store: Store, *extensions: Any, **more: Any) -> None:
    """Give Sarah's Schedule other extensions."""

    async def step(work: Any) -> None:
        before = await work.read("Schedule", "w")
        work.update(before, {**before, "extension": list(extensions), **more})

    await store.transact(step)


async def ids(api: Api, **query: Any) -> list[str]:
    answer = await api.get(SEARCH, params={**DAY, **query})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["total"] >= body["count"] == len(body["results"])
    return [one["id"] for one in body["results"]]


async def book(api: Api, slot_id: str | None = None, start: str = "2024-01-20T09:30:00Z", **more: Any) -> Any:
    return await api.post(PATH, booking(slot_id=slot_id, start_time=start, **more))


def error(answer: Any) -> tuple[int, str, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found.get("param")


async def test_openings_are_shown_like_slots(api: Api) -> None:
    answer = await api.get(SEARCH, params={**DAY, "practitioner_id": SARAH})
    body = answer.json()
    assert [one["id"] for one in body["results"]] == [NINE, HALF, TEN, LAST]
    assert body["results"][0] == {
        "id": NINE,
        "practitioner_id": SARAH,
        "practitioner_name": "Dr. Sarah Nakamya",
        "facility_id": MULAGO,
        "facility_name": "Mulago Hospital",
        "start_time": "2024-01-20T09:00:00Z",
        "end_time": "2024-01-20T09:30:00Z",
        "status": "free",
    }


async def test_openings_without_a_practitioner_are_not_offered(api: Api, store: Store) -> None:
    room = "room.20240120T0900Z.30"
    await keep(store, weekly("room", HOURS, actors=(f"Location/{MULAGO}",)))
    for query in ({}, {"facility_id": MULAGO}):
        assert await ids(api, **query) == [NINE, HALF, TEN, LAST]
    assert error(await book(api, room, "2024-01-20T09:00:00Z")) == (422, "slot_mismatch", "practitioner_id")
    await keep(store, weekly("room", HOURS, actors=(f"Practitioner/{JAMES}",)))
    assert room in await ids(api)


async def test_they_are_filtered_and_paged_like_slots(api: Api, store: Store) -> None:
    await change(store, HOURS, specialty=concept("urn:s", "surgery"), serviceType=concept("urn:t", "check"))
    assert await ids(api) == [NINE, HALF, TEN, LAST]
    assert await ids(api, facility_id=MULAGO, practitioner_id=SARAH) == [NINE, HALF, TEN, LAST]
    assert await ids(api, specialty="SURGERY", service_type="check", duration_minutes=30) == [NINE, HALF, TEN, LAST]
    assert await ids(api, facility_id=KAMPALA) == await ids(api, practitioner_id=JAMES) == []
    assert await ids(api, specialty="other") == await ids(api, duration_minutes=31) == []
    assert await ids(api, page=2, page_size=3) == [LAST]


async def test_published_and_computed_openings_are_in_one_order(api: Api, store: Store) -> None:
    await keep(
        store,
        published("james", f"Practitioner/{JAMES}"),
        stored_slot("a", "2024-01-20T09:30", "2024-01-20T10:00", of="james"),
        stored_slot("z", "2024-01-20T09:30", "2024-01-20T10:00", of="james"),
    )
    assert await ids(api) == [NINE, "a", HALF, "z", TEN, LAST]


async def test_the_window_is_bounded_where_openings_are_computed(api: Api, store: Store) -> None:
    assert (await api.get(SEARCH, params={**DAY, "date_to": "2024-04-20"})).status_code == 200
    answer = await api.get(SEARCH, params={**DAY, "date_to": "2024-04-21"})
    assert error(answer) == (400, "invalid_request_error", "date_to")
    answer = await api.get(SEARCH, params={**DAY, "date_to": "2024-04-21", "practitioner_id": JAMES})
    assert answer.status_code == 200


async def test_a_booked_opening_becomes_a_slot_and_is_open_again_when_it_is_given_back(api: Api, store: Store) -> None:
    answer = await book(api, HALF)
    assert answer.status_code == 201, answer.text
    assert answer.json()["end_time"] == "2024-01-20T10:00:00Z"
    assert answer.json()["facility_id"] == MULAGO
    assert await ids(api) == [NINE, TEN, LAST]
    assert b'"busy"' in (await store.read("Slot", HALF) or b"")
    assert error(await book(api, HALF, patient_uhid="UG987654321B")) == (409, "slot_unavailable", "slot_id")
    path = f"{PATH}{answer.json()['id']}/cancel/"
    assert (await api.post(path, {"cancellation_reason_code": "patient-request"})).status_code == 200
    assert await ids(api) == [NINE, HALF, TEN, LAST]
    assert (await book(api, HALF)).status_code == 201


async def test_what_was_given_back_counts_only_while_it_is_computed(api: Api, store: Store) -> None:
    first = await book(api, HALF)
    await api.post(f"{PATH}{first.json()['id']}/cancel/", {"cancellation_reason_code": "patient-request"})
    await change(store, available(open_on("", "10:00", "11:00")))
    assert await ids(api) == [TEN, LAST]
    assert error(await book(api, HALF)) == (409, "slot_unavailable", "slot_id")
    await change(store)  # no hours at all
    assert await ids(api) == []
    assert error(await book(api, HALF)) == (409, "slot_unavailable", "slot_id")
    assert (await book(api)).status_code == 201  # by time: nothing is published then


@pytest.mark.parametrize(
    "ident",
    ["w.20240120T0910Z.30", "w.20240120T0900Z.45", "w.20240120T1200Z.30", "v.20240120T0900Z.30", "w.20241320T0900Z.30"],
)
async def test_what_is_no_opening_is_no_slot(api: Api, ident: str) -> None:
    assert error(await book(api, ident)) == (422, "unknown_slot", "slot_id")


async def test_a_computed_slot_that_does_not_fit_is_refused_like_any(api: Api) -> None:
    assert error(await book(api, HALF, "2024-01-20T09:00:00Z")) == (422, "slot_mismatch", "start_time")
    assert error(await book(api, HALF, practitioner_id=JAMES)) == (422, "slot_mismatch", "practitioner_id")
    assert error(await book(api, HALF, facility_id=KAMPALA)) == (422, "slot_mismatch", "facility_id")


async def test_an_inactive_schedule_offers_nothing(api: Api, store: Store) -> None:
    await change(store, HOURS, active=False)
    assert await ids(api) == []
    assert error(await book(api, HALF)) == (409, "slot_unavailable", "slot_id")


async def test_buffers_count_when_an_opening_is_taken(api: Api, store: Store) -> None:
    grid = parameters(duration=30, bufferAfter=10, alignmentInterval=30)
    await change(store, HOURS, grid)
    assert await ids(api) == [NINE, HALF, TEN, LAST]
    assert (await book(api, HALF)).status_code == 201
    assert await ids(api) == [LAST]
    for ident, start in ((NINE, "09:00"), (TEN, "10:00")):
        answer = await book(api, ident, f"2024-01-20T{start}:00Z")
        assert error(answer) == (409, "slot_unavailable", "slot_id")
    assert (await book(api, LAST, "2024-01-20T10:30:00Z")).status_code == 201


async def test_who_moves_is_not_in_its_own_way(api: Api, store: Store) -> None:
    await change(store, HOURS, parameters(bufferBefore=30, alignmentInterval=30))
    ident = (await book(api, HALF)).json()["id"]
    body = {"new_start_time": "2024-01-20T10:00:00Z", "new_slot_id": TEN}
    moved = await api.post(f"{PATH}{ident}/reschedule/", body)
    assert moved.status_code == 200, moved.text
    assert await ids(api) == [NINE]
    same = await api.post(f"{PATH}{ident}/reschedule/", body)
    assert same.status_code == 200, same.text
    by_time = await api.post(f"{PATH}{ident}/reschedule/", {"new_start_time": "2024-01-20T10:10:00Z"})
    assert by_time.status_code == 200, by_time.text
    assert await ids(api) == [NINE, HALF]


async def test_a_booking_by_time_needs_no_opening(api: Api, store: Store) -> None:
    by_time = await book(api, None, "2024-01-20T09:10:00Z", duration_minutes=15)
    assert by_time.status_code == 201, by_time.text
    assert await store.count("Slot", {}) == 0
    assert await ids(api) == [HALF, TEN, LAST]
    assert error(await book(api, NINE, "2024-01-20T09:00:00Z")) == (409, "slot_unavailable", "slot_id")
    assert (await book(api, None, "2024-01-20T20:00:00Z")).status_code == 201  # outside of the hours
    assert error(await book(api, None, "2024-01-20T09:20:00Z")) == (409, "time_conflict", "start_time")
    assert (await book(api, TEN, "2024-01-20T10:00:00Z")).status_code == 201
    answer = await book(api, None, "2024-01-20T10:10:00Z")
    assert [one["code"] for one in answer.json()["error"]["errors"]] == ["slot_unavailable", "time_conflict"]


async def test_who_is_away_is_not_booked(api: Api, store: Store) -> None:
    leave = available(open_on("", "09:00", "11:00"), away("2024-01-20T09:45:00Z", "2024-01-20T10:30:00Z"))
    await change(store, leave)
    assert await ids(api) == [NINE, LAST]
    assert error(await book(api, HALF)) == (409, "slot_unavailable", "slot_id")
    assert error(await book(api, None, "2024-01-20T10:20:00Z")) == (409, "slot_unavailable", "start_time")
    assert (await book(api, None, "2024-01-20T10:30:00Z")).status_code == 201
    elsewhere = await book(api, None, "2024-01-20T10:00:00Z", facility_id=KAMPALA)
    assert elsewhere.status_code == 201  # the leave is that of her hours at Mulago


async def test_walk_ins_neither_block_nor_are_blocked(api: Api) -> None:
    assert (await book(api, None, appointment_type_code="WALKIN")).status_code == 201
    assert await ids(api) == [NINE, HALF, TEN, LAST]


async def test_a_slot_set_busy_by_hand_is_in_the_way(api: Api, store: Store) -> None:
    await keep(store, stored_slot("hand", "2024-01-20T09:15", "2024-01-20T09:45", "busy-unavailable", of="w"))
    assert await ids(api) == [TEN, LAST]
    wrong = stored_slot(TEN, "2024-01-20T10:00", "2024-01-20T10:30", "entered-in-error", of="w")
    moved = stored_slot(LAST, "2024-01-20T08:00", "2024-01-20T08:30", of="w")  # free, and published now
    await keep(store, wrong, moved)
    assert await ids(api) == [LAST]


@pytest.mark.parametrize(
    ("day", "first"),
    [("2024-03-30", "08:00"), ("2024-03-31", "07:00"), ("2024-10-26", "07:00"), ("2024-10-27", "08:00")],
)
async def test_hours_are_those_of_the_schedules_own_zone(api: Api, store: Store, day: str, first: str) -> None:
    await change(store, HOURS, timezone("Europe/Berlin"))
    assert (await ids(api, date_from=day, date_to=day))[0] == f"w.{day.replace('-', '')}T{first.replace(':', '')}Z.30"


async def test_without_one_they_are_the_clinics(make_service: ServiceMaker, make_api: ApiMaker, store: Store) -> None:
    service: Service = make_service(timezone="Africa/Kampala")
    api: Api = await make_api(service)
    assert (await ids(api))[0] == "w.20240120T0600Z.30"


@pytest.mark.parametrize(
    ("zone", "day", "first", "last"),
    [
        ("America/Havana", "2999-12-31", "05", "23"),
        ("Asia/Tokyo", "1900-01-01", "00", "14"),
    ],
)
async def test_only_what_a_booking_can_name_is_offered_on_the_first_and_the_last_day(
    make_service: ServiceMaker, make_api: ApiMaker, store: Store, zone: str, day: str, first: str, last: str
) -> None:
    hourly = parameters(duration=30, alignmentInterval=60)
    await change(store, available(open_on("", "00:00", "00:00")), hourly, timezone("UTC"))
    api: Api = await make_api(make_service(timezone=zone))
    found = await ids(api, date_from=day, date_to=day, page_size="100")
    told = day.replace("-", "")
    assert (found[0], found[-1]) == (f"w.{told}T{first}00Z.30", f"w.{told}T{last}00Z.30")
    answer = await book(api, found[-1], f"{day}T{last}:00:00Z")
    assert answer.status_code == 201, answer.text


async def test_a_deleted_computed_slot_can_be_booked_again(api: Api, store: Store) -> None:
    first = await book(api, HALF)
    await api.post(f"{PATH}{first.json()['id']}/cancel/", {"cancellation_reason_code": "patient-request"})

    async def step(work: Any) -> None:
        work.delete(await work.read("Slot", HALF))

    await store.transact(step)
    assert (await book(api, HALF)).status_code == 201


async def test_what_would_take_too_long_to_compute_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "MOST_COMPUTED", 100)
    answer = await api.get(SEARCH, params={**DAY, "date_to": "2024-02-20"})
    assert error(answer) == (400, "too_costly", None)
    assert len(await ids(api)) == 4
