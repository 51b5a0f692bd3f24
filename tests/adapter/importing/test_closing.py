"""Of a stage, only what was given up is gone through once more: what a file tells of it, else what it was before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from adapter.importing.checking import Checked, Ready
from adapter.importing.closing import close
from adapter.importing.deciding import Result, Writer
from adapter.importing.freeing import Freed
from adapter.importing.item import Item
from adapter.importing.sources import Source
from adapter.importing.waiting import Waiting
from tests.adapter.console.imports import Json, lines, slot, visit


class _Writer:
    since = datetime(2027, 1, 1, tzinfo=UTC)

    def __init__(self) -> None:
        self.written: list[Ready] = []

    async def write(self, batch: Sequence[Ready]) -> list[Result]:
        self.written += batch
        return ["unchanged"] * len(batch)


async def check(batch: Sequence[Item]) -> Checked:
    found: list[Json] = [item.value or json.loads(item.raw) for item in batch]
    return Checked([Ready("Slot", one.get("id", "made"), True, [], one) for one in found])


async def test_what_was_not_given_up_is_neither_checked_nor_written_again(tmp_path: Path) -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": slot("c", 9)}]}
    nameless = {name: value for name, value in slot("x", 9).items() if name != "id"}
    files = {
        "slots.ndjson": lines(slot("a", 9), slot("b", 10), nameless),
        "bundle.json": json.dumps(bundle).encode(),
        "visits.ndjson": lines(visit("1", 9, "a", "b"), visit("2", 9, "d", "e"), visit("3", 9, "d"), {"start_time": 1}),
        "bad.ndjson": b'{"resourceType": "Slot", \n[1]\n' + lines(visit("4", 9, "d") | {"id": 4}),
    }
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    sources = [Source(name, tmp_path / name) for name in files]
    writer = _Writer()
    with Waiting(tmp_path / "s.waiting", "begun", anew=True) as waiting:
        was = {f"Slot/{one}": Freed(slot(one, 9, status="busy"), closed=True) for one in "bcdf"}
        waiting.free(was | {"Slot/e": Freed(None, closed=False)})
        await close(cast("Writer", writer), check, sources, waiting, 3)
    assert [(one.name, one.left_by) for one in writer.written] == [
        ("Slot/b", ()),
        ("Slot/made", ()),
        ("Slot/c", ()),
        ("Slot/d", ("Appointment/2", "Appointment/3")),
    ]
    again = writer.written[-1]
    assert (again.resource, again.closed, again.since) == (slot("d", 9, status="busy"), True, writer.since)


async def test_where_a_file_has_told_of_all_no_visit_is_read(tmp_path: Path) -> None:
    (tmp_path / "slots.ndjson").write_bytes(lines(slot("a", 9)))
    sources = [Source("slots.ndjson", tmp_path / "slots.ndjson")]
    writer = _Writer()
    with Waiting(tmp_path / "s.waiting", "begun", anew=True) as waiting:
        waiting.free({"Slot/a": Freed(slot("a", 9, status="busy"), closed=True)})
        await close(cast("Writer", writer), check, sources, waiting, 2)
        assert not waiting.restores()
    assert [one.name for one in writer.written] == ["Slot/a"]
