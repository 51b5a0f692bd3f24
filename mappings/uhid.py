"""The UHID, MediLoop's patient number, as text and as a FHIR Identifier.

Kept apart because both doors and the booking rules compare UHIDs, and must do it alike.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from mappings.systems import Systems

PATTERN = r"^UG[0-9]{9}[A-Z]$"
"""Inferred from the one documented sample (``UG123456789A``); a deployment may set another."""

_V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"


def normalise(value: str) -> str:
    """Return `value` trimmed and in upper case: the spelling in which UHIDs are compared and shown."""
    return value.strip().upper()


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def matches(value: str, pattern: str = PATTERN) -> bool:
    """Say whether `value`, normalised, is wholly a UHID of the shape `pattern`.

    No check letter is verified: none is documented.

    Raises:
        re.error: `pattern` is no regular expression.
    """
    return _compiled(pattern).fullmatch(normalise(value)) is not None


@lru_cache(maxsize=16)
def anywhere(pattern: str) -> re.Pattern[str]:
    """Return what finds UHIDs within a text that is in upper case.

    Raises:
        re.error: `pattern` is no regular expression.
    """
    loose = re.sub(r"(?<![\\\[])[\^$]|\\[AZ]", "", pattern)  # without what ties it to the beginning and the end
    try:
        return re.compile(loose)
    except re.error:  # such a sign was in a set of characters
        return re.compile(pattern)


def uhid_identifier(value: str, systems: Systems) -> dict[str, Any]:
    """Return `value` as a FHIR Identifier, in the UHID system of the deployment.

    Its type is ``NI`` (national unique individual identifier): the UHID belongs to the person and not to a
    hospital, so it is no medical record number (``MR``).
    """
    return {
        "use": "official",
        "type": {"coding": [{"system": _V2_0203, "code": "NI"}], "text": "UHID"},
        "system": systems.uhid,
        "value": normalise(value),
    }
