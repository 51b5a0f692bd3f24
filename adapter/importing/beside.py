"""Checks items in a process beside this one, which decides and writes meanwhile: that is what two cores are for.

The child has one end of a pipe: it ends when the other end is closed, however this process ended. What goes through is
pickled, between two processes of one program. Should the child end too early, the checks are made here instead.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from adapter.errors import Problem, Refused
from adapter.importing.checking import Checked, Ready, check_all
from adapter.importing.mediloop import Means
from adapter.importing.reading import Item
from adapter.service import systems_of, vocabulary_of
from adapter.settings import Settings
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary

WORTH = 4_000
"""Items from which on the second or two of the child's start are well spent."""

_OBJECTS = 50_000  # made between two collections of garbage: a batch is nothing but objects that are all in use

Check = Callable[[Sequence[Item]], Awaitable[Checked]]
_Told = tuple[list[Ready | tuple[tuple[Problem, ...], int]], Counter[str]]
"""An exception does not go through a pipe as it is: its problems and its status do."""


@dataclass(frozen=True, slots=True)
class _Tables:
    settings: Settings
    systems: Systems
    vocabulary: Vocabulary


@asynccontextmanager
async def checks(means: Means, items: int) -> AsyncIterator[Check]:
    """Give what checks a batch: beside this process, where so many items are worth it and there is a core for it."""

    async def here(batch: Sequence[Item]) -> Checked:
        return await check_all(means, batch)

    if items < WORTH or len(os.sched_getaffinity(0)) < 2:
        yield here
        return
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, means.settings), daemon=True)
    await asyncio.to_thread(child.start)
    theirs.close()

    async def there(batch: Sequence[Item]) -> Checked:
        try:
            return await asyncio.to_thread(_ask, ours, batch)
        except (EOFError, OSError):
            return await here(batch)

    try:
        yield there
    finally:
        child.terminate()  # who waits for an answer has the end of the pipe then
        await asyncio.to_thread(child.join)
        ours.close()


def _ask(pipe: Connection, batch: Sequence[Item]) -> Checked:
    pipe.send(batch)
    told: _Told = pipe.recv()
    found, left_out = told
    return Checked([one if isinstance(one, Ready) else Refused(one[0], status=one[1]) for one in found], left_out)


def _serve(pipe: Connection, settings: Settings) -> None:
    """Check what comes, until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the other process ends this one
    means = _Tables(settings, systems_of(settings), vocabulary_of(settings))
    few_collections()
    while True:
        try:
            batch = pipe.recv()
        except (EOFError, OSError):
            return
        checked = Checked()
        for item in batch:
            checked.add(means, item)
        told: _Told = (
            [one if isinstance(one, Ready) else (one.problems, one.status) for one in checked.found],
            checked.left_out,
        )
        pipe.send(told)


def few_collections() -> None:
    """Let the garbage collector leave what is there alone, and come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 20, 100)
