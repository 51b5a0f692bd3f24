"""Every member of MediLoop's appointment, declared once.

`view`, `update` and the field table of the documentation all follow from `FIELDS`, so they cannot disagree.
Source of the members: https://docs.mediloop.co/docs/api/appointments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mappings import cancellation, members, participants
from mappings.members import Read, Write
from mappings.references import LOCATION, PATIENT, PRACTITIONER
from mappings.uhid import normalise

CANCELLED_AT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment.cancellationDate"


def _as_given(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Field:
    """One member of MediLoop's appointment.

    Attributes:
        name: as MediLoop spells it.
        type: string, uuid, integer or datetime, as on MediLoop's page.
        nullable: MediLoop's page (or its silence) allows null.
        element: where it lives in the FHIR Appointment.
        note: what a reader of the field table must know besides.
        read: what is shown for an appointment.
        write: puts a value that is not the one shown into an appointment; `None` removes.
        spelt: brings a given value to the spelling in which it is shown, to see whether it is a change.
        follows: members that can make the view show less than the element states. If one of them is changed as well, a
            given value is compared with what is `stated`, so that nothing outdated is left in the element.
        stated: reads what the element states, where that can be more than is shown.
    """

    name: str
    type: str
    nullable: bool
    element: str
    note: str
    read: Read
    write: Write
    spelt: Callable[[Any], Any] = _as_given
    follows: frozenset[str] = frozenset()
    stated: Read | None = None


# Order matters to `update`: a name is written after the person it belongs to, the text of a cancellation
# after its code, the duration after start and end.
FIELDS: tuple[Field, ...] = (
    Field("id", "uuid", False, "`id`", "Opaque: any FHIR id.", *members.primitive("id")),
    Field(
        "appointment_number",
        "string",
        False,
        "`identifier.value`",
        "The first identifier in the appointment-number system.",
        members.read_number,
        members.write_number,
    ),
    Field(
        "patient_uhid",
        "string",
        False,
        "`participant.actor.identifier`",
        "Of the first participant that is a Patient, trimmed and in upper case. If the Patient referred to is known "
        "and has another UHID, that one is shown; null if neither has one.",
        participants.read_uhid,
        participants.write_uhid,
        normalise,
    ),
    Field(
        "patient_name",
        "string",
        False,
        "`participant.actor.display`",
        "The stored Patient's present name goes first. Without either, that of a contained one.",
        participants.name_reader(PATIENT),
        participants.name_writer(PATIENT),
    ),
    Field(
        "practitioner_id",
        "uuid",
        False,
        "`participant.actor.reference`",
        "First participant that is a Practitioner with an id, else the first one: the id in the reference.",
        participants.id_reader(PRACTITIONER),
        participants.id_writer(PRACTITIONER),
    ),
    Field(
        "practitioner_name",
        "string",
        False,
        "`participant.actor.display`",
        "The stored Practitioner's present name goes first. Without either, that of a contained one.",
        participants.name_reader(PRACTITIONER),
        participants.name_writer(PRACTITIONER),
    ),
    Field(
        "facility_id",
        "uuid",
        True,
        "`participant.actor.reference`",
        "First participant that is a Location: the id in the reference.",
        participants.id_reader(LOCATION),
        participants.id_writer(LOCATION),
    ),
    Field(
        "facility_name",
        "string",
        True,
        "`participant.actor.display`",
        "The stored Location's present name goes first. Without either, that of a contained one.",
        participants.name_reader(LOCATION),
        participants.name_writer(LOCATION),
    ),
    Field(
        "status",
        "string",
        False,
        "`status`",
        "`waitlist` shows as `pending`; `entered-in-error` is not shown to MediLoop callers.",
        members.read_status,
        members.write_status,
    ),
    Field(
        "service_type_code",
        "string",
        False,
        "`serviceType[0].coding`",
        "MediLoop's coding, else the first with a code, else the text. A value that is no FHIR code becomes the text.",
        *members.first_code("serviceType", lambda systems: systems.service_type),
    ),
    Field(
        "specialty_code",
        "string",
        True,
        "`specialty[0].coding`",
        "MediLoop's coding, else the first with a code, else the text. A value that is no FHIR code becomes the text.",
        *members.first_code("specialty", lambda systems: systems.specialty),
    ),
    Field(
        "appointment_type_code",
        "string",
        False,
        "`appointmentType.coding`",
        "HL7 v2 table 0276. Without the element `ROUTINE`; with codings of other systems only, null.",
        members.read_type,
        members.write_type,
    ),
    Field(
        "start_time", "datetime", False, "`start`", "Null for a FHIR proposal without a time.", *members.moment("start")
    ),
    Field("end_time", "datetime", False, "`end`", "Null for a FHIR proposal without a time.", *members.moment("end")),
    Field(
        "duration_minutes",
        "integer",
        False,
        "`minutesDuration`",
        "If absent, or longer than the time from `start` to `end`: the whole minutes of that time, at least 1.",
        members.read_duration,
        members.primitive("minutesDuration")[1],
        follows=frozenset({"start_time", "end_time"}),
        stated=members.stated_duration,
    ),
    Field(
        "reason_text",
        "string",
        True,
        "`reasonCode[0].text`",
        "If absent, the display of its first coding that has one. A new text leaves the codings.",
        members.read_reason,
        members.write_reason,
    ),
    Field(
        "priority",
        "integer",
        False,
        "`priority`",
        "Written as it is, 1 to 10. Absent or 0 shows as 5, above 10 as 10.",
        members.read_priority,
        members.primitive("priority")[1],
    ),
    Field("patient_instruction", "string", True, "`patientInstruction`", "", *members.primitive("patientInstruction")),
    Field("notes", "string", True, "`comment`", "", *members.primitive("comment")),
    Field(
        "created_at",
        "datetime",
        False,
        "`created`",
        "A partial date shows as its first moment in UTC.",
        *members.moment("created"),
    ),
    Field(
        "cancellation_reason_code",
        "string",
        True,
        "`cancelationReason.coding`",
        "MediLoop's coding, else HL7's translated, else any. Written with the HL7 translation beside it.",
        cancellation.read_code,
        cancellation.write_code,
    ),
    Field(
        "cancellation_reason_text",
        "string",
        True,
        "`cancelationReason.text`",
        "If absent, the display of an HL7 code that is shown untranslated.",
        cancellation.read_text,
        cancellation.write_text,
    ),
    Field(
        "cancelled_at",
        "datetime",
        True,
        f"extension `{CANCELLED_AT}`",
        "R5's element, as an extension in R4.",
        *members.extension_moment(CANCELLED_AT),
    ),
    Field(
        "rescheduled_at",
        "datetime",
        True,
        "extension `appointment-rescheduled-at`",
        "",
        *members.extension_moment("appointment-rescheduled-at"),
    ),
    Field(
        "reschedule_reason",
        "string",
        True,
        "extension `appointment-reschedule-reason`",
        "`valueString`.",
        *members.extension("appointment-reschedule-reason", "valueString"),
    ),
    Field(
        "checked_in_at",
        "datetime",
        True,
        "extension `appointment-checked-in-at`",
        "",
        *members.extension_moment("appointment-checked-in-at"),
    ),
    Field(
        "arrived_at",
        "datetime",
        True,
        "extension `appointment-arrived-at`",
        "",
        *members.extension_moment("appointment-arrived-at"),
    ),
    Field(
        "fulfilled_at",
        "datetime",
        True,
        "extension `appointment-fulfilled-at`",
        "",
        *members.extension_moment("appointment-fulfilled-at"),
    ),
    Field(
        "noshow_at",
        "datetime",
        True,
        "extension `appointment-noshow-at`",
        "",
        *members.extension_moment("appointment-noshow-at"),
    ),
)
