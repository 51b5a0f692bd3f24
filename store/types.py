"""One declaration per resource type: what is searched, what is indexed for it, and by which MongoDB indexes.

`_index` is named after FHIR's own search parameters (https://hl7.org/fhir/R4/searchparameter-registry.html), which come
from the definitions of R4. Routes, searches, the capability statement and the indexes all follow from here; to add a
type is to add a declaration.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import ASCENDING, GEOSPHERE, IndexModel

from store import declarations, finishing, slotids
from store.codec import Resource
from store.indexing import Extractor, Reading, extractor, fields, named_field
from store.parameters import Parameter, Path


def key_pattern(keys: Sequence[str]) -> list[tuple[str, int]]:
    """Return the MongoDB key pattern of a declared index."""
    return [(key if key == "_id" else f"_index.{key}", ASCENDING) for key in keys]


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A stored resource type.

    Attributes:
        name: the FHIR type, which is also its collection.
        permission: the word for it in the permissions of a key.
        parameters: its search parameters by name, those of all types included.
        extract: gives the searchable values of a resource (members without a value are left out).
        indexes: the key patterns over ``_index``, without that prefix; ``_id`` stands for itself.
        sorts: the parameters with several values that have fields to sort by: ``<field>:sort``, the least of them, and
            ``<field>:last``, the greatest.
        compartments: by the owner's type, the parameters that place a resource into its compartment. Each owner is in
            its own (HL7's ``{def}``), whether or not a parameter leads there.
        sparse: like `indexes`, over fields that few resources have: those alone are in it.
        references: the elements with the references that are searched by.
        named: the fields of references that who decides about time asks for at whatever address (`indexing.naming`),
            each with what its index has behind it.
        extended: by the URL of an extension, like `indexes`: over the resources alone that have it themselves.
    """

    name: str
    permission: str
    parameters: Mapping[str, Parameter]
    extract: Extractor
    indexes: tuple[tuple[str, ...], ...] = ()
    sorts: tuple[str, ...] = ()
    compartments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sparse: tuple[tuple[str, ...], ...] = ()
    references: tuple[str, ...] = ()
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extended: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def index_models(self) -> list[IndexModel]:
        """Return the MongoDB indexes of this type's collection."""
        models = [IndexModel(key_pattern(keys)) for keys in self.indexes]
        models += [IndexModel(key_pattern(keys), sparse=True) for keys in self.sparse]
        models += [
            IndexModel(
                key_pattern((named_field(one), *further)),
                # Sparse, it would have every document that has one of its fields.
                partialFilterExpression={f"_index.{named_field(one)}": {"$exists": True}},
            )
            for one, further in self.named.items()
        ]
        models += [
            # Over what is readable, so that it has what was stored before there was this index as well.
            IndexModel(key_pattern(keys), partialFilterExpression={"extension.url": url})
            for url, keys in self.extended.items()
        ]
        models.append(
            IndexModel(
                [("_index.unique", ASCENDING)],
                unique=True,
                partialFilterExpression={"_index.unique": {"$exists": True}},
            )
        )
        models += [
            IndexModel([(f"_index.{one.field}", GEOSPHERE)])
            for one in self.parameters.values()
            if one.kind == "special"
        ]
        rest = self.wildcard()
        if rest:
            models.append(
                IndexModel(
                    [("$**", ASCENDING)],
                    # A release that declares other fields makes another index: MongoDB changes none in place.
                    name=f"search_{zlib.crc32(' '.join(rest).encode()):08x}",
                    wildcardProjection={f"_index.{name}": 1 for name in rest},
                )
            )
        return models

    def wildcard(self) -> tuple[str, ...]:
        """Return the fields that no compound index begins with: one index of MongoDB's serves each of them."""
        leading = {keys[0] for keys in self.indexes} | {"_id"}
        written = {name for one in self.parameters.values() if one.kind != "special" for name in fields(one)}
        return tuple(sorted(written - leading))


def includes(kind: str) -> tuple[str, ...]:
    """Return what ``_include`` can name for resources of type `kind` (``Appointment:patient``)."""
    return tuple(f"{kind}:{one.name}" for one in TYPES[kind].parameters.values() if one.kind == "reference")


def rev_includes(kind: str) -> tuple[str, ...]:
    """Return what ``_revinclude`` can name: the references of all types that may lead to one of type `kind`."""
    return tuple(
        f"{source.name}:{one.name}"
        for source in TYPES.values()
        for one in source.parameters.values()
        if one.kind == "reference" and (not one.targets or kind in one.targets)
    )


def _moment(name: str, steps: str) -> Parameter:
    """Return what is indexed though no parameter searches it."""
    return Parameter(name, "date", (Path(steps, "instant"),), name, True, False, (), None, "", "")


# Made by the store's own hand: the key, and the moment of the write.
_NOT_EXTRACTED = ("_id", "_lastUpdated", "-date-or-req-period")
_SORTS = ("name", "family", "given", "address-city", "identifier", "service-type", "specialty", "appointment-type")


