"""Three real mongods as one replica set, the wires between them, and the service processes: all end with the test."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from store.embedded_binary import find_mongod
from tests.linearizability.proxy import CLIENTS

MEMBERS = ("m0", "m1", "m2")
SET = "proof"
DATABASE = "proof"
KEY = "sk_test_proof"
ELECTION_MS = 2_000
HEARTBEAT_MS = 500
HEARTBEAT_PATIENCE = 2  # seconds; MongoDB's 10 would make elections wait for a member that is paused or cut off
_START_SECONDS = 90.0

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1

# Of mongod: one that is paused or restarted must not meet the limits of a small machine.
_MONGOD = [
    "--wiredTigerCacheSizeGB",
    "0.25",
    "--oplogSize",
    "64",
    "--nounixsocket",
    "--bind_ip",
    "127.0.0.1",
    "--quiet",
]
_PARAMETERS = ("diagnosticDataCollectionEnabled=false", "transactionLifetimeLimitSeconds=12")


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command: list[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that the kernel kills when this one ends, however it ends.

    To be called in the main thread: it is the end of the calling thread that counts.
    """
    with log.open("ab") as sink:
        return subprocess.Popen(
            command, stdout=options.pop("stdout", sink), stderr=sink, preexec_fn=_die_with_parent, **options
        )


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has just now."""
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for one in with_sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in with_sockets]
    finally:
        for one in with_sockets:
            one.close()


class Machine:
    """A process that can be killed, started again, paused and resumed."""

    def __init__(self, name: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.name = name
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        return 0 if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, if it does not run."""
        if not self.running:
            self._process = self._start()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL and wait for that."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(20)
            if self._process.stdin is not None:
                self._process.stdin.close()
            if self._process.stdout is not None:
                self._process.stdout.close()


