"""Publishes availability: weekly opening hours to Schedule and Slots, again and again without doubling any.

A slot that overlaps a published one of its Schedule is left out, so publishing the same weeks twice changes
nothing. A slot over an appointment that stands already is published as held by it: availability never offers
time that is taken. Over appointments that share the time (in a Slot for several) no slot for one is published: they
would both hold it. One at another place than the appointment is not what that has: it is published free, and nobody
is offered it as long as its practitioner is engaged (`engaged`).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise

from adapter.clock import text
from adapter.errors import Problem, Unprocessable
from adapter.scheduling import booking, claims, intervals, occupancy, people
from adapter.scheduling.hours import DAYS, Weekly
from adapter.scheduling.intervals import DAY, Interval
from adapter.scheduling.openings import pieces
from adapter.scheduling.status import HOLDING
from store.codec import Resource
from store.dates import shifted
from store.extract import references
from store.unit_of_work import UnitOfWork

_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562: names that are URLs
_PART = re.compile(r"(?P<days>[a-z]{3}(?:-[a-z]{3})?(?:,[a-z]{3}(?:-[a-z]{3})?)*)\s+(?P<times>\S+)")
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_MIDNIGHT = "24:00"  # ISO 8601's other word for 00:00, of a day that ends
_TIMES = re.compile(f"({_TIME})-({_TIME}|{_MIDNIGHT})")


@dataclass(frozen=True, slots=True)
class Opening:
    """Open on one day of the week (0 is Monday) from one wall-clock time to another.

    An end that is not after the start is on the next day, as of `availableTime`: 22:00 to 06:00; 00:00 is midnight.
    """

    day: int
    opens: time
    closes: time

    def weekly(self) -> Weekly:
        """Return it as weekly hours have it."""
        opens, closes = (timedelta(hours=one.hour, minutes=one.minute) for one in (self.opens, self.closes))
        return Weekly(frozenset([self.day]), opens, closes if closes > opens else closes + DAY)


def parse_hours(hours: str) -> tuple[Opening, ...]:
    """Read weekly hours: ``mon-fri 09:00-12:00,14:00-17:00; sat 09:00-12:00``, or ``fri 22:00-06:00``.

    Raises:
        ValueError: with the form that is expected.
    """
    openings: list[Opening] = []
    for part in filter(None, (piece.strip().lower() for piece in hours.split(";"))):
        found = _PART.fullmatch(part)
        if found is None:
            raise _bad_hours(part)
        for day in _days(found["days"], part):
            openings += [Opening(day, *span) for span in _spans(found["times"], part)]
    if not openings:
        raise _bad_hours(hours)
    return tuple(openings)


def _days(words: str, part: str) -> Iterator[int]:
    for word in words.split(","):
        first, _, last = word.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise _bad_hours(part)
        start = DAYS.index(first)
        for step in range((DAYS.index(last or first) - start) % 7 + 1):
            yield (start + step) % 7


def _spans(words: str, part: str) -> Iterator[tuple[time, time]]:
    for word in words.split(","):
        found = _TIMES.fullmatch(word)
        if found is None:
            raise _bad_hours(part)
        opens = time.fromisoformat(found[1])
        closes = time() if found[2] == _MIDNIGHT else time.fromisoformat(found[2])
        if opens == closes != time():
            raise _bad_hours(part)
        yield opens, closes


def _bad_hours(part: str) -> ValueError:
    return ValueError(
        f"cannot read the hours {part!r}: write them like 'mon-fri 09:00-12:00,14:00-17:00; sat 09:00-12:00'"
    )


def spans(openings: Sequence[Opening], length: int, first: date, last: date, zone: tzinfo) -> Iterator[Interval]:
    """Yield the slots of `length` minutes from day `first` to day `last`, both included.

    Opening times are wall-clock times in `zone`, as weekly hours have them (`openings.pieces`); a slot's length is real
    time, so a day on which the clocks change has more or fewer slots, and none that is cut.

    Raises:
        ValueError: `length` is less than a minute.
    """
    if length < 1:
        raise ValueError("a slot lasts a minute at least")
    step = timedelta(minutes=length)
    day = first
    while day <= last:
        for opening in openings:
            if opening.day == day.weekday():
                midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
                for piece in pieces([opening.weekly()], zone, Interval(midnight, shifted(midnight, DAY))):
                    start = piece.start
                    while start + step <= piece.end:
                        yield Interval(start, start + step)
                        start += step
        day += DAY


def schedule_id(practitioner: str, facility: str | None) -> str:
    """Return the id of the Schedule for a practitioner at a facility: always the same one."""
    return str(uuid.uuid5(_NAMESPACE, f"Schedule/{practitioner}/{facility or ''}"))


def slot(schedule: Resource, when: Interval, ident: str | None = None) -> Resource:
    """Return a free Slot of `schedule`; its id follows from Schedule and start unless one is given."""
    start = text(when.start)
    return {
        "resourceType": "Slot",
        "id": ident or str(uuid.uuid5(_NAMESPACE, f"Slot/{schedule['id']}/{start}")),
        "schedule": {"reference": f"Schedule/{schedule['id']}"},
        "status": "free",
        "start": start,
        "end": text(when.end),
    }


async def publish(work: UnitOfWork, schedule: Resource, slots: Iterable[Resource]) -> list[Resource]:
    """Stage those of `slots` that overlap no published Slot of `schedule`, nor a time that is shared; return them.

    Meant for the slots of a day or so at a time: all of it is one transaction.

    Args:
        work: the unit of work to read and stage through.
        schedule: as it was read before; it counts as it is now.
        slots: of it.

    Raises:
        Unprocessable: ``unknown_schedule``: it has been deleted since.
    """
    wanted = [(when, slot) for slot in slots if (when := intervals.of(slot)) is not None]
    if not wanted:
        return []
    stored = await work.read("Schedule", schedule["id"])
    if stored is None:
        told = "The schedule was deleted meanwhile: these slots are not published. Publish again to make a new one."
        raise Unprocessable(Problem("unknown_schedule", told, "Slot.schedule", issue="not-found"))
    whole = Interval(min(when.start for when, _ in wanted), max(when.end for when, _ in wanted))
    own = f"Schedule/{schedule['id']}"
    actors = [name for name in references(stored, "actor") if name.startswith(claims.PRACTITIONERS)]
    known = await people.read(work, actors)
    practitioners = known.names(known.of(actors))
    # A booking that found no slot published must not pass unseen: it meets us at its practitioner's hours.
    work.guard(claims.names(practitioners, whole))
    published = await work.find("Slot", {"_index.claims": {"$in": list(claims.names((own,), whole))}})
    near = await work.find("Appointment", {"_index.claims": {"$in": list(claims.names(practitioners, whole))}})
    standing = [one for one in near if booking.is_at(claims.locations(one), stored)]
    taken = [
        when
        for other in published
        if other["status"] != "entered-in-error" and (when := intervals.of(other)) is not None
    ]
    idents = [one["id"] for _, one in wanted]
    in_use = {other["id"] for other in await work.find("Slot", {"_id": {"$in": idents}})}
    await work.last_versions([f"Slot/{ident}" for ident in idents])  # they may have been there before
    created: list[Resource] = []
    held: dict[str, list[Resource]] = {}
    for when, one in wanted:
        if any(when.overlaps(other) for other in taken):
            continue
        holders = _holders(when, standing)
        if _meet(holders):
            continue
        taken.append(when)
        if one["id"] in in_use:  # by a slot that was moved away, or was entered in error
            one = {**one, "id": str(uuid.uuid4())}
        if holders:
            # It is given back when the last of them leaves.
            one = {**one, "status": min(HOLDING[holder["status"]] for holder in holders)}  # busy before tentative
            for holder in holders:
                held.setdefault(holder["id"], []).append(one)
        created.append(work.create(one))
    for other in standing:
        if other["id"] in held:
            links = [{"reference": f"Slot/{one['id']}"} for one in held[other["id"]]]
            work.update(other, {**other, "slot": [*other.get("slot", []), *links]})
    return created


def _holders(when: Interval, standing: Sequence[Resource]) -> list[Resource]:
    return [one for one in standing if (span := intervals.of(one)) is not None and span.overlaps(when)]


def _meet(holders: Sequence[Resource]) -> bool:
    """Tell whether of the appointments over a slot two overlap that were not booked over others."""
    times = [span for one in holders if occupancy.reason(one) is None and (span := intervals.of(one)) is not None]
    return any(one.overlaps(other) for one, other in pairwise(sorted(times, key=lambda span: span.start)))
