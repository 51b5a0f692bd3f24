"""A FHIR R4 Appointment as a MediLoop appointment, and back.

The FHIR document is the master and the MediLoop object a view of it. `view` and `update` are a lens: writing
back what is shown changes nothing, and what is written is shown (docs/mapping.md, and property tests).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mappings.elements import NOBODY, Known, Resource, copied
from mappings.fields import FIELDS, Field
from mappings.reading import Reading
from mappings.references import UNNAMED, Asked, Names, relative, stated_uhid
from mappings.systems import DEFAULT_SYSTEMS, Systems
from mappings.vocabulary import Vocabulary

__all__ = ["FIELDS", "Field", "Known", "Resource", "blank", "referred", "shown", "unlinked_uhid", "update", "view"]

DEFAULT_VOCABULARY = Vocabulary.default()

_READERS = tuple((field.name, field.read) for field in FIELDS)
# Most appointments have no extension: what only an extension can say need not be asked then.
_BARE: dict[str, Any] = {field.name: None for field in FIELDS}
_BARE_READERS = tuple((field.name, field.read) for field in FIELDS if not field.element.startswith("extension"))
_NAMES = frozenset(field.name for field in FIELDS)


def view(
    appointment: Resource,
    *,
    systems: Systems = DEFAULT_SYSTEMS,
    vocabulary: Vocabulary = DEFAULT_VOCABULARY,
    known: Known = NOBODY,
    names: Names = UNNAMED,
    asked: Asked | None = None,
) -> dict[str, Any]:
    """Return `appointment` as MediLoop shows it: every member of `FIELDS`, in that order, absent as `None`.

    Times are in UTC with ``Z`` and keep their precision; a stored one that cannot be read is `None`. The duration is in
    minutes.

    Args:
        appointment: a valid FHIR R4 Appointment; it is not changed.
        systems: the canonical URLs of the deployment.
        vocabulary: its code tables.
        known: stored resources by relative reference, for the names and the UHID that the appointment does
            not state itself; `referred` says which there can be.
        names: what people and places are called now (`references.names_of`). These go before the names that the
            appointment states, which date from when it was made.
        asked: who is shown if there are several of a kind; the first one if nobody is asked for, or the one asked for
            takes no part.
    """
    reading = Reading(appointment, systems, vocabulary, known, asked)
    if reading.extensions:
        shown = {name: read(reading) for name, read in _READERS}
    else:
        shown = _BARE.copy()
        for name, read in _BARE_READERS:
            shown[name] = read(reading)
    if names:
        for member, reference in _referred(reading).items():
            if reference in names:
                shown[member] = names[reference]
    return shown


def update(
    appointment: Resource,
    changes: Mapping[str, Any],
    *,
    systems: Systems = DEFAULT_SYSTEMS,
    vocabulary: Vocabulary = DEFAULT_VOCABULARY,
    known: Known = NOBODY,
) -> Resource:
    """Return a copy of `appointment` in which the members of `changes` are what MediLoop is shown.

    A member that is shown with that value already leaves its element alone, and so does the same moment under
    another offset. `None` and the empty text remove. Times are written as given, offset and digits included.
    In a `blank` appointment, values that would be shown by default (ROUTINE, priority 5, a computed duration) are
    written as well, so that FHIR clients find them.

    Args:
        appointment: a FHIR R4 Appointment, or `blank()`; it is not changed.
        changes: members of `FIELDS` by name, any number of them.
        systems: as for `view`.
        vocabulary: as for `view`.
        known: what the caller's `view` was given. What comes from there counts as shown, and is not copied
            into the appointment. A new patient who is among them is referred to.

    Raises:
        ValueError: `changes` has a member that MediLoop's appointment has not, or a time that is none.
    """
    unknown = sorted(changes.keys() - _NAMES)
    if unknown:
        raise ValueError(f"A MediLoop appointment has no member {', '.join(unknown)}.")
    reading = Reading(copied(appointment), systems, vocabulary, known)
    in_the_making = appointment.get("participant") == []  # as no stored appointment can have it
    written: set[str] = set()
    for field in FIELDS:
        if field.name not in changes:
            continue
        value = changes[field.name]
        if value == "":  # FHIR has no empty text
            value = None
        # Compared with what is shown by now and not at first: a member may depend on one written before it.
        read = field.read if field.stated is None or field.follows.isdisjoint(written) else field.stated
        differs = (field.spelt(value) if value is not None else None) != read(reading)
        if differs or (in_the_making and value is not None):
            field.write(reading, value)
            written.add(field.name)
            reading = reading.again()
    resource = reading.resource
    if not resource.get("participant", True):
        del resource["participant"]  # the empty list of `blank`, for which there is no FHIR
    return resource


def blank() -> Resource:
    """Return what a new appointment starts from: ``update(blank(), members)``."""
    return {"resourceType": "Appointment", "status": "proposed", "participant": []}


def shown(appointment: Resource, *, vocabulary: Vocabulary = DEFAULT_VOCABULARY) -> bool:
    """Say whether MediLoop callers see `appointment` at all; not if it was entered in error."""
    return not vocabulary.status_to_mediloop.hides(appointment.get("status"))


def referred(
    appointment: Resource, *, systems: Systems = DEFAULT_SYSTEMS, asked: Asked | None = None
) -> dict[str, str]:
    """Return the relative references to the people and the place on this server, by the member with the name.

    What they are called now can differ from what the appointment says they were called (``patient_name``).
    """
    return _referred(Reading(appointment, systems, DEFAULT_VOCABULARY, NOBODY, asked))


def unlinked_uhid(appointment: Resource, *, systems: Systems, asked: Asked | None) -> str | None:
    """Return the UHID of the patient who is shown, if it is all by which `appointment` says who that is.

    The patient is then whichever Patient carries the UHID, and not one behind a reference (`referred`).
    """
    if all("reference" in one["actor"] for one in appointment.get("participant", ()) if "actor" in one):
        return None  # as in almost every appointment
    patient = Reading(appointment, systems, DEFAULT_VOCABULARY, NOBODY, asked).patient
    return None if patient is None or "reference" in patient else stated_uhid(patient, systems)


def _referred(reading: Reading) -> dict[str, str]:
    found: dict[str, str] = {}
    for member, actor in (
        ("patient_name", reading.patient),
        ("practitioner_name", reading.practitioner),
        ("facility_name", reading.facility),
    ):
        if actor is not None and (reference := relative(actor)) is not None:
            found[member] = reference
    return found
