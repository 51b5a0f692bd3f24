"""Alive and ready (the unreachable MongoDB is in `test_gate`)."""

from __future__ import annotations

import httpx
import pytest

from adapter.app import create_app
from adapter.service import Service
from adapter.variables import PREFIX
from tests.adapter.records import recorded
from tests.conftest import Api


@pytest.mark.parametrize(("path", "status"), [("/healthz", "alive"), ("/readyz", "ready")])
async def test_a_service_on_a_reachable_mongodb_is_alive_and_ready_without_a_key(
    api: Api, path: str, status: str
) -> None:
    answer = await api.http.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": status})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_nothing_of_the_inside_is_told(api: Api, service: Service, path: str) -> None:
    text = (await api.http.get(path)).text
    for inside in (service.settings.database, "mongodb", "sock", PREFIX):
        assert inside not in text


async def test_why_mongodb_refuses_is_told_by_the_log_alone(api: Api, service: Service) -> None:
    database = service.stores["live"].database
    await database.drop_collection("readiness")
    await database.create_collection("readiness", viewOn="none")  # a view takes no writes, and names its database
    try:
        with recorded() as records:
            answer = await api.http.get("/readyz")
    finally:
        await database.drop_collection("readiness")
    reason = "MongoDB takes no writes: refused (error 166)"
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "reason": reason})
    [line] = [line for line in records.lines if line["event"] == "not_ready"]
    assert f"{database.name}.readiness is a view" in line["mongodb_says"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/", "/openapi.json"])
async def test_head_answers_as_get_does_without_the_body(api: Api, path: str) -> None:
    whole, bare = await api.http.get(path), await api.http.head(path)
    assert (bare.status_code, bare.content) == (whole.status_code, b"")
    assert bare.headers.get("content-type") == whole.headers.get("content-type")


async def test_the_root_leads_to_the_docs(api: Api) -> None:
    answer = await api.http.get("/")
    assert answer.is_redirect
    assert answer.headers["location"] == "docs"  # relative: as the proxy's address has it


async def test_the_application_closes_the_connections_when_it_stops(service: Service) -> None:
    app = create_app(service)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
    with pytest.raises(Exception, match="after close"):
        await service.client.admin.command("ping")
