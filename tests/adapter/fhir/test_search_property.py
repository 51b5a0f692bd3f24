"""Every search finds what a slow, obvious evaluation over the same resources finds (`oracle`)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from pymongo.write_concern import WriteConcern

from store.codec import decode
from store.connection import Client
from store.documents import Rules
from store.parameters import Parameter
from store.search import Reading, parse, run
from store.store import Store
from store.types import TYPES
from store.unit_of_work import UnitOfWork
from tests.adapter.fhir.oracle import Json, World
from tests.adapter.fhir.r4_parameters import PARAMETERS, Param
from tests.adapter.fhir.search_cases import search as search_of
from tests.adapter.fhir.search_worlds import BASE, IDENTS, KINDS, ZONE
from tests.adapter.fhir.search_worlds import world as world_of
from tests.scale import examples

NOW = datetime(2024, 1, 15, 10, tzinfo=UTC)
SECOND_BATCH = timedelta(hours=20)
EXAMPLES = examples(220)
SEARCHES = 14  # of each generated set of resources, at least


class Shelf:
    """One store, emptied for each example."""

    def __init__(self, client: Client, name: str) -> None:
        rules = Rules(zone=ZONE, bases=(BASE,))
        self.store = Store(client, name, rules=rules, now=lambda: NOW, timeout=60)

    async def fill(self, resources: list[Json]) -> World:
        """Store these, half of them later than the others; return them as the oracle reads them."""
        quick = WriteConcern(1)
        await asyncio.gather(
            *(self.store.database.get_collection(name, write_concern=quick).delete_many({}) for name in KINDS)
        )
        await self.store.database["history"].delete_many({})  # waits for a majority, which then has the others too

        async def step(work: UnitOfWork) -> list[Json]:
            stored = [work.create(one) for one in resources[::2]]
            work.now += SECOND_BATCH
            return stored + [work.create(one) for one in resources[1::2]]

        return World(await self.store.transact(step) if resources else [], ZONE, BASE)


@pytest.fixture(scope="module")
async def shelf(module_client: Client) -> AsyncIterator[Shelf]:
    name = f"t_{secrets.token_hex(6)}"
    made = Shelf(module_client, name)
    await made.store.prepare()
    yield made
    await module_client.drop_database(name)


READING = Reading(zone=ZONE, base=BASE, now=NOW, strict=False, readable=lambda _: True)


async def check(shelf: Shelf, world: World, kinds: tuple[str, ...], pairs: list[tuple[str, str]]) -> int:
    """Run one search through all its pages and hold it to the oracle; return the number of matches."""
    wanted = {f"{one['resourceType']}/{one['id']}": one for one in world.search(kinds, pairs)}
    found: list[str] = []
    cursor: tuple[tuple[str, str], ...] = ()
    while True:
        search = parse(kinds, (*pairs, ("_total", "accurate"), *cursor), READING)
        page = await run(shelf.store, search)
        matches = [f"{one.kind}/{one.ident}" for one in page.entries if one.mode == "match"]
        extra = [f"{one.kind}/{one.ident}" for one in page.entries if one.mode == "include"]
        assert len(matches) <= search.count
        for entry in page.entries:
            resource = decode(bytes(entry.raw))
            assert (resource["resourceType"], resource["id"]) == (entry.kind, entry.ident)
        assert page.total == len(wanted)
        assert len(set(extra)) == len(extra)
        known = [wanted[name] for name in matches if name in wanted]
        if len(known) == len(matches):
            assert set(extra) == world.included(known, pairs)
        found += matches
        if page.cursor is None:
            break
        assert matches, "an empty page that leads on"
        cursor = (("_cursor", page.cursor),)
    assert len(found) == len(set(found)), "a match on two pages"
    assert set(found) == set(wanted)
    order = dict(pairs).get("_sort")
    if order:
        world.require_sorted([wanted[name] for name in found], order)
    return len(found)


SEED = st.integers(0, 2**48)


@given(
    seed=SEED,
    left_out=st.sets(st.integers(0, len(IDENTS) - 1), max_size=4),
    asked=st.lists(SEED, min_size=SEARCHES, max_size=SEARCHES + 4),
)
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_every_search_finds_what_a_plain_evaluation_finds(
    shelf: Shelf, seed: int, left_out: set[int], asked: list[int]
) -> None:
    world = await shelf.fill(world_of(seed, left_out))
    for number in asked:
        kinds, pairs = search_of(number)
        note(f"{'/'.join(kinds)}?{'&'.join(f'{name}={text}' for name, text in pairs)}")
        await check(shelf, world, kinds, pairs)


async def test_approximately_is_wider_than_equal_and_not_all(shelf: Shelf) -> None:
    """How wide is the server's choice, so the oracle leaves it out."""
    starts = {"a": "2024-01-20T09:00:00Z", "b": "2024-01-20T09:20:00Z", "c": "2034-01-20T09:00:00Z"}
    await shelf.fill([{"resourceType": "Slot", "id": ident, "start": start} for ident, start in starts.items()])
    page = await run(shelf.store, parse(("Slot",), (("start", "ap2024-01-20T09:00:00Z"),), READING))
    assert {"a"} <= {one.ident for one in page.entries} <= {"a", "b"}


