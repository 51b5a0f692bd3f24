"""The chores: what they do, and that they go on whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from adapter import chores
from adapter.app import create_app
from adapter.service import Service
from store import reindex, revision
from store.history import BATCH, HISTORY
from store.ordering import COUNTER
from store.store import Store
from tests.adapter.fhir.door import person
from tests.adapter.mediloop.clinic import put
from tests.adapter.records import recorded
from tests.conftest import ServiceMaker


async def pending(store: Store) -> int:
    """Return how many versions have no place in the order yet."""
    return await store.database[HISTORY].count_documents({"pending": True})


async def nothing_pending(service: Service) -> None:
    """Wait until all has its place."""
    async with asyncio.timeout(10):
        while [await pending(store) for store in service.stores.values()] != [0, 0]:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    """Let the chores run beside."""
    task = asyncio.create_task(chores.run(service, pause=0.01))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_new_versions_of_both_stores_get_their_places(service: Service) -> None:
    for store in service.stores.values():
        await put(store, person("p"), person("q"))
        assert await pending(store) == 2
    await chores.sequence(service)
    for store in service.stores.values():
        assert await pending(store) == 0
        counter: Any = await store.database["counters"].find_one({"_id": COUNTER})
        assert counter["value"] == 2


async def test_more_than_a_batch_is_done_in_one_go(service: Service, store: Store) -> None:
    await put(store, *(person(f"p{number}") for number in range(BATCH + 1)))
    await chores.sequence(service)
    assert await pending(store) == 0


async def test_they_are_done_again_and_again(service: Service, store: Store) -> None:
    async with running(service):
        for ident in ("p", "q"):
            await put(store, person(ident))
            await nothing_pending(service)


async def test_an_error_is_logged_and_the_next_round_goes_on(make_service: ServiceMaker) -> None:
    service = make_service()
    store = service.stores["test"]
    await put(store, person("p"))
    # The next place is no number: what is to be counted up cannot be.
    counters = store.database["counters"]
    await counters.replace_one({"_id": COUNTER}, {"value": "broken", "at": store._now()}, upsert=True)
    with recorded() as log:
        async with running(service):
            async with asyncio.timeout(10):
                while log.text.count("chore_failed") < 2:
                    await asyncio.sleep(0.01)
            assert await pending(store) == 1
            await counters.delete_one({"_id": COUNTER})
            await nothing_pending(service)
    assert all(line["chore"] == "sequence" for line in log.lines if line["event"] == "chore_failed")


async def test_they_begin_and_end_with_the_application(make_service: ServiceMaker, monkeypatch: Any) -> None:
    monkeypatch.setattr(chores.run, "__defaults__", (0.01,))
    service = make_service()
    app = create_app(service)
    async with app.router.lifespan_context(app):
        assert "chores" in {task.get_name() for task in asyncio.all_tasks()}
        await put(service.stores["test"], person("p"))
        await nothing_pending(service)
    assert "chores" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_they_end_though_the_driver_has_lost_that_they_are_to(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def lose_it(_: Service) -> None:
        lost = () if begun.is_set() else (asyncio.CancelledError,)  # once
        begun.set()
        with suppress(*lost):
            await asyncio.Event().wait()

    monkeypatch.setattr(chores, "CHORES", (lose_it,))
    task = asyncio.create_task(chores.run(service, pause=0.01))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()


async def test_who_goes_on_beside_a_reindex_by_other_rules_takes_its_mark_away(make_service: ServiceMaker) -> None:
    goes_on, other = make_service(), make_service(base_url="https://x.org")
    made_anew = other.stores["test"]
    await put(goes_on.stores["test"], person("p"))
    async for _ in reindex.reindex(made_anew):
        pass
    await chores.unmark(other)
    assert not await revision.is_due(made_anew.database, made_anew.rules)
    await chores.unmark(goes_on)
    assert await revision.is_due(made_anew.database, made_anew.rules)


@pytest.mark.parametrize("mode", ["test", "live"])
async def test_where_nothing_is_new_nothing_is_written(service: Service, mode: str) -> None:
    await chores.sequence(service)
    store = service.stores["live" if mode == "live" else "test"]
    assert await store.database["counters"].find_one({"_id": COUNTER}) is None
