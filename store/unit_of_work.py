"""The one place that writes resources: guards, documents, history and the idempotency record, all or nothing.

A unit of work is handed to a callback that reads through it, decides, and stages writes. When the callback
returns, everything is written in one transaction. Audit and events are to hang on `_flush` later: it knows
every resource written, before and after.

MongoDB transactions are snapshots: two that each read 'free' and write different documents would both commit
(write skew). So the resources written name their `Claims`, and the unit of work writes to one guard document
for each claim that changes: rivals meet there, and the later one is run again on what the first one left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from bson.binary import Binary
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from store import guards, narrative, sharing
from store.clashes import as_duplicate, exists, handed_over, not_unique
from store.codec import CODEC_OPTIONS, Resource, decode, encode
from store.documents import (
    NO_CLAIMS,
    Claims,
    Rules,
    compose,
    history_id,
    past,
    stamped,
    unique_identifiers,
    version_of,
)
from store.extract import instant
from store.history import HISTORY, last_versions
from store.source import Documents, by_kind
from store.types import TYPES

T = TypeVar("T")
IDEMPOTENCY = "idempotency"

_TOGETHER = 20  # documents that are composed before MongoDB's answer is looked for


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
    kind: str
    ident: str
    version: int
    moment: datetime
    method: str
    before: Resource | None
    after: Resource | None
    raw: bytes | None
    claims: Claims

    @property
    def name(self) -> str:
        """The resource, as it is referred to."""
        return f"{self.kind}/{self.ident}"

    @property
    def rank(self) -> int:
        """Deletions, changes, creations: what one resource gives up, a unique identifier, another may take."""
        return 2 if self.before is None else 0 if self.after is None else 1

    @property
    def read(self) -> dict[str, str]:
        """The version that it follows."""
        return {"_id": self.ident, "meta.versionId": str(self.version - 1)}


_Operation = InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]] | UpdateOne | DeleteOne


class UnitOfWork(Documents):
    """What one transaction reads and is going to write. Made by `Store.transact`, never by hand."""

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        session: AsyncClientSession,
        rules: Rules,
        moment: datetime,
        turn: int,
    ) -> None:
        super().__init__(database, session=session)
        self._rules = rules
        self._turn = turn
        self.now = moment
        self.zone = rules.zone
        self._writes: dict[tuple[str, str], _Write] = {}
        self._deleted: dict[str, datetime] = {}
        self._last: dict[str, int] = {}
        self._guards: dict[str, None] = {}
        self._remembered: Remembered | None = None
        self._read: dict[str, bytes | None] = {}

    # Reading: always the transaction's own snapshot, one call at a time. Nothing is written before the callback has
    # returned, so what was read by its id once is the same when it is asked for again.

    async def read(self, kind: str, ident: str) -> Resource | None:
        """Return a resource, or None."""
        name = f"{kind}/{ident}"
        if name not in self._read:
            found = await self.database[kind].find_one({"_id": ident}, {"_json": 1}, session=self._session)
            self._read[name] = None if found is None else found["_json"]
        raw = self._read[name]
        return None if raw is None else decode(raw)

    async def read_many(self, references: Iterable[str]) -> dict[str, Resource]:
        """Return the resources that exist among relative `references`, by reference."""
        wanted = list(references)
        for kind, idents in by_kind(name for name in wanted if name not in self._read).items():
            self._read |= dict.fromkeys(f"{kind}/{ident}" for ident in idents)
            for found in await self.documents(kind, {"_id": {"$in": idents}}):
                self._read[f"{kind}/{found['_id']}"] = found["_json"]
        return {name: decode(raw) for name in dict.fromkeys(wanted) if (raw := self._read.get(name)) is not None}

    async def find(self, kind: str, query: Mapping[str, Any]) -> list[Resource]:
        """Return the resources that match a MongoDB `query`; the query must have an index."""
        return [decode(found["_json"]) for found in await self.documents(kind, query)]

    async def last_version(self, kind: str, ident: str) -> int:
        """Return the newest version that was ever stored of a resource, its deletion included; 0 if there is none."""
        name = f"{kind}/{ident}"
        return (await self.last_versions([name]))[name]

    async def last_versions(self, references: Sequence[str]) -> dict[str, int]:
        """Return the newest version of each of relative `references`, its deletion included; 0 if there is none."""
        found = await last_versions(self.database, self._session, references)
        self._deleted.update({name: moment for name, (_, moment) in found.items()})
        self._last.update({name: version for name, (version, _) in found.items()})
        return {name: found[name][0] if name in found else 0 for name in references}

    async def recall(self, key: str) -> Remembered | None:
        """Return the answer remembered under `key`, or None."""
        found = await self.database[IDEMPOTENCY].find_one({"_id": key}, session=self._session)
        if found is None:
            return None
        return Remembered(key, found["fingerprint"], found["status"], bytes(found["body"]), found["at"])

    # Staging: nothing is sent before the callback has returned. Each resource once.

    def create(
        self, resource: Resource, *, version: int = 1, method: str = "POST", sent: Resource | None = None
    ) -> Resource:
        """Stage a new resource (with its id) and return it as it will be stored.

        Args:
            resource: its content.
            version: one more than `last_version`, where it may have been stored and deleted before; at least that,
                where this unit of work has asked for it.
            method: as the history shall name it: POST or PUT.
            sent: as `update` has it.
        """
        name = f"{resource['resourceType']}/{resource['id']}"
        moment = max(self.now, self._deleted.get(name, self.now))
        if sent is not None:
            resource = narrative.fitting(resource, sent, completed=True)
        return self._stage(None, resource, max(version, self._last.get(name, 0) + 1), moment, method)

    def update(
        self, before: Resource, after: Resource, *, method: str = "PUT", sent: Resource | None = None
    ) -> Resource:
        """Stage the next version of `before`, which this unit of work has read, and return it as it will be stored.

        Args:
            before: what is stored.
            after: its content from now on.
            method: as the history shall name it: PUT or PATCH.
            sent: what somebody has sent for it, with a narrative of its own; None where `before` is changed here.
        """
        after = narrative.fitting(after, before if sent is None else sent, completed=sent is not None)
        return self._stage(before, after, version_of(before) + 1, self._later_than(before), method)

    def delete(self, before: Resource, method: str = "DELETE") -> int:
        """Stage the deletion of `before`, which this unit of work has read, and return the version that it makes.

        Who claims it by name meets the deletion: a Slot is not booked and deleted at once. So does who refers to it
        anew.
        """
        kind, ident, version = before["resourceType"], before["id"], version_of(before) + 1
        self._add(_Write(kind, ident, version, self._later_than(before), method, before, None, None, NO_CLAIMS))
        name = f"{kind}/{ident}"
        self.guard((name, *self._rules.claims(before).names))
        self.seize([name])
        return version

    def guard(self, names: Iterable[str]) -> None:
        """Meet rivals at `names` though no resource written here claims them."""
        self._guards.update(dict.fromkeys(names))

    def share(self, names: Iterable[str]) -> None:
        """Meet who seizes one of `names` (``Practitioner/p``), and nobody else who shares it."""
        self.guard(sharing.part(name, self._turn) for name in names)

    def seize(self, names: Iterable[str]) -> None:
        """Meet whoever shares one of `names`, as all do who refer to it anew."""
        self.guard(one for name in names for one in sharing.parts(name))

    def remember(self, key: str, fingerprint: str, status: int, body: bytes) -> None:
        """Keep the answer with what it answers, in the same transaction."""
        self._remembered = Remembered(key, fingerprint, status, body, self.now)

    def _later_than(self, before: Resource) -> datetime:
        # Not before the version that it follows, whatever the clocks of two processes say: the order of history.
        return max(self.now, instant(before["meta"].get("lastUpdated")) or self.now)

    def _stage(self, before: Resource | None, after: Resource, version: int, moment: datetime, method: str) -> Resource:
        after = stamped(after, version, moment)
        old = NO_CLAIMS if before is None else self._rules.claims(before)
        new = self._rules.claims(after)
        kind, ident = after["resourceType"], after["id"]
        self._add(_Write(kind, ident, version, moment, method, before, after, encode(after), new))
        if old != new:
            self.guard((*old.names, *new.names))
        self.share(sharing.tied(before, after))
        return after

    def _add(self, write: _Write) -> None:
        key = (write.kind, write.ident)
        if key in self._writes:
            raise AssertionError(f"{write.kind}/{write.ident} was staged twice in one unit of work")
        self._writes[key] = write

    # Writing.

    async def _require_free(self) -> None:
        """Look, as this transaction sees the store, for what clashes with what is staged.

        Raises:
            AlreadyExists, NotUnique: as writing it would.
        """
        for kind in dict.fromkeys(kind for kind, _ in self._writes):
            writes = [write for write in self._writes.values() if write.kind == kind]
            made = [write.ident for write in writes if write.before is None]
            there = await self.keys(kind, {"_id": {"$in": made}}, limit=1) if made else ()
            if there:
                raise exists(kind, f"{kind}/{there[0]}")
            brought = {
                unique: write.name
                for write in writes
                if write.after
                for unique in unique_identifiers(write.after, self._rules)
            }
            others = {"_index.unique": {"$in": [*brought]}, "_id": {"$nin": [write.ident for write in writes]}}
            taken = await self.values(kind, others, ["_index.unique"], limit=1) if brought else ()
            if taken:
                raise not_unique(kind, next(brought[one] for one in taken[0]["_index"]["unique"] if one in brought))
        versions = {history_id(write.kind, write.ident, write.version): write.name for write in self._writes.values()}
        past_ones = await self.keys(HISTORY, {"_id": {"$in": [*versions]}}, limit=1) if versions else ()
        if past_ones:
            raise exists("resource", versions[past_ones[0]])

    async def _flush(self) -> None:
        """Send everything staged, guards first: a rival is met before anything else is done."""
        writes = sorted(self._writes.values(), key=lambda write: write.rank)
        composed = await _meanwhile(
            guards.bump(self.database, self._session, self._guards, self.now),
            (self._operation(write) for write in writes),
        )
        operations = {write.name: one for write, one in zip(writes, composed, strict=True)}
        for kind in dict.fromkeys(write.kind for write in writes):
            await self._write_documents(kind, [write for write in writes if write.kind == kind], operations)
        if writes:
            await self._write_history(writes)
        if self._remembered is not None:
            await self._write_remembered(self._remembered)

    async def _write_documents(self, kind: str, writes: Sequence[_Write], composed: Mapping[str, _Operation]) -> None:
        # What one update gives up and another takes is in nobody's hands first. MongoDB gets it in the same command.
        changes = [(one.before, one.after) for one in writes if one.before is not None and one.after is not None]
        givers = handed_over(changes, self._rules) if len(changes) > 1 else ()
        letting_go = {"$unset": {"_index.unique": ""}}
        first = sum(write.after is None for write in writes)
        operations = [composed[write.name] for write in writes]
        giving = [write for write in writes if write.ident in givers]
        operations[first:first] = [UpdateOne(write.read, letting_go) for write in giving]
        collection = self.database.get_collection(kind, codec_options=CODEC_OPTIONS)
        try:
            result = await collection.bulk_write(operations, ordered=True, session=self._session)
        except BulkWriteError as error:
            names = [write.name for write in (*writes[:first], *giving, *writes[first:])]
            raise as_duplicate(error, kind, names) from error
        met = result.matched_count + result.deleted_count - len(givers)
        if met != sum(write.before is not None for write in writes):
            raise AssertionError(f"a {kind} was staged from a version that this unit of work had not read")

    def _operation(self, write: _Write) -> _Operation:
        if write.after is None or write.raw is None:
            return DeleteOne(write.read)
        document = compose(TYPES[write.kind], write.after, write.raw, write.moment, self._rules, write.claims)
        return InsertOne(document) if write.before is None else ReplaceOne(write.read, document)

    async def _write_history(self, writes: Sequence[_Write]) -> None:
        entries = [past(w.kind, w.ident, w.version, w.moment, w.method, w.raw, new=w.before is None) for w in writes]
        try:
            await self.database[HISTORY].insert_many(entries, session=self._session)
        except BulkWriteError as error:
            raise as_duplicate(error, "resource", [write.name for write in writes]) from error

    async def _write_remembered(self, answer: Remembered) -> None:
        await self.database[IDEMPOTENCY].replace_one(
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


async def _meanwhile(first: Coroutine[Any, Any, None], work: Iterable[T]) -> list[T]:
    """Have MongoDB do `first` while `work` is done here, and return what that gives."""
    sent = asyncio.create_task(first)
    done: list[T] = []
    try:
        await asyncio.sleep(0)
        for number, one in enumerate(work, 1):
            done.append(one)
            if number % _TOGETHER == 0:
                await asyncio.sleep(0)
        await sent
    except BaseException:
        sent.cancel()
        await asyncio.gather(sent, return_exceptions=True)
        raise
    return done


__all__ = ["HISTORY", "IDEMPOTENCY", "Remembered", "UnitOfWork"]
