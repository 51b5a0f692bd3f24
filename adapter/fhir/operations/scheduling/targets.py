"""Which appointment an operation is about, and what it becomes: drafts, decided and written by others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter import clock
from adapter.errors import Conflict, Gone, Malformed, NotFound, Problem, Unprocessable
from adapter.fhir import negotiation, proposed, writing
from adapter.fhir.call import Call
from adapter.fhir.writes import Write
from adapter.scheduling import claims, holds, occupancy
from adapter.scheduling.status import move_problem
from mappings import appointment as lens
from mappings.elements import copied, put
from mappings.references import PATIENT, kind_of
from store import narrative
from store.codec import Resource, decode
from store.extract import instant
from store.unit_of_work import UnitOfWork

KIND = "Appointment"


@dataclass(frozen=True, slots=True)
class Target:
    """An appointment that is named.

    Attributes:
        resource: as it is stored, or was proposed.
        stored: whether it is stored; else it is a proposal, and its id is still nobody's.
    """

    resource: Resource
    stored: bool

    def named(self, after: Resource) -> set[str]:
        """Return the Slots that `after` names of itself: what was proposed was found for it, as it was free."""
        return {*claims.slots(after)}.difference(() if self.stored else claims.slots(self.resource))

    def write(self, after: Resource) -> Write:
        """Return the write that makes `after` of it."""
        ident = self.resource["id"]
        after = {**after, "id": ident}
        if self.stored:
            return Write("PUT", KIND, ident, resource=after, sent=False)
        return Write("POST", KIND, ident, resource=after)


async def target(
    call: Call, work: UnitOfWork, ident: str, *, proposals: bool = True, conditional: bool = True, param: str = KIND
) -> Target:
    """Find what is named; a proposal only where one will do: what becomes of that takes its place.

    Args:
        call: the call.
        work: the unit of work to read through.
        ident: of the appointment.
        proposals: whether a proposal will do.
        conditional: whether it is what preconditions are about: not where the call names another one as well.
        param: what names it.

    Raises:
        NotFound: there is none. Gone: it was proposed, and that has expired.
        PreconditionFailed: as `require_version`; what is only proposed has no version.
    """
    found = await _found(work, ident, proposals=proposals, param=param)
    if conditional:
        require_version(call, found.resource if found.stored else None)  # what is not stored has no version
    return found


def require_version(call: Call, found: Resource | None) -> None:
    """Let pass what has the version that If-Match names, or was not changed after If-Unmodified-Since, if there is one.

    Raises:
        PreconditionFailed: it has another version, or none; or was changed later.
    """
    unmodified_since = negotiation.http_date(call.headers.get("if-unmodified-since"))
    write = Write("PUT", KIND, if_match=call.headers.get("if-match"), unmodified_since=unmodified_since)
    writing.require_version(write, found)


async def _found(work: UnitOfWork, ident: str, *, proposals: bool, param: str) -> Target:
    stored = await work.read(KIND, ident)
    if stored is not None:
        return Target(stored, stored=True)
    found = (await work.take_up([ident])).get(ident) if proposals else None
    if found is None or await work.last_version(KIND, ident):  # what became of it was deleted
        text = (
            "There is no such appointment, stored or proposed. Search for time with Appointment/$find."
            if proposals
            else "No such appointment is stored. $hold or $book what $find has proposed, by its reference or as "
            "pending, and change it then."
        )
        raise NotFound(Problem("unknown_appointment", text, param))
    if found.expires <= work.now:
        raise proposed.expired(param)
    return Target(decode(found.raw), stored=False)


def require_bookable(found: Target, wanted: str) -> None:
    """Let pass what can be held, or booked: what is proposed, waits or is held.

    Raises:
        Gone: it was held, and the hold lapsed. Conflict: it is held or booked already.
        Unprocessable: it is in another status that does not lead there.
    """
    if not found.stored:
        return
    status = found.resource["status"]
    require_not_over(found.resource)
    if status == wanted or (wanted == "pending" and status == "booked"):
        done = "booked" if status == "booked" else "held"
        details = {"appointments": [found.resource["id"]]}
        raise Conflict(
            Problem(f"already_{done}", f"That appointment is {done} already.", "Appointment.status", details)
        )
    problem = move_problem(status, wanted, "Appointment.status")
    if problem is not None:
        raise Unprocessable(problem)


def require_not_over(found: Resource, param: str = "Appointment.status") -> None:
    """Let pass what is no hold that has ended: whatever it is to become, search again. `param`: what that is about.

    Raises:
        Gone: it was held, and that has lapsed or was given up.
    """
    if found["status"] == "cancelled" and holds.ended(found) is not None:
        text = "That hold has lapsed, or was given up. Search for time again, with Appointment/$find."
        raise Gone(Problem("hold_expired", text, param, issue="expired"))


def require_patient(
    call: Call, found: Target, after: Resource, params: Sequence[str] = ("patient-reference", "patient-resource")
) -> None:
    """Let pass what is booked for somebody; time that nobody proposed may be a practitioner's own.

    `params`: by which they are said.

    Raises:
        Malformed: `found` was proposed, or is held, for no patient, and `after` has none either.
    """
    before = found.resource  # of one that is given by value alone there is nothing but the id
    if holds.expires(before) is None if found.stored else "status" not in before:
        return
    systems = call.who.service.systems
    actors = [one["actor"] for one in after.get("participant", ()) if "actor" in one]
    if any(kind_of(actor, after, systems) in (PATIENT, None) for actor in actors):  # None: by an identifier alone
        return
    text = f"It was proposed for no patient. Say whom it is for: {', or '.join(params)}."
    raise Malformed(Problem("invalid_parameter", text, params[0], issue="required"))


def require_cancellable(found: Resource, param: str = "Appointment.status") -> None:
    """Let pass what may be cancelled; `param` is what a refusal is about.

    Raises:
        Gone: it was held, and that is over. Unprocessable: its status is final.
    """
    require_not_over(found, param)
    problem = move_problem(found["status"], "cancelled", param)
    if problem is not None:
        raise Unprocessable(problem)


def seen(call: Call, resource: Resource, changes: Mapping[str, Any]) -> Resource:
    """Return the appointment with what MediLoop's callers see of the change as well."""
    who = call.who.service
    return lens.update(resource, changes, systems=who.systems, vocabulary=who.vocabulary)


