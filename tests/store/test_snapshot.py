"""What several units of work ask of one transaction in the same moment is one query, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import monitoring
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from store.connection import Client, connect
from store.snapshot import Snapshot
from store.source import Documents, Find
from store.store import Store
from tests.store.support import Listener, appointment, create, patient

CLAIMS, ACTOR, NAMED = "_index.claims", "_index.actor", "_index.actor:named"


class Reads(Listener):
    """Notes what is read."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate", "getMore"):
            self.sent.append(dict(event.command))


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
async def watched(mongodb_uri: str, reads: Reads) -> AsyncIterator[Client]:
    client = connect(mongodb_uri, listeners=[reads])
    yield client
    await client.close()


@pytest.fixture
async def snapshot(store: Store, watched: Client) -> AsyncIterator[Snapshot]:
    """A transaction of the test's own store, with every read noted; begun with the first of them."""
    async with watched.start_session() as session:
        await session.start_transaction(read_concern=ReadConcern("snapshot"))
        yield Snapshot(watched[store.database.name], session, joins=True)
        await session.abort_transaction()


def found(snapshot: Snapshot, kind: str, query: Mapping[str, Any], *fields: str, **more: Any) -> Any:
    return snapshot.found(Find(kind, query, fields or ("_json",), **more))


def ids(documents: list[dict[str, Any]]) -> list[str]:
    return sorted(one["_id"] for one in documents)


async def test_queries_of_one_kind_are_one_and_each_gets_its_own(
    store: Store, snapshot: Snapshot, reads: Reads
) -> None:
    await create(store, appointment("a"), appointment("b", practitioner="q"), appointment("c", practitioner="r"))
    hours = [f"Practitioner/{who}|2024-01-20T10" for who in "pqr"]
    got = await asyncio.gather(
        found(snapshot, "Appointment", {CLAIMS: {"$in": hours[:2]}}),
        found(snapshot, "Appointment", {CLAIMS: {"$in": hours[1:]}}),
        found(snapshot, "Appointment", {CLAIMS: {"$in": ["Practitioner/nobody|2024-01-20T10"]}}),
    )
    assert [ids(one) for one in got] == [["a", "b"], ["b", "c"], []]
    assert got[0][0] is not got[1][0]
    assert all(one.keys() == {"_id", "_json"} for answer in got for one in answer)
    [sent] = reads.sent
    assert sent["filter"] == {CLAIMS: {"$in": [*hours, "Practitioner/nobody|2024-01-20T10"]}}


async def test_one_of_its_kind_is_sent_as_it_is(store: Store, snapshot: Snapshot, reads: Reads) -> None:
    await create(store, appointment("a"), patient("p"))
    got = await asyncio.gather(
        found(snapshot, "Appointment", {"_id": "a"}, limit=1), found(snapshot, "Patient", {"_id": {"$in": ["p"]}})
    )
    assert [ids(one) for one in got] == [["a"], ["p"]]
    assert [(one["find"], one["filter"]) for one in reads.sent] == [
        ("Appointment", {"_id": "a"}),
        ("Patient", {"_id": {"$in": ["p"]}}),
    ]


async def test_what_is_asked_for_later_is_another_query(store: Store, snapshot: Snapshot, reads: Reads) -> None:
    await create(store, patient("a"), patient("b"), patient("c"))

    async def two(*wanted: str) -> list[list[str]]:
        return [ids(one) for one in await asyncio.gather(*(found(snapshot, "Patient", {"_id": one}) for one in wanted))]

    assert [await two("a", "b"), await two("c", "a"), await two("c")] == [[["a"], ["b"]], [["c"], ["a"]], [["c"]]]
    asked = [{"_id": {"$in": ["a", "b"]}}, {"_id": {"$in": ["c", "a"]}}, {"_id": "c"}]
    assert [one["filter"] for one in reads.sent] == asked


