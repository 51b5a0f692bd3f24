"""The service is told to stop: what runs is finished, and nobody else is let in."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.conftest import Running, serving
from tests.acceptance.test_embedded_ends import wait_until

HALF = "POST /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 2\r\n\r\n{{"


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


def test_it_takes_all_open_files_that_it_may_have(tmp_path: Path) -> None:
    """Connections are files, and idle ones stay for a while."""
    with serving(tmp_path) as running:
        limits = Path(f"/proc/{running.process.pid}/limits").read_text()
        [files] = [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")]
        assert files[0] == files[1]
