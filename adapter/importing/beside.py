"""Checks items in a process beside this one, which decides and writes meanwhile: that is what two cores are for.

The child has one end of a pipe: it ends when the other end is closed, however this process ended. What goes through is
pickled, between two processes of one program. Until the child has started, should it end too early, and where none can
be started, the checks are made here instead.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import orjson

from adapter import memory
from adapter.errors import Problem, Refused
from adapter.importing.checking import Checked, Ready, check_all
from adapter.importing.item import Item
from adapter.importing.means import Means, Tables
from adapter.settings import Settings
from adapter.terms import systems_of, vocabulary_of
from store.codec import encode

WORTH = 4_000
"""Items from which on the second or two of the child's start are well spent."""

Check = Callable[[Sequence[Item]], Awaitable[Checked]]
_Fault = tuple[tuple[Problem, ...], int]
"""An exception does not go through a pipe as it is: its problems and its status do."""

_Bare = tuple[str, str, bool, list[str], tuple[str, ...], bytes]
"""What is ready, its resource as JSON: that is written and read faster than pickling does it."""

_Told = tuple[list[Ready | _Bare | _Fault], Counter[str]]

# In JSON without white space: a number that `store.codec` alone reads without a loss. It may find one in a text.
_EXACT = re.compile(rb'(?:":|[\[,])-?(?:\d+[.eE]|\d{19}|0(?=[,}\]])(?<=-0))')


@asynccontextmanager
async def checks(means: Means, items: int) -> AsyncIterator[Check]:
    """Give what checks a batch: beside this process, where so many items are worth it and there is a core for it."""

    async def here(batch: Sequence[Item]) -> Checked:
        return await check_all(means, batch)

    if items < WORTH or _cores() < 2:
        yield here
        return
    begun = await asyncio.to_thread(_begun, means.settings)
    if begun is None:
        yield here
        return
    child, ours = begun
    started = asyncio.create_task(asyncio.to_thread(ours.recv))

    async def there(batch: Sequence[Item]) -> Checked:
        if not started.done():
            return await here(batch)
        try:
            return await asyncio.to_thread(_ask, ours, batch)
        except (EOFError, OSError):
            return await here(batch)

    try:
        yield there
    finally:
        child.terminate()  # who waits for an answer has the end of the pipe then
        await asyncio.to_thread(child.join)
        await asyncio.gather(started, return_exceptions=True)
        ours.close()


def _cores() -> int:
    """Return how many this process may use; where the system does not tell (macOS, Windows), all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begun(settings: Settings) -> tuple[SpawnProcess, Connection] | None:
    """Start the child; return it with our end of its pipe, or None where the system has no process left for it."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, settings), daemon=True)
    try:
        child.start()
    except OSError:
        ours.close()
        return None
    finally:
        theirs.close()
    return child, ours


def _ask(pipe: Connection, batch: Sequence[Item]) -> Checked:
    _send(pipe, batch)
    told: _Told = pipe.recv()
    found, left_out = told
    return Checked([_taken(one) for one in found], left_out)


def _send(pipe: Connection, what: object) -> None:
    """Send what `Connection.recv` reads, where nobody is there any more without a word.

    `Connection.send` leaves a view of a buffer to the garbage collector then, and Python 3.13 complains of it.
    """
    pipe.send_bytes(pickle.dumps(what))


def _taken(one: Ready | _Bare | _Fault) -> Ready | Refused:
    if isinstance(one, Ready):
        return one
    if len(one) == 2:
        return Refused(one[0], status=one[1])
    kind, ident, stated, tokens, claims, raw = one
    return Ready(kind, ident, stated, tokens, orjson.loads(raw), claims=claims)


def _given(one: Ready | Refused) -> Ready | _Bare | _Fault:
    if isinstance(one, Refused):
        return one.problems, one.status
    if one.members is not None or one.deletes or one.if_none or one.sought or one.referents or one.roots:
        return one
    raw = encode(one.resource)
    return one if _EXACT.search(raw) else (one.kind, one.ident, one.stated, one.tokens, one.claims, raw)


def _serve(pipe: Connection, settings: Settings) -> None:
    """Check what comes, until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the other process ends this one
    means = Tables(settings, systems_of(settings), vocabulary_of(settings))
    memory.settle(memory.BATCH)
    with suppress(EOFError, OSError):  # nobody is there any more, in whatever moment that comes
        _send(pipe, True)
        while True:
            checked = Checked()
            for item in pipe.recv():
                checked.add(means, item)
            told: _Told = ([_given(one) for one in checked.found], checked.left_out)
            _send(pipe, told)
