"""A page whose user changes from a test key to a live one, in a real browser with its cache."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx

from tests.acceptance.browser import needs_chromium, shown
from tests.acceptance.conftest import COMMAND, Running

_PAGE = """<body><script>(async () => {
  const seen = [];
  for (const key of %s) {
    const answer = await fetch("%s", {headers: {Authorization: "Bearer " + key}});
    seen.push((await answer.json()).gender);
  }
  document.body.textContent = "seen: " + seen.join(" ");
})()</script>"""


@needs_chromium
def test_the_browser_shows_the_patient_of_the_key_that_asks(running: Running, tmp_path: Path) -> None:
    words = [*COMMAND, "keys", "create", "--mode", "live", "--name", "page"]
    made = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, env=running.environment)
    found = re.search(r"sk_live_\w+", made.stdout)
    assert found is not None
    keys = [running.key, found[0]]
    url = f"{running.base}/fhir/R4/Patient/john"
    for key, gender in zip(keys, ("male", "female"), strict=True):
        patient = {"resourceType": "Patient", "id": "john", "gender": gender}
        answer = httpx.put(url, json=patient, headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.headers["etag"]) == (201, 'W/"1"')
    page = tmp_path / "page.html"
    page.write_text(_PAGE % ([*keys, *reversed(keys)], url))
    assert "seen: male female female male" in shown(page.as_uri(), tmp_path / "profile")
