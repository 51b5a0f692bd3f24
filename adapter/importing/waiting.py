"""What was refused for something that stands in its way, kept until the rest is done: that may move away.

With it what the rest of the stage has to know of what came before: the Slots that were given up, and the identifiers by
which Appointments were known. It is kept on disk, in a file of SQLite beside the state file, so that memory stays flat
however much it is; the file is made when there is something to keep, for its owner alone (it holds the data), and
removed when all is done.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import orjson

from adapter.importing.fetching import SourceError
from adapter.importing.freeing import Freed
from adapter.importing.item import portions
from adapter.importing.waiting_row import Key, Row, row_of, values_of
from store.chunks import chunks
from store.codec import decode, encode

_TABLES = """
CREATE TABLE IF NOT EXISTS waiting (
    pass INTEGER, source INTEGER, line INTEGER, name TEXT, kind TEXT, deletes INTEGER, raw BLOB, refused BLOB,
    sign TEXT, told BLOB,
    PRIMARY KEY (pass, source, line)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_name ON waiting (name);
CREATE INDEX IF NOT EXISTS by_sign ON waiting (sign);
CREATE TABLE IF NOT EXISTS freed (name TEXT PRIMARY KEY, was BLOB, closed INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS import (begun TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taken (sign TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS turned (slot TEXT, visit TEXT, written TEXT, PRIMARY KEY (slot, visit)) WITHOUT ROWID;
CREATE TEMP TABLE tried (these BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_ADDED = {"waiting": {"told": "BLOB"}, "freed": {"was": "BLOB", "closed": "INTEGER"}}
"""Columns that an earlier release did not have, by table."""
_NOTE_FREED = """
INSERT INTO freed VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET was = excluded.was, closed = excluded.closed
WHERE was IS NULL
"""
_NAMES = 500  # in one query: SQLite takes 999 values, in old versions


class TurnedAway(NamedTuple):
    """A visit that was refused, and one of the Slots that it names.

    Attributes:
        slot, visit: their names (``Slot/s``).
        written: when it was written where it comes from (``meta.lastUpdated``); empty where that is not said.
    """

    slot: str
    visit: str
    written: str


class Waiting:
    """The items that wait, and the Slots that were given up meanwhile.

    Args:
        path: of the file.
        begun: the mark of the import (`Place.begun`).
        anew: whether what is there is of an import that was given up.
        waits: whether this import has noted that there is something in it.

    Raises:
        OSError: the file cannot be removed.
        SourceError: it is not what this import has left. SQLite cannot read or write it; so does the end of the
            ``with`` in which that came up.
    """

    def __init__(self, path: Path, begun: str, *, anew: bool, waits: bool = False) -> None:
        self._path = path
        self._begun = begun
        self._file: sqlite3.Connection | None = None
        self.count = 0
        self.frees = False
        if anew:
            self.remove()
        elif waits and not path.exists():
            raise self._lost()
        elif path.exists():
            try:
                if not self._is_ours(waits):
                    raise self._lost()
                opened = self._opened()
                [self.count] = opened.execute("SELECT count(*) FROM waiting").fetchone()
                self.frees = opened.execute("SELECT 1 FROM freed").fetchone() is not None
            except sqlite3.Error as error:
                self._close()
                raise self._said(error) from error

    def __enter__(self) -> Waiting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if isinstance(error, sqlite3.Error):
            raise self._said(error) from error

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _said(self, error: sqlite3.Error) -> SourceError:
        if isinstance(error, sqlite3.OperationalError):  # of the disk, or of others: not of what is in the file
            remedy = "See that there is room, and that no other program has it open: the same command goes on then."
        else:
            remedy = (
                f"It is spoilt. Put it back as it was, or remove it and {self._path.with_suffix('')} to begin anew: "
                "what is stored already stays as it is."
            )
        return SourceError(f"{self._path}: {error}. {remedy}")

    def _is_ours(self, waits: bool) -> bool:
        """Tell whether the file is what this import has left: one without anything in it is a valid one of SQLite."""
        with closing(sqlite3.connect(self._path)) as file:
            tables = {name for [name] in file.execute("SELECT name FROM sqlite_master")}
            if "import" not in tables:
                return "waiting" in tables or not waits  # an earlier release left no mark; or it was just begun
            marks = [begun for [begun] in file.execute("SELECT begun FROM import")]
        return marks == [self._begun] or not (marks or waits)

    def _lost(self) -> SourceError:
        return SourceError(
            f"{self._path} is gone, or not as the interrupted import has left it: it has what was to be tried again. "
            f"Put it back, or remove {self._path.with_suffix('')} to begin anew: what is stored already stays as it is."
        )

    @property
    def kept(self) -> bool:
        """Whether there is a file in which something may be kept."""
        return self._file is not None

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._file = sqlite3.connect(self._path)
            self._file.executescript(_TABLES)
            for table, columns in _ADDED.items():
                there = {name for _, name, *_ in self._file.execute(f"PRAGMA table_info({table})")}
                for name, kind in columns.items():
                    if name not in there:
                        self._file.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
            with self._file:
                self._file.execute("INSERT OR IGNORE INTO import VALUES (?)", (self._begun,))
        return self._file

    def remove(self) -> None:
        """Remove the file: nothing waits any more."""
        self._close()
        self._path.unlink(missing_ok=True)
        self._path.with_name(self._path.name + "-journal").unlink(missing_ok=True)

    def add(self, rows: Sequence[Row]) -> None:
        """Keep items, in the place of what is kept of the same ones."""
        if rows:
            with self._opened() as file:
                file.executemany("REPLACE INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(values_of, rows))
            self._counted()

    def drop(self, keys: Iterable[Key]) -> None:
        """Keep these items no longer."""
        wanted = list(keys)
        if wanted and self.count:
            with self._opened() as file:
                file.executemany("DELETE FROM waiting WHERE pass = ? AND source = ? AND line = ?", wanted)
            self._counted()

    def drop_before(self, source: int) -> None:
        """Keep items of earlier sources no longer."""
        if self.count:
            with self._opened() as file:
                file.execute("DELETE FROM waiting WHERE source < ?", (source,))
            self._counted()

    def _counted(self) -> None:
        [self.count] = self._opened().execute("SELECT count(*) FROM waiting").fetchone()

    def batches(self, size: int) -> Iterator[list[Row]]:
        """Yield all items in order, so many at a time; what is dropped or kept anew meanwhile makes no difference."""
        key: Key = (-100, 0, 0)
        while self.count:
            query = "SELECT * FROM waiting WHERE (pass, source, line) > (?, ?, ?) ORDER BY pass, source, line LIMIT ?"
            found = map(row_of, self._opened().execute(query, (*key, size)))
            rows = next(portions(found, size, lambda row: row.item.size), ())
            if not rows:
                return
            key = rows[-1].key
            yield [*rows]

    def named(self, names: Iterable[str], signs: Iterable[str] = ()) -> list[Row]:
        """Return the items that are one of these resources, or that have one of these signs, in order."""
        if not self.count:
            return []
        found: dict[Key, Row] = {}
        for column, words in (("name", names), ("sign", signs)):
            for some in chunks(sorted(set(words)), _NAMES):
                marks = ", ".join("?" * len(some))
                query = f"SELECT * FROM waiting WHERE {column} IN ({marks})"  # noqa: S608  (marks alone)
                found |= {row.key: row for row in map(row_of, self._opened().execute(query, some))}
        return [found[key] for key in sorted(found)]

    def try_once(self, rows: Iterable[Row]) -> bool:
        """Note that these are tried together; tell whether it is for the first time in this round."""
        these = hashlib.sha256(orjson.dumps([row.key for row in rows])).digest()
        file = self._opened()
        before = file.total_changes
        file.execute("INSERT OR IGNORE INTO tried VALUES (?)", (these,))
        return file.total_changes > before

    def begin_round(self) -> None:
        """Forget what was tried together."""
        self._opened().execute("DELETE FROM tried")

    def take(self, signs: Collection[str]) -> None:
        """Note identifiers that were one Appointment's (`whose.signs`)."""
        if signs:
            with self._opened() as file:
                file.executemany("INSERT OR IGNORE INTO taken VALUES (?)", [(one,) for one in signs])

    def taken(self, signs: Collection[str]) -> set[str]:
        """Return those of some identifiers that were noted in this stage."""
        if self._file is None:
            return set()
        query = "SELECT 1 FROM taken WHERE sign = ?"
        return {one for one in signs if self._opened().execute(query, (one,)).fetchone() is not None}

    def forget_taken(self) -> None:
        """Forget which identifiers were noted."""
        if self._file is not None:
            with self._opened() as file:
                file.execute("DELETE FROM taken")

    def turn_away(self, visits: Sequence[TurnedAway]) -> None:
        """Note visits that were refused, with the Slots that they name."""
        if visits:
            with self._opened() as file:
                file.executemany("REPLACE INTO turned VALUES (?, ?, ?)", visits)

    def turned_away(self, size: int) -> Iterator[list[TurnedAway]]:
        """Yield those, by Slots, all of so many Slots at a time."""
        last = ""
        while self._file is not None:
            query = "SELECT slot FROM turned WHERE slot > ? GROUP BY slot ORDER BY slot LIMIT ?"
            slots = [slot for [slot] in self._file.execute(query, (last, size))]
            if not slots:
                return
            query = "SELECT * FROM turned WHERE slot > ? AND slot <= ? ORDER BY slot"
            yield [TurnedAway(*row) for row in self._file.execute(query, (last, slots[-1]))]
            last = slots[-1]

    def forget_turned_away(self) -> None:
        """Forget which visits were refused."""
        if self._file is not None:
            with self._opened() as file:
                file.execute("DELETE FROM turned")

    def free(self, slots: Mapping[str, Freed]) -> None:
        """Note Slots that are given up; what one was before is what was noted first."""
        if slots:
            with self._opened() as file:
                file.executemany(_NOTE_FREED, map(_freed, slots, slots.values()))
            self.frees = True

    def freed(self, names: Iterable[str]) -> dict[str, Freed]:
        """Return those of `names` that were given up."""
        query = "SELECT was, closed FROM freed WHERE name = ?"
        rows = {name: self._opened().execute(query, (name,)).fetchone() for name in set(names)}
        return {
            name: Freed(None if row[0] is None else decode(row[0]), closed=bool(row[1]))
            for name, row in rows.items()
            if row is not None
        }

    def tell(self, names: Iterable[str]) -> None:
        """Forget what Slots were before: a file has told what they are."""
        with self._opened() as file:
            file.executemany("UPDATE freed SET was = NULL WHERE name = ?", [(name,) for name in names])

    def restores(self) -> bool:
        """Tell whether some were given up of which no file has told what they are."""
        return self.frees and self._opened().execute("SELECT 1 FROM freed WHERE was NOT NULL").fetchone() is not None

    def forget_freed(self) -> None:
        """Forget which Slots were given up."""
        if self.frees:
            with self._opened() as file:
                file.execute("DELETE FROM freed")
            self.frees = False


def _freed(name: str, freed: Freed) -> tuple[str, bytes | None, int]:
    return name, None if freed.was is None else encode(freed.was), int(freed.closed)
