"""Goes through all files: stage by stage, pass by pass, batch by batch, each of which is noted in the books."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapter.importing import again
from adapter.importing.beside import Check, checks
from adapter.importing.books import Books, Outcome, outcomes_of
from adapter.importing.checking import Checked
from adapter.importing.closing import close
from adapter.importing.deciding import Writer
from adapter.importing.errorfile import ErrorFile, require_ours
from adapter.importing.item import FIRST, PASSES, SLOTS, VISITS, Item, portions
from adapter.importing.overlapping import Course
from adapter.importing.reading import items
from adapter.importing.reopening import reopen
from adapter.importing.sources import Source, require_beside
from adapter.importing.state import Tally, begin, end, require_all, require_unchanged
from adapter.importing.waiting import Waiting
from adapter.importing.waiting_row import Key
from adapter.security.keys import Mode
from adapter.service import Service
from store import revision

BATCH = 1_000

# Passes in which a batch is decided while the one before is written: what refers to none of its own type.
_BESIDE = (SLOTS, VISITS)


@dataclass(frozen=True, slots=True)
class Options:
    """How to import.

    Attributes:
        mode: into which data.
        errors: the file that refused items go to (NDJSON).
        state: the file that tells how far an interrupted import has come.
        batch: items in one transaction, at most.
    """

    mode: Mode
    errors: Path
    state: Path
    batch: int = BATCH


async def run(service: Service, sources: Sequence[Source], options: Options) -> AsyncIterator[Tally]:
    """Import everything; tell the progress after each batch.

    An import that was interrupted goes on where its state file says; when all is done, the file is removed. What is
    refused stands in the error file, a line for each: ``{"file", "line", "reasons": [...], "resource"}``.

    Raises:
        SourceError: the state file is of other files or of another database; files have changed since, or meanwhile;
            the error file is something else; what waited before an interruption is gone, or cannot be kept.
        Unreachable: MongoDB did not answer in time; the same command goes on there.
    """
    require_beside(sources, {"--errors": options.errors, "--state": options.state})
    require_ours(options.errors)
    store = service.stores[options.mode]
    anew = not options.state.exists()
    place = await begin(store, sources, options.state)
    await revision.begin(store.database, store.rules)
    tally = place.tally
    tally.total = sum(sum(counts) for counts in place.survey)
    path = options.state.with_name(f"{options.state.name}.waiting")
    yield tally
    with (
        Waiting(path, place.begun, anew=anew, waits=place.waits) as waiting,
        ErrorFile(options.errors, place.errors) as refusals,
    ):
        if refusals.note:
            tally.notes.append(refusals.note)
        books = Books(sources, options.state, place, refusals, waiting)
        writer = Writer(service, store, waiting.free, take=waiting.take, taken=waiting.taken)
        async with checks(service, tally.total - tally.done) as check:
            for stage in range(place.stage, 1 + max((source.stage for source in sources), default=-1)):
                writer.since = datetime.fromisoformat(place.since) if place.since else None
                async with aclosing(_once(writer, check, sources, books, options.batch)) as steps:
                    async for _ in steps:
                        yield tally
                async with aclosing(again.settle(writer, check, books, options.batch)) as steps:
                    async for _ in steps:
                        yield tally
                if waiting.frees:
                    await close(writer, check, [one for one in sources if one.stage == stage], waiting, options.batch)
                await reopen(writer, waiting, options.batch)
                require_unchanged(place, sources, options.state)
                books.end_stage(options.batch, store.now())
                yield tally
        require_all(place, options.state)
        waiting.remove()
    await end(store, place, options.state)


async def _once(
    writer: Writer, check: Check, sources: Sequence[Source], books: Books, size: int
) -> AsyncGenerator[None]:
    """Go through a stage: one batch is checked, and one decided, while the one before is being written."""
    under_way: deque[asyncio.Task[_Done]] = deque()
    course: Course | None = None
    last = FIRST
    try:
        for rank, number, chunk in _chunks(sources, books, size):
            checked = await check(chunk)
            if rank != last:
                course = None
            while len(under_way) > (1 if course is not None and rank in _BESIDE else 0):
                _note(await under_way[0], books)
                under_way.popleft()
                yield
            course, last = Course(checked.ready(), course), rank
            under_way.append(asyncio.create_task(_written(writer, (rank, number), chunk, checked, course)))
        while under_way:
            _note(await under_way[0], books)
            under_way.popleft()
            yield
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    books.end_pass()


def _chunks(sources: Sequence[Source], books: Books, size: int) -> Iterator[tuple[int, int, tuple[Item, ...]]]:
    place = books.place
    begin, line, stage = (place.rank, place.source), place.line, place.stage
    for rank in PASSES:
        for number, source in enumerate(sources):
            if source.stage != stage or (rank, number) < begin or not place.survey[number][rank]:
                continue
            after = line if (rank, number) == begin else 0
            for chunk in portions(items(source, rank, after), size, lambda item: item.size):
                yield rank, number, chunk


@dataclass(frozen=True, slots=True)
class _Done:
    """A batch that is written: where it ends, and what became of it."""

    where: Key
    outcomes: list[Outcome]
    checked: Checked


async def _written(
    writer: Writer, where: tuple[int, int], chunk: Sequence[Item], checked: Checked, course: Course
) -> _Done:
    written = await writer.write(checked.ready(), course)  # before their names are read
    seen = (((*where, item.line), item, "") for item in chunk)
    return _Done((*where, chunk[-1].line), outcomes_of(seen, checked, written), checked)


def _note(done: _Done, books: Books) -> None:
    books.leave_out(done.checked.left_out.items())
    books.note(done.outcomes, done.where)
