"""Answers what is no HTTP request: as the API does that was called, where uvicorn has a line of plain text.

Such a request never becomes one, so no handler sees it: an address with a blank or a letter that is not ASCII, as curl
sends what it is given, or a method that HTTP does not have. Nor does one whose address is longer than the parser takes,
whose head has no bound, or that does not say once which host it is for.

An offer to speak another protocol is passed over, and the request is what it is without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.datastructures import Headers
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapter import clock, refusals
from adapter.errors import AddressTooLong, HeadersTooLarge, Malformed, NotImplementedHere, Problem, Refused
from adapter.fhir.call import LONGEST_URL
from adapter.gate import Ids, add_common, known
from adapter.logs import logger
from adapter.metrics import answered
from adapter.origins import shown

_TEXT = (
    "This is not valid HTTP. Blanks, quotes and letters that are not ASCII are percent-encoded in an address (a blank "
    "is %20); a method is GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS."
)
_TOO_LONG = f"The address is longer than {LONGEST_URL} characters."
_SHORTER = "Ask for fewer values at once."
_BY_POST = "Search by POST, to [type]/_search, with the parameters as a form in the body, or for fewer values at once."

MOST_FIELDS = 200
MOST_FIELD_BYTES = 65_536
"""Header fields of a request and their bytes, the trailers of a body in chunks among them: browsers and proxies send a
few KB, and who has no key yet must not fill the memory."""

_FIELDS = f"The request has more than {MOST_FIELDS} header fields, or {MOST_FIELD_BYTES} bytes of them. Send less."
_LONGEST_HOST = 300  # a name of 255 with its port; links and what is remembered of references hold it
_HOST = (
    f"Send one Host header of at most {_LONGEST_HOST} characters."  # RFC 9112 section 3.2: HTTP/1.1 wants exactly one
)

_CHUNKED = (
    "A body comes with its length (Content-Length) or in chunks (Transfer-Encoding: chunked), and in no other transfer "
    "coding. To send it compressed, say Content-Encoding: gzip."
)

_MAPPED = "::ffff:"
"""What the system writes before an IPv4 address where the socket is one of IPv6 (RFC 4291 section 2.5.5.2)."""

_HEAD = 64  # bytes: enough to tell which API was called, and nothing to keep for each open connection


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 by httptools."""

    url = b""
    _begun = 0.0
    _received = b""
    _heard = False  # the parser has told something of what came in last
    _untold = 0  # bytes of which it has told nothing yet: of a field that does not end
    _fields = _field_bytes = 0
    _hosts: Sequence[bytes] = ()
    _head_is_whole = False
    _unfit: Refused | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin a connection (asyncio's hook): who has come by IPv4 is known by that address, on any socket."""
        super().connection_made(transport)
        if self.client is not None:
            host, port = self.client
            self.client = host.removeprefix(_MAPPED) if "." in host else host, port

    def data_received(self, data: bytes) -> None:
        """Take what has come in (asyncio's hook), in the place of uvicorn's own.

        That one logs what is no request, of which there is a line of ours with the request's id; and where the parser
        stops, it drops the rest.
        """
        self._unset_keepalive_if_required()
        self._received = data[:_HEAD]
        self._heard = False
        try:
            self._parse(data)
        except HttpParserError:
            self.send_400_response("")
        self._untold = 0 if self._heard else self._untold + len(data)
        if self._untold > MOST_FIELD_BYTES and not self.transport.is_closing():
            self._unfit = _too_many()
            self.send_400_response("")

    def _parse(self, data: bytes) -> None:
        """Have the parser read it, and read on where it stops at an offer to speak another protocol.

        RFC 9110 section 7.8: a server may ignore Upgrade. The parser then ends the request with its head, whatever
        length that says: the body would be lost, or be the next request. So a new one reads the head without it.
        """
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
                break
            except HttpParserUpgrade as offer:
                head, rest = self._head_without_upgrade(), rest[offer.args[0] :]
            self.parser = HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has its own
            self.parser.feed_data(head)

    def _head_without_upgrade(self) -> bytes:
        """Return the head that has come in, as the parser told it: it takes no field that holds the end of a line."""
        line = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        fields = [b"%s: %s" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([line, *fields, b"", b""])

    def on_message_begin(self) -> None:
        """Begin a request (the parser's hook, as are those below)."""
        super().on_message_begin()
        self._begun = time.perf_counter()
        self._fields = self._field_bytes = 0
        self._hosts = ()
        self._head_is_whole = False

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._heard = True
        super().on_url(url)
        if len(self.url) > LONGEST_URL:
            remedy = _BY_POST if self._path().startswith(refusals.FHIR_BASE) else _SHORTER
            raise self._not(AddressTooLong(Problem("address_too_long", f"{_TOO_LONG} {remedy}")))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; a trailer is none, and is counted only (RFC 9110 section 6.5.1)."""
        self._heard = True
        self._fields += 1
        self._field_bytes += len(name) + len(value)
        if self._fields > MOST_FIELDS or self._field_bytes > MOST_FIELD_BYTES:
            raise self._not(_too_many())
        if not self._head_is_whole:
            super().on_header(name, value)
            if self.headers[-1][0] == b"host":
                self._hosts = (*self._hosts, value)

    def on_headers_complete(self) -> None:
        """Have the request answered; one that is read again without its Upgrade, then."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":  # whatever follows would go through the tunnel
                raise self._not(Malformed(Problem("invalid_request_error", _TEXT)))
            return
        least = 1 if self.parser.get_http_version() == "1.1" else 0
        if not least <= len(self._hosts) <= 1 or any(len(host) > _LONGEST_HOST for host in self._hosts):
            raise self._not(Malformed(Problem("invalid_request_error", _HOST, "Host")))
        # RFC 9112 section 6.1: the parser looks at the last coding alone, and what is left would be taken for the body.
        if any(name == b"transfer-encoding" and value.strip().lower() != b"chunked" for name, value in self.headers):
            raise self._not(NotImplementedHere(Problem("unsupported_transfer_encoding", _CHUNKED, "Transfer-Encoding")))
        super().on_headers_complete()
        self._head_is_whole = True

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._heard = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request, unless it is read again."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and close the connection: where the next request begins is not known."""
        if self._head_is_whole and self.cycle is not None and self.cycle.response_started:
            self.transport.close()  # it has its answer already, and another would be taken for that to the next
            return
        path = self._path()
        refused = self._unfit or Malformed(Problem("invalid_request_error", _TEXT))
        app = _application(self.app)
        answer = refusals.respond({"path": path, "app": app}, refused)
        given = Headers(raw=list(self.headers or ()))  # those that have come in
        ids = Ids.of(given)
        # Without an address, the parser's word for the method would be a guess.
        method = known(self.parser.get_method().decode("latin-1") if self.url else "")
        now = time.perf_counter()
        answered(method, "unmatched", answer.status_code, now - (self._begun or now))
        logger.info("not_http", status=answer.status_code, request_id=ids.request)
        headers = [*answer.raw_headers, *shown(app.state.service.settings.cors_origins, given.get("origin"))]
        add_common(headers, ids, path, clock.now())
        head = [
            b"HTTP/1.1 %d %s\r\n" % (answer.status_code, HTTPStatus(answer.status_code).phrase.encode()),
            *(b"%s: %s\r\n" % pair for pair in headers),
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join([*head, bytes(answer.body)]))
        self.transport.close()

    def _not(self, refused: Refused) -> Refused:
        """Return what to raise so that the parser stops: it makes an error of its own of it."""
        self._unfit = refused
        return refused

    def _path(self) -> str:
        """Return the path as far as it can be told: of an address that is wrong the parser may have said nothing."""
        line = self._received.partition(b"\r\n")[0].split(b" ")
        return (self.url or (line[1] if len(line) > 1 else b"")).decode("latin-1")


def _too_many() -> Refused:
    return HeadersTooLarge(Problem("headers_too_large", _FIELDS))


def _application(app: Any) -> Any:
    """Return the application within what uvicorn has put around it."""
    while not hasattr(app, "state"):
        app = app.app
    return app
