"""Is the floor honest? Both applications in this process, every command they send written down and compared.

A floor that reads or writes less than the service would make the service look worse than it is, one that does
more would flatter it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import bson
import httpx
from fastapi import FastAPI
from pymongo import monitoring
from rich.console import Console
from rich.table import Table

from adapter import service
from adapter.app import create_app
from bench import processes
from bench.cases import CASES, CONSTANT, FLOOR, LEAST, SERVICE, Case
from bench.floor import create_app as create_floor
from bench.requests import Request

_KEY = "sk_test_" + "0" * 16
_WARM_UP = 3
_SAMPLE = 5
_SIZE_TOLERANCE = 0.1
# What the driver adds to every command, or what differs by its nature (time limits, session ids, transaction numbers).
_NOISE = frozenset(
    {"lsid", "$clusterTime", "$db", "txnNumber", "maxTimeMS", "startTransaction", "autocommit", "$readPreference"}
)
_WRITES = {"insert": "documents", "update": "updates"}
_SHOWN = ("filter", "projection", "sort", "limit", "hint", "readConcern", "writeConcern")

Shape = tuple[str, ...]


class Listener(monitoring.CommandListener):
    """Writes down the commands that clients made after its registration send."""

    def __init__(self) -> None:
        self.sent: list[Mapping[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Keep the command as it is now: the driver may reuse it."""
        if event.command_name not in ("hello", "ping", "endSessions"):
            self.sent.append(bson.decode(bson.encode(event.command)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to write down."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to write down."""

    def take(self) -> list[Mapping[str, Any]]:
        """Return what was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent


def shape(command: Mapping[str, Any]) -> Shape:
    """Return what must be equal about two commands, readable: name, collection, and how it reads or writes."""
    name = next(iter(command))
    parts = [f"{name} {command[name]}" if isinstance(command[name], str) else name]
    if "autocommit" in command:
        parts.append("first in the transaction" if command.get("startTransaction") else "in the transaction")
    if name in _WRITES:
        parts.append(f"{len(command[_WRITES[name]])} {_WRITES[name]}")
    for key in _SHOWN:
        if command.get(key):
            value = _names(command[key]) if key == "filter" else command[key]
            parts.append(f"{key} {_plain(value)}")
    if name == "aggregate":
        stages = [_names(s["$match"]) if "$match" in s else next(iter(s)) for s in command["pipeline"]]
        parts.append(f"pipeline {stages}")
    return tuple(parts)


def _plain(value: Any) -> Any:
    """Take out of a read concern the moment that it names, not that it names one: each session has its own."""
    if isinstance(value, dict):
        plain = {name: _plain(member) for name, member in value.items() if name != "afterClusterTime"}
        return plain | {"atClusterTime": "="} if "atClusterTime" in plain else plain
    return value


def _names(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return a filter without the values that differ from one booking to the next, operators kept."""
    return {k: sorted(v) if isinstance(v, dict) else "=" for k, v in query.items()}


def size(command: Mapping[str, Any]) -> int:
    """Return the bytes that a command sends, without what the driver adds."""
    return len(bson.encode({name: value for name, value in command.items() if name not in _NOISE}))


async def run(console: Console) -> int:
    """Compare service and floor for every case; return the exit code."""
    listener = Listener()
    monitoring.register(listener)  # for every client made from here on
    different = False
    with processes.mongodb() as (_, uri), console.status("writing 20,000 slots and 20,000 appointments"):
        await processes.prepare(uri)
        given = processes.settings(uri, bootstrap_key=_KEY)
        parts = service.build(given, uri)
        await parts.prepare()
        apps = {
            SERVICE: create_app(parts),
            FLOOR: create_floor(uri, processes.FLOOR_DATABASE),
            LEAST: create_floor(uri, processes.LEAST_DATABASE, least=True),
        }
        found: dict[tuple[str, str], tuple[list[Shape], int]] = {}
        for target, app in apps.items():
            # Without its chores: what they send is no part of a request, and comes when it likes.
            lifespan = nullcontext() if target == SERVICE else app.router.lifespan_context(app)
            async with lifespan, _client(app) as http:
                for case in CASES:
                    if target in case.targets:
                        found[case.name, target] = await _commands(http, listener, case)
        await parts.close()
    for case in CASES:
        different |= _compare(
            console, case, {target: found[case.name, target] for target in case.targets if target != CONSTANT}
        )
    console.print("different" if different else "the floor sends what the service sends")
    return 1 if different else 0


def _client(app: FastAPI) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {_KEY}", "Content-Type": "application/json"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://bench", headers=headers)


async def _commands(http: httpx.AsyncClient, listener: Listener, case: Case) -> tuple[list[Shape], int]:
    """Return the commands of one request and the mean bytes they send, once key and counter are at hand."""
    requests = case.requests()
    for _ in range(_WARM_UP):
        await _send(http, next(requests))
    listener.take()
    shapes: list[Shape] = []
    total = 0
    for _ in range(_SAMPLE):
        await _send(http, next(requests))
        # The key's look-up, every two seconds, is no part of a request.
        sent = [one for one in listener.take() if one.get("find") != "keys"]
        shapes = [shape(one) for one in sent]
        total += sum(size(one) for one in sent)
    return shapes, total // _SAMPLE


async def _send(http: httpx.AsyncClient, request: Request) -> None:
    answer = await http.request(
        request.method, request.path, content=request.body, headers={"Content-Type": request.media_type}
    )
    if not answer.is_success:
        raise RuntimeError(f"{request.method} {request.path}: {answer.status_code} {answer.text}")


def _compare(console: Console, case: Case, found: Mapping[str, tuple[list[Shape], int]]) -> bool:
    """Print the commands of one case; tell whether the floor's differ from the service's."""
    counts = {target: Counter(shapes) for target, (shapes, _) in found.items()}
    table = Table(title=case.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for target in found:
        table.add_column(target, justify="right")
    table.add_column("command")
    for one in dict.fromkeys(one for shapes, _ in found.values() for one in shapes):
        table.add_row(*(str(counts[target][one] or "") for target in found), "; ".join(one))
    table.add_row(*(str(len(shapes)) for shapes, _ in found.values()), "commands")
    table.add_row(*(f"{sent:,}" for _, sent in found.values()), "bytes sent")
    console.print(table)
    console.print()
    ours, floor = found[SERVICE][1], found[FLOOR][1]
    return counts[SERVICE] != counts[FLOOR] or abs(ours - floor) > _SIZE_TOLERANCE * ours
