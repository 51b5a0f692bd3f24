"""The service is told to stop: what runs is finished, and nobody else is let in."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.conftest import Running, Starter, serving
from tests.acceptance.test_embedded_ends import mongod_of, wait_until

HALF = "POST /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 2\r\n\r\n{{"
_FEW_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from adapter import cli
cli.main()
"""
WITH_FEW_FILES = [sys.executable, "-c", _FEW_FILES]
"""The command, begun by a shell that lets it open few files, but could let it open more."""


def export(running: Running) -> None:
    """Have the process of exports started: it stays for minutes."""
    begun = httpx.get(f"{running.base}/fhir/R4/$export?_type=Patient", headers=running.headers)
    place = begun.headers["content-location"]
    wait_until(lambda: httpx.get(place, headers=running.headers).status_code == 200)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_new_connections_are_taken(tmp_path: Path, workers: str) -> None:
    with serving(tmp_path, workers=workers) as running:
        export(running)
        parts = urlsplit(running.base)
        address = (str(parts.hostname), int(parts.port or 0))

        def refused() -> bool:
            try:
                socket.create_connection(address, 5).close()
            except ConnectionRefusedError:
                return True
            return False

        with socket.create_connection(address, 5) as waiting:
            waiting.sendall(HALF.format(running.key).encode())
            assert not refused()
            running.process.send_signal(signal.SIGTERM)
            wait_until(refused, 5)
            assert running.process.poll() is None
            waiting.sendall(b"}")
            assert waiting.recv(100).startswith(b"HTTP/1.1 4")
        assert running.process.wait(20) == 0


def files_of(pid: int) -> list[str]:
    """Return how many files a process may open, and how many it could take."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[3:5] for line in lines if line.startswith("Max open files"))


def test_it_and_its_mongod_take_all_open_files_that_they_may_have(starter: Starter) -> None:
    """Connections are files, and so are collections and indexes; most systems begin with 1,024."""
    running = starter(command=WITH_FEW_FILES)
    for pid in (running.process.pid, mongod_of(running).pid):
        now, most = files_of(pid)
        assert now == most != "512"
