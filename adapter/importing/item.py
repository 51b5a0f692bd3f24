"""One thing to import, and the order in which types come."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from adapter.errors import Refused
from store.codec import encode

T = TypeVar("T")

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

SLOTS, VISITS = _RANK["Slot"], _RANK["Appointment"]
FIRST = -3
"""The first pass. What keeps time is deleted before anything comes, the rest when nothing refers to it any more."""

_GONE = {"AppointmentResponse": -3, "Appointment": -2, "Slot": -1, "Schedule": 6} | {
    kind: 8 - rank for rank in (0, 1) for kind in RANKS[rank]
}
PASSES = range(FIRST, 9)
"""All passes, in their order; the numbers of those that store are places in `RANKS`."""

ENOUGH = 8_000_000
"""Bytes of JSON that end a batch, however few its items are.

MongoDB writes them several times in one transaction, and its cache (0.5 GB of the embedded server) has to hold that.
"""


@dataclass(frozen=True, slots=True)
class Referent:
    """What a reference is to lead to, of which only the store tells the id.

    Attributes:
        entry: the number of the entry of the same Bundle that it is; 0: whatever has the identifier.
        tokens: its identifiers, as they are indexed: what carries one of them is meant.
    """

    entry: int
    tokens: tuple[str, ...] = ()


@dataclass(slots=True)
class Item:
    """One thing to import.

    Attributes:
        line: its number in the file from 1; of a Bundle or list, the number of the entry.
        raw: its JSON; empty for an entry of a Bundle that has been read.
        kind: its FHIR type; ``MediLoop`` for an object of that API; empty where neither can be told.
        value: what was read of it.
        fault: why it cannot be imported.
        deletes: it is the entry of a Bundle that deletes a resource of that type.
        ident: the id that it gets if it has none, and nothing with its identifiers is there; empty: one is made for it.
        if_none: it is to come only if there is none as yet (``ifNoneExist``).
        sought: the identifier, as it is indexed, that it is looked for by, whether it carries it or not (criteria).
        referents: what its references are to lead to (``Patient/<that one's ident>``, ``Patient?identifier=s|1``).
        entry: the entry of a Bundle that it is, as JSON, if it has such references: they mean something there alone.
        shared: its identifiers, as they are indexed, that do not tell which one it is: others of its Bundle have them.
        roots: where what it refers to lies by the addresses that it gave (``http://x.example/fhir/``), which are
            replaced: entries of its Bundle that keep their names.
    """

    line: int
    raw: bytes
    kind: str = ""
    value: Any = None
    fault: Refused | None = None
    deletes: bool = False
    ident: str = ""
    if_none: bool = False
    sought: str = ""
    referents: dict[str, Referent] = field(default_factory=dict)
    entry: bytes = b""
    shared: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """The pass that it belongs to; what is of no type that is stored is told of in the first."""
        return (_GONE if self.deletes else _RANK).get(self.kind, 0)

    @property
    def size(self) -> int:
        """Bytes of its JSON."""
        return len(self.raw) if self.value is None else len(encode(self.value))

    def resource(self) -> dict[str, Any]:
        """Return what it is, as far as it can be read."""
        try:
            value = orjson.loads(self.raw) if self.value is None else self.value
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}


def portions(found: Iterable[T], most: int, size: Callable[[T], int]) -> Iterator[tuple[T, ...]]:
    """Yield what is found in batches of at most so many, and of not much more than `ENOUGH` bytes."""
    portion: list[T] = []
    held = 0
    for one in found:
        portion.append(one)
        held += size(one)
        if len(portion) == most or held >= ENOUGH:
            yield tuple(portion)
            portion, held = [], 0
    if portion:
        yield tuple(portion)


def kind_of(value: Any) -> str:
    """Return what `Item.kind` says of parsed JSON."""
    if not isinstance(value, dict):
        return ""
    kind = value.get("resourceType")
    if kind is None:
        return "MediLoop" if "start_time" in value or "appointment_number" in value else ""
    return kind if isinstance(kind, str) else ""


def name_without_id(item_kind: str, text: str) -> str:
    """Return the id for what has none: always the same one for the same thing."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"mediloop-fhir:import:{item_kind}:{text}"))
