"""Running one `mongod` on a unix socket and making it a replica set of one.

Patient data must not be in reach of the machine's other users, and the embedded server has no passwords: it listens on
no TCP port, only on a socket file in a directory that is private to this user. Transactions need a replica set, whose
configuration holds the member's address, which is that socket's path. It changes when the data directory is moved, so
the configuration is made to follow at every start.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from store.embedded_binary import failure
from store.embedded_log import put_aside
from store.embedded_process import POLL, Process

_REPLICA_SET = "rs0"
_SOCKET = "mongod.sock"
_LONGEST = 100  # bytes; the kernel takes 107 and mongod a few less
# mongod splits addresses at commas and reads them as URLs here and there: no path that needs any thought.
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
_TRANSACTION_SECONDS = 12
# Percent of the cache that may be changed, and by transactions that are under way, before whoever writes has to make
# room. By the defaults (20, 10) one of 50 MB stopped all writes for good: only its end makes room, and it waited too.
_CHANGED, _UNDER_WAY = 60, 50
_OPLOG_MB = 990  # the least there is; the default is 5 % of the free disk, up to 50 GB
_SETTINGS = "ADAPTER_"
_NOT_YET_INITIATED = 94
_NOT_A_MEMBER = 93


class ServerGoneError(Exception):
    """The server ended while it was waited for."""


def uri_of(address: str | Path) -> str:
    """Word the address for PyMongo.

    `directConnection` because discovery would swap the address for the one in the replica set's configuration, which is
    a second thing that could be wrong. Transactions, retryable writes and change streams need no discovery: they ask
    whether the server itself is a primary. `replicaSet` makes PyMongo refuse anything else that listens there.
    """
    return f"mongodb://{quote(str(address), safe='')}/?directConnection=true&replicaSet={_REPLICA_SET}"


def place_socket(home: Path, again: Path | None) -> Path:
    """Choose the socket's path: in the data directory where that can be, else in a new private run directory.

    It cannot where the path is too long, has characters that mongod's address parser gives a meaning, or lies on a file
    system without sockets (many a network or virtual machine share).

    Args:
        home: where the data is.
        again: the path that it had before; kept where that can be.

    Raises:
        EmbeddedMongoError: there is no place for it at all.
    """
    if _listenable(home / _SOCKET):
        return home / _SOCKET
    if again is not None and _is_private(again.parent) and _listenable(again):
        return again
    for base in (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR"), "/tmp"):  # noqa: S108 (mkdtemp: 0700)
        if base and _fits(Path(base) / "mediloop-12345678" / _SOCKET) and os.access(base, os.W_OK | os.X_OK):
            run = Path(tempfile.mkdtemp(prefix="mediloop-", dir=base))
            if _listenable(run / _SOCKET):
                return run / _SOCKET
            run.rmdir()
    raise failure(
        f"There is no directory for the MongoDB server's socket (the path in {home} is too long or not usable)",
        "set TMPDIR to a writable directory with a short path",
    )


def _is_private(run: Path) -> bool:
    """Make a run directory anew; where somebody was first, tell whether it was this user, for himself alone."""
    try:
        with suppress(FileExistsError):
            run.mkdir(mode=0o700)
        found = run.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _LONGEST and _PLAIN.fullmatch(str(path)) is not None


def _listenable(path: Path) -> bool:
    """Try it; this also clears the socket file that a killed server left."""
    if not _fits(path):
        return False
    path.unlink(missing_ok=True)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
    except OSError:
        return False
    path.unlink()
    return True


def spawn(binary: Path, home: Path, address: Path, cache_gb: float) -> subprocess.Popen[bytes]:
    """Start mongod in a session of its own, so that a Ctrl-C in the terminal reaches its owner alone.

    Its output goes to a log of ours (`store.embedded_log`): mongod's own would not hold what the loader and the option
    parser say.

    Raises:
        OSError: the log cannot be written, or the program not be started.
    """
    log = put_aside(home)
    # No option for the journal: it cannot be turned off in a replica set.
    command: list[str | Path] = [binary, "--dbpath", home, "--replSet", _REPLICA_SET]
    command += ["--bind_ip", str(address), "--port", "0"]
    # That is the default socket, /tmp/mongodb-0.sock: a second user's server would stumble over it.
    command += ["--nounixsocket"]
    command += ["--wiredTigerCacheSizeGB", f"{cache_gb:g}", "--oplogSize", str(_OPLOG_MB)]
    triggers = f"eviction_dirty_trigger={_CHANGED},eviction_updates_trigger={_UNDER_WAY}"
    command += ["--wiredTigerEngineConfigString", triggers]
    # Up to 200 MB of server metrics that only MongoDB's support can read.
    command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
    # The transaction of a process that was killed keeps what it has written until its age ends it. Ours last 10 s at
    # most (`store.store`), so nobody has to wait the minute that is MongoDB's default.
    command += ["--setParameter", f"transactionLifetimeLimitSeconds={_TRANSACTION_SECONDS}"]
    # What took long would be written down whole, with the names and numbers that were looked for.
    command += ["--quiet", "--slowOpSampleRate", "0"]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "wb") as output:
        return subprocess.Popen(  # noqa: S603  (no shell; every argument is made here)
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=_environment(),
            start_new_session=True,
            umask=0o077,
        )


def _environment() -> dict[str, str]:
    """Return the environment without our settings: keys and passwords among them are none of mongod's business."""
    told = {name: value for name, value in os.environ.items() if not name.upper().startswith(_SETTINGS)}
    return {**told, "LC_ALL": "C"}  # a locale that is not installed ends mongod


