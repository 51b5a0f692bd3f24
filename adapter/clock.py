"""The one clock of the service.

Every moment that is written or compared comes from here, so that a test can set the time in one place and
so that all parts of one request agree about it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]


def now() -> datetime:
    """Return the present moment in UTC, cut to milliseconds (what a BSON date can hold)."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def text(moment: datetime) -> str:
    """Return `moment` as MediLoop prints times: UTC, whole seconds, ``Z`` (``2024-01-15T10:00:00Z``)."""
    return f"{moment.astimezone(UTC).isoformat()[:19]}Z"  # not strftime: of the year 1 it writes one digit


def exact(moment: datetime) -> str:
    """Return `moment` as `text` does, with milliseconds where it has any (``2024-01-15T10:00:00.500Z``)."""
    told = moment.astimezone(UTC)
    return f"{told.isoformat(timespec='milliseconds')[:23]}Z" if told.microsecond else text(told)
