"""Of the Slots of a stage, only those that were given up are gone through once more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from adapter.importing.checking import Checked, Ready
from adapter.importing.closing import close
from adapter.importing.deciding import Result, Writer
from adapter.importing.item import Item
from adapter.importing.waiting import Waiting


class _Writer:
    def __init__(self) -> None:
        self.freed = {"Slot/of-the-end"}
        self.written: list[str] = []

    async def write(self, batch: Sequence[Ready]) -> list[Result]:
        self.written += [one.name for one in batch]
        return ["unchanged"] * len(batch)


@pytest.mark.parametrize(
    ("certain", "checked"), [(True, ["b", "f", "none", "bad"]), (False, ["a", "b", "e", "f", "none", "bad"])]
)
async def test_what_was_not_given_up_is_not_checked_again(tmp_path: Path, certain: bool, checked: list[str]) -> None:
    asked: list[str] = []

    async def check(batch: Sequence[Item]) -> Checked:
        idents = ["abefxy"[item.line] for item in batch]
        asked.extend({"x": "none", "y": "bad"}.get(one, one) for one in idents)
        return Checked([Ready("Slot", one, True, [], {}) for one in idents])

    raw = [b'{"id":"a"}', b'{"id":"b"}', b"", b"", b"{}", b"{"]
    values = {2: {"id": "e"}, 3: {"id": "f"}}
    slots = [Item(number, one, "Slot", values.get(number)) for number, one in enumerate(raw)]
    writer = _Writer()
    with Waiting(tmp_path / "s.waiting", anew=True) as waiting:
        waiting.free(["Slot/b", "Slot/f"])
        await close(cast("Writer", writer), check, slots, waiting if certain else None, 2)
    assert (asked, len(writer.written), writer.freed) == (checked, len(checked), set())
