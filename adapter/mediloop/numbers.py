"""Appointment numbers: ``APT-<year>-<six digits>``, unique, gaps allowed.

A counter gives them. Whoever writes appointments through FHIR, or brings some in, may have used numbers that the
counter comes to: these are then passed over together, since each clash costs a booking that is refused and tried again.
What is looked for are the very numbers that would come next: what is shaped otherwise (``APT-2026-12``) is nobody's
rival, and a lone high one does not use up those before it. After 999,999 numbers have seven digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from adapter.security.callers import Caller
from store.extract import as_written

BY_NUMBER = ("unique",)
"""The index that a look for used numbers goes through."""

_SPAN = 500
"""Numbers that one look asks for."""


class Number(NamedTuple):
    """A number of a year."""

    year: int
    counted: int

    def __str__(self) -> str:
        """Return it as it is written (``APT-2026-000012``)."""
        return f"APT-{self.year}-{self.counted:06d}"


async def following(who: Caller) -> Number:
    """Return the next number of this year, as the clinic's calendar has it; others may have used it."""
    year = who.service.now().astimezone(who.service.settings.zone).year
    return Number(year, await who.store.next_number(_counter(year)))


async def pass_over(who: Caller, clashed: Number) -> None:
    """Have the counter go on behind the used numbers that follow `clashed`, which is used itself."""
    await who.store.pass_numbers(_counter(clashed.year), await _last_used(who, clashed))


def used(system: str, year: int, counts: Sequence[int]) -> dict[str, Any]:
    """Return the MongoDB query of the appointments that have one of these numbers; `BY_NUMBER` serves it."""
    return {"_index.unique": {"$in": [_stored(system, Number(year, count)) for count in counts]}}


def _counter(year: int) -> str:
    return f"appointment-number-{year}"


def _stored(system: str, number: Number) -> str:
    return as_written(system, str(number))


async def _last_used(who: Caller, clashed: Number) -> int:
    """Return a used number behind which many are free: by leaps that double, then halve, so after few looks."""
    last, leap, rising = clashed.counted, 0, True
    while True:
        end = last + leap + _SPAN
        found = await _greatest(who, clashed.year, range(end - _SPAN + 1, end + 1))
        if found is None:
            if leap == 0:
                return last
            rising, leap = False, leap // 2 if leap > _SPAN else 0
        elif end - found >= _SPAN // 2:
            return found
        else:
            last, leap = found, 2 * leap + _SPAN if rising else leap // 2


async def _greatest(who: Caller, year: int, counts: range) -> int | None:
    """Return the greatest used number among `counts`."""
    system = who.service.systems.appointment_number
    found = await who.store.values("Appointment", used(system, year, counts), ("_index.unique",), hint=BY_NUMBER)
    names = {name for one in found for name in one["_index"]["unique"]}
    return next((count for count in reversed(counts) if _stored(system, Number(year, count)) in names), None)
