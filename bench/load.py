"""The clients, in a process of their own: ``python -m bench.load`` takes slices on stdin and answers on stdout.

It shares two cores with what it measures, so it does as little as it can: a bare protocol on uvloop, requests
made beforehand, and no reading of an answer beyond its status and length.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast

import uvloop

from bench import fhir
from bench.cases import CONSTANT, by_name

_LENGTH = b"content-length: "
_PATIENCE = 30.0
_ENOUGH = 3
_LONGEST = 5
"""A slice goes on, up to five times as long, until each client has had three answers on the average."""
_LEAD_IN = 0.25
"""How much of a slice's length goes before it uncounted: all clients start at once, which no figure should show."""


@dataclass
class Run:
    """One slice: what its clients share."""

    requests: Iterator[bytes]
    start: float
    end: float
    waiting: int
    finished: asyncio.Event
    latest: float
    enough: int
    latencies: list[float] = field(default_factory=list)
    counted: int = 0
    last: float = 0.0
    failures: list[str] = field(default_factory=list)

    def over(self, now: float) -> bool:
        """Tell whether nothing more is to be sent or counted."""
        return now > self.end and (self.counted >= self.enough or now > self.latest)


class Client(asyncio.Protocol):
    """One connection, which sends the next request when its answer has come."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = b""
        self._started = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is none by class
        self._send()

    def _send(self) -> None:
        now = perf_counter()
        request = None if self._run.over(now) else next(self._run.requests, None)
        if request is None:
            self._transport.close()
            return
        self._started = now
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Gather the answer; when it is whole, note it and go on."""
        if self._buffer:
            data = self._buffer + data
        head = data.find(b"\r\n\r\n")
        at = data.find(_LENGTH, 0, head)
        if head < 0 or len(data) < head + 4 + int(data[at + len(_LENGTH) : data.find(b"\r", at)]):
            self._buffer = data
            return
        self._buffer = b""
        now = perf_counter()
        run = self._run
        if now >= run.start:
            run.latencies.append(now - self._started)
            if not run.over(now):
                run.counted += 1
                run.last = now
        if data[9:10] != b"2":
            run.failures.append(data[9:500].decode("latin-1"))
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Done, or cut off."""
        if exc is not None:
            self._run.failures.append(f"connection lost: {exc}")
        self._run.waiting -= 1
        if self._run.waiting == 0:
            self._run.finished.set()


async def measure(port: int, clients: int, seconds: float, requests: Iterator[bytes]) -> dict[str, Any]:
    """Send requests from `clients` connections, count for `seconds`; return what came of it."""
    loop = asyncio.get_running_loop()
    start = perf_counter() + _LEAD_IN * seconds
    ends = (start + seconds, start + _LONGEST * seconds)
    run = Run(requests, start, ends[0], clients, asyncio.Event(), ends[1], _ENOUGH * clients)
    for _ in range(clients):
        await loop.create_connection(lambda: Client(run), "127.0.0.1", port)
    await asyncio.wait_for(run.finished.wait(), 2 * _LONGEST * seconds + _PATIENCE)
    spare = next(requests, None) is not None
    return {
        # Where the slice went on, or the supply of bookings has run out, it was over with the last answer.
        "rate": run.counted / (seconds if spare and run.last <= run.end else max(run.last - start, 0.001)),
        "latencies": [round(latency * 1000, 3) for latency in run.latencies],
        "failures": run.failures[:3],
        "failed": len(run.failures),
        "ran_out": not spare,
    }


def main() -> None:
    """Serve slices until stdin ends. Each is a line of JSON, and so is its result."""
    supplies: dict[tuple[str, str], Iterator[bytes]] = {}
    for line in sys.stdin:
        wanted = json.loads(line)
        case, target = wanted["case"], wanted["target"]
        if (case, target) not in supplies:
            # Each target has a supply of its own: the same requests in the same order.
            # The constant answer gets small requests whatever the case: it is the measure of machine and framework.
            made = fhir.reads() if target == CONSTANT else by_name(case).requests()
            key = wanted["key"]
            supplies[case, target] = (request.sent(key) for request in made)
        gc.collect()
        gc.freeze()
        result = uvloop.run(measure(wanted["port"], wanted["clients"], wanted["seconds"], supplies[case, target]))
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
