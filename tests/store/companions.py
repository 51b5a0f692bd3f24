"""Steps for tests of units of work that travel together, and a way to have them all there at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pymongo import monitoring

from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.support import HOUR, Listener, appointment

Step = Callable[[UnitOfWork], Awaitable[Any]]


class Commands(Listener):
    """Notes the names of what is sent in transactions."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if "autocommit" in event.command:
            self.sent.append(event.command_name)


@asynccontextmanager
async def under_way(store: Store) -> AsyncIterator[None]:
    """Have as many transactions under way as others wait for, until the end of the ``with``."""
    begun, over = asyncio.Semaphore(0), asyncio.Event()

    async def long(work: UnitOfWork) -> None:
        begun.release()
        await over.wait()

    running = [asyncio.create_task(store.transact(long, together=True)) for _ in range(2)]
    for _ in running:
        await begun.acquire()
    yield
    over.set()
    await asyncio.gather(*running)


async def at_once(store: Store, *steps: Step) -> list[Any]:
    """Run steps that are all there when a transaction begins; return results or errors."""
    async with under_way(store):
        waiting = [asyncio.create_task(store.transact(step, together=True)) for step in steps]
        await asyncio.sleep(0)
    return await asyncio.gather(*waiting, return_exceptions=True)


def making(*resources: dict[str, Any]) -> Step:
    """The step that makes resources."""

    async def step(work: UnitOfWork) -> list[str]:
        return [work.create(one)["id"] for one in resources]

    return step


def booking(ident: str, **more: Any) -> Step:
    """The step that makes an Appointment where it sees nobody in that hour."""

    async def step(work: UnitOfWork) -> str:
        if await work.find("Appointment", {"_index.claims": {"$in": [HOUR]}}):
            return "refused"
        work.create(appointment(ident, **more))
        return "booked"

    return step


REFUSED = {"$or": [{"_index": "x"}, {"_index.claims": "x"}]}
"""What may be looked for by itself, and cannot be read ahead: no pipeline gives a field and a part of it."""


async def foreseeing_what_is_refused(work: UnitOfWork) -> list[Any]:
    """Foresee what one command cannot read, and ask for it."""
    await work.foresee([("Appointment", REFUSED), ("Patient", {"_id": "a"})])
    return [await work.find("Appointment", REFUSED), await work.read("Patient", "a")]
