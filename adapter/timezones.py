"""Time zones, by their names in the IANA database and by the rules of the installed package `tzdata`.

A machine may have zone files of its own, of another release and with more names in it (``localtime``): on two of them
one name would mean two clocks. So these are not looked at, in any process: all zones are made here.
"""

from __future__ import annotations

import zoneinfo
from functools import cache
from zoneinfo import ZoneInfo

zoneinfo.reset_tzpath(to=())  # the package counts where no file is found: `PYTHONTZPATH` would lead to some, too
ZoneInfo.clear_cache()

_NOWHERE = "Factory"  # what the database calls the clock of a machine for which none has been chosen


@cache
def names() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(zoneinfo.available_timezones()) - {_NOWHERE}


def zone(name: str) -> ZoneInfo:
    """Return the time zone of that name.

    Raises:
        LookupError: there is none.
    """
    if name not in names():
        raise LookupError(name)
    return ZoneInfo(name)
