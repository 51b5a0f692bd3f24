"""What is foreseen is asked for by one pipeline, and told apart by who asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from store.foreseen import Foreseen
from store.joining import values_of
from store.source import Find
from store.store import Store
from tests.store.support import appointment, create, patient

CLAIMS, ACTOR, NAMED = "_index.claims", "_index.actor", "_index.actor:named"
OF_P = {"$or": [{ACTOR: {"$in": ["Practitioner/p"]}}, {NAMED: {"$in": ["Practitioner/p"]}}]}


def find(kind: str, query: dict[str, Any], **more: Any) -> Find:
    return Find(kind, query, ("_json",), **more)


def by_id(*idents: str) -> Find:
    return find("Patient", {"_id": {"$in": [*idents]}})


def claiming(*names: str) -> Find:
    return find("Appointment", {CLAIMS: {"$in": [*names]}})


def expecting(*finds: Find) -> Foreseen:
    foreseen = Foreseen()
    for one in finds:
        foreseen.expect(one)
    return foreseen


def answered(foreseen: Foreseen, one: Find) -> list[dict[str, Any]] | None:
    return foreseen.answer(one, values_of(one))


def noted(*documents: dict[str, Any]) -> Foreseen:
    foreseen = expecting(by_id("a", "b"), claiming("x", "y"))
    foreseen.pipeline()
    foreseen.note([{"_json": b"{}", **one} for one in documents])
    return foreseen


def test_a_query_by_itself_needs_no_pipeline() -> None:
    assert expecting().pipeline() == []
    assert expecting(by_id("a")).pipeline() == []
    assert expecting(by_id("a"), by_id("b")).pipeline() == []


def test_queries_of_one_kind_are_looked_up_once() -> None:
    pipeline = expecting(by_id("a"), claiming("x"), by_id("a", "b")).pipeline()
    looked_up = [stage["$lookup"] for stage in pipeline if "$lookup" in stage]
    assert [(one["from"], one["pipeline"][0]["$match"]) for one in looked_up] == [
        ("Patient", {"_id": {"$in": ["a", "b"]}}),
        ("Appointment", {CLAIMS: {"$in": ["x"]}}),
    ]


@pytest.mark.parametrize(
    "other",
    [
        find("Slot", {"_index.start": {"$gte": "2024"}}),
        find("Slot", {"_id": {"$in": ["a"]}}, sort=(("_id", 1),)),
        find("Slot", {"_id": {"$in": ["a", "b"]}}, limit=1),
        find("Slot", {"_id": {"$in": [str(number) for number in range(201)]}}),
    ],
)
def test_other_queries_are_not_foreseen(other: Find) -> None:
    foreseen = expecting(by_id("a"), other)
    assert foreseen.pipeline() == []
    assert answered(foreseen, other) is None


def test_who_asks_for_a_part_gets_that_part() -> None:
    foreseen = noted(
        {"_id": "a", "of": 0},
        {"_id": "b", "of": 0},
        {"_id": "v", "of": 1, "_index": {"claims": ["x", "z"]}},
    )
    assert answered(foreseen, by_id("a")) == [{"_id": "a", "_json": b"{}"}]
    assert answered(foreseen, find("Patient", {"_id": "b"}, limit=1)) == [{"_id": "b", "_json": b"{}"}]
    assert answered(foreseen, claiming("x")) == [{"_id": "v", "_json": b"{}"}]
    assert answered(foreseen, claiming("y")) == []
    assert answered(foreseen, by_id()) == []


def test_what_goes_beyond_it_is_not_known() -> None:
    foreseen = noted({"_id": "v", "of": 1, "_index": {"claims": ["x", "z"]}})
    assert answered(foreseen, by_id("a", "c")) is None
    assert answered(foreseen, claiming("z")) is None
    assert answered(foreseen, find("Appointment", {"_id": {"$in": ["v"]}})) is None
    assert answered(foreseen, find("Appointment", OF_P)) is None
    assert answered(foreseen, Find("Patient", {"_id": "a"}, ("_index.name",))) is None


def test_each_of_the_fields_of_a_query_is_to_be_known() -> None:
    other = {"$or": [{ACTOR: {"$in": ["Practitioner/p"]}}, {NAMED: {"$in": ["Practitioner/q"]}}]}
    foreseen = expecting(find("Schedule", OF_P), by_id("a"))
    foreseen.pipeline()
    foreseen.note([])
    assert answered(foreseen, find("Schedule", OF_P)) == []
    assert answered(foreseen, find("Schedule", other)) is None


def test_an_index_that_is_named_makes_no_difference() -> None:
    foreseen = noted({"_id": "a", "of": 0})
    assert answered(foreseen, by_id("a")._replace(hint=("_id",))) == [{"_id": "a", "_json": b"{}"}]


def test_what_is_known_is_not_asked_for_again_and_more_is_added() -> None:
    foreseen = noted({"_id": "a", "of": 0})
    for one in (by_id("b"), by_id("c"), claiming("x"), find("Schedule", OF_P)):
        foreseen.expect(one)
    looked_up = [stage["$lookup"] for stage in foreseen.pipeline() if "$lookup" in stage]
    assert [(one["from"], one["pipeline"][0]["$match"]) for one in looked_up] == [
        ("Patient", {"_id": {"$in": ["c"]}}),
        ("Schedule", OF_P),
    ]
    foreseen.note([{"_id": "c", "_json": b"{}", "of": 0}])
    got = answered(foreseen, by_id("a", "b", "c"))
    assert got is not None
    assert [one["_id"] for one in got] == ["a", "c"]


def test_what_is_too_long_for_one_command_is_asked_for_by_the_next() -> None:
    first, second, short = by_id("x" * 600_000), find("Slot", {"_id": "y" * 600_000}), claiming("x")
    foreseen = expecting(first, second, short)
    for kinds in (["Patient", "Appointment"], ["Slot", "Appointment"]):
        assert [stage["$lookup"]["from"] for stage in foreseen.pipeline() if "$lookup" in stage] == kinds
        foreseen.expect(second)
        foreseen.expect(short)


async def test_each_of_them_uses_an_index(store: Store) -> None:
    await create(store, appointment("v"), patient("a", identifier=[{"value": "1"}]))
    finds = (
        by_id("a", "b"),
        find("Patient", {"_index.identifier": {"$in": ["|1"]}}),
        claiming("Practitioner/p|2024-01-20T10"),
        find("Schedule", OF_P),
        find(
            "PractitionerRole",
            {"$or": [{f"_index.practitioner{end}": {"$in": ["Practitioner/p"]}} for end in ("", ":named")]},
        ),
    )
    command = {"aggregate": 1, "pipeline": expecting(*finds).pipeline(), "cursor": {}}
    plan = await store.database.command({"explain": command, "verbosity": "executionStats"})
    lookups = [stage for stage in plan["stages"] if "$lookup" in stage]
    assert len(lookups) == len(finds)
    assert [stage["collectionScans"] for stage in lookups] == [0] * len(finds)
    assert [len(stage["indexesUsed"]) for stage in lookups] == [1, 1, 1, 2, 2]
