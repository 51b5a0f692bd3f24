"""What is copied from elsewhere has a history of its own, of several steps perhaps; no time is taken twice."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from adapter.scheduling import occupancy
from adapter.scheduling.expiry import EXPIRES
from adapter.scheduling.holds import tidy
from adapter.scheduling.status import GRAPH
from mappings.systems import DEFAULT_SYSTEMS
from store.store import Store
from tests.adapter.scheduling.support import at, linking, publish_day, refused, settle_all, slot, statuses, visit
from tests.adapter.scheduling.test_responses import parts, response
from tests.conftest import Clock
from tests.store.support import stored

LATER = {
    "proposed": ("pending", "booked", "arrived", "checked-in", "fulfilled", "cancelled", "noshow"),
    "pending": ("booked", "arrived", "checked-in", "fulfilled", "cancelled", "noshow"),
    "waitlist": ("booked", "arrived", "checked-in", "fulfilled", "cancelled", "noshow"),
    "booked": ("arrived", "checked-in", "fulfilled", "cancelled", "noshow"),
    "arrived": ("checked-in", "fulfilled", "cancelled", "noshow"),
    "checked-in": ("fulfilled", "cancelled"),
}
"""What a status may have become, by whatever way."""


def until(clock: str) -> dict[str, Any]:
    """The members of a hold that ends at that time."""
    url = f"https://mediloop.co/fhir/StructureDefinition/{EXPIRES}"
    return {"status": "pending", "extension": [{"url": url, "valueInstant": at(clock, 15)}]}


@pytest.mark.parametrize(("present", "wanted"), [pair for pair in product(GRAPH, GRAPH) if pair[0] != pair[1]])
async def test_a_status_is_copied_if_a_way_leads_there(store: Store, present: str, wanted: str) -> None:
    await settle_all(store, visit("x", status=present))
    after = visit("x", status=wanted)
    if wanted in LATER.get(present, ()) or wanted == "entered-in-error":
        await settle_all(store, after, copied=True)
        assert (await stored(store, "Appointment", "x"))["status"] == wanted
    else:
        assert await refused(store, after, copied=True) == [("invalid_status_transition", "Appointment.status", 0)]


async def test_the_front_door_goes_step_by_step(store: Store) -> None:
    await settle_all(store, visit("x", status="pending"))
    assert await refused(store, visit("x", status="arrived")) == [
        ("invalid_status_transition", "Appointment.status", 0)
    ]


async def test_a_copy_may_have_moved_before_it_was_over_and_takes_no_time_twice(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", status="pending", **linking("a")), visit("y", "11:00", "11:30", **linking("c")))
    gone = visit("x", "11:00", "11:30", status="fulfilled", **linking("c"))
    assert await refused(store, gone, copied=True) == [
        ("slot_unavailable", "Appointment.slot[0]", 0),
        ("time_conflict", "Appointment.start", 0),
    ]
    await settle_all(store, gone, visit("y", "10:00", "10:30", status="arrived", **linking("a")), copied=True)
    assert await statuses(store, "a", "c") == ["busy", "busy"]
    late = visit("y", "10:30", "11:00", status="arrived", **linking("b"))
    assert await refused(store, late, copied=True) == [("invalid_status_transition", "Appointment.start", 0)]


async def test_a_hold_that_lapsed_here_was_booked_in_time_elsewhere(store: Store, clock: Clock) -> None:
    await publish_day(store)
    held = visit("x", **linking("a")) | until("10:05")
    booked = visit("x", **linking("a"))
    await settle_all(store, held, visit("y", "10:30", "11:00", **linking("b")) | until("10:05"))
    clock.advance(minutes=10)
    await settle_all(store, booked, copied=True)  # though nobody has come by to let it lapse
    assert await tidy(store) == 1
    assert await statuses(store, "a", "b") == ["busy", "free"]
    rebooked = visit("y", "10:30", "11:00", **linking("b"))
    assert [one[0] for one in await refused(store, rebooked)] == ["invalid_status_transition"]
    await settle_all(store, rebooked, copied=True)
    assert await statuses(store, "a", "b") == ["busy", "busy"]


async def test_a_hold_that_lapsed_here_gets_no_time_that_is_others_now(store: Store, clock: Clock) -> None:
    await settle_all(store, visit("x") | until("10:05"))
    clock.advance(minutes=10)
    assert await tidy(store) == 1
    await settle_all(store, visit("y"))
    assert await refused(store, visit("x"), copied=True) == [("time_conflict", "Appointment.start", 0)]
    cancelled = visit("z", "11:00", "11:30", status="cancelled")
    await settle_all(store, cancelled)
    assert [one[0] for one in await refused(store, visit("z", "11:00", "11:30"), copied=True)] == [
        "invalid_status_transition"
    ]


async def test_a_copied_answer_is_kept_and_its_appointment_says_itself_who_comes(store: Store) -> None:
    # It was carried over where it was given, and what came after it there stands in the appointment.
    await settle_all(store, visit("x", status="fulfilled"))
    answers = [response("r1", "tentative"), response("r2", "declined"), response("r3", actor={"display": "who left"})]
    await settle_all(store, *answers, copied=True)
    assert await parts(store) == ["accepted", "accepted"]
    assert (await stored(store, "Appointment", "x"))["meta"]["versionId"] == "1"
    nowhere = response("r4", to="none")
    assert await refused(store, nowhere, copied=True) == [("unknown_appointment", "AppointmentResponse.appointment", 0)]
    await settle_all(store, visit("z", "12:00", "12:30"), response("r5", to="z"), copied=True)


async def test_a_copy_without_a_slot_fills_a_busy_one_only_where_no_free_one_is(store: Store) -> None:
    await publish_day(store, slot("a", status="busy"), slot("b", "10:30", "11:00", status="busy-unavailable"))
    assert [one[0] for one in await refused(store, visit("x"))] == ["slot_unavailable"]
    [taken] = await settle_all(store, visit("x"), copied=True)
    assert taken["slot"] == [{"reference": "Slot/a"}]
    assert [one[0] for one in await refused(store, visit("y", "10:30", "11:00"), copied=True)] == ["slot_unavailable"]


async def test_what_was_booked_over_others_may_come_before_them(store: Store) -> None:
    await publish_day(store)
    over = occupancy.overbooking(visit("b", **linking("a")), "a mother in labour", DEFAULT_SYSTEMS.extensions)
    await settle_all(store, over, copied=True)
    usual = visit("x", **linking("a"))
    assert [one[0] for one in await refused(store, usual)] == ["slot_unavailable", "time_conflict"]
    await settle_all(store, usual, copied=True)
    assert [one[0] for one in await refused(store, visit("y", **linking("a")), copied=True)] == [
        "slot_unavailable",
        "time_conflict",
    ]


async def test_what_was_booked_before_its_schedule_was_closed_comes_in(store: Store) -> None:
    await publish_day(store, slot("a"), slot("b", "10:30", "11:00", status="busy"), active=False)
    wanted = [visit("x", **linking("a")), visit("y", "10:30", "11:00", **linking("b"))]
    assert [one[0] for one in await refused(store, *wanted)] == ["slot_unavailable"] * 2
    await settle_all(store, *wanted, copied=True)
    assert await statuses(store, "a", "b") == ["busy", "busy"]
    assert [one[0] for one in await refused(store, visit("z", **linking("a")), copied=True)] == [
        "slot_unavailable",
        "time_conflict",
    ]
