"""``mediloop-fhir import`` follows another server: increments with what was deleted, and imports interrupted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.adapter.console.cli import Cli
from tests.adapter.console.imports import PEOPLE, SCHEDULE, Import, Json, Stored, lines, slot, visit
from tests.adapter.console.increments import BASE, CAPACITY, OVERBOOKED, answer, cancelled, check, increment, state


@pytest.fixture
def live(bring: Import, cli: Cli, mongodb_uri: str, pair: str) -> Callable[..., Json]:
    """Bring an export of the test data into the live data, as into a second server."""

    def copy(*words: str) -> Json:
        return bring.run("--mode", "live", *words)

    return copy


@pytest.mark.parametrize("by", ["folder", "manifest"])
def test_deletions_are_carried_over(small: Import, stored: Stored, tmp_path: Path, by: str) -> None:
    small(a__ndjson=lines(*BASE, visit("m", 9, "x"), visit("n", 10, "y"), {**PEOPLE[2], "id": "jane"}))
    gone = ["Patient/jane", "Slot/y", "Slot/w", "Appointment/m", "http://here.example/fhir/R4/Appointment/none"]
    folder = increment(tmp_path / "increment", gone, visit("a", 9, "x"), visit("n", 11, "z"))
    word = str(folder if by == "folder" else folder / "manifest.json")
    assert small.run(word) == {"created": 1, "updated": 1, "deleted": 4, "unchanged": 1}
    assert state(stored).keys() == {
        *("Patient/john", "Practitioner/p", "Location/l", "Schedule/s"),
        *("Slot/x", "Slot/z", "Appointment/a", "Appointment/n"),
    }
    assert small.run(word) == {"unchanged": 7}
    check(small.cli)


def test_what_is_held_or_referred_to_here_is_not_deleted(bring: Import, stored: Stored, tmp_path: Path) -> None:
    bring(a__ndjson=lines(*BASE, visit("m", 9, "x")))
    gone = ["Slot/x", "Schedule/s", "Patient/john", "Observation/1", "Patient?name=x", "Slot/y"]
    folder = increment(tmp_path / "increment", gone)
    assert bring.run(str(folder)) == {"deleted": 1, "refused": 5}
    assert sorted(bring.refused()) == [
        (1, ["slot_held"]),
        (2, ["still_referenced"]),
        (3, ["still_referenced"]),
        (4, ["unknown_type"]),
        (5, ["not_importable"]),
    ]
    first = json.loads(bring.errors.read_text().splitlines()[0])
    assert (Path(first["file"]).name, "DELETE" in first["resource"]) == ("deleted.ndjson", True)


def test_a_number_beyond_all_in_a_deletion_changes_nothing(bring: Import, stored: Stored, tmp_path: Path) -> None:
    bring(a__ndjson=lines(*BASE))
    folder = increment(tmp_path / "increment", ["Slot/x", "Slot/y"])
    path = folder / "deleted.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"DELETE"', b'"DELETE","_method":{"id":1e400}', 1))
    assert bring.run(str(folder)) == {"deleted": 2}
    assert not {"Slot/x", "Slot/y"} & state(stored).keys()


def test_increments_come_one_after_the_other(bring: Import, stored: Stored, tmp_path: Path) -> None:
    bring(a__ndjson=lines(*BASE, visit("m", 9, "x")))
    all_of_them = tmp_path / "all"
    all_of_them.mkdir()
    # By time, whatever they are called: made, deleted, made again.
    increment(all_of_them / "2", [], visit("a", 10, "y"), {**PEOPLE[2], "id": "jane"}, moment="2027-01-02T00:00:00Z")
    increment(all_of_them / "10", ["Appointment/a", "Patient/jane"], moment="2027-01-03T00:00:00Z")
    increment(all_of_them / "1", [], visit("a", 11, "z"), moment="2027-01-04T00:00:00Z")
    assert bring.run(str(all_of_them)) == {"created": 3, "deleted": 2}
    assert state(stored)["Appointment/a"]["slot"] == [{"reference": "Slot/z"}]
    assert "Patient/jane" not in state(stored)


def test_a_manifest_whose_deletions_are_not_there_is_refused(bring: Import, tmp_path: Path) -> None:
    folder = increment(tmp_path / "increment", ["Slot/x"])
    (folder / "deleted.ndjson").unlink()
    for word in (folder, folder / "manifest.json"):
        result = bring.cli.run("import", str(word))
        assert result.exit_code == 1
        assert "deleted.ndjson" in result.stderr


def test_a_spoilt_file_of_deletions_is_told(bring: Import, stored: Stored, tmp_path: Path) -> None:
    bring(a__ndjson=lines(*BASE))
    folder = increment(tmp_path / "increment", ["Slot/x"])
    put = {"resource": PEOPLE[0], "request": {"method": "PUT", "url": "Practitioner/p"}}
    bad = [b"{", b"[1]", json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [put, 1]}).encode()]
    whole = (folder / "deleted.ndjson").read_bytes()
    (folder / "deleted.ndjson").write_bytes(b"\n".join([*bad, b"", whole]))
    assert bring.run(str(folder)) == {"deleted": 1, "refused": 4}
    assert bring.refused() == [
        (1, ["invalid_json"]),
        (2, ["not_importable"]),
        (3, ["not_importable"]),
        (4, ["not_importable"]),
    ]


def test_an_import_that_is_interrupted_at_what_was_refused_goes_on_there(
    bring: Import, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter.importing.books import Books

    bring(a__ndjson=lines(*BASE, visit("m", 9, "x"), visit("n", 10, "y"), visit("o", 11, "z")))
    file = bring.folder / "b.ndjson"
    later = [visit("a", 9, "x"), visit("b", 10, "y"), visit("c", 11, "z"), visit("d", 12, "w"), visit("e", 12, "w")]
    file.write_bytes(lines(*later, *(cancelled(*one) for one in (("m", 9, "x"), ("n", 10, "y"), ("o", 11, "z")))))
    real = Books.note
    words = ["import", str(file), "--state", "s", "--batch", "2", "--errors", str(bring.errors), "--json"]
    for most in range(1, 60):
        calls: list[None] = []

        def note(self: Books, *given: Any, calls: list[None] = calls, most: int = most) -> Any:
            if len(calls) == most % 3:
                raise KeyboardInterrupt
            calls.append(None)
            return real(self, *given)

        with monkeypatch.context() as patched:
            patched.setattr(Books, "note", note)
            result = bring.cli.run(*words)
        if result.exit_code != 130:
            break
    assert result.exit_code == 1, result.output
    tally = json.loads(result.stdout)
    assert tally["total"] == 8 == sum(tally[word] for word in ("created", "updated", "unchanged", "refused"))
    assert bring.refused() == [(5, ["slot_unavailable", "time_conflict"])]
    assert {one["_id"] for one in stored("Appointment")} == set("abcdmno")
    assert sorted(one.name for one in Path().iterdir()) == ["files"]
    check(bring.cli)


def test_what_waits_is_not_lost_unsaid(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapter.importing import again

    bring(a__ndjson=lines(*BASE, visit("m", 9, "x")))
    file = bring.folder / "b.ndjson"
    file.write_bytes(lines(visit("a", 9, "x"), cancelled("m", 9, "x")))
    words = ["import", str(file), "--state", "s", "--batch", "1", "--errors", str(bring.errors)]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(again, "settle", stop)
        assert bring.cli.run(*words).exit_code == 130
    kept = Path("s.waiting").read_bytes()
    assert Path("s.waiting").stat().st_mode & 0o077 == 0
    for left in (None, b""):
        Path("s.waiting").unlink()
        if left is not None:
            Path("s.waiting").write_bytes(left)
        result = bring.cli.run(*words)
        assert result.exit_code == 1
        assert "s.waiting is gone, or not as the interrupted import has left it" in result.stderr
        Path("s.waiting").write_bytes(kept)
    assert bring.cli.run(*words).stdout.startswith("1 created, 1 updated, 0 unchanged, 0 refused")
    earlier = {"survey": [[0] * 6], "marks": [], "database": "d", "begun": "b"}
    Path("s").write_text(json.dumps(earlier))
    assert "another release" in bring.cli.run(*words).stderr


@pytest.mark.parametrize("before", [True, False])
def test_an_import_that_is_interrupted_at_its_very_end_ends(
    bring: Import, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    from adapter.importing import running
    from adapter.importing.waiting import Waiting

    bring(a__ndjson=lines(*BASE, visit("m", 9, "x")))
    file = bring.folder / "b.ndjson"
    file.write_bytes(lines(visit("a", 9, "x"), visit("n", 10, "y")))
    words = ["import", str(file), "--state", "s", "--batch", "1", "--errors", str(bring.errors)]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if before:  # the file of what waited is gone, the state is not
            patched.setattr(running, "end", stop)
        else:
            patched.setattr(Waiting, "forget_freed", stop)
        assert bring.cli.run(*words).exit_code == 130
    assert Path("s").exists()
    result = bring.cli.run(*words)
    assert result.stdout.startswith("1 created, 0 updated, 0 unchanged, 1 refused"), result.output
    assert bring.refused() == [(1, ["slot_unavailable", "time_conflict"])]
    assert sorted(one.name for one in Path().iterdir()) == ["files"]


def test_a_hold_that_is_over_keeps_no_time_and_does_not_begin_anew(bring: Import, stored: Stored) -> None:
    ends = {"url": "https://mediloop.co/fhir/StructureDefinition/hold-expires", "valueInstant": "2026-01-01T00:00:00Z"}
    held = visit("h", 9, "x", status="pending", extension=[ends])
    assert bring(a__ndjson=lines(*BASE, held)) == {"created": len(BASE) + 1}
    assert bring(b__ndjson=lines(visit("a", 9, "x"))) == {"created": 1}
    assert {one["_id"]: one["status"] for one in stored("Appointment")} == {"h": "cancelled", "a": "booked"}
    assert bring(a__ndjson=lines(*BASE, held)) == {"unchanged": len(BASE) + 1}


def test_a_second_server_follows_by_exports_of_the_command(
    bring: Import, live: Callable[..., Json], stored: Stored, tmp_path: Path, mongodb_uri: str, pair: str
) -> None:
    bring(a__ndjson=lines(*BASE, visit("m", 9, "x", status="pending"), visit("n", 10, "y"), visit("o", 11, "z")))
    assert bring.cli.run("export", "full").exit_code == 0
    live("full")
    assert state(stored, "live") == state(stored)
    steps = [
        [visit("m", 9, "x"), cancelled("n", 10, "y"), visit("a", 10, "y")],
        [visit("m", 9, "x", status="arrived"), visit("o", 12, "w"), visit("b", 11, "z")],
        [visit("m", 9, "x", status="fulfilled"), slot("y", 10, status="busy-unavailable"), cancelled("a", 10, "y")],
    ]
    before = "full"
    for number, step in enumerate(steps):
        for one in step:
            bring(step__ndjson=lines(one))
        if number == 2:
            increment(tmp_path / "local", ["Appointment/b", "Slot/z"])
            bring.run(str(tmp_path / "local"))
        name = f"since{number}"
        assert bring.cli.run("export", name, "--since", f"{before}/manifest.json").exit_code == 0
        before = name
    assert live("since0", "since1", "since2").get("refused") is None
    assert state(stored, "live") == state(stored)
    assert "Appointment/b" not in state(stored)
    client: MongoClient[Json] = MongoClient(mongodb_uri)
    with client:
        assert not list(client[f"{pair}_live"]["imports"].find())


def test_a_night_in_which_nothing_changed_is_no_fault(bring: Import, live: Callable[..., Json], stored: Stored) -> None:
    bring(a__ndjson=lines(*BASE))
    for words in (["full"], ["quiet", "--since", "full/manifest.json"]):
        assert bring.cli.run("export", *words).exit_code == 0
    live("full")
    before = state(stored, "live")
    for word in ("quiet", "quiet/manifest.json"):
        assert bring.run("--mode", "live", word, code=0) == {}
    assert state(stored, "live") == before
    assert sorted(one.name for one in Path().iterdir()) == ["files", "full", "quiet"]


def test_a_whole_export_comes_into_an_empty_server_whatever_has_become_of_its_slots(
    bring: Import, live: Callable[..., Json], stored: Stored
) -> None:
    def told(*people: str) -> Json:
        return {"participant": [{"actor": {"reference": one}, "status": "accepted"} for one in people]}

    theirs = {"actor": [{"reference": name} for name in ("Practitioner/p", "Location/l")]}
    moved = {"actor": [{"reference": name} for name in ("Practitioner/q", "Location/m")]}
    q, m = PEOPLE[0] | {"id": "q"}, PEOPLE[1] | {"id": "m"}
    early = {"start": "2027-01-20T07:45:00Z", "end": "2027-01-20T08:15:00Z"}
    there = visit("a", 9, "x", status="fulfilled", **told("Patient/john", "Practitioner/p", "Location/l"))
    bring(a__ndjson=lines(*PEOPLE, q, m, SCHEDULE | theirs, *BASE[4:]))
    bring(b__ndjson=lines(there, visit("b", 8) | early, visit("c", 11, "z"), visit("d", 14)))
    later = [SCHEDULE | moved, slot("v", 8), slot("u", 14, status="busy-unavailable")]
    assert bring(c__ndjson=lines(*later, visit("c", 11, "z", **told("Patient/john")))) == {"created": 2, "updated": 2}
    assert bring.cli.run("export", "full").exit_code == 0
    assert live("full").get("refused") is None
    assert state(stored, "live") == state(stored)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_has_happened_a_second_server_follows(
    bring: Import, live: Callable[..., Json], stored: Stored, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    hours = range(8, 18)
    idents = [f"a{number:02}" for number in range(14)]
    bring(a__ndjson=lines(*PEOPLE, SCHEDULE, *(slot(f"s{hour:02}", hour) for hour in hours)))

    def happens() -> None:
        """Let things happen at the first server: whatever it takes is a state that there may be."""
        places = {f"s{hour:02}": hour for hour in hours} | {
            one["_id"]: int(one["start"][11:13]) for one in stored("Slot") if int(one["start"][11:13]) in hours
        }
        for _ in range(4):
            told: list[Json] = [SCHEDULE | {"active": chance.random() < 0.7}]
            for ident in chance.sample(idents, 6):
                place = chance.choice([*places])
                status = chance.choice(
                    ["booked"] * 6 + ["pending", "arrived", "fulfilled", "noshow", *["cancelled"] * 2]
                )
                told.append(visit(ident, places[place], place, status=status))
            over, room, *closed = chance.sample([*places], 4)
            status = chance.choice(["booked", "booked", "cancelled"])
            told.append(visit(f"o{chance.randrange(3)}", places[over], over, extension=[OVERBOOKED], status=status))
            told.append(slot(room, places[room], extension=[CAPACITY | {"valueInteger": chance.randrange(1, 4)}]))
            told += [
                slot(one, places[one], status=chance.choice(["free", "busy", "busy-unavailable"])) for one in closed
            ]
            told.append(
                answer(f"r{chance.randrange(6)}", chance.choice(idents), chance.choice(["accepted", "declined"]))
            )
            bring(**{f"h{chance.random()}__ndjson": lines(*told)})
        gone = [f"AppointmentResponse/r{chance.randrange(6)}", f"Slot/{chance.choice([*places])}"]
        gone += [f"Appointment/{one}" for one in chance.sample(idents, 2)]
        bring.run(str(increment(tmp_path / f"gone{chance.random()}", gone)))

    happens()
    assert bring.cli.run("export", "e0").exit_code == 0
    assert live("e0").get("refused") is None
    for number in range(1, 4):
        happens()
        since = f"e{number - 1}/manifest.json"
        assert bring.cli.run("export", f"e{number}", "--since", since).exit_code == 0
    batch = chance.choice(["1", "3", "1000"])
    for words in (["e1"], ["e2", "e3"]):
        found = live("--batch", batch, *words)
        assert found.get("refused") is None, bring.errors.read_text()
    assert state(stored, "live") == state(stored)
    check(bring.cli)
