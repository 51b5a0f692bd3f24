"""``python -m bench``: speed beside a bare floor, in one run.

The figures are ratios of slices that take turns (service, floor, service, floor): a machine that is busy with
something else slows both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from bench import export, growth, imports, machine, processes, report, scheduling, verify
from bench.cases import CASES, Case
from bench.report import Row, verdict

_WARM_UP = 0.2
_INTERRUPTED = 130
_WIDTH = 160
_MOST_MEMORY = 200
"""Megabytes of the service process."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, return the exit code: 0 whatever the figures are, 1 where requests failed."""
    given = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything is ended
    console = Console(stderr=given.json)
    if not console.is_terminal:
        console = Console(stderr=given.json, width=_WIDTH)  # in a file the table need not fit a screen
    progress = Console(stderr=True)
    try:
        if given.verify:
            return asyncio.run(verify.run(console))
        if given.export:
            return export.run(console, _sizes(given, export.LONG if given.long else export.SIZES))
        if given.scheduling:
            return scheduling.run(console)
        if given.imports:
            return imports.run(console, _sizes(given, imports.LONG if given.long else imports.SIZES))
        if given.growth:
            return growth.run(console, given.seconds)
        return _measure(given, console, progress)
    except KeyboardInterrupt:
        progress.print("interrupted: everything started was ended, the data removed")
        return _INTERRUPTED


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.8, help="length of a slice (default 0.8)")
    parser.add_argument("--rounds", type=int, default=5, help="slices for each target and load (default 5)")
    parser.add_argument("--only", choices=[case.name for case in CASES], action="append", help="these cases only")
    parser.add_argument("--quick", action="store_true", help="less than a minute: rough figures")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout, the table on stderr")
    parser.add_argument("--growth", action="store_true", help="measure how searches grow with the store instead")
    parser.add_argument("--export", action="store_true", help="measure $export beside a bare cursor instead")
    parser.add_argument("--scheduling", action="store_true", help="measure $find, $hold and $book instead")
    parser.add_argument("--imports", action="store_true", help="measure import beside insert_many instead")
    parser.add_argument("--long", action="store_true", help="with --export or --imports: up to 1,000,000 resources")
    parser.add_argument("--size", type=int, action="append", help="with these: so many resources; may be repeated")
    parser.add_argument("--verify", action="store_true", help="print and compare the MongoDB commands instead")
    given = parser.parse_args(arguments)
    if given.quick:
        given.seconds, given.rounds = 0.4, 3
    if given.seconds <= 0 or given.rounds < 1:
        parser.error("--seconds must be more than 0, --rounds 1 or more")
    return given


def _sizes(given: argparse.Namespace, usual: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(given.size)) if given.size else usual


def _measure(given: argparse.Namespace, console: Console, progress: Console) -> int:
    cases = [case for case in CASES if given.only is None or case.name in given.only]
    rows: list[Row] = []
    with progress.status("starting") as status, processes.mongodb() as (folder, uri):
        described = machine.describe()  # before our own load is on the machine
        status.update("writing 20,000 slots and 20,000 appointments")
        version = asyncio.run(processes.prepare(uri))
        described["MongoDB"] = f"{version}, a replica set of one member on the same machine"
        with processes.everything(folder, uri) as load:
            for case in cases:
                for clients in case.quick if given.quick else case.clients:
                    status.update(f"{case.title}, {clients} clients")
                    rows.append(_row(load, case, clients, given.seconds, given.rounds, progress))
            memory = processes.peak(folder)
    how = f"{given.rounds} rounds of {given.seconds:g} s for each in turn; medians; one worker each, one MongoDB"
    report.show(console, described, rows, how)
    said = verdict(memory <= _MOST_MEMORY)
    console.print(f"The service process had {memory:.0f} MB at most, goal {_MOST_MEMORY}: {said}", highlight=False)
    if given.json:
        print(json.dumps(report.as_json(described, rows, how)))
    return 1 if any(row.failed for row in rows) else 0


def _row(load: processes.Load, case: Case, clients: int, seconds: float, rounds: int, progress: Console) -> Row:
    slices: dict[str, list[processes.Slice]] = {target: [] for target in case.targets}
    for target in case.targets:
        load.measure(case.name, target, clients, _WARM_UP)
    for number in range(rounds):
        # Every other round the other way about: neither always comes after the other.
        for target in case.targets if number % 2 == 0 else reversed(case.targets):
            taken = load.measure(case.name, target, clients, seconds)
            slices[target].append(taken)
            if taken["failures"]:
                progress.print(f"{case.title}, {target}: {taken['failures'][0]}", markup=False)
    return Row.of(case, clients, slices)


if __name__ == "__main__":
    sys.exit(main())
