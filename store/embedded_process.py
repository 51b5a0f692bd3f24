"""Who runs the embedded server: processes that are never mistaken for one another, the state file and its lock.

Several processes share one server, any of them may be killed at any time, and the kernel gives process ids out again. A
process is therefore known by its id together with the boot and the moment it started in, and everything that is
decided about the server is decided under one file lock, which the kernel releases whatever happens to its holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from store.embedded_binary import failure

POLL = 0.01  # seconds between two looks
_KILL_PATIENCE = 10.0
_LOCK = "adapter.lock"
_MONGOD_LOCK = "mongod.lock"
_STATE = "adapter.json"


@dataclass(frozen=True, slots=True)
class Process:
    """One process, for ever: a recycled process id is another one."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Identify a process; None where there is none (a zombie is one that still can be identified)."""
        found = _look(pid)
        return None if found is None else cls(pid, found[1])

    @classmethod
    def child(cls, pid: int) -> Self:
        """Identify this process or its child, which keeps its entry in /proc until it is waited for."""
        found = cls.of(pid)
        if found is None:
            raise ProcessLookupError(f"no process {pid}")
        return found

    def alive(self) -> bool:
        """Tell whether it still runs; a zombie does not."""
        found = _look(self.pid)
        return found is not None and found[0] not in "ZX" and found[1] == self.started

    def stop(self, patience: float) -> None:
        """End it: SIGTERM, up to `patience` seconds (with 0 not at all), then SIGKILL. Returns when it is gone."""
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, _KILL_PATIENCE)):
            if not wait:
                continue
            if not self.alive():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            deadline = time.monotonic() + wait
            while self.alive() and time.monotonic() < deadline:
                time.sleep(POLL)


def _look(pid: int) -> tuple[str, str] | None:
    """Read a process's state letter and its start (boot and clock ticks since then)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The name in parentheses may hold spaces and parentheses of its own: count from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], f"{boot}/{fields[19]}"


@dataclass(frozen=True, slots=True)
class State:
    """What the state file says: the server, where it listens, who must stop it, and the directory it was started in."""

    server: Process
    owner: Process
    socket: str
    directory: str
    inode: list[int]

    @classmethod
    def now(cls, home: Path, server: Process, socket: Path) -> Self:
        """Describe a server that the calling process owns."""
        return cls(server, Process.child(os.getpid()), str(socket), str(home), inode(home))

    @classmethod
    def load(cls, home: Path) -> Self | None:
        """Read the state of this very directory; None where there is none that can be understood.

        A copy of a directory brings the original's state file along, and must not take its server for its own: the
        inode tells them apart, while a directory that was moved keeps it.
        """
        try:
            raw = json.loads((home / _STATE).read_bytes())
            raw["server"], raw["owner"] = Process(**raw["server"]), Process(**raw["owner"])
            state = cls(**raw)
            return state if state.inode == inode(home) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, home: Path) -> None:
        """Write it whole or not at all."""
        fresh = home / f"{_STATE}.new"
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(home / _STATE)

    def address(self, home: Path) -> Path:
        """Return where the socket is by now: in a directory that was moved since, its path may be another server's."""
        socket = Path(self.socket)
        return home / socket.name if socket.parent == Path(self.directory) else socket

    def forget(self, home: Path) -> None:
        """Remove what a server leaves behind: its socket, the run directory made for it, the state file."""
        clear_socket(home, self.address(home))
        with contextlib.suppress(OSError):
            (home / _STATE).unlink()


def clear_socket(home: Path, socket: Path) -> None:
    """Remove a socket file, and the run directory that was made for it where it is not in the data directory."""
    with contextlib.suppress(OSError):
        socket.unlink()
    if socket.parent != home:
        with contextlib.suppress(OSError):
            socket.parent.rmdir()


def inode(home: Path) -> list[int]:
    """Return what tells a directory from its copies, and stays when it is moved.

    Raises:
        OSError: it is not there.
    """
    found = home.stat()
    return [found.st_dev, found.st_ino]


def owner_of_new_files(home: Path) -> int:
    """Return whose a file is that this process makes there: not always its own, as on a share that knows one user.

    Raises:
        OSError: it cannot make one.
    """
    with tempfile.TemporaryFile(dir=home) as made:
        return os.fstat(made.fileno()).st_uid


def in_use(home: Path) -> bool:
    """Tell whether a server has the data, be it one that cannot be seen: in another container, say.

    mongod locks its file until its last thread is gone, whoever can see that.
    """
    try:
        handle = os.open(home / _MONGOD_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextlib.contextmanager
def locked(home: Path, deadline: float) -> Iterator[None]:
    """Hold the directory's lock. It is `flock`, which also keeps the threads of one process apart.

    Raises:
        EmbeddedMongoError: another process held it past the deadline (a `time.monotonic()`).
        OSError: the directory cannot be written.
    """
    handle = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise failure(
                        f"Another process has been starting or stopping the MongoDB server in {home} for too long",
                        "wait for it or end it and try again",
                    ) from None
                time.sleep(POLL)
        try:
            yield
        finally:
            # A child forked meanwhile shares the open file: closing ours alone would leave it locked.
            fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)
