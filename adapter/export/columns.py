"""The flat tables for analysis: their columns, declared once.

The header of a CSV file, the schema of a Parquet file, the tables of docs/data.md and the ViewDefinitions of
SQL on FHIR (`adapter.export.views`) follow from here. The MediLoop columns have the value that MediLoop shows, as far
as the resource itself tells it: the lens of `mappings` gives them. The others are FHIR's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from adapter.export.asked import NOBODY, Asked
from adapter.mediloop.actors import as_shown
from mappings import appointment as appointment_lens
from mappings import slot as slot_lens
from mappings.appointment import FIELDS
from mappings.instants import shown
from mappings.reading import Reading
from mappings.references import PATIENT
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary
from store.codec import Resource
from store.extract import reference, relative

Kind = Literal["string", "integer", "boolean", "timestamp"]
"""Timestamps are moments in UTC, to the microsecond."""

_PATIENT = re.compile(rf"{PATIENT}/([A-Za-z0-9\-.]+)")


@dataclass(frozen=True, slots=True)
class Reader:
    """What a cell is read from.

    Attributes:
        resource: the row's resource.
        shown: the MediLoop object of it.
        reading: of an appointment.
        bases: the addresses of this server.
    """

    resource: Resource
    shown: Mapping[str, Any]
    reading: Reading | None = None
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: of the column, as MediLoop spells it where it is one of MediLoop's.
        kind: of its values.
        note: what a reader must know.
        read: gives the value: text, also for moments (as FHIR writes them, in UTC), or None.
        source: the resource type whose ViewDefinition describes it.
    """

    name: str
    kind: Kind
    note: str
    read: Callable[[Reader], Any]
    source: str


def _shown(name: str) -> Callable[[Reader], Any]:
    return lambda row: row.shown[name]


def _element(name: str) -> Callable[[Reader], Any]:
    return lambda row: row.resource.get(name)


def _meta(name: str) -> Callable[[Reader], Any]:
    return lambda row: row.resource.get("meta", {}).get(name)


def _last_updated(row: Reader) -> str | None:
    return shown(_meta("lastUpdated")(row))


def _patient_id(row: Reader) -> str | None:
    actor = None if row.reading is None else row.reading.actor(PATIENT)
    found = _PATIENT.fullmatch(relative("" if actor is None else actor.get("reference", ""), row.bases))
    return None if found is None else found[1]


def _slot_id(row: Reader) -> str | None:
    slots = row.resource.get("slot") or [{}]
    return _id_in(slots[0].get("reference"), "Slot")


def _schedule_id(row: Reader) -> str | None:
    return _id_in(row.resource.get("schedule", {}).get("reference"), "Schedule")


def _id_in(text: str | None, kind: str) -> str | None:
    found = reference(text or "").partition("/")
    return found[2] if found[0] == kind else None


_KINDS: Mapping[str, Kind] = {"datetime": "timestamp", "integer": "integer"}
_NOTES = {
    "id": "The id of the Appointment.",
    "appointment_number": "The first identifier in the appointment-number system.",
    "patient_uhid": "As the appointment states it, trimmed and in capitals; empty if it only refers to the Patient.",
    "patient_name": "As the appointment states it.",
    "practitioner_id": "Of the first Practitioner who has not declined (one with an id, if there is one), else of the "
    "first Practitioner.",
    "practitioner_name": "As the appointment states it.",
    "facility_id": "Of the first Location that has not declined, else of the first Location.",
    "facility_name": "As the appointment states it.",
    "status": "MediLoop's status: `waitlist` shows as `pending`. `entered-in-error` stays: leave those rows out.",
    "service_type_code": "MediLoop's code, else the first code, else the text.",
    "specialty_code": "MediLoop's code, else the first code, else the text.",
    "appointment_type_code": "A code of HL7 v2 table 0276; `ROUTINE` if nothing is stated.",
    "duration_minutes": "As stated. Appointments booked through MediLoop always state it.",
    "reason_text": "The text of the first reason, else the display of its first coding that has one.",
    "priority": "1 to 10; 5 if nothing is stated.",
    "created_at": "A date without a time shows as its first moment in UTC.",
    "cancellation_reason_code": "MediLoop's code, else HL7's, translated if the code table has a translation.",
    "cancellation_reason_text": "The text, else the display of a code that has no translation.",
}


_PATIENT_ID = "FHIR id of the Patient, if the reference leads to one on this server (`ADAPTER_BASE_URL`)."


