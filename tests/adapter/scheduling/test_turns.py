"""Which appointment of a set takes which of the Slots that are found for them does not hang on the order of entries."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import links, of_q, refused, schedule, settle_all, slot, visit
from tests.store.support import create, stored

SHARED = ("Practitioner/p", "Practitioner/q")


async def shared_and_own(store: Store) -> None:
    """Publish a Slot of p and q, and another of p alone."""
    await create(store, schedule("s", *SHARED), slot("a"))
    await create(store, schedule("t", "Practitioner/p"), slot("b", schedule="t"))


def written(*wanted: Resource) -> list[Any]:
    """The writes in every order."""
    return [pytest.param(order, id="".join(one["id"] for one in order)) for order in permutations(wanted)]


@pytest.mark.parametrize("wanted", written(visit("x"), of_q("y")))
async def test_who_finds_fewer_slots_takes_theirs_first(store: Store, wanted: list[Resource]) -> None:
    await shared_and_own(store)
    await settle_all(store, *wanted)
    assert links(await stored(store, "Appointment", "x")) == ["Slot/b"]
    assert links(await stored(store, "Appointment", "y")) == ["Slot/a"]


@pytest.mark.parametrize("wanted", written(visit("x"), visit("z", "11:00", "11:30"), of_q("y")))
async def test_who_goes_without_comes_first_then(store: Store, wanted: list[Resource]) -> None:
    await shared_and_own(store)
    more = ("10:30", "10:35"), ("10:35", "10:40"), ("10:40", "10:45")  # of no use, but there
    await create(store, schedule("u", "Practitioner/q"))
    await create(store, *(slot(f"{n}", *when, schedule="u") for n, when in enumerate(more)))
    await create(store, slot("c", "11:00", "11:30", schedule="t"))
    made = {one["id"]: links(one) for one in await settle_all(store, *wanted)}
    assert (made["x"], made["y"], made["z"]) == (["Slot/b"], ["Slot/a"], ["Slot/c"])


@pytest.mark.parametrize("wanted", written(of_q("x"), of_q("y"), visit("z")))
async def test_where_no_order_helps_all_orders_are_refused_alike(store: Store, wanted: list[Resource]) -> None:
    await shared_and_own(store)
    told = {(wanted[entry]["id"], code) for code, _, entry in await refused(store, *wanted)}
    assert told == {("x", "time_conflict"), ("y", "time_conflict"), ("y", "slot_unavailable")}


async def test_the_search_for_an_order_comes_to_an_end(store: Store) -> None:
    everybody = [f"Practitioner/{number}" for number in range(12)]
    await create(store, schedule("s", *everybody), slot("a"))
    wanted = [visit(f"x{number}", who=(name,)) for number, name in enumerate(everybody)]
    assert len(await refused(store, *wanted)) == 11
