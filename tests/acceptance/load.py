"""Many clients at once, and the truth about what they left: shared by the tests of races and of crashes.

`Crowd` sends requests in the same moment, each over a connection of its own; `publish` prepares what they fight for;
`Tally` counts what came back. `Ledger` knows the truth: it reads the raw MongoDB collections and holds them to rules
that are written down here a second time. It asks the product for nothing, so that a mistake in the product's rules
cannot hide itself.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import re
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

import httpx
from pymongo import MongoClient

from adapter import clock
from adapter.scheduling import publishing
from adapter.service import build
from adapter.settings import Settings
from store import embedded
from store.unit_of_work import UnitOfWork
from tests.acceptance.conftest import Running

BOOK = "/api/v1/appointments/"
PATIENCE = 30.0
"""Seconds after which a client gives up: the service itself answers within 10, whatever MongoDB does."""

# uvicorn closes a connection 5 s after its last answer, which a busy client may read seconds later than it was sent:
# one that keeps it for 2 s never writes into a closed one.
_KEEP_ALIVE = 2.0

Document = dict[str, Any]


# Clients.


@dataclass(frozen=True, slots=True)
class Ask:
    """One POST: what, where, and under which idempotency key."""

    body: Document
    path: str = BOOK
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and after how many seconds."""

    status: int
    body: bytes
    replayed: bool
    seconds: float

    @property
    def content(self) -> Document:
        parsed: Document = json.loads(self.body)
        return parsed

    @property
    def code(self) -> str:
        """The status, with the code of a refusal: ``409 time_conflict``."""
        return str(self.status) if self.status < 400 else f"{self.status} {self.content['error']['code']}"


def visit(practitioner: str, start: datetime, **members: object) -> Document:
    """Return the body of a booking."""
    whole = {"patient_uhid": "UG123456789A", "service_type_code": "consultation", "practitioner_id": practitioner}
    return whole | {"start_time": clock.text(start)} | members


def client_of(running: Running) -> httpx.AsyncClient:
    """Return a client with one connection."""
    return httpx.AsyncClient(
        base_url=running.base,
        headers=running.headers,
        timeout=PATIENCE,
        limits=httpx.Limits(max_connections=1, keepalive_expiry=_KEEP_ALIVE),
        verify=False,
        trust_env=False,
    )


async def send(client: httpx.AsyncClient, ask: Ask) -> Answer:
    """Send one request.

    Raises:
        httpx.TransportError: no whole answer came.
    """
    begun = time.perf_counter()
    headers = {} if ask.key is None else {"X-Idempotency-Key": ask.key}
    response = await client.post(ask.path, json=ask.body, headers=headers)
    replayed = response.headers.get("X-Idempotency-Replayed") == "true"
    return Answer(response.status_code, response.content, replayed, time.perf_counter() - begun)


class _Line:
    """One connection. What goes over it is written beforehand, so that 256 of them send within milliseconds."""

    def __init__(self, address: SplitResult) -> None:
        self._address = address
        self._used = -math.inf
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def warm(self) -> None:
        """Have a connection that a worker serves and will not close just now."""
        if time.monotonic() - self._used > _KEEP_ALIVE:
            await self.close()
            self._reader, self._writer = await asyncio.open_connection(self._address.hostname, self._address.port)
            assert (await self.send(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")).status == 200

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()

    async def send(self, request: bytes) -> Answer:
        """Send a whole request; return the whole answer."""
        assert self._writer is not None
        begun = time.perf_counter()
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"\r\ncontent-length: (\d+)\r\n", head)
        assert length is not None, head
        body = await self._reader.readexactly(int(length[1]))
        self._used = time.monotonic()
        replayed = b"\r\nx-idempotency-replayed: true\r\n" in head
        return Answer(int(head.split(b" ", 2)[1]), body, replayed, time.perf_counter() - begun)


class Crowd:
    """Clients with a warm connection each, who all ask in the same moment."""

    def __init__(self, running: Running, size: int) -> None:
        self._running = running
        self._headers = running.headers | {"Host": "test", "Content-Type": "application/json"}
        self._lines = [_Line(urlsplit(running.base)) for _ in range(size)]

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(line.warm() for line in self._lines))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(line.close() for line in self._lines))

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Send all of `asks` at once, one by each client; return the answers in their order."""
        assert len(asks) <= len(self._lines)
        await asyncio.gather(*(line.warm() for line in self._lines))
        pairs = zip(self._lines, [self._written(ask) for ask in asks], strict=False)
        async with asyncio.timeout(PATIENCE):
            return list(await asyncio.gather(*(line.send(request) for line, request in pairs)))

    def shares(self) -> list[int]:
        """Return how many of the connections each of the two workers serves."""
        port = urlsplit(self._running.base).port or 0
        # Beside the workers there is a helper of multiprocessing, which serves nothing.
        return sorted(connections(pid, port) for pid in children(self._running.process.pid))[-2:]

    def _written(self, ask: Ask) -> bytes:
        body = json.dumps(ask.body).encode()
        headers = self._headers | ({} if ask.key is None else {"X-Idempotency-Key": ask.key})
        lines = [f"POST {ask.path} HTTP/1.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Tally:
    """What all rounds of a race answered, and how long that took."""

    name: str
    codes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)

    def count(self, answers: Sequence[Answer]) -> Counter[int]:
        """Count one round; return how often each status came in it."""
        self.codes.update(answer.code for answer in answers)
        self.seconds += [answer.seconds for answer in answers]
        self.worst.append(max(answer.seconds for answer in answers))
        return Counter(answer.status for answer in answers)

    def __str__(self) -> str:
        ordered = sorted(self.seconds)
        p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
        return (
            f"{self.name}: {len(self.worst)} rounds, {dict(self.codes)}, "
            f"p50 {p50:.2f} s, p99 {p99:.2f} s, worst {max(ordered):.2f} s"
        )


# What they fight for.


def uri_of(running: Running) -> str:
    """Return the address of the service's MongoDB, which must run."""
    named = running.environment.get("ADAPTER_MONGODB_URI") or embedded.running(data_dir(running))
    assert named is not None
    return named


