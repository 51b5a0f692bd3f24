"""Bookings, moves and cancellations in a real store: what becomes of appointments and their slots."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict, Unprocessable
from adapter.scheduling import commands
from adapter.scheduling.wish import MOVING
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import (
    ABROAD,
    HERE,
    PATIENT,
    UHID,
    advance,
    at,
    book,
    codes,
    links,
    of_type,
    publish_day,
    schedule,
    slot,
    statuses,
    visit,
)
from tests.store.support import change, create, everything, present, stored

# Booking.


async def test_a_booking_takes_the_free_slot_that_covers_it(store: Store) -> None:
    await publish_day(store)
    made = await book(store, visit("x"))
    assert links(made) == ["Slot/a"]
    assert await statuses(store, "a", "b") == ["busy", "free"]


@pytest.mark.parametrize("status", ["booked", "arrived", "checked-in", "fulfilled"])
async def test_a_visit_that_stands_makes_its_slot_busy(store: Store, status: str) -> None:
    await publish_day(store)
    await book(store, visit("x", status=status))
    assert await statuses(store, "a") == ["busy"]


async def test_a_pending_visit_makes_its_slot_busy_tentative(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", status="pending"))
    assert await statuses(store, "a") == ["busy-tentative"]


async def test_a_long_visit_takes_several_slots(store: Store) -> None:
    await publish_day(store)
    made = await book(store, visit("x", "10:15", "11:15"))
    assert links(made) == ["Slot/a", "Slot/b", "Slot/c"]
    assert await statuses(store, "a", "b", "c", "d") == ["busy", "busy", "busy", "free"]


async def test_a_slot_asked_for_by_name_is_taken(store: Store) -> None:
    await publish_day(store)
    made = await book(store, visit("x", "10:30", "11:00"), "b")
    assert links(made) == ["Slot/b"]
    assert await statuses(store, "a", "b") == ["free", "busy"]


async def test_a_visit_without_an_end_lasts_as_long_as_its_slot(store: Store) -> None:
    await publish_day(store, slot("long", "10:00", "10:45"))
    made = await book(store, visit("x", end=None), "long")
    assert (made["end"], made["minutesDuration"]) == (at("10:45"), 45)


async def test_a_slot_begins_with_its_visit_if_they_differ_by_less_than_a_millisecond(store: Store) -> None:
    """Nobody is shown more digits than three."""
    odd = {"start": "2024-01-20T10:00:00.000723Z", "end": "2024-01-20T10:45:00.000123Z"}
    await publish_day(store, {**slot("odd"), **odd})
    made = await book(store, visit("x", end=None), "odd")
    assert (made["end"], made["minutesDuration"], links(made)) == (odd["end"], 45, ["Slot/odd"])


async def test_it_lasts_a_minute_at_least(store: Store) -> None:
    await publish_day(store, {**slot("short"), "end": "2024-01-20T10:00:30Z"})
    made = await book(store, visit("x", end=None), "short")
    assert (made["end"], made["minutesDuration"]) == ("2024-01-20T10:00:30Z", 1)


async def test_a_visit_without_an_end_and_a_slot_lasts_half_an_hour(store: Store) -> None:
    made = await book(store, {**visit("x", end=None), "start": "2024-01-20T10:00:00.5+03:00"})
    assert (made["end"], made["minutesDuration"]) == ("2024-01-20T10:30:00.5+03:00", 30)


@pytest.mark.parametrize(
    "start", [at("15:00"), at("09:59"), at("10:01"), "2023-12-20T10:00:00Z", "0001-01-01T00:00:00Z"]
)
async def test_a_visit_without_an_end_that_begins_at_another_time_than_its_slot_is_told_so(
    store: Store, start: str
) -> None:
    await publish_day(store)
    with pytest.raises(Unprocessable, match="The slot is from") as refused:
        await book(store, visit("x", end=None) | {"start": start}, "a")
    assert codes(refused.value) == [("slot_mismatch", "start_time")]


async def test_what_stands_beside_others_takes_no_slot(store: Store) -> None:
    await publish_day(store)
    made = await book(store, visit("x", appointmentType=of_type("EMERGENCY")))
    assert "slot" not in made
    assert await statuses(store, "a") == ["free"]


async def test_what_stands_beside_others_takes_the_slot_it_names(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("y"))
    made = await book(store, visit("x", "10:30", "11:00", appointmentType=of_type("WALKIN")), "b")
    assert links(made) == ["Slot/b"]
    assert await statuses(store, "a", "b") == ["busy", "busy"]


async def test_an_emergency_and_a_routine_visit_may_share_the_time(store: Store) -> None:
    await book(store, visit("x", appointmentType=of_type("EMERGENCY")))
    await book(store, visit("y"))
    await book(store, visit("z", appointmentType=of_type("WALKIN")))
    assert await store.count("Appointment", {"_index.status": "booked"}) == 3


@pytest.mark.parametrize("status", ["proposed", "waitlist"])
async def test_a_proposal_holds_nothing_and_only_notes_its_slot(store: Store, status: str) -> None:
    await publish_day(store)
    made = await book(store, visit("x", status=status), "a")
    assert links(made) == ["Slot/a"]
    assert await statuses(store, "a") == ["free"]
    assert links(await book(store, visit("y"))) == ["Slot/a"]


async def test_a_proposal_over_another_visit_is_welcome(store: Store) -> None:
    await book(store, visit("x"))
    assert (await book(store, visit("y", status="proposed")))["status"] == "proposed"


async def test_a_proposal_for_a_slot_of_somebody_else_is_refused(store: Store) -> None:
    await publish_day(store)
    with pytest.raises(Unprocessable) as refused:
        await book(store, visit("x", status="proposed", who=("Practitioner/q",)), "a")
    assert codes(refused.value) == [("slot_mismatch", "practitioner_id")]


async def test_a_link_to_a_taken_slot_keeps_what_its_sender_wrote(store: Store) -> None:
    await publish_day(store)
    link = {"reference": "https://x.example/fhir/Slot/a", "display": "first of the day"}
    made = await book(store, visit("x", slot=[{"display": "?"}, link]), "a")
    assert made["slot"] == [link]


async def test_a_link_to_a_slot_that_is_not_taken_goes(store: Store) -> None:
    assert "slot" not in await book(store, visit("x", slot=[{"reference": "Slot/gone"}]))


async def test_the_plan_names_the_schedules_of_its_slots(store: Store) -> None:
    await publish_day(store)
    planned = await store.transact(lambda work: commands.plan(work, visit("x", "10:00", "11:00")))
    assert [one["id"] for one in planned.slots] == ["a", "b"]
    assert [one["id"] for one in planned.schedules] == ["s"]


# Refusals.


@pytest.mark.parametrize("end", ["10:00", "09:00"])
async def test_an_end_that_is_not_after_the_start_is_refused(store: Store, end: str) -> None:
    with pytest.raises(Unprocessable, match="end must be after the start") as refused:
        await book(store, visit("x", "10:00", end))
    assert codes(refused.value) == [("invalid_time", "start_time")]


BEYOND = {"start": "9999-12-31T23:00:00-05:00", "end": "9999-12-31T23:20:00-05:00"}


@pytest.mark.parametrize("times", [BEYOND, {"start": "2024-01-20T10:00:00.0001Z", "end": "2024-01-20T10:00:00.0005Z"}])
async def test_a_time_that_cannot_be_kept_is_refused_for_that(store: Store, times: Resource) -> None:
    with pytest.raises(Unprocessable, match="in the years 1 to 9999") as refused:
        await book(store, visit("x") | times)
    assert codes(refused.value) == [("invalid_time", "start_time")]


def test_what_is_moved_from_beyond_the_calendar_keeps_its_length() -> None:
    assert commands.ending(visit("x") | BEYOND, "2024-01-20T10:00:00Z") == "2024-01-20T10:20:00Z"


async def test_a_visit_of_more_than_a_month_is_refused(store: Store) -> None:
    with pytest.raises(Unprocessable, match="31 days at most") as refused:
        await book(store, {**visit("x"), "end": "2024-02-20T10:00:01Z"})
    assert codes(refused.value) == [("invalid_time", "end_time")]
    assert (await book(store, {**visit("x"), "end": "2024-02-20T10:00:00Z"}))["id"] == "x"


async def test_a_slot_that_is_not_stored_is_unknown(store: Store) -> None:
    with pytest.raises(Unprocessable) as refused:
        await book(store, visit("x"), "nowhere")
    assert codes(refused.value) == [("unknown_slot", "slot_id")]


async def test_a_slot_whose_schedule_is_not_stored_is_nobodys(store: Store) -> None:
    await create(store, slot("a"))
    with pytest.raises(Unprocessable) as refused:
        await book(store, visit("x"), "a")
    assert codes(refused.value) == [("slot_mismatch", "practitioner_id")]


async def test_a_slot_whose_schedule_is_not_named_is_nobodys(store: Store) -> None:
    await create(store, {**slot("a"), "schedule": {"display": "the paper book"}})
    with pytest.raises(Unprocessable) as refused:
        await book(store, visit("x"), "a")
    assert codes(refused.value) == [("slot_mismatch", "practitioner_id")]


async def test_a_second_visit_at_the_same_time_is_refused_without_a_word_about_the_first_patient(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    before = await everything(store.database)
    with pytest.raises(Conflict) as refused:
        await book(store, visit("y"))
    assert codes(refused.value) == [("slot_unavailable", "start_time"), ("time_conflict", "start_time")]
    told = f"{refused.value} {[problem.details for problem in refused.value.problems]}"
    assert PATIENT not in told
    assert UHID not in told
    assert await everything(store.database) == before


async def test_a_second_visit_that_only_overlaps_in_the_next_hour_is_refused(store: Store) -> None:
    await book(store, visit("x", "09:30", "11:30"))
    with pytest.raises(Conflict) as refused:
        await book(store, visit("y", "11:15", "12:00"))
    assert codes(refused.value) == [("time_conflict", "start_time")]


async def test_a_practitioner_named_by_an_absolute_reference_is_busy_all_the_same(store: Store) -> None:
    await book(store, visit("x", who=("https://x.example/fhir/Practitioner/p",)))
    with pytest.raises(Conflict):
        await book(store, visit("y"))


async def test_who_is_known_to_be_another_servers_is_busy_and_takes_no_slot_of_ours(store: Store) -> None:
    await publish_day(store)
    await create(store, visit("x", status="proposed", who=(f"{ABROAD}/Practitioner/p",)))
    await create(store, visit("y", "11:00", "11:30", status="proposed", who=(f"{ABROAD}/Practitioner/p",)))

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", "x")
        return await commands.advance(work, before, {**before, "status": "booked"}, HERE)

    assert links(await store.transact(step)) == []
    assert await statuses(store, "a") == ["free"]
    with pytest.raises(Conflict) as refused:
        await book(store, visit("z"))
    assert codes(refused.value) == [("time_conflict", "start_time")]
    assert links(await advance(store, "y", "booked")) == ["Slot/c"]  # where nobody knows: as if it were ours


async def test_who_is_known_to_be_another_servers_moves_without_our_slots(store: Store) -> None:
    await publish_day(store)
    await create(store, visit("x", who=(f"{ABROAD}/Practitioner/p",)))

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", "x")
        moved = {**before, "start": at("11:00"), "end": at("11:30")}
        planned = await commands.reschedule(work, before, moved, slot_id=None, names=MOVING, bases=HERE)
        return commands.stage(work, before, planned)

    assert links(await store.transact(step)) == []
    assert await statuses(store, "a", "c") == ["free", "free"]


async def test_the_second_practitioner_of_a_visit_is_busy_too(store: Store) -> None:
    await book(store, visit("x", who=("Practitioner/q", "Practitioner/p")))
    with pytest.raises(Conflict):
        await book(store, visit("y"))


async def test_a_visit_without_a_practitioner_meets_nobody(store: Store) -> None:
    await book(store, visit("x", who=("Location/l",)))
    await book(store, visit("y", who=("Location/l",)))
    assert await store.count("Appointment", {}) == 2


@pytest.mark.parametrize("status", ["proposed", "waitlist", "cancelled", "noshow", "entered-in-error"])
async def test_a_visit_that_holds_no_time_is_in_nobodys_way(store: Store, status: str) -> None:
    await create(store, visit("x", status=status))
    assert (await book(store, visit("y")))["id"] == "y"


# Moving along.


async def test_cancelling_frees_every_slot_of_the_visit(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", "10:00", "11:30"))
    await advance(store, "x", "cancelled")
    assert await statuses(store, "a", "b", "c") == ["free"] * 3
    assert links(await book(store, visit("y"))) == ["Slot/a"]


async def test_entering_in_error_frees_the_slot(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", status="fulfilled"))
    await advance(store, "x", "entered-in-error")
    assert await statuses(store, "a") == ["free"]


@pytest.mark.parametrize("status", ["arrived", "checked-in", "fulfilled", "noshow"])
async def test_no_other_move_frees_the_slot(store: Store, status: str) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await advance(store, "x", status)
    assert await statuses(store, "a") == ["busy"]
    assert (await stored(store, "Slot", "a"))["meta"]["versionId"] == "2"


async def test_a_noshow_leaves_the_slot_busy_but_holds_no_time(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await advance(store, "x", "noshow")
    with pytest.raises(Conflict) as refused:
        await book(store, visit("y"))
    assert codes(refused.value) == [("slot_unavailable", "start_time")]


async def test_cancelling_a_visit_without_slots_frees_its_time(store: Store) -> None:
    await book(store, visit("x"))
    await advance(store, "x", "cancelled")
    assert (await book(store, visit("y")))["id"] == "y"


async def test_cancelling_a_proposal_leaves_the_slot_it_noted_to_its_holder(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", status="proposed"), "a")
    await book(store, visit("y"), "a")
    await advance(store, "x", "cancelled")
    assert await statuses(store, "a") == ["busy"]


async def test_cancelling_does_not_free_a_slot_that_another_visit_has(store: Store) -> None:
    await create(store, schedule(), slot("a", status="busy"))
    link = [{"reference": "Slot/a"}]
    await create(store, visit("x", slot=link), visit("y", slot=link, who=("Practitioner/q",)))
    await advance(store, "x", "cancelled")
    assert await statuses(store, "a") == ["busy"]
    await advance(store, "y", "cancelled")
    assert await statuses(store, "a") == ["free"]


@pytest.mark.parametrize("status", ["free", "busy-unavailable", "entered-in-error"])
async def test_cancelling_leaves_a_slot_alone_that_is_not_busy(store: Store, status: str) -> None:
    await create(store, schedule(), slot("a", status=status), visit("x", slot=[{"reference": "Slot/a"}]))
    await advance(store, "x", "cancelled")
    assert await statuses(store, "a") == [status]
    assert (await stored(store, "Slot", "a"))["meta"]["versionId"] == "1"


async def test_cancelling_copes_with_a_slot_that_is_gone(store: Store) -> None:
    await create(store, visit("x", slot=[{"reference": "Slot/gone"}, {"reference": "urn:uuid:x"}]))
    assert (await advance(store, "x", "cancelled"))["status"] == "cancelled"


async def test_a_move_that_the_graph_does_not_have_changes_nothing(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", status="fulfilled"))
    before = await everything(store.database)
    with pytest.raises(Conflict) as refused:
        await advance(store, "x", "cancelled")
    assert codes(refused.value) == [("invalid_status_transition", "status")]
    assert await everything(store.database) == before


async def test_a_pending_visit_that_is_confirmed_makes_its_slots_busy(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", "10:00", "11:00", status="pending"))
    await advance(store, "x", "booked")
    assert await statuses(store, "a", "b") == ["busy", "busy"]


async def test_confirming_leaves_a_withdrawn_slot_withdrawn(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", status="pending"))
    await change(store, "Slot", "a", status="busy-unavailable")
    await advance(store, "x", "booked")
    assert await statuses(store, "a") == ["busy-unavailable"]


@pytest.mark.parametrize(("status", "becomes"), [("booked", "busy"), ("pending", "busy-tentative")])
async def test_a_proposal_that_becomes_a_visit_takes_the_slot_it_noted(store: Store, status: str, becomes: str) -> None:
    await publish_day(store)
    await book(store, visit("x", status="proposed"), "a")
    made = await advance(store, "x", status)
    assert (made["status"], links(made)) == (status, ["Slot/a"])
    assert await statuses(store, "a") == [becomes]


async def test_a_proposal_without_a_slot_takes_those_that_cover_it_when_it_becomes_a_visit(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", "10:00", "11:00", status="waitlist"))
    assert links(await advance(store, "x", "booked")) == ["Slot/a", "Slot/b"]
    assert await statuses(store, "a", "b") == ["busy", "busy"]


async def test_a_proposal_cannot_become_a_visit_at_a_time_that_is_taken_by_then(store: Store) -> None:
    await book(store, visit("x", status="proposed"))
    await book(store, visit("y"))
    with pytest.raises(Conflict) as refused:
        await advance(store, "x", "booked")
    assert codes(refused.value) == [("time_conflict", "start_time")]
    assert (await stored(store, "Appointment", "x"))["status"] == "proposed"


async def test_a_proposal_cannot_become_a_visit_in_a_slot_that_is_taken_by_then(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", status="proposed"), "a")
    await book(store, visit("y", appointmentType=of_type("WALKIN")), "a")
    with pytest.raises(Conflict) as refused:
        await advance(store, "x", "booked")
    assert codes(refused.value) == [("slot_unavailable", "slot_id")]


async def test_a_move_along_cannot_smuggle_a_visit_to_a_time_that_is_taken(store: Store) -> None:
    await book(store, visit("x"))
    await book(store, visit("y", "14:00", "14:30"))
    with pytest.raises(Conflict):
        await advance(store, "y", "arrived", start=at("10:00"), end=at("10:30"))
    assert (await stored(store, "Appointment", "y"))["start"] == at("14:00")


# What a visit holds.


async def held(store: Store, ident: str) -> list[str]:
    async def step(work: UnitOfWork) -> list[Resource]:
        found = await commands.given_back(work, await present(work, "Appointment", ident))
        assert {status for _, status in found} <= {"free"}
        return [slot for slot, _ in found]

    return sorted(one["id"] for one in await store.transact(step))


async def test_a_visit_holds_the_slots_that_are_busy_for_it_alone(store: Store) -> None:
    await create(
        store,
        *(
            slot(ident, status=status)
            for ident, status in zip("abcd", ("busy", "busy-tentative", "free", "busy"), strict=True)
        ),
        visit("x", slot=[{"reference": f"Slot/{ident}"} for ident in "abcd"]),
        visit("y", who=(), slot=[{"reference": "Slot/d"}]),
        visit("z", who=(), slot=[{"reference": "Slot/a"}], status="cancelled"),
    )
    assert await held(store, "x") == ["a", "b"]


@pytest.mark.parametrize("more", [{"status": "proposed"}, {"status": "noshow"}, {"slot": []}])
async def test_a_visit_that_holds_no_time_or_links_to_no_slot_holds_none(store: Store, more: dict[str, Any]) -> None:
    await create(store, slot("a", status="busy"), {**visit("x", slot=[{"reference": "Slot/a"}]), **more})
    assert await held(store, "x") == []
