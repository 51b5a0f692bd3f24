"""What `mediloop-fhir serve` tells the processes that it starts: its settings, MongoDB's address, its zones' rules.

They begin later than it does, again and again: if they read ``.env`` themselves, a line that was changed meanwhile
would be theirs alone, past all that is looked at when the service starts. So would a release of `tzdata` that was
installed meanwhile.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import SecretStr

from adapter import timezones
from adapter.settings import Settings
from adapter.variables import SETTINGS_VARIABLE, URI_VARIABLE, ZONES_VARIABLE

_NEEDLESS = {"bootstrap_key": None}
"""The start has registered it, and it may do everything."""


def hand_over(settings: Settings, uri: str) -> dict[str, str]:
    """Return what belongs into the environment of a process of the service: there others do not see secrets."""
    return {
        SETTINGS_VARIABLE: json.dumps(dict(settings) | _NEEDLESS, default=_plain),
        URI_VARIABLE: uri,
        ZONES_VARIABLE: timezones.kept(),
    }


def handed_over() -> tuple[Settings, str]:
    """Return the settings that this process was started with, and MongoDB's address."""
    # All are given: nothing is left for the environment to say.
    told = Settings(_env_file=None, **json.loads(os.environ[SETTINGS_VARIABLE]))
    return told, os.environ[URI_VARIABLE]


def has_same_zones() -> bool:
    """Tell whether this process has time zones by the rules of the one that started it; it keeps those that it has."""
    return timezones.kept() == os.environ[ZONES_VARIABLE]


def _plain(value: SecretStr | Path) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
