"""A room that has a Schedule of its own is found and booked with its practitioner: the Slots of both, or none."""

from __future__ import annotations

import asyncio

import pytest

from tests.adapter.fhir.door import Json, call
from tests.adapter.fhir.operations.calling import ANYBODY, find, only, operate, refused, status_of
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


async def proposed(api: Api, who: str, *places: Json, **more: object) -> list[tuple[str, list[str]]]:
    asked = [{"reference": f"Practitioner/{who}"}] if who else []
    entries = (await find(api, practitioner=asked, location_reference=list(places), **more))["entry"]
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


@pytest.mark.parametrize("places", [("room9",), ("room8", "room9")])
@pytest.mark.parametrize("more", [{}, {"duration": 30}])
async def test_a_room_that_is_asked_for_without_anybody_is_taken_by_one_of_those_in_it(
    api: Api, places: tuple[str, ...], more: Json
) -> None:
    asked = [{"reference": f"Location/{name}"} for name in places]
    found = await proposed(api, "", *asked, **more)
    assert [slots for _, slots in found] == [
        ["Slot/q1s.20240120T0900Z.30", "Slot/room9-0"],
        ["Slot/q2s.20240120T0900Z.30", "Slot/room9-0"],
        ["Slot/room9-0"],
    ]
    answers = [await operate(api, f"{ident}/$book", patient=ANYBODY) for ident, _ in found]
    assert [one.status_code for one in answers] == [200, 409, 409]
    assert await proposed(api, "", *asked, **more) == []


@pytest.mark.parametrize("who", ["q1", ""])
async def test_a_room_whose_slot_began_before_the_time_that_is_asked_for_is_free_then_too(api: Api, who: str) -> None:
    long = slot("long", "2024-01-19T22:00", "2024-01-20T10:00", of="room9s")
    await put(api.service.stores["test"], long, schedule("q2s", "Practitioner/q2"))
    [(ident, slots)] = await proposed(api, who, ROOM, start="2024-01-20T09:30:00Z")
    assert slots == ["Slot/q1s.20240120T0930Z.30", "Slot/long"]
    only(await operate(api, f"{ident}/$book", patient=ANYBODY))


async def test_whoever_is_at_a_place_without_rooms_is_found_by_the_place_alone(api: Api) -> None:
    await put(api.service.stores["test"], schedule("lab", "Location/site", "HealthcareService/lab"))
    found = [slots for _, slots in await proposed(api, "", {"reference": "Location/site"})]
    assert found == [["Slot/q1s.20240120T0900Z.30"], ["Slot/q1s.20240120T0930Z.30"]]


async def test_a_room_is_taken_by_whichever_of_its_slots_cover_the_visit(api: Api) -> None:
    """The longest that begins first may lead nowhere, and so may one that overlaps those before it."""
    times = (("09:00", "09:40"), ("09:00", "09:20"), ("09:20", "09:35"), ("09:25", "10:00"), ("09:35", "10:00"))
    await put(
        api.service.stores["test"],
        schedule("room8s", "Location/room8"),
        *(slot(f"r{n}", f"2024-01-20T{a}", f"2024-01-20T{b}", of="room8s") for n, (a, b) in enumerate(times)),
        schedule("q3s", "Practitioner/q3"),
        slot("q3-0", "2024-01-20T09:00", "2024-01-20T10:00", of="q3s"),
    )
    [(ident, slots)] = await proposed(api, "q3", {"reference": "Location/room8"})
    assert slots == ["Slot/q3-0", "Slot/r1", "Slot/r2", "Slot/r4"]
    only(await operate(api, f"{ident}/$book", patient=ANYBODY))


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


@pytest.mark.parametrize("began", ["2024-01-20T09:30", "2024-01-19T22:00", "2024-01-17T09:00"])
@pytest.mark.parametrize("horizon", [{"end": "2023-12-31"}, {"start": "2024-02-01"}])
async def test_slots_that_are_published_beyond_the_horizon_make_a_room(api: Api, horizon: Json, began: str) -> None:
    await put(
        api.service.stores["test"],
        schedule("room8s", "Location/room8", planningHorizon=horizon),
        slot("late", began, "2024-01-20T10:00", of="room8s"),
        weekly("q1s", HOURS, actors=("Practitioner/q1",)),
    )
    room8, half = {"reference": "Location/room8"}, "Slot/q1s.20240120T0930Z.30"
    assert [half, "Slot/late"] in [slots for _, slots in await proposed(api, "q1", room8)]
    visit = appointment("x", start=began, slot=[{"reference": "Slot/late"}], participant=with_actors("Location/room8"))
    assert (await call(api, "PUT", "Appointment/x", visit)).status_code == 201
    assert await proposed(api, "q1", room8) == []


async def test_a_room_whose_slot_began_days_before_is_free_too(api: Api) -> None:
    store = api.service.stores["test"]
    await put(
        store, slot("week", "2024-01-15T00:00", "2024-01-22T00:00", of="room9s"), schedule("q2s", "Practitioner/q2")
    )
    await put(store, slot("elses", "2024-01-14T00:00", "2024-01-22T00:00", of="q2s"))
    await put(store, slot("over", "2024-01-10T00:00", "2024-01-12T00:00", of="room9s"))
    [(ident, slots)] = await proposed(api, "q1", ROOM, start="2024-01-20T09:30:00Z")
    assert slots == ["Slot/q1s.20240120T0930Z.30", "Slot/week"]
    only(await operate(api, f"{ident}/$book", patient=ANYBODY))


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
