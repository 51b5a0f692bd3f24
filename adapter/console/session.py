"""What every command that works on the store shares: settings, MongoDB, a prepared service, plain failures."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import cached_property, partial
from io import BufferedWriter, RawIOBase, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar

import typer
from pymongo.errors import OperationFailure, PyMongoError

from adapter import reading
from adapter.ending import INTERRUPTED, orderly
from adapter.errors import Malformed, Problem, Refused
from adapter.settings import Settings, SettingsError, load
from store.connection import reason, refusal
from store.embedded_binary import EmbeddedMongoError
from store.errors import StoreError, Unreachable
from store.store import Store

# Loaded where they are needed: a command that needs none of them begins faster without.
if TYPE_CHECKING:
    from rich.console import Console

    from adapter.security.keys import Mode
    from adapter.service import Service
    from store.embedded import EmbeddedMongo

T = TypeVar("T")
Parts = TypeVar("Parts")


class Said:
    """Where lines are said: a console of rich's, made for the first of them."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr

    @cached_property
    def console(self) -> Console:
        """What rich's own parts draw on."""
        from rich.console import Console

        return Console(stderr=self._stderr, soft_wrap=True)

    def print(self, line: str, *, markup: bool = True, highlight: bool = True) -> None:
        """Say a line."""
        self.console.print(line, markup=markup, highlight=highlight)


out = Said()
"""For results: standard output."""
err = Said(stderr=True)
"""For everything said beside them."""

FAILED = 1
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_UNAUTHORIZED = 13
_RIGHTS = ". ADAPTER_MONGODB_URI needs a user with the role readWrite on the databases of ADAPTER_DATABASE"


def fail(message: str) -> NoReturn:
    """Say why in one line and end with exit code 1."""
    err.print(f"mediloop-fhir: {message}", markup=False, highlight=False)
    raise typer.Exit(FAILED)


def listed(text: str) -> tuple[str, ...]:
    """Return what stands between commas, without blanks."""
    return tuple(one.strip() for one in text.split(",") if one.strip())


def types_in(values: Sequence[str] | None) -> tuple[str, ...]:
    """Return the resource types that --type names, repeated or as a list; none where it is not given.

    Raises:
        Malformed: it is given and names none: that is not to mean all of them.
    """
    found = tuple(one for value in values or () for one in listed(value))
    if values and not found:
        raise Malformed(Problem("invalid_request_error", "--type takes types, separated by commas. Name one.", "type"))
    return found


@contextmanager
def plain_failures(*, goes_on: bool = False) -> Iterator[None]:
    """Turn what can be expected to go wrong into one line and exit code 1.

    Args:
        goes_on: whether the same command goes on where it was; told at Ctrl-C, and where the disk is full, or MongoDB
            away.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not goes_on:
            raise
        err.print("Stopped. The same command goes on from here.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    except Unreachable as error:
        fail(f"{_ended(str(error))} When it answers, the same command goes on." if goes_on else str(error))
    except (SettingsError, EmbeddedMongoError, StoreError) as error:
        fail(str(error))
    except PyMongoError as error:
        fail(f"MongoDB: {_of_mongodb(error)}")
    except OSError as error:
        fail(_told(error) + _remedy(error, goes_on))
    except UnicodeError as error:
        fail(f"there is a text that cannot be kept or shown as it is ({error}).")
    except Refused as refused:
        fail("; ".join(problem.message for problem in refused.problems))


def _told(error: OSError) -> str:
    """Return what the system says of a file, without its number; an error of ours has its words alone."""
    if error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


def _ended(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def _remedy(error: OSError, goes_on: bool) -> str:
    if error.errno not in _FULL:
        return ""
    return ". Make room, or raise the limit" + (": the same command goes on then." if goes_on else ".")


def _of_mongodb(error: PyMongoError) -> str:
    """Return what MongoDB says was wrong, without what it was sent: the driver's own text holds whole resources."""
    if not isinstance(error, OperationFailure):
        return reason(error)
    return refusal(error) + (_RIGHTS if error.code == _UNAUTHORIZED else "")


