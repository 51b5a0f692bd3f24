"""Two containers with one data directory: neither sees the other's processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from store import embedded
from tests.store.embedded.servers import WAYS_OUT, Other, quick, read, write

CONTAINER = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")


def _can_be_made() -> bool:
    try:
        return subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


REFUSED = """
import sys
from pathlib import Path
from store import embedded
try:
    embedded.start(Path(sys.argv[1]))
except embedded.EmbeddedMongoError as error:
    print(error)
"""

pytestmark = pytest.mark.skipif(not _can_be_made(), reason="no namespaces can be made here")


def left(data: Path) -> set[tuple[str, bytes]]:
    """What tells of a server in its directory."""
    return {(name, (data / "mongodb" / name).read_bytes()) for name in ("adapter.json", "mongod.log.1")}


def test_a_server_of_another_container_is_joined_and_left_alone(data: Path) -> None:
    with quick(data):
        pass
    with quick(data) as server:
        before = left(data)
        then = """
            print(server.kept(), flush=True)
            sys.stdin.readline()
            while server.kept():
                time.sleep(0.01)
            server.renew()
            print(server.owned, server.uri, flush=True)
            sys.stdin.readline()
        """
        other = Other(data, then, where=CONTAINER).ready()
        assert (other.owned, other.uri) == (False, server.uri)
        assert other.process.stdout is not None
        assert other.process.stdout.readline() == b"True\n"
        assert server.kept()
        assert left(data) == before
        write(other.uri, 1)
        os.kill(server.pid, signal.SIGKILL)
        other.go()
        assert other.process.stdout.readline().decode().split() == ["True", server.uri]  # by now it is its own
        joined = embedded.start(data)
        assert (joined.owned, joined.kept(), read(joined.uri)) == (False, True, [1])
        other.go()
        assert other.end() == 0
        assert not joined.kept()


@pytest.mark.parametrize("lost", ["mongod.sock", "adapter.json"])
def test_one_that_cannot_be_joined_is_left_alone(data: Path, lost: str) -> None:
    with quick(data):
        pass
    with quick(data) as server:
        (data / "mongodb" / lost).rename(data / "aside")
        command = [*CONTAINER, sys.executable, "-c", REFUSED, str(data)]
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        assert said.startswith(f"Another MongoDB server uses {data / 'mongodb'} and cannot be joined from here: stop")
        assert "another container or on another machine" in said
        assert WAYS_OUT in said
        (data / "aside").rename(data / "mongodb" / lost)
        assert server.kept()
        assert embedded.running(data) == server.uri
