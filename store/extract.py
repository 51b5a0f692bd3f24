"""What of a resource can be found: FHIR paths and datatypes to values that MongoDB indexes.

Reads plain JSON. Values are normalised once, at the write: instants to UTC dates, codings to tokens
(``code`` and ``system|code``), references to their relative form (``Practitioner/prov-abc-123``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from store.codec import Resource

_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$")
_LEAP_SECOND = re.compile(r":60(?=[.Z+-])")
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC, microsecond=999_000)


def walk(node: Any, path: str) -> Iterator[Any]:
    """Yield every value at `path` (``participant.actor``), through lists."""
    head, _, rest = path.partition(".")
    value = node.get(head) if isinstance(node, dict) else None
    for item in value if isinstance(value, list) else [value]:
        if item is None:
            continue
        if rest:
            yield from walk(item, rest)
        else:
            yield item


@lru_cache(maxsize=8_192)
def instant(text: str | None) -> datetime | None:
    """Return the moment of a FHIR instant in UTC, to the millisecond; None for none.

    A leap second counts as the first moment of the next minute: a BSON date has no place for it. What UTC puts
    outside the years 1 to 9999 (``9999-12-31T23:59:59-05:00``, a common "for ever") counts as the nearest inside.
    """
    if text is None:
        return None
    leap = _LEAP_SECOND.search(text)
    if leap:
        text = text[: leap.start()] + ":59" + text[leap.end() :]
    local = datetime.fromisoformat(text)
    try:
        moment = local.astimezone(UTC)
        if leap:
            moment = moment.replace(microsecond=0) + timedelta(seconds=1)
    except OverflowError:
        return _FIRST if local.year == 1 else _LAST
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@lru_cache(maxsize=8_192)
def reference(text: str) -> str:
    """Return the relative form of a literal reference; what has none (``urn:uuid:…``, ``#p1``) as it is."""
    if text.startswith(("#", "urn:")):
        return text
    found = _REFERENCE.search(text)
    return f"{found[1]}/{found[2]}" if found else text


def references(resource: Resource, path: str) -> list[str]:
    """Return the literal references at `path`, relative, each once."""
    return list(
        dict.fromkeys(
            reference(item["reference"])
            for item in walk(resource, path)
            if isinstance(item, dict) and isinstance(item.get("reference"), str)
        )
    )


def identifiers(resource: Resource, path: str) -> list[str]:
    """Return the Identifiers at `path` as ``system|value``, each once."""
    return list(
        dict.fromkeys(
            f"{item.get('system', '')}|{item['value']}"
            for item in walk(resource, path)
            if isinstance(item, dict) and isinstance(item.get("value"), str)
        )
    )


def tokens(resource: Resource, path: str) -> list[str]:
    """Return the codings of the CodeableConcepts at `path` as ``code`` and ``system|code``, each once."""
    found: dict[str, None] = {}
    for concept in walk(resource, path):
        for coding in walk(concept, "coding"):
            code = coding.get("code")
            if isinstance(code, str):
                found[code] = None
                found[f"{coding.get('system', '')}|{code}"] = None
    return list(found)
