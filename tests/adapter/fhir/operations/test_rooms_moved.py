"""A visit that is moved takes its room along, or stays; within its time it keeps what it has, by every door."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.adapter.fhir.door import Json, call, get, made
from tests.adapter.fhir.operations.calling import only, operate, refused, status_of
from tests.adapter.mediloop.clinic import appointment, location, practitioner, put, schedule, slot, with_actors
from tests.conftest import Api


async def hourly(api: Api) -> None:
    """Practitioner m in room 7 at ten, eleven and twelve; the room is taken at eleven. A visit at ten has both."""
    busy = {"11": "busy"}
    await put(
        api.service.stores["test"],
        practitioner("m", "Dr. M"),
        location("room7", "Room 7"),
        schedule("ms", "Practitioner/m"),
        schedule("room7s", "Location/room7"),
        schedule("room6s", "Location/room6"),
        *(
            slot(f"{of}-{hour}", f"2024-01-20T{hour}:00", f"2024-01-20T{hour}:30", of=f"{of}s", **state)
            for of in ("m", "room7", "room6")
            for hour in ("10", "11", "12")
            for state in [{"status": busy.get(hour, "free") if of == "room7" else "free"}]
        ),
    )


async def booked(api: Api, *slots: str, who: str = "Practitioner/m") -> None:
    visit = appointment(
        "x", slot=[{"reference": f"Slot/{one}"} for one in slots], participant=with_actors(who, "Location/room7")
    )
    assert (await call(api, "PUT", "Appointment/x", visit)).status_code == 201


async def rescheduled(api: Api, door: str, start: str, end: str | None = None, to: str | None = None) -> httpx.Response:
    """Move visit x by MediLoop's reschedule or by FHIR's."""
    if door == "MediLoop":
        given = {"new_start_time": start, "new_end_time": end, "new_slot_id": to}
        return await api.post("/api/v1/appointments/x/reschedule/", json=given)
    parts: Json = {"start": start, "end": end, "slot": to and f"Slot/{to}"}
    return await operate(api, "x/$reschedule", **{name: part for name, part in parts.items() if part})


@pytest.mark.parametrize("door", ["MediLoop", "$reschedule"])
async def test_a_visit_takes_its_room_along_or_stays(api: Api, door: str) -> None:
    await hourly(api)
    await booked(api, "m-10", "room7-10")

    async def move(status: int, start: str, end: str | None = None, to: str | None = None) -> None:
        answer = await rescheduled(api, door, start, end, to)
        assert answer.status_code == status, answer.text
        if door == "$reschedule":
            only(answer) if status == 200 else refused(answer, status, "slot_unavailable")

    await move(200, "2024-01-20T10:00:00Z", "2024-01-20T10:20:00Z")
    assert await status_of(api, "m-10", "room7-10") == ["busy", "busy"]
    await move(409, "2024-01-20T11:00:00Z")
    await move(409, "2024-01-20T11:00:00Z", to="m-11")
    assert await status_of(api, "m-10", "room7-10") == ["busy", "busy"]
    await move(200, "2024-01-20T12:00:00Z", to="m-12")
    assert await status_of(api, "m-10", "room7-10", "m-12", "room7-12") == ["free", "free", "busy", "busy"]
    await move(200, "2024-01-20T10:00:00Z")
    assert await status_of(api, "m-10", "room7-10", "m-12", "room7-12") == ["busy", "busy", "free", "free"]


async def shortened(api: Api, door: str, start: str, end: str, to: str | None = None) -> list[str]:
    """Move visit x within its time; return its Slots."""
    if door in ("MediLoop", "$reschedule"):
        answer = await rescheduled(api, door, start, end, to)
        assert answer.status_code == 200, answer.text
    else:
        visit = {**(await get(api, "Appointment/x")).json(), "start": start, "end": end}
        sent = visit if door == "PUT" else {name: value for name, value in visit.items() if name != "slot"}
        assert (await call(api, "PUT", "Appointment/x", sent)).status_code == 200
    return [one["reference"] for one in (await get(api, "Appointment/x")).json().get("slot", ())]


DOORS = ("MediLoop", "$reschedule", "PUT", "PUT without slots")


async def overlapping(api: Api) -> None:
    """Room 6 from two to three, and from half past; visit x has it until half past three."""
    await hourly(api)
    early = slot("c0", "2024-01-20T14:00", "2024-01-20T15:00", of="room6s")
    late = slot("c1", "2024-01-20T14:30", "2024-01-20T15:30", of="room6s")
    await put(api.service.stores["test"], early, late, slot("m-14", "2024-01-20T14:00", "2024-01-20T16:00", of="ms"))
    links = [{"reference": f"Slot/{one}"} for one in ("m-14", "c0", "c1")]
    times = {"start": "2024-01-20T14:00", "end": "2024-01-20T15:30:00Z"}
    await made(api, appointment("x", slot=links, participant=with_actors("Practitioner/m"), **times))


@pytest.mark.parametrize("door", DOORS)
async def test_a_visit_that_is_shortened_keeps_all_slots_of_its_room_then(api: Api, door: str) -> None:
    await overlapping(api)
    slots = ["Slot/m-14", "Slot/c0", "Slot/c1"]
    assert await shortened(api, door, "2024-01-20T14:15:00Z", "2024-01-20T15:00:00Z") == slots
    assert await status_of(api, "c0", "c1") == ["busy", "busy"]
    assert await shortened(api, door, "2024-01-20T14:15:00Z", "2024-01-20T14:30:00Z") == slots[:2]
    assert await status_of(api, "c0", "c1") == ["busy", "free"]


@pytest.mark.parametrize("door", DOORS[:2])
async def test_so_it_does_where_the_slot_of_its_practitioner_is_named(api: Api, door: str) -> None:
    await overlapping(api)
    start, end = "2024-01-20T14:00:00Z", "2024-01-20T15:00:00Z"
    assert sorted(await shortened(api, door, start, end, "m-14")) == ["Slot/c0", "Slot/c1", "Slot/m-14"]


@pytest.mark.parametrize("door", DOORS)
async def test_so_it_does_where_a_schedule_has_changed_hands(api: Api, door: str) -> None:
    await hourly(api)
    await booked(api, "m-10", "room7-10")
    await made(api, schedule("ms", "Practitioner/n"))
    found = await shortened(api, door, "2024-01-20T10:00:00Z", "2024-01-20T10:20:00Z")
    assert found == ["Slot/m-10", "Slot/room7-10"]
    assert await status_of(api, "m-10", "room7-10") == ["busy", "busy"]


@pytest.mark.parametrize("door", DOORS)
async def test_a_slot_of_its_room_that_is_too_short_is_kept_for_what_it_reaches(api: Api, door: str) -> None:
    await hourly(api)
    await put(api.service.stores["test"], slot("c0", "2024-01-20T10:00", "2024-01-20T10:10", of="room6s"))
    links = [{"reference": "Slot/m-10"}, {"reference": "Slot/c0"}]
    await made(api, appointment("x", slot=links, participant=with_actors("Practitioner/m")))
    assert await shortened(api, door, "2024-01-20T10:00:00Z", "2024-01-20T10:20:00Z") == ["Slot/m-10", "Slot/c0"]
    left = await shortened(api, door, "2024-01-20T10:10:00Z", "2024-01-20T10:20:00Z")
    assert left == ["Slot/m-10", "Slot/room6-10"]
    assert await status_of(api, "c0", "room6-10") == ["free", "busy"]


@pytest.mark.parametrize("named", [None, "m-14"])
@pytest.mark.parametrize("state", ["free", "busy"])
@pytest.mark.parametrize("door", DOORS[:2])
async def test_a_visit_has_its_room_within_its_time_too_or_stays(
    api: Api, door: str, state: str, named: str | None
) -> None:
    await hourly(api)
    first, second = ("2024-01-20T14:00", "2024-01-20T14:30"), ("2024-01-20T14:30", "2024-01-20T15:00")
    store = api.service.stores["test"]
    await put(store, slot("m-14", *first, of="ms"), slot("m-15", *second, of="ms"), slot("late", *second, of="room7s"))
    await put(store, slot("early", *first, state, of="room7s"))
    links = [{"reference": f"Slot/{one}"} for one in ("m-14", "m-15", "late")]
    times = {"start": first[0], "end": f"{second[1]}:00Z"}
    await made(api, appointment("x", slot=links, participant=with_actors("Practitioner/m"), **times))
    answer = await rescheduled(api, door, f"{first[0]}:00Z", f"{first[1]}:00Z", named)
    assert answer.status_code == (200 if state == "free" else 409), answer.text
    there = [one["reference"] for one in (await get(api, "Appointment/x")).json()["slot"]]
    assert there == (["Slot/m-14", "Slot/early"] if state == "free" else ["Slot/m-14", "Slot/m-15", "Slot/late"])
    assert await status_of(api, "early", "late") == ["busy", "free" if state == "free" else "busy"]


async def test_who_names_a_slot_of_another_room_leaves_the_first(api: Api) -> None:
    await hourly(api)
    await booked(api, "m-10", "room7-10")
    named = ["Slot/m-11", "Slot/room6-11"]
    # It is at room 7 as long as it says so.
    refused(await operate(api, "x/$reschedule", slot=named), 422, "slot_mismatch")
    only(await operate(api, "x/$reschedule", slot=["Slot/m-12", "Slot/room7-12"]))
    assert await status_of(api, "room7-10", "m-12", "room7-12") == ["free", "busy", "busy"]


async def test_a_slot_that_is_a_roles_is_its_practitioners_in_a_move(api: Api) -> None:
    await hourly(api)
    store = api.service.stores["test"]
    await put(store, {"resourceType": "PractitionerRole", "id": "mr", "practitioner": {"reference": "Practitioner/m"}})
    await booked(api, "m-10", who="PractitionerRole/mr")
    moved = only(await operate(api, "x/$reschedule", start="2024-01-20T15:00:00Z"))
    assert "slot" not in moved


async def test_a_schedule_that_has_become_somebody_elses_does_not_move_along(api: Api) -> None:
    await hourly(api)
    await booked(api, "m-10")
    assert (await call(api, "PUT", "Schedule/ms", schedule("ms", "Practitioner/n"))).status_code == 200
    moved = only(await operate(api, "x/$reschedule", start="2024-01-20T12:00:00Z"))
    assert "slot" not in moved
    assert await status_of(api, "m-10", "m-12") == ["free", "free"]


@pytest.mark.parametrize("there", [[], [{"actor": {"reference": "Practitioner/n"}, "status": "declined"}]])
async def test_who_has_left_or_declined_is_left_behind_in_a_move_with_a_room(api: Api, there: list[Json]) -> None:
    await hourly(api)
    store = api.service.stores["test"]
    await put(
        store,
        practitioner("n", "Dr. N"),
        {"resourceType": "PractitionerRole", "id": "mr", "practitioner": {"reference": "Practitioner/m"}},
        schedule("ns", "Practitioner/n"),
        slot("n-10", "2024-01-20T10:00", "2024-01-20T10:30", "busy", of="ns"),
        slot("n-12", "2024-01-20T12:00", "2024-01-20T12:30", of="ns"),
    )
    who = [*with_actors("PractitionerRole/mr", "Location/room7"), *there]
    links = [{"reference": f"Slot/{one}"} for one in ("m-10", "n-10", "room7-10")]
    await put(store, appointment("x", slot=links, participant=who))
    moved = only(await operate(api, "x/$reschedule", start="2024-01-20T12:00:00Z"))
    assert [one["reference"] for one in moved["slot"]] == ["Slot/m-12", "Slot/room7-12"]
    assert await status_of(api, "n-10", "n-12") == ["free", "free"]


async def test_a_second_practitioner_is_asked_when_a_slot_of_the_first_is_named(api: Api) -> None:
    await hourly(api)
    await put(
        api.service.stores["test"],
        practitioner("n", "Dr. N"),
        schedule("ns", "Practitioner/n"),
        slot("n-10", "2024-01-20T10:00", "2024-01-20T10:30", of="ns"),
        slot("n-11", "2024-01-20T11:00", "2024-01-20T11:30", "busy-unavailable", of="ns"),
        slot("n-12", "2024-01-20T12:00", "2024-01-20T12:30", of="ns"),
    )
    links = [{"reference": "Slot/m-10"}, {"reference": "Slot/n-10"}]
    visit = appointment("x", slot=links, participant=with_actors("Practitioner/m", "Practitioner/n"))
    assert (await call(api, "PUT", "Appointment/x", visit)).status_code == 201
    refused(await operate(api, "x/$reschedule", slot="Slot/m-11"), 409, "slot_unavailable")
    asked = {"new_start_time": "2024-01-20T11:00:00Z", "new_slot_id": "m-11"}
    answer = await api.post("/api/v1/appointments/x/reschedule/", json=asked)
    assert (answer.status_code, answer.json()["error"]["slots"]) == (409, ["n-11"])
    moved = only(await operate(api, "x/$reschedule", slot="Slot/m-12"))
    assert [one["reference"] for one in moved["slot"]] == ["Slot/m-12", "Slot/n-12"]
    assert await status_of(api, "n-10", "n-12") == ["free", "busy"]


async def test_a_move_to_the_first_day_of_the_calendar_finds_no_room(api: Api) -> None:
    await hourly(api)
    await booked(api, "m-10", "room7-10")
    answer = await rescheduled(api, "$reschedule", "0001-01-01T10:00:00Z")
    assert (answer.status_code, answer.text.count('"code":"slot_unavailable"')) == (409, 2)


async def test_a_visit_is_no_longer_than_who_sees_the_patient_has_time_by_the_slots_named(api: Api) -> None:
    await hourly(api)
    await made(api, slot("room7-long", "2024-01-20T11:45", "2024-01-20T13:00", of="room7s"))
    await made(api, slot("m-12b", "2024-01-20T12:30", "2024-01-20T12:45", of="ms"))
    await booked(api, "m-10", "room7-10")
    for mine, end in ((["m-12"], "12:30"), (["m-12b", "m-12"], "12:45")):
        moved = only(await operate(api, "x/$reschedule", slot=[f"Slot/{one}" for one in (*mine, "room7-long")]))
        assert (moved["start"], moved["end"]) == ("2024-01-20T12:00:00Z", f"2024-01-20T{end}:00Z")
    apart = await operate(api, "x/$reschedule", slot=["Slot/m-11", "Slot/room7-long"])
    refused(apart, 422, "slot_mismatch")


@pytest.mark.parametrize("names_slots", [True, False])
async def test_a_visit_that_book_changes_takes_its_room_along(api: Api, names_slots: bool) -> None:
    await hourly(api)
    await booked(api, "m-10", "room7-10")

    async def move(hour: str, **members: Any) -> httpx.Response:
        visit = (await get(api, "Appointment/x")).json()
        sent = visit if names_slots else {name: value for name, value in visit.items() if name != "slot"}
        times = {"start": f"2024-01-20T{hour}:00:00Z", "end": f"2024-01-20T{hour}:30:00Z"}
        return await operate(api, "$book", appointment_resource=sent | times | members)

    refused(await move("11"), 409, "slot_unavailable")
    assert await status_of(api, "m-10", "room7-10") == ["busy", "busy"]
    only(await move("12"))
    assert await status_of(api, "m-10", "room7-10", "m-12", "room7-12") == ["free", "free", "busy", "busy"]
    only(await move("10", participant=with_actors("Practitioner/m")))
    assert await status_of(api, "m-10", "room7-10", "m-12", "room7-12") == ["busy", "free", "free", "free"]
