"""What is stored, as it is going to be under a claim set: whose time is taken, who holds which Slot.

Pure: made from what was read, asked and changed by the decision, written by nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence

from adapter.scheduling import claims, intervals, leave, occupancy, role_changes, surplus
from adapter.scheduling.claimset import ClaimSet, Stake, Visit
from adapter.scheduling.crowd import Crowd, Presence
from adapter.scheduling.diary import Diary, Entry
from adapter.scheduling.giving import given_up, share_a_moment
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
        in_rooms: where who takes a Slot of a room meets the others (`rooms.guards`), by its name.
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
        self._near = Neighbours(self.slots, self.schedules, self.holders)
        self.in_rooms = self._near.met

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
        """Return which time the visit takes that it did not have, of each of its practitioners of whom it takes some.

        Of what it had it was there first: whoever has come since was booked over it, or published there.
        """
        had = visit.had
        people = self.people.of(stake.people)
        whole: dict[str, tuple[Interval, ...]] = dict.fromkeys(people, (when,))
        if had is None or had.when is None or stake.lets_go_of(had):
            return whole
        if stake.overbooked and not visit.books_over:
            return {}
        # What it had may have been somebody else's, or shared, or may be what the set makes another.
        cast = not self._cast_anew.isdisjoint((*people, *stake.people, *had.people))
        if cast or self._leaves_others(visit, had) or any(map(self._is_written, had.slots)):
            return whole
        more, were = when.without(had.when), self.people.of(had.people)
        return {one: spans for one in people if (spans := more if one in were else (when,))}

    def _leaves_others(self, visit: Visit, had: Stake) -> bool:
        """Tell whether it gives up a Slot for several: by that alone it stood beside the others in it."""
        return any(occupancy.capacity(self.slots.get(name, {})) > 1 for name in self._leaves(visit, had))

    def _leaves(self, visit: Visit, had: Stake) -> list[str]:
        """Return the Slots that it gives up; before its Slots are found it keeps all where it names none."""
        named = claims.slots(visit.appointment)
        kept = self.taken.get(visit.name, named if named or visit.is_copy else had.slots)
        return [name for name in had.slots if name not in kept]

    def _is_written(self, slot: str) -> bool:
        schedule = claims.schedule_of(self.slots[slot]) if slot in self.slots else ""
        return slot in self.asked.written or schedule in self.asked.written

    def crowd(self) -> Crowd:
        """Return who takes time and is not passed over by `rivals`, with the Slots that they are going to hold."""
        present = (
            Presence(name, when, people, [self.slots[slot] for slot in self._links(name, one) if slot in self.slots])
            for name, one, when, people in self._diary
            if not self._books_over(name, one)
        )
        return Crowd(present, self.schedules, self.people)

    def rivals(self, visit: Visit, stake: Stake, when: Interval, apart: Container[str] = ()) -> Iterator[Resource]:
        """Yield the appointments that hold time that it takes newly (`newly`), but for itself and those in `apart`.

        They name the Slots that they are going to hold; those that book over it in this very set are not rivals, nor,
        for a copy, those that did so before: it was there first.
        """
        for name, one, _, _ in self._diary.at(self.newly(visit, stake, when)):
            if name != visit.name and name not in apart and not self._books_over(name, one):
                yield {**one, "slot": [{"reference": slot} for slot in self._links(name, one)]}

    def _links(self, name: str, appointment: Resource) -> list[str]:
        gone = self.given_back.get(name, ())
        return self.taken.get(name, [slot for slot in claims.slots(appointment) if slot not in gone])

    def _books_over(self, name: str, appointment: Resource) -> bool:
        if self.copied and occupancy.reason(appointment) is not None:
            return True
        visit = self.asked.visits.get(name)
        return visit is not None and visit.is_new and visit.books_over

    def slots_of(self, visit: Visit) -> list[Resource]:
        """Return the Slots that an appointment of the set is going to hold."""
        return [self.slots[name] for name in self._links(visit.name, visit.appointment)]

    def own(self, whose: str, visit: Visit, when: Interval) -> list[str]:
        """Return the Slots that the visit has already of a practitioner, and that are of use at `when`."""
        return [name for name, owners in self._had(visit, when) if whose in owners]

    def others(self, apart: Sequence[str], visit: Visit, when: Interval) -> list[str]:
        """Return the Slots of use at `when` that the visit has of nobody in `apart`, nor of who has left."""
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

    def is_kept(self, slot: str, visit: Visit) -> bool:
        """Tell whether the visit goes on holding a Slot that it held: the set changes it not, nor takes it another."""
        there = self.slots[slot]["status"] != "entered-in-error"
        return there and not self._is_written(slot) and not self.in_the_way(slot, visit)

    def schedule_of(self, slot: Resource) -> Resource | None:
        """Return the Schedule of a Slot, if there is one."""
        return self.schedules.get(claims.schedule_of(slot))

    def in_the_way(self, slot: str, visit: Visit) -> list[str]:
        """Return the appointments that leave it no place in a Slot; if it held it already, only newcomers may."""
        if visit.books_over:
            return []
        # Who was booked over others and is no longer has its own Slot no longer for certain.
        yields = visit.had is not None and visit.takes is not None and visit.takes.lets_go_of(visit.had)
        is_own = not yields and self._held(slot, visit.name)
        full = self._filling(slot, visit, is_own=is_own)
        return list(dict.fromkeys((*full, *self._in_its_room(slot, visit, is_own=is_own))))

    def _filling(self, slot: str, visit: Visit, *, is_own: bool) -> list[str]:
        """Return the others that hold a Slot itself, where they leave no place in it."""
        holders = self.holders.get(slot, {})
        if len(holders) - (visit.name in holders) < occupancy.capacity(self.slots[slot]):
            return []
        others = [name for name, one in holders.items() if name != visit.name and not self._books_over(name, one)]
        if visit.is_copy:  # one after another, in a Slot that was published over both
            others = [name for name in others if share_a_moment(holders[name], visit.appointment)]
        if len(others) < occupancy.capacity(self.slots[slot]):
            return []
        if self._is_smaller(slot) or not is_own:
            return others
        return [name for name in others if not self._held(slot, name)]

    def _in_its_room(self, slot: str, visit: Visit, *, is_own: bool) -> Iterator[str]:
        """Return the others that have the room of a Slot by another one (`neighbours`)."""
        return self._near.rivals(
            slot,
            visit,
            is_own=is_own,
            leaves=self._left_beside(visit),
            held=self._held,
            is_passed_over=self._books_over,
        )

    def _left_beside(self, visit: Visit) -> list[str]:
        """Return the Slots that it gives up and in which it was beside others, but for what was booked over them."""
        if visit.had is None or visit.takes is None or visit.takes.overbooked:
            return []
        return self._leaves(visit, visit.had)

    def _is_smaller(self, slot: str) -> bool:
        written = self.asked.written.get(slot)
        before = {} if written is None else written.before or {}
        return occupancy.capacity(self.slots[slot]) < occupancy.capacity(before)

    def _held(self, slot: str, name: str) -> bool:
        visit = self.asked.visits.get(name)
        return visit is None or (visit.had is not None and slot in visit.had.slots)

    def is_free_for(self, name: str, visit: Visit, *, fills: bool = False) -> bool:
        """Tell whether the visit may take a Slot that exists; one that somebody set busy by hand only if it `fills` it.

        Free, or its own already; or busy because the same set says so, or gave it up: one claim, not two.
        """
        return not self.in_the_way(name, visit) and self.is_to_be_had(name, visit, fills=fills)

    def is_to_be_had(self, name: str, visit: Visit, *, fills: bool = False) -> bool:
        """Tell the same of a Slot in which nobody is in the way of the visit (`in_the_way`)."""
        slot = self.slots[name]
        status = slot["status"]
        if self.is_closed_to(name, visit):
            return False
        if visit.books_over:
            return self.is_open(slot) and status in ("free", *occupancy.TAKEN)
        own = self._held(name, visit.name)
        if not (own or self.is_open(slot)):
            return False
        if status in occupancy.TAKEN:
            if own or name in self.asked.written or self._is_opened(name):
                return True
            return fills and self.is_for_nobody(name)
        return bool(status == "free")

    def is_for_nobody(self, name: str) -> bool:
        """Tell whether a Slot is busy for none who had it, so that somebody may fill it.

        One for several in which others stay was closed by hand. A copy was let in where it was decided.
        """
        return self.copied or not self._stay(name)

    def _is_opened(self, name: str) -> bool:
        """Tell whether a busy Slot is to be had because appointments of the set give it up (`occupancy.status_after`).

        It was full, or the last has left: a place in one that was closed by hand does not open it.
        """
        was_full = self.held[name] >= occupancy.capacity(self.slots[name])
        return name in self.freed and (was_full or not self._stay(name))

    def _stay(self, name: str) -> bool:
        """Tell whether somebody who held a Slot goes on holding it."""
        return any(self._held(name, one) for one in self.holders.get(name, ()))

    def is_closed_to(self, name: str, visit: Visit) -> bool:
        """Tell whether leave keeps the visit from a Slot: not from its own, nor from one set busy by hand for it."""
        if not leave.closes(self.tables, self.slots[name]) or self._held(name, visit.name):
            return False
        written = self.asked.written.get(name)
        before = None if written is None else written.before
        by_hand = self.slots[name]["status"] in occupancy.TAKEN and name not in self.freed
        return visit.books_over or not by_hand or (before is not None and before["status"] == "free")

    def is_open(self, slot: Resource) -> bool:
        """Tell whether the Schedule of a Slot offers it."""
        schedule = self.schedule_of(slot)
        return schedule is not None and schedule.get("active") is not False

    def standing(self, slot: str) -> list[Resource]:
        """Return the appointments that go on holding a Slot, by a claim that is not decided now."""
        return [
            one
            for name, one in self.holders.get(slot, {}).items()
            if name not in self.asked.visits or not self.asked.visits[name].is_new
        ]
