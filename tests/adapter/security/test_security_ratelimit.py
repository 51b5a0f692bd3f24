"""How often a key may call."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from structlog.testing import capture_logs

from adapter.security import counters
from adapter.security import ratelimit as module
from adapter.security.counters import Hits
from adapter.security.keys import Key, Mode
from adapter.security.ratelimit import UNLIMITED, RateLimiter, RateState

if TYPE_CHECKING:
    from tests.adapter.security.conftest import Clock, Database

MINUTE = timedelta(minutes=1)
ADDRESS = "192.0.2.17"


def key(rate_limit: int | None = None, mode: Mode = "test", id_: str = "key_1") -> Key:
    created = datetime(2024, 1, 1, tzinfo=UTC)
    return Key(id_, "name", mode, {}, rate_limit, created, None, "abcd", id_)


async def counted(database: Database) -> list[dict[str, Any]]:
    """The newest counters: what a majority holds may be a moment older."""
    counters = database.get_collection("rate_limits", read_concern=ReadConcern("local"))
    return [document async for document in counters.find()]


@pytest.fixture
async def storage(database: Database, clock: Clock) -> Hits:
    storage = Hits(database, clock)
    await storage.ensure_indexes()
    return storage


@pytest.fixture
async def limiter(database: Database, clock: Clock) -> RateLimiter:
    limiter = RateLimiter(database, 100, 300, clock)
    await limiter.ensure_indexes()
    return limiter


async def test_the_three_headers_count_down(limiter: RateLimiter, clock: Clock) -> None:
    first = await limiter.check(key(3), ADDRESS)
    # The window began at 10:00:00.250 and ends at 10:01:00.250: the next whole second is when to come back.
    reset = datetime(2024, 1, 15, 10, 1, 1, tzinfo=UTC)
    assert first == RateState(3, 2, int(reset.timestamp()), allowed=True, retry_after=60)
    assert first.headers() == {
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "2",
        "X-RateLimit-Reset": str(int(reset.timestamp())),
    }
    clock.move(seconds=10)
    second = await limiter.check(key(3), ADDRESS)
    assert (second.remaining, second.reset, second.retry_after) == (1, first.reset, 50)


async def test_the_request_beyond_the_limit_is_refused_until_the_window_ends(
    limiter: RateLimiter, clock: Clock
) -> None:
    states = [await limiter.check(key(2), ADDRESS) for _ in range(4)]
    assert [state.allowed for state in states] == [True, True, False, False]
    assert [state.remaining for state in states] == [1, 0, 0, 0]
    clock.move(seconds=59.999)
    assert not (await limiter.check(key(2), ADDRESS)).allowed
    clock.move(milliseconds=1)
    state = await limiter.check(key(2), ADDRESS)
    assert state.allowed
    assert state.remaining == 1
    assert state.reset == states[0].reset + 60


async def test_the_refusal_says_when_to_come_back(limiter: RateLimiter, clock: Clock) -> None:
    await limiter.check(key(1), ADDRESS)
    clock.move(seconds=29.5)
    state = await limiter.check(key(1), ADDRESS)
    refusal = state.refusal()
    assert refusal.status == 429
    assert refusal.headers == {"Retry-After": "31"}
    (problem,) = refusal.problems
    assert problem.code == "rate_limit_exceeded"
    assert problem.details == {"retry_after": 31}
    assert "31 s" in problem.message
    clock.move(seconds=31)
    assert (await limiter.check(key(1), ADDRESS)).allowed


async def test_retry_after_is_at_least_a_second(limiter: RateLimiter, clock: Clock) -> None:
    await limiter.check(key(1), ADDRESS)
    clock.move(seconds=59.999)
    assert (await limiter.check(key(1), ADDRESS)).refusal().headers == {"Retry-After": "1"}


@pytest.mark.parametrize(("mode", "limit"), [("test", 100), ("live", 300)])
async def test_a_key_without_a_limit_has_that_of_its_mode(limiter: RateLimiter, mode: Mode, limit: int) -> None:
    assert (await limiter.check(key(mode=mode), ADDRESS)).limit == limit


async def test_keys_count_apart(limiter: RateLimiter) -> None:
    await limiter.check(key(1, id_="key_1"), ADDRESS)
    assert (await limiter.check(key(1, id_="key_2"), ADDRESS)).allowed
    assert not (await limiter.check(key(1, id_="key_1"), ADDRESS)).allowed


async def test_a_key_that_gets_another_limit_counts_anew(limiter: RateLimiter) -> None:
    assert [(await limiter.check(key(1), ADDRESS)).allowed for _ in range(2)] == [True, False]
    state = await limiter.check(key(5), ADDRESS)
    assert (state.allowed, state.remaining) == (True, 4)


async def test_no_limit_touches_no_storage(limiter: RateLimiter, database: Database, clock: Clock) -> None:
    state = await limiter.check(key(0), ADDRESS)
    assert state == RateState(
        2_147_483_647,
        2_147_483_647,
        int(datetime(2024, 1, 15, 10, 1, tzinfo=UTC).timestamp()),
        allowed=True,
        retry_after=60,
    )
    assert state.limit == UNLIMITED
    open_door = RateLimiter(database, 0, 0, clock)
    assert (await open_door.check(key(mode="live"), ADDRESS)).limit == UNLIMITED
    assert (await open_door.check(None, ADDRESS)).limit == UNLIMITED
    assert await counted(database) == []
    assert (await open_door.check(key(5), ADDRESS)).limit == 5  # a key's own limit still holds


async def test_a_negative_default_is_refused(database: Database, clock: Clock) -> None:
    with pytest.raises(ValueError, match="per minute"):
        RateLimiter(database, 1, -1, clock)


async def test_requests_without_a_key_count_per_address(database: Database, clock: Clock) -> None:
    limiter = RateLimiter(database, 1, 300, clock)
    assert (await limiter.check(None, "192.0.2.1")).allowed
    assert (await limiter.check(None, "192.0.2.2")).allowed
    assert not (await limiter.check(None, "192.0.2.1")).allowed
    assert (await limiter.check(key(1), "192.0.2.1")).allowed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),  # one subscriber's /64
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("unix", "unix", True),
        ("unix", "", False),
    ],
)
async def test_what_counts_as_one_client(database: Database, clock: Clock, one: str, other: str, same: bool) -> None:
    limiter = RateLimiter(database, 1, 300, clock)
    await limiter.check(None, one)
    assert (await limiter.check(None, other)).allowed is not same


async def test_addresses_are_stored_hashed(limiter: RateLimiter, database: Database) -> None:
    await limiter.check(None, ADDRESS)
    (document,) = await counted(database)
    assert ADDRESS not in str(document)
    assert document["count"] == 1


async def test_two_processes_count_together(database: Database, clock: Clock) -> None:
    limiters = [RateLimiter(database, 100, 300, clock) for _ in range(2)]
    states = await asyncio.gather(*(limiters[n % 2].check(key(25), ADDRESS) for n in range(40)))
    assert sum(state.allowed for state in states) == 25
    assert sorted(state.remaining for state in states if state.allowed) == list(range(25))
    assert len({state.reset for state in states}) == 1


async def test_a_caller_who_hammers_on_costs_no_storage(limiter: RateLimiter, database: Database, clock: Clock) -> None:
    states = [await limiter.check(key(2), ADDRESS) for _ in range(50)]
    assert states[-1] == RateState(2, 0, states[0].reset, allowed=False, retry_after=60)
    (document,) = await counted(database)
    assert document["count"] == 2


async def test_the_memory_of_used_up_counters_is_bounded(limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    for n in range(4):
        await limiter.check(key(1, id_=f"key_{n}"), ADDRESS)
    assert len(limiter._used_up) == 2
    assert not (await limiter.check(key(1, id_="key_0"), ADDRESS)).allowed  # MongoDB still knows


async def test_a_clock_that_was_set_back_does_not_lock_anybody_out(limiter: RateLimiter, clock: Clock) -> None:
    await limiter.check(key(1), ADDRESS)
    assert not (await limiter.check(key(1), ADDRESS)).allowed
    clock.move(hours=-1)
    assert (await limiter.check(key(1), ADDRESS)).allowed


async def test_without_storage_requests_pass_and_one_line_a_minute_says_so(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "PATIENCE", 0.1)
    nobody = quote(str(tmp_path / "m.sock"), safe="")
    async with AsyncMongoClient[dict[str, Any]](f"mongodb://{nobody}/") as client:
        limiter = RateLimiter(client["a"], 100, 300, clock)
        with capture_logs() as logs:
            states = [await limiter.check(key(1), ADDRESS) for _ in range(3)]
            clock.move(seconds=30)
            await limiter.check(key(1), ADDRESS)
            assert len(logs) == 1
            clock.move(seconds=30)
            await limiter.check(None, ADDRESS)
    assert len(logs) == 2
    assert logs[0]["event"] == "rate_limit_not_counted"
    assert logs[0]["error"] == "ServerSelectionTimeoutError"
    assert ADDRESS not in str(logs)
    assert [state.allowed for state in states] == [True] * 3
    assert states[-1].headers()["X-RateLimit-Remaining"] == "1"


async def test_counters_are_removed_by_mongodb(storage: Hits, database: Database) -> None:
    indexes = await database["rate_limits"].index_information()
    assert indexes["expires"]["expireAfterSeconds"] == 0
    assert storage._counters.write_concern.document == {"w": 1, "j": False}


class Overtaken(Hits):
    """Loses the race of two upserts: a rival inserts first, and MongoDB's own error says so."""

    attempts = 0

    async def _hit(self, key: str, length: timedelta) -> tuple[int, datetime]:
        self.attempts += 1
        if self.attempts == 1:
            await super()._hit(key, length)
            await self._counters.insert_one({"_id": key})
        return await super()._hit(key, length)


