"""``mediloop-fhir import``: what comes in, what is refused and why, and that twice is once."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from adapter.alone import alone
from tests.adapter.console.imports import MEDILOOP, PEOPLE, SCHEDULE, Import, Json, Stored, content, lines, slot, visit


def test_a_mixed_file_comes_in_whatever_its_order_and_twice_is_once(bring: Import, stored: Stored) -> None:
    mixed = lines(visit("a", 9, "x"), visit("b", 10), slot("x", 9), slot("y", 10), SCHEDULE, *PEOPLE)
    assert bring(all__ndjson=mixed) == {"created": 8}
    # The visit that names no Slot holds none: what is brought in says itself what it holds.
    assert {one["_id"]: one["status"] for one in stored("Slot")} == {"x": "busy", "y": "free"}
    assert [content(one) for one in stored("Practitioner")] == [PEOPLE[0]]
    before = {kind: stored(kind) for kind in ("Slot", "Appointment", "Patient", "history")}
    assert bring(all__ndjson=mixed) == {"unchanged": 8}
    assert {kind: stored(kind) for kind in before} == before
    assert not bring.errors.exists()
    assert sorted(one.name for one in Path().iterdir()) == ["files"]


def test_bad_lines_are_told_with_their_numbers_and_reasons_while_the_rest_comes_in(
    bring: Import, stored: Stored
) -> None:
    bad = {"resourceType": "Patient", "id": "q", "gender": "x"}
    found = bring(
        patients__ndjson=b"\n".join([json.dumps(PEOPLE[2]).encode(), b"{", b"", json.dumps(bad).encode(), b"[1]"]),
        more__ndjson=lines({"resourceType": "Observation", "id": "o"}, PEOPLE[0], SCHEDULE, slot("x", 9)),
        visits__ndjson=lines(visit("a", 9), visit("b", 9), visit("c", 10, "none"), visit("d", 11)),
    )
    assert found == {"created": 6, "refused": 6}
    assert bring.refused() == [
        (2, ["invalid_json"]),
        (4, ["unknown_code"]),
        (5, ["invalid_json"]),
        (1, ["unknown_type"]),
        (2, ["time_conflict"]),
        (3, ["unknown_slot"]),
    ]
    assert sorted(one["_id"] for one in stored("Appointment")) == ["a", "d"]
    first = json.loads(bring.errors.read_text().splitlines()[0])
    assert (first["resource"], Path(first["file"]).name) == ("{", "patients.ndjson")
    assert bring.errors.stat().st_mode & 0o077 == 0


def test_what_has_no_id_is_known_by_its_identifier(bring: Import, stored: Stored) -> None:
    one = {"resourceType": "Location", "name": "Ward", "identifier": [{"system": "urn:x", "value": "W1"}]}
    bare = {"resourceType": "Location", "name": "Nameless"}
    assert bring(a__ndjson=lines(one, bare)) == {"created": 2}
    assert bring(a__ndjson=lines(one, bare)) == {"unchanged": 2}
    assert bring(a__ndjson=lines(one | {"name": "Ward 1"})) == {"updated": 1}
    assert sorted(one["name"] for one in stored("Location")) == ["Nameless", "Ward 1"]
    twin = one | {"id": "twin"}
    assert bring(a__ndjson=lines(twin)) == {"created": 1}  # a system that is not ours may be used twice
    assert bring(a__ndjson=lines(one)) == {"refused": 1}
    assert bring.refused() == [(1, ["multiple_matches"])]


def test_two_patients_do_not_share_a_uhid(bring: Import) -> None:
    uhid = {"identifier": [{"system": "https://mediloop.co/fhir/sid/uhid", "value": "UG123456789A"}]}
    assert bring(a__ndjson=lines(PEOPLE[2] | uhid)) == {"created": 1}
    assert bring(a__ndjson=lines(PEOPLE[2] | uhid | {"id": "other"})) == {"refused": 1}
    assert bring.refused() == [(1, ["identifier_taken"])]


def test_a_decimal_is_carried_over_with_its_digits(bring: Import, stored: Stored) -> None:
    where = lines(PEOPLE[1] | {"position": {"longitude": 32.5, "latitude": 0.3}})
    assert bring(a__ndjson=where) == {"created": 1}
    assert bring(a__ndjson=where.replace(b"32.5", b"32.50")) == {"updated": 1}
    assert b"32.50" in stored("Location")[0]["_json"]
    assert bring(a__ndjson=where.replace(b"32.5", b"32.50")) == {"unchanged": 1}


def test_a_number_beyond_all_measure_leaves_the_rest_alone(bring: Import) -> None:
    where = lines(PEOPLE[1] | {"position": {"longitude": 32.5, "latitude": 0.3}}, PEOPLE[2])
    assert bring(a__ndjson=where.replace(b"32.5", b"1e999999999")) == {"created": 1, "refused": 1}
    assert bring.refused() == [(1, ["number_out_of_range"])]
    assert b"1e999999999" in bring.errors.read_bytes()


@pytest.mark.parametrize("kind", ["collection", "searchset"])
def test_bundles_folders_and_gzip(bring: Import, stored: Stored, kind: str) -> None:
    entries = [{"resource": one, "search": {"mode": "match"}} for one in (slot("x", 9), SCHEDULE, *PEOPLE)]
    entries.append({"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}})
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    (bring.folder / "b.json").write_text(json.dumps(bundle, indent=1))
    (bring.folder / "v.ndjson.gz").write_bytes(gzip.compress(lines(visit("a", 9, "x"))))
    assert bring.run(str(bring.folder)) == {"created": 6}
    assert bring.run(str(bring.folder)) == {"unchanged": 6}
    assert [one["status"] for one in stored("Slot")] == ["busy"]


def test_the_entries_of_a_transaction_keep_their_names(bring: Import, stored: Stored) -> None:
    urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": {name: value for name, value in SCHEDULE.items() if name != "id"}
                | {"actor": [{"reference": urn}]},
                "request": {"method": "POST", "url": "Schedule"},
                "fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e1",
            },
            {
                "fullUrl": urn,
                "resource": {"resourceType": "Practitioner"},
                "request": {"method": "POST", "url": "Practitioner"},
            },
            {"request": {"method": "DELETE", "url": "Patient/john"}},
        ],
    }
    assert bring(t__json=json.dumps(bundle).encode()) == {"created": 2, "refused": 1}
    assert bring.refused() == [(3, ["not_importable"])]
    [schedule] = stored("Schedule")
    assert schedule["actor"] == [{"reference": f"Practitioner/{urn.rpartition(':')[2]}"}]
    assert bring(t__json=json.dumps(bundle).encode()) == {"unchanged": 2, "refused": 1}


@pytest.mark.parametrize("as_list", [True, False])
def test_a_clinics_appointments_come_in_as_mediloop_lists_them(bring: Import, stored: Stored, as_list: bool) -> None:
    second = MEDILOOP | {"id": "apt-2", "appointment_number": "APT-2024-001235", "status": "noshow"}
    listed = {"count": 2, "results": [MEDILOOP, second]}
    file = json.dumps(listed).encode() if as_list else lines(MEDILOOP, second)
    assert bring(people__ndjson=lines(*PEOPLE), old__json=file) == {"created": 5, "left_out": {"branch": 2}}
    assert bring(people__ndjson=lines(*PEOPLE), old__json=file) == {"unchanged": 5, "left_out": {"branch": 2}}
    from mappings.appointment import view

    shown = view(next(one for one in stored("Appointment") if one["_id"] == MEDILOOP["id"]))
    wanted = {name: value for name, value in MEDILOOP.items() if name in shown}
    assert {name: shown[name] for name in wanted} == wanted


def test_mediloop_objects_are_checked(bring: Import) -> None:
    bad = {"id": "x y", "patient_uhid": "1", "status": "x", "start_time": "2024-01-20", "priority": "5"}
    stranger = MEDILOOP | {"id": "apt-0", "appointment_number": "APT-1", "practitioner_id": "nobody"}
    number = MEDILOOP | {"id": "apt-3", "status": "noshow", "appointment_number": "APT-2024-001234"}
    assert bring(people__ndjson=lines(*PEOPLE), a__ndjson=lines(bad, stranger, MEDILOOP, number)) == {
        "created": 4,
        "refused": 3,
        "left_out": {"branch": 3},
    }
    assert bring.refused() == [
        (1, ["invalid_request_error"] * 7),
        (2, ["unknown_practitioner"]),
        (4, ["identifier_taken"]),
    ]


def test_a_patient_who_is_stored_is_referred_to_as_a_booking_does_it(bring: Import, stored: Stored) -> None:
    def patient(ident: str, uhid: str) -> Json:
        return PEOPLE[2] | {"id": ident, "identifier": [{"system": "https://mediloop.co/fhir/sid/uhid", "value": uhid}]}

    def actor() -> Json:
        [found] = stored("Appointment")
        patients = [one["actor"] for one in found["participant"] if one["actor"].get("type") == "Patient"]
        assert len(patients) == 1
        return dict(patients[0])

    visit = {name: value for name, value in MEDILOOP.items() if name != "branch"}
    people = lines(*PEOPLE[:2], patient("john", "UG123456789A"), patient("jane", "UG987654321B"))
    assert bring(a__ndjson=lines(visit) + people) == {"created": 5}
    assert actor()["reference"] == "Patient/john"
    assert actor()["identifier"]["value"] == "UG123456789A"
    assert bring(a__ndjson=lines(visit) + people) == {"unchanged": 5}
    assert bring(b__ndjson=lines(visit | {"patient_uhid": "UG987654321B"})) == {"updated": 1}
    assert actor()["reference"] == "Patient/jane"
    assert bring(b__ndjson=lines(visit | {"patient_uhid": "UG111111111C"})) == {"updated": 1}
    assert "reference" not in actor()


def test_an_end_that_cannot_be_told_is_no_crash(bring: Import) -> None:
    endless = {name: value for name, value in MEDILOOP.items() if name not in ("end_time", "branch")}
    visits = [endless | {"duration_minutes": minutes} for minutes in (99_999_999_999_999, -99_999_999_999_999, 10**12)]
    assert bring(a__ndjson=lines(*visits)) == {"refused": 3}
    assert bring.refused() == [(line, ["invalid_request_error"]) for line in (1, 2, 3)]
    said = json.loads(bring.errors.read_text().splitlines()[0])["reasons"][0]
    assert said["param"] == "duration_minutes"


def test_what_mediloop_cannot_say_stays_when_its_object_comes_again(bring: Import, stored: Stored) -> None:
    bring(people__ndjson=lines(*PEOPLE), a__ndjson=lines(MEDILOOP))
    [kept] = [content(one) for one in stored("Appointment")]
    richer = kept | {"supportingInformation": [{"reference": "DocumentReference/d"}]}
    assert bring(b__ndjson=lines(richer)) == {"updated": 1}
    assert bring(a__ndjson=lines(MEDILOOP | {"reason_text": "Other"})) == {"updated": 1, "left_out": {"branch": 1}}
    [after] = [content(one) for one in stored("Appointment")]
    assert after == richer | {"reasonCode": [{"text": "Other"}]}


def test_narratives_come_in_as_they_are_and_go_with_what_makes_them_wrong(bring: Import, stored: Stored) -> None:
    told = {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Free, or booked</div>'}}
    file = lines(*PEOPLE, SCHEDULE, slot("x", 9, **told), slot("y", 10, **told), visit("a", 9, "x", **told))
    assert bring(all__ndjson=file) == {"created": 7}
    assert {one["_id"] for kind in ("Slot", "Appointment") for one in stored(kind) if "text" in one} == {"y", "a"}
    assert bring(all__ndjson=file) == {"unchanged": 7}
    assert bring(b__ndjson=lines(slot("y", 10, comment="Room 2", **told))) == {"updated": 1}
    bring(people__ndjson=lines(*PEOPLE), c__ndjson=lines(MEDILOOP))
    [kept] = [content(one) for one in stored("Appointment") if one["_id"] != "a"]
    bring(b__ndjson=lines(kept | told))
    assert bring(c__ndjson=lines(MEDILOOP | {"reason_text": "Other"})) == {"updated": 1, "left_out": {"branch": 1}}
    assert {one["_id"] for kind in ("Slot", "Appointment") for one in stored(kind) if "text" in one} == {"y", "a"}


def test_what_only_the_people_tell_comes_again_as_it_was_listed(bring: Import, stored: Stored) -> None:
    # A FHIR appointment that only refers to them: MediLoop's list shows their UHID and their names of today.
    uhid = {"system": "https://mediloop.co/fhir/sid/uhid", "value": "UG123456789A"}
    john = PEOPLE[2] | {"identifier": [uhid]}
    bring(people__ndjson=lines(*PEOPLE[:2], john, visit("v", 9)))
    [before] = stored("Appointment")
    listed = {
        "id": "v",
        "patient_uhid": "UG123456789A",
        "patient_name": "Okello",
        "practitioner_id": "p",
        "practitioner_name": "Dr. Atim",
        "status": "booked",
        "start_time": "2027-01-20T09:00:00Z",
        "end_time": "2027-01-20T09:30:00Z",
    }
    assert bring(old__json=lines(listed)) == {"unchanged": 1}
    assert bring(old__json=lines(listed | {"reason_text": "Other"})) == {"updated": 1}
    [after] = stored("Appointment")
    assert content(after) == content(before) | {"reasonCode": [{"text": "Other"}]}
    assert bring(old__json=lines(listed | {"patient_uhid": "UG987654321B"})) == {"updated": 1}
    [other] = stored("Appointment")
    assert "UG987654321B" in json.dumps(other["participant"])


def test_an_empty_file_and_a_byte_order_mark_are_no_faults(bring: Import) -> None:
    mark = b"\xef\xbb\xbf"
    assert bring(a__ndjson=b"", b__ndjson=b"\n", c__ndjson=mark) == {}
    assert bring(d__ndjson=mark + lines(PEOPLE[0], PEOPLE[1])) == {"created": 2}
    assert bring(e__json=mark + json.dumps({"resourceType": "Bundle", "type": "collection"}, indent=1).encode()) == {}


def test_what_is_spoilt_leaves_the_rest_alone(bring: Import) -> None:
    (bring.folder / "cut.ndjson.gz").write_bytes(gzip.compress(lines(*PEOPLE))[:-6])
    entries = [{"resource": {"resourceType": "Patient", "id": "q", "gender": None}}, {"resource": SCHEDULE}]
    (bring.folder / "b.json").write_text(json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries}))
    assert bring.run(str(bring.folder)) == {"created": 4, "refused": 2}
    assert bring.refused() == [(1, ["null_value"]), (4, ["cut_off"])]
    assert json.loads(bring.errors.read_text().splitlines()[1])["file"].endswith("cut.ndjson.gz")


def test_an_import_neither_reads_nor_replaces_what_it_has_written(bring: Import, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(lines(PEOPLE[0]) + b"{bad\n")
    written = tmp_path / "import-errors.ndjson"
    for _ in range(2):
        result = bring.cli.run("import", ".", "--state", "here.json")
        assert result.exit_code == 1, result.output
        assert "1 refused" in result.stdout
    record = written.read_bytes()
    result = bring.cli.run("import", "import-errors.ndjson")
    assert result.exit_code == 1
    assert "--errors" in result.stderr
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    (tmp_path / "list.json").write_text("[1]")
    for name, said in (("notes.txt", "not the error file"), ("list.json", "not the error"), (".", "no file")):
        result = bring.cli.run("import", "a.ndjson", "--errors", name)
        assert result.exit_code == 1
        assert said in result.stderr
    assert (written.read_bytes(), other.read_text()) == (record, "mine")
    assert not list(tmp_path.glob("*.state"))
    result = bring.cli.run("import", "import-errors.ndjson", "--errors", "second.ndjson")
    assert "1 refused" in result.stdout
    assert written.read_bytes() == record


def test_a_source_that_is_not_there_is_said(bring: Import) -> None:
    for words in (["nothing.json"], [str(bring.folder)]):
        result = bring.cli.run("import", *words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "nothing" in result.stderr


@pytest.mark.parametrize("option", ["--errors", "--state"])
@pytest.mark.parametrize("place", ["missing/f", "/proc/f"])
def test_where_nothing_can_be_written_is_said_before_anything_is_stored(
    bring: Import, stored: Stored, tmp_path: Path, option: str, place: str
) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(lines(PEOPLE[0]) + b"{bad\n")
    result = bring.cli.run("import", str(file), option, place)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"mediloop-fhir: {option} {place}: no file can be made there (")
    assert result.stderr.count("\n") == 1
    assert stored("Practitioner") == []


def test_what_is_no_regular_file_is_said_to_be_none(bring: Import) -> None:
    result = bring.cli.run("import", "/dev/null")
    assert result.exit_code == 1
    assert result.stderr == "mediloop-fhir: /dev/null: it is no regular file; store it in one first.\n"


def test_an_address_that_is_not_read_from_is_said_to_be_one(bring: Import) -> None:
    result = bring.cli.run("import", "s3://bucket/monday")
    assert result.exit_code == 1
    assert result.stderr == (
        "mediloop-fhir: s3://bucket/monday: only http and https addresses are read; copy it to this machine first.\n"
    )


def test_kill_9_in_the_middle_and_resume_give_the_same_store(bring: Import, stored: Stored, tmp_path: Path) -> None:
    count = 3_000
    patients = [{"resourceType": "Patient", "id": f"p{number:05d}", "active": True} for number in range(count)]
    file = tmp_path / "many.ndjson"
    file.write_bytes(lines(*patients[:1_500]) + b"{bad\n" + lines(*patients[1_500:]))
    state, errors = tmp_path / "the.state", tmp_path / "errors"
    words = ["import", str(file), "--state", str(state), "--errors", str(errors), "--batch", "50"]
    process = subprocess.Popen([sys.executable, "-m", "adapter", *words])
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (state.exists() and json.loads(state.read_bytes())["line"] >= 1_000):
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert state.exists()
    assert 1_000 <= len(stored("Patient")) < count
    result = bring.cli.run(*words)
    assert result.exit_code == 1, result.output
    assert not state.exists()
    assert sorted(one["_id"] for one in stored("Patient")) == [one["id"] for one in patients]
    assert {one["meta"]["versionId"] for one in stored("Patient")} == {"1"}
    assert len(stored("history")) == count
    assert [json.loads(line)["line"] for line in errors.read_text().splitlines()] == [1_501]


def test_the_state_of_other_files_is_not_taken(bring: Import, tmp_path: Path) -> None:
    state = tmp_path / "s"
    for content_of_it in ("[]", '{"marks": [], "database": "d", "begun": "b", "survey": []}'):
        state.write_text(content_of_it)
        file = bring.folder / "a.ndjson"
        file.write_bytes(lines(PEOPLE[0]))
        result = bring.cli.run("import", str(file), "--state", str(state))
        assert result.exit_code == 1
        assert "state" in result.stderr


@pytest.mark.parametrize(
    "members",
    [{"database": "d", "begun": "b", "total": 1}, {"database": "d", "begun": "b", "tally": {"x": 1}}, {}],
    ids=["further", "further of the tally", "fewer"],
)
def test_the_state_of_another_release_is_said_to_be_one(bring: Import, tmp_path: Path, members: Json) -> None:
    state, file = tmp_path / "s", bring.folder / "a.ndjson"
    state.write_text(json.dumps({"marks": [], "survey": [[0] * 6], **members}))
    file.write_bytes(lines(PEOPLE[0]))
    result = bring.cli.run("import", str(file), "--state", str(state))
    assert result.exit_code == 1
    assert "of another release" in result.stderr
    assert "Remove it to begin anew" in result.stderr


@pytest.fixture
def interrupted(bring: Import, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of an import of two people, of whom one has been written."""
    from adapter.importing.books import Books

    file = bring.folder / "two.ndjson"
    file.write_bytes(lines(*PEOPLE[:2]))
    words = ["import", str(file), "--state", str(bring.folder / "s"), "--batch", "1", "--errors", str(bring.errors)]
    real = Books.note
    remembered: list[None] = []

    def note(*given: Any) -> bool:
        if remembered:
            raise KeyboardInterrupt
        remembered.append(None)
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(Books, "note", note)
        result = bring.cli.run(*words)
    assert result.exit_code == 130, result.output
    assert "goes on" in result.stderr
    return words


