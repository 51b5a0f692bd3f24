"""The embedded server against a real mongod: every way it starts, is shared, is killed, and cannot be had."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

from store import embedded, embedded_binary, embedded_server
from store.embedded_process import Process, State

WAYS_OUT = "or set ADAPTER_MONGODB_URI="


def processes_in(place: Path) -> list[int]:
    """The live processes whose command line names a path under `place`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(place).encode() in entry.read_bytes() and int(entry.parent.name) != os.getpid():
                found.append(int(entry.parent.name))
    return found


@pytest.fixture(autouse=True)
def sweep(tmp_path: Path) -> Iterator[None]:
    """No test leaves a process behind, not even a failing one."""
    yield
    left = processes_in(tmp_path)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def run_base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short temporary directory of the test's own, in the place of /tmp; empty again at the end."""
    base = Path(tempfile.mkdtemp(prefix="mlt-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    yield base
    base.rmdir()


def write(uri: str, value: int) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        durable = WriteConcern(w="majority", j=True)
        client.test.get_collection("values", write_concern=durable).insert_one({"value": value})


def read(uri: str) -> list[int]:
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        return [found["value"] for found in client.test["values"].find().sort("value")]


def transact(uri: str) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client, client.start_session() as session:
        session.with_transaction(lambda inside: client.test["values"].insert_one({"value": 0}, session=inside))


@contextmanager
def quick(data: Path) -> Iterator[embedded.EmbeddedMongo]:
    """Start, and end by SIGKILL: a clean shutdown takes a second, which is only spent where it is what is tested."""
    server = embedded.start(data)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not alive(server.pid))
        server.close()


def alive(pid: int) -> bool:
    found = Process.of(pid)
    return found is not None and found.alive()


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


OWNER = """
    import os, signal, sys, time
    from pathlib import Path
    from store import embedded
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit it ignored
    server = embedded.start(Path(sys.argv[1]))
    print(server.pid, server.owned, server.uri, flush=True)
"""


class Other:
    """A second process that starts or joins the server and then does what its script says."""

    def __init__(self, data: Path, then: str = "time.sleep(60)", before: str = "") -> None:
        script = textwrap.dedent(before) + textwrap.dedent(OWNER) + textwrap.dedent(then)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, data],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid, self.owned, self.uri = 0, False, ""

    def ready(self) -> Other:
        line = self._pipe(self.process.stdout).readline().decode().split()
        self.pid, self.owned, self.uri = int(line[0]), line[1] == "True", line[2]
        return self

    def go(self) -> None:
        self._pipe(self.process.stdin).write(b"\n")
        self._pipe(self.process.stdin).flush()

    def end(self, number: int | None = None) -> int:
        """Send a signal to its whole group, as a terminal does, and wait for it."""
        if number is not None:
            os.killpg(self.process.pid, number)
        self.process.communicate(timeout=30)
        return self.process.returncode

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


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


# --- after an accident ---------------------------------------------------------------------------------------------


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


def killed(server: embedded.EmbeddedMongo) -> int:
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not alive(server.pid))
    return server.pid


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


# --- a server that cannot be had -----------------------------------------------------------------------------------


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a `mongod` of the test's own on the PATH, and no other."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")

    def put(script: str) -> Path:
        (place / "mongod").write_text(script)
        (place / "mongod").chmod(0o755)
        return place / "mongod"

    return put


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_binary, "PACKAGE", "a-package-that-is-not-installed")


LOADER = (
    "#!/bin/sh\necho 'mongod: error while loading shared libraries: {}: cannot open shared object file' >&2; exit 127"
)


