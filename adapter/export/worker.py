"""The process that carries out exports: ``python -m adapter.export.worker``.

Started by the service process that takes the jobs (`adapter.export.processes`), so that no request waits for an export.
A job is a line on its standard input, ``MODE JOB WORKER``; it answers ``done``, or ends where something was not there.
It ends as well when that process does: the pipe ends then, however the process ended. The lease ends soon after, and
another process goes on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from datetime import timedelta

import uvloop

from adapter import clock
from adapter.export.files import Files
from adapter.export.plan import Outdated
from adapter.export.working import Lost, Work, give_up, tidy
from adapter.handing import handed_over

# Not `adapter.service`: what an export does not need would be half of the time that this process takes to begin.
from adapter.reading import store_of
from adapter.settings import Settings
from store.connection import Client, connect
from store.export_jobs import ExportJobs
from store.store import Store


def main() -> int:
    """Carry out jobs until nobody is there to name one; return 1 if one could not be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: this process ends with its service
    return uvloop.run(_serve(*handed_over()))


async def _serve(read: Settings, uri: str) -> int:
    loop, asked = asyncio.get_running_loop(), asyncio.Queue[str]()
    threading.Thread(target=_listen, args=(loop, asked), name="listen", daemon=True).start()
    while True:
        mode, job, worker = (await asked.get()).split()
        if await _run(read, uri, mode, job, worker):
            return 1
        os.write(1, b"done\n")


async def _run(read: Settings, uri: str, mode: str, ident: str, worker: str) -> int:
    client: Client | None = None
    try:
        client = connect(uri)
        return await work(read, store_of(read, client, mode), mode, ident, worker)
    except Exception:  # noqa: BLE001  (whatever it is: untold by the log it would quote what it chokes on)
        from adapter import logs

        logs.configure(read.log_format, read.log_level, read.uhid_pattern)
        logs.logger.exception("export_interrupted", job=ident)
        return 1
    finally:
        if client is not None:
            await client.close()


async def work(read: Settings, store: Store, mode: str, ident: str, worker: str, now: clock.Now = clock.now) -> int:
    """Carry out a job that `worker` has taken; return the exit code.

    Raises:
        Exception: StoreError, OSError or what a driver of object stores raises: something is not there; the job can be
            taken again.
    """
    jobs, files = ExportJobs(store.database), Files(read, mode)
    job = await jobs.read(ident)
    if job is None:
        return 0
    try:
        await Work(store, jobs, files, read, job, worker, now=now).carry_out()
    except Outdated as outdated:
        await give_up(jobs, files, ident, worker, now() + timedelta(hours=read.export_hours), str(outdated))
    except Lost:
        left = await jobs.read(ident)
        if left is None or left.state == "removed":  # it was deleted meanwhile: what was written since goes as well
            await tidy(jobs, files, ident, now())
    return 0


def _listen(loop: asyncio.AbstractEventLoop, asked: asyncio.Queue[str]) -> None:
    """Take in what is asked for, and end with who asks."""
    while line := os.read(0, 4_096):  # whole: a short one, and one at a time
        loop.call_soon_threadsafe(asked.put_nowait, line.decode())
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
