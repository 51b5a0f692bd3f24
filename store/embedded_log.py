"""The log of an embedded `mongod`: one file, and the one before it.

mongod's own rotation would keep every old one.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

_LOG = "mongod.log"
_TAIL = 64 << 10
_LONGEST = 64 << 20  # bytes; a slow or busy server says some megabytes a day


def put_aside(home: Path) -> Path:
    """Keep the log of the run before as `mongod.log.1`, and return where the next one is to be.

    Raises:
        OSError: it cannot be put aside.
    """
    log = home / _LOG
    if log.exists():
        log.replace(home / f"{_LOG}.1")
    return log


def bound_log(home: Path) -> None:
    """Put the log aside as a start does, where it has become too long: it lies on the disk that the data need.

    The server holds it open, and appends to it: it is copied, and emptied. A line that comes in between is lost; where
    the disk has no room for the copy, all of it is.

    Raises:
        OSError: it cannot be looked at, or emptied.
    """
    log = home / _LOG
    if log.stat().st_size <= _LONGEST:
        return
    with suppress(OSError):
        former = os.open(home / f"{_LOG}.1", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(former, "wb") as kept, log.open("rb") as said:
            shutil.copyfileobj(said, kept)
    os.truncate(log, 0)


def log_tail(home: Path) -> str:
    """Read the end of the server's log, from the beginning of a line."""
    with (home / _LOG).open("rb") as log:
        if log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL)):
            log.readline()
        return log.read().decode(errors="replace")
