"""What waits is kept on disk, in order, whatever happens to the process, and is for its owner alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from adapter.errors import Conflict, Problem
from adapter.importing.fetching import SourceError
from adapter.importing.freeing import Freed
from adapter.importing.item import Item, Referent
from adapter.importing.waiting import Waiting
from adapter.importing.waiting_row import Row
from store.codec import encode, parse

WHY = Conflict(Problem("slot_unavailable", "Taken.", "Appointment.slot[0]", {"appointments": ["b"], "slots": ["x"]}))

BEGUN = "0123456789abcdef"


def row(line: int, name: str = "Appointment/a", rank: int = 4, source: int = 0) -> Row:
    return Row((rank, source, line), name, Item(line, b'{"id":"a"}', name.partition("/")[0]), WHY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.waiting"


def lines(waiting: Waiting, size: int = 2) -> list[list[int]]:
    return [[one.key[2] for one in rows] for rows in waiting.batches(size)]


def test_nothing_is_made_while_nothing_waits(path: Path) -> None:
    with Waiting(path, BEGUN, anew=False) as waiting:
        waiting.add([])
        waiting.free({})
        assert not waiting.restores()
        waiting.drop([(0, 0, 1)])
        waiting.drop_before(9)
        waiting.forget_freed()
        waiting.take([])
        waiting.forget_taken()
        assert not waiting.taken(["urn:order|1"])
        assert not waiting.named(["Slot/x"])
        assert not lines(waiting)
        waiting.remove()
    assert not path.exists()


def test_what_waits_comes_back_as_it_was_in_the_order_of_the_first_go(path: Path) -> None:
    number = parse(b'{"resourceType":"Slot","id":"x","n":1.10}')
    with Waiting(path, BEGUN, anew=True) as waiting:
        waiting.add([row(3), row(1), row(2, rank=-1)])
        waiting.add([Row((3, 1, 7), "Slot/x", Item(7, b"", "Slot", number), WHY)])
        waiting.free({"Slot/x": Freed(number, closed=True), "Slot/z": Freed(None, closed=False)})
        waiting.free({"Slot/x": Freed({"id": "x"}, closed=False)})  # it was noted before
    assert path.stat().st_mode & 0o077 == 0
    with Waiting(path, BEGUN, anew=False) as waiting:
        assert (waiting.count, waiting.frees) == (4, True)
        assert lines(waiting) == [[2, 7], [1, 3]]
        [row_] = waiting.named(["Slot/x", "Slot/y"])
        assert (row_.item.raw, row_.item.kind, row_.item.deletes) == (
            b'{"resourceType":"Slot","id":"x","n":1.10}',
            "Slot",
            False,
        )
        assert (row_.refused.status, row_.refused.problems) == (409, WHY.problems)
        found = waiting.freed(["Slot/x", "Slot/y", "Slot/z"])
        assert found == {"Slot/x": Freed(number, closed=True), "Slot/z": Freed(None, closed=False)}
        assert encode(found["Slot/x"].was or {}) == encode(number)
        assert waiting.restores()
        waiting.tell(["Slot/x", "Slot/y"])
        assert not waiting.restores()
        assert waiting.freed(["Slot/x"]) == {"Slot/x": Freed(None, closed=True)}
        waiting.free({"Slot/z": Freed(number, closed=True)})  # only that it was given up was noted before
        assert waiting.restores()
    with Waiting(path, BEGUN, anew=True) as waiting:  # of an import that was given up
        assert (waiting.count, waiting.frees, path.exists()) == (0, False, False)


def test_an_entry_of_a_bundle_knows_its_names_still(path: Path) -> None:
    referents = {"Schedule/s": Referent(2, ("urn:s|1",))}
    item = Item(
        1,
        b"{}",
        "Slot",
        ident="x",
        if_none=True,
        referents=referents,
        sought="urn:s|2",
        entry=b'{"fullUrl":"urn:x"}',
        shared=("urn:s|3",),
        roots=("http://x.example/fhir/",),
    )
    with Waiting(path, BEGUN, anew=True) as waiting:
        waiting.add([Row((3, 0, 1), "Slot/x", item, WHY), row(2)])
    with Waiting(path, BEGUN, anew=False) as waiting:
        assert [one.item for rows in waiting.batches(9) for one in rows] == [item, row(2).item]


def test_what_waits_from_an_earlier_release_is_read(path: Path) -> None:
    with Waiting(path, BEGUN, anew=True) as waiting:
        waiting.add([row(1)])
    with closing(sqlite3.connect(path)) as file:
        file.execute("DROP TABLE import")
        file.execute("ALTER TABLE waiting DROP COLUMN told")
        file.execute("DROP TABLE freed")
        file.execute("CREATE TABLE freed (name TEXT PRIMARY KEY) WITHOUT ROWID")
    with Waiting(path, BEGUN, anew=False, waits=True) as waiting:
        waiting.free({"Slot/x": Freed({"id": "x"}, closed=True)})
        assert waiting.restores()
        waiting.add([row(2)])
        assert [one.item for rows in waiting.batches(9) for one in rows] == [row(1).item, row(2).item]
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE waiting SET told = '[\"x\", true, {}]' WHERE line = 2")  # without the entry
    with Waiting(path, BEGUN, anew=False) as waiting:
        [found] = [one.item for rows in waiting.batches(9) for one in rows if one.key[2] == 2]
        assert (found.ident, found.if_none, found.entry) == ("x", True, b"")


@pytest.mark.parametrize("left", ["nothing", "an empty file", "another import's", "not a row"])
def test_what_is_not_what_the_import_has_left_is_refused(path: Path, left: str) -> None:
    if left == "an empty file":
        path.touch()
    elif left == "another import's":
        with Waiting(path, "other", anew=True) as waiting:
            waiting.add([row(1)])
    elif left == "not a row":
        with Waiting(path, BEGUN, anew=True) as waiting:
            waiting._opened().execute("DELETE FROM import").connection.commit()
    with pytest.raises(SourceError, match=r"s\.waiting is gone, or not .* remove .*/s to begin anew"):
        Waiting(path, BEGUN, anew=False, waits=True)
    assert path.exists() is (left != "nothing")


def test_a_file_that_was_just_begun_is_gone_on_with(path: Path) -> None:
    path.touch()
    with Waiting(path, BEGUN, anew=False) as waiting:
        waiting.add([row(1)])
        assert waiting.kept
    with Waiting(path, BEGUN, anew=False, waits=True) as waiting:
        assert lines(waiting) == [[1]]


def test_what_is_done_waits_no_longer_though_it_is_being_gone_through(path: Path) -> None:
    with Waiting(path, BEGUN, anew=True) as waiting:
        waiting.add([row(line, f"Appointment/{line}") for line in range(1, 7)])
        seen = []
        for rows in waiting.batches(2):
            seen.append([one.key[2] for one in rows])
            waiting.drop([rows[0].key])
            waiting.add([rows[1]])  # refused once more
        assert seen == [[1, 2], [3, 4], [5, 6]]
        assert lines(waiting, 9) == [[2, 4, 6]]
        waiting.add([row(1, "Slot/y", source=1)])
        waiting.drop_before(1)
        assert [one.name for rows in waiting.batches(9) for one in rows] == ["Slot/y"]
        many = [f"Appointment/{number}" for number in range(2_000)]
        assert [one.name for one in waiting.named([*many, "Slot/y"])] == ["Slot/y"]


def test_what_sqlite_cannot_do_is_said_with_a_remedy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0.2))  # 5 s for what is locked, else
    path.write_bytes(b"not SQLite at all " * 100)
    with pytest.raises(SourceError, match=r"s\.waiting: .*remove it and .*/s to begin anew"):
        Waiting(path, BEGUN, anew=False)
    with Waiting(path, BEGUN, anew=True) as waiting:
        waiting.add([row(1)])
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceError, match=r"locked\. See that .*the same command goes on"):
            Waiting(path, BEGUN, anew=False)
    with pytest.raises(SourceError, match=r"full\. See that there is room"):
        _fill(path)
    with Waiting(path, BEGUN, anew=False) as waiting:
        assert waiting.count == 1


def _fill(path: Path) -> None:
    with Waiting(path, BEGUN, anew=False) as waiting:
        waiting._opened().execute("PRAGMA max_page_count = 1")
        waiting.add([row(line, f"Appointment/{line}") for line in range(2_000)])


def test_the_same_are_tried_together_once_in_a_round(path: Path) -> None:
    with Waiting(path, BEGUN, anew=True) as waiting:
        both = [row(1), row(2)]
        assert [waiting.try_once(both), waiting.try_once(both), waiting.try_once(both[:1])] == [True, False, True]
        waiting.begin_round()
        assert waiting.try_once(both)


def test_what_was_taken_is_known_after_an_interruption(path: Path) -> None:
    with Waiting(path, BEGUN, anew=True) as waiting:
        waiting.take(["urn:order|1", "urn:order|2"])
        waiting.take(["urn:order|1"])
    with Waiting(path, BEGUN, anew=False) as waiting:
        assert waiting.taken(["urn:order|1", "urn:order|3"]) == {"urn:order|1"}
        waiting.forget_taken()
        assert waiting.taken(["urn:order|1"]) == set()
