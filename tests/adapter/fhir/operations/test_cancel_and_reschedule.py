"""``$cancel`` and ``$reschedule``: what becomes of slots, lengths, rooms and reasons."""

from __future__ import annotations

import pytest

from tests.adapter.fhir.door import Json, bundled, call, get, made, outcome
from tests.adapter.fhir.operations.calling import (
    ANYBODY,
    END,
    START,
    clinic,
    first,
    only,
    operate,
    parameters,
    refused,
    status_of,
)
from tests.adapter.mediloop.clinic import JAMES, SARAH, appointment, slot
from tests.conftest import Api, ApiMaker

__all__ = ["clinic"]


async def test_cancel(api: Api) -> None:
    await made(api, appointment("a", slot=[{"reference": "Slot/s1"}]))
    gone = only(await operate(api, "a/$cancel", reason="Ill", comment="Told by phone"))
    assert (gone["status"], gone["cancelationReason"], gone["comment"]) == (
        "cancelled",
        {"text": "Ill"},
        "Told by phone",
    )
    assert await status_of(api, "s1") == ["free"]
    seen = (await api.get("/api/v1/appointments/a/")).json()
    assert (seen["status"], seen["cancelled_at"]) == ("cancelled", "2024-01-15T10:00:00Z")
    refused(await operate(api, "a/$cancel"), 422, "invalid_status_transition")
    refused(await operate(api, "none/$cancel"), 404, "unknown_appointment")


@pytest.mark.parametrize(
    ("members", "end"),
    [
        ({"start": "2024-01-20T10:00:30Z", "end": "2024-01-20T10:20:45Z"}, "2024-01-20T12:20:15Z"),
        ({"status": "proposed", "start": None, "end": None, "minutesDuration": 45}, "2024-01-20T12:45:00Z"),
        ({"status": "proposed", "start": None, "end": None}, "2024-01-20T12:30:00Z"),
    ],
)
async def test_what_moves_keeps_its_length(api: Api, members: Json, end: str) -> None:
    whole = appointment("a") | members
    await made(api, {name: value for name, value in whole.items() if value is not None})
    moved = only(await operate(api, "a/$reschedule", start="2024-01-20T12:00:00Z"))
    assert moved["end"] == end


@pytest.mark.parametrize("door", ["$reschedule", "reschedule/"])
async def test_what_has_a_value_now_no_longer_says_why_it_has_none(api: Api, door: str) -> None:
    unknown: Json = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    other: Json = {"url": "https://example.org/of-the-end", "valueBoolean": True}
    absent = {name: {"extension": [unknown]} for name in ("_start", "_minutesDuration", "_comment")}
    absent["_end"] = {"extension": [unknown, other]}
    await made(api, appointment("a", "proposed", None, **absent))
    if door == "$reschedule":
        await operate(api, "a/$reschedule", slot="Slot/s1", comment="At last")
    else:
        sent = {"new_start_time": "2024-01-20T10:00:00Z", "new_slot_id": "s1"}
        await api.http.post(f"/api/v1/appointments/a/{door}", json=sent, headers={"Authorization": f"Bearer {api.key}"})
    moved = (await get(api, "Appointment/a")).json()
    assert (moved["end"], moved["minutesDuration"], moved["_end"]) == (
        "2024-01-20T10:30:00Z",
        30,
        {"extension": [other]},
    )
    assert [name for name in absent if name in moved] == (["_end"] if "comment" in moved else ["_comment", "_end"])


async def test_reschedule(api: Api) -> None:
    await made(api, appointment("a", slot=[{"reference": "Slot/s1"}]))
    moved = only(await operate(api, "a/$reschedule", start="2024-01-20T12:00:00Z", reason="Later"))
    assert (moved["start"], moved["end"], moved["slot"]) == (
        "2024-01-20T12:00:00Z",
        "2024-01-20T12:30:00Z",
        [{"reference": "Slot/s3"}],
    )
    assert await status_of(api, "s1", "s3") == ["free", "busy"]
    moved = only(await operate(api, "a/$reschedule", slot="Slot/s2"))
    assert (moved["start"], moved["slot"]) == ("2024-01-20T10:30:00Z", [{"reference": "Slot/s2"}])
    seen = (await api.get("/api/v1/appointments/a/")).json()
    assert seen["rescheduled_at"] == "2024-01-15T10:00:00Z"
    outcome(await operate(api, "a/$reschedule"), 400, "required")
    for wrong in ("noon", "2024-01-20T12:00:00", "2024-01-20"):
        outcome(await operate(api, "a/$reschedule", start=wrong), 400, "value")
    for last in ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-05:00"):
        refused(await operate(api, "a/$reschedule", start=last), 422, "invalid_time")
    for unknown in ("none", "james.20240199T0900Z.30", "james.20240120T0900Z.0"):
        refused(await operate(api, "a/$reschedule", slot=f"Slot/{unknown}"), 422, "unknown_slot")
    refused(await operate(api, "a/$reschedule", start=END, end=START), 422, "invalid_time")
    only(await operate(api, "a/$cancel"))
    refused(await operate(api, "a/$reschedule", slot="Slot/s1"), 422, "invalid_status_transition")


