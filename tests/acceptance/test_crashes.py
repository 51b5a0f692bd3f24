"""The service, MongoDB, or both are killed in the middle of a load of bookings: what was answered 201 stands, whole.

Sixteen clients book free slots, each under an idempotency key, and write down what they hear. Then something dies.
After the restart every booking that was answered is there as it was answered, nothing is half made, and every request
that is sent again gets its first answer, or is carried out now, once.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

import httpx
import pytest

from adapter.serving import GRACE_SECONDS
from store.embedded_process import Process, State
from tests.acceptance.conftest import Running, Starter
from tests.acceptance.load import (
    BOOK,
    Answer,
    Ask,
    children,
    client_of,
    data_dir,
    ledger_of,
    publish,
    send,
    visit,
)
from tests.scale import LONG

CLIENTS = 16
SEEDS = (1, 2) if LONG else (1,)
ENOUGH = (150, 250) if LONG else (50, 80)
"""How many bookings are answered before something dies."""
DAYS = 5 if LONG else 3
WORKERS = 2 if LONG else 1
FIRST = date(2031, 1, 6)
OUTAGE_SECONDS = 15.0
"""How long a call may take while MongoDB is gone: 10 s (5 s to look for a server), and some patience."""
SETTLED_SECONDS = 30.0
"""How long after a restart a repeated request may still be answered 503.

The transactions of a killed service are open in a MongoDB that lives on, and hold what they have written, until
MongoDB ends them for their age (``transactionLifetimeLimitSeconds``, 60 s where nobody sets it).
"""


class House:
    """One data directory, and the services that live there one after the other."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._seen: list[Process] = []
        self.running: Running
        self.mongod: Process

    def open(self, port: int = 0, workers: int = WORKERS) -> Running:
        """Start the service, always with the same key: whose requests are repeated is part of the promise."""
        settings = {
            "workers": str(workers),
            "demo": "false",
            "log_level": "warning",
            "bootstrap_key": "sk_test_crashes",
        }
        self.running = self._starter(port=port, **settings)
        state = State.load(data_dir(self.running) / "mongodb")
        assert state is not None
        self.mongod = state.server
        self._seen += [self.mongod, *self._service()]
        return self.running

    def _service(self) -> list[Process]:
        """Return the processes of the service itself, the one that starts the others first."""
        parent = self.running.process.pid
        found = [Process.of(pid) for pid in (parent, *children(parent)) if pid != self.mongod.pid]
        return [process for process in found if process is not None]

    def kill_service(self) -> None:
        """End the service and its workers with SIGKILL; mongod stays."""
        killed = self._service()
        for process in killed:
            os.kill(process.pid, signal.SIGKILL)
        self.running.process.wait(10)
        _await_end(killed)

    def kill_first(self) -> None:
        """End the process that has started the workers with SIGKILL; they must notice."""
        service = self._service()
        self.running.process.kill()
        self.running.process.wait(10)
        _await_end(service)

    def kill_mongod(self) -> None:
        """End mongod with SIGKILL."""
        os.kill(self.mongod.pid, signal.SIGKILL)
        _await_end([self.mongod])

    def kill_both(self) -> None:
        """End mongod, then at once the service."""
        os.kill(self.mongod.pid, signal.SIGKILL)
        self.kill_service()
        _await_end([self.mongod])

    def close(self) -> None:
        """End in order: exit code 0, and MongoDB is stopped too."""
        assert self.running.stop() == 0, self.running.log.read_text()
        assert not self.mongod.alive()

    def clear(self) -> None:
        """End whatever a failed test has left."""
        for process in self._seen:
            process.stop(0)


def _await_end(processes: list[Process]) -> None:
    deadline = time.monotonic() + 10
    while any(process.alive() for process in processes):
        assert time.monotonic() < deadline, f"still there: {processes}"
        time.sleep(0.005)


@pytest.fixture
def house(
    starter: Starter, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("t")))  # what is killed leaves its temporary files
    made = House(starter)
    yield made
    made.clear()


