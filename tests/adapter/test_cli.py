"""The entry point: what a command prints and cannot be written is told in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("words", [["version"], ["settings"], ["export", "--views"]])
def test_an_output_that_cannot_be_written_is_one_line(words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "adapter", *words], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (ended.returncode, ended.stderr) == (
        1,
        b"mediloop-fhir: No space left on device. Make room, or raise the limit.\n",
    )


def test_who_stops_reading_ends_it_without_a_word() -> None:
    command = [sys.executable, "-m", "adapter", "settings", "--markdown"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
