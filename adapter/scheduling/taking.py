"""Takes computed openings: reads what a transaction must know of them before it decides, and has rivals for them meet.

An opening that nobody has published becomes a Slot when it is booked, in the same unit of work. To the rules it is a
Slot like any other: ``free``, or ``busy-unavailable`` where the computation does not yield it, or no longer does.
Buffers reach beyond the visit: a booking that takes an opening writes the guards of all hours in which another visit
could be in its way. It meets a deletion of the Schedule, too, as the new Slot refers to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from adapter.scheduling import busy_times, calendars, claims, intervals, openings
from adapter.scheduling.calendars import Calendar
from adapter.scheduling.claimset import ClaimSet, Visit
from adapter.scheduling.intervals import MINUTE, Interval
from adapter.scheduling.status import HOLDING
from store import slotids
from store.codec import Resource
from store.dates import shifted
from store.extract import id_of, references
from store.slotids import Named
from store.unit_of_work import UnitOfWork

_CLOSED = "busy-unavailable"


async def named(work: UnitOfWork, ident: str, before: Resource | None) -> Resource | None:
    """Return the Slot of an id as the decision is to see it; None if it is neither stored nor computed.

    Args:
        work: the unit of work to read through; rivals for a computed opening will meet it.
        ident: of the Slot.
        before: the appointment that is to move there, as it is stored: it is not in its own way.
    """
    slot = await work.read("Slot", ident)
    holds = before is not None and before["status"] in HOLDING
    own = frozenset(references(before or {}, "slot")) if holds else frozenset()
    if slotids.parts(ident) is None or (slot is not None and f"Slot/{ident}" in own):
        return slot
    without = own | ({f"Appointment/{before['id']}"} if before is not None else set())
    opened = await _opened(work, {f"Slot/{ident}": slot}, without)
    return opened.get(f"Slot/{ident}", (slot, None))[0]


async def for_set(
    work: UnitOfWork, asked: ClaimSet, stored: Mapping[str, Resource], schedules: Mapping[str, Resource]
) -> dict[str, Resource]:
    """Return the computed Slots that new appointments of a set name, as the decision is to see them.

    Args:
        work: the unit of work to read through.
        asked: the set.
        stored: the Slots that are stored.
        schedules: Schedules as the set is going to leave them.
    """
    wanted = {
        name: (visit, stored.get(name))
        for visit, stake, _ in asked.new
        for name in stake.slots
        if name not in asked.written
        and slotids.parts(id_of(name)) is not None
        and not (name in stored and (visit.is_copy or (visit.had is not None and name in visit.had.slots)))
    }
    if not wanted:
        return {}
    had = {slot for visit in asked.visits.values() if visit.had is not None for slot in visit.had.slots}
    slots = {name: slot for name, (_, slot) in wanted.items()}
    opened = await _opened(work, slots, frozenset({*asked.visits, *had}), schedules, asked)
    others = {name for visit in asked.visits.values() if visit.takes is not None for name in visit.takes.slots}
    final = asked.overlaid("Slot", {**stored, **await work.read_many(sorted(others - stored.keys()))})
    made: dict[str, Resource] = {}
    for name, (slot, calendar) in opened.items():
        when = intervals.of(slot)
        if slot["status"] == "free" and calendar is not None and when is not None:
            taken = _others(asked, final, wanted[name][0], calendar)
            if not openings.free(calendar.table, Interval(when.start, when.start + MINUTE), taken):
                slot = {**slot, "status": _CLOSED}
        made[name] = slot
    return made


def _others(asked: ClaimSet, final: Mapping[str, Resource], visit: Visit, calendar: Calendar) -> list[Interval]:
    """Return the times that other appointments of the set keep a visit from; `final` are the Slots as they will be."""
    found: list[Interval] = []
    for other in asked.visits.values():
        stake = other.takes
        if other is visit or stake is None:
            continue
        if stake.when is not None and not stake.beside and set(stake.people) & set(calendar.names):
            found.append(stake.when)
        for name in stake.slots:
            slot = final.get(name) or _yielded(name)
            when = intervals.of(slot)
            if when is not None and claims.schedule_of(slot) == calendar.name:
                found.append(calendar.table.kept(when) if slotids.is_computed(slot) else when)
    return found


def _yielded(name: str) -> Resource:
    """Return the Slot that an opening's name stands for, as it would be stored; an empty one for any other name."""
    parts = slotids.parts(id_of(name))
    return {} if parts is None else calendars.slot_of({"id": parts.schedule}, Interval(parts.start, parts.end))


