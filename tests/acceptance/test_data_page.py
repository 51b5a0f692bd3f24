"""docs/data.md from its top to its end: every command and every piece of Python works as printed, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import serving

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
_BLOCK = re.compile(r"```(?P<kind>sh|python)\n(?P<text>.*?)```", re.DOTALL)


@pytest.mark.slow
def test_everything_on_the_page_works_as_printed(tmp_path: Path) -> None:
    told = []
    with serving(tmp_path) as running:
        environment = running.environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        interpreters = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-W", "error", "-c"]}
        for block in _BLOCK.finditer(PAGE.read_text("utf-8")):
            done = subprocess.run(
                [*interpreters[block["kind"]], block["text"]],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{block['text']}\n{done.stdout}\n{done.stderr}"
            told.append(done.stdout)
    assert "booked" in told[1]
    assert any("Appointment.00001.ndjson" in text for text in told)
