"""Capacity and overbooking, through both ways to decide: how many may hold a Slot, and who may stand beside whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import pytest

from adapter.errors import Conflict, Forbidden, Unprocessable
from adapter.scheduling import commands, occupancy, verifying
from adapter.scheduling.booking import MOVING
from adapter.scheduling.settling import Change, settle, stage
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import (
    advance,
    advancing,
    at,
    book,
    booking,
    codes,
    linking,
    links,
    move,
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
from tests.store.support import change, create, present, side_by_side, stored

EXTENSIONS = "https://example.org/fhir/StructureDefinition"
RIVALS = 64
Step = Callable[[UnitOfWork], Awaitable[Any]]


def group(ident: str, room: Any, *times: str, **more: Any) -> Resource:
    """A Slot for several."""
    return {**slot(ident, *times, **more), "extension": [{"url": occupancy.CAPACITY, "valueInteger": room}]}


def over(appointment: Resource, why: str = "a mother in labour") -> Resource:
    """The appointment as one to be booked over others."""
    return occupancy.overbooking(appointment, why, EXTENSIONS)


def mediloop(one: Resource, slot_id: str | None = None) -> Step:
    """The step of a MediLoop booking."""

    async def step(work: UnitOfWork) -> Resource:
        planned = await commands.plan(work, one, slot_id=slot_id, overbooks=occupancy.reason(one) is not None)
        return commands.stage(work, None, planned)

    return step


def fhir(*wanted: Resource, key: str | None = "key-1") -> Step:
    """The step of a FHIR write by somebody who may book over others, unless `key` is None."""

    async def step(work: UnitOfWork) -> list[Resource]:
        found = await work.read_many([f"{one['resourceType']}/{one['id']}" for one in wanted])
        changes = [Change(found.get(f"{one['resourceType']}/{one['id']}"), one) for one in wanted]
        final = await settle(work, changes, fills_slots=False, overbooks=key)
        return [one or {} for one in stage(work, final)]

    return step


def fhir_changes(ident: str, status: str) -> Step:
    """The step of a FHIR write that moves a stored appointment."""

    async def step(work: UnitOfWork) -> list[Resource]:
        before = await present(work, "Appointment", ident)
        return [
            one or {}
            for one in stage(
                work, await settle(work, [Change(before, {**before, "status": status})], fills_slots=False)
            )
        ]

    return step


DOORS: dict[str, Callable[[Resource, str], Step]] = {
    "mediloop": lambda one, slot_id: mediloop(one, slot_id),
    "fhir": lambda one, slot_id: fhir({**one, **linking(slot_id)}),
}
both_doors = pytest.mark.parametrize("door", list(DOORS))


async def holders(store: Store, slot_id: str) -> int:
    return await store.count("Appointment", {"_index.claims": f"Slot/{slot_id}"})


# Pure.


@pytest.mark.parametrize(("stated", "room"), [(3, 3), (1, 1), (0, 1), (-2, 1), ("3", 1), (None, 1)])
def test_the_capacity_is_what_the_extension_says_if_that_makes_sense(stated: Any, room: int) -> None:
    assert occupancy.capacity(group("a", stated)) == room
    assert occupancy.capacity(slot("a")) == 1


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


@pytest.mark.parametrize("room", [0, -1, "3"])
async def test_a_capacity_that_makes_no_sense_is_refused(store: Store, room: Any) -> None:
    await create(store, schedule())
    assert await refused(store, group("a", room)) == [("invalid_capacity", "Slot.extension", 0)]
    await create(store, group("old", room))
    assert (await settle_all(store, {**group("old", room), "comment": "as it came"}))[0]["comment"]


# Overbooking.


@both_doors
async def test_two_who_book_over_both_stand_and_the_slot_is_busy_until_the_last_leaves(store: Store, door: str) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    steps = [DOORS[door](over(visit(ident)), "a") for ident in "yz"]
    await asyncio.gather(*map(store.transact, steps))
    assert await holders(store, "a") == 3
    for ident in "xyz":
        assert await statuses(store, "a") == ["busy"]
        with pytest.raises(Conflict):
            await store.transact(DOORS[door](visit("late"), "a"))
        await advance(store, ident, "cancelled")
    assert await statuses(store, "a") == ["free"]


@both_doors
async def test_who_books_over_while_the_holder_leaves_keeps_the_slot_busy(store: Store, door: str) -> None:
    await publish_day(store, *(slot(f"a{n}", f"{10 + n}:00", f"{10 + n}:30") for n in range(6)))
    for n in range(6):
        times = (f"{10 + n}:00", f"{10 + n}:30")
        await book(store, visit(f"x{n}", *times), f"a{n}")
        await asyncio.gather(
            store.transact(advancing(f"x{n}", "cancelled")),
            store.transact(DOORS[door](over(visit(f"y{n}", *times)), f"a{n}")),
        )
        assert (await statuses(store, f"a{n}"), await holders(store, f"a{n}")) == (["busy"], 1)


LEAVES: dict[str, Step] = {"MediLoop": advancing("y", "cancelled"), "FHIR": fhir_changes("y", "cancelled")}
STAYS: dict[str, Step] = {"MediLoop": advancing("x", "booked"), "FHIR": fhir_changes("x", "booked")}


@pytest.mark.parametrize("leaving", LEAVES)
@pytest.mark.parametrize("staying", STAYS)
async def test_a_hold_that_is_booked_while_who_booked_over_it_leaves_has_a_busy_slot(
    store: Store, staying: str, leaving: str
) -> None:
    await publish_day(store)
    await book(store, visit("x", status="pending"), "a")
    await store.transact(mediloop(over(visit("y")), "a"))
    assert await statuses(store, "a") == ["busy"]
    await side_by_side(store, STAYS[staying], LEAVES[leaving])
    assert (await statuses(store, "a"), await holders(store, "a")) == (["busy"], 1)


async def test_booking_over_passes_over_busy_slots_and_times_and_nothing_else(store: Store) -> None:
    await publish_day(
        store, slot("a"), slot("b", "10:30", "11:00"), slot("no", "11:00", "11:30", status="busy-unavailable")
    )
    await book(store, visit("x", "10:00", "11:00"))
    assert links(await store.transact(mediloop(over(visit("y", "10:15", "10:45"))))) == ["Slot/a", "Slot/b"]
    (made, *_) = await store.transact(fhir(over(visit("z", "10:15", "10:45"))))
    assert links(made) == ["Slot/a", "Slot/b"]
    assert occupancy.by(made) == "key-1"
    for step in (
        mediloop(over(visit("n", "11:00", "11:30")), "no"),
        mediloop(over(visit("n", "11:00", "11:30"))),
        fhir({**over(visit("n", "11:00", "11:30")), **linking("no")}),
        fhir(over(visit("n", "11:00", "11:30"))),
    ):
        with pytest.raises(Conflict) as raised:
            await store.transact(step)
        assert [problem.code for problem in raised.value.problems] == ["slot_unavailable"]


async def test_a_free_slot_goes_before_one_that_is_booked_over(store: Store) -> None:
    await create(store, schedule(), schedule("t"), slot("a", status="busy"), slot("b", schedule="t"))
    assert links(await store.transact(mediloop(over(visit("y"))))) == ["Slot/b"]


async def test_who_books_over_in_a_group_is_one_more(store: Store) -> None:
    await publish_day(store, group("a", 2))
    for n in range(2):
        await book(store, visit(f"v{n}"), "a")
    await store.transact(mediloop(over(visit("more")), "a"))
    await advance(store, "v0", "cancelled")
    assert (await statuses(store, "a"), await holders(store, "a")) == (["busy"], 2)
    await settle_all(store, {**group("a", 1), "status": "busy"})  # one and one that was booked over it
    await advance(store, "v1", "cancelled")
    await advance(store, "more", "cancelled")
    assert await statuses(store, "a") == ["free"]


async def test_in_one_transaction_who_books_over_stands_in_nobodys_way(store: Store) -> None:
    await publish_day(store)
    await store.transact(fhir(visit("x", **linking("a")), over({**visit("y"), **linking("a")})))
    assert await holders(store, "a") == 2
    await store.transact(fhir(visit("s", "11:00", "11:30"), over(visit("t", "11:00", "11:30"))))
    assert await holders(store, "c") == 2
    # Another reason alone is no new booking: who comes meanwhile finds the time taken.
    other = over(await stored(store, "Appointment", "y"), "another reason")
    with pytest.raises(Conflict):
        await store.transact(fhir(other, visit("z", **linking("a"))))
    with pytest.raises(Conflict):
        await store.transact(fhir(other, visit("z", slot=[], appointmentType=of_type("ROUTINE"))))


async def test_without_the_permission_nothing_is_booked_over_and_what_was_stays(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    wanted = {**over(visit("y")), **linking("a")}
    for step in (settling(wanted), fhir(visit("o", "11:00", "11:30"), wanted, key=None)):
        with pytest.raises(Forbidden) as raised:
            await store.transact(step)
        assert raised.value.problems[0].details == {"permission": "overbook:write"}
    assert raised.value.problems[0].entry == 1
    (made, *_) = await store.transact(fhir(wanted, key="key-7"))
    unsigned = occupancy.signed(made, None)
    (arrived, *_) = await settle_all(store, {**unsigned, "status": "arrived"})
    assert occupancy.by(arrived) == "key-7"
    with pytest.raises(Forbidden):  # another reason
        await store.transact(settling(over(arrived, "another")))
    # Without its reason it has to fit like any other.
    assert await refused(store, occupancy.overbooking(arrived, None, EXTENSIONS)) == [
        ("slot_unavailable", "Appointment.slot[0]", 0), ("time_conflict", "Appointment.start", 0)
    ]  # fmt: skip
    await settle_all(store, {**arrived, "status": "cancelled"})


async def test_a_proposal_with_a_reason_needs_the_permission_when_it_takes_time(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    (noted,) = await settle_all(store, {**over(visit("y", status="proposed")), **linking("a")})
    with pytest.raises(Forbidden):
        await store.transact(settling({**noted, "status": "booked"}))
    (made, *_) = await store.transact(fhir({**noted, "status": "booked"}))
    assert occupancy.by(made) == "key-1"
    (brought, *_) = await store.transact(fhir({**made, "id": "z"}, key=""))
    assert occupancy.by(brought) == "key-1"


async def test_a_move_may_book_over_too_and_without_a_reason_it_does_not(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    await book(store, visit("y", "11:00", "11:30"), "c")
    with pytest.raises(Conflict):
        await move(store, "y", "10:00", "10:30", "a")

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", "y")
        times = {name: value for name, value in visit("y").items() if name in ("start", "end")}
        moved = over({**before, **times})
        planned = await commands.reschedule(work, before, moved, slot_id=None, names=MOVING, overbooks=True)
        return commands.stage(work, before, planned)

    assert links(await store.transact(step)) == ["Slot/a"]
    assert (await statuses(store, "a", "c"), await holders(store, "a")) == (["busy", "free"], 2)
    await move(store, "y", "11:00", "11:30")
    assert (await statuses(store, "a", "c"), await holders(store, "a")) == (["busy", "busy"], 1)


@both_doors
@pytest.mark.parametrize("why", [None, "a mother in labour"])
async def test_a_move_that_is_refused_names_its_own_slot_as_none_in_the_way(
    store: Store, door: str, why: str | None
) -> None:
    await publish_day(store, group("a", 2), slot("b", "10:30", "11:00"))
    await book(store, visit("x"), "a")
    await book(store, visit("y"), "a")
    await settle_all(store, slot("b", "10:30", "11:00", status="busy-unavailable"))
    before = await stored(store, "Appointment", "y")
    moved = occupancy.overbooking({**before, "start": at("10:15"), "end": at("10:45")}, why, EXTENSIONS)

    async def rescheduled(work: UnitOfWork) -> Resource:
        over_ = why is not None
        planned = await commands.reschedule(work, before, moved, slot_id=None, names=MOVING, overbooks=over_)
        return commands.stage(work, before, planned)

    unlinked = {name: value for name, value in moved.items() if name != "slot"}
    with pytest.raises(Conflict) as raised:
        await store.transact(rescheduled if door == "mediloop" else fhir(unlinked))
    told = {problem.code: problem.details for problem in raised.value.problems}
    assert told["slot_unavailable"] == {"slots": ["b"]}


@pytest.mark.parametrize("type_", ["ROUTINE", "WALKIN"])
async def test_one_moved_within_its_slot_without_its_reason_needs_a_place_there(store: Store, type_: str) -> None:
    await publish_day(store)
    await book(store, visit("x"), "a")
    await store.transact(mediloop(over(visit("y", appointmentType=of_type(type_))), "a"))

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", "y")
        moved = occupancy.overbooking({**before, "start": "2024-01-20T10:00:00.000Z"}, None, EXTENSIONS)
        planned = await commands.reschedule(work, before, moved, slot_id="a", names=MOVING)
        return commands.stage(work, before, planned)

    bare = occupancy.overbooking(await stored(store, "Appointment", "y"), None, EXTENSIONS)
    with pytest.raises(Conflict):
        await store.transact(step)
    assert ("slot_unavailable", "Appointment.slot[0]", 0) in await refused(store, bare)
    await advance(store, "x", "cancelled")
    (made, *_) = await settle_all(store, bare)
    assert occupancy.by(made) is None
    await store.transact(step)
    assert await statuses(store, "a") == ["busy"]


@pytest.mark.parametrize("why", ["", " ", "\n\t"])
async def test_a_blank_reason_is_none(store: Store, why: str) -> None:
    await publish_day(store)
    with pytest.raises(Unprocessable) as raised:
        await store.transact(fhir(over(visit("x"), why)))
    assert codes(raised.value) == [("blank_reason", "Appointment.extension")]
