"""A FHIR write that moves an appointment takes its room or device along, unless it says otherwise."""

from __future__ import annotations

import pytest

from adapter.errors import TooLarge
from store.store import Store
from tests.adapter.scheduling.moving import HOURS, ROOM, hourly, in_computed_room, in_room, opening
from tests.adapter.scheduling.support import (
    codes,
    linking,
    links,
    of_type,
    refused,
    schedule,
    settle_all,
    slot,
    statuses,
    visit,
)
from tests.adapter.scheduling.weekly import parameters, weekly
from tests.store.support import create, everything


@pytest.mark.parametrize(
    "named", [(), ("s13",), ("s13", "r10")], ids=["no slot named", "the practitioner's", "and the one from before"]
)
async def test_fhir_takes_the_room_along_unless_the_links_leave_it_out(store: Store, named: tuple[str, ...]) -> None:
    await in_room(store)
    [moved, *_] = await settle_all(store, visit("x", *HOURS["13"], **(linking(*named) if named else {})))
    takes = named != ("s13",)
    assert links(moved) == ["Slot/s13", *(["Slot/r13"] if takes else [])]
    assert await statuses(store, "s10", "r10", "s13", "r13") == ["free", "free", "busy", "busy" if takes else "free"]


@pytest.mark.parametrize(
    "times", [HOURS["11"], HOURS["12"], ("15:00", "15:30"), ("12:45", "13:15")],
    ids=["taken", "closed", "not published", "published in part"],
)  # fmt: skip
async def test_fhir_does_not_move_to_where_the_room_is_not_free(store: Store, times: tuple[str, str]) -> None:
    await in_room(store)
    assert ("slot_unavailable", "Appointment.start", 0) in await refused(store, visit("x", *times))


async def test_fhir_does_not_take_a_room_along_that_another_has_by_a_slot_that_overlaps(store: Store) -> None:
    await in_room(store)
    await create(store, schedule("r2", "Location/room"), slot("long", "12:30", "14:00", schedule="r2"))
    await settle_all(store, visit("y", "12:30", "14:00", who=("Location/room",), **linking("long")))
    assert await refused(store, visit("x", *HOURS["13"])) == [("slot_unavailable", "Appointment.start", 0)]


async def test_fhir_takes_an_opening_of_a_room_along(store: Store) -> None:
    await in_computed_room(store)
    [moved, *_] = await settle_all(store, visit("x", *HOURS["11"]))
    assert links(moved) == ["Slot/s11", f"Slot/{opening('11:00')}"]
    assert await statuses(store, opening("10:00"), opening("11:00")) == ["free", "busy"]
    [back, *_] = await settle_all(store, visit("x"))
    assert links(back) == ["Slot/s10", f"Slot/{opening('10:00')}"]
    assert await refused(store, visit("x", *HOURS["13"])) == [("slot_unavailable", "Appointment.start", 0)]


async def test_an_opening_that_the_same_transaction_closes_is_none(store: Store) -> None:
    await in_computed_room(store)
    ident = opening("11:00")
    shut = slot(ident, *HOURS["11"], schedule="r", status="busy-unavailable")
    assert await refused(store, shut, visit("x", *HOURS["11"])) == [("slot_unavailable", "Appointment.start", 1)]


async def test_the_openings_of_a_room_are_those_that_the_same_transaction_leaves(store: Store) -> None:
    service = {"resourceType": "HealthcareService", "id": "h"}
    room = weekly("r", actors=(ROOM, "HealthcareService/h"))
    await create(store, service | {"extension": [parameters(duration=30)]}, schedule(), *hourly("s"), room)
    await settle_all(store, visit("x", **linking("s10", opening("10:00"))))
    [moved, *_] = await settle_all(store, visit("x", *HOURS["11"]), service | {"extension": [parameters(duration=60)]})
    assert links(moved) == ["Slot/s11", "Slot/r.20240120T1100Z.60"]


