"""The entry point: what a command prints and cannot be written is told in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapter.cli import app


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


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([b"keys", b"create", b"--name", b"\xff"], "--name"),
        ([b"keys", b"create", b"--name=\xff"], "--name"),
        ([b"keys", b"roll", b"k\xff"], r"k\xff"),
        ([b"slots", b"hours", b"--practitioner", b"p", b"--facility", b"\xff"], "--facility"),
        ([b"tail", b"--since-token", b"\xff"], "--since-token"),
    ],
)
def test_bytes_that_are_no_text_are_a_usage_error(words: list[bytes], named: str) -> None:
    result = CliRunner().invoke(app, [os.fsdecode(one) for one in words])
    assert result.exit_code == 2
    assert f"{named}: it is no text in UTF-8. Give it as such." in result.stderr


def test_a_letter_that_the_terminal_does_not_know_is_shown_by_its_number() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "ADAPTER_DATA_DIR": "/srv/Zo\u00eb"}
    command = [sys.executable, "-m", "adapter", "settings"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert b"ADAPTER_DATA_DIR = /srv/Zo\\xeb " in done.stdout


def test_json_is_utf_8_whatever_the_terminal_is() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    visit = {"id": "a1", "status": "proposed", "practitioner_id": "p", "reason_text": "Zo\u00eb \U0001f600"}
    given = json.dumps(visit).encode()
    command = [sys.executable, "-m", "adapter", "translate", "--to", "fhir"]
    done = subprocess.run(command, input=given, env=environment, capture_output=True, check=True)
    assert "Zo\u00eb \U0001f600".encode() in done.stdout