def cancelled(
    call: Call, work: UnitOfWork, before: Resource, reason: Resource | None = None, comment: str | None = None
) -> Resource:
    """Return the appointment, cancelled."""
    after = seen(call, before, {"status": "cancelled", "cancelled_at": clock.text(work.now)})
    if reason is not None:
        after["cancelationReason"] = reason
    return commented(after, comment)


def commented(appointment: Resource, comment: str | None) -> Resource:
    """Return the appointment with a comment, if there is one."""
    if comment is None:
        return appointment
    after: Resource = copied(appointment)
    put(after, "comment", comment)
    return after


def booked(call: Call, work: UnitOfWork, found: Resource, overbook: str | None) -> Resource:
    """Return the appointment as a new booking of what is proposed, held or given."""
    after = narrative.fitting({**found, "status": "booked"}, found)
    after.setdefault("created", clock.text(work.now))
    after["participant"] = [
        {**one, "status": "accepted"} if one.get("status") == "needs-action" and "actor" in one else one
        for one in after.get("participant", ())
    ]
    return after if overbook is None else occupancy.overbooking(after, overbook, call.who.service.systems.extensions)


def require_stands(found: Resource) -> None:
    """Let pass what is a booking, or may become one.

    Raises:
        Gone: it was held, and that has lapsed. Unprocessable: its status does not allow it.
    """
    if found["status"] != "booked":
        require_bookable(Target(found, stored=True), "booked")


def moved(before: Resource, after: Resource) -> bool:
    """Tell whether an appointment is to be at another time."""
    return any(instant(before.get(name)) != instant(after.get(name)) for name in ("start", "end"))


def none_free(schedules: list[str]) -> Conflict:
    """Return the refusal where Schedules have no free Slots for a time."""
    return Conflict(
        [
            Problem("slot_unavailable", f"{name} has no free slot that covers that time.", "Appointment.start")
            for name in schedules
        ]
    )