async def _opened(
    work: UnitOfWork,
    slots: Mapping[str, Resource | None],
    without: frozenset[str],
    schedules: Mapping[str, Resource] | None = None,
    among: ClaimSet | None = None,
) -> dict[str, tuple[Resource, Calendar | None]]:
    """Return Slots with computed ids, by name: as they are or would be stored, closed where they are not open.

    `schedules` and what else is written `among` them are as the set is going to leave them.
    """
    written = {} if among is None else {name: draft.after for name, draft in among.written.items()}
    asked = {
        name: parts
        for name, slot in slots.items()
        if (parts := slotids.parts(id_of(name))) is not None
        and (slot is None or (slot["status"] == "free" and slotids.is_computed(slot)))
    }
    services = {} if among is None else among.after("HealthcareService")
    known = await _calendars(work, asked.values(), schedules or {}, services)
    found: dict[str, tuple[Resource, Calendar | None]] = {}
    fitting: dict[str, Named] = {}
    for name, parts in asked.items():
        calendar, slot = known.get(parts.schedule), slots[name]
        if calendar is not None and calendar.has(Interval(parts.start, parts.end)):
            fitting[name] = parts
        elif slot is not None:
            found[name] = ({**slot, "status": _CLOSED}, None)
    if not fitting:
        return found
    window = Interval(
        min(parts.start for parts in fitting.values()), max(parts.start for parts in fitting.values()) + MINUTE
    )
    used = [known[ident] for ident in dict.fromkeys(parts.schedule for parts in fitting.values())]
    busy = await busy_times.with_busy(work, used, window, without=without, written=written)
    ready = {one.schedule["id"]: one for one in busy}
    for name, parts in fitting.items():
        calendar, when = ready[parts.schedule], Interval(parts.start, parts.end)
        # A deletion of the Schedule is met once the Slot is staged: that refers to the Schedule anew.
        work.guard(calendar.guards(when))
        slot = slots[name] or calendar.slot(when)
        found[name] = (slot if calendar.is_open(when) else {**slot, "status": _CLOSED}, calendar)
    await work.last_versions([name for name in fitting if slots[name] is None])  # it may have been there before
    return found


async def _calendars(
    work: UnitOfWork,
    asked: Iterable[Named],
    written: Mapping[str, Resource],
    services: Mapping[str, Resource | None] | None,
) -> dict[str, Calendar]:
    wanted = {parts.schedule for parts in asked}
    schedules = [written[f"Schedule/{ident}"] for ident in wanted if f"Schedule/{ident}" in written]
    missing = sorted(ident for ident in wanted if f"Schedule/{ident}" not in written)
    if missing:
        schedules += await work.find("Schedule", {"_id": {"$in": missing}})
    return {one.schedule["id"]: one for one in await calendars.read(work, schedules, work.zone, services)}


def schedule_of(name: str, stored: Resource | None) -> str | None:
    """Return the Schedule of a Slot, stored or computed, by the Slot's name; None for one that there is none of."""
    if stored is not None:
        return claims.schedule_of(stored)
    parts = slotids.parts(id_of(name))
    return None if parts is None else f"Schedule/{parts.schedule}"


# Bookings that name a time, and no Slot.


async def opened_near(
    work: UnitOfWork,
    used: Sequence[tuple[Calendar, Sequence[Interval]]],
    without: frozenset[str],
    written: Mapping[str, Resource | None] | None = None,
) -> list[Resource]:
    """Return the computed openings that overlap given times, as Slots; rivals for them will meet it.

    For a room that moves along, and for a time at which something else is published that does not cover it.

    Args:
        work: the unit of work to read through.
        used: the calendars, one at least, what is busy not read yet; each with its times, one at least.
        without: Appointments and Slots that do not count, as for `busy_times.with_busy`.
        written: likewise, what is going to be.
    """
    times = {one.name: theirs for one, theirs in used}
    longest = timedelta(minutes=max(one.table.minutes for one, _ in used))
    first = shifted(min(when.start for theirs in times.values() for when in theirs), -longest)
    last = max(when.end for theirs in times.values() for when in theirs)
    found: dict[str, Resource] = {}
    made: list[str] = []
    calendars = [one for one, _ in used]
    for one in await busy_times.with_busy(work, calendars, Interval(first, last), without=without, written=written):
        wanted = openings.merged(times[one.name])
        for window in openings.merged(Interval(shifted(when.start, -longest), when.end) for when in wanted):
            for span, slot, is_stored in one.open(window):
                if openings.touches(span, wanted):
                    work.guard(one.guards(span))
                    found[slot["id"]] = slot
                    made += [] if is_stored else [f"Slot/{slot['id']}"]
    await work.last_versions(made)  # they may have been there before
    return list(found.values())


async def opened_for_set(
    work: UnitOfWork, asked: ClaimSet, used: Sequence[tuple[Calendar, Sequence[Interval]]]
) -> dict[str, Resource]:
    """Return what is `opened_near` some times as a set is going to leave it, by name, but for what the set writes."""
    had = {slot for visit in asked.visits.values() if visit.had is not None for slot in visit.had.slots}
    written = {name: draft.after for name, draft in asked.written.items()}
    found = await opened_near(work, used, frozenset({*asked.visits, *had}), written)
    return {f"Slot/{slot['id']}": slot for slot in found if f"Slot/{slot['id']}" not in written}


def is_left_over(slot: Resource, own: Iterable[str], when: Interval | None) -> bool:
    """Tell whether a computed Slot is passed over where Slots are looked for by time.

    A free one was given back, and whether it is open is computed anew. An appointment's own is passed over where it
    does not cover all of the new time: it must not keep the appointment from moving there.
    """
    if not slotids.is_computed(slot):
        return False
    span = intervals.of(slot)
    covers = when is not None and span is not None and span.start <= when.start and when.end <= span.end
    return slot["status"] == "free" or (f"Slot/{slot['id']}" in own and not covers)


def hidden(asked: ClaimSet, slots: Mapping[str, Resource]) -> frozenset[str]:
    """Return the computed Slots that no appointment of a set is to find by time."""
    owners = {name: visit for visit in asked.visits.values() if visit.had is not None for name in visit.had.slots}
    made: set[str] = set()
    for name, slot in slots.items():
        owner = owners.get(name)
        when = None if owner is None or owner.takes is None else owner.takes.when
        if is_left_over(slot, owners, when):
            made.add(name)
    return frozenset(made)