def test_an_import_goes_on_in_its_own_database_alone(
    bring: Import, interrupted: list[str], mongodb_uri: str, pair: str
) -> None:
    result = bring.cli.run(*interrupted, "--mode", "live")
    assert result.exit_code == 1
    assert f"{pair}_test" in result.stderr
    assert "ADAPTER_DATABASE" in result.stderr
    client: MongoClient[Json] = MongoClient(mongodb_uri)
    with client:
        [mark] = client[f"{pair}_test"]["imports"].find()
        client[f"{pair}_test"]["imports"].delete_many({})  # as in another deployment's database of that name
        result = bring.cli.run(*interrupted)
        assert result.exit_code == 1
        assert "another database" in result.stderr
        client[f"{pair}_test"]["imports"].insert_one(mark)
        assert bring.cli.run(*interrupted).stdout.startswith("1 created, 0 updated, 1 unchanged")
        assert not list(client[f"{pair}_test"]["imports"].find()), "a finished import leaves no mark"


def test_a_file_that_was_changed_keeping_its_size_is_another(bring: Import, interrupted: list[str]) -> None:
    file = bring.folder / "two.ndjson"
    file.write_bytes(file.read_bytes().replace(b"Ward", b"Room"))
    result = bring.cli.run(*interrupted)
    assert result.exit_code == 1
    assert "changed since" in result.stderr


