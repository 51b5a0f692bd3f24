"""Capacity, through both ways to decide: how many may hold a Slot."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import pytest

from adapter.errors import Conflict
from adapter.scheduling import occupancy, verifying
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.sharing import DOORS, EXTENSIONS, Step, both_doors, fhir, group, holders, over
from tests.adapter.scheduling.support import (
    advance,
    advancing,
    book,
    booking,
    linking,
    links,
    of_type,
    publish_day,
    refused,
    role,
    schedule,
    settle_all,
    settling,
    slot,
    span,
    statuses,
    visit,
)
from tests.store.support import change, create, stored

RIVALS = 64


# Pure.


@pytest.mark.parametrize(("stated", "room"), [(3, 3), (1, 1), (0, 1), (-2, 1), ("3", 1), (None, 1)])
def test_the_capacity_is_what_the_extension_says_if_that_makes_sense(stated: Any, room: int) -> None:
    assert occupancy.capacity(group("a", stated)) == room
    assert occupancy.capacity(slot("a")) == 1


@pytest.mark.parametrize(
    ("holders", "becomes"),
    [(0, ("free", 3)), (2, ("free", 1)), (3, ("busy", 3)), (4, ("busy", 3))],  # the last was booked over it
)
def test_what_is_left_of_a_slot_for_several(holders: int, becomes: tuple[str, int]) -> None:
    found = occupancy.left(group("a", 3), holders)
    assert (found["status"], occupancy.capacity(found)) == becomes


@pytest.mark.parametrize(
    ("status", "room", "before", "now", "becomes"),
    [
        ("free", 3, 1, ["booked", "booked"], "free"),
        ("free", 3, 2, ["booked", "pending", "booked"], "busy"),
        ("free", 3, 2, ["pending"] * 3, "busy-tentative"),
        ("busy", 3, 3, ["booked", "booked"], "free"),
        ("busy", 3, 2, ["booked"], "busy"),  # closed by hand with places left
        ("busy", 3, 1, [], "free"),
        ("busy", 3, 4, ["booked"] * 3, "busy"),  # one was booked over it
        ("busy", 1, 2, ["pending"], "busy-tentative"),
        ("busy-unavailable", 1, 1, [], "busy-unavailable"),
        ("entered-in-error", 1, 0, ["booked"], "entered-in-error"),
    ],
)
def test_a_slot_is_free_until_it_is_full(status: str, room: int, before: int, now: list[str], becomes: str) -> None:
    held_by = [visit(str(n), status=one) for n, one in enumerate(now)]
    assert occupancy.status_after(group("a", room, status=status), before, held_by) == becomes


def test_two_share_a_time_as_far_as_slots_for_several_reach() -> None:
    first, second = group("a", 2), group("b", 2, "10:30", "11:00")
    assert occupancy.share(span("10:00", "10:30"), [first])
    assert occupancy.share(span("10:15", "10:45"), [first, second])
    assert not occupancy.share(span("10:15", "10:45"), [first])
    assert not occupancy.share(span("10:00", "10:30"), [slot("a")])
    assert not occupancy.share(span("10:00", "10:30"), [{**first, "end": first["start"]}])
    assert not occupancy.share(span("10:00", "10:30"), [])


def test_what_is_booked_over_says_why_and_by_whom() -> None:
    plain = {**visit("x"), "extension": [{"url": "urn:other", "valueString": "kept"}]}
    assert occupancy.overbooking(plain, None, EXTENSIONS) is plain
    marked = over(plain)
    assert (occupancy.reason(marked), occupancy.by(marked)) == ("a mother in labour", None)
    signed = occupancy.signed(marked, "key-1")
    assert occupancy.by(signed) == "key-1"
    assert occupancy.signed(signed, "key-1") is signed
    assert [one["url"] for one in occupancy.signed(signed, "key-2")["extension"]] == [
        "urn:other", f"{EXTENSIONS}/overbooked", f"{EXTENSIONS}/overbooked-by"
    ]  # fmt: skip
    assert occupancy.signed(signed, None) == marked
    assert occupancy.overbooking(signed, None, EXTENSIONS) == plain
    assert "extension" not in occupancy.overbooking(over(visit("x")), None, EXTENSIONS)
    assert occupancy.reason({**visit("x"), "extension": [{"url": f"{EXTENSIONS}/overbooked"}]}) is None


# Capacity, races first.


@both_doors
async def test_of_64_rivals_for_three_places_three_stand_and_those_who_leave_make_room(store: Store, door: str) -> None:
    await publish_day(store, group("a", 3))
    await create(store, visit("early", who=(), status="cancelled", **linking("a")))

    async def rush(prefix: str) -> list[Resource]:
        steps = [DOORS[door](visit(f"{prefix}{n}"), "a") for n in range(RIVALS)]
        found = await asyncio.gather(*map(store.transact, steps), return_exceptions=True)
        lost = [one for one in found if isinstance(one, BaseException)]
        assert {type(one) for one in lost} == {Conflict}, lost
        assert len(lost) == RIVALS - 3 + await holders(store, "a") - 3 + already
        return [one[0] if isinstance(one, list) else one for one in found if not isinstance(one, BaseException)]

    already = 0
    first = await rush("v")
    assert (len(first), await holders(store, "a"), await statuses(store, "a")) == (3, 3, ["busy"])
    already = 1
    leaving = [advancing(one["id"], "cancelled") for one in first[:2]]
    await asyncio.gather(*map(store.transact, leaving))
    assert (await holders(store, "a"), await statuses(store, "a")) == (1, ["free"])
    second = await rush("w")
    assert (len(second), await holders(store, "a"), await statuses(store, "a")) == (2, 3, ["busy"])


@both_doors
async def test_a_slot_for_several_stays_free_until_it_is_full_and_they_do_not_conflict(store: Store, door: str) -> None:
    await publish_day(store, group("a", 2))
    await store.transact(DOORS[door](visit("x"), "a"))
    assert await statuses(store, "a") == ["free"]
    await store.transact(DOORS[door](visit("y", "10:00", "10:20"), "a"))
    assert await statuses(store, "a") == ["busy"]
    with pytest.raises(Conflict) as raised:
        await store.transact(DOORS[door](visit("z"), "a"))
    assert raised.value.problems[0].code == "slot_unavailable"
    await settle_all(store, {**await stored(store, "Appointment", "x"), "status": "cancelled"})
    assert await statuses(store, "a") == ["free"]
    await advance(store, "y", "noshow")
    assert await statuses(store, "a") == ["free"]


async def test_places_are_found_without_naming_the_slot(store: Store) -> None:
    await publish_day(store, group("a", 4), slot("b", "10:30", "11:00"))
    assert links(await book(store, visit("x"))) == ["Slot/a"]
    changed = await settle_all(store, visit("y"), visit("z", "10:10", "10:30"))
    assert [links(one) for one in changed[:2]] == [["Slot/a"], ["Slot/a"]]
    assert links(await book(store, visit("long", "10:00", "10:30"))) == ["Slot/a"]
    assert await statuses(store, "a", "b") == ["busy", "free"]
    with pytest.raises(Conflict):
        await book(store, visit("late"))


@both_doors
async def test_only_the_time_of_the_slot_is_shared(store: Store, door: str) -> None:
    """Two in a group conflict where one goes on after it, and for a practitioner whose Slot it is not."""
    await publish_day(store, group("a", 3), slot("b", "10:30", "11:00"))
    await create(
        store, role("r"), visit("x", "10:00", "10:30", who=("Practitioner/q", "PractitionerRole/r"), **linking("a"))
    )
    await store.transact(DOORS[door](visit("y"), "a"))
    with pytest.raises(Conflict) as raised:
        await store.transact(DOORS[door](visit("z", who=("Practitioner/p", "Practitioner/q")), "a"))
    assert [problem.code for problem in raised.value.problems] == ["time_conflict"]
    assert raised.value.problems[0].details == {"appointments": ["x"]}


@both_doors
async def test_who_has_been_there_before_the_slot_begins_shares_it_all_the_same(store: Store, door: str) -> None:
    await publish_day(store, slot("b", "09:30", "10:00"), group("a", 2))
    await settle_all(store, visit("x", "09:30", "10:30", **linking("b", "a")))
    await store.transact(DOORS[door](visit("y"), "a"))
    assert await statuses(store, "a") == ["busy"]


LICENCE = {"type": "Practitioner", "identifier": {"system": "urn:licence", "value": "UMDPC-7"}}
DOCTOR = {"type": "Practitioner", "reference": "https://other.example/doctors/7"}
PATIENT_ = {"reference": "Patient/1"}


def with_(*actors: Resource, ident: str = "x", **more: Any) -> Resource:
    taking_part = [{"actor": actor, "status": "accepted"} for actor in (PATIENT_, *actors)]
    return visit(ident, **more) | {"participant": taking_part}


@pytest.mark.parametrize(
    ("offered", "who"),
    [
        *product([LICENCE, DOCTOR, LICENCE | DOCTOR, {"reference": "Practitioner/p"}], [LICENCE, DOCTOR]),
        (LICENCE | DOCTOR, LICENCE | DOCTOR),
        ({"reference": DOCTOR["reference"]}, DOCTOR),  # the same address, of whatever it is
    ],
)
async def test_who_is_known_by_no_id_shares_the_slot_of_a_practitioner(
    store: Store, offered: Resource, who: Resource
) -> None:
    await create(store, schedule("s") | {"actor": [offered]}, group("a", 2))
    for ident in "xy":
        await settle_all(store, with_(who, ident=ident, **linking("a")))
    assert await statuses(store, "a") == ["busy"]
    assert await found_wrong(store) == []
    later = with_(who, ident="z", start="10:25", end="10:45")
    assert await refused(store, later) == [("time_conflict", "Appointment.start", 0)]


async def test_beside_who_is_known_by_an_id_they_are_somebody_else(store: Store) -> None:
    named = {"reference": "Practitioner/p"}
    await create(store, schedule("s", "Practitioner/p"), schedule("t", "Location/l"), group("a", 2), group("b", 2))
    await change(store, "Slot", "b", schedule={"reference": "Schedule/t"})
    await settle_all(store, with_(named, LICENCE, **linking("a")))
    for who in ((named, LICENCE), (LICENCE,)):
        wanted = with_(*who, ident="y", **linking("a"))
        assert await refused(store, wanted) == [("time_conflict", "Appointment.start", 0)]
    await settle_all(store, with_(DOCTOR, ident="z", **linking("b")))
    wanted = with_(DOCTOR, ident="y", **linking("b"))  # a room is nobody's
    assert await refused(store, wanted) == [("time_conflict", "Appointment.start", 0)]
    await create(store, with_(named, LICENCE, ident="v", **linking("a")), wanted)
    assert await found_wrong(store) == [("overlap", "Appointment/x"), ("overlap", "Appointment/z")]


async def found_wrong(store: Store) -> list[tuple[str, str]]:
    steps = [step async for step in verifying.appointments(store)]
    return sorted((one.kind, one.resource) for step in steps for one in step.findings)


async def test_both_may_be_named_by_the_schedule_in_their_own_way(store: Store) -> None:
    named = {"reference": "Practitioner/p"}
    await create(store, schedule("s") | {"actor": [named, LICENCE]}, group("a", 2))
    for ident in "xy":
        await settle_all(store, with_(named, LICENCE, ident=ident, **linking("a")))
    assert await found_wrong(store) == []


async def test_a_transaction_may_fill_a_group_but_not_more(store: Store) -> None:
    await publish_day(store, group("a", 3))
    wanted = [visit(f"v{n}", **linking("a")) for n in range(4)]
    assert {(code, entry) for code, _, entry in await refused(store, *wanted)} == {
        ("slot_unavailable", entry) for entry in range(4)
    }
    await settle_all(store, *wanted[:3])
    assert await statuses(store, "a") == ["busy"]


async def test_a_place_that_one_gives_up_in_a_full_group_is_to_be_had_by_another_of_the_set(store: Store) -> None:
    await publish_day(store, group("a", 2))
    await settle_all(store, visit("v", **linking("a")), visit("w", **linking("a")))
    given = visit("w", status="cancelled", **linking("a")), visit("x", **linking("a"))
    await settle_all(store, *given, fills_slots=False)
    assert (await holders(store, "a"), await statuses(store, "a")) == (2, ["busy"])


async def test_the_last_place_taken_and_a_status_changed_at_once_agree_on_the_slot(store: Store) -> None:
    """A pending visit becomes booked while another pending one fills the group: it is busy, not tentative."""
    await create(store, schedule(), *(group(f"a{n}", 2, "10:00", "10:30") for n in range(8)))
    for n in range(8):
        await create(store, visit(f"x{n}", who=(), status="pending", **linking(f"a{n}")))
        confirm: Step = (
            advancing(f"x{n}", "booked")
            if n % 2
            else settling({**await stored(store, "Appointment", f"x{n}"), "status": "booked"})
        )
        fill = booking(
            visit(f"y{n}", who=("Practitioner/p",), status="pending", appointmentType=of_type("WALKIN")), f"a{n}"
        )
        await asyncio.gather(store.transact(confirm), store.transact(fill))
        assert await statuses(store, f"a{n}") == ["busy"]


# A Slot's capacity is changed.


async def test_a_capacity_below_what_is_held_is_refused_and_a_full_slot_becomes_busy(store: Store) -> None:
    await publish_day(store, group("a", 4))
    for n in range(3):
        await book(store, visit(f"v{n}"), "a")
    assert await statuses(store, "a") == ["free"]
    assert await refused(store, group("a", 2)) == [("slot_held", "Slot.extension", 0)]
    assert await refused(store, slot("a")) == [("slot_held", "Slot.extension", 0)]
    assert (await settle_all(store, group("a", 3)))[0]["status"] == "busy"
    assert await refused(store, group("a", 3)) == [("slot_held", "Slot.status", 0)]
    assert (await settle_all(store, group("a", 3, status="busy-tentative")))[0]["status"] == "busy"  # as they have it
    assert (await settle_all(store, group("a", 5)))[0]["status"] == "free"
    assert await refused(store, group("a", 5, status="busy-unavailable")) == [("slot_held", "Slot.status", 0)]
    assert (await settle_all(store, group("a", 5, status="busy")))[0]["status"] == "busy"  # closed by hand
    await advance(store, "v0", "cancelled")
    assert await statuses(store, "a") == ["busy"]


async def closed_group(store: Store) -> None:
    """A group of five, of which v has one place; then it was closed by hand."""
    await publish_day(store, group("a", 5), slot("b", "10:30", "11:00"))
    await settle_all(store, visit("v", **linking("a")))
    await settle_all(store, group("a", 5, status="busy"))


@pytest.mark.parametrize("fills", [True, False])
async def test_a_group_that_was_closed_by_hand_takes_nobody_in(store: Store, fills: bool) -> None:
    await closed_group(store)
    taken = [("slot_unavailable", "Appointment.slot[0]", 0)]
    assert await refused(store, visit("x", **linking("a")), fills_slots=fills) == taken
    beside = visit("x", appointmentType=of_type("WALKIN"), **linking("a"))
    assert await refused(store, beside, fills_slots=fills) == taken
    await settle_all(store, visit("y", "10:30", "11:00", **linking("b")))
    assert await refused(store, visit("y", **linking("a")), fills_slots=fills) == taken
    # Of the two practitioners one's Slot is named, the other's is looked for.
    await create(store, schedule("t", "Practitioner/q"), slot("k", schedule="t"))
    both = visit("x", who=("Practitioner/p", "Practitioner/q"), **linking("k"))
    assert (await refused(store, both, fills_slots=fills))[0] == ("slot_unavailable", "Appointment.start", 0)
    # Nor does one place that is given up open it.
    w = visit("w", **linking("a"))
    await settle_all(store, group("a", 5, status="busy"), w)
    given = {**w, "status": "cancelled"}, visit("x", **linking("a"))
    assert await refused(store, *given, fills_slots=fills) == [("slot_unavailable", "Appointment.slot[0]", 1)]
    assert await statuses(store, "a") == ["busy"]


async def test_who_has_a_place_in_a_closed_group_keeps_it_and_a_copy_or_one_booked_over_comes_in(store: Store) -> None:
    await closed_group(store)
    await settle_all(store, visit("v", "10:00", "10:20", **linking("a")), fills_slots=False)
    await settle_all(store, visit("v", status="arrived", end="10:20", **linking("a")), fills_slots=False)
    await settle_all(store, visit("x", **linking("a")), copied=True)
    await settle_all(store, visit("y"), copied=True, sent=False)
    await store.transact(fhir(over(visit("z", **linking("a")))))
    assert (await holders(store, "a"), await statuses(store, "a")) == (4, ["busy"])


async def test_a_group_is_filled_by_what_comes_together_with_the_slot_or_before_anybody_has_it(store: Store) -> None:
    await publish_day(store, group("a", 5, status="busy"))
    first = [visit(ident, **linking("a")) for ident in ("v", "w")]
    assert len(await refused(store, *first, fills_slots=False)) == 2
    await settle_all(store, *first)
    together = group("a", 5, status="busy"), visit("x", **linking("a"))
    await settle_all(store, *together, fills_slots=False)
    assert (await holders(store, "a"), await statuses(store, "a")) == (3, ["busy"])
    gone = "Appointment/v", "Appointment/w", "Appointment/x"
    await settle_all(store, *gone, visit("y", **linking("a")), fills_slots=False)
    assert await holders(store, "a") == 1


async def test_of_rivals_for_a_group_that_is_busy_for_nobody_one_comes_in(store: Store) -> None:
    await publish_day(store, group("a", 5, status="busy"))
    rivals = (settling(visit(f"x{n}", who=(), **linking("a"))) for n in range(4))
    found = await asyncio.gather(*map(store.transact, rivals), return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in found) == 3
    assert (await holders(store, "a"), await statuses(store, "a")) == (1, ["busy"])


async def test_a_full_group_is_busy_as_all_have_it_and_one_with_places_left_as_it_is_written(store: Store) -> None:
    await publish_day(store, group("a", 2))
    await settle_all(store, visit("v", status="pending", **linking("a")))
    for status in ("busy", "busy-tentative", "free"):
        assert (await settle_all(store, group("a", 2, status=status)))[0]["status"] == status
    await settle_all(store, visit("w", status="pending", **linking("a")))
    assert (await settle_all(store, group("a", 2, status="busy")))[0]["status"] == "busy-tentative"
    booked = visit("w", **linking("a"))
    assert (await settle_all(store, group("a", 2, status="busy-tentative"), booked))[0]["status"] == "busy"
    assert (await settle_all(store, group("a", 3, status="busy-tentative")))[0]["status"] == "busy-tentative"
    assert (await settle_all(store, group("a", 2, status="busy-tentative")))[0]["status"] == "busy"


async def test_one_who_leaves_in_the_same_transaction_makes_the_lower_capacity_fit(store: Store) -> None:
    await publish_day(store, group("a", 3))
    for n in range(2):
        await book(store, visit(f"v{n}"), "a")
    gone = {**await stored(store, "Appointment", "v0"), "status": "cancelled"}
    assert [one["status"] for one in await settle_all(store, group("a", 1), gone)] == ["busy", "cancelled"]


async def test_who_comes_while_the_capacity_is_lowered_is_met(store: Store) -> None:
    for n in range(6):
        await create(store, *([schedule()] if n == 0 else []), group(f"a{n}", 2))
        await create(store, visit(f"x{n}", who=(), **linking(f"a{n}")))
        found = await asyncio.gather(
            store.transact(settling(visit(f"y{n}", who=(), **linking(f"a{n}")))),
            store.transact(settling(slot(f"a{n}"))),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Conflict) for one in found) == 1
        room = occupancy.capacity(await stored(store, "Slot", f"a{n}"))
        assert await holders(store, f"a{n}") == room
        assert await statuses(store, f"a{n}") == ["busy"]


async def test_a_slot_that_its_lower_capacity_fills_is_made_busy_and_not_closed(store: Store) -> None:
    await publish_day(store, group("a", 3))
    for ident in "xy":
        await book(store, visit(ident), "a")
    assert await refused(store, group("a", 2, status="busy-unavailable")) == [("slot_held", "Slot.status", 0)]
    assert (await settle_all(store, group("a", 2)))[0]["status"] == "busy"


@pytest.mark.parametrize("room", [0, -1, "3"])
async def test_a_capacity_that_makes_no_sense_is_refused(store: Store, room: Any) -> None:
    await create(store, schedule())
    assert await refused(store, group("a", room)) == [("invalid_capacity", "Slot.extension", 0)]
    await create(store, group("old", room))
    assert (await settle_all(store, {**group("old", room), "comment": "as it came"}))[0]["comment"]


@pytest.mark.parametrize(
    "said",
    [
        *([{"valuePositiveInt": 3}], [{"valueUnsignedInt": 3}], [{"valueString": "3"}]),
        *([{"extension": [{"url": "places", "valueInteger": 3}]}], [{"_valueInteger": {"id": "x"}}], [{}]),
        *([{"valueInteger": 3}, {"valueInteger": 1}], [{"valueInteger": 1}, {"valuePositiveInt": 3}]),
        [{"valueInteger": 3}, {"valueInteger": 3}],
    ],
)
async def test_a_capacity_that_cannot_be_read_is_refused_where_it_is_new(store: Store, said: list[Resource]) -> None:
    """It meant 1, or the first of two, without a word."""
    odd = {"extension": [{"url": occupancy.CAPACITY, **one} for one in said]}
    await create(store, schedule(), slot("b"), {**slot("old"), **odd})
    for ident in ("a", "b"):
        assert await refused(store, {**slot(ident), **odd}) == [("invalid_capacity", "Slot.extension", 0)]
    [updated] = await settle_all(store, {**slot("old"), **odd, "comment": "as it came"})
    assert updated["comment"]
    other = {"extension": [{"url": occupancy.CAPACITY, "valuePositiveInt": 4}]}
    assert await refused(store, {**slot("old"), **other}) == [("invalid_capacity", "Slot.extension", 0)]
    [mended] = await settle_all(store, group("old", 3))
    assert occupancy.capacity(mended) == 3


async def test_another_extension_is_no_capacity(store: Store) -> None:
    await create(store, schedule())
    other = {"extension": [{"url": "http://x.org/note", "valuePositiveInt": 3}]}
    assert occupancy.capacity((await settle_all(store, {**slot("a"), **other}))[0]) == 1