async def test_rooms_that_move_along_for_too_long_are_not_looked_for(store: Store) -> None:
    rooms = [f"r{number}" for number in range(40)]
    for ident in rooms:
        await create(store, schedule(ident, f"Location/{ident}"), slot(f"{ident}a", schedule=ident))
    await settle_all(store, visit("x", who=(), **linking(*(f"{ident}a" for ident in rooms))))
    long = {**visit("x", "11:00", who=()), "end": "2024-02-19T11:00:00Z"}
    before = await everything(store.database)
    with pytest.raises(TooLarge) as raised:
        await settle_all(store, long)
    assert codes(raised.value) == [("too_many_hours", None)]
    assert await everything(store.database) == before


async def test_of_two_who_move_to_one_opening_of_their_room_neither_does(store: Store) -> None:
    await in_computed_room(store)
    await settle_all(store, visit("y", "09:30", "10:00", who=(ROOM,), **linking(opening("09:30"))))
    found = await refused(store, visit("x", *HOURS["11"]), visit("y", *HOURS["11"], who=(ROOM,)))
    assert [(code, param) for code, param, _ in found] == [("slot_unavailable", "Appointment.start")]
    both = (visit("x", *HOURS["11"]), visit("y", "11:30", "12:00", who=(ROOM,)))
    [one, other, *_] = await settle_all(store, *both)
    assert (links(one)[1], links(other)) == (f"Slot/{opening('11:00')}", [f"Slot/{opening('11:30')}"])


async def test_a_room_of_which_a_slot_is_named_there_is_not_looked_for_beside_a_former_one(store: Store) -> None:
    await in_room(store)
    await create(store, slot("alike", *HOURS["13"], schedule="r"))
    [moved, *_] = await settle_all(store, visit("x", *HOURS["13"], **linking("s13", "r10", "r13")))
    assert links(moved) == ["Slot/s13", "Slot/r13"]
    assert await statuses(store, "r10", "alike") == ["free", "free"]


async def test_two_may_change_places_in_their_room(store: Store) -> None:
    await create(store, schedule("r", ROOM), *hourly("r"))
    await settle_all(store, visit("x", who=(ROOM,), **linking("r10")))
    await settle_all(store, visit("y", *HOURS["11"], who=(ROOM,), **linking("r11")))
    [one, other, *_] = await settle_all(store, visit("x", *HOURS["11"], who=(ROOM,)), visit("y", who=(ROOM,)))
    assert (links(one), links(other)) == (["Slot/r11"], ["Slot/r10"])


async def test_fhir_does_not_take_a_room_along_that_takes_part_no_longer(store: Store) -> None:
    await in_room(store, who=("Practitioner/p", "Location/l", ROOM))
    [moved, *_] = await settle_all(store, visit("x", *HOURS["13"]))
    assert links(moved) == ["Slot/s13"]
    assert await statuses(store, "r10") == ["free"]


async def test_a_slot_that_moves_with_the_visit_is_the_rooms_new_one(store: Store) -> None:
    await in_room(store)
    moved_slot = slot("r10", "15:00", "15:30", schedule="r", status="busy")
    [moved, *_] = await settle_all(store, visit("x", "15:00", "15:30"), moved_slot)
    assert links(moved) == ["Slot/r10"]


async def test_a_room_whose_slot_was_not_at_the_time_is_not_looked_for(store: Store) -> None:
    """A copy may hold such a Slot."""
    await create(store, schedule(), schedule("r", ROOM), *hourly("s"), *hourly("r"))
    await settle_all(store, visit("x", **linking("s10", "r12")), copied=True)
    [moved, *_] = await settle_all(store, visit("x", *HOURS["11"]))
    assert links(moved) == ["Slot/s11"]


async def test_fhir_takes_the_room_of_what_stands_beside_others_along(store: Store) -> None:
    walkin = of_type("WALKIN")
    await in_room(store, appointmentType=walkin)
    taken = visit("x", *HOURS["11"], appointmentType=walkin)
    assert await refused(store, taken) == [("slot_unavailable", "Appointment.start", 0)]
    [moved, *_] = await settle_all(store, visit("x", *HOURS["13"], appointmentType=walkin))
    assert links(moved) == ["Slot/r13"]


async def test_an_import_takes_no_room_along(store: Store) -> None:
    await in_room(store)
    [moved, *_] = await settle_all(store, visit("x", *HOURS["13"]), copied=True)
    assert links(moved) == []
