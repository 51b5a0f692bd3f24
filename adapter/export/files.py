"""Where the files of exports are: a folder of this machine, or whatever `fsspec` can open.

``fsspec`` (https://filesystem-spec.readthedocs.io) gives one interface to both. Its calls block, so each is made in a
thread. A file counts once it is closed and its job names it: what a worker left half written is written over. On this
machine no other user can read them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import IO, Any, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from adapter import private
from adapter.settings import Settings, SettingsError
from adapter.variables import PREFIX

_CHUNK = 1_048_576


def require_usable(settings: Settings) -> None:
    """Make sure that something opens the address of exports. Nothing is connected to: it may not be there just now.

    Raises:
        SettingsError: nothing does.
    """
    if settings.export_url is None:
        return
    protocol = settings.export_url.partition("://")[0]
    try:
        fsspec.get_filesystem_class(protocol)
    except (ValueError, ImportError) as error:
        text = f"{protocol}:// cannot be opened: {str(error).rstrip('.')}"
        raise SettingsError(f"Bad setting. {PREFIX}EXPORT_URL: {text}.") from error


class Files:
    """The files of all exports of one mode, in a folder for each job.

    Args:
        settings: name the place.
        mode: test or live.
    """

    def __init__(self, settings: Settings, mode: str) -> None:
        url = settings.export_url or f"file://{settings.data_dir}/exports"
        self._system, root = fsspec.core.url_to_fs(url)
        self._root = f"{root.rstrip('/')}/{mode}"
        self._local = isinstance(self._system, LocalFileSystem)

    async def create(self, job: str, name: str) -> Writing:
        """Begin a file, or begin it anew."""

        def begin() -> IO[bytes]:
            if self._local:
                private.make_folder(self._folder(job))
                private.create(f"{self._folder(job)}/{name}").close()  # `fsspec` opens it as it is then
            self._system.makedirs(self._folder(job), exist_ok=True)
            return cast("IO[bytes]", self._system.open(f"{self._folder(job)}/{name}", "wb"))

        return Writing(await asyncio.to_thread(begin))

    async def read(self, job: str, name: str) -> AsyncIterator[bytes]:
        """Give the bytes of a file.

        Raises:
            FileNotFoundError: it is not there.
        """
        opened = await asyncio.to_thread(self._system.open, f"{self._folder(job)}/{name}", "rb")
        try:
            while chunk := await asyncio.to_thread(opened.read, _CHUNK):
                yield chunk
        finally:
            await asyncio.to_thread(opened.close)

    async def exists(self, job: str, name: str) -> bool:
        """Tell whether a file is there."""
        return bool(await asyncio.to_thread(self._system.exists, f"{self._folder(job)}/{name}"))

    async def remove(self, job: str) -> None:
        """Remove all files of a job."""

        def remove() -> None:
            with suppress(FileNotFoundError):  # it had none, or another process was faster
                self._system.rm(self._folder(job), recursive=True)

        await asyncio.to_thread(remove)

    def _folder(self, job: str) -> str:
        return f"{self._root}/{job}"


class Writing:
    """A file that is being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.count = 0
        self.size = 0

    async def write(self, lines: list[bytes]) -> None:
        """Add lines."""
        if lines:
            data = b"\n".join([*lines, b""])
            self.count += len(lines)
            self.size += len(data)
            await asyncio.to_thread(self._file.write, data)

    async def close(self) -> None:
        """End it; it is on the disk then, if it is a local one."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        local: Any = getattr(self._file, "f", None)  # of fsspec's LocalFileOpener
        if local is not None:
            local.flush()
            os.fsync(local.fileno())
        self._file.close()
