"""What a service process does about exports: it takes jobs that nobody is at, one at a time, and tidies up.

Who carries them out is a process beside this one (`adapter.export.processes`).
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

from adapter.export.files import Files
from adapter.export.processes import KEEP_SECONDS, Workers
from adapter.export.working import give_up, tidy
from adapter.logs import logger
from adapter.service import MODES, Service
from adapter.wanted import require_wanted
from store.export_jobs import ExportJobs

PAUSE = 2.0
"""Seconds between two looks for jobs that another process took in, or has left."""

ATTEMPTS = 9
"""So often a job is taken without coming on before it is given up: with the pauses, within some three minutes and what
the tries take. An object store that is away, or a disk that is full, may be well again by then."""

AGAIN_SECONDS = 0.5
"""Before a job that has failed is begun again; doubled each time. Others are carried out meanwhile."""

_LONGEST_PAUSE = 60.0

_TIDY_SECONDS = 60.0
_GIVEN_UP = "The export was begun several times and did not come on. Ask for it again."

_waiting: set[asyncio.Event] = set()


def wake() -> None:
    """Have this process look for jobs at once."""
    for event in _waiting:
        event.set()


async def run(service: Service, pause: float = PAUSE) -> None:
    """Take jobs, and remove those that have expired, again and again, until cancelled."""
    event = asyncio.Event()
    _waiting.add(event)
    workers = Workers()
    # Beside the exports: one may take hours, and others come meanwhile.
    tidying = asyncio.create_task(_keep_tidy(service), name="expired exports")
    try:
        while True:
            try:
                while await take_one(service, workers):
                    require_wanted()
                await workers.end(unless_younger=KEEP_SECONDS)
            except Exception:  # noqa: BLE001  (the next round may go better)
                logger.exception("export_round_failed")
            require_wanted()
            try:
                async with asyncio.timeout(pause):
                    await event.wait()
            except TimeoutError:
                pass
            event.clear()
    finally:
        _waiting.discard(event)
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)
        await workers.end()


async def take_one(service: Service, workers: Workers) -> bool:
    """Have a job carried out that nobody is at, if there is one; tell whether there was."""
    first = workers.turn
    for mode in (*MODES[first:], *MODES[:first]):  # in turn: or those of one mode could wait as long as others come
        jobs, worker = ExportJobs(service.stores[mode].database), secrets.token_hex(8)
        job = await jobs.take(worker)
        if job is None:
            continue
        workers.turn = (MODES.index(mode) + 1) % len(MODES)
        if job.attempts > ATTEMPTS:
            expires = service.now() + timedelta(hours=service.settings.export_hours)
            await give_up(jobs, Files(service.settings, mode), job.ident, worker, expires, _GIVEN_UP)
            return True
        try:
            code = await workers.carry_out(mode, job.ident, worker)
        except BaseException:
            await asyncio.shield(jobs.release(job.ident, worker))
            raise
        if code:
            await jobs.release(job.ident, worker, min(AGAIN_SECONDS * 2 ** (job.attempts - 1), _LONGEST_PAUSE))
        return True
    return False


async def _keep_tidy(service: Service) -> None:
    while True:
        try:
            await remove_expired(service)
        except Exception:  # noqa: BLE001  (the next round may go better)
            logger.exception("expired_exports_left")
        require_wanted()
        await asyncio.sleep(_TIDY_SECONDS)


async def remove_expired(service: Service) -> None:
    """Remove the exports whose time is over, and what could not be removed before."""
    for mode in MODES:
        jobs, files = ExportJobs(service.stores[mode].database), Files(service.settings, mode)
        for ident in await jobs.expired(service.now()):
            await tidy(jobs, files, ident, service.now())