def await_primary(address: str | Path, server: Process, deadline: float) -> None:
    """Wait until the server takes writes, making it the replica set's one member where it is not.

    Raises:
        ServerGoneError: it ended.
        TimeoutError: it did not get there by the deadline; the message is the last refusal.
    """
    trouble: Exception = ConnectionError("it does not listen")
    while not _connects(address):
        _go_on(server, deadline, trouble)
    # Only now: PyMongo waits half a second after an address that does not answer.
    left = max(1, int(1000 * (deadline - time.monotonic())))
    client: MongoClient[dict[str, Any]] = MongoClient(
        _bare_uri(address), serverSelectionTimeoutMS=min(left, 2000), socketTimeoutMS=min(left, 10_000)
    )
    with client:
        while True:
            try:
                if _settled(client, address):
                    return
            except PyMongoError as error:
                # Mostly 'configuration in progress', 'already initialized' and the like, which pass.
                trouble = error
            _go_on(server, deadline, trouble)


def is_primary(address: str | Path) -> bool:
    """Tell whether a server that takes writes answers there."""
    if not _connects(address):  # PyMongo would wait
        return False
    client: MongoClient[dict[str, Any]] = MongoClient(
        _bare_uri(address), serverSelectionTimeoutMS=1000, socketTimeoutMS=2000
    )
    with client:
        try:
            return bool(client.admin.command("hello").get("isWritablePrimary"))
        except PyMongoError:
            return False


def _bare_uri(address: str | Path) -> str:
    """Word the address without the set's name: a server that is no member yet has none."""
    return f"mongodb://{quote(str(address), safe='')}/?directConnection=true"


def _go_on(server: Process, deadline: float, trouble: Exception) -> None:
    if not server.alive():
        raise ServerGoneError
    if time.monotonic() >= deadline:
        raise TimeoutError(str(trouble)) from trouble
    time.sleep(POLL)


def _connects(address: str | Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(address)) == 0


def _settled(client: MongoClient[dict[str, Any]], address: str | Path) -> bool:
    """Look once, and do what is missing. Each step may be repeated: mongod refuses what is already done."""
    if client.admin.command("hello").get("isWritablePrimary"):
        return True
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code == _NOT_YET_INITIATED:
            members = [{"_id": 0, "host": str(address)}]
            client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": members})
        elif error.code == _NOT_A_MEMBER and (config := client.local["system.replset"].find_one()):
            # The socket is elsewhere than it was. Without a majority there is no other way than by force.
            config["version"] += 1
            config["members"] = [{**config["members"][0], "host": str(address)}]
            client.admin.command("replSetReconfig", config, force=True)
    return False
