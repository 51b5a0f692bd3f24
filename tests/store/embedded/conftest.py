"""Directories for embedded servers, and no process left behind."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.embedded.servers import processes_in


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
    """The directory of a server's data."""
    return tmp_path / "data"


@pytest.fixture
def run_base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short temporary directory of the test's own, in the place of /tmp; empty again at the end."""
    base = Path(tempfile.mkdtemp(prefix="mlt-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    yield base
    base.rmdir()
