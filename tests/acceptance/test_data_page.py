"""docs/data.md from its top to its end: every command and every piece of Python works as printed, in order.

And again with files that are cut small: what reads the first file alone gives a part of the rows, and no warning.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.acceptance.conftest import Running, serving

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
_BLOCKS = [*re.finditer(r"```(?P<kind>sh|python)\n(?P<text>.*?)```", PAGE.read_text("utf-8"), re.DOTALL)]


# One after the other, each by itself: to start Python and to load what these load takes longer than what they do.
_PYTHON = """
import contextlib, io, json, sys
for text in map(json.loads, sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(text, {"__name__": "__main__"})
    print(json.dumps(said.getvalue()), flush=True)
"""


def _told(running: Running, folder: Path, export: str) -> list[str]:
    """Run the page in `folder`, with `export` for its ``mediloop-fhir export``, and return what each block says."""
    folder.mkdir()
    environment = running.environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    interpreter = [sys.executable, "-W", "error", "-c", _PYTHON]
    with subprocess.Popen(interpreter, cwd=folder, env=environment, stdin=PIPE, stdout=PIPE, text=True) as python:
        assert python.stdin is not None
        assert python.stdout is not None
        told = []
        for block in _BLOCKS:
            text = block["text"].replace("mediloop-fhir export", export)
            if block["kind"] == "sh":
                shell = ["bash", "-euo", "pipefail", "-c", text]
                done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True)
                assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
                told.append(done.stdout)
            else:
                print(json.dumps(text), file=python.stdin, flush=True)
                said = python.stdout.readline()
                assert said, text  # what is wrong with it stands in the standard error
                told.append(json.loads(said))
    return told


@pytest.mark.slow
def test_everything_on_the_page_works_as_printed_and_says_the_same_of_many_files(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        printed = _told(running, tmp_path / "printed", "mediloop-fhir export")
        cut = _told(running, tmp_path / "cut", "mediloop-fhir export --file-resources 4")
    assert len(list((tmp_path / "cut" / "monday").glob("Appointment.*"))) > 1
    assert "booked" in printed[1]
    assert any("Appointment.00001.ndjson" in text for text in printed)
    for block, one, other in zip(_BLOCKS, printed, cut, strict=True):
        if block["kind"] == "python" and "transactionTime" not in block["text"]:
            assert one == other, block["text"]
