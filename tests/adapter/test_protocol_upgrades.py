"""Who offers to speak another protocol is answered in this one: the request is what it is without the offer."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from adapter.fhir.call import LONGEST_URL
from adapter.protocol import MOST_FIELD_BYTES, MOST_FIELDS
from adapter.service import Service
from tests.adapter.test_protocol import said
from tests.conftest import Api, ServiceMaker

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
OFFERS = [
    H2C,
    b"Connection: keep-alive\r\nconnection: UPGRADE\r\nupgrade: TLS/1.0\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eHh4\r\n",
    b"Upgrade: foo\r\nUpgrade: bar\r\nConnection: upgrade\r\n",
]
FORM = b"identifier=UG400000001C"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def search(key: str, offer: bytes, fields: bytes = b"Content-Length: %d\r\n" % len(FORM)) -> bytes:
    """The head of a search by POST."""
    form = b"Content-Type: application/x-www-form-urlencoded\r\nAuthorization: Bearer " + key.encode() + b"\r\n"
    return b"POST /fhir/R4/Patient/_search HTTP/1.1\r\nHost: x\r\n" + form + offer + fields + b"\r\n"


async def answers(service: Service, *parts: bytes, pause: float = 0.05) -> list[bytes]:
    """The answers on one connection, each whole."""
    return re.split(rb"(?=HTTP/1\.1 \d{3} )", await said(service, *parts, pause=pause))[1:]


def statuses(told: list[bytes]) -> list[bytes]:
    """The status of each answer."""
    return [answer.split(b" ")[1] for answer in told]


CUTS: dict[str, Callable[[bytes, bytes], list[bytes]]] = {
    "at once": lambda head, body: [head + body + LAST],
    "the body by itself": lambda head, body: [head, body, LAST],
    "a head in parts": lambda head, body: [head[:70], head[70:-2], head[-2:] + body[:4], body[4:] + LAST],
    "byte by byte": lambda head, body: [bytes([one]) for one in head + body + LAST],
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("offer", OFFERS)
async def test_its_body_is_its_own(api: Api, offer: bytes, cut: str) -> None:
    parts = CUTS[cut](search(api.key, offer), FORM)
    told = await answers(api.service, *parts, pause=0.05 if len(parts) < 9 else 0.001)
    assert statuses(told) == [b"200", b"200"]
    assert FORM in told[0], "the Bundle links to what was searched for"


@pytest.mark.parametrize("cut", CUTS)
async def test_so_is_one_in_chunks(api: Api, cut: str) -> None:
    chunks = b"5\r\n" + FORM[:5] + b"\r\n%x\r\n" % len(FORM[5:]) + FORM[5:] + b"\r\n0\r\nUpgrade: h2c\r\n\r\n"
    parts = CUTS[cut](search(api.key, H2C, b"Transfer-Encoding: chunked\r\n"), chunks)
    told = await answers(api.service, *parts, pause=0.05 if len(parts) < 9 else 0.001)
    assert statuses(told) == [b"200", b"200"]
    assert FORM in told[0]


async def test_so_is_one_that_waits_to_be_asked_for(api: Api) -> None:
    head = search(api.key, H2C, b"Content-Length: %d\r\nExpect: 100-continue\r\n" % len(FORM))
    told = await answers(api.service, head, FORM, LAST)
    assert statuses(told) == [b"100", b"200", b"200"]
    assert FORM in told[1]


async def test_a_request_within_a_body_is_none(api: Api) -> None:
    stored = await api.put("/fhir/R4/Patient/a", {"resourceType": "Patient", "id": "a"})
    assert stored.status_code == 201
    within = b"DELETE /fhir/R4/Patient/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n" % api.key.encode()
    head = search(api.key, H2C, b"Content-Length: %d\r\n" % len(within))
    assert statuses(await answers(api.service, head, within, LAST)) == [b"200", b"200"]
    assert (await api.get("/fhir/R4/Patient/a")).status_code == 200


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE"])
@pytest.mark.parametrize("together", [True, False])
async def test_what_comes_after_one_without_a_body_is_the_next(service: Service, method: bytes, together: bool) -> None:
    one = method + b" /fhir/R4/Patient/a HTTP/1.1\r\nHost: x\r\n" + H2C + b"\r\n"
    parts = [one, one, LAST]
    told = await answers(service, *([b"".join(parts)] if together else parts))
    assert statuses(told) == [b"401", b"401", b"200"]


async def test_many_in_one_packet_are_all_answered(service: Service) -> None:
    many = 1_500
    one = b"OPTIONS / HTTP/1.1\r\nHost:\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n"
    assert len(await answers(service, one * many + LAST)) == many + 1


async def test_a_connection_that_was_to_be_closed_is(service: Service) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade, close\r\n\r\n"
    assert statuses(await answers(service, one)) == [b"200"]
    assert statuses(await answers(service, one.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b", close", b""))) == [b"200"]


GET = b"GET /fhir/R4/Slot HTTP/1.1\r\n"
LONG = b"a" * (MOST_FIELD_BYTES // 2)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET + H2C, b"400"),  # for no host
        (GET + b"Host: a\r\nHost: b\r\n" + H2C, b"400"),
        (GET + b"Host: x\r\n" + H2C + b"no colon\r\n", b"400"),
        (GET + b"Host: x\r\n" + H2C + b"X: y\r\n" * MOST_FIELDS, b"431"),
        (GET + b"Host: x\r\n" + H2C + b"X: " + LONG + b"\r\nY: " + LONG + b"\r\n", b"431"),
        (b"GET /fhir/R4/Slot?_id=" + b"a" * LONGEST_URL + b" HTTP/1.1\r\nHost: x\r\n" + H2C, b"414"),
        (GET + b"Host: x\r\n" + H2C + b"Transfer-Encoding: gzip, chunked\r\n", b"501"),
    ],
)
async def test_what_is_refused_without_the_offer_is_refused_with_it(
    service: Service, request_: bytes, status: bytes
) -> None:
    for part in (request_ + b"\r\n", request_.replace(H2C, b"") + b"\r\n"):
        assert statuses(await answers(service, part)) == [status]


async def test_what_is_no_request_is_refused_after_it(service: Service) -> None:
    told = await answers(service, GET + b"Host: x\r\n" + H2C + b"\r\n", b"\x16\x03\x01\x02")
    assert statuses(told) == [b"401", b"400"]


async def test_a_body_that_is_too_large_is_refused(make_service: ServiceMaker) -> None:
    service = make_service(max_body_bytes=1_024)
    request = b"POST /fhir/R4/Patient HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n" + H2C + b"\r\n"
    told = await answers(service, request, b"a" * 2_000, LAST)
    assert statuses(told)[0] == b"413"


async def test_nothing_is_logged_of_the_offer(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    await answers(service, GET + b"Host: x\r\n" + H2C + b"\r\n", LAST)
    assert "upgrade" not in caplog.text.lower()
    assert "WebSocket" not in caplog.text


@pytest.mark.parametrize("target", [b"x:80", b"/healthz"])
async def test_a_tunnel_is_refused_and_what_would_go_through_it_is_not_read(service: Service, target: bytes) -> None:
    connect = b"CONNECT " + target + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(LAST)
    for parts in ([connect + LAST], [connect, LAST]):
        told = await answers(service, *parts)
        assert statuses(told) == [b"400"]
        assert b"connection: close" in told[0]
