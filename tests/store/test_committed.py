"""What this process has written is told when it is committed, and not before."""

from __future__ import annotations

import asyncio

import pytest
from pymongo import monitoring

from store.connection import connect
from store.staged import Write
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.support import Listener, appointment, change, create, patient


class Commits(Listener):
    """Notes what was told when each commit is sent."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self.told: list[dict[str, int]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "commitTransaction" and self.store is not None:
            self.told.append(dict(self.store.committed.counts))


async def test_a_write_counts_when_it_is_committed(mongodb_uri: str, store: Store) -> None:
    commits = Commits()
    client = connect(mongodb_uri, listeners=[commits])
    watched = commits.store = Store(client, store.database.name)
    await create(watched, patient("p"), patient("q"), appointment("a"))
    await change(watched, "Patient", "p", active=False)
    assert commits.told == [{}, {"Patient": 1, "Appointment": 1}]
    assert dict(watched.committed.counts) == {"Patient": 2, "Appointment": 1}
    await client.close()


async def test_what_travels_together_counts_too(store: Store) -> None:
    async def made(ident: str) -> None:
        async def step(work: UnitOfWork) -> None:
            work.create(patient(ident))

        await store.transact(step, together=True)
        assert store.committed.counts["Patient"]

    await asyncio.gather(*(made(f"p{number}") for number in range(5)))


async def test_who_follows_is_told_each_write_that_is_committed(store: Store) -> None:
    told: list[Write] = []
    store.committed.follow(told.append)
    await create(store, patient("p"), appointment("a"))
    await change(store, "Patient", "p", active=False)
    assert [(one.name, one.version) for one in told] == [("Patient/p", 1), ("Appointment/a", 1), ("Patient/p", 2)]


async def test_who_is_refused_has_written_nothing(store: Store) -> None:
    async def refused(work: UnitOfWork) -> None:
        work.create(patient("p"))
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(refused)
    assert not store.committed.counts


async def test_a_moment_knows_what_had_been_written_when_it_began(store: Store) -> None:
    await create(store, patient("p"))
    async with store.moment() as moment:
        await create(store, patient("q"))
        assert dict(moment.writes) == {"Patient": 1}