def test_the_oracle_knows_every_parameter_of_every_type() -> None:
    unknown = {
        (kind, name)
        for kind, declared in TYPES.items()
        for name in declared.parameters.keys() - PARAMETERS[kind].keys()
    }
    # How alike two names must sound is the server's choice.
    assert unknown == {(kind, "phonetic") for kind in ("Patient", "RelatedPerson", "Practitioner", "Organization")}
    assert all(params.keys() <= TYPES[kind].parameters.keys() for kind, params in PARAMETERS.items())


@pytest.mark.parametrize("kind", PARAMETERS)
def test_each_parameter_is_where_the_pages_of_r4_have_it(kind: str) -> None:
    """Whatever the generated searches happen to ask for: a wrong expression is told by its name."""
    found = {name: _declared(TYPES[kind].parameters[name]) for name in PARAMETERS[kind]}
    assert found == {
        name: (set(one.paths), set(one.targets) - {"*"}, one.system) for name, one in _stated(kind).items()
    }


def _declared(one: Parameter) -> tuple[set[str], set[str], str | None]:
    paths = {path.steps + (f"[{path.where[0]}={path.where[1]}]" if path.where else "") for path in one.paths}
    return paths, set(one.targets), one.system


def _stated(kind: str) -> dict[str, Param]:
    """Return the parameters as the pages have them, those of two datatypes with the paths of both."""
    both = {"deceased": ("deceasedBoolean", "deceasedDateTime"), "-date-or-req-period": ("start", "requestedPeriod")}
    return {name: replace(one, paths=both.get(name, one.paths)) for name, one in PARAMETERS[kind].items()}


async def test_a_name_is_found_by_its_sound_in_the_elements_that_r4_names(shelf: Shelf) -> None:
    """How alike two must sound is the server's choice, so the oracle leaves it out."""
    people: dict[str, Json] = {"a": {"name": [{"text": "Okello"}]}, "b": {}, "c": {"name": [{"family": "Achieng"}]}}
    houses: dict[str, Json] = {"a": {"name": "Okello"}, "b": {"alias": ["Okello"]}, "c": {"name": "Achieng"}}
    for kind in ("Patient", "RelatedPerson", "Practitioner", "Organization"):
        named = houses if kind == "Organization" else people
        await shelf.fill([{"resourceType": kind, "id": ident} | one for ident, one in named.items()])
        page = await run(shelf.store, parse((kind,), (("phonetic", "okelo"),), READING))
        assert [one.ident for one in page.entries] == ["a"], kind
