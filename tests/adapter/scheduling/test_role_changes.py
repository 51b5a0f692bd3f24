"""A role that gets another practitioner brings its appointments along: they are decided again."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict
from adapter.scheduling import claiming, occupancy, role_changes
from adapter.scheduling.occupancy import CAPACITY
from mappings.systems import DEFAULT_SYSTEMS
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.growth import SLACK, lines_run
from tests.adapter.scheduling.support import (
    booking,
    linking,
    moving,
    of_type,
    refused,
    role,
    schedule,
    settle_all,
    settling,
    slot,
    visit,
)
from tests.store.support import create, overtaken, side_by_side

ROLE = ("PractitionerRole/r",)
WALK_IN: dict[str, Any] = {"who": ROLE, "appointmentType": of_type("WALKIN")}
REFUSED = [("time_conflict", "PractitionerRole.practitioner", 0)]


def over(appointment: Resource) -> Resource:
    return occupancy.overbooking(appointment, "needed", DEFAULT_SYSTEMS.extensions)


@pytest.mark.parametrize("before", [[role("r", "q")], [role("r", None)], []], ids=["moved", "filled", "stored"])
async def test_a_role_is_not_given_to_somebody_who_is_busy_then(store: Store, before: list[Resource]) -> None:
    await create(store, *before, visit("x"), visit("y", "10:15", "10:45", who=ROLE), visit("z", "11:00", "11:30"))
    assert await refused(store, role("r")) == REFUSED
    with pytest.raises(Conflict) as raised:
        await settle_all(store, role("r"))
    assert raised.value.problems[0].details == {"appointments": ["y", "x"]}
    assert await settle_all(store, role("r", "other"))


@pytest.mark.parametrize(
    "standing",
    [
        [visit("x", "10:30", "11:00")],
        [visit("x", who=("Practitioner/q",))],
        [visit("x", status="cancelled")],
        [visit("x", appointmentType=of_type("WALKIN"))],
        [over(visit("x"))],
        [],
    ],
)
async def test_what_is_in_nobodys_way_does_not_keep_the_role(store: Store, standing: list[Resource]) -> None:
    await create(store, role("r", "q"), visit("y", who=ROLE), *standing)
    assert await settle_all(store, role("r"))


@pytest.mark.parametrize(
    "own",
    [
        visit("y", status="proposed", who=ROLE),
        visit("y", appointmentType=of_type("EMERGENCY"), who=ROLE),
        over(visit("y", who=ROLE)),
    ],
)
async def test_what_takes_no_time_comes_along(store: Store, own: Resource) -> None:
    await create(store, role("r", "q"), own, visit("x"))
    assert await settle_all(store, role("r"))


async def test_who_leaves_a_role_or_keeps_it_is_not_asked(store: Store) -> None:
    await create(store, role("r"), visit("y", who=ROLE), visit("x"))  # an overlap that stood already
    assert await settle_all(store, {**role("r"), "active": False})
    assert await settle_all(store, role("r", None))


async def test_two_roles_of_one_person_are_in_each_others_way(store: Store) -> None:
    await create(store, role("r", "q"), role("s"), visit("x", who=("PractitionerRole/s",)), visit("y", who=ROLE))
    assert await refused(store, role("r")) == REFUSED
    both = [*REFUSED, ("time_conflict", "PractitionerRole.practitioner", 1)]
    assert await refused(store, role("r", "n"), role("s", "n")) == both


async def test_the_set_is_judged_as_it_leaves_things(store: Store) -> None:
    await create(store, role("r", "q"), visit("x"), visit("y", who=ROLE))
    assert await refused(store, role("r"), {**visit("x"), "comment": "the same time"}) == REFUSED
    assert await refused(store, {**visit("y", who=ROLE), "comment": "the same time"}, role("r")) == [
        ("time_conflict", "PractitionerRole.practitioner", 1)
    ]
    assert await refused(store, role("r"), visit("x", "10:15", "10:45")) == [("time_conflict", "Appointment.start", 1)]
    assert await settle_all(store, role("r"), visit("x", "11:00", "11:30"))


async def test_a_visit_that_is_cancelled_with_it_is_in_nobodys_way(store: Store) -> None:
    await create(store, role("r", "q"), visit("x"), visit("y", who=ROLE))
    assert await settle_all(store, role("r"), visit("x", status="cancelled"))


async def test_who_shares_a_slot_of_the_role_goes_on_sharing_it(store: Store) -> None:
    group = {**slot("g", schedule="t"), "extension": [{"url": CAPACITY, "valueInteger": 3}]}
    sharing: list[Resource] = [visit(ident, who=ROLE, **linking("g")) for ident in ("y", "z")]
    await create(store, role("r", "q"), schedule("t", *ROLE), group, *sharing)
    assert await settle_all(store, role("r"))
    await create(store, visit("x", who=("Practitioner/n",)))
    assert await refused(store, role("r", "n")) == REFUSED
    with pytest.raises(Conflict) as raised:
        await settle_all(store, role("r", "n"))
    assert raised.value.problems[0].details == {"appointments": ["y", "x", "z"]}


async def test_who_else_is_had_twice_by_those_who_share_it_does_not_keep_the_role(store: Store) -> None:
    group = {**slot("g", schedule="t"), "extension": [{"url": CAPACITY, "valueInteger": 3}]}
    sharing: list[Resource] = [visit(ident, who=(*ROLE, "Practitioner/n"), **linking("g")) for ident in ("y", "z")]
    await create(store, role("r", "q"), schedule("t"), group, *sharing)
    assert await settle_all(store, role("r"))


@pytest.mark.parametrize("door", [booking, settling])
@pytest.mark.parametrize("who", ["PractitionerRole/r", "Practitioner/p"])
async def test_nobody_is_booked_unseen_while_a_role_moves(store: Store, door: Any, who: str) -> None:
    other = "Practitioner/p" if who in ROLE else ROLE[0]
    await create(store, role("r", "q"), visit("x", who=(other,)))
    results = await side_by_side(store, settling(role("r")), door(visit("y", who=(who,))))
    assert [type(one) for one in results if isinstance(one, Exception)] == [Conflict]


@pytest.mark.parametrize(
    "step", [moving("y", "10:00", "10:30"), settling(visit("y", who=ROLE))], ids=["MediLoop", "FHIR"]
)
async def test_a_visit_in_the_role_is_not_moved_unseen_while_it_moves(store: Store, step: Any) -> None:
    """It refers to the role as before: that it takes time in it is all by which the two can meet."""
    await create(store, role("r", "q"), visit("x"), visit("y", "12:00", "12:30", who=ROLE))
    results = await side_by_side(store, settling(role("r")), step)
    assert [type(one) for one in results if isinstance(one, Exception)] == [Conflict]


async def test_a_role_that_moved_is_met_by_a_booking_that_has_read_it(store: Store) -> None:
    await create(store, role("r", "q"), visit("x"))

    async def moved() -> None:
        await settle_all(store, role("r"))

    with pytest.raises(Conflict):
        await overtaken(store, booking(visit("y", who=ROLE)), moved)


async def test_who_is_found_by_a_later_query_is_in_the_way_as_well(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_MOST", 1)
    await create(store, role("r", "q"), visit("y", "09:30", "10:30", who=ROLE), visit("x"))
    assert await refused(store, role("r")) == REFUSED


@pytest.mark.parametrize("moves", [moving, lambda ident, *when: settling(visit(ident, *when, who=ROLE))])
async def test_who_takes_time_in_a_role_waits_for_whose_it_is(store: Store, moves: Any) -> None:
    await create(store, role("r"), visit("y", who=ROLE))
    _, runs = await overtaken(store, moves("y", "14:00", "14:30"), lambda: settle_all(store, role("r", "q")))
    assert runs == 2


@pytest.mark.parametrize("moves", [moving, lambda ident, *when: settling(visit(ident, *when, **WALK_IN))])
async def test_who_takes_none_waits_for_nobody(store: Store, moves: Any) -> None:
    await create(store, role("r"), visit("y", **WALK_IN))
    _, runs = await overtaken(store, moves("y", "14:00", "14:30"), lambda: settle_all(store, role("r", "q")))
    assert runs == 1


# Many.


def minutes(ident: str, number: int, *who: str) -> Resource:
    """A visit of one minute, in the order of its number from ten o'clock on."""
    begins, ends = (f"{10 + minute // 60}:{minute % 60:02}" for minute in (number, number + 1))
    return visit(f"{ident}{number}", begins, ends, who=who)


@pytest.mark.parametrize("shared", [False, True], ids=["one after another", "together"])
async def test_work_grows_as_the_appointments_do(store: Store, shared: bool) -> None:
    async def lines(count: int) -> int:
        ident, who, to = f"r{count}", f"PractitionerRole/r{count}", f"Practitioner/{count}"
        full = {**slot(f"g{count}", schedule=ident), "extension": [{"url": CAPACITY, "valueInteger": count}]}
        await create(store, role(ident, "q"), schedule(ident, who), full)
        for n in range(count):
            own = visit(f"{ident}.{n}", who=(who,), **linking(full["id"])) if shared else minutes(ident, 2 * n, who)
            await create(store, own, minutes(f"{ident}.of", 60 + 2 * n if shared else 2 * n + 1, to))
        with lines_run() as counted:
            await settle_all(store, role(ident, f"{count}"))
        return counted[0]

    assert await lines(60) <= await lines(15) * SLACK * 4


async def test_many_are_judged_beside_other_requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(role_changes, "_FEW", 0)
    await create(store, role("r", "q"), visit("x"), visit("y", who=ROLE))
    assert await refused(store, role("r")) == REFUSED
