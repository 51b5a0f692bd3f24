"""``Appointment/$hold`` (IHE ITI-116) and ``Appointment/$book`` (ITI-117): by reference, by value; change and cancel.

What to do is told by the status in ``appointment-resource``, as IHE has it: ``pending`` is a new booking, ``booked`` a
change, ``cancelled`` a cancellation. Whether it may be is decided where every write is (`adapter.scheduling`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from adapter.aside import aside
from adapter.errors import Malformed, Problem, Refused, Unprocessable, few
from adapter.fhir import validation
from adapter.fhir.access import require_type
from adapter.fhir.call import Call, Reply
from adapter.fhir.operations.scheduling import targets
from adapter.fhir.operations.scheduling.answers import written
from adapter.fhir.operations.scheduling.asked import Asked, bad
from adapter.fhir.operations.scheduling.patients import brought, joined, with_patients
from adapter.fhir.operations.scheduling.placing import moved, on_schedules
from adapter.fhir.operations.scheduling.targets import KIND, Target, target
from adapter.fhir.writes import Write
from adapter.fhir.writing import carry_out
from adapter.scheduling import claims, holds
from adapter.scheduling.road import Step
from store.codec import Resource
from store.extract import id_of
from store.unit_of_work import UnitOfWork

HOLDS = ("appointment-reference",)
BOOKS = (
    *("appointment-reference", "appointment-resource", "patient-resource", "patient-reference"),
    *("cancelled-appt-id", "comment", "overbook", "schedule"),
)

_REPLACED = "cancelled-appt-id"
_TO_BE_BOOKED = ("proposed", "pending", "waitlist")
_BACKWARDS = "end_before_start"
_TELLING = frozenset((_BACKWARDS, "subsetted"))  # the faults beside which others can be looked for


async def hold(call: Call, kind: str, ident: str | None) -> Reply:
    """Hold a proposed appointment for a moment: ``pending``, its Slots busy-tentative, until the time in ``Expires``.

    Raises:
        Forbidden: the key may not write appointments and read slots. Malformed: no appointment is named.
    """
    _require(call)
    asked = await Asked.of(call, HOLDS)
    named = _named(call, asked, ident) or ""
    if ident is None and not asked.all("appointment-reference"):
        text = "Name the appointment."
        asked.note(Problem("invalid_parameter", text, "appointment-reference", issue="required"))
    asked.require_sound()
    service = call.who.service

    async def step(work: UnitOfWork) -> Resource:
        found = await target(call, work, named)
        targets.require_bookable(found, "pending")
        until = work.now + timedelta(seconds=service.settings.hold_seconds)
        held = await with_patients(call, work, found.resource)
        held = holds.holding(held, until, service.systems.extensions)
        return await done(call, work, [found.write(held)], named=found.named(held))

    return await written(call, step, holding=True)


async def book(call: Call, kind: str, ident: str | None) -> Reply:
    """Book, change or cancel an appointment.

    Raises:
        Forbidden: the key may not write appointments (or patients, where one is sent) and read slots.
        Malformed: neither a reference nor a resource, or one that is not valid.
    """
    _require(call)
    asked = await Asked.of(call, BOOKS, bare="appointment-resource")
    named = _named(call, asked, ident)
    sent = asked.resources("appointment-resource", KIND)
    given = [name for name in ("appointment-reference", "appointment-resource") if asked.all(name)]
    if len(asked.all("appointment-resource")) > 1 or not (given or ident):
        text = "Give one appointment: as appointment-reference, or as appointment-resource."
        asked.note(Problem("invalid_parameter", text, "appointment-reference", issue="required"))
    resource = sent[0] if sent else None
    beside = _Beside.of(call, asked)
    judged = [*((one, KIND) for one in sent[:1]), *((one, "Patient") for one in beside.patients)]
    faults = await aside(lambda: _faults(asked, judged), much=call.large)
    _note_contradictions(asked, named, resource, beside)
    asked.require_sound()
    if beside.schedules:
        require_type(call.who, "Schedule", "read")
    status = (resource or {}).get("status", "pending")
    is_new = status in _TO_BE_BOOKED or (status == "booked" and "id" not in (resource or {}) and named is None)
    if resource is None or is_new:
        return await _book_anew(call, named, resource, beside, faults)
    _require_of_a_change(call, asked, resource, beside)
    return await _change(call, named or resource.get("id"), resource, beside, faults)


@dataclass(frozen=True, slots=True)
class _Beside:
    """What ``$book`` is told beside the appointment.

    Attributes:
        patients: Patients who join, some of whom may have to be stored.
        known: references to patients who join.
        replaced: ids of appointments that it replaces, each once.
        schedules: Schedules to book on (ISiK), each once.
        comment: for the appointment.
        overbook: why to book over what is in the way.
    """

    patients: list[Resource]
    known: list[Resource]
    replaced: list[str]
    schedules: list[str]
    comment: str | None
    overbook: str | None

    @classmethod
    def of(cls, call: Call, asked: Asked) -> _Beside:
        """Read it; what is wrong is noted."""
        return cls(
            patients=asked.resources("patient-resource", "Patient"),
            known=asked.references("patient-reference", "Patient", base=call.base),
            replaced=[id_of(name) for name in dict.fromkeys(asked.names(_REPLACED, KIND, call.base))],
            schedules=list(dict.fromkeys(asked.names("schedule", "Schedule", call.base))),
            comment=asked.text("comment"),
            overbook=asked.text("overbook"),
        )


def _note_contradictions(asked: Asked, named: str | None, resource: Resource | None, beside: _Beside) -> None:
    """Note that the resource is of another appointment than the one that is named, or that one is to replace itself."""
    own = (resource or {}).get("id")
    if named is not None and own not in (None, named):
        text = "It has the id of another appointment than the one that is named. Name one appointment."
        asked.note(bad(asked.all("appointment-resource")[0], text))
    about = named or own
    if about in beside.replaced:
        text = f"{_REPLACED} names the appointment that is to be booked. Leave it out, or name another one."
        asked.note(bad(asked.all(_REPLACED)[0], text))


async def _book_anew(
    call: Call, named: str | None, resource: Resource | None, beside: _Beside, faults: list[Problem]
) -> Reply:
    if beside.patients:
        require_type(call.who, "Patient", "read")
        require_type(call.who, "Patient", "write")

    async def step(work: UnitOfWork) -> Resource:
        found = await _to_book(call, work, named, resource)
        targets.require_bookable(found, "booked")
        new, actors = await brought(call, work, beside.patients)
        after = targets.booked(call, work, found.resource | (resource or {}), beside.overbook)
        after = joined(call, await with_patients(call, work, after, beside.known, new), actors)
        after = targets.commented(after, beside.comment)
        targets.require_patient(call, found, after)
        slots = found.named(after)
        writes = list(new)
        leaving: list[Resource] = []
        for replaced_id in beside.replaced:
            before = await target(call, work, replaced_id, proposals=False, conditional=False, param=_REPLACED)
            targets.require_cancellable(before.resource, _REPLACED)
            writes.append(before.write(targets.cancelled(call, work, before.resource)))
            leaving.append(before.resource)
        if beside.schedules:
            after = await on_schedules(call, work, found.resource, after, beside.schedules, replaced=leaving)
        return await done(call, work, [found.write(after), *writes], named=slots)

    return await written(call, _told_with(faults, step), status=200 if resource is None else 201)


async def _to_book(call: Call, work: UnitOfWork, named: str | None, resource: Resource | None) -> Target:
    """Return what is to become a booking: what is named; or a new one, with the id that a resource brings or none."""
    ident = named or (resource or {}).get("id")
    if ident is not None:
        return await target(call, work, ident)
    targets.require_version(call, None)
    return Target({"id": str(uuid.uuid4())}, stored=False)


def _require_of_a_change(call: Call, asked: Asked, resource: Resource, beside: _Beside) -> None:
    """Make sure that a change or a cancellation passes over nothing: whom it is for it says by the resource itself.

    Raises:
        Malformed: with each parameter that is for a new booking alone.
    """
    joining = joined(call, resource, beside.known)["participant"] != resource["participant"]
    names = ("patient-reference",) * joining + ("patient-resource", "cancelled-appt-id", "overbook")
    wrong = [one for name in names for one in asked.all(name)]
    if wrong:
        text = "{} is for a new booking. Leave it out, and say in appointment-resource what is to be changed."
        raise Malformed(few([bad(one, text.format(one.name), "not-supported") for one in wrong]))


async def _change(call: Call, ident: str | None, resource: Resource, beside: _Beside, faults: list[Problem]) -> Reply:
    if ident is None:
        text = f"An appointment that is to be {resource['status']} needs its id."
        raise Malformed(Problem("invalid_parameter", text, "Appointment.id", issue="required"))

    async def step(work: UnitOfWork) -> Resource:
        found = await target(call, work, ident, proposals=False)
        before = found.resource
        if resource["status"] == "cancelled":
            targets.require_cancellable(before)
            reason = resource.get("cancelationReason")
            after = targets.cancelled(call, work, before, reason, beside.comment or resource.get("comment"))
            return await done(call, work, [found.write(after)])
        if resource["status"] != "booked":
            text = "$book takes an appointment that is pending (book it), booked (change it) or cancelled (cancel it)."
            raise Unprocessable(Problem("invalid_status", text, "Appointment.status"))
        targets.require_stands(before)
        after = targets.commented(resource, beside.comment)
        targets.require_patient(call, found, after, (f"{KIND}.participant",))
        slots = found.named(after)
        if targets.moved(before, after) and after.get("slot", before.get("slot")) == before.get("slot"):
            after = {name: value for name, value in after.items() if name != "slot"}  # others are looked for
            links = [] if beside.schedules else await moved(call, work, before, after, ())
            after |= {"slot": links} if links else {}
        if beside.schedules:
            after = await on_schedules(call, work, before, after, beside.schedules)
        return await done(call, work, [found.write(after)], named=slots)

    return await written(call, _told_with(faults, step))


async def done(call: Call, work: UnitOfWork, writes: Sequence[Write], *, named: Iterable[str] = ()) -> Resource:
    """Have writes decided and staged; return what the first one makes.

    `named`: the Slots that the call names for it: where they are busy for nobody, who may write Slots fills them, as by
    any other write. All others that it is to have were found, and have to be free, whoever asks.
    """
    found = {*claims.slots(writes[0].resource or {})}.difference(named)
    first = (await carry_out(work, call.who, call.base, writes, free=found))[0].resource
    if first is None:
        raise AssertionError("nothing is deleted here")
    return first


def _require(call: Call) -> None:
    require_type(call.who, KIND, "write")
    require_type(call.who, "Slot", "read")


def _named(call: Call, asked: Asked, ident: str | None) -> str | None:
    found = asked.names("appointment-reference", KIND, call.base)
    if len(asked.all("appointment-reference")) + (ident is not None) > 1:
        asked.note(Problem("invalid_parameter", "Name one appointment.", "appointment-reference"))
    return ident or (id_of(found[0]) if found else None)


def _faults(asked: Asked, resources: Iterable[tuple[Resource, str]]) -> list[Problem]:
    """Return the rules that resources break by themselves (422); note where one is no valid resource of its type."""
    found: list[Problem] = []
    for resource, kind in resources:
        try:
            validation.require_valid(resource, kind)
        except Unprocessable as refused:
            found += refused.problems
        except Malformed as refused:
            asked.note(*refused.problems)
    return found


def _told_with(faults: list[Problem], step: Step[Resource]) -> Step[Resource]:
    """Return `step`, refused for `faults`, and at once for what else is wrong with the booking."""
    if not faults:
        return step

    async def refusing(work: UnitOfWork) -> Resource:
        told, codes = list(faults), {fault.code for fault in faults}
        if codes <= _TELLING:  # of what has no time, or too much of it, nothing more can be said
            try:
                await step(work)
            except Refused as refused:
                if refused.status == Unprocessable.status:
                    again = "invalid_time" if _BACKWARDS in codes else None  # scheduling's word for it
                    told += [one for one in refused.problems if one.code != again]
        raise Unprocessable(told)

    return refusing
