"""FHIR writes beside each other: whatever a decision has read is met by who changes it.

Without the guards each of these fails: snapshots let both commit (shown once, by leaving them out).
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapter.errors import Conflict, Refused, Unprocessable
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.sharing import group
from tests.adapter.scheduling.support import (
    advancing,
    booking,
    linking,
    links,
    moving,
    publish_day,
    role,
    schedule,
    settle_all,
    settling,
    slot,
    statuses,
    visit,
)
from tests.store.support import create, overtaken, side_by_side, stored

NURSE = [{"text": "Nurse"}]
RIVALS = 24


def told(results: list[Any]) -> list[type[Exception]]:
    return [type(result) for result in results if isinstance(result, Exception)]


async def rush(store: Store, *wanted: Resource) -> list[Any]:
    """Write each in a transaction of its own, all at once."""
    return await asyncio.gather(*(store.transact(settling(one)) for one in wanted), return_exceptions=True)


async def test_without_guards_a_role_and_its_practitioner_are_booked_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnitOfWork, "guard", lambda work, names: None)
    # The first document with several values in an index changes that index: that alone would make the two meet.
    await create(store, role("r"), visit("before", "08:00", "09:30", who=("Practitioner/p", "Location/l")))
    results = await side_by_side(store, settling(visit("x")), settling(visit("y", who=("PractitionerRole/r",))))
    assert told(results) == []  # twice


async def test_of_many_appointments_for_one_slot_one_stands(store: Store) -> None:
    await publish_day(store)
    results = await rush(store, *(visit(f"v{n}", who=(), **linking("a")) for n in range(RIVALS)))
    assert told(results) == [Conflict] * (RIVALS - 1)
    assert await statuses(store, "a") == ["busy"]


async def test_of_many_that_fill_one_busy_slot_one_stands(store: Store) -> None:
    await publish_day(store, slot("a", status="busy"))
    results = await rush(store, *(visit(f"v{n}", who=(), **linking("a")) for n in range(RIVALS)))
    assert told(results) == [Conflict] * (RIVALS - 1)


async def test_of_many_that_overlap_without_a_slot_one_stands(store: Store) -> None:
    await create(store, role("r"), role("s"))
    who = ["Practitioner/p", "PractitionerRole/r", "PractitionerRole/s"]
    results = await rush(store, *(visit(f"v{n}", f"10:{n:02}", "10:50", who=(who[n % 3],)) for n in range(RIVALS)))
    assert told(results) == [Conflict] * (RIVALS - 1)


async def test_many_that_look_for_slots_get_one_each(store: Store) -> None:
    people = [f"Practitioner/{n}" for n in range(8)]
    await create(store, schedule("s", *people), *(slot(f"{n}") for n in range(5)))
    results = await rush(store, *(visit(f"v{n}", who=(people[n],)) for n in range(8)))
    assert told(results) == [Conflict] * 3
    taken = [name for found in results if isinstance(found, list) for name in links(found[0].after)]
    assert sorted(taken) == [f"Slot/{n}" for n in range(5)]


async def test_a_role_and_its_practitioner_are_not_booked_at_once(store: Store) -> None:
    await create(store, role("r"))
    results = await side_by_side(store, settling(visit("x")), settling(visit("y", who=("PractitionerRole/r",))))
    assert told(results) == [Conflict]


async def test_a_role_by_fhir_and_its_practitioner_by_mediloop_are_not_booked_at_once(store: Store) -> None:
    await create(store, role("r"))
    results = await side_by_side(store, booking(visit("x")), settling(visit("y", who=("PractitionerRole/r",))))
    assert told(results) == [Conflict]


@pytest.mark.parametrize("status", ["free", "busy-unavailable", "entered-in-error"])
async def test_a_busy_slot_is_not_opened_while_it_is_filled(store: Store, status: str) -> None:
    await publish_day(store, slot("a", status="busy"))
    results = await side_by_side(store, settling(visit("x", **linking("a"))), settling(slot("a", status=status)))
    if told(results) == []:  # opened first, then taken
        assert status == "free"
    else:
        assert told(results) in ([Conflict], [Unprocessable])
    holders = await store.count("Appointment", {"_index.claims": "Slot/a"})
    assert (await statuses(store, "a") == ["busy"]) == (holders == 1)


async def test_what_a_noshow_gives_back_is_not_freed_while_it_is_filled(store: Store) -> None:
    noshow = visit("x", status="noshow", **linking("a"))
    await publish_day(store, slot("a", status="busy"))
    await create(store, noshow)
    error = {**noshow, "status": "entered-in-error"}
    results = await side_by_side(store, settling(visit("y", **linking("a"))), settling(error))
    assert told(results) == []
    assert await statuses(store, "a") == ["busy"]


@pytest.mark.parametrize("wanted", ["Slot/a", slot("a", "12:00", "13:00")])
async def test_a_slot_is_not_moved_or_deleted_while_it_is_booked(store: Store, wanted: Resource | str) -> None:
    await publish_day(store)
    results = await side_by_side(store, settling(visit("x", who=(), **linking("a"))), settling(wanted))
    assert len(told(results)) == 1


async def test_a_slot_that_is_filled_while_its_holder_leaves_stays_busy(store: Store) -> None:
    await create(store, schedule(), slot("a", status="busy"))
    link = linking("a")
    await create(store, visit("x", **link), visit("z", who=("Practitioner/z",), **link))
    filling = settling(visit("x", status="cancelled", **link), visit("y", who=("Practitioner/p",), **link))
    results = await side_by_side(store, advancing("z", "cancelled"), filling)
    assert told(results) in ([], [Conflict])
    holders = await store.count("Appointment", {"_index.claims": "Slot/a"})
    assert (await statuses(store, "a") == ["busy"]) == (holders > 0)


async def test_a_release_and_a_filling_at_once_leave_no_free_slot_with_a_holder(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))

    async def fill() -> None:
        await settle_all(store, visit("x", status="cancelled"), visit("y", **linking("a")))

    result, runs = await overtaken(store, settling("Appointment/x"), fill)
    assert runs == 2
    assert result[0].after is None
    assert await statuses(store, "a") == ["busy"]


async def test_two_who_leave_a_shared_slot_at_once_do_not_leave_it_busy(store: Store) -> None:
    link = linking("a")
    await create(store, schedule(), slot("a", status="busy"))
    await create(store, visit("x", **link), visit("y", who=("Practitioner/q",), **link))
    await side_by_side(store, settling("Appointment/x"), settling("Appointment/y"))
    assert await statuses(store, "a") == ["free"]


@pytest.mark.parametrize("leaving", [advancing("x", "cancelled"), settling("Appointment/x")])
async def test_a_closed_group_is_not_opened_by_the_last_to_leave_while_another_comes(
    store: Store, leaving: Any
) -> None:
    closed = group("a", 3, status="busy")
    await create(store, schedule(), closed, visit("x", **linking("a")))
    coming = settling(visit("y", **linking("a")), {**closed, "comment": "y comes"})
    assert told(await side_by_side(store, leaving, coming)) == []
    assert await store.keys("Appointment", {"_index.claims": "Slot/a"}, limit=9) == ["y"]
    assert await statuses(store, "a") == ["busy"]


async def test_a_booking_that_found_no_slot_meets_one_that_is_published(store: Store) -> None:
    await create(store, schedule())
    result, runs = await overtaken(store, settling(visit("x")), lambda: settle_all(store, slot("a")))
    assert runs == 2
    assert links(result[0].after) == ["Slot/a"]


@pytest.mark.parametrize("door", [booking, settling])
async def test_a_booking_that_passed_over_an_error_meets_it_when_it_is_none(store: Store, door: Any) -> None:
    await publish_day(store, slot("a", status="entered-in-error"))
    with pytest.raises(Conflict):  # though it found no slot that would be in its way, when it was decided first
        await overtaken(store, door(visit("x")), lambda: settle_all(store, slot("a", status="busy-unavailable")))


async def test_a_schedule_does_not_go_while_it_is_filled(store: Store) -> None:
    await create(store, schedule())
    with pytest.raises(Unprocessable):  # though it was there when the slot was decided first
        await overtaken(store, settling(slot("a")), lambda: settle_all(store, "Schedule/s"))
    await create(store, schedule("t"))

    async def fill() -> None:
        await settle_all(store, slot("a", schedule="t"))

    _, runs = await overtaken(store, settling("Schedule/t"), fill)
    assert runs == 2  # the second time the door sees the slot


def _answers(ident: str, status: str) -> Resource:
    return {
        "resourceType": "AppointmentResponse",
        "id": ident,
        "appointment": {"reference": "Appointment/x"},
        "actor": {"reference": "Practitioner/p"},
        "participantStatus": status,
    }


async def test_an_appointment_does_not_go_while_it_is_answered(store: Store) -> None:
    await settle_all(store, visit("x"))
    with pytest.raises(Unprocessable):  # though it was there, and in want of no change, when it was answered first
        await overtaken(store, settling(_answers("r", "accepted")), lambda: settle_all(store, "Appointment/x"))


async def test_the_later_of_two_answers_stands_though_it_found_nothing_to_change(store: Store) -> None:
    await settle_all(store, visit("x"))  # in which p accepts
    accepting = settling(_answers("later", "accepted"))
    _, runs = await overtaken(store, accepting, lambda: settle_all(store, _answers("first", "declined")))
    assert runs == 2
    assert (await stored(store, "Appointment", "x"))["participant"][1]["status"] == "accepted"


def _with_an_open_role(ident: str) -> Resource:
    return {**visit(ident, who=()), "participant": [{"type": NURSE, "status": "needs-action"}]}


def _accepts(ident: str, to: str, who: str) -> Resource:
    return {
        "resourceType": "AppointmentResponse",
        "id": ident,
        "appointment": {"reference": f"Appointment/{to}"},
        "actor": {"reference": who},
        "participantType": NURSE,
        "participantStatus": "accepted",
    }


async def test_who_accepts_many_open_roles_of_one_time_has_one(store: Store) -> None:
    await create(store, *(_with_an_open_role(f"v{n}") for n in range(RIVALS)))
    results = await rush(store, *(_accepts(f"r{n}", f"v{n}", "Practitioner/n") for n in range(RIVALS)))
    assert told(results) == [Conflict] * (RIVALS - 1)


async def test_of_many_who_accept_one_open_role_one_has_it(store: Store) -> None:
    await create(store, _with_an_open_role("x"))
    results = await rush(store, *(_accepts(f"r{n}", "x", f"Practitioner/{n}") for n in range(RIVALS)))
    assert told(results) == [Unprocessable] * (RIVALS - 1)


async def test_two_transactions_that_set_one_slot_busy_and_fill_it_make_one_booking(store: Store) -> None:
    await publish_day(store)

    def portable(ident: str) -> Any:
        return settling(slot("a", status="busy"), visit(ident, who=(), **linking("a")), fills_slots=False)

    results = await asyncio.gather(*(store.transact(portable(f"v{n}")) for n in range(RIVALS)), return_exceptions=True)
    assert told(results) == [Conflict] * (RIVALS - 1)
    assert all(isinstance(result, list | Refused) for result in results)
    assert (await stored(store, "Slot", "a"))["status"] == "busy"


@pytest.mark.parametrize("moved", [True, False])
async def test_by_commands_too_a_role_and_its_practitioner_are_not_booked_at_once(store: Store, *, moved: bool) -> None:
    # The first document with several values in an index changes that index: that alone would make the two meet.
    before = visit("before", "08:00", "09:30", who=("Practitioner/p", "Location/l"))
    by_role = visit("y", "14:00", "14:30", who=("PractitionerRole/r",))
    await create(store, role("r"), before, *([by_role] if moved else []))
    other = moving("y", "10:00", "10:30") if moved else booking(visit("y", who=("PractitionerRole/r",)))
    assert told(await side_by_side(store, booking(visit("x")), other)) == [Conflict]