async def test_the_loser_of_two_upserts_counts_too(database: Database, clock: Clock) -> None:
    storage = Overtaken(database, clock)
    count, _ = await storage.hit("a", MINUTE)
    assert (count, storage.attempts) == (2, 2)


async def test_a_second_collision_is_an_error_which_lets_the_request_pass(
    database: Database, storage: Hits, limiter: RateLimiter
) -> None:
    # A unique index on the count makes every second counter collide.
    await database["rate_limits"].create_index("count", unique=True)
    await storage.hit("a", MINUTE)
    with pytest.raises(DuplicateKeyError):
        await storage.hit("b", MINUTE)
    with capture_logs() as logs:
        assert (await limiter.check(key(1), ADDRESS)).allowed
    assert logs[0]["error"] == "DuplicateKeyError"


async def test_after_a_failure_nothing_is_counted_for_five_seconds(
    database: Database, storage: Hits, limiter: RateLimiter, clock: Clock
) -> None:
    await database["rate_limits"].create_index("count", unique=True, name="broken")
    await storage.hit("a", MINUTE)
    await limiter.check(key(1), ADDRESS)
    await database["rate_limits"].drop_index("broken")
    clock.move(seconds=4.999)
    assert (await limiter.check(key(1), ADDRESS)).remaining == 1
    clock.move(milliseconds=1)
    assert (await limiter.check(key(1), ADDRESS)).remaining == 0
    assert not (await limiter.check(key(1), ADDRESS)).allowed
