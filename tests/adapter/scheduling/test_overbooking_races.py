"""Who gives up an overbooking meets whoever goes by it: it stands in their way from then on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapter.errors import Conflict
from adapter.scheduling import commands, occupancy
from adapter.scheduling.wish import MOVING
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.sharing import EXTENSIONS, Step, fhir_changes, group, over
from tests.adapter.scheduling.support import (
    advancing,
    at,
    linking,
    of_q,
    role,
    schedule,
    settling,
    slot,
    statuses,
    visit,
)
from tests.store.support import create, present, side_by_side


async def fhir(work: UnitOfWork) -> object:
    """Give up the overbooking by an update."""
    before = await present(work, "Appointment", "x")
    return await settling(occupancy.overbooking(before, None, EXTENSIONS))(work)


async def mediloop(work: UnitOfWork) -> Resource:
    """Give it up by a move to the time that it has."""
    before = await present(work, "Appointment", "x")
    moved = occupancy.overbooking({**before, "start": at("10:00")}, None, EXTENSIONS)
    return commands.stage(work, before, await commands.reschedule(work, before, moved, slot_id=None, names=MOVING))


Case = tuple[list[Resource], Step]

IN_A_ROLE = visit("y", who=("PractitionerRole/r",))
IN_A_GROUP = visit("y", **linking("g"))
BESIDE: dict[str, Case] = {
    "a role changes hands": ([role("r"), IN_A_ROLE, over(of_q("x"))], settling(role("r", "q"))),
    "a slot has room for fewer": (
        [schedule(), group("g", 2, status="busy"), IN_A_GROUP, over(visit("x", **linking("g")))],
        settling(group("g", 1, status="busy")),
    ),
    "a schedule gets another practitioner": (
        [schedule(), group("g", 3), IN_A_GROUP, over(visit("x", **linking("g")))],
        settling(schedule("s", "Practitioner/q")),
    ),
    "a copy comes in": ([over(visit("x"))], settling(visit("y"), copied=True)),
    "a copy takes a slot": (
        [schedule(), slot("a", status="busy"), over(visit("x", who=(), **linking("a")))],
        settling(of_q("y", **linking("a")), copied=True),
    ),
    "a copy takes the room": (
        [
            schedule("s", "Location/l"),
            slot("a", status="busy"),
            slot("b", "10:15", "10:45"),
            over(visit("x", who=(), **linking("a"))),
        ],
        settling(of_q("y", "10:15", "10:45", **linking("b")), copied=True),
    ),
}


@pytest.mark.parametrize("door", [fhir, mediloop])
@pytest.mark.parametrize("beside", BESIDE)
async def test_an_overbooking_is_not_given_up_unseen(store: Store, beside: str, door: Step) -> None:
    standing, step = BESIDE[beside]
    await create(store, *standing)
    results = await side_by_side(store, door, step)
    assert [type(one) for one in results if isinstance(one, Exception)] == [Conflict]


@pytest.mark.parametrize("books", [fhir_changes, advancing])
@pytest.mark.parametrize("leaves", [fhir_changes, advancing])
async def test_who_is_booked_while_the_other_leaves_the_slot_makes_it_busy(
    store: Store, books: Callable[..., Step], leaves: Callable[..., Step]
) -> None:
    held, pending = slot("a", status="busy"), over(visit("y", status="pending", **linking("a")))
    # The first document with several values in an index changes that index: that alone would make the two meet.
    before = visit("before", "08:00", "09:30", who=("Practitioner/p", "Location/l"))
    await create(store, schedule(), held, before, visit("x", **linking("a")), pending)
    await side_by_side(store, leaves("x", "cancelled"), books("y", "booked"))
    assert await statuses(store, "a") == ["busy"]
