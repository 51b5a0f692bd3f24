"""Which of its Slots an appointment has no more use for: they are given back with the change that makes them so.

A Slot is held for somebody, at a time. Where its people (or the room) take part no longer, or the appointment is
elsewhere in time, it would be busy for nobody, and no client knows of a link that the service has added. A Schedule
that has changed hands makes nobody leave.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapter.scheduling import claims, intervals
from adapter.scheduling.claimset import Visit
from adapter.scheduling.people import People
from store.codec import Resource
from store.extract import references


def of(
    visit: Visit, slots: Mapping[str, Resource], schedules: Mapping[str, Resource], people: People
) -> frozenset[str]:
    """Return the Slots that the visit held, still names, and is to give back.

    What stays must cover its time; where it does not, nothing is given back, and what the links say is judged as it is.
    Who has declined still takes part: the Slot is unchanged by that (Argonaut's table of statuses).
    """
    had, takes = visit.had, visit.takes
    if had is None or takes is None or takes.when is None or not (visit.is_new or visit.sheds):
        return frozenset()
    spans = {name: intervals.of(slots[name]) for name in takes.slots if name in slots}
    there = {name: span for name, span in spans.items() if span is not None and span.overlaps(takes.when)}
    gone = left(visit, slots, schedules, people)
    staying = {name: span for name, span in there.items() if name not in gone}
    for kept in (staying, there):
        if intervals.covered(takes.when, kept.values()):
            return frozenset(name for name in spans if name in had.slots and name not in kept)
    return frozenset()


def _taking_part(appointment: Resource, people: People) -> set[str]:
    named = (*references(appointment, "participant.actor"), *claims.practitioners(appointment, declined=True))
    return set(people.of(named))


def left(
    visit: Visit, slots: Mapping[str, Resource], schedules: Mapping[str, Resource], people: People
) -> frozenset[str]:
    """Return the Slots that the visit held and that are of nobody who takes part, but may be of somebody who leaves.

    Where all who were there stay, it is the Schedule that has changed hands, and the visit keeps what it had.
    """
    before, after = (_taking_part(one or {}, people) for one in (visit.draft.before, visit.draft.after))
    held = () if visit.had is None else visit.had.slots
    whose = {name: owners(schedules.get(claims.schedule_of(slots[name]), {}), people) for name in held if name in slots}
    leaving = before - after
    known = {one for some in whose.values() for one in some}
    # Who leaves and has none of these by a Schedule may have had anybody's of practitioners: that of one who left
    # before, or whose Schedule is another's now.
    anybodys = any(one.startswith(claims.PRACTITIONERS) for one in leaving - known)
    return frozenset(
        name
        for name, some in whose.items()
        if after.isdisjoint(some)
        and (not leaving.isdisjoint(some) or (anybodys and any(one.startswith(claims.PRACTITIONERS) for one in some)))
    )


def owners(schedule: Resource, people: People) -> tuple[str, ...]:
    """Return whose the Slots of `schedule` are: its practitioners', or a service's, or else a room's.

    Where it names somebody, its Locations say where they are.
    """
    actors = people.of(references(schedule, "actor"))
    practitioners = tuple(one for one in actors if one.startswith(claims.PRACTITIONERS))
    return practitioners or tuple(one for one in actors if not one.startswith("Location/")) or actors
