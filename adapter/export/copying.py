"""``mediloop-fhir export`` carried out: the resources at one cut, written into files, each finished one remembered.

An export that is interrupted loses no more than the file it was at: the next run begins that one anew, at the id where
the last finished one ended, and the files are the same as if nothing had happened. A de-identified export remembers no
id, but how many resources are done: the next run reads past them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import orjson

from adapter.export import formats
from adapter.export.behind import Behind
from adapter.export.engine import DELETED, Selection, deleting, deletions, resources
from adapter.export.folder import Folder, Manifest
from store import codec
from store.exporting import Query
from store.store import Store

if TYPE_CHECKING:
    from adapter.export.columns import Rows
    from adapter.export.deidentify import Deidentifier

Progress = Callable[[int], None]
"""Told how many resources more are read."""

_PART = 10_000  # resources read at a time, where they are written as they are
_ROWS = 1_000  # where something is made of them: that takes longer than to read them, and more memory
_BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be exported.

    Attributes:
        format: of the files.
        kinds: the types, in order.
        base: what a Bundle's ``fullUrl`` begins with.
        since: only what changed then or later; deletions are told then.
        queries: by type, of which a resource must match one; a type without any is wanted whole.
        most: resources in a file; 0: all of a type, or of a Bundle.
        zipped: with gzip.
    """

    format: formats.Name
    kinds: tuple[str, ...]
    base: str
    since: datetime | None = None
    queries: dict[str, tuple[Query, ...]] = field(default_factory=dict)
    most: int = 0
    zipped: bool = False


