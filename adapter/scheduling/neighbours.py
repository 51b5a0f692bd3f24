"""Who has the room of a Slot by another one that overlaps it: the visits beside those that hold the Slot itself.

Apart from `world`, as nothing else there looks from one Slot at another: who holds a Slot is told by the links to it,
who has its room by all the Slots of that room at the time (`rooms`). So what was there first has to be told for two
Slots: by the one that a visit had already, and by the one that it shared with others and gives up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from adapter.scheduling import claims, intervals, occupancy, rooms
from adapter.scheduling.claimset import Visit
from store.codec import Resource


class Neighbours:
    """The Slots of rooms, each with the others that overlap it there.

    Args:
        slots, schedules: as they are going to be, by relative reference.
        holders: the appointments that are going to hold a Slot, by the Slot's name and their own; they may change.

    Attributes:
        met: where who takes a Slot of a room meets the others (`rooms.guards`), by its name.
    """

    def __init__(
        self,
        slots: Mapping[str, Resource],
        schedules: Mapping[str, Resource],
        holders: Mapping[str, Mapping[str, Resource]],
    ) -> None:
        self._slots = slots
        self._holders = holders
        self.met = rooms.hours(slots, schedules)
        self._by_hour = rooms.by_hour(self.met)

    def rivals(
        self,
        slot: str,
        visit: Visit,
        *,
        is_own: bool,
        leaves: Collection[str],
        held: Callable[[str, str], bool],
        is_passed_over: Callable[[str, Resource], bool],
    ) -> Iterator[str]:
        """Yield the others that have the room of a Slot by one that overlaps it, and none together with the visit.

        Where the Slot is its own, what stood before is in the way only of a time that it takes newly; of all its time,
        where it gives up the Slot by which they were there together.

        Args:
            slot: the Slot, by name.
            visit: who is to have it.
            is_own: whether the visit held it already.
            leaves: the Slots that the visit gives up and in which it was beside others.
            held: tells whether a Slot, by name, was held by an appointment, by name, before.
            is_passed_over: tells of an appointment, by name, whether it is in nobody's way, as it books over others.
        """
        when = intervals.of(self._slots[slot])
        if when is None or slot not in self.met:
            return
        here = self._holders.get(slot, {})
        takes = visit.takes.when if visit.takes is not None else None
        newly = () if takes is None or visit.had is None or visit.had.when is None else takes.without(visit.had.when)
        for other in dict.fromkeys(name for guard in self.met[slot] for name in self._by_hour[guard]):
            then = intervals.of(self._slots[other])
            holders = self._holders.get(other, {})
            if other == slot or then is None or visit.name in holders or not when.overlaps(then):
                continue
            for name, one in holders.items():
                if name in here or is_passed_over(name, one):
                    continue
                was_beside = other in leaves and occupancy.reason(one) is None
                spans = (takes,) if was_beside and takes is not None else newly
                if is_own and held(other, name) and not any(intervals.meet(when, then, span) for span in spans):
                    continue
                if visit.is_copy and not self._is_twice(other, one, slot, visit):
                    continue
                yield name

    def _is_twice(self, other: str, one: Resource, slot: str, visit: Visit) -> bool:
        """Tell whether a copy and another are in a room at once, by Slots of one Schedule: which may have moved."""
        slots = self._slots[slot], self._slots[other]
        spans = [span for has in (*slots, one, visit.appointment) if (span := intervals.of(has)) is not None]
        return claims.schedule_of(slots[0]) == claims.schedule_of(slots[1]) and intervals.meet(*spans)
