"""The search parameters of the served types, written by hand from the pages of R4, as the oracle of search reads them.

Each type's page has them at its end (https://hl7.org/fhir/R4/appointment.html#search); those of people are shared
(https://hl7.org/fhir/R4/searchparameter-registry.html). Nothing here comes from `store.r4`, which this is to check.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ACTORS = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Device", "HealthcareService", "Location")
_STATUS = "http://hl7.org/fhir/"


@dataclass(frozen=True)
class Param:
    """A search parameter: what kind of values, where they are, and what they may refer to.

    `kind` is the datatype at the end of `paths`, or ``date`` for date, dateTime and Period.
    """

    kind: str
    paths: tuple[str, ...]
    targets: tuple[str, ...] = ()
    system: str | None = None


def _p(kind: str, *paths: str, to: Iterable[str] = (), system: str | None = None) -> Param:
    return Param(kind, paths, tuple(to), system)


_COMMON = {
    "_id": _p("id", "id"),
    "_lastUpdated": _p("instant", "meta.lastUpdated"),
    "_tag": _p("Coding", "meta.tag"),
    "_security": _p("Coding", "meta.security"),
    "_profile": _p("uri", "meta.profile"),
    "_source": _p("uri", "meta.source"),
}
_SERVICE = {
    "service-category": _p("CodeableConcept", "serviceCategory"),
    "service-type": _p("CodeableConcept", "serviceType"),
    "specialty": _p("CodeableConcept", "specialty"),
    "identifier": _p("Identifier", "identifier"),
}
_ADDRESS = {
    "address": _p("Address", "address"),
    "address-city": _p("string", "address.city"),
    "address-country": _p("string", "address.country"),
    "address-postalcode": _p("string", "address.postalCode"),
    "address-state": _p("string", "address.state"),
    "address-use": _p("code", "address.use", system=_STATUS + "address-use"),
}
_CONTACT = {
    "telecom": _p("ContactPoint", "telecom"),
    "email": _p("ContactPoint", "telecom[system=email]"),
    "phone": _p("ContactPoint", "telecom[system=phone]"),
}
_PERSON = (
    _ADDRESS
    | _CONTACT
    | {
        "active": _p("boolean", "active"),
        "identifier": _p("Identifier", "identifier"),
        "name": _p("HumanName", "name"),
        "gender": _p("code", "gender", system=_STATUS + "administrative-gender"),
    }
)
_NAME = {"family": _p("string", "name.family"), "given": _p("string", "name.given")}
_ENDPOINT = {"endpoint": _p("Reference", "endpoint", to=["Endpoint"])}
_ACTOR = {
    "actor": _p("Reference", "participant.actor", to=ACTORS),
    "patient": _p("Reference", "participant.actor", to=["Patient"]),
    "practitioner": _p("Reference", "participant.actor", to=["Practitioner"]),
    "location": _p("Reference", "participant.actor", to=["Location"]),
}
PARAMETERS: dict[str, dict[str, Param]] = {
    "Appointment": _COMMON
    | _SERVICE
    | _ACTOR
    | {
        "appointment-type": _p("CodeableConcept", "appointmentType"),
        "based-on": _p("Reference", "basedOn", to=["ServiceRequest"]),
        "date": _p("instant", "start"),
        "part-status": _p("code", "participant.status", system=_STATUS + "participationstatus"),
        "reason-code": _p("CodeableConcept", "reasonCode"),
        "reason-reference": _p(
            "Reference",
            "reasonReference",
            to=["Condition", "Procedure", "Observation", "ImmunizationRecommendation"],
        ),
        "slot": _p("Reference", "slot", to=["Slot"]),
        "status": _p("code", "status", system=_STATUS + "appointmentstatus"),
        "supporting-info": _p("Reference", "supportingInformation", to=["*"]),
        "-date-or-req-period": _p("date-or-period", "start"),
    },
    "AppointmentResponse": _COMMON
    | {name: _p("Reference", "actor", to=found.targets) for name, found in _ACTOR.items()}
    | {
        "appointment": _p("Reference", "appointment", to=["Appointment"]),
        "identifier": _p("Identifier", "identifier"),
        "part-status": _p("code", "participantStatus", system=_STATUS + "participationstatus"),
    },
    "Slot": _COMMON
    | _SERVICE
    | {
        "appointment-type": _p("CodeableConcept", "appointmentType"),
        "schedule": _p("Reference", "schedule", to=["Schedule"]),
        "start": _p("instant", "start"),
        "end": _p("instant", "end"),
        "status": _p("code", "status", system=_STATUS + "slotstatus"),
    },
    "Schedule": _COMMON
    | _SERVICE
    | {
        "active": _p("boolean", "active"),
        "actor": _p("Reference", "actor", to=ACTORS),
        "date": _p("date", "planningHorizon"),
    },
    "Patient": _COMMON
    | _PERSON
    | _NAME
    | {
        "birthdate": _p("date", "birthDate"),
        "death-date": _p("date", "deceasedDateTime"),
        "deceased": _p("deceased", "deceased"),
        "general-practitioner": _p(
            "Reference", "generalPractitioner", to=["Organization", "Practitioner", "PractitionerRole"]
        ),
        "language": _p("CodeableConcept", "communication.language"),
        "link": _p("Reference", "link.other", to=["Patient", "RelatedPerson"]),
        "organization": _p("Reference", "managingOrganization", to=["Organization"]),
    },
    "RelatedPerson": _COMMON
    | _PERSON
    | {
        "birthdate": _p("date", "birthDate"),
        "patient": _p("Reference", "patient", to=["Patient"]),
        "relationship": _p("CodeableConcept", "relationship"),
    },
    "Group": _COMMON
    | {
        "actual": _p("boolean", "actual"),
        "characteristic": _p("CodeableConcept", "characteristic.code"),
        "code": _p("CodeableConcept", "code"),
        "exclude": _p("boolean", "characteristic.exclude"),
        "identifier": _p("Identifier", "identifier"),
        "managing-entity": _p(
            "Reference", "managingEntity", to=["Organization", "RelatedPerson", "Practitioner", "PractitionerRole"]
        ),
        "member": _p(
            "Reference",
            "member.entity",
            to=["Patient", "Practitioner", "PractitionerRole", "Device", "Medication", "Substance", "Group"],
        ),
        "type": _p("code", "type", system=_STATUS + "group-type"),
        "value": _p("CodeableConcept", "characteristic.valueCodeableConcept", "characteristic.valueBoolean"),
    },
    "Practitioner": _COMMON | _PERSON | _NAME | {"communication": _p("CodeableConcept", "communication")},
    "PractitionerRole": _COMMON
    | _CONTACT
    | _ENDPOINT
    | {
        "active": _p("boolean", "active"),
        "date": _p("date", "period"),
        "identifier": _p("Identifier", "identifier"),
        "location": _p("Reference", "location", to=["Location"]),
        "organization": _p("Reference", "organization", to=["Organization"]),
        "practitioner": _p("Reference", "practitioner", to=["Practitioner"]),
        "role": _p("CodeableConcept", "code"),
        "service": _p("Reference", "healthcareService", to=["HealthcareService"]),
        "specialty": _p("CodeableConcept", "specialty"),
    },
    "Location": _COMMON
    | _ADDRESS
    | _ENDPOINT
    | {
        "identifier": _p("Identifier", "identifier"),
        "name": _p("string", "name", "alias"),
        "near": _p("near", "position"),
        "operational-status": _p("Coding", "operationalStatus"),
        "organization": _p("Reference", "managingOrganization", to=["Organization"]),
        "partof": _p("Reference", "partOf", to=["Location"]),
        "status": _p("code", "status", system=_STATUS + "location-status"),
        "type": _p("CodeableConcept", "type"),
    },
    "Organization": _COMMON
    | _ADDRESS
    | _ENDPOINT
    | {
        "active": _p("boolean", "active"),
        "identifier": _p("Identifier", "identifier"),
        "name": _p("string", "name", "alias"),
        "partof": _p("Reference", "partOf", to=["Organization"]),
        "type": _p("CodeableConcept", "type"),
    },
    "HealthcareService": _COMMON
    | _ENDPOINT
    | {
        "active": _p("boolean", "active"),
        "characteristic": _p("CodeableConcept", "characteristic"),
        "coverage-area": _p("Reference", "coverageArea", to=["Location"]),
        "identifier": _p("Identifier", "identifier"),
        "location": _p("Reference", "location", to=["Location"]),
        "name": _p("string", "name"),
        "organization": _p("Reference", "providedBy", to=["Organization"]),
        "program": _p("CodeableConcept", "program"),
        "service-category": _p("CodeableConcept", "category"),
        "service-type": _p("CodeableConcept", "type"),
        "specialty": _p("CodeableConcept", "specialty"),
    },
}
