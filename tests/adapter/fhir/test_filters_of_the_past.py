"""What a query finds in the store is what the judgement of the past finds, for every parameter and modifier.

An export judges what changed since its moment in memory (`store.exporting_past.matching`), all else in the collection:
where the two differ, a resource is lost or told though it was not asked for.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random

import pytest

from store import exporting_past
from store.codec import CODEC_OPTIONS, decode, encode
from store.connection import Client
from store.documents import Rules, compose, stamped
from store.exporting_past import matching
from store.search import Reading, SearchRefused, compiled, parse
from store.search.model import NOTHING
from store.store import Store
from store.types import TYPES
from tests.adapter.fhir.oracle import Json
from tests.adapter.fhir.r4_parameters import PARAMETERS
from tests.adapter.fhir.search_cases import values_for
from tests.adapter.fhir.search_worlds import BASE, KINDS, ZONE, resource

NOW = datetime(2024, 1, 15, 10, tzinfo=UTC)
RESOURCES = 25  # of each type
SAMPLES = 5  # of the values of each parameter
READING = Reading(zone=ZONE, base=BASE, now=NOW, strict=True, readable=lambda _: True)
Raw = dict[str, bytes]


@pytest.fixture(scope="module")
async def store(module_client: Client) -> AsyncIterator[Store]:
    name = f"t_{secrets.token_hex(6)}"
    yield Store(module_client, name, rules=Rules(zone=ZONE, bases=(BASE,)), now=lambda: NOW, timeout=60)
    await module_client.drop_database(name)


async def filled(store: Store, kind: str) -> Raw:
    """Store resources of a type as a transaction would; return their bytes by id."""
    made: list[Json] = []
    for number in range(RESOURCES):
        content = {**resource(kind)(Random(f"{kind} {number}")), "id": f"r{number:02}"}
        made.append(stamped(content, 1, NOW))
    documents = [compose(TYPES[kind], one, encode(one), NOW, store.rules) for one in made]
    await store.database.with_options(codec_options=CODEC_OPTIONS)[kind].insert_many(documents)
    return {one["_id"]: bytes(one["_json"]) for one in documents}


def searches(kind: str) -> set[tuple[str, str]]:
    """Every parameter of a type with every modifier that the cases of the search know, and ``:missing`` of all."""
    found = {(f"{name}:missing", text) for name in TYPES[kind].parameters for text in ("true", "false")}
    for name in PARAMETERS[kind]:
        chance = Random(name)
        if name != "_id":
            found |= {(name + modifier, text) for modifier, text in map(values_for(kind, name), [chance] * SAMPLES * 4)}
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_the_past_is_judged_as_the_present(store: Store, kind: str) -> None:
    past = await filled(store, kind)
    judged = 0
    for pair in sorted(searches(kind)):
        try:
            [made] = await compiled(store, parse((kind,), [pair], READING))
        except SearchRefused:
            continue
        if made.query is NOTHING:
            continue
        stored = {decode(one["_json"])["id"] for one in await store.documents(kind, made.query)}
        assert set(await matching(store, kind, past, [made.query])) == stored, pair
        judged += 0 < len(stored) < RESOURCES
    assert judged > len(PARAMETERS[kind])


async def test_large_resources_are_judged_in_small_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting_past, "_TOGETHER", 1_500_000)
    large = {"resourceType": "Patient", "text": {"div": "x" * 1_000_000}}
    past = {}
    for number in range(20):  # more than a command of MongoDB's can hold
        one = stamped({**large, "id": f"p{number}", **({"gender": "other"} if number % 2 else {})}, 1, NOW)
        past[one["id"]] = encode(one)
    found = await matching(store, "Patient", past, [{"gender": {"$exists": False}}])
    assert set(found) == {f"p{number}" for number in range(0, 20, 2)}
