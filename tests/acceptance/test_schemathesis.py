"""Thousands of requests that nobody thought of: Schemathesis reads the OpenAPI document and tries to surprise us.

Whatever is sent to either API, the answer is no fault of ours (5xx), and its status and content type are documented.
The cases are the same in every run. Half of the runs invent all ids; the other half aim at one that is stored, so that
what is behind the lookup is reached too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.conftest import Running
from tests.scale import LONG

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance"
CASES = 60 if LONG else 8  # at most, of each operation in each phase
AIMED = 25 if LONG else 6
PHASES = "examples,coverage,fuzzing"
AIMED_PHASES = PHASES if LONG else "examples,fuzzing"


def _explore(
    running: Running, folder: Path, cases: int, *words: str, parameters: dict[str, str], phases: str = PHASES
) -> dict[str, Any]:
    """Run Schemathesis and return its report; its own words are shown where something was found."""
    lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in parameters.items()]
    (folder / "schemathesis.toml").write_text("[parameters]\n" + "\n".join(lines) + "\n")
    command = [str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run", f"{running.base}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {running.key}", "--checks", CHECKS]
    command += ["--workers", "1"]  # with more, Hypothesis' own cache now and then loses a race
    command += ["--phases", phases, "--max-examples", str(cases), "--generation-deterministic"]
    command += ["--report", "json", "--report-json-path", "report.json", "--no-shrink", "--continue-on-failure"]
    command += ["--suppress-health-check", "all", "--request-timeout", "20", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert (folder / "report.json").exists(), done.stdout + done.stderr
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    found = [f"{one['title']}: {', '.join(one['operations'])}" for one in report["failures"]]
    assert (report["complete"], report["errors"], found, done.returncode) == (True, [], [], 0), done.stdout
    return report


def _selected(report: dict[str, Any], least: int, cases: int) -> None:
    operations, made = report["operations"], report["test_cases"]
    assert operations["tested"] == operations["selected"] >= least
    assert made["generated"] >= cases, made
    assert made["with_failures"] == 0


def test_the_mediloop_api_has_no_surprises(running: Running, tmp_path: Path) -> None:
    report = _explore(running, tmp_path, CASES, "--include-path-regex", "^/api/", parameters={})
    _selected(report, 11, 1_000)


def test_the_mediloop_api_has_none_where_there_is_an_appointment(running: Running, tmp_path: Path) -> None:
    [found, *_] = httpx.get(f"{running.base}/api/v1/appointments/", headers=running.headers).json()["results"]
    words = ("--include-path-regex", "^/api/.*{id}")
    report = _explore(running, tmp_path, AIMED, *words, parameters={"id": found["id"]}, phases=AIMED_PHASES)
    _selected(report, 7, 100 if LONG else 30)


def test_the_fhir_api_has_no_surprises(running: Running, tmp_path: Path) -> None:
    report = _explore(running, tmp_path, CASES, "--include-path-regex", "^/fhir/", parameters={})
    _selected(report, 20, 1_000)


def test_the_fhir_api_has_none_where_there_is_a_resource(running: Running, tmp_path: Path) -> None:
    answer = httpx.get(f"{running.base}/fhir/R4/Appointment?_count=1", headers=running.headers)
    ident = answer.json()["entry"][0]["resource"]["id"]
    words = ("--include-path-regex", "^/fhir/.*{type}", "--exclude-method", "DELETE")
    aim = {"path.type": "Appointment", "path.id": ident}
    report = _explore(running, tmp_path, AIMED, *words, parameters=aim, phases=AIMED_PHASES)
    _selected(report, 10, 200 if LONG else 40)


def test_what_was_thrown_at_it_leaves_the_service_sound(running: Running) -> None:
    log = running.log.read_text()
    assert '"level":"error"' not in log
    assert "Traceback" not in log
    assert httpx.get(f"{running.base}/readyz").status_code == 200
