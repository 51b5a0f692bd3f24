"""Many want the same time at once, through two worker processes: one gets it, and what is stored stays sound.

Every race draws its times with a seed; a failing round names it. After every round the raw collections are held to
the rules (`Ledger.require_sound`): one appointment for each 201, a busy slot held by exactly one, no overlap, whole
histories.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from adapter.scheduling import commands
from adapter.scheduling.commands import Plan
from adapter.service import Service
from store import guards
from store.codec import Resource
from store.unit_of_work import UnitOfWork
from tests.acceptance.conftest import Running, serving
from tests.acceptance.load import (
    BOOK,
    Answer,
    Ask,
    Crowd,
    Document,
    Ledger,
    Tally,
    during,
    ledger_of,
    publish,
    visit,
)
from tests.conftest import Api
from tests.scale import LONG

CLIENTS = 256
SEED = 20_240_115
FIRST = date(2031, 1, 6)
NOON = datetime(2031, 3, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A service with two workers and no data but what a test makes."""
    folder = tmp_path_factory.mktemp("races")
    with serving(folder, workers="2", demo="false", log_level="warning") as made:
        await _all_workers_serve(made)
        yield made


async def _all_workers_serve(running: Running) -> None:
    """Wait for the second worker: a service answers as soon as its first one does."""
    deadline = time.monotonic() + 60
    shares = [0]
    while not min(shares):
        assert time.monotonic() < deadline, running.log.read_text()
        async with Crowd(running, 32) as crowd:
            shares = crowd.shares()


@pytest.fixture
def ledger(running: Running) -> Iterator[Ledger]:
    with ledger_of(running) as books:
        yield books


