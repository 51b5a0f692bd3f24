"""The flat tables as ViewDefinitions of SQL on FHIR (https://sql-on-fhir.org): FHIRPath for every column.

They describe for other tools exactly what `adapter.export.columns` writes, so that the same table can be made of any
FHIR server's resources; a test evaluates each expression and compares with the rows. They go beyond the shareable
subset of FHIRPath, since MediLoop's columns follow code tables and choose among participants. Made for a
deployment's own canonicals and code tables; those of the defaults are under docs/views.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from adapter.export.columns import COLUMNS, SCHEDULE_COLUMNS, Column
from adapter.export.view_codes import cancellation, code_of, translation, type_of
from adapter.export.view_paths import ColumnPath, literal
from adapter.export.view_people import PARTICIPANTS, actor_of, id_in, own_id, people_of, uhid_of
from mappings.fields import CANCELLED_AT, FIELDS
from mappings.references import LOCATION, PATIENT, PRACTITIONER
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary
from store.codec import Resource

NAMES = {"Appointment": "appointments", "Slot": "slots", "Schedule": "schedules"}
"""What the views are called, by the resource type of their rows."""

_TYPES = {"string": "string", "integer": "integer", "boolean": "boolean", "timestamp": "dateTime"}
_INSTANTS = ("start", "end", "meta.lastUpdated")
"""Paths of what FHIR calls an instant: by the type a reader of the view makes a column, and refuses what is another."""

_OWN: dict[str, ColumnPath] = {"version_id": "meta.versionId", "last_updated": "meta.lastUpdated"}


def views(systems: Systems, vocabulary: Vocabulary, bases: Sequence[str] = ()) -> list[Resource]:
    """Return the ViewDefinitions of appointments, slots and schedules.

    The rows of slots take the columns of their Schedules from the third: joined by ``schedule_id``.

    Args:
        systems: the canonical URLs of the deployment.
        vocabulary: its code tables.
        bases: its addresses, below which a reference is its own; no other absolute one is.
    """
    slots = tuple(column for column in COLUMNS["Slot"] if column.source == "Slot")
    appointment = _appointment(systems, vocabulary)
    appointment["patient_id"] = actor_of(PARTICIPANTS, PATIENT, systems), own_id(PATIENT, bases)
    actors = ((PRACTITIONER, "practitioner"), (LOCATION, "facility"))
    schedule: dict[str, ColumnPath] = {"schedule_id": "id", **people_of("actor", actors, systems, present=True)}
    slot: dict[str, ColumnPath] = _OWN | {
        "id": "id",
        "status": "status",
        "start_time": "start",
        "end_time": "end",
        "schedule_id": id_in("schedule.reference", "Schedule"),
        "overbooked": "overbooked",
    }
    return [
        _view("Appointment", COLUMNS["Appointment"], appointment, systems),
        _view("Slot", slots, slot, systems),
        _view("Schedule", SCHEDULE_COLUMNS, schedule, systems),
    ]


def _view(kind: str, columns: Sequence[Column], paths: dict[str, ColumnPath], systems: Systems) -> Resource:
    name = NAMES[kind]
    selects = []
    for each, some in groupby(columns, key=lambda column: _of(paths[column.name])[0]):
        described: list[dict[str, Any]] = [
            {"name": column.name, "path": _of(paths[column.name])[1], "type": _type_of(column, paths)}
            | ({"description": column.note} if column.note else {})
            for column in some
        ]
        selects.append(({"forEachOrNull": each} if each else {}) | {"column": described})
    return {
        "resourceType": "ViewDefinition",
        "url": f"{systems.extensions.rpartition('/')[0]}/ViewDefinition/{name}",
        "name": name,
        "status": "active",
        "resource": kind,
        "fhirVersion": ["4.0.1"],
        "select": selects,
    }


def _type_of(column: Column, paths: dict[str, ColumnPath]) -> str:
    return "instant" if paths[column.name] in _INSTANTS else _TYPES[column.kind]


def _of(path: ColumnPath) -> tuple[str, str]:
    """Return what a path starts from (nothing: the resource) and the path."""
    return ("", path) if isinstance(path, str) else path


def _appointment(systems: Systems, vocabulary: Vocabulary) -> dict[str, ColumnPath]:
    actors = ((PATIENT, "patient"), (PRACTITIONER, "practitioner"), (LOCATION, "facility"))
    people = people_of(PARTICIPANTS, actors, systems)
    extensions: dict[str, ColumnPath] = {
        field.name: _extension(field.name, field.element.partition("`")[2].rstrip("`"), systems)
        for field in FIELDS
        if field.element.startswith("extension")
    }
    number = f"identifier.where(system = {literal(systems.appointment_number)} and value.exists()).value.first()"
    reason = "reasonCode.first()"
    return (
        _OWN
        | people
        | extensions
        | {
            "id": "id",
            "appointment_number": number,
            "patient_uhid": uhid_of(systems),
            "status": f"status.select({translation(vocabulary.status_to_mediloop, None, '$this')})",
            "service_type_code": code_of("serviceType.first()", systems.service_type),
            "specialty_code": code_of("specialty.first()", systems.specialty),
            "appointment_type_code": type_of(vocabulary),
            "start_time": "start",
            "end_time": "end",
            "duration_minutes": "minutesDuration",
            "reason_text": f"iif({reason}.text.exists(), {reason}.text, {reason}.coding.display.first())",
            "priority": "iif(priority.exists() and priority > 0, iif(priority > 10, 10, priority), 5)",
            "patient_instruction": "patientInstruction",
            "notes": "comment",
            "created_at": "created",
            "cancellation_reason_code": cancellation(systems, vocabulary, text=False),
            "cancellation_reason_text": cancellation(systems, vocabulary, text=True),
            "fhir_status": "status",
            "slot_id": id_in("slot.first().reference", "Slot"),
        }
    )


def _extension(name: str, url: str, systems: Systems) -> str:
    canonical = url if url == CANCELLED_AT else f"{systems.extensions}/{url}"
    kind = "string" if name == "reschedule_reason" else "dateTime"
    return f"extension.where(url = {literal(canonical)}).first().value.ofType({kind})"
