"""Answers what is no HTTP request: as the API does that was called, where uvicorn has a line of plain text.

Such a request never becomes one, so no handler sees it: an address with a blank or a letter that is not ASCII, as curl
sends what it is given, or a method that HTTP does not have. Nor does one whose address is longer than the parser takes.
"""

from __future__ import annotations

import uuid
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapter import clock, refusals
from adapter.errors import AddressTooLong, Malformed, Problem, Refused
from adapter.fhir.call import LONGEST_URL
from adapter.logs import logger

_TEXT = (
    "This is not valid HTTP. Blanks, quotes and letters that are not ASCII are percent-encoded in an address (a blank "
    "is %20); a method is GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS."
)
_TOO_LONG = f"The address is longer than {LONGEST_URL} characters."
_SHORTER = "Ask for fewer values at once."
_BY_POST = "Search by POST, to [type]/_search, with the parameters as a form in the body, or for fewer values at once."

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
        path = self._path()
        answer = refusals.respond({"path": path, "app": _application(self.app)}, self._refused(path))
        request_id = str(uuid.uuid4())  # of the headers perhaps nothing has come in
        logger.info("not_http", status=answer.status_code, request_id=request_id)
        head = [
            b"HTTP/1.1 %d %s\r\n" % (answer.status_code, HTTPStatus(answer.status_code).phrase.encode()),
            *(b"%s: %s\r\n" % pair for pair in answer.raw_headers),
            b"date: %s\r\n" % format_datetime(clock.now(), usegmt=True).encode(),
            b"x-request-id: %s\r\nconnection: close\r\n\r\n" % request_id.encode(),
        ]
        self.transport.write(b"".join([*head, bytes(answer.body)]))
        self.transport.close()

    def _refused(self, path: str) -> Refused:
        if self.url and len(self.url) > LONGEST_URL:
            remedy = _BY_POST if path.startswith(refusals.FHIR_BASE) else _SHORTER
            return AddressTooLong(Problem("address_too_long", f"{_TOO_LONG} {remedy}"))
        return Malformed(Problem("invalid_request_error", _TEXT))

    def _path(self) -> str:
        """Return the path as far as it can be told: of an address that is wrong the parser may have said nothing."""
        line = self._received.partition(b"\r\n")[0].split(b" ")
        return (self.url or (line[1] if len(line) > 1 else b"")).decode("latin-1")


def _application(app: Any) -> Any:
    """Return the application within what uvicorn has put around it."""
    while not hasattr(app, "state"):
        app = app.app
    return app
