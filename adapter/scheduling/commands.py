"""Carries decisions out: reads what they need through the unit of work, stages what they say.

Every door's write of an appointment goes `plan` -> `stage`; the store then writes all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from adapter.errors import Problem, Unprocessable
from adapter.scheduling import (
    booking,
    claims,
    expiry,
    foresight,
    intervals,
    occupancy,
    people,
    reasons,
    responses,
    role_changes,
    rooms,
    seeing,
    taking,
)
from adapter.scheduling.claimset import Stake
from adapter.scheduling.hours import DEFAULT_MINUTES
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People
from adapter.scheduling.status import HOLDING, require_move, require_reschedulable
from adapter.scheduling.wish import BOOKING, Facts, Names, Wish
from mappings.elements import copied, put
from mappings.instants import elapsed, lasting, shift
from store.codec import Resource
from store.extract import id_of, instant, references
from store.unit_of_work import UnitOfWork

RELEASING = ("cancelled", "entered-in-error")
"""The statuses on entering which an appointment gives its slots back; a no-show leaves them busy."""

_STATED_LENGTH = ("minutesDuration", "_minutesDuration")


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision, ready to be staged.

    Attributes:
        appointment: with its time settled.
        slots: the Slots it is to hold.
        schedules: the Schedules of these Slots.
        statuses: what the Slots become, by id; none for what only notes its Slot.
        released: the Slots that become something else when it leaves them, and what they become.
    """

    appointment: Resource
    slots: Sequence[Resource] = ()
    schedules: Sequence[Resource] = ()
    statuses: Mapping[str, str] = field(default_factory=dict)
    released: Sequence[tuple[Resource, str]] = ()


async def plan(
    work: UnitOfWork,
    appointment: Resource,
    *,
    before: Resource | None = None,
    slot_id: str | None = None,
    names: Names = BOOKING,
    overbooks: bool = False,
    bases: Sequence[str] = (),
) -> Plan:
    """Decide whether `appointment` may take the time it names, in the place of `before` if there is one.

    Args:
        work: the unit of work to read through.
        appointment: without an end it gets the named slot's, or the default length.
        before: what is stored now, where the appointment is moved or changed.
        slot_id: the Slot asked for by name.
        names: what the request calls it all, for messages.
        overbooks: whether it passes over busy Slots and other appointments (`occupancy`).
        bases: the configured addresses of this server, as for `settling.settle`.

    Raises:
        Unprocessable, Conflict: as `booking.decide` says; ``invalid_time`` where there is no start, or the end is not
            after it.
    """
    if "start" not in appointment:  # a proposal that came by FHIR (app-3)
        text = "The appointment has no time yet. Reschedule it to one first."
        raise Unprocessable(Problem("invalid_time", text, names.start))
    deciding = appointment["status"] in HOLDING
    if deciding:
        slot = None if slot_id is None else f"Slot/{slot_id}"
        await work.foresee(foresight.visit(_timed(appointment, None), before, slot))
    named = None if slot_id is None else await taking.named(work, slot_id, before)
    appointment = _timed(appointment, named)
    booked = claims.practitioners(appointment)
    known = await people.read(work, claims.practitioners(appointment, declined=True))
    yields = not overbooks and before is not None and occupancy.reason(before) is not None
    wish = _wish(appointment, before, slot_id, names, known)
    others = frozenset(wish.practitioners).difference(known.of(claims.practitioners(appointment, bases=bases)))
    held = [] if before is None else await seeing.linked(work, before)
    had = _had(appointment, before, wish, held, known)
    wish = replace(wish, overbooks=overbooks, yields=yields, elsewhere=others, had=had)
    wish, facts = await seeing.read(work, appointment, wish, named, held, known, deciding=deciding)
    if deciding:
        taken = booking.decide(wish, facts)
        statuses = _statuses(appointment, before, taken, facts)
        work.guard(guard for slot in taken for guard in rooms.guards(slot, facts.schedules))
        if not wish.beside:  # it claims the names that it uses; rivals may use the practitioner's own
            work.guard(claims.names([name for name in wish.practitioners if name not in booked], wish.when))
            work.share(role_changes.roles(booked))
    else:
        # A proposal holds no time: its slots are only noted.
        booking.require_consistent(wish, facts)
        taken, statuses = [] if named is None else [named], {}
        if named is None and before is not None:
            taken = await seeing.noted(work, before, wish.when)
    theirs = dict.fromkeys(map(claims.schedule_of, taken))
    schedules = [facts.schedules[name] for name in theirs if name in facts.schedules]
    released = () if before is None else await given_back(work, before)
    return Plan(appointment, taken, schedules, statuses, released)


