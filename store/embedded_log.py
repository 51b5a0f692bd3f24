"""The log of an embedded `mongod`: one file, and the one before it, without the data.

mongod's own rotation would keep every old one. mongod writes down whole commands, with the names and numbers that were
looked for, where one ran out of time or its client went away, and a key that is there twice where an index cannot be
made; only MongoDB's paid editions can be told not to. A log goes to whoever is asked for help: we write over it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

_LOG = "mongod.log"
_TAIL = 64 << 10
_LONGEST = 64 << 20  # bytes; a slow or busy server says some megabytes a day
_ATTRIBUTES = b'"attr":'
# In a text that mongod quotes there is a backslash before the second quotation mark: these are members.
_TELLING = re.compile(rb'"attr":.*"(?:cmd|keyValue)":')
_REASON = re.compile(rb'"codeName":"(\w+)"')


def put_aside(home: Path) -> Path:
    """Keep the log of the run before as `mongod.log.1`, and return where the next one is to be.

    Raises:
        OSError: it cannot be put aside.
    """
    log = home / _LOG
    if log.exists():
        _hide(log, 0)  # its server may have been killed
        log.replace(home / f"{_LOG}.1")
    return log


def hide_data(home: Path, since: int) -> int:
    """Write over the data in each line that is whole, from `since` on, and return where to go on.

    Every line keeps its length: the server holds the file open, and appends to it.

    Raises:
        OSError: it cannot be read, or written.
    """
    return _hide(home / _LOG, since)


def _hide(log: Path, since: int) -> int:
    with log.open("r+b") as file:
        if since > file.seek(0, os.SEEK_END):  # another one has begun
            since = 0
        file.seek(since)
        for line in file:
            if not line.endswith(b"\n"):
                break
            bare = _bare(line)
            if bare != line:
                os.pwrite(file.fileno(), bare, since)
            since += len(line)
    return since


def _bare(line: bytes) -> bytes:
    """Return a line without data: with the error's name in the place of its attributes. It stays JSON, and as long."""
    if not _TELLING.search(line):
        return line
    kept, attr, data = line.partition(_ATTRIBUTES)
    reason = _REASON.search(data)
    told = b'{"error":"%b"}' % reason[1] if reason else b"{}"
    end = b"}\n"
    return kept + attr + told.ljust(len(data) - len(end)) + end


def bound_log(home: Path) -> None:
    """Put the log aside as a start does, where it has become too long: it lies on the disk that the data need.

    The server holds it open, and appends to it: it is copied, and emptied. A line that comes in between is lost; where
    the disk has no room for the copy, all that it has none for is.

    Raises:
        OSError: it cannot be looked at, or emptied.
    """
    log = home / _LOG
    if log.stat().st_size <= _LONGEST:
        return
    with suppress(OSError):
        former = os.open(home / f"{_LOG}.1", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(former, "wb") as kept, log.open("rb") as said:
            kept.writelines(_bare(line) for line in said if line.endswith(b"\n"))
    os.truncate(log, 0)


def log_tail(home: Path) -> str:
    """Read the end of the server's log, from the beginning of a line."""
    with (home / _LOG).open("rb") as log:
        if log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL)):
            log.readline()
        return log.read().decode(errors="replace")
