"""``mediloop-fhir check``: its exit codes, its reports, and what it says when it cannot check."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapter.console import check as command
from store.checking import Finding, Step
from tests.adapter.console.cli import Cli, Databases

Raw = Callable[[str], Any]


@pytest.fixture
def database(clinic: Cli, mongodb_uri: str) -> Iterator[Raw]:
    """The raw database of a mode, with the demo clinic in the test data."""
    with Databases(mongodb_uri) as client:
        yield lambda mode: client[f"{os.environ['ADAPTER_DATABASE']}_{mode}"]


def test_a_sound_store_is_clean_and_the_exit_code_is_0(cli: Cli, database: Raw) -> None:
    result = cli.run("check")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.partition(".")[0] for line in lines if not line.startswith(" ")] == ["test: clean", "live: clean"]
    report = cli.json("check", "--mode", "test")
    assert report["clean"]
    assert list(report["databases"]) == ["test"]
    assert report["databases"]["test"]["checked"]["Appointment"] == database("test").Appointment.count_documents({})


def test_what_is_found_is_told_with_exit_code_1(cli: Cli, database: Raw) -> None:
    many = database("test").Appointment.count_documents({})
    database("test").Appointment.update_many({}, {"$set": {"comment": "by hand"}})
    database("test").Slot.update_one({"status": "free"}, {"$set": {"_index.status": "busy"}})
    result = cli.run("check", "--mode", "test")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"test: {many + 1} findings.")
    assert f"  FOUND: document ({many})" in result.stdout
    assert ("more" in result.stdout) == (many > 20)
    told = cli.run("check", "--json")
    assert told.exit_code == 1
    report = json.loads(told.stdout)
    assert not report["clean"]
    assert report["databases"]["live"]["clean"]
    assert report["databases"]["test"]["counts"] == {"document": many, "index": 1}
    assert {one["kind"] for one in report["databases"]["test"]["findings"]} == {"document", "index"}


def test_that_all_is_to_be_made_anew_is_named_first(cli: Cli, database: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    database("test").Slot.update_one({"status": "free"}, {"$set": {"_index.status": "busy"}})
    monkeypatch.setenv("ADAPTER_BASE_URL", "https://x.org")
    for due in (True, False):
        told = json.loads(cli.run("check", "--mode", "test", "--json").stdout)["databases"]["test"]
        assert ("reindex-due" in told["counts"]) is due
        assert told["clean"] is not due
        assert [one["kind"] for one in told["findings"][:1]] == ["reindex-due"] * due
        assert cli.run("reindex").exit_code == 0


def test_what_may_be_meant_so_is_a_note_and_the_exit_code_0(cli: Cli, database: Raw) -> None:
    report = command.Report()
    report.add(Step("slots", 1, [Finding("slot-without-owner", "Slot/a", "It is busy.", note=True)]))
    lines = list(command._lines("test", report))
    assert lines[0].startswith("test: clean. 0 resources")
    assert lines[1:3] == ["  note: slot-without-owner (1)", "    Slot/a: It is busy."]
    assert report.as_json()["notes"] == [{"kind": "slot-without-owner", "resource": "Slot/a", "message": "It is busy."}]


def test_a_report_does_not_grow_with_what_is_wrong() -> None:
    report = command.Report()
    wrong = [Finding("overlap", f"Appointment/{n}", "Twice.") for n in range(command._KEPT + 5)]
    report.add(Step("overlaps", len(wrong), wrong))
    assert (len(report.found), report.counts["overlap"]) == (command._KEPT, len(wrong))
    lines = list(command._lines("test", report))
    assert len(lines) == 3 + command._SHOWN
    assert lines[-1] == "    and 985 more"


@pytest.mark.parametrize(
    ("words", "setting", "value"),
    [
        (["--database", "no_such_data"], None, None),
        ([], "ADAPTER_MONGODB_URI", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50"),
        ([], "ADAPTER_PORT", "no number"),
    ],
)
def test_what_cannot_be_checked_is_exit_code_2(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str], setting: str | None, value: str | None
) -> None:
    if setting is not None and value is not None:
        monkeypatch.setenv(setting, value)
    result = cli.run("check", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith("mediloop-fhir: ")


def test_progress_is_for_people_only(cli: Cli, database: Raw) -> None:
    assert cli.run("check", "--mode", "test").stderr == ""
    assert "test" in cli.on_a_terminal("check", "--mode", "test")
