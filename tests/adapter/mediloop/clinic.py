"""A small clinic in the store, the page's booking, and how to read what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from mappings.instants import shift
from mappings.systems import DEFAULT_SYSTEMS
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.repeated import repeatable

Json = dict[str, Any]

PATH = "/api/v1/appointments/"
UHID, NAME = "UG123456789A", "John Doe"
OTHER_UHID, OTHER_NAME = "UG987654321B", "Mary Nansubuga"
SARAH, JAMES = "prov-abc-123", "prov-def-456"
MULAGO, KAMPALA = "fac-xyz-789", "fac-kla-002"

BOOKING: Mapping[str, Any] = {
    "patient_uhid": UHID,
    "practitioner_id": SARAH,
    "service_type_code": "consultation",
    "start_time": "2024-01-20T10:00:00Z",
}
"""The required members alone; slot-002 is Sarah's free slot at that time."""

ACTIONS = ("cancel", "reschedule", "check-in", "arrived", "fulfilled", "noshow")
ACTION_BODIES: Mapping[str, Json] = {
    "cancel": {"cancellation_reason_code": "patient-request"},
    "reschedule": {"new_start_time": "2024-01-22T14:00:00Z"},
}

_TYPES = {400: "validation_error", 401: "authentication_error", 403: "authentication_error", 422: "validation_error"}
_TYPES |= {429: "rate_limit_error", 500: "api_error", 503: "api_error"}


def booking(**changes: Any) -> Json:
    """Return the booking with `changes`; None leaves a member out."""
    return {name: value for name, value in {**BOOKING, **changes}.items() if value is not None}


def action_path(ident: str, action: str) -> str:
    """Return the path of an action."""
    return f"{PATH}{ident}/{action}/"


def practitioner(ident: str, name: str) -> Json:
    """Return a Practitioner."""
    return {"resourceType": "Practitioner", "id": ident, "name": [{"text": name}]}


def location(ident: str, name: str) -> Json:
    """Return a Location."""
    return {"resourceType": "Location", "id": ident, "name": name}


def patient(ident: str, uhid: str, name: str, system: str = DEFAULT_SYSTEMS.uhid) -> Json:
    """Return a Patient with a UHID."""
    identifier = {"system": system, "value": uhid}
    return {"resourceType": "Patient", "id": ident, "identifier": [identifier], "name": [{"text": name}]}


def concept(system: str, code: str) -> list[Json]:
    """Return a list of one CodeableConcept."""
    return [{"coding": [{"system": system, "code": code}]}]


def schedule(ident: str, *actors: str, **members: Any) -> Json:
    """Return an active Schedule of `actors` (``Practitioner/p``); `members` change it."""
    resource = {"resourceType": "Schedule", "id": ident, "active": True}
    return resource | {"actor": [{"reference": actor} for actor in actors]} | members


def slot(ident: str, start: str, end: str, status: str = "free", of: str = "sarah", **members: Any) -> Json:
    """Return a Slot of the Schedule `of` from `start` to `end` (``2024-01-20T10:00``, UTC)."""
    resource = {"resourceType": "Slot", "id": ident, "schedule": {"reference": f"Schedule/{of}"}}
    return resource | {"status": status, "start": f"{start}:00Z", "end": f"{end}:00Z"} | members


def appointment(ident: str, status: str = "booked", start: str | None = "2024-01-20T10:00", **members: Any) -> Json:
    """Return a half-hour Appointment of John with Sarah; `members` change it, None leaves one out."""
    actors = [
        {
            "reference": "Patient/john",
            "display": NAME,
            "identifier": {"system": DEFAULT_SYSTEMS.uhid, "value": UHID},
        },
        {"reference": f"Practitioner/{SARAH}", "display": "Dr. Sarah Nakamya"},
        {"reference": f"Location/{MULAGO}", "display": "Mulago Hospital"},
    ]
    whole: Json = {
        "resourceType": "Appointment",
        "id": ident,
        "status": status,
        "participant": [{"actor": actor, "status": "accepted"} for actor in actors],
    }
    if start is not None:
        whole |= {"start": f"{start}:00Z", "end": shift(f"{start}:00Z", 30)}
    return {name: value for name, value in {**whole, **members}.items() if value is not None}


def with_actors(*references: str) -> list[Json]:
    """Return participants that are named by reference alone."""
    return [{"actor": {"reference": reference}, "status": "accepted"} for reference in references]


async def put(store: Store, *resources: Json) -> None:
    """Store resources as a FHIR write would: new ones, or the next version of stored ones."""

    async def step(work: UnitOfWork) -> None:
        for kind in {resource["resourceType"] for resource in resources}:
            wanted = {resource["id"]: resource for resource in resources if resource["resourceType"] == kind}
            found = {one["id"]: one for one in await work.find(kind, {"_id": {"$in": list(wanted)}})}
            await work.last_versions([f"{kind}/{ident}" for ident in wanted if ident not in found])
            for ident, resource in wanted.items():
                if ident in found:
                    work.update(found[ident], resource)
                else:
                    work.create(resource)

    await store.transact(step)


async def stored(store: Store, kind: str, ident: str) -> Json:
    """Return a stored resource, which must be there."""
    raw = await store.read(kind, ident)
    assert raw is not None, f"{kind}/{ident} is not stored"
    found: Json = orjson.loads(raw)
    return found


async def slot_status(store: Store, ident: str) -> str:
    """Return the status of a stored Slot."""
    status: str = (await stored(store, "Slot", ident))["status"]
    return status


@repeatable
async def open_clinic(store: Store) -> None:
    """Store Sarah with three slots at Mulago, James who publishes none, and John whose UHID is known."""
    await put(
        store,
        practitioner(SARAH, "Dr. Sarah Nakamya"),
        practitioner(JAMES, "Dr. James Okello"),
        location(MULAGO, "Mulago Hospital"),
        location(KAMPALA, "Kampala Family Clinic"),
        patient("john", UHID, NAME),
        schedule(
            "sarah",
            f"Practitioner/{SARAH}",
            f"Location/{MULAGO}",
            specialty=concept(DEFAULT_SYSTEMS.specialty, "general-practice"),
            serviceType=concept(DEFAULT_SYSTEMS.service_type, "consultation"),
        ),
        slot("slot-001", "2024-01-20T09:00", "2024-01-20T09:30"),
        slot("slot-002", "2024-01-20T10:00", "2024-01-20T10:30"),
        slot("slot-003", "2024-01-20T10:30", "2024-01-20T11:00"),
    )


def refused(answer: httpx.Response, status: int, *named: tuple[str, str | None]) -> Json:
    """Check that an answer is the documented envelope with these (code, param) in order; return its ``error``."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    kind = _TYPES.get(status, "invalid_request_error")
    assert error["doc_url"] == f"https://docs.mediloop.co/errors/{kind}"
    assert [(one["code"], one.get("param")) for one in error["errors"]] == list(named)
    assert error == error | error["errors"][0]
    for one in error["errors"]:
        assert one["type"] == kind
        assert one["message"].endswith((".", "?"))
    for secret in (UHID, OTHER_UHID, *NAME.split(), *OTHER_NAME.split()):
        assert secret not in answer.text
    found: Json = error
    return found


def malformed(answer: httpx.Response, *params: str | None) -> Json:
    """Check that an answer is 400 and names just these members."""
    return refused(answer, 400, *(("invalid_request_error", param) for param in params))


def ids(answer: httpx.Response) -> list[str]:
    """Return the ids in a list that was answered."""
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["results"]]
