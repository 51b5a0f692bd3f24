"""What one transaction sees of the database, for all the units of work that it carries.

A session takes one command at a time. Where several units of work read through one transaction, what they ask for in
the same moment goes to MongoDB as one query, if the queries differ in the values alone that they look for: each gets
of the answer what its own would have given. What they foresee is read by one command as well (`store.foreseen`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from store.connection import passes
from store.foreseen import Foreseen, NotAhead
from store.joining import Kind, Values, values_of
from store.source import BATCH, Documents, Find
from store.staged import Staged

T = TypeVar("T")


@dataclass(slots=True)
class _Asked:
    """Queries of one kind that are not sent yet, and who gets the answer."""

    first: Find
    values: list[Values] = field(default_factory=list)
    answer: asyncio.Task[list[dict[str, Any]]] | None = None


class Snapshot(Documents):
    """The database as the transaction of `session` sees it.

    Args:
        database: where the collections are.
        session: whose transaction.
        joins: whether several units of work read through it.
        ahead: whether what they foresee is read.

    Attributes:
        written: what was written in its transaction.
    """

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        session: AsyncClientSession,
        *,
        joins: bool = False,
        ahead: bool = True,
    ) -> None:
        super().__init__(database)
        self.session: AsyncClientSession = session
        self.written: Sequence[Staged] = ()
        self._joins = joins
        self._looks_ahead = ahead
        self._turn = asyncio.Lock()
        self._asked: dict[Kind, _Asked] = {}
        self._sent: set[asyncio.Task[Any]] = set()
        self._foreseen = Foreseen()
        self._ahead: asyncio.Task[None] | None = None

    async def in_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` gives, which sends commands of the session, when all before it is answered."""
        async with self._turn:
            return await call()

    async def foresee(self, finds: Iterable[Find]) -> None:
        """Have one command read what `finds` ask for: `found` gives it then without another one.

        Raises:
            NotAhead: it cannot be read so. MongoDB has ended the transaction.
        """
        if not self._looks_ahead:
            return
        for find in finds:
            self._foreseen.expect(find)
        if not self._joins:
            await self.in_turn(self._look_ahead)
            return
        if self._ahead is None:  # what others foresee while it waits for its turn comes to it
            self._ahead = asyncio.create_task(self.in_turn(self._look_ahead))
            self._sent.add(self._ahead)
        await asyncio.shield(self._ahead)

    async def found(self, find: Find) -> list[dict[str, Any]]:
        """Return the ``_id`` and fields of the matches, in order."""
        values = values_of(find)
        foreseen = self._foreseen.answer(find, values)
        if foreseen is not None:
            return foreseen
        if values is None or not self._joins:
            return await self.in_turn(lambda: self._find(find))
        which = Kind.of(find, values)
        asked = self._asked.get(which)
        if asked is None:
            asked = self._asked[which] = _Asked(find)
            asked.answer = asyncio.create_task(self.in_turn(lambda: self._together(which)))
            self._sent.add(asked.answer)
        asked.values.append(values)
        if asked.answer is None:
            raise AssertionError("who asks first has it sent")
        # Shielded: who has no more time does not take the answer from the others.
        everything = await asyncio.shield(asked.answer)
        return everything if len(asked.values) == 1 else which.own(everything, values)

    async def commit(self) -> None:
        """End the transaction with what is written by now."""
        await self.session.commit_transaction()

    async def end(self) -> None:
        """Wait for what is still sent: then the session is nobody's."""
        for task in self._sent:
            task.cancel()
        await asyncio.gather(*self._sent, return_exceptions=True)

    async def _look_ahead(self) -> None:
        self._ahead = None  # nothing comes to it from now on
        pipeline = self._foreseen.pipeline()
        if not pipeline:
            return
        try:
            cursor = await self.database.aggregate(pipeline, session=self.session, batchSize=BATCH)
            self._foreseen.note(await cursor.to_list())
        except OperationFailure as error:
            if passes(error):
                raise
            # Of one type there may be more than the 100 MB that a `$lookup` gives, but not too much for a query.
            raise NotAhead("What is foreseen cannot be read by one command.") from error

    async def _together(self, which: Kind) -> list[dict[str, Any]]:
        # What was asked for while others were answered has come to it; nothing comes to it from now on.
        asked = self._asked.pop(which)
        if len(asked.values) == 1:
            return await self._find(asked.first)
        return await self._find(Find(which.kind, which.merged(asked.values), which.read, hint=which.hint))
