"""The FHIR endpoints so far: capabilities and read, for every declared type (https://hl7.org/fhir/R4/http.html).

Routes, permissions and the CapabilityStatement all follow from `DECLARED`. What is served are the stored bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

import orjson
from fastapi import APIRouter, Request, Response

from adapter.errors import NotFound, Problem
from adapter.fhir.capability import capability_statement
from adapter.fhir.outcome import MEDIA_TYPE
from adapter.routes import DirectRoute
from adapter.security.callers import caller
from adapter.security.permissions import Resource, require
from adapter.service import Service

BASE = "/fhir/R4"
router = APIRouter(prefix=BASE, tags=["FHIR R4"], route_class=DirectRoute)


@dataclass(frozen=True, slots=True)
class Declared:
    """A FHIR resource type that the door serves.

    Attributes:
        name: the FHIR type.
        permission: the resource that a key's permissions call it.
        interactions: what may be done, in FHIR's words.
    """

    name: str
    permission: Resource
    interactions: tuple[str, ...] = ("read",)


DECLARED: Mapping[str, Declared] = {
    declared.name: declared
    for declared in (
        Declared("Appointment", "appointments"),
        Declared("Slot", "slots"),
        Declared("Schedule", "schedules"),
        Declared("Patient", "patients"),
        Declared("Practitioner", "practitioners"),
        Declared("Location", "locations"),
    )
}


@router.get("/metadata")
async def metadata(request: Request) -> Response:
    """The CapabilityStatement: what this server can do; no key needed."""
    service: Service = request.app.state.service
    statement = capability_statement(DECLARED.values(), str(request.base_url).rstrip("/") + BASE, service.now())
    return Response(orjson.dumps(statement), media_type=MEDIA_TYPE)


@router.get("/{type}/{id}")
async def read(type: str, id: str, request: Request) -> Response:
    """Read a resource, as it is stored."""
    who = caller(request)
    declared = DECLARED.get(type)
    if declared is None:
        raise NotFound(Problem("unknown_type", f"This server has no {type}. See {BASE}/metadata for the types it has."))
    require(who.key, declared.permission, "read")
    raw = await who.store.read(type, id)
    if raw is None:
        raise NotFound(Problem("unknown_resource", f"There is no {type} with that id."))
    meta = orjson.loads(raw)["meta"]
    return Response(raw, headers=version_headers(meta), media_type=MEDIA_TYPE)


def version_headers(meta: Mapping[str, str]) -> dict[str, str]:
    """Return ETag and Last-Modified of a stored resource."""
    changed = datetime.fromisoformat(meta["lastUpdated"]).astimezone(UTC)
    return {"ETag": f'W/"{meta["versionId"]}"', "Last-Modified": format_datetime(changed, usegmt=True)}