@contextmanager
def bar(name: str, total: int | None = None) -> Iterator[Callable[..., Any]]:
    """Give what moves a bar on the terminal: ``advance``, or ``completed`` and ``total``. Elsewhere none is shown."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda **_: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err.console, disable=not err.console.is_terminal) as bars:
        yield partial(bars.update, bars.add_task(name, total=total))


def prepare_output() -> None:
    """Have all that is printed come out, or an error of it.

    Letters that the terminal's encoding does not know are shown by their numbers: a list does not end at one. And what
    Python leaves without a buffer (PYTHONUNBUFFERED, as in many containers) gets one: a write may end half way then, at
    a full disk or a pause, and nobody looks how far it came.
    """
    if not isinstance(sys.stdout, TextIOWrapper):
        return
    sys.stdout.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout.buffer, RawIOBase):
        encoding = sys.stdout.encoding
        whole = BufferedWriter(sys.stdout.detach())
        sys.stdout = TextIOWrapper(whole, encoding, errors="backslashreplace", line_buffering=True)


def require_output() -> None:
    """End a command whose output is all that it is for, where there is none (``>&-``): Python would print nowhere.

    Raises:
        Exit: with 1.
    """
    if sys.stdout is None:
        fail("there is no standard output to print to. Give the command one.")


def end_line(out: BinaryIO) -> None:
    """End a line that a file which is written on (``>>``) was left with, as by a full disk: what comes begins anew."""
    with suppress(OSError):  # it is no file, or is empty
        if not stat.S_ISREG(os.fstat(out.fileno()).st_mode):
            return
        with Path(f"/dev/fd/{out.fileno()}").open("rb") as file:  # anew: ours is for writing alone
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                out.write(b"\n")


def settle_output() -> None:
    """Leave nothing to be printed at Python's end where it cannot be: Python would complain of that, too."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


@contextmanager
def mongodb(settings: Settings) -> Iterator[tuple[str, EmbeddedMongo | None]]:
    """Give the address of MongoDB: the one that is set, or that of an embedded server, and the server while needed.

    Raises:
        KeyboardInterrupt: by Ctrl-C, SIGTERM or SIGHUP.
    """
    with orderly():  # the command line does so from its start; whoever uses this alone leaves no server behind either
        if settings.mongodb_uri is not None:
            yield settings.mongodb_uri.get_secret_value(), None
            return
        from store import embedded

        with embedded.start(settings.data_dir) as server:
            yield server.uri, server


@contextmanager
def at_once() -> Iterator[None]:
    """Let Ctrl-C (and with it SIGTERM and SIGHUP) break off what does not wait by the event loop, such as a download.

    asyncio's own handler leaves a note for the loop, which looks at it when that is done.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # as in a shell's background jobs
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@asynccontextmanager
async def opened(settings: Settings, uri: str, *, anew: bool = False) -> AsyncIterator[Service]:
    """Give a service that is ready: server checked, indexes made; `anew` as for `Service.prepare`."""
    from adapter import service  # where it is needed: what only reads begins faster without

    parts = service.build(settings, uri)
    try:
        await parts.prepare(anew=anew)
        yield parts
    finally:
        await parts.close()


def run(work: Callable[[Service], Awaitable[T]], *, anew: bool = False, goes_on: bool = False) -> T:
    """Run one command's work on a ready service; `anew` as for `Service.prepare`, `goes_on` for `plain_failures`."""
    with plain_failures(goes_on=goes_on):
        settings = load()
        return _on(settings, partial(opened, settings, anew=anew), work)


def write(mode: Mode, work: Callable[[Service], Awaitable[T]]) -> T:
    """Run the work of a command that writes to one store, and note by which rules it does (`store.revision`)."""
    from store import revision

    async def noted(service: Service) -> T:
        store = service.stores[mode]
        await revision.begin(store.database, store.rules)
        return await work(service)

    return run(noted)


def read(settings: Settings, mode: str, work: Callable[[Store], Awaitable[T]], *, goes_on: bool = False) -> T:
    """Run the work of a command that only reads one store; `goes_on` as for `plain_failures`."""
    with plain_failures(goes_on=goes_on):
        return _on(settings, lambda uri: reading.opened(settings, uri, mode), work)


def _on(
    settings: Settings,
    opening: Callable[[str], AbstractAsyncContextManager[Parts]],
    work: Callable[[Parts], Awaitable[T]],
) -> T:
    async def whole(uri: str) -> T:
        async with opening(uri) as parts:
            return await work(parts)

    with mongodb(settings) as (uri, _):
        return asyncio.run(whole(uri))
