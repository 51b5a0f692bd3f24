"""Several workers: those that begin later are like those before, and a service whose workers cannot begin ends."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from adapter.serving import START_SECONDS
from tests.acceptance.conftest import Running, serving
from tests.acceptance.load import children
from tests.acceptance.test_embedded_ends import answers, wait_until

_IMPATIENT = """
from adapter import cli, serving
serving.STARTS_IN_VAIN = 3
cli.main()
"""
IMPATIENT = [sys.executable, "-c", _IMPATIENT]
"""The command, which gives up after one more start in vain than there are workers: those that are killed may count."""


def workers(running: Running) -> set[int]:
    """Return the process ids of the workers: who else is there has not called for `worker`."""
    return {pid for pid in children(running.process.pid) if b"spawn_main" in _command(pid)}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return b""


@pytest.mark.parametrize("way", ["killed", "replaced"])
def test_a_worker_that_begins_later_has_the_settings_of_the_start(tmp_path: Path, way: str) -> None:
    with serving(tmp_path, workers="2") as running:
        before = workers(running)
        # Another time zone, and a line that would stop a start.
        (tmp_path / ".env").write_text("ADAPTER_TIMEZONE=Africa/Kampala\nADAPTER_PROT=1\n")
        if way == "killed":
            for pid in before:
                os.kill(pid, signal.SIGKILL)
        else:
            running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(workers(running) - before) == 2 and not workers(running) & before, 60)
        wait_until(lambda: answers(running), 60)
        answer = httpx.get(f"{running.base}/api/v1/appointments/", headers=running.headers)
        assert answer.status_code == 200
        assert running.process.poll() is None
        assert ('"event":"worker_ended"' in running.log.read_text()) is (way == "killed")


def test_a_service_whose_workers_do_not_start_ends(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    with serving(tmp_path, command=IMPATIENT, workers="2", concept_maps=str(maps)) as running:
        (maps / "broken.json").write_text("{")
        for pid in workers(running):
            os.kill(pid, signal.SIGKILL)
        assert running.process.wait(60) == 1
        assert running.log.read_text().endswith(
            "mediloop-fhir: the service processes do not start; the log above says why\n"
        )


def test_a_worker_with_other_time_zones_ends_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `pip install -U tzdata` under a running service: it would book by other clocks than its siblings."""
    copy = tmp_path / "packages" / "tzdata"
    shutil.copytree(str(files("tzdata")), copy)
    monkeypatch.setenv("PYTHONPATH", f"{copy.parent}:{os.environ.get('PYTHONPATH', '')}")
    with serving(tmp_path, workers="2") as running:
        shutil.copy(copy / "zoneinfo" / "Asia" / "Tokyo", copy / "zoneinfo" / "Africa" / "Kampala")
        os.kill(min(workers(running)), signal.SIGKILL)
        assert running.process.wait(60) == 1
        log = running.log.read_text()
        assert '"event":"time_zones_changed"' in log
        assert "Traceback" not in log


def test_workers_that_are_stopped_with_the_service_are_no_failure(tmp_path: Path) -> None:
    with serving(tmp_path, workers="2") as running:
        for pid in (running.process.pid, *workers(running)):  # as a terminal does
            os.kill(pid, signal.SIGINT)
        assert running.process.wait(20) == 0
        assert "worker_ended" not in running.log.read_text()


def test_nobody_waits_for_what_a_worker_that_has_ended_would_answer(tmp_path: Path) -> None:
    with serving(tmp_path, workers="2") as running:
        one = min(workers(running))
        os.kill(one, signal.SIGSTOP)
        time.sleep(1)  # by now it is asked whether it is well, as it is twice a second
        os.kill(one, signal.SIGKILL)
        wait_until(lambda: len(workers(running) - {one}) == 2, START_SECONDS / 2)
