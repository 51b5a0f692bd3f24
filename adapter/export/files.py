"""Where the files of exports are: a folder of this machine, or whatever `fsspec` can open.

``fsspec`` (https://filesystem-spec.readthedocs.io) gives one interface to both. Its calls block, so each is made in a
thread. A file counts once it is closed and its job names it. An object store has what is closed, and drivers close what
is merely let go of: so what must not come to be there is given up (`Writing.abort`). On this machine no other user can
read the files.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractBufferedFile

from adapter import private
from adapter.settings import Settings, SettingsError
from adapter.variables import PREFIX

_CHUNK = 1_048_576
_FOLDER = "exports"


def require_usable(settings: Settings) -> None:
    """Make sure that something opens the address of exports. Nothing is connected to: it may not be there just now.

    The folder of our own data has to be there, or is made: with an embedded MongoDB by that, which says what is wrong.

    Raises:
        SettingsError: nothing does, or what is written there is no other process's to read.
    """
    if settings.export_url is None:
        if settings.mongodb_uri is not None:
            _require_folder(settings.data_dir / _FOLDER)
        return
    protocol = settings.export_url.partition("://")[0]
    if protocol == "memory":
        # Every export would end well, and none of its files be there for who is to give them out.
        text = "memory:// is seen by one process alone, and another writes the files; give a place that both reach"
        raise SettingsError(f"Bad setting. {PREFIX}EXPORT_URL: {text}.")
    try:
        fsspec.get_filesystem_class(protocol)
    except (ValueError, ImportError) as error:
        text = f"{protocol}:// cannot be opened: {str(error).rstrip('.')}"
        raise SettingsError(f"Bad setting. {PREFIX}EXPORT_URL: {text}.") from error


def _require_folder(folder: Path) -> None:
    try:
        private.make_folder(str(folder))
        # Permissions alone do not tell: not of a file system that is read only, and nothing to root.
        with TemporaryFile(dir=folder):
            return
    except OSError as error:
        text = f"{folder}: no file can be made there ({error.strerror}), and $export writes its files there"
        ways = f"Name another folder, or another place for them with {PREFIX}EXPORT_URL"
        raise SettingsError(f"Bad setting. {PREFIX}DATA_DIR: {text}. {ways}.") from error


class Files:
    """The files of all exports of one mode, in a folder for each job.

    Args:
        settings: name the place.
        mode: test or live.
    """

    def __init__(self, settings: Settings, mode: str) -> None:
        url = settings.export_url or f"file://{settings.data_dir}/{_FOLDER}"
        self._system, root = fsspec.core.url_to_fs(url)
        self._root = f"{root.rstrip('/')}/{mode}"
        self._local = isinstance(self._system, LocalFileSystem)

    def create(self, job: str, name: str) -> Writing:
        """Begin a file; it is made when there is something to write.

        Args:
            job: whose folder it goes to.
            name: its path below that; of one worker alone, so that no other one writes over it.
        """
        path = self._path(job, name)
        folder = path.rpartition("/")[0]

        def begin() -> IO[bytes]:
            if self._local:
                private.make_folder(folder)
                private.create(path).close()  # `fsspec` opens it as it is then
            self._system.makedirs(folder, exist_ok=True)
            return cast("IO[bytes]", self._system.open(path, "wb"))

        return Writing(begin, lambda: self._system.rm_file(path))

    async def read(self, job: str, name: str) -> AsyncIterator[bytes]:
        """Give the bytes of a file.

        Raises:
            FileNotFoundError: it is not there.
        """
        opened = await asyncio.to_thread(self._system.open, self._path(job, name), "rb")
        try:
            while chunk := await asyncio.to_thread(opened.read, _CHUNK):
                yield chunk
        finally:
            await asyncio.to_thread(opened.close)

    async def size(self, job: str, name: str) -> int | None:
        """Tell how many bytes a file has; None where it is not there."""

        def size() -> int | None:
            with suppress(FileNotFoundError):
                return int(self._system.size(self._path(job, name)))
            return None

        return await asyncio.to_thread(size)

    async def remove(self, job: str) -> None:
        """Remove all files of a job."""

        def remove() -> None:
            with suppress(FileNotFoundError):  # it had none, or another process was faster
                self._system.rm(self._folder(job), recursive=True)

        await asyncio.to_thread(remove)

    def _folder(self, job: str) -> str:
        return f"{self._root}/{job}"

    def _path(self, job: str, name: str) -> str:
        return f"{self._folder(job)}/{name}"


class Writing:
    """A file that is being written.

    Whoever waits for a call may be cancelled, and its thread goes on: so each thread waits for the one before, and one
    that comes after the end is refused (ValueError).

    Args:
        begin: opens it.
        remove: removes it.
    """

    def __init__(self, begin: Callable[[], IO[bytes]], remove: Callable[[], None]) -> None:
        self._begin = begin
        self._remove = remove
        self._file: IO[bytes] | None = None
        self._is_ended = False
        self._lock = threading.Lock()
        self.count = 0
        self.size = 0

    async def write(self, lines: list[bytes]) -> None:
        """Add lines."""
        if lines:
            data = b"\n".join([*lines, b""])
            self.count += len(lines)
            self.size += len(data)
            await asyncio.to_thread(self._write, data)

    async def close(self) -> None:
        """End it; it is on the disk then, if it is a local one."""
        await asyncio.to_thread(self._close)

    async def abort(self) -> None:
        """Give it up, if it has not ended: nothing of it is left then, nor comes later."""
        await asyncio.to_thread(self._abort)

    def _write(self, data: bytes) -> None:
        with self._lock:
            self._opened().write(data)

    def _close(self) -> None:
        with self._lock:
            file = self._opened()
            local: Any = getattr(file, "f", None)  # of fsspec's LocalFileOpener
            if local is not None:
                local.flush()
                os.fsync(local.fileno())
            file.close()
            self._is_ended = True

    def _abort(self) -> None:
        with self._lock:
            file, was_ended, self._is_ended = self._file, self._is_ended, True
            if file is None or was_ended:
                return
            # Where the store does not answer, an upload is left begun there: no object, and its own rules end it.
            with suppress(Exception):
                if isinstance(file, AbstractBufferedFile):
                    file.discard()
                else:
                    file.close()
                    self._remove()
            if isinstance(file, AbstractBufferedFile):
                file.closed = True  # else it stores what it has when it is thrown away

    def _opened(self) -> IO[bytes]:
        if self._is_ended:
            raise ValueError("the file has been given up")
        if self._file is None:
            self._file = self._begin()
        return self._file