def test_an_error_file_that_was_moved_away_is_begun_anew_and_told(
    bring: Import, interrupted: list[str], tmp_path: Path
) -> None:
    state = bring.folder / "s"
    state.write_bytes(json.dumps(json.loads(state.read_bytes()) | {"errors": 1_000}).encode())
    result = bring.cli.run(*interrupted)
    assert result.exit_code == 0, result.output
    assert "moved" in result.stderr
    assert bring.errors.read_bytes() == b""


@pytest.mark.parametrize("option", ["--errors", "--state"])
def test_what_another_import_is_writing_is_left_to_it(bring: Import, stored: Stored, option: str) -> None:
    (bring.folder / "a.ndjson").write_bytes(lines(PEOPLE[0]))
    words = {"--errors": str(bring.errors), "--state": str(bring.folder / "state")}
    written = bring.folder / {"--errors": "errors", "--state": "state"}[option]
    command = ("import", str(bring.folder / "a.ndjson"), *(word for pair in words.items() for word in pair))
    other = b'{"file":"b","line":1,"reasons":[],"resource":""}\n'
    bring.errors.write_bytes(other)
    with alone(written.with_name(f"{written.name}.lock")):
        result = bring.cli.run(*command)
        assert result.exit_code == 1
        assert result.stderr == (
            f"mediloop-fhir: {written}: another import is writing it. Wait until it has ended, or name another with "
            f"{option}.\n"
        )
        assert bring.errors.read_bytes() == other
        assert not stored("Practitioner")
    assert bring.cli.run(*command).exit_code == 0
    assert sorted(path.name for path in bring.folder.iterdir()) == ["a.ndjson"]


def test_an_import_under_other_settings_is_told_of(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(a__ndjson=lines(*PEOPLE))
    assert bring.cli.run("check", "--mode", "test").exit_code == 0
    with monkeypatch.context() as patched:
        patched.setenv("ADAPTER_BASE_URL", "https://x.org")
        bring(b__ndjson=lines(SCHEDULE))
    assert "reindex-due" in bring.cli.run("check", "--mode", "test").stdout
