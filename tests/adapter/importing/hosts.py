"""A web server that the tests of fetching ask, and a manifest for it to give."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Host:
    """A small web server: what it answers by path, and what it was asked with."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.later: dict[str, list[str]] = {}  # what Retry-After says, of as many answers that say no more than that
        self.busy = 429  # the status of those
        self.headers: dict[str, str] = {}  # of every answer
        self.progress = ""  # what X-Progress says then
        self.lost: dict[str, int] = {}  # bytes after which the connection is lost
        self.stalls: dict[str, threading.Event] = {}  # what the rest of an answer waits for, half a minute at most
        self.stalled = threading.Event()
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append((self.path, self.headers.get("Authorization")))
                later = host.later.get(self.path)
                status, body = (host.busy, b"") if later else host.answers.get(self.path, (404, b""))
                self.send_response(status)
                if later:
                    self.send_header("Retry-After", later.pop(0))
                    self.send_header("X-Progress", host.progress)
                for name, value in host.headers.items():
                    self.send_header(name, value)
                if status in (301, 302):
                    self.send_header("Location", body.decode())
                if self.path.startswith("/chunked"):
                    self.send_header("Transfer-Encoding", "chunked")
                    body = b"%x\r\n%s" % (len(body) + 1, body)
                elif not self.path.startswith("/unsized"):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.path in host.stalls:
                    self.wfile.write(body[:1])
                    host.stalled.set()
                    host.stalls[self.path].wait(30)
                    return
                self.wfile.write(body[: host.lost.get(self.path)])

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()  # seconds to its end

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def manifest(*urls: str, moment: object = "x", **said: object) -> bytes:
    output = [{"type": "Patient", "url": url} | said for url in urls]
    return json.dumps({"transactionTime": moment, "output": output}).encode()
