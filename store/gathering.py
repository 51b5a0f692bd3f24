"""Reads by id that are asked for in the same moment go to MongoDB as one.

A command costs the driver and the server about the same whether it names one id or twenty, so under load most of a
read is what each command costs. What is gathered has been asked for in one turn of the event loop: nothing waits for
more to come, and each query is sent after every read that it answers has begun, so a read still sees each write that
was answered before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from store.connection import bounded

_JSON = {"_json": 1}


class Gathering:
    """The reads by id of one database, outside of transactions.

    Args:
        database: where the collections are.
        timeout: seconds after which a query gives up with `store.errors.Unreachable`.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]], timeout: float) -> None:
        self._database = database
        self._timeout = timeout
        # What is asked for in the present turn of the event loop, by type: the ids, and who will answer.
        self._asked: dict[str, tuple[dict[str, None], asyncio.Task[dict[str, bytes]]]] = {}
        self._running: set[asyncio.Task[dict[str, bytes]]] = set()

    async def read(self, kind: str, idents: Iterable[str]) -> dict[str, bytes]:
        """Return the JSON of those of a type's resources that exist, by id; others' may be among them.

        Raises:
            store.errors.Unreachable: MongoDB did not answer in time.
        """
        if kind not in self._asked:
            asked: dict[str, None] = {}
            # In a context of its own: the deadline of one of the requests is not that of the others.
            made = asyncio.get_running_loop().create_task(self._query(kind, asked), context=Context())
            self._running.add(made)
            made.add_done_callback(self._done)
            self._asked[kind] = asked, made
        asked, task = self._asked[kind]
        asked.update(dict.fromkeys(idents))
        # Shielded: one caller who has no more time does not take the answer from the others.
        return await bounded(lambda: asyncio.shield(task), self._timeout)

    def _done(self, task: asyncio.Task[dict[str, bytes]]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen: those who asked may all have left

    async def _query(self, kind: str, asked: dict[str, None]) -> dict[str, bytes]:
        del self._asked[kind]  # the task's first step comes a turn after it was made: nothing is added from now on
        idents, collection = list(asked), self._database[kind]

        async def call() -> list[dict[str, Any]]:
            if len(idents) == 1:
                one = await collection.find_one({"_id": idents[0]}, _JSON)
                return [] if one is None else [one]
            return await collection.find({"_id": {"$in": idents}}, _JSON, batch_size=len(idents) + 1).to_list()

        return {found["_id"]: found["_json"] for found in await bounded(call, self._timeout)}
