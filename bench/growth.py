"""``python -m bench --growth``: how the p50 of each FHIR search grows with the store, from 10,000 to 640,000 documents.

Half Appointments, half Slots, in tens that one search finds: whatever the size, a search has ten matches among more
and more that are not. Written straight into the collections, composed as the store composes them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from adapter.console.session import opened
from adapter.scheduling import publishing
from adapter.scheduling.claims import claims
from adapter.scheduling.intervals import Interval
from bench import fhir, machine, processes
from bench.cases import SERVICE, Case
from bench.report import verdict
from bench.requests import SEED, Request
from store.codec import CODEC_OPTIONS, Resource, encode
from store.documents import Rules, compose, stamped
from store.store import Store
from store.types import TYPES

SIZES = (10_000, 40_000, 160_000, 640_000)
GOAL = 1.35
"""The p50 at the largest size is to be at most so many times that at the smallest."""

_TEN = 10
_BATCH = 1_000
_FIRST = datetime(2027, 1, 4, 8, tzinfo=UTC)
_ROUNDS = 5


def _appointments() -> Iterator[Request]:
    numbers = random.Random(SEED).sample(range(SIZES[0] // 2 // _TEN), 400)
    query = "date=ge2027-01-01&date=lt2028-01-01"
    return itertools.cycle(
        [Request("GET", f"/fhir/R4/Appointment?patient=Patient/g-{number}&{query}") for number in numbers]
    )


def _slots() -> Iterator[Request]:
    numbers = random.Random(SEED).sample(range(SIZES[0] // 2 // _TEN), 400)
    query = "status=free&start=ge2027-01-01&start=lt2028-01-01"
    return itertools.cycle(
        [Request("GET", f"/fhir/R4/Slot?schedule=Schedule/g-{number}&{query}") for number in numbers]
    )


CASES = (
    Case("growth-appointments", "Appointments of a patient, by dates", (1,), (1,), GOAL, _appointments, (SERVICE,)),
    Case("growth-slots", "free Slots of a Schedule, by dates", (1,), (1,), GOAL, _slots, (SERVICE,)),
)


def run(console: Console, seconds: float) -> int:
    """Measure and print; return the exit code: 0 whatever the figures are."""
    p50: dict[str, list[float]] = {case.name: [] for case in CASES}
    with processes.mongodb() as (folder, uri), console.status("starting") as status:
        machine.show(console, machine.describe())
        asyncio.run(prepare(uri))
        with processes.alone(folder, uri) as load:
            stored = 0
            for size in SIZES:
                status.update(f"writing up to {size:,} documents")
                asyncio.run(grow(uri, stored, size))
                stored = size
                status.update(f"searching among {size:,} documents")
                for case in CASES:
                    load.measure(case.name, SERVICE, 1, seconds)
                    slices = [load.measure(case.name, SERVICE, 1, seconds) for _ in range(_ROUNDS)]
                    p50[case.name].append(median(latency for one in slices for latency in one["latencies"]))
    _show(console, p50)
    return 0


def _show(console: Console, p50: dict[str, list[float]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", title="p50 in ms, 1 client", title_justify="left")
    table.add_column("", no_wrap=True)
    for size in SIZES:
        table.add_column(f"{size:,}", justify="right")
    for heading in ("growth", "goal", ""):
        table.add_column(heading, justify="right")
    for case in CASES:
        figures = p50[case.name]
        growth = round(figures[-1] / figures[0], 2)
        said = verdict(growth <= GOAL)
        cells = [f"{figure:.2f}" for figure in figures]
        table.add_row(case.title, *cells, f"{growth:.2f}", f"{GOAL:.2f}", said)
    console.print(table)


async def prepare(uri: str) -> None:
    """Make the database of the runs, with its indexes."""
    async with opened(processes.settings(uri), uri):
        pass


async def grow(uri: str, stored: int, size: int) -> None:
    """Write from `stored` up to `size` documents, half of them Appointments and half Slots."""
    async with opened(processes.settings(uri), uri) as service:
        store = service.stores["test"]
        rules = Rules(claims=claims)
        for first in range(stored // 2, size // 2, _BATCH):
            numbers = range(first, min(first + _BATCH, size // 2))
            await _insert(store, rules, "Appointment", [_appointment(number) for number in numbers])
            await _insert(store, rules, "Slot", [_slot(number) for number in numbers])


async def _insert(store: Store, rules: Rules, kind: str, resources: list[Resource]) -> None:
    moment = datetime.now(UTC)
    documents: list[dict[str, Any]] = []
    for resource in resources:
        whole = stamped(resource, 1, moment)
        documents.append(compose(TYPES[kind], whole, encode(whole), moment, rules))
    collection = store.database.get_collection(kind, codec_options=CODEC_OPTIONS)
    await collection.insert_many(documents, ordered=False)


def _when(number: int) -> Interval:
    ten, step = divmod(number, _TEN)
    start = _FIRST + timedelta(days=ten % 300, minutes=30 * step)
    return Interval(start, start + timedelta(minutes=30))


def _appointment(number: int) -> Resource:
    when = _when(number)
    made = fhir.appointment(number, (when.start, when.end))
    made["participant"][0]["actor"]["reference"] = f"Patient/g-{number // _TEN}"
    made["participant"][1]["actor"]["reference"] = f"Practitioner/g-{number // _TEN}"
    return made | {"id": f"g-{number:07d}"}


def _slot(number: int) -> Resource:
    return publishing.slot({"id": f"g-{number // _TEN}"}, _when(number), f"g-{number:07d}")
