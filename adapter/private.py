"""Folders and files of this machine that nobody but their owner can read: what is in them is about patients."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

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


def create(path: str) -> IO[bytes]:
    """Begin a file, or begin it anew.

    Raises:
        OSError: it cannot be made.
    """
    # For one that was there: an earlier version of this service made them readable.
    with suppress(FileNotFoundError):
        Path(path).chmod(_FILE)
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, _FILE))
