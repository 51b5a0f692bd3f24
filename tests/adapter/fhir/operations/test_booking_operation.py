"""``$book``, ``$cancel``, ``$reschedule``: versions, patients who are known, and refusals that name everything."""

from __future__ import annotations

import asyncio

import pytest

from tests.adapter.fhir.door import HOST, Json, get, made
from tests.adapter.fhir.operations.test_scheduling_operations import (
    clinic,
    find,
    first,
    only,
    operate,
    refused,
    status_of,
    visit,
)
from tests.adapter.mediloop.clinic import SARAH, appointment
from tests.conftest import Api

__all__ = ["clinic"]

STALE, FRESH = {"If-Match": 'W/"1"'}, {"If-Match": 'W/"2"'}
LATER = {"start": "2024-01-20T12:00:00Z", "end": "2024-01-20T12:30:00Z"}


# If-Match


@pytest.fixture
async def second(api: Api) -> Json:
    """An appointment in its second version."""
    await made(api, appointment("a"))
    return await made(api, appointment("a", comment="Second"))


async def test_a_version_that_is_not_the_present_one_changes_nothing(api: Api, second: Json) -> None:
    calls: list[tuple[str, Json]] = [
        ("$book", {"appointment_resource": {**second, **LATER}}),
        ("$book", {"appointment_resource": {**second, "status": "cancelled"}}),
        ("$book", {"appointment_reference": "Appointment/a"}),
        ("$hold", {"appointment_reference": "Appointment/a"}),
        ("a/$cancel", {}),
        ("a/$reschedule", {"start": LATER["start"]}),
    ]
    for path, given in calls:
        assert refused(await operate(api, path, STALE, **given), 412, "version_mismatch") == ["conflict"]
    assert (await get(api, "Appointment/a")).json() == second
    moved = only(await operate(api, "a/$reschedule", FRESH, start=LATER["start"]))
    refused(await operate(api, "a/$cancel", FRESH), 412, "version_mismatch")
    third = {"If-Match": f'W/"{moved["meta"]["versionId"]}"'}
    cancelled = {**moved, "status": "cancelled"}
    assert only(await operate(api, "$book", third, appointment_resource=cancelled))["status"] == "cancelled"
    # What the present version says comes after the question whether it is the one that was meant.
    refused(await operate(api, "a/$cancel", third), 412, "version_mismatch")


async def test_a_proposal_has_its_first_version_and_what_is_replaced_is_not_meant(api: Api, second: Json) -> None:
    ident = await first(api, practitioner=SARAH)
    refused(await operate(api, f"{ident}/$book", FRESH), 412, "version_mismatch")
    only(await operate(api, f"{ident}/$book", STALE, cancelled_appt_id="Appointment/a"))
    refused(await operate(api, "$book", STALE, appointment_resource=visit()), 412, "version_mismatch")


async def test_of_many_who_change_one_version_one_does(api: Api, second: Json) -> None:
    moves = [operate(api, "a/$reschedule", FRESH, start=f"2024-01-20T1{n % 4 + 2}:00:00Z") for n in range(16)]
    answers = [one.status_code for one in await asyncio.gather(*moves)]
    assert sorted(answers) == [200] + [412] * 15


# References to versions


async def test_a_reference_to_a_version_means_the_resource(api: Api) -> None:
    booked = only(await operate(api, "$book", appointment_resource=visit()), 201)
    version = f"{HOST}/Appointment/{booked['id']}/_history/1"
    assert (await find(api, practitioner={"reference": f"Practitioner/{SARAH}/_history/1"}))["total"] == 2
    ident = await first(api, practitioner=f"{HOST}/Practitioner/{SARAH}/_history/1")
    john = {"reference": "Patient/john/_history/1"}
    new = only(
        await operate(api, "$book", appt_id=f"Appointment/{ident}/_history/1", patient=john, cancelled_appt_id=version)
    )
    assert "Patient/john" in [one["actor"]["reference"] for one in new["participant"]]
    assert (await get(api, f"Appointment/{booked['id']}")).json()["status"] == "cancelled"
    moved = only(await operate(api, f"{new['id']}/$reschedule", slot=f"{HOST}/Slot/s3/_history/1"))
    assert moved["slot"] == [{"reference": "Slot/s3"}]


# Refusals


async def test_a_reason_for_overbooking_says_something(api: Api) -> None:
    only(await operate(api, "$book", appointment_resource=visit()), 201)
    for blank in (" ", "\t\n"):
        refused(await operate(api, "$book", appointment_resource=visit(), overbook=blank), 422, "blank_reason")
    assert await status_of(api, "s1") == ["busy"]
