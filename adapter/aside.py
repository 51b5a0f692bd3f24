"""Work that takes long and waits for nothing: done beside the event loop, so that other requests are answered."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LARGE = 100_000
"""Bytes of JSON from which on its reading and judging are `much`: some 10 ms."""

# Of one thread: the interpreter runs one at a time, and of several each takes longer, as does the event loop.
_BESIDE = ThreadPoolExecutor(1, "aside")


async def aside(work: Callable[[], T], *, much: bool) -> T:
    """Return what `work` gives; `much` of it in a thread, one after the other, little costs less where it is."""
    if not much:
        return work()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_BESIDE, contextvars.copy_context().run, work)
