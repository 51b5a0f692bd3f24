"""The formats of ``mediloop-fhir export``: NDJSON, Bundle, CSV and Parquet, each written as a stream.

A `Format` makes files of resources' JSON; none of them keeps more than a row group in memory. What is written does not
depend on how the lines were cut into calls, so an export that was interrupted gives the same files as one that was not.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import IO, Any, Literal

import orjson

from adapter.export.columns import COLUMNS, Column, Rows
from mappings.instants import parse
from store.codec import Resource

Name = Literal["ndjson", "bundle", "searchset", "csv", "parquet"]
NAMES: tuple[Name, ...] = ("ndjson", "bundle", "searchset", "csv", "parquet")
FLAT: tuple[Name, ...] = ("csv", "parquet")
"""Formats of tables: of the types in `columns.COLUMNS` only."""

ENDINGS = {"ndjson": ".ndjson", "bundle": ".json", "searchset": ".json", "csv": ".csv", "parquet": ".parquet"}
ROW_GROUP = 10_000
"""Rows in a row group of a Parquet file."""

_ROWS = 500  # kept as Python's objects, which take many times the memory of a column, before they become columns
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
        self._file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        """Say that it takes bytes."""
        return True

    def write(self, data: Any) -> int:
        """Write, count and hash."""
        view = memoryview(data).cast("B")
        self.sha256.update(view)
        self._file.write(view)
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        """Return how far it is: a Parquet file tells its parts' places in itself."""
        return self.size

    def flush(self) -> None:
        """Leave what is written where it is: closing is what counts."""


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

    def _write(self, kind: str, lines: Sequence[bytes]) -> None:
        raise NotImplementedError

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
            name = orjson.dumps(f"{self._base}/{kind}/{ident(line)}")
            pieces.append(self._between + b'{"fullUrl":' + name + b',"resource":' + line + self._tail)
            self._between = b",\n"
        self._to.write(b"".join(pieces))

    def _end(self) -> None:
        self._to.write(b"\n]}\n" if self.count else b"}\n")  # an array of FHIR's is never empty


class Csv(Writing):
    """A table as text: UTF-8, a header, empty cells for what is absent, moments in UTC as FHIR writes them."""

    def __init__(self, file: IO[bytes], kind: str, rows: Rows, *, zipped: bool = False) -> None:
        super().__init__(file, zipped=zipped)
        self._rows = rows
        self._put([[column.name for column in COLUMNS[kind]]])

    def _write(self, kind: str, lines: Sequence[bytes]) -> None:
        self._put([self._cells(kind, orjson.loads(line)) for line in lines])

    def _cells(self, kind: str, resource: Resource) -> list[Any]:
        return [_cell(column, value) for column, value in zip(COLUMNS[kind], self._rows.row(resource), strict=True)]

    def _put(self, rows: list[list[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(rows)  # RFC 4180
        self._to.write(text.getvalue().encode())


class Parquet(Writing):
    """A table in columns (https://parquet.apache.org), zstd-compressed, in groups of `ROW_GROUP` rows."""

    def __init__(self, file: IO[bytes], kind: str, rows: Rows) -> None:
        super().__init__(file)
        self._rows = rows
        self._columns = COLUMNS[kind]
        self._waiting: list[list[Any]] = []
        self._batches: list[Any] = []
        self._schema = schema(kind)
        from pyarrow import parquet

        self._writer = parquet.ParquetWriter(self.hashed, self._schema, compression="zstd")

    def _write(self, kind: str, lines: Sequence[bytes]) -> None:
        for line in lines:
            self._waiting.append(self._rows.row(orjson.loads(line)))
            if len(self._waiting) == _ROWS:
                self._into_columns()
                if len(self._batches) * _ROWS == ROW_GROUP:
                    self._put()

    def _into_columns(self) -> None:
        import pyarrow

        cells = list(zip(*self._waiting, strict=True))
        arrays = [
            pyarrow.array([_typed(column, value) for value in values], type=field.type)
            for column, values, field in zip(self._columns, cells, self._schema, strict=True)
        ]
        self._batches.append(pyarrow.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._waiting.clear()

    def _put(self) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.Table.from_batches(self._batches, schema=self._schema))
        self._batches.clear()

    def _end(self) -> None:
        if self._waiting:
            self._into_columns()
        if self._batches:
            self._put()
        self._writer.close()


def schema(kind: str) -> Any:
    """Return the Arrow schema of a table.

    Raises:
        MissingLibrary: pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        text = "Parquet needs pyarrow, which is not installed. In the project's folder: pip install '.[data]'"
        raise MissingLibrary(text) from None
    types = {
        "string": pyarrow.string(),
        "integer": pyarrow.int64(),
        "boolean": pyarrow.bool_(),
        "timestamp": pyarrow.timestamp("us", tz="UTC"),
    }
    return pyarrow.schema(
        [
            pyarrow.field(column.name, types[column.kind], metadata={"description": column.note})
            for column in COLUMNS[kind]
        ]
    )


def _cell(column: Column, value: Any) -> Any:
    if column.kind == "timestamp" and value is not None and (not value.endswith("Z") or ":60" in value):
        moment = _moment(value)  # one that has no spelling in UTC, or a leap second: nothing that reads tables knows it
        return None if moment is None else moment.isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else value


def _typed(column: Column, value: Any) -> Any:
    if value is None or column.kind != "timestamp":
        return value
    return _moment(value)


def _moment(text: str) -> datetime | None:
    """Return a moment; the nearest one of the years 1 to 9999 in UTC, and none where the text is none."""
    with suppress(ValueError):
        return parse(text)
    return None


def ident(line: bytes) -> str:
    """Return the id of a resource: where the service writes it, right after the type, without reading the rest."""
    head = line[:200].split(b'"', 8)
    if len(head) > 8 and head[1] == b"resourceType" and head[5] == b"id":
        return head[7].decode()
    return str(orjson.loads(line)["id"])
