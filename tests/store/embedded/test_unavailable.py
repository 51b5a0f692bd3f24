"""An embedded server that cannot be had: none installed, one that does not run, one that does not get ready."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from store import embedded, embedded_binary
from store.embedded_process import Process
from tests.store.embedded.servers import WAYS_OUT, quick


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


SOMEBODY = 54321
"""A user id that nobody here has."""
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
        (failing('plain\n{"t":{"$date":"2024-01-15T1', 1), r"at start \(plain\)"),
        (failing('{"t":{"$date":"2024-01-15T1', 1), r"at start \(exit code 1\)"),
        (failing("x" * 70_000 + " torn", 1), r"at start \(exit code 1\)"),
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


def test_a_server_that_could_open_too_few_files_is_not_started(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would crash over its own data, and all that the service could say is that it does not answer."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(embedded, "_FILES", most + 1)
    with pytest.raises(embedded.EmbeddedMongoError, match=rf"may have {most:,} here: raise .*LimitNOFILE.*{WAYS_OUT}"):
        embedded.start(data)
    assert embedded.running(data) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave files in another user's directory")
def test_a_server_is_not_started_on_the_data_of_another_user(data: Path) -> None:
    """It would leave files there that their own user cannot open, and the service would not start any more."""
    home = data / "mongodb"
    with quick(data):
        pass
    os.chown(home, SOMEBODY, -1)
    before = sorted(home.iterdir())
    with pytest.raises(embedded.EmbeddedMongoError, match=f"belongs to another user .*{SOMEBODY}.*{WAYS_OUT}"):
        embedded.start(data)
    assert sorted(home.iterdir()) == before


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