def data_dir(running: Running) -> Path:
    """Return the data directory of a service."""
    return Path(running.environment["ADAPTER_DATA_DIR"])


async def publish(running: Running, practitioner: str, first: date, days: int, minutes: int = 15) -> list[Document]:
    """Store a practitioner with free slots from 08:00 to 16:00 UTC on `days` days (none: only the practitioner).

    Returns:
        The slots in order of time.
    """
    database = running.environment.get("ADAPTER_DATABASE", "mediloop")
    service = build(Settings(_env_file=None, database=database), uri_of(running))
    store = service.stores["test"]
    schedule: Document = {
        "resourceType": "Schedule",
        "id": f"of-{practitioner}",
        "active": True,
        "actor": [{"reference": f"Practitioner/{practitioner}"}],
    }
    opening = publishing.parse_hours("mon-sun 08:00-16:00")
    made: list[Document] = []

    async def people(work: UnitOfWork) -> None:
        work.create({"resourceType": "Practitioner", "id": practitioner, "active": True})
        if days:
            work.create(schedule)

    try:
        await store.transact(people)
        for day in (first + timedelta(days=number) for number in range(days)):
            spans = publishing.spans(opening, minutes, day, day, ZoneInfo("UTC"))
            slots = [publishing.slot(schedule, span) for span in spans]
            made += await store.transact(lambda work, slots=slots: publishing.publish(work, schedule, slots))  # type: ignore[misc]
    finally:
        await service.close()
    return made


# The truth.

_HOLDING = {"pending": "busy-tentative", "booked": "busy", "arrived": "busy", "checked-in": "busy", "fulfilled": "busy"}


class Ledger:
    """The raw collections of a service's test database."""

    def __init__(self, client: MongoClient[Document], base: str) -> None:
        self._database = client[f"{base}_test"]

    def all(self, kind: str) -> list[Document]:
        """Return every document of a collection."""
        return list(self._database[kind].find())

    def appointments(self, practitioner: str) -> list[Document]:
        """Return the appointments that hold time of a practitioner."""
        whose = {"participant.actor.reference": f"Practitioner/{practitioner}", "status": {"$in": list(_HOLDING)}}
        return list(self._database["Appointment"].find(whose))

    def require_sound(self) -> None:
        """Fail with everything that is wrong in what is stored."""
        faults = [*self._forms(), *self._histories(), *self._slots(), *self._overlaps(), *self._numbers()]
        assert not faults, "\n".join(faults[:20])

    def _forms(self) -> Iterator[str]:
        """The served bytes and the readable document say the same."""
        for kind in ("Appointment", "Slot"):
            for one in self.all(kind):
                readable = {name: value for name, value in one.items() if name not in ("_id", "_index", "_json")}
                if json.loads(one["_json"]) != readable or one["_id"] != one["id"]:
                    yield f"{kind}/{one['_id']}: _json differs from the document"

    def _histories(self) -> Iterator[str]:
        """Every resource has its versions 1..n, the last of which is the present one; no version is nobody's."""
        kept: dict[str, list[Document]] = defaultdict(list)
        for entry in self._database["history"].find(sort=[("_id", 1)]):
            kept[entry["_id"].rpartition("/")[0]].append(entry)
        for kind in ("Appointment", "Slot"):
            for one in self.all(kind):
                name = f"{kind}/{one['_id']}"
                entries = kept.pop(name, [])
                versions = [int(json.loads(entry["_json"])["meta"]["versionId"]) for entry in entries]
                present = int(one["meta"]["versionId"])
                if versions != list(range(1, present + 1)) or entries[-1]["_json"] != one["_json"]:
                    yield f"{name} is version {present} with the history {versions}"
        for name in kept:
            if name.startswith(("Appointment/", "Slot/")):
                yield f"there is history of {name}, which is not stored"

    def _slots(self) -> Iterator[str]:
        """A slot is busy if, and only if, as many hold it as it has room for; more have been booked over it."""
        holders: dict[str, list[Document]] = defaultdict(list)
        for one in self.all("Appointment"):
            if one["status"] in _HOLDING:
                for link in one.get("slot", ()):
                    holders[link["reference"]].append(one)
        for slot in self.all("Slot"):
            mine, room = holders.pop(f"Slot/{slot['_id']}", []), _room(slot)
            wanted = min(_HOLDING[one["status"]] for one in mine) if len(mine) >= room else "free"
            if sum(not _over(one) for one in mine) > room or slot["status"] != wanted:
                yield f"Slot/{slot['_id']} is {slot['status']}, held by {[one['_id'] for one in mine]}"
        for name, mine in holders.items():
            yield f"{name} is not stored but held by {[one['_id'] for one in mine]}"

    def _overlaps(self) -> Iterator[str]:
        """No two appointments hold a practitioner's time at once, but over each other or in slots for several."""
        roomy = {f"Slot/{slot['_id']}": slot for slot in self.all("Slot") if _room(slot) > 1}
        calendars: dict[str, list[Document]] = defaultdict(list)
        for one in self.all("Appointment"):
            if one["status"] in _HOLDING:
                for participant in one["participant"]:
                    name = participant["actor"].get("reference", "")
                    if name.startswith("Practitioner/"):
                        calendars[name].append(one)
        for name, held in calendars.items():
            held.sort(key=_begin)
            for place, one in enumerate(held):
                for other in itertools.takewhile(lambda other, one=one: _begin(other) < _end(one), held[place + 1 :]):  # type: ignore[misc]  # of the loop
                    if not (_over(one) or _over(other) or _shared(one, other, roomy)):
                        yield f"{name} is held twice: by {_span(one)} and {_span(other)}"

    def _numbers(self) -> Iterator[str]:
        """No appointment number is used twice."""
        # A FHIR client need not give one.
        numbers = Counter(one["identifier"][0]["value"] for one in self.all("Appointment") if "identifier" in one)
        yield from (f"{number} is used {times} times" for number, times in numbers.items() if times > 1)


@contextmanager
def ledger_of(running: Running) -> Iterator[Ledger]:
    """Open the books of a service whose MongoDB runs."""
    with MongoClient[Document](uri_of(running), tz_aware=True) as client:
        yield Ledger(client, running.environment.get("ADAPTER_DATABASE", "mediloop"))


def during(appointments: Iterable[Document], first: datetime, last: datetime) -> list[Document]:
    """Return those of `appointments` that touch the time from `first` to `last`."""
    return [one for one in appointments if _begin(one) < last and first < _end(one)]


def _room(slot: Document) -> int:
    """Return how many a slot has room for."""
    stated = [one["valueInteger"] for one in slot.get("extension", ()) if one["url"].endswith("/slot-capacity")]
    return int(stated[0]) if stated else 1


def _over(appointment: Document) -> bool:
    """Tell whether an appointment says that it was booked over others."""
    return any(one["url"].endswith("/overbooked") for one in appointment.get("extension", ()))


def _shared(one: Document, other: Document, roomy: dict[str, Document]) -> bool:
    """Tell whether two are at the same time in slots alone that have room for several, and that both hold."""
    begin, end = max(_begin(one), _begin(other)), min(_end(one), _end(other))
    theirs = {link["reference"] for link in one.get("slot", ())} & {link["reference"] for link in other.get("slot", ())}
    spans = [(_begin(roomy[name]), _end(roomy[name])) for name in theirs if name in roomy]
    covered = sum((max(min(last, end) - max(first, begin), timedelta()) for first, last in spans), timedelta())
    return covered == end - begin


def _begin(appointment: Document) -> datetime:
    return datetime.fromisoformat(appointment["start"])


def _end(appointment: Document) -> datetime:
    return datetime.fromisoformat(appointment["end"])


def _span(appointment: Document) -> str:
    return f"{appointment['_id']} ({appointment['start']} to {appointment['end']})"


# Processes.


def children(pid: int) -> list[int]:
    """Return the ids of the processes that `pid` has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(number) for number in listed.stdout.split()]


def connections(pid: int, port: int) -> int:
    """Return how many connections to `port` of this machine a process serves."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = {f"socket:[{row[9]}]" for row in rows if row[3] == "01" and int(row[1].partition(":")[2], 16) == port}
    count = 0
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            count += str(handle.readlink()) in established
    return count
