"""Who is to be asked later: a server that is busy, or an export that it has not finished, and when it wants that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

NOT_READY = 202
"""https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---in-progress-status"""

_LATER = (NOT_READY, 429, 503)
_LEAST = 1.0
_LONGEST_PROGRESS = 100  # as that specification has it


def seconds(status: int, headers: Mapping[str, str]) -> float | None:
    """Return the seconds until a server wants to be asked again (RFC 9110, 10.2.3); None where it says nothing."""
    said = headers.get("Retry-After", "")
    if status not in _LATER:
        return None
    if said.isdecimal():
        return max(float(said), _LEAST)
    try:
        return max((parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds(), _LEAST)
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return None


def said(url: str, status: int, headers: Mapping[str, str], wait: float) -> str:
    """Return what to tell while an address is waited for."""
    if status != NOT_READY:
        why = f"answered {status}, its server is busy"
    else:
        told = _shown(headers.get("X-Progress", ""))[:_LONGEST_PROGRESS]
        why = f"it is not ready ({told})" if told else "it is not ready"
    return f"{url}: {why}. It is asked again in {wait:.0f} seconds."


def unready(status: int, headers: Mapping[str, str]) -> str:
    """Return what to tell of an answer that holds nothing, and does not say when it will."""
    job = _shown(headers.get("Content-Location", ""))
    if status == NOT_READY and job:
        return f"an export has begun there, as that is asked for. Import the address of its job: {job}"
    return f"answered {status}; it is not ready, or is no manifest."


def _shown(text: str) -> str:
    return "".join(filter(str.isprintable, text))
