"""``slots hours`` and ``slots away``: weekly hours without Slots, and leave, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.adapter.console.cli import Cli
from tests.adapter.console.increments import increment
from tests.adapter.scheduling.weekly import weekly

Stored = Callable[..., list[dict[str, Any]]]

_ACTORS = ("Practitioner/prov-abc-123", "Location/fac-xyz-789")
WHO = ("--practitioner", "prov-abc-123", "--facility", "fac-xyz-789")
HOURS = ("slots", "hours", *WHO, "--hours", "mon-fri 09:00-12:00,14:00-17:00; sat 09:00-12:00")
AWAY = ("slots", "away", *WHO[:2], "--from", "2027-12-24", "--to", "2027-12-31")


def extension(stored: Stored, ident: str, name: str) -> Any:
    [schedule] = [one for one in stored("Schedule") if one["_id"] == ident]
    return next(one for one in schedule["extension"] if one["url"].endswith(name))


def test_hours_are_written_and_replaced_and_leave_stays(clinic: Cli, stored: Stored) -> None:
    cli = clinic
    before = len(stored("Slot"))
    ident = cli.json(*HOURS, "--minutes", "20", "--after", "5", "--every", "15", "--timezone", "Africa/Kampala")[
        "schedule"
    ]
    assert len(stored("Slot")) == before
    assert extension(stored, ident, "/timezone")["valueCode"] == "Africa/Kampala"
    assert [list(one.values()) for one in extension(stored, ident, "/scheduling-parameters")["extension"]] == [
        ["duration", 20],
        ["bufferAfter", 5],
        ["alignmentInterval", 15],
    ]
    first = extension(stored, ident, "/availability")["extension"][0]["extension"]
    assert [one.get("valueCode") or one["valueTime"] for one in first] == [
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "09:00:00",
        "12:00:00",
    ]
    assert cli.json(*AWAY)["schedules"] == [ident]
    assert "away from 2027-12-24" in cli.run(*AWAY, "--facility", "fac-xyz-789").stdout  # again is harmless
    assert "computed from these hours" in cli.run(*HOURS).stdout
    inner = extension(stored, ident, "/availability")["extension"]
    assert [one["url"] for one in inner] == ["availableTime", "availableTime", "notAvailable"]
    assert inner[2]["extension"][1]["valuePeriod"] == {"start": "2027-12-24", "end": "2027-12-31"}
    assert extension(stored, ident, "/timezone")["valueCode"] == "UTC"


def test_hours_may_end_at_midnight_or_on_the_next_day(clinic: Cli, stored: Stored) -> None:
    ident = clinic.json("slots", "hours", *WHO, "--hours", "fri 22:00-06:00; sat 18:00-24:00")["schedule"]
    parts = extension(stored, ident, "/availability")["extension"]
    told = [[one.get("valueCode") or one["valueTime"] for one in part["extension"]] for part in parts]
    assert told == [["fri", "22:00:00", "06:00:00"], ["sat", "18:00:00", "00:00:00"]]


def test_hours_of_who_is_named_by_another_address_end_as_well(clinic: Cli, stored: Stored, tmp_path: Path) -> None:
    """Their openings are offered under the id, and booked."""
    abroad = weekly("abroad", actors=tuple(f"https://other.example/fhir/{name}" for name in _ACTORS))
    (tmp_path / "Schedule.ndjson").write_text(json.dumps(abroad))
    assert clinic.run("import", str(tmp_path)).exit_code == 0
    assert clinic.json(*AWAY)["schedules"] == ["abroad"]
    assert clinic.json(*AWAY, "--facility", "fac-xyz-789")["schedules"] == ["abroad"]
    assert extension(stored, "abroad", "/availability")["extension"][-1]["url"] == "notAvailable"


def test_a_schedule_that_was_deleted_is_made_again(clinic: Cli, stored: Stored, tmp_path: Path) -> None:
    nowhere = (*HOURS[:4], *HOURS[6:])
    ident = clinic.json(*nowhere)["schedule"]
    folder = increment(tmp_path / "deletion", [f"Schedule/{ident}"])
    assert clinic.run("import", str(folder)).exit_code == 0
    assert ident not in {one["_id"] for one in stored("Schedule")}
    assert clinic.json(*nowhere)["schedule"] == ident
    assert extension(stored, ident, "/availability")


def test_what_fhir_does_not_take_is_not_stored(clinic: Cli, stored: Stored) -> None:
    ident = clinic.json(*HOURS)["schedule"]
    result = clinic.run(*AWAY, "--reason", "sick\x07leave")
    assert (result.exit_code, "Schedule.extension" in result.stderr) == (1, True)
    assert len(extension(stored, ident, "/availability")["extension"]) == 2


def test_what_is_not_there_is_named(cli: Cli) -> None:
    result = cli.run(*HOURS)
    assert (result.exit_code, "is not stored in the test database" in result.stderr) == (1, True)
    cli.run("demo", "load")
    result = cli.run(*AWAY)
    assert (result.exit_code, "has no weekly hours" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((*HOURS, "--hours", "always"), "cannot read the hours"),
        ((*HOURS, "--timezone", "Mars/Olympus"), "Mars/Olympus"),
        ((*HOURS, "--timezone", "Africa"), "no time zone"),
        ((*AWAY, "--to", "2027-01-01"), "--to must be --from or later"),
        ((*AWAY, "--reason", " "), "'--reason': it is blank"),
        ((*AWAY, "--facility", ""), "'--facility': it is blank"),
        ((*HOURS, "--specialty", ""), "'--specialty': it is blank"),
    ],
)
def test_bad_words_are_usage_errors(cli: Cli, words: tuple[str, ...], named: str) -> None:
    result = cli.run(*words)
    assert result.exit_code == 2
    assert named in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("command", [HOURS, ("demo", "load")])
def test_what_is_written_by_other_settings_makes_a_reindex_due(
    clinic: Cli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def is_due() -> bool:
        told = json.loads(clinic.run("check", "--mode", "test", "--json").stdout)
        return "reindex-due" in told["databases"]["test"]["counts"]

    assert not is_due()
    with monkeypatch.context() as other:
        other.setenv("ADAPTER_BASE_URL", "https://fhir.example.org")
        assert clinic.run("keys", "list").exit_code == 0
        assert clinic.run("slots", "away", "--practitioner", "x", *AWAY[4:], "--mode", "live").exit_code == 1
    assert not is_due(), "neither writes there"
    with monkeypatch.context() as other:
        other.setenv("ADAPTER_BASE_URL", "https://fhir.example.org")
        assert clinic.run(*command).exit_code == 0
    assert is_due()
