"""``Appointment/{id}/$cancel`` and ``$reschedule``: the two commonest changes, each one call.

No standard has them; they are in the style of IHE's ``$book``, answered alike. See our OperationDefinitions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from adapter import clock
from adapter.errors import Malformed, Problem, Unprocessable
from adapter.fhir import validation
from adapter.fhir.access import require_type
from adapter.fhir.call import Call, Reply
from adapter.fhir.operations.scheduling import targets
from adapter.fhir.operations.scheduling.answers import written
from adapter.fhir.operations.scheduling.asked import Asked, Given, bad, is_instant, text_of
from adapter.fhir.operations.scheduling.booking import done
from adapter.fhir.operations.scheduling.placing import moved
from adapter.fhir.operations.scheduling.targets import KIND, target
from adapter.fhir.refusing import invalid
from adapter.scheduling import commands, intervals, occupancy, responses, taking
from adapter.scheduling.claimset import Stake
from adapter.scheduling.intervals import Interval
from adapter.scheduling.status import reschedule_problem
from mappings.elements import put
from mappings.instants import minutes_between
from store import slotids
from store.codec import Resource
from store.extract import id_of, instant
from store.search.dates import repaired
from store.unit_of_work import UnitOfWork

CANCELS = ("reason", "comment")
RESCHEDULES = ("start", "end", "slot", "reason", "comment")


async def cancel(call: Call, kind: str, ident: str | None) -> Reply:
    """Cancel an appointment; its slots become free.

    Raises:
        Forbidden: the key may not write appointments. Malformed: a parameter is wrong.
    """
    named = _require(call, ident)
    asked = await Asked.of(call, CANCELS)
    reason, comment = asked.read("reason", _reason), asked.text("comment")
    asked.require_sound()

    async def step(work: UnitOfWork) -> Resource:
        found = await target(call, work, named, proposals=False)
        targets.require_cancellable(found.resource)
        after = targets.cancelled(call, work, found.resource, reason, comment)
        return await done(call, work, [found.write(after)])

    return await written(call, step)


async def reschedule(call: Call, kind: str, ident: str | None) -> Reply:
    """Move an appointment to another time, or to other Slots: old ones freed and new ones taken at once, or nothing.

    Raises:
        Forbidden: the key may not write appointments and read slots.
        Malformed: neither a time nor a slot, or a wrong one.
    """
    named = _require(call, ident)
    require_type(call.who, "Slot", "read")  # as who books: what is free is looked for, and a Slot's time told
    asked = await Asked.of(call, RESCHEDULES)
    slots = asked.names("slot", "Slot", call.base)
    start, end = (asked.read(name, _moment) for name in ("start", "end"))
    if not asked.all("slot") and not asked.all("start"):
        asked.note(Problem("invalid_parameter", "Give a start, or a slot.", "start", issue="required"))
    reason, comment = asked.read("reason", _reason), asked.text("comment")
    asked.require_sound()
    changes: dict[str, Any] = {"reschedule_reason": None if reason is None else _told(reason)}

    async def step(work: UnitOfWork) -> Resource:
        found = await target(call, work, named, proposals=False)
        before = found.resource
        targets.require_not_over(before)
        problem = reschedule_problem(before["status"], "Appointment.status")
        if problem is not None:
            raise Unprocessable(problem)
        new_start, new_end = start, end
        if slots and (start is None or end is None):
            first, last = await _of_slots(work, slots)
            new_start, new_end = start or first, end or last
        if new_start is not None and new_end is None:
            try:
                new_end = commands.ending(before, new_start)
            except ValueError:  # the calendar has no such time: it is refused as one that has no length
                new_end = new_start
        after = targets.seen(call, before, {"rescheduled_at": clock.text(work.now)} | changes)
        after = responses.asked_anew({name: value for name, value in after.items() if name != "slot"})
        put(after, "start", new_start)
        put(after, "end", new_end)
        # A visit that lasts as long as before goes on stating the minutes that it states, as in MediLoop's move.
        if _instant(new_end or "") > _instant(new_start or "") and commands.lasts_otherwise(before, after):
            put(after, "minutesDuration", max(1, minutes_between(after["start"], after["end"])))
        links = await moved(call, work, before, after, slots)
        after = _over_nobody(call, before, after | ({"slot": links} if links else {}))
        write = found.write(targets.commented(after, comment))
        return await done(call, work, [write], named=slots)

    return await written(call, step)


def _require(call: Call, ident: str | None) -> str:
    require_type(call.who, KIND, "write")
    if ident is None:
        text = f"This operation is called on an appointment: {KIND}/<id>/{call.path[-1]}."
        raise Malformed(Problem("invalid_parameter", text, KIND, issue="required"))
    return ident


def _reason(given: Given) -> Resource:
    """Return a reason as a CodeableConcept: it may come as one, as a Coding or as a text."""
    if isinstance(given.value, str):
        return {"text": given.value}
    if isinstance(given.value, dict):
        made = {"coding": [given.value]} if "code" in given.value else given.value
        if not validation.check({"resourceType": "Basic", "code": made}):  # it may be of any type
            return made
    raise Malformed(bad(given, "reason takes a CodeableConcept, a Coding or a text."))


def _told(reason: Resource) -> str | None:
    codings = reason.get("coding", [{}])
    found: str | None = reason.get("text") or codings[0].get("display") or codings[0].get("code")
    return found


def _moment(given: Given) -> str:
    found = repaired(text_of(given))
    if not is_instant(found):
        text = f"{given.name} takes an instant with its offset, such as 2024-01-20T10:00:00Z."
        raise invalid(given.name, text)
    return found


def _instant(text: str) -> datetime:
    return instant(text) or datetime.min.replace(tzinfo=UTC)


async def _of_slots(work: UnitOfWork, names: list[str]) -> tuple[str, str]:
    """Return the time that Slots have together: one after another in one Schedule, at once in several.

    A room may be open for longer than who sees the patient has time.
    """
    stored = await work.read_many(names)
    spans: dict[str | None, list[Interval]] = {}
    for name in names:
        found = intervals.of(stored[name]) if name in stored else _computed(name)
        if found is None:
            raise Unprocessable(
                Problem("unknown_slot", "There is no such slot. Search for one.", "slot", issue="not-found")
            )
        spans.setdefault(taking.schedule_of(name, stored.get(name)), []).append(found)
    starts = [min(one.start for one in theirs) for theirs in spans.values()]
    ends = [max(one.end for one in theirs) for theirs in spans.values()]
    if max(starts) >= min(ends):  # they have none: that it is not the time of each of them is told
        return clock.exact(min(starts)), clock.exact(max(ends))
    return clock.exact(max(starts)), clock.exact(min(ends))


def _computed(name: str) -> Interval | None:
    named = slotids.parts(id_of(name))
    return None if named is None else Interval(named.start, named.end)


def _over_nobody(call: Call, before: Resource, after: Resource) -> Resource:
    """Return the visit as an ordinary one where it takes anything newly: whom it was booked over it was for that time.

    As in MediLoop's move, nobody has asked for that anew, or may not have been allowed to.
    """
    takes = Stake.of(after)
    if takes is None or not takes.takes_more_than(Stake.of(before)):
        return after
    return occupancy.overbooking(after, None, call.who.service.systems.extensions)