@contextmanager
def told(race: str, number: int) -> Iterator[None]:
    """Name the round and the seed where one fails."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"{race}, round {number}, seed {SEED}")
        raise


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


async def test_a_slot_that_256_clients_want_is_booked_once(running: Running, ledger: Ledger) -> None:
    rounds = 50 if LONG else 2
    slots = (await publish(running, "wanted", FIRST, 2))[:rounds]
    tally = Tally("one slot")
    async with Crowd(running, CLIENTS) as crowd:
        shares = crowd.shares()
        assert min(shares) > 0, f"not two processes serve: {shares}"
        for number, slot in enumerate(slots):
            with told("one slot", number):
                wish = Ask(visit("wanted", datetime.fromisoformat(slot["start"]), slot_id=slot["id"]))
                answers = await crowd.ask([wish] * CLIENTS)
                assert tally.count(answers) == {201: 1, 409: CLIENTS - 1}
                ledger.require_sound()
                (held,) = [one for one in ledger.all("Appointment") if one["start"] == slot["start"]]
                assert held["slot"] == [{"reference": f"Slot/{slot['id']}"}]
                assert booked(answers) == {held["id"]}
    print(tally, f"connections of each worker: {shares}")


async def test_a_time_without_slots_that_256_clients_want_is_booked_once(running: Running, ledger: Ledger) -> None:
    """All times contain noon, none is the same: no document is shared, so only the guards make the rivals meet."""
    await publish(running, "unpublished", FIRST, 0)
    chance = random.Random(SEED)
    tally = Tally("overlapping times")
    async with Crowd(running, CLIENTS) as crowd:
        for number in range(6 if LONG else 1):
            with told("overlapping times", number):
                noon = NOON + number * DAY
                before = [chance.randint(1, 175) for _ in range(CLIENTS)]
                answers = await crowd.ask(
                    [
                        Ask(
                            visit("unpublished", noon - minutes(early), duration_minutes=early + chance.randint(1, 175))
                        )
                        for early in before
                    ]
                )
                assert tally.count(answers) == {201: 1, 409: CLIENTS - 1}
                ledger.require_sound()
                standing = during(ledger.appointments("unpublished"), noon - DAY / 2, noon + DAY / 2)
                assert booked(answers) == {one["id"] for one in standing}
    print(tally)


async def test_of_times_that_overlap_in_chains_those_stand_that_do_not_overlap(
    running: Running, ledger: Ledger
) -> None:
    """Each overlaps its neighbours only, across the hours of the guards; and nobody is refused without need."""
    await publish(running, "chained", FIRST, 0)
    chance = random.Random(SEED)
    tally = Tally("chains")
    async with Crowd(running, CLIENTS) as crowd:
        for number in range(3 if LONG else 1):
            with told("chains", number):
                first = NOON + 10 * number * DAY
                asks = []
                for place in range(CLIENTS):
                    begin, length = first + minutes(20 * place + chance.randint(0, 5)), chance.randint(15, 55)
                    asks.append(Ask(visit("chained", begin, duration_minutes=length)))
                chance.shuffle(asks)
                answers = await crowd.ask(asks)
                counted = tally.count(answers)
                assert set(counted) == {201, 409}
                ledger.require_sound()
                standing = during(ledger.appointments("chained"), first, first + 9 * DAY)
                assert booked(answers) == {one["id"] for one in standing}
                assert counted[201] == len(standing)
                for ask, answer in zip(asks, answers, strict=True):
                    if answer.status == 409:
                        begin = datetime.fromisoformat(ask.body["start_time"])
                        end = begin + minutes(ask.body["duration_minutes"])
                        assert during(standing, begin, end), f"{ask.body} was refused without need"
    print(tally)


async def test_bookings_moves_and_cancellations_at_once_leave_nothing_half_done(
    running: Running, ledger: Ledger
) -> None:
    slots = await publish(running, "mixed", FIRST, 5, minutes=30)
    chance = random.Random(SEED)
    tally = Tally("mixed")
    async with Crowd(running, 96) as crowd:
        for number in range(5 if LONG else 1):
            with told("mixed", number):
                day = slots[16 * number : 16 * (number + 1)]
                earlier = await crowd.ask([_in(slot, named=True) for slot in day[::4]])
                standing = [answer.content["id"] for answer in earlier]
                assert [answer.status for answer in earlier] == [201] * 4
                asks = [_in(slot, named=chance.random() < 0.5, late=late) for slot in day for late in (0, 0, 0, 10)]
                asks += [_move(chance.choice(standing), chance.choice(day), chance) for _ in range(24)]
                asks += [Ask({"cancellation_reason_code": "patient-request"}, f"{BOOK}{standing[0]}/cancel/")] * 8
                chance.shuffle(asks)
                answers = await crowd.ask(asks)
                assert set(tally.count(answers)) == {200, 201, 409}
                ledger.require_sound()
                _require_told(ledger, [*earlier, *answers], set(standing))
    print(tally)


def _in(slot: Document, *, named: bool, late: int = 0) -> Ask:
    """Book the slot by its name, or the time of it without; `late` by some minutes it takes two."""
    begin = datetime.fromisoformat(slot["start"])
    if named:
        return Ask(visit("mixed", begin, slot_id=slot["id"]))
    return Ask(visit("mixed", begin + minutes(late), duration_minutes=20 if late == 0 else 25))


def _move(ident: str, slot: Document, chance: random.Random) -> Ask:
    body = {"new_start_time": slot["start"]}
    named = {"new_slot_id": slot["id"]} if chance.random() < 0.5 else {}
    return Ask(body | named, f"{BOOK}{ident}/reschedule/")


def _require_told(ledger: Ledger, answers: list[Answer], moved: set[str]) -> None:
    """Every answer of success is a version of an appointment, and every version was answered."""
    told_of = Counter(answer.content["id"] for answer in answers if answer.status < 300)
    for ident, times in told_of.items():
        (stored,) = [one for one in ledger.all("Appointment") if one["id"] == ident]
        assert int(stored["meta"]["versionId"]) == times, f"{ident} was answered {times} times"
    fresh = booked(answers) - moved
    assert len(fresh) == sum(answer.status == 201 for answer in answers) - len(moved)


async def test_64_clients_with_one_idempotency_key_make_one_booking(running: Running, ledger: Ledger) -> None:
    rounds, clients = 20 if LONG else 4, 64
    slots = (await publish(running, "repeated", FIRST, 1))[:rounds]
    await publish(running, "repeated-unpublished", FIRST, 0)
    tally = Tally("one key")
    async with Crowd(running, clients) as crowd:
        for number, slot in enumerate(slots):
            with told("one key", number):
                begin = datetime.fromisoformat(slot["start"])
                if number % 2:
                    wish = visit("repeated-unpublished", begin)
                else:
                    wish = visit("repeated", begin, slot_id=slot["id"])
                key = f"key-{SEED}-{number}"
                answers = await crowd.ask([Ask(wish, key=key)] * clients)
                assert set(tally.count(answers)) <= {201, 409}
                given = [answer for answer in answers if answer.status == 201]
                assert len({answer.body for answer in given}) == 1
                assert sum(not answer.replayed for answer in given) == 1
                ledger.require_sound()
                again, other = await crowd.ask([Ask(wish, key=key), Ask(wish | {"notes": "another"}, key=key)])
                assert (again.status, again.body, again.replayed) == (201, given[0].body, True)
                assert other.code == "422 idempotency_key_reuse"
    assert sum(len(ledger.appointments(name)) for name in ("repeated", "repeated-unpublished")) == rounds
    print(tally)


def booked(answers: list[Answer]) -> set[str]:
    """Return the ids of the appointments that were answered 201."""
    return {answer.content["id"] for answer in answers if answer.status == 201}


@pytest.mark.parametrize("guarded", [True, False])
async def test_without_the_guards_both_of_two_rivals_would_get_the_time(
    guarded: bool, api: Api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The naive way fails: two that have each read 'no overlap' both commit, for snapshots do not see each other.

    The same two requests, made to read before either writes, are sent with the guards and without: this shows that
    the races above test something, and what they test.
    """
    both_have_read = asyncio.Barrier(2)
    tries = Counter[str]()
    decide = commands.plan

    async def decide_together(work: UnitOfWork, appointment: Resource, **options: Any) -> Plan:
        planned = await decide(work, appointment, **options)
        tries[appointment["id"]] += 1
        if tries[appointment["id"]] == 1:
            await both_have_read.wait()
        return planned

    async def write_none(*_: Any) -> None:
        return None

    async def people(work: UnitOfWork) -> None:
        work.create({"resourceType": "Practitioner", "id": "p", "active": True})

    await service.stores["test"].transact(people)
    # The first of all changes the indexes, which then have lists: that would keep the two apart.
    await api.post(BOOK, visit("p", NOON + 10 * DAY))
    monkeypatch.setattr(commands, "plan", decide_together)
    if not guarded:
        monkeypatch.setattr(guards, "bump", write_none)
    answers = await asyncio.gather(*(api.post(BOOK, visit("p", NOON + minutes(late))) for late in (0, 10)))
    assert sorted(answer.status_code for answer in answers) == ([201, 409] if guarded else [201, 201])
    assert await service.stores["test"].count("Appointment", {}) == (2 if guarded else 3)
