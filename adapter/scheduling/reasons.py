"""Why a time or a Slot does not do: what is said of it at each door alike, and how long a visit or a Slot may be.

The door names the element (`param`), MediLoop's or FHIR's. What one door alone can say stands where it is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from adapter.errors import Problem
from adapter.scheduling.intervals import LONGEST
from mappings.instants import elapsed, parse, to_utc
from store.codec import Resource

AWAY = "That time is closed: the schedule says that nobody is there. Search availability for another one."
NONE_FREE = "No free slot covers that time. Search availability for another one."
INACTIVE = "The slot's schedule is not active. Search for a free slot of an active one."
IDLE = (
    "The practitioner's schedules there are not active, so no time of theirs is to be booked. Search availability for "
    "another practitioner, or have a schedule made active, or all of them deleted where none is kept any more."
)
_ELSEWHERE = "The free slots of that time are at another facility: give that facility or another time."
_IN_PART = (
    "The slots that are to be had at one facility cover only a part of that time: {told}. Give a time within them, or "
    "search availability for another one."
)
_MOST_TOLD = 3
_NOT_AFTER = "The end must be after the start."
_NONE_KEPT = "Time is kept in UTC, to the millisecond, in the years 1 to 9999: there the end is not after the start."
_TOO_LONG = "{what} may last {days} days at most: give an earlier end."
_NOT_THEIRS = "The slot is not one of that practitioner's: give the slot's own practitioner or another slot."
_NOT_THERE = "The slot is at another facility: give the slot's own facility or another slot."
_STAYS = " A reschedule keeps practitioner and facility: give a slot of theirs, or cancel and book anew."


def backwards(timed: Resource, param: str) -> Problem:
    """Return the problem with a time whose end is not after its start."""
    return Problem("invalid_time", not_after(timed), param)


def not_after(timed: Resource) -> str:
    """Say why an Appointment or Slot has no time, as time is kept (`intervals.of`)."""
    return _NONE_KEPT if elapsed(timed["start"], timed["end"]) > timedelta(0) else _NOT_AFTER


def too_long(what: str, start: datetime, end: datetime, param: str) -> Problem | None:
    """Return the problem with a time of `what` ("An appointment") that is longer than anything may be; None if not."""
    if end - start <= LONGEST:
        return None
    return Problem("invalid_time", _TOO_LONG.format(what=what, days=LONGEST.days), param)


def not_theirs(param: str, *, stays: bool = False) -> Problem:
    """Return the problem with a Slot of a Schedule that is not one of the practitioner's, who `stays` in a move."""
    return Problem("slot_mismatch", _kept(_NOT_THEIRS) if stays else _NOT_THEIRS, param)


def not_there(param: str, *, stays: bool) -> Problem:
    """Return the problem with a Slot that is at another facility than the visit, which `stays` there in a move."""
    return Problem("slot_mismatch", _kept(_NOT_THERE) if stays else _NOT_THERE, param)


def elsewhere(*, stays: bool = False) -> str:
    """Say that all that is free is at another facility than the visit, which `stays` there in a move."""
    return _kept(_ELSEWHERE) if stays else _ELSEWHERE


def in_part(slots: Sequence[Resource]) -> str:
    """Say when the first of the Slots are that leave a gap."""
    ordered = sorted(slots, key=lambda slot: parse(slot["start"]))
    told = [times(slot) for slot in ordered[:_MOST_TOLD]]
    return _IN_PART.format(told=", ".join([*told, *(["..."] if len(ordered) > _MOST_TOLD else [])]))


def times(slot: Resource) -> str:
    """Return when a Slot is, in UTC as all answers are, whatever offset it is stored in."""
    return f"{to_utc(slot['start'])} to {to_utc(slot['end'])}"


def _kept(text: str) -> str:
    return text.partition(":")[0] + "." + _STAYS