def _appointment_columns() -> tuple[Column, ...]:
    lens = [
        Column(
            field.name,
            _KINDS.get(field.type, "string"),
            _NOTES.get(field.name, ""),
            _element("minutesDuration") if field.name == "duration_minutes" else _shown(field.name),
            "Appointment",
        )
        for field in FIELDS
    ]
    own = [
        Column("fhir_status", "string", "FHIR's status, untranslated.", _element("status"), "Appointment"),
        Column("patient_id", "string", _PATIENT_ID, _patient_id, "Appointment"),
        Column("slot_id", "string", "FHIR id of the first Slot it holds.", _slot_id, "Appointment"),
        Column("version_id", "string", "Version of the resource.", _meta("versionId"), "Appointment"),
        Column("last_updated", "timestamp", "When that version was written.", _last_updated, "Appointment"),
    ]
    return (*lens, *own)


_SLOT_NOTES = {
    "id": "The id of the Slot.",
    "status": "FHIR's status.",
    "practitioner_id": "Of the first Practitioner of the Schedule.",
    "practitioner_name": "As the Schedule states it.",
    "facility_id": "Of the first Location of the Schedule.",
    "facility_name": "As the Schedule states it.",
}


def _slot_columns() -> tuple[Column, ...]:
    def column(name: str) -> Column:
        kind: Kind = "timestamp" if name.endswith("_time") else "string"
        source = "Schedule" if name in FROM_SCHEDULE else "Slot"
        return Column(name, kind, _SLOT_NOTES.get(name, ""), _shown(name), source)

    return (
        *(column(name) for name in slot_lens.view({}, None)),
        Column("schedule_id", "string", "FHIR id of the Schedule.", _schedule_id, "Slot"),
        Column("overbooked", "boolean", "As stated.", _element("overbooked"), "Slot"),
        Column("version_id", "string", "Version of the resource.", _meta("versionId"), "Slot"),
        Column("last_updated", "timestamp", "When that version was written.", _last_updated, "Slot"),
    )


FROM_SCHEDULE = ("practitioner_id", "practitioner_name", "facility_id", "facility_name")

COLUMNS: Mapping[str, tuple[Column, ...]] = {"Appointment": _appointment_columns(), "Slot": _slot_columns()}
"""The columns of each table, in order, by the resource type of its rows."""

SCHEDULE_COLUMNS = (
    Column(
        "schedule_id", "string", "FHIR id of the Schedule; a slot's row is joined by it.", _element("id"), "Schedule"
    ),
    *(column for column in COLUMNS["Slot"] if column.source == "Schedule"),
)
"""What the rows of slots take from their Schedules."""


class Rows:
    """Makes rows of resources.

    Args:
        systems: the canonical URLs of the deployment.
        vocabulary: its code tables.
        bases: its addresses, below which a reference is its own; no other absolute one is.
        asked: whom and where to show of several.
    """

    def __init__(
        self, systems: Systems, vocabulary: Vocabulary, bases: tuple[str, ...] = (), asked: Asked = NOBODY
    ) -> None:
        self._systems = systems
        self._vocabulary = vocabulary
        self._bases = bases
        self._shown = asked.shown
        self._roles = asked.standing
        self._schedules: dict[str, tuple[Any, ...]] = {}
        self._known: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def add_schedule(self, schedule: Resource) -> None:
        """Take in what the rows of its slots are to tell."""
        shown = slot_lens.view({}, self._plain(schedule), systems=self._systems, asked=self._shown)
        told = tuple(shown[name] for name in FROM_SCHEDULE)
        self._schedules[schedule["id"]] = self._known.setdefault(told, told)

    def row(self, resource: Resource) -> list[Any]:
        """Return the cells of a resource's row; moments as text in UTC."""
        kind = resource["resourceType"]
        reader = self._appointment(resource) if kind == "Appointment" else self._slot(resource)
        return [column.read(reader) for column in COLUMNS[kind]]

    def _appointment(self, resource: Resource) -> Reader:
        plain, asked = self._plain(resource), self._shown
        shown = appointment_lens.view(plain, systems=self._systems, vocabulary=self._vocabulary, asked=asked)
        return Reader(resource, shown, Reading(plain, self._systems, self._vocabulary, {}, asked), self._bases)

    def _plain(self, resource: Resource) -> Resource:
        """Return an Appointment or a Schedule in which who is asked for can be told: by our address, or by a role."""
        return resource if self._shown is None else as_shown(resource, self._bases, {}, self._roles, self._systems)

    def _slot(self, resource: Resource) -> Reader:
        shown = slot_lens.view(resource, None, systems=self._systems)
        told: Sequence[Any] = self._schedules.get(_schedule_id(Reader(resource, {})) or "", ())
        return Reader(resource, shown | dict(zip(FROM_SCHEDULE, told, strict=False)))
