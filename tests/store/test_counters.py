"""Numbers that are handed out once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from store.connection import connect
from store.counters import COUNTERS, Numbers
from store.errors import Unreachable
from tests.store.support import Database, document


async def test_numbers_start_at_one_and_grow_by_one(database: Database) -> None:
    numbers = Numbers(database, block=3)
    assert [await numbers.next("n") for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]


async def test_fifty_takers_at_once_get_fifty_numbers(database: Database) -> None:
    numbers = Numbers(database, block=7)
    taken = await asyncio.gather(*(numbers.next("n") for _ in range(50)))
    assert sorted(taken) == list(range(1, 51))


async def test_two_processes_never_hand_out_the_same_number(database: Database) -> None:
    one, other = Numbers(database, block=4), Numbers(database, block=4)
    taken = await asyncio.gather(*(numbers.next("n") for _ in range(25) for numbers in (one, other)))
    assert len(set(taken)) == 50
    assert min(taken) == 1


async def test_numbers_are_taken_from_the_database_in_blocks(database: Database) -> None:
    numbers = Numbers(database, block=10)
    for _ in range(10):
        await numbers.next("n")
    assert (await document(database, COUNTERS, "n"))["value"] == 10
    await numbers.next("n")
    assert (await document(database, COUNTERS, "n"))["value"] == 20


async def test_a_process_that_ends_leaves_a_gap_and_no_double(database: Database) -> None:
    await Numbers(database, block=10).next("n")
    assert await Numbers(database, block=10).next("n") == 11


async def test_each_counter_has_numbers_of_its_own(database: Database) -> None:
    numbers = Numbers(database)
    assert [await numbers.next("2024"), await numbers.next("2024"), await numbers.next("2025")] == [1, 2, 1]


async def test_without_a_server_every_taker_is_told_within_the_bound(tmp_path: Path) -> None:
    client = connect(f"mongodb://{quote(str(tmp_path / 'no.sock'), safe='')}/")
    numbers = Numbers(client["none"], timeout=0.3)
    started = asyncio.get_running_loop().time()
    results = await asyncio.gather(*(numbers.next("n") for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [Unreachable] * 5
    assert asyncio.get_running_loop().time() - started < 1.5
    await client.close()


async def test_who_waits_behind_one_that_is_not_answered_is_told_within_the_bound(database: Database) -> None:
    numbers = Numbers(database, timeout=0.2)
    await numbers._taking.acquire()
    started = asyncio.get_running_loop().time()
    with pytest.raises(Unreachable, match="did not answer in time"):
        await numbers.next("n")
    assert asyncio.get_running_loop().time() - started < 1
    numbers._taking.release()
    assert await numbers.next("n") == 1


async def test_numbers_up_to_one_are_passed_over(database: Database) -> None:
    numbers = Numbers(database, block=10)
    assert await numbers.next("n") == 1
    await numbers.pass_over("n", 4)
    assert [await numbers.next("n") for _ in range(6)] == [5, 6, 7, 8, 9, 10]
    await numbers.pass_over("n", 45)
    assert await numbers.next("n") == 46
    await numbers.pass_over("n", 7)
    assert await numbers.next("n") == 47
    assert await Numbers(database, block=10).next("n") == 56


async def test_a_counter_that_nobody_has_asked_yet_can_be_passed_over(database: Database) -> None:
    numbers = Numbers(database, block=10)
    await numbers.pass_over("n", 45)
    assert await numbers.next("n") == 46


async def test_two_processes_that_pass_over_numbers_hand_out_none_twice(database: Database) -> None:
    one, other = Numbers(database, block=4), Numbers(database, block=4)

    async def take(numbers: Numbers) -> list[int]:
        taken = []
        for number in range(20):
            taken.append(await numbers.next("n"))
            if number % 5 == 0:
                await numbers.pass_over("n", taken[-1] + 3)
        return taken

    both = await asyncio.gather(take(one), take(other))
    assert len({number for part in both for number in part}) == 40
