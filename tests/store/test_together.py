"""Units of work that travel together: one transaction, and for each the same as if it were alone."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import AutoReconnect, OperationFailure

from store import together
from store.connection import Client, within
from store.errors import AlreadyExists, NotUnique, Oversized, Unreachable
from store.source import Documents, Find
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.companions import Commands, Step, at_once, booking, foreseeing_what_is_refused, making, under_way
from tests.store.support import RULES, assert_agreement, change, create, numbered, patient, present, stored

_TOO_LARGE = 257  # TransactionTooLarge

# Each as if it were alone.


class Refusal(Exception):
    """What a step may raise."""


# One transaction.


async def test_who_comes_while_others_are_under_way_shares_the_next_transaction(
    company: Store, commands: Commands
) -> None:
    assert await at_once(company, *(making(patient(f"p{number}")) for number in range(5))) == [
        [f"p{number}"] for number in range(5)
    ]
    assert commands.sent.count("commitTransaction") == 1
    assert commands.sent.count("insert") == 2  # the Patients, and their history
    assert await company.count("Patient", {}) == await company.count("history", {}) == 5
    await assert_agreement(company.database, RULES)


async def test_when_the_last_has_arrived_and_nobody_waits_there_is_no_fault(company: Store) -> None:
    faults: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, told: faults.append(told))
    try:
        assert await company.transact(making(patient("p")), together=True) == ["p"]
        await at_once(company, making(patient("q")), making(patient("r")))
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    assert faults == []


async def test_they_read_together(company: Store, commands: Commands) -> None:
    await create(company, *(patient(f"p{number}") for number in range(4)))
    commands.sent.clear()

    def changing(ident: str) -> Step:
        async def step(work: UnitOfWork) -> str:
            before = await present(work, "Patient", ident)
            assert await work.last_version("Patient", ident) == 1
            return str(work.update(before, {**before, "gender": "other"})["meta"]["versionId"])

        return step

    assert await at_once(company, *(changing(f"p{number}") for number in range(4))) == ["2"] * 4
    # The resources, and the moments of their versions; the ranges of versions are looked for one by one.
    assert commands.sent.count("find") == 1 + 4 + 1
    assert commands.sent.count("commitTransaction") == 1


async def test_one_by_itself_waits_for_nobody(company: Store, commands: Commands) -> None:
    assert await company.transact(making(patient("p")), together=True) == ["p"]
    assert commands.sent == ["insert", "insert", "commitTransaction"]


async def test_no_more_travel_together_than_a_transaction_may_carry(
    company: Store, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "MOST", 3)
    await at_once(company, *(making(patient(f"p{number}")) for number in range(7)))
    assert commands.sent.count("commitTransaction") == 3
    assert await company.count("Patient", {}) == 7


async def test_who_has_waited_long_waits_no_longer(company: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_PATIENCE", 0.01)
    async with under_way(company):
        late = [company.transact(making(patient(ident)), together=True) for ident in "ab"]
        assert await asyncio.wait_for(asyncio.gather(*late), 5) == [["a"], ["b"]]


async def test_after_several_one_waits_a_moment_for_as_many(
    company: Store, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "_GATHERING", 0.05)
    await at_once(company, *(making(patient(f"p{number}")) for number in range(3)))
    commands.sent.clear()
    again = [asyncio.create_task(company.transact(making(patient(ident)), together=True)) for ident in "ab"]
    await asyncio.sleep(0.01)
    assert commands.sent == []
    assert await asyncio.wait_for(asyncio.gather(*again), 5) == [["a"], ["b"]]
    assert commands.sent.count("commitTransaction") == 1


async def test_as_many_as_the_last_time_wait_for_nobody(
    company: Store, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "_GATHERING", 30.0)
    await at_once(company, *(making(patient(f"p{number}")) for number in range(3)))
    commands.sent.clear()
    again = [company.transact(making(patient(ident)), together=True) for ident in "abc"]
    await asyncio.wait_for(asyncio.gather(*again), 5)
    assert commands.sent.count("commitTransaction") == 1


@pytest.mark.parametrize("names", ["a", "abc"])
async def test_each_runs_as_its_request(company: Store, names: str) -> None:
    whose: ContextVar[str] = ContextVar("whose")

    async def asking(name: str) -> Any:
        whose.set(name)

        async def step(work: UnitOfWork) -> str:
            await work.read("Patient", "p")
            return whose.get()

        return await company.transact(step, together=True)

    async with under_way(company):
        waiting = [asyncio.create_task(asking(name)) for name in names]
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == [*names]


async def test_who_is_refused_takes_nobody_along(company: Store) -> None:
    async def refused(work: UnitOfWork) -> None:
        work.create(patient("never"))
        raise Refusal

    results = await at_once(company, making(patient("a")), refused, making(patient("b")))
    assert [results[0], type(results[1]), results[2]] == [["a"], Refusal, ["b"]]
    assert sorted(await company.keys("Patient", {}, limit=9)) == ["a", "b"]


async def test_what_all_are_refused_for_is_there_to_stay(company: Store, commands: Commands) -> None:
    async def refused(work: UnitOfWork) -> None:
        await work.read("Patient", "p")
        raise Refusal

    results = await at_once(company, refused, refused)
    assert [type(one) for one in results] == [Refusal] * 2
    assert commands.sent == ["find", "commitTransaction"]


@pytest.mark.parametrize(
    ("there", "clash", "error"),
    [
        (patient("x"), patient("x"), AlreadyExists),
        (numbered("x", "1"), numbered("y", "1"), NotUnique),
        (patient("other"), patient("big", text={"div": "x" * 17_000_000}), Oversized),
    ],
    ids=["an id that is there", "an identifier that is taken", "more than MongoDB takes"],
)
async def test_who_cannot_be_stored_takes_nobody_along(
    company: Store, there: dict[str, Any], clash: dict[str, Any], error: type[Exception]
) -> None:
    await create(company, there)
    results = await at_once(company, making(patient("a")), making(clash), making(patient("b")))
    assert [results[0], type(results[1]), results[2]] == [["a"], error, ["b"]]
    assert sorted(await company.keys("Patient", {}, limit=9)) == sorted([there["id"], "a", "b"])


async def test_a_query_that_mongodb_refuses_is_the_fault_of_who_sent_it(company: Store) -> None:
    async def wrong(work: UnitOfWork) -> None:
        await work.find("Patient", {"$nothing": 1})

    results = await at_once(company, making(patient("a")), wrong)
    assert [results[0], type(results[1])] == [["a"], OperationFailure]


async def test_who_could_not_read_is_run_again_and_not_told_so(
    company: Store, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, lost = Documents._find, AutoReconnect("connection closed")
    lost._add_error_label("TransientTransactionError")
    faults = [lost]

    async def interrupted(self: Documents, wanted: Find) -> Any:
        if faults:
            raise faults.pop()
        return await find(self, wanted)

    monkeypatch.setattr(Documents, "_find", interrupted)
    assert await at_once(company, making(patient("a")), booking("b")) == [["a"], "booked"]
    assert faults == []
    assert commands.sent.count("commitTransaction") == 1


async def test_nobody_reads_any_more_when_all_are_written(
    company: Store, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session takes one command at a time, and who is refused need not wait for all that was asked."""
    begun = asyncio.Event()
    sent: list[list[str]] = []
    asked: list[asyncio.Task[Any]] = []

    async def endless(self: Documents, wanted: Find) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            sent.append([*commands.sent])

    async def hasty(work: UnitOfWork) -> None:
        asked.append(asyncio.create_task(work.read("Patient", "p")))
        await begun.wait()
        raise Refusal

    monkeypatch.setattr(Documents, "_find", endless)
    results = await at_once(company, making(patient("a")), hasty)
    assert [results[0], type(results[1])] == [["a"], Refusal]
    assert sent == [[]]
    await asyncio.wait(asked)


