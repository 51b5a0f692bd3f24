"""An embedded, real MongoDB server, so that the service runs where nobody has set one up.

Development, tests and small deployments get what production gets: transactions, change streams and journaled majority
writes, from a `mongod` that is started when it is first needed. Nothing here simulates anything.

The data is in `<data_dir>/mongodb/`. Several processes may share the server: the first one starts it and owns it, later
ones join it. It stops when its owner ends, also where others still use it, because a server that nobody is responsible
for would stay for ever. Where the owner was killed and could not stop it, the next start adopts the server it finds.
One that cannot be seen, as it runs in another container that has the same directory, is joined through its socket, and
never owned; where that does not answer, nothing is changed.
Whoever is to go on when the server or its owner has ended looks now and then whether it is `kept`, and has it `renew`ed
at the same address otherwise: of several, the first one starts it and owns it, as ever.

What the caller must do: call `start` before the event loop (or in a thread), and after any fork; call `close` in a
`finally` or use the `with` statement. `close` also runs at the interpreter's exit, which Ctrl-C leads to by itself.
SIGTERM and SIGHUP do not: a process must turn them into an exit (`adapter.console.session` does), say with
`signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))`. This module installs no signal handlers.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Self

from store.embedded_binary import (
    EmbeddedMongoError,
    NoRoomError,
    anothers,
    explain_delay,
    explain_exit,
    explain_use,
    failure,
    find_mongod,
    too_few_files,
    unusable,
)
from store.embedded_log import bound_log, hide_data, log_tail
from store.embedded_process import POLL, Process, State, clear_socket, in_use, inode, locked, owner_of_new_files
from store.embedded_server import (
    ServerGoneError,
    await_primary,
    is_primary,
    place_socket,
    spawn,
    uri_of,
)
from store.openfiles import take_all

__all__ = ["EmbeddedMongo", "EmbeddedMongoError", "NoRoomError", "find_mongod", "running", "start"]

_STOP_PATIENCE = 30.0  # seconds for a clean shutdown; the journal makes an unclean one harmless, only slower to start
# For a server whose directory was moved: shutting down cleanly, it would write files by their old paths, where another
# database may be by now. What it has acknowledged is in the journal.
_AT_ONCE = 0.0
_LAST_BREATH = 3.0  # seconds for which a server that was killed may keep its data: it ends thread by thread
# Some 450 for the collections and indexes of both databases, and one for each connection, of which a service process
# makes up to 64. A server that cannot open a file of its data ends at once.
_FILES = 1_024


class EmbeddedMongo:
    """A running server.

    Attributes:
        uri: for PyMongo; the address may differ when the server is started by another process.
        pid: the server's process id.
        owned: whether this process must stop it.
    """

    __slots__ = (
        "_child",
        "_hidden",
        "_home",
        "_inode",
        "_owner",
        "_server",
        "_socket",
        "_unseen",
        "owned",
        "pid",
        "uri",
    )

    def __init__(
        self,
        home: Path,
        state: State,
        *,
        owned: bool,
        child: subprocess.Popen[bytes] | None = None,
        unseen: bool = False,
    ) -> None:
        self.uri = uri_of(state.socket)
        self._home = home
        self._inode = state.inode
        self._socket = Path(state.socket)
        self._owner = os.getpid()
        self._use(state.server, owned, child, unseen)

    def _use(self, server: Process, owned: bool, child: subprocess.Popen[bytes] | None, unseen: bool) -> None:
        self.pid = server.pid
        self._hidden = 0  # another server has another log, soon as long as the former one
        self._unseen = unseen
        self.owned = owned
        self._server = server
        self._child = child
        if owned:
            atexit.register(self.close)

    def kept(self) -> bool:
        """Tell whether the server runs and somebody is there to stop it. Waits for nothing."""
        if self._unseen:
            return in_use(self._home)
        if not self._server.alive():
            return False
        state = State.load(self._home)
        return state is None or state.owner.alive()

    def tend_log(self) -> None:
        """Keep the server's log from growing for ever, and data out of it. It goes on where that fails."""
        with contextlib.suppress(OSError):
            bound_log(self._home)
            self._hidden = hide_data(self._home, self._hidden)

    def renew(self) -> None:
        """Start the server again, or join or adopt the one that runs, as `start` does. Its address stays the same.

        Raises:
            EmbeddedMongoError: it cannot be had, or only elsewhere; it may be tried again.
        """
        if self._child is not None and not self._server.alive():
            self._child.wait()
        try:
            there = inode(self._home) == self._inode
        except OSError:
            there = False
        if not there:  # a new, empty database in its place would look as if all was lost
            raise failure(f"The directory {self._home} was moved or removed while it was used", "put it back")
        found = start(self._home.parent, again=self._socket)
        if found.uri != self.uri:
            found.close()
            raise failure(f"The MongoDB server of {self._home} has another address now", "start the service again")
        atexit.unregister(found.close)
        atexit.unregister(self.close)
        self._use(found._server, found.owned, found._child, found._unseen)

    def close(self) -> None:
        """Stop the server where this process owns it, and wait until it is gone. May be called again, and after a fork.

        A joiner's does nothing. SIGTERM first, SIGKILL after 30 seconds. Interrupted by a second Ctrl-C, it leaves a
        server that is already shutting down, and calling it again waits for that.
        """
        if not self.owned or os.getpid() != self._owner:  # a forked child inherits this object, not the duty
            return
        with contextlib.ExitStack() as stack:
            # The lock keeps others from joining a server that is about to go. Without it (the directory was removed,
            # say) the server must be stopped all the same.
            with contextlib.suppress(OSError, EmbeddedMongoError):
                stack.enter_context(locked(self._home, time.monotonic() + _STOP_PATIENCE))
            state = State.load(self._home)
            if state is not None and state.server == self._server:
                self._server.stop(_STOP_PATIENCE)
                state.forget(self._home)
            else:
                self._server.stop(_AT_ONCE)
            self.tend_log()
        if self._child is not None:
            self._child.wait()
        self.owned = False
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EmbeddedMongo(uri={self.uri!r}, pid={self.pid}, owned={self.owned})"


