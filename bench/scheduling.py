"""``python -m bench --scheduling``: the scheduling operations.

``$find`` over 30 days and 20 schedules beside one indexed MongoDB query that returns the same Slots, the two in turn;
``$hold`` and then ``$book`` of what ``$find`` has proposed, by 1, 16 and 64 clients; and one Slot that 256 clients want
at once, until the last of them has an answer. One service process; the clients are one process more, whose share of
two cores is in the figures.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, datetime, timedelta
from statistics import median, quantiles
from typing import Any

import httpx
from pymongo import MongoClient
from rich.console import Console

from adapter.clock import text
from bench import data, machine, processes
from bench.report import verdict
from bench.requests import SEED

MOST_TIMES = 5.0
CLIENTS = (1, 16, 64)
RIVALS = 256
_FINDS = 40
_ROUNDS = 10
_SECONDS = 4.0
_PAGE = 200

Parameters = dict[str, Any]


def run(console: Console) -> int:
    """Measure and print; return the exit code: 0 whatever the figures are."""
    with processes.mongodb() as (folder, uri), console.status("writing 20,000 slots and 20,000 appointments"):
        machine.show(console, machine.describe())
        asyncio.run(processes.prepare(uri))
        with processes.service(folder, uri) as (port, key):
            asyncio.run(_measure(console, uri, port, key))
    return 0


async def _measure(console: Console, uri: str, port: int, key: str) -> None:
    limits = httpx.Limits(max_connections=RIVALS, max_keepalive_connections=RIVALS, keepalive_expiry=2)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/fhir+json"}
    base = f"http://127.0.0.1:{port}/fhir/R4/"
    async with httpx.AsyncClient(base_url=base, headers=headers, limits=limits, timeout=60) as http:
        await _finding(console, http, uri)
        proposals = await _proposals(http)
        for clients in CLIENTS:
            await _booking(console, http, proposals, clients)
        await _contested(console, http)


async def _finding(console: Console, http: httpx.AsyncClient, uri: str) -> None:
    first = date.fromisoformat(data.MONTH[0])
    begin, end = (
        datetime.combine(day, datetime.min.time()).astimezone() for day in (first, first + timedelta(days=30))
    )
    body = _parameters(start=text(begin), end=text(end))
    schedules = [f"Schedule/{data.schedule_id(data.practitioner_id(number))}" for number in range(data.PRACTITIONERS)]
    query = {
        "_index.status": "free",
        "_index.schedule": {"$in": schedules},
        "_index.start": {"$gte": begin, "$lt": end},
    }
    ours: list[float] = []
    floor: list[float] = []
    total = 0
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        slots = client[processes.SERVICE_DATABASE]["Slot"]
        for _ in range(_FINDS):
            began = time.perf_counter()
            answer = await http.post("Appointment/$find", json=body)
            ours.append(time.perf_counter() - began)
            total = answer.raise_for_status().json()["total"]
            began = time.perf_counter()
            found = list(slots.find(query, {"_json": 1}, sort=[("_index.start", 1), ("_id", 1)]))
            floor.append(time.perf_counter() - began)
            if len(found) != total:
                raise RuntimeError(f"$find tells of {total} openings, the query of {len(found)}")
    (p50, p95), (bare50, bare95) = _cuts(ours), _cuts(floor)
    times = p95 / bare95
    said = verdict(times <= MOST_TIMES)
    console.print(
        f"$find, 30 days x {data.PRACTITIONERS} schedules, {total:,} openings: p50 {p50:.0f} ms, p95 {p95:.0f} ms; one "
        f"query for the same slots: p50 {bare50:.0f} ms, p95 {bare95:.0f} ms; {times:.1f} times at p95, goal "
        f"{MOST_TIMES:g}: {said}",
        highlight=False,
    )


def _cuts(seconds: list[float]) -> tuple[float, float]:
    cuts = quantiles(seconds, n=20)
    return 1_000 * median(seconds), 1_000 * cuts[18]


async def _proposals(http: httpx.AsyncClient) -> Iterator[str]:
    """Have every practitioner's next openings proposed; one hour's neighbours are not booked one after the other."""
    start = f"{data.FIRST_SLOT_DAY}T00:00:00Z"
    end = f"{data.FIRST_SLOT_DAY + timedelta(days=40)}T00:00:00Z"
    names: list[str] = []
    for number in range(data.PRACTITIONERS):
        practitioner = {"reference": f"Practitioner/{data.practitioner_id(number)}"}
        body = _parameters(start=start, end=end)
        body["parameter"].append({"name": "practitioner", "valueReference": practitioner})
        answer = await http.post("Appointment/$find", params={"_count": _PAGE}, json=body)
        entries = answer.raise_for_status().json()["entry"]
        names += [f"Appointment/{entry['resource']['id']}" for entry in entries]
    random.Random(SEED).shuffle(names)
    return iter(names)


@asynccontextmanager
async def _each_its_own(http: httpx.AsyncClient, number: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Give so many clients with a connection each.

    A pool that many share looks through all its connections for each request: for 64 that took more of a core than the
    service.
    """
    secure = ssl.create_default_context()  # of no use here, and by far the most of what a client's start takes
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=http.base_url, headers=http.headers, timeout=60, verify=secure)
            )
            for _ in range(number)
        ]


