"""Batches with several writes of one resource: in the order of the Bundle, so that the last one stands."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapter.fhir.bundles import batches
from adapter.fhir.bundles.alone import answered
from tests.adapter.fhir.bundles.sending import (
    NO_PATCH,
    Json,
    adding,
    bundle,
    done,
    entry,
    person,
    statuses,
    stored,
    visit,
)
from tests.conftest import Api


def patient(family: str, ident: str = "a") -> Json:
    return entry("PUT", f"Patient/{ident}", person(family, id=ident))


def response(status: str, to: str = "Appointment/v") -> Json:
    body = {"resourceType": "AppointmentResponse", "appointment": {"reference": to}, "participantStatus": status}
    return entry("POST", "AppointmentResponse", body | {"actor": {"reference": "Patient/p"}})


async def families(api: Api) -> list[str]:
    """Return the family names that Patient/a has had, in their order."""
    history = (await api.get("/fhir/R4/Patient/a/_history")).json()
    return [one["resource"]["name"][0]["family"] for one in reversed(history["entry"])]


async def test_updates_of_one_resource_keep_their_order(api: Api) -> None:
    wanted = [str(number) for number in range(12)]
    others = [patient("Other", f"b{number}") for number in range(12)]
    mixed = [one for pair in zip(map(patient, wanted), others, strict=True) for one in pair]
    assert statuses(await done(api, bundle("batch", *mixed))) == ["201", "201"] + ["200", "201"] * 11
    assert await families(api) == wanted


async def test_a_plain_update_does_not_overtake_what_is_carried_out_alone(api: Api) -> None:
    await done(api, bundle("batch", patient("First")))
    alone = [entry("PATCH", "Patient/a", adding("/name/0/family", "Patched")), patient("Last")]
    others = [patient("Other", ident) for ident in "bc"]
    assert statuses(await done(api, bundle("batch", *alone, *others))) == ["200", "200", "201", "201"]
    assert await families(api) == ["First", "Patched", "Last"]


async def test_who_writes_something_else_between_two_of_one_resource_takes_no_order_away(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await done(api, bundle("batch", *(patient("First", ident) for ident in "ab")))
    order: list[tuple[str, int]] = []

    async def noted(call: Any, one: Any, *given: Any) -> bytes:
        order.append(("begun", one.index))
        told = await answered(call, one, *given)
        order.append(("ended", one.index))
        return told

    monkeypatch.setattr(batches, "answered", noted)
    entries = [entry("PATCH", f"Patient/{ident}", NO_PATCH) for ident in "aba"]
    assert statuses(await done(api, bundle("batch", *entries))) == ["200"] * 3
    assert order.index(("ended", 0)) < order.index(("begun", 2))


@pytest.mark.parametrize("to", ["Appointment/v", "http://adapter.test/fhir/R4/Appointment/v"])
async def test_answers_for_one_visit_keep_their_order(api: Api, to: str) -> None:
    asked = entry("PUT", "Appointment/v", visit("Patient/p") | {"id": "v"})
    for _ in range(4):
        answers = [response(status, to) for status in ("accepted", "tentative", "declined")]
        found = await done(api, bundle("batch", asked, *answers))
        assert statuses(found)[1:] == ["201"] * 3
        assert (await stored(api, "Appointment/v"))["participant"][0]["status"] == "declined"


async def test_who_waits_for_its_turn_keeps_nobody_else_from_theirs(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await done(api, bundle("batch", *(patient("First", ident) for ident in "abc")))
    at_once = {0, 20, 21, 22}
    all_are_there = asyncio.Barrier(len(at_once))

    async def met(call: Any, one: Any, *given: Any) -> bytes:
        if one.index in at_once:
            await all_are_there.wait()
        return await answered(call, one, *given)

    monkeypatch.setattr(batches, "answered", met)
    waiting = [entry("PATCH", "Patient/a", NO_PATCH) for _ in range(20)]
    others = [entry("PATCH", f"Patient/{ident}", NO_PATCH) for ident in "bc"]
    others.append(entry("POST", "Appointment/none/$cancel", {"resourceType": "Parameters"}))
    async with asyncio.timeout(20):
        assert statuses(await done(api, bundle("batch", *waiting, *others))) == ["200"] * 22 + ["404"]
