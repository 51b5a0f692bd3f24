"""The page at /docs in a real browser, cut off from the internet."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (CI installs it)")
def test_the_docs_page_shows_every_endpoint_without_the_internet(running: Running, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    words += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    words += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={tmp_path / 'profile'}"]
    words += ["--virtual-time-budget=20000", "--dump-dom", f"{running.base}/docs"]
    page = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout
    paths = httpx.get(f"{running.base}/openapi.json").json()["paths"]
    assert len([path for path in paths if path.startswith("/api/v1/appointments/")]) == 11
    for path in paths:
        assert f'data-path="{path}"' in page, path


def test_the_root_leads_to_the_docs(running: Running) -> None:
    answer = httpx.get(running.base, follow_redirects=True)
    assert answer.url.path == "/docs"
    assert answer.status_code == 200
