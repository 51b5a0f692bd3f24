"""Who is named by an absolute URL has the time, the Slot or the room of that id here: nobody is booked twice so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest

from adapter.errors import Conflict
from adapter.scheduling import free_slots
from adapter.scheduling.lookup import Wanted
from store.source import Documents
from store.store import Store
from tests.adapter.scheduling import looking
from tests.adapter.scheduling.support import (
    ABROAD,
    HERE,
    advance,
    book,
    linking,
    links,
    publish_day,
    refused,
    role,
    schedule,
    settle_all,
    slot,
    span,
    statuses,
    visit,
)
from tests.adapter.scheduling.test_actor_changes import ROLE_REFUSED, group
from tests.adapter.scheduling.test_verifying import at_rest, found, kinds, rewrite
from tests.adapter.scheduling.weekly import available, away, open_on, weekly
from tests.store.support import create, explain

P, Q, ROLE, ROOM = "Practitioner/p", "Practitioner/q", "PractitionerRole/r", "Location/room"
BASES = pytest.mark.parametrize("bases", [(), HERE], ids=["unset", "elsewhere"])


def abroad(value: Any) -> Any:
    """The same with all references as those of another server."""
    if isinstance(value, list):
        return [abroad(one) for one in value]
    if isinstance(value, dict):
        return {
            name: f"{ABROAD}/{one}" if name == "reference" and "://" not in one else abroad(one)
            for name, one in value.items()
        }
    return value


@BASES
async def test_a_role_whose_practitioner_is_named_so_is_theirs(store: Store, bases: tuple[str, ...]) -> None:
    await settle_all(store, abroad(role("r")), visit("x", who=(ROLE,)), bases=bases)
    assert [one[0] for one in await refused(store, visit("y"), bases=bases)] == ["time_conflict"]
    with pytest.raises(Conflict):
        await book(store, visit("y"))


@BASES
async def test_a_role_that_is_named_so_is_not_given_to_who_is_busy(store: Store, bases: tuple[str, ...]) -> None:
    await settle_all(store, role("r"), visit("x", who=(f"{ABROAD}/{ROLE}",)), visit("y", who=(Q,)), bases=bases)
    assert [one[:2] for one in await refused(store, role("r", "q"), bases=bases)] == [ROLE_REFUSED[0][:2]]


@BASES
async def test_a_schedule_that_names_its_role_so_goes_with_the_role(store: Store, bases: tuple[str, ...]) -> None:
    await create(store, role("r"), abroad(schedule("t", ROLE)), group())
    await settle_all(store, visit("x", **linking("g")), visit("y", **linking("g")), bases=bases)
    assert await refused(store, role("r", "q"), bases=bases) == ROLE_REFUSED


async def test_a_slot_that_names_its_schedule_so_goes_with_the_schedule(store: Store) -> None:
    await create(store, schedule("t", P), abroad(group()))
    await settle_all(store, visit("x", **linking("g")), visit("y", **linking("g")))
    assert [one[:2] for one in await refused(store, schedule("t", Q))] == [("time_conflict", "Schedule.actor")]


@BASES
async def test_a_room_that_a_schedule_names_so_is_had_once(store: Store, bases: tuple[str, ...]) -> None:
    await create(store, schedule("a", ROOM), abroad(schedule("b", ROOM)))
    await create(store, slot("a", schedule="a"), slot("b", schedule="b"))
    await settle_all(store, visit("x", who=(), **linking("b")), bases=bases)
    other = visit("y", who=(), **linking("a"))
    assert [one[0] for one in await refused(store, other, bases=bases)] == ["slot_unavailable"]


@pytest.mark.parametrize("door", [book, settle_all])
async def test_a_schedule_that_names_somebody_so_offers_their_slots(store: Store, door: Any) -> None:
    await create(store, abroad(schedule("s", P)), slot("a"))
    await door(store, visit("x"))
    assert await statuses(store, "a") == ["busy"]
    assert links((await settle_all(store, visit("x", comment="!")))[0]) == ["Slot/a"]


async def test_of_two_noshows_that_name_their_slot_so_the_first_does_not_give_it_back(store: Store) -> None:
    await publish_day(store)
    for ident in "xy":
        await settle_all(store, abroad(visit(ident, **linking("a"))))
        await advance(store, ident, "noshow")
    await settle_all(store, "Appointment/x")
    assert await statuses(store, "a") == ["busy"]
    await settle_all(store, "Appointment/y")
    assert await statuses(store, "a") == ["free"]


# What is open.


async def offered(store: Store, *actors: str, **wanted: Any) -> list[str]:
    asked = Wanted(span("00:00", "23:59"), (actors,) if actors else (), **wanted)
    found = await looking.openings(store, asked, zone=UTC)
    page, total = await looking.first(store, replace(asked, limit=1), zone=UTC)
    assert [one.ident for one in page] == [one.ident for one in found][:1]
    assert total == len(found)
    return [one.ident for one in found]


async def test_who_is_named_so_has_no_opening_then(store: Store) -> None:
    hours = available(open_on("", "10:00", "13:00"))
    await create(store, weekly("w", hours), abroad(visit("x", "11:00", "11:30")))
    await create(store, abroad(slot("shut", "12:00", "12:30", status="busy-unavailable", schedule="w")))
    times = [name[-8:-3] for name in await offered(store)]
    assert times == ["1000Z", "1030Z", "1130Z", "1230Z"]
    assert await offered(store, P) == await offered(store)


async def test_a_schedule_that_names_somebody_so_is_offered_as_theirs(store: Store) -> None:
    hours = available(open_on("", "12:00", "13:00"))
    await create(store, abroad(schedule("s", P, ROOM)), slot("a"), abroad(weekly("w", hours, actors=(P,))))
    every = await offered(store)
    assert len(every) == 3
    assert await offered(store, P) == every
    assert await offered(store, ROOM) == ["a"]


async def test_a_slot_that_names_its_schedule_so_is_offered_with_it(store: Store) -> None:
    await create(store, schedule("s", P), schedule("t", Q, active=False), slot("b", "10:30", "11:00"))
    await create(store, abroad(slot("a")), abroad(slot("c", schedule="t")))
    assert await offered(store) == await offered(store, P) == ["a", "b"]
    assert await offered(store, Q) == []
    assert await offered(store, passed_over=frozenset({"Schedule/s"})) == []
    await book(store, visit("x"))
    assert await statuses(store, "a") == ["busy"]


async def test_a_slot_that_names_its_schedule_so_is_closed_by_its_leave(store: Store) -> None:
    hours = available(open_on("", "08:00", "09:00"), away("2024-01-20", "2024-01-20"))
    await create(store, weekly("w", hours), abroad(slot("a", schedule="w")))
    assert await offered(store) == await offered(store, P) == []


# What `mediloop-fhir check` says of them.


async def test_a_slot_that_is_named_so_has_an_owner(store: Store) -> None:
    await create(store, schedule(), slot("a", status="busy"), abroad(visit("x", **linking("a"))))
    await at_rest(store)
    assert await kinds(store) == {}
    await rewrite(store, "Slot", "a", status="free")
    assert await kinds(store) == {"slot-not-busy": {"Slot/a"}}


async def test_a_room_that_two_have_at_once_is_told_however_they_name_it(store: Store) -> None:
    await create(store, schedule("a", ROOM), abroad(schedule("b", ROOM)))
    for hour in range(8, 14):  # more than the check reads at once, by turns
        here, there = f"a{hour}", f"b{hour}"
        half, end = f"{hour:02}:30", f"{hour:02}:50"
        await create(store, slot(here, f"{hour:02}:00", half, status="busy", schedule="a"))
        await create(store, abroad(slot(there, half, end, status="busy", schedule="b")))
        await create(store, visit(here, f"{hour:02}:00", half, who=(), **linking(here)))
        await create(store, abroad(visit(there, half, end, who=(), **linking(there))))
    await at_rest(store)
    assert await kinds(store) == {}
    await create(store, slot("c", "12:40", "13:10", status="busy", schedule="a"))
    await create(store, visit("c", "12:40", "13:10", who=(), **linking("c")))
    await at_rest(store)
    assert await kinds(store) == {"room-overlap": {"Appointment/c"}}
    first, second = sorted(one.message for one in await found(store))
    assert "Appointment/a13 and Appointment/c" in first
    assert "Appointment/b12 and Appointment/c" in second


# No more queries than before, and each by indexes.


async def test_they_are_found_by_indexes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(store, abroad(role("r")), abroad(schedule("t", ROLE)), abroad(group()), abroad(schedule("u", ROOM)))
    await create(store, slot("room", schedule="u"))
    asked: list[tuple[str, Any]] = []
    real = Documents.documents

    async def documents(self: Documents, kind: str, query: Any, **options: Any) -> Any:
        asked.append((kind, query))
        return await real(self, kind, query, **options)

    monkeypatch.setattr(Documents, "documents", documents)
    await settle_all(store, visit("x", who=(ROLE,), **linking("g", "room")))
    await settle_all(store, visit("x", status="noshow"))
    await settle_all(store, visit("x", status="entered-in-error"))
    await book(store, visit("y"))
    await settle_all(store, role("r", "q"), schedule("t", Q))
    monkeypatch.undo()
    named = {(kind, name) for kind, query in asked for name in str(query).split("'") if name.endswith(":named")}
    assert named == {
        ("PractitionerRole", "_index.practitioner:named"),
        ("Schedule", "_index.actor:named"),
        ("Slot", "_index.schedule:named"),
        ("Appointment", "_index.actor:named"),
        ("Appointment", "_index.slot:named"),
    }
    for kind, query in asked:
        plan = await explain(store, kind, query)
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]), (kind, query)


@pytest.mark.parametrize("groups", [((P,),), ((P, ROLE), (ROOM,))])
async def test_a_schedule_that_names_somebody_so_is_found_by_an_index(store: Store, groups: Any) -> None:
    await create(store, abroad(schedule("s", P, ROOM)), schedule("t", ROLE, ROOM), schedule("u", Q))
    query = free_slots.matching(groups)
    plan = await explain(store, "Schedule", query)
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
    assert sorted(await store.keys("Schedule", query, limit=0)) == ["s", "t"][: len(groups)]


# What is offered.


async def test_a_slot_of_a_schedule_by_address_is_not_offered_while_its_practitioner_is_engaged(store: Store) -> None:
    await create(store, schedule("s", P), abroad(slot("a")), slot("b", "11:00", "11:30"))
    await create(store, visit("x", "10:15", "10:45"))
    assert await offered(store) == ["b"]
    assert await offered(store, P) == ["b"]


async def test_nor_one_of_a_schedule_whose_practitioner_is_named_by_address(store: Store) -> None:
    await create(store, abroad(schedule("s", P)), slot("a"), slot("b", "11:00", "11:30"))
    await create(store, visit("x", "10:15", "10:45"))
    assert await offered(store) == ["b"]


async def test_nor_one_while_a_visit_names_its_practitioner_by_address(store: Store) -> None:
    await create(store, schedule("s", P), slot("a"), slot("b", "11:00", "11:30"))
    await create(store, abroad(visit("x", "10:15", "10:45")))
    assert await offered(store) == ["b"]
    assert await offered(store, P) == ["b"]


async def test_what_names_several_schedules_is_no_reason_to_offer_nothing(store: Store) -> None:
    """No door stores such a Slot: somebody has put it there by hand."""
    await create(store, schedule("s", P), abroad(slot("a")), slot("b", "11:00", "11:30"))
    several = {"_index.schedule": [f"{ABROAD}/Schedule/s", "Schedule/t"]}
    await store.database["Slot"].update_one({"_id": "a"}, {"$set": several})
    try:
        assert await offered(store, P) == ["b"]
    finally:  # an index that has had a list once never again answers without a look at documents
        await store.database["Slot"].drop()
        await store.prepare()


async def test_nor_one_of_a_room_that_is_named_by_address(store: Store) -> None:
    beside = slot("b", "10:15", "10:45", schedule="t")
    await create(store, schedule("s", ROOM), abroad(schedule("t", ROOM)), abroad(slot("a")), beside)
    await create(store, slot("c", "11:00", "11:30"), visit("x", "10:15", "10:45", who=(), **linking("b")))
    await settle_all(store, {**beside, "status": "busy"})
    assert await offered(store) == ["c"]
    assert await offered(store, ROOM) == ["c"]


async def test_nor_one_of_a_room_that_is_had_since_the_day_before(store: Store) -> None:
    since = {**slot("a"), "start": "2024-01-19T23:00:00Z", "end": "2024-01-20T11:00:00Z", "status": "busy"}
    await create(store, schedule("s", ROOM), abroad(since), slot("b"), visit("x", who=(), **linking("a")))
    assert await offered(store) == []