@pytest.mark.usefixtures("no_package")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        (LOADER.format("libcurl.so.4"), r"library libcurl\.so\.4, which is missing here: apt-get install libcurl4"),
        (LOADER.format("libodd.so.1"), r"library libodd\.so\.1, .*: install the package that provides it"),
        ("\x00garbage", r"cannot be run on this .* \(Exec format error\): install"),
        ("#!/bin/sh\nkill -ILL $$", "a processor with AVX"),
        ("#!/bin/sh\necho 'db version v4.4.29'", "is MongoDB 4, too old .*: install"),
        ("#!/bin/sh\necho nonsense; exit 3", r"does not run \(nonsense\): install"),
        ("#!/bin/sh\nexit 3", r"does not run \(exit code 3\): install"),
        ("#!/bin/sh\nkill -KILL $$", r"does not run \(ended by signal 9\): install"),
        ("#!/bin/sh\nexec sleep 30", "does not answer"),
    ],
)
def test_a_mongod_that_does_not_run(
    on_path: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    monkeypatch.setattr(embedded_binary, "_VERSION_PATIENCE", 1.0)
    on_path(script)
    with pytest.raises(embedded.EmbeddedMongoError, match=f"{message}.*, {WAYS_OUT}"):
        embedded.find_mongod()


def test_no_mongod_at_all(
    on_path: Callable[[str], Path], no_package: None, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    if shutil.which("mongod"):
        monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(embedded.EmbeddedMongoError, match=rf"pip install '\.\[embedded\]', {WAYS_OUT}"):
        embedded.start(data)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(embedded.EmbeddedMongoError, match=f"this is aarch64 .*: install MongoDB .*{WAYS_OUT}"):
        embedded.find_mongod()


def test_the_one_on_the_path_comes_first_and_the_packaged_one_where_it_does_not_run(
    on_path: Callable[[str], Path],
) -> None:
    good = on_path("#!/bin/sh\necho 'db version v7.0.1'")
    assert embedded.find_mongod() == good
    bad = on_path("garbage")
    assert embedded.find_mongod() != bad


VERSION_6 = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'db version v6.0.5' && exit\n"


def failing(line: str, code: int) -> str:
    return f"{VERSION_6}cat <<'END'\n{line}\nEND\nexit {code}\n"


NEWER = (
    '{"s":"F","msg":"Wrong mongod version","attr":{"error":"UPGRADE PROBLEM: Found an invalid '
    'featureCompatibilityVersion document (ERROR: BadValue: Invalid value for version, found 7.0"}}'
)
CRASH = """{"s":"I","msg":"starting"}
{"s":"E","msg":"WiredTiger error message","attr":{"error":-31804,"message":{"msg":"fatal turtle file read error"}}}
{"s":"F","msg":"Fatal assertion","attr":{"msgid":50853}}
{"s":"F","msg":"Writing fatal message","attr":{"message":"Got signal: 6 (Aborted)."}}
"""


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (failing(NEWER, 62), "written by another MongoDB version .* found 7.0.*: put the mongod that wrote it"),
        (failing('{"s":"E","msg":"No space left on device"}', 14), "no room left on the disk .*: free some"),
        (failing(CRASH, 14), r"at start \(WiredTiger error message: fatal turtle file read error\): see .*mongod\.log"),
        (failing('{"s":"E","msg":"odd","attr":{"error":12}}', 1), r"at start \(odd: 12\)"),
        (failing('{"s":"F","msg":"even"}\n3', 1), r"at start \(even\)"),
    ],
)
def test_a_server_that_ends_at_start(data: Path, on_path: Callable[[str], Path], script: str, message: str) -> None:
    on_path(script)
    with pytest.raises(embedded.EmbeddedMongoError, match=f"{message}.*, {WAYS_OUT}"):
        embedded.start(data)
    assert embedded.running(data) is None


def test_a_server_that_does_not_get_ready(
    data: Path, on_path: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(f"{VERSION_6}exec sleep 30\n")
    with pytest.raises(embedded.EmbeddedMongoError, match=f"not ready in time .*: give it longer .*{WAYS_OUT}"):
        embedded.start(data, timeout=0.2)
    monkeypatch.setattr(embedded_binary, "_SHORT_OF_ROOM", 1 << 60)
    with pytest.raises(embedded.EmbeddedMongoError, match="no room left"):
        embedded.start(data, timeout=0.2)


def test_the_real_server_says_what_is_wrong(data: Path) -> None:
    with pytest.raises(embedded.EmbeddedMongoError, match=f"cacheSizeGB must be greater .*{WAYS_OUT}"):
        embedded.start(data, cache_gb=0.1)
    with quick(data):
        (data / "mongodb" / "adapter.json").write_text("{")  # so that it cannot be joined
        with pytest.raises(embedded.EmbeddedMongoError, match=f"Another MongoDB server uses .*{WAYS_OUT}"):
            embedded.start(data)


def test_data_that_a_killed_server_has_not_let_go_of_yet_are_waited_for(data: Path) -> None:
    """It is no process any more, but its last thread is not gone: so its lock is held by nobody who can be seen."""
    with quick(data) as server:
        former = server.pid
    holding = """
        import fcntl, sys, time
        file = open(sys.argv[1], "r+")
        fcntl.flock(file, fcntl.LOCK_EX)
        print(flush=True)
        time.sleep(1)
    """
    command = [sys.executable, "-c", textwrap.dedent(holding), str(data / "mongodb" / "mongod.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with quick(data) as server:
            assert server.owned
            assert holder.wait(1) == 0
    kept = (data / "mongodb" / "mongod.log.1").read_text()  # what the former one said, not those who waited
    assert f'"pid":{former}' in kept
    assert "DBPathInUse" not in kept


def test_a_log_that_cannot_be_written_leaves_no_run_directory(tmp_path: Path, run_base: Path) -> None:
    home = tmp_path / ("long" * 20) / "mongodb"
    (home / "mongod.log").mkdir(parents=True)
    (home / "mongod.log.1").touch()  # a directory cannot be renamed to it
    with pytest.raises(embedded.EmbeddedMongoError, match="cannot be used"):
        embedded.start(home.parent)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; echo; while :; do sleep 0.05; done"], stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        stubborn = Process.child(child.pid)
        stubborn.stop(0.1)
        assert not stubborn.alive()
        stubborn.stop(0.1)
    assert Process.of(child.pid) is None
    with pytest.raises(ProcessLookupError):
        Process.child(child.pid)


def test_an_interrupted_start_leaves_no_server(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "await_primary", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embedded.start(data)
    assert embedded.running(data) is None
