"""Work that takes long and waits for nothing: done beside the event loop, so that other requests are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LARGE = 100_000
"""Bytes of JSON from which on its reading and judging are `much`: some 10 ms."""


async def aside(work: Callable[[], T], *, much: bool) -> T:
    """Return what `work` gives; `much` of it is done in a thread, little costs less where it is."""
    return await asyncio.to_thread(work) if much else work()
