"""One process at a time: who comes second is told, and nothing is left of who has ended."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from adapter.alone import Taken, alone


def test_a_second_one_is_told_and_the_next_one_has_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        with alone(path):
            assert path.stat().st_mode & 0o077 == 0
            with pytest.raises(Taken), alone(path):
                pass
            assert path.exists()  # whoever was refused leaves it to whom it belongs
        assert not path.exists()


def test_who_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = f"""if True:
        import pathlib, time
        from adapter.alone import alone
        with alone(pathlib.Path({str(path)!r})):
            print("held", flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", held], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(Taken), alone(path):
            pass
        process.kill()
    assert path.exists()
    with alone(path):
        pass
    assert not path.exists()


def test_a_lock_whose_file_is_gone_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before ends between our opening the file and our locking it."""
    path, lock, times = tmp_path / "lock", fcntl.flock, 0

    def late(handle: int, how: int) -> None:
        nonlocal times
        times += 1
        if times == 1:
            path.unlink()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with alone(path), pytest.raises(Taken), alone(path):
        pass
    assert times == 3


def test_where_there_are_no_locks_nobody_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(code, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    code = errno.EOPNOTSUPP
    with alone(tmp_path / "lock"):
        pass
    code = errno.EIO
    with pytest.raises(OSError, match="no locks"), alone(tmp_path / "lock"):
        pass