class Copying(Behind):
    """One export in the hands of this process.

    Args:
        store: what is exported.
        folder: where to.
        manifest: how far it is.
        wanted: what is.
        rows: makes the rows of tables; None where the format is none.
        deidentifier: takes from resources what tells who somebody is; None: nothing is taken.
    """

    def __init__(
        self,
        store: Store,
        folder: Folder,
        manifest: Manifest,
        wanted: Wanted,
        rows: Rows | None = None,
        deidentifier: Deidentifier | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._folder = folder
        self._manifest = manifest
        self._wanted = wanted
        self._rows = rows
        self._deidentifier = deidentifier
        self._together = wanted.format in ("bundle", "searchset")
        self._file: IO[bytes] | None = None
        self._writing: formats.Writing | None = None
        self._name = ""
        self._numbers = Counter(one["type"] for one in manifest.output)

    async def carry_out(self, progress: Progress) -> None:
        """Write what is left to be written; the manifest is complete then.

        Raises:
            Unreachable, OSError: something is not there; the same again goes on.
            MissingLibrary: what the format needs is not installed.
            NotUsable: somebody has taken away what was written.
        """
        manifest, wanted = self._manifest, self._wanted
        progress(sum(one["count"] for one in manifest.output))
        if self._rows is not None and "Slot" in wanted.kinds:
            await self._read_schedules(self._rows)
        try:
            for step in range(manifest.step, len(wanted.kinds)):
                after, skip = (manifest.after, manifest.skip) if step == manifest.step else ("", 0)
                await self._write_kind(step, after, skip, progress)
            if self._together and manifest.step < len(wanted.kinds):
                await self._finish(_BUNDLE, len(wanted.kinds))
            await self._all_finished()
            if wanted.since is not None:
                await self._write_deletions(wanted.since)
        finally:
            await self._drop()
        await asyncio.to_thread(self._folder.require_whole, manifest)
        manifest.complete = True
        await asyncio.to_thread(self._folder.save, manifest)

    async def _write_kind(self, step: int, after: str, skip: int, progress: Progress) -> None:
        kind, wanted = self._wanted.kinds[step], self._wanted
        group = _BUNDLE if self._together else kind
        selection = Selection(kind, wanted.since, wanted.queries.get(kind, ()))
        if not self._numbers[_type(group)] and (self._rows is not None or self._together):
            await self._begin(group)  # a table without rows has its header, a Bundle without entries is one
        # What is made of resources takes longer than to read them, and more memory.
        batch = _ROWS if self._rows is not None or self._deidentifier is not None else _PART
        done = skip
        async for part in resources(self._store, self._manifest.cut, selection, after=after, batch=batch):
            lines = part.lines[skip:]
            skip -= len(part.lines) - len(lines)
            progress(len(lines))
            while lines:
                writing = await self._begin(group)
                room = wanted.most - writing.count if wanted.most else len(lines)
                some, lines = lines[:room], lines[room:]
                done += len(some)
                # Written while the next part is read.
                self._background = asyncio.create_task(asyncio.to_thread(self._add, writing, kind, some))
                if len(some) == room and wanted.most:
                    place = (codec.ident(some[-1]), 0) if self._deidentifier is None else ("", done)
                    await self._finish(group, step, *place)
        if not self._together:
            await self._finish(group, step + 1)

    def _add(self, writing: formats.Writing, kind: str, lines: Sequence[bytes]) -> None:
        shaped = lines if self._deidentifier is None else [self._deidentifier.line(raw) for raw in lines]
        writing.add(kind, shaped)

    async def _begin(self, group: str) -> formats.Writing:
        """Return the file that is written at, made where there is none."""
        await self._settle()
        if self._writing is None:
            self._numbers[_type(group)] += 1
            ending = formats.ENDINGS[self._wanted.format] + (".gz" if self._wanted.zipped else "")
            self._name = f"{group}.{self._numbers[_type(group)]:05}{ending}"
            self._file = await asyncio.to_thread(self._folder.create, self._name)
            self._writing = self._made(self._file, group)
        return self._writing

    def _made(self, file: IO[bytes], group: str) -> formats.Writing:
        wanted = self._wanted
        if wanted.format == "ndjson":
            return formats.Ndjson(file, zipped=wanted.zipped)
        if self._rows is not None:
            from adapter.export import tables

            if wanted.format == "parquet":
                return tables.Parquet(file, group, self._rows)
            return tables.Csv(file, group, self._rows, zipped=wanted.zipped)
        return formats.Bundle(file, wanted.base, search=wanted.format == "searchset", zipped=wanted.zipped)

    async def _finish(self, group: str, step: int, after: str = "", skip: int = 0) -> None:
        """Have the file that is written at ended, if there is one, and remembered how far the export is then.

        The next one is begun meanwhile: the disk takes its time over it.
        """
        await self._all_finished()  # in their order: the manifest says how far all before has come
        background, writing, file, name = self._background, self._writing, self._file, self._name
        self._writing = self._file = None

        async def finish() -> None:
            if writing is not None and file is not None:
                with file, _given_up_unless_finished(writing):  # closed also where it cannot be ended
                    if background is not None:
                        await background
                    await asyncio.to_thread(writing.finish)
                    await asyncio.to_thread(self._folder.close, file)
                self._manifest.output.append(_entry(_type(group), name, writing))
            self._manifest.step, self._manifest.after, self._manifest.skip = step, after, skip
            await asyncio.to_thread(self._folder.save, self._manifest)

        self._finishing = asyncio.create_task(finish())

    async def _write_deletions(self, since: datetime) -> None:
        writing, wanted, name = None, self._wanted, DELETED
        queries = {kind: list(found) for kind, found in wanted.queries.items()}
        pseudonym = str if self._deidentifier is None else self._deidentifier.name
        async for names in deletions(self._store, self._manifest.cut, since, wanted.kinds, queries):
            if writing is None:
                self._file = await asyncio.to_thread(self._folder.create, name)
                writing = formats.Ndjson(self._file)
            told = [pseudonym(one) for one in names]
            await asyncio.to_thread(writing.add, "Bundle", deleting(told))
        if writing is not None and self._file is not None:
            await asyncio.to_thread(self._folder.close, self._file)
            self._file = None
            self._manifest.deleted = [_entry("Bundle", name, writing)]

    async def _read_schedules(self, rows: Rows) -> None:
        async for part in resources(self._store, self._manifest.cut, Selection("Schedule")):
            for line in part.lines:
                raw = line if self._deidentifier is None else self._deidentifier.line(line)
                rows.add_schedule(orjson.loads(raw))

    async def _drop(self) -> None:
        """Let go of a file that is not finished; one that is about to be may be."""
        await self._given_up()
        if self._writing is not None:
            self._writing.give_up()
        if self._file is not None:
            self._file.close()


@contextmanager
def _given_up_unless_finished(writing: formats.Writing) -> Iterator[None]:
    try:
        yield
    except BaseException:
        writing.give_up()
        raise


def _type(group: str) -> str:
    return "Bundle" if group == _BUNDLE else group


def _entry(kind: str, name: str, writing: formats.Writing) -> dict[str, Any]:
    hashed = writing.hashed
    return {
        "type": kind,
        "url": name,
        "count": writing.count,
        "sha256": hashed.sha256.hexdigest(),
        "size": hashed.size,
    }