async def test_by_one_id_and_by_several_are_one(store: Store, snapshot: Snapshot, reads: Reads) -> None:
    await create(store, patient("a"), patient("b"))
    got = await asyncio.gather(
        found(snapshot, "Patient", {"_id": "a"}, limit=1),
        found(snapshot, "Patient", {"_id": {"$in": ["a", "b", "c"]}}),
        found(snapshot, "Patient", {"_id": "c"}, limit=1),
    )
    assert [ids(one) for one in got] == [["a"], ["a", "b"], []]
    assert len(reads.sent) == 1


async def test_what_is_looked_for_in_one_of_two_fields_is_one_query_of_two_branches(
    store: Store, snapshot: Snapshot, reads: Reads
) -> None:
    far = [{"actor": {"reference": "https://far.example/fhir/Practitioner/q"}, "status": "accepted"}]
    await create(store, appointment("a"), {**appointment("b"), "participant": far}, appointment("c", practitioner="q"))

    def naming(who: str) -> dict[str, Any]:
        return {"$or": [{ACTOR: {"$in": [who]}}, {NAMED: {"$in": [who]}}]}

    got = await asyncio.gather(
        found(snapshot, "Appointment", naming("Practitioner/p")),
        found(snapshot, "Appointment", naming("Practitioner/q")),
    )
    assert [ids(one) for one in got] == [["a"], ["b", "c"]]
    [sent] = reads.sent
    both = {"$in": ["Practitioner/p", "Practitioner/q"]}
    assert sent["filter"] == {"$or": [{ACTOR: both}, {NAMED: both}]}


async def test_an_index_that_is_named_is_used_for_all(store: Store, snapshot: Snapshot, reads: Reads) -> None:
    await create(store, patient("a", identifier=[{"value": "1"}]), patient("b", identifier=[{"value": "2"}]))
    field = "_index.identifier"
    got = await asyncio.gather(
        *(
            found(snapshot, "Patient", {field: {"$in": [value]}}, "_json", field, hint=("identifier", "_id"))
            for value in ("1", "2")
        )
    )
    assert [ids(one) for one in got] == [["a"], ["b"]]
    assert [one["_index"]["identifier"] for [one] in got] == [["1", "|1"], ["2", "|2"]]
    [sent] = reads.sent
    assert dict(sent["hint"]) == {"_index.identifier": 1, "_id": 1}


OTHERS: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, Any]]] = {
    "a range": ({"_index.date": {"$gte": "2024"}}, (), {}),
    "two fields": ({ACTOR: {"$in": ["Practitioner/p"]}, "_index.status": {"$in": ["booked"]}}, (), {}),
    "one of two fields, and a third": (
        {"$or": [{ACTOR: "Practitioner/p"}, {NAMED: "Practitioner/p"}], "_index.status": "cancelled"},
        (),
        {},
    ),
    "more of one field": ({ACTOR: {"$in": ["Practitioner/p"], "$nin": ["Practitioner/p"]}}, (), {}),
    "all but the first": ({ACTOR: {"$in": ["Practitioner/p"]}}, (), {"skip": 1}),
    "so many bytes": ({ACTOR: {"$in": ["Practitioner/p"]}}, (), {"most": 1}),
    "an order": ({ACTOR: {"$in": ["Practitioner/p"]}}, (), {"sort": (("_id", 1),)}),
    "a limit": ({ACTOR: {"$in": ["Practitioner/p"]}}, (), {"limit": 1}),
    "a limit of ids": ({"_id": {"$in": ["a", "b"]}}, (), {"limit": 1}),
    "a place to begin at": ({ACTOR: {"$in": ["Practitioner/p"]}}, (), {"skip": 1}),
    "bytes to stop at": ({ACTOR: {"$in": ["Practitioner/p"]}}, (), {"most": 1}),
    "values and more": ({ACTOR: {"$in": ["Practitioner/p"], "$ne": "Practitioner/q"}}, (), {}),
    "a value or none": ({ACTOR: {"$in": ["Practitioner/p", None]}}, (), {}),
    "one of two fields of the index": (
        {"$or": [{ACTOR: "Practitioner/p"}, {NAMED: "Practitioner/p"}]},
        ("_json", ACTOR),
        {},
    ),
    "numbers": ({"_index.minutes": {"$in": [1]}}, (), {}),
    "one number": ({"_index.minutes": 1}, (), {}),
    "what is not there": ({"_index.minutes": None}, (), {}),
    "the same field twice": ({"$or": [{ACTOR: "Practitioner/p"}, {ACTOR: "Practitioner/q"}]}, (), {}),
    "what lies in a list of parts": ({"participant.actor.reference": "Practitioner/p"}, (), {}),
    "other fields of the index": ({ACTOR: "Practitioner/p"}, ("_json", "_index.status"), {}),
    "very many": ({"_id": {"$in": [f"x{number}" for number in range(201)]}}, (), {}),
}


@pytest.mark.parametrize("other", OTHERS)
async def test_any_other_query_is_its_own(store: Store, snapshot: Snapshot, reads: Reads, other: str) -> None:
    await create(store, appointment("a"), appointment("b", "2024-01-21T10:00:00Z", "2024-01-21T10:30:00Z"))
    query, fields, more = OTHERS[other]
    got = await asyncio.gather(*(found(snapshot, "Appointment", query, *fields, **more) for _ in range(2)))
    assert got[0] == got[1]
    assert len(reads.sent) == 2
    assert reads.sent[0]["filter"] == query


async def test_alone_nothing_is_joined(store: Store, watched: Client, reads: Reads) -> None:
    await create(store, patient("a"))
    async with watched.start_session() as session:
        await session.start_transaction()
        alone = Snapshot(watched[store.database.name], session)
        await asyncio.gather(*(found(alone, "Patient", {"_id": "a"}) for _ in range(2)))
        await session.abort_transaction()
    assert [one["filter"] for one in reads.sent] == [{"_id": "a"}] * 2


async def test_what_mongodb_refuses_is_refused_for_all_who_asked(store: Store, snapshot: Snapshot) -> None:
    query = {"_index.identifier": "1"}
    got = await asyncio.gather(
        *(found(snapshot, "Patient", query, hint=("nothing", "such")) for _ in range(2)), return_exceptions=True
    )
    assert [type(one) for one in got] == [OperationFailure] * 2


async def test_who_leaves_does_not_take_the_answer_from_the_others(store: Store, snapshot: Snapshot) -> None:
    await create(store, patient("a"))
    leaving = asyncio.create_task(found(snapshot, "Patient", {"_id": "a"}))
    staying = asyncio.create_task(found(snapshot, "Patient", {"_id": "a"}))
    await asyncio.sleep(0)
    leaving.cancel()
    assert ids(await staying) == ["a"]


async def test_nothing_is_sent_once_it_has_ended(store: Store, snapshot: Snapshot, reads: Reads) -> None:
    asked = [asyncio.create_task(found(snapshot, "Patient", {"_id": "a"})) for _ in range(2)]
    await asyncio.sleep(0)
    await snapshot.end()
    assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*asked, return_exceptions=True))
    seen = len(reads.sent)
    await asyncio.sleep(0.05)
    assert len(reads.sent) == seen


def foreseeing(snapshot: Snapshot, **queries: dict[str, Any]) -> Any:
    return snapshot.foresee(Find(kind, query, ("_json",)) for kind, query in queries.items())


