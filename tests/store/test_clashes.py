"""Unique identifiers within one unit of work: the outcome does not depend on its order (http.html#trules)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pymongo import monitoring

from store.codec import Resource
from store.connection import connect
from store.errors import NotUnique
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.support import NUMBERS, RULES, Listener, assert_agreement, create, everything, patient, stored


def identified(*numbers: str) -> list[dict[str, str]]:
    return [{"system": NUMBERS, "value": number} for number in numbers]


async def three(store: Store) -> dict[str, Resource]:
    made = await create(store, *(patient(one, identifier=identified(n)) for one, n in zip("abc", "123", strict=True)))
    return {one["id"]: one for one in made}


async def give(store: Store, held: Mapping[str, Resource], after: Mapping[str, Sequence[str]]) -> None:
    async def step(work: UnitOfWork) -> None:
        for ident, numbers in after.items():
            work.update(held[ident], {**held[ident], "identifier": identified(*numbers)})

    await store.transact(step)


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
@pytest.mark.parametrize(
    "after",
    [
        {"a": "1", "b": "", "c": "2"},  # the one takes what the other gives up
        {"a": "2", "b": "1", "c": "3"},  # swapped
        {"a": "3", "b": "1", "c": "2"},  # around
        {"a": "24", "b": "1", "c": "35"},  # beside some that are kept, and new ones
    ],
)
async def test_they_change_hands_in_any_order(store: Store, after: dict[str, str], order: str) -> None:
    await give(store, await three(store), {ident: after[ident] for ident in order})
    for ident, numbers in after.items():
        assert (await stored(store, "Patient", ident))["identifier"] == identified(*numbers)
    await assert_agreement(store.database, RULES)


@pytest.mark.parametrize(
    "after",
    [
        {"a": "2", "b": "13", "c": "3"},  # two have it afterwards
        {"a": "2", "b": "13"},  # one has it who is not asked
        {"a": "2", "b": "12"},  # one takes it and the other keeps it
    ],
)
async def test_what_two_would_have_afterwards_is_refused(store: Store, after: dict[str, str]) -> None:
    held = await three(store)
    before = await everything(store.database)
    for ordered in (after, dict(reversed(after.items()))):
        with pytest.raises(NotUnique, match="another Patient") as caught:
            await give(store, held, ordered)
        assert caught.value.name in {f"Patient/{ident}" for ident in after}
    assert await everything(store.database) == before


async def test_a_version_that_was_not_read_gives_nothing_up(store: Store) -> None:
    held = await three(store)
    before = await everything(store.database)
    held["a"] = {**held["a"], "meta": {"versionId": "7"}}
    with pytest.raises((AssertionError, NotUnique)):
        await give(store, held, {"a": "2", "b": "1"})
    assert await everything(store.database) == before


async def test_changing_hands_takes_no_further_command(mongodb_uri: str, store: Store) -> None:
    sent: list[str] = []

    class Noted(Listener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            sent.append(event.command_name)

    held = await three(store)
    client = connect(mongodb_uri, listeners=[Noted()])
    watched = Store(client, store.database.name, rules=RULES)
    counts: list[Any] = []
    try:
        for after in ({"a": "4", "b": "5"}, {"a": "5", "b": "4"}):
            sent.clear()
            await give(watched, held, after)
            counts.append(
                [name for name in sent if name in ("insert", "update", "delete", "find", "commitTransaction")]
            )
            held = {ident: await stored(store, "Patient", ident) for ident in held}
    finally:
        await client.close()
    assert counts[0] == counts[1] == ["update", "insert", "commitTransaction"]
