"""The environment variables of ours by name, those that somebody seems to have misspelt, and lines that set none."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

PREFIX = "ADAPTER_"
KEY_VARIABLE = f"{PREFIX}BOOTSTRAP_KEY"
URI_VARIABLE = f"{PREFIX}RUNNING_MONGODB_URI"
SETTINGS_VARIABLE = f"{PREFIX}RUNNING_SETTINGS"
ZONES_VARIABLE = f"{PREFIX}RUNNING_ZONES"
"""No settings: set by `mediloop-fhir serve` for its processes (`adapter.handing`)."""

_ALIKE = 0.75  # of a name is that of a setting (`difflib`): PROT is PORT still, VERSION is none
_WHOLLY_ALIKE = 0.9  # of a name with its prefix: ADAPTOR_PORT is ADAPTER_PORT, CHARTER_PORT is another's


def misspelt(settings: Iterable[str], lines: Iterable[str]) -> Iterator[str]:
    """Yield what is to be said of each variable, or of the `lines` of ``.env``, that looks like one of the `settings`.

    It would have no effect, and nobody would know. What is like none of them is left alone: others may have our prefix.
    So does what Kubernetes sets for each of its Services: `..._SERVICE_HOST`, `..._PORT_80_TCP` and so on. A line may
    be a setting without its prefix; it is another program's where the setting is given as well.
    """
    names = [name.upper() for name in settings]
    known = [f"{PREFIX}{name}" for name in names]
    own = [name.upper() for name in lines]
    given = dict.fromkeys((*(name.upper() for name in os.environ), *own))
    services = [name.removesuffix("SERVICE_HOST") for name in given if name.endswith("_SERVICE_HOST")]
    # By their whole beginnings: a Service named `adapter` has our prefix.
    theirs = tuple(f"{one}{part}" for one in services for part in ("SERVICE_", "PORT_"))
    ports = [f"{one}PORT" for one in services]
    for name in given:
        near: Sequence[str] = ()
        if not name.startswith(PREFIX):
            near = get_close_matches(name, known, 1, _WHOLLY_ALIKE)
        elif name not in (*known, *ports, URI_VARIABLE, SETTINGS_VARIABLE) and not name.startswith(theirs):
            # Without the prefix: it would make all of them alike.
            near = [f"{PREFIX}{one}" for one in get_close_matches(name.removeprefix(PREFIX), names, 1, _ALIKE)]
        if near:
            yield f"{name}: there is no such setting; the nearest is {near[0]}"
        elif name in own and name in names and f"{PREFIX}{name}" not in given:
            yield (
                f"{name}: there is no such setting in .env; write {PREFIX}{name} (and give that, too, where this line "
                "is for another program)"
            )


@contextmanager
def unread_lines() -> Iterator[list[int]]:
    """Give the numbers of the lines of ``.env`` that are none; the library only logs them, and goes on without them."""
    numbers: list[int] = []

    def take(record: logging.LogRecord) -> bool:
        numbers.extend(one for one in record.args or () if isinstance(one, int))
        return False

    log = logging.getLogger("dotenv.main")
    log.addFilter(take)
    try:
        yield numbers
    finally:
        log.removeFilter(take)
