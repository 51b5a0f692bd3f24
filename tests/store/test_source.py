"""What searches read through gives the same from outside and from inside a transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymongo import monitoring
from pymongo.read_concern import ReadConcern

from store.codec import encode
from store.connection import connect
from store.source import Source, fitting
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.support import Listener, appointment, create, explain, large, patient

Reading = Callable[[Source], Awaitable[Any]]
Reader = Callable[[Store, Reading], Awaitable[Any]]


async def outside(store: Store, reading: Reading) -> Any:
    return await reading(store)


async def inside(store: Store, reading: Reading) -> Any:
    async def step(work: UnitOfWork) -> Any:
        return await reading(work)

    return await store.transact(step)


readers = pytest.mark.parametrize("read", [outside, inside])
BOOKED = {"_index.status": "booked"}


@readers
async def test_documents_bring_their_key_their_bytes_and_what_is_asked_for(store: Store, read: Reader) -> None:
    [made] = await create(store, appointment("a"))
    assert await read(store, lambda source: source.documents("Appointment", BOOKED)) == [
        {"_id": "a", "_json": encode(made)}
    ]
    [found] = await read(
        store, lambda source: source.documents("Appointment", BOOKED, fields=["_index.actor", "meta.versionId"])
    )
    assert found == {
        "_id": "a",
        "_json": encode(made),
        "_index": {"actor": ["Practitioner/p"]},
        "meta": {"versionId": "1"},
    }
    assert type(found["_json"]) is bytes


@readers
async def test_documents_come_in_order_and_no_more_than_are_wanted(store: Store, read: Reader) -> None:
    await create(store, *(appointment(f"a{n}", f"2024-01-{20 - n}T10:00:00Z") for n in range(5)))
    found = await read(
        store,
        lambda source: source.documents(
            "Appointment", BOOKED, sort=[("_index.date", 1), ("_id", 1)], limit=2, hint=("status", "date", "_id")
        ),
    )
    assert [one["_id"] for one in found] == ["a4", "a3"]


@readers
async def test_an_index_may_be_named_by_mongodbs_name(store: Store, read: Reader) -> None:
    await create(store, appointment("a"))
    name = "_index.status_1__index.date_1__id_1"
    assert len(await read(store, lambda source: source.documents("Appointment", BOOKED, hint=name))) == 1
    assert await read(store, lambda source: source.count("Appointment", BOOKED, hint=name)) == 1


async def test_an_explanation_takes_mongodbs_name_too(store: Store) -> None:
    name = "_index.status_1__index.date_1__id_1"
    assert name in str(await explain(store, "Appointment", BOOKED, hint=name))


@readers
async def test_all_documents_come_where_no_limit_is_named(store: Store, read: Reader) -> None:
    await create(store, *(patient(f"p{n}") for n in range(150)))
    assert len(await read(store, lambda source: source.documents("Patient", {}))) == 150


@readers
async def test_keys_are_ids_alone(store: Store, read: Reader) -> None:
    await create(store, patient("a"), patient("b"), patient("c"))
    assert len(await read(store, lambda source: source.keys("Patient", {}, limit=2))) == 2
    assert sorted(await read(store, lambda source: source.keys("Patient", {}, limit=0))) == ["a", "b", "c"]


@readers
async def test_counting_may_stop_early(store: Store, read: Reader) -> None:
    await create(store, *(appointment(f"a{n}", status="proposed") for n in range(5)))
    query = {"_index.status": "proposed"}
    assert await read(store, lambda source: source.count("Appointment", query)) == 5
    assert await read(store, lambda source: source.count("Appointment", query, limit=3)) == 3
    assert await read(store, lambda source: source.count("Appointment", BOOKED, limit=3)) == 0


@readers
async def test_different_values_are_told_out_of_lists_and_alone(store: Store, read: Reader) -> None:
    await create(store, *(appointment(f"a{n}", practitioner=f"p{n % 3}", status="proposed") for n in range(6)))
    actors = await read(store, lambda source: source.distinct("Appointment", "_index.actor", {}, limit=10))
    assert sorted(actors) == ["Practitioner/p0", "Practitioner/p1", "Practitioner/p2"]
    statuses = await read(store, lambda source: source.distinct("Appointment", "_index.status", {}, limit=10))
    assert statuses == ["proposed"]
    assert len(await read(store, lambda source: source.distinct("Appointment", "_index.actor", {}, limit=2))) == 2
    assert await read(store, lambda source: source.distinct("Appointment", "_index.slot", {}, limit=2)) == []


async def test_inside_a_transaction_its_moment_is_seen(store: Store) -> None:
    await create(store, patient("a"))

    async def step(work: UnitOfWork) -> list[Any]:
        before = await work.keys("Patient", {}, limit=9)
        await create(store, patient("b"))
        return [
            before,
            await work.keys("Patient", {}, limit=9),
            await work.count("Patient", {}),
            [one["_id"] for one in await work.documents("Patient", {})],
            await work.distinct("Patient", "_id", {}, limit=9),
        ]

    assert await store.transact(step) == [["a"], ["a"], 1, ["a"], ["a"]]


@readers
async def test_no_more_is_read_than_a_page_holds(store: Store, read: Reader) -> None:
    """By replies of MongoDB of 16 MB: what is not asked for does not come, and no cursor stays."""
    for number in range(24):
        await create(store, large(f"p{number:02}"))
    for most, least, largest in ((1, 1, 4), (7_000_000, 5, 8), (16_000_000, 11, 14), (100_000_000, 24, 24)):

        async def reading(source: Source, most: int = most) -> list[dict[str, Any]]:
            return await source.documents("Patient", {}, sort=[("_id", 1)], limit=24, most=most)

        found = await read(store, reading)
        assert least <= len(found) <= largest
        assert [one["_id"] for one in found] == [f"p{number:02}" for number in range(len(found))]
        assert fitting(found, most) == min(24, max(1, most // 1_500_200))
    local = store.database.client.get_database("admin", read_concern=ReadConcern("local"))
    operations = await local.aggregate([{"$currentOp": {"idleCursors": True, "localOps": True}}])
    assert f"{store.database.name}.Patient" not in [
        one["ns"] async for one in operations if one["type"] == "idleCursor"
    ]


class Bounds(Listener):
    """How long each command may take, in milliseconds, by its name."""

    def __init__(self) -> None:
        self.found: dict[str, int | None] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.found[event.command_name] = event.command.get("maxTimeMS")


async def test_mongodb_is_told_how_long_somebody_waits(store: Store, mongodb_uri: str) -> None:
    bounds = Bounds()
    client = connect(mongodb_uri, listeners=[bounds])
    watched = Store(client, store.database.name, timeout=3.0)
    try:
        await watched.documents("Appointment", BOOKED)
        documents = bounds.found.pop("find")
        await watched.find("Appointment", BOOKED, skip=1, limit=5)
        await watched.count("Appointment", BOOKED)
        await watched.count("Appointment", BOOKED, limit=5)
        await watched.distinct("Appointment", "_index.status", BOOKED, limit=5)
    finally:
        await client.close()
    assert [documents, bounds.found["find"], bounds.found["aggregate"]] == [3_000] * 3
