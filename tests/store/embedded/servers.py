"""What the tests of the embedded server share: other processes that own one, and ways to write, read and wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pymongo import MongoClient, WriteConcern

from store import embedded
from store.embedded_process import Process

WAYS_OUT = "or set ADAPTER_MONGODB_URI="


def processes_in(place: Path) -> list[int]:
    """The live processes whose command line names a path under `place`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(place).encode() in entry.read_bytes() and int(entry.parent.name) != os.getpid():
                found.append(int(entry.parent.name))
    return found


def write(uri: str, value: int) -> None:
    """Write a value that is on the disk afterwards."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        durable = WriteConcern(w="majority", j=True)
        client.test.get_collection("values", write_concern=durable).insert_one({"value": value})


def read(uri: str) -> list[int]:
    """The values that were written."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        return [found["value"] for found in client.test["values"].find().sort("value")]


def transact(uri: str) -> None:
    """Write in a transaction, as only a replica set lets one."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client, client.start_session() as session:
        session.with_transaction(lambda inside: client.test["values"].insert_one({"value": 0}, session=inside))


@contextmanager
def quick(data: Path) -> Iterator[embedded.EmbeddedMongo]:
    """Start, and end by SIGKILL: a clean shutdown takes a second, which is only spent where it is what is tested."""
    server = embedded.start(data)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not alive(server.pid))
        server.close()


def killed(server: embedded.EmbeddedMongo) -> int:
    """Kill a server, wait until it is gone, and return which it was."""
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not alive(server.pid))
    return server.pid


def alive(pid: int) -> bool:
    """Tell whether a process runs (and is no zombie)."""
    found = Process.of(pid)
    return found is not None and found.alive()


def wait_until(met: Callable[[], bool]) -> None:
    """Wait for up to fifteen seconds."""
    deadline = time.monotonic() + 15
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


OWNER = """
    import os, signal, sys, time
    from pathlib import Path
    from store import embedded
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit it ignored
    server = embedded.start(Path(sys.argv[1]))
    print(server.pid, server.owned, server.uri, flush=True)
"""


class Other:
    """A second process that starts or joins the server and then does what its script says."""

    def __init__(self, data: Path, then: str = "time.sleep(60)", before: str = "", where: Sequence[str] = ()) -> None:
        script = textwrap.dedent(before) + textwrap.dedent(OWNER) + textwrap.dedent(then)
        self.process = subprocess.Popen(
            [*where, sys.executable, "-c", script, data],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid, self.owned, self.uri = 0, False, ""

    def ready(self) -> Other:
        line = self._pipe(self.process.stdout).readline().decode().split()
        self.pid, self.owned, self.uri = int(line[0]), line[1] == "True", line[2]
        return self

    def go(self) -> None:
        self._pipe(self.process.stdin).write(b"\n")
        self._pipe(self.process.stdin).flush()

    def end(self, number: int | None = None) -> int:
        """Send a signal to its whole group, as a terminal does, and wait for it."""
        if number is not None:
            os.killpg(self.process.pid, number)
        self.process.communicate(timeout=30)
        return self.process.returncode

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe
