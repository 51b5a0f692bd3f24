"""A few visits for tests of searches, and ways to look at what is found."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from store.store import Store
from tests.adapter.fhir.door import Json, bundled, get, link
from tests.adapter.mediloop.clinic import appointment, open_clinic, put
from tests.conftest import Api
from tests.repeated import repeatable

UHIDS = "https://mediloop.co/fhir/sid/uhid"


@pytest.fixture(autouse=True)
async def visits(store: Store) -> None:
    """A clinic with five visits in February."""
    await _five(store)


@repeatable
async def _five(store: Store) -> None:
    await open_clinic(store)
    await put(store, *(appointment(f"a{day}", "fulfilled", start=f"2024-02-0{day}T10:00") for day in range(1, 6)))


async def found(api: Api, path: str, **headers: str) -> Json:
    """Return the Bundle of a search."""
    return bundled(await get(api, path, **headers))


def used(bundle: Json) -> list[tuple[str, str]]:
    """Return the parameters of the link to itself."""
    own = link(bundle, "self")
    assert own is not None
    return parse_qsl(urlsplit(own).query, keep_blank_values=True)


async def pages(api: Api, path: str) -> list[Json]:
    """Return all the pages of a search, by the links to the next."""
    shown = [await found(api, path)]
    while (following := link(shown[-1], "next")) is not None:
        shown.append(await found(api, following))
    return shown