def _declared(
    name: str,
    permission: str,
    *indexes: tuple[str, ...],
    compartments: Mapping[str, tuple[str, ...]] | None = None,
    extras: tuple[Parameter, ...] = (),
    finish: finishing.Finish | None = None,
    sparse: tuple[tuple[str, ...], ...] = (),
    named: Mapping[str, tuple[str, ...]] | None = None,
    extended: Mapping[str, tuple[str, ...]] | None = None,
) -> ResourceType:
    parameters = declarations.parameters(name)
    sorts = tuple(one for one in _SORTS if one in parameters)
    kept = (one for one in parameters.values() if one.name not in _NOT_EXTRACTED)
    walked = extractor([*kept, *extras], sorts, named or ())

    def extract(resource: Resource, reading: Reading) -> dict[str, Any]:
        index = walked(resource, reading)
        if finish is not None:
            finish(resource, index, reading)
        return index

    return ResourceType(
        name,
        permission,
        parameters,
        extract,
        (("_lastUpdated", "_id"), *indexes),
        (*sorts, *(one for one in ("-date-or-req-period",) if one in parameters)),
        compartments or {},
        sparse,
        tuple({path.steps: None for one in parameters.values() if one.kind == "reference" for path in one.paths}),
        named or {},
        extended or {},
    )


# https://hl7.org/fhir/R4/compartmentdefinition.html
_ACTORS = dict.fromkeys(("Patient", "Practitioner", "RelatedPerson"), ("actor",))
_IDENTIFIED = ("identifier", "_id")
# In both directions: the names of one rise by the least of them, and fall by the greatest.
_NAMED = (("name:sort", "_id"), ("name:last", "_id"))
_PEOPLE = (_IDENTIFIED, *_NAMED, ("family:sort", "given:sort", "_id"), ("family:last", "given:last", "_id"))

TYPES: Mapping[str, ResourceType] = {
    declared.name: declared
    for declared in (
        _declared(
            "Appointment",
            "appointments",
            # Every list is ordered by start, then id; status rides along so that entries are judged
            # in the index and only the documents of the page are fetched.
            ("date", "_id", "status"),
            ("status", "date", "_id"),
            ("actor", "date", "_id", "status"),
            ("patient:identifier", "date", "_id", "status"),
            ("slot",),
            ("claims",),
            _IDENTIFIED,
            compartments=_ACTORS,
            extras=(_moment("end", "end"),),
            finish=finishing.appointment,
            sparse=(("hold",), ("long",)),
            named={"actor": ("date",), "slot": ()},
        ),
        _declared(
            "AppointmentResponse",
            "appointments",
            ("appointment", "_id"),
            ("actor", "_id"),
            _IDENTIFIED,
            compartments=_ACTORS,
        ),
        _declared(
            "Slot",
            "slots",
            # What a search for free time reads of each slot is in the index: a month of them is read from it alone.
            ("status", "start", "_id", "schedule", "minutes", "end"),
            ("schedule", "status", "start", "_id", "minutes", "end"),
            ("schedule", "start", "_id"),
            ("start", "_id", "status"),
            ("claims",),
            finish=finishing.slot,
            sparse=(("computed",), ("otherwise",), ("long",)),
            named={"schedule": ("start", "_id")},
            # Who shares Slots of a Schedule: few are for several, whatever there is in all.
            extended={slotids.CAPACITY: ("schedule",)},
        ),
        _declared(
            "Schedule",
            "schedules",
            ("actor", "_id"),
            ("specialty", "_id"),
            ("service-type", "_id"),
            _IDENTIFIED,
            compartments=_ACTORS,
            finish=finishing.schedule,
            sparse=(("computed",), ("nobodys",)),
            named={"actor": ()},
        ),
        _declared(
            "Patient",
            "patients",
            *_PEOPLE,
            compartments={"Patient": ("link",), "Practitioner": ("general-practitioner",), "RelatedPerson": ("link",)},
            finish=finishing.patient,
        ),
        _declared(
            "RelatedPerson",
            "patients",
            ("patient", "_id"),
            _IDENTIFIED,
            *_NAMED,
            compartments={"Patient": ("patient",), "RelatedPerson": ()},
        ),
        _declared(
            "Group",
            "patients",
            ("member", "_id"),
            _IDENTIFIED,
            compartments={"Patient": ("member",), "Practitioner": ("member",)},
        ),
        _declared("Practitioner", "practitioners", *_PEOPLE, compartments={"Practitioner": ()}),
        _declared(
            "PractitionerRole",
            "practitioners",
            ("practitioner", "_id"),
            _IDENTIFIED,
            compartments={"Practitioner": ("practitioner",)},
            named={"practitioner": ()},
        ),
        _declared("Location", "locations", _IDENTIFIED, *_NAMED),
        _declared("Organization", "locations", _IDENTIFIED, *_NAMED),
        _declared("HealthcareService", "locations", _IDENTIFIED, *_NAMED),
    )
}
