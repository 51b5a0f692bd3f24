"""The formats of ``mediloop-fhir export``, each written as a stream: NDJSON and Bundle here, tables in `tables`.

A `Writing` makes a file of resources' JSON; none of them keeps more than a row group in memory. What is written does
not depend on how the lines were cut into calls, so an export that was interrupted gives the same files as one that was
not.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Sequence
from typing import IO, Any, Literal

import orjson

from store import codec

Name = Literal["ndjson", "bundle", "searchset", "csv", "parquet"]
FLAT: tuple[Name, ...] = ("csv", "parquet")
"""Formats of tables: of the types in `columns.COLUMNS` only (`tables`)."""

ENDINGS = {"ndjson": ".ndjson", "bundle": ".json", "searchset": ".json", "csv": ".csv", "parquet": ".parquet"}
_GZIP_LEVEL = 6


class MissingLibrary(ValueError):
    """A library that a format needs is not installed; the message says what to do."""


class Hashed(io.RawIOBase):
    """A file whose bytes are counted and hashed on their way.

    Attributes:
        size: bytes written.
        sha256: of them.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file: IO[bytes] | None = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        """Say that it takes bytes."""
        return True

    def write(self, data: Any) -> int:
        """Write, count and hash."""
        view = memoryview(data).cast("B")
        self.sha256.update(view)
        if self._file is not None:
            self._file.write(view)
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        """Return how far it is: a Parquet file tells its parts' places in itself."""
        return self.size

    def flush(self) -> None:
        """Leave what is written where it is: closing is what counts."""

    def let_go(self) -> None:
        """Take what comes and write it nowhere: the file is given up."""
        self._file = None


class Writing:
    """A file being written.

    Args:
        file: opened for bytes.
        zipped: whether it is compressed with gzip; the same lines then always give the same bytes.

    Attributes:
        count: resources in it.
    """

    def __init__(self, file: IO[bytes], *, zipped: bool = False) -> None:
        self.hashed = Hashed(file)
        self.count = 0
        self._zipped = (
            gzip.GzipFile(filename="", mode="wb", fileobj=self.hashed, compresslevel=_GZIP_LEVEL, mtime=0)
            if zipped
            else None
        )
        self._to: Any = self._zipped or self.hashed

    def add(self, kind: str, lines: Sequence[bytes]) -> None:
        """Write the JSON of resources of a type."""
        self.count += len(lines)
        self._write(kind, lines)

    def finish(self) -> None:
        """Write what belongs at the end; the file itself is the caller's to close."""
        self._end()
        if self._zipped is not None:
            self._zipped.close()

    def give_up(self) -> None:
        """End it where it cannot be finished: nothing more is written, now or when it is thrown away."""
        self.hashed.let_go()
        self._let_go()
        if self._zipped is not None:
            self._zipped.close()

    def _write(self, kind: str, lines: Sequence[bytes]) -> None:
        raise NotImplementedError

    def _let_go(self) -> None:
        pass

    def _end(self) -> None:
        pass


class Ndjson(Writing):
    """One resource to a line (https://hl7.org/fhir/R4/nd-json.html)."""

    def _write(self, kind: str, lines: Sequence[bytes]) -> None:
        self._to.write(b"\n".join([*lines, b""]))


class Bundle(Writing):
    """A collection or searchset, an entry to a line (https://hl7.org/fhir/R4/bundle.html).

    Args:
        file: opened for bytes.
        base: what the entries' ``fullUrl`` begins with.
        search: whether it is a searchset.
        zipped: as for `Writing`.
    """

    def __init__(self, file: IO[bytes], base: str, *, search: bool, zipped: bool = False) -> None:
        super().__init__(file, zipped=zipped)
        self._base = base
        self._tail = b',"search":{"mode":"match"}}' if search else b"}"
        kind = b"searchset" if search else b"collection"
        self._to.write(b'{"resourceType":"Bundle","type":"' + kind + b'"')
        self._between = b',"entry":[\n'

    def _write(self, kind: str, lines: Sequence[bytes]) -> None:
        pieces = []
        for line in lines:
            name = orjson.dumps(f"{self._base}/{kind}/{codec.ident(line)}")
            pieces.append(self._between + b'{"fullUrl":' + name + b',"resource":' + line + self._tail)
            self._between = b",\n"
        self._to.write(b"".join(pieces))

    def _end(self) -> None:
        self._to.write(b"\n]}\n" if self.count else b"}\n")  # an array of FHIR's is never empty
