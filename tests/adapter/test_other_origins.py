"""Pages of other origins: what browsers ask before they let one call us, and what they let it read (CORS)."""

from __future__ import annotations

import httpx
import pytest

from adapter.settings import load
from tests.adapter.mediloop.clinic import PATH
from tests.conftest import Api, ApiMaker, ServiceMaker

PORTAL = "https://portal.example.org"
SLOT = "/fhir/R4/Slot/none"
DOCUMENTED = {"ETag", "Location", "X-Request-Id", "X-Correlation-Id", "Retry-After", "Allow", "WWW-Authenticate"}
DOCUMENTED |= {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Progress"}
DOCUMENTED |= {"X-Idempotency-Replayed"}


async def ask(api: Api, path: str, origin: str = PORTAL, method: str = "PATCH") -> httpx.Response:
    """Ask as a browser does before it lets a page of `origin` send something."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type, if-match, prefer",
    }
    return await api.http.options(path, headers=headers)


async def test_any_page_may_call_with_a_key(api: Api) -> None:
    for path in (SLOT, PATH):
        answer = await ask(api, path)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        assert "if-match" in answer.headers["Access-Control-Allow-Headers"].lower()
        assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_page_reads_answers_and_refusals_and_their_headers(api: Api) -> None:
    for path, key, status in ((SLOT, api.key, 404), (SLOT, "sk_test_wrong", 401), ("/fhir/R4/metadata", "", 200)):
        answer = await api.http.get(path, headers={"Origin": PORTAL, "Authorization": f"Bearer {key}"})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        shown = answer.headers["Access-Control-Expose-Headers"]
        assert set(shown.split(", ")) >= DOCUMENTED
    plain = await api.get(SLOT)
    assert "Access-Control-Allow-Origin" not in plain.headers
    assert "Origin" not in plain.headers.get("Vary", ""), "who is no browser is told nothing"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_what_is_for_those_who_run_the_service_is_for_no_page(api: Api, path: str) -> None:
    for answer in (await api.get(path, headers={"Origin": PORTAL}), await ask(api, path)):
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_only_the_origins_that_are_set(make_service: ServiceMaker, make_api: ApiMaker) -> None:
    api = await make_api(make_service(cors_origins=(PORTAL,)))
    assert (await ask(api, SLOT)).headers["Access-Control-Allow-Origin"] == PORTAL
    other = await ask(api, SLOT, "https://elsewhere.example.org")
    assert other.status_code == 400
    assert "Access-Control-Allow-Origin" not in other.headers


async def test_none_where_none_is_set(make_service: ServiceMaker, make_api: ApiMaker) -> None:
    for origins, offered in (((), False), (("*",), True)):
        api = await make_api(make_service(cors_origins=origins))
        answer = await api.get("/fhir/R4/metadata", headers={"Origin": PORTAL})
        assert ("Access-Control-Allow-Origin" in answer.headers) is offered
        assert answer.json()["rest"][0]["security"]["cors"] is offered
        assert (await ask(api, SLOT)).status_code == (200 if offered else 405)


def test_origins_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in (
        ("", ()),
        ("*", ("*",)),
        (f"{PORTAL}, http://localhost:3000", (PORTAL, "http://localhost:3000")),
    ):
        monkeypatch.setenv("ADAPTER_CORS_ORIGINS", text)
        assert load().cors_origins == expected
