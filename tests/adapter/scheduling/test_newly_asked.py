"""A visit that changes is judged by what it takes newly; of what it had already, it was there first."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from adapter.errors import Conflict, Forbidden, Refused
from adapter.scheduling import occupancy
from adapter.scheduling.claimset import Stake
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import (
    ABROAD,
    HERE,
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
from tests.scale import examples
from tests.store.support import create, emptied, stored

P, Q, ROOM = "Practitioner/p", "Practitioner/q", "Location/room"
EXTENSIONS = "https://example.org/fhir/StructureDefinition"


def over(appointment: Resource, why: str = "a mother in labour") -> Resource:
    return occupancy.overbooking(appointment, why, EXTENSIONS)


async def crowded(store: Store, *published: Resource) -> Resource:
    """A visit x of p, and y that was booked over it; return x as it is stored."""
    if published:
        await create(store, schedule("s", P), *published)
    await settle_all(store, visit("x"))
    await store.transact(settling(over(visit("y")), overbooks="key-1"))
    return await stored(store, "Appointment", "x")


# Nothing more than it had.


@pytest.mark.parametrize("published", [(), (slot("a"), slot("b", "10:30", "11:00"))])
@pytest.mark.parametrize(
    "changed",
    [
        visit("x", status="arrived"),
        visit("x", who=(P, ROOM)),
        visit("x", who=(P, Q)),
        visit("x", "10:00", "10:20"),
        visit("x", "10:10", "10:20", status="arrived", who=(P, Q, ROOM)),
    ],
)
@pytest.mark.parametrize("linked", [True, False])
async def test_what_takes_no_more_stands_beside_who_was_booked_over_it(
    store: Store, published: tuple[Resource, ...], changed: Resource, linked: bool
) -> None:
    before = await crowded(store, *published)
    if changed["status"] == "arrived":
        changed = {**changed, "start": before["start"], "end": before["end"]}
    sent = {**changed, "slot": before["slot"]} if linked and published else changed
    [after, *_] = await settle_all(store, sent, fills_slots=False)
    assert links(after) == links(before) == (["Slot/a"] if published else [])
    assert await statuses(store, *("a" for _ in published[:1])) == ["busy"][: len(published)]


async def test_a_slot_published_over_a_visit_is_not_held_against_it(store: Store) -> None:
    await settle_all(store, visit("x", "08:45", "09:15"))
    await create(store, schedule("s", P), slot("a", "09:00", "09:30"))
    [after] = await settle_all(store, visit("x", "08:45", "09:15", who=(P, ROOM)))
    assert "slot" not in after
    assert await statuses(store, "a") == ["free"]
    # A later start would have to fit, as a first booking has; so would somebody else.
    assert await refused(store, visit("x", "08:45", "09:20")) == [("slot_unavailable", "Appointment.start", 0)]
    await create(store, schedule("t", Q), slot("k", "09:00", "09:30", schedule="t"))
    wanted = visit("x", "08:45", "09:15", who=(P, Q))
    assert await refused(store, wanted) == [("slot_unavailable", "Appointment.start", 0)]


async def test_a_free_slot_that_covers_it_is_still_taken(store: Store) -> None:
    await settle_all(store, visit("x"))
    await publish_day(store)
    [after, _] = await settle_all(store, visit("x", who=(P, "Location/l")))
    assert links(after) == ["Slot/a"]


async def test_its_slots_are_kept_where_the_practitioner_goes_on_and_sought_for_who_comes(store: Store) -> None:
    await crowded(store, slot("a"), slot("b", "10:30", "11:00"))
    await create(store, schedule("t", Q), slot("k", schedule="t"))
    [after, *_] = await settle_all(store, visit("x", who=(P, Q)), fills_slots=False)
    assert links(after) == ["Slot/a", "Slot/k"]


async def test_another_place_must_have_its_slots_there(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", who=(P, "Location/l")))
    wanted = visit("x", who=(P, "Location/m"))
    assert await refused(store, wanted) == [("slot_unavailable", "Appointment.start", 0)]


async def test_what_was_booked_over_may_change_so_without_the_permission_and_stays_signed(store: Store) -> None:
    await crowded(store, slot("a"))
    bare = over(visit("y", who=(P, ROOM)))
    [after, *_] = [one.after for one in await store.transact(settling(bare, overbooks=None, fills_slots=False))]
    assert after is not None
    assert (occupancy.by(after), links(after)) == ("key-1", ["Slot/a"])
    await store.transact(settling({**bare, "end": "2024-01-20T10:20:00Z"}, overbooks=None))
    await create(store, slot("b"))
    for more in (visit("y", "10:00", "10:40"), visit("y", who=(P, Q)), visit("y", "10:00", "10:20", **linking("b"))):
        with pytest.raises(Forbidden):
            await store.transact(settling(over(more), overbooks=None))


# More than it had.


MORE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "longer": ({}, {"end": "2024-01-20T10:40:00Z"}),
    "earlier": ({}, {"start": "2024-01-20T09:50:00Z"}),
    "moved": ({}, {"start": "2024-01-20T11:00:00Z", "end": "2024-01-20T11:30:00Z"}),
    "another person": ({}, {"participant": visit("x", who=(P, Q))["participant"]}),
    "accepting again": (
        {"participant": [{"actor": {"reference": P}, "status": "declined"}]},
        {"participant": [{"actor": {"reference": P}, "status": "accepted"}]},
    ),
    "stood beside": ({"appointmentType": of_type("WALKIN")}, {"appointmentType": of_type("ROUTINE")}),
    "was booked over": ({"extension": over(visit("x"))["extension"]}, {"extension": []}),
    "held nothing": ({"status": "proposed"}, {"status": "booked"}),
}


@pytest.mark.parametrize("case", [*MORE])
async def test_what_takes_more_is_judged(store: Store, case: str) -> None:
    was, becomes = MORE[case]
    rivals = [
        over(visit("before", "09:40", "10:00")),
        over(visit("after", "10:30", "11:30")),
        visit("other", who=(Q,)),
        *(
            [over(visit("same"))]
            if case in ("accepting again", "stood beside", "was booked over", "held nothing")
            else []
        ),
    ]
    await create(store, {**visit("x"), **was}, *rivals)
    assert await refused(store, {**visit("x"), **becomes}) == [("time_conflict", "Appointment.start", 0)]


GROUP = {"extension": [{"url": occupancy.CAPACITY, "valueInteger": 3}]}


async def test_who_leaves_the_slot_that_is_shared_stands_beside_the_others_no_longer(store: Store) -> None:
    await publish_day(store, slot("a") | GROUP, slot("b"))
    await settle_all(store, visit("x", **linking("a")), visit("y", **linking("a")))
    assert await refused(store, visit("x", **linking("b"))) == [("time_conflict", "Appointment.start", 0)]
    moved = visit("x", who=(P, "Location/l"), **linking("b"))
    assert await refused(store, moved) == [("time_conflict", "Appointment.start", 0)]
    assert links((await settle_all(store, visit("x", who=(P, "Location/l"))))[0]) == ["Slot/a"]


async def test_in_a_shared_slot_too_it_keeps_what_it_had(store: Store) -> None:
    await publish_day(store, slot("a") | GROUP)
    await settle_all(store, visit("x", **linking("a")))
    await create(store, over(visit("y", "10:15", "10:45")))
    for link in (linking("a"), {}):
        [after, *_] = await settle_all(store, visit("x", who=(P, "Location/l"), **link))
        assert links(after) == ["Slot/a"]


async def test_what_was_booked_over_may_leave_a_shared_slot_and_stand_over_a_role(store: Store) -> None:
    await publish_day(store, slot("a") | GROUP, slot("b"))
    await create(store, role("r", "q"), visit("z", **linking("a")))
    await create(store, over(visit("x", who=("PractitionerRole/r", P), **linking("a", "b"))))
    [after, *_] = await settle_all(store, role("r"), over(visit("x", who=("PractitionerRole/r", P), **linking("b"))))
    assert after["practitioner"] == {"reference": P}
    assert await statuses(store, "a", "b") == ["free", "busy"]


async def test_a_room_is_kept_as_well(store: Store) -> None:
    await create(store, schedule("s", P), slot("a"), schedule("t", ROOM), slot("k", schedule="t"))
    await settle_all(store, visit("x", who=(P, ROOM), **linking("a", "k")))
    [after, *_] = await settle_all(store, visit("x", who=(P, ROOM), status="arrived"))
    assert links(after) == ["Slot/a", "Slot/k"]
    [after, *_] = await settle_all(store, visit("x", who=(P,), status="arrived"))
    assert links(after) == ["Slot/a"]
    assert await statuses(store, "a", "k") == ["busy", "free"]


@pytest.mark.parametrize("published", [(), (slot("a", "10:00", "11:00"),)])
@pytest.mark.parametrize("times", [("10:00", "10:45"), ("10:15", "10:45")])
async def test_a_room_is_kept_for_what_its_slot_reaches_of_a_longer_visit(
    store: Store, published: tuple[Resource, ...], times: tuple[str, str]
) -> None:
    await create(store, schedule("s", P), *published, schedule("t", ROOM), slot("k", schedule="t"))
    await settle_all(store, visit("x", who=(P, ROOM), **linking(*("a" for _ in published), "k")))
    [after, *_] = await settle_all(store, visit("x", *times, who=(P, ROOM)))
    assert links(after) == [*("Slot/a" for _ in published), "Slot/k"]
    assert await refused(store, visit("y", who=(), **linking("k"))) == [("slot_unavailable", "Appointment.slot[0]", 0)]


PLACE, OTHER_PLACE = "Location/l", "Location/m"
SINCE = [schedule("s", P, OTHER_PLACE), schedule("s", Q, PLACE), schedule("s", Q, OTHER_PLACE)]
"""What has become of the Schedule of p at l."""


@pytest.mark.parametrize("since", SINCE)
@pytest.mark.parametrize(
    "changed",
    [
        visit("x", "10:00", "10:25", who=(P, PLACE)),
        visit("x", who=(P, PLACE, ROOM)),
        visit("x", who=(P, PLACE), status="arrived"),
    ],
)
async def test_a_slot_that_it_has_may_have_become_anothers_or_moved_house(
    store: Store, since: Resource, changed: Resource
) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", who=(P, PLACE), **linking("a")))
    await settle_all(store, since)
    [after] = await settle_all(store, {**changed, **linking("a")})
    assert links(after) == ["Slot/a"]


async def test_one_that_moved_house_stays_where_the_links_are_left_out_too(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", who=(P, PLACE)))
    await settle_all(store, SINCE[0])
    [after] = await settle_all(store, visit("x", "10:00", "10:25", who=(P, PLACE)), fills_slots=False)
    assert links(after) == ["Slot/a"]


@pytest.mark.parametrize("since", SINCE)
async def test_but_who_and_where_are_named_newly_must_suit_it(store: Store, since: Resource) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", who=(P, PLACE), **linking("a")))
    await settle_all(store, since)
    elsewhere = visit("x", who=("Practitioner/new", "Location/new"), **linking("a"))
    assert await refused(store, elsewhere) == [("slot_mismatch", "Appointment.slot[0]", 0)] * 2


async def test_nor_is_it_let_into_anothers_by_the_same_set(store: Store) -> None:
    await publish_day(store)
    await create(store, schedule("t", Q, OTHER_PLACE))
    await settle_all(store, visit("x", who=(P, PLACE), **linking("a")))
    shorter = visit("x", "10:00", "10:25", who=(P, PLACE), **linking("a"))
    moved = slot("a", status="busy", schedule="t")
    assert await refused(store, shorter, moved) == [("slot_mismatch", "Appointment.slot[0]", 0)] * 2


async def test_another_reason_makes_nobody_yield(store: Store) -> None:
    await create(store, visit("x"), over(visit("y", "10:30", "11:00")))
    again = over(visit("y", "10:30", "11:00"), "another one")
    with pytest.raises(Conflict):
        await store.transact(settling(visit("x", "10:00", "10:40"), again, overbooks="key-1"))


async def test_only_who_is_in_the_way_of_what_is_new_is_named(store: Store) -> None:
    await create(store, visit("x"), over(visit("same")), over(visit("later", "10:30", "11:00")))
    with pytest.raises(Conflict) as raised:
        await settle_all(store, visit("x", "10:00", "10:40"))
    assert raised.value.problems[0].details == {"appointments": ["later"]}


async def test_who_becomes_another_servers_gives_the_slot_back(store: Store) -> None:
    await crowded(store, slot("a"))
    abroad = f"{ABROAD}/Practitioner/p"
    [after, *_] = await settle_all(store, visit("x", who=(abroad, ROOM)), bases=HERE)
    assert links(after) == []


async def test_a_role_that_is_given_away_in_the_same_set_makes_everything_new(store: Store) -> None:
    await create(store, role("r", "q"), visit("x", who=("PractitionerRole/r",)), visit("y"))
    for wanted in (visit("x", who=("PractitionerRole/r", ROOM)), visit("y", who=(P, ROOM))):
        found = await refused(store, role("r"), wanted)
        assert ("time_conflict", "Appointment.start", 1) in found


async def test_an_appointment_of_the_set_that_takes_the_time_newly_is_judged(store: Store) -> None:
    await create(store, visit("x"), visit("y", "11:00", "11:30"))
    assert await refused(store, visit("x", who=(P, ROOM)), visit("y", "10:15", "10:45")) == [
        ("time_conflict", "Appointment.start", 1)
    ]
    await settle_all(store, visit("x", "10:00", "10:15"), visit("y", "10:15", "10:45"))
    assert await refused(store, visit("x", "10:00", "10:20")) == [("time_conflict", "Appointment.start", 0)]


# Whatever changes.


QUARTERS = [f"{hour}:{quarter}" for hour in (10, 11, 12) for quarter in ("00", "15", "30", "45")]


@st.composite
def visits(draw: st.DrawFn) -> Resource:
    start, length = draw(st.integers(0, 6)), draw(st.integers(1, 4))
    who = draw(st.lists(st.sampled_from([P, P, Q, "PractitionerRole/r", ROOM, "Location/m"]), max_size=3, unique=True))
    made = visit(
        draw(st.sampled_from("xyz")),
        QUARTERS[start],
        QUARTERS[start + length],
        status=draw(st.sampled_from(["booked", "booked", "pending", "proposed"])),
        who=tuple(who),
        **draw(st.sampled_from([{}, {}, *(linking(*one) for one in ("a", "b", "ab", "k", "ak"))])),
    )
    for participant in made["participant"][1:]:
        participant["status"] = draw(st.sampled_from(["accepted", "accepted", "declined"]))
    if draw(st.integers(0, 5)) == 0:
        made["appointmentType"] = of_type("WALKIN")
    return over(made) if draw(st.integers(0, 2)) == 0 else made


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A stored visit, and what of it becomes that of another: whatever else it says stays."""
    members = draw(st.sets(st.sampled_from(["start", "end", "participant", "slot", "extension", "status"]), min_size=1))
    other = draw(visits())
    return other["id"], {name: other.get(name) for name in members}


