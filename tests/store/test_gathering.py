"""Reads of one moment are one command; each gets its own answer, and nobody takes it from the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pymongo import monitoring

from store.connection import Client, connect, within
from store.errors import Unreachable
from store.gathering import Gathering
from store.store import Store
from tests.store.support import Listener, appointment, create, patient


class Finds(Listener):
    """Notes the finds that are sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, object]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.sent.append((event.command["find"], event.command["filter"]["_id"]))


@pytest.fixture
def finds() -> Finds:
    return Finds()


@pytest.fixture
async def watched(mongodb_uri: str, finds: Finds) -> AsyncIterator[Client]:
    client = connect(mongodb_uri, listeners=[finds])
    yield client
    await client.close()


@pytest.fixture
def gathering(store: Store, watched: Client) -> Gathering:
    """Of the test's own store, with every command noted."""
    return Gathering(watched[store.database.name], 5.0)


async def test_reads_of_one_moment_are_one_command_for_each_type(
    store: Store, gathering: Gathering, finds: Finds
) -> None:
    await create(store, appointment("a"), appointment("b"), patient("p"))
    wanted = [("Appointment", "a"), ("Appointment", "b"), ("Patient", "p"), ("Appointment", "none"), ("Patient", "p")]
    got = await asyncio.gather(*(gathering.read(kind, [ident]) for kind, ident in wanted))
    assert [ident in found for found, (_, ident) in zip(got, wanted, strict=True)] == [True, True, True, False, True]
    # Both are under way at once: which of them is sent first is nobody's promise.
    assert dict(finds.sent) == {"Appointment": {"$in": ["a", "b", "none"]}, "Patient": "p"}
    assert len(finds.sent) == 2


async def test_one_after_the_other_are_two_commands(store: Store, gathering: Gathering, finds: Finds) -> None:
    assert await gathering.read("Appointment", ["a"]) == {}
    [made] = await create(store, appointment("a"))
    assert b'"id":"a"' in (await gathering.read("Appointment", ["a"]))["a"]
    assert made["id"] == "a"
    assert finds.sent == [("Appointment", "a"), ("Appointment", "a")]


async def test_who_leaves_does_not_take_the_answer_from_the_others(store: Store, gathering: Gathering) -> None:
    await create(store, appointment("a"))
    leaving = asyncio.create_task(gathering.read("Appointment", ["a"]))
    staying = asyncio.create_task(gathering.read("Appointment", ["a"]))
    await asyncio.sleep(0)
    leaving.cancel()
    assert "a" in await staying
    assert leaving.cancelled()


async def test_each_has_its_own_deadline(store: Store, gathering: Gathering) -> None:
    await create(store, appointment("a"))

    async def hurried() -> object:
        with within(0.0):
            return await gathering.read("Appointment", ["a"])

    hurry, calm = await asyncio.gather(hurried(), gathering.read("Appointment", ["a"]), return_exceptions=True)
    assert isinstance(hurry, Unreachable)
    assert isinstance(calm, dict)
    assert "a" in calm


async def test_a_mongodb_that_does_not_answer_is_told_to_all() -> None:
    silent = connect("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50")
    gathering = Gathering(silent["none"], 5.0)
    got = await asyncio.gather(*(gathering.read("Appointment", [name]) for name in "ab"), return_exceptions=True)
    assert [type(one) for one in got] == [Unreachable, Unreachable]
    await silent.close()


async def test_who_is_cut_off_with_the_query_does_not_wait(gathering: Gathering) -> None:
    asking = asyncio.create_task(gathering.read("Appointment", ["a"]))
    await asyncio.sleep(0)
    [query] = gathering._running
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
