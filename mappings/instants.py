"""Points in time as text.

A model class or a `datetime` would rewrite what a client sent (``.100Z`` to ``.100000Z``, ``+03:00`` to
``Z``, a leap second to an error), so times are moved and shown without parsing more than is needed: the
digits of a fraction are carried along as they are. `parse` is for comparing, never for storing.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_CLOCK = r"[0-9]{4}-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZULU = re.compile(_CLOCK + "Z").fullmatch
_ORDINARY = re.compile(_CLOCK + r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])").fullmatch
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-5][0-9]|60)(\.[0-9]+)?"
    r"(Z|([+-])(0[0-9]|1[0-3]):([0-5][0-9])|([+-])14:00)"
).fullmatch
_PARTIAL = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?").fullmatch


_SECOND = 10**9  # in nanoseconds
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _split(instant: str) -> tuple[datetime, str, str, str, timedelta]:
    """Take `instant` apart: local minute (naive), seconds, fraction with its point, offset text, offset."""
    found = _INSTANT(instant)
    if found is None:
        raise ValueError(f"{instant!r} is not a point in time: write YYYY-MM-DDThh:mm:ss with Z or an offset")
    year, month, day, hour, minute, second, fraction, zone, sign, hours, minutes, extreme = found.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute))  # noqa: DTZ001 - local
    except ValueError as error:
        raise ValueError(f"{instant!r} is not a point in time: {error}") from None
    offset = timedelta(hours=14) if extreme else timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    if "-" in (sign, extreme):
        offset = -offset
    return moment, second, fraction or "", zone, offset


def to_utc(instant: str) -> str:
    """Return the FHIR instant or dateTime `instant` in UTC, spelt with ``Z``.

    The digits of the fraction and a leap second (``:60``) stay as they are. A partial date is the first
    moment of it in UTC (``2024-01`` -> ``2024-01-01T00:00:00Z``): no clinic's zone is known here. A moment
    outside the years 1 to 9999 once it is in UTC (``9999-12-31T23:59:59-05:00``, a common "for ever") has no
    such spelling and is returned as it is.

    A text that is in UTC already is only looked at for its shape: this runs on every read.

    Raises:
        ValueError: `instant` is neither.
    """
    if _ZULU(instant):
        return instant
    partial = _PARTIAL(instant)
    if partial is not None:
        year, month, day = partial.groups()
        return f"{date(int(year), int(month or 1), int(day or 1)).isoformat()}T00:00:00Z"
    moment, second, fraction, _, offset = _split(instant)
    try:
        moment -= offset
    except OverflowError:
        return instant
    return f"{moment.isoformat(timespec='minutes')}:{second}{fraction}Z"


def shown(stored: str | None) -> str | None:
    """Return a stored point in time in UTC (`to_utc`); None where there is none, or it cannot be read.

    A single stored document must not make a whole list, or an export, fail.
    """
    if stored is None:
        return None
    try:
        return to_utc(stored)
    except ValueError:
        return None


def parse(instant: str) -> datetime:
    """Return `instant` as an aware `datetime` in UTC, for comparing.

    Digits after the microsecond are cut off, a leap second becomes the start of the next minute, and a moment
    that UTC puts outside the years 1 to 9999 the nearest one inside.

    Raises:
        ValueError: `instant` has no date, no time to the second or no offset.
    """
    if _ORDINARY(instant):
        try:
            return datetime.fromisoformat(instant).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # a leap second, a day that does not exist, an edge of the calendar: read below, more slowly
    moment, second, fraction, _, offset = _split(instant)
    rest = (
        timedelta(minutes=1)
        if second == "60"
        else timedelta(seconds=int(second), microseconds=int(fraction[1:7].ljust(6, "0")))
    )
    try:
        return (moment + (rest - offset)).replace(tzinfo=UTC)
    except OverflowError:
        return _FIRST if moment.year == 1 else _LAST


def shift(instant: str, minutes: int) -> str:
    """Return `instant` moved by `minutes`, in the same offset and with the same fraction.

    A leap second is moved as the start of the next minute: the minute it lands in has none.

    Raises:
        ValueError: `instant` is no point in time, or the result is outside the years 1 to 9999.
    """
    moment, second, fraction, zone, _ = _split(instant)
    if second == "60":
        minutes, second, fraction = minutes + 1, "00", re.sub("[0-9]", "0", fraction)
    try:
        moment += timedelta(minutes=minutes)
    except OverflowError:
        raise ValueError(f"{instant!r} cannot be moved by {minutes} minutes") from None
    return f"{moment.isoformat(timespec='minutes')}:{second}{fraction}{zone}"


def _nanoseconds(instant: str) -> int:
    moment, second, fraction, _, offset = _split(instant)
    local = ((moment - datetime.min) - offset) // timedelta(microseconds=1) * 1_000  # noqa: DTZ901 - local
    return local + _within_minute(second, fraction)


def _within_minute(second: str, fraction: str) -> int:
    """Return the nanoseconds since the minute; a leap second is the start of the next one."""
    return 60 * _SECOND if second == "60" else int(second) * _SECOND + int(fraction[1:10].ljust(9, "0"))


def lasting(start: str, begin: str, end: str) -> str:
    """Return when ends what starts at `start` and lasts exactly as long as from `begin` to `end`.

    In the offset of `start` and with its digits, or more where the length has more. Digits after the nanosecond are
    cut off.

    Raises:
        ValueError: one of them is no point in time, or the result is outside the years 1 to 9999.
    """
    length = _nanoseconds(end) - _nanoseconds(begin)
    moment, second, fraction, zone, _ = _split(start)
    digits = max(len(fraction[1:10]), len(f"{length % _SECOND:09d}".rstrip("0")))
    seconds, rest = divmod(_within_minute(second, fraction) + length, _SECOND)
    try:
        moment += timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"a time that starts at {start!r} and is so long leaves the calendar") from None
    shown = f".{rest:09d}"[: digits + 1] if digits else ""
    return f"{moment.isoformat(timespec='seconds')}{shown}{zone}"


def elapsed(start: str, end: str) -> timedelta:
    """Return how long it is from `start` to `end`, to the microsecond (negative where `end` is the earlier).

    Also between moments that UTC puts outside the years 1 to 9999, which `parse` does not tell apart.

    Raises:
        ValueError: one of them is no point in time.
    """
    first, last = parse(start), parse(end)
    if _FIRST < first < _LAST and _FIRST < last < _LAST:
        return last - first
    return timedelta(microseconds=(_nanoseconds(end) - _nanoseconds(start)) // 1_000)


def minutes_between(start: str, end: str) -> int:
    """Return the whole minutes from `start` to `end`, rounded down (negative where `end` is the earlier).

    Raises:
        ValueError: one of them is no point in time; what can be no time of day in a text in UTC may pass.
    """
    if start[:11] == end[:11] and start[16:] == end[16:] and start[-1:] == "Z":
        # As almost all visits are: within a day, and told alike. This runs on every read.
        return (int(end[11:13]) - int(start[11:13])) * 60 + int(end[14:16]) - int(start[14:16])
    return elapsed(start, end) // timedelta(minutes=1)
