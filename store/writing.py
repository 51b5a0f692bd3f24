"""The one place that writes resources: guards, documents, history, the proposals that are taken up and the idempotency
records, all or nothing.

Audit and events are to hang on `write` later: it knows every resource written, before and after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson.binary import Binary
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from store import guards
from store.clashes import as_duplicate, exists, handed_over, not_unique
from store.codec import CODEC_OPTIONS
from store.documents import Rules, compose, history_id, past, unique_identifiers, weight
from store.errors import Oversized
from store.history import HISTORY
from store.proposals import PROPOSALS
from store.source import Documents
from store.staged import IDEMPOTENCY, Remembered, Staged, Write
from store.types import TYPES

_MEANWHILE = 20_000  # bytes of resources that are composed before MongoDB's answer is looked for: 20, mostly
_MOST_FILED = 64_000_000  # of what all is found by that is written together (`weight`): an eighth of the cache
_LARGE = 100_000  # bytes of a resource that is composed in a thread, for others to be answered meanwhile

_Operation = InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]] | UpdateOne | DeleteOne


async def require_free(seen: Documents, staged: Staged, rules: Rules) -> None:
    """Look, as the transaction of `seen` sees the store, for what clashes with what is staged.

    Raises:
        AlreadyExists, NotUnique: as writing it would.
    """
    for kind in dict.fromkeys(kind for kind, _ in staged.writes):
        writes = [write for write in staged.writes.values() if write.kind == kind]
        made = [write.ident for write in writes if write.before is None]
        there = await seen.keys(kind, {"_id": {"$in": made}}, limit=1) if made else ()
        if there:
            raise exists(kind, f"{kind}/{there[0]}")
        brought = {
            unique: write.name for write in writes if write.after for unique in unique_identifiers(write.after, rules)
        }
        others = {"_index.unique": {"$in": [*brought]}, "_id": {"$nin": [write.ident for write in writes]}}
        taken = await seen.values(kind, others, ["_index.unique"], limit=1) if brought else ()
        if taken:
            raise not_unique(kind, next(brought[one] for one in taken[0]["_index"]["unique"] if one in brought))
    versions = {history_id(write.kind, write.ident, write.version): write.name for write in staged.writes.values()}
    past_ones = await seen.keys(HISTORY, {"_id": {"$in": [*versions]}}, limit=1) if versions else ()
    if past_ones:
        raise exists("resource", versions[past_ones[0]])


async def write(
    database: AsyncDatabase[dict[str, Any]],
    session: AsyncClientSession,
    rules: Rules,
    staged: Sequence[Staged],
    *,
    turn: int,
    now: datetime,
) -> None:
    """Send everything staged, guards first: a rival is met before anything else is done.

    Args:
        database, session: where to, in the transaction of which session.
        rules: what a resource claims, and which identifiers are unique.
        staged: of units of work that do not meet each other.
        turn: decides which part of each guard that many share is written (`store.sharing`).
        now: the present moment.

    Raises:
        AlreadyExists, NotUnique: a resource clashes with a stored one.
        Oversized: it is more than MongoDB should be asked to take at once.
    """
    writes = sorted((one for part in staged for one in part.writes.values()), key=lambda one: one.rank)
    met = {name for part in staged for name in part.met(turn)}
    composed = await _composed(writes, rules, guards.bump(database, session, met, now))
    operations = {one.name: operation for one, operation in zip(writes, composed, strict=True)}
    for kind in dict.fromkeys(one.kind for one in writes):
        await _write_documents(database, session, rules, [one for one in writes if one.kind == kind], operations)
    if writes:
        await _write_history(database, session, writes)
    taken_up = [ident for part in staged for ident in part.taken_up]
    if taken_up:
        await database[PROPOSALS].delete_many({"_id": {"$in": taken_up}}, session=session)
    answers = [part.remembered for part in staged if part.remembered is not None]
    if answers:
        await _write_remembered(database, session, answers)


async def _write_documents(
    database: AsyncDatabase[dict[str, Any]],
    session: AsyncClientSession,
    rules: Rules,
    writes: Sequence[Write],
    composed: Mapping[str, _Operation],
) -> None:
    # An identifier that one update gives up and another takes is removed first, in the same command: no two documents
    # may have it at any moment.
    kind = writes[0].kind
    changes = [(one.before, one.after) for one in writes if one.before is not None and one.after is not None]
    givers = handed_over(changes, rules) if len(changes) > 1 else ()
    letting_go = {"$unset": {"_index.unique": ""}}
    first = sum(one.after is None for one in writes)
    operations = [composed[one.name] for one in writes]
    giving = [one for one in writes if one.ident in givers]
    operations[first:first] = [UpdateOne(one.read, letting_go) for one in giving]
    collection = database.get_collection(kind, codec_options=CODEC_OPTIONS)
    try:
        result = await collection.bulk_write(operations, ordered=True, session=session)
    except BulkWriteError as error:
        names = [one.name for one in (*writes[:first], *giving, *writes[first:])]
        clash = as_duplicate(error, kind, names)
        if clash is None:
            raise
        raise clash from error
    met = result.matched_count + result.deleted_count - len(givers)
    if met != sum(one.before is not None for one in writes):
        raise AssertionError(f"a {kind} was staged from a version that this unit of work had not read")


def _bounded(filed: int) -> int:
    if filed > _MOST_FILED:
        raise Oversized("What that is found by is more than MongoDB takes at once.")
    return filed


def _operation(one: Write, rules: Rules) -> tuple[_Operation, int]:
    """Return what carries out a write, and what its document weighs."""
    if one.after is None or one.raw is None:
        return DeleteOne(one.read), 0
    document = compose(TYPES[one.kind], one.after, one.raw, one.moment, rules, one.claims)
    return InsertOne(document) if one.before is None else ReplaceOne(one.read, document), weight(document)


async def _write_history(
    database: AsyncDatabase[dict[str, Any]], session: AsyncClientSession, writes: Sequence[Write]
) -> None:
    entries = [past(w.kind, w.ident, w.version, w.moment, w.method, w.raw, new=w.before is None) for w in writes]
    try:
        await database[HISTORY].insert_many(entries, session=session)
    except BulkWriteError as error:
        clash = as_duplicate(error, "resource", [one.name for one in writes])
        if clash is None:
            raise
        raise clash from error


async def _write_remembered(
    database: AsyncDatabase[dict[str, Any]], session: AsyncClientSession, answers: Sequence[Remembered]
) -> None:
    records = [
        ReplaceOne(
            {"_id": one.key},
            {"fingerprint": one.fingerprint, "status": one.status, "body": Binary(one.body), "at": one.at},
            upsert=True,
        )
        for one in answers
    ]
    await database[IDEMPOTENCY].bulk_write(records, ordered=True, session=session)


async def _composed(writes: Sequence[Write], rules: Rules, first: Coroutine[Any, Any, None]) -> list[_Operation]:
    """Send `first` to MongoDB, and return what carries out `writes`, made here until that is answered.

    Raises:
        Oversized: a few MB can be found by so much that MongoDB's cache is full of them: then nobody can write.
    """
    sent = asyncio.create_task(first)
    done: list[_Operation] = []
    since = filed = 0
    try:
        await asyncio.sleep(0)
        for one in writes:
            size = len(one.raw or b"")
            much = size > _LARGE
            operation, weighs = await asyncio.to_thread(_operation, one, rules) if much else _operation(one, rules)
            done.append(operation)
            filed = _bounded(filed + weighs)
            since += size
            if since > _MEANWHILE:
                await asyncio.sleep(0)
                since = 0
        await sent
    except BaseException:
        sent.cancel()
        await asyncio.gather(sent, return_exceptions=True)
        raise
    return done


__all__ = ["require_free", "write"]