async def test_what_is_foreseen_is_read_by_one_command(store: Store, snapshot: Snapshot, reads: Reads) -> None:
    await create(store, patient("a"), patient("b"), appointment("v"), appointment("w", practitioner="q"))
    hours = [f"Practitioner/{who}|2024-01-20T10" for who in "pr"]
    await foreseeing(snapshot, Patient={"_id": {"$in": ["a", "c"]}}, Appointment={CLAIMS: {"$in": hours}})
    assert ids(await found(snapshot, "Patient", {"_id": "a"}, limit=1)) == ["a"]
    assert await found(snapshot, "Patient", {"_id": "c"}, limit=1) == []
    [visit] = await found(snapshot, "Appointment", {CLAIMS: {"$in": hours}})
    assert visit.keys() == {"_id", "_json"}
    assert [next(iter(one)) for one in reads.sent] == ["aggregate"]
    assert ids(await found(snapshot, "Patient", {"_id": {"$in": ["a", "b"]}})) == ["a", "b"]
    assert [next(iter(one)) for one in reads.sent] == ["aggregate", "find"]


async def test_what_several_foresee_at_once_is_one_command(store: Store, snapshot: Snapshot, reads: Reads) -> None:
    await create(store, patient("a"), patient("b"), appointment("v"))
    await asyncio.gather(
        foreseeing(snapshot, Patient={"_id": "a"}),
        foreseeing(snapshot, Patient={"_id": "b"}, Appointment={"_id": "v"}),
    )
    for ident in "ab":
        assert ids(await found(snapshot, "Patient", {"_id": ident}, limit=1)) == [ident]
    await foreseeing(snapshot, Patient={"_id": "a"}, Appointment={"_id": "v"})
    assert [next(iter(one)) for one in reads.sent] == ["aggregate"]


async def test_alone_it_is_read_ahead_as_well(store: Store, watched: Client, reads: Reads) -> None:
    await create(store, patient("a"), appointment("v"))
    async with watched.start_session() as session:
        await session.start_transaction(read_concern=ReadConcern("snapshot"))
        alone = Snapshot(watched[store.database.name], session)
        await foreseeing(alone, Patient={"_id": "a"}, Appointment={"_id": "v"})
        await create(store, patient("b"))
        assert ids(await found(alone, "Patient", {"_id": "a"})) == ["a"]
        assert await found(alone, "Patient", {"_id": "b"}) == []  # it is of the moment of what was read ahead
        await session.abort_transaction()
    ours = [one for one in reads.sent if "autocommit" in one]
    assert [next(iter(one)) for one in ours] == ["aggregate", "find"]


async def test_more_than_one_document_holds_is_read_ahead(store: Store, snapshot: Snapshot) -> None:
    many = [patient(f"p{number}", text={"status": "generated", "div": "x" * 6_000_000}) for number in range(4)]
    for one in many:
        await create(store, one)
    await foreseeing(snapshot, Patient={"_id": {"$in": [one["id"] for one in many]}}, Slot={"_id": "s"})
    assert len(await found(snapshot, "Patient", {"_id": {"$in": [one["id"] for one in many]}})) == 4


async def test_what_is_foreseen_later_is_read_by_another_command(snapshot: Snapshot, reads: Reads) -> None:
    for ident in "ab":
        await foreseeing(snapshot, Patient={"_id": ident}, Slot={"_id": ident})
    assert [next(iter(one)) for one in reads.sent] == ["aggregate", "aggregate"]


@pytest.mark.parametrize("joins", [False, True])
async def test_it_is_read_when_all_before_it_is_answered(store: Store, watched: Client, joins: bool) -> None:
    order: list[str] = []
    async with watched.start_session() as session:
        await session.start_transaction()
        snapshot = Snapshot(watched[store.database.name], session, joins=joins)

        async def before() -> None:
            await asyncio.sleep(0.05)
            order.append("before")

        async def ahead() -> None:
            await foreseeing(snapshot, Patient={"_id": "a"}, Slot={"_id": "s"})
            order.append("ahead")

        await asyncio.gather(snapshot.in_turn(before), ahead())
        await session.abort_transaction()
    assert order == ["before", "ahead"]


