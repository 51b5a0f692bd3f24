"""Appointments that come by FHIR in a real store: which stand, and what becomes of slots when they change."""

from __future__ import annotations

import pytest

from adapter.errors import Unprocessable
from adapter.scheduling.settling import Change, settle
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import (
    HELD,
    NOT_HELD,
    advance,
    book,
    linking,
    links,
    of_q,
    of_type,
    publish_day,
    refused,
    schedule,
    settle_all,
    slot,
    statuses,
    visit,
)
from tests.store.support import change, create, everything, patient

UNTIMED: Resource = {key: value for key, value in visit("x", status="proposed").items() if key not in ("start", "end")}


# What passes.


async def test_other_resources_pass_untouched(store: Store) -> None:
    changes = [Change(None, patient("1")), Change(patient("2"), None)]
    assert await store.transact(lambda work: settle(work, changes, fills_slots=False)) == changes


async def test_what_does_not_concern_time_passes_without_a_word(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await change(store, "Slot", "a", status="busy-unavailable")
    [after] = await settle_all(store, visit("x", comment="bring the film", **linking("a")))
    assert after["comment"] == "bring the film"
    assert await statuses(store, "a") == ["busy-unavailable"]


@pytest.mark.parametrize("status", [*HELD, *NOT_HELD])
async def test_an_appointment_may_come_in_any_status(store: Store, status: str) -> None:
    [made] = await settle_all(store, visit("x", status=status))
    assert made["status"] == status


# Status.


async def test_a_move_that_the_graph_does_not_have_is_refused(store: Store) -> None:
    await settle_all(store, visit("x", status="fulfilled"))
    assert await refused(store, visit("x", status="booked")) == [("invalid_status_transition", "Appointment.status", 0)]


async def test_a_refused_move_names_the_present_status_and_what_it_allows(store: Store) -> None:
    await settle_all(store, visit("x", status="waitlist"))
    with pytest.raises(Unprocessable, match="is waitlist cannot become noshow") as raised:
        await settle_all(store, visit("x", status="noshow"))
    [problem] = raised.value.problems
    assert problem.details == {"status": "waitlist", "allowed": ["booked", "cancelled", "entered-in-error"]}


@pytest.mark.parametrize("status", [*HELD, "proposed", "waitlist", "cancelled", "noshow"])
async def test_everything_can_be_entered_in_error_and_then_stays(store: Store, status: str) -> None:
    await settle_all(store, visit("x", status=status))
    await settle_all(store, visit("x", status="entered-in-error"))
    assert await refused(store, visit("x", status=status)) == [("invalid_status_transition", "Appointment.status", 0)]


# Time.


@pytest.mark.parametrize("status", ["proposed", "waitlist", "cancelled"])
async def test_a_proposal_needs_no_time(store: Store, status: str) -> None:
    await settle_all(store, {**UNTIMED, "status": status})
    [after] = await settle_all(store, {**UNTIMED, "status": "cancelled"})
    assert after["status"] == "cancelled"


@pytest.mark.parametrize("status", HELD)
async def test_what_holds_time_needs_one(store: Store, status: str) -> None:
    assert await refused(store, {**UNTIMED, "status": status}) == [("invalid_time", "Appointment.start", 0)]


async def test_a_proposal_without_a_time_is_given_one_when_it_is_booked(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, UNTIMED)
    assert await refused(store, {**UNTIMED, "status": "booked"}) == [("invalid_time", "Appointment.start", 0)]
    [after, _] = await settle_all(store, visit("x"))
    assert links(after) == ["Slot/a"]


@pytest.mark.parametrize("status", ["booked", "proposed"])
async def test_an_end_before_the_start_is_refused(store: Store, status: str) -> None:
    wanted = visit("x", "10:00", "09:00", status=status)
    assert await refused(store, wanted) == [("invalid_time", "Appointment.start", 0)]


async def test_only_what_holds_time_needs_some_of_it(store: Store) -> None:
    assert await refused(store, visit("x", "10:00", "10:00")) == [("invalid_time", "Appointment.start", 0)]
    await settle_all(store, visit("x", "10:00", "10:00", status="proposed"))
    beyond = {"start": "9999-12-31T23:00:00-05:00", "end": "9999-12-31T23:20:00-05:00"}
    assert await refused(store, visit("x") | beyond) == [("invalid_time", "Appointment.start", 0)]
    await settle_all(store, visit("x", status="proposed") | beyond)


@pytest.mark.parametrize("status", ["booked", "proposed"])
async def test_an_appointment_of_more_than_a_month_is_refused(store: Store, status: str) -> None:
    long = {**visit("x", status=status), "end": "2024-02-20T10:00:01Z"}
    assert await refused(store, long) == [("invalid_time", "Appointment.end", 0)]
    await settle_all(store, {**long, "end": "2024-02-20T10:00:00Z"})


async def test_a_time_that_was_stored_wrong_does_not_keep_an_appointment_from_being_cancelled(store: Store) -> None:
    await create(store, visit("x", "10:00", "09:00"))
    [after] = await settle_all(store, visit("x", "10:00", "09:00", status="cancelled"))
    assert after["status"] == "cancelled"


@pytest.mark.parametrize("status", ["arrived", "checked-in", "fulfilled", "cancelled", "noshow"])
async def test_what_has_begun_or_is_over_is_not_moved(store: Store, status: str) -> None:
    await settle_all(store, visit("x", status=status))
    moved = visit("x", "11:00", "11:30", status=status)
    assert await refused(store, moved) == [("invalid_status_transition", "Appointment.start", 0)]


async def test_the_same_moment_written_otherwise_is_no_move(store: Store) -> None:
    await settle_all(store, visit("x", status="arrived"))
    again = {**visit("x", status="arrived"), "start": "2024-01-20T13:00:00.000+03:00"}
    assert (await settle_all(store, again))[0]["start"] == again["start"]


async def test_a_wrong_status_and_a_wrong_time_are_told_once(store: Store) -> None:
    await settle_all(store, visit("x", status="cancelled"))
    assert await refused(store, visit("x", "12:00", "11:00", status="booked")) == [
        ("invalid_status_transition", "Appointment.status", 0),
        ("invalid_time", "Appointment.start", 0),
    ]


# Changes.


async def test_confirming_makes_a_tentative_slot_busy(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", status="pending", **linking("a")))
    await settle_all(store, visit("x", **linking("a")))
    assert await statuses(store, "a") == ["busy"]


async def test_a_booked_proposal_takes_the_slot_it_noted(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", status="proposed", **linking("a")))
    await settle_all(store, visit("x", **linking("a")))
    assert await statuses(store, "a") == ["busy"]


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
async def test_what_is_called_off_gives_its_slots_back(store: Store, status: str) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:00", "11:00"))
    [_, *freed] = await settle_all(store, visit("x", "10:00", "11:00", status=status, **linking("a", "b")))
    assert [(one["id"], one["status"]) for one in freed] == [("a", "free"), ("b", "free")]


async def test_a_deleted_appointment_gives_its_slots_back(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await settle_all(store, "Appointment/x")
    assert await statuses(store, "a") == ["free"]
    assert await store.read("Appointment", "x") is None


@pytest.mark.parametrize("named", [("a",), ()])
async def test_a_noshow_leaves_its_slot_busy(store: Store, named: tuple[str, ...]) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    [after, *_] = await settle_all(store, visit("x", status="noshow", **linking(*named)))
    assert (links(after), await statuses(store, "a")) == (["Slot/a"], ["busy"])
    [after, *_] = await settle_all(store, visit("x", status="noshow", comment="called twice", **linking(*named)))
    assert (links(after), await statuses(store, "a")) == (["Slot/a"], ["busy"])


async def test_a_move_to_another_slot_frees_the_old_one(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await settle_all(store, visit("x", "11:00", "11:30", **linking("c")))
    assert await statuses(store, "a", "c") == ["free", "busy"]


async def test_a_move_that_still_names_the_old_slot_is_told_so(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    assert await refused(store, visit("x", "11:00", "11:30", **linking("a"))) == [
        ("slot_mismatch", "Appointment.slot", 0)
    ]


async def test_a_move_without_a_slot_finds_one(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    [moved, *_] = await settle_all(store, visit("x", "10:30", "11:00"))
    assert links(moved) == ["Slot/b"]
    assert await statuses(store, "a", "b") == ["free", "busy"]


async def test_a_move_is_never_blocked_by_itself(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:00", "11:00", **linking("a", "b")))
    await settle_all(store, visit("x", "10:15", "11:15", **linking("a", "b", "c")))
    await settle_all(store, visit("x", "10:45", "11:15", **linking("b", "c")))
    assert await statuses(store, "a", "b", "c") == ["free", "busy", "busy"]


async def test_an_update_that_leaves_the_slots_out_keeps_them_as_they_were_linked(store: Store) -> None:
    await publish_day(store)
    link = {"reference": "Slot/a", "display": "the first of the day"}
    await settle_all(store, visit("x", slot=[link]))
    await create(store, slot("0"))
    [after] = await settle_all(store, visit("x", comment="called"))
    assert after["slot"] == [link]
    assert await statuses(store, "0", "a") == ["free", "busy"]


async def test_a_slot_that_is_found_comes_beside_the_one_that_is_named_as_it_was_linked(store: Store) -> None:
    await publish_day(store)
    await create(store, schedule("t", "Practitioner/q"), slot("q", schedule="t"))
    link = {"reference": "Slot/a", "display": "the first of the day"}
    after = await settle_all(store, visit("x", who=("Practitioner/p", "Practitioner/q"), slot=[link]))
    assert after[0]["slot"] == [link, {"reference": "Slot/q"}]


async def test_another_practitioner_is_another_claim(store: Store) -> None:
    await settle_all(store, visit("x"))
    await settle_all(store, of_q("y"))
    assert await refused(store, of_q("x")) == [("time_conflict", "Appointment.start", 0)]


async def test_another_place_must_suit_the_slot(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    moved = visit("x", who=("Practitioner/p", "Location/m"), **linking("a"))
    assert await refused(store, moved) == [("slot_mismatch", "Appointment.slot[0]", 0)]


async def test_what_stood_beside_others_needs_its_time_when_it_does_so_no_longer(store: Store) -> None:
    await settle_all(store, visit("x", appointmentType=of_type("WALKIN")))
    await settle_all(store, visit("y"))
    assert await refused(store, visit("x")) == [("time_conflict", "Appointment.start", 0)]


async def test_what_shared_a_slot_may_be_moved_within_it(store: Store) -> None:
    link = linking("a")
    await create(store, schedule(), slot("a", "10:00", "11:00", status="busy"))
    await create(store, visit("x", **link), visit("y", "10:30", "11:00", **link))
    await settle_all(store, visit("x", "10:00", "10:20", **link))
    await settle_all(store, visit("x", "10:00", "10:20", status="cancelled", **link))
    assert await statuses(store, "a") == ["busy"]


async def test_slots_given_back_are_those_that_are_there(store: Store) -> None:
    await create(store, visit("x", **linking("gone")))
    await settle_all(store, visit("x", status="cancelled", **linking("gone")))
    assert await store.keys("Slot", {}, limit=1) == []


async def test_a_slot_that_was_withdrawn_is_not_freed(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await change(store, "Slot", "a", status="busy-unavailable")
    await settle_all(store, visit("x", status="cancelled"))
    assert await statuses(store, "a") == ["busy-unavailable"]


async def test_an_appointment_stored_without_a_time_is_in_nobodys_way(store: Store) -> None:
    timeless = {**UNTIMED, "status": "booked", **linking("a")}
    await create(store, timeless)
    await publish_day(store)
    await settle_all(store, {**timeless, "comment": "?"})
    await settle_all(store, visit("y", "10:30", "11:00"))
    assert await refused(store, of_q("z", **linking("a"))) == [("slot_mismatch", "Appointment.slot[0]", 0)]
    assert await refused(store, visit("z", **linking("a"))) == [("slot_unavailable", "Appointment.slot[0]", 0)]


# Both doors.


async def test_what_mediloop_booked_fhir_cancels_and_back(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await settle_all(store, visit("x", status="cancelled", **linking("a")))
    await settle_all(store, visit("y"))
    await advance(store, "y", "cancelled")
    assert await statuses(store, "a") == ["free"]


async def test_mediloop_is_told_that_an_appointment_has_no_time_yet(store: Store) -> None:
    await settle_all(store, UNTIMED)
    before = await everything(store.database)
    with pytest.raises(Unprocessable, match="no time yet") as raised:
        await advance(store, "x", "booked")
    assert raised.value.problems[0].code == "invalid_time"
    assert await everything(store.database) == before
    assert (await advance(store, "x", "cancelled"))["status"] == "cancelled"


async def test_what_has_no_time_is_told_which_of_its_slots_are_not_there(store: Store) -> None:
    await publish_day(store)
    wanted = visit("x", "10:30", "10:00", **linking("none", "a"))
    assert await refused(store, wanted) == [
        ("invalid_time", "Appointment.start", 0),
        ("unknown_slot", "Appointment.slot[0]", 0),
    ]
