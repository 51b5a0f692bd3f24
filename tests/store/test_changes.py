"""Versions are told as they are written, each once and in order, through a failover too."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from store.changes import follow
from store.connection import connect
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
