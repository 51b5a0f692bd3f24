"""A store on empty collections, cheap enough to be made for every test.

MongoDB's clean-up of expired documents is off: the tests' clock stands in the past, and guards and remembered
answers of 2024 would be removed whenever the server's minute is up.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from store import together
from store.connection import Client, connect
from store.store import Store
from tests.conftest import Clock, connected
from tests.store.companions import Commands
from tests.store.support import RULES, emptied


@pytest.fixture(scope="session")
async def prepared(mongodb_uri: str) -> AsyncIterator[str]:
    """The name of a database whose indexes are made once for all tests of this folder."""
    name = f"t_store_{os.getpid()}"
    async with connected(mongodb_uri) as client:
        await Store(client, name).prepare()
    yield name
    async with connected(mongodb_uri) as client:
        await client.drop_database(name)


@pytest.fixture
async def store(client: Client, prepared: str, clock: Clock) -> Store:
    """A store with the service's rules and the clock of the test."""
    return await emptied(Store(client, prepared, rules=RULES, now=clock))


@pytest.fixture
def commands() -> Commands:
    """What the store called `company` sends in transactions."""
    return Commands()


@pytest.fixture
async def company(
    mongodb_uri: str, store: Store, commands: Commands, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    """The test's own store, with every command noted; who waits does so until what is under way has ended."""
    monkeypatch.setattr(together, "_PATIENCE", 30.0)
    client = connect(mongodb_uri, listeners=[commands])
    yield Store(client, store.database.name, rules=RULES, now=clock)
    await client.close()
