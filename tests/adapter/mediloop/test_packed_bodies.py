"""Bodies that come compressed: gzip is read, as at the FHIR door."""

from __future__ import annotations

import gzip
import json

import pytest

from store.store import Store
from tests.adapter.mediloop.clinic import PATH, booking, open_clinic, refused
from tests.conftest import Api

PACKED = gzip.compress(json.dumps(booking()).encode(), mtime=0)


def declared(coding: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Content-Encoding": coding}


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
async def test_gzip_is_read(api: Api, store: Store, coding: str) -> None:
    await open_clinic(store)
    answer = await api.post(PATH, content=PACKED, headers=declared(coding))
    assert answer.status_code == 201, answer.text


async def test_a_repeated_request_may_come_packed_or_not(api: Api, store: Store) -> None:
    await open_clinic(store)
    key = {"X-Idempotency-Key": "k"}
    first = await api.post(PATH, booking(), headers=key)
    again = await api.post(PATH, content=PACKED, headers=declared("gzip") | key)
    assert (again.status_code, again.content) == (first.status_code, first.content)


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip"])
async def test_another_coding_is_refused_by_name(api: Api, coding: str) -> None:
    answer = await api.post(PATH, content=PACKED, headers=declared(coding))
    refused(answer, 415, ("unsupported_encoding", "Content-Encoding"))
    assert answer.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("content", [b"{}", PACKED[:-9], PACKED + b"x"])
async def test_what_is_no_gzip_is_said_to_be_none(api: Api, content: bytes) -> None:
    answer = await api.post(PATH, content=content, headers=declared("gzip"))
    refused(answer, 400, ("invalid_encoding", "Content-Encoding"))


async def test_what_is_too_large_unpacked_is_refused(api: Api) -> None:
    most = api.service.settings.max_body_bytes
    answer = await api.post(PATH, content=gzip.compress(b" " * (most + 1)), headers=declared("gzip"))
    refused(answer, 413, ("body_too_large", None))