@pytest.mark.parametrize("door", ["$reschedule", "reschedule/"])
async def test_two_moves_within_a_second_both_have_the_reason_that_both_gave(api: Api, door: str) -> None:
    await made(api, appointment("a"))
    for start in ("2024-01-20T13:00:00Z", "2024-01-20T14:00:00Z"):
        if door == "$reschedule":
            only(await operate(api, "a/$reschedule", start=start, reason="Doctor ill"))
        else:
            sent = {"new_start_time": start, "reason": "Doctor ill"}
            assert (await api.post(f"/api/v1/appointments/a/{door}", json=sent)).status_code == 200
        seen = (await api.get("/api/v1/appointments/a/")).json()
        assert (seen["start_time"], seen["reschedule_reason"]) == (start, "Doctor ill")


@pytest.mark.parametrize(
    ("status", "start", "stays"),
    [
        ("proposed", "2024-01-20T10:00:00Z", True),
        ("waitlist", "2024-01-20T10:00:00Z", True),
        ("proposed", "2024-01-20T11:00:00Z", False),
    ],
)
async def test_a_proposal_goes_on_noting_the_slots_that_cover_its_time(
    api: Api, status: str, start: str, stays: bool
) -> None:
    noted = {"reference": "Slot/s1", "display": "Ten o'clock"}
    await made(api, appointment("a", status, slot=[noted]))
    moved = only(await operate(api, "a/$reschedule", start=start))
    assert moved.get("slot", []) == ([noted] if stays else [])
    refused(await operate(api, "a/$reschedule", start=END, end=START), 422, "invalid_time")


@pytest.mark.parametrize("room", [True, False])
async def test_who_declined_is_booked_by_a_move(api: Api, room: bool) -> None:
    await made(api, slot("r2", "2024-01-20T11:00", "2024-01-20T11:30", of="room"))
    names = [f"Practitioner/{JAMES}", *(["Location/room"] if room else [])]
    there = [{"actor": {"reference": name}, "status": "accepted"} for name in names]
    links = [{"reference": f"Slot/{one}"} for one in ("j1", *(["r1"] if room else []))]
    await made(api, appointment("a", slot=links, participant=there))
    answer: Json = {"resourceType": "AppointmentResponse", "participantStatus": "declined", "actor": there[0]["actor"]}
    said = await call(api, "POST", "AppointmentResponse", answer | {"appointment": {"reference": "Appointment/a"}})
    assert said.status_code == 201
    moved = only(await operate(api, "a/$reschedule", start="2024-01-20T11:00:00Z"))
    assert moved["participant"][0]["status"] == "needs-action"
    assert {one["reference"] for one in moved["slot"]} == {"Slot/j2", *(["Slot/r2"] if room else [])}
    assert await status_of(api, "j1", "j2") == ["free", "busy"]


@pytest.mark.parametrize(
    "reason", [{"valuePeriod": {"start": "2020"}}, {"valueQuantity": {"unit": "mm", "value": 3}}, {"valueInteger": 3}]
)
async def test_a_reason_of_another_type_is_not_stored(api: Api, reason: Json) -> None:
    await made(api, appointment("a"))
    sent = parameters(start="2024-01-20T12:00:00Z")
    sent["parameter"].append({"name": "reason"} | reason)
    outcome(await call(api, "POST", "Appointment/a/$reschedule", sent), 400, "value")
    del sent["parameter"][0]
    outcome(await call(api, "POST", "Appointment/a/$cancel", sent), 400, "value")


