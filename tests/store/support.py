"""What the tests of the store share: small resources, looks into the database, and two that run beside each other."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import bson
from bson.codec_options import CodecOptions
from pymongo import monitoring
from pymongo.asynchronous.database import AsyncDatabase

from adapter.scheduling.claims import claims
from store.codec import CODEC_OPTIONS, Resource, decode
from store.documents import Rules, compose
from store.extract import instant
from store.source import Hint, Sort
from store.store import Store
from store.types import TYPES, key_pattern
from store.unit_of_work import UnitOfWork
from tests.conftest import empty


class Listener(monitoring.CommandListener):
    """Hears of commands that clients send which are made with it; what it does with each is `started`."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to do."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to do."""


Database = AsyncDatabase[dict[str, Any]]
HOUR = "Practitioner/p|2024-01-20T10"
"""What `appointment` claims, unless another time is given."""
NUMBERS = "https://mediloop.co/fhir/sid/appointment-number"
RULES = Rules(claims=claims, unique_systems=(NUMBERS,))
"""Those of the service."""
_READ: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


def appointment(
    ident: str,
    start: str = "2024-01-20T10:00:00Z",
    end: str = "2024-01-20T10:30:00Z",
    *,
    status: str = "booked",
    practitioner: str = "p",
    **more: Any,
) -> Resource:
    """A small Appointment of one practitioner."""
    return {
        "resourceType": "Appointment",
        "id": ident,
        "status": status,
        "start": start,
        "end": end,
        "participant": [{"actor": {"reference": f"Practitioner/{practitioner}"}, "status": "accepted"}],
        **more,
    }


def patient(ident: str, **more: Any) -> Resource:
    """A small Patient: it claims nothing."""
    return {"resourceType": "Patient", "id": ident, **more}


async def emptied(store: Store) -> Store:
    """The store, with nothing in it."""
    await empty(store.database)
    return store


async def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All documents of all collections, to see whether anything changed."""
    names = sorted(await database.list_collection_names())
    return {name: await database[name].find(sort=[("_id", 1)]).to_list() for name in names}


async def document(database: Database, kind: str, ident: str) -> dict[str, Any]:
    """One stored document, as MongoDB has it."""
    found = await database[kind].find_one({"_id": ident})
    assert found is not None
    return found


async def create(store: Store, *resources: Resource) -> list[Resource]:
    """Store new resources in one transaction; return them as stored."""

    async def step(work: UnitOfWork) -> list[Resource]:
        return [work.create(resource) for resource in resources]

    return await store.transact(step)


async def change(store: Store, kind: str, ident: str, **members: Any) -> Resource:
    """Read a resource and store its next version with other members, in one transaction."""

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, kind, ident)
        return work.update(before, {**before, **members})

    return await store.transact(step)


async def present(work: UnitOfWork, kind: str, ident: str) -> Resource:
    """A resource that is there."""
    found = await work.read(kind, ident)
    assert found is not None
    return found


async def stored(store: Store, kind: str, ident: str) -> Resource:
    """A stored resource, decoded from the bytes that are served."""
    raw = await store.read(kind, ident)
    assert raw is not None
    return decode(raw)


async def explain(
    store: Store,
    kind: str,
    query: Mapping[str, Any],
    *,
    sort: Sort = (),
    skip: int = 0,
    limit: int = 0,
    hint: Hint = None,
    count: bool = False,
    fields: Sequence[str] = (),
) -> dict[str, Any]:
    """What MongoDB does for a `find`, `values` or `count` of the same arguments: it holds queries to their index."""
    find: dict[str, Any] = {"find": kind, "filter": query, "sort": dict(sort), "skip": skip, "limit": limit}
    if fields:
        find["projection"] = dict.fromkeys(fields, 1)
    if count:  # what `count_documents` sends
        total = [{"$match": query}, {"$group": {"_id": 1, "n": {"$sum": 1}}}]
        find = {"aggregate": kind, "pipeline": total, "cursor": {}}
    if hint is not None:
        find["hint"] = hint if isinstance(hint, str) else dict(key_pattern(hint))
    return dict(await store.database.command({"explain": find, "verbosity": "executionStats"}))


async def guards(database: Database) -> dict[str, int]:
    """The guard documents and how often each was written, those of references apart (`shares`)."""
    return {found["_id"]: found["n"] async for found in database["guards"].find() if "~" not in found["_id"]}


async def shares(database: Database) -> dict[str, int]:
    """The guard documents that those who refer to a resource share, and how often each was written."""
    return {found["_id"]: found["n"] async for found in database["guards"].find() if "~" in found["_id"]}


async def assert_agreement(database: Database, rules: Rules) -> None:
    """Every document's readable form, `_index`, bytes and newest history entry are the same resource."""
    for kind, declared in TYPES.items():
        async for found in database[kind].find():
            resource = decode(found["_json"])
            moment = instant(resource["meta"]["lastUpdated"])
            assert moment is not None
            composed = bson.encode(
                compose(declared, resource, found["_json"], moment, rules), codec_options=CODEC_OPTIONS
            )
            assert found == bson.decode(composed, codec_options=_READ)
            version = f"{kind}/{found['_id']}/{int(resource['meta']['versionId']):010d}"
            past = await document(database, "history", version)
            assert past["_json"] == found["_json"]


Callback = Callable[[UnitOfWork], Awaitable[Any]]


async def side_by_side(store: Store, *steps: Callback) -> list[Any]:
    """Run steps in transactions of their own of which none commits before all have run; return results or errors.

    Where one is run again because a rival came first, it is not held up a second time.
    """
    all_decided = asyncio.Barrier(len(steps))

    def held_up(step: Callback) -> Coroutine[Any, Any, Any]:
        runs = iter(range(100))

        async def once(work: UnitOfWork) -> Any:
            first = next(runs) == 0
            try:
                return await step(work)
            finally:
                if first:
                    await asyncio.wait_for(all_decided.wait(), 5)

        return store.transact(once)

    return await asyncio.gather(*map(held_up, steps), return_exceptions=True)


async def overtaken(store: Store, slow: Callback, fast: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
    """Run `slow`, let `fast` happen wholly after it has read and before it writes; return its result and its runs."""
    runs = 0

    async def step(work: UnitOfWork) -> Any:
        nonlocal runs
        runs += 1
        result = await slow(work)
        if runs == 1:
            await fast()
        return result

    result = await store.transact(step)
    return result, runs


def large(ident: str, **more: Any) -> Resource:
    """A Patient of 1.5 MB, of which nothing is searched."""
    return patient(ident, extension=[{"url": "urn:note", "valueString": "x" * 1_500_000}], **more)


def numbered(ident: str, number: str) -> dict[str, Any]:
    """A Patient with a number that nobody else may have."""
    return patient(ident, identifier=[{"system": NUMBERS, "value": number}])


def stop(pid: int) -> None:
    """Have a process stand still: its threads stop one by one, and the last ones may answer meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    while any(one.read_text().rpartition(")")[2].split()[0] != "T" for one in Path(f"/proc/{pid}/task").glob("*/stat")):
        time.sleep(0.001)
