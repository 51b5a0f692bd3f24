"""The one road of writes: a request that is sent again is answered again, and carried out once."""

from __future__ import annotations

import asyncio

import pytest

from adapter.errors import Conflict, Problem, Unprocessable
from adapter.scheduling.road import Answer, Once, travel
from store.codec import Resource, encode
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import booking, codes, visit
from tests.conftest import Clock
from tests.store.support import everything, overtaken, stored

ONCE = Once("key", "the same request")


async def send(store: Store, ident: str, once: Once | None = ONCE, status: int = 201) -> Answer:
    """Book for `ident` and answer with the resource as stored."""
    return await travel(store, booking(visit(ident)), encode, status=status, once=once)


async def test_an_answer_is_shaped_from_what_was_stored(store: Store) -> None:
    answer = await send(store, "x", None)
    assert answer == Answer(201, encode(await stored(store, "Appointment", "x")))
    assert not answer.replayed


async def test_a_request_that_may_not_be_repeated_is_not_remembered(store: Store) -> None:
    await send(store, "x", None)
    assert await store.count("idempotency", {}) == 0


async def test_an_equal_request_gets_the_first_answer_byte_for_byte_with_its_status(store: Store) -> None:
    first = await send(store, "x", status=201)
    before = await everything(store.database)
    again = await send(store, "y", status=200)
    assert (again.status, again.body, again.replayed) == (201, first.body, True)
    assert await everything(store.database) == before


async def test_the_answer_is_replayed_even_where_the_resource_has_changed_since(store: Store) -> None:
    first = await send(store, "x")
    await store.database.Appointment.delete_many({})
    assert (await send(store, "x")).body == first.body


async def test_the_key_with_another_request_is_refused_and_changes_nothing(store: Store) -> None:
    await send(store, "x")
    before = await everything(store.database)
    with pytest.raises(Unprocessable) as refused:
        await send(store, "y", Once("key", "another request"))
    assert (refused.value.status, codes(refused.value)) == (422, [("idempotency_key_reuse", "X-Idempotency-Key")])
    assert await everything(store.database) == before


async def test_the_same_request_under_another_key_is_another_request(store: Store) -> None:
    await send(store, "x")
    with pytest.raises(Conflict):
        await send(store, "y", Once("another key", "the same request"))


async def test_a_refused_request_stores_nothing_and_may_be_sent_again(store: Store) -> None:
    before = await everything(store.database)

    async def refuse(work: UnitOfWork) -> Resource:
        work.create(visit("x"))
        raise Conflict(Problem("slot_unavailable", "No."))

    with pytest.raises(Conflict):
        await travel(store, refuse, encode, status=201, once=ONCE)
    assert await everything(store.database) == before
    assert not (await send(store, "x")).replayed


async def test_an_answer_that_cannot_be_shaped_stores_nothing(store: Store) -> None:
    before = await everything(store.database)

    def fail(_: Resource) -> bytes:
        raise RuntimeError("no shape")

    with pytest.raises(RuntimeError, match="no shape"):
        await travel(store, booking(visit("x")), fail, status=201, once=ONCE)
    assert await everything(store.database) == before


async def test_an_answer_is_kept_for_just_less_than_a_day(store: Store, clock: Clock) -> None:
    await send(store, "x")
    clock.advance(hours=24, milliseconds=-1)
    assert (await send(store, "x")).replayed


async def test_after_a_day_the_key_may_be_used_for_another_request(store: Store, clock: Clock) -> None:
    await send(store, "x")
    await store.database.Appointment.delete_many({})
    clock.advance(hours=24)
    answer = await send(store, "y", Once("key", "another request"))
    assert not answer.replayed
    clock.advance(hours=23)
    assert (await send(store, "y", Once("key", "another request"))).body == answer.body


async def test_of_twenty_equal_requests_at_once_one_is_carried_out_and_all_are_answered_alike(store: Store) -> None:
    answers = await asyncio.gather(*(send(store, f"x{number}") for number in range(20)))
    assert len({(answer.status, answer.body) for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 19
    assert await store.count("Appointment", {}) == await store.count("history", {}) == 1


async def test_a_request_overtaken_by_its_equal_gives_the_others_answer(store: Store) -> None:
    first: list[Answer] = []

    async def slow(work: UnitOfWork) -> bytes:
        if (found := await work.recall("key")) is not None:
            return found.body
        work.remember("key", "the same request", 201, b"mine")
        return b"mine"

    async def rival() -> None:
        first.append(await send(store, "x"))

    body, runs = await overtaken(store, slow, rival)
    assert (body, runs) == (first[0].body, 2)
    assert await store.count("idempotency", {}) == 1
