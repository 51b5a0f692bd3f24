"""What a no-show leaves busy is what it held: it names no other Slot, and frees none that is another's."""

from __future__ import annotations

import pytest

from adapter.scheduling.occupancy import CAPACITY
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.sharing import Step, fhir_changes, mediloop, over
from tests.adapter.scheduling.support import (
    advancing,
    linking,
    links,
    publish_day,
    refused,
    settle_all,
    settling,
    slot,
    statuses,
    visit,
)
from tests.store.support import side_by_side, stored

STRANGE = ("slot_mismatch", "Appointment.slot[0]", 0)


@pytest.mark.parametrize("fills", [False, True])
@pytest.mark.parametrize("named", ["a", "none"])
async def test_a_new_noshow_names_no_slot(store: Store, named: str, fills: bool) -> None:
    await publish_day(store, slot("a", status="busy"))
    assert await refused(store, visit("x", status="noshow", **linking(named)), fills_slots=fills) == [STRANGE]
    await settle_all(store, visit("x", status="noshow"), fills_slots=fills)
    assert await refused(store, visit("x", status="noshow", **linking(named)), fills_slots=fills) == [STRANGE]


async def test_a_visit_that_becomes_a_noshow_names_no_other_slot(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    assert await refused(store, visit("x", status="noshow", **linking("b"))) == [STRANGE]
    both = visit("x", status="noshow", **linking("a", "b"))
    assert await refused(store, both) == [("slot_mismatch", "Appointment.slot[1]", 0)]
    await settle_all(store, visit("x", status="noshow"))
    assert await refused(store, visit("x", status="noshow", **linking("b"))) == [STRANGE]
    assert await statuses(store, "a", "b") == ["busy", "free"]


async def test_an_imported_noshow_has_the_slots_that_it_names_and_takes_none_from_who_holds_it(store: Store) -> None:
    await publish_day(store, slot("a"), slot("b", "10:30", "11:00", status="busy"))
    gone = visit("x", "10:00", "11:00", status="noshow", **linking("a", "b"))
    await settle_all(store, visit("y", **linking("a")), gone, copied=True)
    assert await statuses(store, "a", "b") == ["busy", "busy"]
    await settle_all(store, {**gone, "comment": "called twice"})
    await settle_all(store, visit("x", "10:00", "11:00", status="entered-in-error"))
    assert await statuses(store, "a", "b") == ["busy", "free"]


async def test_an_imported_noshow_may_have_moved_before(store: Store) -> None:
    await publish_day(store, slot("a"), slot("b", "10:30", "11:00", status="busy"))
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(store, visit("x", "10:30", "11:00", status="noshow", **linking("b")), copied=True)
    assert await statuses(store, "a", "b") == ["free", "busy"]


async def test_an_object_of_mediloop_that_becomes_a_noshow_lets_go_of_a_slot_that_was_only_noted(store: Store) -> None:
    await publish_day(store, slot("a", status="busy"), slot("b", "10:30", "11:00"))
    noted, held = visit("x", status="proposed", **linking("a")), visit("y", "10:30", "11:00", **linking("b"))
    await settle_all(store, noted, held)
    came = {**noted, "status": "noshow"}, {**held, "status": "noshow"}
    after = await settle_all(store, *came, copied=True, sent=False)
    assert [links(one) for one in after] == [[], ["Slot/b"]]
    assert "slot" not in await stored(store, "Appointment", "x")


@pytest.mark.parametrize("error", [visit("x", status="entered-in-error", **linking("a")), "Appointment/x"])
async def test_of_two_noshows_in_one_slot_the_last_gives_it_back(store: Store, error: dict[str, object] | str) -> None:
    await publish_day(store)
    for ident in "xy":
        await settle_all(store, visit(ident, **linking("a")))  # the later one by hand: it was busy for nobody
        await settle_all(store, visit(ident, status="noshow"))
    taking = visit("z", **linking("a"))
    assert [one[0] for one in await refused(store, error, taking, fills_slots=False)] == ["slot_unavailable"]
    await settle_all(store, error)
    assert await statuses(store, "a") == ["busy"]
    await settle_all(store, "Appointment/y", taking, fills_slots=False)
    assert await statuses(store, "a") == ["busy"]
    await settle_all(store, "Appointment/z")
    assert await statuses(store, "a") == ["free"]


async def test_who_holds_the_slot_of_a_noshow_gives_it_back_when_they_leave_whoever_writes_the_noshow_then(
    store: Store,
) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(store, visit("x", status="noshow"))
    await settle_all(store, visit("y", **linking("a")))  # by hand: it was busy for nobody
    told = visit("x", status="noshow", comment="Rang at noon", **linking("a"))
    await settle_all(store, told, visit("y", status="cancelled"))
    assert await statuses(store, "a") == ["free"]


async def test_a_noshow_gives_no_slot_back_that_is_made_anew_at_another_time(store: Store) -> None:
    await publish_day(store, slot("a"), slot("b", "10:30", "11:00"))
    await settle_all(store, visit("x", "10:00", "11:00", **linking("a", "b")))
    await settle_all(store, visit("x", "10:00", "11:00", status="noshow"))
    await settle_all(store, "Slot/a")
    await settle_all(store, slot("a", "15:00", "15:30", status="busy"))
    await settle_all(store, visit("x", "10:00", "11:00", status="entered-in-error"), fills_slots=False)
    assert await statuses(store, "a", "b") == ["busy", "free"]


async def test_a_noshow_is_entered_in_error_though_its_slot_is_there_no_more(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:00", "11:00", **linking("a", "b")))
    await settle_all(store, visit("x", "10:00", "11:00", status="noshow"))
    await settle_all(store, "Slot/a")
    await settle_all(store, visit("x", "10:00", "11:00", status="entered-in-error"))
    assert await statuses(store, "b") == ["free"]


@pytest.mark.parametrize("timeless", ["Appointment", "Slot"])
async def test_a_noshow_gives_back_what_is_not_known_to_be_at_another_time(store: Store, timeless: str) -> None:
    """By no door of ours; an earlier release, or a hand in the database, may have left it so."""
    there = [slot("a", status="busy"), visit("x", status="noshow", **linking("a"))]
    for one in there:
        if one["resourceType"] == timeless:
            del one["end"]
    await publish_day(store, *there)
    await settle_all(store, {**there[1], "status": "entered-in-error"})
    assert await statuses(store, "a") == ["free"]


async def test_a_noshow_leaves_no_slot_busy_that_is_made_anew_at_another_time(store: Store) -> None:
    await publish_day(store, slot("a"))
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(store, visit("x", status="noshow"))
    await settle_all(store, "Slot/a")
    await settle_all(store, slot("a", "15:00", "15:30"), visit("y", "15:00", "15:30", **linking("a")))
    await settle_all(store, visit("y", "15:00", "15:30", status="noshow"))
    await settle_all(store, visit("y", "15:00", "15:30", status="entered-in-error"))
    assert await statuses(store, "a") == ["free"]


async def test_two_noshows_that_leave_one_slot_in_one_set_give_it_back(store: Store) -> None:
    await publish_day(store)
    for ident in "xy":
        await settle_all(store, visit(ident, **linking("a")))
        await settle_all(store, visit(ident, status="noshow"))
    await settle_all(store, "Appointment/x", visit("y", status="entered-in-error"))
    assert await statuses(store, "a") == ["free"]


@pytest.mark.parametrize("guarded", [True, False])
async def test_two_noshows_that_leave_one_slot_at_once_give_it_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    await publish_day(store)
    for ident in "xy":
        await settle_all(store, visit(ident, **linking("a")))
        await settle_all(store, visit(ident, status="noshow"))
    if not guarded:
        monkeypatch.setattr(UnitOfWork, "guard", lambda work, names: None)
    results = await side_by_side(store, settling("Appointment/x"), settling("Appointment/y"))
    assert not [one for one in results if isinstance(one, BaseException)]
    assert await statuses(store, "a") == (["free"] if guarded else ["busy"])


async def test_a_noshow_that_was_an_error_opens_no_slot_for_several_in_which_others_stay(store: Store) -> None:
    """It may have been closed by hand since."""
    await publish_day(store, slot("a") | {"extension": [{"url": CAPACITY, "valueInteger": 2}]})
    await settle_all(store, visit("x", **linking("a")), visit("y", **linking("a")))
    await settle_all(store, visit("x", status="noshow"))
    await settle_all(store, "Appointment/x")
    assert await statuses(store, "a") == ["busy"]
    await settle_all(store, visit("y", status="cancelled"))
    assert await statuses(store, "a") == ["free"]


@pytest.mark.parametrize("others", ["pending", "booked"])
@pytest.mark.parametrize("gone", [advancing("x", "noshow"), fhir_changes("x", "noshow")], ids=["MediLoop", "FHIR"])
async def test_a_noshow_leaves_a_slot_that_others_fill_as_they_hold_it(store: Store, gone: Step, others: str) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await store.transact(mediloop(over(visit("y", status=others)), "a"))
    assert await statuses(store, "a") == ["busy"]
    await store.transact(gone)
    assert await statuses(store, "a") == ["busy-tentative" if others == "pending" else "busy"]
