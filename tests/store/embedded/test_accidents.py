"""The embedded server and its owner are killed, stopped and moved about: who takes over, and what is still there."""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from store import embedded, embedded_server
from store.embedded_process import Process, State
from tests.store.embedded.servers import WAYS_OUT, Other, alive, killed, quick, read, transact, wait_until, write


def test_a_server_whose_owner_was_killed_is_adopted(data: Path) -> None:
    other = Other(data).ready()
    write(other.uri, 1)
    other.end(signal.SIGKILL)
    with embedded.start(data) as server:
        assert (server.pid, server.owned) == (other.pid, True)
        assert read(server.uri) == [1]
    assert not alive(server.pid)


def test_a_server_that_was_killed_comes_back_with_what_it_acknowledged(data: Path) -> None:
    first = embedded.start(data)
    write(first.uri, 1)
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: not alive(first.pid))
    with quick(data) as server:
        assert server.owned
        assert server.pid != first.pid
        assert read(server.uri) == [1]
        first.close()  # its server is gone; this one is not its business
        transact(server.uri)
        assert embedded.running(data) == server.uri
    assert (data / "mongodb" / "mongod.log.1").exists()


def says_it_takes_writes(client: MongoClient[dict[str, Any]]) -> bool:
    try:
        return bool(client.admin.command("hello").get("isWritablePrimary"))
    except PyMongoError:
        return False


def test_a_server_that_somebody_stops_is_started_anew(data: Path) -> None:
    first = embedded.start(data)
    # A connection of before: for a moment after the signal the server still says that it takes writes.
    with MongoClient[dict[str, Any]](first.uri.partition("&")[0], serverSelectionTimeoutMS=500) as client:
        client.admin.command("hello")
        os.kill(first.pid, signal.SIGTERM)
        wait_until(lambda: not says_it_takes_writes(client))
    assert alive(first.pid)  # it takes its time to end
    with quick(data) as server:
        assert server.pid != first.pid
        transact(server.uri)
        first.close()


@pytest.mark.parametrize("place", ["data", "long" * 20])
def test_a_server_that_was_killed_is_renewed_where_it_was(tmp_path: Path, run_base: Path, place: str) -> None:
    with quick(tmp_path / place) as server:
        uri = server.uri
        assert server.kept()
        write(uri, 1)
        before = killed(server)
        assert not server.kept()
        server.renew()
        assert server.kept()
        assert (server.uri, server.owned) == (uri, True)
        assert server.pid != before
        assert read(uri) == [1]
    assert list(run_base.iterdir()) == []


def test_of_two_that_lose_their_owner_one_starts_the_server_and_the_other_joins_it(data: Path) -> None:
    owner = Other(data, then="input()\nserver.close()").ready()
    first, second = embedded.start(data), embedded.start(data)
    write(first.uri, 1)
    owner.go()
    assert owner.end() == 0
    assert not first.kept()
    assert not second.kept()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda one: one.renew(), (first, second)))
    assert first.pid == second.pid != owner.pid
    assert sorted((first.owned, second.owned)) == [False, True]
    assert read(first.uri) == [1]
    joiner, starter = sorted((first, second), key=lambda one: one.owned)
    joiner.close()
    assert alive(starter.pid)
    starter.close()
    assert not alive(starter.pid)


def test_a_server_whose_owner_was_killed_is_taken_over_by_who_uses_it(data: Path) -> None:
    owner = Other(data).ready()
    server = embedded.start(data)
    owner.end(signal.SIGKILL)
    wait_until(lambda: not server.kept())
    server.renew()
    assert (server.pid, server.owned, server.kept()) == (owner.pid, True, True)
    server.close()
    assert not alive(owner.pid)


def test_a_server_is_not_renewed_in_an_empty_directory(tmp_path: Path, data: Path) -> None:
    with quick(data) as server:
        killed(server)
        data.rename(tmp_path / "moved")
        with pytest.raises(embedded.EmbeddedMongoError, match="moved or removed while it was used: put it back"):
            server.renew()
        assert not data.exists()
        (data / "mongodb").mkdir(parents=True)
        with pytest.raises(embedded.EmbeddedMongoError, match="moved or removed"):
            server.renew()


def test_a_server_that_came_back_elsewhere_is_not_taken_for_it(tmp_path: Path, run_base: Path) -> None:
    data = tmp_path / ("long" * 20)
    with quick(data) as server:
        killed(server)
        with quick(data) as other:
            assert other.uri != server.uri
            with pytest.raises(embedded.EmbeddedMongoError, match="has another address now: start the service again"):
                server.renew()
    assert list(run_base.iterdir()) == []


@pytest.mark.parametrize("made", ["by nobody", "open to all", "no directory"])
def test_a_run_directory_is_made_anew_or_another_one_is_taken(tmp_path: Path, run_base: Path, made: str) -> None:
    before = run_base / "mediloop-before" / "mongod.sock"
    if made == "open to all":
        before.parent.mkdir()
        before.parent.chmod(0o755)
    elif made == "no directory":
        before.parent.touch()
    home = tmp_path / ("long" * 20)
    found = embedded_server.place_socket(home, before)
    assert (found == before) == (made == "by nobody")
    assert found.parent.stat().st_mode & 0o777 == 0o700
    assert embedded_server.place_socket(home, tmp_path / "none" / "there" / "mongod.sock").parent.parent == run_base
    for left in run_base.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def test_a_recycled_process_id_is_another_process(data: Path) -> None:
    home = data / "mongodb"
    home.mkdir(parents=True)
    stranger = Process(os.getpid(), "another boot/1")
    inode = [home.stat().st_dev, home.stat().st_ino]
    State(stranger, stranger, str(home / "mongod.sock"), str(home), inode).save(home)
    assert embedded.running(data) is None
    first = embedded.start(data)
    assert first.pid != os.getpid()
    # The same for the owner: a stranger with its process id does not keep the server from being adopted.
    state = State.load(home)
    assert state is not None
    State(state.server, stranger, state.socket, state.directory, inode).save(home)
    with quick(data) as server:
        assert (server.pid, server.owned) == (first.pid, True)
    first.close()


def test_a_server_that_hangs_is_named(data: Path) -> None:
    with quick(data) as server:
        os.kill(server.pid, signal.SIGSTOP)
        assert embedded.running(data) is None
        with pytest.raises(embedded.EmbeddedMongoError, match=f"not ready .* end process {server.pid}, {WAYS_OUT}"):
            embedded.start(data, timeout=0.3)
