"""One thing to import, and the order in which types come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapter.errors import Refused

RANKS = (
    ("Organization", "Location", "Patient", "Practitioner"),
    ("HealthcareService", "PractitionerRole", "RelatedPerson", "Group"),
    ("Schedule",),
    ("Slot",),
    ("Appointment", "MediLoop"),
    ("AppointmentResponse",),
)
"""The passes: what a type refers to comes before it. MediLoop's objects become Appointments."""

_RANK = {kind: rank for rank, kinds in enumerate(RANKS) for kind in kinds}


@dataclass(slots=True)
class Item:
    """One thing to import.

    Attributes:
        line: its number in the file from 1; of a Bundle or list, the number of the entry.
        raw: its JSON; None for an entry of a Bundle that has been read.
        kind: its FHIR type; ``MediLoop`` for an object of that API; empty where neither can be told.
        value: what was read of it.
        fault: why it cannot be imported.
    """

    line: int
    raw: bytes
    kind: str = ""
    value: Any = None
    fault: Refused | None = None

    @property
    def rank(self) -> int:
        """The pass that it belongs to; what is of no type that is stored is told of in the first."""
        return _RANK.get(self.kind, 0)


def kind_of(value: Any) -> str:
    """Return what `Item.kind` says of parsed JSON."""
    if not isinstance(value, dict):
        return ""
    kind = value.get("resourceType")
    if kind is None:
        return "MediLoop" if "start_time" in value or "appointment_number" in value else ""
    return kind if isinstance(kind, str) else ""
