"""The files of a bulk manifest are fetched once, and the token is told to the manifest's host alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adapter.importing.sources import SourceError, find

LINE = b'{"resourceType":"Patient","id":"a"}\n'


class Host:
    """A small web server: what it answers by path, and what it was asked with."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, str | None]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append((self.path, self.headers.get("Authorization")))
                status, body = host.answers.get(self.path, (404, b""))
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", body.decode())
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    made = (Host(), Host())
    yield made
    for one in made:
        one.close()


def manifest(*urls: str) -> bytes:
    return json.dumps({"transactionTime": "x", "output": [{"type": "Patient", "url": url} for url in urls]}).encode()


def test_the_files_of_a_manifest(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, other = hosts
    ours.answers = {
        "/m": (200, manifest(f"{ours.base}/1", f"{other.base}/2", f"{ours.base}/3")),
        "/1": (200, LINE),
        "/3": (302, f"{other.base}/3".encode()),
    }
    other.answers = {"/2": (200, LINE), "/3": (200, LINE)}
    found = find([f"{ours.base}/m"], tmp_path, "secret")
    assert [source.path.read_bytes() for source in found] == [LINE] * 3
    assert [source.name for source in found] == [f"{ours.base}/1", f"{other.base}/2", f"{ours.base}/3"]
    assert ours.asked == [("/m", "Bearer secret"), ("/1", "Bearer secret"), ("/3", "Bearer secret")]
    assert other.asked == [("/2", None), ("/3", None)]
    find([f"{ours.base}/m"], tmp_path, "secret")
    assert len(ours.asked) + len(other.asked) == 5  # what is there is not fetched again


def test_an_address_may_be_that_of_a_file(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    ours.answers = {"/f": (200, LINE)}
    [source] = find([f"{ours.base}/f"], tmp_path)
    assert source.path.read_bytes() == LINE
    assert ours.asked == [("/f", None)]


def test_what_cannot_be_fetched_is_said(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    ours.answers = {
        "/busy": (202, b""),
        "/leads": (302, b"file:///etc/passwd"),
        "/lists": (200, manifest("file:///etc/passwd")),
    }
    for path, said in (("/none", "404"), ("/busy", "202"), ("/leads", "302"), ("/lists", "http")):
        with pytest.raises(SourceError, match=said):
            find([f"{ours.base}{path}"], tmp_path)
    with pytest.raises(SourceError, match="refused"):
        find(["http://127.0.0.1:9/x"], tmp_path)
