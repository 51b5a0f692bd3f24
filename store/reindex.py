"""Make the stored documents anew from the bytes that are served, while the service runs.

`_json` is the master of a document; what searches use, what it claims and its readable form follow from it. After a
release that derives other values, or when `_index` was tampered with, all of that is made again here, by the same rules
as at a write. A document that is written meanwhile was made by those rules, and is left alone: each is replaced only as
long as its bytes are the ones that were read. How far the work has come is kept, so that it may be interrupted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import bson
from pymongo import ReplaceOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.common import MAX_BSON_SIZE
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, PyMongoError

from store import ordering, revision, zones
from store.codec import CODEC_OPTIONS, decode
from store.connection import bounded, is_oversized
from store.documents import Rules, compose
from store.extract import instant
from store.store import Store
from store.types import TYPES, ResourceType

POSITIONS = "reindex"
"""By type: the key of the last document that was made anew. Empty but for a run that was interrupted."""

BATCH = 500
_SECONDS = 60.0  # for a step: nobody waits for an answer here

Document = Mapping[str, Any]
Pair = tuple[Document, dict[str, Any]]
"""A document as it was read, and made anew."""


@dataclass(slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        done: documents gone through, those of an interrupted run before included.
        total: documents there are, about.
        failed: the resources that could not be made anew, each with the reason.
        stale: some of these are searched as they were before, or were so in an interrupted run.
    """

    done: int = 0
    total: int = 0
    failed: list[str] = field(default_factory=list)
    stale: bool = False


async def reindex(store: Store, *, batch: int = BATCH) -> AsyncIterator[Progress]:
    """Make the indexes, put the history in order, then make every document anew; tell the progress after each batch.

    A run that was begun by other rules (`store.revision`) is begun again.

    Args:
        store: which.
        batch: documents at a time.

    Raises:
        Unreachable: MongoDB did not answer in time; the next run goes on there.
    """
    await store.prepare(anew=True)
    await zones.begin(store.database, store.rules.zone)
    await revision.begin(store.database, store.rules)
    filed = revision.revision(store.rules)
    await store.adopt_history()
    while await store.sequence() == ordering.BATCH:  # not until none is left: the service goes on writing
        pass
    positions = store.database[POSITIONS]
    await positions.delete_many({"revision": {"$ne": filed}})
    kept = await positions.find().to_list()
    begun = {one["_id"]: one["after"] for one in kept}
    progress = Progress(stale=any(one["stale"] for one in kept))
    for kind in TYPES:
        collection = store.database[kind]
        progress.total += await bounded(collection.estimated_document_count, _SECONDS)
        if kind in begun:
            gone_through = partial(collection.count_documents, {"_id": {"$lte": begun[kind]}})
            progress.done += await bounded(gone_through, _SECONDS)
    yield progress
    for kind, declared in TYPES.items():
        after: str | None = begun.get(kind)
        while found := await _next(store, kind, after, batch):
            failed, stale = await bounded(partial(_replace, store, declared, found), _SECONDS)
            progress.failed += failed
            progress.stale |= stale
            after = found[-1]["_id"]
            position = {"after": after, "revision": filed, "stale": progress.stale}
            await positions.replace_one({"_id": kind}, position, upsert=True)
            progress.done += len(found)
            progress.total = max(progress.total, progress.done)
            yield progress
    await positions.delete_many({})
    if not progress.stale:
        await zones.finish(store.database, store.rules.zone)
        await revision.finish(store.database, store.rules)


