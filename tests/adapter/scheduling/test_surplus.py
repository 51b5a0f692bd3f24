"""Slots that an appointment has no more use for go back: of who takes part no longer, and outside of its time."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling.claimset import ClaimSet, Draft
from adapter.scheduling.people import People
from adapter.scheduling.reading import Stored
from adapter.scheduling.settling import decide
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import (
    linking,
    links,
    move,
    publish_day,
    refused,
    role,
    schedule,
    settle_all,
    slot,
    statuses,
    visit,
)
from tests.store.support import create, stored

P, Q, ROOM = "Practitioner/p", "Practitioner/q", "Location/l"


async def two(store: Store, *more: Resource, who: tuple[str, ...] = (P, Q), **members: Any) -> Resource:
    """A day of p and q, and a visit x of both, in the first Slot of each."""
    await create(store, schedule("s", P), slot("a"), slot("b", "10:30", "11:00"), schedule("t", Q), *more)
    await create(store, slot("k", schedule="t"), slot("m", "10:30", "11:00", schedule="t"))
    return (await settle_all(store, visit("x", who=who, **members)))[0]


def without(appointment: Resource, *names: str) -> Resource:
    staying = [one for one in appointment["participant"] if one["actor"].get("reference") not in names]
    return {**appointment, "participant": staying}


# Whose people, or room, take part no longer.


async def test_who_takes_part_no_longer_gets_the_slot_back(store: Store) -> None:
    made = await two(store)
    assert links(made) == ["Slot/a", "Slot/k"]
    after, *freed = await settle_all(store, without(made, Q))
    assert (links(after), [(one["id"], one["status"]) for one in freed]) == (["Slot/a"], [("k", "free")])
    assert links(await stored(store, "Appointment", "x")) == ["Slot/a"]
    assert links((await settle_all(store, visit("y", who=(Q,))))[0]) == ["Slot/k"]
    await settle_all(store, {**after, "end": "2024-01-20T10:20:00Z"})


async def test_the_first_of_two_may_go_as_well(store: Store) -> None:
    made = await two(store, slot=[{"reference": "Slot/a"}, {"reference": "Slot/k", "display": "q's"}])
    after, *_ = await settle_all(store, without(made, P))
    assert after["slot"] == [{"reference": "Slot/k", "display": "q's"}]
    assert await statuses(store, "a", "k") == ["free", "busy"]


@pytest.mark.parametrize(("owner", "beside"), [("HealthcareService/h", ROOM), (Q, "HealthcareService/h")])
async def test_a_slot_is_its_practitioners_or_its_services_before_it_is_anybody_elses(
    store: Store, owner: str, beside: str
) -> None:
    await create(store, schedule("s", P), slot("a"), schedule("t", owner, beside), slot("k", schedule="t"))
    [made, *_] = await settle_all(store, visit("x", who=(P, owner, beside), **linking("a", "k")))
    assert links((await settle_all(store, without(made, owner)))[0]) == ["Slot/a"]
    assert await statuses(store, "a", "k") == ["busy", "free"]


async def test_one_of_the_same_set_may_have_it_at_once(store: Store) -> None:
    made = await two(store)
    await settle_all(store, without(made, Q), visit("y", who=(Q,), **linking("k")), fills_slots=False)
    assert await statuses(store, "a", "k") == ["busy", "busy"]


async def test_who_comes_in_a_role_instead_still_takes_part(store: Store) -> None:
    made = await two(store, role("r", "q"))
    instead = {**without(made, Q), "participant": visit("x", who=(P, "PractitionerRole/r"))["participant"]}
    assert links((await settle_all(store, instead))[0]) == ["Slot/a", "Slot/k"]


async def test_a_schedule_of_a_role_is_its_practitioners(store: Store) -> None:
    await create(store, role("r", "q"), schedule("s", P), slot("a"), schedule("t", "PractitionerRole/r"))
    await create(store, slot("k", schedule="t"))
    [made, *_] = await settle_all(store, visit("x", who=(P, Q)))
    assert links(made) == ["Slot/a", "Slot/k"]
    assert links((await settle_all(store, without(made, Q)))[0]) == ["Slot/a"]


async def test_who_declines_keeps_the_slot_until_taken_out(store: Store) -> None:
    made = await two(store)
    answer = {"resourceType": "AppointmentResponse", "id": "r", "appointment": {"reference": "Appointment/x"}}
    await settle_all(store, {**answer, "actor": {"reference": Q}, "participantStatus": "declined"})
    declined = await stored(store, "Appointment", "x")
    assert (links(declined), await statuses(store, "k")) == (links(made), ["busy"])
    shorter = {**declined, "end": "2024-01-20T10:20:00Z"}
    [after] = await settle_all(store, shorter)
    assert links(after) == ["Slot/a", "Slot/k"]
    assert links((await settle_all(store, without(after, Q)))[0]) == ["Slot/a"]
    assert await statuses(store, "a", "k") == ["busy", "free"]


@pytest.mark.parametrize("status", ["accepted", "declined"])
async def test_who_is_there_in_a_role_keeps_the_slot_when_somebody_leaves_who_has_none(
    store: Store, status: str
) -> None:
    made = await two(store, role("r", "q"), who=(P, "PractitionerRole/r", "Practitioner/z"))
    made["participant"][2]["status"] = status
    await settle_all(store, made)
    assert links((await settle_all(store, without(made, "Practitioner/z")))[0]) == ["Slot/a", "Slot/k"]


async def test_who_leaves_a_role_has_no_slot_of_a_schedule_that_has_changed_hands(store: Store) -> None:
    made = await two(store, role("r", "q"), who=(P, "PractitionerRole/r"))
    await settle_all(store, schedule("s", "Practitioner/new"))
    assert links((await settle_all(store, without(made, "PractitionerRole/r")))[0]) == ["Slot/a"]


async def test_what_the_others_have_must_go_on_covering_the_time(store: Store) -> None:
    made = await two(store, slot=[{"reference": "Slot/a"}, {"reference": "Slot/m"}], end="11:00")
    [after] = await settle_all(store, without(made, Q))
    assert links(after) == ["Slot/a", "Slot/m"]
    [after] = await settle_all(store, {**after, "end": "2024-01-20T10:50:00Z"})
    assert links(after) == ["Slot/a", "Slot/m"]
    await settle_all(store, {**after, "end": "2024-01-20T10:30:00Z"})
    assert await statuses(store, "a", "m") == ["busy", "free"]


async def test_the_last_one_leaves_the_slot_with_the_visit(store: Store) -> None:
    made = await two(store, who=(P,))
    [after] = await settle_all(store, without(made, P))
    assert (links(after), await statuses(store, "a")) == (["Slot/a"], ["busy"])


async def test_a_slot_left_over_from_before_goes_back_with_who_leaves_next(store: Store) -> None:
    await two(store, who=(P,))
    await settle_all(store, slot("k", status="busy", schedule="t"))
    await create(store, visit("old", who=(P, "Practitioner/r"), **linking("a", "k")))
    [after, freed] = await settle_all(store, visit("old", **linking("a", "k")))
    assert (links(after), freed["id"], freed["status"]) == (["Slot/a"], "k", "free")


# Whose Schedule has changed hands.


async def handed_over(store: Store) -> Resource:
    """A visit x of p in a room, whose Schedule is q's since; return x."""
    await create(store, schedule("s", P), slot("a"), schedule("t", ROOM), slot("k", schedule="t"))
    [made, *_] = await settle_all(store, visit("x", who=(P, ROOM), **linking("a", "k")))
    await settle_all(store, schedule("s", Q))
    return made


