"""The embedded MongoDB ends while the service goes on: it is started again, and what was answered is there."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable

import httpx
import pytest

from store.embedded_process import Process, State
from tests.acceptance.conftest import Running, Starter
from tests.acceptance.load import data_dir

AGAIN_SECONDS = 25.0
"""So long may it take until requests are answered again, on a busy machine."""
KEY = "sk_test_ends"
_IMPATIENT = """
from functools import partial
from adapter import cli, keeping, serving
serving.kept = partial(keeping.kept, pauses=[one / 20 for one in keeping.PAUSES])
cli.main()
"""
IMPATIENT = [sys.executable, "-c", _IMPATIENT]
"""The command, whose pauses between the tries to start mongod again are short."""


def mongod_of(running: Running) -> Process:
    state = State.load(data_dir(running) / "mongodb")
    assert state is not None
    return state.server


def wait_until(met: Callable[[], bool], seconds: float = AGAIN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def answers(running: Running) -> bool:
    return httpx.get(f"{running.base}/readyz", timeout=20).status_code == 200


def book(running: Running, practitioner: str = "prov-abc-123") -> str:
    body = {
        "patient_uhid": "UG123456789A",
        "practitioner_id": practitioner,
        "service_type_code": "general",
        "start_time": "2031-01-06T09:00:00Z",
    }
    answer = httpx.post(f"{running.base}/api/v1/appointments/", json=body, headers=running.headers, timeout=20)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def is_there(running: Running, ident: str) -> bool:
    answer = httpx.get(f"{running.base}/api/v1/appointments/{ident}/", headers=running.headers, timeout=20)
    return answer.status_code == 200


def logged(running: Running, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


@pytest.fixture(autouse=True)
def short(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("t")))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_mongod_that_is_killed_is_started_again(starter: Starter, workers: str) -> None:
    running = starter(bootstrap_key=KEY, workers=workers)
    kept = book(running)
    mongod = mongod_of(running)
    os.kill(mongod.pid, signal.SIGKILL)
    wait_until(lambda: not mongod.alive())
    wait_until(lambda: bool(logged(running, "mongodb_restarted")))
    wait_until(lambda: answers(running))
    assert is_there(running, kept)
    book(running, "prov-def-456")
    assert len(logged(running, "mongodb_restarted")) == 1
    assert running.stop() == 0, running.log.read_text()
    assert not (data_dir(running) / "mongodb" / "adapter.json").exists()


def test_a_service_outlives_the_one_that_had_started_their_mongod(starter: Starter) -> None:
    first = starter(bootstrap_key=KEY)
    second = starter(bootstrap_key=KEY, PORT="abc")  # which the command line overrides, for the workers as well
    kept = book(second)
    before = mongod_of(first)
    assert first.stop() == 0
    wait_until(lambda: answers(second))
    assert is_there(second, kept)
    assert not before.alive()
    assert mongod_of(second).alive()
    assert not logged(first, "mongodb_restarted")
    last = mongod_of(second)
    assert second.stop(signal.SIGHUP) == 0  # the end of its terminal is an end like any other
    assert not last.alive()


def test_a_service_whose_mongod_cannot_be_had_any_more_ends_and_says_so(starter: Starter) -> None:
    running = starter(bootstrap_key=KEY, command=IMPATIENT)
    mongod = mongod_of(running)
    home = data_dir(running) / "mongodb"
    os.kill(mongod.pid, signal.SIGKILL)
    home.rename(home.with_name("moved"))
    assert running.process.wait(90) == 1
    log = running.log.read_text()
    assert len(logged(running, "mongodb_not_restarted")) == 4
    assert log.splitlines()[-1].startswith("mediloop-fhir: The directory ")
    assert "Traceback" not in log
