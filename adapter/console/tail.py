"""``mediloop-fhir tail``: every change as a line of JSON, as it happens."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import orjson
import typer

from adapter import private
from adapter.console.options import TestOrLive, Types
from adapter.console.session import end_line, fail, plain_failures, read, require_output, types_in
from adapter.reading import database_of
from adapter.settings import load
from store.changes import Change, follow
from store.dates import as_instant
from store.store import Store
from store.types import TYPES

_MANY = 500
_SECONDS = 0.2  # lines wait no longer than this for company


def tail(
    kind: Types = None,
    since_token: Annotated[str | None, typer.Option(help="Go on behind this token instead of beginning now.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Keep the token here: the next start goes on where this one ended.")
    ] = None,
    mode: TestOrLive = "test",
) -> None:
    """Follow every change as NDJSON until Ctrl-C: type, id, version, method, lastUpdated, resource (null if deleted).

    With --token-file nothing is missed between two runs; what was printed last may come again after a crash. A file is
    for one mode and for the same types each time.

    [dim]Example:  mediloop-fhir tail --type Appointment --token-file appointments.token[/dim]
    """
    with plain_failures():
        kinds, settings = types_in(kind), load()
        followed = _Followed(database_of(settings, mode), tuple(sorted(set(kinds))))
    for one in kinds:
        if one not in TYPES:
            raise typer.BadParameter(f"{one} is not stored here; these types are: {', '.join(TYPES)}.")
    token = since_token
    if token is None and token_file is not None:
        token = _token_in(token_file, followed)
    if token_file is not None:
        with plain_failures():
            private.require_place(token_file, "--token-file")
    require_output()
    with suppress(KeyboardInterrupt), plain_failures():
        end_line(sys.stdout.buffer)
        writer = _Writer(sys.stdout.buffer, token_file, followed)
        read(settings, mode, lambda store: _follow(store, kinds, token, writer))


@dataclass(frozen=True, slots=True)
class _Followed:
    """What is followed: behind a token that was kept for less, what was not printed would never be.

    Attributes:
        database: its name.
        types: sorted; none: all.
    """

    database: str
    types: tuple[str, ...]

    @property
    def words(self) -> str:
        """Return the types as they are told."""
        return f"for --type {','.join(self.types)}" if self.types else "for all types"


async def _follow(store: Store, kinds: tuple[str, ...], token: str | None, writer: _Writer) -> None:
    try:
        async with aclosing(follow(store, kinds, token)) as changes:
            async for place, change in changes:
                writer.add(place, change)
    except asyncio.CancelledError:
        writer.flush()  # a quiet end: whoever stopped it (Ctrl-C, SIGTERM, SIGHUP) knows
    except BrokenPipeError:
        pass  # nobody reads any more


def _token_in(file: Path, followed: _Followed) -> str | None:
    """Return the token that an earlier run of the same kind has kept."""
    other = "Name another file, or remove this one to begin now."
    try:
        text = file.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        fail(f"--token-file {file}: it cannot be read ({why}). {other}")
    if not text:
        fail(f"--token-file {file}: it is empty, and does not tell where to go on. {other}")
    if not text.startswith("{"):
        return text  # earlier versions kept the token alone
    try:
        kept = orjson.loads(text)
        token, before = str(kept["token"]), _Followed(str(kept["database"]), tuple(map(str, kept["types"])))
    except (KeyError, TypeError, ValueError):
        fail(f"--token-file {file}: it is none of this command's. {other}")
    if before.database != followed.database:
        text = f"it was kept for the database {before.database}, and this is {followed.database}: check --mode"
        fail(f"--token-file {file}: {text}, or name another file.")
    if before.types != followed.types:
        text = f"it was kept {before.words}, and this run is {followed.words}: changes of the others would be lost"
        fail(f"--token-file {file}: {text}. Name the same types, or another file.")
    return token


class _Writer:
    """Prints lines, then keeps the token behind them: never the other way about.

    Args:
        out: where to.
        file: for the token.
        followed: kept with it.
    """

    def __init__(self, out: BinaryIO, file: Path | None, followed: _Followed) -> None:
        self._out = out
        self._file = file
        self._followed = asdict(followed)
        self._lines: list[bytes] = []
        self._token: str | None = None
        self._kept: str | None = None
        self._flushed = time.monotonic()

    def add(self, token: str | None, change: Change | None) -> None:
        self._token = token or self._token
        if change is not None:
            self._lines.append(line(change))
        if change is None or len(self._lines) >= _MANY or time.monotonic() - self._flushed > _SECONDS:
            self.flush()

    def flush(self) -> None:
        self._flushed = time.monotonic()
        if self._lines:
            self._out.write(b"".join(self._lines))
            self._out.flush()
            self._lines.clear()
        if self._file is not None and self._token is not None and self._token != self._kept:
            kept = orjson.dumps({"token": self._token} | self._followed, option=orjson.OPT_APPEND_NEWLINE)
            private.replace(self._file, kept)
            self._kept = self._token


def line(change: Change) -> bytes:
    """Return a change as a line; the resource stands in it byte for byte."""
    said = {
        "type": change.kind,
        "id": change.ident,
        "version": change.version,
        "method": change.method,
        "lastUpdated": as_instant(change.moment),
    }
    return orjson.dumps(said)[:-1] + b',"resource":' + (change.raw or b"null") + b"}\n"
