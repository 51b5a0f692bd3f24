"""Several appointments that come by FHIR at once: they are judged as one set, on what the whole of it leaves."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict
from adapter.scheduling.claimset import ClaimSet, Draft
from adapter.scheduling.reading import Stored
from adapter.scheduling.settling import Change, decide, settle
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import (
    book,
    linking,
    links,
    of_q,
    publish_day,
    refused,
    role,
    schedule,
    settle_all,
    slot,
    statuses,
    visit,
)
from tests.store.support import create


async def test_two_of_one_set_that_want_one_slot_are_both_told(store: Store) -> None:
    await publish_day(store)
    assert await refused(
        store, visit("x", **linking("a")), of_q("o", "14:00", "14:30"), visit("y", **linking("a"))
    ) == [
        ("slot_unavailable", "Appointment.slot[0]", 0),
        ("time_conflict", "Appointment.start", 0),
        ("slot_unavailable", "Appointment.slot[0]", 2),
        ("time_conflict", "Appointment.start", 2),
    ]


async def test_two_of_one_set_that_overlap_are_refused(store: Store) -> None:
    assert await refused(store, visit("x"), visit("y", "10:15", "10:45")) == [
        ("time_conflict", "Appointment.start", 0),
        ("time_conflict", "Appointment.start", 1),
    ]


async def test_two_of_one_set_find_different_slots(store: Store) -> None:
    await publish_day(store)
    await create(store, schedule("t", "Location/l", "Practitioner/p", "Practitioner/q"), slot("k", schedule="t"))
    [x, y, *_] = await settle_all(store, visit("x"), of_q("y"))
    assert (links(x), links(y)) == (["Slot/a"], ["Slot/k"])


async def test_what_is_named_is_not_found_by_another_of_the_set(store: Store) -> None:
    await publish_day(store, slot("a"))
    await create(store, schedule("t", "Practitioner/q", "Practitioner/p"), slot("k", schedule="t"))
    [x, y, *_] = await settle_all(store, of_q("x"), visit("y", **linking("a")))
    assert (links(x), links(y)) == (["Slot/k"], ["Slot/a"])


async def test_two_that_swap_their_slots_pass(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")), visit("y", "10:30", "11:00", **linking("b")))
    await settle_all(store, visit("x", "10:30", "11:00", **linking("b")), visit("y", **linking("a")), fills_slots=False)
    assert await statuses(store, "a", "b") == ["busy", "busy"]


async def test_one_that_leaves_makes_room_for_another_of_the_set(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(
        store, visit("y", status="pending", **linking("a")), visit("x", status="cancelled"), fills_slots=False
    )
    assert await statuses(store, "a") == ["busy-tentative"]
    await settle_all(store, "Appointment/y", visit("z"), fills_slots=False)
    assert await statuses(store, "a") == ["busy"]


async def test_a_noshow_that_is_deleted_gives_its_slot_back(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await settle_all(store, visit("x", status="noshow"))
    await settle_all(store, "Appointment/x")
    assert await statuses(store, "a") == ["free"]
    await book(store, visit("y"))


async def test_a_noshow_that_is_deleted_takes_no_slot_from_who_has_it_now(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await settle_all(store, visit("x", status="noshow"))
    await settle_all(store, visit("y", **linking("a")))
    await settle_all(store, "Appointment/x")
    assert await statuses(store, "a") == ["busy"]


async def test_a_noshow_that_names_fewer_slots_gives_the_others_back(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:00", "11:00"))
    await settle_all(store, visit("x", "10:00", "11:00", status="noshow", **linking("a", "b")))
    await settle_all(store, visit("x", "10:00", "11:00", status="noshow", **linking("b")))
    assert await statuses(store, "a", "b") == ["free", "busy"]
    await settle_all(store, visit("x", "10:00", "11:00", status="entered-in-error"))
    assert await statuses(store, "a", "b") == ["free", "free"]


async def test_a_noshow_that_never_had_a_slot_names_none(store: Store) -> None:
    await settle_all(store, visit("x"))
    [after] = await settle_all(store, visit("x", status="noshow"))
    assert "slot" not in after
    [made] = await settle_all(store, visit("y", status="noshow"))
    assert "slot" not in made


async def test_a_noshow_that_was_an_error_gives_its_slot_back(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(store, visit("x", status="noshow", **linking("a")))
    assert await statuses(store, "a") == ["busy"]
    await settle_all(store, visit("x", status="entered-in-error", **linking("a")))
    assert await statuses(store, "a") == ["free"]


async def test_a_noshow_that_was_an_error_takes_no_slot_from_who_has_it_now(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(store, visit("x", status="noshow", **linking("a")))
    await settle_all(store, visit("y", **linking("a")))  # by hand: it was busy for nobody
    await settle_all(store, visit("x", status="entered-in-error", **linking("a")))
    assert await statuses(store, "a") == ["busy"]


async def test_a_noshow_of_the_set_leaves_no_room(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    both = visit("x", status="noshow", **linking("a")), visit("y", **linking("a"))
    assert await refused(store, *both, fills_slots=False) == [("slot_unavailable", "Appointment.slot[0]", 1)]
    await settle_all(store, *both)


async def test_what_is_wrong_in_itself_is_told_before_what_is_in_the_way(store: Store) -> None:
    await settle_all(store, visit("x"))
    found = await refused(store, visit("y"), visit("z", "11:00", "10:00"), visit("w", **linking("none")))
    assert found == [("invalid_time", "Appointment.start", 1), ("unknown_slot", "Appointment.slot[0]", 2)]


def test_a_set_is_judged_on_what_was_read_and_nothing_else() -> None:
    stored = Stored({"Slot/a": slot("a")}, {"Schedule/s": schedule()})
    world = decide(ClaimSet([Draft(0, None, visit("x"))]), stored, fills_slots=False)
    assert world.taken == {"Appointment/x": ["Slot/a"]}
    rival = Stored(stored.slots, stored.schedules, {"Appointment/y": visit("y", **linking("a"))})
    with pytest.raises(Conflict) as raised:
        decide(ClaimSet([Draft(0, None, visit("x", **linking("a")))]), rival, fills_slots=True)
    assert [problem.code for problem in raised.value.problems] == ["slot_unavailable", "time_conflict"]


def test_of_what_is_busy_by_hand_a_slot_is_filled_that_is_named_and_none_that_was_found() -> None:
    closed = {f"Slot/{ident}": slot(ident, status="busy", schedule=ident) for ident in ("a", "r")}
    stored = Stored(closed, {"Schedule/a": schedule("a"), "Schedule/r": schedule("r", "Location/l")})
    asked = [Draft(0, None, visit("x", **linking("a", "r")))]
    decide(ClaimSet(asked), stored, fills_slots=True)
    with pytest.raises(Conflict) as raised:
        decide(ClaimSet(asked), stored, fills_slots=True, free={"Slot/r"})
    assert [problem.param for problem in raised.value.problems] == ["Appointment.slot[1]"]


async def test_a_hundred_appointments_need_no_more_queries_than_one(store: Store) -> None:
    await create(store, *(schedule(f"s{n}", f"Practitioner/{n}", "Location/l") for n in range(100)))
    await create(store, *(slot(f"{n}", schedule=f"s{n}") for n in range(100)))
    await create(store, *(role(f"{n}", f"{n}") for n in range(100)))

    async def queries(*wanted: Resource) -> int:
        async def step(work: UnitOfWork) -> list[str]:
            asked: list[str] = []
            documents = work.documents

            async def counted(kind: str, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
                asked.append(kind)
                return await documents(kind, *arguments, **options)

            work.documents = counted  # type: ignore[method-assign]
            await settle(work, [Change(None, one) for one in wanted], fills_slots=False)
            return asked

        return len(await store.transact(step))

    seeking = [visit(f"v{n}", who=(f"PractitionerRole/{n}",)) for n in range(100)]
    naming = [visit(f"n{n}", who=(f"Practitioner/{n}",), **linking(str(n))) for n in range(100)]
    assert await queries(*seeking) == await queries(seeking[0]) <= 6
    assert await queries(*naming) == await queries(naming[0]) <= 4
    assert await queries(visit("x", status="proposed")) == 0
