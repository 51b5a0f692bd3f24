"""A Slot that was freed on the way is what it was before, as things are at that moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from adapter.importing.checking import Ready
from adapter.importing.deciding import Writer
from adapter.importing.freeing import Freed, noted
from adapter.scheduling.claimset import Change
from adapter.scheduling.occupancy import CAPACITY
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import linking, publish_day, settle_all, slot, statuses, visit
from tests.conftest import Api
from tests.store.support import stored

ROOM = {"extension": [{"url": CAPACITY, "valueInteger": 2}]}
NARRATIVE = {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Closed</div>'}}
WAS = slot("a", status="busy") | ROOM | NARRATIVE


async def again(api: Api, store: Store, since: datetime, *, closed: bool = True) -> Any:
    """Write the Slot as it was before, which the visit x leaves busy."""
    ready = Ready("Slot", "a", True, [], WAS, left_by=("Appointment/x",), closed=closed, since=since)
    [result] = await Writer(api.service, store).write([ready])
    return result


def later(store: Store) -> datetime:
    return store.now() + timedelta(seconds=1)


async def test_a_slot_that_was_closed_by_hand_is_so_again_for_who_holds_it(api: Api, store: Store) -> None:
    await publish_day(store, slot("a") | ROOM)
    since = store.now()
    assert await again(api, store, since) == "unchanged"  # nobody is there
    await settle_all(store, visit("x", **linking("a")))
    assert await again(api, store, since, closed=False) == "unchanged"  # it was full, and one has left
    assert await again(api, store, since) == "updated"
    assert (await stored(store, "Slot", "a"))["text"] == NARRATIVE["text"]
    assert await again(api, store, since) == "unchanged"


async def test_one_that_somebody_has_filled_or_changed_meanwhile_is_judged_as_it_is(api: Api, store: Store) -> None:
    await publish_day(store, slot("a") | ROOM)
    await settle_all(store, visit("x", **linking("a")), visit("y", status="pending", **linking("a")))
    assert await statuses(store, "a") == ["busy"]
    assert await again(api, store, store.now()) == "unchanged"
    await settle_all(store, visit("y", status="cancelled"))
    changed = await stored(store, "Slot", "a") | {"comment": "Bring shoes"}
    await settle_all(store, changed)
    assert await again(api, store, store.now()) == "updated"
    found = await stored(store, "Slot", "a")
    assert (found["status"], found["comment"], found.get("text")) == ("busy", "Bring shoes", None)


async def test_one_that_is_gone_does_not_come_back(api: Api, store: Store) -> None:
    await publish_day(store)
    await settle_all(store, "Slot/a", visit("x", who=()))
    assert await again(api, store, store.now()) == "unchanged"


@pytest.mark.parametrize("now", [True, False])
async def test_a_noshow_of_this_stage_leaves_it_busy(api: Api, store: Store, now: bool) -> None:
    await publish_day(store, slot("a"))
    before = store.now() - timedelta(seconds=1)
    await settle_all(store, visit("x", status="noshow", **linking("a")), copied=True)
    since = before if now else later(store)
    assert await again(api, store, since, closed=False) == ("updated" if now else "unchanged")
    assert await statuses(store, "a") == ["busy" if now else "free"]


async def test_what_the_stage_had_written_before_was_another_one(store: Store) -> None:
    await publish_day(store, slot("a", status="busy") | ROOM)
    busy = await stored(store, "Slot", "a")
    free: Resource = {**busy, "status": "free"}
    cascades = [Change(busy, free), Change(None, {**free, "id": "b"}), Change(free, busy), Change(busy, None)]
    for since in (store.now() - timedelta(minutes=1), None):
        unknown = Freed(None, closed=False)
        assert noted([], cascades, {"Slot/a": busy}, since) == {"Slot/a": unknown, "Slot/b": unknown}
    assert noted([], cascades[:1], {}, later(store)) == {"Slot/a": Freed(busy, closed=False)}
    assert noted([], cascades[:1], {"Slot/a": busy}, later(store)) == {"Slot/a": Freed(busy, closed=True)}


def test_a_slot_that_a_batch_writes_free_is_not_given_up() -> None:
    changes = [Change(None, slot("a")), Change(slot("b", status="busy"), slot("b")), Change(visit("x"), None)]
    pending = visit("y", status="pending", **linking("c"))
    changes += [Change(pending, {**pending, "status": "noshow"}), Change(pending, {**pending, "status": "booked"})]
    assert noted(changes, [], {}, None) == {"Slot/c": Freed(None, closed=False)}