async def test_a_fault_of_the_moment_is_told_as_it_is(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    async def met(*_: Any, **__: Any) -> None:
        raise OperationFailure("WriteConflict", 112, {"errorLabels": ["TransientTransactionError"]})

    monkeypatch.setattr(snapshot.database, "aggregate", met)
    with pytest.raises(OperationFailure, match="WriteConflict"):
        await foreseeing(snapshot, Patient={"_id": "a"}, Slot={"_id": "s"})


async def test_much_of_many_kinds_is_read_ahead(store: Store, snapshot: Snapshot) -> None:
    many = [{"_id": f"x{number}", "_json": b"", "_index": {"claims": ["x"]}} for number in range(1_500)]
    await store.database["Slot"].insert_many(many)
    kinds = [f"Kind{number}" for number in range(12)]
    await foreseeing(snapshot, **{kind: {"_id": "x"} for kind in kinds}, Slot={CLAIMS: "x"}, Patient={"_id": "a"})
    assert ids(await found(snapshot, "Slot", {CLAIMS: "x"})) == ids(many)
    assert [await found(snapshot, kind, {"_id": "x"}) for kind in kinds] == [[]] * len(kinds)


async def test_who_leaves_does_not_take_what_is_read_ahead_from_the_others(store: Store, snapshot: Snapshot) -> None:
    await create(store, patient("a"))
    queries = {"Patient": {"_id": "a"}, "Slot": {"_id": "s"}}
    leaving = asyncio.create_task(foreseeing(snapshot, **queries))
    staying = asyncio.create_task(foreseeing(snapshot, **queries))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert ids(await found(snapshot, "Patient", {"_id": "a"})) == ["a"]


async def test_nothing_is_read_ahead_once_it_has_ended(store: Store, snapshot: Snapshot, reads: Reads) -> None:
    ahead = asyncio.create_task(foreseeing(snapshot, Patient={"_id": "a"}, Slot={"_id": "s"}))
    await asyncio.sleep(0)
    await snapshot.end()
    assert isinstance((await asyncio.gather(ahead, return_exceptions=True))[0], asyncio.CancelledError)
    seen = len(reads.sent)
    await asyncio.sleep(0.05)
    assert len(reads.sent) == seen


_WORDS = st.lists(st.sampled_from("abcd"), max_size=3, unique=True)
_QUERY = st.one_of(
    _WORDS.map(lambda words: {"x": {"$in": words}}),
    st.sampled_from("abcd").map(lambda word: {"x": word}),
    _WORDS.map(lambda words: {"_id": {"$in": words}}),
    st.tuples(_WORDS, _WORDS).map(lambda two: {"$or": [{"x": {"$in": two[0]}}, {"_index.y": {"$in": two[1]}}]}),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    documents=st.lists(st.tuples(_WORDS, st.one_of(st.none(), st.sampled_from("abcd"), _WORDS)), max_size=4),
    queries=st.lists(_QUERY, min_size=2, max_size=6),
    foreseen=st.lists(_QUERY, max_size=4),
    joins=st.booleans(),
)
async def test_each_gets_what_it_would_get_alone(
    store: Store, documents: list[Any], queries: list[Any], foreseen: list[Any], joins: bool
) -> None:
    collection = store.database["Joined"]
    await collection.delete_many({})
    made = [{"_id": "abcd"[at], "x": x, "_index": {"y": y}, "_json": b""} for at, (x, y) in enumerate(documents)]
    if made:
        await collection.insert_many(made)
    async with store.database.client.start_session() as session:
        await session.start_transaction(read_concern=ReadConcern("snapshot"))
        snapshot = Snapshot(store.database, session, joins=joins)
        await snapshot.foresee(Find("Joined", query, ("_json",)) for query in foreseen)
        got = await asyncio.gather(*(found(snapshot, "Joined", query) for query in queries))
        await session.abort_transaction()
    alone = Documents(store.database)
    for query, answer in zip(queries, got, strict=True):
        wanted = await alone.documents("Joined", query)
        assert sorted(answer, key=lambda one: str(one["_id"])) == sorted(wanted, key=lambda one: str(one["_id"]))
    await collection.drop()