async def unfit(store: Store, *, batch: int = BATCH) -> list[str]:
    """Return the resources that cannot be made anew, each with the reason; nothing is changed.

    Asked before the time zone is changed: until all is made anew, no service starts under which they could be mended.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    failed: list[str] = []
    for kind, declared in TYPES.items():
        after: str | None = None
        while found := await _next(store, kind, after, batch):
            made = [_composed(declared, one, store.rules) for one in found]
            failed += [one for one in made if isinstance(one, str)]
            after = found[-1]["_id"]
    return failed


async def _next(store: Store, kind: str, after: str | None, batch: int) -> list[dict[str, Any]]:
    query = {} if after is None else {"_id": {"$gt": after}}
    return await store.documents(kind, query, fields=("_index.unique",), sort=[("_id", 1)], limit=batch)


async def _replace(store: Store, declared: ResourceType, found: Sequence[Document]) -> tuple[list[str], bool]:
    """Make documents anew, each if it is still the one that was read.

    Returns:
        Those that could not be, and whether some of them are searched as they were before.
    """
    made = [_composed(declared, one, store.rules) for one in found]
    failed = [one for one in made if isinstance(one, str)]
    fit = {one["_id"]: (one, new) for one, new in zip(found, made, strict=True) if not isinstance(new, str)}
    stale = bool(failed)
    clashes = await _write(store, declared, list(fit.values()))
    for ident, text in clashes.items():
        failed.append(f"{declared.name}/{ident}: {text}")
        index = fit[ident][1]["_index"]
        # Found by what it carries all the same; what it was the only one to carry stays its own.
        was = fit[ident][0].get("_index", {}).get("unique", ())
        kept = [name for name in index.pop("unique", ()) if name in was]
        index |= {"unique": kept} if kept else {}
    stale |= bool(await _write(store, declared, [fit[ident] for ident in clashes]))
    return failed, stale


async def _write(store: Store, declared: ResourceType, pairs: Sequence[Pair]) -> dict[str, str]:
    """Replace documents, each if its bytes are still the same; return the ids of those that failed, and why."""
    if not pairs:
        return {}
    operations = [ReplaceOne({"_id": one["_id"], "_json": one["_json"]}, new) for one, new in pairs]
    collection = store.database.get_collection(declared.name, codec_options=CODEC_OPTIONS)
    try:
        await collection.bulk_write(operations, ordered=False)
    except (PyMongoError, DocumentTooLarge) as error:
        if is_oversized(error):  # one beside the bytes that it replaces: MongoDB tells their beginning, not which
            middle = len(pairs) // 2
            if not middle:
                return await _write_large(collection, *pairs[0])
            first = await _write(store, declared, pairs[:middle])
            return first | await _write(store, declared, pairs[middle:])
        if isinstance(error, BulkWriteError):
            return {problem["op"]["q"]["_id"]: problem["errmsg"] for problem in error.details["writeErrors"]}
        raise
    return {}


async def _write_large(
    collection: AsyncCollection[dict[str, Any]], one: Document, new: dict[str, Any]
) -> dict[str, str]:
    """Do as `_write` for one that is too large for a command beside the bytes that it replaces, not by itself."""
    key = {"_id": one["_id"]}

    async def replaced(session: AsyncClientSession) -> None:
        found = await collection.find_one(key, {"_json": 1}, session=session)
        if found is not None and found["_json"] == one["_json"]:
            await collection.replace_one(key, new, session=session)

    try:
        async with collection.database.client.start_session() as session:
            await session.with_transaction(replaced)
    except DuplicateKeyError as error:
        return {one["_id"]: str((error.details or {}).get("errmsg", "duplicate key"))}
    return {}


def _composed(declared: ResourceType, one: Document, rules: Rules) -> dict[str, Any] | str:
    """Return a document made anew, or which could not be, and why."""
    raw: bytes = one["_json"]
    try:
        resource = decode(raw)
        moment = instant(resource["meta"]["lastUpdated"])
        if moment is None:
            raise ValueError("meta.lastUpdated is empty")  # noqa: TRY301  (all is told below)
        made = compose(declared, resource, raw, moment, rules)
        if len(bson.encode(made, codec_options=CODEC_OPTIONS)) > MAX_BSON_SIZE:
            raise ValueError("with what searches use it is larger than MongoDB takes")  # noqa: TRY301
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Written by an older release that checked less: it stays as it is, and is named.
        return f"{declared.name}/{one['_id']}: {error!r}"
    return made
