"""What a service does beside answering: small things that nobody is to wait for.

Nothing depends on it: whoever needs such work done does it, or does without. Every process does its share.
"""

from __future__ import annotations

import asyncio

from adapter.logs import logger
from adapter.service import Service
from store.history import BATCH

PAUSE = 5.0
"""Seconds between two rounds."""


async def run(service: Service, pause: float = PAUSE) -> None:
    """Do the chores, again and again, until cancelled."""
    while True:
        await asyncio.sleep(pause)
        try:
            await sequence(service)
        except Exception:  # noqa: BLE001  (the next round may go better; a chore must not end the others)
            logger.exception("chore_failed", chore="sequence")


async def sequence(service: Service) -> None:
    """Put new versions in the order of the history, so that its next reader need not."""
    for store in service.stores.values():
        done = BATCH
        while done == BATCH:
            done = await store.sequence()
