"""The twelve endpoints (https://docs.mediloop.co/docs/api/appointments).

Paths carry the page's trailing slash; `adapter.gate` reads a path without it as the same. The names of
lists (``availability``) are never read as ids. After the lists comes what is called most: each path is tried in turn.
"""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from adapter.errors import Malformed
from adapter.mediloop import actions, answers, directory, headers, lists
from adapter.mediloop.describe import operation
from adapter.mediloop.parsing import Unsound, read_body, read_query
from adapter.mediloop.requests import (
    ActionRequest,
    AvailabilityQuery,
    BookRequest,
    CancelRequest,
    ListQuery,
    NoParameters,
    PatientQuery,
    PractitionerQuery,
    RescheduleRequest,
)
from adapter.routes import DirectRoute
from adapter.scheduling import holds
from adapter.security.callers import Caller, allowed
from mappings import appointment as lens


class _AppointmentId(StringConvertor):
    """An id as part of a path: never the name of a list, though FHIR allows such ids."""

    regex = "(?!(?:availability|by-patient|by-practitioner)/)[^/]+"


register_url_convertor("appointment", _AppointmentId())

router = APIRouter(prefix="/api/v1/appointments", tags=["Appointments"], route_class=DirectRoute)

Reader = Annotated[Caller, Depends(allowed("appointments", "read"))]
SlotReader = Annotated[Caller, Depends(allowed("slots", "read"))]
Writer = Annotated[Caller, Depends(allowed("appointments", "write"))]
AppointmentId = Annotated[str, Path(description="ID of the appointment.")]

_LISTING = (413,)
_CHANGING = (404, 409, 413, 415, 422)
_ACTION = operation("Appointment", body=ActionRequest, body_required=False, errors=_CHANGING)


@router.get("/availability/", openapi_extra=operation("SlotList", query=AvailabilityQuery, errors=_LISTING))
async def availability(request: Request, who: SlotReader) -> Response:
    """Search available slots, ordered by start time."""
    return await lists.availability(who, read_query(request, AvailabilityQuery))


@router.get("/by-patient/", openapi_extra=operation("AppointmentList", query=PatientQuery, errors=_LISTING))
async def by_patient(request: Request, who: Reader) -> Response:
    """Get a patient's appointments."""
    return await lists.appointments(who, read_query(request, PatientQuery))


@router.get("/by-practitioner/", openapi_extra=operation("AppointmentList", query=PractitionerQuery, errors=_LISTING))
async def by_practitioner(request: Request, who: Reader) -> Response:
    """Get a practitioner's appointments."""
    return await lists.appointments(who, read_query(request, PractitionerQuery))


@router.get("/{id:appointment}/", openapi_extra=operation("Appointment", errors=(404,)))
async def detail(id: AppointmentId, request: Request, who: Reader) -> Response:
    """Get appointment details."""
    read_query(request, NoParameters)
    await holds.settle_due(who.store)
    raw = await who.store.read("Appointment", id)
    resource = None if raw is None else orjson.loads(raw)
    if resource is None or not lens.shown(resource, vocabulary=who.service.vocabulary):
        raise actions.not_found()
    [shown] = await answers.appointments(who, [resource])
    return Response(orjson.dumps(shown), media_type="application/json")


@router.get("/", openapi_extra=operation("AppointmentList", query=ListQuery, errors=_LISTING))
async def list_appointments(request: Request, who: Reader) -> Response:
    """List appointments, ordered by start time."""
    return await lists.appointments(who, read_query(request, ListQuery))


@router.post(
    "/",
    openapi_extra=operation("Appointment", status=201, body=BookRequest, overbook=True, errors=(409, 413, 415, 422)),
)
async def book(request: Request, who: Writer) -> Response:
    """Book an appointment."""
    try:
        wanted, raw = await read_body(request, BookRequest)
    except Unsound as refused:
        raise Malformed([*refused.problems, *await directory.unknown(who, refused.sound)]) from None
    return await actions.book(who, wanted, headers.once(request, who, raw), headers.overbooking(request, who))


@router.post("/{id:appointment}/cancel/", openapi_extra=operation("Appointment", body=CancelRequest, errors=_CHANGING))
async def cancel(id: AppointmentId, request: Request, who: Writer) -> Response:
    """Cancel an appointment; its slots become free."""
    wanted, raw = await read_body(request, CancelRequest)
    return await actions.cancel(who, id, wanted, headers.once(request, who, raw))


@router.post(
    "/{id:appointment}/reschedule/",
    openapi_extra=operation("Appointment", body=RescheduleRequest, overbook=True, errors=_CHANGING),
)
async def reschedule(id: AppointmentId, request: Request, who: Writer) -> Response:
    """Move an appointment to another time; it keeps its id, and its length where only a start is given."""
    wanted, raw = await read_body(request, RescheduleRequest)
    overbook = headers.overbooking(request, who)
    return await actions.reschedule(who, id, wanted, headers.once(request, who, raw), overbook)


@router.post("/{id:appointment}/check-in/", openapi_extra=_ACTION)
async def check_in(id: AppointmentId, request: Request, who: Writer) -> Response:
    """Check in the patient."""
    return await _advance(id, request, who, "checked-in")


@router.post("/{id:appointment}/arrived/", openapi_extra=_ACTION)
async def arrived(id: AppointmentId, request: Request, who: Writer) -> Response:
    """Mark the patient as arrived."""
    return await _advance(id, request, who, "arrived")


@router.post("/{id:appointment}/fulfilled/", openapi_extra=_ACTION)
async def fulfilled(id: AppointmentId, request: Request, who: Writer) -> Response:
    """Mark the appointment as complete."""
    return await _advance(id, request, who, "fulfilled")


@router.post("/{id:appointment}/noshow/", openapi_extra=_ACTION)
async def noshow(id: AppointmentId, request: Request, who: Writer) -> Response:
    """Mark the appointment as a no-show; its slot stays busy."""
    return await _advance(id, request, who, "noshow")


async def _advance(ident: str, request: Request, who: Caller, status: str) -> Response:
    _, raw = await read_body(request, ActionRequest, optional=True)
    return await actions.advance(who, ident, status, headers.once(request, who, raw))


for _route in [one for one in router.routes if isinstance(one, DirectRoute) and one.methods == {"GET"}]:
    _path = _route.path.removeprefix(router.prefix)
    router.add_api_route(_path, _route.endpoint, methods=["HEAD"], include_in_schema=False)
