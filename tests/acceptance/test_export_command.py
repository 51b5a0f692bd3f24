"""``mediloop-fhir export`` killed in the middle: the same command goes on, and the files are the same."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson.binary import Binary
from pymongo import MongoClient

from store.codec import encode
from tests.acceptance.conftest import COMMAND
from tests.conftest import URI
from tests.scale import LONG

COUNT = 200_000 if LONG else 10_000
MOMENT = "2024-01-15T10:00:00.000Z"
WORDS = ("--type", "Slot,Location", "--file-resources", "400", "--json")


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """The settings of a store with many slots."""
    name = f"x_{secrets.token_hex(4)}"
    wanted = {key: value for key, value in os.environ.items() if not key.startswith("ADAPTER_")}
    wanted |= {"ADAPTER_MONGODB_URI": os.environ[URI], "ADAPTER_DATABASE": name}
    with MongoClient[dict[str, Any]](os.environ[URI]) as client:
        database = client[f"{name}_test"]
        for first in range(0, COUNT, 5_000):
            database.Slot.insert_many(_slot(number) for number in range(first, first + 5_000))
        yield wanted
        for mode in ("test", "live"):
            client.drop_database(f"{name}_{mode}")


def _slot(number: int) -> dict[str, Any]:
    resource = {
        "resourceType": "Slot",
        "id": f"s{number:06}",
        "meta": {"versionId": "1", "lastUpdated": MOMENT},
        "schedule": {"reference": "Schedule/s"},
        "status": "free",
        "start": "2024-01-20T10:00:00.100+03:00",
        "end": "2024-01-20T10:30:00+03:00",
        "comment": "x" * 200,
    }
    return {"_id": resource["id"], "_json": Binary(encode(resource))}


def exporting(folder: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    """Start the command."""
    return subprocess.Popen(
        [*COMMAND, "export", str(folder), *WORDS, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def exported(folder: Path, environment: dict[str, str], *words: str) -> dict[str, Any]:
    """Run the command to its end."""
    told, said = exporting(folder, environment, *words).communicate(timeout=120)
    assert said == b"", "quiet where nobody looks"
    manifest: dict[str, Any] = json.loads(told)
    return manifest


def interrupted(folder: Path, environment: dict[str, str], how: signal.Signals, *words: str) -> dict[str, Any]:
    """Run the command until some files are finished, and end it."""
    process = exporting(folder, environment, *words)
    deadline = time.monotonic() + 60
    found: dict[str, Any] = {"output": []}
    while len(found["output"]) < 3 and process.poll() is None and time.monotonic() < deadline:
        if (folder / "manifest.json").exists():
            found = json.loads((folder / "manifest.json").read_bytes())
    process.send_signal(how)
    process.communicate(timeout=60)
    left: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    assert left["extension"]["complete"] is False, "it was too fast to be interrupted"
    return left


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--gzip",)] if LONG else [("--gzip",)])
def test_a_killed_export_goes_on_and_gives_the_same_files(
    environment: dict[str, str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    whole = exported(tmp_path / "whole", environment, *words)
    left = interrupted(tmp_path / "killed", environment, signal.SIGKILL, *words)
    kept = tmp_path / "killed" / left["output"][0]["url"]
    written = kept.stat().st_mtime_ns
    resumed = exported(tmp_path / "killed", environment, *words)
    assert resumed["transactionTime"] == left["transactionTime"]
    assert resumed["output"] == whole["output"]
    assert sum(one["count"] for one in resumed["output"]) == COUNT
    assert kept.stat().st_mtime_ns == written, "a finished file was written again"
    for one in whole["output"]:
        assert (tmp_path / "killed" / one["url"]).read_bytes() == (tmp_path / "whole" / one["url"]).read_bytes()


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once_and_it_goes_on(environment: dict[str, str], tmp_path: Path) -> None:
    interrupted(tmp_path / "stopped", environment, signal.SIGINT)
    resumed = exported(tmp_path / "stopped", environment)
    assert sum(one["count"] for one in resumed["output"]) == COUNT
