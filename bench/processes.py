"""The processes of a run: MongoDB, the service, the floors and the clients; each ended by its own id."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from adapter.console.session import opened
from adapter.service import Service
from adapter.settings import Settings
from adapter.variables import PREFIX
from bench import data
from bench.cases import CONSTANT, FLOOR, LEAST, SERVICE
from store import embedded

BASE = "bench"
SERVICE_DATABASE, FLOOR_DATABASE, LEAST_DATABASE = f"{BASE}_test", "floor_test", "least_test"

_ROOT = Path(__file__).parent.parent
_PATIENCE = 40.0


class Slice(TypedDict):
    """What one slice of load came to (see `bench.load.measure`)."""

    rate: float
    latencies: list[float]
    failures: list[str]
    failed: int
    ran_out: bool


@contextmanager
def mongodb() -> Iterator[tuple[Path, str]]:
    """Give a temporary folder and the address of a MongoDB in it; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mediloop-bench-") as folder, embedded.start(Path(folder)) as server:
        yield Path(folder), server.uri


def settings(uri: str, **more: object) -> Settings:
    """Return the settings of a service in this process."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]  # a developer's own settings are no part of any figure
    given: dict[str, Any] = {"mongodb_uri": uri, "database": BASE, "rate_limit_test": 0} | more
    return Settings(**given, _env_file=None)


async def prepare(uri: str) -> str:
    """Fill the service's store, copy it for the floors, return MongoDB's version."""
    async with opened(settings(uri), uri) as service:
        await data.fill(service)
        await data.copy(service, FLOOR_DATABASE)
        await data.copy(service, LEAST_DATABASE, ("Slot", "Appointment"))
        return await _version(service)


async def _version(service: Service) -> str:
    info = await service.client.server_info()
    return str(info["version"])


@contextmanager
def _process(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a process in a session of its own, so that Ctrl-C reaches it through us only, and end it."""
    with log.open("w") as sink:
        process = subprocess.Popen(command, stderr=sink, text=True, start_new_session=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def service(folder: Path, uri: str) -> Iterator[tuple[int, str]]:
    """Start ``mediloop-fhir serve`` with one worker; give its port and a key."""
    key = f"sk_test_{secrets.token_hex(16)}"
    given = {
        "MONGODB_URI": uri,
        "DATABASE": BASE,
        "WORKERS": "1",
        "RATE_LIMIT_TEST": "0",
        "LOG_FORMAT": "json",
        "BOOTSTRAP_KEY": key,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {f"{PREFIX}{name}": value for name, value in given.items()}
    log = folder / "service.log"
    command = [sys.executable, "-m", "adapter", "serve", "--port", "0"]
    with _process(command, log, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        (folder / "service.pid").write_text(str(process.pid))
        yield _announced(process, log), key


def peak(folder: Path) -> float:
    """Return the most memory that the service process has had so far, in megabytes."""
    status = Path(f"/proc/{(folder / 'service.pid').read_text()}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def _announced(process: subprocess.Popen[str], log: Path) -> int:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://[^/\s]+:(\d+)/api", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise RuntimeError(f"the service did not start:\n{log.read_text()}")


@contextmanager
def floor(folder: Path, uri: str, database: str, kind: str) -> Iterator[int]:
    """Start a floor; give its port."""
    command = [sys.executable, "-m", "bench.floor", uri, database, kind]
    log = folder / f"{database}-{kind}.log"
    with _process(command, log, cwd=_ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            raise RuntimeError(f"the floor did not start:\n{log.read_text()}")
        yield int(port)


class Load:
    """The process of the clients."""

    def __init__(self, process: subprocess.Popen[str], ports: dict[str, int], key: str, log: Path) -> None:
        self._process = process
        self._ports = ports
        self._key = key
        self._log = log

    def measure(self, case: str, target: str, clients: int, seconds: float) -> Slice:
        """Have one slice of load sent, and return what came of it."""
        wanted = {
            "case": case,
            "target": target,
            "clients": clients,
            "seconds": seconds,
            "port": self._ports[target],
            "key": self._key,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the clients ended:\n{self._log.read_text()}")
        result: Slice = json.loads(answer)
        return result


@contextmanager
def alone(folder: Path, uri: str) -> Iterator[Load]:
    """Start service and clients, without floors."""
    log = folder / "load.log"
    command = [sys.executable, "-m", "bench.load"]
    with (
        service(folder, uri) as (port, key),
        _process(command, log, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as load,
    ):
        yield Load(load, {SERVICE: port}, key, log)


@contextmanager
def everything(folder: Path, uri: str) -> Iterator[Load]:
    """Start service, floors and clients on a filled MongoDB."""
    log = folder / "load.log"
    with (
        service(folder, uri) as (port, key),
        floor(folder, uri, FLOOR_DATABASE, "full") as floor_port,
        floor(folder, uri, LEAST_DATABASE, "least") as least_port,
        floor(folder, uri, LEAST_DATABASE, "constant") as constant_port,
        _process(
            [sys.executable, "-m", "bench.load"], log, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as load,
    ):
        yield Load(load, {SERVICE: port, FLOOR: floor_port, LEAST: least_port, CONSTANT: constant_port}, key, log)