def taken(appointment: Resource) -> dict[str, set[str]]:
    """The quarters that it takes of each practitioner, and the Slots that it holds."""
    if appointment["status"] not in ("booked", "pending"):
        return {}
    found = {link["reference"]: {"held"} for link in appointment.get("slot") or []}
    if "appointmentType" not in appointment:
        quarters = {one for one in QUARTERS if appointment["start"][11:16] <= one < appointment["end"][11:16]}
        for one in appointment["participant"]:
            name = one["actor"]["reference"].replace("PractitionerRole/r", P)
            if name.startswith("Practitioner/") and one["status"] != "declined":
                found[name] = quarters
    return found


@given(st.lists(st.one_of(visits(), changes(), changes()), min_size=4, max_size=10))
@settings(max_examples=examples(90), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nothing_is_taken_newly_that_another_has(store: Store, history: list[Any]) -> None:
    """What two appointments have in common they had before, or one of them was booked over the other."""
    await emptied(store)
    await create(store, role("r"), schedule("s", P), slot("a"), slot("b", "10:30", "11:00"))
    await create(store, schedule("t", Q, "Location/m"), slot("k", schedule="t"))
    have: dict[str, Resource] = {}
    for wanted in history:
        if isinstance(wanted, tuple):
            if wanted[0] not in have:
                continue
            merged = have[wanted[0]] | wanted[1]
            wanted = {name: value for name, value in merged.items() if value is not None}
        try:
            await store.transact(settling(wanted, overbooks="key-1", fills_slots=False))
        except Refused as refused_:
            event(refused_.problems[0].code)
            continue
        before, have[wanted["id"]] = have.get(wanted["id"]), await stored(store, "Appointment", wanted["id"])
        event("changed" if before else "made")
        after = have[wanted["id"]]
        for other in have.values():
            if other["id"] != after["id"] and occupancy.reason(after) is None:
                for name, quarters in taken(after).items():
                    common = quarters & taken(other).get(name, set())
                    had = taken(before).get(name, set()) if before and occupancy.reason(before) is None else set()
                    assert common <= had, f"{name}: {common - had} is {other['id']}'s"


SPANS = [span(*pair) for pair in combinations(("10:00", "10:15", "10:30", "10:45"), 2)]
stakes = st.builds(
    Stake,
    when=st.sampled_from([None, *SPANS]),
    people=st.sampled_from([(), (P,), (Q,), (P, Q)]),
    slots=st.sampled_from([(), ("Slot/a",), ("Slot/a", "Slot/b")]),
    places=st.sampled_from([(), (ROOM,)]),
    beside=st.booleans(),
    overbooked=st.booleans(),
)


@given(stakes, stakes)
def test_what_takes_more_is_decided_anew(one: Stake, other: Stake) -> None:
    assert not one.takes_more_than(other) or one.asks_more_than(other)
    assert not one.takes_more_than(one)
    if not one.takes_more_than(other):
        assert set(one.slots) <= set(other.slots)
        assert set(one.people) <= set(other.people)
        assert one.when == other.when or (one.when and other.when and not one.when.without(other.when))
