"""The service, MongoDB, or both are killed in the middle of a load of bookings: what was answered 201 stands, whole.

Sixteen clients book free slots, each under an idempotency key, and write down what they hear. Then something dies. After
the restart every booking that was answered is there as it was answered, nothing is half made, and every request that is
sent again gets its first answer, or is carried out now, once.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

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

CLIENTS = 16
SEEDS = (1, 2)
FIRST = date(2031, 1, 6)
OUTAGE_SECONDS = 12.0
"""How long a call may take while MongoDB is gone: 5 s to look for a server, 10 s for the whole; and some patience."""


class House:
    """One data directory, and the services that live there one after the other."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._seen: list[Process] = []
        self.running: Running
        self.mongod: Process

    def open(self) -> Running:
        """Start the service, always with the same key: whose requests are repeated is part of the promise."""
        self.running = self._starter(workers="2", demo="false", log_level="warning", bootstrap_key="sk_test_crashes")
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
        assert time.monotonic() < deadline, f"not ended by SIGKILL: {processes}"
        time.sleep(0.005)


@pytest.fixture
def house(starter: Starter) -> Iterator[House]:
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
        return [ask for key, ask in self.asked.items() if key not in self.booked()]


async def wishes(running: Running, seed: int) -> list[Ask]:
    """Return bookings of slots that are all free, every other one by its time alone, in an order of the seed."""
    name = f"practitioner-{seed}"
    slots = await publish(running, name, FIRST, 5, minutes=5)
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


async def book_until(running: Running, asks: list[Ask], enough: int, strike: Callable[[], None]) -> Diary:
    """Have all clients book until `enough` were answered, then strike while they go on; return what they heard."""
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
    await asyncio.to_thread(strike)
    waiting.cancel()
    await asyncio.gather(*clients)
    statuses = {answer.status for answer in diary.answers.values()}
    assert statuses <= {201, 503}, statuses
    assert len(diary.booked()) >= enough
    assert len(diary.asked) < len(asks), "the load ended before the strike did"
    return diary


async def require_kept(running: Running, diary: Diary, practitioner: str) -> None:
    """Hold the restarted service to everything that was answered before."""
    with ledger_of(running) as ledger:
        ledger.require_sound()
        stored = {one["id"] for one in ledger.appointments(practitioner)}
    missing = [key for key, answer in diary.booked().items() if answer.content["id"] not in stored]
    assert not missing, f"answered 201 and lost: {missing}"
    assert len(stored) <= len(diary.asked)
    left = iter(diary.asked.values())

    async def one() -> None:
        async with client_of(running) as client:
            for ask in left:
                first = diary.booked().get(ask.key or "")
                if first is None:
                    first = await send(client, ask)
                    assert first.status == 201, (ask, first)
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


async def require_told_in_time(running: Running, asks: list[Ask]) -> list[float]:
    """Every call without MongoDB is answered 503, in time, and so is the question whether the service is ready."""
    async with client_of(running) as client, client_of(running) as other:
        assert (await client.get("/healthz")).status_code == 200
        calls = [send(client, ask) for ask in asks]
        begun = time.monotonic()
        ready, *answers = await asyncio.gather(other.get("/readyz"), *calls)
    assert ready.status_code == 503
    assert [answer.status for answer in answers] == [503] * len(asks)
    assert time.monotonic() - begun < OUTAGE_SECONDS
    return [answer.seconds for answer in answers]


async def test_bookings_outlive_the_killed_service(house: House) -> None:
    """mongod is left over; the next start finds and adopts it."""
    running = house.open()
    for seed in SEEDS:
        asks = await wishes(running, seed)
        diary = await book_until(running, asks, random.Random(seed).randint(150, 250), house.kill_service)
        left_over = house.mongod
        assert left_over.alive()
        running = house.open()
        assert house.mongod == left_over
        await require_kept(running, diary, f"practitioner-{seed}")
        print(f"service killed, seed {seed}: {len(diary.booked())} answered, {len(diary.open_questions())} lost")
    house.close()


async def test_bookings_outlive_the_killed_mongod(house: House) -> None:
    running = house.open()
    for seed in SEEDS:
        asks = await wishes(running, seed)
        diary = await book_until(running, asks, random.Random(seed).randint(150, 250), house.kill_mongod)
        slowest = max(answer.seconds for answer in diary.answers.values())
        assert slowest < OUTAGE_SECONDS
        calls = await require_told_in_time(running, asks[-1:])
        house.close()
        running = house.open()
        await require_kept(running, diary, f"practitioner-{seed}")
        print(
            f"mongod killed, seed {seed}: {len(diary.booked())} answered, {len(diary.open_questions())} not; "
            f"the slowest answer took {slowest:.1f} s, one during the outage {max(calls):.1f} s"
        )
    house.close()


async def test_bookings_outlive_both_killed_at_once(house: House) -> None:
    running = house.open()
    for seed in SEEDS:
        asks = await wishes(running, seed)
        diary = await book_until(running, asks, random.Random(seed).randint(150, 250), house.kill_both)
        running = house.open()
        await require_kept(running, diary, f"practitioner-{seed}")
        print(f"both killed, seed {seed}: {len(diary.booked())} answered, {len(diary.open_questions())} lost")
    house.close()


async def test_a_service_told_to_stop_answers_what_it_has_accepted(house: House) -> None:
    """It ends with 0, within its grace, and takes MongoDB along; no booking is made whose answer did not go out."""
    running = house.open()
    for seed in SEEDS:
        asks = await wishes(running, seed)
        begun: list[float] = []

        def stop() -> None:
            begun.append(time.monotonic())
            house.close()

        diary = await book_until(running, asks, random.Random(seed).randint(150, 250), stop)
        took = time.monotonic() - begun[0]
        assert took < GRACE_SECONDS
        assert {answer.status for answer in diary.answers.values()} == {201}
        running = house.open()
        with ledger_of(running) as ledger:
            stored = {one["id"] for one in ledger.appointments(f"practitioner-{seed}")}
        assert stored == {answer.content["id"] for answer in diary.booked().values()}
        await require_kept(running, diary, f"practitioner-{seed}")
        print(f"told to stop, seed {seed}: {len(stored)} answered, ended after {took:.1f} s")
    house.close()
