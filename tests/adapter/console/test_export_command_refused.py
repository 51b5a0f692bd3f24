"""What ``mediloop-fhir export`` refuses: by the option and its value, with what is possible, and before it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.export.folder import Folder
from tests.adapter.console.cli import Cli


def refused(cli: Cli, *words: str) -> str:
    """Run a command that is refused in one line; return the line."""
    result = cli.run("export", *words)
    assert result.exit_code == 1, result.output
    assert len(result.stderr.strip().splitlines()) == 1
    return str(result.stderr)


@pytest.mark.parametrize(
    ("said", "wrong", "right"),
    [
        ("--date-to is before --date-from", "--date-from 2024-02-01 --date-to 2024-01-01", "--date-from 2024-01-01"),
        ("--date-to 9999-12-31", "--date-to 9999-12-31", "--date-to 9999-12-30"),
        ("--date-from 0001-01-01", "--date-from 0001-01-01", "--date-from 0001-01-02"),
        ("--patient-uhid: not a UHID", "--patient-uhid foo", "--patient-uhid UG123456789A"),
        ("--practitioner takes an id", "--practitioner=", "--practitioner prov-abc-123"),
        ("--practitioner takes an id", "--practitioner Practitioner/p", "--practitioner p"),
        ("--facility takes an id", "--facility=", "--facility fac-xyz-789"),
        ("--facility takes an id", "--facility http://x.example/fhir/Location/l", "--facility l"),
        ("--status booke:", "--status booke", "--status booked"),
    ],
)
def test_a_refused_export_leaves_the_folder_to_the_right_one(
    clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, wrong: str, right: str
) -> None:
    if "0001" in wrong:
        monkeypatch.setenv("ADAPTER_TIMEZONE", "Africa/Kampala")  # whose first day begins before there are days
        assert clinic.run("reindex", "--new-timezone").exit_code == 0
    out = tmp_path / "out"
    assert said in refused(clinic, str(out), *wrong.split())
    assert not out.exists()
    clinic.json("export", str(out), *right.split())


@pytest.mark.parametrize(
    ("status", "types", "said"),
    [
        ("foo", (), "--status foo: not a status of Appointment or Slot. There are arrived, booked, "),
        ("booked,foo,bar", (), "--status bar,foo: not a status of Appointment or Slot."),
        ("", (), "--status takes statuses, separated by commas. There are arrived, "),
        (" , ", ("--type", "Slot"), "--status takes statuses, separated by commas. There are busy, "),
        ("booked", ("--type", "Slot"), "--status booked: not a status of Slot. There are busy, "),
        ("free", ("--type", "Slot,Appointment"), "--status free: not a status of Appointment. There are arrived, "),
        ("free,booked", (), "--status booked,free: no type has them all. Appointment: arrived, "),
    ],
)
def test_a_status_that_is_none_is_told_with_those_that_are(
    cli: Cli, tmp_path: Path, status: str, types: tuple[str, ...], said: str
) -> None:
    assert said in refused(cli, str(tmp_path / "out"), "--status", status, *types)


def test_statuses_take_blanks_like_types(clinic: Cli, tmp_path: Path) -> None:
    both = [
        clinic.json("export", str(tmp_path / str(number)), "--status", status, "--type", "Appointment")
        for number, status in enumerate(("booked, arrived", "arrived,booked"))
    ]
    assert both[0]["output"] == both[1]["output"]
    assert both[0]["request"] == both[1]["request"]


def test_an_address_that_nothing_writes_to_is_refused(cli: Cli) -> None:
    said = refused(cli, "https://exports.example.org/x")
    assert "https:// cannot be written to. Name a folder" in said


def test_filters_that_no_type_has_are_named(cli: Cli, tmp_path: Path) -> None:
    said = refused(cli, str(tmp_path / "out"), "--status", "free", "--patient-uhid", "UG123456789A")
    assert "No type has all of --status, --patient-uhid; use fewer" in said


def test_files_that_cannot_be_read_are_told_by_their_option(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.json").mkdir()
    assert "--since nothere.json: No such file or directory" in refused(cli, "out", "--since", "nothere.json")
    assert "--since folder.json: Is a directory" in refused(cli, "out", "--since", "folder.json")
    assert "--since memory://no/m.json: " in refused(cli, "out", "--since", "memory://no/m.json")
    key = refused(cli, "out", "--deidentify", "--key-file", "nokey")
    assert "--key-file nokey: No such file or directory" in key


def test_a_key_is_for_pseudonyms_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a key of these tests alone")
    said = refused(cli, str(tmp_path / "out"), "--key-file", str(tmp_path / "key"))
    assert "--key-file" in said
    assert "--deidentify" in said
    assert not (tmp_path / "out").exists()


def test_types_that_are_none_are_not_all_types(cli: Cli, tmp_path: Path) -> None:
    assert "--type takes types, separated by commas" in refused(cli, str(tmp_path / "out"), "--type", " ,")


@pytest.mark.parametrize("place", ["", " ", "file://"])
def test_a_folder_that_is_empty_is_not_the_one_that_one_is_in(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "name the folder to write to" in refused(cli, place)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("place", ["out", "memory://stale"])
def test_files_of_another_export_are_not_mixed_with_those_of_this_one(
    clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Whoever reads ``Location.*.ndjson`` would read them as well."""
    monkeypatch.chdir(tmp_path)
    folder = Folder(place)
    for name in ("notes.txt", "manifest.json.part", "Location.00002.ndjson"):
        folder.close(folder.create(name))
    assert "holds files of another export (Location.00002.ndjson)" in refused(clinic, place)
    folder.remove("Location.00002.ndjson")
    clinic.json("export", place)


def test_an_export_that_does_not_go_on_from_the_one_before_is_refused(clinic: Cli, tmp_path: Path) -> None:
    keys = [tmp_path / "k1", tmp_path / "k2"]
    for number, key in enumerate(keys):
        key.write_text(f"key number {number} of these tests")
    own = ("--deidentify", "--key-file", str(keys[0]))
    first = clinic.json("export", str(tmp_path / "slots"), "--type", "Slot")["transactionTime"]
    clinic.json("export", str(tmp_path / "hidden"), *own)
    slots, hidden = (str(tmp_path / name / "manifest.json") for name in ("slots", "hidden"))
    out = str(tmp_path / "out")
    assert "without Appointment" in refused(clinic, out, "--since", slots)
    assert "another key" in refused(clinic, out, "--since", hidden, "--deidentify", "--key-file", str(keys[1]))
    assert "this export has none" in refused(clinic, out, "--since", hidden)
    assert not (tmp_path / "out").exists()
    assert clinic.json("export", out, "--since", hidden, *own)["output"] == []
    assert clinic.json("export", str(tmp_path / "all"), "--since", first)["output"] == []
