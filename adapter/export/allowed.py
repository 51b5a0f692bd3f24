"""What a de-identified resource may keep, field by field: whatever is not named here goes.

The tables are data, so that the page for people (docs/deidentification.md) is made from what the code does. An element
is kept only if its values come from a closed set (codes of a required binding, numbers, booleans) or are times; coded
ones keep codings of vocabularies that anybody may read; references and identifiers keep a pseudonym.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from mappings.fields import CANCELLED_AT
from mappings.systems import Systems

Rule = Literal["kept", "codes", "reference", "identifier"] | str
"""What becomes of an element; any other word is the name of the table for what is nested in it."""

KEPT, CODES, REFERENCE, IDENTIFIER = "kept", "codes", "reference", "identifier"

MEANINGS = {
    KEPT: "kept as it is",
    CODES: "codings of known vocabularies keep system and code; display and text go",
    REFERENCE: "type and a pseudonym of whom it refers to; the display goes",
    IDENTIFIER: "a pseudonym of system and value; the system is kept where it is one of this service's own",
}

ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
TIMEZONE = "http://hl7.org/fhir/StructureDefinition/timezone"
CAPACITY = "http://fhir-registry.smarthealthit.org/StructureDefinition/slot-capacity"


def _kept(*names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, KEPT)


def _codes(*names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, CODES)


def _references(*names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, REFERENCE)


_IDENTIFIED: dict[str, Rule] = {"identifier": IDENTIFIER}

RESOURCES: Mapping[str, Mapping[str, Rule]] = {
    "Appointment": _IDENTIFIED
    | _kept("status", "priority", "start", "end", "minutesDuration", "created")
    | _codes("cancelationReason", "serviceCategory", "serviceType", "specialty", "appointmentType", "reasonCode")
    | _references("reasonReference", "supportingInformation", "slot", "basedOn")
    | {"participant": "Appointment.participant", "requestedPeriod": "Period"},
    "AppointmentResponse": _IDENTIFIED
    | _references("appointment", "actor")
    | _kept("start", "end", "participantStatus")
    | _codes("participantType"),
    "Slot": _IDENTIFIED
    | _codes("serviceCategory", "serviceType", "specialty", "appointmentType")
    | _references("schedule")
    | _kept("status", "start", "end", "overbooked"),
    "Schedule": _IDENTIFIED
    | _kept("active")
    | _codes("serviceCategory", "serviceType", "specialty")
    | _references("actor")
    | {"planningHorizon": "Period"},
    "Patient": _IDENTIFIED
    | _kept("active", "gender", "deceasedBoolean")
    | _references("generalPractitioner", "managingOrganization")
    | {"link": "Patient.link"},
    "RelatedPerson": _IDENTIFIED
    | _kept("active", "gender")
    | _references("patient")
    | _codes("relationship")
    | {"period": "Period"},
    "Group": _IDENTIFIED
    | _kept("active", "type", "actual", "quantity")
    | _codes("code")
    | _references("managingEntity")
    | {"member": "Group.member"},
    "Practitioner": _IDENTIFIED | _kept("active", "gender") | {"qualification": "Practitioner.qualification"},
    "PractitionerRole": _IDENTIFIED
    | _kept("active")
    | _references("practitioner", "organization", "location", "healthcareService", "endpoint")
    | _codes("code", "specialty")
    | {"period": "Period", "availableTime": "availableTime", "notAvailable": "notAvailable"},
    "Location": _IDENTIFIED
    | _kept("status", "mode")
    | _codes("operationalStatus", "type", "physicalType")
    | _references("managingOrganization", "partOf", "endpoint")
    | {"hoursOfOperation": "Location.hoursOfOperation"},
    "Organization": _IDENTIFIED | _kept("active") | _codes("type") | _references("partOf", "endpoint"),
    "HealthcareService": _IDENTIFIED
    | _kept("active", "appointmentRequired")
    | _references("providedBy", "location", "coverageArea", "endpoint")
    | _codes("category", "type", "specialty", "serviceProvisionCode", "program", "characteristic", "communication")
    | _codes("referralMethod")
    | {"availableTime": "availableTime", "notAvailable": "notAvailable"},
}
"""By resource type. Every one keeps also ``resourceType``, ``id`` (as a pseudonym), ``meta`` and known extensions."""

NESTED: Mapping[str, Mapping[str, Rule]] = {
    "Meta": _kept("versionId", "lastUpdated") | _codes("security", "tag"),
    "Period": _kept("start", "end"),
    "Appointment.participant": _codes("type")
    | _references("actor")
    | _kept("required", "status")
    | {"period": "Period"},
    "Patient.link": _references("other") | _kept("type"),
    "Group.member": _references("entity") | _kept("inactive") | {"period": "Period"},
    "Practitioner.qualification": _codes("code") | {"period": "Period"},
    "Location.hoursOfOperation": _kept("daysOfWeek", "allDay", "openingTime", "closingTime"),
    "availableTime": _kept("daysOfWeek", "allDay", "availableStartTime", "availableEndTime"),
    "notAvailable": {"during": "Period"},
}
"""By the names that `RESOURCES` uses."""

Values = Mapping[str, "Values | tuple[str, ...]"]


def extensions(systems: Systems) -> dict[str, Values | tuple[str, ...]]:
    """Return the extensions that are kept: by URL the members with their value, or for complex ones their parts."""
    own = systems.extensions
    moments = ("rescheduled-at", "checked-in-at", "arrived-at", "fulfilled-at", "noshow-at")
    minutes = ("valuePositiveInt", "valueUnsignedInt")
    parameters = ("duration", "bufferBefore", "bufferAfter", "alignmentInterval", "alignmentOffset")
    return {
        ABSENT_REASON: ("valueCode",),
        CANCELLED_AT: ("valueDateTime",),
        **{f"{own}/appointment-{name}": ("valueDateTime",) for name in moments},
        f"{own}/hold-expires": ("valueInstant",),
        CAPACITY: ("valueInteger", "valuePositiveInt"),
        TIMEZONE: ("valueCode",),
        f"{own}/scheduling-parameters": dict.fromkeys(parameters, minutes),
        f"{own}/availability": {
            "availableTime": {
                "daysOfWeek": ("valueCode",),
                "allDay": ("valueBoolean",),
                "availableStartTime": ("valueTime",),
                "availableEndTime": ("valueTime",),
            },
            "notAvailable": {"during": ("valuePeriod",)},
        },
    }


VOCABULARIES = (
    "http://terminology.hl7.org/CodeSystem/",
    "http://hl7.org/fhir/",
    "http://snomed.info/sct",
    "http://loinc.org",
    "urn:ietf:bcp:47",
)
"""Beginnings of the code systems that anybody may read; this service's own are added to them."""
