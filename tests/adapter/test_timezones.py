"""Time zones go by the rules of the installed package, and have names that mean the same on every machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from adapter import timezones

OFFSETS = """
from datetime import datetime
from adapter.scheduling.hours import named_zone
from adapter.settings import load
for zone in (load().zone, named_zone("Africa/Kampala")):
    print(zone.utcoffset(datetime(2027, 1, 11)))
"""


def test_the_rules_are_the_packages_whatever_files_the_machine_has(tmp_path: Path) -> None:
    (tmp_path / "Africa").mkdir()
    (tmp_path / "Africa" / "Kampala").write_bytes(files("tzdata").joinpath("zoneinfo/Asia/Tokyo").read_bytes())
    environment = os.environ | {"PYTHONTZPATH": str(tmp_path), "ADAPTER_TIMEZONE": "Africa/Kampala"}
    command = [sys.executable, "-c", OFFSETS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3:00:00", "3:00:00"]


KEPT = """
import shutil, sys
from datetime import datetime
from adapter import timezones
rules = timezones.kept() if "kept" in sys.argv else None
shutil.copy(f"{sys.argv[1]}/Asia/Tokyo", f"{sys.argv[1]}/Africa/Kampala")
print(timezones.zone("Africa/Kampala").utcoffset(datetime(2027, 1, 11)), timezones.kept() == rules, timezones.kept())
"""


def test_what_is_installed_later_changes_no_rules_that_are_kept(tmp_path: Path) -> None:
    copy = tmp_path / "tzdata"
    shutil.copytree(str(files("tzdata")), copy)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    told = []
    for how in ("kept", "not"):
        command = [sys.executable, "-c", KEPT, str(copy / "zoneinfo"), how]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        told.append(done.stdout.split())
    (offset, same, rules), (other_offset, _, other_rules) = told
    assert (offset, same, other_offset) == ("3:00:00", "True", "9:00:00")
    assert rules != other_rules


@pytest.mark.parametrize("name", ["UTC", "Africa/Kampala", "America/Argentina/Ushuaia", "Etc/GMT+3"])
def test_a_name_of_the_iana_database_is_one(name: str) -> None:
    assert str(timezones.zone(name)) == name


NONE = ("", "Africa", "Mars/Olympus", "../UTC", "/etc/localtime", "africa/kampala", "\0")
ONE_EACH = ("localtime", "posixrules", "right/UTC", "posix/UTC", "Factory")
"""Files that a machine may have beside those of the database's names."""


@pytest.mark.parametrize("name", [*NONE, *ONE_EACH])
def test_any_other_is_none(name: str) -> None:
    with pytest.raises(LookupError):
        timezones.zone(name)
    assert name not in timezones.names()
