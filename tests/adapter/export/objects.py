"""An object store for tests, ``obj://``, made as the drivers of real ones are (s3fs, gcsfs, adlfs).

What is written is held back in parts, and is an object once its file is closed; fsspec closes what is thrown away.
"""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem, register_implementation
from fsspec.spec import AbstractBufferedFile

STORED: dict[str, bytes] = {}
"""The objects."""

STARTED: set[str] = set()
"""Uploads that are neither completed nor given up: a real store keeps their parts."""


class Objects(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    protocol = "obj"
    cachable = False

    def _open(self, path: str, mode: str = "rb", **_: Any) -> ObjectFile:
        return ObjectFile(self, path, mode, block_size=10)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path in STORED:
            return {"name": path, "size": len(STORED[path]), "type": "file"}
        if any(name.startswith(f"{path}/") for name in STORED):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        below = {f"{path}/{name[len(path) + 1 :].partition('/')[0]}" for name in STORED if name.startswith(f"{path}/")}
        return [self.info(name) if detail else name for name in sorted(below)]

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return STORED[self._strip_protocol(path)][start:end]

    def _rm(self, path: str) -> None:
        STORED.pop(self._strip_protocol(path), None)

    def rmdir(self, path: str) -> None: ...


class ObjectFile(AbstractBufferedFile):  # type: ignore[misc]
    buffer: Any

    def _initiate_upload(self) -> None:
        self.parts: list[bytes] = []
        STARTED.add(self.path)

    def _upload_chunk(self, final: bool = False) -> bool:
        self.parts.append(self.buffer.getvalue())
        if final:
            STORED[self.path] = b"".join(self.parts)
            STARTED.discard(self.path)
        return True

    def discard(self) -> None:
        STARTED.discard(self.path)
        self.buffer = None


register_implementation("obj", Objects)
