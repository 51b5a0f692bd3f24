"""Computed openings that are taken: what is in the way of several in one set, and what is left over of one."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict
from adapter.scheduling.taking import is_left_over
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import (
    at,
    book,
    linking,
    links,
    move,
    of_q,
    of_type,
    refused,
    schedule,
    settle_all,
    slot,
    span,
    statuses,
    visit,
)
from tests.adapter.scheduling.weekly import available, away, open_on, parameters, weekly
from tests.store.support import create, stored

HOURS = available(open_on("", "09:00", "16:00"))
BUFFERED = parameters(duration=30, bufferAfter=30, alignmentInterval=30)
ROOM = ("Location/room",)


def opening(clock: str, of: str = "w") -> str:
    return f"{of}.20240120T{clock.replace(':', '')}Z.30"


def nine(ident: str = "x", **more: Any) -> Resource:
    return visit(ident, "09:00", "09:30", **linking(opening("09:00")), **more)


@pytest.mark.parametrize(
    ("start", "end", "is_left"),
    [
        ("10:00", "10:30", False),
        ("10:10", "10:20", False),
        ("09:50", "10:20", True),
        ("10:10", "10:40", True),
        ("11:00", "11:30", True),
    ],
)
def test_its_own_opening_is_of_use_to_an_appointment_that_it_covers_whole(start: str, end: str, is_left: bool) -> None:
    own = slot(opening("10:00"), status="busy", schedule="w")
    assert is_left_over(own, [f"Slot/{own['id']}"], span(start, end)) is is_left
    assert not is_left_over(own, ["Slot/other"], span(start, end))
    assert is_left_over({**own, "status": "free"}, [], span(start, end))
    assert not is_left_over(slot("a"), ["Slot/a"], span(start, end))


def test_its_own_opening_is_of_no_use_without_a_time() -> None:
    own = slot(opening("10:00"), status="busy", schedule="w")
    assert is_left_over(own, [f"Slot/{own['id']}"], None)


async def test_an_opening_that_was_given_back_is_not_found_by_time(store: Store) -> None:
    await create(store, weekly("w", HOURS), slot(opening("10:00"), schedule="w"))
    [made] = await settle_all(store, visit("x"))
    assert "slot" not in made
    assert await statuses(store, opening("10:00")) == ["free"]


async def test_who_comes_in_the_buffer_of_an_opening_in_the_same_set_is_in_its_way(store: Store) -> None:
    await create(store, weekly("w", HOURS, BUFFERED))
    after = "09:30", "10:00"
    assert [code for code, *_ in await refused(store, nine(), visit("y", *after))] == ["slot_unavailable"]
    await settle_all(store, nine(), visit("y", *after, appointmentType=of_type("WALKIN")))


async def test_in_one_set_a_slot_in_another_schedule_keeps_nobody_from_an_opening(store: Store) -> None:
    await create(store, weekly("w", HOURS, BUFFERED), schedule("t", "Practitioner/q"))
    await create(store, slot("k", "09:30", "10:00", schedule="t"))
    await settle_all(store, nine(), of_q("y", "09:30", "10:00", **linking("k")))


async def test_of_two_openings_of_a_room_in_one_set_each_keeps_its_buffer(store: Store) -> None:
    await create(store, weekly("r", HOURS, BUFFERED, actors=ROOM))
    first = visit("x", "09:00", "09:30", **linking(opening("09:00", "r")))
    near = of_q("y", "09:30", "10:00", **linking(opening("09:30", "r")))
    assert {entry for _, _, entry in await refused(store, first, near)} == {0, 1}
    await settle_all(store, first, of_q("y", "10:00", "10:30", **linking(opening("10:00", "r"))))
    await create(store, slot("hand", "13:00", "13:30", schedule="r"))  # keeps none
    by_hand = visit("v", "13:00", "13:30", **linking("hand"))
    await settle_all(store, by_hand, of_q("w", "13:30", "14:00", **linking(opening("13:30", "r"))))


async def test_the_first_of_two_openings_in_one_set_keeps_its_buffer_from_who_is_there(store: Store) -> None:
    await create(store, weekly("w", HOURS, BUFFERED), visit("v", "09:30", "09:50"))
    late = visit("y", "14:00", "14:30", **linking(opening("14:00")))
    assert await refused(store, nine(), late) == [("slot_unavailable", "Appointment.slot[0]", 0)]


async def test_an_opening_of_a_room_that_moves_along_goes_on_where_it_was_deleted(store: Store) -> None:
    await create(store, schedule(), slot("a"), slot("b", "11:00", "11:30"), weekly("r", HOURS, BUFFERED, actors=ROOM))
    await create(store, slot(opening("11:00", "r"), "11:00", "11:30", schedule="r"))
    await settle_all(store, f"Slot/{opening('11:00', 'r')}")
    await settle_all(store, visit("x", **linking("a", opening("10:00", "r"))))
    assert links(await move(store, "x", "11:00", "11:30")) == ["Slot/b", f"Slot/{opening('11:00', 'r')}"]
    assert (await stored(store, "Slot", opening("11:00", "r")))["meta"]["versionId"] == "3"


async def test_a_copy_or_who_has_it_keeps_an_opening_that_is_stored_and_computed_no_longer(store: Store) -> None:
    late = "17:00", "17:30"
    held = visit("x", *late, **linking(opening("17:00")))
    await create(store, weekly("w", HOURS), slot(opening("17:00"), *late, schedule="w"))
    assert await refused(store, held) == [("slot_unavailable", "Appointment.slot[0]", 0)]
    await settle_all(store, held, copied=True)
    assert await statuses(store, opening("17:00")) == ["busy"]
    await create(store, slot(opening("18:00"), "18:00", "18:30", schedule="w"))
    had = visit("y", "18:00", "18:30", **linking(opening("18:00")))
    await create(store, had)
    await settle_all(store, {**had, "end": at("18:20")})
    assert await statuses(store, opening("18:00")) == ["busy"]
    await settle_all(store, nine("z", who=("Practitioner/q",)), copied=True)  # not stored until now
    assert await statuses(store, opening("09:00")) == ["busy"]
    await create(store, slot(opening("19:00"), "19:00", "19:30", schedule="w"))
    other = visit("y", "19:00", "19:30", **linking(opening("19:00")))
    assert await refused(store, other) == [("slot_unavailable", "Appointment.slot[0]", 0)]


# What is offered is bookable by its time alone, too.


async def mixed(store: Store, *slots: Resource, **more: Any) -> None:
    """Practitioner p with weekly hours, and published Slots in another Schedule (s)."""
    await create(store, weekly("w", HOURS, **more), schedule(), *slots)


@pytest.mark.parametrize("door", ["MediLoop", "FHIR"])
@pytest.mark.parametrize("status", ["free", "busy", "busy-unavailable"])
async def test_an_opening_is_booked_by_time_though_a_published_slot_overlaps_it(
    store: Store, door: str, status: str
) -> None:
    await mixed(store, slot("a", "10:15", "10:45", status=status))
    made = await book(store, visit("x")) if door == "MediLoop" else (await settle_all(store, visit("x")))[0]
    assert links(made) == [f"Slot/{opening('10:00')}"]
    assert await statuses(store, opening("10:00"), "a") == ["busy", status]


@pytest.mark.parametrize("door", ["MediLoop", "FHIR"])
@pytest.mark.parametrize(
    ("times", "taken"),
    [
        (("10:00", "10:30"), ["a"]),
        (("10:10", "10:20"), ["a"]),
        (("10:00", "11:00"), ["a", opening("10:30")]),
        (("14:00", "14:30"), []),
    ],
    ids=["published ones come first", "within one", "together", "where nothing is published none is taken"],
)
async def test_what_a_time_takes_of_slots_and_openings(
    store: Store, door: str, times: tuple[str, str], taken: list[str]
) -> None:
    await mixed(store, slot("a"))
    wanted = visit("x", *times)
    made = await book(store, wanted) if door == "MediLoop" else (await settle_all(store, wanted))[0]
    assert links(made) == [f"Slot/{ident}" for ident in taken]


@pytest.mark.parametrize("why", ["in part", "engaged", "elsewhere", "away"])
async def test_what_is_no_opening_is_refused_as_before_where_a_slot_overlaps_it(store: Store, why: str) -> None:
    closed = available(open_on("", "09:00", "16:00"), away("2024-01-20T10:00:00Z", "2024-01-20T11:00:00Z"))
    await create(store, weekly("w", closed if why == "away" else HOURS, actors=("Practitioner/p", "Location/m")))
    await create(store, schedule("s", "Practitioner/p"), slot("a", "10:15", "10:45", status="busy"))
    places = ("Location/l",) if why == "elsewhere" else ()
    wanted = visit(
        "x",
        "15:45" if why == "in part" else "10:00",
        "16:15" if why == "in part" else "10:30",
        who=("Practitioner/p", *places),
    )
    if why == "in part":
        await create(store, slot("b", "15:50", "16:00", status="busy"))
    if why == "engaged":
        await settle_all(store, visit("y", "10:20", "10:40", **linking("a")), fills_slots=True)
    with pytest.raises(Conflict):
        await book(store, wanted)
    assert ("slot_unavailable", "Appointment.start", 0) in await refused(store, wanted)


async def test_two_in_one_set_do_not_have_one_opening(store: Store) -> None:
    await mixed(store, slot("a", "10:15", "10:45", status="busy"))
    found = await refused(store, visit("x"), visit("y"))
    assert "slot_unavailable" in {code for code, _, _ in found}


async def test_a_slot_set_busy_for_the_visit_goes_before_an_opening(store: Store) -> None:
    both = ("Practitioner/p", "Practitioner/q")
    await mixed(store, slot("a", status="busy"))
    await create(store, schedule("t", "Practitioner/q"), slot("b", schedule="t", status="busy"))
    [made, *_] = await settle_all(store, visit("x", who=both, **linking("b")))
    assert links(made) == ["Slot/b", "Slot/a"]


@pytest.mark.parametrize("door", ["MediLoop", "FHIR"])
async def test_the_visits_own_time_is_not_in_the_way_of_an_opening(store: Store, door: str) -> None:
    await mixed(store)
    made = await book(store, visit("x", "10:20", "10:40"))
    assert links(made) == []
    await create(store, slot("a", "10:15", "10:45", status="busy"))
    moved = await move(store, "x", "10:00", "10:30") if door == "MediLoop" else (await settle_all(store, visit("x")))[0]
    assert links(moved) == [f"Slot/{opening('10:00')}"]


@pytest.mark.parametrize("door", ["MediLoop", "FHIR"])
async def test_at_the_beginning_of_the_calendar_nothing_lies_before_an_opening(store: Store, door: str) -> None:
    times = {"start": "0001-01-01T00:00:00Z", "end": "0001-01-01T00:30:00Z"}
    every_hour = available(open_on("", "00:00", "23:00"))
    taken = slot("a", status="busy") | times | {"start": "0001-01-01T00:10:00Z"}
    await create(store, weekly("w", every_hour), schedule(), taken)
    wanted = visit("x") | times
    made = await book(store, wanted) if door == "MediLoop" else (await settle_all(store, wanted))[0]
    assert links(made) == ["Slot/w.00010101T0000Z.30"]
