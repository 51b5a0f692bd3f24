"""What is more than MongoDB takes is told in the store's own words, without what was to be written."""

from __future__ import annotations

import pytest
from pymongo.errors import BulkWriteError

from store.errors import Oversized
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.support import change, create, patient, stored


@pytest.mark.parametrize(
    "letters", [8_388_600, 9_000_000, 45_000_000], ids=["by some bytes", "by the server", "by the driver"]
)
async def test_a_resource_that_no_document_can_hold(store: Store, letters: int) -> None:
    await create(store, patient("a"))
    large = [{"data": "x" * letters}]
    for step in (
        create(store, patient("small"), patient("b", photo=large)),
        change(store, "Patient", "a", photo=large),
    ):
        with pytest.raises(Oversized) as told:
            await step
        assert len(str(told.value)) < 200
        refusal = told.value.__cause__
        assert refusal is not None
        assert refusal.__cause__ is not refusal  # who follows what led to it would never end
    assert await store.database["Patient"].distinct("_id") == ["a"]
    assert (await stored(store, "Patient", "a"))["meta"]["versionId"] == "1"


async def test_what_is_found_by_more_than_the_cache_can_bear(store: Store) -> None:
    """Forty patients of 100 KB: a name is found from each of its words on, and each word by its sound and more."""
    many = [{"given": [" ".join(f"{number * word:07}" for word in range(14)) for number in range(900)]}]
    with pytest.raises(Oversized) as told:
        await create(store, *(patient(f"p{n}", name=many) for n in range(40)))
    assert "at once" in str(told.value)
    assert await store.database["Patient"].distinct("_id") == []
    await create(store, patient("one", name=many))
    assert await store.database["Patient"].distinct("_id") == ["one"]


@pytest.mark.parametrize("count", [4, 30])
async def test_what_is_about_more_than_the_memory_can_bear(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A Bundle of some KB can name resources of gigabytes: it deletes them, say, or patches each."""
    idents = [f"p{n}" for n in range(count)]
    await create(store, *(patient(ident, photo=[{"data": "x" * 10_000}]) for ident in idents))
    monkeypatch.setattr("store.unit_of_work._MOST_READ", 30_000)

    async def step(work: UnitOfWork) -> None:
        for resource in (await work.read_many([f"Patient/{ident}" for ident in idents])).values():
            work.delete(resource)

    with pytest.raises(Oversized):
        await store.transact(step)
    assert len(await store.keys("Patient", {}, limit=0)) == count
    del idents[2:]
    await store.transact(step)
    assert len(await store.keys("Patient", {}, limit=0)) == count - 2


async def test_a_transaction_that_does_not_fit_into_the_cache(store: Store) -> None:
    async def step(_: UnitOfWork) -> None:
        raise BulkWriteError({"writeErrors": [{"index": 1, "code": 388, "op": {"_id": "UG123456789A"}}]})

    with pytest.raises(Oversized) as told:
        await store.transact(step)
    assert "UG123456789A" not in str(told.value)
