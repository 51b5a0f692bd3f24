"""The files of a bulk manifest are fetched once, and the token is told to the manifest's host alone."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from adapter.importing import fetching
from adapter.importing.fetching import SourceError, is_for
from adapter.importing.sources import find
from tests.adapter.importing.hosts import Host, manifest

LINE = b'{"resourceType":"Patient","id":"a"}\n'
OTHER = LINE.replace(b"a", b"b")


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    made = (Host(), Host())
    yield made
    for one in made:
        one.close()


def test_the_files_of_a_manifest(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, other = hosts
    ours.answers = {
        "/m": (200, manifest(f"{ours.base}/1", f"{other.base}/2", f"{ours.base}/3")),
        "/1": (200, LINE),
        "/3": (302, f"{other.base}/3".encode()),
    }
    other.answers = {"/2": (200, LINE), "/3": (200, LINE)}
    found = find([f"{ours.base}/m"], tmp_path, "secret")
    assert [source.path.read_bytes() for source in found] == [LINE] * 3
    assert [source.name for source in found] == [f"{ours.base}/1", f"{other.base}/2", f"{ours.base}/3"]
    assert ours.asked == [("/m", "Bearer secret"), ("/1", "Bearer secret"), ("/3", "Bearer secret")]
    assert other.asked == [("/2", None), ("/3", None)]
    find([f"{ours.base}/m"], tmp_path, "secret", resumed=True)
    assert len(ours.asked) + len(other.asked) == 5  # what is there is not fetched again
    ours.asked.clear()
    find([f"{ours.base}/m"], tmp_path, "secret")
    assert ours.asked == [("/m", "Bearer secret")]  # another may have been published since


@pytest.mark.parametrize("changed", [{"sha256": hashlib.sha256(OTHER).hexdigest()}, {"moment": "y"}])
def test_a_file_is_kept_for_what_its_manifest_says_of_it(
    hosts: tuple[Host, Host], tmp_path: Path, changed: dict[str, str]
) -> None:
    ours, _ = hosts
    here = tmp_path / "manifest.json"
    for now in ({}, changed):
        ours.answers |= {"/m": (200, manifest("f", "none", **now)), "/f": (200, OTHER if now else LINE)}
        with pytest.raises(SourceError, match="/none: answered 404"):
            find([f"{ours.base}/m"], tmp_path / "fetched")
        here.write_bytes(manifest(f"{ours.base}/f", **now))
        [source] = find([str(here)], tmp_path / "local")
        assert source.path.read_bytes() == (OTHER if now else LINE)
    ours.answers["/none"] = (200, OTHER)
    first, _ = find([f"{ours.base}/m"], tmp_path / "fetched")
    assert first.path.read_bytes() == OTHER
    assert [path for path, _ in ours.asked].count("/f") == 4  # twice for each folder


@pytest.mark.parametrize("said", [{}, {"size": len(LINE)}, {"count": 1}, {"sha256": hashlib.sha256(LINE).hexdigest()}])
@pytest.mark.parametrize(
    "left", [b"", LINE[:-5], OTHER, LINE + OTHER, None], ids=["empty", "cut", "other", "longer", "gone"]
)
def test_a_kept_file_that_is_not_as_it_came_is_fetched_again(
    hosts: tuple[Host, Host], tmp_path: Path, left: bytes | None, said: dict[str, object]
) -> None:
    """A loss of power may leave its name and not what was in it."""
    ours, _ = hosts
    ours.answers = {"/m": (200, manifest("f", **said)), "/f": (302, b"/there"), "/there": (200, LINE)}
    for _ in range(2):
        [kept] = find([f"{ours.base}/m"], tmp_path)
    assert [path for path, _ in ours.asked].count("/there") == 1
    for broken in (kept.path, kept.path.with_suffix(".came")):
        if left is None:
            broken.unlink()
        else:
            broken.write_bytes(left)
        [again] = find([f"{ours.base}/m"], tmp_path)
        assert (again, again.path.read_bytes()) == (kept, LINE)
    assert [path for path, _ in ours.asked].count("/there") == 3


def test_a_manifest_that_was_led_to_lists_what_is_beside_it_there(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    ours.answers = {
        "/latest": (302, b"/exports/1/m"),
        "/exports/1/m": (200, manifest("f")),
        "/exports/1/f": (200, LINE),
        "/f": (200, OTHER),
    }
    asked = [(path, "Bearer secret") for path in ("/latest", "/exports/1/m", "/exports/1/f")]
    [source] = find([f"{ours.base}/latest"], tmp_path, "secret")
    assert (source.name, source.path.read_bytes()) == (f"{ours.base}/exports/1/f", LINE)
    assert ours.asked == asked
    ours.answers["/latest"] = (302, b"/exports/2/m")
    assert find([f"{ours.base}/latest"], tmp_path, "secret", resumed=True) == [source]
    assert ours.asked == asked


def test_a_manifest_in_parts_is_fetched_whole(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    def part(*urls: str, onward: str = "") -> bytes:
        links = [{"relation": "self", "url": "x"}, *([{"relation": "next", "url": onward}] if onward else [])]
        return json.dumps({**json.loads(manifest(*urls)), "link": links}).encode()

    ours, _ = hosts
    ours.answers = {
        "/m": (200, part("1", onward="b/m")),
        "/b/m": (200, part("2", onward="c")),
        "/b/c": (200, part()),
        "/1": (200, LINE),
        "/b/2": (200, OTHER),
    }
    found = find([f"{ours.base}/m"], tmp_path, "secret")
    assert [(one.path.read_bytes(), one.stage) for one in found] == [(LINE, 0), (OTHER, 0)]
    assert {token for _, token in ours.asked} == {"Bearer secret"}
    for wrong in (part(onward="/m"), b"[]"):
        ours.answers["/b/c"] = (200, wrong)
        with pytest.raises(SourceError, match="no further part"):
            find([f"{ours.base}/m"], tmp_path)
    here = tmp_path / "here" / "manifest.json"
    here.parent.mkdir()
    here.write_bytes(part(onward=f"{ours.base}/b/m"))
    for word in (here, here.parent):
        with pytest.raises(SourceError, match=r"only a part of a manifest, which goes on at .*/b/m"):
            find([str(word)], tmp_path)


@pytest.mark.parametrize("name", ["error", "outcome"])
def test_what_a_server_tells_to_be_missing_is_told(hosts: tuple[Host, Host], tmp_path: Path, name: str) -> None:
    ours, _ = hosts
    files = [{"type": "OperationOutcome", "url": "e"}, {"type": "OperationOutcome", "url": "none", "count": 0}]
    body = json.dumps({**json.loads(manifest()), name: files}).encode()
    ours.answers = {"/m": (200, body)}
    here = tmp_path / "here" / "manifest.json"
    here.parent.mkdir()
    here.write_bytes(body)
    told: list[str] = []
    for word in (f"{ours.base}/m", str(here), str(here.parent)):
        assert find([word], tmp_path, tell=told.append) == []
    said = "in 1 file, which is not imported, its server tells what is missing of that export, or wrong with it"
    assert told == [f"{ours.base}/m: {said}: {ours.base}/e", *[f"{here}: {said}: e"] * 2]


def test_a_token_is_for_no_host_that_is_led_to(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, other = hosts
    ours.answers = {"/m": (302, f"{other.base}/m".encode()), "/back": (200, LINE), "/f": (200, LINE)}
    other.answers = {"/m": (200, manifest("f", "g", f"{ours.base}/f")), "/f": (200, LINE)}
    other.answers["/g"] = (302, f"{ours.base}/back".encode())
    find([f"{ours.base}/m"], tmp_path, "secret")
    assert other.asked == [("/m", None), ("/f", None), ("/g", None)]
    assert ours.asked == [("/m", "Bearer secret"), ("/back", None), ("/f", "Bearer secret")]


@pytest.mark.parametrize(
    ("named", "url", "is_theirs"),
    [
        ("https://a.example/m", "https://A.example:443/f", True),
        ("http://a.example/m", "https://a.example/f", True),
        ("https://a.example/m", "http://a.example/f", False),
        ("http://a.example:8080/m", "https://a.example/f", False),
        ("http://a.example/m", "https://a.example:8443/f", False),
        ("http://a.example/m", "https://b.example/f", False),
        ("http://a.example/m", "http://a.example:p/f", False),
    ],
)
def test_whom_a_token_is_for(named: str, url: str, is_theirs: bool) -> None:
    assert is_for(named, url) is is_theirs


@pytest.mark.parametrize(
    ("code", "said"),
    [(401, "token right"), (403, "token right"), (404, "address right"), (410, "address right"), (500, "later")],
)
def test_what_an_answer_may_mean_is_said(hosts: tuple[Host, Host], tmp_path: Path, code: int, said: str) -> None:
    ours, _ = hosts
    ours.answers = {"/m": (code, b""), "/round": (302, b"/round")}
    with pytest.raises(SourceError, match=f"answered {code}.*{said}"):
        find([f"{ours.base}/m"], tmp_path, "secret")
    with pytest.raises(SourceError, match=r"/round: answered 302, which leads in a circle") as raised:
        find([f"{ours.base}/round"], tmp_path, "secret")
    assert "token" not in str(raised.value)


def test_a_server_that_asks_to_be_asked_later_is(
    hosts: tuple[Host, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(fetching, "sleep", waited.append)
    ours, _ = hosts
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=40))
    ours.answers = {"/m": (200, manifest(f"{ours.base}/1")), "/1": (200, LINE)}
    ours.later = {"/m": ["7"], "/1": ["0", soon]}
    (source,) = find([f"{ours.base}/m"], tmp_path, "secret")
    assert source.path.read_bytes() == LINE
    assert [round(one / 10) for one in waited] == [1, 0, 4]
    assert waited[1] > 0
    assert ours.asked == [(path, "Bearer secret") for path in ("/m", "/m", "/1", "/1", "/1")]


@pytest.mark.parametrize(
    "later", ["86400", "Thu, 01 Jan 2099 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 +99999999999999", "soon", "-1"]
)
def test_a_server_that_asks_to_be_asked_much_later_ends_the_command(
    hosts: tuple[Host, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    monkeypatch.setattr(fetching, "sleep", lambda _: pytest.fail("waited"))
    ours, _ = hosts
    ours.answers, ours.later = {"/m": (200, manifest())}, {"/m": [later]}
    with pytest.raises(SourceError, match="/m: answered 429"):
        find([f"{ours.base}/m"], tmp_path)


def test_a_server_that_asks_to_be_asked_later_again_and_again_ends_the_command(
    hosts: tuple[Host, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(fetching, "sleep", waited.append)
    ours, _ = hosts
    ours.later = {"/m": ["60"] * 100}
    with pytest.raises(SourceError, match="/m: answered 429"):
        find([f"{ours.base}/m"], tmp_path)
    assert sum(waited) == 600


def test_an_address_may_be_that_of_a_file(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    ours.answers = {"/f": (200, LINE)}
    [source] = find([f"{ours.base}/f"], tmp_path)
    assert source.path.read_bytes() == LINE
    assert ours.asked == [("/f", None)]


def test_what_cannot_be_fetched_is_said(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    ours.answers = {
        "/busy": (202, b""),
        "/leads": (302, b"file:///etc/passwd"),
        "/astray": (302, b"ftp://127.0.0.1:9/x"),  # which urllib itself would follow
        "/lists": (200, manifest("file:///etc/passwd")),
    }
    for path, said in (("/none", "404"), ("/busy", "202"), ("/leads", "302"), ("/astray", "302"), ("/lists", "http")):
        with pytest.raises(SourceError, match=said):
            find([f"{ours.base}{path}"], tmp_path)
    with pytest.raises(SourceError, match="refused"):
        find(["http://127.0.0.1:9/x"], tmp_path)


@pytest.mark.parametrize("address", ["http://[::1/x", "http://a..b/x", "http://127.0.0.1/ä", "http://127.0.0.1:p/x"])
def test_what_is_no_address_is_said(hosts: tuple[Host, Host], tmp_path: Path, address: str) -> None:
    ours, _ = hosts
    ours.answers = {"/m": (200, manifest(address)), "/leads": (302, b"http://[::1/x")}
    here = tmp_path / "here" / "manifest.json"
    here.parent.mkdir()
    here.write_bytes(manifest(address))
    for word in (address, f"{ours.base}/m", str(here)):
        with pytest.raises(SourceError, match=re.escape(address) + ".*no address") as raised:
            find([word], tmp_path)
        assert "lost" not in str(raised.value)
    with pytest.raises(SourceError, match=r"/leads.*no address"):
        find([f"{ours.base}/leads"], tmp_path)
    if "[" in address:
        with pytest.raises(SourceError, match=re.escape(address) + ".*no address"):
            find([str(here.parent)], tmp_path)


def test_a_token_that_no_header_can_hold_is_not_shown(tmp_path: Path) -> None:
    for token in ("sec\nret", "sécret"):
        with pytest.raises(SourceError, match=r"^--token: [^:]*$") as raised:
            find(["http://127.0.0.1:9/x"], tmp_path / "fetched", token)
        assert "ret" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["/sized", "/unsized", "/chunked"])
def test_a_lost_connection_is_not_the_end_of_a_file(hosts: tuple[Host, Host], tmp_path: Path, path: str) -> None:
    ours, _ = hosts
    ours.answers = {"/m": (200, manifest(path.removeprefix("/"), count=2)), path: (200, LINE * 2)}
    ours.lost = {path: len(LINE)}  # at the end of a line, where nothing looks spoilt
    with pytest.raises(SourceError, match=f"{path}: .*again"):
        find([f"{ours.base}/m"], tmp_path)
    ours.lost.clear()
    if path != "/chunked":
        [source] = find([f"{ours.base}/m"], tmp_path)
        assert source.path.read_bytes() == LINE * 2


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"count": 2}, "2"),
        ({"size": 7}, "7"),
        ({"sha256": "0" * 64, "size": len(LINE)}, "sha256"),
        ({"type": "Bundle", "count": 2}, None),
        ({"count": 1, "sha256": hashlib.sha256(LINE).hexdigest(), "size": len(LINE)}, None),
    ],
)
def test_a_file_is_what_the_manifest_says(
    hosts: tuple[Host, Host], tmp_path: Path, said: dict[str, object], word: str | None
) -> None:
    ours, _ = hosts
    ours.answers = {"/m": (200, manifest("f", **said)), "/f": (200, LINE)}
    if word is None:
        assert len(find([f"{ours.base}/m"], tmp_path)) == 1
        return
    with pytest.raises(SourceError, match=f"/f: .*{word}.*again"):
        find([f"{ours.base}/m"], tmp_path)


def test_a_packed_file_is_counted_unpacked(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    packed = gzip.compress(LINE + b"\n" + LINE)
    ours.answers = {
        "/m": (200, manifest("f", count=2)),
        "/f": (200, packed),
        "/n": (200, manifest("g", count=2)),
        "/g": (200, packed[:-9]),
    }
    assert len(find([f"{ours.base}/m"], tmp_path)) == 1
    with pytest.raises(SourceError, match=r"/g: .*unpacked.*again"):
        find([f"{ours.base}/n"], tmp_path)


def test_what_is_fetched_can_be_read_by_its_owner_alone(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    ours.answers = {"/m": (200, manifest("f", "g")), "/f": (200, LINE), "/g": (200, LINE)}
    ours.lost = {"/g": 3}
    here = tmp_path / "here" / "manifest.json"
    here.parent.mkdir()
    here.write_bytes(manifest(f"{ours.base}/f", f"{ours.base}/g"))
    for number, word in enumerate((f"{ours.base}/m", str(here))):
        folder = tmp_path / f"state.{number}" / "files"
        with pytest.raises(SourceError, match="/g"):
            find([word], folder)
        assert [one.stat().st_mode & 0o777 for one in (folder, folder.parent)] == [0o700] * 2
        there = sorted(folder.iterdir())
        assert {one.suffix for one in there} == {"", ".came", ".part"}
        assert {one.stat().st_mode & 0o777 for one in there} == {0o600}


def test_what_only_looks_like_a_manifest_is_a_file(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    ours.answers = {"/a": (200, b'{"output": 1}'), "/b": (200, b'{"output": [{}]}')}
    for path, (_, body) in ours.answers.items():
        [source] = find([ours.base + path], tmp_path)
        assert source.path.read_bytes() == body


def test_a_manifest_that_is_here_is_read_as_one_that_is_fetched(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    ours.answers = {"/f": (200, LINE)}
    near = tmp_path / "e" / "my file.ndjson"
    far = near.parent / "more" / "far.ndjson"
    far.parent.mkdir(parents=True)
    for path in (far, near):
        path.write_bytes(LINE)
    here = near.parent / "manifest.json"
    addresses = ("my%20file.ndjson", str(far), far.as_uri(), f"{ours.base}/f")
    here.write_bytes(manifest(*addresses, count=1))
    found = find([str(here)], tmp_path / "fetched", "secret")
    assert [source.path.read_bytes() for source in found] == [LINE] * 4
    assert [source.path for source in found[:3]] == [near, far, far]
    assert ours.asked == [("/f", None)]
    for content, said in (
        (manifest("my%20file.ndjson", count=2), "my file.*manifest says 2"),
        (manifest("none.ndjson"), "none.ndjson.*not there"),
        (manifest("ftp://x.org/f"), "ftp"),
        (b'{"output":[],"extension":{"complete":false}}', "not come to its end"),
    ):
        here.write_bytes(content)
        with pytest.raises(SourceError, match=said):
            find([str(here)], tmp_path / "fetched")
    here.write_bytes(LINE)
    assert find([str(here)], tmp_path)[0].path == here


@pytest.mark.parametrize(
    "address", ["../secret.txt", "%2E%2E/secret.txt", "a/../../secret.txt", "link", "/", "file://"]
)
def test_a_manifest_reads_no_files_but_those_beside_and_below_it(tmp_path: Path, address: str) -> None:
    secret, folder = tmp_path / "secret.txt", tmp_path / "partner"
    folder.mkdir()
    secret.write_bytes(LINE)
    (folder / "f.ndjson").write_bytes(LINE)
    (folder / "link").symlink_to(secret)
    listed = f"{address}{secret}" if address == "file://" else str(secret) if address == "/" else address
    here = folder / "manifest.json"
    for content in (manifest("f.ndjson", listed), deleting(listed)):
        here.write_bytes(content)
        with pytest.raises(
            SourceError, match=r"manifest\.json lists it, and it is not in that folder.*by its own name"
        ):
            find([str(here)], tmp_path / "fetched")
    with pytest.raises(SourceError, match="not in that folder"):  # that tells what was deleted
        find([str(folder)], tmp_path / "fetched")
    here.write_bytes(manifest("f.ndjson", listed))
    if address in ("/", "file://"):  # perhaps of another machine, and not read
        assert [source.path.name for source in find([str(folder)], tmp_path / "fetched")] == ["f.ndjson"]
    else:
        with pytest.raises(SourceError, match="not in that folder"):
            find([str(folder)], tmp_path / "fetched")


@pytest.mark.parametrize("listed", ["a%00b.ndjson", "a\0b.ndjson", "https://x.org/a%00b.ndjson"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, listed: str) -> None:
    here = tmp_path / "manifest.json"
    (tmp_path / "f.ndjson").write_bytes(LINE)
    for content in (manifest(listed), deleting(listed)):
        here.write_bytes(content)
        for word in [tmp_path, *([] if "://" in listed else [here])]:
            with pytest.raises(SourceError, match=r"manifest\.json lists it, and no file can have that name"):
                find([str(word)], tmp_path / "fetched")


FAR = "http://8.8.8.8"
"""A host elsewhere; the tests ask a proxy for it."""


@pytest.fixture
def proxied(hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch) -> Host:
    """The first host, as the proxy for all but this machine."""
    monkeypatch.setenv("http_proxy", hosts[0].base)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return hosts[0]


def test_who_is_elsewhere_has_this_machine_ask_nobody_near(
    hosts: tuple[Host, Host], proxied: Host, tmp_path: Path
) -> None:
    inner = hosts[1]
    inner.answers = {"/f": (200, LINE)}
    proxied.answers = {
        f"{FAR}/m": (200, manifest(f"{inner.base}/f")),
        f"{FAR}/n": (200, manifest("leads")),
        f"{FAR}/leads": (302, f"{inner.base}/f".encode()),
    }
    for path in ("m", "n", "leads"):
        with pytest.raises(SourceError, match=r"on this machine or its own network.*by its own address"):
            find([f"{FAR}/{path}"], tmp_path, "secret")
    assert inner.asked == []
    proxied.answers |= {
        f"{FAR}/o": (200, manifest("http://8.8.4.4/a", "b")),
        "http://8.8.4.4/a": (302, b"http://9.9.9.9/a"),
        "http://9.9.9.9/a": (200, LINE),
        f"{FAR}/b": (200, LINE),
    }
    assert [source.path.read_bytes() for source in find([f"{FAR}/o"], tmp_path)] == [LINE, LINE]


def deleting(*urls: str, moment: str = "x") -> bytes:
    """A manifest of one file, and of others that tell what was deleted."""
    deleted = [{"type": "Bundle", "url": url} for url in urls]
    output = [{"type": "Patient", "url": "f.ndjson"}]
    return json.dumps({"transactionTime": moment, "output": output, "deleted": deleted}).encode()


def test_a_manifest_lists_what_was_deleted_too(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, other = hosts
    ours.answers = {"/m": (200, deleting("d", f"{other.base}/d")), "/f.ndjson": (200, LINE), "/d": (200, LINE)}
    other.answers = {"/d": (200, LINE)}
    found = find([f"{ours.base}/m"], tmp_path, "secret")
    assert [(source.name, source.deletes) for source in found] == [
        (f"{ours.base}/f.ndjson", False),
        (f"{ours.base}/d", True),
        (f"{other.base}/d", True),
    ]
    assert (other.asked, ours.asked[-1]) == ([("/d", None)], ("/d", "Bearer secret"))


def test_each_manifest_is_a_stage_and_a_folder_is_as_its_manifests_say(tmp_path: Path) -> None:
    for name, moment in (("a", "2027-01-03"), ("b", "2027-01-02")):
        folder = tmp_path / "exports" / name
        folder.mkdir(parents=True)
        for file in ("f.ndjson", "d.ndjson"):
            (folder / file).write_bytes(LINE)
        (folder / "manifest.json").write_bytes(deleting("https://x.org/files/d.ndjson", moment=moment))
    for path in (tmp_path / "exports" / "loose.ndjson", tmp_path / "last.ndjson"):
        path.write_bytes(LINE)
    last = str(tmp_path / "last.ndjson")
    words = [last, str(tmp_path / "exports"), str(tmp_path / "exports" / "b"), last, last]
    found = [
        (source.stage, source.path.parent.name, source.path.name, source.deletes) for source in find(words, tmp_path)
    ]
    both = [("f.ndjson", False), ("d.ndjson", True)]
    assert found == [
        (0, tmp_path.name, "last.ndjson", False),
        (0, "exports", "loose.ndjson", False),
        *((1, "b", *file) for file in both),
        *((2, "a", *file) for file in both),
        *((3, "b", *file) for file in both),
        *((4, tmp_path.name, "last.ndjson", False),) * 2,
    ]


def test_exports_below_one_folder_come_in_the_order_of_their_times_not_of_the_text(tmp_path: Path) -> None:
    moments = {
        "third": "2027-01-02T10:00:00+03:00",
        "second": "2027-01-02T06:30:00.5Z",
        "first": "2027-01-02T06:30:00Z",
        "last": "2027-01-02T01:00:00-08:00",
    }
    for name, moment in moments.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "f.ndjson").write_bytes(LINE)
        (tmp_path / name / "manifest.json").write_bytes(deleting(moment=moment))
    found = find([str(tmp_path)], tmp_path)
    assert [source.path.parent.name for source in found] == ["first", "second", "third", "last"]
    for unreadable in ("", "x", "0001-01-01T00:00:00+14:00"):
        (tmp_path / "third" / "manifest.json").write_bytes(deleting(moment=unreadable))
        with pytest.raises(SourceError, match=r"third.*no transactionTime.*one by one"):
            find([str(tmp_path)], tmp_path)
        assert len(find([str(tmp_path / "third")], tmp_path)) == 1  # there is nothing to put in order


def test_deletions_that_are_not_there_are_missed(tmp_path: Path) -> None:
    (tmp_path / "f.ndjson").write_bytes(LINE)
    manifest_ = tmp_path / "manifest.json"
    for url in ("https://x.org/files/d.ndjson", "d.ndjson"):
        manifest_.write_bytes(deleting(url))
        with pytest.raises(SourceError, match=r"d\.ndjson.*not there"):
            find([str(tmp_path)], tmp_path)
    manifest_.write_bytes(b'{"output":[],"extension":{"complete":false}}')
    with pytest.raises(SourceError, match="not come to its end"):
        find([str(tmp_path)], tmp_path)
    for no_manifest in (b"[]", b'{"output":[],"deleted":1}', b'{"output":[],"deleted":[1]}'):
        manifest_.write_bytes(no_manifest)
        assert [source.path.name for source in find([str(tmp_path)], tmp_path)] == ["f.ndjson"]


def test_a_folder_is_whole_where_its_manifest_is_about_the_files_in_it(tmp_path: Path) -> None:
    here = tmp_path / "export" / "manifest.json"
    here.parent.mkdir()
    whole = {"size": 2 * len(LINE), "sha256": hashlib.sha256(LINE * 2).hexdigest(), "count": 2}
    file = here.parent / "my file.ndjson"
    (tmp_path / "loose.ndjson").write_bytes(LINE)
    for said in (whole, {"count": 2}):
        here.write_bytes(manifest("my%20file.ndjson", **said))
        file.write_bytes(LINE * 2)
        (here.parent / "more.ndjson").write_bytes(LINE)  # of an earlier export: nothing is said of it
        assert [source.path.name for source in find([str(tmp_path)], tmp_path)][1:] == ["more.ndjson", file.name]
        file.write_bytes(LINE)
        with pytest.raises(SourceError, match=r"my file\.ndjson: it has.*the manifest says.*by name"):
            find([str(tmp_path)], tmp_path)
        file.unlink()
        with pytest.raises(
            SourceError, match=r"my file\.ndjson: .*manifest\.json lists it, and it is not there.*by name"
        ):
            find([str(tmp_path)], tmp_path)


def test_files_that_were_fetched_may_have_other_names_than_their_manifest_gives_them(tmp_path: Path) -> None:
    here = tmp_path / "manifest.json"
    (tmp_path / "renamed.ndjson").write_bytes(LINE)
    (tmp_path / "f.ndjson").write_bytes(LINE)
    for addresses in (
        ["https://x.org/p.ndjson"],
        ["https://x.org/1/f.ndjson", "https://x.org/2/f.ndjson"],
        ["s3://b/f"],
    ):
        here.write_bytes(manifest(*addresses, count=2))
        assert [source.path.name for source in find([str(tmp_path)], tmp_path)] == ["f.ndjson", "renamed.ndjson"]
    here.write_bytes(manifest("https://x.org/1/f.ndjson?page=1", count=2))
    with pytest.raises(SourceError, match=r"f\.ndjson: it has 1 resources, the manifest says 2"):
        find([str(tmp_path)], tmp_path)


def test_an_export_of_nothing_is_no_fault_and_one_of_other_files_is(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    ours, _ = hosts
    here = tmp_path / "here" / "manifest.json"
    here.parent.mkdir()
    here.write_bytes(manifest())
    ours.answers = {"/m": (200, manifest())}
    for words in ([str(here)], [str(here.parent)], [str(tmp_path), str(here)], [f"{ours.base}/m"]):
        assert find(words, tmp_path / "fetched") == []
    for name in ("a.ndjson", "b.ndjson"):
        (tmp_path / name).write_bytes(LINE)
    found = find([str(tmp_path / "a.ndjson"), str(here), str(tmp_path / "b.ndjson")], tmp_path / "fetched")
    assert [(source.path.name, source.stage) for source in found] == [("a.ndjson", 0), ("b.ndjson", 0)]
    here.write_bytes(manifest("Patient.parquet"))
    (here.parent / "Patient.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match="nothing to import"):
        find([str(here.parent)], tmp_path / "fetched")


@pytest.mark.parametrize("word", ["", " ", "\t"])
def test_a_blank_word_is_not_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    (tmp_path / "a.ndjson").write_bytes(LINE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="A source is blank: name a file"):
        find(["a.ndjson", word], tmp_path)
    assert len(find(["."], tmp_path)) == 1
