"""Stored bytes as they are, read now (`store.store.Store`) or as of one moment (`Moment`)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from store.source import Documents, Find, Hint, Sort, by_kind

T = TypeVar("T")


class Reading(Documents):
    """Documents, and resources as the bytes that are stored of them."""

    async def read(self, kind: str, ident: str) -> bytes | None:
        """Return the JSON of a resource, or None.

        Raises:
            Unreachable: MongoDB did not answer in time.
        """
        found = await self.documents(kind, {"_id": ident}, limit=1)
        return found[0]["_json"] if found else None

    async def read_all(self, references: Sequence[str]) -> dict[str, bytes]:
        """Return the JSON of the resources that exist among relative `references`, by reference."""
        parts = await asyncio.gather(*(self._of_kind(kind, idents) for kind, idents in by_kind(references).items()))
        return {f"{kind}/{ident}": raw for kind, found in parts for ident, raw in found.items()}

    async def find(
        self,
        kind: str,
        query: Mapping[str, Any],
        *,
        sort: Sort = (),
        skip: int = 0,
        limit: int = 0,
        hint: Hint = None,
    ) -> list[bytes]:
        """Return the JSON of the resources that match a MongoDB `query`, in order.

        `hint` names the declared index to use, by its keys (see `store.types`).
        """
        find = Find(kind, query, ("_json",), sort, limit, hint, skip=skip)
        return [found["_json"] for found in await self._find(find)]

    async def _of_kind(self, kind: str, idents: list[str]) -> tuple[str, dict[str, bytes]]:
        found = await self.documents(kind, {"_id": {"$in": idents}})
        return kind, {one["_id"]: one["_json"] for one in found}


class Moment(Reading):
    """What was committed at one moment: that of the first query, whatever is written before the next ones.

    MongoDB keeps it for five minutes (``minSnapshotHistoryWindowInSeconds``). Made by `Store.moment`; for a
    transaction, whose moment it is then, by `UnitOfWork.moment`.

    Args:
        database: where the collections are.
        session: a snapshot session.
        timeout: seconds after which a query gives up.
        writes: how often this process had written each type when it began; what is seen is of then, or later.
    """

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        session: AsyncClientSession,
        timeout: float | None,
        writes: Counter[str] | None = None,
    ) -> None:
        super().__init__(database, session=session, timeout=timeout)
        self.session: AsyncClientSession = session
        self.writes = Counter() if writes is None else writes
        self._turn = asyncio.Lock()

    async def _bounded(self, call: Callable[[], Awaitable[T]]) -> T:
        # A session sends one command at a time: the first one's answer tells the moment.
        async with self._turn:
            return await super()._bounded(call)