async def test_who_cannot_read_ahead_takes_nobody_along(company: Store) -> None:
    [made] = await create(company, patient("a"))
    assert await at_once(company, foreseeing_what_is_refused, making(patient("b"))) == [[[], made], ["b"]]


async def test_what_was_staged_from_another_version_is_the_fault_of_who_did_so(company: Store) -> None:
    [old] = await create(company, patient("p"))
    await change(company, "Patient", "p", gender="other")

    async def careless(work: UnitOfWork) -> None:
        work.update(old, {**old, "gender": "male"})

    results = await at_once(company, making(patient("a")), careless)
    assert [results[0], type(results[1])] == [["a"], AssertionError]
    assert (await stored(company, "Patient", "p"))["gender"] == "other"


async def test_a_step_that_is_cancelled_is_cancelled_alone(company: Store) -> None:
    async def cancelled(work: UnitOfWork) -> None:
        raise asyncio.CancelledError

    results = await at_once(company, making(patient("a")), cancelled)
    assert [results[0], type(results[1])] == [["a"], asyncio.CancelledError]


async def test_who_has_left_is_not_run(company: Store) -> None:
    runs: list[None] = []

    async def left(work: UnitOfWork) -> None:
        runs.append(None)

    async with under_way(company):
        leaving = asyncio.create_task(company.transact(left, together=True))
        staying = asyncio.create_task(company.transact(making(patient("a")), together=True))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
    assert await staying == ["a"]
    assert runs == []