async def _booking(console: Console, http: httpx.AsyncClient, proposals: Iterator[str], clients: int) -> None:
    latencies: list[float] = []

    async def one(own: httpx.AsyncClient) -> None:
        while time.perf_counter() < until:
            named = {"name": "appointment-reference", "valueReference": {"reference": next(proposals)}}
            whom = {"name": "patient-reference", "valueReference": {"reference": "Patient/anybody"}}
            began = time.perf_counter()
            for operation, given in (("$hold", [named]), ("$book", [named, whom])):
                body = {"resourceType": "Parameters", "parameter": given}
                (await own.post(f"Appointment/{operation}", json=body)).raise_for_status()
            latencies.append(time.perf_counter() - began)

    async with _each_its_own(http, clients) as owns:
        began = time.perf_counter()
        until = began + _SECONDS
        await asyncio.gather(*map(one, owns))
        rate = len(latencies) / (time.perf_counter() - began)
    p50, p95 = _cuts(latencies)
    console.print(
        f"$hold + $book, {clients} clients: {rate:.0f}/s, p50 {p50:.1f} ms, p95 {p95:.1f} ms", highlight=False
    )


async def _contested(console: Console, http: httpx.AsyncClient) -> None:
    """Each client books the same Slot by value; a Slot for each round, from the end of the calendar."""
    places = list(itertools.islice(reversed(list(data.slots())), _ROUNDS))
    seconds: list[float] = []
    statuses: Counter[int] = Counter()
    async with _each_its_own(http, RIVALS) as rivals:
        for place in places:
            took, answered = await _raced(rivals, place)
            seconds.append(took)
            statuses.update(answered)
    told = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
    console.print(
        f"One slot, {RIVALS} clients, {_ROUNDS} rounds: all have an answer after {median(seconds):.2f} s (median), "
        f"{max(seconds):.2f} s at most; {told}",
        highlight=False,
    )


async def _raced(rivals: Sequence[httpx.AsyncClient], place: data.Place) -> tuple[float, list[int]]:
    """Have all book one Slot at once; return the seconds until the last answer, and the statuses."""
    practitioner = {"reference": f"Practitioner/{data.practitioner_id(place.practitioner)}"}
    wanted = {
        "resourceType": "Appointment",
        "status": "pending",
        "start": text(place.start),
        "end": text(place.end),
        "slot": [{"reference": f"Slot/{place.ident}"}],
        "participant": [{"actor": practitioner, "status": "needs-action"}],
    }
    body = {"resourceType": "Parameters", "parameter": [{"name": "appointment-resource", "resource": wanted}]}
    began = time.perf_counter()
    answers = await asyncio.gather(*(one.post("Appointment/$book", json=body) for one in rivals))
    return time.perf_counter() - began, [answer.status_code for answer in answers]


def _parameters(**values: str) -> Parameters:
    given = [{"name": name, "valueDateTime": value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": given}
