"""What one transaction sees of the database, for all the units of work that it carries.

A session takes one command at a time. Where several units of work read through one transaction, what they ask for in
the same moment goes to MongoDB as one query, if the queries differ in the values alone that they look for: each gets
of the answer what its own would have given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from store.source import Documents, Find, Hint
from store.staged import Staged

T = TypeVar("T")

_FEW = 200  # values that one query may look for and still be joined to others

Values = Mapping[str, Sequence[str]]
"""What a query looks for: in one of these fields one of these values. Fields are paths, one level below ``_index``."""


class _Kind(NamedTuple):
    """What queries have in common that are sent as one."""

    kind: str
    fields: tuple[str, ...]
    sought: tuple[str, ...]
    hint: Hint


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

    Attributes:
        written: what was written in its transaction.
    """

    def __init__(
        self, database: AsyncDatabase[dict[str, Any]], session: AsyncClientSession, *, joins: bool = False
    ) -> None:
        super().__init__(database)
        self.session: AsyncClientSession = session
        self.written: Sequence[Staged] = ()
        self._joins = joins
        self._turn = asyncio.Lock()
        self._asked: dict[_Kind, _Asked] = {}
        self._sent: set[asyncio.Task[Any]] = set()

    async def in_turn(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` gives, which sends commands of the session, when all before it is answered."""
        async with self._turn:
            return await call()

    async def found(self, find: Find) -> list[dict[str, Any]]:
        """Return the ``_id`` and fields of the matches, in order."""
        values = _values(find) if self._joins else None
        if values is None:
            return await self.in_turn(lambda: self._find(find))
        hint = find.hint if find.hint is None or isinstance(find.hint, str) else (*find.hint,)
        which = _Kind(find.kind, find.fields, (*values,), hint)
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
        alone = len(asked.values) == 1
        return everything if alone else [_shown(one, which) for one in everything if _matches(one, values)]

    async def commit(self) -> None:
        """End the transaction with what is written by now."""
        await self.session.commit_transaction()

    async def end(self) -> None:
        """Wait for what is still sent: then the session is nobody's."""
        for task in self._sent:
            task.cancel()
        await asyncio.gather(*self._sent, return_exceptions=True)

    async def _together(self, which: _Kind) -> list[dict[str, Any]]:
        # What was asked for while others were answered has come to it; nothing comes to it from now on.
        asked = self._asked.pop(which)
        if len(asked.values) == 1:
            return await self._find(asked.first)
        merged = {
            path: list(dict.fromkeys(one for values in asked.values for one in values[path])) for path in which.sought
        }
        branches = [{path: {"$in": values}} for path, values in merged.items()]
        query = branches[0] if len(branches) == 1 else {"$or": branches}
        return await self._find(Find(which.kind, query, (*which.fields, *which.sought), hint=which.hint))


def _values(find: Find) -> Values | None:
    """Return what a query looks for; None where it is another one than those that can be joined."""
    query = find.query
    if find.sort or find.skip or find.most or (find.limit and not _is_one(query)):
        return None
    branches = query["$or"] if [*query] == ["$or"] else [query]
    found: dict[str, Sequence[str]] = {}
    for branch in branches:
        if len(branch) != 1:
            return None
        [(path, wanted)] = branch.items()
        values = wanted.get("$in") if isinstance(wanted, dict) and len(wanted) == 1 else [wanted]
        if values is None or path in found or not all(isinstance(one, str) for one in values):
            return None
        if "." in path.removeprefix("_index."):  # it may lead through lists, of which `_held` knows nothing
            return None
        found[path] = values
    apart = any(path != "_id" and path not in find.fields for path in found)
    if sum(map(len, found.values())) > _FEW or (apart and any(one.startswith("_index") for one in find.fields)):
        return None
    return found


def _is_one(query: Mapping[str, Any]) -> bool:
    return [*query] == ["_id"] and isinstance(query["_id"], str)


def _matches(document: Mapping[str, Any], values: Values) -> bool:
    return any(not set(_held(document, path)).isdisjoint(wanted) for path, wanted in values.items())


def _held(document: Mapping[str, Any], path: str) -> Iterator[str]:
    found: Any = document
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    yield from found if isinstance(found, list) else () if found is None else (found,)


def _shown(document: Mapping[str, Any], which: _Kind) -> dict[str, Any]:
    """Return a copy of one's own, without what was read to tell whose it is."""
    apart = {path.partition(".")[0] for path in which.sought if path != "_id" and path not in which.fields}
    return {name: value for name, value in document.items() if name not in apart}
