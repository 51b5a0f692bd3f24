"""Computed Slots through FHIR: read before they are stored, taken by an Appointment; hours at the door."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.adapter.fhir.door import call, get, made
from tests.adapter.mediloop.clinic import PATH, booking
from tests.adapter.scheduling.support import linking, visit
from tests.adapter.scheduling.weekly import available, away, open_on, parameters, timezone, weekly
from tests.conftest import Api

NINE, HALF, TEN = (f"w.20240120T{clock}Z.30" for clock in ("0900", "0930", "1000"))
HOURS = available(open_on("", "09:00", "11:00"))
GRID = parameters(duration=30, bufferAfter=10, alignmentInterval=30)


@pytest.fixture(autouse=True)
async def clinic(api: Api) -> None:
    await made(api, {"resourceType": "Practitioner", "id": "p"})
    await made(api, {"resourceType": "Location", "id": "l", "name": "L"})
    await made(api, {"resourceType": "Patient", "id": "1"})
    await made(api, weekly("w", HOURS))


async def put(api: Api, resource: dict[str, Any]) -> tuple[int, list[str]]:
    answer = await call(api, "PUT", f"{resource['resourceType']}/{resource['id']}", resource)
    issues = answer.json().get("issue", [])
    return answer.status_code, [
        found["details"]["coding"][0]["code"] for found in issues if "coding" in found["details"]
    ]


async def status(api: Api, ident: str) -> str:
    answer = await get(api, f"Slot/{ident}")
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["status"]
    return found


async def test_an_opening_is_read_like_a_slot(api: Api) -> None:
    answer = await get(api, f"Slot/{HALF}")
    assert answer.status_code == 200
    assert "etag" not in answer.headers
    assert answer.json() == {
        "resourceType": "Slot",
        "id": HALF,
        "schedule": {"reference": "Schedule/w"},
        "status": "free",
        "start": "2024-01-20T09:30:00Z",
        "end": "2024-01-20T10:00:00Z",
    }
    assert (await get(api, f"Slot/{HALF}?_summary=true")).status_code == 200
    assert (await get(api, f"Slot/{HALF}?_elements=status")).json()["status"] == "free"
    for other in ("w.20240120T0910Z.30", "v.20240120T0900Z.30", "w.20240120T0930Z.31", "nothing"):
        assert (await get(api, f"Slot/{other}")).status_code == 404
    assert (await get(api, f"Schedule/{HALF}")).status_code == 404


async def test_a_deletion_closes_no_opening_and_there_is_no_history_of_one(api: Api) -> None:
    for _ in range(2):
        assert (await call(api, "DELETE", f"Slot/{HALF}")).status_code == 204
        assert (await get(api, f"Slot/{HALF}/_history")).status_code == 404
        assert await status(api, HALF) == "free"
    stored = {**(await get(api, f"Slot/{HALF}")).json(), "status": "busy-unavailable"}
    assert (await put(api, stored))[0] == 201
    assert await status(api, HALF) == "busy-unavailable"
    assert (await call(api, "DELETE", f"Slot/{HALF}")).status_code == 204
    assert await status(api, HALF) == "free"  # it is computed again: leave closes it


async def test_an_appointment_takes_and_gives_back_a_computed_slot(api: Api) -> None:
    assert await put(api, visit("x", "09:30", "10:00", **linking(HALF))) == (201, [])
    assert await status(api, HALF) == "busy"
    assert (await get(api, f"Slot/{HALF}")).headers["etag"] == 'W/"1"'
    assert (await put(api, visit("y", "09:30", "10:00", **linking(HALF))))[0] == 409
    assert await put(api, visit("x", "09:30", "10:00", status="cancelled", **linking(HALF))) == (200, [])
    assert await status(api, HALF) == "free"
    assert await put(api, visit("y", "09:30", "10:00", **linking(HALF))) == (201, [])


async def test_what_is_in_the_way_of_a_computed_slot_is_told(api: Api) -> None:
    await made(api, weekly("w", HOURS, GRID))
    assert await put(api, visit("x", "09:30", "10:00", **linking(HALF))) == (201, [])
    assert await status(api, TEN) == "busy-unavailable"
    assert (await put(api, visit("y", "10:00", "10:30", **linking(TEN))))[0] == 409
    assert (await put(api, visit("z", "09:00", "09:40", **linking("w.20240120T0900Z.40"))))[0] == 422
    moved = visit("x", "10:00", "10:30", **linking(TEN))
    assert await put(api, moved) == (200, [])  # never in its own way
    assert await status(api, HALF) == "free"  # as it is stored; but no longer an opening
    assert (await put(api, visit("y", "09:30", "10:00", **linking(HALF))))[0] == 409
    assert await put(api, moved) == (200, [])


async def test_a_longer_visit_takes_several(api: Api) -> None:
    await made(api, weekly("w", HOURS, GRID))
    assert await put(api, visit("x", "09:00", "10:00", **linking(NINE, HALF))) == (201, [])
    assert [await status(api, one) for one in (NINE, HALF)] == ["busy", "busy"]


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for one in resources
        ],
    }


async def test_those_of_one_transaction_are_in_each_others_way(api: Api) -> None:
    await made(api, weekly("w", HOURS, GRID))
    both = (visit("x", "09:00", "09:30", **linking(NINE)), visit("y", "09:30", "10:00", **linking(HALF)))
    assert (await call(api, "POST", "", bundle(*both))).status_code == 409
    other = visit("y", "09:30", "10:00", who=("Practitioner/q",))
    gone = visit("z", "09:30", "10:00", status="cancelled")
    await made(api, {"resourceType": "Practitioner", "id": "q"})
    assert (await call(api, "POST", "", bundle(both[0], other, gone))).status_code == 200
    assert (await call(api, "POST", "", bundle({**both[0], "status": "cancelled"}))).status_code == 200
    assert (
        await call(api, "POST", "", bundle(visit("n", "09:00", "09:30", **linking(NINE)), other))
    ).status_code == 200
    assert (await call(api, "DELETE", "Appointment/n")).status_code == 204
    assert (await call(api, "DELETE", "Appointment/y")).status_code == 204
    assert (await call(api, "DELETE", "Appointment/x")).status_code == 204
    await made(api, weekly("w", HOURS))
    assert (await call(api, "POST", "", bundle(*both))).status_code == 200
    swapped = (visit("x", "09:30", "10:00", **linking(HALF)), visit("y", "09:00", "09:30", **linking(NINE)))
    assert (await call(api, "POST", "", bundle(*swapped))).status_code == 200


async def test_a_schedule_and_a_booking_of_it_come_in_one_transaction(api: Api) -> None:
    fresh = weekly("n", HOURS)
    booked = visit("x", "09:30", "10:00", **linking(HALF.replace("w", "n", 1)))
    assert (await call(api, "POST", "", bundle(fresh, booked))).status_code == 200
    assert await status(api, HALF) == "busy-unavailable"  # the same practitioner's


async def test_by_time_none_is_taken_and_leave_is_respected(api: Api) -> None:
    await made(api, weekly("w", available(open_on("", "09:00", "11:00"), away("2024-01-20T10:00:00Z", "2024-01-21"))))
    assert await put(api, visit("x", "09:10", "09:40")) == (201, [])
    assert "slot" not in (await get(api, "Appointment/x")).json()
    assert (await put(api, visit("y", "10:10", "10:40")))[0] == 409
    assert (await put(api, visit("y", "09:40", "10:00")))[0] == 201
    assert (await put(api, visit("x", "09:10", "09:30")))[0] == 200


async def test_its_own_computed_slot_does_not_keep_an_appointment_from_another_time(api: Api) -> None:
    assert await put(api, visit("x", "09:30", "10:00", **linking(HALF))) == (201, [])
    assert await put(api, visit("x", "09:40", "10:10")) == (200, [])
    assert await status(api, HALF) == "free"  # as it is stored
    assert (await put(api, visit("y", "09:30", "10:00", who=(), **linking(HALF))))[0] == 409


async def test_a_proposal_notes_a_computed_slot_and_takes_it_later(api: Api) -> None:
    assert await put(api, visit("x", "09:30", "10:00", status="proposed", **linking(HALF))) == (201, [])
    assert await status(api, HALF) == "free"
    assert await put(api, visit("x", "09:30", "10:00", **linking(HALF))) == (200, [])
    assert await status(api, HALF) == "busy"


async def test_a_visit_beside_others_may_name_one(api: Api) -> None:
    walk_in = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0276", "code": "WALKIN"}]}
    assert await put(api, visit("x", "09:30", "10:00", appointmentType=walk_in, **linking(HALF))) == (201, [])
    assert await status(api, HALF) == "busy"


async def test_hours_of_a_service_and_public_holidays_apply(api: Api) -> None:
    service = {
        "resourceType": "HealthcareService",
        "id": "h",
        "extension": [parameters(duration=20)],
        "availableTime": [{"daysOfWeek": ["sat"], "availableStartTime": "10:00:00"}],
        "notAvailable": [{"description": "a holiday", "during": {"start": "2024-01-27", "end": "2024-01-27"}}],
    }
    await made(api, service)
    await made(api, weekly("w", HOURS, actors=("Practitioner/p", "HealthcareService/h")))
    assert await status(api, "w.20240120T1000Z.20") == "free"
    assert await status(api, "w.20240127T1000Z.20") == "busy-unavailable"
    for closed in ("w.20240120T0900Z.20", "w.20240121T1000Z.20", "w.20240120T1000Z.30"):
        assert (await get(api, f"Slot/{closed}")).status_code == 404


@pytest.mark.parametrize(
    ("extension", "param"),
    [
        (available({"url": "other", "valueString": "x"}), "Schedule.extension[0].extension[0]"),
        (available(open_on("monday", "09:00", "10:00")), "Schedule.extension[0].extension[0].extension[0]"),
        (available(open_on("mon", "09:00", "09:00")), "Schedule.extension[0].extension[0]"),
        (parameters(duration=0), "Schedule.extension[0].extension[0]"),
        (timezone("Mars/Olympus"), "Schedule.extension[0]"),
    ],
)
async def test_hours_that_make_no_sense_are_refused_by_name(api: Api, extension: Any, param: str) -> None:
    answer = await call(api, "PUT", "Schedule/w", weekly("w", extension))
    if param.endswith("extension[0].extension[0]") and "parameters" in extension["url"]:
        assert answer.status_code in (400, 422)  # a positiveInt is FHIR's own business
        return
    assert answer.status_code == 422, answer.text
    assert [param] in [found.get("expression") for found in answer.json()["issue"]]


async def test_a_schedule_with_hours_needs_an_id_that_leaves_room(api: Api) -> None:
    answer = await call(api, "PUT", f"Schedule/{'s' * 45}", weekly("s" * 45, HOURS))
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Schedule.id"]
    assert await put(api, weekly("s" * 44, HOURS)) == (201, [])
    long = "s" * 44 + ".20240120T0900Z.30"
    assert (await get(api, f"Slot/{long}")).status_code == 200


@pytest.mark.parametrize("door", ["fhir", "mediloop"])
async def test_a_schedule_is_not_deleted_at_the_moment_of_a_booking_of_its_opening(api: Api, door: str) -> None:
    for number in range(8):
        schedule, opening = f"s{number}", f"s{number}.202401{10 + number}T0930Z.30"
        await made(api, weekly(schedule, HOURS))
        start, end = (f"2024-01-{10 + number}T{clock}:00Z" for clock in ("09:30", "10:00"))
        wanted = visit(f"x{number}", **linking(opening)) | {"start": start, "end": end}
        wish = {"practitioner_id": "p", "facility_id": "l", "slot_id": opening, "start_time": start}
        by_fhir = door == "fhir"
        taking = call(api, "PUT", f"Appointment/x{number}", wanted) if by_fhir else api.post(PATH, booking(**wish))
        deleted, booked = await asyncio.gather(call(api, "DELETE", f"Schedule/{schedule}"), taking)
        assert (deleted.status_code, booked.status_code) in ((204, 422), (409, 201)), (deleted.text, booked.text)
        assert (await get(api, f"Schedule/{schedule}")).status_code == (200 if booked.status_code == 201 else 410)