class ReplicaSet:
    """Three members behind proxies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ports = free_ports(2 * len(MEMBERS))
        self.ports = dict(zip(MEMBERS, ports[: len(MEMBERS)], strict=True))
        self.proxies = dict(zip(MEMBERS, ports[len(MEMBERS) :], strict=True))
        self.members = {name: Machine(name, self._starter(name)) for name in MEMBERS}
        self._wires = Machine("wires", self._start_wires)
        self.log = folder / "wires.log"

    @property
    def uri(self) -> str:
        """What clients are told."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.proxies.values())
        return f"mongodb://{hosts}/?replicaSet={SET}"

    def _starter(self, name: str) -> Callable[[], subprocess.Popen[bytes]]:
        home = self._folder / name
        home.mkdir()
        command = [
            str(find_mongod()),
            "--replSet",
            SET,
            "--dbpath",
            str(home),
            "--port",
            str(self.ports[name]),
            *_MONGOD,
        ]
        for parameter in _PARAMETERS:
            command += ["--setParameter", parameter]
        return lambda: spawn(command, self._folder / f"{name}.log")

    def _start_wires(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.linearizability.proxy"]
        command += [f"{name}={self.proxies[name]}:{self.ports[name]}" for name in MEMBERS]
        root = Path(__file__).parents[2]
        return spawn(command, self.log, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def start(self) -> None:
        """Start all, and wait for a primary."""
        for member in self.members.values():
            member.start()
        self._wires.start()
        self._answer()
        self.name_members()
        deadline = time.monotonic() + _START_SECONDS
        members = [{"_id": place, "host": f"127.0.0.1:{self.proxies[name]}"} for place, name in enumerate(MEMBERS)]
        limits = {"electionTimeoutMillis": ELECTION_MS, "heartbeatIntervalMillis": HEARTBEAT_MS}
        limits["heartbeatTimeoutSecs"] = HEARTBEAT_PATIENCE
        config = {"_id": SET, "members": members, "settings": limits}
        while True:
            try:
                with self.direct(MEMBERS[0], 5_000) as client:
                    client.admin.command("replSetInitiate", config)
                break
            except PyMongoError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        while self.primary() is None:
            assert time.monotonic() < deadline, "no primary"
            time.sleep(0.1)

    def stop(self) -> None:
        """End all with SIGKILL."""
        for machine in (*self.members.values(), self._wires):
            machine.kill()

    def direct(self, name: str, patience_ms: int = 500) -> MongoClient[dict[str, Any]]:
        """Return a client of one member itself, past its proxy."""
        return MongoClient(
            f"mongodb://127.0.0.1:{self.ports[name]}/?directConnection=true",
            serverSelectionTimeoutMS=patience_ms,
            connectTimeoutMS=patience_ms,
            socketTimeoutMS=patience_ms,
        )

    def primary(self) -> str | None:
        """Return the member that takes writes, the newest where two think so; None where none does."""
        found: list[tuple[str, str]] = []
        for name in MEMBERS:
            with suppress(PyMongoError), self.direct(name) as client:
                hello = client.admin.command("hello")
                if hello.get("isWritablePrimary"):
                    found.append((str(hello.get("electionId", "")), name))
        return max(found)[1] if found else None

    def secondaries(self) -> list[str]:
        """Return the members that follow."""
        found = []
        for name in MEMBERS:
            with suppress(PyMongoError), self.direct(name) as client:
                if client.admin.command("hello").get("secondary"):
                    found.append(name)
        return found

    def name_members(self) -> None:
        """Tell the wires which process is which member."""
        self.name_clients({name: member.pid for name, member in self.members.items()})

    def name_clients(self, pids: dict[str, int]) -> None:
        """Tell the wires which process is whose; one that is not named is one of the clients."""
        self._command({"pids": pids})

    def isolate(self, name: str) -> None:
        """Cut a member off from everybody."""
        others = [*(other for other in MEMBERS if other != name), CLIENTS]
        pairs = [[other, name] for other in others] + [[name, other] for other in others]
        self._command({"cut": pairs})

    def cut_clients(self, name: str, service: str = CLIENTS) -> None:
        """Cut the services, or one of them, off from a member that the other members reach."""
        self._command({"cut": [[service, name]]})

    def heal(self, *, reset: bool) -> None:
        """Join everything again."""
        self._command({"cut": [], "reset": reset})

    def _command(self, command: dict[str, Any]) -> None:
        process = self._wires._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(json.dumps(command).encode() + b"\n")
        process.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        process = self._wires._process
        assert process is not None
        assert process.stdout is not None
        assert process.stdout.readline(), self.log.read_text()


class Services:
    """Service processes on one set, each at an address that it keeps."""

    def __init__(self, folder: Path, uri: str, count: int, **settings: str) -> None:
        self.bases = [f"http://127.0.0.1:{port}" for port in free_ports(count)]
        wanted = {"bootstrap_key": KEY, "rate_limit_test": "0", "data_dir": str(folder / "data"), "demo": "false"}
        wanted |= {"mongodb_uri": uri, "database": DATABASE, "log_level": "warning"} | settings
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ADAPTER_")}
        self.environment |= {f"ADAPTER_{name.upper()}": value for name, value in wanted.items()}
        self.environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        self.folder = folder
        self.logs = [folder / f"service-{place}.log" for place in range(count)]
        self.machines = [Machine(f"s{place}", self._starter(place)) for place in range(count)]

    def _starter(self, place: int) -> Callable[[], subprocess.Popen[bytes]]:
        port = self.bases[place].rpartition(":")[2]
        command = [sys.executable, "-m", "adapter", "serve", "--port", port]
        return lambda: spawn(command, self.logs[place], cwd=self.folder, env=self.environment)

    def start(self, named: Callable[[dict[str, int]], None]) -> None:
        """Start all, tell their processes to `named`; return when all answer."""
        for machine in self.machines:
            machine.start()
        named(self.pids())  # before they have opened a connection
        self.await_ready(self.bases)

    def await_ready(self, bases: list[str]) -> None:
        """Wait until the services at `bases` say that they are ready."""
        deadline = time.monotonic() + _START_SECONDS
        for base in bases:
            while not _ready(base):
                assert time.monotonic() < deadline, self.told()
                time.sleep(0.1)

    def pids(self) -> dict[str, int]:
        """Return the process of each by its name."""
        return {machine.name: machine.pid for machine in self.machines}

    def told(self) -> str:
        """Return the end of what the services have logged."""
        return "\n".join(log.read_text()[-3_000:] for log in self.logs if log.exists())

    def faults(self) -> list[str]:
        """Return the log lines of answers 500, and whatever else was a fault of the service."""
        # A chore that fails while there is no primary is told, and done in the next round.
        wanted = re.compile(r"request_failed|bundle_entry_failed|^Traceback")
        return [line for log in self.logs for line in log.read_text().splitlines() if wanted.search(line)]

    def stop(self) -> None:
        """End all with SIGKILL."""
        for machine in self.machines:
            machine.kill()


def _ready(base: str) -> bool:
    try:
        return httpx.get(f"{base}/readyz", timeout=3, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def standing(services: int, **settings: str) -> Iterator[tuple[ReplicaSet, Services]]:
    """Give a replica set with service processes on it; nothing of them is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mediloop-proof-"))
    members: ReplicaSet | None = None
    running: Services | None = None
    try:
        members = ReplicaSet(folder)
        members.start()
        running = Services(folder, members.uri, services, **settings)
        running.start(members.name_clients)
        yield members, running
    finally:
        if running is not None:
            running.stop()
        if members is not None:
            members.stop()
        shutil.rmtree(folder, ignore_errors=True)
