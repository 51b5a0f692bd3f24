"""What the figures were measured on: they mean nothing without it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

_LIBRARIES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pymongo", "orjson", "pydantic")
_MODEL = r"model name\s*:\s*(.+)"


def describe() -> dict[str, str]:
    """Return the machine and the versions, ready to print."""
    return {
        "CPU": f"{_found('/proc/cpuinfo', _MODEL) or platform.processor()}, {_cores()} cores usable",
        "Memory": _memory(),
        "System": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Load": f"{os.getloadavg()[0]:.2f} before the run (1 minute)",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    }


def show(console: Console, described: Mapping[str, str]) -> None:
    """Print what `describe` returns."""
    for name, value in described.items():
        console.print(f"{name:<10}{value}", highlight=False, markup=False)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _memory() -> str:
    kilobytes = _found("/proc/meminfo", r"MemTotal:\s*(\d+)")
    return "unknown" if kilobytes is None else f"{int(kilobytes) / 1024**2:.1f} GiB"


def _found(file: str, pattern: str) -> str | None:
    path = Path(file)
    found = re.search(pattern, path.read_text()) if path.exists() else None
    return None if found is None else found[1].strip()
