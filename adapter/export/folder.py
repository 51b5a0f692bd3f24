"""Where ``mediloop-fhir export`` writes: a folder or any address of `fsspec`, and the manifest of what is there.

The manifest has the shape of a bulk export's (https://hl7.org/fhir/uv/bulkdata/STU2/export.html), with addresses
relative to itself. It is also the memory of an export that was interrupted: it names the cut, the finished files and
how far they reach, and is replaced as a whole after every file. On this machine no other user can read what is written.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal, cast

import orjson

from adapter import private
from adapter.alone import Taken, alone
from store.dates import as_instant
from store.exporting import Cut

MANIFEST = "manifest.json"
_LOCK = ".export.lock"
# What the command itself writes: files of resources, and a manifest that was not put in its place.
_FILE = re.compile(r"[A-Za-z]+\.[0-9]{5,}\.(ndjson|json|csv|parquet)(\.gz)?")
_LEFT = f"{MANIFEST}{private.PART}"


class NotUsable(ValueError):
    """The place holds something else; the message says what, and what to do."""


@dataclass(slots=True)
class Manifest:
    """What an export has written.

    Attributes:
        cut: the moment it shows.
        request: the command, for people.
        options: what decides over the content; an interrupted export goes on only with the same.
        output: the finished files: type, url, count, sha256, size.
        deleted: likewise, files of transactions that delete.
        step: which of the types is to be gone on with; as many as there are types: the deletions.
        after: the id after which; none in a de-identified export, as it would tell who is where.
        skip: that many more resources of the type are in finished files.
        complete: whether nothing is left to do.
    """

    cut: Cut
    request: str
    options: dict[str, Any]
    output: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[dict[str, Any]] = field(default_factory=list)
    step: int = 0
    after: str = ""
    skip: int = 0
    complete: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as it is written."""
        place = {"step": self.step, "after": self.after, "skip": self.skip}
        return {
            "transactionTime": as_instant(self.cut.moment),
            "request": self.request,
            "requiresAccessToken": False,
            "output": self.output,
            "deleted": self.deleted,
            "error": [],
            "extension": {"options": self.options, "complete": self.complete, "seq": self.cut.seq, **place},
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> Manifest:
        """Read what `document` returned.

        Raises:
            KeyError, TypeError, ValueError: it is another's.
        """
        own = document["extension"]
        return cls(
            cut=Cut(int(own["seq"]), datetime.fromisoformat(document["transactionTime"])),
            request=document["request"],
            options=own["options"],
            output=document["output"],
            deleted=document["deleted"],
            step=own["step"],
            after=own["after"],
            skip=own.get("skip", 0),  # earlier versions of this command had none
            complete=own["complete"],
        )


class Folder:
    """The place of one export. Its calls block.

    Args:
        place: a path, or an address that `fsspec` opens.

    Raises:
        NotUsable: nothing that is installed opens such an address, or writes there.
    """

    def __init__(self, place: str) -> None:
        if place.startswith(("http://", "https://")):  # what opens these only reads
            raise NotUsable(
                f"{place.partition('://')[0]}:// cannot be written to. Name a folder, or an address as s3://."
            )
        self._system, root = opened(place)
        self._root = root.rstrip("/")
        self._local = self._system is Here

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other exports out of a folder of this machine, which is made where there is none.

        Raises:
            NotUsable: another one is writing there.
        """
        if not self._local:  # what is elsewhere has no locks
            yield
            return
        self._make()
        with ExitStack() as held:
            try:
                held.enter_context(alone(Path(self._path(_LOCK))))
            except Taken:
                text = "Another export is writing there. Wait until it has ended, or name another folder."
                raise NotUsable(text) from None
            yield

    def read(self) -> Manifest | None:
        """Return the manifest that is there.

        Raises:
            NotUsable: there is a file of that name that is none of ours.
        """
        try:
            raw = cast("bytes", self._system.cat_file(self._path(MANIFEST)))
        except FileNotFoundError:
            return None
        try:
            return Manifest.of(orjson.loads(raw))
        except (KeyError, TypeError, ValueError) as error:
            raise NotUsable(f"The {MANIFEST} there is not one of this command's. Name another folder.") from error

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest as a whole."""
        data = orjson.dumps(manifest.document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        self._make()
        if not self._local:
            self._system.pipe_file(self._path(MANIFEST), data)
            return
        private.replace(Path(self._path(MANIFEST)), data)

    def require_unused(self) -> None:
        """Make sure that an export can begin in a place without a manifest.

        Raises:
            NotUsable: there are files of another one. Whoever reads all files of a type would read them as well.
        """
        for name in sorted(self._names()):
            if _FILE.fullmatch(name):
                text = f"That folder holds files of another export ({name}). Name another one, or remove them."
                raise NotUsable(text)

    def require_whole(self, manifest: Manifest, *, read: bool = False) -> None:
        """Make sure that the finished files are there.

        Args:
            manifest: names them.
            read: whether to compare what is in them, too.

        Raises:
            NotUsable: one is not, or is another.
        """
        for one in (*manifest.output, *manifest.deleted):
            if why := self._lacking(one, read):
                text = f"{one['url']} is not there as it was written ({why}). Remove the folder and export again."
                raise NotUsable(text)

    def _lacking(self, one: dict[str, Any], read: bool) -> str:
        path = self._path(one["url"])
        try:
            size = self._system.size(path)
            if size != one["size"]:
                return f"{size} bytes instead of {one['size']}"
            if read:
                with self._system.open(path, "rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != one["sha256"]:
                        return "its content is another"
        except FileNotFoundError:
            return "it is gone"
        return ""

    def remove_unfinished(self, manifest: Manifest) -> None:
        """Remove what an interrupted run has left half written: whoever reads all files would read it as well."""
        finished = {one["url"] for one in (*manifest.output, *manifest.deleted)}
        for name in self._names():
            if name == _LEFT or (_FILE.fullmatch(name) and name not in finished):
                self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def _names(self) -> list[str]:
        try:
            return [str(path).rpartition("/")[2] for path in self._system.ls(self._root, detail=False)]
        except FileNotFoundError:
            return []

    def create(self, name: str) -> IO[bytes]:
        """Begin a file, or begin it anew."""
        self._make()
        if self._local:
            return private.create(self._path(name))
        return cast("IO[bytes]", self._system.open(self._path(name), "wb"))

    def close(self, file: IO[bytes]) -> None:
        """End a file; it is on the disk then, if it is a local one."""
        if self._local:
            file.flush()
            os.fsync(file.fileno())
        file.close()

    def _make(self) -> None:
        if self._local:
            private.make_folder(self._root)
        else:
            self._system.makedirs(self._root, exist_ok=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


class Here:
    """This machine's own files, by the names of `fsspec` for what is done with them here."""

    @staticmethod
    def cat_file(path: str) -> bytes:
        """Return what is in a file."""
        return Path(path).read_bytes()

    @staticmethod
    def ls(path: str, *, detail: bool) -> list[str]:
        """Return the paths of what is in a folder; there are no details."""
        return [one.as_posix() for one in Path(path).iterdir()]

    @staticmethod
    def size(path: str) -> int:
        """Return how many bytes a file has."""
        return Path(path).stat().st_size

    @staticmethod
    def open(path: str, mode: Literal["rb"]) -> IO[bytes]:
        """Open a file to be read."""
        return Path(path).open(mode)

    @staticmethod
    def rm_file(path: str) -> None:
        """Remove a file."""
        Path(path).unlink()


def opened(place: str) -> tuple[Any, str]:
    """Return what opens an address, and the path there. What has no ``://`` is a path, whatever else is in it.

    Raises:
        NotUsable: nothing that is installed does.
    """
    if "://" not in place:
        return Here, Path(os.path.expanduser(place)).absolute().as_posix()  # noqa: PTH111  (pathlib refuses `~nobody`)
    import fsspec  # where it is needed: a command that writes into a folder begins faster without
    from fsspec.implementations.local import LocalFileSystem

    try:
        system, path = fsspec.core.url_to_fs(place)
    except (ValueError, ImportError) as error:
        raise NotUsable(f"{place.partition('://')[0]}:// cannot be opened: {error}") from error
    return Here if isinstance(system, LocalFileSystem) else system, str(path)