def _statuses(
    appointment: Resource, before: Resource | None, taken: Sequence[Resource], facts: Facts
) -> dict[str, str]:
    """Return what the Slots become that the appointment takes, by their ids."""
    held_before = set() if before is None or before["status"] not in HOLDING else {*references(before, "slot")}
    statuses: dict[str, str] = {}
    for slot in taken:
        name = f"Slot/{slot['id']}"
        others = facts.holders.get(name, ())
        statuses[slot["id"]] = occupancy.status_after(slot, len(others) + (name in held_before), [*others, appointment])
    return statuses


def stage(work: UnitOfWork, before: Resource | None, planned: Plan) -> Resource:
    """Stage the appointment, the slots it takes and the slots it gives back; return it as it will be stored."""
    kept = {slot["id"] for slot in planned.slots}
    for slot, status in planned.released:
        if slot["id"] not in kept:
            work.update(slot, {**slot, "status": status})
    for slot in planned.slots:
        wanted = planned.statuses.get(slot["id"], slot["status"])
        if "meta" not in slot and planned.statuses:  # computed, and stored from now on
            work.create({**slot, "status": wanted})
        elif slot["status"] != wanted:
            work.update(slot, {**slot, "status": wanted})
    appointment = {name: value for name, value in planned.appointment.items() if name != "slot"}
    if planned.slots:
        appointment["slot"] = [claims.link(planned.appointment, f"Slot/{slot['id']}") for slot in planned.slots]
    return work.create(appointment) if before is None else work.update(before, appointment)


async def reschedule(
    work: UnitOfWork,
    before: Resource,
    moved: Resource,
    *,
    slot_id: str | None,
    names: Names,
    overbooks: bool = False,
    bases: Sequence[str] = (),
) -> Plan:
    """Decide about a move of an appointment: both ends in one transaction, never blocked by itself.

    Where all practitioners have declined, their time is asked for and taken anew. A visit that lasts as long as before
    goes on stating the minutes that it states: they may be fewer than its time, which MediLoop's words cannot say.

    Raises:
        Conflict: ``invalid_status_transition``, ``hold_expired``, ``slot_unavailable`` or ``time_conflict``.
        Unprocessable: as `plan`.
    """
    require_reschedulable(before["status"])
    expiry.require_running(before, moved, work.now)
    moved = responses.asked_anew(moved)
    planned = await plan(work, moved, before=before, slot_id=slot_id, names=names, overbooks=overbooks, bases=bases)
    if lasts_otherwise(before, planned.appointment):
        return planned
    rest = {name: value for name, value in planned.appointment.items() if name not in _STATED_LENGTH}
    return replace(planned, appointment=rest | {name: before[name] for name in _STATED_LENGTH if name in before})


def lasts_otherwise(before: Resource, after: Resource) -> bool:
    """Tell whether an appointment gets another length; also where one of the two has no time."""
    then, now = intervals.of(before), intervals.of(after)
    return then is None or now is None or then.end - then.start != now.end - now.start


def ending(before: Resource, start: str) -> str:
    """Return when an appointment ends that moves to `start`: its length is kept, or is the one that it states.

    Args:
        before: the Appointment as it is stored.
        start: an instant.

    Raises:
        ValueError: `start` is no point in time, or the end is outside the years 1 to 9999.
    """
    if "end" in before and elapsed(before["start"], before["end"]) > timedelta(0):
        return lasting(start, before["start"], before["end"])
    return shift(start, before.get("minutesDuration", DEFAULT_MINUTES))


