"""What is no HTTP request is answered as the API does that was called."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson
import pytest
import uvicorn
from prometheus_client import REGISTRY

from adapter import clock
from adapter.app import create_app
from adapter.fhir import outcome
from adapter.fhir.call import LONGEST_URL
from adapter.protocol import MOST_FIELD_BYTES, MOST_FIELDS, Protocol
from adapter.service import Service
from tests.conftest import ServiceMaker


async def said(service: Service, *parts: bytes, pause: float = 0.05) -> bytes:
    """All that a real server says on one connection, which it then closes."""
    app = create_app(service)
    config = uvicorn.Config(app, http=Protocol, loop="none", lifespan="off", log_config=None, server_header=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server.serve(sockets=[listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            whole = await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()
            server.should_exit = True
            await running
    return whole


async def answered(service: Service, *parts: bytes) -> tuple[bytes, dict[str, str], bytes]:
    """The status line, headers and body of the first answer on a connection, with all that comes after it."""
    head, _, body = (await said(service, *parts)).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, {name.lower(): value for name, _, value in (line.decode().partition(": ") for line in lines)}, body


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /fhir/R4/Slot?start=ge2024-01-20 10:00 HTTP/1.1",
        "GET /fhir/R4/Patient?name=Müller HTTP/1.1".encode(),
        b"FETCH /fhir/R4/Slot HTTP/1.1",
        b"GET /fhir/R4/Slot?code=\x01 HTTP/1.1",
    ],
)
async def test_below_fhir_it_is_an_operation_outcome(service: Service, request_line: bytes) -> None:
    status, headers, body = await answered(service, request_line + b"\r\nHost: x\r\n\r\n")
    assert status == b"HTTP/1.1 400 Bad Request"
    assert headers["content-type"] == outcome.MEDIA_TYPE
    assert headers["x-request-id"]
    assert abs(parsedate_to_datetime(headers["date"]) - clock.now()) < timedelta(seconds=5)
    assert (headers["connection"], int(headers["content-length"])) == ("close", len(body))
    told = orjson.loads(body)
    assert told["resourceType"] == "OperationOutcome"
    assert "percent-encoded" in told["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "parts",
    [
        (b"GET /api/v1/appointments/?search=a b HTTP/1.1\r\n\r\n",),
        (b"\x16\x03\x01\x02",),  # TLS at a port that has none
        (
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
            b"a header without a colon\r\n\r\n",
        ),
    ],
)
async def test_elsewhere_it_is_the_envelope_of_mediloop(service: Service, parts: tuple[bytes, ...]) -> None:
    status, headers, body = await answered(service, *parts)
    assert (status, headers["content-type"]) == (b"HTTP/1.1 400 Bad Request", "application/json")
    assert orjson.loads(body)["error"]["code"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "told"),
    [(b"/fhir/R4/Patient", "POST"), (b"/api/v1/appointments/", "fewer")],
)
async def test_an_address_that_is_too_long_is_414(service: Service, path: bytes, told: str) -> None:
    request = b"GET %s?_id=" % path
    for length, answer in ((LONGEST_URL, b"401"), (LONGEST_URL + 1, b"414")):
        line = request + b"a" * (length - len(request) + 4)
        # In two parts: of the second the path cannot be told.
        status, headers, body = await answered(
            service, line[:60_000], line[60_000:] + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert status.split(b" ")[1] == answer
        assert headers["x-request-id"]
    assert "OperationOutcome" in body.decode() if b"fhir" in path else orjson.loads(body)["error"]["code"]
    assert told in body.decode()


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
CHUNKED = b"POST /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
LONG = b"a" * (MOST_FIELD_BYTES // 2)


@pytest.mark.parametrize(
    "parts",
    [
        (GET + b"X: y\r\n" * MOST_FIELDS + b"\r\n",),
        (GET + b"X: y\r\n" * MOST_FIELDS,),  # the end is not waited for
        (GET + b"X: " + LONG + b"\r\nY: " + LONG + b"\r\n\r\n",),
        (GET + b"X: " + LONG, LONG, LONG + b"a"),  # nor is that of one field
        (b"\r\n" * 20_000,) * 2,  # nor a beginning
        (CHUNKED + b"\r\n0\r\n" + b"X: y\r\n" * MOST_FIELDS,),
    ],
)
async def test_header_fields_are_bounded_and_trailers_with_them(service: Service, parts: tuple[bytes, ...]) -> None:
    status, headers, body = await answered(service, *parts)
    assert status == b"HTTP/1.1 431 Request Header Fields Too Large"
    assert headers["connection"] == "close"
    if not parts[0].startswith(CHUNKED):
        assert orjson.loads(body)["error"]["code"] == "headers_too_large"
    else:
        assert orjson.loads(body)["issue"][0]["code"] == "too-long"


async def test_as_many_header_fields_as_are_allowed_are_read(service: Service) -> None:
    few = GET + b"X: y\r\n" * (MOST_FIELDS - 2)
    status, _, _ = await answered(service, few + b"\r\n")
    assert status == b"HTTP/1.1 200 OK"
    # Each request of a connection has its own.
    status, _, _ = await answered(service, few.replace(b"close", b"keep-alive") + b"\r\n", few + b"\r\n")
    assert status == b"HTTP/1.1 200 OK"


async def test_a_trailer_is_no_header(service: Service) -> None:
    start = CHUNKED + b"Connection: close\r\n"
    _, headers, _ = await answered(service, start + b"\r\n2\r\n{}\r\n0\r\nX-Request-Id: trailer\r\n\r\n")
    assert headers["x-request-id"] != "trailer"


FIELDS = b"X-Request-Id: mine\r\nOrigin: https://portal.example.org\r\n"
LONG_ADDRESS = b"GET /fhir/R4/Patient?_id=" + b"a" * LONGEST_URL


@pytest.mark.parametrize(
    ("request_", "status", "method", "ident"),
    [
        (b"GET /fhir/R4/Slot HTTP/1.1\r\n" + FIELDS + b"X: y\r\n" * MOST_FIELDS, "431", "GET", "mine"),
        (b"PUT /fhir/R4/Slot/a HTTP/1.1\r\n" + FIELDS + b"\r\n", "400", "PUT", "mine"),
        (LONG_ADDRESS + b" HTTP/1.1\r\n", "414", "GET", None),
        (b"FETCH /fhir/R4/Slot HTTP/1.1\r\n\r\n", "400", "other", None),
    ],
)
async def test_it_is_told_and_counted_like_every_answer(
    service: Service, caplog: pytest.LogCaptureFixture, request_: bytes, status: str, method: str, ident: str | None
) -> None:
    labels = {"method": method, "route": "unmatched", "status": status}
    counted = REGISTRY.get_sample_value("mediloop_requests_total", labels) or 0
    line, headers, _ = await answered(service, request_)
    assert line.split(b" ")[1] == status.encode()
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("private, no-store", "nosniff")
    assert REGISTRY.get_sample_value("mediloop_requests_total", labels) == counted + 1
    if ident is None:  # it had not come in
        assert "access-control-allow-origin" not in headers
    else:
        assert headers["x-request-id"] == ident
        assert headers["access-control-allow-origin"] == "*"
        assert "X-Request-Id" in headers["access-control-expose-headers"]
    assert "Invalid HTTP" not in caplog.text, "there is a line of ours"


@pytest.mark.parametrize(
    ("origins", "shown"), [((), None), (("https://portal.example.org",), True), (("https://x",), None)]
)
async def test_only_pages_that_may_call_can_read_it(
    make_service: ServiceMaker, origins: tuple[str, ...], shown: bool | None
) -> None:
    service = make_service(cors_origins=origins)
    _, headers, _ = await answered(service, b"GET /fhir/R4/Slot HTTP/1.1\r\n" + FIELDS + b"\r\n")
    assert headers.get("access-control-allow-origin") == (shown and "https://portal.example.org")


async def test_what_is_no_request_has_nothing_of_the_one_before(service: Service) -> None:
    before = GET.replace(b"close", b"keep-alive").replace(b"/healthz", b"/fhir/R4/metadata") + FIELDS + b"\r\n"
    _, _, body = await answered(service, before, b"\x16\x03\x01\x02")
    head, _, told = body.rpartition(b"\r\n\r\n")
    head = head.rpartition(b"HTTP/1.1 400 ")[2]
    assert b"mine" not in head
    assert b"portal" not in head
    assert orjson.loads(told)["error"]["code"] == "invalid_request_error"


@pytest.mark.parametrize("trailers", [(b"X: y\r\n" * MOST_FIELDS,), (b"X: " + LONG, LONG)])
async def test_what_has_its_answer_gets_no_second_one(service: Service, trailers: tuple[bytes, ...]) -> None:
    _, _, body = await answered(service, CHUNKED + b"\r\n2\r\n{}\r\n", b"0\r\n", *trailers)
    assert orjson.loads(body)["issue"][0]["code"] == "login"


async def test_an_address_without_an_end_is_refused_where_it_is_too_long(service: Service) -> None:
    status, _, _ = await answered(service, b"GET /fhir/R4/Slot?_id=", *[b"a" * 20_000] * 4)
    assert status.split(b" ")[1] == b"414"


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (b"HTTP/1.1\r\n", b"400"),
        (b"HTTP/1.1\r\nHost: a\r\nhost: a\r\n", b"400"),
        (b"HTTP/1.0\r\nHost: a\r\nhost: a\r\n", b"400"),
        (b"HTTP/1.1\r\nHost: " + b"a" * 301 + b"\r\n", b"400"),
        (b"HTTP/1.0\r\n", b"200"),
        (b"HTTP/1.1\r\nHost:\r\nConnection: close\r\n", b"200"),
    ],
)
async def test_a_request_says_once_which_host_it_is_for(service: Service, lines: bytes, answer: bytes) -> None:
    status, _, body = await answered(service, b"GET /healthz " + lines + b"\r\n")
    assert status.split(b" ")[1] == answer
    assert (b"Host" in body) == (answer == b"400")


async def test_so_does_a_later_request_of_the_connection(service: Service) -> None:
    _, _, body = await answered(service, GET.replace(b"close", b"keep-alive") + b"\r\n", b"GET / HTTP/1.1\r\n\r\n")
    assert b"HTTP/1.1 400 Bad Request" in body


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        (b"Transfer-Encoding: gzip, chunked\r\n", b"501"),
        (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", b"501"),
        (b"Transfer-Encoding: Chunked \r\nConnection: close\r\n", b"401"),
    ],
)
async def test_a_body_comes_in_chunks_and_is_not_encoded_otherwise(
    service: Service, fields: bytes, answer: bytes
) -> None:
    request = b"POST /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n2\r\n{}\r\n0\r\n\r\n"
    status, headers, body = await answered(service, request)
    assert status.split(b" ")[1] == answer
    assert headers["connection"] == "close"
    assert orjson.loads(body)["issue"][0]["code"] == ("not-supported" if answer == b"501" else "login")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_who_calls_by_ipv4_is_known_by_that_address_where_ipv6_is_listened_on_as_well() -> None:
    """``--host ::`` takes both. The system calls 127.0.0.1 ::ffff:127.0.0.1 there, and no proxy would be trusted."""
    seen: list[tuple[str, str]] = []

    async def app(scope: Any, _: Any, send: Any) -> None:
        seen.append((scope["client"][0], scope["scheme"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    trusting = uvicorn.Config(
        app, http=Protocol, loop="none", lifespan="off", log_config=None, forwarded_allow_ips="127.0.0.1"
    )
    asking = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        server = uvicorn.Server(trusting)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        port = listening.getsockname()[1]
        async with httpx.AsyncClient() as http:
            for host in ("127.0.0.1", "[::1]"):
                await http.get(f"http://{host}:{port}/", headers=asking)
            await http.get(f"http://127.0.0.1:{port}/")
        server.should_exit = True
        await running
    assert seen == [("203.0.113.9", "https"), ("::1", "http"), ("127.0.0.1", "http")]
