"""``mediloop-fhir export``: every format holds the same, with checksums; filters, increments, refusals."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from pyarrow import parquet

from adapter.export import formats, tables
from adapter.export.columns import COLUMNS
from adapter.fhir.validation import check
from store.codec import decode
from tests.adapter.console.cli import Cli

Json = dict[str, Any]
KEY = "a key of these tests alone"


def manifest_of(folder: Path) -> Json:
    """The manifest, after the checksums and sizes in it were compared with the files."""
    manifest: Json = json.loads((folder / "manifest.json").read_bytes())
    for one in (*manifest["output"], *manifest["deleted"]):
        raw = (folder / one["url"]).read_bytes()
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == (one["size"], one["sha256"])
    return manifest


def lines_of(folder: Path, kind: str | None = None) -> list[Json]:
    """The resources in NDJSON files."""
    found = []
    for one in manifest_of(folder)["output"]:
        if kind in (None, one["type"]):
            raw = (folder / one["url"]).read_bytes()
            text = gzip.decompress(raw) if one["url"].endswith(".gz") else raw
            assert text.endswith(b"\n")
            lines = text.splitlines()
            assert len(lines) == one["count"]
            found += [json.loads(line) for line in lines]
    return found


def table_of(folder: Path, kind: str) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with (folder / f"{kind}.00001.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(resources: list[Json]) -> set[str]:
    return {f"{one['resourceType']}/{one['id']}" for one in resources}


Stored = Callable[..., list[dict[str, Any]]]


def test_ndjson_holds_every_resource_byte_for_byte(clinic: Cli, stored: Stored, tmp_path: Path) -> None:
    printed = clinic.json("export", str(tmp_path / "out"))
    manifest = manifest_of(tmp_path / "out")
    assert printed == manifest
    assert manifest["extension"]["complete"] is True
    assert manifest["requiresAccessToken"] is False
    for kind in ("Appointment", "Slot", "Patient", "Practitioner", "Location", "Schedule"):
        written = (tmp_path / "out" / f"{kind}.00001.ndjson").read_bytes().splitlines()
        assert written == [bytes(one["_json"]) for one in sorted(stored(kind), key=lambda one: str(one["_id"]))]
    text = clinic.run("export", str(tmp_path / "again"), "--type", "Slot,Location").stdout
    assert f"Slot: {len(stored('Slot'))}\n" in text
    assert {one["type"] for one in manifest_of(tmp_path / "again")["output"]} == {"Slot", "Location"}


def test_files_are_cut_and_compressed_alike_every_time(clinic: Cli, tmp_path: Path) -> None:
    clinic.json("export", str(tmp_path / "whole"), "--type", "Slot")
    for name in ("one", "two"):
        clinic.json("export", str(tmp_path / name), "--type", "Slot", "--file-resources", "10", "--gzip")
    output = manifest_of(tmp_path / "one")["output"]
    assert output == manifest_of(tmp_path / "two")["output"]
    assert [one["count"] for one in output[:-1]] == [10] * (len(output) - 1)
    assert 0 < output[-1]["count"] <= 10
    assert lines_of(tmp_path / "one") == lines_of(tmp_path / "whole")


@pytest.mark.parametrize(("form", "kind"), [("bundle", "collection"), ("searchset", "searchset")])
def test_a_bundle_is_valid_fhir_whole_or_cut(clinic: Cli, tmp_path: Path, form: str, kind: str) -> None:
    clinic.json("export", str(tmp_path / "nd"), "--type", "Slot,Schedule")
    clinic.json("export", str(tmp_path / "b"), "--type", "Slot,Schedule", "--format", form)
    [one] = manifest_of(tmp_path / "b")["output"]
    bundle = decode((tmp_path / "b" / one["url"]).read_bytes())
    assert bundle["type"] == kind
    assert not check(bundle)
    assert [entry["resource"] for entry in bundle["entry"]] == lines_of(tmp_path / "nd")
    assert len(bundle["entry"]) == one["count"]
    assert all(entry["fullUrl"].endswith(f"/fhir/R4/Slot/{entry['resource']['id']}") for entry in bundle["entry"][:3])
    assert ("search" in bundle["entry"][0]) == (form == "searchset")
    clinic.json(
        *("export", str(tmp_path / "cut"), "--type", "Slot,Schedule", "--format", form, "--file-resources", "7")
    )
    pages = [decode((tmp_path / "cut" / one["url"]).read_bytes()) for one in manifest_of(tmp_path / "cut")["output"]]
    assert [entry for page in pages for entry in page["entry"]] == bundle["entry"]
    assert all(len(page["entry"]) == 7 for page in pages[:-1])


def test_tables_have_a_row_for_each_resource_in_both_formats(clinic: Cli, tmp_path: Path) -> None:
    clinic.json("export", str(tmp_path / "nd"))
    for form in ("csv", "parquet"):
        clinic.json("export", str(tmp_path / form), "--format", form)
    for kind, columns in COLUMNS.items():
        resources = {one["id"]: one for one in lines_of(tmp_path / "nd", kind)}
        table = parquet.read_table(tmp_path / "parquet" / f"{kind}.00001.parquet")
        assert table.schema.equals(tables.schema(kind), check_metadata=True)
        rows = table.to_pylist()
        assert {row["id"] for row in rows} == set(resources)
        texts = table_of(tmp_path / "csv", kind)
        assert list(texts[0]) == [column.name for column in columns]
        for row, text in zip(rows, texts, strict=True):
            assert row["status"] == text["status"] == resources[row["id"]]["status"]
            assert (row["practitioner_name"] or "") == text["practitioner_name"]
            assert row["start_time"].isoformat()[:19] == text["start_time"][:19]
    slots = str(tmp_path / "csv" / "Slot.00001.csv")
    found = duckdb.sql(f"SELECT count(*), count(practitioner_id) FROM read_csv('{slots}')")
    assert found is not None
    [(count, practitioners)] = found.fetchall()
    assert count == practitioners > 0


def test_an_empty_store_gives_headers_an_empty_bundle_and_no_lines(cli: Cli, tmp_path: Path) -> None:
    for form in get_args(formats.Name):
        cli.json("export", str(tmp_path / form), "--format", form)
        assert all(one["count"] == 0 for one in manifest_of(tmp_path / form)["output"])
    assert manifest_of(tmp_path / "ndjson")["output"] == []
    assert json.loads((tmp_path / "bundle" / "bundle.00001.json").read_bytes()) == {
        "resourceType": "Bundle",
        "type": "collection",
    }
    assert parquet.read_table(tmp_path / "parquet" / "Slot.00001.parquet").num_rows == 0
    assert (tmp_path / "csv" / "Slot.00001.csv").read_text().startswith("id,practitioner_id")


def test_each_filter_gives_what_matches_it(clinic: Cli, tmp_path: Path) -> None:
    clinic.json("export", str(tmp_path / "all"))
    everything = lines_of(tmp_path / "all")
    appointments = [one for one in everything if one["resourceType"] == "Appointment"]
    slots = [one for one in everything if one["resourceType"] == "Slot"]
    schedules = [one for one in everything if one["resourceType"] == "Schedule"]

    def exported(*words: str) -> list[Json]:
        folder = tmp_path / hashlib.sha256(" ".join(words).encode()).hexdigest()
        clinic.json("export", str(folder), *words)
        return lines_of(folder)

    def actors(resource: Json) -> list[str]:
        return [one["actor"].get("reference", "") for one in resource["participant"]]

    one = appointments[0]
    practitioner = next(name for name in actors(one) if name.startswith("Practitioner/"))
    facility = next(name for name in actors(one) if name.startswith("Location/"))
    uhid = next(
        found["actor"]["identifier"]["value"] for found in one["participant"] if "identifier" in found.get("actor", {})
    )
    own = [one for one in schedules if any(found.get("reference") == practitioner for found in one["actor"])]
    held = {f"Schedule/{one['id']}" for one in own}
    expected = names([one for one in appointments if practitioner in actors(one)])
    expected |= names(own) | names([one for one in slots if one["schedule"]["reference"] in held])
    assert names(exported("--practitioner", practitioner.partition("/")[2])) == expected
    both = exported(
        *("--practitioner", practitioner.partition("/")[2], "--facility", facility.partition("/")[2]),
        *("--type", "Appointment"),
    )
    assert names(both) == names([one for one in appointments if {practitioner, facility} <= set(actors(one))])
    mine = exported("--patient-uhid", uhid.lower())
    assert {one["resourceType"] for one in mine} == {"Appointment", "Patient"}
    assert f"Appointment/{one['id']}" in names(mine)
    combined = exported("--patient-uhid", uhid, "--practitioner", practitioner.partition("/")[2])
    assert names(combined) == {name for name in names(mine) if name in expected}
    free = exported("--status", "free")
    assert names(free) == names([one for one in slots if one["status"] == "free"])
    day = one["start"][:10]
    wanted = exported("--date-from", day, "--date-to", day)
    assert names(wanted) == names([one for one in (*appointments, *slots) if one["start"][:10] == day])


def test_increments_chain_by_the_manifest_and_tell_deletions(clinic: Cli, stored: Stored, tmp_path: Path) -> None:
    manifest = str(tmp_path / "first" / "manifest.json")
    clinic.json("export", str(tmp_path / "first"), "--format", "csv")
    nothing = clinic.json("export", str(tmp_path / "second"), "--since", manifest, "--type", "Appointment,Slot")
    assert (nothing["output"], nothing["deleted"]) == ([], [])
    first = json.loads(Path(manifest).read_bytes())["transactionTime"]
    assert nothing["extension"]["options"]["since"] == first
    # Everything is later than this, and nothing is deleted.
    whole = clinic.json("export", str(tmp_path / "third"), "--since", "2000-01-01T00:00:00Z", "--type", "Slot")
    assert whole["output"][0]["count"] == len(stored("Slot"))


def test_since_takes_a_manifest_wherever_it_is(clinic: Cli, tmp_path: Path) -> None:
    import fsspec

    first = clinic.json("export", str(tmp_path / "first"), "--type", "Location")["transactionTime"]
    manifest = tmp_path / "first" / "manifest.json"
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/since/manifest.json", manifest.read_bytes())
    memory.pipe_file("/since/http.json", json.dumps({"transactionTime": first, "output": []}).encode())
    for number, address in enumerate((manifest.as_uri(), "memory://since/manifest.json", "memory://since/http.json")):
        told = clinic.json("export", str(tmp_path / str(number)), "--since", address, "--type", "Location")
        assert told["extension"]["options"]["since"] == first
    memory.rm("/since", recursive=True)


@pytest.mark.parametrize(
    ("since", "told"),
    [
        ("0001-01-01T00:00:00+03:00", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_since_may_be_beyond_the_calendar(clinic: Cli, tmp_path: Path, since: str, told: str) -> None:
    for name in ("a", "b"):
        manifest = clinic.json("export", str(tmp_path / name), "--since", since, "--type", "Slot")
        assert manifest["extension"]["options"]["since"] == told
        assert bool(manifest["output"]) is since.startswith("0001")


def test_since_takes_no_unfinished_manifest_and_none_of_another_database(clinic: Cli, tmp_path: Path) -> None:
    clinic.json("export", str(tmp_path / "first"), "--type", "Location")
    manifest = tmp_path / "first" / "manifest.json"
    words = ("export", str(tmp_path / "next"), "--since", str(manifest))
    other = clinic.run(*words, "--mode", "live")
    assert (other.exit_code, "check --mode" in other.stderr) == (1, True)
    document = json.loads(manifest.read_bytes())
    document["extension"]["complete"] = False
    manifest.write_text(json.dumps(document))
    unfinished = clinic.run(*words)
    assert (unfinished.exit_code, "run its command again" in unfinished.stderr) == (1, True)
    manifest.write_text("[]")
    assert "--since takes" in clinic.run(*words).stderr
    assert "nosuch://" in clinic.run("export", str(tmp_path / "x"), "--since", "nosuch://x/manifest.json").stderr
    assert not (tmp_path / "next").exists()


def test_deidentified_files_hold_no_identity_in_any_format(
    clinic: Cli, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setenv("ADAPTER_DEIDENTIFY_KEY", KEY)
    secrets = {str(one["_id"]) for kind in ("Patient", "Appointment", "Slot") for one in stored(kind)}
    for patient in stored("Patient"):
        secrets |= {patient["name"][0]["family"], *(one["value"] for one in patient["identifier"])}
    uhid = stored("Patient")[0]["identifier"][0]["value"]
    secrets = {one for one in secrets if len(one) > 5}
    assert secrets
    for form in get_args(formats.Name):
        folder = tmp_path / form
        clinic.json("export", str(folder), "--format", form, "--deidentify", "--key-file", str(tmp_path / "key"))
        for file in folder.iterdir():
            text = str(parquet.read_table(file).to_pylist()) if file.suffix == ".parquet" else file.read_text()
            assert not [one for one in secrets if one in text], file
    clinic.json("export", str(tmp_path / "uhid"), "--patient-uhid", uhid, "--deidentify")
    assert uhid not in "".join(file.read_text() for file in (tmp_path / "uhid").iterdir())
    patients = {one["id"] for one in lines_of(tmp_path / "ndjson", "Patient")}
    assert {one["id"] for one in lines_of(tmp_path / "uhid", "Patient")} <= patients
    rows = table_of(tmp_path / "csv", "Appointment")
    assert all(row["patient_name"] == row["notes"] == row["reason_text"] == "" for row in rows)
    assert any(row["patient_uhid"] for row in rows)
    practitioners = {row["practitioner_id"] for row in table_of(tmp_path / "csv", "Slot")}
    assert practitioners & {row["practitioner_id"] for row in rows}


def test_deidentified_files_are_sorted_as_the_page_says(
    clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTER_DEIDENTIFY_KEY", KEY)
    page = (Path(__file__).parents[3] / "docs" / "deidentification.md").read_text("utf-8")
    commands = {"ndjson": ["bash", "-euo", "pipefail", "-c"], "parquet": [sys.executable, "-c"]}
    words = ("--deidentify", "--type", "Slot", "--file-resources", "10")
    for form, kind in (("ndjson", "sh"), ("parquet", "python")):
        (tmp_path / form).mkdir()
        clinic.json("export", str(tmp_path / form / "research"), "--format", form, *words)
        text = page.partition(f"```{kind}\n")[2].partition("```")[0]
        text = text.rpartition("--key-file key\n")[2]  # the export is made above, in small files
        subprocess.run([*commands[form], text], cwd=tmp_path / form, check=True)
    written = (tmp_path / "ndjson" / "Slot.ndjson").read_text().splitlines()
    lines = [json.loads(line) for line in written]
    idents = [one["id"] for one in lines]
    before = lines_of(tmp_path / "ndjson" / "research")
    assert idents == sorted(idents) != [one["id"] for one in before]
    assert sorted(lines, key=str) == sorted(before, key=str)
    table = parquet.read_table(tmp_path / "parquet" / "Slot.parquet")
    assert table.column("id").to_pylist() == idents


def test_refusals_are_one_line_each(clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*words: str) -> str:
        result = clinic.run("export", *words)
        assert result.exit_code == 1, result.output
        assert len(result.stderr.strip().splitlines()) == 1
        return str(result.stderr)

    out = str(tmp_path / "out")
    assert "name the folder" in refused()
    assert "DEIDENTIFY_KEY" in refused(out, "--deidentify")
    (tmp_path / "short").write_text("short")
    assert "5 bytes" in refused(out, "--deidentify", "--key-file", str(tmp_path / "short"))
    assert "--since takes" in refused(out, "--since", "yesterday")
    assert "--since takes" in refused(out, "--since", "2024-01-20T10:00:00")
    assert "No such file" in refused(out, "--since", str(tmp_path / "none.json"))
    assert "not a type" in refused(out, "--type", "Observation")
    assert "not a type" in refused(out, "--type", "Patient", "--format", "csv")
    assert "does not apply to Patient" in refused(out, "--type", "Patient", "--status", "free")
    assert "no type has them all" in refused(out, "--status", "free,booked")
    assert "not a UHID" in refused(out, "--patient-uhid", "x")
    assert "compressed already" in refused(out, "--format", "parquet", "--gzip")
    assert "nosuch://" in refused("nosuch://x")
    clinic.json("export", str(tmp_path / "done"), "--type", "Location")
    assert "finished export" in refused(str(tmp_path / "done"), "--type", "Location")
    assert "other options" in refused(str(tmp_path / "done"), "--type", "Slot")
    (tmp_path / "alien").mkdir()
    (tmp_path / "alien" / "manifest.json").write_text("[]")
    assert "not one of this command's" in refused(str(tmp_path / "alien"))
    assert "before --date-from" in refused(
        str(tmp_path / "days"), "--date-from", "2024-02-01", "--date-to", "2024-01-01"
    )
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install '.[data]'" in refused(str(tmp_path / "parquet"), "--format", "parquet")


def test_what_is_written_is_its_owners_alone(clinic: Cli, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    before = os.umask(0o022)
    try:
        clinic.json("export", str(shared), "--type", "Location,Slot")
        clinic.json("export", str(tmp_path / "new"), "--type", "Location")
    finally:
        os.umask(before)
    files = [*shared.iterdir(), *(tmp_path / "new").iterdir()]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert [one.stat().st_mode & 0o777 for one in (shared, tmp_path / "new")] == [0o755, 0o700]


def test_any_address_of_fsspec_takes_an_export(clinic: Cli) -> None:
    import fsspec

    clinic.json("export", "memory://bucket/out", "--type", "Location")
    memory = fsspec.filesystem("memory")
    manifest = json.loads(memory.cat_file("/bucket/out/manifest.json"))
    [one] = manifest["output"]
    assert len(memory.cat_file(f"/bucket/out/{one['url']}")) == one["size"]
    memory.rm("/bucket", recursive=True)


def test_what_has_no_scheme_is_a_folder_whatever_is_in_its_name(
    clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a::b", "file:c"):
        clinic.json("export", name, "--type", "Location")
        assert lines_of(tmp_path / name)
    clinic.json("export", "next", "--type", "Location", "--since", "a::b/manifest.json")
    assert {one.name for one in tmp_path.iterdir()} == {"a::b", "file:c", "next"}


def test_the_views_are_printed(cli: Cli) -> None:
    printed = json.loads(cli.run("export", "--views").stdout)
    assert [one["name"] for one in printed] == ["appointments", "slots", "schedules"]
