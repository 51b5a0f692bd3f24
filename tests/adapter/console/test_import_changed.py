"""What is imported changes meanwhile: nothing of it is lost without a word."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter.importing.books import Books
from tests.adapter.console.imports import PEOPLE, SCHEDULE, Import, Stored, lines
from tests.adapter.importing.hosts import Host, manifest

LATE = {"resourceType": "Location", "id": "late", "name": "Theatre"}


@pytest.fixture
def words(bring: Import) -> list[str]:
    """Of an import of a file for each type, one item at a time; the first file comes in last."""
    for number, one in enumerate((SCHEDULE, *PEOPLE[:2])):
        (bring.folder / f"{number}.ndjson").write_bytes(lines(one))
    return ["import", str(bring.folder), "--state", "s", "--batch", "1", "--errors", str(bring.errors)]


@contextmanager
def meanwhile(change: Callable[[], object]) -> Iterator[None]:
    """Have something changed when the first batch is noted."""
    real = Books.note
    calls: list[None] = []

    def note(*given: Any) -> bool:
        if not calls:
            change()
        calls.append(None)
        return real(*given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Books, "note", note)
        yield


def refused(result: Result, *said: str) -> bool:
    return (result.exit_code, result.stdout) == (1, "") and all(one in result.stderr for one in said)


@pytest.mark.parametrize("change", ["appended", "emptied", "written again"])
def test_a_file_that_changes_is_told_and_comes_in_whole_when_begun_anew(
    bring: Import, stored: Stored, words: list[str], change: str
) -> None:
    file = bring.folder / {"appended": "1.ndjson", "emptied": "0.ndjson", "written again": "0.ndjson"}[change]
    whole = file.read_bytes()
    with meanwhile(lambda: file.write_bytes({"appended": whole + lines(LATE), "emptied": b""}.get(change, whole))):
        result = bring.cli.run(*words)
    assert refused(result, f"{file} has changed while it was imported", "Remove s and import again"), result.output
    assert refused(bring.cli.run(*words), "changed since")
    file.write_bytes(whole + lines(LATE))
    Path("s").unlink()
    result = bring.cli.run(*words)
    assert (result.exit_code, "0 refused" in result.stdout) == (0, True)
    assert [len(stored(kind)) for kind in ("Schedule", "Practitioner", "Location")] == [1, 1, 2]
    assert sorted(one.name for one in Path().iterdir()) == ["files"]


def test_items_that_are_missing_are_told_though_their_file_looks_the_same(bring: Import, words: list[str]) -> None:
    file = bring.folder / "0.ndjson"

    def empty() -> None:
        before = file.stat()
        file.write_bytes(b" " * before.st_size)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    with meanwhile(empty):
        result = bring.cli.run(*words)
    assert refused(result, "2 of 3 items were gone through", "Remove s and import again"), result.output
    assert Path("s").exists()


def test_a_file_that_was_fetched_is_fetched_again(bring: Import, stored: Stored) -> None:
    host = Host()
    host.answers = {"/m": (200, manifest("f.ndjson")), "/f.ndjson": (200, lines(*PEOPLE))}
    words = ["import", f"{host.base}/m", "--state", "s", "--batch", "1", "--errors", str(bring.errors)]

    def empty() -> None:
        for one in Path("s.files").iterdir():
            one.write_bytes(b"")

    with meanwhile(empty):
        result = bring.cli.run(*words)
    assert refused(result, f"{host.base}/f.ndjson has changed while it was imported", "Remove s and s.files")
    shutil.rmtree("s.files")
    Path("s").unlink()
    assert bring.cli.run(*words).exit_code == 0
    host.close()
    assert len(stored("Patient")) == 1
