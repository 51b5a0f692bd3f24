"""One declaration per resource type: what is indexed, and by which MongoDB indexes.

`_index` is named after FHIR's own search parameters (https://hl7.org/fhir/R4/appointment.html#search), so that
search compiles to it. The indexes are made from here at start-up; nothing else declares one for a resource.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING, IndexModel

from store import extract
from store.codec import Resource


def key_pattern(keys: Sequence[str]) -> list[tuple[str, int]]:
    """Return the MongoDB key pattern of a declared index."""
    return [(key if key == "_id" else f"_index.{key}", ASCENDING) for key in keys]


Extractor = Callable[[Resource], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A stored resource type.

    Attributes:
        name: the FHIR type, which is also its collection.
        extract: gives the searchable values of a resource (members without a value are left out).
        indexes: the key patterns over ``_index``, without that prefix; ``_id`` stands for itself.
    """

    name: str
    extract: Extractor
    indexes: tuple[tuple[str, ...], ...] = ()

    def index_models(self) -> list[IndexModel]:
        """Return the MongoDB indexes of this type's collection."""
        declared = [
            IndexModel([(key if key == "_id" else f"_index.{key}", ASCENDING) for key in keys]) for keys in self.indexes
        ]
        unique = IndexModel(
            [("_index.unique", ASCENDING)],
            unique=True,
            partialFilterExpression={"_index.unique": {"$exists": True}},
        )
        return [*declared, unique]


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != []}


def _appointment(resource: Resource) -> dict[str, Any]:
    return _present(
        {
            "status": resource.get("status"),
            "date": extract.instant(resource.get("start")),
            "end": extract.instant(resource.get("end")),
            "actor": extract.references(resource, "participant.actor"),
            "actor:identifier": extract.identifiers(resource, "participant.actor.identifier"),
            "identifier": extract.identifiers(resource, "identifier"),
            "slot": extract.references(resource, "slot"),
        }
    )


def _slot(resource: Resource) -> dict[str, Any]:
    start, end = extract.instant(resource.get("start")), extract.instant(resource.get("end"))
    schedule = extract.references(resource, "schedule")
    return _present(
        {
            "status": resource.get("status"),
            "start": start,
            "end": end,
            "minutes": int((end - start).total_seconds() // 60) if start and end else None,
            "schedule": schedule[0] if schedule else None,
            "service-type": extract.tokens(resource, "serviceType"),
            "specialty": extract.tokens(resource, "specialty"),
            "identifier": extract.identifiers(resource, "identifier"),
        }
    )


def _schedule(resource: Resource) -> dict[str, Any]:
    return _present(
        {
            "active": resource.get("active"),
            "actor": extract.references(resource, "actor"),
            "service-type": extract.tokens(resource, "serviceType"),
            "specialty": extract.tokens(resource, "specialty"),
            "identifier": extract.identifiers(resource, "identifier"),
        }
    )


def _identified(resource: Resource) -> dict[str, Any]:
    return _present({"identifier": extract.identifiers(resource, "identifier")})


TYPES: Mapping[str, ResourceType] = {
    declared.name: declared
    for declared in (
        ResourceType(
            "Appointment",
            _appointment,
            (
                # Every list is ordered by start, then id; status rides along so that entries are judged
                # in the index and only the documents of the page are fetched.
                ("date", "_id", "status"),
                ("status", "date", "_id"),
                ("actor", "date", "_id", "status"),
                ("actor:identifier", "date", "_id", "status"),
                ("slot",),
                ("claims",),
            ),
        ),
        ResourceType(
            "Slot",
            _slot,
            (
                ("status", "start", "_id", "schedule", "minutes"),
                ("schedule", "status", "start", "_id", "minutes"),
                ("claims",),
            ),
        ),
        ResourceType("Schedule", _schedule, (("actor",), ("specialty",), ("service-type",), ("identifier",))),
        ResourceType("Patient", _identified, (("identifier",),)),
        ResourceType("Practitioner", _identified, (("identifier",),)),
        ResourceType("Location", _identified, (("identifier",),)),
    )
}
