"""What a visit had counts for nothing where the same set writes that: the Slot, its Schedule, or who holds it."""

from __future__ import annotations

import pytest

from adapter.scheduling import occupancy
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.sharing import fhir, over
from tests.adapter.scheduling.support import (
    book,
    linking,
    links,
    of_type,
    refused,
    schedule,
    settle_all,
    settling,
    slot,
    statuses,
    visit,
)
from tests.store.support import create, stored

P, Q, ROOM = "Practitioner/p", "Practitioner/q", "Location/room"
LINK = linking("a")


def shared(slot_: Resource, room: int) -> Resource:
    return {**slot_, "extension": [{"url": occupancy.CAPACITY, "valueInteger": room}]}


async def two_in_a_shared_slot(store: Store, who: tuple[str, ...] = (P,), end: str = "10:30") -> None:
    await create(store, schedule("s", *who), shared(slot("a", "10:00", end), 2), slot("b", end, "11:30"))
    for name in "xy":
        await settle_all(store, visit(name, "10:00", end, who=who, **LINK))


@pytest.mark.parametrize("both", [False, True])
async def test_a_slot_that_becomes_smaller_in_the_set_is_decided_about_anew(store: Store, both: bool) -> None:
    await two_in_a_shared_slot(store)
    there = await stored(store, "Slot", "a")
    more = [visit("y", who=(P, ROOM), **LINK)] if both else []
    found = await refused(store, shared(there, 1), visit("x", who=(P, ROOM), **LINK), *more)
    assert {code for code, _, _ in found} & {"slot_unavailable", "slot_held"}


@pytest.mark.parametrize("both", [False, True])
async def test_a_schedule_that_loses_somebody_in_the_set(store: Store, both: bool) -> None:
    await two_in_a_shared_slot(store, (P, Q))
    more = [visit("y", who=(P, Q, ROOM), **LINK)] if both else []
    found = await refused(store, schedule("s", Q), visit("x", who=(P, Q, ROOM), **LINK), *more)
    assert {code for code, _, _ in found} == {"time_conflict"}


async def test_a_shared_slot_that_is_deleted_in_the_set(store: Store) -> None:
    await two_in_a_shared_slot(store)
    found = await refused(store, "Slot/a", visit("x"), visit("y"))
    assert {code for code, _, _ in found} == {"time_conflict"}


async def test_a_shared_slot_that_is_cut_in_the_set(store: Store) -> None:
    await two_in_a_shared_slot(store, end="11:00")
    there = await stored(store, "Slot", "a")
    await create(store, shared(slot("c", "10:30", "11:00"), 1))
    cut = {**there, "end": "2024-01-20T10:30:00Z"}
    named = linking("a", "c")
    found = await refused(
        store, cut, visit("x", "10:00", "11:00", who=(P, ROOM), **named), visit("y", "10:00", "11:00")
    )
    assert found


@pytest.mark.parametrize("first", ["x", "y"])
async def test_a_slot_that_another_of_the_set_takes_is_not_kept(store: Store, first: str) -> None:
    await create(store, schedule("s", P, Q), slot("a"))
    await settle_all(store, visit("x", **LINK))
    pair = {"x": visit("x", who=(P, ROOM)), "y": visit("y", who=(Q,), **LINK)}
    order = [pair.pop(first), *pair.values()]
    assert {code for code, _, _ in await refused(store, *order, fills_slots=False)} == {"slot_unavailable"}


async def test_a_rooms_slot_that_another_of_the_set_takes_is_not_kept(store: Store) -> None:
    await create(store, schedule("r", ROOM), slot("n", schedule="r"))
    named = linking("n")
    await settle_all(store, visit("x", who=(P, ROOM), **named))
    [y, x, *_] = await settle_all(
        store, visit("y", who=(Q, ROOM), **named), visit("x", who=(P, ROOM), status="arrived")
    )
    assert (links(y), links(x)) == (["Slot/n"], [])


@pytest.mark.parametrize(
    "written",
    [
        {"status": "busy-unavailable"},
        {"status": "entered-in-error"},
        {"start": "2024-01-20T10:20:00Z", "end": "2024-01-20T11:00:00Z"},
    ],
)
async def test_a_slot_that_is_written_in_the_set_is_not_kept_unseen(store: Store, written: dict[str, str]) -> None:
    await create(store, schedule("s", P), slot("a"))
    await settle_all(store, visit("x", **LINK))
    there = await stored(store, "Slot", "a")
    wanted = (there | written, visit("x", who=(P, ROOM)))
    if written.get("status") == "entered-in-error":
        [_, after, *_] = await settle_all(store, *wanted)
        assert links(after) == []
    else:
        assert {code for code, _, _ in await refused(store, *wanted, fills_slots=False)} == {"slot_unavailable"}


async def test_a_rooms_slot_that_the_set_makes_free_is_not_kept(store: Store) -> None:
    await create(store, schedule("r", ROOM), slot("n", schedule="r"))
    await settle_all(store, visit("x", who=(P, ROOM), **linking("n")))
    [_, x] = await settle_all(store, slot("n", schedule="r"), visit("x", end="10:20", who=(P, ROOM)))
    assert links(x) == []
    assert await statuses(store, "n") == ["free"]


