"""What all the scheduling operations have in common: repeats, permissions, ``$prefetch``, and how they are told."""

from __future__ import annotations

import asyncio

import pytest

from tests.adapter.fhir.door import BASE, Json, bundled, call, get, names, outcome
from tests.adapter.fhir.operations.calling import (
    ANYBODY,
    END,
    START,
    clinic,
    find,
    first,
    only,
    operate,
    parameters,
    refused,
    visit,
)
from tests.adapter.mediloop.clinic import MULAGO, SARAH
from tests.conftest import Api, ApiMaker

__all__ = ["clinic"]


async def test_a_repeated_request_books_once(api: Api) -> None:
    ident = await first(api, practitioner=SARAH)
    key = {"X-Idempotency-Key": "once"}
    answers = await asyncio.gather(*(operate(api, f"{ident}/$book", headers=key, patient=ANYBODY) for _ in range(16)))
    assert {one.status_code for one in answers} == {200}
    assert len({one.content for one in answers}) == 1
    assert sum("x-idempotency-replayed" in one.headers for one in answers) == 15
    held = await first(api, practitioner=SARAH)
    first_answer = await operate(api, f"{held}/$hold", headers={"X-Idempotency-Key": "hold"})
    again = await operate(api, f"{held}/$hold", headers={"X-Idempotency-Key": "hold"})
    assert again.headers["expires"] == first_answer.headers["expires"]
    refused(await operate(api, f"{ident}/$hold", headers={"X-Idempotency-Key": "hold"}), 422, "idempotency_key_reuse")
    long = {"X-Idempotency-Key": "x" * 256}
    outcome(await operate(api, f"{ident}/$book", headers=long), 400, "invalid")


async def test_permissions(api: Api, make_api: ApiMaker) -> None:
    ident = await first(api)
    reader: Api = await make_api(api.service, granted=["appointments:read", "slots:read"])
    assert (await find(reader))["total"] == 6
    for path in ("$hold", "$book", f"{ident}/$cancel", f"{ident}/$reschedule"):
        outcome(await operate(reader, path, appt_id="x"), 403, "forbidden")
    writer: Api = await make_api(api.service, granted=["appointments:write", "slots:read"])
    outcome(await call(writer, "POST", "Appointment/$find", parameters(start=START, end=END)), 403, "forbidden")
    new = {"resourceType": "Patient", "name": [{"family": "New"}]}
    outcome(await operate(writer, f"{ident}/$book", patient_resource=new), 403, "forbidden")
    only(await operate(writer, f"{ident}/$book", patient=ANYBODY))


async def test_who_takes_slots_reads_them_and_who_cancels_need_not(api: Api, make_api: ApiMaker) -> None:
    """As a write of the status, and MediLoop's cancel, need none."""
    ident = only(await operate(api, "$book", appointment_resource=visit()), 201)["id"]
    writer: Api = await make_api(api.service, granted=["appointments:write"])
    for path in ("$hold", "$book", f"{ident}/$reschedule"):
        issue = outcome(await operate(writer, path, appt_id="x", start="2024-01-20T14:00:00Z"), 403, "forbidden")
        assert "slots:read" in issue["diagnostics"]
    assert only(await operate(writer, f"{ident}/$cancel"))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("path", "given", "permission"),
    [
        ("Appointment/$find", {"patient_reference": {"identifier": {"value": "INS-42"}}}, "patients"),
        *(
            (path, given, permission)
            for path in ("Appointment/$find", "Slot/$prefetch")
            for given, permission in (
                ({"practitioner": {"identifier": {"value": "7"}}}, "practitioners"),
                ({"location_reference": {"identifier": {"value": "7"}}}, "locations"),
                ({"location_string": "Mul"}, "locations"),
                ({"organization": "o"}, "locations"),
                ({"organization": "o"}, "practitioners"),
            )
        ),
    ],
)
async def test_what_looks_into_another_type_needs_read_of_it(
    api: Api, make_api: ApiMaker, path: str, given: Json, permission: str
) -> None:
    words = {"appointments", "slots", "patients", "practitioners", "locations"}
    asked = parameters(start=START, end=END, **given)
    other: Api = await make_api(api.service, granted=[f"{one}:read" for one in words - {permission}])
    issue = outcome(await call(other, "POST", path, asked), 403, "forbidden")
    assert f"{permission}:read" in issue["diagnostics"]
    knowing: Api = await make_api(api.service, granted=[f"{one}:read" for one in words])
    bundled(await call(knowing, "POST", path, asked))


# Slot/$prefetch, and what is said of all this


@pytest.mark.parametrize("name", ["prefetch", "find"])
async def test_free_slots_as_argonaut_fetches_them(api: Api, name: str) -> None:
    found = bundled(await get(api, f"Slot/${name}?start={START}&end={END}&location-reference={MULAGO}&_count=2"))
    assert (found["total"], names(found)) == (3, ["Slot/s1", "Slot/s2"])
    nothing = bundled(await call(api, "POST", f"Slot/${name}", parameters(start=START, end=END, provider="nobody")))
    assert (nothing["total"], names(nothing)) == (0, ["OperationOutcome/"])


async def test_the_definitions_are_served(api: Api) -> None:
    everything = bundled(await get(api, "OperationDefinition"))
    assert everything["total"] == 7
    one = (await get(api, "OperationDefinition/appointment-hold")).json()
    assert one["base"] == "https://profiles.ihe.net/ITI/Scheduling/OperationDefinition/appointment-hold"
    for asked in (
        f"url={one['url']}",
        f"base={one['base']}",
        "code=hold",
        "name=appointmentHold",
        "_id=appointment-hold",
    ):
        assert names(bundled(await get(api, f"OperationDefinition?{asked}"))) == [
            "OperationDefinition/appointment-hold"
        ]
    for entry in everything["entry"]:
        answer = await call(api, "POST", f"{entry['resource']['resource'][0]}/$validate", entry["resource"])
        assert answer.status_code in (200, 400)
    outcome(await get(api, "OperationDefinition/none"), 404, "not-found")
    said = (await api.http.get(f"{BASE}/metadata")).json()
    [visits] = [one for one in said["rest"][0]["resource"] if one["type"] == "Appointment"]
    assert {one["name"] for one in visits["operation"]} >= {"find", "hold", "book", "cancel", "reschedule"}
