"""What MediLoop callers do to appointments: each a step for the one road of writes.

The lens changes what MediLoop's words express and leaves the rest of the FHIR document as it was; scheduling
decides whether it may.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from fastapi import Response

from adapter import clock
from adapter.errors import Conflict, NotFound, Problem, Refused, Unavailable, Unprocessable
from adapter.mediloop import answers, directory, numbers
from adapter.mediloop.fields import require_nameable
from adapter.mediloop.requests import BookRequest, CancelRequest, RescheduleRequest
from adapter.metrics import BOOKINGS
from adapter.scheduling import claims, commands, moments, occupancy
from adapter.scheduling.road import Answer, Once, Step, travel
from adapter.scheduling.status import require_reschedulable
from adapter.scheduling.wish import BOOKING, MOVING, Names
from adapter.security.callers import Caller
from mappings import appointment as lens
from mappings.elements import NOBODY
from mappings.instants import minutes_between, parse, shift
from mappings.references import LOCATION, kind_of, own_name
from store.codec import Resource
from store.errors import NotUnique
from store.extract import id_of, reference, walk
from store.unit_of_work import UnitOfWork

T = TypeVar("T")

# Each clash passes over all that is used there: only who writes numbers at this very moment makes another one.
_NUMBER_TRIES = 20


def _recorded(who: Caller, resource: Resource, why: str | None) -> Resource:
    marked = occupancy.overbooking(resource, why, who.service.systems.extensions)
    return marked if why is None else occupancy.signed(marked, who.key.id)


async def book(who: Caller, wanted: BookRequest, repeat: Once | None, overbook: str | None = None) -> Response:
    """Book an appointment (POST /api/v1/appointments/); `overbook` is the reason for booking over others."""
    changes = wanted.model_dump(exclude={"slot_id"})
    contradictions = _settle_length(changes, wanted.start_time, wanted.end_time, wanted.duration_minutes)
    names = BOOKING if wanted.end_time is not None else BOOKING._replace(end="duration_minutes")
    changes |= {"id": str(uuid.uuid4()), "status": "booked"}
    changes = {name: value for name, value in changes.items() if value is not None}
    named = {"practitioner_name": f"Practitioner/{wanted.practitioner_id}"}
    if wanted.facility_id is not None:
        named["facility_name"] = f"Location/{wanted.facility_id}"
    known: dict[str, Resource] = {}

    async def step(work: UnitOfWork) -> Resource:
        shown, unknown, stored, patient = await directory.look_up(
            who, work, wanted.patient_uhid, wanted.practitioner_id, wanted.facility_id
        )
        found = [*contradictions, *unknown]
        known.clear()
        known.update(stored)
        made = {"appointment_number": str(number), "created_at": clock.text(work.now)}
        draft = _lens(who, lens.blank(), changes | shown | made)
        nameless = {member: name for member, name in named.items() if member not in shown}
        draft = _recorded(who, draft, overbook)
        if patient is not None:
            draft["participant"][0]["actor"]["reference"] = patient
        planning = commands.plan(work, draft, slot_id=wanted.slot_id, names=names, overbooks=overbook is not None)
        planned = await _all_told(found, planning)
        _require_nameable_end(planned, names)
        if called := _called(nameless, planned.schedules):
            planned = replace(planned, appointment=_lens(who, planned.appointment, called))
        return commands.stage(work, None, await _placed(who, work, planned))

    for _ in range(_NUMBER_TRIES):
        number = await numbers.following(who)
        try:
            return await _write(
                who, step, status=201, repeat=repeat, booking=True, known=known, sought=wanted.patient_uhid
            )
        except NotUnique:
            await numbers.pass_over(who, number)
    text = "Others used each appointment number first: nothing was booked. Repeat the request."
    raise Unavailable(Problem("service_unavailable", text), headers={"Retry-After": "1"})


async def cancel(who: Caller, ident: str, wanted: CancelRequest, repeat: Once | None) -> Response:
    """Cancel an appointment and free its slots (POST .../cancel/)."""
    return await _advance(who, ident, "cancelled", wanted.model_dump(), repeat)


async def advance(who: Caller, ident: str, status: str, repeat: Once | None) -> Response:
    """Move an appointment along (POST .../check-in/, arrived/, fulfilled/, noshow/)."""
    return await _advance(who, ident, status, {}, repeat)


async def reschedule(
    who: Caller, ident: str, wanted: RescheduleRequest, repeat: Once | None, overbook: str | None = None
) -> Response:
    """Move an appointment to another time; it keeps its id, and its length where only a start is given.

    `overbook` is the reason for booking over others there; without one it is no longer booked over any.
    """

    async def step(work: UnitOfWork) -> Resource:
        before = await _found(who, work, ident)
        require_reschedulable(before["status"])
        start, end = wanted.new_start_time, wanted.new_end_time
        changes: dict[str, Any] = {
            "start_time": start,
            "rescheduled_at": clock.text(work.now),
            "reschedule_reason": wanted.reason,
        }
        found: list[Problem] = []
        if end is not None and parse(end) <= parse(start):
            text = "new_end_time must be after new_start_time."
            found.append(Problem("invalid_time", text, "new_end_time"))
            end = None
        if end is not None:
            changes |= {"end_time": end, "duration_minutes": max(1, minutes_between(start, end))}
        elif wanted.new_slot_id is None:
            changes["end_time"] = commands.ending(before, start)
        moved = _recorded(who, _lens(who, before, changes), overbook)
        if "end_time" not in changes:
            moved.pop("end", None)  # the named slot gives the length, as it does for a booking
        moving = commands.reschedule(
            work,
            before,
            moved,
            slot_id=wanted.new_slot_id,
            names=MOVING,
            overbooks=overbook is not None,
            bases=who.service.settings.fhir_bases,
        )
        planned = await _all_told(found, moving)
        _require_nameable_end(planned, MOVING)
        return commands.stage(work, before, await _placed(who, work, planned))

    return await _write(who, step, repeat=repeat, booking=True)


async def _advance(who: Caller, ident: str, status: str, changes: Mapping[str, Any], repeat: Once | None) -> Response:
    async def step(work: UnitOfWork) -> Resource:
        before = await _found(who, work, ident)
        moved = _lens(who, before, {**changes, "status": status})
        after = moments.stamped(before, moved, who.service.systems, work.now)
        return await commands.advance(work, before, after, who.service.settings.fhir_bases)

    return await _write(who, step, repeat=repeat)


async def _write(
    who: Caller,
    step: Step[Resource],
    *,
    repeat: Once | None,
    status: int = 200,
    booking: bool = False,
    known: Mapping[str, Resource] = NOBODY,
    sought: str | None = None,
) -> Response:
    """Write what `step` makes; `known` is who it has read, each time that it runs, `sought` the UHID it looked for."""
    shown = directory.People()

    async def whole(work: UnitOfWork) -> Resource:
        nonlocal shown
        resource = await step(work)
        shown = await directory.known_for(who, [resource], known, sought=[sought] if sought else ())
        return resource

    def shape(resource: Resource) -> bytes:
        return orjson.dumps(answers.appointment(who.service, resource, shown))

    try:
        answer: Answer = await travel(who.store, whole, shape, status=status, once=repeat)
    except Refused as refused:
        raise _counted(refused) if booking else refused from None
    if booking and not answer.replayed:
        BOOKINGS.labels("accepted").inc()
    headers = {"X-Idempotency-Replayed": "true"} if answer.replayed else None
    return Response(answer.body, answer.status, headers, "application/json")


def _counted(refused: Refused) -> Refused:
    BOOKINGS.labels(refused.problems[0].code).inc()
    return refused


async def _all_told(found: Sequence[Problem], planning: Awaitable[T]) -> T:
    """Await a plan; what was found wrong before is told together with what contradicts it."""
    if not found:
        return await planning
    further: tuple[Problem, ...] = ()
    try:
        await planning
    except Unprocessable as refused:
        further = refused.problems
    except Conflict:
        pass  # it may only follow from what is wrong: a facility that does not exist has no free slot
    raise Unprocessable([*found, *further])


async def _found(who: Caller, work: UnitOfWork, ident: str) -> Resource:
    resource = await work.read("Appointment", ident)
    if resource is None or not lens.shown(resource, vocabulary=who.service.vocabulary):
        raise not_found()
    return resource


def not_found() -> NotFound:
    """Return the refusal for an appointment that is not there (or entered in error, which MediLoop does not show)."""
    return NotFound(Problem("appointment_not_found", "There is no appointment with that id.", "id"))


def _lens(who: Caller, resource: Resource, changes: Mapping[str, Any]) -> Resource:
    return lens.update(resource, changes, systems=who.service.systems, vocabulary=who.service.vocabulary)


def _settle_length(changes: dict[str, Any], start: str, end: str | None, minutes: int | None) -> list[Problem]:
    """Make end and duration agree; where neither is given, the slot or the default decides later."""
    if end is None:
        if minutes is not None:
            changes["end_time"] = shift(start, minutes)
        return []
    if parse(end) <= parse(start):
        del changes["end_time"]
        return [Problem("invalid_time", "end_time must be after start_time.", "end_time")]
    length = minutes_between(start, end)
    if minutes is not None and minutes != length:
        return [
            Problem(
                "invalid_time",
                f"end_time is {length} minutes after start_time, but duration_minutes is {minutes}. Give one of them.",
                "duration_minutes",
            )
        ]
    changes["duration_minutes"] = max(1, length)
    return []


def _require_nameable_end(planned: commands.Plan, names: Names) -> None:
    """Make sure that the end is one that requests can name, where it follows from the start too."""
    try:
        require_nameable(planned.appointment["end"])
    except ValueError as error:
        text = f"The appointment would end too late: {error}."
        raise Unprocessable(Problem("invalid_time", text, names.start)) from None


async def _placed(who: Caller, work: UnitOfWork, planned: commands.Plan) -> commands.Plan:
    """Add the facility of the slots taken, where the appointment says none and the slots are all at one.

    A room that moves along is within the facility: the slots of practitioners tell which that is.
    """
    visit = planned.appointment
    if any(kind_of(actor, visit, who.service.systems) == LOCATION for actor in walk(visit, "participant.actor")):
        return planned
    schedules = [schedule for schedule in planned.schedules if claims.offering(schedule)]
    places = {name for one in schedules for name in claims.places_of(one)}
    if len(places) != 1:
        return planned
    place = places.pop()
    location = await work.read("Location", id_of(place))
    name = None if location is None else own_name(location)
    called = _called({"facility_name": place}, schedules) if name is None else {"facility_name": name}
    changes = {"facility_id": id_of(place)} | called
    return replace(planned, appointment=_lens(who, visit, changes))


def _called(nameless: Mapping[str, str], schedules: Sequence[Resource]) -> dict[str, str]:
    """Return what Schedules call who and where has no name here, by member: availability has shown them so."""
    actors = [actor for schedule in schedules for actor in walk(schedule, "actor") if "display" in actor]
    called = {reference(actor.get("reference", "")): actor["display"] for actor in actors}
    return {member: called[name] for member, name in nameless.items() if name in called}
