"""Which Slots an appointment takes, where a client names Schedules or none: free ones that cover its time, or its own.

Read through the unit of work that books: what is open, and whether it may be taken, is told by one moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from adapter.errors import Problem, Unprocessable
from adapter.fhir.call import Call
from adapter.fhir.operations.scheduling import targets
from adapter.fhir.operations.scheduling.following import covering
from adapter.scheduling import claims, intervals, people, reasons, seeing, taking
from adapter.scheduling.availability import openings
from adapter.scheduling.claimset import Stake
from adapter.scheduling.intervals import Interval
from adapter.scheduling.lookup import Opening, Wanted
from adapter.scheduling.status import HOLDING
from store.codec import Resource
from store.dates import shifted
from store.extract import references, walk
from store.reading import Moment
from store.unit_of_work import UnitOfWork

_NAME = "schedule"
_ACTOR = "participant.actor"


async def moved(
    call: Call, work: UnitOfWork, before: Resource, after: Resource, named: Sequence[str]
) -> list[Resource]:
    """Return the Slots of an appointment that moves: those named for it, and free ones of a room, which moves along.

    None where it has no room and none are named: scheduling looks for those of its practitioners then. With a room and
    no Slot named, it gets Slots in every Schedule that it has some of, but for those of practitioners who do not come,
    and of a room that takes part no longer. Who names a Slot of a room says which it is. What takes nothing newly keeps
    the Slots that it has at its new time, as by every other door; others are looked for only of a room of which it has
    none then. A proposal goes on noting those that cover its time.

    Args:
        call: the call.
        work: the unit of work to read through.
        before: what is stored now: its Slots are not in its own way.
        after: the same at its new time.
        named: the Slots (``Slot/s``) that it is to have.

    Raises:
        Unprocessable: the end is not after the start. Conflict: naming each Schedule that has no Slots for the time.
    """
    links = [claims.link(before, name) for name in named]
    when = intervals.of(after)
    if when is not None and not named and before["status"] not in HOLDING:
        noted = await seeing.noted(work, before, when)
        if noted:
            return [claims.link(before, f"Slot/{one['id']}") for one in noted]
    own = await _slots(work, before)
    schedules = await work.read_many([claims.schedule_of(one) for one in own])
    leaving = {*references(before, _ACTOR)}.difference(references(after, _ACTOR))
    things = tuple(
        one for one in people.moving_along(after, schedules) if leaving.isdisjoint(references(schedules[one], "actor"))
    )
    if not things:
        return links
    staying = _staying(own, before, {**after, "slot": links})
    kept = tuple({*things} - {*map(claims.schedule_of, staying)})
    if staying and not named and not kept:
        return []  # scheduling keeps them, whosever they are by now
    if named:
        stored = await work.read_many(named)
        given = {taking.schedule_of(name, stored.get(name)) for name in named} - {None}
        if people.moving_along(after, await work.read_many(filter(None, given))):
            return links
        staying = [one for one in staying if claims.schedule_of(one) in things]
    elif not staying:
        coming = claims.practitioners(after)
        kept = (*things, *(await people.read(work, coming)).serving(coming, schedules))
    links += [claims.link(before, f"Slot/{one['id']}") for one in staying]
    schedules = {name: one for name, one in schedules.items() if name in kept}
    return links + await _free(call, work, schedules, own, [before], after)


def _staying(own: Sequence[Resource], before: Resource, after: Resource) -> list[Resource]:
    """Return an appointment's own Slots at its new time, if it takes nothing newly; else none."""
    takes = Stake.of(after)
    if takes is None or takes.when is None or takes.takes_more_than(Stake.of(before)):
        return []
    return [one for one in own if seeing.is_at(one, takes.when)]


