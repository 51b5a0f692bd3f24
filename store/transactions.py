"""Runs transactions of MongoDB: so many at a time, in bounded time, and rolled back out of everybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DocumentTooLarge, OperationFailure
from pymongo.read_concern import ReadConcern

from store.connection import MAJORITY, Client, bounded, is_oversized
from store.errors import Oversized

T = TypeVar("T")

# At a time in one process; the others wait for their turn. A hundred at once only meet each other: they all read before
# the first has written, so nearly all are run twice (measured: twice the time for 256 rivals).
_TURNS = 16


class Transactions:
    """Those of one store.

    Args:
        client: from `store.connection.connect`.
        patience: seconds after which one is given up, its wait for a turn included.
    """

    def __init__(self, client: Client, patience: float) -> None:
        self._client = client
        self._patience = patience
        self._turns = asyncio.Semaphore(_TURNS)
        self._running: set[asyncio.Task[Any]] = set()

    async def run(
        self, attempt: Callable[[AsyncClientSession], Awaitable[T]], ended: Callable[[], object] = lambda: None
    ) -> T:
        """Return what `attempt` gives once its transaction is committed; run it again where a rival came first.

        Args:
            attempt: reads and writes in the transaction of the session that it is given.
            ended: is called when the transaction is over, whatever came of it.

        Raises:
            Oversized: it writes more than MongoDB takes.
            Unreachable: no answer within the bound.
            Whatever `attempt` raises.
        """

        async def run() -> T:
            try:
                async with self._client.start_session() as session:
                    return await session.with_transaction(
                        attempt,
                        read_concern=ReadConcern("snapshot"),
                        write_concern=MAJORITY,
                    )
            finally:
                ended()

        async def turn() -> T:
            async with self._turns:
                # In a task of its own: rolling back what was cut off may take a server that does not answer as long
                # as it likes, and neither the caller nor the next in turn is to wait for it.
                task = asyncio.create_task(run())
                self._running.add(task)
                task.add_done_callback(self._ended)
                try:
                    return await asyncio.shield(task)
                except BaseException:
                    task.cancel()
                    raise

        try:
            return await bounded(turn, self._patience)
        except (OperationFailure, DocumentTooLarge) as error:
            if is_oversized(error):
                raise Oversized("That is more than MongoDB takes at once.") from error
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever was cut off does not look at it, and asyncio would complain of that
