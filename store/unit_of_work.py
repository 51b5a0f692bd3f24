"""The one place that writes resources: guards, documents, history and the idempotency record, all or nothing.

A unit of work is handed to a callback that reads through it, decides, and stages writes. When the callback
returns, everything is written in one transaction. Audit and events are to hang on `_flush` later: it knows
every resource written, before and after.

MongoDB transactions are snapshots: two that each read 'free' and write different documents would both commit
(write skew). So the resources written name their `Claims`, and the unit of work writes to one guard document
for each claim that changes: rivals meet there, and the later one is run again on what the first one left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson.binary import Binary
from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from store.codec import CODEC_OPTIONS, Resource, decode, encode
from store.documents import NO_CLAIMS, Claims, Rules, compose, history_id, past, stamped, version_of
from store.errors import AlreadyExists, NotUnique
from store.types import TYPES

HISTORY = "history"
GUARDS = "guards"
IDEMPOTENCY = "idempotency"

_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Remembered:
    """The first final answer to a request that may be sent again.

    Attributes:
        key: whose request, and which.
        fingerprint: of the request's content: the same key with another content is a mistake.
        status: of the answer.
        body: of the answer, as it was sent.
        at: when it was given.
    """

    key: str
    fingerprint: str
    status: int
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class _Write:
    before: Resource | None
    after: Resource
    raw: bytes
    claims: Claims


class UnitOfWork:
    """What one transaction reads and is going to write. Made by `Store.transact`, never by hand."""

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        session: AsyncClientSession,
        rules: Rules,
        moment: datetime,
    ) -> None:
        self._database = database
        self._session = session
        self._rules = rules
        self.now = moment
        self._writes: list[_Write] = []
        self._guards: dict[str, None] = {}
        self._remembered: Remembered | None = None

    # Reading: always the transaction's own snapshot.

    async def read(self, kind: str, ident: str) -> Resource | None:
        """Return a resource, or None."""
        found = await self._database[kind].find_one({"_id": ident}, {"_json": 1}, session=self._session)
        return None if found is None else decode(found["_json"])

    async def find(self, kind: str, query: Mapping[str, Any]) -> list[Resource]:
        """Return the resources that match a MongoDB `query`; the query must have an index."""
        cursor = self._database[kind].find(query, {"_json": 1}, session=self._session)
        return [decode(found["_json"]) for found in await cursor.to_list()]

    async def recall(self, key: str) -> Remembered | None:
        """Return the answer remembered under `key`, or None."""
        found = await self._database[IDEMPOTENCY].find_one({"_id": key}, session=self._session)
        if found is None:
            return None
        return Remembered(key, found["fingerprint"], found["status"], bytes(found["body"]), found["at"])

    # Staging: nothing is sent before the callback has returned.

    def create(self, resource: Resource) -> Resource:
        """Stage a new resource (with its id) as version 1 and return it as it will be stored."""
        return self._stage(None, stamped(resource, 1, self.now))

    def update(self, before: Resource, after: Resource) -> Resource:
        """Stage the next version of `before`, which this unit of work has read, and return it as it will be stored."""
        return self._stage(before, stamped(after, version_of(before) + 1, self.now))

    def guard(self, names: Iterable[str]) -> None:
        """Meet rivals at `names` though no resource written here claims them."""
        self._guards.update(dict.fromkeys(names))

    def remember(self, key: str, fingerprint: str, status: int, body: bytes) -> None:
        """Keep the answer with what it answers, in the same transaction."""
        self._remembered = Remembered(key, fingerprint, status, body, self.now)

    def _stage(self, before: Resource | None, after: Resource) -> Resource:
        old = NO_CLAIMS if before is None else self._rules.claims(before)
        new = self._rules.claims(after)
        self._writes.append(_Write(before, after, encode(after), new))
        if old != new:
            self.guard((*old.names, *new.names))
        return after

    # Writing.

    async def _flush(self) -> None:
        """Send everything staged, guards first: a rival is met before anything else is done."""
        if self._guards:
            await self._write_guards()
        for kind in dict.fromkeys(write.after["resourceType"] for write in self._writes):
            await self._write_documents(kind)
        if self._writes:
            await self._database[HISTORY].insert_many(
                [past(w.after, w.raw, self.now, "POST" if w.before is None else "PUT") for w in self._writes],
                session=self._session,
            )
        if self._remembered is not None:
            await self._write_remembered(self._remembered)

    async def _write_guards(self) -> None:
        bump = {"$inc": {"n": 1}, "$set": {"at": self.now}}
        # Sorted, so that rivals who share several meet at the same one first.
        bumps = [UpdateOne({"_id": name}, bump, upsert=True) for name in sorted(self._guards)]
        await self._database[GUARDS].bulk_write(bumps, ordered=True, session=self._session)

    async def _write_documents(self, kind: str) -> None:
        operations: list[InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]]] = []
        for write in self._writes:
            if write.after["resourceType"] != kind:
                continue
            document = compose(TYPES[kind], write.after, write.raw, self.now, self._rules, write.claims)
            if write.before is None:
                operations.append(InsertOne(document))
            else:
                expected = {"_id": document["_id"], "meta.versionId": str(version_of(write.before))}
                operations.append(ReplaceOne(expected, document))
        operations.sort(key=lambda operation: isinstance(operation, ReplaceOne))
        replaced = sum(isinstance(operation, ReplaceOne) for operation in operations)
        collection = self._database.get_collection(kind, codec_options=CODEC_OPTIONS)
        try:
            result = await collection.bulk_write(operations, ordered=True, session=self._session)
        except BulkWriteError as error:
            raise _as_duplicate(error, kind) from error
        if result.matched_count != replaced:
            raise AssertionError(f"a {kind} was staged from a version that this unit of work had not read")

    async def _write_remembered(self, answer: Remembered) -> None:
        await self._database[IDEMPOTENCY].replace_one(
            {"_id": answer.key},
            {
                "fingerprint": answer.fingerprint,
                "status": answer.status,
                "body": Binary(answer.body),
                "at": answer.at,
            },
            upsert=True,
            session=self._session,
        )


def _as_duplicate(error: BulkWriteError, kind: str) -> Exception:
    for problem in (error.details or {}).get("writeErrors", ()):
        if problem.get("code") == _DUPLICATE_KEY:
            if "_index.unique" in problem.get("keyPattern", {}):
                return NotUnique(f"another {kind} carries the same unique identifier")
            return AlreadyExists(f"a {kind} with that id is stored already")
    return error


__all__ = ["GUARDS", "HISTORY", "IDEMPOTENCY", "Remembered", "UnitOfWork", "history_id"]
