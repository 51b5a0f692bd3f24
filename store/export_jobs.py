"""The exports that clients have asked for: what is wanted, how far each has come, and who is at it.

A job is a document. A worker holds it by a lease that it prolongs; when the lease has ended (the worker died, or its
machine) another takes the job and goes on after the last file that was finished. MongoDB's own clock judges leases, so
that those of the machines need not agree. The number of open jobs is bounded exactly: each holds one of so many places.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bson
from bson.binary import Binary
from bson.codec_options import CodecOptions
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from store.connection import bounded
from store.exporting import Cut

EXPORTS = "exports"
LEASE_SECONDS = 15
_SECONDS = 10.0
_PLAN: CodecOptions[Mapping[str, Any]] = CodecOptions(tz_aware=True)


@dataclass(frozen=True, slots=True)
class File:
    """A finished file.

    Attributes:
        role: ``output``, ``deleted`` or ``error``: where the manifest lists it.
        kind: the type of the resources in it.
        name: of the file.
        count: lines.
        size: bytes.
        worker: who wrote it; none where an earlier version of this service has.
    """

    role: str
    kind: str
    name: str
    count: int
    size: int
    worker: str = ""

    @property
    def path(self) -> str:
        """Where it is among the files of its job: each worker has a folder, so that none writes over another's."""
        return f"{self.worker}/{self.name}" if self.worker else self.name


@dataclass(frozen=True, slots=True)
class Job:
    """An export.

    Attributes:
        ident: unguessable; in its addresses.
        key: the id of the key that has asked for it.
        request: the address that was called.
        plan: what is wanted, as the engine needs it.
        cut: the moment it shows.
        created: when it was asked for.
        state: ``open``, ``done``, ``failed``, or ``removed``: only its files are left to be removed.
        files: finished ones.
        step, after: where to go on: the number of the step, and the last id that is in a finished file.
        done, total: resources written and to be written, about.
        attempts: how often it was taken since it last came on.
        expires: when it is removed; None while it is open.
        problem: why it failed, for people.
    """

    ident: str
    key: str
    request: str
    plan: Mapping[str, Any]
    cut: Cut
    created: datetime
    state: str
    files: tuple[File, ...]
    step: int
    after: str
    done: int
    total: int
    attempts: int
    expires: datetime | None
    problem: str | None


