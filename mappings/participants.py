"""Patient, practitioner and facility: members of MediLoop's object, participants of FHIR's.

FHIR lets an appointment have any number of each. MediLoop is shown the first who has not declined; of practitioners,
the first of these with an id. Writers change that one and leave the others alone. When somebody else takes the place,
what was said of the former person goes.
"""

from __future__ import annotations

from collections.abc import Callable

from mappings.elements import Resource, put, put_list
from mappings.reading import Reading
from mappings.references import PATIENT, identity, name_of, own_uhid, release, uhid_of
from mappings.uhid import normalise, uhid_identifier


def _added(reading: Reading) -> Resource:
    """Append a participant and return its still empty actor."""
    actor: Resource = {}
    participant = {"actor": actor, "required": "required", "status": "accepted"}
    reading.resource.setdefault("participant", []).append(participant)
    return actor


def _release(reading: Reading, actor: Resource) -> None:
    """Remove whom an actor means, and that they declined: the next person in that place has not been asked."""
    release(actor, reading.resource)
    for participant in reading.resource["participant"]:
        if participant.get("actor") is actor and participant.get("status") == "declined":
            participant["status"] = "needs-action"


def read_uhid(reading: Reading) -> str | None:
    """Return the UHID of the patient, normalised."""
    actor = reading.patient
    if actor is None:
        return None
    return reading.uhid or uhid_of(actor, reading.resource, reading.known, reading.systems)


def write_uhid(reading: Reading, value: str | None) -> None:
    """Make the patient the one with the UHID `value`.

    Reference and display named somebody else and are removed. If `known` holds exactly one Patient with that UHID, the
    actor refers to it; with two, it is not clear who is meant. `None` leaves a patient of whom nothing is said: without
    it a further one would be shown.
    """
    actor = reading.patient if reading.patient is not None else _added(reading)
    _release(reading, actor)
    if value is not None:
        uhid = normalise(value)
        carriers = [
            reference
            for reference, resource in reading.known.items()
            if resource.get("resourceType") == PATIENT and own_uhid(resource, reading.systems) == uhid
        ]
        if len(carriers) == 1:
            actor["reference"] = carriers[0]
        actor["identifier"] = uhid_identifier(value, reading.systems)
    put(actor, "type", PATIENT)


def id_reader(kind: str) -> Callable[[Reading], str | None]:
    """Return the reader of the id of the first `kind`."""

    def read(reading: Reading) -> str | None:
        actor = reading.actor(kind)
        return identity(actor) if actor is not None else None

    return read


def id_writer(kind: str) -> Callable[[Reading, str | None], None]:
    """Return the writer of the id of the first `kind`; `None` removes participants until none is shown."""

    def write(reading: Reading, value: str | None) -> None:
        if value is None:
            while (actor := reading.actor(kind)) is not None and identity(actor) is not None:
                _remove(reading, actor)
                reading = reading.again()
            return
        found = reading.actor(kind)
        actor = found if found is not None else _added(reading)
        _release(reading, actor)
        actor["reference"] = f"{kind}/{value}"

    return write


def _remove(reading: Reading, actor: Resource) -> None:
    resource = reading.resource
    kept = [participant for participant in resource["participant"] if participant.get("actor") is not actor]
    put_list(resource, "participant", kept)


def name_reader(kind: str) -> Callable[[Reading], str | None]:
    """Return the reader of the name of the first `kind`."""

    def read(reading: Reading) -> str | None:
        actor = reading.actor(kind)
        return name_of(actor, reading.resource, reading.known) if actor is not None else None

    return read


def name_writer(kind: str) -> Callable[[Reading, str | None], None]:
    """Return the writer of the name of the first `kind`, as ``actor.display``.

    `None` removes the display; where a contained resource tells the name instead, the actor no longer refers
    to it (a patient keeps the UHID). The name of a stored resource is its own and goes on being shown.
    """

    def write(reading: Reading, value: str | None) -> None:
        found = reading.actor(kind)
        actor = found if found is not None else _added(reading)
        if found is None:
            actor["type"] = kind
        put(actor, "display", value)
        if value is None and actor.get("reference", "").startswith("#"):
            uhid = read_uhid(reading) if kind == PATIENT else None
            release(actor, reading.resource)
            put(actor, "type", kind)
            if uhid is not None:
                actor["identifier"] = uhid_identifier(uhid, reading.systems)

    return write
