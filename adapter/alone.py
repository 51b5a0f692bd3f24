"""What one process at a time may do on this machine: a file that is locked for as long as it lasts.

The lock is `flock` (https://man7.org/linux/man-pages/man2/flock.2.html): it ends with its process, however that ended.
It keeps apart who runs on one machine, or shares a file system that hands such locks on; nobody else.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Taken(Exception):
    """Another holds it."""


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock that is named by a file. The file is made, for its owner alone, and goes when the lock does.

    Args:
        path: of the file; it is for nothing else. A process that was killed leaves it behind, and no lock.

    Raises:
        Taken: another holds it, in this process or another.
        OSError: the file cannot be made.
    """
    handle = _held(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is let go: whoever has it next would lose theirs
        os.close(handle)


def for_good(path: Path) -> None:
    """Hold the lock that is named by a file until this process ends; the file stays.

    Args:
        path: as of `alone`.

    Raises:
        Taken: another holds it, in this process or another.
        OSError: the file cannot be made.
    """
    _held(path)  # nobody closes it but the system


def _held(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(handle)
            # Whoever held it may have removed the file since it was opened: the lock of what is gone keeps nobody out.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(handle)):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Taken from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:  # there, nobody can be kept apart; that is no reason to do nothing
            raise