class ExportJobs:
    """The jobs kept in one database. All raise `Unreachable` where MongoDB does not answer in time.

    Args:
        database: where.
        lease: seconds for which a worker that is not heard of keeps a job.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]], lease: float = LEASE_SECONDS) -> None:
        self._jobs = database[EXPORTS]
        self._later = {"$add": ["$$NOW", int(lease * 1000)]}

    async def prepare(self) -> None:
        """Make the indexes."""
        await self._jobs.create_indexes(
            [
                IndexModel([("state", ASCENDING), ("lease", ASCENDING)]),
                IndexModel([("expires", ASCENDING)], partialFilterExpression={"expires": {"$exists": True}}),
                IndexModel([("place", ASCENDING)], unique=True, partialFilterExpression={"place": {"$exists": True}}),
            ]
        )

    # For who asks.

    async def create(
        self, key: str, request: str, plan: Mapping[str, Any], cut: Cut, now: datetime, places: int
    ) -> str | None:
        """Keep a new job and return its id; None where as many as there are `places` are open already."""
        document = {
            "_id": secrets.token_hex(16),
            "key": key,
            "request": request,
            "plan": Binary(bson.encode(plan)),
            "seq": cut.seq,
            "moment": cut.moment,
            "created": now,
            "state": "open",
            "lease": datetime.fromtimestamp(0, now.tzinfo),
            "files": [],
            "step": 0,
            "after": "",
            "done": 0,
            "total": 0,
            "attempts": 0,
        }
        for place in range(places):
            wanted = document | {"place": place}
            try:
                await bounded(lambda wanted=wanted: self._jobs.insert_one(wanted), _SECONDS)  # type: ignore[misc]  # of the loop
            except DuplicateKeyError:
                continue
            return str(document["_id"])
        return None

    async def read(self, ident: str) -> Job | None:
        """Return a job, or None."""
        found = await bounded(lambda: self._jobs.find_one({"_id": ident}), _SECONDS)
        return None if found is None else _job(found)

    async def discard(self, ident: str, now: datetime) -> None:
        """Take a job from clients and workers until its files are gone; its worker finds out when it next reports."""
        change = {"$set": {"state": "removed", "expires": now}, "$unset": {"place": "", "worker": ""}}
        await bounded(lambda: self._jobs.update_one({"_id": ident}, change), _SECONDS)

    async def remove(self, ident: str) -> None:
        """Forget a job."""
        await bounded(lambda: self._jobs.delete_one({"_id": ident}), _SECONDS)

    async def expired(self, now: datetime) -> list[str]:
        """Return the ids of jobs whose time is over, those discarded among them."""
        query = {"expires": {"$lte": now}}
        return [one["_id"] for one in await bounded(lambda: self._jobs.find(query, {"_id": 1}).to_list(), _SECONDS)]

    # For workers.

    async def take(self, worker: str) -> Job | None:
        """Take an open job that nobody is at, the oldest first; None if there is none."""
        found = await bounded(
            lambda: self._jobs.find_one_and_update(
                {"state": "open", "$expr": {"$lt": ["$lease", "$$NOW"]}},
                [{"$set": {"worker": worker, "lease": self._later, "attempts": {"$add": ["$attempts", 1]}}}],
                sort=[("lease", ASCENDING)],
                return_document=ReturnDocument.AFTER,
            ),
            _SECONDS,
        )
        return None if found is None else _job(found)

    async def prolong(self, ident: str, worker: str, done: int, total: int) -> bool:
        """Tell that the worker is still at it, and how far; False where the job is no longer its own."""
        return await self._report(ident, worker, {"done": done, "total": total})

    async def release(self, ident: str, worker: str, pause: float = 0.0) -> None:
        """Give a job back, for another to take in `pause` seconds."""
        free = {"$add": ["$$NOW", int(pause * 1000)]} if pause else "$created"
        await bounded(
            lambda: self._jobs.update_one({"_id": ident, "worker": worker}, [{"$set": {"lease": free}}]), _SECONDS
        )

    async def add(self, ident: str, worker: str, files: Sequence[File], step: int, after: str, done: int) -> bool:
        """Keep finished files and where to go on from; False where the job is no longer the worker's."""
        new = [
            {
                "role": one.role,
                "kind": one.kind,
                "name": one.name,
                "count": one.count,
                "size": one.size,
                "worker": one.worker,
            }
            for one in files
        ]
        came = {"files": {"$concatArrays": ["$files", new]}, "step": step, "after": after, "done": done, "attempts": 0}
        return await self._report(ident, worker, came)

    async def finish(self, ident: str, worker: str, expires: datetime, problem: str | None = None) -> bool:
        """End a job; `problem` says why it failed. False where it is no longer the worker's."""
        ended: dict[str, Any] = {"state": "failed" if problem else "done", "expires": expires}
        if problem:
            ended["problem"] = problem
        query = {"_id": ident, "worker": worker}
        change = {"$set": ended, "$unset": {"place": ""}}
        return (await bounded(lambda: self._jobs.update_one(query, change), _SECONDS)).matched_count > 0

    async def _report(self, ident: str, worker: str, members: Mapping[str, Any]) -> bool:
        query = {"_id": ident, "worker": worker, "state": "open"}
        change = [{"$set": {**members, "lease": self._later}}]
        return (await bounded(lambda: self._jobs.update_one(query, change), _SECONDS)).matched_count > 0


def _job(found: Mapping[str, Any]) -> Job:
    return Job(
        ident=found["_id"],
        key=found["key"],
        request=found["request"],
        plan=bson.decode(found["plan"], codec_options=_PLAN),
        cut=Cut(found["seq"], found["moment"]),
        created=found["created"],
        state=found["state"],
        files=tuple(_file(one) for one in found["files"]),
        step=found["step"],
        after=found["after"],
        done=found["done"],
        total=found["total"],
        attempts=found["attempts"],
        expires=found.get("expires"),
        problem=found.get("problem"),
    )


def _file(found: Mapping[str, Any]) -> File:
    """Return a file; what another release has noted of it beside is not ours to know."""
    role, kind, name, worker = found["role"], found["kind"], found["name"], found.get("worker", "")
    return File(role=role, kind=kind, name=name, count=found["count"], size=found["size"], worker=worker)