@dataclass
class Diary:
    """What the clients have asked, and what they have heard."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: dict[str, Ask] = field(default_factory=dict)

    def booked(self) -> dict[str, Answer]:
        """Return the bookings that were answered 201, by key."""
        return {key: answer for key, answer in self.answers.items() if answer.status == 201}

    def open_questions(self) -> list[Ask]:
        """Return what was asked and not answered, or only with a 503."""
        booked = self.booked()
        return [ask for key, ask in self.asked.items() if key not in booked]

    def __str__(self) -> str:
        return f"{len(self.booked())} answered 201, {len(self.open_questions())} not"


async def wishes(running: Running, seed: int) -> list[Ask]:
    """Return bookings of slots that are all free, every other one by its time alone, in an order of the seed."""
    name = f"practitioner-{seed}"
    slots = await publish(running, name, FIRST, DAYS, minutes=5)
    asks = [
        Ask(
            visit(
                name,
                datetime.fromisoformat(slot["start"]),
                **({"slot_id": slot["id"]} if place % 2 else {"duration_minutes": 5}),
            ),
            key=f"{name}-{place}",
        )
        for place, slot in enumerate(slots)
    ]
    random.Random(seed).shuffle(asks)
    return asks


async def book_until(
    running: Running, asks: list[Ask], chance: random.Random, strike: Callable[[], Awaitable[None]]
) -> Diary:
    """Have all clients book until so many were answered, then strike while they go on; return what they heard."""
    enough = chance.randint(*ENOUGH)
    diary = Diary()
    struck = asyncio.Event()
    reached = asyncio.Event()
    left = iter(asks)

    async def one() -> None:
        async with client_of(running) as client:
            for ask in left:
                assert ask.key is not None
                diary.asked[ask.key] = ask
                try:
                    diary.answers[ask.key] = await send(client, ask)
                except httpx.TransportError:
                    assert struck.is_set(), f"{ask.key} was not answered, and nothing was wrong"
                    return
                if diary.answers[ask.key].status != 201:
                    return
                if len(diary.answers) >= enough:
                    reached.set()

    clients = [asyncio.create_task(one()) for _ in range(CLIENTS)]
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait([waiting, *clients], return_when=asyncio.FIRST_COMPLETED)
    struck.set()
    waiting.cancel()
    before = len(diary.asked)
    await asyncio.gather(strike(), *clients)
    statuses = {answer.status for answer in diary.answers.values()}
    assert statuses <= {201, 503}, statuses
    assert len(diary.booked()) >= enough
    assert before < len(asks), "the load ended before the strike"
    return diary


async def require_kept(running: Running, diary: Diary, practitioner: str) -> None:
    """Hold the restarted service to everything that was answered before."""
    with ledger_of(running) as ledger:
        ledger.require_sound()
        stored = {one["id"] for one in ledger.appointments(practitioner)}
    booked = diary.booked()
    missing = [key for key, answer in booked.items() if answer.content["id"] not in stored]
    assert not missing, f"answered 201 and lost: {missing}"
    assert len(stored) <= len(diary.asked)
    # What was not answered first: it is what may have to wait.
    left = iter([*diary.open_questions(), *(diary.asked[key] for key in booked)])
    deadline = time.monotonic() + SETTLED_SECONDS

    async def one() -> None:
        async with client_of(running) as client:
            for ask in left:
                first = booked.get(ask.key or "")
                if first is None:
                    first = await _repeated(client, ask, deadline)
                else:
                    seen = await client.get(f"{BOOK}{first.content['id']}/")
                    assert (seen.status_code, seen.json()) == (200, first.content)
                again = await send(client, ask)
                assert (again.status, again.body, again.replayed) == (201, first.body, True), (ask, first, again)

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    with ledger_of(running) as ledger:
        ledger.require_sound()
        starts = sorted(one["start"] for one in ledger.appointments(practitioner))
    assert starts == sorted(ask.body["start_time"] for ask in diary.asked.values()), "not one booking for each key"


async def _repeated(client: httpx.AsyncClient, ask: Ask, deadline: float) -> Answer:
    """Send a request until it is answered with something else than 503, as those answers ask for."""
    while (answer := await send(client, ask)).status == 503 and time.monotonic() < deadline:
        pass
    assert answer.status == 201, f"{ask} is answered {answer}, {SETTLED_SECONDS} s after the restart"
    return answer


async def require_told_in_time(running: Running) -> None:
    """Until MongoDB is back the service says that it is alive but not ready, and answers calls with 503, in time."""
    async with client_of(running) as client:
        assert (await client.get("/healthz")).status_code == 200
        begun = time.monotonic()
        told = (await client.get("/readyz")).status_code
        seen = await client.get(BOOK, params={"status": "booked"})
        assert time.monotonic() - begun < OUTAGE_SECONDS
        assert told in (200, 503)  # it is started again meanwhile (`adapter.keeping`)
        if seen.status_code != 200:
            assert (seen.status_code, seen.json()["error"]["code"]) == (503, "service_unavailable")


async def test_bookings_outlive_the_killed_service(house: House) -> None:
    """mongod is left over; the next start finds and adopts it."""
    running = house.open()
    for seed in SEEDS:
        asks = await wishes(running, seed)
        diary = await book_until(running, asks, random.Random(seed), lambda: asyncio.to_thread(house.kill_service))
        left_over = house.mongod
        assert left_over.alive()
        running = house.open()
        assert house.mongod == left_over
        begun = time.monotonic()
        await require_kept(running, diary, f"practitioner-{seed}")
        print(f"service killed, seed {seed}: {diary}, all answered again {time.monotonic() - begun:.1f} s later")
    house.close()


def test_workers_end_when_the_process_that_started_them_is_killed(house: House) -> None:
    """Else they would hold the port, and serve for ever beside those of the next start."""
    running = house.open(workers=2)
    house.kill_first()
    house.open(port=int(running.base.rpartition(":")[2]), workers=2)
    house.close()


async def test_bookings_outlive_the_killed_mongod(house: House) -> None:
    running = house.open()
    (seed, *_) = SEEDS

    async def strike() -> None:
        house.kill_mongod()
        await require_told_in_time(running)

    asks = await wishes(running, seed)
    diary = await book_until(running, asks, random.Random(seed), strike)
    slowest = max(answer.seconds for answer in diary.answers.values())
    assert slowest < OUTAGE_SECONDS
    assert len(diary.answers) == len(diary.asked), "a call got no answer at all"
    house.close()
    running = house.open()
    await require_kept(running, diary, f"practitioner-{seed}")
    print(f"mongod killed, seed {seed}: {diary}, slowest answer {slowest:.1f} s")
    house.close()


async def test_bookings_outlive_both_killed_at_once(house: House) -> None:
    running = house.open()
    for seed in SEEDS:
        asks = await wishes(running, seed)
        diary = await book_until(running, asks, random.Random(seed), lambda: asyncio.to_thread(house.kill_both))
        running = house.open()
        await require_kept(running, diary, f"practitioner-{seed}")
        print(f"both killed, seed {seed}: {diary}")
    house.close()


async def test_a_service_told_to_stop_answers_what_it_has_accepted(house: House) -> None:
    """It ends with 0, within its grace, and takes MongoDB along; no booking is made whose answer did not go out."""
    running = house.open()
    for seed in SEEDS:
        asks = await wishes(running, seed)
        took: list[float] = []

        async def stop(took: list[float] = took) -> None:
            begun = time.monotonic()
            await asyncio.to_thread(house.close)
            took.append(time.monotonic() - begun)

        diary = await book_until(running, asks, random.Random(seed), stop)
        assert took[0] < GRACE_SECONDS
        assert {answer.status for answer in diary.answers.values()} == {201}
        running = house.open()
        with ledger_of(running) as ledger:
            stored = {one["id"] for one in ledger.appointments(f"practitioner-{seed}")}
        assert stored == {answer.content["id"] for answer in diary.booked().values()}
        await require_kept(running, diary, f"practitioner-{seed}")
        print(f"told to stop, seed {seed}: {diary}, ended after {took[0]:.1f} s")
    house.close()
