"""What one transaction writes: all of it or nothing, and never unaware of a rival."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import BulkWriteError

from store.codec import encode
from store.documents import version_of
from store.errors import AlreadyExists, NotUnique
from store.staged import Remembered
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.conftest import Clock
from tests.store.companions import foreseeing_what_is_refused
from tests.store.support import (
    HOUR,
    NUMBERS,
    RULES,
    appointment,
    assert_agreement,
    change,
    create,
    everything,
    guards,
    numbered,
    patient,
    present,
    side_by_side,
    stored,
)

# Versions and history.


async def test_a_new_resource_is_version_one(store: Store, clock: Clock) -> None:
    [made] = await create(store, patient("a"))
    assert made["meta"] == {"versionId": "1", "lastUpdated": "2024-01-15T10:00:00.000Z"}
    assert await stored(store, "Patient", "a") == made


async def test_every_change_is_the_next_version(store: Store, clock: Clock) -> None:
    await create(store, patient("a"))
    for number in (2, 3, 4):
        clock.advance(minutes=1)
        assert version_of(await change(store, "Patient", "a", name=[{"text": str(number)}])) == number
    assert (await stored(store, "Patient", "a"))["meta"]["lastUpdated"] == "2024-01-15T10:03:00.000Z"


async def test_every_version_is_kept_with_its_bytes(store: Store) -> None:
    made = await create(store, patient("a"))
    made += [
        await change(store, "Patient", "a", name=[{"text": "x"}]),
        await change(store, "Patient", "a", gender="other"),
    ]
    for number, resource in enumerate(made, 1):
        found = await store.read_version("Patient", "a", number)
        assert found is not None
        assert (found.version, found.raw) == (number, encode(resource))
    methods = [past["method"] async for past in store.database.history.find(sort=[("_id", 1)])]
    assert methods == ["POST", "PUT", "PUT"]


async def test_a_change_keeps_the_meta_that_is_not_the_servers(store: Store) -> None:
    await create(store, patient("a", meta={"tag": [{"code": "t"}], "profile": ["urn:p"]}))
    changed = await change(store, "Patient", "a", gender="other")
    assert changed["meta"]["tag"] == [{"code": "t"}]
    assert changed["meta"]["profile"] == ["urn:p"]
    assert changed["meta"]["versionId"] == "2"


async def test_what_is_changed_here_alone_makes_a_generated_narrative_wrong(store: Store) -> None:
    told = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Asha</div>'}
    more = {"extension": [{"url": "urn:note", "valueString": "x"}]}

    async def sending(work: UnitOfWork) -> None:
        sent = patient("a", text=told, gender="female")
        assert work.update(await present(work, "Patient", "a"), {**sent, **more}, sent=sent)["text"] == told

    await create(store, patient("a", text=told))
    await store.transact(sending)
    assert "text" not in await change(store, "Patient", "a", extension=[])


async def test_a_resource_is_staged_only_once_in_a_unit_of_work(store: Store) -> None:
    [old] = await create(store, patient("a"))
    before = await everything(store.database)
    stage: list[Callable[[UnitOfWork], Any]] = [
        lambda work: work.update(old, {**old, "gender": "male"}),
        lambda work: work.delete(old),
        lambda work: work.create(patient("a")),
    ]
    for first, second in itertools.product(stage, repeat=2):

        async def twice(work: UnitOfWork, first: Any = first, second: Any = second) -> None:
            first(work)
            second(work)

        with pytest.raises(AssertionError, match="Patient/a was staged twice"):
            await store.transact(twice)
    assert await everything(store.database) == before


async def test_bytes_document_and_search_values_agree_after_many_writes(store: Store, clock: Clock) -> None:
    await create(store, appointment("a"), appointment("b", practitioner="q"), numbered("p", "1"))
    for status in ("arrived", "checked-in", "fulfilled"):
        clock.advance(minutes=5)
        await change(store, "Appointment", "a", status=status)
    await change(store, "Appointment", "b", status="cancelled")
    await assert_agreement(store.database, RULES)


# Reading inside.


async def test_what_is_not_there_reads_as_none(store: Store) -> None:
    assert await store.transact(lambda work: work.read("Patient", "nobody")) is None


async def test_what_is_asked_for_twice_at_once_is_there_both_times(store: Store) -> None:
    await create(store, patient("a"))

    async def step(work: UnitOfWork) -> list[bool]:
        many = await asyncio.gather(*(work.read_many(["Patient/a"]) for _ in range(2)), work.read("Patient", "a"))
        return [bool(one) for one in many]

    assert await store.transact(step) == [True] * 3


async def test_a_unit_of_work_reads_one_moment_of_the_database(store: Store) -> None:
    await create(store, patient("a"))

    async def step(work: UnitOfWork) -> list[Any]:
        before = await work.read("Patient", "a")
        await change(store, "Patient", "a", gender="other")
        return [before, await work.read("Patient", "a"), *await work.find("Patient", {"_id": "a"})]

    first, *later = await store.transact(step)
    assert later == [first, first]


# All or nothing.


async def staged(work: UnitOfWork) -> None:
    """One of everything that can be staged."""
    before = await present(work, "Patient", "old")
    work.update(before, {**before, "gender": "other"})
    work.create(appointment("new"))
    work.guard(["a-guard"])
    work.remember("key", "print", 201, b"{}")


class Changed(Exception):
    """The callback's own error."""