@pytest.mark.parametrize("door", ["FHIR", "FHIR without the links", "MediLoop"])
async def test_nobody_has_left_where_a_schedule_changes_hands(store: Store, door: str) -> None:
    shorter = {**await handed_over(store), "end": "2024-01-20T10:20:00Z"}
    if door == "MediLoop":
        after = await move(store, "x", "10:00", "10:20")
    else:
        sent = shorter if door == "FHIR" else {name: value for name, value in shorter.items() if name != "slot"}
        after = (await settle_all(store, sent))[0]
    assert links(after) == ["Slot/a", "Slot/k"]
    assert await statuses(store, "a", "k") == ["busy", "busy"]


@pytest.mark.parametrize("linked", [True, False])
async def test_who_comes_leaves_it_too_and_who_goes_gives_it_back(store: Store, linked: bool) -> None:
    made = await handed_over(store)
    link = linking("a", "k") if linked else {}
    assert links((await settle_all(store, visit("x", who=(P, "Practitioner/r", ROOM), **link)))[0]) == links(made)
    assert links((await settle_all(store, visit("x", who=("Practitioner/r", ROOM), **link)))[0]) == ["Slot/k"]
    assert await statuses(store, "a", "k") == ["free", "busy"]


@pytest.mark.parametrize("linked", [True, False])
async def test_who_leaves_has_left_their_own_slot_and_not_one_that_is_anothers_now(store: Store, linked: bool) -> None:
    made = await two(store)
    await settle_all(store, schedule("s", "Practitioner/r"))
    sent = without(made, Q)
    after, *freed = await settle_all(store, sent if linked else {**sent, "slot": []})
    assert (links(after), [(one["id"], one["status"]) for one in freed]) == (["Slot/a"], [("k", "free")])


async def test_a_room_that_is_taken_out_gets_its_slot_back(store: Store) -> None:
    await create(store, schedule("s", P), slot("a"), schedule("t", ROOM), slot("k", schedule="t"))
    [made, *_] = await settle_all(store, visit("x", who=(P, ROOM), **linking("a", "k")))
    assert links((await settle_all(store, without(made, ROOM)))[0]) == ["Slot/a"]
    assert await statuses(store, "a", "k") == ["busy", "free"]


