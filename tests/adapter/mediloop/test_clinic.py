"""The clinic of the tests is the same whether it was decided upon or put back (`tests.repeated`)."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

from store.store import Store
from tests.adapter.mediloop.clinic import location, open_clinic, put, stored
from tests.conftest import Clock, empty
from tests.store.support import everything


async def test_a_clinic_that_is_put_back_is_the_one_that_was_decided_upon(store: Store) -> None:
    await unwrap(open_clinic)(store)
    decided = await _all(store)
    assert len(decided["history"]) == len(decided["Slot"]) * 3 == 9
    for _ in range(2):  # noted, and put back
        await empty(store.database)
        await open_clinic(store)
        assert await _all(store) == decided


async def _all(store: Store) -> dict[str, list[dict[str, Any]]]:
    found = await everything(store.database)
    # Which of the guards that many share is whose turn it is.
    found["guards"] = [one | {"_id": one["_id"].partition("~")[0]} for one in found["guards"]]
    return found


async def test_where_something_of_it_is_stored_it_is_decided_upon_anew(store: Store) -> None:
    await open_clinic(store)
    await empty(store.database)
    await put(store, location("fac-xyz-789", "A ward"))
    await open_clinic(store)
    assert (await stored(store, "Location", "fac-xyz-789"))["meta"]["versionId"] == "2"
    assert (await stored(store, "Slot", "slot-001"))["meta"]["versionId"] == "1"


async def test_at_another_moment_it_is_stored_at_that_moment(store: Store, clock: Clock) -> None:
    await open_clinic(store)
    await empty(store.database)
    clock.advance(minutes=5)
    await open_clinic(store)
    assert (await stored(store, "Slot", "slot-001"))["meta"]["lastUpdated"] == "2024-01-15T10:05:00.000Z"
