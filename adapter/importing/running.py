"""Goes through all files, rank by rank, batch by batch, and remembers after each batch how far it has come."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from adapter.errors import Refused
from adapter.importing.beside import checks
from adapter.importing.checking import Checked, Ready
from adapter.importing.deciding import CREATED, UNCHANGED, UPDATED, Result, Writer
from adapter.importing.errorfile import ErrorFile, require_ours
from adapter.importing.item import RANKS, Item
from adapter.importing.reading import items
from adapter.importing.sources import Source, require_beside
from adapter.importing.state import Place, begin, end
from adapter.security.keys import Mode
from adapter.service import Service

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Options:
    """How to import.

    Attributes:
        mode: into which data.
        errors: the file that refused items go to (NDJSON).
        state: the file that tells how far an interrupted import has come.
        batch: items in one transaction.
    """

    mode: Mode
    errors: Path
    state: Path
    batch: int = BATCH


@dataclass(slots=True)
class Tally:
    """How far an import has come.

    Attributes:
        total: items there are.
        created, updated, unchanged, refused: what became of those gone through.
        left_out: members of MediLoop objects that its documentation does not know, and how often they came.
        notes: what else is to be told, in sentences.
    """

    total: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Items gone through."""
        return self.created + self.updated + self.unchanged + self.refused


async def run(service: Service, sources: Sequence[Source], options: Options) -> AsyncIterator[Tally]:
    """Import everything; tell the progress after each batch.

    An import that was interrupted goes on where its state file says; when all is done, the file is removed. What is
    refused stands in the error file, a line for each: ``{"file", "line", "reasons": [...], "resource"}``.

    Raises:
        SourceError: the state file is of other files or of another database; files have changed since; the error file
            is something else.
        Unreachable: MongoDB did not answer in time; the same command goes on there.
    """
    require_beside(sources, {"--errors": options.errors, "--state": options.state})
    require_ours(options.errors)
    store = service.stores[options.mode]
    place = await begin(store, sources, options.state)
    tally = Tally(**place.tally)
    tally.total = sum(sum(counts) for counts in place.survey)
    writer = Writer(service, store)
    yield tally
    with ErrorFile(options.errors, place.errors) as refusals:
        if refusals.note:
            tally.notes.append(refusals.note)
        running: asyncio.Task[_Done] | None = None
        try:
            async with checks(service, tally.total - tally.done) as check:
                for rank, number, chunk in _chunks(sources, place, options.batch):
                    checked = await check(chunk)  # while the batch before is being written
                    if running is not None:
                        _remember(await running, place, tally, refusals, options)
                        yield tally
                    where = (rank, number, chunk[-1].line)
                    running = asyncio.create_task(_written(writer, sources[number], where, chunk, checked))
            if running is not None:
                _remember(await running, place, tally, refusals, options)
                yield tally
        finally:
            if running is not None and not running.done():
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
    await end(store, place, options.state)


def _chunks(sources: Sequence[Source], place: Place, size: int) -> Iterator[tuple[int, int, tuple[Item, ...]]]:
    survey = place.survey
    begin = (place.rank, place.source)
    line = place.line
    for rank in range(len(RANKS)):
        for number, source in enumerate(sources):
            if (rank, number) < begin or not survey[number][rank]:
                continue
            after = line if (rank, number) == begin else 0
            found = items(source, rank, after)
            while chunk := tuple(islice(found, size)):
                yield rank, number, chunk


@dataclass(frozen=True, slots=True)
class _Done:
    """A batch that is written: where it ends, and what became of it."""

    source: Source
    where: tuple[int, int, int]
    results: list[tuple[Item, Result]]
    left_out: Counter[str]


async def _written(
    writer: Writer, source: Source, where: tuple[int, int, int], chunk: Sequence[Item], checked: Checked
) -> _Done:
    fit = [ready for ready in checked.found if isinstance(ready, Ready)]
    written = iter(await writer.write(fit)) if fit else iter(())
    results = [ready if isinstance(ready, Refused) else next(written) for ready in checked.found]
    return _Done(source, where, list(zip(chunk, results, strict=True)), checked.left_out)


def _remember(done: _Done, place: Place, tally: Tally, refusals: ErrorFile, options: Options) -> None:
    for item, result in done.results:
        if isinstance(result, Refused):
            tally.refused += 1
            refusals.add(done.source, item, result)
        elif result == CREATED:
            tally.created += 1
        elif result == UPDATED:
            tally.updated += 1
        elif result == UNCHANGED:
            tally.unchanged += 1
    for name, times in done.left_out.items():
        tally.left_out[name] = tally.left_out.get(name, 0) + times
    place.rank, place.source, place.line = done.where
    place.errors = refusals.flush()
    place.tally = asdict(tally)
    place.save(options.state)
