"""``$bulk-publish`` while MongoDB does not answer: nobody waits for long, and it is made again as soon as it does."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from adapter.service import assemble
from adapter.settings import Settings
from store import embedded
from store.connection import connect
from tests.adapter.publishing.test_publishing_files import CALENDAR, PATH, PLACE, put, read, slot
from tests.conftest import Api, ApiMaker, Clock
from tests.store.embedded.servers import quick
from tests.store.support import stop


@pytest.fixture(scope="module")
def frozen() -> Iterator[embedded.EmbeddedMongo]:
    """A server of its own, which a test may bring to a standstill."""
    with TemporaryDirectory(prefix="mlt-", dir="/tmp") as folder, quick(Path(folder)) as server:
        yield server


@pytest.fixture
async def silent_api(
    frozen: embedded.EmbeddedMongo, make_api: ApiMaker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    """The service on that server, with a tenth of its patience."""
    monkeypatch.setattr("store.publications._SECONDS", 1.0)
    monkeypatch.setattr("adapter.publishing.making._PATIENCE", 1.0)
    client = connect(frozen.uri)
    for name in ("silent_test", "silent_live"):
        await client.drop_database(name)
    service = assemble(Settings(database="silent", bulk_publish="test", _env_file=None), client, clock)
    made: Api = await make_api(service)
    await put(service.stores["test"], PLACE, CALENDAR, slot("a", 9))
    yield made
    await client.close()


async def asked_in_silence(api: Api, pid: int, *paths: str) -> list[httpx.Response]:
    """What is answered, each within its bound, while MongoDB stands still."""
    stop(pid)
    try:
        async with asyncio.timeout(5):
            return list(await asyncio.gather(*(read(api, path) for path in paths)))
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_nobody_waits_for_long_and_it_recovers_by_itself(silent_api: Api, frozen: embedded.EmbeddedMongo) -> None:
    answers = await asked_in_silence(silent_api, frozen.pid, PATH, PATH, PATH, f"{PATH}/{'0' * 32}/Slot.ndjson")
    assert [one.status_code for one in answers] == [503] * 4
    assert all("retry-after" in one.headers for one in answers)
    async with asyncio.timeout(20):  # not the two minutes that a claim stands: it was this process's own
        while (await read(silent_api)).status_code != 200:
            await asyncio.sleep(0.1)


async def test_what_is_there_is_served_meanwhile(silent_api: Api, frozen: embedded.EmbeddedMongo, clock: Clock) -> None:
    before = (await read(silent_api)).json()
    clock.advance(seconds=301)
    (answer,) = await asked_in_silence(silent_api, frozen.pid, PATH)
    assert (answer.status_code, answer.json()) == (200, before)
