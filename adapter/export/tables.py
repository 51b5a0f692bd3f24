"""The tables of ``mediloop-fhir export``: CSV and Parquet, of the rows that `columns` makes.

Apart from the other formats, which write resources as they are: what MediLoop shows of them takes long to load.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import IO, Any

import orjson

from adapter.export.columns import COLUMNS, Column, Rows
from adapter.export.formats import MissingLibrary, Writing
from mappings.instants import parse
from store.codec import Resource

ROW_GROUP = 10_000
"""Rows in a row group of a Parquet file."""

_ROWS = 500  # kept as Python's objects, which take many times the memory of a column, before they become columns


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

    def _let_go(self) -> None:
        with suppress(Exception):  # it may say once more what it said before
            self._writer.close()
        self._writer.is_open = False  # else it would end itself when it is thrown away


def schema(kind: str) -> Any:
    """Return the Arrow schema of a table.

    Raises:
        MissingLibrary: pyarrow is not installed.
    """
    # Arrow reads this once, when it is loaded. A pool of its own keeps what it once had: a tenth of an export's memory.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        import pyarrow
    except ImportError:
        text = "Parquet needs pyarrow, which is not installed. In the project's folder: pip install '.[data]'"
        raise MissingLibrary(text) from None
    pyarrow.array(
        []
    )  # with its first array it loads pandas, where that is installed: here, and in no two threads at once
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
