"""``python -m bench --export``: ``$export`` and ``mediloop-fhir export``, beside a bare cursor over ``_json``.

Half Appointments, half Slots, written straight into the collections, composed as the store composes them. The service
runs in a process of its own, the export in another, whose peak memory is read from ``/proc``; it is kept for the next
export, so the first round alone has its start in it. The client downloads each file as the manifest names it: kick-off
to last byte. The command line runs as a process, from its start to its end. The bare cursor runs in this process,
before each, on the same MongoDB. With ``--long`` up to 1,000,000 resources, with ``--size`` so many.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from pymongo import MongoClient
from rich.console import Console
from rich.table import Table

from adapter.variables import PREFIX
from bench import machine, processes
from bench.growth import grow, prepare
from bench.report import verdict

SIZES = (20_000, 400_000)
"""Resources, half of each type."""
LONG = (20_000, 400_000, 1_000_000)
FORMATS = ("ndjson", "parquet")
"""Of the command line."""

LEAST_RATIO = 0.6
LEAST_RATE = 60_000
MOST_MEMORY = 200
"""Megabytes."""
MOST_FALL = 0.1
"""Of the rate, from the smallest size to the largest."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one size came to.

    Attributes:
        size: resources.
        bare: of them a second, by a bare cursor.
        export: of them a second, kick-off to last byte.
        written: of them a second, kick-off to manifest.
        memory: the export process's peak, in megabytes.
        commands: by format, the same of the command line.
    """

    size: int
    bare: float
    export: float
    written: float
    memory: float
    commands: dict[str, Command]


@dataclass(frozen=True, slots=True)
class Command:
    """What one run of the command line came to: resources a second, and its peak in megabytes."""

    rate: float
    memory: float


def run(console: Console, sizes: tuple[int, ...] = SIZES, rounds: int = 3) -> int:
    """Measure and print; return the exit code: 0 whatever the figures are."""
    found: list[Figures] = []
    with processes.mongodb() as (folder, uri), console.status("starting") as status:
        machine.show(console, machine.describe())
        asyncio.run(prepare(uri))
        with processes.service(folder, uri) as (port, key):
            stored = 0
            for size in sizes:
                status.update(f"writing up to {size:,} resources")
                asyncio.run(grow(uri, stored, size))
                stored = size
                status.update(f"exporting {size:,} resources")
                found.append(_measure(folder, uri, port, key, size, rounds))
    _show(console, found)
    return 0


def _measure(folder: Path, uri: str, port: int, key: str, size: int, rounds: int) -> Figures:
    bare, whole, written, memory = [], [], [], []
    for _ in range(rounds):
        bare.append(size / _timed(lambda: _bare(uri)))
        with _Peak((folder / "service.pid").read_text()) as peak:
            first, last, count = _export(port, key)
        if count != size:
            raise RuntimeError(f"{count} resources came, {size} are stored")
        whole.append(size / last)
        written.append(size / first)
        memory.append(peak.megabytes)
    commands: dict[str, list[Command]] = {name: [] for name in FORMATS}
    for _ in range(rounds):
        for name, runs in commands.items():
            bare.append(size / _timed(lambda: _bare(uri)))
            runs.append(_command(folder, uri, size, name))
    best = {
        name: Command(median(one.rate for one in runs), max(one.memory for one in runs))
        for name, runs in commands.items()
    }
    return Figures(size, median(bare), median(whole), median(written), max(memory), best)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _bare(uri: str) -> int:
    count = 0
    with MongoClient[dict[str, Any]](uri) as client:
        for kind in ("Appointment", "Slot"):
            for found in client[processes.SERVICE_DATABASE][kind].find({}, {"_json": 1, "_id": 0}, batch_size=2_000):
                count += len(found["_json"]) > 0
    return count


def _export(port: int, key: str) -> tuple[float, float, int]:
    """Return the seconds to the manifest, those to the last byte, and the lines."""
    base = f"http://127.0.0.1:{port}/fhir/R4"
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    with httpx.Client(headers=headers, timeout=120) as http:
        started = time.perf_counter()
        answer = http.get(f"{base}/$export?_type=Appointment,Slot").raise_for_status()
        location = answer.headers["content-location"]
        while (answer := http.get(location)).status_code == 202:
            time.sleep(0.05)
        first = time.perf_counter() - started
        lines = 0
        for file in answer.raise_for_status().json()["output"]:
            with http.stream("GET", file["url"]) as stream:
                lines += sum(chunk.count(b"\n") for chunk in stream.iter_bytes())
        last = time.perf_counter() - started
        http.delete(location).raise_for_status()
    return first, last, lines


def _command(folder: Path, uri: str, size: int, name: str) -> Command:
    """Run ``mediloop-fhir export`` once."""
    given = {"MONGODB_URI": uri, "DATABASE": processes.BASE}
    environment = {one: value for one, value in os.environ.items() if not one.startswith(PREFIX)}
    environment |= {f"{PREFIX}{one}": value for one, value in given.items()}
    target = folder / "exported"
    words = ["export", str(target), "--format", name, "--type", "Appointment,Slot", "--json"]
    memory, started = 0.0, time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "adapter", *words], cwd=folder, env=environment, stdout=subprocess.PIPE
    ) as process:
        while process.poll() is None:
            memory = max(memory, _high_water(str(process.pid)))
            time.sleep(0.02)
        took = time.perf_counter() - started
        told = process.stdout.read() if process.stdout is not None else b""
    count = sum(one["count"] for one in json.loads(told)["output"])
    shutil.rmtree(target)
    if count != size:
        raise RuntimeError(f"{count} resources came, {size} are stored")
    return Command(size / took, memory)


class _Peak:
    """The peak memory of the export processes that a service runs meanwhile.

    Args:
        service: the id of its process. Other services of this machine may export as well.
    """

    def __init__(self, service: str) -> None:
        self.megabytes = 0.0
        self._service = service
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        workers: list[str] = []
        while not self._ended.wait(0.1):
            if not workers:
                told = subprocess.run(
                    ["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
                )
                found = [line.split(maxsplit=2) for line in told.stdout.splitlines() if "adapter.export.worker" in line]
                workers = [process for process, parent, _ in found if parent == self._service]
            for worker in workers:
                self.megabytes = max(self.megabytes, _high_water(worker))


def _high_water(process: str) -> float:
    try:
        said = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in said.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) / 1024 if found else 0.0


def _show(console: Console, found: list[Figures]) -> None:
    table = Table(
        box=None, pad_edge=False, header_style="bold", title="$export, resources a second", title_justify="left"
    )
    for heading in ("resources", "bare cursor", "to manifest", "to last byte", "ratio", "MB", ""):
        table.add_column(heading, justify="right")
    for one in found:
        ratio = one.export / one.bare
        met = ratio >= LEAST_RATIO and one.export >= LEAST_RATE and one.memory <= MOST_MEMORY
        cells = (f"{one.size:,}", f"{one.bare:,.0f}", f"{one.written:,.0f}", f"{one.export:,.0f}", f"{ratio:.2f}")
        table.add_row(*cells, f"{one.memory:.0f}", verdict(met))
    console.print(table)
    _tell_fall(console, "$export", [one.export for one in found])
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.title = "mediloop-fhir export, resources a second, start and end of the command included"
    for heading in ("resources", "format", "bare cursor", "command", "ratio", "MB", ""):
        table.add_column(heading, justify="right")
    for one in found:
        for name, command in one.commands.items():
            ratio = command.rate / one.bare
            met = command.memory <= MOST_MEMORY and (ratio >= LEAST_RATIO or name != "ndjson")
            cells = (f"{one.size:,}", name, f"{one.bare:,.0f}", f"{command.rate:,.0f}", f"{ratio:.2f}")
            table.add_row(*cells, f"{command.memory:.0f}", verdict(met))
    console.print(table)
    for name in FORMATS:
        _tell_fall(console, name, [one.commands[name].rate for one in found])


def _tell_fall(console: Console, what: str, rates: list[float]) -> None:
    fall = 1 - rates[-1] / rates[0]
    said = "met" if fall <= MOST_FALL else "not met"
    text = f"{what}: the rate falls by {max(fall, 0):.0%} from the smallest to the largest ({said})"
    console.print(text, highlight=False)
