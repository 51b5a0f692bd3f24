"""Why a time or a Slot does not do: what is said of it at each door alike, and how long a visit or a Slot may be.

The door names the element (`param`), MediLoop's or FHIR's. What one door alone can say stands where it is said.
"""

from __future__ import annotations

from datetime import datetime

from adapter.errors import Problem
from adapter.scheduling.intervals import LONGEST

AWAY = "That time is closed: the schedule says that nobody is there. Search availability for another one."
_TOO_LONG = "{what} may last {days} days at most: give an earlier end."
_NOT_THEIRS = "The slot is not one of that practitioner's: give the slot's own practitioner or another slot."
_NOT_THERE = "The slot is at another facility: give the slot's own facility or another slot."
_STAYS = " A reschedule keeps practitioner and facility: give a slot of theirs, or cancel and book anew."


def backwards(param: str) -> Problem:
    """Return the problem with an end that is not after the start."""
    return Problem("invalid_time", "The end must be after the start.", param)


def too_long(what: str, start: datetime, end: datetime, param: str) -> Problem | None:
    """Return the problem with a time of `what` ("An appointment") that is longer than anything may be; None if not."""
    if end - start <= LONGEST:
        return None
    return Problem("invalid_time", _TOO_LONG.format(what=what, days=LONGEST.days), param)


def not_theirs(param: str, *, stays: bool = False) -> Problem:
    """Return the problem with a Slot of a Schedule that is not one of the practitioner's, who `stays` in a move."""
    return Problem("slot_mismatch", _kept(_NOT_THEIRS) if stays else _NOT_THEIRS, param)


def not_there(param: str, *, stays: bool = False) -> Problem:
    """Return the problem with a Slot that is at another facility than the visit, which `stays` there in a move."""
    return Problem("slot_mismatch", _kept(_NOT_THERE) if stays else _NOT_THERE, param)


def _kept(text: str) -> str:
    return text.partition(":")[0] + "." + _STAYS
