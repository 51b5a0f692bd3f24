"""A file comes apart into items whatever its first line is; what is spoilt is told by itself."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import Refused
from adapter.importing.documents import entries
from adapter.importing.item import Item
from adapter.importing.reading import items, read
from adapter.importing.sources import Source
from store.codec import encode

A: dict[str, Any] = {"resourceType": "Patient", "id": "a"}
B: dict[str, Any] = {"resourceType": "Patient", "id": "b", "active": True}
VISIT: dict[str, Any] = {"id": "v", "start_time": "2027-01-01T00:00:00Z", "specialty_code": None}
ONE, TWO, SEEN = (json.dumps(one).encode() for one in (A, B, VISIT))
MARK = b"\xef\xbb\xbf"


def told(content: bytes, folder: Path, name: str = "f.json") -> list[tuple[int, Any]]:
    """What `content` comes to: the number of each item, with its value or the code of what is wrong."""
    path = folder / name
    path.write_bytes(content)
    return [(item.line, judged(item)) for item in items(Source(name, path))]


def judged(item: Item) -> Any:
    try:
        return read(item)
    except Refused as refused:
        return refused.problems[0].code


def bundle(*entries: Any, **members: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection"} | members | {"entry": list(entries)}


@pytest.mark.parametrize("name", ["f.ndjson", "f.json", "f"])
@pytest.mark.parametrize(
    ("first", "line", "code"),
    [
        (b"\n", 2, None),
        (MARK + b"\r\n", 2, None),
        (b'{"resourceType":"Patient"', 2, "invalid_json"),
        (b'{"resourceType":"Patient",', 2, "invalid_json"),
        (b"{", 2, "invalid_json"),
        (b"1", 2, "invalid_json"),
        (b"[]", 2, "invalid_json"),
        (json.dumps(bundle({"resource": A})).encode(), 2, "not_importable"),
        (b'{"count":1,"results":[1]}', 2, "invalid_json"),
    ],
)
def test_no_first_line_takes_the_others_with_it(
    tmp_path: Path, first: bytes, line: int, code: str | None, name: str
) -> None:
    found = told(first.rstrip(b"\n") + b"\n" + ONE + b"\n \n" + TWO, tmp_path, name)
    assert found == ([] if code is None else [(1, code)]) + [(line, A), (line + 2, B)]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["f.ndjson", "f.json"])
def test_a_document_is_one_however_it_is_spread(tmp_path: Path, indent: int | None, name: str) -> None:
    for document in (bundle({"resource": A}, {"resource": B}), [A, B], {"count": 2, "results": [A, B]}):
        for head in (b"", MARK, b"\n"):
            found = told(head + json.dumps(document, indent=indent).encode(), tmp_path, name)
            assert found == [(1, A), (2, B)]
    assert told(json.dumps(B, indent=indent).encode(), tmp_path, name) == [(1, B)]
    assert told(json.dumps(VISIT, indent=indent).encode(), tmp_path, name) == [(1, VISIT)]


@pytest.mark.parametrize(
    "spread",
    [
        b"[%s,\n%s]",
        b"[\n%s,\n%s\n]",
        b'{"count": 2,\n "results": [%s,\n%s]}',
        b'{"results":\n[%s\n,%s]\n}\n',
        b'{"count": 2, "results": [\n%s, %s]}',
    ],
)
def test_a_list_may_begin_as_it_likes(tmp_path: Path, spread: bytes) -> None:
    assert told(spread % (SEEN, ONE), tmp_path) == [(1, VISIT), (2, A)]


def pages(*objects: list[Any]) -> list[bytes]:
    return [json.dumps({"count": 9, "next": None, "previous": None, "results": one}).encode() for one in objects]


@pytest.mark.parametrize("name", ["f.ndjson", "f.json"])
def test_pages_of_a_list_come_apart_one_to_a_line_or_in_an_array(tmp_path: Path, name: str) -> None:
    first, none, second = pages([VISIT, A], [], [B])
    assert told(b"\n".join([first, none, b"", second, TWO, b"{"]), tmp_path, name) == [
        (1, VISIT),
        (2, A),
        (4, B),  # each object is as a line of its own, and a page without any is none
        (5, B),
        (6, "invalid_json"),
    ]
    assert told(none + b"\n" + first, tmp_path, name) == [(1, VISIT), (2, A)]
    assert told(b"{\n" + b"\n".join([first, second]), tmp_path, name) == [
        (1, "invalid_json"),
        (2, VISIT),
        (3, A),
        (4, B),
    ]
    array = [(1, VISIT), (2, A), (3, B), (4, A)]
    assert told(b"[%s,%s,%s,%s]" % (first, none, second, ONE), tmp_path, name) == array
    assert told(b"[%s,\n%s,\n%s]" % (first, second, ONE), tmp_path, name) == array


def test_an_import_goes_on_within_a_page(tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson"
    path.write_bytes(b"\n".join(pages([VISIT, A], [B, A])))
    assert [item.line for item in items(Source("f", path), after=1)] == [2, 3, 4]


def test_what_only_looks_like_a_page_is_none(tmp_path: Path) -> None:
    twice = b'{"results":[1],"results":[2]}'
    spoilt = b'{"results":[{"start_time":"\\ud800"}]}'
    named = json.dumps(B | {"results": []}).encode()
    for content in (b"\n".join([twice, spoilt, named]), b"[%s,%s]" % (twice, named)):
        kinds = [(item.line, item.kind) for item in items(Source("f", _written(tmp_path, content)))]
        of_lines = content.startswith(b"{")
        assert kinds == ([(1, ""), (2, "MediLoop"), (3, "Patient")] if of_lines else [(1, ""), (2, "Patient")])


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "f"
    path.write_bytes(content)
    return path


def test_an_array_of_one_is_no_lines(tmp_path: Path) -> None:
    assert told(b"[\n%s\n]" % ONE, tmp_path) == [(1, A)]


def test_what_is_neither_is_refused_once(tmp_path: Path) -> None:
    spoilt = json.dumps(bundle({"resource": A}, {"resource": B}), indent=1).encode()[:-9]
    assert told(spoilt, tmp_path) == [(1, "invalid_json")]
    assert told(b"\xff\xfe[\x00", tmp_path) == [(1, "invalid_json")]


def test_one_bad_entry_leaves_the_others_alone(tmp_path: Path) -> None:
    twice = b'{"resource":{"resourceType":"Patient","id":"x","id":"y"}}'
    entries = [
        json.dumps(one).encode()
        for one in ({"resource": A}, {"resource": A | {"gender": None}}, "x", {"resource": B}, {"resource": A, "x": {}})
    ]
    raw = b'{"resourceType":"Bundle","type":"collection","entry":[' + b",".join([*entries, twice]) + b"]}"
    codes = ["null_value", "wrong_type", "empty_value", "duplicate_key"]
    assert told(raw, tmp_path) == [(1, A), (2, codes[0]), (3, codes[1]), (4, B), (5, codes[2]), (6, codes[3])]
    found = list(items(Source("f", tmp_path / "f.json")))
    assert found[1].fault is not None
    assert found[1].fault.problems[0].param == "Bundle.entry[1].resource.gender"
    assert json.loads(found[1].raw) == A | {"gender": None}
    array = b"[%s,%s,%s]" % (ONE, b'{"resourceType":"Patient","id":"x","id":"y"}', b'{"start_time":1,"start_time":2}')
    assert told(array, tmp_path) == [(1, A), (2, "duplicate_key"), (3, "duplicate_key")]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (json.dumps(bundle({"resource": A}, type="history")).encode(), "not_importable"),
        (b'{"resourceType":"Bundle","type":"collection","entry":{}}', "wrong_type"),
        (b'{"resourceType":"Bundle","entry":[1],"entry":[2]}', "duplicate_key"),
        (b'{"results":[1],"results":[2]}', "duplicate_key"),
    ],
)
def test_a_document_that_cannot_be_taken_apart_is_refused_as_one(tmp_path: Path, raw: bytes, code: str) -> None:
    assert told(raw, tmp_path) == [(1, code)]


def test_numbers_and_names_of_a_document_are_those_that_were_sent(tmp_path: Path) -> None:
    place = b'{"resourceType":"Location","id":"l","position":{"longitude":32.5800,"latitude":0.10}}'
    exact = b'"longitude":32.5800,"latitude":0.10'
    spread = place.replace(b",", b",\n")
    wrapped = b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":%s}]}' % place
    for raw in (place, spread, b"[%s]" % spread, wrapped):
        [(_, value)] = told(raw, tmp_path)
        assert exact in encode(value)
    assert told(b'{"resourceType":"Patient",\n"id":"a",\n"id":"b"}', tmp_path) == [(1, "duplicate_key")]


def test_what_can_be_unpacked_comes_in(tmp_path: Path) -> None:
    packed = gzip.compress(b"\n".join([ONE, TWO, b""]))
    for cut in (packed[:-5], packed[:-8] + b"x" * 8):
        assert told(cut, tmp_path, "f.ndjson.gz") == [(1, A), (2, B), (3, "cut_off")]
    many = b"".join(b'{"resourceType":"Patient","id":"%d"}\n' % (n * n * 7919) for n in range(20_000))
    found = told(gzip.compress(many)[:-9_000], tmp_path)
    assert found[-1][1] == "cut_off"
    assert [line for line, _ in found] == list(range(1, len(found) + 1))
    assert len(found) > 1_000
    assert all(isinstance(value, dict) for _, value in found[:-1])
    source = Source("f", tmp_path / "f.json")
    assert [item.line for item in items(source, 0, len(found) - 1)] == [len(found)]
    assert not list(items(source, 0, len(found)))
    assert not list(items(source, 1))
    document = gzip.compress(json.dumps(bundle({"resource": A}), indent=1).encode())
    assert told(document[:-20], tmp_path)[-1][1] == "cut_off"
    assert len(told(document[:-20], tmp_path)) == 1
    assert told(document[:12], tmp_path) == [(1, "cut_off")]


def test_a_put_says_which_resource_it_is(tmp_path: Path) -> None:
    def put(resource: dict[str, Any], url: Any, **members: Any) -> dict[str, Any]:
        return {"resource": resource, "request": {"method": "PUT", "url": url}} | members

    bare = {"resourceType": "Patient"}
    urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    group = {"resourceType": "Group", "member": [{"entity": {"reference": urn}}]}
    entries = [
        put(A, "Patient/b"),
        put(bare, "Patient/put1", fullUrl=urn),
        put(A, "Group/a"),
        put(A, "http://x.org/fhir/Patient/a"),
        put(A, "Patient?identifier=s%7Cx"),
        put(A, 1),
        {"resource": group | {"id": "g"}},
    ]
    found = told(json.dumps(bundle(*entries, type="transaction")).encode(), tmp_path)
    referring = group | {"id": "g", "member": [{"entity": {"reference": "Patient/put1"}}]}
    wrong = "id_mismatch"
    assert [one for _, one in found] == [wrong, bare | {"id": "put1"}, wrong, A, A, A, referring]


def test_the_entries_of_deletions_are_numbered_through_the_file(tmp_path: Path) -> None:
    def gone(*urls: Any) -> dict[str, Any]:
        entries = [{"request": {"method": "DELETE", "url": url}} for url in urls]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    path = tmp_path / "deleted.ndjson.gz"
    bundles = [gone("Patient/a", "Slot/b", 1, "Patient?name=x"), gone(), gone("http://x.org/fhir/Schedule/c")]
    raw = b"".join(json.dumps(one).encode() + b"\n\n" for one in bundles)
    path.write_bytes(gzip.compress(raw))
    source = Source("d", path, deletes=True)
    found = list(items(source))
    assert [(item.line, item.kind, item.deletes, item.fault is None) for item in found] == [
        (1, "Patient", True, True),
        (2, "Slot", True, True),
        (3, "", False, False),
        (4, "", False, False),
        (5, "Schedule", True, True),
    ]
    assert [[item.line for item in items(source, rank)] for rank in (-1, 6, 8)] == [[2], [5], [1]]
    assert [item.line for item in items(source, None, 4)] == [5]
    path.write_bytes(gzip.compress(raw)[:-8] + b"x" * 8)
    last = [*items(source)][5]
    assert last.fault is not None
    assert (last.fault.problems[0].code, last.line > 5, last.deletes) == ("cut_off", True, False)
    twice = b'{"resourceType":"Bundle","entry":[],"entry":[]}'
    path.write_bytes(b"\n".join([b"{", b"[]", ONE, twice]))
    assert [judged(item) for item in items(source)] == ["invalid_json", *["not_importable"] * 3]


@pytest.mark.parametrize("wrong", [b'"\\ud83d"', b'"\\udc4d\\ud83d"', b"1e999999999999999999999", b"-1e400"])
@pytest.mark.parametrize("spread", [b"", b"\n"])
@pytest.mark.parametrize("name", ["f.json", "f.ndjson"])
def test_what_no_text_or_number_can_hold_is_refused_as_its_entry(
    tmp_path: Path, wrong: bytes, spread: bytes, name: str
) -> None:
    spoilt = b'{"resourceType":"Patient","id":"x","multipleBirthInteger":%s}' % wrong
    visit = b'{"id":"w","start_time":%s}' % wrong
    code = "number_out_of_range" if wrong == b"-1e400" else "invalid_json"
    urn = b"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    refers = b'{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"%s"}}]}' % urn
    entries = [b'{"resource":%s}' % ONE, b'{"fullUrl":"%s","resource":%s}' % (urn, spoilt), b'{"resource":%s}' % refers]
    raw = b'{"resourceType":"Bundle","type":"collection","entry":[' + (b"," + spread).join(entries) + b"]}"
    found = told(raw, tmp_path, name)
    assert found[:2] == [(1, A), (2, code)]
    assert found[2][1]["member"] == [{"entity": {"reference": "Patient/x"}}]
    assert [item.raw for item in items(Source("f", tmp_path / name))][1] == spoilt  # as it came, to be corrected
    page = b'{"count":3,"next":%s,"results":[%s]}' % (wrong, (b"," + spread).join([SEEN, visit, spoilt, TWO]))
    for several in (page, b"[%s%s]" % (spread, page)):
        found = told(several, tmp_path, name)
        assert [found[0], found[2], found[3]] == [(1, VISIT), (3, code), (4, B)]
        read_ = [item for item in items(Source("f", tmp_path / name)) if item.line == 2]
        assert (read_[0].kind, read_[0].raw) == ("MediLoop", visit)


@pytest.mark.parametrize("depth", [70, 300, 900])
def test_so_is_what_is_nested_too_deeply(tmp_path: Path, depth: int) -> None:
    deep = b'{"resourceType":"Patient","x":%s1%s}' % (b'{"a":' * depth, b"}" * depth)
    entries = b'{"fullUrl":"urn:oid:1.2","resource":%s},{"resource":%s}' % (deep, ONE)
    raw = b'{"resourceType":"Bundle","type":"collection","entry":[%s]}' % entries
    assert told(raw, tmp_path) == [(1, "too_deep"), (2, A)]
    assert next(items(Source("f", tmp_path / "f.json"))).raw == deep
    assert told(b"[%s,%s]" % (deep, ONE), tmp_path) == [(1, "too_deep"), (2, A)]


@pytest.mark.parametrize(
    ("wrap", "code"), [(lambda inner: [inner], "nested_list"), (lambda inner: {"a": inner}, "too_deep")]
)
def test_whatever_depth_was_read_is_told_of_its_entry(wrap: Callable[[Any], Any], code: str) -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = wrap(deep)
    found = list(entries(bundle({"resource": B | {"x": deep}}, {"resource": A})))
    assert [(item.line, judged(item)) for item in found] == [(1, code), (2, A)]


@pytest.mark.parametrize("wrong", [b'"\\ud800"', b"1e99999999999999999999", b"[" * 300 + b"]" * 300])
@pytest.mark.parametrize("member", [b'"fullUrl":%s', b'"resource":%s'])
def test_so_is_what_spoils_one_of_several_deletions(tmp_path: Path, wrong: bytes, member: bytes) -> None:
    one, other = (b'{"request":{"method":"DELETE","url":"Patient/%s"}}' % name for name in (b"a", b"b"))
    spoilt = b'{"request":{"method":"DELETE","url":"Patient/x"},%s}' % (member % wrong)
    raw = b'{"resourceType":"Bundle","type":"transaction","entry":[%s]}'
    path = tmp_path / "deleted.ndjson"
    path.write_bytes(raw % b",".join([one, spoilt, other]) + b"\n" + raw % one)
    found = list(items(Source("d", path, deletes=True)))
    assert [(item.line, item.deletes) for item in found] == [(1, True), (2, False), (3, True), (4, True)]
    assert (found[1].raw, judged(found[1])) == (
        spoilt,
        "invalid_json" if b"fullUrl" in member else "not_importable",
    )
