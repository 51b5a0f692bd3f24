"""Who is at one time in great number: told without comparing each with each, as hundreds may share a Slot.

`booking.busy` tells exactly who is in the way, by a look at each. Most often nobody is, as all who are there share
Slots for several (`occupancy`), or because there is nobody else; then it suffices to count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from adapter.scheduling import claims, intervals, occupancy
from adapter.scheduling.intervals import Interval, Spans
from adapter.scheduling.people import People
from store.codec import Resource


class Presence(NamedTuple):
    """An appointment that takes time.

    Attributes:
        name: of the appointment (``Appointment/a``).
        when: its time.
        people: whose time it takes (`People.of`).
        slots: the Slots that it holds.
    """

    name: str
    when: Interval
    people: tuple[str, ...]
    slots: Sequence[Resource]


def presence(appointment: Resource, slots: Mapping[str, Resource], people: People) -> Presence | None:
    """Return what an appointment takes; None for one without a time. `slots` are those that it holds, by name."""
    when = intervals.of(appointment)
    if when is None:
        return None
    held = [slots[name] for name in claims.slots(appointment) if name in slots]
    return Presence(f"Appointment/{appointment['id']}", when, people.of(claims.practitioners(appointment)), held)


class _Group(NamedTuple):
    """A Slot for several: when it is, and whose."""

    name: str
    when: Interval
    people: frozenset[str]


class Crowd:
    """All who can be in each other's way.

    Args:
        present: these, each once.
        schedules: those of their Slots, by relative reference.
        people: who is behind the roles that Schedules name.
    """

    def __init__(self, present: Iterable[Presence], schedules: Mapping[str, Resource], people: People) -> None:
        self._present = {one.name: one for one in present}
        self._schedules = schedules
        self._people = people
        self._groups: dict[str, _Group | None] = {}
        self._members: dict[str, set[str]] = {}
        taken: dict[str, list[Interval]] = {}
        shared: dict[tuple[str, str], list[Interval]] = {}
        for one in self._present.values():
            groups = [*self._groups_of(one)]
            for group in groups:
                self._members.setdefault(group.name, set()).add(one.name)
            for person in one.people:
                taken.setdefault(person, []).append(one.when)
                for group in groups:
                    shared.setdefault((person, group.name), []).append(one.when)
        self._taken = {person: Spans(spans) for person, spans in taken.items()}
        self._shared = {key: Spans(spans) for key, spans in shared.items()}

    def leaves_alone(self, name: str) -> bool:
        """Tell whether one is among them and certainly nobody in its way; who is, is told by a look at each."""
        one = self._present.get(name)
        if one is None:
            return False
        groups = [*self._groups_of(one)]
        return all(
            self._is_alone(person, one.when, [group for group in groups if person in group.people])
            for person in one.people
        )

    def _is_alone(self, person: str, when: Interval, groups: Sequence[_Group]) -> bool:
        """Tell whether all who have a practitioner at a time hold each of the Slots, and nobody is beside these."""
        rest: tuple[Interval, ...] = (when,)
        for group in groups:
            here = Interval(max(when.start, group.when.start), min(when.end, group.when.end))
            if self._taken[person].overlapping(here) > self._shared[person, group.name].overlapping(here):
                return False
            rest = tuple(left for part in rest for left in part.without(group.when))
        return all(self._taken[person].overlapping(part) == 1 for part in rest)  # that is itself

    def company(self, name: str) -> Collection[str]:
        """Return those who are certainly not in the way of one: they hold with it a Slot that is all of its time."""
        one = self._present.get(name)
        if one is None:
            return ()
        for group in self._groups_of(one):
            covers = group.when.start <= one.when.start and one.when.end <= group.when.end
            if covers and group.people.issuperset(one.people):
                return self._members[group.name]
        return ()

    def _groups_of(self, one: Presence) -> Iterator[_Group]:
        """Yield the Slots for several that one of them holds, and that are at its time."""
        for name, slot in {f"Slot/{slot['id']}": slot for slot in one.slots}.items():
            if name not in self._groups:
                self._groups[name] = self._group(name, slot)
            group = self._groups[name]
            if group is not None and group.when.overlaps(one.when):
                yield group

    def _group(self, name: str, slot: Resource) -> _Group | None:
        when = intervals.of(slot)
        if when is None or occupancy.capacity(slot) == 1:
            return None
        schedule = self._schedules.get(claims.schedule_of(slot), {})
        return _Group(name, when, frozenset(self._people.of(claims.offering(schedule))))
