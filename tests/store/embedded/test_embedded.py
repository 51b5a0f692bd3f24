"""The embedded server against a real mongod: every way it starts, is shared and stopped, and in which directories."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, ExecutionTimeout

from store import embedded, embedded_log, embedded_server
from store.embedded_process import State
from tests.adapter.full import room_for
from tests.store.embedded.servers import WAYS_OUT, Other, alive, killed, quick, read, transact, write

# --- starting, sharing, stopping -----------------------------------------------------------------------------------


def test_it_takes_transactions_out_of_reach_of_others_and_leaves_nothing_running(data: Path) -> None:
    assert embedded.running(data) is None
    with embedded.start(data) as server:
        assert server.owned
        assert str(server.pid) in repr(server)
        assert embedded.running(data) == server.uri
        transact(server.uri)
        home = data / "mongodb"
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "mongod.log").stat().st_mode & 0o777 == 0o600
        assert listening_on_tcp(server.pid) == set()
        address = Path(State.load(home).socket)  # type: ignore[union-attr]
        assert address.is_socket()
        pid = server.pid
    assert not alive(pid)
    assert not address.exists()
    assert embedded.running(data) is None
    server.close()


def test_it_is_told_no_setting_of_ours(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_DEIDENTIFY_KEY", "a secret")
    monkeypatch.setenv("OF_SOMEBODY_ELSE", "anything")
    with quick(data) as server:
        told = Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0")
    assert not [variable for variable in told if variable.startswith(b"ADAPTER_")]
    assert {b"OF_SOMEBODY_ELSE=anything", b"LC_ALL=C"} <= {*told}


def test_a_transaction_of_a_tenth_of_its_cache_does_not_stop_it(data: Path) -> None:
    """By MongoDB's defaults it is refused, or waits with all who write for room that only its own end makes."""
    text = "x" * 100_000
    with embedded.start(data, cache_gb=0.25) as server:
        client: MongoClient[dict[str, Any]] = MongoClient(server.uri, timeoutMS=20_000)
        with client, client.start_session() as session:
            things = client["test"]["things"]
            things.create_index("name")
            session.with_transaction(
                lambda one: things.insert_many([{"name": f"{n} {text}", "text": text} for n in range(200)], session=one)
            )
            assert things.estimated_document_count() == 200


def test_its_log_holds_nothing_that_was_looked_for(data: Path) -> None:
    """A log goes to whoever is asked for help; MongoDB writes down whole commands that took long."""
    with quick(data) as server:
        client: MongoClient[dict[str, Any]] = MongoClient(server.uri)
        with client:
            client["test"].command("profile", 0, slowms=-1)  # whatever it takes, it took long
            client["test"]["people"].insert_one({"name": "Nakamya"})
            assert client["test"]["people"].count_documents({"name": "Nakamya"}) == 1
        assert b"Nakamya" not in (data / "mongodb" / "mongod.log").read_bytes()


