"""The documents say what is true: every command in them is run against a started service, every link leads somewhere.

Blocks marked ``sh`` are run as they stand, in order, one service for each document. A comment before a block says what
the calls in it answer, where that is not success: ``<!-- answers: 400 -->``. A block marked ``json`` or ``http`` right
behind is what one of those calls answers (`printed`). Blocks marked ``console`` are for a terminal of one's own; the
make targets in them must exist.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from adapter.security.permissions import RESOURCES
from tests.acceptance.conftest import Running, Starter, serving
from tests.acceptance.printed import answers as answers_of
from tests.acceptance.printed import fits

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    # data.md has Python as well: `test_data_page` runs all of it.
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "data.md"),
]
_BLOCK = re.compile(
    r"(?:<!-- answers: (?P<answers>\d+) -->\n)?```(?P<kind>sh|console|json|http)\n(?P<text>.*?)```", re.DOTALL
)
_VISIT = {
    "patient_uhid": "UG123456789A",
    "practitioner_id": "prov-abc-123",
    "service_type_code": "consultation",
    "start_time": "2024-01-20T10:00:00Z",
}
# curl as printed, but failing loudly and telling each status.
_CURL = 'curl() { command curl -sS -w "\\n[status %{http_code}]\\n" "$@"; }\n'


def _names(document: Path) -> str:
    return document.name


@pytest.mark.skipif(shutil.which("curl") is None, reason="the documents use curl")
@pytest.mark.parametrize("document", DOCUMENTS, ids=_names)
def test_every_command_works_as_printed(document: Path, tmp_path: Path) -> None:
    text = document.read_text()
    blocks = [*_BLOCK.finditer(text)]
    if not any(block["kind"] == "sh" for block in blocks):
        return
    answered, end = "", 0
    with serving(tmp_path) as running:
        for block in blocks:
            if block["kind"] == "sh":
                answered, end = _run(block["text"], block["answers"], running, tmp_path), block.end()
            elif block["kind"] in ("json", "http") and not text[end : block.start()].strip():
                shown = any(fits(block["kind"], block["text"], one) for one in answers_of(answered))
                assert shown, f"{block['text']}\n{answered}"


def _run(text: str, answers: str | None, running: Running, folder: Path) -> str:
    """Run a block, check the statuses of its calls, and return what it put out."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = running.environment | {"BASE": running.base, "KEY": running.key, "PATH": path}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _CURL + text], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    statuses = re.findall(r"\[status (\d+)\]", done.stdout)
    assert len(statuses) == len(re.findall(r"^curl ", text, re.MULTILINE)), done.stdout
    for status in statuses:
        assert (status == answers) if answers else status in ("200", "201"), f"{text}\n{done.stdout}"
    return done.stdout


@pytest.mark.slow
def test_a_backup_of_the_embedded_server_is_made_as_printed_and_serves(starter: Starter, tmp_path: Path) -> None:
    running = starter()
    made = httpx.post(f"{running.base}/api/v1/appointments/", json=_VISIT, headers=running.headers)
    assert running.stop() == 0
    printed = (ROOT / "docs" / "operations.md").read_text().partition("## Backups")[2]
    block = _BLOCK.search(printed)
    assert block is not None
    _run(block["text"], None, running, tmp_path)
    copy = starter(data_dir=str(tmp_path / "backup"))  # with a key of its own: the other one is in the copy
    there = httpx.get(f"{copy.base}/api/v1/appointments/{made.json()['id']}/", headers=running.headers)
    assert there.json() == made.json()


def test_the_make_targets_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {
        target for document in DOCUMENTS for target in re.findall(r"\bmake ([a-z]+)\b(?= |`|\n)", document.read_text())
    }
    named &= {"serve", "test", "bench", "help", "check", "clean", "proof"}
    assert {"serve", "test", "bench"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=_names)
def test_every_link_within_the_project_leads_to_a_file(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / link).exists(), link


def test_the_table_of_settings_is_the_one_that_the_command_prints() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "adapter", "settings", "--markdown"], capture_output=True, text=True, check=True
    ).stdout
    text = (ROOT / "docs" / "operations.md").read_text()
    assert f"<!-- generated: settings -->\n{printed}<!-- end generated -->" in text


def test_each_permission_is_explained() -> None:
    text = (ROOT / "docs" / "operations.md").read_text().partition("| Permission |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [*RESOURCES]
