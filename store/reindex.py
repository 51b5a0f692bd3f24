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

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from store import ordering, zones
from store.codec import CODEC_OPTIONS, decode
from store.connection import bounded
from store.documents import Rules, compose
from store.extract import instant
from store.store import Store
from store.types import TYPES, ResourceType

POSITIONS = "reindex"
"""By type: the key of the last document that was made anew. Empty but for a run that was interrupted."""

BATCH = 500
_SECONDS = 60.0  # for a step: nobody waits for an answer here

Document = Mapping[str, Any]


@dataclass(slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        done: documents gone through, those of an interrupted run before included.
        total: documents there are, about.
        failed: the resources that could not be made anew, each with the reason.
    """

    done: int = 0
    total: int = 0
    failed: list[str] = field(default_factory=list)


async def reindex(store: Store, *, revision: str = "", batch: int = BATCH) -> AsyncIterator[Progress]:
    """Make the indexes, put the history in order, then make every document anew; tell the progress after each batch.

    Args:
        store: which.
        revision: of the rules (the release): a run that another one, or another time zone, has begun is begun again.
        batch: documents at a time.

    Raises:
        Unreachable: MongoDB did not answer in time; the next run goes on there.
    """
    await store.prepare(anew=True)
    await zones.begin(store.database, store.rules.zone)
    revision = f"{revision} {store.rules.zone}"
    await store.adopt_history()
    while await store.sequence() == ordering.BATCH:  # not until none is left: the service goes on writing
        pass
    positions = store.database[POSITIONS]
    await positions.delete_many({"revision": {"$ne": revision}})
    begun = {one["_id"]: one["after"] async for one in positions.find()}
    progress = Progress()
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
            progress.failed += await bounded(partial(_replace, store, declared, found), _SECONDS)
            after = found[-1]["_id"]
            position = {"after": after, "revision": revision}
            await positions.replace_one({"_id": kind}, position, upsert=True)
            progress.done += len(found)
            progress.total = max(progress.total, progress.done)
            yield progress
    await positions.delete_many({})
    await zones.finish(store.database, store.rules.zone)


async def _next(store: Store, kind: str, after: str | None, batch: int) -> list[dict[str, Any]]:
    return await store.documents(kind, {} if after is None else {"_id": {"$gt": after}}, sort=[("_id", 1)], limit=batch)


async def _replace(store: Store, declared: ResourceType, found: Sequence[Document]) -> list[str]:
    """Make documents anew, each if it is still the one that was read; return those that could not be."""
    failed: list[str] = []
    operations: list[ReplaceOne[dict[str, Any]]] = []
    for one in found:
        read = {"_id": one["_id"], "_json": one["_json"]}
        try:
            operations.append(ReplaceOne(read, _composed(declared, one["_json"], store.rules)))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Written by an older release that checked less: it stays as it is, and is named.
            failed.append(f"{declared.name}/{one['_id']}: {error!r}")
    if not operations:
        return failed
    collection = store.database.get_collection(declared.name, codec_options=CODEC_OPTIONS)
    try:
        await collection.bulk_write(operations, ordered=False)
    except BulkWriteError as error:
        failed += [
            f"{declared.name}/{problem['op']['q']['_id']}: {problem['errmsg']}"
            for problem in error.details["writeErrors"]
        ]
    return failed


def _composed(declared: ResourceType, raw: bytes, rules: Rules) -> dict[str, Any]:
    resource = decode(raw)
    moment = instant(resource["meta"]["lastUpdated"])
    if moment is None:
        raise ValueError("meta.lastUpdated is empty")
    return compose(declared, resource, raw, moment, rules)
