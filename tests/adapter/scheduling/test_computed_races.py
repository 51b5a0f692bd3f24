"""Rivals for openings that nobody has published: what one takes, the other sees, buffers included."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapter.errors import Conflict, Refused
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import (
    at,
    book,
    booking,
    linking,
    moving,
    schedule,
    settle_all,
    settling,
    slot,
    visit,
)
from tests.adapter.scheduling.weekly import available, open_on, parameters, weekly
from tests.store.support import create, overtaken, side_by_side

ROUNDS = 50
DAY = available(open_on("", "00:00", "00:00"))
BUFFERED = parameters(duration=30, bufferAfter=10, alignmentInterval=30)
FIRST, SECOND = "w.20240120T1030Z.30", "w.20240120T1100Z.30"  # their visits share no hour


def told(results: list[Any]) -> list[type[Exception]]:
    return [type(result) for result in results if isinstance(result, Exception)]


def step(ident: str, slot_id: str | None, start: str, end: str, *, fhir: bool = False) -> Any:
    named = linking(slot_id) if fhir and slot_id else {}
    wanted = visit(ident, start, end, who=("Practitioner/p", "Location/l"), **named)
    return settling(wanted) if fhir else booking(wanted, slot_id)


async def test_without_guards_beyond_the_visit_neighbours_take_each_others_buffer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first document with several values in an index changes that index: that alone would make the two meet.
    await create(store, weekly("w", DAY, BUFFERED), visit("before", "05:00", "05:30"))
    await book(store, visit("earlier", "07:00", "07:30"), "w.20240120T0700Z.30")
    monkeypatch.setattr(UnitOfWork, "guard", lambda work, names: None)
    results = await side_by_side(store, step("x", FIRST, "10:30", "11:00"), step("y", SECOND, "11:00", "11:30"))
    assert told(results) == []  # both: the later one within the earlier one's buffer


@pytest.mark.parametrize("fhir", [False, True])
async def test_of_neighbours_with_a_buffer_one_stands(store: Store, fhir: bool) -> None:
    await create(store, weekly("w", DAY, BUFFERED), visit("before", "05:00", "05:30"))
    results = await side_by_side(
        store, step("x", FIRST, "10:30", "11:00", fhir=fhir), step("y", SECOND, "11:00", "11:30", fhir=fhir)
    )
    assert told(results) == [Conflict]


@pytest.mark.parametrize(
    ("actor", "who", "second"),
    [
        ("HealthcareService/h", (), SECOND),
        ("Practitioner/p", ("Practitioner/p",), "v.20240120T1100Z.30"),
        ("Location/room", (), "v.20240120T1100Z.30"),
    ],
    ids=["of one schedule", "of one practitioner", "of one room"],
)
async def test_an_opening_is_not_taken_while_its_buffer_is(
    store: Store, actor: str, who: tuple[str, ...], second: str
) -> None:
    await create(store, *(weekly(ident, DAY, BUFFERED, actors=(actor,)) for ident in ("w", "v")))
    await settle_all(store, visit("earlier", "07:00", "07:30", who=who, **linking("w.20240120T0700Z.30")))
    first = settling(visit("x", "10:30", "11:00", who=who, **linking(FIRST)))
    later = visit("y", "11:00", "11:30", who=who, **linking(second))
    with pytest.raises(Conflict):  # though it was free when it was decided first
        await overtaken(store, first, lambda: settle_all(store, later))


@pytest.mark.parametrize("fhir", [False, True])
async def test_of_two_for_one_computed_slot_one_stands(store: Store, fhir: bool) -> None:
    await create(store, weekly("w", DAY))
    results = await side_by_side(store, *(step(ident, FIRST, "10:30", "11:00", fhir=fhir) for ident in ("x", "y")))
    assert told(results) == [Conflict]


@pytest.mark.parametrize("fhir", [False, True])
async def test_of_one_by_time_and_one_by_slot_one_stands(store: Store, fhir: bool) -> None:
    await create(store, weekly("w", DAY, BUFFERED))
    results = await side_by_side(
        store, step("x", FIRST, "10:30", "11:00", fhir=fhir), step("y", None, "11:05", "11:20", fhir=fhir)
    )
    # By time within the buffer of a visit: in whichever order they come, never unseen by who takes the opening.
    found = told(results)
    assert found in ([], [Conflict])
    after = await store.count("Appointment", {})
    assert after == 2 - len(found)


async def test_fifty_rounds_of_rivals_all_at_once(store: Store) -> None:
    await create(store, weekly("w", DAY, BUFFERED))
    for number in range(ROUNDS):
        hour, day = number % 20, 20 + number // 20
        wanted = [
            (f"a{number}", f"w.202401{day}T{hour:02}30Z.30", f"{hour:02}:30", f"{hour + 1:02}:00"),
            (f"b{number}", f"w.202401{day}T{hour + 1:02}00Z.30", f"{hour + 1:02}:00", f"{hour + 1:02}:30"),
            (f"c{number}", None, f"{hour:02}:40", f"{hour + 1:02}:10"),
            (f"d{number}", f"w.202401{day}T{hour:02}30Z.30", f"{hour:02}:30", f"{hour + 1:02}:00"),
        ]
        steps = []
        for ident, slot_id, start, end in wanted:
            one = visit(ident, start, end, who=("Practitioner/p", "Location/l"))
            steps.append(booking({**one, "start": at(start, day), "end": at(end, day)}, slot_id))
        results = await asyncio.gather(*(store.transact(one) for one in steps), return_exceptions=True)
        assert set(told(results)) <= {Conflict}, results
        stood = [one for one in results if not isinstance(one, BaseException)]
        assert len(stood) <= 1, [one["id"] for one in stood]


# The Schedule goes.


@pytest.mark.parametrize("fhir", [False, True])
@pytest.mark.parametrize("copied", [False, True])
async def test_a_schedule_does_not_go_while_an_opening_of_it_is_taken(store: Store, fhir: bool, copied: bool) -> None:
    await create(store, weekly("w", DAY))
    taking = step("x", FIRST, "10:30", "11:00", fhir=fhir)
    if copied:
        taking = settling(visit("x", "10:30", "11:00", **linking(FIRST)), copied=True, sent=fhir)
    _, runs = await overtaken(store, settling("Schedule/w"), lambda: store.transact(taking))
    assert runs == 2  # the second time the door sees the slot


@pytest.mark.parametrize("fhir", [False, True])
async def test_an_opening_is_not_taken_while_its_schedule_goes(store: Store, fhir: bool) -> None:
    await create(store, weekly("w", DAY))
    with pytest.raises(Refused):  # though it was there when the opening was found first
        await overtaken(store, step("x", FIRST, "10:30", "11:00", fhir=fhir), lambda: settle_all(store, "Schedule/w"))
    assert await store.count("Slot", {}) == 0


async def test_the_schedule_of_a_room_does_not_go_while_its_opening_moves_along(store: Store) -> None:
    there = [slot("a"), slot("c", "11:00", "11:30"), slot("long", "09:00", "12:00")]
    await create(store, schedule(), weekly("r", DAY, actors=("Location/room",)), *there)
    await settle_all(store, visit("x", **linking("a", "r.20240120T1000Z.30")))
    _, runs = await overtaken(store, settling("Schedule/r"), lambda: store.transact(moving("x", "11:00", "11:30")))
    assert runs == 2


@pytest.mark.parametrize("hours", [True, False], ids=["openings", "published slots of two schedules"])
@pytest.mark.parametrize("door", ["FHIR", "one of each"])
async def test_of_two_who_move_into_one_room_at_a_time_one_does(store: Store, hours: bool, door: str) -> None:
    room = "Location/room"
    if hours:
        names = ["r.20240120T0500Z.30", "r.20240120T0600Z.30"]
        await create(store, weekly("r", DAY, actors=(room,)))
    else:
        names = ["a", "b"]
        await create(store, schedule("r", room), schedule("v", room))
        await create(store, slot("a", "05:00", "05:30", schedule="r"), slot("b", "06:00", "06:30", schedule="v"))
        await create(store, slot("c", "09:30", "10:30", schedule="r"), slot("d", "10:15", "11:15", schedule="v"))
    await settle_all(store, visit("x", "05:00", "05:30", who=(room,), **linking(names[0])))
    await settle_all(store, visit("y", "06:00", "06:30", who=(room,), **linking(names[1])))
    one = settling(visit("x", "10:00", "10:30", who=(room,)))
    times = ("10:00", "10:30") if hours else ("10:30", "11:00")
    other = settling(visit("y", *times, who=(room,))) if door == "FHIR" else moving("y", *times)
    assert told(await side_by_side(store, one, other)) == [Conflict]


@pytest.mark.parametrize("fhir", [False, True])
async def test_of_two_who_book_neighbouring_openings_by_time_one_stands(store: Store, fhir: bool) -> None:
    await create(store, schedule(), weekly("w", DAY, BUFFERED), slot("k", "10:45", "11:15", status="busy"))
    first = step("x", None, "10:30", "11:00", fhir=fhir)
    results = await side_by_side(store, first, step("y", None, "10:30", "11:00", fhir=not fhir))
    assert told(results) == [Conflict]
    later = [step("z", FIRST, "10:30", "11:00"), step("v", None, "11:00", "11:30", fhir=fhir)]
    await settle_all(store, "Appointment/x" if await store.read("Appointment", "x") else "Appointment/y")
    assert told(await side_by_side(store, *later)) == [Conflict]
