"""Dates as spans of time: what the precision of a FHIR date, dateTime or instant leaves open.

Shared by what is stored and what is searched for (https://hl7.org/fhir/R4/search.html#date): both must read a text the
same way. Spans are half open, [lo, hi), in UTC, to the millisecond.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache

FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC, microsecond=999_000)
"""What UTC puts outside of the years 1 to 9999 counts as the nearest inside; open ends of periods are these too."""

_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_OFFSET_MINUTES = 14 * 60
_LONGEST = len("2026-01-10T09:30:00.123456789+03:00")
_BEYOND = re.compile(r"(\.[0-9]{9})[0-9]+")


def shortened(text: str) -> str:
    """Return a date without the digits of its fraction that never count: FHIR allows any number of them."""
    return text if len(text) <= _LONGEST else _BEYOND.sub(r"\1", text, count=1)


def span(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the span [lo, hi) in UTC that a date, partial or whole, stands for.

    A leap second is the first moment of the next minute: a BSON date has no place for it. A time that the clocks show
    twice, as they are put back, is from the first to the end of the second: which of them is meant is left open.

    Args:
        text: year, month, day, minute, second or a fraction of one (of which three digits count).
        zone: in which it is read if it names none.

    Raises:
        ValueError: it is no date.
    """
    lo, _, hi = _span(shortened(text), zone)  # so that no long text is remembered
    return lo, hi


def latest(text: str, zone: tzinfo) -> datetime:
    """Return when what a date stands for begins, as `span`; of a time that the clocks show twice, the second of them.

    Raises:
        ValueError: it is no date.
    """
    return _span(shortened(text), zone)[1]


@lru_cache(maxsize=16_384)
def _span(text: str, zone: tzinfo) -> tuple[datetime, datetime, datetime]:
    """Return the first moment, the latest at which it can begin, and the first one after."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError("not a date")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if hour is None:
        lo, hi = _days(int(year), int(month) if month else None, int(day) if day else None, zone)
        return lo, lo, hi
    leap = second == "60"
    digits = (fraction or "")[:3]
    local = datetime(
        int(year),
        int(month),
        int(day),
        int(hour),
        int(minute),
        59 if leap else int(second or 0),
        0 if leap else int(digits.ljust(3, "0")) * 1000,
        tzinfo=_offset(offset) if offset else zone,
    )
    length = timedelta(minutes=1) if second is None else timedelta(milliseconds=10 ** (3 - len(digits)))
    lo = last = shifted(in_utc(local), timedelta(seconds=leap))
    if not offset:  # of a time that the clocks leave out the other reading is the earlier one
        last = max(lo, shifted(in_utc(local.replace(fold=1)), timedelta(seconds=leap)))
    return lo, last, shifted(last, length)


def days(first: date | None, last: date | None, zone: tzinfo) -> dict[str, datetime]:
    """Return the span of inclusive calendar days in `zone`, as a query has it; None: open at that end.

    Raises:
        OverflowError: it is not within the years 1 to 9999.
    """
    span: dict[str, datetime] = {}
    if first is not None:
        span["$gte"] = datetime.combine(first, time(), zone).astimezone(UTC)
    if last is not None:
        span["$lt"] = datetime.combine(last + timedelta(days=1), time(), zone).astimezone(UTC)
    return span


def shifted(moment: datetime, by: timedelta) -> datetime:
    """Return `moment` later by so much, within the years 1 to 9999."""
    try:
        return min(moment + by, LAST)
    except OverflowError:
        return FIRST if by < timedelta(0) else LAST


def as_instant(moment: datetime) -> str:
    """Return an aware moment as the instant that FHIR has for it: in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def in_utc(local: datetime) -> datetime:
    """Return an aware moment in UTC, within the years 1 to 9999."""
    try:
        return min(local.astimezone(UTC), LAST)
    except OverflowError:
        return FIRST if local.year == 1 else LAST


def _days(year: int, month: int | None, day: int | None, zone: tzinfo) -> tuple[datetime, datetime]:
    first = datetime(year, month or 1, day or 1, tzinfo=zone)
    try:
        if day:
            after = first + timedelta(days=1)  # on the clock on the wall: a day may have 23 hours
        elif month:
            after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
        else:
            after = datetime(year + 1, 1, 1, tzinfo=zone)
    except (OverflowError, ValueError):
        return in_utc(first), LAST
    return in_utc(first), in_utc(after)


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    if minutes > _OFFSET_MINUTES or text[4] > "5":
        raise ValueError("no such offset")
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
