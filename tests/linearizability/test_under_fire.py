"""The proof: clients of a replica set that is being broken get answers that one call at a time could have got.

`PROOF=1` runs it in full (`make proof`), else a short form of it. `PROOF_SEED` and `PROOF_SECONDS` set what is drawn
and for how long; a failing run leaves its history and says how to judge it again.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from tests.acceptance import load
from tests.linearizability import history
from tests.linearizability.checker import check
from tests.linearizability.clients import BOOK, FORMS, HOLD_SECONDS, Calendar, Client, Ledger, create
from tests.linearizability.cluster import DATABASE, KEY, ReplicaSet, Services, standing
from tests.linearizability.nemesis import Nemesis

FULL = os.environ.get("PROOF") == "1"
SEED = int(os.environ.get("PROOF_SEED", "20240115"))
SECONDS = float(os.environ.get("PROOF_SECONDS", "120" if FULL else "12"))
SERVICES = 3 if FULL else 2
PACE = 1.0 if FULL else 0.6  # a pause of the primary is still longer than an election takes
TEAMS, TEAM = 3, 4
ENOUGH_CALLS, ENOUGH_SECONDS = 60, 20.0
BOUND = 15.0
"""Seconds within which every call is answered, or fails."""
RECOVERED = 30.0
"""Seconds after the last fault within which all calls go well again, without a restart of anything."""

Cluster = tuple[ReplicaSet, Services]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with standing(SERVICES, hold_seconds=str(HOLD_SECONDS)) as made:
        yield made


@dataclass
class Run:
    """One run of the workload."""

    services: Services
    calendars: list[Calendar]
    ledger: Ledger = field(default_factory=Ledger)
    used: list[Calendar] = field(default_factory=list)
    over: bool = False

    async def team(self, number: int, seed: int) -> None:
        """Work on one calendar after the other, until it is over."""
        clients = [
            Client(f"{number}-{place}", self.services.bases, random.Random(f"{seed} {number} {place}"), self.ledger)
            for place in range(TEAM)
        ]
        while not self.over and self.calendars:
            calendar = self.calendars.pop()
            self.used.append(calendar)
            begun, before = time.monotonic(), len(self.ledger.ops)

            def enough(calendar: Calendar = calendar, begun: float = begun, before: int = before) -> bool:
                mine = sum(op.calendar == calendar.name for op in self.ledger.ops[before:])
                return self.over or mine >= ENOUGH_CALLS or time.monotonic() - begun > ENOUGH_SECONDS

            await asyncio.gather(*(client.work(calendar, enough) for client in clients))
        for client in clients:
            await client.close()

    async def read_all(self, seed: int) -> None:
        """Read every calendar once more, now that all is quiet: what was answered must be there."""
        client = Client("last", self.services.bases, random.Random(seed), self.ledger)
        for place, calendar in enumerate(self.used):
            assert await client.read(calendar, "list", f"last.list.{place}")
            assert await client.read(calendar, "free", f"last.free.{place}")
            for tag in calendar.made:
                assert await client.get(calendar, f"last.get.{tag}", tag)
        await client.close()


async def recovered(services: Services, calendars: list[Calendar]) -> float:
    """Return the seconds after which no call failed any more: at every service ten rounds in a row go well."""
    begun = time.monotonic()
    headers = {"Authorization": f"Bearer {KEY}"}

    async def one(base: str, calendar: Calendar) -> float:
        good, since = 0, begun
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=BOUND, trust_env=False) as http:
            while good < 10:
                assert since - begun < RECOVERED, f"{base} has not recovered\n{services.told()}"
                try:
                    good = good + 1 if await _goes_well(http, calendar) else 0
                except httpx.TransportError:
                    good = 0
                    await asyncio.sleep(0.1)
                if not good:
                    since = time.monotonic()
        return since - begun

    return max(await asyncio.gather(*map(one, services.bases, calendars)))


async def _goes_well(http: httpx.AsyncClient, calendar: Calendar) -> bool:
    body = {"patient_uhid": "UG123456789A", "service_type_code": "consultation", "practitioner_id": calendar.name}
    made = await http.post(BOOK, json=body | {"start_time": calendar.at(0), "end_time": calendar.at(1)})
    if made.status_code != 201:  # 409 after an answer that was lost: it is free again below, or at the next try
        seen = await http.get(BOOK, params={"practitioner_id": calendar.name, "status": "booked"})
        for one in seen.json()["results"] if seen.status_code == 200 else ():
            await http.post(f"{BOOK}{one['id']}/cancel/", json={"cancellation_reason_code": "patient-request"})
        return False
    ident = made.json()["id"]
    done = await http.post(f"{BOOK}{ident}/cancel/", json={"cancellation_reason_code": "patient-request"})
    seen = await http.get(f"{BOOK}{ident}/")
    return (done.status_code, seen.status_code) == (200, 200)


async def test_every_answer_is_one_that_calls_one_at_a_time_could_have_got(cluster: Cluster) -> None:
    members, services = cluster
    print(f"\nPROOF_SEED={SEED} PROOF_SECONDS={SECONDS:g}: {TEAMS * TEAM} clients, {SERVICES} services, 3 mongods")
    calendars = [Calendar(f"c{number}", FORMS[number % len(FORMS)]) for number in range(int(SECONDS * 3) + 10)]
    await create(services.bases[0], calendars)
    spare = [calendars.pop() for _ in services.bases]
    run = Run(services, calendars)
    nemesis = Nemesis(members, services, random.Random(SEED), PACE)
    teams = [asyncio.create_task(run.team(number, SEED)) for number in range(TEAMS)]
    supervisor = asyncio.create_task(nemesis.supervise())
    await nemesis.run(SECONDS)
    took = await recovered(services, spare)
    run.over = True
    await asyncio.gather(*teams)
    supervisor.cancel()
    await asyncio.sleep(HOLD_SECONDS)  # whatever is held and not booked ends now
    await run.read_all(SEED)
    judge(run, nemesis)
    assert not services.faults(), "\n".join(services.faults()[:3])
    assert not run.ledger.strange, "\n".join(run.ledger.strange[:10])
    worst = slowest(run.ledger, nemesis)
    print(f"faults: {nemesis.told()}")
    print(f"slowest call {worst:.1f} s (bound {BOUND:g} s); the last call failed {took:.1f} s after the last fault")
    assert worst <= BOUND
    require_sound(members)


def judge(run: Run, nemesis: Nemesis) -> None:
    """Hold the history to the model; where it fails, keep it and say how to judge it again."""
    ops = run.ledger.ops
    begun = time.monotonic()
    path = Path(tempfile.gettempdir()) / f"proof-history-{SEED}-{os.getpid()}.jsonl"
    history.save(path, ops, seed=SEED, seconds=SECONDS, faults=[str(one) for one in nemesis.done])
    verdicts = check(ops)
    wrong = [verdict.reason for verdict in verdicts if not verdict.sound]
    counted = Counter(f"{op.kind} {op.outcome}" for op in ops)
    print(f"{len(ops)} calls on {len(verdicts)} calendars: {dict(sorted(counted.items()))}")
    print(f"checked in {time.monotonic() - begun:.1f} s: {len(wrong)} calendars wrong")
    assert not wrong, f"python -m tests.linearizability.replay {path}\n" + "\n".join(wrong)
    path.unlink()


def slowest(ledger: Ledger, nemesis: Nemesis) -> float:
    """Return the longest that a call took, but for those to a process that was itself paused or killed meanwhile."""
    hit = [fault for fault in nemesis.done if fault.service >= 0]

    def counts(op: history.Op) -> bool:
        service = int(op.via.rpartition("s")[2])
        return all(
            fault.service != service or op.end is None or op.end < fault.start or fault.end < op.start for fault in hit
        )

    return max(op.end - op.start for op in ledger.ops if op.end is not None and counts(op))


def require_sound(members: ReplicaSet) -> None:
    """Hold the raw collections to the rules, by the tests' own look and by ``mediloop-fhir check``."""
    with MongoClient[dict[str, Any]](members.uri) as client:
        load.Ledger(client, DATABASE).require_sound()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ADAPTER_")}
    environment |= {"ADAPTER_MONGODB_URI": members.uri, "ADAPTER_DATABASE": DATABASE}
    done = subprocess.run(
        [sys.executable, "-m", "adapter", "check"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout.strip())


async def test_who_repeats_with_the_same_key_until_answered_gets_exactly_one_booking(cluster: Cluster) -> None:
    members, services = cluster
    bookings, kills = (240, 4) if FULL else (32, 1)
    calendars = [Calendar(f"k{number}") for number in range(bookings // 8)]
    await create(services.bases[0], calendars)
    wanted = [(calendar, unit) for calendar in calendars for unit in range(calendar.units)]
    chance = random.Random(SEED)
    chance.shuffle(wanted)
    nemesis = Nemesis(members, services, chance)
    answered: dict[str, str] = {}
    tries: Counter[str] = Counter()

    async def client(number: int) -> None:
        choice = random.Random(f"{SEED} {number}")
        limits = httpx.Limits(keepalive_expiry=2)
        async with httpx.AsyncClient(trust_env=False, limits=limits) as http:
            while wanted:
                calendar, unit = wanted.pop()
                key = f"{calendar.name}-{unit}"
                body = {
                    "patient_uhid": "UG123456789A",
                    "service_type_code": "consultation",
                    "practitioner_id": calendar.name,
                    "start_time": calendar.at(unit),
                    "slot_id": calendar.slots(unit, unit + 1)[0],
                }
                headers = {"Authorization": f"Bearer {KEY}", "X-Idempotency-Key": key}
                while key not in answered:
                    tries[key] += 1
                    try:
                        # Less patient than the service: many answers are lost on the way to somebody who has gone.
                        answer = await http.post(
                            f"{choice.choice(services.bases)}{BOOK}",
                            json=body,
                            headers=headers,
                            timeout=choice.uniform(0.2, 2),
                        )
                    except httpx.TransportError:
                        continue
                    if answer.status_code == 201:
                        answered[key] = answer.json()["id"]
                    else:
                        assert answer.status_code == 503, answer.text

    async def strike() -> None:
        for number in range(1, kills + 1):  # at equal distances, always while there is much left to book
            while len(answered) < bookings * number // (kills + 1):
                await asyncio.sleep(0.01)
            await nemesis.kill_primary()

    await asyncio.gather(strike(), *(client(number) for number in range(8)))
    await asyncio.to_thread(services.await_ready, services.bases)
    with MongoClient[dict[str, Any]](members.uri) as client_of_set:
        ledger = load.Ledger(client_of_set, DATABASE)
        for calendar in calendars:
            stored = {one["id"] for one in ledger.appointments(calendar.name)}
            mine = {ident for key, ident in answered.items() if key.startswith(f"{calendar.name}-")}
            assert stored == mine, calendar.name
            assert len(stored) == calendar.units
        ledger.require_sound()
    repeated = sum(count > 1 for count in tries.values())
    print(f"\n{len(answered)} bookings over {kills} kills of the primary, {repeated} asked more than once: one each")
    assert len(set(answered.values())) == bookings
    assert repeated, "no answer was lost"
