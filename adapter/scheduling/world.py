"""What is stored, as it is going to be under a claim set: whose time is taken, who holds which Slot.

Pure: made from what was read and asked, changed by the decision, never stored. Whether a visit may have a Slot of it is
told by `vacancy`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence

from adapter.scheduling import claims, intervals, occupancy, role_changes, surplus
from adapter.scheduling.claimset import ClaimSet, Stake, Visit
from adapter.scheduling.crowd import Crowd, Presence
from adapter.scheduling.diary import Diary, Entry
from adapter.scheduling.giving import given_up
from adapter.scheduling.intervals import Interval
from adapter.scheduling.neighbours import Neighbours
from adapter.scheduling.published import Published
from adapter.scheduling.reading import Stored
from store.codec import Resource
from store.extract import references


class World:
    """The final state, as far as it concerns the set.

    Attributes:
        asked: the claim set.
        stored: what it is laid over.
        people: who is behind the roles.
        tables: the timetables by which leave is in the way; none for a copy.
        slots, schedules: as they are going to be, by relative reference.
        holders: the appointments that are going to hold a Slot, by the Slot's name and their own.
        held: how many hold a Slot as it is stored, by the Slot's name.
        published: which Slots of whom there are at a time.
        near: the Slots of rooms, each with those that overlap it there.
        freed: the Slots that appointments of the set give up.
        taken: the Slots that were found for an appointment of the set, by its name.
        given_back: those that one of the set names and has no more use for (`surplus`), by its name.
        bases: the addresses of this server; none where it is not certain which are.
        copied: whether the set brings in what has been decided elsewhere, in an order that is not known.
    """

    def __init__(self, asked: ClaimSet, stored: Stored, bases: Sequence[str] = (), *, copied: bool = False) -> None:
        self.asked = asked
        self.stored = stored
        self.bases = bases
        self.copied = copied
        self.people = stored.people
        self.tables = {} if copied else stored.tables  # a copy was booked before the leave was entered
        self.slots = asked.overlaid("Slot", stored.slots)
        self.schedules = asked.overlaid("Schedule", stored.schedules)
        # A copy says itself what it holds.
        found = {} if copied else {name: self._surplus(visit) for name, visit in asked.visits.items()}
        self.given_back: dict[str, frozenset[str]] = {name: slots for name, slots in found.items() if slots}
        self.freed = given_up(asked.visits, stored.appointments, self.slots).union(*found.values())
        self._cast_anew = {
            name
            for role, draft in role_changes.moved(asked).items()
            for name in (
                role,
                *(one for end in (draft.before, draft.after) for one in references(end or {}, "practitioner")),
            )
        }
        self.taken: dict[str, list[str]] = {}
        self.holders: dict[str, dict[str, Resource]] = {}
        self.held: Counter[str] = Counter()
        self._diary = Diary()
        standing = {name: one for name, one in stored.appointments.items() if name not in asked.visits}
        for name, appointment in standing.items():
            stake = Stake.of(appointment)
            self._add(name, appointment, stake)
            self.held.update(() if stake is None else stake.slots)
        for name, visit in asked.visits.items():
            self._add(name, visit.appointment, visit.takes)
            self.held.update(() if visit.had is None else visit.had.slots)
        self.published = Published(self.slots, self.schedules, self.people, stored.hidden)
        self.near = Neighbours(self.slots, self.schedules, self.holders)

    def _add(self, name: str, appointment: Resource, stake: Stake | None) -> None:
        if stake is None:
            return
        self._hold(name, appointment, (slot for slot in stake.slots if slot not in self.given_back.get(name, ())))
        if stake.when is not None and not stake.beside:
            self._diary.add(Entry(name, appointment, stake.when, self.people.of(stake.people)))

    def _surplus(self, visit: Visit) -> frozenset[str]:
        return surplus.of(visit, self.slots, self.schedules, self.people)

    def _hold(self, name: str, appointment: Resource, slots: Iterable[str]) -> None:
        for slot in slots:
            self.holders.setdefault(slot, {})[name] = appointment

    def take(self, visit: Visit, slots: list[str]) -> None:
        """Let an appointment of the set hold Slots that were found for it."""
        self.taken[visit.name] = slots
        self._hold(visit.name, visit.appointment, slots)

    def release(self) -> None:
        """Take back from all appointments of the set what was found for them: it is to be found anew."""
        found, self.taken = self.taken, {}
        for name, slots in found.items():
            for slot in {*slots}.difference(self._links(name, self.asked.visits[name].appointment)):
                del self.holders[slot][name]

    def newly(self, visit: Visit, stake: Stake, when: Interval) -> dict[str, tuple[Interval, ...]]:
        """Return the time that the visit takes and did not have before, by practitioner, if there is any.

        In the time that it had it came first: what is there by now was booked over it, or published over it.
        """
        had = visit.had
        people = self.people.of(stake.people)
        whole: dict[str, tuple[Interval, ...]] = dict.fromkeys(people, (when,))
        if had is None or had.when is None or stake.lets_go_of(had):
            return whole
        if stake.overbooked and not visit.books_over:
            return {}
        # The time that it had may have been somebody else's or shared with others, or the set changes its Slot.
        cast = not self._cast_anew.isdisjoint((*people, *stake.people, *had.people))
        if cast or self._leaves_others(visit, had) or any(map(self.is_written, had.slots)):
            return whole
        more, were = when.without(had.when), self.people.of(had.people)
        return {one: spans for one in people if (spans := more if one in were else (when,))}

    def _leaves_others(self, visit: Visit, had: Stake) -> bool:
        """Tell whether it gives up a Slot for several: only by that it could be there together with the others."""
        return any(occupancy.capacity(self.slots.get(name, {})) > 1 for name in self.leaves(visit, had))

    def leaves(self, visit: Visit, had: Stake) -> list[str]:
        """Return the Slots that it gives up; one that names none keeps all of them until its Slots are found."""
        named = claims.slots(visit.appointment)
        kept = self.taken.get(visit.name, named if named or visit.is_copy else had.slots)
        return [name for name in had.slots if name not in kept]

    def is_written(self, slot: str) -> bool:
        """Tell whether the set writes a Slot, or the Schedule that it is of."""
        schedule = claims.schedule_of(self.slots[slot]) if slot in self.slots else ""
        return slot in self.asked.written or schedule in self.asked.written

    def crowd(self) -> Crowd:
        """Return who takes time and is not passed over by `rivals`, with the Slots that they are going to hold."""
        present = (
            Presence(name, when, people, [self.slots[slot] for slot in self._links(name, one) if slot in self.slots])
            for name, one, when, people in self._diary
            if not self.books_over(name, one)
        )
        return Crowd(present, self.schedules, self.people)

    def rivals(self, visit: Visit, stake: Stake, when: Interval, apart: Container[str] = ()) -> Iterator[Resource]:
        """Yield the appointments that hold time which the visit takes newly, but for itself and those in `apart`.

        They name the Slots that they are going to hold. Those that book over it in this very set are no rivals, as it
        was there first; for a copy, nor are those that did so before (`books_over`).
        """
        for name, one, _, _ in self._diary.at(self.newly(visit, stake, when)):
            if name != visit.name and name not in apart and not self.books_over(name, one):
                yield {**one, "slot": [{"reference": slot} for slot in self._links(name, one)]}

    def _links(self, name: str, appointment: Resource) -> list[str]:
        gone = self.given_back.get(name, ())
        return self.taken.get(name, [slot for slot in claims.slots(appointment) if slot not in gone])

    def books_over(self, name: str, appointment: Resource) -> bool:
        """Tell if an appointment is nobody's rival: it books over others in this set; in a copied one: ever did."""
        if self.copied and occupancy.reason(appointment) is not None:
            return True
        visit = self.asked.visits.get(name)
        return visit is not None and visit.is_new and visit.books_over

    def slots_of(self, visit: Visit) -> list[Resource]:
        """Return the Slots that an appointment of the set is going to hold."""
        return [self.slots[name] for name in self._links(visit.name, visit.appointment)]

    def own(self, whose: str, visit: Visit, when: Interval) -> list[str]:
        """Return the Slots of use at `when` that the visit has already of a practitioner."""
        return [name for name, owners in self._had(visit, when) if whose in owners]

    def others(self, apart: Sequence[str], visit: Visit, when: Interval) -> list[str]:
        """Return the Slots of use at `when` that the visit has already, of others than those in `apart` or who left."""
        left = surplus.left(visit, self.slots, self.schedules, self.people)
        return [name for name, owners in self._had(visit, when) if not {*apart} & {*owners} and name not in left]

    def _had(self, visit: Visit, when: Interval) -> list[tuple[str, tuple[str, ...]]]:
        """Return the Slots that the visit has already and that are of use at `when`, with whose they are."""
        return [
            (name, surplus.owners(self.schedule_of(slot) or {}, self.people))
            for name in (() if visit.had is None else visit.had.slots)
            if (slot := self.slots.get(name)) is not None
            and (span := intervals.of(slot)) is not None
            and span.overlaps(when)
        ]

    def schedule_of(self, slot: Resource) -> Resource | None:
        """Return the Schedule of a Slot, if there is one."""
        return self.schedules.get(claims.schedule_of(slot))

    def was_held(self, slot: str, name: str) -> bool:
        """Tell whether an appointment that holds a Slot held it before: one that the set leaves alone did."""
        visit = self.asked.visits.get(name)
        return visit is None or (visit.had is not None and slot in visit.had.slots)

    def standing(self, slot: str) -> list[Resource]:
        """Return the appointments that go on holding a Slot, by a claim that is not decided now."""
        return [
            one
            for name, one in self.holders.get(slot, {}).items()
            if name not in self.asked.visits or not self.asked.visits[name].is_new
        ]
