"""A Schedule loses a practitioner, or a role of one changes hands: those who share a Slot are decided again."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict
from adapter.scheduling import claiming, occupancy
from adapter.scheduling.occupancy import CAPACITY
from mappings.systems import DEFAULT_SYSTEMS
from store.codec import Resource
from store.source import Documents
from store.store import Store
from tests.adapter.scheduling.support import (
    booking,
    linking,
    of_type,
    refused,
    role,
    schedule,
    settle_all,
    settling,
    slot,
    visit,
)
from tests.store.support import create, explain, overtaken, side_by_side

P, Q, ROLE = "Practitioner/p", "Practitioner/q", "PractitionerRole/r"
REFUSED = [("time_conflict", "Schedule.actor", 0)]
ROLE_REFUSED = [("time_conflict", "PractitionerRole.practitioner", 0)]


def group(ident: str = "g", start: str = "10:00", end: str = "10:30", of: str = "t", room: int = 5) -> Resource:
    extension = [{"url": CAPACITY, "valueInteger": room}]
    return {**slot(ident, start, end, schedule=of), "extension": extension}


def sharing(*idents: str, who: str = P, **more: Any) -> list[Resource]:
    return [visit(ident, who=(who,), **{**linking("g"), **more}) for ident in idents]


async def test_a_schedule_does_not_lose_whose_time_is_shared_in_it(store: Store) -> None:
    await create(store, schedule("t", P), group(), *sharing("x", "y"))
    assert await refused(store, schedule("t", Q)) == REFUSED
    assert await refused(store, schedule("t", Q), copied=True) == REFUSED
    with pytest.raises(Conflict) as raised:
        await settle_all(store, schedule("t", ROLE))
    assert raised.value.problems[0].details == {"appointments": ["x", "y"]}
    assert await settle_all(store, schedule("t", P, Q))
    assert await settle_all(store, schedule("t", P, "Location/l"))
    cancelled = visit("y", status="cancelled", **linking("g"))
    assert await settle_all(store, schedule("t", Q), cancelled)


@pytest.mark.parametrize(
    "others",
    [
        [visit("y", "10:30", "11:00", **linking("h"))],
        sharing("y", who=Q),
        sharing("y", appointmentType=of_type("WALKIN")),
        sharing("y", status="cancelled"),
        [occupancy.overbooking(sharing("y")[0], "needed", DEFAULT_SYSTEMS.extensions)],
        [visit("y", "10:30", "11:00", **linking("g", "h"))],
        [],
    ],
    ids=["later", "other", "walk-in", "cancelled", "over", "after", "alone"],
)
async def test_who_shares_no_time_of_a_practitioner_keeps_no_schedule(store: Store, others: list[Resource]) -> None:
    await create(store, schedule("t", P), group(), group("h", "10:30", "11:00"), *sharing("x"), *others)
    assert await settle_all(store, schedule("t", Q))


async def test_what_has_no_time_is_in_no_way(store: Store) -> None:
    timeless = [{**one, "start": None, "end": None} for one in sharing("y", "z")]
    bare = [{name: value for name, value in one.items() if value is not None} for one in timeless]
    await create(store, schedule("t", P), group(), *sharing("x"), *bare)
    assert await settle_all(store, schedule("t", Q))


@pytest.mark.parametrize("who", [P, ROLE])
async def test_a_schedule_may_name_the_same_one_otherwise(store: Store, who: str) -> None:
    other = P if who == ROLE else ROLE
    await create(store, role("r"), schedule("t", who), group(), *sharing("x", who=P), *sharing("y", who=ROLE))
    assert await settle_all(store, schedule("t", other))
    assert await refused(store, schedule("t", Q)) == REFUSED


@pytest.mark.parametrize("practitioner", ["q", None])
@pytest.mark.parametrize(("who", "whose"), [(P, ROLE), (ROLE, P)])
async def test_a_role_of_a_schedule_is_not_given_away(
    store: Store, practitioner: str | None, who: str, whose: str
) -> None:
    await create(store, role("r"), schedule("t", whose), group(), *sharing("x", "y", who=who))
    assert await refused(store, role("r", practitioner)) == ROLE_REFUSED
    assert await settle_all(store, role("r", practitioner), schedule("t", who))  # told in one set: as it leaves things


async def test_other_slots_that_both_hold_count(store: Store) -> None:
    held = [visit(ident, **linking("g", "h")) for ident in ("x", "y")]
    await create(store, schedule("t", P), schedule("u", P), group(), group("h", of="u"), *held)
    assert await settle_all(store, schedule("t", Q))
    assert await refused(store, schedule("u", Q)) == REFUSED


async def test_each_problem_names_its_own_change(store: Store) -> None:
    await create(store, schedule("t", P), group(), *sharing("x", "y"), role("r"), schedule("u", ROLE))
    await create(store, group("h", "11:00", "11:30", of="u"))
    await create(store, *(visit(one, "11:00", "11:30", **linking("h")) for one in ("v", "w")))
    found = await refused(store, {**visit("x", **linking("g")), "comment": "!"}, role("r", "q"), schedule("t", Q))
    assert sorted(found, key=lambda one: one[2]) == [
        ("time_conflict", "PractitionerRole.practitioner", 1),
        ("time_conflict", "Schedule.actor", 2),
    ]


async def test_a_set_decides_the_visits_that_it_moves_itself(store: Store) -> None:
    await create(store, schedule("t", P), group(), *sharing("x", "y"))
    assert await settle_all(store, schedule("t", Q), visit("y", "11:00", "11:30"))


async def queries(store: Store, *wanted: Resource) -> list[tuple[str, Any]]:
    """What settling reads, by collection."""
    asked: list[tuple[str, Any]] = []
    real = Documents.documents

    async def documents(self: Documents, kind: str, query: Any, **options: Any) -> Any:
        asked.append((kind, query))
        return await real(self, kind, query, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Documents, "documents", documents)
        await settle_all(store, *wanted)
    return asked


async def test_it_reads_a_constant_number_of_times_and_by_indexes(store: Store) -> None:
    await create(store, schedule("t", P), group(), *sharing("x", "y"))
    assert len(await queries(store, schedule("t", P, comment="!"))) == 1  # the Schedule itself
    assert len(await queries(store, schedule("t", P, Q))) == 1
    few = await queries(store, schedule("t", P))
    hours = [f"{hour}:00" for hour in range(11, 19)]
    for number, hour in enumerate(hours):
        await create(store, group(f"g{number}", hour, f"{hour[:2]}:30"))
        both = [visit(f"{one}{number}", hour, f"{hour[:2]}:30", **linking(f"g{number}")) for one in "xy"]
        await create(store, *both)
    await settle_all(store, schedule("t", P, Q))
    many = await queries(store, schedule("t", P))
    assert [kind for kind, _ in many] == [kind for kind, _ in few]
    for kind, query in many:
        plan = await store.database.command("explain", {"find": kind, "filter": query}, verbosity="queryPlanner")
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


async def test_of_the_slots_of_a_schedule_those_for_several_alone_are_read(store: Store) -> None:
    single = [slot(f"s{number}", "10:00", "10:30", schedule="t") for number in range(150)]
    await create(store, schedule("t", P), group(), *single, group("h", of="elsewhere"))
    [query] = [query for kind, query in await queries(store, schedule("t", Q)) if kind == "Slot"]
    done = (await explain(store, "Slot", query))["executionStats"]
    assert (done["nReturned"], done["totalDocsExamined"]) == (1, 1)


@pytest.mark.parametrize("door", [booking, settling])
async def test_nobody_shares_a_slot_unseen_while_its_schedule_changes(store: Store, door: Any) -> None:
    await create(store, schedule("t", P), group(), *sharing("x"))
    [wanted] = sharing("y")
    step = booking(visit("y"), "g") if door is booking else settling(wanted)
    results = await side_by_side(store, settling(schedule("t", Q)), step)
    assert len([one for one in results if isinstance(one, Exception)]) == 1


async def test_a_schedule_that_takes_a_role_meets_who_gives_it_away(store: Store) -> None:
    await create(store, role("r"), schedule("t", P), group(), *sharing("x", "y"))

    async def named() -> None:
        await settle_all(store, schedule("t", ROLE))

    with pytest.raises(Conflict):
        await overtaken(store, settling(role("r", "q")), named)


async def test_a_slot_that_gets_places_meanwhile_is_met(store: Store) -> None:
    await create(store, schedule("t", P), slot("g", schedule="t"), *sharing("x"))

    async def shared() -> None:
        await settle_all(store, group())
        await settle_all(store, *sharing("y"))

    with pytest.raises(Conflict):
        await overtaken(store, settling(schedule("t", Q)), shared)


async def test_who_is_found_by_a_later_query_is_in_the_way_as_well(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_MOST", 1)
    await create(store, schedule("t", P), group("empty", "11:00", "11:30"), group(), *sharing("x", "y"))
    assert await refused(store, schedule("t", Q)) == REFUSED
