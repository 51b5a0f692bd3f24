"""Time zones, by their names in the IANA database and by the rules of the installed package `tzdata`.

A machine may have zone files of its own, of another release and with more names in it (``localtime``): on two of them
one name would mean two clocks. So these are not looked at, in any process: all zones are made here.

Another release of the package may be installed while a service runs. Each of its processes keeps the rules that it has
begun with, and one that begins later is told by which the others go (`adapter.handing`).
"""

from __future__ import annotations

import hashlib
import zoneinfo
from functools import cache
from importlib.resources import files
from io import BytesIO
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
    return _made(name)


@cache
def kept() -> str:
    """Keep the rules of all zones as they are now, for as long as this process lasts.

    Returns:
        A text that is the same for the same names and rules.
    """
    every = hashlib.sha256()
    for name in sorted(names()):
        every.update(name.encode())
        every.update(_rules(name))
    return every.hexdigest()


@cache
def _made(name: str) -> ZoneInfo:
    return ZoneInfo.from_file(BytesIO(_rules(name)), key=name)


@cache
def _rules(name: str) -> bytes:
    return files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
