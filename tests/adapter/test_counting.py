"""The folder of the workers' figures: one for each service, and none of those that are gone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from adapter.counting import COUNTED, require_folder, together
from adapter.settings import SettingsError

_STARTS = "from adapter.counting import together; t = together(); print(t.__enter__(), flush=True); input()"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have what is temporary in a folder of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def started(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(Path.cwd())}
    service = subprocess.Popen(
        [sys.executable, "-c", _STARTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert service.stdout is not None
    return service, Path(service.stdout.readline().strip())


def killed(temporary: Path) -> tuple[int, Path]:
    """Return the process and the folder of a service that had no time to remove it."""
    service, folder = started(temporary)
    service.kill()
    service.communicate()
    assert folder.is_dir()
    return service.pid, folder


def test_it_goes_with_the_service(temporary: Path) -> None:
    with together() as one, together() as other:
        assert sorted(temporary.iterdir()) == sorted([one, other])
        assert one.stat().st_mode & 0o777 == 0o700
    assert [*temporary.iterdir()] == []


def test_what_a_killed_service_has_left_is_removed_by_the_next(temporary: Path) -> None:
    _, left = killed(temporary)
    (left / "counter_0.db").touch()
    (left / "0.lock").touch()
    with together() as own:
        assert [*temporary.iterdir()] == [own]


def test_what_a_service_uses_stays(temporary: Path) -> None:
    service, folder = started(temporary)
    with together() as own:
        assert sorted(temporary.iterdir()) == sorted([folder, own])
    service.communicate("\n")


def test_so_does_what_workers_use_that_have_outlasted_theirs(temporary: Path) -> None:
    _, folder = killed(temporary)
    counts = "import sys; from pathlib import Path; from adapter.counting import own_number; "
    counts += "print(own_number(Path(sys.argv[1])), flush=True); input()"
    command = [sys.executable, "-c", counts, str(folder)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(one.stdout.readline() for one in workers if one.stdout is not None) == ["0\n", "1\n"]
    workers[0].communicate("\n")
    with together():
        assert folder.is_dir()
    workers[1].communicate("\n")
    with together() as own:
        assert [*temporary.iterdir()] == [own]


def test_so_does_what_is_nobodys_known_to_be(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlocked = temporary / "mediloop-metrics-unlocked"
    unlocked.mkdir()
    (temporary / "mediloop-metrics-file").touch()
    _, folder = killed(temporary)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with together():
        assert unlocked.is_dir()
        assert folder.is_dir()


def test_a_folder_of_the_operators_that_is_not_there_is_named_with_its_variable(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_folder()
    monkeypatch.setenv(COUNTED, str(temporary))
    require_folder()
    monkeypatch.setenv(COUNTED, str(temporary / "gone"))
    with pytest.raises(SettingsError, match=r"^Bad setting\. PROMETHEUS_MULTIPROC_DIR: "):
        require_folder()
    monkeypatch.setenv("ADAPTER_PORT", "0")
    command = [sys.executable, "-m", "adapter", "serve"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("mediloop-fhir: Bad setting. PROMETHEUS_MULTIPROC_DIR: ")
