"""Who is near is told by the address that was connected to: a look-up may say something else a moment later."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.importing.fetching import Into, SourceError, download
from adapter.importing.nearness import Guard, is_near
from adapter.importing.sources import find
from tests.adapter.importing.hosts import Host, manifest

LINE = b'{"resourceType":"Patient","id":"a"}\n'
NEAR = r"on this machine or its own network.*by its own address"
FAR = "93.184.216.34"

Answers = Callable[..., None]


@pytest.fixture
def here() -> Iterator[Host]:
    made = Host()
    made.answers = {"/f": (200, LINE)}
    yield made
    made.close()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Lets look-ups have these answers, one after another; the last one stays. An answer may be several addresses."""
    known = socket.getaddrinfo

    def settle(*those: str) -> None:
        left = list(those)

        def found(host: str, *others: Any, **more: Any) -> Any:
            answer = left.pop(0) if len(left) > 1 else left[0]
            return [one for address in answer.split() for one in known(address, *others, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return settle


def by_name(host: Host, scheme: str = "http") -> str:
    return f"{scheme}://turns.example:{host.server.server_port}"


@pytest.mark.parametrize(
    ("host", "near"),
    [
        *((host, True) for host in ("127.0.0.1", "169.254.169.254", "10.1.2.3", "192.168.0.1", "[::1]", "[fe80::1]")),
        *((host, True) for host in ("0.0.0.0", "localhost", "[fd00::1]", "[::ffff:10.0.0.1]", "2130706433")),
        *((host, False) for host in ("8.8.8.8", "[2001:4860:4860::8888]", "[::ffff:8.8.8.8]", "[::1", "a..b", "")),
    ],
)
def test_what_is_near(host: str, near: bool) -> None:
    assert is_near(f"http://{host}/x") is near


@pytest.mark.parametrize("near", [False, None])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_turns_round_after_the_look_up_is_not_asked(
    here: Host, answers: Answers, tmp_path: Path, scheme: str, near: bool | None
) -> None:
    answers(FAR, "127.0.0.1")
    with pytest.raises(SourceError, match=r"turns\.example \(127\.0\.0\.1\): .*" + NEAR):
        download(f"{by_name(here, scheme)}/f", Into(tmp_path, pytest.fail), None, near=near)
    assert here.asked == []
    assert not list(tmp_path.iterdir())


def test_so_is_one_that_could_not_be_looked_up_at_first(here: Host, answers: Answers, tmp_path: Path) -> None:
    answers("a..b", "127.0.0.1")
    with pytest.raises(SourceError, match=NEAR):
        download(f"{by_name(here)}/f", Into(tmp_path, pytest.fail), None, near=False)
    assert here.asked == []


def test_so_is_one_that_a_redirect_leads_to(
    here: Host, answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", here.base)
    monkeypatch.setenv("no_proxy", "turns.example")
    here.answers["http://far.example/m"] = (302, f"{by_name(here)}/f".encode())
    # Looked up: who is fetched, the proxy, who the redirect leads to; and then who is connected to.
    answers(FAR, "127.0.0.1", FAR, "127.0.0.1")
    with pytest.raises(SourceError, match=r"turns\.example.*" + NEAR):
        find(["http://far.example/m"], tmp_path)
    assert [path for path, _ in here.asked] == ["http://far.example/m"]


@pytest.mark.parametrize(
    ("peer", "near"), [(FAR, False), ("10.0.0.7", True), ("::ffff:10.0.0.7", True), ("2001:4860::1", True)]
)
def test_who_only_seemed_near_leads_to_nobody_near(answers: Answers, peer: str, near: bool) -> None:
    answers("10.0.0.7 2001:4860::1")
    guard = Guard("http://turns.example/m", None)
    guard.meet("turns.example", peer)
    assert guard.near is near
    guard.meet("other.example", FAR)  # whoever it leads to
    assert guard.near is near


def test_who_is_near_leads_to_who_is_near(here: Host, answers: Answers, tmp_path: Path) -> None:
    answers("127.0.0.1")
    here.answers["/m"] = (200, manifest("f"))
    for resumed in (False, True):
        [source] = find([f"{by_name(here)}/m"], tmp_path, resumed=resumed)
        assert source.path.read_bytes() == LINE
        source.path.unlink()  # it is fetched again


def test_a_proxy_may_be_near_and_looks_names_up_itself(
    here: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", here.base)
    here.answers[f"http://{FAR}/f"] = (200, LINE)
    assert download(f"http://{FAR}/f", Into(tmp_path, pytest.fail), None, near=False).path.read_bytes() == LINE
    with pytest.raises(SourceError, match="Tunnel connection failed: 501"):  # the proxy is asked, and is none for that
        download(f"https://{FAR}/f", Into(tmp_path, pytest.fail), None, near=False)
    with pytest.raises(SourceError, match=NEAR):
        download("http://10.0.0.7/f", Into(tmp_path, pytest.fail), None, near=False)
