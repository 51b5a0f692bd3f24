"""What is copied from elsewhere has a history of its own, of several steps perhaps; no time is taken twice."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from adapter.scheduling import occupancy
from adapter.scheduling.holds import tidy
from adapter.scheduling.occupancy import CAPACITY
from adapter.scheduling.status import GRAPH
from mappings.systems import DEFAULT_SYSTEMS
from store.codec import Resource
from store.finishing import HOLD_EXPIRES
from store.store import Store
from tests.adapter.scheduling.support import at, linking, publish_day, refused, settle_all, slot, statuses, visit
from tests.adapter.scheduling.test_responses import parts, response
from tests.adapter.scheduling.weekly import weekly
from tests.conftest import Clock
from tests.store.support import create, stored

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
    url = f"https://mediloop.co/fhir/StructureDefinition/{HOLD_EXPIRES}"
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


async def test_what_is_copied_still_says_until_when_it_was_held(store: Store) -> None:
    booked = visit("x") | until("10:05") | {"status": "booked"}
    [copied] = await settle_all(store, booked, copied=True)
    assert copied["extension"] == booked["extension"]
    [changed] = await settle_all(store, {**booked, "comment": "by bus"})
    assert "extension" not in changed


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


async def test_a_hold_that_lapsed_and_was_an_error_then_stays_one(store: Store, clock: Clock) -> None:
    await settle_all(store, visit("x") | until("10:05"))
    clock.advance(minutes=10)
    assert await tidy(store) == 1
    await settle_all(store, await stored(store, "Appointment", "x") | {"status": "entered-in-error"})
    assert await refused(store, visit("x"), copied=True) == [("invalid_status_transition", "Appointment.status", 0)]


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


async def test_a_copied_resource_holds_the_slots_that_it_names_and_no_other(store: Store) -> None:
    await publish_day(store, slot("a"), slot("b", "10:30", "11:00", status="busy"), slot("c", "11:00", "11:30"))
    wanted = [visit("x"), visit("y", "10:30", "11:00"), visit("z", "11:00", "11:30", **linking("c"))]
    copied = await settle_all(store, *wanted, copied=True)
    assert [one["slot"] for one in copied if "slot" in one] == [[{"reference": "Slot/c"}]]
    assert await statuses(store, "a", "b", "c") == ["free", "busy", "busy"]
    assert await refused(store, visit("v"), copied=True) == [("time_conflict", "Appointment.start", 0)]


async def test_a_copied_object_that_can_name_no_slots_takes_what_covers_its_time_if_there_is_any(store: Store) -> None:
    await publish_day(store, slot("a", status="busy"), slot("b", "10:30", "11:00", status="busy-unavailable"))
    assert [one[0] for one in await refused(store, visit("x"))] == ["slot_unavailable"]
    [taken] = await settle_all(store, visit("x"), copied=True, sent=False)
    assert taken["slot"] == [{"reference": "Slot/a"}]
    [alone] = await settle_all(store, visit("y", "10:30", "11:00"), copied=True, sent=False)
    assert "slot" not in alone
    assert await refused(store, visit("z"), copied=True, sent=False) == [("time_conflict", "Appointment.start", 0)]
    assert await statuses(store, "a", "b") == ["busy", "busy-unavailable"]
    # It says nothing of the Slots, so it does not move out of them.
    out = visit("x", "10:15", "10:30", **linking("a")), visit("x", "11:00", "11:30", **linking("a"))
    assert await settle_all(store, out[0], copied=True, sent=False)
    assert await refused(store, out[1], copied=True, sent=False) == [("slot_mismatch", "Appointment.slot", 0)]


AWAY = {"actor": {"reference": "Location/elsewhere"}, "status": "accepted"}


def there(wanted: Resource) -> Resource:
    """The visit, at a place where its Schedule is no longer."""
    return {**wanted, "participant": [*wanted["participant"], AWAY]}


@pytest.mark.parametrize(
    ("wanted", "published", "later"),
    [
        (there(visit("x", status="fulfilled", **linking("a"))), slot("a", status="busy"), "busy"),
        (visit("x", who=("Practitioner/q",), **linking("a")), slot("a", status="busy"), "busy"),
        (visit("x", "10:15", "10:45", **linking("a")), slot("a", status="busy"), "busy"),
        (visit("x", "10:15", "10:45"), slot("a"), "free"),
        (visit("x", "10:15", "10:45"), slot("a", status="busy-unavailable"), "busy-unavailable"),
    ],
    ids=["place", "practitioner", "published over a part", "published later", "closed later"],
)
async def test_what_has_become_of_a_slot_since_refuses_no_copy(
    store: Store, wanted: Resource, published: Resource, later: str
) -> None:
    await publish_day(store, published)
    assert {one[0] for one in await refused(store, wanted)} <= {"slot_mismatch", "slot_unavailable"}
    [copied] = await settle_all(store, wanted, copied=True)
    assert copied.get("slot") == wanted.get("slot")
    assert await statuses(store, "a") == [later]


async def test_a_copy_of_what_names_slots_at_another_time_alone_is_refused(store: Store) -> None:
    await publish_day(store)
    assert await refused(store, visit("x", **linking("b")), copied=True) == [("slot_mismatch", "Appointment.slot", 0)]
    assert await refused(store, visit("x", **linking("none")), copied=True) == [
        ("unknown_slot", "Appointment.slot[0]", 0)
    ]
    await settle_all(store, visit("x", **linking("a", "b")), copied=True)


async def test_a_slot_that_was_published_over_several_visits_holds_them_one_after_another(store: Store) -> None:
    await publish_day(store, slot("a", "10:00", "11:00", status="busy"))
    first, second = visit("x", **linking("a")), visit("y", "10:30", "11:00", **linking("a"))
    await settle_all(store, first, second, copied=True)
    other = visit("z", "10:45", "11:00", who=("Practitioner/q",), **linking("a"))
    assert await refused(store, other, copied=True) == [("slot_unavailable", "Appointment.slot[0]", 0)]


async def test_where_one_holds_a_slot_at_no_time_that_is_known_no_copy_comes_beside_it(store: Store) -> None:
    """By no door of ours; an earlier release, or a hand in the database, may have left it so."""
    await publish_day(store, slot("a", "10:00", "11:00", status="busy"))
    await create(store, visit("y", "10:30", None, who=("Practitioner/q",), **linking("a")))
    for copy in (visit("x", **linking("a")), visit("x", "10:30", "11:00", **linking("a"))):
        assert await refused(store, copy, copied=True) == [("slot_unavailable", "Appointment.slot[0]", 0)]


async def test_a_copied_group_stands_in_a_slot_that_was_computed(store: Store) -> None:
    name = "w.20240120T1000Z.30"
    room = {**slot(name, schedule="w"), "extension": [{"url": CAPACITY, "valueInteger": 3}]}
    await create(store, weekly("w"), room)  # it is taken whether or not the hours still say so
    await settle_all(store, visit("x", **linking(name)), copied=True)
    await settle_all(store, visit("y", **linking(name)), copied=True)
    assert await statuses(store, name) == ["free"]


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
