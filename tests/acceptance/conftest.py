"""A started service, as users run it: the command line, real processes, real HTTP."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import URI
from tests.snapshots import clear

COMMAND = [sys.executable, "-m", "adapter"]


@dataclass
class Running:
    """A started service.

    Attributes:
        process: of ``mediloop-fhir serve``.
        base: its address (``http://127.0.0.1:12345``).
        key: a test key with every permission.
        log: the file of its standard error.
    """

    process: subprocess.Popen[bytes]
    base: str
    key: str
    log: Path
    environment: dict[str, str] = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an authorized call."""
        return {"Authorization": f"Bearer {self.key}"}

    def stop(self, how: signal.Signals = signal.SIGTERM, patience: float = 40) -> int:
        """Send `how` and wait for the end; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(patience)


def start(folder: Path, *, port: int = 0, command: Sequence[str] = COMMAND, **settings: str) -> Running:
    """Start ``mediloop-fhir serve`` and wait until it answers; `settings` are named without the prefix."""
    key = settings.pop("bootstrap_key", f"sk_test_{secrets.token_hex(8)}")
    wanted = {"bootstrap_key": key, "rate_limit_test": "0", "data_dir": str(folder / "data"), "demo": "true"} | settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ADAPTER_")}
    environment |= {f"ADAPTER_{name.upper()}": value for name, value in wanted.items()}
    log = folder / f"serve-{time.monotonic_ns()}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*command, "serve", "--port", str(port)], cwd=folder, env=environment, stdout=sink, stderr=sink
        )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = re.search(r"MediLoop API\s+(http://\S+?)/api", log.read_text())
        if found and _answers(found[1]):
            return Running(process, found[1], key, log, environment)
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise AssertionError(f"the service did not start:\n{log.read_text()}")


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


Starter = Callable[..., Running]


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    """Start services with an embedded MongoDB of their own under this test's folder; all are stopped afterwards."""
    started: list[Running] = []

    def make(*, port: int = 0, command: Sequence[str] = COMMAND, **settings: str) -> Running:
        started.append(start(tmp_path, port=port, command=command, **settings))
        return started[-1]

    yield make
    for running in started:
        if running.process.poll() is None:
            running.stop()


_spare: list[str] = []


@contextmanager
def databases() -> Iterator[str]:
    """Lend the name of a pair of databases with nothing in them; their indexes, which take seconds to make, stay."""
    name = _spare.pop() if _spare else f"a_{secrets.token_hex(4)}"
    try:
        yield name
    finally:
        clear(os.environ[URI], [f"{name}_test", f"{name}_live"])
        _spare.append(name)


@contextmanager
def serving(folder: Path, *, command: Sequence[str] = COMMAND, **settings: str) -> Iterator[Running]:
    """Give a service on the run's MongoDB that has nothing stored but what it loads itself."""
    with databases() as name:
        wanted: dict[str, Any] = settings | {"mongodb_uri": os.environ[URI], "database": name}
        made = start(folder, command=command, **wanted)
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a fresh demo clinic on the run's MongoDB, for the tests of one module."""
    with serving(tmp_path_factory.mktemp("running")) as made:
        yield made