async def test_who_has_left_before_it_is_written_is_not_written(company: Store) -> None:
    reading, gone = asyncio.Event(), asyncio.Event()

    async def slow(work: UnitOfWork) -> None:
        work.create(patient("left"))
        reading.set()
        await gone.wait()

    async with under_way(company):
        leaving = asyncio.create_task(company.transact(slow, together=True))
        staying = asyncio.create_task(company.transact(making(patient("a")), together=True))
        await asyncio.sleep(0)
    await reading.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    gone.set()
    assert await staying == ["a"]
    assert await company.keys("Patient", {}, limit=9) == ["a"]


async def test_who_has_left_by_itself_is_not_written(company: Store) -> None:
    reading, gone, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(work: UnitOfWork) -> None:
        try:
            work.create(patient("left"))
            reading.set()
            await gone.wait()
        finally:
            ended.set()

    leaving = asyncio.create_task(company.transact(slow, together=True))
    await reading.wait()
    leaving.cancel()
    await asyncio.wait_for(ended.wait(), 5)
    gone.set()
    assert await company.transact(making(patient("a")), together=True) == ["a"]
    assert await company.keys("Patient", {}, limit=9) == ["a"]


async def test_the_deadline_of_one_is_not_that_of_the_others(company: Store) -> None:
    async def hurried() -> None:
        with within(0.05):
            await company.transact(making(patient("late")), together=True)

    async with under_way(company):
        waiting = [
            asyncio.create_task(hurried()),
            asyncio.create_task(company.transact(making(patient("a")), together=True)),
        ]
        await asyncio.sleep(0.1)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(results[0]), results[1]] == [Unreachable, ["a"]]


async def test_a_server_that_does_not_answer_is_unreachable_for_all(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "_PATIENCE", 30.0)
    impatient = Store(client, store.database.name, rules=RULES, timeout=0.3)

    async def never(work: UnitOfWork) -> None:
        work.create(patient("never"))
        await asyncio.sleep(60)

    results = await at_once(impatient, making(patient("a")), never)
    assert [type(one) for one in results] == [Unreachable] * 2
    assert await store.count("Patient", {}) == 0


# The commit.


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What becomes of the next commits.

    The answer of one is lost, another one is sent when the server has given up, or is of more than it takes.
    """
    fates: list[str] = []
    finish = AsyncClientSession._finish_transaction

    async def finished(self: AsyncClientSession, conn: Any, name: str) -> dict[str, Any]:
        fate = fates.pop(0) if fates and name == "commitTransaction" else ""
        if fate in ("given up", "too large"):
            await self.client.admin._command(conn, {"abortTransaction": 1}, session=self)
        if fate == "too large":
            raise OperationFailure("Total size of all transaction operations must be less", _TOO_LARGE)
        answer = await finish(self, conn, name)
        if fate == "lost":
            raise AutoReconnect("connection closed")
        return answer

    monkeypatch.setattr(AsyncClientSession, "_finish_transaction", finished)
    return fates


@pytest.mark.parametrize(
    ("fates", "runs"),
    [(["lost"], 1), (["lost"] * 3, 1), (["given up"], 2), (["given up", "lost"], 2), (["given up"] * 3, 4)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
async def test_whatever_becomes_of_the_commit_each_is_written_once(
    company: Store, commits: list[str], fates: list[str], runs: int
) -> None:
    await create(company, patient("p"))
    seen: list[None] = []

    async def adding(work: UnitOfWork) -> str:
        seen.append(None)
        before = await present(work, "Patient", "p")
        return str(work.update(before, {**before, "name": [*before.get("name", ()), {"text": "n"}]})["id"])

    commits.extend(fates)  # what is under way before sends none: it has read nothing
    assert await at_once(company, making(patient("a")), adding, booking("b")) == [["a"], "p", "booked"]
    assert commits == []
    assert len(seen) == runs
    assert (await stored(company, "Patient", "p"))["name"] == [{"text": "n"}]
    await assert_agreement(company.database, RULES)


async def test_what_is_too_much_together_is_written_one_by_one(company: Store, commits: list[str]) -> None:
    commits.append("too large")
    assert await at_once(company, making(patient("a")), booking("b")) == [["a"], "booked"]
    assert commits == []


async def test_where_it_is_not_known_whether_it_is_committed_nobody_is_run_again(
    client: Client, store: Store, commits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "_PATIENCE", 30.0)
    impatient = Store(client, store.database.name, rules=RULES, timeout=0.5)
    seen: list[None] = []

    async def noted(work: UnitOfWork) -> None:
        seen.append(None)
        work.create(patient("b"))

    commits.extend(["lost"] * 10_000)
    results = await at_once(impatient, making(patient("a")), noted)
    commits.clear()
    assert [type(one) for one in results] == [Unreachable] * 2
    assert len(seen) == 1
    assert await store.count("Patient", {}) == 2
