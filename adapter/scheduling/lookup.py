"""What a look for openings asks (`Wanted`), and what it finds (`Opening`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from adapter.scheduling import calendars
from adapter.scheduling.intervals import Interval
from store.codec import Resource, decode


class Opening(NamedTuple):
    """A time that can be booked.

    Attributes:
        ident: of the Slot.
        made: the Slot, or its bytes: of a month's openings a page is shown, and only that is worth reading. None where
            nobody asked for it (`Wanted.contents`), or has stored it.
        schedule: the Schedule it belongs to.
        when: its time.
        stored: whether the Slot is stored.
    """

    ident: str
    made: Resource | bytes | None
    schedule: Resource
    when: Interval
    stored: bool

    @property
    def slot(self) -> Resource:
        """The Slot, as it is stored or would be; empty where it was not read."""
        if self.made is None and not self.stored:
            return calendars.slot_of(self.schedule, self.when)
        return decode(self.made) if isinstance(self.made, bytes) else self.made or {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for.

    Attributes:
        window: openings start in it.
        actors: groups of references; the Schedule must name one of each group.
        service_types: tokens as a search has them (``code`` or ``system|code``, a bar within escaped), any of them;
            none: any.
        specialties: likewise.
        minutes: how long an opening must be at least.
        limit: how many to return at most, the first ones; 0: all.
        without: Appointments (``Appointment/a``) that are in nobody's way, and what they hold of computed Slots: those
            that are about to move, or to end.
        contents: whether to read the Slots that are published; their times are read from an index alone.
        whole: whether openings are to end within the window as well.
        by_text: whether what has no code is known by its text, as MediLoop shows it.
        passed_over: Schedules (``Schedule/s``) whose openings are of no use, all of rooms and devices among them
            (`nobodys`); None: each is of use.
    """

    window: Interval
    actors: tuple[tuple[str, ...], ...] = ()
    service_types: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    minutes: int = 0
    limit: int = 0
    without: frozenset[str] = frozenset()
    contents: bool = True
    whole: bool = False
    by_text: bool = False
    passed_over: frozenset[str] | None = None

    @property
    def is_of_some(self) -> bool:
        """Whether something is asked of the Schedules: not all have to be looked at."""
        return bool(self.actors or self.service_types or self.specialties)

    def is_useful(self, schedule: str) -> bool:
        """Tell whether the openings of a Schedule are of use."""
        return self.passed_over is None or schedule not in self.passed_over
