"""The page at /docs in a real browser, cut off from the internet."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.acceptance.browser import needs_chromium, shown
from tests.acceptance.conftest import Running


@needs_chromium
def test_the_docs_page_shows_every_endpoint_without_the_internet(running: Running, tmp_path: Path) -> None:
    page = shown(f"{running.base}/docs", tmp_path / "profile")
    paths = httpx.get(f"{running.base}/openapi.json").json()["paths"]
    assert len([path for path in paths if path.startswith("/api/v1/appointments/")]) == 11
    for path in paths:
        assert f'data-path="{path}"' in page, path


def test_the_root_leads_to_the_docs(running: Running) -> None:
    answer = httpx.get(running.base, follow_redirects=True)
    assert answer.url.path == "/docs"
    assert answer.status_code == 200
