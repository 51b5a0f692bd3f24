"""``python -m bench --imports``: ``mediloop-fhir import`` with every check, beside a bare ``insert_many``.

Half Slots, half Appointments that hold them, from NDJSON files, into an empty store; the bare way puts documents
composed the same way into collections without an index. They take turns on one MongoDB; the ratio is of the same run.
"Their documents" is all that the import has written (the resources, their versions, the guards), put into collections
with the same indexes, without checks, decisions or transactions: what MongoDB takes for that alone. "Their checks" is
what one core checks of them, as the front door does, and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from rich.console import Console
from rich.table import Table

from adapter import memory
from adapter.clock import text
from adapter.console.session import opened
from adapter.importing import running, sources
from adapter.importing.checking import check
from adapter.importing.item import Item
from adapter.scheduling import publishing
from adapter.scheduling.claims import claims
from adapter.scheduling.intervals import Interval
from adapter.service import MODES, Service
from bench import data, machine, processes
from bench.report import verdict
from store.codec import CODEC_OPTIONS, Resource, encode
from store.documents import Rules, compose, stamped
from store.guards import GUARDS
from store.ordering import HISTORY
from store.types import TYPES

SIZES = (20_000, 200_000)
LONG = (20_000, 1_000_000)
LEAST_RATIO, LEAST_RATE, MOST_FALL = 0.2, 3_000, 0.1
_RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
_BATCH = 1_000
_ENOUGH = 20_000  # resources that are checked to see how many a core does


@dataclass(frozen=True, slots=True)
class Figures:
    """What one size came to: resources a second, with every check, as bare documents, as all that are written, and of
    one core that checks them."""

    size: int
    checked: float
    bare: float
    documents: float
    checks: float


def run(console: Console, sizes: tuple[int, ...] = SIZES) -> int:
    """Measure and print; return the exit code: 0 whatever the figures are, 1 where something was refused."""
    found: list[Figures] = []
    refused = 0
    for size in sizes:
        with processes.mongodb() as (folder, uri), console.status(f"importing {size:,} resources"):
            figures, wrong = asyncio.run(_measure(folder, uri, size))
        found.append(figures)
        refused += wrong
    _show(console, found)
    if refused:
        console.print(f"{refused} resources were refused: the figures are not to be used", style="red")
    return 1 if refused else 0


def _show(console: Console, found: list[Figures]) -> None:
    machine.show(console, machine.describe())
    table = Table(box=None, pad_edge=False, header_style="bold", title="import, resources/s", title_justify="left")
    for heading in (
        "resources",
        "with every check",
        "bare insert_many",
        "ratio",
        "their documents",
        "ratio",
        "their checks",
        "goal",
    ):
        table.add_column(heading, justify="right")
    for one in found:
        ratio = one.checked / one.bare
        met = ratio >= LEAST_RATIO and one.checked >= LEAST_RATE
        said = f"{LEAST_RATIO} and {LEAST_RATE:,}/s: " + verdict(met)
        least = (f"{one.documents:,.0f}", f"{one.documents / one.bare:.2f}", f"{one.checks:,.0f}")
        table.add_row(f"{one.size:,}", f"{one.checked:,.0f}", f"{one.bare:,.0f}", f"{ratio:.2f}", *least, said)
    console.print(table)
    fall = 1 - found[-1].checked / found[0].checked
    said = verdict(fall <= MOST_FALL)
    console.print(f"growth: the rate falls by {fall:.0%} (goal: by {MOST_FALL:.0%} at most) {said}", highlight=False)


async def _measure(folder: Path, uri: str, size: int) -> tuple[Figures, int]:
    async with opened(processes.settings(uri), uri) as service:
        memory.settle(memory.BATCH)  # as the command does
        await data._write(service.stores["test"], data._people(service))
        bare = [await _bare(service, size)]
        files = []
        for kind, resources in (("Slot", _slots(size // 2)), ("Appointment", _visits(service, size // 2))):
            files.append(sources.Source(kind, folder / f"{kind}.ndjson"))
            with files[-1].path.open("wb") as out:
                out.writelines(encode(one) + b"\n" for one in resources)
        options = running.Options("test", folder / "errors", folder / "state")
        refused = 0
        began = time.perf_counter()
        async for tally in running.run(service, files, options):
            refused = tally.refused
        checked = size / (time.perf_counter() - began)
        documents = size / await _again(service)
        checks = _checks(service, min(size, _ENOUGH))
        bare.append(await _bare(service, size))
        return Figures(size, checked, sum(bare) / len(bare), documents, checks), refused


async def _bare(service: Service, size: int) -> float:
    database = service.client.get_database("bare_import", codec_options=CODEC_OPTIONS)
    rules = Rules(claims=claims)
    moment = datetime.now(UTC)
    took = 0.0
    for kind, resources in (("Slot", _slots(size // 2)), ("Appointment", _visits(service, size // 2))):
        for batch in _batches(resources):
            whole = [stamped(one, 1, moment) for one in batch]
            documents = [compose(TYPES[kind], one, encode(one), moment, rules) for one in whole]
            began = time.perf_counter()
            await database[kind].insert_many(documents)
            took += time.perf_counter() - began
    await service.client.drop_database("bare_import")
    return size / took


async def _again(service: Service) -> float:
    """Write all documents of the store into the other mode's, which is empty and has the same indexes.

    Returns:
        The seconds that the writing took.
    """
    source, target = (
        service.client.get_database(service.stores[mode].database.name, codec_options=_RAW) for mode in MODES
    )
    took = 0.0
    for name in (*TYPES, HISTORY, GUARDS):
        batch: list[Any] = []
        async for one in source[name].find(sort=[("$natural", 1)]):
            batch.append(one)
            if len(batch) == _BATCH:
                took += await _insert(target[name], batch)
                batch = []
        if batch:
            took += await _insert(target[name], batch)
    return took


def _checks(service: Service, size: int) -> float:
    """Return how many resources a second this core checks."""
    took = 0.0
    for kind, resources in (("Slot", _slots(size // 2)), ("Appointment", _visits(service, size // 2))):
        for batch in _batches(resources):
            items = [Item(number, encode(one), kind) for number, one in enumerate(batch)]
            began = time.perf_counter()
            for item in items:
                check(service, item)
            took += time.perf_counter() - began
    return size / took


async def _insert(collection: AsyncCollection[Any], batch: list[Any]) -> float:
    began = time.perf_counter()
    await collection.insert_many(batch)
    return time.perf_counter() - began


def _batches(resources: Iterator[Resource]) -> Iterator[list[Resource]]:
    batch: list[Resource] = []
    for one in resources:
        batch.append(one)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _slots(count: int) -> Iterator[Resource]:
    for place in data._places("slot", count, data.FIRST_SLOT_DAY):
        schedule = {"resourceType": "Schedule", "id": data.schedule_id(data.practitioner_id(place.practitioner))}
        yield {**publishing.slot(schedule, Interval(place.start, place.end), place.ident), "status": "busy"}


def _visits(service: Service, count: int) -> Iterator[Resource]:
    for number, place in enumerate(data._places("visit", count, data.FIRST_SLOT_DAY)):
        made = data._appointment(service, number, place)
        made["status"] = "booked"
        made["created"] = text(place.start)
        made["identifier"] = [{"system": service.systems.appointment_number, "value": f"APT-2027-I{number:06d}"}]
        yield {**made, "slot": [{"reference": f"Slot/slot-{place.ident.partition('-')[2]}"}]}


__all__ = ["Figures", "run"]
