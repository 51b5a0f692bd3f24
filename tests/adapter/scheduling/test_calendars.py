"""What is in the way of computed openings: Slots for several, whoever a visit names, what the same set writes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import pytest

from adapter.scheduling import calendars, claiming
from adapter.scheduling.lookup import Wanted
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling import looking
from tests.adapter.scheduling.sharing import group
from tests.adapter.scheduling.support import (
    NOT_HELD,
    at,
    linking,
    refused,
    role,
    schedule,
    settle_all,
    slot,
    span,
    visit,
)
from tests.adapter.scheduling.weekly import parameters, weekly
from tests.store.support import create

DAY = span("00:00", "23:59")
MRI = "HealthcareService/mri"
GRID = parameters(duration=30, alignmentInterval=15)
HOURS = weekly()["extension"]
TEN, QUARTER, HALF = (f"w.20240120T{clock}Z.30" for clock in ("1000", "1015", "1030"))
TAKEN = [("slot_unavailable", "Appointment.slot[0]", 0)]


def nameless(ident: str, start: str, end: str, name: str) -> Resource:
    """A visit that names a Slot and no practitioner."""
    return visit(ident, start, end, who=(), **linking(name))


async def offered(store: Store, **wanted: Any) -> list[str]:
    return [one.ident for one in await looking.openings(store, Wanted(DAY, **wanted), zone=UTC)]


# Slots for several.


@pytest.mark.parametrize("name", [TEN, "group"])
@pytest.mark.parametrize("actor", [MRI, "Practitioner/p", "Location/l"])
async def test_a_slot_for_several_is_a_published_one_whatever_its_id(store: Store, name: str, actor: str) -> None:
    await create(store, weekly("w", *HOURS, GRID, actors=(actor,)), group(name, 2, schedule="w"))
    await settle_all(store, nameless("x", "10:00", "10:30", name))
    assert await refused(store, nameless("z", "10:15", "10:45", QUARTER)) == TAKEN
    there = await offered(store)
    assert [one for one in there if one == name or "T10" in one] == [name, HALF, "w.20240120T1045Z.30"]
    await settle_all(store, nameless("y", "10:00", "10:30", name))
    assert await refused(store, nameless("z", "10:00", "10:30", name)) == TAKEN
    assert [one for one in await offered(store) if one in (name, TEN, QUARTER)] == []


async def test_who_leaves_a_slot_for_several_passes_over_the_others_in_it_no_more_than_anybody(store: Store) -> None:
    await create(store, weekly("w", *HOURS, GRID, actors=(MRI,)), group(TEN, 2, schedule="w"))
    await settle_all(store, nameless("x", "10:00", "10:30", TEN), nameless("y", "10:00", "10:30", TEN))
    moved = nameless("x", "10:15", "10:45", QUARTER)
    assert await refused(store, moved) == TAKEN
    await settle_all(store, nameless("y", "10:00", "10:30", TEN) | {"status": "cancelled"})
    await settle_all(store, moved)


async def test_who_is_found_in_one_by_a_later_query_is_in_the_way_as_well(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_MOST", 1)
    await create(store, weekly("w", *HOURS, GRID, actors=(MRI,)), group("empty", 2, "10:30", "10:45", schedule="w"))
    await create(store, group("group", 2, schedule="w"))
    await settle_all(store, nameless("x", "10:00", "10:30", "group"))
    assert await refused(store, nameless("z", "10:15", "10:45", QUARTER)) == TAKEN


# Whoever a visit names.


K = {"system": "urn:k", "value": "7"}
BUFFERED = parameters(duration=30, bufferAfter=30, alignmentInterval=30)


def by_contained_role(ident: str, start: str, end: str, who: str = "Practitioner/p") -> Resource:
    """A visit of a practitioner who is named through a contained role."""
    role = {"resourceType": "PractitionerRole", "id": "k", "practitioner": {"reference": who}}
    return visit(ident, start, end, who=("#k",), contained=[role])


def by_identifier(ident: str, start: str, end: str) -> Resource:
    one = visit(ident, start, end, who=())
    doctor = {"actor": {"type": "Practitioner", "identifier": K}, "status": "accepted"}
    return {**one, "participant": [*one["participant"], doctor]}


THEIRS = {"Practitioner/p": by_contained_role, K["value"]: by_identifier}


@pytest.mark.parametrize("actor", list(THEIRS))
async def test_a_visit_is_in_the_way_however_its_practitioner_is_named(store: Store, actor: str) -> None:
    schedule = weekly("w", *HOURS, BUFFERED)
    if actor == K["value"]:
        schedule["actor"] = [{"type": "Practitioner", "identifier": K}]
    await create(store, schedule)
    await settle_all(store, THEIRS[actor]("x", "11:00", "11:30"))
    # The one before would have its buffer in the visit; nobody is behind the first Slot of the window.
    assert await offered(store) == [f"w.20240120T{clock}Z.30" for clock in ("0900", "0930", "1000", "1130")]
    assert await refused(store, nameless("y", "10:30", "11:00", HALF)) == TAKEN
    await settle_all(store, nameless("y", "10:00", "10:30", TEN))


@pytest.mark.parametrize("status", NOT_HELD)
async def test_a_visit_that_holds_no_time_is_in_no_openings_way(store: Store, status: str) -> None:
    await create(store, weekly("w"), visit("x", status=status))
    assert TEN in await offered(store)


async def test_two_openings_in_one_set_see_a_visit_of_who_is_contained(store: Store) -> None:
    await create(store, weekly("w"))
    await settle_all(store, by_contained_role("x", "11:00", "11:30"))
    early, late = "w.20240120T0930Z.30", "w.20240120T1100Z.30"
    both = (nameless("y", "09:30", "10:00", early), nameless("z", "11:00", "11:30", late))
    assert await refused(store, *both) == [("slot_unavailable", "Appointment.slot[0]", 1)]


@pytest.mark.parametrize("wanted", [{}, {"actors": (("Practitioner/p",),)}, {"actors": (("Location/l",),)}])
async def test_a_published_slot_is_not_offered_whose_practitioner_has_such_a_visit(store: Store, wanted: Any) -> None:
    await settle_all(store, by_contained_role("x", "11:00", "11:30"))
    await create(store, schedule("s"), slot("early", "09:00", "09:30"), slot("late", "11:00", "11:30"))
    assert await offered(store, **wanted) == ["early"]


# Slots that are written by hand.


async def test_a_slot_that_is_closed_by_hand_keeps_no_buffer_and_one_that_was_an_error_nothing(store: Store) -> None:
    error = slot("error", "09:30", "10:00", status="entered-in-error", schedule="w")
    closed = slot("closed", "11:00", "11:30", status="busy-unavailable", schedule="w")
    await create(store, weekly("w", *HOURS, BUFFERED), error, closed)
    assert await offered(store) == [f"w.20240120T{clock}Z.30" for clock in ("0900", "0930", "1000", "1130")]


async def test_an_opening_whose_slot_was_an_error_is_not_offered(store: Store) -> None:
    await create(store, weekly("w"), slot(TEN, status="entered-in-error", schedule="w"))
    assert [one for one in await offered(store) if "T10" in one] == [HALF]
    assert await refused(store, nameless("x", "10:00", "10:30", TEN)) == [("unknown_slot", "Appointment.slot[0]", 0)]


# What the same set writes.


def blocked(ident: str = "blk", status: str = "busy-unavailable") -> Resource:
    return slot(ident, "09:00", "11:00", status=status, schedule="w")


@pytest.mark.parametrize("gone", ["Slot/blk", blocked(status="free")])
async def test_a_slot_that_the_set_deletes_or_frees_is_in_no_openings_way(store: Store, gone: Any) -> None:
    await create(store, weekly("w"), blocked())
    booked = nameless("x", "10:00", "10:30", TEN)
    assert await refused(store, booked) == TAKEN
    await settle_all(store, gone, booked)


async def test_a_slot_that_the_set_writes_is_in_the_way(store: Store) -> None:
    await create(store, weekly("w"))
    refusal = [("slot_unavailable", "Appointment.slot[0]", 1)]
    assert await refused(store, blocked(), nameless("x", "10:00", "10:30", TEN)) == refusal
    there = {**blocked(), "schedule": {"reference": "Schedule/v"}}
    elsewhere = nameless("y", "11:30", "12:00", "v.20240120T1130Z.30")
    await settle_all(store, weekly("v"), there, elsewhere, nameless("x", "10:00", "10:30", TEN))


@pytest.mark.parametrize("more", [{}, {"status": "arrived"}, {"comment": "comes by bus"}])
async def test_who_has_a_published_one_in_the_same_set_is_in_the_way(store: Store, more: Any) -> None:
    await create(store, weekly("w", *HOURS, GRID, actors=(MRI,)), slot("p", schedule="w"))
    has = nameless("x", "10:00", "10:30", "p")
    refusal = [("slot_unavailable", "Appointment.slot[0]", 1)]
    if more:
        await settle_all(store, has)
    assert await refused(store, {**has, **more}, nameless("y", "10:15", "10:45", QUARTER)) == refusal
    await settle_all(store, {**has, **more}, nameless("y", "10:30", "11:00", HALF))


async def test_a_role_that_changes_hands_in_the_set_takes_its_visits_along(store: Store) -> None:
    await create(store, role("r"), weekly("w"))
    await settle_all(store, visit("x", "10:00", "10:30", who=("PractitionerRole/r",)))
    booked = visit("y", "10:00", "10:30", **linking(TEN))
    assert TAKEN[0] in await refused(store, booked)
    await settle_all(store, role("r", "q"), booked)


async def test_a_role_that_comes_in_the_set_brings_its_visits(store: Store) -> None:
    await create(store, role("r", "q"), weekly("w"))
    await settle_all(store, visit("x", "10:00", "10:30", who=("PractitionerRole/r",)))
    refusal = [("slot_unavailable", "Appointment.slot[0]", 1)]
    assert await refused(store, role("r"), nameless("y", "10:00", "10:30", TEN)) == refusal


# Ids.


@pytest.mark.parametrize(
    "more", [{"schedule": {"reference": "Schedule/s"}}, {"start": at("10:00", 27), "end": at("10:30", 27)}]
)
async def test_an_opening_is_not_offered_whose_id_another_slot_has(store: Store, more: Any) -> None:
    await create(store, schedule("s", "Practitioner/q"), {**slot(TEN, status="busy", schedule="w"), **more})
    await create(store, weekly("w"))
    there = [one for one in await offered(store) if "T10" in one]
    assert there == [HALF]
    await settle_all(store, nameless("x", "10:30", "11:00", HALF))


@pytest.mark.parametrize("start", ["09:15", "08:30"])
async def test_a_visit_that_began_before_the_time_that_is_asked_for_is_in_the_way(store: Store, start: str) -> None:
    await create(store, weekly("w"), visit("x", start, "10:15"))
    found = await looking.openings(store, Wanted(span("10:00", "11:00")), zone=UTC)
    assert [one.ident for one in found] == [HALF]


@pytest.mark.parametrize(
    ("wide", "start", "end"),
    [
        ({"duration": 60}, "11:15", "11:30"),
        ({"duration": 10, "bufferAfter": 50}, "11:15", "11:30"),
        ({"duration": 10, "bufferBefore": 50}, "09:30", "09:45"),
    ],
)
async def test_as_much_is_looked_at_as_the_widest_opening_needs(
    store: Store, wide: dict[str, int], start: str, end: str
) -> None:
    narrow = weekly("v", *HOURS, parameters(duration=10), actors=("Practitioner/q",))
    await create(store, narrow, weekly("w", *HOURS, parameters(alignmentInterval=30, **wide)))
    wanted = Wanted(span("10:30", "10:50"))
    ours = f"w.20240120T1030Z.{wide['duration']}"
    assert ours in [one.ident for one in await looking.openings(store, wanted, zone=UTC)]
    await create(store, visit("x", start, end))
    found = await looking.openings(store, wanted, zone=UTC)
    assert [one.ident for one in found] == ["v.20240120T1030Z.10", "v.20240120T1040Z.10"]


class Shelf:
    """Has services, whatever is asked for: of several Schedules at once all of theirs are found."""

    def __init__(self, *services: Resource) -> None:
        self._services = services

    async def find(self, kind: str, query: Mapping[str, Any]) -> list[Resource]:
        """Return them."""
        return list(self._services)


def of_kind(code: str) -> list[Resource]:
    return [{"coding": [{"display": "?"}, {"system": "urn:kinds", "code": code}]}]


def service(ident: str, minutes: int, *places: str, kind: str = "eyes", **more: Any) -> Resource:
    located = {"location": [{"reference": name} for name in places]}
    lasting = {"extension": [parameters(duration=minutes)], "type": of_kind(kind)}
    return {"resourceType": "HealthcareService", "id": ident, **lasting, **located, **more}


P, L = "Practitioner/p", "Location/l"


@pytest.mark.parametrize(
    ("actors", "services", "minutes"),
    [
        ((P, L), [service("a", 10, kind="teeth"), service("b", 20)], 20),
        ((P, L), [service("c", 15), service("b", 20)], 20),
        ((P, L), [service("b", 20, "Location/m"), service("c", 15, "Location/n", L)], 15),
        ((P, L), [service("b", 20, "Location/m"), service("c", 15, active=False)], 30),
        ((P,), [service("b", 20, "Location/m")], 20),
        ((P, L, "HealthcareService/a"), [service("a", 10, "Location/m", kind="teeth"), service("b", 20)], 10),
    ],
    ids=["its type", "the first", "its place", "none of these", "wherever", "by name"],
)
async def test_of_which_service_a_schedule_is(actors: tuple[str, ...], services: list[Resource], minutes: int) -> None:
    there = weekly("w", actors=actors, serviceType=of_kind("eyes"))
    [made] = await calendars.read(Shelf(*services), [there], UTC)
    assert made.table.minutes == minutes