async def on_schedules(
    call: Call,
    work: UnitOfWork,
    before: Resource,
    after: Resource,
    names: Sequence[str],
    *,
    replaced: Sequence[Resource] = (),
) -> Resource:
    """Return the appointment on the Schedules that a client names (ISiK Terminplanung, ``schedule`` of ``$book``).

    It gets Slots of each of them, and whom a Schedule is of where it names nobody of that kind, so that their time is
    taken too. Slots that it names itself have to be of one of these Schedules.

    Args:
        call: the call.
        work: the unit of work to read through.
        before: what is stored or proposed now: its Slots are not in its own way.
        after: what is to be booked.
        names: the Schedules (``Schedule/s``).
        replaced: appointments that are cancelled with it: what they hold is to be had.

    Raises:
        Unprocessable: ``unknown_schedule``, ``slot_mismatch``, ``invalid_time``.
        Conflict: ``slot_unavailable``, naming each Schedule that has no free Slot for the time.
    """
    schedules = await work.read_many(names)
    unknown = [name for name in names if name not in schedules]
    if unknown:
        text = f"There is no {' and no '.join(unknown)}. Name a schedule that is stored."
        raise Unprocessable(Problem("unknown_schedule", text, _NAME, issue="not-found"))
    if not {"start", "end"} <= after.keys():
        return after  # scheduling refuses it for that: what was proposed, or waits, may have no time
    after = {**after, "participant": [*after["participant"], *_missing(after, schedules.values())]}
    if not after.get("slot"):
        leaving = [before, *(one for one in replaced if one["status"] in HOLDING)]
        own = await _slots(work, *leaving)
        return {**after, "slot": await _free(call, work, schedules, own, leaving, after)}
    stored = await work.read_many(claims.slots(after))
    elsewhere = [
        name for name in claims.slots(after) if taking.schedule_of(name, stored.get(name)) not in {*schedules, None}
    ]
    if elsewhere:
        text = f"{' and '.join(elsewhere)} is not of {' or '.join(schedules)}. Name other slots, or none."
        raise Unprocessable(Problem("slot_mismatch", text, "Appointment.slot"))
    return after


def _missing(appointment: Resource, schedules: Iterable[Resource]) -> list[Resource]:
    """Return whom the Schedules are of as participants, of the kinds of which the appointment names nobody."""
    named = {name.partition("/")[0] for name in references(appointment, _ACTOR)}
    if claims.practitioners(appointment, declined=True):
        named |= {kind.rstrip("/") for kind in claims.PRACTITIONERS}
    found = {
        one["reference"]: one
        for schedule in schedules
        for one in walk(schedule, "actor")
        if "reference" in one and one["reference"].partition("/")[0] not in named
    }
    return [{"actor": one, "required": "required", "status": "accepted"} for one in found.values()]


async def _slots(work: UnitOfWork, *appointments: Resource) -> list[Resource]:
    names = dict.fromkeys(name for one in appointments for name in claims.slots(one))
    return list((await work.read_many(names)).values())


async def _free(
    call: Call,
    work: UnitOfWork,
    schedules: Mapping[str, Resource],
    own: Sequence[Resource],
    leaving: Sequence[Resource],
    after: Resource,
) -> list[Resource]:
    when = intervals.of(after)
    if when is None:
        raise Unprocessable(reasons.backwards(after, "Appointment.start"))
    taken: list[Resource] = []
    missing: list[str] = []
    moment = work.moment()
    for name, schedule in schedules.items():
        run = covering([*await _open(call, moment, schedule, leaving, when), *_own(own, name, schedule)], when)
        taken += [{"reference": f"Slot/{one.ident}"} for one in run]
        missing += [] if run else [name]
    if missing:
        raise targets.none_free(missing)
    return taken


async def _open(
    call: Call, moment: Moment, schedule: Resource, leaving: Iterable[Resource], when: Interval
) -> list[Opening]:
    """Return what is open of a Schedule around a time; what those who are leaving have now is in nobody's way."""
    window = Interval(shifted(when.start, -intervals.LONGEST), when.end)
    without = {f"Appointment/{one['id']}" for one in leaving}
    without.update(name for one in leaving if one.get("status") in HOLDING for name in claims.slots(one))
    actors = tuple((one,) for one in references(schedule, "actor")) or ((),)  # none of a whole clinic's are needed
    wanted = Wanted(window, actors, without=frozenset(without), contents=False)
    found = await openings(moment, wanted, zone=call.who.service.settings.zone)
    return [one for one in found if one.schedule["id"] == schedule["id"]]


def _own(slots: Sequence[Resource], name: str, schedule: Resource) -> list[Opening]:
    """Return those of the Slots that are left, or kept, that are of a Schedule."""
    return [
        Opening(one["id"], one, schedule, span, stored=True)
        for one in slots
        if claims.schedule_of(one) == name and (span := intervals.of(one)) is not None
    ]
