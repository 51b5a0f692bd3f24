"""Which of its Slots an appointment no longer needs: they are given back by the same change.

A Slot is held for somebody, at a time. If its practitioner (or its room) no longer takes part, or the appointment has
moved to another time, it would stay busy for nobody; and the client may not know of the link, as the service adds some
itself. That a Schedule has changed hands is no reason to give its Slots back.
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

    The Slots that stay must cover its time. If they do not, none is given back, and the links are judged as they are.
    Somebody who has declined still takes part: that does not change the Slot (Argonaut's table of statuses).
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
    """Return the Slots that the visit held of nobody who takes part, but perhaps of somebody who leaves.

    If nobody leaves, it is the Schedule that has changed hands, and the visit keeps what it had.
    """
    before, after = (_taking_part(one or {}, people) for one in (visit.draft.before, visit.draft.after))
    held = () if visit.had is None else visit.had.slots
    whose = {name: owners(schedules.get(claims.schedule_of(slots[name]), {}), people) for name in held if name in slots}
    leaving = before - after
    known = {one for some in whose.values() for one in some}
    # A practitioner who leaves, and to whom no Schedule of these Slots belongs, may have had any practitioner's Slot:
    # the Schedule may be another's by now, or its owner may have left before.
    anybodys = any(one.startswith(claims.PRACTITIONERS) for one in leaving - known)
    return frozenset(
        name
        for name, some in whose.items()
        if after.isdisjoint(some)
        and (not leaving.isdisjoint(some) or (anybodys and any(one.startswith(claims.PRACTITIONERS) for one in some)))
    )


def owners(schedule: Resource, people: People) -> tuple[str, ...]:
    """Return to whom the Slots of `schedule` belong: its practitioners, else a service, else its room.

    Beside any of the former, its Locations only say where they are.
    """
    actors = people.of(references(schedule, "actor"))
    practitioners = tuple(one for one in actors if one.startswith(claims.PRACTITIONERS))
    return practitioners or tuple(one for one in actors if not one.startswith("Location/")) or actors
