"""A disk that is full is told with the file and the remedy, and the same command goes on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapter.console.cli import Cli
from tests.adapter.console.imports import PEOPLE, Import, Stored, lines
from tests.adapter.full import room_for

REMEDY = "File too large. Make room, or raise the limit: the same command goes on then.\n"


@pytest.mark.parametrize(("words", "name"), [(("--format", "csv"), "Slot.00001.csv"), ((), "Slot.00001.ndjson")])
def test_an_export(clinic: Cli, tmp_path: Path, words: tuple[str, ...], name: str) -> None:
    out = tmp_path / "out"
    command = ("export", str(out), "--type", "Slot", *words)
    with room_for(5_000):
        result = clinic.run(*command)
    assert (result.exit_code, result.stderr) == (1, f"mediloop-fhir: {out / name}: {REMEDY}")
    assert clinic.json(*command)["output"][0]["url"] == name


def test_an_export_that_could_not_even_begin_leaves_nothing(clinic: Cli, tmp_path: Path) -> None:
    command = ("export", str(tmp_path / "out"), "--type", "Slot")
    with room_for(100):
        assert clinic.run(*command).exit_code == 1
    assert not [*(tmp_path / "out").iterdir()]


def test_an_import(bring: Import, stored: Stored) -> None:
    bad = [{"resourceType": "Patient", "id": f"p{number}", "gender": "x" * 500} for number in range(20)]
    (bring.folder / "some.ndjson").write_bytes(lines(*bad, PEOPLE[2]))
    words = ("import", str(bring.folder / "some.ndjson"), "--errors", str(bring.errors))
    with room_for(5_000):
        result = bring.cli.run(*words)
    assert (result.exit_code, result.stderr) == (1, f"mediloop-fhir: {bring.errors}: {REMEDY}")
    result = bring.cli.run(*words)
    assert "20 refused." in result.stdout
    assert [number for number, _ in bring.refused()] == list(range(1, 21))
    assert len(stored("Patient")) == 1
