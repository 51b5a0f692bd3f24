"""What searches and conditional writes read through: the database as it is, or as one transaction sees it.

A search must be the same code from outside and from inside a unit of work, or a conditional create would decide by
other rules than a search. `Store` and `UnitOfWork` both are a `Source`; `Documents` is how both do it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.asynchronous.database import AsyncDatabase

from store.connection import bounded
from store.types import TYPES, key_pattern

T = TypeVar("T")
Sort = Sequence[tuple[str, int]]
Hint = str | Sequence[str] | None
"""An index: by its MongoDB name, or by the keys under which `store.types` declares it."""

BATCH = 1_000
"""Documents in one answer of MongoDB where no limit is named: its own default of 101 costs round trips."""

PAGE_BYTES = 16_000_000
"""Of JSON on a page: what is larger goes on on the next one, however few there are on this."""

WHOLE_PAGE_BYTES = 32_000_000
"""Of JSON on a page that cannot have fewer items than it has: beyond, it is refused. Decoded it takes ten times as much
memory."""

_SMALL_BATCH = 10_000  # of documents of which some fields alone are read
_AT_A_TIME = 4  # documents between two looks at how large they are: one may have 5 MB
_FEW = 16  # are read as they are: a look costs a thirtieth of the search


class Find(NamedTuple):
    """One query.

    Attributes:
        kind: the collection: of resources of a type, or another.
        query: as MongoDB takes it.
        fields: what is read of each match, beside its ``_id``.
        sort, limit, hint: as a `Source` has them.
        batch: documents in one answer of MongoDB where there is no limit.
        most: bytes of JSON after which no more are read, but for a few; 0: all are.
        skip: how many of the first matches are passed over.
    """

    kind: str
    query: Mapping[str, Any]
    fields: tuple[str, ...]
    sort: Sort = ()
    limit: int = 0
    hint: Hint = None
    batch: int = BATCH
    most: int = 0
    skip: int = 0


class Source(Protocol):
    """Stored documents. Queries, sorts and fields name paths as stored (``_index.actor``).

    One call at a time: a transaction takes no two at once. All raise `store.errors.Unreachable`.
    """

    async def documents(
        self,
        kind: str,
        query: Mapping[str, Any],
        *,
        fields: Sequence[str] = (),
        sort: Sort = (),
        limit: int = 0,
        hint: Hint = None,
        most: int = 0,
    ) -> list[dict[str, Any]]:
        """Return the matching documents' ``_id``, ``_json`` (bytes) and `fields`, in order; `limit` 0 is none.

        With `most` bytes of JSON, about, no more are read, and at least one document that goes beyond (`fitting`).
        """
        ...

    async def keys(self, kind: str, query: Mapping[str, Any], *, limit: int) -> list[str]:
        """Return the ids of at most `limit` matches."""
        ...

    async def count(self, kind: str, query: Mapping[str, Any], *, limit: int = 0, hint: Hint = None) -> int:
        """Return how many match; counting stops at `limit` (0: never)."""
        ...

    async def distinct(self, kind: str, field: str, query: Mapping[str, Any], *, limit: int) -> list[Any]:
        """Return at most `limit` different values of `field` (``_index.actor``) among the matches, lists unwound."""
        ...


class Documents:
    """The `Source` of a database, outside of transactions or in the one of `session`.

    Args:
        database: where the collections are.
        session: of the transaction to read in.
        timeout: seconds after which a call gives up; None where something around it does (a transaction).
    """

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        *,
        session: AsyncClientSession | None = None,
        timeout: float | None = None,
    ) -> None:
        self.database = database
        self.session = session
        self._timeout = timeout
        # MongoDB is told as well: it would go on with what nobody waits for any more.
        self._most_ms = None if timeout is None else int(timeout * 1000)

    async def documents(
        self,
        kind: str,
        query: Mapping[str, Any],
        *,
        fields: Sequence[str] = (),
        sort: Sort = (),
        skip: int = 0,
        limit: int = 0,
        hint: Hint = None,
        most: int = 0,
    ) -> list[dict[str, Any]]:
        """Return the matching documents' ``_id``, ``_json`` (bytes) and `fields`, in order; `limit` 0 is none.

        With `most` bytes of JSON, about, no more are read, and at least one document that goes beyond (`fitting`).
        """
        return await self._find(Find(kind, query, ("_json", *fields), sort, limit, hint, most=most, skip=skip))

    async def values(
        self,
        kind: str,
        query: Mapping[str, Any],
        fields: Sequence[str],
        *,
        sort: Sort = (),
        limit: int = 0,
        hint: Hint = None,
    ) -> list[dict[str, Any]]:
        """Return the ``_id`` and `fields` of the matching documents, in order, and nothing else of them.

        An index that has all these fields, named as the `hint`, gives them without a look at any document.
        """
        return await self._find(Find(kind, query, (*fields,), sort, limit, hint, _SMALL_BATCH))

    async def keys(self, kind: str, query: Mapping[str, Any], *, limit: int) -> list[str]:
        """Return the ids of at most `limit` matches."""
        return [found["_id"] for found in await self._find(Find(kind, query, ("_id",), limit=limit))]

    async def count(self, kind: str, query: Mapping[str, Any], *, limit: int = 0, hint: Hint = None) -> int:
        """Return how many match; counting stops at `limit` (0: never)."""
        options: dict[str, Any] = {} if hint is None else {"hint": index_hint(hint)}
        if limit:
            options["limit"] = limit
        if self._most_ms is not None:
            options["maxTimeMS"] = self._most_ms
        collection = self.database[kind]
        return await self._bounded(lambda: collection.count_documents(query, session=self.session, **options))

    async def distinct(self, kind: str, field: str, query: Mapping[str, Any], *, limit: int) -> list[Any]:
        """Return at most `limit` different values of `field` (``_index.actor``) among the matches, lists unwound."""
        pipeline: list[dict[str, Any]] = [
            {"$match": query},
            {"$project": {"_id": 0, "value": f"${field}"}},
            {"$unwind": "$value"},
            {"$group": {"_id": "$value"}},
            {"$limit": limit},
        ]

        options: dict[str, Any] = {} if self._most_ms is None else {"maxTimeMS": self._most_ms}

        async def call() -> list[dict[str, Any]]:
            collection = self.database[kind]
            cursor = await collection.aggregate(pipeline, session=self.session, batchSize=limit + 1, **options)
            return await cursor.to_list()

        return [found["_id"] for found in await self._bounded(call)]

    async def _find(self, find: Find) -> list[dict[str, Any]]:
        def call() -> Awaitable[list[dict[str, Any]]]:
            cursor = self.database[find.kind].find(
                find.query,
                dict.fromkeys(find.fields, 1),
                sort=list(find.sort) or None,
                skip=find.skip,
                limit=find.limit,
                # One more than wanted: the answer then ends the cursor.
                batch_size=find.limit + 1 if find.limit else find.batch,
                hint=None if find.hint is None else index_hint(find.hint),
                max_time_ms=self._most_ms,
                session=self.session,
            )
            few = 0 < find.limit <= _FEW
            return read_until(cursor, find.most) if find.most and not few else cursor.to_list()

        return await self._bounded(call)

    async def _bounded(self, call: Callable[[], Awaitable[T]]) -> T:
        return await call() if self._timeout is None else await bounded(call, self._timeout)


async def read_until(cursor: AsyncCursor[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return the documents of a cursor up to the one with which they have more than `most` bytes of JSON, about."""
    found = await cursor.to_list(_AT_A_TIME)
    while cursor.cursor_id and _size(found) <= most:
        found += await cursor.to_list(_AT_A_TIME)
    if not cursor.cursor_id:  # the rest is here already, 16 MB at most
        return found + await cursor.to_list()
    await cursor.close()
    return found


def fitting(documents: Sequence[Mapping[str, Any]], most: int) -> int:
    """Return how many of the documents, from the first, have no more than `most` bytes of JSON; one at least."""
    size = 0
    for number, one in enumerate(documents):
        size += len(one.get("_json", b""))
        if number and size > most:
            return number
    return len(documents)


def _size(documents: Iterable[Mapping[str, Any]]) -> int:
    return sum(len(one.get("_json", b"")) for one in documents)


def index_hint(hint: str | Sequence[str]) -> str | list[tuple[str, int]]:
    """Return what MongoDB takes for a `Hint`."""
    return hint if isinstance(hint, str) else key_pattern(hint)


def by_kind(references: Iterable[str]) -> dict[str, list[str]]:
    """Return the ids that relative `references` name, by type; what names no stored type is left out."""
    wanted: dict[str, list[str]] = {}
    for text in dict.fromkeys(references):
        kind, _, ident = text.partition("/")
        if kind in TYPES:
            wanted.setdefault(kind, []).append(ident)
    return wanted
