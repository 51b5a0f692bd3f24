"""Which Schedules have published Slots in a time, and when the free ones began that go on in it."""

from __future__ import annotations

from datetime import datetime

import pytest

from adapter.scheduling.free_slots import publishing, under_way
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import at, schedule, slot, span
from tests.store.support import create

TEN = datetime.fromisoformat(at("10:00"))


def lasting(ident: str, start: str, end: str, **more: str) -> Resource:
    """A Slot of several days."""
    return slot(ident, **more) | {"start": start, "end": end}


@pytest.mark.parametrize(
    ("published", "found"),
    [
        (slot("a", status="busy"), True),
        (slot("a", status="entered-in-error"), False),
        (slot("a", "08:30", "09:00"), False),
        (slot("a", "11:00", "11:30"), False),
        (lasting("a", at("10:00", 1), at("09:01")), True),
    ],
    ids=["taken", "entered in error", "over", "later", "begun long before"],
)
async def test_a_schedule_publishes_where_it_has_slots_free_or_not(
    store: Store, published: Resource, found: bool
) -> None:
    await create(store, schedule(), schedule("t"), published)
    async with store.moment() as moment:
        those = await publishing(moment, span("09:00", "11:00"), {"Schedule/s", "Schedule/t"})
    assert those == ({"Schedule/s"} if found else set())


async def began(store: Store) -> datetime:
    """When the first one of s began."""
    async with store.moment() as moment:
        return await under_way(moment, TEN, ["Schedule/s"])


async def test_of_the_free_slots_that_go_on_the_first_tells_when_it_began(store: Store) -> None:
    await create(store, schedule(), schedule("t"))
    await create(
        store,
        lasting("taken", at("10:00", 11), at("10:00", 22), status="busy"),
        lasting("over", at("10:00", 12), at("10:00", 20)),
        lasting("elsewhere", at("10:00", 13), at("10:00", 22), schedule="t"),
    )
    assert await began(store) == TEN
    await create(
        store,
        lasting("later", at("10:00", 18), at("10:00", 22)),
        lasting("first", at("10:00", 17), at("10:00", 21)),
    )
    assert await began(store) == datetime.fromisoformat(at("10:00", 17))
