"""A resource goes, its versions stay, and it can come back: with the next version, and for one of two rivals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from store.codec import Resource, encode
from store.errors import AlreadyExists
from store.history import Version
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.conftest import Clock
from tests.store.support import (
    NUMBERS,
    RULES,
    appointment,
    assert_agreement,
    change,
    create,
    document,
    everything,
    guards,
    overtaken,
    patient,
    present,
    side_by_side,
    stored,
)

MOMENT = datetime(2024, 1, 15, 10, tzinfo=UTC)


async def delete(store: Store, kind: str, ident: str) -> int:
    """Delete a resource in a transaction of its own."""

    async def step(work: UnitOfWork) -> int:
        return work.delete(await present(work, kind, ident))

    return await store.transact(step)


def putting(resource: Resource) -> Callable[[UnitOfWork], Awaitable[int]]:
    """Create or change, as PUT does; return the version."""

    async def step(work: UnitOfWork) -> int:
        kind, ident = resource["resourceType"], resource["id"]
        before = await work.read(kind, ident)
        if before is not None:
            after = work.update(before, resource)
        else:
            after = work.create(resource, version=await work.last_version(kind, ident) + 1, method="PUT")
        return int(after["meta"]["versionId"])

    return step


async def methods(store: Store) -> list[str]:
    return [one["method"] async for one in store.database.history.find(sort=[("_id", 1)])]


async def test_what_is_deleted_is_gone_and_its_versions_stay(store: Store, clock: Clock) -> None:
    [made] = await create(store, patient("a"))
    clock.advance(minutes=1)
    assert await delete(store, "Patient", "a") == 2
    assert await store.read("Patient", "a") is None
    assert await store.count("Patient", {}) == 0
    assert await store.read_version("Patient", "a", 1) == Version("Patient", "a", 1, MOMENT, "POST", encode(made))
    assert await store.read_version("Patient", "a", 2) == Version("Patient", "a", 2, clock(), "DELETE", None)
    assert "_json" not in await document(store.database, "history", "Patient/a/0000000002")


async def test_the_store_tells_what_is_gone_from_what_never_was(store: Store) -> None:
    await create(store, patient("a"), patient("ab"), patient("b"))
    await change(store, "Patient", "a", gender="other")
    await delete(store, "Patient", "a")
    assert await store.gone("Patient", "a") == 3
    assert await store.gone("Patient", "b") is None
    assert await store.gone("Patient", "nobody") is None
    assert await store.gone("Location", "a") is None


async def test_a_deletion_frees_what_was_claimed_and_meets_who_names_the_resource(store: Store) -> None:
    await create(store, appointment("a", slot=[{"reference": "Slot/s"}]))
    await delete(store, "Appointment", "a")
    assert await guards(store.database) == {"Practitioner/p|2024-01-20T10": 2, "Slot/s": 2, "Appointment/a": 1}
    assert await store.count("Appointment", {"_index.claims": "Slot/s"}) == 0


async def test_of_a_deletion_and_a_booking_of_a_slot_at_once_one_sees_the_other(store: Store) -> None:
    slot = {"resourceType": "Slot", "id": "s", "status": "free", "schedule": {"reference": "Schedule/x"}}
    await create(store, {**slot, "start": "2024-01-20T10:00:00Z", "end": "2024-01-20T10:30:00Z"})

    async def book(work: UnitOfWork) -> str:
        if await work.read("Slot", "s") is None:
            return "no slot"
        work.create(appointment("a", slot=[{"reference": "Slot/s"}]))
        return "booked"

    async def drop(work: UnitOfWork) -> str:
        if await work.find("Appointment", {"_index.claims": "Slot/s"}):
            return "taken"
        work.delete(await present(work, "Slot", "s"))
        return "dropped"

    assert await side_by_side(store, book, drop) in (["booked", "taken"], ["no slot", "dropped"])


async def test_what_was_deleted_comes_back_with_the_next_version(store: Store) -> None:
    await create(store, patient("a", gender="male"))
    await delete(store, "Patient", "a")
    assert await store.transact(putting(patient("a", gender="other"))) == 3
    assert (await stored(store, "Patient", "a"))["gender"] == "other"
    assert await store.gone("Patient", "a") is None
    assert await methods(store) == ["POST", "DELETE", "PUT"]
    await assert_agreement(store.database, RULES)


async def test_what_was_deleted_does_not_come_back_as_version_one(store: Store) -> None:
    await create(store, patient("a"))
    await delete(store, "Patient", "a")
    before = await everything(store.database)
    with pytest.raises(AlreadyExists):
        await create(store, patient("a"))
    assert await everything(store.database) == before


@pytest.mark.parametrize("deleted", [False, True])
async def test_of_two_who_put_one_absent_id_at_once_the_second_changes_what_the_first_made(
    store: Store, deleted: bool
) -> None:
    if deleted:
        await create(store, patient("a"))
        await delete(store, "Patient", "a")
    one, other = putting(patient("a", gender="male")), putting(patient("a", gender="female"))
    assert sorted(await side_by_side(store, one, other)) == ([3, 4] if deleted else [1, 2])
    assert (await methods(store))[-2:] == ["PUT", "PUT"]
    await assert_agreement(store.database, RULES)


async def test_of_two_who_make_one_deleted_id_anew_without_looking_one_is_refused(store: Store) -> None:
    await create(store, patient("a"))
    await delete(store, "Patient", "a")

    async def blindly(work: UnitOfWork) -> None:
        work.create(patient("a"), version=3)

    results = await side_by_side(store, blindly, blindly)
    assert sorted(map(repr, results)) == sorted(
        ["None", repr(AlreadyExists("a Patient with that id is stored already"))]
    )
    assert await methods(store) == ["POST", "DELETE", "POST"]


async def test_a_change_that_is_overtaken_by_a_deletion_is_decided_again(store: Store) -> None:
    await create(store, patient("a"))

    async def slow(work: UnitOfWork) -> str:
        before = await work.read("Patient", "a")
        if before is None:
            return "gone"
        work.update(before, {**before, "gender": "other"})
        return "changed"

    async def fast() -> None:
        await delete(store, "Patient", "a")

    assert await overtaken(store, slow, fast) == ("gone", 2)
    assert await methods(store) == ["POST", "DELETE"]


async def test_a_deletion_of_what_was_read_before_the_transaction_is_never_written(store: Store) -> None:
    [old] = await create(store, patient("a"))
    await change(store, "Patient", "a", gender="female")
    before = await everything(store.database)

    async def step(work: UnitOfWork) -> None:
        work.delete(old)

    with pytest.raises(AssertionError, match="had not read"):
        await store.transact(step)
    assert await everything(store.database) == before


async def test_an_identifier_that_one_resource_gives_up_another_may_take_in_the_same_unit_of_work(store: Store) -> None:
    def numbered(ident: str, number: str) -> dict[str, Any]:
        return patient(ident, identifier=[{"system": NUMBERS, "value": number}])

    await create(store, numbered("deleted", "1"), numbered("changed", "2"))

    async def step(work: UnitOfWork) -> None:
        work.create(numbered("x", "1"))
        work.create(numbered("y", "2"))
        changed = await present(work, "Patient", "changed")
        work.update(changed, {**changed, "identifier": []})
        work.delete(await present(work, "Patient", "deleted"))

    await store.transact(step)
    assert await store.count("Patient", {"_index.unique": {"$exists": True}}) == 2


async def test_the_method_of_each_write_is_kept(store: Store) -> None:
    await create(store, patient("a"))

    async def patch(work: UnitOfWork) -> None:
        before = await present(work, "Patient", "a")
        work.update(before, {**before, "gender": "other"}, method="PATCH")

    await store.transact(patch)
    await change(store, "Patient", "a", gender="male")
    await delete(store, "Patient", "a")
    assert await methods(store) == ["POST", "PATCH", "PUT", "DELETE"]


async def test_the_last_versions_of_many_are_told_at_once(store: Store) -> None:
    await create(store, patient("a"), patient("b"), appointment("a"))
    await change(store, "Patient", "b", gender="other")
    await delete(store, "Patient", "b")

    async def step(work: UnitOfWork) -> Any:
        wanted = ["Patient/a", "Patient/b", "Appointment/a", "Patient/nobody", "Unknown/a"]
        return await work.last_versions(wanted), await work.last_versions([]), await work.last_version("Patient", "b")

    every = {"Patient/a": 1, "Patient/b": 3, "Appointment/a": 1, "Patient/nobody": 0, "Unknown/a": 0}
    assert await store.transact(step) == (every, {}, 3)


async def test_the_last_versions_of_very_many_are_told_alike(store: Store) -> None:
    await create(store, *(patient(f"p{number}") for number in range(60)))
    for number in (0, 7, 59):
        await change(store, "Patient", f"p{number}", gender="other")
        await delete(store, "Patient", f"p{number}")
    wanted = [f"{kind}/p{number}" for kind in ("Patient", "Slot") for number in range(90)]

    async def step(work: UnitOfWork) -> Any:
        last = await work.last_versions(wanted)
        return last, work.create(patient("p7"))["meta"]["versionId"]

    deleted = {"Patient/p0", "Patient/p7", "Patient/p59"}
    stored = {f"Patient/p{number}" for number in range(60)}
    every = {name: 3 if name in deleted else int(name in stored) for name in wanted}
    assert await store.transact(step) == (every, "4")


async def test_many_are_read_at_once_in_a_unit_of_work(store: Store) -> None:
    one, two, three = await create(store, patient("a"), patient("b"), appointment("a"))

    async def step(work: UnitOfWork) -> Any:
        return await work.read_many(["Patient/a", "Patient/b", "Appointment/a", "Patient/a", "Patient/no", "text"])

    assert await store.transact(step) == {"Patient/a": one, "Patient/b": two, "Appointment/a": three}


async def test_a_version_is_not_older_than_the_one_before_it_whatever_the_clock_says(
    store: Store, clock: Clock
) -> None:
    await create(store, patient("a"))
    clock.advance(minutes=-5)
    changed = await change(store, "Patient", "a", gender="other")
    await delete(store, "Patient", "a")
    await store.transact(putting(patient("a")))
    assert changed["meta"]["lastUpdated"] == "2024-01-15T10:00:00.000Z"
    moments = [one["lastUpdated"] async for one in store.database.history.find()]
    assert moments == [MOMENT] * 4