async def test_a_slot_that_was_entered_in_error_is_kept_by_nobody(store: Store) -> None:
    """By no door of ours; an earlier release, or a hand in the database, may have left it so."""
    wrong = [slot(name, schedule=of, status="entered-in-error") for name, of in (("a", "s"), ("n", "r"))]
    held = visit("x", who=(P, ROOM), **linking("a", "n"))
    await create(store, schedule("s", P), schedule("r", ROOM), *wrong, held)
    [x, *_] = await settle_all(store, visit("x", end="10:20", who=(P, ROOM)))
    assert links(x) == []
    assert await statuses(store, "a", "n") == ["entered-in-error", "entered-in-error"]


async def test_a_slot_that_is_written_with_as_many_places_is_its_visits_whoever_was_booked_over_it(
    store: Store,
) -> None:
    await create(store, schedule("s", P, Q), slot("a"))
    await settle_all(store, visit("x", **LINK))
    await store.transact(fhir(over(visit("z", who=(Q,), **LINK))))
    there = await stored(store, "Slot", "a")
    [_, x] = await settle_all(store, there | {"comment": "Second floor"}, visit("x", end="10:20", **LINK))
    assert (links(x), x["end"]) == (["Slot/a"], "2024-01-20T10:20:00Z")


@pytest.mark.parametrize("thing", [ROOM, "Device/d", "HealthcareService/h"])
async def test_what_is_no_practitioners_is_kept_as_long_as_it_is_at_the_time(store: Store, thing: str) -> None:
    await create(store, schedule("r", thing), slot("n", schedule="r"), slot("m", "10:30", "11:00", schedule="r"))
    await settle_all(store, visit("x", "10:00", "10:20", who=(P, thing), **linking("n")))
    [moved, *_] = await settle_all(store, visit("x", "10:05", "10:25", who=(P, Q, thing)))
    assert links(moved) == ["Slot/n"]
    [longer, *_] = await settle_all(store, visit("x", "10:15", "10:45", who=(P, Q, thing)))
    assert (links(longer), await statuses(store, "n", "m")) == (["Slot/n"], ["busy", "free"])
    [away, *_] = await settle_all(store, visit("x", "10:30", "10:45", who=(P, Q, thing)))
    assert links(away) == ["Slot/m"]
    assert await statuses(store, "n", "m") == ["free", "busy"]


@pytest.mark.parametrize("thing", [P, ROOM, "Device/d", "HealthcareService/h"])
@pytest.mark.parametrize("beside", [False, True])
async def test_a_slot_of_who_never_took_part_is_kept_too(store: Store, thing: str, beside: bool) -> None:
    await create(store, schedule("r", thing), slot("n", schedule="r"), slot("m", "11:00", "11:30", schedule="r"))
    kind: Resource = {"appointmentType": of_type("EMERGENCY")} if beside else {}
    await settle_all(store, visit("x", who=(), **linking("n"), **kind))
    [after, *_] = await settle_all(store, visit("x", "10:05", "10:25", who=(), **kind))
    assert (links(after), await statuses(store, "n")) == (["Slot/n"], ["busy"])
    assert {code for code, _, _ in await refused(store, visit("y", who=(thing,), **linking("n")))} >= {
        "slot_unavailable"
    }
    [after, *_] = await settle_all(store, visit("x", "11:00", "11:30", who=(), **kind))
    assert (links(after), await statuses(store, "n", "m")) == (["Slot/m"], ["free", "busy"])
    gone = visit("x", "12:00", "12:30", who=(), **kind)
    assert await refused(store, gone) == [("slot_unavailable", "Appointment.start", 0)]


async def test_what_stands_beside_others_keeps_the_slot_of_its_practitioner_until_they_leave(store: Store) -> None:
    await create(store, schedule("s", P), slot("a"))
    emergency: Resource = {"appointmentType": of_type("EMERGENCY")}
    await book(store, visit("x", **emergency), "a")
    [after, *_] = await settle_all(store, visit("x", **emergency, description="short of breath"))
    assert (links(after), await statuses(store, "a")) == (["Slot/a"], ["busy"])
    [after, *_] = await settle_all(store, visit("x", who=(Q,), **emergency))
    assert (links(after), await statuses(store, "a")) == ([], ["free"])


async def test_an_unrelated_role_makes_nothing_new(store: Store) -> None:
    await settle_all(store, visit("x"))
    over = occupancy.overbooking(visit("y"), "a mother in labour", "https://example.org/fhir/StructureDefinition")
    await store.transact(settling(over, overbooks="key-1"))
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/z"}}
    [_, after, *_] = await settle_all(store, role, visit("x", who=(P, ROOM)))
    assert len(after["participant"]) == 3


async def test_who_is_given_a_role_in_the_set_is_looked_at_whole(store: Store) -> None:
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": Q}}
    await create(store, role, visit("x"), visit("y", who=("PractitionerRole/r",)))
    given = {**role, "practitioner": {"reference": P}}
    found = await refused(store, given, visit("x", who=(P, ROOM)))
    assert "time_conflict" in {code for code, _, _ in found}


async def test_nobody_signs_for_another_who_booked_over_others(store: Store) -> None:
    over = occupancy.overbooking(visit("y"), "a mother in labour", "https://example.org/fhir/StructureDefinition")
    await create(store, over)
    [after, *_] = await settle_all(store, occupancy.signed({**over, "status": "arrived"}, "key-9"))
    assert occupancy.by(after) is None
