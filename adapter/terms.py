"""What a deployment calls things: its canonical URLs, and its code tables.

Apart from `adapter.service`, for commands that work without one: what that has else takes time to load.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from adapter.settings import Settings, SettingsError
from adapter.variables import PREFIX
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary


def systems_of(settings: Settings) -> Systems:
    """Return the canonical URLs that the settings name."""
    uhid, *aliases = settings.uhid_systems
    return Systems.under(settings.canonical_base, uhid=uhid, uhid_aliases=aliases)


def vocabulary_of(settings: Settings) -> Vocabulary:
    """Return the code tables, with the deployment's own in the place of packaged ones.

    Raises:
        SettingsError: a replacement cannot be used; its file is named.
    """
    vocabulary = Vocabulary.default()
    given: list[Any] = []
    for path in () if settings.concept_maps is None else sorted(settings.concept_maps.glob("*.json")):
        try:
            given.append(orjson.loads(path.read_bytes()))
            vocabulary = Vocabulary.with_overrides(given)  # those before it were sound: what is wrong is in this file
        except OSError as error:
            raise _bad_map(path, f"it cannot be read ({error.strerror})") from error
        except orjson.JSONDecodeError as error:
            raise _bad_map(path, f"it is not JSON ({error})") from error
        except ValueError as error:
            raise _bad_map(path, str(error).removesuffix(".")) from error
    return vocabulary


def _bad_map(path: Path, why: str) -> SettingsError:
    return SettingsError(f"Bad setting. {PREFIX}CONCEPT_MAPS: {path.name}: {why}.")
