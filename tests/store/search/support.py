"""What the tests of the search share: a search by its query text, answered with ids."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from urllib.parse import parse_qsl

import pytest

from store.codec import Resource
from store.search import Note, Page, Reading, Search, SearchRefused, parse, run
from store.store import Store
from tests.store.support import create

BASE = "http://adapter.test/fhir/R4"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
S = "urn:s"


def reading(*, strict: bool = False, zone: tzinfo = UTC, readable: Callable[[str], bool] = lambda _: True) -> Reading:
    """A way to read parameters; lenient, in UTC, everything readable."""
    return Reading(zone, BASE, NOW, strict, readable)


def parsed(kinds: str, text: str, how: Reading | None = None, compartment: tuple[str, str] | None = None) -> Search:
    """The search of ``Appointment`` or ``Appointment,Slot`` that a query text asks for."""
    pairs = parse_qsl(text, keep_blank_values=True)
    return parse(tuple(kinds.split(",")), pairs, how or reading(), compartment)


async def page(store: Store, kinds: str, text: str, how: Reading | None = None) -> Page:
    """The page that a query text asks for."""
    return await run(store, parsed(kinds, text, how))


async def ids(store: Store, kinds: str, text: str, how: Reading | None = None) -> list[str]:
    """The ids of the matches, in order; nothing may have been left out."""
    search = parsed(kinds, text, how)
    assert not search.ignored
    return [one.ident for one in (await run(store, search)).entries if one.mode == "match"]


async def found(store: Store, kinds: str, text: str, how: Reading | None = None) -> set[str]:
    """The ids of the matches."""
    return set(await ids(store, kinds, text, how))


async def included(store: Store, kinds: str, text: str, how: Reading | None = None) -> set[str]:
    """What comes with the matches: ``Patient/1``."""
    entries = (await page(store, kinds, text, how)).entries
    names = [f"{one.kind}/{one.ident}" for one in entries]
    assert len(names) == len(set(names))
    return {name for name, one in zip(names, entries, strict=True) if one.mode == "include"}


def refusal(kinds: str, text: str, how: Reading | None = None) -> tuple[Note, ...]:
    """The problems for which a search is refused."""
    with pytest.raises(SearchRefused) as refused:
        parsed(kinds, text, how)
    assert refused.value.problems
    return refused.value.problems


def concept(code: str, system: str | None = S, text: str | None = None) -> Resource:
    """A CodeableConcept."""
    coding = {"code": code} | ({"system": system} if system else {})
    return {"coding": [coding]} | ({"text": text} if text else {})


def identifier(value: str, system: str | None = S, **more: object) -> Resource:
    """An Identifier."""
    return {"value": value} | ({"system": system} if system else {}) | more


def appointment(ident: str, start: str | None = None, *actors: Resource | str, **more: object) -> Resource:
    """An Appointment of actors: references, or whole References."""
    made: Resource = {"resourceType": "Appointment", "id": ident, "status": "proposed"}
    if start:
        made |= {"start": start, "end": start}
    references = [{"reference": one} if isinstance(one, str) else one for one in actors]
    return made | {"participant": [{"actor": one, "status": "accepted"} for one in references]} | more


def slot(ident: str, schedule: str = "s", start: str = "2026-01-10T09:00:00Z", **more: object) -> Resource:
    """A free Slot."""
    made = {"resourceType": "Slot", "id": ident, "status": "free", "schedule": {"reference": f"Schedule/{schedule}"}}
    return made | {"start": start, "end": start} | more


def schedule(ident: str, *actors: str, **more: object) -> Resource:
    """A Schedule."""
    return {"resourceType": "Schedule", "id": ident, "actor": [{"reference": one} for one in actors]} | more


def resource(kind: str, ident: str, **more: object) -> Resource:
    """Any resource."""
    return {"resourceType": kind, "id": ident} | more


async def put(store: Store, *resources: Resource) -> None:
    """Store new resources."""
    await create(store, *resources)
