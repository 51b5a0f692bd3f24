"""``mediloop-fhir import`` of what is fetched: which manifest counts, when the one before did not come in."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.importing import fetching
from tests.adapter.console.imports import PEOPLE, Import, Json, Stored, lines
from tests.adapter.importing.hosts import Host, manifest


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


def test_a_manifest_that_failed_is_not_kept(bring: Import, host: Host) -> None:
    host.answers = {"/latest.json": (200, manifest("none"))}
    result = bring.cli.run("import", f"{host.base}/latest.json")
    assert (result.exit_code, "/none: answered 404" in result.stderr) == (1, True)
    host.answers = {"/latest.json": (200, manifest("f.ndjson")), "/f.ndjson": (200, lines(PEOPLE[2]))}
    assert bring.run(f"{host.base}/latest.json") == {"created": 1}
    assert sorted(one.name for one in Path().iterdir()) == ["files"]


def test_an_export_of_which_its_server_tells_faults_is_not_whole(bring: Import, host: Host) -> None:
    faults = [{"type": "OperationOutcome", "url": f"e{number}"} for number in (1, 2)]
    told = {**json.loads(manifest("f.ndjson")), "error": faults}
    host.answers = {"/m": (200, json.dumps(told).encode()), "/f.ndjson": (200, lines(PEOPLE[2]))}
    result = bring.cli.run("import", f"{host.base}/m")
    assert (result.exit_code, "1 created" in result.stdout) == (1, True)
    assert "2 files, which are not imported, its server tells" in result.stderr
    assert f"{host.base}/e1, {host.base}/e2" in result.stderr
    assert bring.run(f"{host.base}/m", code=1)["unchanged"] == 1


@pytest.mark.parametrize(
    ("status", "progress", "said"),
    [
        (429, "", "answered 429"),
        (503, "", "answered 503"),
        (202, "", "it is not ready"),
        (202, "Patient: 3 of 5\x1b[2J" + "x" * 200, "it is not ready (Patient: 3 of 5[2Jx"),
    ],
)
def test_whom_it_waits_for_and_how_long_is_said(
    bring: Import, host: Host, monkeypatch: pytest.MonkeyPatch, status: int, progress: str, said: str
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(fetching, "sleep", waited.append)
    host.answers = {"/m": (200, manifest("f.ndjson")), "/f.ndjson": (200, lines(PEOPLE[2]))}
    host.later, host.busy, host.progress = {"/m": ["45", "90"]}, status, progress
    result = bring.cli.run("import", f"{host.base}/m")
    assert (result.exit_code, waited) == (0, [45, 90])
    told = [line for line in result.stderr.splitlines() if said in line]
    assert [line.rpartition(". ")[2] for line in told] == [
        "It is asked again in 45 seconds.",
        "It is asked again in 90 seconds.",
    ]
    assert all(line.startswith(f"{host.base}/m: ") and len(line) < 250 for line in told)


@pytest.mark.parametrize(
    ("page", "goes_on"),
    [
        (
            {"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": "http://[S?\x1bp=2"}]},
            "http://[S?p=2.",
        ),
        ({"count": 0, "total": 368, "next": 2, "results": []}, "page 2."),
    ],
)
def test_that_a_page_is_not_all_there_is_is_said(bring: Import, host: Host, page: Json, goes_on: str) -> None:
    host.answers = {
        "/m/": (200, json.dumps(page).encode()),
        "/m/last": (200, lines({**page, "next": None, "link": []})),
    }
    result = bring.cli.run("import", f"{host.base}/m/")
    assert result.exit_code == 0
    [told] = result.stderr.splitlines()
    assert told.startswith(f"{host.base}/m/: it is a page, and goes on at ")
    assert goes_on in told
    assert bring.cli.run("import", f"{host.base}/m/last").stderr == ""


def test_an_address_that_begins_an_export_is_told_where_its_job_is(bring: Import, host: Host) -> None:
    host.answers = {"/$export": (202, b"")}
    host.headers = {"Content-Location": f"{host.base}/jobs/1"}
    result = bring.cli.run("import", f"{host.base}/$export")
    assert (result.exit_code, f"Import the address of its job: {host.base}/jobs/1" in result.stderr) == (1, True)


def test_an_export_that_is_not_ready_for_long_ends_the_command(
    bring: Import, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(fetching, "sleep", waited.append)
    host.later, host.busy = {"/m": ["100"] * 10}, 202
    result = bring.cli.run("import", f"{host.base}/m")
    assert (result.exit_code, sum(waited)) == (1, 600)
    assert "/m: answered 202; it is not ready" in result.stderr


def test_an_interrupted_import_goes_on_with_the_manifest_it_began_with(
    bring: Import, host: Host, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter.importing import again

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    host.answers = {"/latest.json": (200, manifest("f.ndjson")), "/f.ndjson": (200, lines(PEOPLE[2]))}
    words = ["--batch", "1", f"{host.base}/latest.json"]
    with monkeypatch.context() as patched:
        patched.setattr(again, "settle", stop)
        assert bring.cli.run("import", "--json", "--errors", str(bring.errors), *words).exit_code == 130
    host.answers = {"/latest.json": (200, manifest("g.ndjson")), "/g.ndjson": (200, lines(PEOPLE[1]))}
    assert bring.run(*words) == {"created": 1}
    assert [bool(stored(kind)) for kind in ("Patient", "Location")] == [True, False]
    assert bring.run(*words) == {"created": 1}
    assert stored("Location")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_download_is_broken_off_at_once(bring: Import, host: Host, number: int) -> None:
    host.answers = {"/latest.json": (200, manifest("f.ndjson")), "/f.ndjson": (200, lines(PEOPLE[2]))}
    host.stalls = {"/f.ndjson": threading.Event()}

    def interrupt() -> None:
        if host.stalled.wait(30):
            os.kill(os.getpid(), number)

    sender = threading.Thread(target=interrupt)
    sender.start()
    begun = time.monotonic()
    result = bring.cli.run("import", f"{host.base}/latest.json")
    took = time.monotonic() - begun
    host.stalls.popitem()[1].set()
    sender.join()
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "Stopped. The same command goes on from here.\n"
    assert took < 20
    assert bring.run(f"{host.base}/latest.json") == {"created": 1}
