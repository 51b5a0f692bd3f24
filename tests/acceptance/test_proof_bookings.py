"""Proof: one slot that 256 clients want again and again, and thousands of random times; ``mediloop-fhir check`` judges.

`PROOF=1` runs it in full (`make proof`): 200 rounds and 10,000 bookings; else a short form of it. `PROOF_SEED` sets
what is drawn. What is left is judged by the command, run as users run it, and by the answers: those stand that were
told so.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import COMMAND, Running, serving
from tests.acceptance.load import BOOK, Ask, Crowd, Document, Tally, during, ledger_of, publish, visit
from tests.scale import LONG

SEED = int(os.environ.get("PROOF_SEED", "20240115"))
CLIENTS = 256 if LONG else 64
ROUNDS = 200 if LONG else 2
BOOKINGS = 10_000 if LONG else 128
PRACTITIONERS = 20
WORKERS = 2
CANCEL = {"cancellation_reason_code": "patient-request"}
FIRST = date(2031, 1, 6)
WEEK = datetime(2031, 3, 3, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A service with two workers and no data but what a test makes."""
    with serving(tmp_path_factory.mktemp("proof"), workers=str(WORKERS), demo="false", log_level="warning") as made:
        yield made


def checked(running: Running, folder: Path) -> dict[str, Any]:
    """What ``mediloop-fhir check`` reports of the test data; it must end well, and find nothing."""
    command = [*COMMAND, "check", "--mode", "test", "--json"]
    ended = subprocess.run(command, env=running.environment, cwd=folder, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, f"{ended.returncode}: {ended.stdout[-3000:]} {ended.stderr[-2000:]}"
    report: dict[str, Any] = json.loads(ended.stdout)
    assert report["clean"]
    assert report["databases"]["test"]["counts"] == {}
    found: dict[str, Any] = report["databases"]["test"]
    return found


async def test_one_slot_that_256_clients_want_again_and_again(running: Running, tmp_path: Path) -> None:
    """In each round one gets it, and leaves: the next round meets what the last one left."""
    (slot, *_) = await publish(running, "wanted", FIRST, 1)
    wish = Ask(visit("wanted", datetime.fromisoformat(slot["start"]), slot_id=slot["id"]))
    tally, begun = Tally("one slot"), time.perf_counter()
    async with Crowd(running, CLIENTS) as crowd:
        for number in range(ROUNDS):
            answers = await crowd.ask([wish] * CLIENTS)
            assert tally.count(answers) == {201: 1, 409: CLIENTS - 1}, f"round {number}"
            (winner,) = [answer.content["id"] for answer in answers if answer.status == 201]
            if number < ROUNDS - 1:
                (left,) = await crowd.ask([Ask(CANCEL, f"{BOOK}{winner}/cancel/")])
                assert left.status == 200
    report = checked(running, tmp_path)
    assert report["checked"]["Appointment"] == ROUNDS
    with ledger_of(running) as ledger:
        (standing,) = ledger.appointments("wanted")
        assert standing["_id"] == winner
        # Booked, cancelled, booked ...: each made one version of the slot, and nothing else did.
        (stored,) = [one for one in ledger.all("Slot") if one["_id"] == slot["id"]]
        assert int(stored["meta"]["versionId"]) == 2 * ROUNDS
    print(f"\n{tally}, {time.perf_counter() - begun:.0f} s in all; check: {report['seconds']} s")


async def test_random_bookings_that_overlap_on_twenty_practitioners(running: Running, tmp_path: Path) -> None:
    """Booked, moved and cancelled at random, 64 at a time; who was answered stands, no other."""
    chance, clients = random.Random(SEED), 64
    names = [f"random-{number}" for number in range(PRACTITIONERS)]
    for number, name in enumerate(names):
        await publish(running, name, WEEK.date(), 3 if number % 2 else 0, minutes=30)
    tally, begun = Tally("random times"), time.perf_counter()
    expected: dict[str, Document] = {}
    async with Crowd(running, clients) as crowd:
        sent = 0
        while sent < BOOKINGS:
            asks = [_booking(chance, chance.choice(names)) for _ in range(min(clients, BOOKINGS - sent))]
            sent += len(asks)
            answers = await crowd.ask(asks)
            assert set(tally.count(answers)) <= {201, 409}
            expected |= {answer.content["id"]: answer.content for answer in answers if answer.status == 201}
            if expected:
                some = chance.sample(sorted(expected), min(len(expected), 12))
                moves = [_change(chance, ident) for ident in some]
                for ident, answer in zip(some, await crowd.ask(moves), strict=True):
                    assert answer.status in (200, 409), answer.body
                    if answer.status == 200:
                        expected[ident] = answer.content
                        if answer.content["status"] == "cancelled":
                            del expected[ident]
    report = checked(running, tmp_path)
    with ledger_of(running) as ledger:
        standing = {one["_id"]: one for name in names for one in ledger.appointments(name)}
        assert standing.keys() == expected.keys()
        starts = {ident: datetime.fromisoformat(one["start"]) for ident, one in standing.items()}
        assert starts == {ident: datetime.fromisoformat(one["start_time"]) for ident, one in expected.items()}
        held = Counter(link["reference"] for one in standing.values() for link in one.get("slot", ()))
        assert set(held.values()) <= {1}
        for name in names:  # once more, by brute force
            mine = ledger.appointments(name)
            for one in mine:
                when = (datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"]))
                assert [other["_id"] for other in during(mine, *when)] == [one["_id"]]
    print(f"\n{tally}, {len(standing)} stand, {time.perf_counter() - begun:.0f} s in all; check: {report['seconds']} s")


def _begin(chance: random.Random) -> datetime:
    return WEEK + timedelta(days=chance.randrange(3), minutes=5 * chance.randrange(90))


def _booking(chance: random.Random, practitioner: str) -> Ask:
    return Ask(visit(practitioner, _begin(chance), duration_minutes=chance.choice((10, 15, 20, 30, 45, 60))))


def _change(chance: random.Random, ident: str) -> Ask:
    if chance.random() < 0.5:
        return Ask(CANCEL, f"{BOOK}{ident}/cancel/")
    return Ask({"new_start_time": _begin(chance).isoformat().replace("+00:00", "Z")}, f"{BOOK}{ident}/reschedule/")


async def test_while_clients_book_the_check_raises_no_alarm(running: Running, tmp_path: Path) -> None:
    """The command run beside 16 clients, as often as there is time for."""
    await publish(running, "busy", WEEK.date(), 2, minutes=15)
    chance, stop, rounds = random.Random(SEED), asyncio.Event(), 3 if LONG else 1

    async def book_on(crowd: Crowd) -> int:
        done = 0
        while not stop.is_set():
            answers = await crowd.ask([_booking(chance, "busy") for _ in range(16)])
            booked = [answer.content["id"] for answer in answers if answer.status == 201]
            await crowd.ask([Ask(CANCEL, f"{BOOK}{ident}/cancel/") for ident in booked])
            done += len(booked)
        return done

    async with Crowd(running, 16) as crowd:
        booking = asyncio.create_task(book_on(crowd))
        try:
            for _ in range(rounds):
                await asyncio.to_thread(checked, running, tmp_path)
        finally:
            stop.set()
        assert await booking > 0
