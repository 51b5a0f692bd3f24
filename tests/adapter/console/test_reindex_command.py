"""``mediloop-fhir reindex`` makes search values anew, says how far it is to people only, and can be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from bson.binary import Binary
from pymongo import MongoClient

from store import reindex as rebuilding
from store.codec import encode
from store.zones import ZONES
from tests.adapter.console.cli import Cli, Databases

Patients = Callable[..., None]
MOMENT = "2024-01-15T10:00:00.000Z"


@pytest.fixture
def database(cli: Cli, mongodb_uri: str) -> Iterator[Callable[[str], Any]]:
    """The raw database of a mode."""
    with Databases(mongodb_uri) as client:
        yield lambda mode: client[f"{os.environ['ADAPTER_DATABASE']}_{mode}"]


def patients(database: Any, count: int) -> None:
    """Documents that have lost everything but their bytes."""
    documents = [
        {
            "_id": f"p{number:05}",
            "_json": Binary(
                encode(
                    {
                        "resourceType": "Patient",
                        "id": f"p{number:05}",
                        "meta": {"versionId": "1", "lastUpdated": MOMENT},
                        "identifier": [{"system": "urn:u", "value": "1"}],
                    }
                )
            ),
        }
        for number in range(count)
    ]
    database.Patient.insert_many(documents)


def restored(database: Any) -> int:
    return int(database.Patient.count_documents({"_index.identifier": "urn:u|1"}))


def test_both_modes_are_made_anew_unless_one_is_named(cli: Cli, database: Callable[[str], Any]) -> None:
    for mode in ("test", "live"):
        patients(database(mode), 3)
    assert cli.json("reindex", "--mode", "live") == {"live": {"resources": 3, "failed": []}}
    assert (restored(database("test")), restored(database("live"))) == (0, 3)
    assert cli.json("reindex") == {
        "test": {"resources": 3, "failed": []},
        "live": {"resources": 3, "failed": []},
    }
    assert restored(database("test")) == 3


def test_where_nobody_watches_only_the_result_is_printed(cli: Cli, database: Callable[[str], Any]) -> None:
    patients(database("test"), 3)
    result = cli.run("reindex")
    assert result.exit_code == 0
    assert result.stdout == "test: 3 resources made anew.\nlive: 0 resources made anew.\n"
    assert result.stderr == ""


def test_on_a_terminal_a_bar_shows_how_far_it_is(cli: Cli, database: Callable[[str], Any]) -> None:
    patients(database("test"), 3)
    assert "3/3" in cli.on_a_terminal("reindex", "--mode", "test")


def test_what_cannot_be_made_anew_is_named_and_is_a_failure(cli: Cli, database: Callable[[str], Any]) -> None:
    patients(database("test"), 1)
    database("test").Location.insert_one({"_id": "bad", "_json": Binary(b"{}")})
    result = cli.run("reindex", "--mode", "test")
    assert result.exit_code == 1
    assert "test: 2 resources made anew" not in result.stdout
    assert "test: 1 resources made anew." in result.stdout
    assert "not made anew: Location/bad: " in result.stderr


def test_stopped_by_hand_it_says_how_to_go_on(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped(*_: object, **__: object) -> AsyncIterator[rebuilding.Progress]:
        yield rebuilding.Progress(1, 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(rebuilding, "reindex", stopped)
    result = cli.run("reindex")
    assert result.exit_code == 130
    assert result.stderr == "Stopped. The same command goes on from here.\n"


def test_its_help_has_an_example(cli: Cli) -> None:
    assert "Example:" in cli.run("reindex", "--help").output
    assert "reindex" in cli.run().output


@pytest.mark.slow
def test_ctrl_c_is_safe_and_the_next_run_goes_on(cli: Cli, database: Callable[[str], Any], mongodb_uri: str) -> None:
    patients(database("test"), 8_000)
    words = [sys.executable, "-m", "adapter", "reindex", "--mode", "test"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    positions = MongoClient[dict[str, Any]](mongodb_uri)[database("test").name][rebuilding.POSITIONS]
    try:
        deadline = time.monotonic() + 30
        while positions.find_one() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        positions.database.client.close()
    assert (process.returncode, said) == (130, "Stopped. The same command goes on from here.\n")
    before = restored(database("test"))
    assert 0 < before < 8_000
    database("test").Patient.update_one({"_id": "p00000"}, {"$unset": {"_index": ""}})
    assert cli.json("reindex", "--mode", "test") == {"test": {"resources": 8_000, "failed": []}}
    assert restored(database("test")) == 7_999  # the first had been gone through before


def test_another_time_zone_needs_what_is_stored_made_anew(
    cli: Cli, database: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run("keys", "list").exit_code == 0
    patients(database("test"), 1)
    monkeypatch.setenv("ADAPTER_TIMEZONE", "Africa/Kampala")
    for words in (["serve", "--port", "0"], ["keys", "list"]):
        result = cli.run(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        [line] = result.stderr.splitlines()
        said = ("ADAPTER_TIMEZONE", "Africa/Kampala", "UTC", database("test").name, "mediloop-fhir reindex")
        assert all(word in line for word in said), line
    unasked = cli.run("reindex")
    assert (unasked.exit_code, "searched by UTC" in unasked.stderr, unasked.stdout) == (1, True, "")
    assert cli.run("reindex", "--mode", "test", "--new-timezone").exit_code == 0
    assert database("live").name in cli.run("keys", "list").stderr
    monkeypatch.setenv("ADAPTER_TIMEZONE", "UTC")
    assert "made searchable for Africa/Kampala" in cli.run("keys", "list").stderr
    monkeypatch.setenv("ADAPTER_TIMEZONE", "Africa/Kampala")
    assert cli.run("reindex", "--new-timezone").exit_code == 0
    assert cli.run("keys", "list").exit_code == 0


def test_a_time_zone_by_other_rules_needs_what_is_stored_made_anew(cli: Cli, database: Callable[[str], Any]) -> None:
    assert cli.run("keys", "list").exit_code == 0
    patients(database("test"), 1)
    for mode in ("test", "live"):
        database(mode)[ZONES].update_one({}, {"$set": {"rules": "those of another tzdata"}})
    for words in (["keys", "list"], ["reindex"]):
        result = cli.run(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "UTC by the rules of another tzdata. Go back to that, or" in result.stderr
        assert "--new-timezone" in result.stderr
    assert cli.run("reindex", "--new-timezone").exit_code == 0
    assert restored(database("test")) == 1
    assert cli.run("keys", "list").exit_code == 0


def test_a_zone_for_which_something_cannot_be_made_anew_changes_nothing(
    cli: Cli, database: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run("keys", "list").exit_code == 0
    patients(database("test"), 1)
    database("live").Location.insert_one({"_id": "bad", "_json": Binary(b"{}")})
    with monkeypatch.context() as patch:
        patch.setenv("ADAPTER_TIMEZONE", "Africa/Kampala")
        result = cli.run("reindex", "--new-timezone")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "live: Location/bad: " in result.stderr
        assert result.stderr.splitlines()[-1].startswith("mediloop-fhir: Nothing was changed")
    assert restored(database("test")) == 0
    assert cli.run("keys", "list").exit_code == 0  # by the former zone, under which these can be mended
