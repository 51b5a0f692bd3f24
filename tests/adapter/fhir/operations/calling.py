"""How the tests of the scheduling operations call them, and what they make of the answers: a clinic on one day."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fhir.resources.R4B.appointment import Appointment
from fhir.resources.R4B.bundle import Bundle

from tests.adapter.fhir.door import HOST, Json, bundled, call, get
from tests.adapter.mediloop.clinic import (
    JAMES,
    MULAGO,
    SARAH,
    appointment,
    concept,
    location,
    patient,
    practitioner,
    put,
    schedule,
    slot,
)
from tests.conftest import Api

START, END = "2024-01-20T00:00:00Z", "2024-01-21T00:00:00Z"
ANYBODY = "Patient/anybody"
"""For whom a visit is that was proposed for nobody."""
SERVICE = "http://snomed.info/sct"


@pytest.fixture(autouse=True)
async def clinic(api: Api) -> None:
    """Two practitioners and a room with Slots on one morning."""
    await put(
        api.service.stores["test"],
        practitioner(SARAH, "Dr. Sarah Nakamya"),
        practitioner(JAMES, "Dr. James"),
        {**location(MULAGO, "Mulago Hospital"), "address": {"city": "Kampala"}},
        location("room", "Room 1"),
        patient("john", "UG123456789A", "John Doe"),
        schedule("sarah", f"Practitioner/{SARAH}", f"Location/{MULAGO}", specialty=concept(SERVICE, "394579002")),
        schedule("james", f"Practitioner/{JAMES}"),
        schedule("room", "Location/room"),
        slot("s1", "2024-01-20T10:00", "2024-01-20T10:30"),
        slot("s2", "2024-01-20T10:30", "2024-01-20T11:00"),
        slot("s3", "2024-01-20T12:00", "2024-01-20T12:30"),
        slot("j1", "2024-01-20T10:00", "2024-01-20T10:30", of="james"),
        slot("j2", "2024-01-20T11:00", "2024-01-20T11:30", of="james"),
        slot("r1", "2024-01-20T10:00", "2024-01-20T11:00", of="room"),
    )


def parameters(**given: Any) -> Json:
    """Return a Parameters resource; names with ``_`` for ``-``, values by their type, lists for repeats."""
    parts: list[Json] = []
    for name, values in given.items():
        for value in values if isinstance(values, list) else [values]:
            key = "resource" if isinstance(value, dict) and "resourceType" in value else _type(value)
            parts.append({"name": name if name == "_count" else name.replace("_", "-"), key: value})
    return {"resourceType": "Parameters"} | ({"parameter": parts} if parts else {})


def _type(value: object) -> str:
    if isinstance(value, dict):
        return "valueCodeableConcept" if "coding" in value else "valueReference"
    return "valueInteger" if isinstance(value, int) else "valueString"


async def find(api: Api, **given: Any) -> Json:
    """Return what ``$find`` answers, of that day unless another is given; every Appointment in it is valid."""
    sent = parameters(**{"start": START, "end": END} | given)
    found = bundled(await call(api, "POST", "Appointment/$find", sent))
    for one in found["entry"]:
        if one["resource"]["resourceType"] == "Appointment":
            Appointment.model_validate(one["resource"])
    return found


async def first(api: Api, **given: Any) -> str:
    """Return the id of the first Appointment that ``$find`` proposes."""
    found = await find(api, **given)
    ident: str = found["entry"][0]["resource"]["id"]
    return ident


async def operate(api: Api, path: str, headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
    """Call an operation on Appointments (``$book``, ``a/$cancel``)."""
    return await call(api, "POST", f"Appointment/{path}", parameters(**given), headers=headers)


def refused(answer: httpx.Response, status: int, *codes: str) -> list[str]:
    """Check that the answer is a searchset with nothing but a fatal outcome; return the issue types."""
    assert answer.status_code == status, answer.text
    read = answer.json()
    Bundle.model_validate_json(answer.content)
    assert (read["type"], read["total"]) == ("searchset", 0)
    [entry] = read["entry"]
    assert entry["search"] == {"mode": "outcome"}
    issues = entry["resource"]["issue"]
    assert {issue["severity"] for issue in issues} == {"fatal"}
    assert tuple(issue["details"]["coding"][0]["code"] for issue in issues) == codes, answer.text
    return [issue["code"] for issue in issues]


def only(answer: httpx.Response, status: int = 200) -> Json:
    """Check that the answer is a valid Bundle of one Appointment; return that."""
    assert answer.status_code == status, answer.text
    Bundle.model_validate_json(answer.content)
    [entry] = answer.json()["entry"]
    found: Json = entry["resource"]
    assert entry["fullUrl"] == f"{HOST}/Appointment/{found['id']}"
    return found


async def status_of(api: Api, *slots: str) -> list[str]:
    """Return the statuses of Slots."""
    return [(await get(api, f"Slot/{one}")).json()["status"] for one in slots]


def visit(**members: Any) -> Json:
    """Return a pending Appointment without an id."""
    return appointment("x", **{"id": None, "status": "pending"} | members)
