"""Who polls ``GET _history?_since=`` while others write sees every version of the store, and none that is not there."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.adapter.fhir.door import bundled, call, get, link, person
from tests.conftest import Api, Clock

WRITERS, WRITES = 8, 12


async def test_a_poller_beside_writers_misses_nothing(api: Api, clock: Clock) -> None:
    seen: set[tuple[str, str]] = set()

    async def poll(since: str | None) -> str:
        query = "_history?_count=7" + ("" if since is None else f"&_since={since.replace('+', '%2B')}")
        told: str | None = None
        url: str | None = query
        while url is not None:
            page: dict[str, Any] = bundled(await get(api, url), "history")
            told = told or page["meta"]["lastUpdated"]
            for one in page.get("entry", ()):
                seen.add((one["request"]["url"], one["response"]["etag"]))
            url = link(page, "next")
        assert told is not None
        return told

    async def write(number: int) -> None:
        for version in range(WRITES):
            clock.advance(milliseconds=3)
            answer = await call(api, "PUT", f"Patient/w{number}", person(f"w{number}", f"Name{version}"))
            assert answer.status_code in (200, 201)
        assert (await call(api, "DELETE", f"Patient/w{number}")).status_code == 204

    writing = asyncio.gather(*(write(number) for number in range(WRITERS)))
    since: str | None = None
    while not writing.done():
        since = await poll(since)
        await asyncio.sleep(0.01)
    await writing
    clock.advance(milliseconds=3)
    await poll(since)
    stored = api.service.stores["test"].database["history"]
    wanted = {(one["id"], f'W/"{one["version"]}"') async for one in stored.find({}, {"id": 1, "version": 1})}
    assert len(wanted) == WRITERS * (WRITES + 1)
    assert {(url.partition("/")[2].partition("/")[0], tag) for url, tag in seen} == wanted
