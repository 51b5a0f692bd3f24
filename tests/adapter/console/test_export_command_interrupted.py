"""``mediloop-fhir export`` interrupted: it goes on with the same files, and tells nobody's id meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import fsspec
import pytest

from adapter.export import formats
from adapter.export.copying import Copying
from adapter.export.folder import Folder
from store.errors import Unreachable
from tests.adapter.console.cli import Cli
from tests.adapter.console.test_export_command_files import KEY, Stored, manifest_of


def stopped(monkeypatch: pytest.MonkeyPatch, clinic: Cli, at: int, *words: str) -> None:
    """Run an export that loses its MongoDB while it writes so many parts."""
    add, written = Copying._add, []

    def stop(self: Copying, writing: formats.Writing, kind: str, lines: Sequence[bytes]) -> None:
        written.append(kind)
        if len(written) == at:
            raise Unreachable("MongoDB did not answer in time")
        add(self, writing, kind, lines)

    with monkeypatch.context() as patch:
        patch.setattr(Copying, "_add", stop)
        result = clinic.run("export", *words)
        said = "mediloop-fhir: MongoDB did not answer in time. When it answers, the same command goes on.\n"
        assert (result.exit_code, result.stderr) == (1, said)


@pytest.mark.parametrize("hidden", [False, True], ids=["as they are", "deidentified"])
@pytest.mark.parametrize("form", ["ndjson", "bundle", "csv"])
def test_an_export_that_lost_its_mongodb_goes_on_with_the_same_files(
    clinic: Cli, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, hidden: bool
) -> None:
    monkeypatch.setenv("ADAPTER_DEIDENTIFY_KEY", KEY)
    types = "Slot" if form == "csv" else "Schedule,Slot"
    words = ["--type", types, "--file-resources", "10", "--format", form, *(["--deidentify"] if hidden else [])]
    clinic.json("export", str(tmp_path / "whole"), *words)
    out = str(tmp_path / "out")
    for at, files in ((4, 2), (3, 4)):  # and again
        stopped(monkeypatch, clinic, at, out, *words)
        text = (tmp_path / "out" / "manifest.json").read_text()
        unfinished = json.loads(text)
        assert unfinished["extension"]["complete"] is False
        assert len(unfinished["output"]) >= files
        idents = [one["_id"] for kind in ("Slot", "Schedule") for one in stored(kind)]
        assert any(one in text for one in idents) is not hidden
    finished = clinic.json("export", out, *words)
    assert finished["transactionTime"] == unfinished["transactionTime"]
    assert finished["output"] == manifest_of(tmp_path / "whole")["output"]
    manifest_of(tmp_path / "out")


def test_what_is_half_written_goes_and_what_is_anothers_stays(
    clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (str(tmp_path / "out"), "--type", "Slot", "--file-resources", "10")
    stopped(monkeypatch, clinic, 3, *words)
    for name in ("Slot.00099.ndjson", "manifest.json.part", "notes.txt", "my.ndjson"):
        (tmp_path / "out" / name).write_text("{")
    clinic.json("export", *words)
    there = {file.name for file in (tmp_path / "out").iterdir()}
    told = {one["url"] for one in manifest_of(tmp_path / "out")["output"]}
    assert there == told | {"manifest.json", "notes.txt", "my.ndjson"}


def test_what_is_left_of_a_manifest_goes_where_none_was_put_in_its_place(clinic: Cli, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json.part").write_text("{")  # of a run that was killed then
    clinic.json("export", str(tmp_path / "out"), "--type", "Slot")
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["Slot.00001.ndjson", "manifest.json"]


def test_a_second_run_at_the_same_time_is_refused(clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take what the first one is writing for what an interrupted one has left, and remove it."""
    words = (str(tmp_path / "out"), "--type", "Slot", "--file-resources", "10")
    stopped(monkeypatch, clinic, 3, *words)
    (tmp_path / "out" / "Slot.00003.ndjson").write_text("{")
    with Folder(words[0]).alone():
        result = clinic.run("export", *words)
    assert (result.exit_code, "Another export is writing there" in result.stderr) == (1, True)
    assert (tmp_path / "out" / "Slot.00003.ndjson").read_text() == "{"
    clinic.json("export", *words)


@pytest.mark.parametrize("when", ["before it goes on", "while it does"])
@pytest.mark.parametrize("left", [None, "{"], ids=["gone", "shorter"])
def test_an_export_whose_files_are_not_all_there_is_not_complete(
    clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, left: str | None
) -> None:
    words = (str(tmp_path / "out"), "--type", "Slot", "--file-resources", "10")
    stopped(monkeypatch, clinic, 3, *words)
    file = tmp_path / "out" / "Slot.00001.ndjson"

    def lose() -> None:
        if left is None:
            file.unlink()
        else:
            file.write_text(left)

    if when == "before it goes on":
        lose()
    else:
        finish = formats.Ndjson.finish

        def losing(self: formats.Ndjson) -> None:
            if file.exists():
                lose()
            finish(self)

        monkeypatch.setattr(formats.Ndjson, "finish", losing)
    result = clinic.run("export", *words)
    assert (result.exit_code, "Slot.00001.ndjson is not there as it was written" in result.stderr) == (1, True)
    assert json.loads((tmp_path / "out" / "manifest.json").read_bytes())["extension"]["complete"] is False


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_a_file_that_is_another_of_the_same_size_is_not_as_it_was_written(
    clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    place = str(tmp_path / "out") if where == "folder" else f"memory://{tmp_path.name}"
    words = (place, "--type", "Slot", "--file-resources", "10")
    stopped(monkeypatch, clinic, 3, *words)
    with fsspec.open(f"{place}/Slot.00001.ndjson", "rb") as file:
        whole = file.read()
    for content, code in ((whole[:-9] + b'"other"}\n', 1), (whole, 0)):
        with fsspec.open(f"{place}/Slot.00001.ndjson", "wb") as file:
            file.write(content)
        result = clinic.run("export", *words)
        assert result.exit_code == code, result.output
        said = "Slot.00001.ndjson is not there as it was written (its content is another)" in result.stderr
        assert said == (code == 1)


def test_an_export_of_days_goes_on_in_the_same_time_zone_alone(
    clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (str(tmp_path / "out"), "--type", "Slot", "--file-resources", "5", "--date-from", "2000-01-01")
    stopped(monkeypatch, clinic, 2, *words)
    with monkeypatch.context() as patch:
        patch.setenv("ADAPTER_TIMEZONE", "America/New_York")
        assert clinic.run("reindex", "--new-timezone").exit_code == 0  # else the zone alone is refused
        refused = clinic.run("export", *words)
        assert (refused.exit_code, "other options" in refused.stderr) == (1, True)
    assert clinic.run("reindex", "--new-timezone").exit_code == 0
    clinic.json("export", *words)
