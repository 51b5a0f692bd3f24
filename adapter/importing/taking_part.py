"""Whom and where of a MediLoop object a stored Appointment has already: who takes part is not written over another.

An Appointment may have several patients, practitioners and places, where MediLoop's object shows one of each: in a list
the one that was asked for (`mappings.references.Asked`), by whatever name the document has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from adapter.mediloop.actors import as_shown, behind
from adapter.settings import Settings
from mappings import appointment as lens
from mappings.references import PATIENT, Asked, names_of, uhids
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary
from store.codec import Resource
from store.extract import relative

_PEOPLE = ("Patient/", "Practitioner/", "PractitionerRole/", "Location/")
_MEMBERS = {
    "patient_uhid": "patient_name",
    "practitioner_id": "practitioner_name",
    "facility_id": "facility_name",
}


class Means(Protocol):
    """What is needed of a service: its settings and tables. A `Service` has them."""

    @property
    def settings(self) -> Settings:
        """As read at the start."""

    @property
    def systems(self) -> Systems:
        """The canonical URLs."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The code tables."""


def referred(means: Means, before: Resource) -> Iterator[str]:
    """Yield whom and where a stored Appointment refers to here, as relative references."""
    for one in before.get("participant", ()):
        name = relative(one.get("actor", {}).get("reference", ""), means.settings.fhir_bases)
        if name.startswith(_PEOPLE):
            yield name


def others(
    means: Means, before: Resource, wanted: Mapping[str, Any], known: Mapping[str, Resource], carrier: str | None
) -> dict[str, Any]:
    """Return the members of `wanted` that are not said by who takes part already.

    Args:
        means: whose addresses and tables.
        before: the Appointment as it is stored.
        wanted: the members that are given, the UHID normalised.
        known: whom and where it refers to (`referred`), and the Patient `carrier`.
        carrier: the one stored Patient with the UHID of `wanted`, as a relative reference; None if that is not clear.
    """
    systems = means.systems
    uhid = wanted.get("patient_uhid", "")
    practitioner = f"Practitioner/{wanted.get('practitioner_id')}"
    patients = {name for name, one in known.items() if one["resourceType"] == PATIENT and uhid in uhids(one, systems)}
    asked = Asked(uhid, frozenset(patients), practitioner, f"Location/{wanted.get('facility_id')}")
    roles = {name: whom for name, whom in behind(known).items() if whom == practitioner}
    carrying = {uhid: carrier} if carrier is not None else {}
    plain = as_shown(before, means.settings.fhir_bases, known, roles, systems, carrying)
    names = names_of(known)
    shown = lens.view(plain, systems=systems, vocabulary=means.vocabulary, known=known, names=names, asked=asked)
    # Whose name it would be, were one written.
    first = lens.view(before, systems=systems, vocabulary=means.vocabulary, known=known, names=names)
    left = dict(wanted)
    for member, name in _MEMBERS.items():
        if member in wanted and shown[member] == wanted[member]:
            del left[member]
            if first[member] != wanted[member] or shown[name] == wanted.get(name):
                left.pop(name, None)
    return left
