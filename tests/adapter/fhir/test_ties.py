"""What others refer to is not deleted, also where the reference comes at the same moment, by whichever way it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from adapter.fhir import ties
from adapter.importing.checking import Ready
from adapter.importing.deciding import Writer
from store.store import Store
from tests.adapter.fhir.bundles.sending import bundle, entry
from tests.adapter.fhir.door import TAGS, bare, call, outcome, person, tagged
from tests.adapter.mediloop.clinic import PATH, appointment, booking, open_clinic, put, with_actors
from tests.conftest import Api

Meanwhile = Callable[[Api, Store], Awaitable[Any]]
LATER = {"start": "2024-02-01T10:00"}


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)
    await put(store, tagged("x", "1"), appointment("old", "proposed", participant=with_actors("Practitioner/p")))


def of_x(ident: str = "new", **members: Any) -> dict[str, Any]:
    return appointment(ident, participant=with_actors("Patient/x"), **LATER) | members


async def done(answering: Awaitable[httpx.Response]) -> None:
    answer = await answering
    assert answer.status_code in (200, 201), answer.text


async def _create(api: Api, _: Store) -> None:
    await done(call(api, "POST", "Appointment", of_x()))


async def _update(api: Api, _: Store) -> None:
    await done(call(api, "PUT", "Appointment/old", of_x("old")))


async def _patch(api: Api, _: Store) -> None:
    actor = {"op": "add", "path": "/participant/-", "value": with_actors("Patient/x")[0]}
    await done(call(api, "PATCH", "Appointment/old", [actor]))


async def _by_address(api: Api, _: Store) -> None:
    there = "https://adapter.test/fhir/R4/Patient/x"
    await done(call(api, "PUT", "Appointment/new", appointment("new", participant=with_actors(there), **LATER)))


async def _batch(api: Api, _: Store) -> None:
    await done(call(api, "POST", "", bundle("batch", entry("PUT", "Appointment/new", of_x()))))


async def _by_search(api: Api, _: Store) -> None:
    sought = appointment("new", participant=with_actors(f"Patient?identifier={TAGS}|1"), **LATER)
    await done(call(api, "POST", "", bundle("transaction", entry("POST", "Appointment", sought))))


async def _book(api: Api, _: Store) -> None:
    wanted = {"name": "appointment-resource", "resource": bare(of_x(status="proposed"))}
    await done(call(api, "POST", "Appointment/$book", {"resourceType": "Parameters", "parameter": [wanted]}))


async def _import(api: Api, store: Store) -> None:
    assert await Writer(api.service, store).write([Ready("Appointment", "new", True, [], of_x())]) == ["created"]


async def _relative(api: Api, _: Store) -> None:
    linked = person("child", link=[{"other": {"reference": "Patient/x"}, "type": "seealso"}])
    await done(call(api, "PUT", "Patient/child", linked))


WAYS = (_create, _update, _patch, _by_address, _batch, _by_search, _book, _import, _relative)


async def race(api: Api, monkeypatch: pytest.MonkeyPatch, name: str, meanwhile: Callable[[], Awaitable[Any]]) -> Any:
    """Delete `name`, while something else happens wholly after the deletion has looked who refers to it."""
    look, looks = ties.referrers_of, 0

    async def overtaken(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        found = await look(*arguments)
        if looks == 1:
            assert found == {}
            await meanwhile()
        return found

    monkeypatch.setattr(ties, "referrers_of", overtaken)
    return await call(api, "DELETE", name)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
async def test_who_is_referred_to_while_they_are_deleted_stays(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch, way: Meanwhile
) -> None:
    outcome(await race(api, monkeypatch, "Patient/x", lambda: way(api, store)), 409, "conflict")
    assert await store.read("Patient", "x") is not None


async def test_an_appointment_that_is_answered_while_it_is_deleted_stays(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {
        "resourceType": "AppointmentResponse",
        "id": "a",
        "appointment": {"reference": "Appointment/old"},
        "actor": {"reference": "Practitioner/p"},
        "participantStatus": "accepted",
    }
    deleted = await race(
        api, monkeypatch, "Appointment/old", lambda: done(call(api, "PUT", "AppointmentResponse/a", answer))
    )
    outcome(deleted, 409, "conflict")


async def test_who_is_booked_by_mediloop_while_they_are_deleted_stays(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome(await race(api, monkeypatch, "Patient/john", lambda: done(api.post(PATH, booking()))), 409, "conflict")


async def test_who_is_referred_to_otherwise_than_before_stays(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference was another server's: no search found it. It is written out as ours now."""
    await put(store, appointment("far", "proposed", participant=with_actors("https://far.test/fhir/Patient/x")))
    change = call(api, "PUT", "Appointment/far", of_x("far", status="proposed"))
    outcome(await race(api, monkeypatch, "Patient/x", lambda: done(change)), 409, "conflict")


async def test_a_reference_by_search_and_a_deletion_at_once_see_each_other(api: Api, store: Store) -> None:
    for number in range(6):
        family = tagged(f"p{number}", f"tag-{number}")
        await put(store, family)
        sought = with_actors(f"Patient?identifier={TAGS}|tag-{number}")
        start = f"2024-03-{number + 1:02}T10:00"
        body = bundle("transaction", entry("POST", "Appointment", appointment("new", participant=sought, start=start)))
        deleted, sent = await asyncio.gather(call(api, "DELETE", f"Patient/p{number}"), call(api, "POST", "", body))
        assert (deleted.status_code, sent.status_code) in {(204, 412), (204, 400), (204, 422), (409, 200)}
        assert (await store.read("Patient", f"p{number}") is not None) == (sent.status_code == 200)
