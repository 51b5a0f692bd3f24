"""A refusal rests on what a majority holds, like every other answer: found by the seed 20240115 of `test_under_fire`.

A transaction on the primary sees what was written there a moment ago, whether or not other members have it yet. Who was
refused for such a booking, and looked, was shown a time that nobody had: reads show what a majority holds.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.read_concern import ReadConcern

from store.connection import connect
from store.errors import AlreadyExists, NotUnique
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.linearizability.cluster import ELECTION_MS, ReplicaSet
from tests.store.support import NUMBERS, RULES

LOCAL = ReadConcern("local")
SOON = ELECTION_MS / 1000 / 2
"""Seconds for which the other members may be away: the primary is still one."""


class Taken(Exception):
    """What a step refuses."""


@pytest.fixture(scope="module")
async def members() -> AsyncIterator[ReplicaSet]:
    with tempfile.TemporaryDirectory(prefix="mediloop-proof-", ignore_cleanup_errors=True) as folder:
        made = ReplicaSet(Path(folder))
        made.start()
        yield made
        made.stop()


@pytest.fixture
async def store(members: ReplicaSet) -> AsyncIterator[Store]:
    client = connect(members.uri)
    made = Store(client, "refusals", rules=RULES)
    await made.prepare()
    yield made
    await client.drop_database("refusals")
    await client.close()


async def _create(work: UnitOfWork) -> None:
    work.create({"resourceType": "Location", "id": "x", "identifier": [{"system": NUMBERS, "value": "1"}]})


async def _refuse(work: UnitOfWork) -> None:
    if await work.read("Location", "x") is not None:
        raise Taken


async def _number(work: UnitOfWork) -> None:
    work.create({"resourceType": "Location", "id": "y", "identifier": [{"system": NUMBERS, "value": "1"}]})


async def _lost(_: AsyncClientSession) -> None:
    """Stand for an abort that does not reach the primary: the driver goes on as if it had."""


@pytest.mark.parametrize(
    ("step", "refusal", "abort"),
    [
        (_refuse, Taken, AsyncClientSession.abort_transaction),
        (_create, AlreadyExists, _lost),
        (_number, NotUnique, _lost),
    ],
)
async def test_nobody_is_refused_for_what_no_majority_holds_yet(
    members: ReplicaSet,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    step: Callable[[UnitOfWork], Awaitable[None]],
    refusal: type[Exception],
    abort: Callable[[AsyncClientSession], Awaitable[None]],
) -> None:
    monkeypatch.setattr(AsyncClientSession, "abort_transaction", abort)
    primary = members.primary()
    others = [machine for name, machine in members.members.items() if name != primary]
    for machine in others:
        machine.send(signal.SIGSTOP)
    try:
        first = asyncio.create_task(store.transact(_create))
        async with asyncio.timeout(SOON / 2):
            while not await store.database["Location"].with_options(read_concern=LOCAL).find_one({"_id": "x"}):
                await asyncio.sleep(0.01)
        second = asyncio.create_task(store.transact(step))
        done, _ = await asyncio.wait([first, second], timeout=SOON / 2)
        assert not done, "an answer, and no majority"
        assert await store.read("Location", "x") is None
    finally:
        for machine in others:
            machine.send(signal.SIGCONT)
    await first
    with pytest.raises(refusal):
        await second
    assert await store.read("Location", "x") is not None
