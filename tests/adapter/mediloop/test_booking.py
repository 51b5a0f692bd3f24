"""What a booking answers and stores."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapter.mediloop.requests import BookRequest
from store.store import Store
from tests.adapter.mediloop.clinic import (
    BOOKING,
    MULAGO,
    PATH,
    SARAH,
    UHID,
    booking,
    malformed,
    open_clinic,
    put,
    slot,
    slot_status,
    stored,
)
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker

_DEFAULTS = {
    "status": "booked",
    "specialty_code": None,
    "appointment_type_code": "ROUTINE",
    "duration_minutes": 30,
    "reason_text": None,
    "priority": 5,
    "patient_instruction": None,
    "notes": None,
    "created_at": "2024-01-15T10:00:00Z",
}


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)


async def _book(api: Api, **changes: Any) -> dict[str, Any]:
    answer = await api.post(PATH, booking(**changes))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_required_members_alone_make_a_whole_appointment(api: Api) -> None:
    made = await _book(api)
    names = {"patient_name": "John Doe", "practitioner_name": "Dr. Sarah Nakamya"}
    place = {"facility_id": MULAGO, "facility_name": "Mulago Hospital"}
    number = {"id": made["id"], "appointment_number": "APT-2024-000001", "end_time": "2024-01-20T10:30:00Z"}
    assert made == {**BOOKING, **_DEFAULTS, **names, **place, **number}


async def test_every_optional_member_is_kept_and_shown(api: Api) -> None:
    given = {
        "end_time": "2024-01-20T10:20:00Z",
        "duration_minutes": 20,
        "slot_id": "slot-002",
        "facility_id": MULAGO,
        "specialty_code": "general-practice",
        "appointment_type_code": "FOLLOWUP",
        "reason_text": "General checkup\nwith a second line",
        "priority": 1,
        "patient_instruction": "Please bring previous test results",
        "notes": "Prefers English; néé Ọ́lá, 你好, 🙂",
    }
    made = await _book(api, **given)
    assert made == made | {name: value for name, value in given.items() if name != "slot_id"}
    assert "slot_id" not in made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "x" * most) for name, most in (("reason_text", 1_000), ("patient_instruction", 10_000))),
        ("notes", "🙂" * 10_000),
        ("service_type_code", "x" * 64),
        ("specialty_code", "two words"),
        ("priority", 10),
        ("duration_minutes", 1_440),
        ("duration_minutes", 1),
    ],
)
async def test_a_value_at_its_limit_is_taken(api: Api, name: str, value: Any) -> None:
    made = await _book(api, **{"start_time": "2024-02-01T10:00:00Z", name: value})
    assert made[name] == value


async def test_null_is_as_good_as_absent_for_what_is_optional(api: Api) -> None:
    optional = [name for name, field in BookRequest.model_fields.items() if not field.is_required()]
    body = dict(BOOKING) | dict.fromkeys(optional)
    made = (await api.post(PATH, body)).json()
    assert (made["appointment_type_code"], made["priority"], made["duration_minutes"]) == ("ROUTINE", 5, 30)


async def test_the_answer_is_what_the_detail_shows_afterwards(api: Api) -> None:
    made = await _book(api)
    assert (await api.get(f"{PATH}{made['id']}/")).json() == made


async def test_times_are_answered_in_utc_and_stored_with_the_offset_they_came_with(api: Api, store: Store) -> None:
    made = await _book(api, start_time="2024-01-20T13:00:00+03:00")
    assert (made["start_time"], made["end_time"]) == ("2024-01-20T10:00:00Z", "2024-01-20T10:30:00Z")
    document = await stored(store, "Appointment", made["id"])
    assert (document["start"], document["end"]) == ("2024-01-20T13:00:00+03:00", "2024-01-20T13:30:00+03:00")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2024-02-01T10:00Z", "2024-02-01T10:00:00Z"),
        ("2024-02-01t10:00:00z", "2024-02-01T10:00:00Z"),
        ("2024-02-01T10:00:00.250Z", "2024-02-01T10:00:00.250Z"),
        ("2024-02-29T23:59:59-05:00", "2024-03-01T04:59:59Z"),
        ("2024-02-01T00:30:00+14:00", "2024-01-31T10:30:00Z"),
        ("2024-02-01T13:00:00+0300", "2024-02-01T10:00:00Z"),
        ("2024-02-01T04:30-0530", "2024-02-01T10:00:00Z"),
        ("2024-02-01T13:00:00.5+03", "2024-02-01T10:00:00.5Z"),
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00Z"),
        ("2999-12-31T00:00:00Z", "2999-12-31T00:00:00Z"),
        ("1899-12-31T20:00:00-05:00", "1900-01-01T01:00:00Z"),
        ("3000-01-01T00:30:00+03:00", "2999-12-31T21:30:00Z"),
    ],
)
async def test_any_iso_8601_time_with_an_offset_is_taken(api: Api, given: str, shown: str) -> None:
    assert (await _book(api, start_time=given))["start_time"] == shown


@pytest.mark.parametrize(("given", "written"), [("+0300", "+03:00"), ("-0530", "-05:30"), ("+03", "+03:00")])
async def test_an_offset_is_stored_as_fhir_writes_it(api: Api, store: Store, given: str, written: str) -> None:
    made = await _book(api, start_time=f"2024-02-01T10:00:00{given}")
    document = await stored(store, "Appointment", made["id"])
    assert (document["start"], document["end"]) == (f"2024-02-01T10:00:00{written}", f"2024-02-01T10:30:00{written}")


@pytest.mark.parametrize("given", ["ug123456789a", "  UG123456789A ", "Ug123456789a\t"])
async def test_a_uhid_is_trimmed_and_in_upper_case(api: Api, given: str) -> None:
    assert (await _book(api, patient_uhid=given))["patient_uhid"] == UHID


async def test_a_known_patient_is_referred_to_and_an_unknown_one_is_identified(api: Api, store: Store) -> None:
    known = await _book(api)
    unknown = await _book(api, patient_uhid="UG000000001Z", start_time="2024-02-01T10:00:00Z")
    assert unknown["patient_name"] is None
    actors = [(await stored(store, "Appointment", one["id"]))["participant"][0]["actor"] for one in (known, unknown)]
    assert [actor.get("reference") for actor in actors] == ["Patient/john", None]
    assert [actor["identifier"]["value"] for actor in actors] == [UHID, "UG000000001Z"]


async def test_the_slot_is_busy_and_referred_to(api: Api, store: Store) -> None:
    made = await _book(api)
    assert (await stored(store, "Appointment", made["id"]))["slot"] == [{"reference": "Slot/slot-002"}]
    assert await slot_status(store, "slot-002") == "busy"


async def test_a_named_slot_gives_the_length(api: Api, store: Store) -> None:
    await put(store, slot("long", "2024-02-01T10:00", "2024-02-01T11:15"))
    made = await _book(api, slot_id="long", start_time="2024-02-01T10:00:00Z")
    assert (made["end_time"], made["duration_minutes"]) == ("2024-02-01T11:15:00Z", 75)


async def test_a_visit_may_be_shorter_than_its_named_slot(api: Api) -> None:
    made = await _book(api, slot_id="slot-002", duration_minutes=15)
    assert made["end_time"] == "2024-01-20T10:15:00Z"


async def test_an_end_gives_the_length(api: Api) -> None:
    assert (await _book(api, end_time="2024-01-20T11:00:00Z"))["duration_minutes"] == 60


async def test_numbers_are_counted_up_by_year_of_the_clinic(
    make_service: ServiceMaker, make_api: ApiMaker, clock: Clock
) -> None:
    api: Api = await make_api(make_service(timezone="Africa/Kampala"))
    clock.moment = clock.moment.replace(month=12, day=31, hour=20)
    first = await _book(api, start_time="2024-02-01T10:00:00Z")
    clock.advance(hours=2)  # past midnight in Kampala
    second = await _book(api, start_time="2024-02-02T10:00:00Z")
    assert [one["appointment_number"] for one in (first, second)] == ["APT-2024-000001", "APT-2025-000001"]


async def test_of_many_bookings_of_one_slot_at_once_one_stands(api: Api, store: Store) -> None:
    answers = await asyncio.gather(*(api.post(PATH, booking()) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert await store.count("Appointment", {}) == 1


@pytest.mark.parametrize(
    ("settings", "given", "allowed"),
    [
        ({}, "UG12345678A", False),
        ({}, "UG1234567890", False),
        ({}, "KE123456789A", False),
        ({}, "UG123456789É", False),
        ({"uhid_pattern": "^[A-Z]{2}[0-9]+$"}, "KE12", True),
        ({"uhid_pattern": "^[A-Z]{2}[0-9]+$"}, "UG123456789A", False),
    ],
)
async def test_the_shape_of_a_uhid_is_a_setting(
    make_service: ServiceMaker, make_api: ApiMaker, settings: dict[str, str], given: str, allowed: bool
) -> None:
    api: Api = await make_api(make_service(**settings))
    answer = await api.post(PATH, booking(patient_uhid=given))
    if allowed:
        assert answer.json()["patient_uhid"] == given
    else:
        malformed(answer, "patient_uhid")


async def test_a_booking_of_another_practitioner_at_that_time_stands(api: Api) -> None:
    await _book(api)
    assert (await _book(api, practitioner_id="prov-def-456"))["practitioner_name"] == "Dr. James Okello"
    assert (await api.get(f"{PATH}?practitioner_id={SARAH}")).json()["total"] == 1