async def test_a_room_that_was_taken_by_its_slot_alone_stays(store: Store) -> None:
    await create(store, schedule("s", P), slot("a"), schedule("t", ROOM), slot("k", schedule="t"))
    [made, *_] = await settle_all(store, visit("x", who=(P, Q), **linking("a", "k")))
    assert links((await settle_all(store, without(made, Q)))[0]) == ["Slot/a", "Slot/k"]


async def test_of_a_service_at_a_place_the_service_counts(store: Store) -> None:
    service = "HealthcareService/h"
    await create(store, schedule("s", P), slot("a"), schedule("t", service, ROOM), slot("k", schedule="t"))
    [made, *_] = await settle_all(store, visit("x", who=(P, service, ROOM), **linking("a", "k")))
    [still, *_] = await settle_all(store, without(made, ROOM))
    assert links(still) == ["Slot/a", "Slot/k"]
    assert links((await settle_all(store, without(still, service)))[0]) == ["Slot/a"]


async def test_a_practitioners_own_slot_elsewhere_is_told_not_given_back(store: Store) -> None:
    await create(store, schedule("s", P, "Location/m"), slot("a"), schedule("t", ROOM), slot("k", schedule="t"))
    made = (await settle_all(store, visit("x", who=(P, ROOM, "Location/m"), **linking("a", "k"))))[0]
    assert await refused(store, without(made, "Location/m")) == [("slot_mismatch", "Appointment.slot[0]", 0)]


async def test_a_copy_says_itself_what_it_holds(store: Store) -> None:
    made = await two(store)
    assert links((await settle_all(store, without(made, Q), copied=True))[0]) == ["Slot/a", "Slot/k"]


# Outside of its time.


@pytest.mark.parametrize("named", [("a", "d"), ("d", "a"), ("a", "b")])
async def test_a_slot_outside_of_the_time_is_refused(store: Store, named: tuple[str, ...]) -> None:
    await publish_day(store)
    param = f"Appointment.slot[{1 - named.index('a')}]"
    assert await refused(store, visit("x", **linking(*named))) == [("slot_mismatch", param, 0)]


async def test_so_it_is_for_a_visit_that_has_others(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    assert await refused(store, visit("x", **linking("a", "d"))) == [("slot_mismatch", "Appointment.slot[1]", 0)]


async def test_a_copy_keeps_it_beside_one_that_is_at_its_time(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    kept = await settle_all(store, visit("x", **linking("a", "d")), copied=True)
    assert links(kept[0]) == ["Slot/a", "Slot/d"]
    assert await refused(store, visit("x", **linking("d")), copied=True) == [("slot_mismatch", "Appointment.slot", 0)]


async def test_a_slot_without_a_time_is_outside_of_every_time(store: Store) -> None:
    await publish_day(store, slot("a"), slot("b", "10:30", "10:30"))
    assert await refused(store, visit("x", **linking("a", "b"))) == [("slot_mismatch", "Appointment.slot[1]", 0)]


@pytest.mark.parametrize(
    ("times", "left"), [(("10:00", "10:30"), "a"), (("10:30", "11:00"), "b"), (("10:10", "10:20"), "a")]
)
async def test_a_shorter_visit_gives_back_what_it_needs_no_more(
    store: Store, times: tuple[str, str], left: str
) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:00", "11:00"))
    [after, freed] = await settle_all(store, visit("x", *times, **linking("a", "b")))
    assert links(after) == [f"Slot/{left}"]
    assert (freed["id"], freed["status"]) == ("b" if left == "a" else "a", "free")


async def test_a_move_that_adds_its_new_slot_gives_the_old_one_back(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await settle_all(store, visit("x", "11:00", "11:30", **linking("a", "c")))
    assert await statuses(store, "a", "c") == ["free", "busy"]


async def test_the_slot_given_back_is_anothers_in_the_same_set(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:00", "11:00"))
    await settle_all(
        store, visit("x", **linking("a", "b")), visit("y", "10:30", "11:00", **linking("b")), fills_slots=False
    )
    assert links(await stored(store, "Appointment", "x")) == ["Slot/a"]
    assert links(await stored(store, "Appointment", "y")) == ["Slot/b"]
    assert await statuses(store, "a", "b") == ["busy", "busy"]


def test_the_decision_reads_the_links_and_leaves_the_draft_until_it_is_completed() -> None:
    before, after = visit("x", "10:00", "11:00", **linking("a", "b")), visit("x", **linking("a", "b"))
    slots = {"Slot/a": slot("a", status="busy"), "Slot/b": slot("b", "10:30", "11:00", status="busy")}
    stored = Stored(slots, {"Schedule/s": schedule()}, {}, People())
    world = decide(ClaimSet([Draft(0, before, after)]), stored, fills_slots=False)
    assert world.given_back == {"Appointment/x": frozenset({"Slot/b"})}
    assert links(after) == ["Slot/a", "Slot/b"]
