"""Answers what is no HTTP request: as the API does that was called, where uvicorn has a line of plain text.

Such a request never becomes one, so no handler sees it: an address with a blank or a letter that is not ASCII, as curl
sends what it is given, or a method that HTTP does not have.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapter import refusals
from adapter.errors import Malformed, Problem

_TEXT = (
    "This is not valid HTTP. Blanks, quotes and letters that are not ASCII are percent-encoded in an address (a blank "
    "is %20); a method is GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS."
)


_HEAD = 64  # bytes: enough to tell which API was called, and nothing to keep for each open connection


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 by httptools."""

    _received = b""

    def data_received(self, data: bytes) -> None:
        """Take what has come in (asyncio's hook)."""
        self._received = data[:_HEAD]
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and close the connection: where the next request begins is not known."""
        problem = Problem("invalid_request_error", _TEXT)
        scope = {"path": self._path(), "app": _application(self.app)}
        answer = refusals.respond(scope, Malformed(problem))
        head = [b"HTTP/1.1 400 Bad Request\r\n", *(b"%s: %s\r\n" % pair for pair in answer.raw_headers)]
        self.transport.write(b"".join([*head, b"connection: close\r\n\r\n", bytes(answer.body)]))
        self.transport.close()

    def _path(self) -> str:
        """Return the path as far as it can be told: of an address that is wrong the parser may have said nothing."""
        line = self._received.partition(b"\r\n")[0].split(b" ")
        return (self.url or (line[1] if len(line) > 1 else b"")).decode("latin-1")


def _application(app: Any) -> Any:
    """Return the application within what uvicorn has put around it."""
    while not hasattr(app, "state"):
        app = app.app
    return app
