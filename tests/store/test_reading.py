"""Reads of one moment: whatever is written after the first of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from pymongo import monitoring

from store.connection import connect, within
from store.errors import Unreachable
from store.store import Store
from tests.store.support import Listener, appointment, change, create, patient


class Reads(Listener):
    """Notes how reads are sent, and how many were under way at once."""

    def __init__(self) -> None:
        self.concerns: list[dict[str, object]] = []
        self.under_way = self.most = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate"):
            self.concerns.append(dict(event.command["readConcern"]))
            self.under_way += 1
            self.most = max(self.most, self.under_way)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        if event.command_name in ("find", "aggregate"):
            self.under_way -= 1


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
async def watched(mongodb_uri: str, store: Store, reads: Reads) -> AsyncIterator[Store]:
    """The test's own store, with every command noted."""
    client = connect(mongodb_uri, listeners=[reads])
    yield Store(client, store.database.name, timeout=5.0)
    await client.close()


async def test_a_moment_is_that_of_its_first_read(store: Store) -> None:
    await create(store, appointment("a"), appointment("b"), patient("p"))
    async with store.moment() as moment:
        assert await moment.read("Appointment", "a") is not None
        await change(store, "Appointment", "a", status="cancelled")
        await create(store, appointment("c"))
        raw = await moment.read("Appointment", "a")
        assert raw is not None
        assert orjson.loads(raw)["status"] == "booked"
        assert await moment.read("Appointment", "c") is None
        assert [*await moment.read_all(["Appointment/c", "Appointment/b", "Patient/p"])] == [
            "Appointment/b",
            "Patient/p",
        ]
        assert len(await moment.find("Appointment", {"_index.status": "booked"})) == 2
        assert await moment.count("Appointment", {}) == 2
        assert await moment.keys("Appointment", {"_index.status": "cancelled"}, limit=9) == []
        assert await moment.distinct("Appointment", "_index.status", {}, limit=9) == ["booked"]
        assert [one["_id"] for one in await moment.documents("Appointment", {}, sort=[("_id", 1)])] == ["a", "b"]
    async with store.moment() as later:
        assert await later.count("Appointment", {}) == 3
        assert await later.count("Appointment", {"_index.status": "cancelled"}) == 1


async def test_what_was_answered_before_is_seen(store: Store) -> None:
    for number in range(20):
        await create(store, patient(f"p{number}"))
        async with store.moment() as moment:
            assert await moment.count("Patient", {}) == number + 1


async def test_who_asks_at_once_is_answered_in_turn_and_of_the_same_moment(watched: Store, reads: Reads) -> None:
    await create(watched, *(patient(f"p{number}") for number in range(3)))
    reads.concerns.clear()
    async with watched.moment() as moment:
        found = await asyncio.gather(*(moment.read("Patient", f"p{number}") for number in range(3)))
    assert None not in found
    assert reads.most == 1
    first, *others = reads.concerns
    assert first == {"level": "snapshot"}
    [(level, at)] = {(one["level"], one["atClusterTime"]) for one in others}
    assert level == "snapshot"
    assert at is not None


async def test_a_read_of_a_moment_ends_with_the_deadline_of_the_request(store: Store) -> None:
    async with store.moment() as moment:
        with within(0), pytest.raises(Unreachable):
            await moment.read("Patient", "p")
        assert await moment.read("Patient", "p") is None  # and lets the next one through
