"""The work that a set of changes needs grows as the set does: twice the lines run for twice the changes, no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapter.errors import Conflict
from adapter.scheduling import settling, visits
from adapter.scheduling.settling import Change, settle
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.growth import SLACK, lines_run
from tests.adapter.scheduling.sharing import group
from tests.adapter.scheduling.support import linking, refused, role, schedule, slot, visit
from tests.store.support import create

FEW, MANY = 15, 60


def place(number: int) -> str:
    return f"Location/{number}"


def slots(number: int) -> list[Resource]:
    return [slot(f"new{number}", schedule=f"s{number}")]


def slots_of_rooms(number: int) -> list[Resource]:
    return [slot(f"new{number}", schedule=f"r{number}")]


def bookings(number: int) -> list[Resource]:
    return [visit(f"v{number}", who=(f"Practitioner/{number}",), **linking(str(number)))]


def seeking(number: int) -> list[Resource]:
    return [visit(f"v{number}", who=(f"PractitionerRole/{number}",))]


def rooms(number: int) -> list[Resource]:
    who = f"Practitioner/{number}"
    return [visit(f"v{number}", who=(who, place(number)), **linking(str(number), f"r{number}"))]


def slots_and_bookings(number: int) -> list[Resource]:
    taken = slot(f"new{number}", "11:00", "11:30", schedule=f"s{number}")
    taken["status"] = "busy"
    return [taken, visit(f"v{number}", "11:00", "11:30", who=(f"Practitioner/{number}",), **linking(f"new{number}"))]


def schedules(number: int) -> list[Resource]:
    return [schedule(f"new{number}", f"Practitioner/{number}")]


def roles(number: int) -> list[Resource]:
    return [role(f"new{number}", f"{number}")]


def together(number: int) -> list[Resource]:
    return [visit(f"v{number}", "12:00", "12:30", who=("Practitioner/0",), **linking("group"))]


def joining(number: int) -> list[Resource]:
    return [visit(f"v{number}", "12:00", "12:30", who=("Practitioner/0",))]


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize(
    "made", [slots, slots_of_rooms, bookings, seeking, rooms, slots_and_bookings, schedules, roles, together, joining]
)
async def test_work_grows_as_the_set_does(store: Store, made: Callable[[int], list[Resource]], copied: bool) -> None:
    await create(store, *(schedule(f"s{n}", f"Practitioner/{n}") for n in range(MANY)))
    await create(store, *(schedule(f"r{n}", place(n)) for n in range(MANY)))
    await create(store, *(slot(f"{n}", schedule=f"s{n}") for n in range(MANY)))
    await create(store, *(slot(f"r{n}", schedule=f"r{n}") for n in range(MANY)))
    await create(store, *(role(f"{n}", f"{n}") for n in range(MANY)))
    await create(store, group("group", MANY, "12:00", "12:30", schedule="s0"))

    async def lines(count: int) -> int:
        # A copy that names no Slot holds none, unless it was not sent as such.
        whole = made is not joining
        changes = [Change(None, one, one if whole else None) for number in range(count) for one in made(number)]
        with lines_run() as counted:
            await store.transact(lambda work: settle(work, changes, fills_slots=True, copied=copied))
        return counted[0]

    few = await lines(FEW)
    assert few > FEW  # something was counted
    assert await lines(MANY) <= few * SLACK * MANY / FEW


async def test_so_does_a_refusal_of_all_by_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first name all that are in their way, and each of the others one: as many are named."""
    monkeypatch.setattr(visits, "MOST_NAMED", 2)

    async def lines(count: int) -> int:
        changes = [Change(None, one, one) for one in (visit(f"v{number}") for number in range(count))]
        with lines_run() as counted, pytest.raises(Conflict) as raised:
            await store.transact(lambda work: settle(work, changes, fills_slots=True))
        problems = raised.value.problems
        assert [problem.entry for problem in problems] == [*range(count)]
        told = [problem.details["appointments"] for problem in problems]
        every = [f"v{number}" for number in range(count)]
        assert told == [every[1:], [every[0], *every[2:]], *([every[0]] for _ in every[2:])]
        return counted[0]

    assert await lines(MANY) <= await lines(FEW) * SLACK * MANY / FEW


async def test_many_are_judged_beside_other_requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_FEW", 1)
    assert await refused(store, visit("x"), visit("y")) == [("time_conflict", "Appointment.start", n) for n in (0, 1)]
