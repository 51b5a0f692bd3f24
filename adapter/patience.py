"""What nobody waits for may take longer than a request: a first start, or a command that is given again.

MongoDB goes on with the transaction of a process that was killed until it is too old, longer than a write waits for it;
and the same command is likely to be given again at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from store.errors import Unreachable
from store.store import Store

T = TypeVar("T")

_AGAIN = 2


async def patiently(store: Store, work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work` does, which is tried again where a store does not answer in time.

    Raises:
        Unreachable: MongoDB is not there at all, or did not answer in time each time.
    """
    for _ in range(_AGAIN):
        try:
            return await work()
        except Unreachable:
            await store.ping()  # or it is not there at all
    return await work()
