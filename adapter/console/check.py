"""``mediloop-fhir check``: verify the whole store, while the service runs or not."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from adapter import service
from adapter.console.options import AsJson, TestLiveOrBoth
from adapter.console.session import bar, fail, mongodb, out, plain_failures
from adapter.scheduling import verifying
from adapter.security.keys import Mode
from adapter.service import MODES, Service
from adapter.settings import load
from store import checking, checking_history
from store.checking import Finding, Step
from store.connection import bounded, require_fit
from store.history import HISTORY
from store.store import Store
from store.types import TYPES

FOUND = 1
CANNOT = 2
_SHOWN = 20  # of each kind, on the terminal
_KEPT = 1_000  # of each kind, in the report: it must not grow with what is wrong


@dataclass(slots=True)
class Report:
    """What was found in one database.

    Attributes:
        checked: how many documents, by collection.
        counts: how many findings, by kind.
        notes: how many remarks, by kind: what may be meant so.
        found: the first of each kind.
        seconds: how long it took.
    """

    checked: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    found: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, step: Step) -> None:
        """Take in what a batch has shown."""
        self.checked[step.what] += step.checked
        for finding in step.findings:
            counter = self.notes if finding.note else self.counts
            counter[finding.kind] += 1
            if counter[finding.kind] <= _KEPT:
                self.found.append(finding)

    def as_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        told = [{"kind": one.kind, "resource": one.resource, "message": one.message} for one in self.listed(False)]
        notes = [{"kind": one.kind, "resource": one.resource, "message": one.message} for one in self.listed(True)]
        return {
            "clean": not self.counts,
            "checked": {name: number for name, number in self.checked.items() if number},
            "counts": dict(self.counts),
            "findings": told,
            "note_counts": dict(self.notes),
            "notes": notes,
            "seconds": round(self.seconds, 1),
        }

    def listed(self, notes: bool) -> list[Finding]:
        """Return the findings or the notes that were kept."""
        return [one for one in self.found if one.note == notes]


def check(
    mode: TestLiveOrBoth = "both",
    database: Annotated[str | None, typer.Option(help="Name of the databases (ADAPTER_DATABASE).")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the whole store: nothing booked twice, nothing lost, index and history in agreement. It changes nothing.

    The service may run meanwhile. Exit code: 0 all is well, 1 something was found, 2 it could not be checked.

    [dim]Example:  mediloop-fhir check --mode live[/dim]
    """
    wanted = MODES if mode == "both" else (mode,)
    try:
        with plain_failures():
            settings = load(database=database)
            with mongodb(settings) as (uri, _):
                reports = asyncio.run(_run(service.build(settings, uri), wanted))
    except typer.Exit:
        raise typer.Exit(CANNOT) from None
    if as_json:
        clean = not any(report.counts for report in reports.values())
        databases = {name: report.as_json() for name, report in reports.items()}
        typer.echo(json.dumps({"clean": clean, "databases": databases}, indent=2))
    else:
        for name, report in reports.items():
            for line in _lines(name, report):
                out.print(line, markup=False, highlight=False)
    if any(report.counts for report in reports.values()):
        raise typer.Exit(FOUND)


async def _run(parts: Service, modes: tuple[Mode, ...]) -> dict[Mode, Report]:
    reports: dict[Mode, Report] = {}
    try:
        await require_fit(parts.client)
        for mode in modes:
            store, report = parts.stores[mode], Report()
            if not await bounded(store.database.list_collection_names, checking.SECONDS):
                fail(f"there is no database {store.database.name}: name the one that the service uses")
            begun = time.monotonic()
            with bar(mode, await checking.total(store)) as move:
                async for step in walk(store):
                    report.add(step)
                    move(advance=step.checked)
            report.seconds = time.monotonic() - begun
            reports[mode] = report
    finally:
        await parts.close()
    return reports


async def walk(store: Store, batch: int = checking.BATCH) -> AsyncIterator[Step]:
    """Verify one store; yield every batch with what it has shown."""
    yield Step("rules", 0, await checking.rules(store))
    yield Step("indexes", 0, await checking.indexes(store))
    for declared in TYPES.values():
        async for step in checking.documents(store, declared, batch):
            yield step
    async for step in checking_history.history(store, batch):
        yield step
    async for step in checking_history.order(store):
        yield step
    async for step in checking.remembered(store, batch):
        yield step
    async for step in verifying.appointments(store, batch):
        yield step
    async for step in verifying.slots(store, batch):
        yield step
    async for step in verifying.rooms(store, batch):
        yield step
    async for step in verifying.links(store, batch):
        yield step


def _lines(name: str, report: Report) -> Iterator[str]:
    documents = sum(report.checked[kind] for kind in TYPES)
    versions = report.checked[HISTORY]
    wrong, notes = sum(report.counts.values()), sum(report.notes.values())
    verdict = "clean" if not wrong else f"{wrong} finding{'s' * (wrong > 1)}"
    yield (
        f"{name}: {verdict}. {documents:,} resources, {report.checked['Appointment']:,} of them appointments, and "
        f"{versions:,} versions checked in {report.seconds:.1f} s."
    )
    for counts, is_note in ((report.counts, False), (report.notes, True)):
        for kind, number in counts.items():
            yield f"  {'note' if is_note else 'FOUND'}: {kind} ({number:,})"
            shown = [one for one in report.listed(is_note) if one.kind == kind][:_SHOWN]
            yield from (f"    {one.resource}: {one.message}" for one in shown)
            if number > len(shown):
                yield f"    and {number - len(shown):,} more"
    if notes:
        yield "  A note may be meant so: hospitals set slots busy by hand."


__all__ = ["CANNOT", "FOUND", "Report", "check", "walk"]
