"""Versions are told as they are written, each once and in order, through a failover too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from store import changes
from store.changes import TokenLost, follow
from store.connection import connect
from store.errors import Unreachable
from store.store import Store
from tests.store.embedded.servers import killed, quick
from tests.store.support import create, patient


async def test_a_failover_is_survived(tmp_path: Path) -> None:
    """It lasts longer than the driver's own patience; what is written before the stream is there again is told too."""
    told: list[str] = []

    async def listen(store: Store) -> None:
        async with aclosing(follow(store)) as changes:
            async for _, change in changes:
                told.append("" if change is None else change.ident)
                if told[-1] == "after":
                    return

    with quick(tmp_path) as server:
        impatient = connect(f"{server.uri}&serverSelectionTimeoutMS=100")
        async with connect(server.uri) as client, impatient, asyncio.timeout(30):
            store = Store(client, "followed")
            await store.prepare()
            async with asyncio.TaskGroup() as group:
                group.create_task(listen(Store(impatient, "followed")))
                while "" not in told:  # it follows
                    await asyncio.sleep(0.01)
                await create(store, patient("before"))
                while "before" not in told:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(killed, server)
                await asyncio.to_thread(server.renew)
                await create(store, patient("after"))
    assert list(filter(None, told)) == ["before", "after"]


class Server:
    """What stands in for MongoDB: it fails, or gives a token, as the script has it; a pause moves the clock on."""

    def __init__(self, script: Callable[[float], Exception | str]) -> None:
        self.script = script
        self.now = 0.0
        self.asked: list[str | None] = []

    async def stream(self, store: Store, kinds: Any, token: str | None) -> AsyncGenerator[tuple[str, None]]:
        self.asked.append(token)
        while True:
            said = self.script(self.now)
            if isinstance(said, Exception):
                raise said
            yield said, None
            await self.pause(1)

    async def pause(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 1_000, "it is never given up"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Follows a server for so many of its seconds; returns the tokens."""

    async def listened(server: Server, token: str | None = None, until: float = 200) -> list[str | None]:
        loop = SimpleNamespace(time=lambda: server.now)
        monkeypatch.setattr(changes, "_stream", server.stream)
        monkeypatch.setattr(changes, "asyncio", SimpleNamespace(get_running_loop=lambda: loop, sleep=server.pause))
        found = []
        async with aclosing(follow(Any, (), token)) as stream:  # type: ignore[arg-type]  # it is asked for nothing
            async for place, _ in stream:
                found.append(place)
                if server.now >= until:
                    break
        return found

    return listened


@pytest.mark.parametrize("error", [AutoReconnect("gone"), TimeoutError("late")])
async def test_it_is_given_up_when_mongodb_has_been_away_for_a_minute(told: Any, error: Exception) -> None:
    server = Server(lambda now: "a" if now < 5 else error)
    with pytest.raises(Unreachable):
        await told(server)
    assert 65 <= server.now <= 66
    assert set(server.asked) == {None, "a"}, "it goes on where it was"


async def test_whoever_answers_has_a_minute_again(told: Any) -> None:
    server = Server(lambda now: f"{now}" if now % 50 < 1 else AutoReconnect("gone"))
    assert len(await told(server)) == 5
    assert server.asked[-1] == "150.0"


def _failure(code: int, *labels: str) -> OperationFailure:
    return OperationFailure("failed", code, {"errorLabels": list(labels)})


@pytest.mark.parametrize("code", [286, 280, 136, 2, 9, 15, 260, 40647, 40649, 50795, 50811])
async def test_a_place_that_is_not_to_be_found_is_said_at_once(told: Any, code: int) -> None:
    server = Server(lambda _: _failure(code, "ResumableChangeStreamError"))
    with pytest.raises(TokenLost):
        await told(server, "a")
    assert server.asked == ["a"]


async def test_other_failures_are_survived_only_where_mongodb_says_so(told: Any) -> None:
    passing = Server(lambda now: _failure(91, "ResumableChangeStreamError") if now < 30 else "a")
    assert "a" in await told(passing, until=30)
    for failure in (_failure(13), _failure(9)):  # without a token it is not that which cannot be read
        server = Server(lambda _, failure=failure: failure)  # type: ignore[misc]
        with pytest.raises(OperationFailure) as raised:
            await told(server)
        assert raised.value is failure
        assert len(server.asked) == 1
