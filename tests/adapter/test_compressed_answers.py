"""gzip on the service as it stands: the gate's headers are there, and the body is what it is without."""

from __future__ import annotations

from tests.conftest import Api

METADATA = "/fhir/R4/metadata"


async def test_a_large_answer_is_compressed_for_who_asks(api: Api) -> None:
    plain = await api.get(METADATA, headers={"Accept-Encoding": "identity"})
    packed = await api.get(METADATA, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert packed.content == plain.content
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 2
    assert packed.headers.keys() >= {"x-request-id", "x-ratelimit-limit", "etag"}


async def test_a_refusal_is_small_and_plain(api: Api) -> None:
    answer = await api.get("/fhir/R4/Patient/nobody", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 404
    assert "Content-Encoding" not in answer.headers
