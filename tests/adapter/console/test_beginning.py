"""What a command loads before it does anything: its start is part of its time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.adapter.console.cli import Cli

COMMAND = """
import sys
import time
from adapter import __main__
try:
    __main__.main()
except SystemExit as ended:
    print([name for name in {named} if name in sys.modules], ended.code, file=sys.stderr)
"""
DOORS = ("adapter.fhir", "adapter.mediloop", "adapter.scheduling", "adapter.security", "adapter.service", "mappings")


def loaded(named: tuple[str, ...], *words: str) -> str:
    """Run a command line; return which of the named modules it has loaded, and its exit code."""
    command = [sys.executable, "-c", COMMAND.format(named=named), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stderr.strip()


@pytest.mark.parametrize("form", ["ndjson", "bundle"])
def test_an_export_of_resources_as_they_are_loads_neither_doors_nor_rules(
    clinic: Cli, tmp_path: Path, form: str
) -> None:
    words = ("export", str(tmp_path), "--type", "Slot,Schedule", "--format", form, "--json")
    assert loaded((*DOORS, "fsspec", "pyarrow", "rich", "store.embedded"), *words) == "[] 0"


@pytest.mark.parametrize("words", [("--format", "csv"), ("--patient-uhid", "UG123456789A"), ("--deidentify",)])
def test_an_export_of_tables_or_of_a_patient_or_without_names_needs_no_service(
    clinic: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ADAPTER_DEIDENTIFY_KEY", "k" * 32)
    told = loaded(("adapter.service", "adapter.security"), "export", str(tmp_path), "--json", *words)
    assert told == "[] 0"


def test_the_bar_is_there_on_a_terminal(clinic: Cli, tmp_path: Path) -> None:
    shown = clinic.on_a_terminal("export", str(tmp_path), "--type", "Location", "--json")
    [file] = json.loads((tmp_path / "manifest.json").read_bytes())["output"]
    assert f"{file['count']}/{file['count']}" in shown


def test_who_follows_the_changes_does_not_load_them_either() -> None:
    assert loaded((*DOORS, "pyarrow"), "tail", "--help") == "[] 0"


ENDED = """
import os, sys
from adapter import __main__
class Ends:
    @staticmethod
    def find_spec(name, *_):
        if name == "pydantic":
            os.kill(os.getpid(), {how})
sys.meta_path[:0] = [Ends] * {loading}
sys.argv[1:] = ["translate", "--to", "fhir"]
print(flush=True)
__main__.main()
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("loading", [True, False])
def test_whatever_a_command_is_doing_it_ends_as_by_ctrl_c(how: signal.Signals, loading: bool) -> None:
    command = [sys.executable, "-c", ENDED.format(how=int(how), loading=loading)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        if not loading:
            time.sleep(1)  # by then it waits for its input
            process.send_signal(how)
        assert process.wait(20) == 130
        assert b"Traceback" not in process.stderr.read()
