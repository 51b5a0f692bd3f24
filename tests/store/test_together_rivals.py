"""Units of work that travel together and want the same: they meet as they would beside each other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from store import together
from store.codec import Resource
from store.connection import Client
from store.documents import NO_CLAIMS
from store.errors import AlreadyExists, NotUnique
from store.staged import Staged, Write
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.companions import Commands, Step, at_once, booking, making, under_way
from tests.store.support import HOUR, RULES, appointment, create, numbered, patient, present, shares, stored


async def test_who_met_a_rival_does_not_wait_for_what_takes_long(
    company: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "_PATIENCE", 0.02)
    begun, over = asyncio.Semaphore(0), asyncio.Event()
    running: list[asyncio.Task[None]] = []

    async def long(work: UnitOfWork) -> None:
        begun.release()
        await over.wait()

    async def accompanied(work: UnitOfWork) -> str:
        while len(running) < 2:
            running.append(asyncio.create_task(company.transact(long, together=True)))
            await begun.acquire()
        return str(await booking("a")(work))

    async with under_way(company):
        waiting = [asyncio.create_task(company.transact(one, together=True)) for one in (accompanied, booking("b"))]
        await asyncio.sleep(0)
    try:
        assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == ["booked", "refused"]
    finally:
        over.set()
        await asyncio.gather(*running)


async def test_of_two_that_each_saw_no_overlap_one_stands(company: Store, commands: Commands) -> None:
    assert await at_once(company, booking("a"), booking("b")) == ["booked", "refused"]
    assert await company.keys("Appointment", {}, limit=9) == ["a"]
    assert commands.sent.count("commitTransaction") == 2


async def test_without_places_both_would_have_been_booked(company: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together.Places, "take", lambda *_: True)
    assert await at_once(company, booking("a"), booking("b")) == ["booked", "booked"]


async def test_of_many_that_each_saw_no_overlap_one_stands(company: Store) -> None:
    results = await at_once(company, *(booking(f"a{number}") for number in range(20)))
    assert sorted(results) == ["booked"] + ["refused"] * 19
    assert await company.count("Appointment", {}) == await company.count("history", {}) == 1


async def test_of_two_changes_of_one_resource_neither_is_lost(company: Store) -> None:
    await create(company, patient("p"))

    def adding(name: str) -> Step:
        async def step(work: UnitOfWork) -> str:
            before = await present(work, "Patient", "p")
            names = [*before.get("name", ()), {"text": name}]
            return str(work.update(before, {**before, "name": names})["meta"]["versionId"])

        return step

    assert await at_once(company, adding("a"), adding("b"), adding("c")) == ["2", "3", "4"]
    assert (await stored(company, "Patient", "p"))["name"] == [{"text": one} for one in "abc"]


async def test_of_two_new_ones_with_one_id_one_is_stored(company: Store) -> None:
    results = await at_once(company, making(patient("p", gender="male")), making(patient("p", gender="other")))
    assert [results[0], type(results[1])] == [["p"], AlreadyExists]
    assert (await stored(company, "Patient", "p"))["gender"] == "male"


async def test_of_two_new_ones_with_one_number_one_is_stored(company: Store) -> None:
    results = await at_once(company, making(numbered("a", "1")), making(numbered("b", "1")))
    assert [results[0], type(results[1])] == [["a"], NotUnique]


async def test_a_number_that_one_gives_up_is_the_others_only_then(company: Store) -> None:
    await create(company, numbered("a", "1"))

    async def giving(work: UnitOfWork) -> str:
        before = await present(work, "Patient", "a")
        return str(work.update(before, patient("a"))["meta"]["versionId"])

    assert await at_once(company, giving, making(numbered("b", "1"))) == ["2", ["b"]]


async def test_of_two_that_are_remembered_by_one_key_the_later_one_recalls(company: Store) -> None:
    def once(ident: str) -> Step:
        async def step(work: UnitOfWork) -> str:
            earlier = await work.recall("key")
            if earlier is not None:
                return f"as before: {earlier.body.decode()}"
            work.create(patient(ident))
            work.remember("key", "fingerprint", 201, ident.encode())
            return ident

        return step

    assert await at_once(company, once("a"), once("b")) == ["a", "as before: a"]
    assert await company.keys("Patient", {}, limit=9) == ["a"]


async def test_answers_of_several_are_remembered_at_once(company: Store, commands: Commands) -> None:
    def remembering(key: str) -> Step:
        async def step(work: UnitOfWork) -> None:
            work.remember(key, "fingerprint", 200, key.encode())

        return step

    await at_once(company, *(remembering(f"k{number}") for number in range(3)))
    assert commands.sent == ["update", "commitTransaction"]
    found = await company.transact(lambda work: work.recall("k1"))
    assert found is not None
    assert found.body == b"k1"


async def test_who_guards_what_another_guards_runs_again(company: Store) -> None:
    seen: list[int] = []

    async def guarding(work: UnitOfWork) -> None:
        seen.append(await work.count("Patient", {}))
        work.create(patient(f"p{seen[-1]}"))
        work.guard(["there"])

    await at_once(company, guarding, guarding)
    assert seen == [0, 0, 1]


async def test_of_two_who_take_up_one_proposal_the_later_finds_none(company: Store) -> None:
    until = company.now() + timedelta(minutes=5)
    await company.proposals.keep([appointment("a", HOUR), appointment("b", HOUR)], until)

    def taking(*idents: str) -> Step:
        async def step(work: UnitOfWork) -> list[str]:
            return sorted(await work.take_up(idents))

        return step

    assert await at_once(company, taking("a", "none"), taking("a", "b"), taking("b")) == [["a"], [], ["b"]]
    assert await company.proposals.read("a") is None


async def test_those_who_refer_to_one_write_one_guard(company: Store) -> None:
    await create(company, {"resourceType": "Practitioner", "id": "p"})
    hours = [(f"2024-01-20T{hour}:00:00Z", f"2024-01-20T{hour}:30:00Z") for hour in (10, 11, 12)]
    await at_once(company, *(making(appointment(f"a{at}", *hour)) for at, hour in enumerate(hours)))
    assert list((await shares(company.database)).values()) == [1]


@pytest.mark.parametrize("first", ["referring", "deleting"])
async def test_who_refers_to_one_and_who_deletes_it_meet(company: Store, first: str) -> None:
    await create(company, {"resourceType": "Practitioner", "id": "p"})

    async def referring(work: UnitOfWork) -> str:
        if await work.read("Practitioner", "p") is None:
            return "gone"
        work.create(appointment("a"))
        return "referred"

    async def deleting(work: UnitOfWork) -> str:
        if await work.find("Appointment", {"_index.actor": "Practitioner/p"}):
            return "kept"
        work.delete(await present(work, "Practitioner", "p"))
        return "deleted"

    steps = {"referring": [referring, deleting], "deleting": [deleting, referring]}
    wanted = {"referring": ["referred", "kept"], "deleting": ["deleted", "gone"]}
    assert await at_once(company, *steps[first]) == wanted[first]


async def test_two_who_seize_one_meet(company: Store) -> None:
    runs: list[None] = []

    async def seizing(work: UnitOfWork) -> None:
        runs.append(None)
        work.seize(["Practitioner/p"])

    await at_once(company, seizing, seizing)
    assert len(runs) == 3


async def test_a_rival_from_elsewhere_who_comes_first_has_them_run_again(company: Store, store: Store) -> None:
    runs: list[None] = []

    async def overtaken(work: UnitOfWork) -> str:
        runs.append(None)
        if await work.find("Appointment", {"_index.claims": {"$in": [HOUR]}}):
            return "refused"
        if len(runs) == 1:
            await store.transact(making(appointment("fast")))
        work.create(appointment("slow"))
        return "booked"

    assert await at_once(company, overtaken, making(patient("a"))) == ["refused", ["a"]]
    assert len(runs) == 2
    assert await company.keys("Appointment", {}, limit=9) == ["fast"]


async def test_where_a_rival_stays_in_the_way_the_others_get_by(
    company: Store, client: Client, commands: Commands
) -> None:
    await create(company, patient("held"))

    async def changing(work: UnitOfWork) -> str:
        before = await present(work, "Patient", "held")
        return str(work.update(before, {**before, "gender": "other"})["meta"]["versionId"])

    async with client.start_session() as session:
        await session.start_transaction()
        await client[company.database.name].Patient.update_one({"_id": "held"}, {"$set": {"x": 1}}, session=session)
        async with under_way(company):
            held = asyncio.create_task(company.transact(changing, together=True))
            free = asyncio.create_task(company.transact(making(patient("a")), together=True))
            await asyncio.sleep(0)
        assert await asyncio.wait_for(free, 5) == ["a"]
        assert not held.done()
        await session.abort_transaction()
    assert await asyncio.wait_for(held, 5) == "2"


def writing(ident: str, before: Resource | None, after: Resource | None) -> Staged:
    staged = Staged()
    staged.add(Write("Patient", ident, 2, datetime(2024, 1, 15, 10, tzinfo=UTC), "PUT", before, after, None, NO_CLAIMS))
    return staged


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        (writing("a", patient("a"), patient("a")), writing("a", patient("a"), None), True),
        (writing("a", None, numbered("a", "1")), writing("b", None, numbered("b", "1")), True),
        (writing("a", numbered("a", "1"), patient("a")), writing("b", patient("b"), numbered("b", "1")), True),
        (writing("a", None, numbered("a", "1")), writing("b", None, numbered("b", "2")), False),
    ],
    ids=["one resource", "one number", "a number given up", "nothing"],
)
def test_who_writes_where_another_does_is_told_before_it_is_tried(first: Staged, second: Staged, *, meet: bool) -> None:
    places = together.Places(RULES)
    assert (places.take(first), places.take(second)) == (True, not meet)