async def test_all_of_a_unit_of_work_is_written(store: Store) -> None:
    await create(store, patient("old"))
    await store.transact(staged)
    assert (await stored(store, "Patient", "old"))["gender"] == "other"
    assert (await stored(store, "Appointment", "new"))["status"] == "booked"
    assert await guards(store.database) == {"a-guard": 1, HOUR: 1}
    assert await store.count("history", {}) == 3
    assert await store.count("idempotency", {}) == 1


async def test_nothing_is_written_when_the_callback_raises(store: Store) -> None:
    await create(store, patient("old"))
    before = await everything(store.database)

    async def step(work: UnitOfWork) -> None:
        await staged(work)
        raise Changed

    with pytest.raises(Changed):
        await store.transact(step)
    assert await everything(store.database) == before


async def test_nothing_is_written_when_a_new_resource_is_there_already(store: Store) -> None:
    await create(store, patient("old"), appointment("new", practitioner="q"))
    before = await everything(store.database)
    with pytest.raises(AlreadyExists, match="a Appointment with that id") as caught:
        await store.transact(staged)
    assert caught.value.name == "Appointment/new"
    assert await everything(store.database) == before


async def test_nothing_is_written_when_an_identifier_is_taken(store: Store) -> None:
    await create(store, patient("old"), numbered("other", "APT-1"))
    before = await everything(store.database)

    async def step(work: UnitOfWork) -> None:
        await staged(work)
        work.create(numbered("mine", "APT-1"))

    with pytest.raises(NotUnique, match="another Patient") as caught:
        await store.transact(step)
    assert caught.value.name == "Patient/mine"
    assert await everything(store.database) == before


async def test_nothing_is_written_when_the_answer_to_remember_cannot_be(store: Store) -> None:
    await create(store, patient("old"))
    await store.proposals.keep([appointment("offered")], store.now() + timedelta(minutes=5))
    before = await everything(store.database)

    async def step(work: UnitOfWork) -> None:
        await staged(work)
        assert await work.take_up(["offered"])
        work.remember("key", "print", 2**70, b"{}")

    with pytest.raises(OverflowError):
        await store.transact(step)
    assert await everything(store.database) == before


async def test_an_update_cannot_take_a_unique_identifier_either(store: Store) -> None:
    await create(store, numbered("a", "APT-1"), numbered("b", "APT-2"))
    with pytest.raises(NotUnique):
        await change(store, "Patient", "b", identifier=[{"system": NUMBERS, "value": "APT-1"}])
    assert (await stored(store, "Patient", "b"))["identifier"] == [{"system": NUMBERS, "value": "APT-2"}]


async def test_a_unique_identifier_that_is_given_up_can_be_taken(store: Store) -> None:
    await create(store, numbered("a", "APT-1"))
    await change(store, "Patient", "a", identifier=[])
    await create(store, numbered("b", "APT-1"))
    assert await store.count("Patient", {"_index.unique": f"{NUMBERS}|APT-1"}) == 1


async def test_a_resource_of_another_type_may_carry_the_same_identifier(store: Store) -> None:
    await create(store, numbered("a", "APT-1"), {**numbered("a", "APT-1"), "resourceType": "Practitioner"})
    assert await store.count("Practitioner", {"_index.unique": f"{NUMBERS}|APT-1"}) == 1


@pytest.mark.parametrize("collection", ["Location", "history"])
async def test_a_write_that_mongodb_refuses_for_another_reason_is_not_called_a_clash(
    store: Store, collection: str
) -> None:
    await store.database.command("collMod", collection, validator={"name": {"$exists": True}})
    try:
        with pytest.raises(BulkWriteError, match="failed validation"):
            await create(store, {"resourceType": "Location", "id": "nameless"})
    finally:
        await store.database.command("collMod", collection, validator={})


# Lost updates.


async def test_an_update_of_what_was_read_before_the_transaction_is_never_written(store: Store) -> None:
    [old] = await create(store, patient("a"))
    await change(store, "Patient", "a", gender="female")
    before = await everything(store.database)

    async def step(work: UnitOfWork) -> None:
        work.update(old, {**old, "gender": "male"})

    with pytest.raises(AssertionError, match="had not read"):
        await store.transact(step)
    assert await everything(store.database) == before


async def test_an_update_of_what_was_never_stored_is_refused(store: Store) -> None:
    with pytest.raises(AssertionError, match="had not read"):
        await store.transact(lambda work: _update_nobody(work))
    assert await store.count("history", {}) == 0


