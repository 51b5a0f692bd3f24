"""What a booking asks for, what it calls that, and what the transaction has read of it: `booking` decides on these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from adapter.scheduling.hours import Timetable
from adapter.scheduling.intervals import Interval
from adapter.scheduling.people import People
from store.codec import Resource


class Names(NamedTuple):
    """What a request calls what a refusal is about; what it cannot say is the fault of what it can."""

    slot: str = "slot_id"
    start: str = "start_time"
    end: str = "end_time"
    practitioner: str = "practitioner_id"
    facility: str = "facility_id"


BOOKING = Names()
MOVING = Names("new_slot_id", "new_start_time", "new_end_time", "new_slot_id", "new_slot_id")
"""Those of a request that moves an appointment: with whom and where it is stays as it is."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a booking asks for.

    Attributes:
        when: the time.
        practitioners: who must be free (``Practitioner/p``; see `People.of`).
        facilities: where (``Location/l``), if it matters: at one of these.
        slot: the Slot asked for by name (``Slot/s``).
        things: the Schedules (``Schedule/s``) of a room or device that it has: they move along, so Slots of each that
            cover the time are needed (`people.moving_along`).
        beside: may stand beside other appointments, and takes no slot unless one is named.
        elsewhere: those of the practitioners who are known to be another server's (`claims.practitioners`). They are as
            busy as their namesakes here, but what is published here is not for them: they take no Slot.
        own: the appointment that is moved (``Appointment/a``): it never stands in its own way.
        own_slots: the Slots it holds now.
        had: the time that it has already, of the same practitioners: who has come since is not in the way of that.
        overbooks: passes over busy Slots and other appointments (`occupancy`).
        yields: was booked over others, and is no longer: its own Slots are its own only if they have a place for it.
        names: what the request calls it all, for messages.
    """

    when: Interval
    practitioners: tuple[str, ...]
    facilities: tuple[str, ...] = ()
    slot: str | None = None
    things: tuple[str, ...] = ()
    beside: bool = False
    elsewhere: frozenset[str] = frozenset()
    own: str | None = None
    own_slots: frozenset[str] = frozenset()
    had: Interval | None = None
    overbooks: bool = False
    yields: bool = False
    names: Names = BOOKING

    @property
    def newly(self) -> tuple[Interval, ...]:
        """Which time it takes that it did not have."""
        return (self.when,) if self.had is None else self.when.without(self.had)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the transaction has read about the time asked for.

    Attributes:
        slot: the named Slot, None where there is no such one.
        schedules: the Schedules of the named Slot, and all of those for whom Slots are looked for, active or not, by
            relative reference.
        slots: published Slots of those Schedules near that time.
        appointments: appointments that hold time of those practitioners near that time.
        people: who is behind the roles that Schedules name.
        tables: the timetables of those Schedules that have weekly hours: leave closes their Slots (`leave`).
        holders: the other appointments that hold a Slot for several, one of its own or, for who books over, any;
            by the Slot's name.
        engaged: Slots of a room, or device, that others have then by Slots that overlap them (`rooms`).
        kept: its own Slots that are at the time, where it takes no time newly, or may stand beside others: those it
            takes, and no others but of a thing of which it would have none.
        openings: computed ones of practitioners near that time: taken where published Slots are in the way by time.
    """

    slot: Resource | None = None
    schedules: Mapping[str, Resource] = field(default_factory=dict)
    slots: Sequence[Resource] = ()
    appointments: Sequence[Resource] = ()
    people: People = field(default_factory=People)
    tables: Mapping[str, Timetable] = field(default_factory=dict)
    holders: Mapping[str, Sequence[Resource]] = field(default_factory=dict)
    engaged: frozenset[str] = frozenset()
    kept: Sequence[Resource] = ()
    openings: Sequence[Resource] = ()