async def test_what_is_proposed_is_valid_whatever_was_sent(api: Api) -> None:
    asked = f"Appointment/$find?start=2024-01-20T00:00:00&end=2024-01-21T03:00:00+03:00&practitioner={SARAH}"
    [proposed, *_] = bundled(await get(api, asked))["entry"]
    assert proposed["resource"]["requestedPeriod"] == [
        {"start": "2024-01-20T00:00:00Z", "end": "2024-01-21T03:00:00+03:00"}
    ]
    sent = parameters(start="2024-01-20", end="2024-01-21")
    quantity = {"valueQuantity": {"value": 3, "unit": "mm"}}
    sent["parameter"] += [{"name": name} | quantity for name in ("insurance-reference", "referral-identifier")]
    found = bundled(await call(api, "POST", "Appointment/$find", sent))["entry"][0]["resource"]
    assert found["requestedPeriod"] == [{"start": "2024-01-20", "end": "2024-01-21"}]
    assert not {"basedOn", "supportingInformation"} & found.keys()


async def test_reschedule_moves_the_room_too(api: Api) -> None:
    await made(api, slot("r2", "2024-01-20T11:00", "2024-01-20T11:30", of="room"))
    james, room = {"reference": f"Practitioner/{JAMES}"}, {"reference": "Location/room"}
    ident = await first(api, practitioner=james, location_reference=room)
    only(await operate(api, f"{ident}/$book", patient=ANYBODY))
    moved = only(await operate(api, f"{ident}/$reschedule", start="2024-01-20T11:00:00Z"))
    assert {one["reference"] for one in moved["slot"]} == {"Slot/j2", "Slot/r2"}
    assert await status_of(api, "j1", "r1", "j2", "r2") == ["free", "free", "busy", "busy"]
    refused(
        await operate(api, f"{ident}/$reschedule", start="2024-01-20T15:00:00Z"),
        409,
        "slot_unavailable",
        "slot_unavailable",
    )


@pytest.mark.parametrize("minutes", [{"minutesDuration": 20}, {}])
async def test_a_move_of_the_same_length_keeps_the_minutes_that_are_said(api: Api, minutes: Json) -> None:
    await made(api, {**appointment("a"), **minutes})
    before = (await get(api, "Appointment/a")).json()
    moved = only(await operate(api, "a/$reschedule", start="2024-01-20T12:00:00Z"))
    assert moved.get("minutesDuration") == before.get("minutesDuration")
    longer = only(await operate(api, "a/$reschedule", start="2024-01-20T16:00:00Z", end="2024-01-20T17:00:00Z"))
    assert longer["minutesDuration"] == 60


async def test_a_slot_that_it_has_already_keeps_what_its_link_says(api: Api) -> None:
    said = {"reference": "Slot/s1", "display": "The first of the day"}
    await made(api, appointment("a", slot=[said]))
    assert only(await operate(api, "a/$reschedule", slot="Slot/s1"))["slot"] == [said]


@pytest.mark.parametrize("door", ["$reschedule", "reschedule/"])
async def test_what_was_booked_over_others_is_moved_over_nobody_else(api: Api, make_api: ApiMaker, door: str) -> None:
    reason = {"url": "https://mediloop.co/fhir/StructureDefinition/overbooked", "valueString": "A ward's request"}
    await made(api, appointment("one", slot=[{"reference": "Slot/s1"}]))
    await made(api, appointment("other", start="2024-01-20T10:30", slot=[{"reference": "Slot/s2"}]))
    await made(api, appointment("over", slot=[{"reference": "Slot/s1"}], extension=[reason]))
    usual = await make_api(api.service, granted=["appointments:read", "appointments:write", "slots:read"])

    async def move(by: Api, start: str) -> int:
        if door == "$reschedule":
            return (await operate(by, "over/$reschedule", start=start)).status_code
        return (await by.post(f"/api/v1/appointments/over/{door}", json={"new_start_time": start})).status_code

    for by in (api, usual):
        assert await move(by, "2024-01-20T10:30:00Z") == 409
    assert await move(usual, "2024-01-20T12:00:00Z") == 200
    moved = (await get(api, "Appointment/over")).json()
    assert not [one for one in moved["extension"] if "overbooked" in one["url"]]
    assert await status_of(api, "s1", "s3") == ["busy", "busy"]


async def test_what_was_booked_over_others_says_so_as_long_as_it_takes_nothing_else(api: Api) -> None:
    reason = {"url": "https://mediloop.co/fhir/StructureDefinition/overbooked", "valueString": "A ward's request"}
    await made(api, appointment("one", slot=[{"reference": "Slot/s1"}]))
    await made(api, appointment("over", slot=[{"reference": "Slot/s1"}], extension=[reason]))
    answer = await operate(api, "over/$reschedule", start="2024-01-20T10:00:00Z", end="2024-01-20T10:20:00Z")
    shorter = only(answer)
    assert reason in shorter["extension"]
