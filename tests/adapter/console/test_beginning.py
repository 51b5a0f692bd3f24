"""What a command loads before it does anything: its start is part of its time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapter.console.cli import Cli

COMMAND = """
import sys
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


def test_the_bar_is_there_on_a_terminal(clinic: Cli, tmp_path: Path) -> None:
    shown = clinic.on_a_terminal("export", str(tmp_path), "--type", "Location", "--json")
    [file] = json.loads((tmp_path / "manifest.json").read_bytes())["output"]
    assert f"{file['count']}/{file['count']}" in shown


def test_who_follows_the_changes_does_not_load_them_either() -> None:
    assert loaded((*DOORS, "pyarrow"), "tail", "--help") == "[] 0"