async def advance(work: UnitOfWork, before: Resource, after: Resource, bases: Sequence[str] = ()) -> Resource:
    """Move an appointment along the status graph, its time unchanged; `bases` as for `plan`.

    A proposal that becomes a visit takes time it did not hold: that is decided like any booking.

    Raises:
        Conflict: ``invalid_status_transition``, ``hold_expired``; for what takes time also as `plan`.
        Unprocessable: as `plan`.
    """
    require_move(before["status"], after["status"])
    expiry.require_running(before, after, work.now)
    wanted = HOLDING.get(after["status"])
    takes = before["status"] not in HOLDING or claims.claims(after) != claims.claims(before)
    if wanted is not None and takes:
        noted = claims.slots(after)
        slot_id = id_of(noted[0]) if len(noted) == 1 else None
        return stage(work, before, await plan(work, after, before=before, slot_id=slot_id, bases=bases))
    if after["status"] in (*RELEASING, "noshow"):
        for slot, status in await given_back(work, before):
            # A no-show leaves busy what it had; what others still fill is as they are.
            if status != "free" or after["status"] != "noshow":
                work.update(slot, {**slot, "status": status})
    elif wanted not in (None, HOLDING.get(before["status"])):
        linked = await seeing.linked(work, before)
        for slot in linked:
            is_tentative = slot["status"] == "busy-tentative"
            if occupancy.capacity(slot) > 1 or not is_tentative:
                # Whoever fills it up, or booked over and leaves, at the same time tells by its holders what it becomes.
                work.guard((f"Slot/{slot['id']}",))
            if is_tentative:
                work.update(slot, {**slot, "status": wanted})
    return work.update(before, after)


async def given_back(work: UnitOfWork, appointment: Resource) -> list[tuple[Resource, str]]:
    """Return the Slots that become something else when this appointment leaves them, and what they become."""
    slots = await seeing.linked(work, appointment) if appointment["status"] in HOLDING else []
    others = await seeing.holders(work, slots, f"Appointment/{appointment['id']}")
    left = [(slot, others[f"Slot/{slot['id']}"]) for slot in slots]
    return [
        (slot, status)
        for slot, rest in left
        if (status := occupancy.status_after(slot, len(rest) + 1, rest)) != slot["status"] != "free"
    ]


def _timed(appointment: Resource, slot: Resource | None) -> Resource:
    """Give an appointment without an end the named slot's, or the default length."""
    if "end" in appointment:
        return appointment
    end, minutes = shift(appointment["start"], DEFAULT_MINUTES), DEFAULT_MINUTES
    when = None if slot is None else intervals.of(slot)
    # At another time than the slot's it is refused for that, however far they are apart.
    if slot is not None and when is not None and when.start == instant(appointment["start"]):
        end, minutes = slot["end"], max(1, (when.end - when.start) // timedelta(minutes=1))
    timed: Resource = copied(appointment)
    put(timed, "end", end)
    put(timed, "minutesDuration", minutes)
    return timed


def _wish(appointment: Resource, before: Resource | None, slot_id: str | None, names: Names, known: People) -> Wish:
    when = intervals.of(appointment)
    if when is None:
        raise Unprocessable(reasons.backwards(appointment, names.start))
    problem = reasons.too_long("An appointment", when.start, when.end, names.end)
    if problem is not None:
        raise Unprocessable(problem)
    wish = Wish(
        when=when,
        practitioners=known.of(claims.practitioners(appointment)),
        facilities=claims.locations(appointment),
        slot=None if slot_id is None else f"Slot/{slot_id}",
        beside=claims.stands_beside(appointment),
        names=names,
    )
    if before is None:
        return wish
    own = frozenset(references(before, "slot")) if before["status"] in HOLDING else frozenset()
    return replace(wish, own=f"Appointment/{before['id']}", own_slots=own)


def _had(
    appointment: Resource, before: Resource | None, wish: Wish, held: Sequence[Resource], known: People
) -> Interval | None:
    """Return the time that it goes on having as it did: of that it was there first (as for `World.newly`)."""
    had, takes = Stake.of(before), Stake.of(appointment)
    if had is None or takes is None or had.when is None or takes.lets_go_of(had):
        return None
    if wish.slot not in (None, *had.slots) or not {*wish.practitioners} <= {*known.of(had.people)}:
        return None
    # By a Slot for several alone it stood beside the others in it.
    leaves_others = wish.when.without(had.when) and any(occupancy.capacity(slot) > 1 for slot in held)
    return None if leaves_others else had.when
