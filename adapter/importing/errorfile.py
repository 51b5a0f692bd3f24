"""The file that refused items go to, with their reasons: ``{"file", "line", "reasons": [...], "resource"}``, NDJSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import orjson

from adapter import private
from adapter.alone import Taken, alone
from adapter.errors import Refused
from adapter.importing.fetching import SourceError
from adapter.importing.item import Item
from adapter.importing.sources import Source
from store.codec import encode

_MEMBERS = {"file", "line", "reasons", "resource"}


def require_ours(path: Path) -> None:
    """Make sure that an error file may be written there: an import removes the one of an earlier import, nothing else.

    Raises:
        SourceError: there is something else.
    """
    remedy = "Name another file with --errors, or move this one away."
    if not path.exists():
        return
    if not path.is_file():
        raise SourceError(f"{path}: the refused lines cannot go there, it is no file. {remedy}")
    with path.open("rb") as file:
        first = file.readline()
    try:
        ours = not first or orjson.loads(first).keys() == _MEMBERS
    except (ValueError, AttributeError):
        ours = False
    if not ours:
        raise SourceError(
            f"{path}: the refused lines would replace it, and it is not the error file of an import. {remedy}"
        )


@contextmanager
def alone_at(written: Mapping[str, Path]) -> Iterator[None]:
    """Keep other imports away from what one writes: a later one would remove the error file of one that is under way.

    Args:
        written: the files, by the option that names them.

    Raises:
        SourceError: another import has one of them.
    """
    with ExitStack() as held:
        for path, option in {path.resolve(): option for option, path in written.items()}.items():
            try:
                held.enter_context(alone(path.with_name(f"{path.name}.lock")))
            except Taken:
                text = f"{path}: another import is writing it. Wait until it has ended, or name another with {option}."
                raise SourceError(text) from None
        yield


class ErrorFile:
    """What was refused, with its reasons; made when there is something to tell, for its owner alone.

    Args:
        path: of the file.
        size: bytes of it to keep from before an interruption; 0: nothing of what is there.

    Attributes:
        note: what is to be told of it: that what was refused before the interruption is no longer there.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._file: BinaryIO | None = None
        self.note = ""

    def __enter__(self) -> ErrorFile:
        if self._size:
            self._go_on(self._opened())
        else:
            self._path.unlink(missing_ok=True)  # of an earlier import
        return self

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = private.go_on(str(self._path))
        return self._file

    def _go_on(self, file: BinaryIO) -> None:
        """Go on behind what is noted as done; never cut or fill up what is not that file (it may have been moved)."""
        there = file.seek(0, os.SEEK_END)
        if there >= self._size and _ends_a_line(file, self._size):
            file.truncate(self._size)  # what came after it was not noted, and comes again
            file.seek(self._size)
            return
        self.note = (
            f"{self._path} is not as the interrupted import has left it: it has only what was refused since, behind "
            "what was there. Look for the earlier lines where the file was moved to."
        )
        if there and not _ends_a_line(file, there):
            file.write(b"\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, source: Source, item: Item, refused: Refused) -> None:
        """Write one refused item."""
        reasons = [
            {"code": one.code, "message": one.message}
            | ({} if one.param is None else {"param": one.param})
            | dict(one.details)
            for one in refused.problems
        ]
        # What refers to others of its Bundle stands there as its entry: by itself it would be a visit of nobody.
        raw = item.entry or (item.raw if item.value is None else encode(item.value))
        said = {"file": source.name, "line": item.line, "reasons": reasons}
        self._opened().write(orjson.dumps(said | {"resource": raw.decode("utf-8", "replace")}) + b"\n")

    def flush(self) -> int:
        """Hand what is written to the system, so that it outlives this process; return how many bytes that are."""
        if self._file is None:
            return 0
        self._file.flush()
        return self._file.tell()


def _ends_a_line(file: BinaryIO, size: int) -> bool:
    """Tell whether the first `size` bytes end with a line; leave the file at that place."""
    file.seek(size - 1)
    return file.read(1) == b"\n"
