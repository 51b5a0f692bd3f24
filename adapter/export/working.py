"""One export carried out: files written part after part, each finished one kept with the job.

A worker that dies loses no more than the file it was writing: the next one begins that file anew, at the id where the
last finished one ended. So the files are the same however often that happens. A worker that was thought dead may go on:
it writes into a folder of its own, and gives up what it was writing when it finds out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from adapter import clock
from adapter.export.behind import Behind
from adapter.export.engine import DELETED, deleting, deletions, resources
from adapter.export.files import Files, Writing
from adapter.export.plan import Plan
from adapter.export.shaping import shape
from adapter.settings import Settings
from store.connection import bounded
from store.errors import Unreachable
from store.export_jobs import LEASE_SECONDS, ExportJobs, File, Job
from store.store import Store

_PART = 10_000  # resources read at a time; of large ones MongoDB gives fewer, 16 MB at most


class Lost(Exception):
    """The job is no longer this worker's: it was deleted, or another one has it."""


@dataclass(slots=True)
class _Progress:
    done: int
    total: int


class Work(Behind):
    """A job in the hands of a worker.

    Args:
        store: what is exported.
        jobs: where the job is kept.
        files: where its files go.
        settings: how large they may be, and how long they are kept.
        job: as it was taken.
        worker: who has taken it.
        now: the clock.

    Raises:
        Outdated: its filters were read by other rules; the key of its pseudonyms is no longer there, or another one.
    """

    def __init__(
        self,
        store: Store,
        jobs: ExportJobs,
        files: Files,
        settings: Settings,
        job: Job,
        worker: str,
        *,
        now: clock.Now = clock.now,
    ) -> None:
        super().__init__()
        self._store = store
        self._jobs = jobs
        self._files = files
        self._settings = settings
        self._job = job
        self._worker = worker
        self._plan = Plan.of(job.plan)
        self._plan.require_present(store.rules)
        self._shape = shape(self._plan, settings)
        self._now = now
        self._progress = _Progress(job.done, job.total)
        self._numbers = Counter(one.kind for one in job.files if one.role == "output")
        self._unfinished: set[Writing] = set()

    async def carry_out(self, beat: float = 1.0) -> None:
        """Write what is left to be written and end the job; report every `beat` seconds meanwhile.

        Raises:
            Lost: it is no longer this worker's.
            Unreachable, OSError: something is not there; the job can be taken again.
        """
        writing = asyncio.create_task(self._write())
        beating = asyncio.create_task(self._beat(beat))
        try:
            await asyncio.wait((writing, beating), return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                beating.result()  # raises why it has ended
            await writing
        finally:
            for task in (writing, beating):
                task.cancel()
            await asyncio.gather(writing, beating, return_exceptions=True)
            await self._given_up()
            await asyncio.gather(*(one.abort() for one in self._unfinished))

    async def _beat(self, pause: float) -> None:
        job, loop = self._job, asyncio.get_running_loop()
        heard = loop.time()  # not the number of tries: one may take ten seconds
        while True:
            try:
                ours = await self._jobs.prolong(job.ident, self._worker, self._progress.done, self._progress.total)
            except Unreachable:
                if loop.time() - heard > LEASE_SECONDS:
                    raise  # by now another may be at it
            else:
                heard = loop.time()
                if not ours:
                    raise Lost
            await asyncio.sleep(pause)

    async def _write(self) -> None:
        job, plan = self._job, self._plan
        if not self._progress.total and plan.since is None and not plan.filters and plan.patients is None:
            for kind in plan.kinds:
                self._progress.total += await self._count(kind)
        deleted = len(plan.steps)
        for step in range(job.step, deleted):
            await self._write_kind(step, job.after if step == job.step else "")
        if job.step <= deleted and plan.since is not None:
            await self._write_deleted(deleted, plan.since)
        if job.step <= deleted + 1 and plan.notes:
            await self._write_notes(deleted + 1)
        await self._all_finished()
        expires = self._now() + timedelta(hours=self._settings.export_hours)
        if not await self._jobs.finish(job.ident, self._worker, expires):
            raise Lost

    async def _count(self, kind: str) -> int:
        return await bounded(self._store.database[kind].estimated_document_count, LEASE_SECONDS)

    async def _write_kind(self, step: int, after: str) -> None:
        kind, joined = self._plan.steps[step]
        most = self._settings.export_file_resources
        name, writing, reached = "", None, after
        selection = self._plan.selection(kind, joined)
        async for part in resources(self._store, self._job.cut, selection, after=after, batch=min(most, _PART)):
            lines = part.lines if self._shape.lines is None else self._shape.lines(kind, part.lines)
            await self._settle()
            if writing is not None and writing.count + len(lines) > most:
                await self._finish(step, reached, kind, name, writing)
                writing = None
            if lines and writing is None:
                self._numbers[kind] += 1
                name = f"{kind}.{self._numbers[kind]:05}.ndjson"
                writing = self._begin(name)
            if lines and writing is not None:
                self._background = asyncio.create_task(writing.write(lines))  # while the next part is read
                self._progress.done += len(lines)
            reached = part.last
        await self._settle()
        if writing is not None:
            await self._finish(step + 1, "", kind, name, writing)

    async def _write_deleted(self, step: int, since: datetime) -> None:
        kinds = self._plan.kinds
        queries = {kind: self._plan.queries(kind) for kind in kinds}
        name, writing = DELETED, None
        async for names in deletions(self._store, self._job.cut, since, kinds, queries):
            if writing is None:
                writing = self._begin(name)
            names = [self._shape.name(one) for one in names]
            await writing.write(deleting(names))
        if writing is not None:
            await self._finish(step + 1, "", "Bundle", name, writing, "deleted")

    async def _write_notes(self, step: int) -> None:
        name = "notes.00001.ndjson"
        writing = self._begin(name)
        await writing.write([orjson.dumps(dict(one)) for one in self._plan.notes])
        await self._finish(step + 1, "", "OperationOutcome", name, writing, "error")

    def _begin(self, name: str) -> Writing:
        writing = self._files.create(self._job.ident, f"{self._worker}/{name}")
        self._unfinished.add(writing)
        return writing

    async def _finish(
        self, step: int, after: str, kind: str, name: str, writing: Writing, role: str = "output"
    ) -> None:
        """Have a file ended and kept with the job while the next one is begun: the disk takes its time over it."""
        await self._all_finished()  # in their order: the job says how far all before has come
        done = self._progress.done

        async def finish() -> None:
            await writing.close()
            self._unfinished.discard(writing)
            file = File(role, kind, name, writing.count, writing.size, self._worker)
            if not await self._jobs.add(self._job.ident, self._worker, [file], step, after, done):
                raise Lost

        self._finishing = asyncio.create_task(finish())


async def tidy(jobs: ExportJobs, files: Files, ident: str, now: datetime) -> bool:
    """Remove a job with its files; tell whether they are gone. The job is kept, for nobody, as long as they are not.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    await jobs.discard(ident, now)
    if not await _removed(files, ident):
        return False
    await jobs.remove(ident)
    return True


async def give_up(jobs: ExportJobs, files: Files, ident: str, worker: str, expires: datetime, problem: str) -> None:
    """End a job of `worker` with what is wrong. Its files go: nobody can ask for them, and the disk may be full.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    if await jobs.finish(ident, worker, expires, problem):
        await _removed(files, ident)  # what is left of them goes with the job


async def _removed(files: Files, ident: str) -> bool:
    try:
        await files.remove(ident)
    except Exception as error:  # noqa: BLE001  (drivers of object stores have errors of their own; the next round tries again)
        from adapter.logs import logger  # where it is needed: a worker's process begins faster without

        logger.warning("export_files_left", job=ident, error=str(error))
        return False
    return True
