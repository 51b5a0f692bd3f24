"""Everything is made anew from the bytes: what was lost is found again, what is written meanwhile stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from bson.binary import Binary

from store import reindex, revision
from store.codec import encode
from store.documents import Rules, past, stamped
from store.ordering import BATCH
from store.reindex import POSITIONS, Progress
from store.store import Store
from store.types import TYPES
from tests.conftest import Clock
from tests.store.search.support import found
from tests.store.support import (
    NUMBERS,
    RULES,
    appointment,
    assert_agreement,
    change,
    create,
    document,
    everything,
    patient,
    stored,
)


@pytest.fixture
async def store(store: Store) -> AsyncIterator[Store]:
    await store.database.drop_collection(POSITIONS)
    yield store
    await store.database.drop_collection(POSITIONS)


async def run(store: Store, **options: Any) -> Progress:
    """A whole run."""
    last = Progress()
    async for progress in reindex.reindex(store, **options):
        last = progress
    return last


async def filled(store: Store, size: int = 25) -> None:
    """Appointments and Patients."""
    await create(store, *(appointment(f"a{n:03}", practitioner=f"p{n}") for n in range(size)))
    await create(store, *(patient(f"p{n:03}", gender="other") for n in range(size)))


async def test_what_lost_its_search_values_is_found_again(store: Store) -> None:
    await filled(store)
    await store.database.Appointment.update_many({}, {"$set": {"_index": {}}})
    await store.database.Patient.update_many({}, {"$set": {"_index.identifier": ["wrong"], "gender": "male"}})
    assert await store.count("Appointment", {"_index.status": "booked"}) == 0
    progress = await run(store, batch=10)
    assert (progress.done, progress.total, progress.failed) == (50, 50, [])
    assert await store.count("Appointment", {"_index.status": "booked"}) == 25
    assert await store.count("Appointment", {"_index.claims": "Practitioner/p3|2024-01-20T10"}) == 1
    assert await store.count("Patient", {"_index.identifier": "wrong"}) == 0
    await assert_agreement(store.database, RULES)


async def test_names_that_an_earlier_release_has_filed_are_found_by_each_word(store: Store) -> None:
    await create(store, patient("p1", name=[{"family": "O'Brien-Smith"}]))
    filed = {"_index.name": ["o'brien-smith"], "_index.family": ["o'brien-smith"]}
    await store.database.Patient.update_one({"_id": "p1"}, {"$set": filed})
    assert await found(store, "Patient", "name=smith") == set()
    await run(store)
    for text in ("name=smith", "family=obrien", "name=o'brien smith"):
        assert await found(store, "Patient", text) == {"p1"}


async def test_where_all_is_right_nothing_changes(store: Store) -> None:
    await filled(store)
    await store.sequence()
    await run(store)
    before = await everything(store.database)
    await run(store)
    assert await everything(store.database) == before


async def test_a_damaged_readable_copy_is_made_anew_from_the_bytes(store: Store) -> None:
    [made] = await create(store, appointment("a"))
    keep = {"_id": "a", "_json": Binary(encode(made)), "_index": {}}
    await store.database.Appointment.replace_one({"_id": "a"}, keep)
    await run(store)
    await assert_agreement(store.database, RULES)
    await change(store, "Appointment", "a", status="arrived")


async def test_the_progress_is_told_after_each_batch(store: Store) -> None:
    await filled(store)
    seen = [(p.done, p.total) async for p in reindex.reindex(store, batch=10)]
    assert seen == [(0, 50), (10, 50), (20, 50), (25, 50), (35, 50), (45, 50), (50, 50)]


async def test_nothing_stored_is_soon_done(store: Store) -> None:
    assert await run(store) == Progress(0, 0, [])


async def test_what_is_written_meanwhile_is_not_undone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(store, 10)
    write = reindex._replace

    async def overtaken(*args: Any) -> tuple[list[str], bool]:
        """Read, then let others change, delete and make, then write."""
        if args[1].name == "Patient":
            await change(store, "Patient", "p000", gender="female")
            await store.transact(lambda work: _delete(work, "p001"))
            await create(store, patient("p0005"))
        return await write(*args)

    monkeypatch.setattr(reindex, "_replace", overtaken)
    progress = await run(store)
    assert progress.failed == []
    assert (await stored(store, "Patient", "p000"))["gender"] == "female"
    assert await store.read("Patient", "p001") is None
    assert await store.read("Patient", "p0005") is not None
    await assert_agreement(store.database, RULES)


async def _delete(work: Any, ident: str) -> None:
    work.delete(await work.read("Patient", ident))


async def test_a_service_that_writes_all_the_while_loses_nothing(store: Store, clock: Clock) -> None:
    await filled(store, 40)
    done = asyncio.Event()
    changes = 0

    async def writing(first: int) -> None:
        nonlocal changes
        while not done.is_set():
            for number in range(first, 40, 4):
                await change(store, "Patient", f"p{number:03}", name=[{"text": str(changes)}])
                changes += 1

    async with asyncio.TaskGroup() as group:
        for first in range(4):
            group.create_task(writing(first))
        for _ in range(3):
            await run(store, batch=7)
        done.set()
    assert changes > 10
    versions = [int(one["meta"]["versionId"]) async for one in store.database.Patient.find()]
    assert sum(versions) - len(versions) == changes
    await assert_agreement(store.database, RULES)


async def interrupted(store: Store, batches: int, **options: Any) -> None:
    """A run that ends after some batches."""
    seen = 0
    run_ = reindex.reindex(store, **options)
    async for _ in run_:
        seen += 1
        if seen > batches:
            break
    await run_.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_an_interrupted_run_goes_on_where_it_stopped(store: Store) -> None:
    await filled(store)
    await interrupted(store, 4, batch=10)  # all Appointments, ten Patients
    await store.database.Patient.update_many({}, {"$set": {"_index": {}}})
    seen = [(p.done, p.total) async for p in reindex.reindex(store, batch=10)]
    assert seen == [(35, 50), (45, 50), (50, 50)]
    emptied = [one["_id"] async for one in store.database.Patient.find({"_index": {}}, sort=[("_id", 1)])]
    assert emptied == [f"p{n:03}" for n in range(10)]  # these had been gone through before
    assert await store.count(POSITIONS, {}) == 0


async def test_what_another_release_has_begun_is_begun_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(store)
    await interrupted(store, 4, batch=10)
    await store.database.Patient.update_many({}, {"$set": {"_index": {}}})
    monkeypatch.setattr(revision, "RULES", revision.RULES + 1)
    assert (await run(store, batch=10)).done == 50
    await assert_agreement(store.database, RULES)


async def test_what_a_release_without_numbered_rules_has_begun_is_begun_again(store: Store) -> None:
    await filled(store)
    await store.database[POSITIONS].insert_one({"_id": "Appointment", "after": "a019", "revision": "0.1.0 UTC"})
    await store.database.Appointment.update_many({}, {"$set": {"_index": {}}})
    assert (await run(store)).done == 50
    await assert_agreement(store.database, RULES)


@pytest.mark.parametrize(
    "settings",
    [{"bases": ("https://x.org/fhir/R4",)}, {"patient_systems": ("urn:nin",)}, {"unique_systems": ("urn:number",)}],
    ids=lambda settings: next(iter(settings)),
)
async def test_what_was_begun_under_other_settings_is_begun_again(store: Store, settings: dict[str, Any]) -> None:
    await filled(store)
    await interrupted(store, 4, batch=10)
    await store.database.Patient.update_many({}, {"$set": {"_index": {}}})
    now = replace(RULES, **settings)
    assert (await run(Store(store._client, store.database.name, rules=now), batch=10)).done == 50
    await assert_agreement(store.database, now)


async def test_what_cannot_be_made_anew_is_named_and_stays(store: Store) -> None:
    await filled(store, 3)
    bad = {"_id": "bad", "_json": b'{"resourceType":"Patient","id":"bad"}', "_index": {}}
    await store.database.Patient.insert_one(dict(bad))
    progress = await run(store, batch=1)
    assert [one.partition(":")[0] for one in progress.failed] == ["Patient/bad"]
    assert progress.done == 7
    assert await document(store.database, "Patient", "bad") == {
        **bad,
        "_json": b'{"resourceType":"Patient","id":"bad"}',
    }


async def test_what_has_no_usable_moment_is_named(store: Store) -> None:
    raw = encode({**stamped(patient("bad"), 1, Clock()()), "meta": {"versionId": "1", "lastUpdated": None}})
    await store.database.Patient.insert_one({"_id": "bad", "_json": Binary(raw)})
    assert "lastUpdated" in (await run(store)).failed[0]


async def test_what_is_too_large_for_mongodb_is_named_without_its_data_and_the_others_are_made(store: Store) -> None:
    await filled(store, 3)
    large = {**stamped(patient("p0005"), 1, Clock()()), "photo": [{"data": "secret" * 1_500_000}]}
    await store.database.Patient.insert_one({"_id": "p0005", "_json": Binary(encode(large))})
    await store.database.Patient.update_many({"_id": {"$ne": "p0005"}}, {"$set": {"_index": {}}})
    progress = await run(store)
    [failure] = progress.failed
    assert failure.startswith("Patient/p0005: ")
    assert "larger than MongoDB takes" in failure
    assert len(failure) < 200
    assert await reindex.unfit(store) == progress.failed
    assert progress.stale
    assert progress.done == 7
    assert await store.count("Patient", {"_index.gender": "other"}) == 3
    assert await store.count(POSITIONS, {}) == 0


async def test_what_is_too_large_beside_the_bytes_it_replaces_is_made_anew(store: Store) -> None:
    await create(store, patient("a", gender="other", photo=[{"data": "x" * 6_000_000}]))
    await store.database.Patient.update_one({"_id": "a"}, {"$set": {"_index": {}}})
    assert (await run(store)).failed == []
    await assert_agreement(store.database, RULES)


async def test_what_is_that_large_and_written_or_deleted_meanwhile_is_not_undone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(store, *(patient(ident, photo=[{"data": "x" * 6_000_000}]) for ident in "ab"))
    write = reindex._write_large

    async def overtaken(collection: Any, one: Any, new: Any) -> dict[str, str]:
        if one["_id"] == "a":
            await change(store, "Patient", "a", gender="female")
        else:
            await store.transact(lambda work: _delete(work, "b"))
        return await write(collection, one, new)

    monkeypatch.setattr(reindex, "_write_large", overtaken)
    assert (await run(store)).failed == []
    assert (await stored(store, "Patient", "a"))["gender"] == "female"
    assert await store.read("Patient", "b") is None
    await assert_agreement(store.database, RULES)


@pytest.mark.parametrize("size", [1, 6_000_000], ids=["small", "large"])
async def test_an_identifier_that_turns_out_to_be_carried_twice_is_named(store: Store, size: int) -> None:
    unruly = Store(store._client, store.database.name, rules=Rules(claims=RULES.claims))
    number = [{"system": NUMBERS, "value": "1"}]
    twice = [patient(ident, identifier=number, photo=[{"data": "x" * size}]) for ident in ("a", "b")]
    await create(unruly, *twice)
    progress = await run(store)
    [failure] = progress.failed
    assert failure.startswith("Patient/b: ")
    assert "duplicate key" in failure
    assert await store.count("Patient", {"_index.unique": f"{NUMBERS}|1"}) == 1
    await store.database.Patient.update_one({"_id": "b"}, {"$set": {"_index.identifier": [], "_index.unique": ["x|1"]}})
    assert len((await run(store)).failed) == 1
    assert await store.count("Patient", {"_index.identifier": f"{NUMBERS}|1"}) == 2  # found all the same
    assert await store.count("Patient", {"_index.unique": "x|1"}) == 0


async def test_one_that_is_carried_twice_leaves_its_other_identifiers_unique(store: Store) -> None:
    one, two = ({"system": NUMBERS, "value": value} for value in "12")
    await create(store, patient("a", identifier=[one]), patient("b", identifier=[two]))
    raw = encode({**stamped(patient("b"), 1, Clock()()), "identifier": [two, one]})
    await store.database.Patient.update_one({"_id": "b"}, {"$set": {"_json": Binary(raw)}})
    assert [text.partition(":")[0] for text in (await run(store)).failed] == ["Patient/b"]
    assert await store.count("Patient", {"_index.unique": f"{NUMBERS}|2"}) == 1


async def test_the_indexes_are_made_as_well_and_old_history_is_put_in_order(store: Store) -> None:
    await filled(store, 3)
    await store.database.history.insert_many(
        [past("Patient", "gone", number, Clock()(), "PUT", b"{}") for number in range(1, BATCH + 1)]
    )
    await store.database.history.update_many({}, {"$unset": {"pending": ""}})
    await store.database.Appointment.drop_indexes()
    await run(store)
    found = [one async for one in await store.database.Appointment.list_indexes()]
    assert len(found) == len(TYPES["Appointment"].index_models()) + 1
    assert await store.database.history.count_documents({"seq": {"$exists": True}}) == BATCH + 6
