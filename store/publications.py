"""Files for the public, kept in MongoDB in pieces: made by one process, served by any.

A publication is named after what it says, so it never changes; when it says something else, another takes its place,
and the earlier one stays for an hour, for those who are still reading it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson.binary import Binary
from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from store.connection import bounded

PIECES = "publication-pieces"
PUBLICATIONS = "publications"
PIECE = 262_144
"""Bytes in one piece, about: what a reader and a writer have in memory."""

_CURRENT = "current"
_CLAIM = {"making": "", "maker": ""}
_KEPT = timedelta(hours=1)
AHEAD = timedelta(minutes=1)
"""So far the clocks of two processes may differ: what was checked later than that was checked by a wrong one."""

_MAKING = timedelta(minutes=2)  # after that, whoever was making it is taken for dead
_SECONDS = 10.0  # for one call
_REMOVAL_SECONDS = 60.0  # for thousands of pieces; nobody waits for it


@dataclass(frozen=True, slots=True)
class File:
    """One file of a publication: how many lines and bytes it has."""

    lines: int
    size: int


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication.

    Attributes:
        name: after its content.
        moment: of the state that it shows.
        files: by resource type.
        checked: when it was last known to be true.
    """

    name: str
    moment: datetime
    files: Mapping[str, File]
    checked: datetime


class Publications:
    """The publications of one database. Each call raises `Unreachable` where MongoDB does not answer in time."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._publications = database[PUBLICATIONS]
        self._pieces = database[PIECES]

    async def current(self) -> Publication | None:
        """Return the newest one."""
        found = await self._one(_CURRENT)
        return None if found is None or "name" not in found else _publication(found)

    async def named(self, name: str) -> Publication | None:
        """Return one that is still kept."""
        found = await self._one(f"of {name}")
        return None if found is None else _publication(found)

    async def _one(self, ident: str) -> dict[str, Any] | None:
        return await bounded(lambda: self._publications.find_one({"_id": ident}), _SECONDS)

    async def claim(self, now: datetime, before: datetime, maker: str) -> bool:
        """Tell whether `maker` is to make the next one: it was checked before `before`, and nobody else is at it.

        A maker's own claim that still stands, as its answer or its release was lost, keeps it from nothing.
        """
        # Neither of a moment that is yet to come: a clock that was ahead would keep the next one from everybody.
        free = [{"making": {"$not": {"$gt": now, "$lte": now + 2 * _MAKING}}}, {"maker": maker}]
        due = {"_id": _CURRENT, "checked": {"$not": {"$gte": before, "$lte": now + AHEAD}}, "$or": free}
        claimed = {"$set": {"making": now + _MAKING, "maker": maker}}
        try:
            await bounded(
                lambda: self._publications.find_one_and_update(
                    due, claimed, upsert=True, return_document=ReturnDocument.AFTER
                ),
                _SECONDS,
            )
        except DuplicateKeyError:  # it is there, and not due
            return False
        return True

    async def release(self, maker: str) -> None:
        """Leave the next one to others: `maker`, who may have claimed it, has failed."""
        await self._update({"_id": _CURRENT, "maker": maker}, {"$unset": _CLAIM})

    async def publish(self, draft: Draft, moment: datetime) -> None:
        """Let `draft` be the current one; if it says what the current one says, that stays."""
        name = draft.name
        files = {kind: {"lines": one.lines, "size": one.size} for kind, one in draft.files.items()}
        said = {"name": name, "moment": moment, "files": files, "draft": draft.ident}
        present = await self._one(_CURRENT)
        if present is not None and present.get("name") == name:
            await self._update({"_id": _CURRENT}, {"$set": {"checked": moment}, "$unset": _CLAIM})
            await self._remove(draft.ident)
            return
        earlier = await self._one(f"of {name}")
        if earlier is not None:  # what was said before, within the hour: its pieces are there
            await self._remove(draft.ident)
            said["draft"] = earlier["draft"]
        await self._replace(f"of {name}", {**said, "checked": moment})
        if present is not None and "name" in present:
            await self._update({"_id": f"of {present['name']}"}, {"$set": {"replaced": moment}})
        await self._replace(_CURRENT, {**said, "checked": moment})
        await self._delete(f"draft {draft.ident}")
        # Those that were replaced long ago, and drafts of processes that died over them: a handful of documents.
        replaced = {"replaced": {"$lt": moment - _KEPT}}
        for old in await bounded(lambda: self._publications.find(replaced).to_list(), _SECONDS):
            await self._remove(old["draft"])
            await self._delete(old["_id"])

    async def _update(self, query: Mapping[str, Any], change: Mapping[str, Any]) -> None:
        await bounded(lambda: self._publications.update_one(query, change), _SECONDS)

    async def _replace(self, ident: str, document: Mapping[str, Any]) -> None:
        await bounded(lambda: self._publications.replace_one({"_id": ident}, document, upsert=True), _SECONDS)

    async def _delete(self, ident: str) -> None:
        await bounded(lambda: self._publications.delete_one({"_id": ident}), _SECONDS)

    async def _remove(self, draft: str) -> None:
        pieces = {"_id": {"$gte": f"{draft}/", "$lt": f"{draft}0"}}
        await bounded(lambda: self._pieces.delete_many(pieces), _REMOVAL_SECONDS)
        await self._delete(f"draft {draft}")

    async def draft(self, ident: str, now: datetime) -> Draft:
        """Begin a publication; `ident` is anything that no other draft has. Should it never end, it is removed."""
        begun = {"_id": f"draft {ident}", "draft": ident, "replaced": now}
        await bounded(lambda: self._publications.insert_one(begun), _SECONDS)
        return Draft(self._pieces, ident)

    async def read(self, name: str, kind: str) -> AsyncIterator[bytes]:
        """Yield a file piece by piece."""
        found = await self._one(f"of {name}")
        if found is None:
            return
        begin = f"{found['draft']}/{kind}/"
        query = {"_id": {"$gte": begin, "$lt": f"{begin}~"}}
        pieces = self._pieces.find(query, sort=[("_id", 1)], batch_size=4)
        while (piece := await bounded(lambda: anext(pieces, None), _SECONDS)) is not None:
            yield bytes(piece["data"])


class Draft:
    """A publication that is being written, file by file."""

    def __init__(self, pieces: Any, ident: str) -> None:
        self.ident = ident
        self.files: dict[str, File] = {}
        self._pieces = pieces
        self._hash = hashlib.sha256()

    @property
    def name(self) -> str:
        """Return what it is called: after all that has been written."""
        return self._hash.hexdigest()[:32]

    async def write(self, kind: str, lines: AsyncIterator[bytes]) -> None:
        """Write the file of a type."""
        waiting: list[bytes] = []
        held = size = number = count = 0
        self._hash.update(kind.encode())

        async def flush() -> None:
            nonlocal waiting, held, number
            data = b"".join(waiting)
            self._hash.update(data)
            piece = {"_id": f"{self.ident}/{kind}/{number:08d}", "data": Binary(data)}
            await bounded(lambda: self._pieces.insert_one(piece), _SECONDS)
            waiting, held, number = [], 0, number + 1

        async for line in lines:
            waiting.append(line)
            held += len(line)
            size += len(line)
            count += 1
            if held >= PIECE:
                await flush()
        if waiting:
            await flush()
        self.files[kind] = File(count, size)


def _publication(found: Mapping[str, Any]) -> Publication:
    files = {kind: File(one["lines"], one["size"]) for kind, one in found["files"].items()}
    return Publication(found["name"], found["moment"], files, found["checked"])
