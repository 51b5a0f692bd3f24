"""Whoever is deleted while a booking of them is under way is booked and stays, or is gone and unknown: never both."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapter.mediloop import numbers
from adapter.scheduling import commands
from store.store import Store
from tests.adapter.fhir.door import call
from tests.adapter.mediloop.clinic import (
    JAMES,
    KAMPALA,
    PATH,
    UHID,
    booking,
    open_clinic,
    practitioner,
    put,
    refused,
    stored,
)
from tests.conftest import Api

THERE = {"practitioner_id": JAMES, "facility_id": KAMPALA}
NAMED = {"Patient/john": None, f"Practitioner/{JAMES}": "practitioner", f"Location/{KAMPALA}": "facility"}


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)


def once(meanwhile: Callable[[], Awaitable[Any]], what: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    """`what`, with something else that happens wholly before or after its first call."""
    calls = 0

    async def both(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1 and not after:
            await meanwhile()
        found = await what(*arguments, **options)
        if calls == 1 and after:
            await meanwhile()
        return found

    return both


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("place", ["before the unit of work", "within it"])
async def test_who_is_deleted_while_a_booking_runs_is_gone_for_it(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    async def delete() -> None:
        assert (await call(api, "DELETE", name)).status_code == 204

    if place == "within it":
        monkeypatch.setattr(commands, "plan", once(delete, commands.plan, after=True))
    else:
        monkeypatch.setattr(numbers, "following", once(delete, numbers.following, after=False))
    answer = await api.post(PATH, booking(**THERE))
    if NAMED[name]:
        refused(answer, 422, (f"unknown_{NAMED[name]}", f"{NAMED[name]}_id"))
        assert await store.count("Appointment", {}) == 0
    else:
        assert answer.status_code == 201
        assert (answer.json()["patient_uhid"], answer.json()["patient_name"]) == (UHID, None)
        made = await stored(store, "Appointment", answer.json()["id"])
        assert "reference" not in made["participant"][0]["actor"]


async def test_a_refusal_for_who_is_unknown_is_forgotten_where_they_come_meanwhile(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def come() -> None:
        await put(store, practitioner("new", "Dr. New"))

    monkeypatch.setattr(numbers, "following", once(come, numbers.following, after=False))
    answer = await api.post(PATH, booking(practitioner_id="new"))
    assert answer.status_code == 201
    assert answer.json()["practitioner_name"] == "Dr. New"


async def test_a_booking_and_a_deletion_at_once_never_leave_a_reference_to_nobody(api: Api, store: Store) -> None:
    outcomes: Counter[tuple[int, int]] = Counter()
    for number in range(9):
        name = [*NAMED][number % 3]
        before = await stored(store, *name.split("/"))
        start = f"2024-02-{number + 1:02}T10:00:00Z"
        deleted, booked = await asyncio.gather(
            call(api, "DELETE", name), api.post(PATH, booking(**THERE, start_time=start))
        )
        outcomes[deleted.status_code, booked.status_code] += 1
        assert (deleted.status_code, booked.status_code) in {(204, 422), (409, 201), (204, 201)}
        if booked.status_code == 201:
            made = await stored(store, "Appointment", booked.json()["id"])
            named = {one["actor"].get("reference") for one in made["participant"]}
            assert (name in named) == (deleted.status_code == 409)
            assert (await call(api, "DELETE", f"Appointment/{made['id']}")).status_code == 204
        if deleted.status_code == 204:
            await put(store, before)
    assert sum(outcomes.values()) == 9
