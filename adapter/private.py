"""Folders and files of this machine that nobody but their owner can read: what is in them is about patients.

What cannot be written to them says which file it is: of a disk that is full the system names none.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PART = ".part"
"""What the name of a file ends with that has not yet taken the place of another (`replace`)."""

_FOLDER, _FILE = 0o700, 0o600


def make_folder(path: str) -> None:
    """Make a folder, and those above it that are not there. One that is there stays as it is: it is somebody's.

    Raises:
        OSError: it cannot be made.
    """
    folder = Path(path)
    for one in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        with suppress(FileExistsError):  # another process was faster
            one.mkdir(_FOLDER)


def require_place(path: Path, option: str) -> None:
    """Make sure that a file can be made or replaced there, before anything is done that it is to tell of.

    Args:
        path: of the file.
        option: by which it was named, or would be.

    Raises:
        OSError: it cannot; the message is the one line to print.
    """
    why: str | None = "it is a folder"
    if not path.is_dir():
        try:
            # Permissions alone do not tell: not of a file system that is read only, and nothing to root.
            with TemporaryFile(dir=path.parent):
                return
        except OSError as error:
            why = error.strerror
    raise OSError(f"{option} {path}: no file can be made there ({why}). Name another place with {option}.")


def create(path: str) -> IO[bytes]:
    """Begin a file, or begin it anew.

    Raises:
        OSError: it cannot be made.
    """
    # For one that was there: an earlier version of this service made them readable.
    with suppress(FileNotFoundError):
        Path(path).chmod(_FILE)
    return io.BufferedWriter(_File(path, "wb", opener=_open))


def replace(path: Path, data: bytes) -> None:
    """Put a file in the place of what is there, in one step: after a crash, or a loss of power, it is one or the other.

    Raises:
        OSError: it cannot be made.
    """
    part = path.with_name(f"{path.name}{PART}")
    try:
        with create(str(part)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # or the name may come to last before what is in it
    except OSError:  # the disk is full, perhaps: it takes room there, and is of no use
        part.unlink(missing_ok=True)
        raise
    part.replace(path)


def go_on(path: str) -> BinaryIO:
    """Open a file to be read and written as it is; it is made where there is none.

    Raises:
        OSError: it cannot be.
    """
    return io.BufferedRandom(_File(path, "r+b", opener=lambda name, flags: _open(name, flags | os.O_CREAT)))


def _open(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE)


class _File(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self.name
            raise
