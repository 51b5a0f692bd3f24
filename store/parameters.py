"""What a search parameter is: the one declaration from which search, index, capability statement and pages follow.

`store.types` derives the parameters of each type from the definitions of R4 (`store.r4`), `store.extract` fills
`_index` by them, a search compiles to the same fields. It stands alone so that all of these can import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["token", "reference", "date", "string", "uri", "special"]


@dataclass(frozen=True, slots=True)
class Path:
    """Where in a resource the values of a parameter are.

    Attributes:
        steps: the elements below the resource, as they are named in JSON, with dots: ``participant.actor``.
        datatype: the FHIR type at its end: ``code``, ``CodeableConcept``, ``Reference``, ``Period``, ...
        where: a member and the value that it must have: ``("system", "email")`` of ``telecom.where(system='email')``.
    """

    steps: str
    datatype: str
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter of one resource type.

    Attributes:
        name: as on the wire: ``service-type``, ``_lastUpdated``, ``-date-or-req-period``.
        kind: FHIR's type of search parameter.
        paths: where its values are, one for each branch of a union.
        field: the key under ``_index``: ``actor`` for Appointment's `patient`; ``_id`` (at the top) for `_id`.
        single: there is at most one value, stored as a scalar; else as a list.
        interval: dates are stored as ``{"lo": ..., "hi": ...}``, the half-open span [lo, hi) in UTC.
        targets: the types that a reference may name; none: any.
        system: the implicit system of a `code` with a required binding (``http://hl7.org/fhir/appointmentstatus``).
        definition: the canonical URL of its SearchParameter.
        expression: the FHIRPath of R4.
    """

    name: str
    kind: Kind
    paths: tuple[Path, ...]
    field: str
    single: bool
    interval: bool
    targets: tuple[str, ...]
    system: str | None
    definition: str
    expression: str

    @property
    def of_people(self) -> bool:
        """Whether its texts are people's names, or parts of them: punctuation does not count, and each word does."""
        return any(one.datatype == "HumanName" or one.steps.startswith("name.") for one in self.paths)