def start(data_dir: Path, *, cache_gb: float = 0.5, timeout: float = 30.0, again: Path | None = None) -> EmbeddedMongo:
    """Start the server of a data directory, or join or adopt the one that runs. Blocks until it takes writes.

    Args:
        data_dir: the service's data directory; made where it is missing.
        cache_gb: the bound of WiredTiger's cache in GB, 0.25 at least; has no effect on a server that already runs.
        timeout: seconds to wait for it, which include another process's start or stop.
        again: the socket's path of before, where clients wait for it.

    Raises:
        EmbeddedMongoError: it cannot be had; the message says what to do.
    """
    deadline = time.monotonic() + timeout
    if not Path("/proc/self/stat").exists():
        raise failure("The embedded MongoDB server needs Linux", "run the service there")
    home = _home(data_dir)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home.stat().st_mode & 0o077:
            home.chmod(0o700)
        with locked(home, deadline):
            return _join(home, deadline) or _launch(home, cache_gb, deadline, again)
    except OSError as error:
        raise unusable(home, error) from error


def running(data_dir: Path) -> str | None:
    """Get the URI of the live server of a data directory, or None. Waits for nothing and changes nothing."""
    home = _home(data_dir)
    state = State.load(home)
    if state is None or state.directory != str(home) or not state.server.alive():
        return None
    return uri_of(state.socket) if is_primary(state.socket) else None


def _home(data_dir: Path) -> Path:
    return data_dir.resolve() / "mongodb"


def _join(home: Path, deadline: float) -> EmbeddedMongo | None:
    """Use the server that runs; None where none does, with its leavings cleared."""
    state = State.load(home)
    if state is None:
        return None
    orphaned = not state.owner.alive()
    moved = state.directory != str(home)
    if moved and not orphaned and state.server.alive():
        # The server goes on writing to paths that are no longer there, and its owner to it.
        raise failure(
            f"The directory {home} was moved while the MongoDB server in it ran (process {state.server.pid})",
            f"stop process {state.owner.pid}, which owns it, and start again",
        )
    if orphaned and (moved or not Path(state.socket).exists()):
        # Out of reach, and nobody's.
        state.server.stop(_AT_ONCE if moved else _STOP_PATIENCE)
    if state.server.alive():
        try:
            await_primary(state.socket, state.server, deadline)
        except ServerGoneError:
            pass  # somebody stopped it just now
        except TimeoutError as error:
            raise failure(
                f"The MongoDB server that runs in {home} is not ready ({error})", f"end process {state.server.pid}"
            ) from error
        else:
            if orphaned:
                state = State.now(home, state.server, Path(state.socket))
                state.save(home)
            return EmbeddedMongo(home, state, owned=orphaned)
    elif in_use(home) and is_primary(state.address(home)):
        return EmbeddedMongo(home, replace(state, socket=str(state.address(home))), owned=False, unseen=True)
    _require_free(home, deadline)
    state.forget(home)
    return None


def _require_free(home: Path, deadline: float) -> None:
    """Make sure that no server has the data; where one that was killed is not quite gone, wait until it is."""
    gone = min(deadline, time.monotonic() + _LAST_BREATH)
    while in_use(home):
        if time.monotonic() >= gone:
            raise explain_use(home)
        time.sleep(POLL)


def _launch(home: Path, cache_gb: float, deadline: float, again: Path | None) -> EmbeddedMongo:
    _require_free(home, deadline)  # before its socket and its log are put aside
    if (owner := home.stat().st_uid) != owner_of_new_files(home):
        raise anothers(home, owner)
    binary = find_mongod()
    if 0 <= (files := take_all()) < _FILES:
        raise too_few_files(files, _FILES)
    address = place_socket(home, again)
    try:
        child = spawn(binary, home, address, cache_gb)
    except OSError:
        clear_socket(home, address)
        raise
    server = Process.child(child.pid)
    state = State.now(home, server, address)
    try:
        # Written before the server is ready: were this process killed now, the next start would find it.
        state.save(home)
        await_primary(address, server, deadline)
    except BaseException as error:
        server.stop(_STOP_PATIENCE)
        state.forget(home)
        code = child.wait()
        if isinstance(error, ServerGoneError):
            raise explain_exit(binary, code, log_tail(home), home) from None
        if isinstance(error, TimeoutError):
            raise explain_delay(home, error) from error
        raise
    return EmbeddedMongo(home, state, owned=True, child=child)
