"""A room that has a Schedule of its own is found and booked with its practitioner: the Slots of both, or none."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.adapter.fhir.door import Json, call, get, made
from tests.adapter.fhir.operations.test_scheduling_operations import ANYBODY, find, only, operate, refused, status_of
from tests.adapter.mediloop.clinic import appointment, location, practitioner, put, schedule, slot, with_actors
from tests.adapter.scheduling.weekly import available, open_on, weekly
from tests.conftest import Api

ROOM = {"reference": "Location/room9"}
HOURS = available(open_on("", "09:00", "10:00"))


@pytest.fixture(autouse=True)
async def clinic(api: Api) -> None:
    """Two practitioners who work in room 9 at the site, and the room, which is free at nine."""
    await put(
        api.service.stores["test"],
        *(practitioner(ident, f"Dr. {ident}") for ident in ("q1", "q2")),
        location("site", "The site"),
        location("room9", "Room 9"),
        location("room8", "Room 8"),
        schedule("room9s", "Location/room9"),
        slot("room9-0", "2024-01-20T09:00", "2024-01-20T09:30", of="room9s"),
        weekly("q1s", HOURS, actors=("Practitioner/q1", "Location/room9", "Location/site")),
        weekly("q2s", HOURS, actors=("Practitioner/q2", "Location/room9")),
    )


async def proposed(api: Api, who: str, *places: Json) -> list[tuple[str, list[str]]]:
    asked = [{"reference": f"Practitioner/{who}"}]
    entries = (await find(api, practitioner=asked, location_reference=list(places)))["entry"]
    visits = [one["resource"] for one in entries if one["resource"]["resourceType"] == "Appointment"]
    return [(one["id"], [link["reference"] for link in one["slot"]]) for one in visits]


async def test_a_room_that_their_schedule_names_is_taken_too_and_by_one(api: Api) -> None:
    first, second = await proposed(api, "q1", ROOM), await proposed(api, "q2", ROOM)
    assert [slots for _, slots in (*first, *second)] == [
        ["Slot/q1s.20240120T0900Z.30", "Slot/room9-0"],
        ["Slot/q2s.20240120T0900Z.30", "Slot/room9-0"],
    ]
    booked = only(await operate(api, f"{first[0][0]}/$book", patient=ANYBODY))
    actors = [one["actor"]["reference"] for one in booked["participant"]]
    assert sorted(actors) == ["Location/room9", "Location/site", ANYBODY, "Practitioner/q1"]
    assert await status_of(api, "room9-0") == ["busy"]
    refused(await operate(api, f"{second[0][0]}/$book", patient=ANYBODY), 409, "slot_unavailable")
    assert await proposed(api, "q2", ROOM) == []
    only(await operate(api, f"{first[0][0]}/$cancel"))
    assert await status_of(api, "room9-0") == ["free"]


@pytest.mark.parametrize("people", [(), ("Practitioner/q3",)])
async def test_a_schedule_by_another_address_is_the_rooms_if_it_is_nobody_elses(
    api: Api, people: tuple[str, ...]
) -> None:
    abroad = [f"https://other.example/fhir/{name}" for name in (*people, "Location/room8")]
    await put(
        api.service.stores["test"],
        schedule("room8s", *abroad),
        slot("room8-0", "2024-01-20T09:30", "2024-01-20T10:00", of="room8s"),
        weekly("q1s", HOURS, actors=("Practitioner/q1",)),
    )
    nine, half = "Slot/q1s.20240120T0900Z.30", "Slot/q1s.20240120T0930Z.30"
    found = [slots for _, slots in await proposed(api, "q1", {"reference": "Location/room8"})]
    assert found == ([[nine], [half]] if people else [[half, "Slot/room8-0"]])


async def test_of_many_who_want_the_room_at_once_one_has_it(api: Api) -> None:
    idents = [(await proposed(api, who, ROOM))[0][0] for who in ("q1", "q2", "q1", "q2")]
    answers = await asyncio.gather(*(operate(api, f"{idents[n % 4]}/$book", patient=ANYBODY) for n in range(16)))
    assert sorted(one.status_code for one in answers) == [200] + [409] * 15


async def test_a_site_without_a_schedule_of_its_own_reserves_nothing(api: Api) -> None:
    nine, half = "Slot/q1s.20240120T0900Z.30", "Slot/q1s.20240120T0930Z.30"
    site = {"reference": "Location/site"}
    assert [slots for _, slots in await proposed(api, "q1", site)] == [[nine], [half]]
    assert [slots for _, slots in await proposed(api, "q1", ROOM, site)] == [[nine, "Slot/room9-0"], [half]]
    # A service at the site is nobody's room.
    lab = schedule("lab", "Location/site", "HealthcareService/lab")
    await put(api.service.stores["test"], lab)
    assert [slots for _, slots in await proposed(api, "q1", site, ROOM)] == [[nine], [half]]


async def test_of_several_rooms_the_preferred_one_that_is_free(api: Api) -> None:
    await put(
        api.service.stores["test"],
        schedule("room8s", "Location/room8"),
        slot("room8-0", "2024-01-20T09:00", "2024-01-20T10:00", of="room8s"),
        weekly("q2s", HOURS, actors=("Practitioner/q2", "Location/room9", "Location/room8")),
    )
    found = [slots for _, slots in await proposed(api, "q2", ROOM, {"reference": "Location/room8"})]
    assert found == [
        ["Slot/q2s.20240120T0900Z.30", "Slot/room9-0"],
        ["Slot/q2s.20240120T0930Z.30", "Slot/room8-0"],
    ]


@pytest.mark.parametrize("gone", [{"active": False}, {"planningHorizon": {"end": "2023-12-31"}}])
async def test_a_schedule_that_is_over_makes_no_room(api: Api, gone: Json) -> None:
    await put(api.service.stores["test"], schedule("site-old", "Location/site", **gone))
    assert len(await proposed(api, "q1", {"reference": "Location/site"})) == 2


# Moving.


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
    assert await shortened(api, door, "2024-01-20T10:10:00Z", "2024-01-20T10:20:00Z") == ["Slot/m-10"]
    assert await status_of(api, "c0", "room6-10") == ["free", "free"]


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


# One room at a time.


async def test_a_room_that_is_had_by_a_computed_slot_is_not_proposed_by_a_published_one(api: Api) -> None:
    await put(
        api.service.stores["test"],
        weekly("room", HOURS, actors=("Location/room8",)),
        slot("pub", "2024-01-20T09:00", "2024-01-20T10:00", of="room"),
        weekly("q1s", HOURS, actors=("Practitioner/q1",)),
        weekly("q2s", HOURS, actors=("Practitioner/q2",)),
    )
    room = {"reference": "Location/room8"}
    before = [one for one in await proposed(api, "q2", room) if "Slot/pub" in one[1]]
    visit = appointment(
        "x",
        start="2024-01-20T09:30",
        slot=[{"reference": f"Slot/{of}.20240120T0930Z.30"} for of in ("q1s", "room")],
        participant=with_actors("Practitioner/q1", "Location/room8"),
    )
    assert (await call(api, "PUT", "Appointment/x", visit)).status_code == 201
    assert [slots for _, slots in await proposed(api, "q2", room)] == [
        ["Slot/q2s.20240120T0900Z.30", "Slot/room.20240120T0900Z.30"]
    ]
    # What was proposed before is over.
    answers = [await operate(api, f"{ident}/$book", patient=ANYBODY) for ident, _ in before]
    assert answers
    for answer in answers:
        refused(answer, 409, "slot_unavailable")