async def _update_nobody(work: UnitOfWork) -> None:
    nobody = patient("nobody", meta={"versionId": "1"})
    work.update(nobody, nobody)


async def test_of_two_changes_at_once_neither_is_lost(store: Store) -> None:
    await create(store, patient("a", name=[]))

    def adding(text: str) -> Callable[[UnitOfWork], Awaitable[None]]:
        async def step(work: UnitOfWork) -> None:
            before = await present(work, "Patient", "a")
            work.update(before, {**before, "name": [*before["name"], {"text": text}]})

        return step

    assert await side_by_side(store, adding("x"), adding("y")) == [None, None]
    found = await stored(store, "Patient", "a")
    assert sorted(name["text"] for name in found["name"]) == ["x", "y"]
    assert version_of(found) == 3
    await assert_agreement(store.database, RULES)


async def test_of_two_new_resources_with_one_id_at_once_one_is_stored(store: Store) -> None:
    results = await side_by_side(store, *(_making(patient("a", gender=gender)) for gender in ("male", "female")))
    assert [type(result) for result in results if result is not None] == [AlreadyExists]
    assert await store.count("Patient", {}) == await store.count("history", {}) == 1


async def test_of_two_new_resources_with_one_number_at_once_one_is_stored(store: Store) -> None:
    results = await side_by_side(store, *(_making(numbered(ident, "APT-1")) for ident in ("a", "b")))
    assert [type(result) for result in results if result is not None] == [NotUnique]
    assert await store.count("Patient", {}) == await store.count("history", {}) == 1


def _making(resource: dict[str, Any]) -> Callable[[UnitOfWork], Awaitable[None]]:
    async def step(work: UnitOfWork) -> None:
        work.create(resource)

    return step


# Remembered answers.


async def test_a_remembered_answer_is_recalled_as_it_was_sent(store: Store, clock: Clock) -> None:
    async def step(work: UnitOfWork) -> None:
        work.remember("key", "print", 201, b'{"n":1.10}')

    await store.transact(step)
    recalled = await store.transact(lambda work: work.recall("key"))
    assert recalled == Remembered("key", "print", 201, b'{"n":1.10}', datetime(2024, 1, 15, 10, tzinfo=UTC))
    assert recalled.at == clock()


async def test_what_was_never_remembered_is_not_recalled(store: Store) -> None:
    assert await store.transact(lambda work: work.recall("key")) is None


async def test_an_answer_remembered_again_takes_the_place_of_the_old_one(store: Store) -> None:
    for status in (200, 201):

        async def step(work: UnitOfWork, status: int = status) -> None:
            work.remember("key", "print", status, b"{}")

        await store.transact(step)
    recalled = await store.transact(lambda work: work.recall("key"))
    assert recalled is not None
    assert recalled.status == 201
    assert await store.count("idempotency", {}) == 1


async def test_what_was_read_by_its_id_is_not_asked_for_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(store, appointment("a"), patient("p"))
    asked: list[Any] = []
    original = UnitOfWork.documents

    async def documents(self: UnitOfWork, kind: str, query: Any, **more: Any) -> Any:
        asked.append((kind, query["_id"]))
        return await original(self, kind, query, **more)

    monkeypatch.setattr(UnitOfWork, "documents", documents)

    async def step(work: UnitOfWork) -> None:
        first = await work.read("Appointment", "a")
        assert await work.read("Patient", "none") is None
        found = await work.read_many(["Patient/p", "Appointment/a", "Patient/none", "Appointment/b", "Nothing/n"])
        assert list(found) == ["Patient/p", "Appointment/a"]
        assert found["Appointment/a"] == first
        assert found["Appointment/a"] is not first  # each may do with its own as it likes
        assert (await work.read_many(["Appointment/b", "Patient/p"])).keys() == {"Patient/p"}
        assert await work.read("Appointment", "b") is None

    await store.transact(step)
    one_by_one = [("Appointment", "a"), ("Patient", "none")]
    assert asked == [*one_by_one, ("Patient", {"$in": ["p"]}), ("Appointment", {"$in": ["b"]})]


async def test_what_mongodb_refuses_to_read_ahead_is_read_when_it_is_asked_for(store: Store) -> None:
    [made] = await create(store, patient("a"))
    assert await store.transact(foreseeing_what_is_refused) == [[], made]


async def test_what_is_too_long_for_one_command_is_read_when_it_is_asked_for(store: Store) -> None:
    async def step(work: UnitOfWork) -> list[Any]:
        first, second = "x" * 9_000_000, "y" * 9_000_000  # MongoDB takes 16 MB
        await work.foresee([("Patient", {"_id": first}), ("Slot", {"_id": second}), ("Patient", {"_id": "a"})])
        return [await work.read("Patient", first), await work.read("Slot", second), await work.read("Patient", "a")]

    [made] = await create(store, patient("a"))
    assert await store.transact(step) == [None, None, made]
