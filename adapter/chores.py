"""What a service does beside answering: small things that nobody is to wait for.

Nothing depends on it: whoever needs such work done does it, or does without. Every process does its share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from adapter.logs import logger
from adapter.scheduling import holds
from adapter.service import Service
from adapter.wanted import require_wanted
from store import revision
from store.history import BATCH

PAUSE = 5.0
"""Seconds between two rounds."""


async def run(service: Service, pause: float = PAUSE) -> None:
    """Do the chores, again and again, until cancelled."""
    while True:
        await asyncio.sleep(pause)
        for chore in CHORES:
            try:
                await chore(service)
            except Exception:  # noqa: BLE001  (the next round may go better; a chore must not end the others)
                logger.exception("chore_failed", chore=chore.__name__)
            require_wanted()


async def sequence(service: Service) -> None:
    """Put new versions in the order of the history, so that its next reader need not."""
    for store in service.stores.values():
        done = BATCH
        while done == BATCH:
            done = await store.sequence()


async def tidy_holds(service: Service) -> None:
    """Write down what time has done to holds already: whoever reads or decides has not waited for this."""
    for store in service.stores.values():
        await holds.tidy(store)


async def unmark(service: Service) -> None:
    """Take the mark of other rules away: a reindex of another release or of other settings has set it meanwhile.

    What this service has written since is filed by its own, and nobody else would notice.
    """
    for store in service.stores.values():
        await revision.begin(store.database, store.rules)


CHORES: tuple[Callable[[Service], Awaitable[None]], ...] = (sequence, tidy_holds, unmark)
