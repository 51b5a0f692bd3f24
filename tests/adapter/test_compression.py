"""gzip: for who asks, where it is worth it, and inside of the gate."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from adapter.compression import SMALLEST, Compression

BODY = b'{"status":"booked"}' * 200


async def _answer(request: Request) -> Response:
    size = int(request.query_params.get("size", len(BODY)))
    return Response(BODY[:size], media_type="application/fhir+json", headers={"ETag": 'W/"3"'})


async def _stream(_: Request) -> Response:
    async def parts() -> Any:
        for _ in range(3):
            yield BODY

    return StreamingResponse(parts(), media_type="application/fhir+json")


APP = Starlette(routes=[Route("/", _answer), Route("/stream", _stream)])
APP.add_middleware(Compression)


async def fetch(path: str = "/", asked: str | None = "gzip", method: str = "GET") -> tuple[httpx.Response, bytes]:
    """Return the answer and its body as it was sent."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://test") as http:
        headers = {"Accept-Encoding": asked or ""}
        async with http.stream(method, path, headers=headers) as answer:
            return answer, b"".join([part async for part in answer.aiter_raw()])


@pytest.mark.parametrize("asked", ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.5", "deflate, gzip"])
async def test_who_asks_is_answered_in_gzip(asked: str) -> None:
    answer, sent = await fetch(asked=asked)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Length"] == str(len(sent))
    assert answer.headers["ETag"] == 'W/"3"'
    assert gzip.decompress(sent) == BODY


@pytest.mark.parametrize("asked", [None, "identity", "br", "gzip;q=0", "gzip; q=0.000, br", "x-gzipped", "*"])
async def test_who_does_not_is_not(asked: str | None) -> None:
    answer, sent = await fetch(asked=asked)
    assert "Content-Encoding" not in answer.headers
    assert sent == BODY


async def test_who_does_not_ask_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("wrapped")

    monkeypatch.setattr(IdentityResponder, "__init__", fail)
    monkeypatch.setattr(GZipResponder, "__init__", fail)
    assert (await fetch(asked=None))[1] == BODY


async def test_what_is_small_is_left_alone() -> None:
    for size, compressed in ((0, False), (SMALLEST - 1, False), (SMALLEST, True)):
        answer, _ = await fetch(f"/?size={size}")
        assert ("Content-Encoding" in answer.headers) is compressed
    assert (await fetch(method="HEAD"))[1] == b""


async def test_a_stream_is_compressed_part_by_part() -> None:
    answer, sent = await fetch("/stream")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(sent) == BODY * 3


async def test_other_traffic_passes() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await Compression(app)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
