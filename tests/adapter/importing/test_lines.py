"""Of a line or a document that is longer than may be held, its beginning is told, and the rest read past."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import Refused
from adapter.importing import lines, manifests, reading
from adapter.importing.errorfile import ErrorFile
from adapter.importing.fetching import SourceError, require_whole
from adapter.importing.lines import Cut, each_line
from adapter.importing.sources import Source, find
from tests.adapter.importing.hosts import manifest
from tests.adapter.importing.test_reading import MARK, ONE, TWO, A, B, bundle, told

MOST = 100_000
ENDLESS = b'{"resourceType":"Patient","id":"' + b"x" * 50 * MOST


@pytest.fixture(autouse=True)
def most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less may be held, so that the tests are short."""
    for module in (lines, manifests, reading):
        monkeypatch.setattr(module, "LONGEST", MOST)


@contextmanager
def few_bytes_held(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("over", [0, 1, 2, 2 * MOST, 30 * MOST])
def test_a_line_is_whole_or_cut(over: int, end: bytes) -> None:
    text = b"x" * (MOST - len(end) + over) + end
    found = [*each_line(io.BytesIO(b"a\n" + text + (b"b\n" if end else b"")))]
    assert found == [b"a\n", text[:1_000] if over else text, *([b"b\n"] if end else [])]
    assert [isinstance(line, Cut) for line in found] == [False, bool(over), *([False] if end else [])]


@pytest.mark.parametrize("name", ["f.ndjson", "f.json"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_line_that_is_too_long_is_refused_by_its_number_and_not_held(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str
) -> None:
    content = pack(b"\n".join([ONE, ENDLESS, b"", TWO]))
    with few_bytes_held(10 * MOST):
        assert told(content, tmp_path, name) == [(1, A), (2, "line_too_long"), (4, B)]
    [found] = [item for item in reading.items(Source("f", tmp_path / name)) if item.fault]
    assert (found.raw, type(found.raw), found.rank) == (ENDLESS[:1_000], bytes, 0)
    assert isinstance(found.fault, Refused)
    with ErrorFile(tmp_path / "errors", 0) as errors:
        errors.add(Source("f", tmp_path / name), found, found.fault)
    assert json.loads((tmp_path / "errors").read_bytes())["resource"].encode() == ENDLESS[:1_000]
    with few_bytes_held(10 * MOST):
        require_whole("f", tmp_path / name, {"count": 3})
    with pytest.raises(SourceError, match="it has 3 resources, the manifest says 4"):
        require_whole("f", tmp_path / name, {"count": 4})


@pytest.mark.parametrize("head", [b"", MARK, b"\n"])
@pytest.mark.parametrize("rest", [b"", b"\n", b"\n" + ONE, b"\nx"])
def test_so_is_the_first_one(tmp_path: Path, head: bytes, rest: bytes) -> None:
    first = 1 + head.count(b"\n")
    packed = gzip.compress(head + ENDLESS + rest)
    with few_bytes_held(20 * MOST):
        found = told(packed, tmp_path)
    last: dict[bytes, list[tuple[int, Any]]] = {b"\n" + ONE: [(first + 1, A)], b"\nx": [(first + 1, "invalid_json")]}
    assert found == [(first, "line_too_long"), *last.get(rest, [])]


def test_what_comes_after_white_space_without_an_end_is_told(tmp_path: Path) -> None:
    whole = json.dumps({"count": 1, "results": [B]}).encode()
    for blank in (b"", ONE, whole):
        content = b"\n".join([ONE, blank + b" " * 2 * MOST + b"x", TWO])
        assert told(content, tmp_path, "f.ndjson") == [(1, A), (2, "line_too_long"), (3, B)]
    assert told(whole + b" " * 50 * MOST + b"x", tmp_path) == [(1, "line_too_long")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_that_is_all_of_its_file_may_be_longer(
    tmp_path: Path, pack: Callable[[bytes], bytes], indent: int | None
) -> None:
    names = [f"{number * number * 7919}" for number in range(5_000)]
    patients = [A | {"id": name} for name in names]
    for document in (bundle(*({"resource": one} for one in patients)), patients, {"count": 1, "results": patients}):
        content = MARK + json.dumps(document, indent=indent).encode()
        assert len(content) > 2 * MOST
        assert [value["id"] for _, value in told(pack(content), tmp_path)] == names
        if pack is not bytes and indent:
            spoilt = told(pack(content + b"\n")[:-8] + b"x" * 8, tmp_path)
            assert [spoilt[0][1]["id"], spoilt[-2][1]["id"], spoilt[-1][1]] == [names[0], names[-1], "cut_off"]
    one = json.dumps(A | {"name": [{"text": "".join(names * 3)}]}, indent=indent).encode()
    assert told(pack(one), tmp_path) == [(1, "line_too_long")]


@pytest.mark.parametrize(
    ("line", "found"),
    [(b'{"a":', [(1, "file_too_large")]), (b'{"a":}', [(n, "invalid_json") for n in range(1, 5_001)])],
)
def test_a_document_is_not_held_that_unpacks_to_many_times_its_size(
    tmp_path: Path, line: bytes, found: list[tuple[int, str]]
) -> None:
    packed = gzip.compress((line + b" " * 1_000 + b"\n") * 5_000)
    assert lines.FOLD * len(packed) < 5_000_000
    with few_bytes_held(3 * lines.FOLD * len(packed)):
        assert told(packed, tmp_path) == found
    if len(found) == 1:
        [item] = reading.items(Source("f", tmp_path / "f.json"))
        assert (len(item.raw), type(item.raw)) == (1_000, bytes)


def test_a_line_of_deletions_that_is_too_long_counts_as_one(tmp_path: Path) -> None:
    gone = {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": f"Patient/{n}"}} for n in "ab"]}
    path = tmp_path / "d.ndjson"
    path.write_bytes(b"\n".join([json.dumps(gone).encode(), ENDLESS, json.dumps(gone).encode()]))
    found = [*reading.items(Source("d", path, deletes=True))]
    assert [(item.line, item.deletes) for item in found] == [(1, True), (2, True), (3, False), (4, True), (5, True)]


def test_what_is_too_long_is_no_manifest(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(gzip.compress(manifest("none", note="x" * 50 * MOST)))
    with few_bytes_held(10 * MOST):
        assert [source.path for source in find([str(path)], tmp_path)] == [path]
    path.write_bytes(manifest("none", note="x" * (MOST - 200)))
    with pytest.raises(SourceError, match="not there"):
        find([str(path)], tmp_path)
