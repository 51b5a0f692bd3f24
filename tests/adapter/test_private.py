"""Files for their owner alone, which say which file it is that cannot be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from adapter import private
from tests.adapter.full import room_for

Opened = Callable[[str], IO[bytes]]


@pytest.mark.parametrize("opened", [private.create, private.go_on])
@pytest.mark.parametrize("size", [2_001, 1_000_000], ids=["when it is closed", "at once"])
def test_a_file_without_room_is_named(tmp_path: Path, opened: Opened, size: int) -> None:
    path = tmp_path / "f"
    with room_for(2_000), pytest.raises(OSError, match="File too large") as told, opened(str(path)) as file:
        file.write(b"x" * size)
    assert (told.value.errno, told.value.filename) == (errno.EFBIG, str(path))
    assert path.stat().st_mode & 0o077 == 0


def test_what_is_gone_on_with_is_read_and_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for text in (b"one", b"two"):
        with private.go_on(str(path)) as file:
            file.seek(0, 2)
            file.write(text)
    with private.go_on(str(path)) as file:
        assert file.read() == b"onetwo"


def test_what_takes_the_place_of_a_file_is_on_the_disk_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, lasting, sync = tmp_path / "f", [], os.fsync

    def synced(handle: int) -> None:
        lasting.append((os.fstat(handle).st_size, path.exists() and path.read_bytes()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", synced)
    for text in (b"one", b"more"):
        private.replace(path, text)
    assert lasting == [(3, False), (4, b"one")]
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"more"]
    assert path.stat().st_mode & 0o077 == 0
    with room_for(2_000), pytest.raises(OSError, match="File too large"):
        private.replace(path, b"x" * 5_000)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"more"]


@pytest.mark.parametrize(("name", "why"), [("missing/f", "No such file or directory"), (".", "it is a folder")])
def test_a_place_where_no_file_can_be_is_told_with_its_option(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / name
    with pytest.raises(OSError, match="--state") as told:
        private.require_place(path, "--state")
    assert str(told.value) == f"--state {path}: no file can be made there ({why}). Name another place with --state."


def test_a_file_may_be_replaced_and_is_left_until_then(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for text in (None, "mine"):
        if text is not None:
            path.write_text(text)
        private.require_place(path, "--state")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["mine"]
