"""The error file goes on where an interruption left it, and never cuts or fills up what is not that file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapter.errors import Malformed, Problem
from adapter.importing.errorfile import ErrorFile
from adapter.importing.item import Item
from adapter.importing.sources import Source


def refuse(path: Path, size: int, *lines: int) -> tuple[int, str]:
    with ErrorFile(path, size) as file:
        for line in lines:
            file.add(Source("f", path), Item(line, b"{"), Malformed(Problem("c", "m")))
        return file.flush(), file.note


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["line"] for line in path.read_text().splitlines()]


def test_what_was_not_noted_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "e"
    size, _ = refuse(path, 0, 1, 2)
    refuse(path, size, 3)
    path.write_bytes(path.read_bytes() + b'{"half')
    assert refuse(path, size, 3, 4)[1] == ""
    assert numbers(path) == [1, 2, 3, 4]
    assert refuse(path, 0) == (0, "")
    assert not path.exists()


@pytest.mark.parametrize("before", [b"", b'{"line":7}\n', b'{"line":7}', b'{"line":7}\n' * 100])
def test_another_file_in_its_place_is_gone_on_with_as_it_is(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "e"
    size, _ = refuse(path, 0, 1, 2, 3)
    path.unlink()
    if before:
        path.write_bytes(before)
    size, note = refuse(path, size + 1, 4)
    assert "moved" in note
    assert numbers(path) == [7] * before.count(b"7") + [4]
    assert size == path.stat().st_size
