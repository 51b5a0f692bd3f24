"""The process that carries out exports: started for the first one, and kept for a while for the next.

A process of its own, so that requests are answered meanwhile as if there was no export. To start it takes as long as it
takes to export a hundred thousand resources: who exports again within minutes, type by type or Group by Group, does not
wait for that.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import cast

from adapter.security.keys import Mode
from adapter.variables import KEY_VARIABLE

KEEP_SECONDS = 300.0
"""So long it waits for the next export."""


class Workers:
    """The process of one service process; it is given one job at a time.

    Attributes:
        process: the one that waits for a job.
        turn: whose job is looked for first, by its place among the modes.
    """

    def __init__(self) -> None:
        self.process: Process | None = None
        self.turn = 0
        self._since = 0.0

    async def carry_out(self, mode: Mode, job: str, worker: str) -> int:
        """Have a job carried out that `worker` has taken; return 0 where nothing is left to do for another one."""
        process, self.process = self.process, None
        if process is None or process.returncode is not None:
            # -P and our own path: `-m` would look in the working directory first, where a clone of another release, or
            # anybody's `store.py`, may be.
            command = (sys.executable, "-P", "-m", "adapter.export.worker")
            # It registers no key, so it need not know any that may do everything.
            told = {name: value for name, value in os.environ.items() if name.upper() != KEY_VARIABLE}
            told["PYTHONPATH"] = os.pathsep.join(sys.path)
            process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=told)
        done = False
        try:
            cast("asyncio.StreamWriter", process.stdin).write(f"{mode} {job} {worker}\n".encode())
            # Nothing where it has ended.
            done = await cast("asyncio.StreamReader", process.stdout).readline() == b"done\n"
        finally:
            if not done:
                await _end(process)
        if not done:
            return 1
        self.process, self._since = process, asyncio.get_running_loop().time()
        return 0

    async def end(self, unless_younger: float = 0.0) -> None:
        """End the process that waits, if it has waited for longer than `unless_younger` seconds."""
        process = self.process
        if process is not None and asyncio.get_running_loop().time() - self._since >= unless_younger:
            self.process = None
            await _end(process)


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