def fail_with_names(uri: str) -> None:
    """Do what makes mongod write down whole commands, and values that are there, as warnings."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        people = client["test"]["people"]
        people.insert_many([{"name": "Nakamya"}, {"name": "Nakamya"}])
        with pytest.raises(ExecutionTimeout):
            people.distinct("_id", {"name": "Nakamya", "$where": "sleep(100) || true"}, maxTimeMS=50)
        with pytest.raises(DuplicateKeyError):
            people.create_index("name", unique=True)


def test_its_log_holds_nothing_of_what_failed(data: Path) -> None:
    """What ran out of time, or was given up by its client, is written down by other settings than what took long."""
    with quick(data) as server:
        log = data / "mongodb" / "mongod.log"
        server.tend_log()
        for _ in range(2):  # it goes on where it had come to
            fail_with_names(server.uri)
            assert b"Nakamya" in log.read_bytes()
            server.tend_log()
            assert b"Nakamya" not in log.read_bytes()
        lines = [json.loads(line) for line in log.read_text().splitlines()]  # all are whole
        said = {line["msg"]: line.get("attr", {}).get("error") for line in lines}
        assert said["Plan executor error during distinct command"] == "MaxTimeMSExpired"
        assert said["Index build: failed"] == "DuplicateKey"
        assert "client metadata" in said


def test_a_line_of_the_log_that_is_not_finished_is_looked_at_again(data: Path) -> None:
    with quick(data) as server:
        log = data / "mongodb" / "mongod.log"
        with log.open("a") as writer:
            writer.write('{"msg":"x","attr":{"error":{"codeName":"Interrupted"},"cmd":{"find":"Patient","filter":')
            writer.flush()
            server.tend_log()
            writer.write('{"name":"Nakamya"}}}}\n')
        server.tend_log()
        assert "Nakamya" not in log.read_text()


def test_the_log_of_a_server_that_was_started_again_is_looked_at_from_its_beginning(data: Path) -> None:
    log = data / "mongodb" / "mongod.log"
    long = "x" * (1 << 20) + "\n"
    with quick(data) as server:
        with log.open("a") as writer:
            writer.write(long)
        server.tend_log()
        killed(server)
        server.renew()
        with log.open("a") as writer:  # longer at once than the one before
            writer.write('{"msg":"x","attr":{"cmd":{"find":"Patient","filter":{"name":"Nakamya"}}}}\n' + 2 * long)
        server.tend_log()
        assert "Nakamya" not in log.read_text()


def test_the_log_that_is_put_aside_holds_nothing_of_what_failed_though_the_disk_gets_full(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_log, "_LONGEST", 1_000)
    home = data / "mongodb"
    with quick(data) as server:
        fail_with_names(server.uri)
        with (home / "mongod.log").open("a") as writer:
            writer.write("x" * (1 << 20) + "\n")
        with room_for((home / "mongod.log").stat().st_size - 1):
            server.tend_log()
        assert b"DuplicateKey" in (home / "mongod.log.1").read_bytes()
        assert b"Nakamya" not in (home / "mongod.log.1").read_bytes()
        assert (home / "mongod.log").stat().st_size < 1_000


def test_the_log_of_a_server_that_ended_holds_nothing_of_what_failed(data: Path) -> None:
    home = data / "mongodb"
    with embedded.start(data) as server:
        fail_with_names(server.uri)
    assert b"Nakamya" not in (home / "mongod.log").read_bytes()


def test_the_log_of_a_server_that_was_killed_with_its_owner_holds_nothing_of_what_failed(data: Path) -> None:
    with quick(data):
        pass
    with (data / "mongodb" / "mongod.log").open("a") as log:  # nobody was there to write over it
        log.write('{"msg":"Plan executor error","attr":{"stats":{},"cmd":{"find":"Patient","filter":"Nakamya"}}}\n')
    with quick(data):
        former = (data / "mongodb" / "mongod.log.1").read_text()
    assert "Nakamya" not in former
    assert json.loads(former.splitlines()[-1]) == {"msg": "Plan executor error", "attr": {}}


def test_its_log_does_not_grow_for_ever(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with quick(data) as server:
        log, former = data / "mongodb" / "mongod.log", data / "mongodb" / "mongod.log.1"
        server.tend_log()
        assert not former.exists()  # it is short
        monkeypatch.setattr(embedded_log, "_LONGEST", 1_000)
        said = log.read_bytes()
        fail_with_names(server.uri)
        server.tend_log()
        assert former.read_bytes().startswith(said)
        assert b"Nakamya" not in former.read_bytes()
        assert former.stat().st_mode & 0o777 == 0o600
        transact(server.uri)
        assert b"client metadata" in log.read_bytes()
        assert log.read_bytes().startswith(b'{"t"')  # it goes on at the beginning, not behind a hole


def test_a_log_that_is_too_long_goes_where_there_is_no_room_to_keep_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_log, "_LONGEST", 1_000)
    with quick(data) as server:
        (data / "mongodb" / "mongod.log.1").mkdir()  # it cannot be written, as on a full disk
        server.tend_log()
        assert (data / "mongodb" / "mongod.log").stat().st_size < 1_000


def listening_on_tcp(pid: int) -> set[str]:
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return {fields[1] for fields in lines if fields[3] == "0A" and fields[9] in inodes}


def test_others_join_it_and_leave_it_running(data: Path) -> None:
    with quick(data) as server:
        again = embedded.start(data)
        assert (again.pid, again.owned, again.uri) == (server.pid, False, server.uri)
        again.close()
        other = Other(data, then="server.close()").ready()
        assert (other.pid, other.owned) == (server.pid, False)
        assert other.end() == 0
        transact(server.uri)


def test_two_that_start_at_once_share_one_server(data: Path) -> None:
    others = [Other(data, before="input()\n", then="input()") for _ in range(2)]
    for other in others:
        other.go()
    for other in others:
        other.ready()
    assert others[0].pid == others[1].pid
    assert sorted(other.owned for other in others) == [False, True]
    for other in sorted(others, key=lambda other: other.owned):
        assert alive(other.pid)
        other.go()
        assert other.end() == 0
    assert not alive(others[0].pid)


@pytest.mark.parametrize(
    ("number", "before", "then"),
    [
        (signal.SIGINT, "", "with server: time.sleep(60)"),
        # Only the interpreter's exit stops it here, and not the exit of a forked child.
        (
            signal.SIGTERM,
            "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n",
            """
            if os.fork() == 0:
                sys.exit()
            os.wait()
            print(os.path.exists(f"/proc/{server.pid}"), flush=True)
            time.sleep(60)
            """,
        ),
    ],
    ids=["ctrl-c", "sigterm"],
)
def test_a_signal_that_ends_the_owner_ends_the_server(data: Path, number: int, before: str, then: str) -> None:
    other = Other(data, before=before, then=then).ready()
    if number == signal.SIGTERM:
        assert other.process.stdout is not None
        assert other.process.stdout.readline() == b"True\n"
    assert other.end(number) != 0
    assert not alive(other.pid)
    assert not (data / "mongodb" / "adapter.json").exists()


# --- directories ---------------------------------------------------------------------------------------------------


def test_a_data_directory_may_be_moved(tmp_path: Path, data: Path) -> None:
    with embedded.start(data) as server:
        write(server.uri, 1)
    moved = data.rename(tmp_path / "moved")
    other = Other(moved).ready()
    write(other.uri, 2)
    # And again under a server whose owner is gone.
    other.end(signal.SIGKILL)
    data = moved.rename(tmp_path / "moved again")
    assert embedded.running(data) is None
    with quick(data) as server:
        assert not alive(other.pid)
        assert server.pid != other.pid
        transact(server.uri)
        assert read(server.uri) == [0, 1, 2]


def test_a_directory_moved_under_its_owner_is_refused_and_a_copy_is_another_one(tmp_path: Path, data: Path) -> None:
    server = embedded.start(data)
    copy = tmp_path / "copy" / "mongodb"
    copy.mkdir(parents=True)
    shutil.copy(data / "mongodb" / "adapter.json", copy)
    assert State.load(copy) is None
    moved = data.rename(tmp_path / "moved")
    with pytest.raises(embedded.EmbeddedMongoError, match=f"stop process {os.getpid()}, which owns it.*{WAYS_OUT}"):
        embedded.start(moved)
    server.close()
    assert not alive(server.pid)


def test_a_socket_that_something_removed_is_no_end(data: Path) -> None:
    other = Other(data).ready()
    write(other.uri, 1)
    state = State.load(data / "mongodb")
    assert state is not None
    Path(state.socket).unlink()
    with pytest.raises(embedded.EmbeddedMongoError, match=f"does not listen.* end process {other.pid}, {WAYS_OUT}"):
        embedded.start(data, timeout=0.1)
    other.end(signal.SIGKILL)
    with quick(data) as server:
        assert server.pid != other.pid
        assert read(server.uri) == [1]


def test_a_long_path_gets_a_private_run_directory(tmp_path: Path, run_base: Path) -> None:
    data = tmp_path / ("long" * 20) / "data"
    for value in (1, 2):  # its address is another one each time
        with quick(data) as server:
            (run,) = run_base.iterdir()
            assert run.stat().st_mode & 0o777 == 0o700
            assert (run / "mongod.sock").is_socket()
            write(server.uri, value)
            assert read(server.uri) == list(range(1, value + 1))
    assert list(run_base.iterdir()) == []


@pytest.mark.parametrize("deaf", ["too long", "no sockets"])
def test_a_machine_without_a_place_for_the_socket(
    tmp_path: Path, run_base: Path, monkeypatch: pytest.MonkeyPatch, deaf: str
) -> None:
    if deaf == "too long":
        monkeypatch.setattr(embedded_server, "_LONGEST", 5)
    else:  # what a file system without sockets answers

        class Deaf(socket.socket):
            def bind(self, address: Any) -> None:
                raise OSError(95, "Operation not supported")

        monkeypatch.setattr(socket, "socket", Deaf)
    with pytest.raises(embedded.EmbeddedMongoError, match=f"set TMPDIR to .*{WAYS_OUT}"):
        embedded.start(tmp_path)


@pytest.mark.parametrize("taken", ["data", "data/mongodb"])
def test_a_data_directory_that_cannot_be_written(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).touch()
    with pytest.raises(embedded.EmbeddedMongoError, match=f"cannot be used .* this user may write, .*{WAYS_OUT}"):
        embedded.start(tmp_path / "data")
    assert embedded.running(tmp_path / "data") is None


def test_a_lock_that_is_held_for_too_long(data: Path) -> None:
    (data / "mongodb").mkdir(parents=True)
    with (data / "mongodb" / "adapter.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(embedded.EmbeddedMongoError, match=f"Another process .*{WAYS_OUT}"):
            embedded.start(data, timeout=0.05)
