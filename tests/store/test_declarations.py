"""Search parameters, derived from R4; the facts they are checked against are the specification's own tables."""

from __future__ import annotations

import pytest

from store import r4
from store.declarations import OWN
from store.parameters import Parameter
from store.types import TYPES

R4 = "http://hl7.org/fhir/SearchParameter"
COMMON = {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"}
ADDRESS = {"address", "address-city", "address-country", "address-postalcode", "address-state", "address-use"}
CONTACT = {"email", "phone", "telecom"}
PERSON = ADDRESS | CONTACT | {"active", "gender", "identifier", "name", "phonetic"}
SERVICE = {"identifier", "service-category", "service-type", "specialty"}
ACTORS = {"actor", "location", "patient", "practitioner"}

NAMES = {
    "Appointment": SERVICE
    | ACTORS
    | {"appointment-type", "based-on", "date", "part-status", "reason-code", "reason-reference", "slot", "status"}
    | {"supporting-info", "-date-or-req-period"},
    "AppointmentResponse": ACTORS | {"appointment", "identifier", "part-status"},
    "Slot": SERVICE | {"appointment-type", "schedule", "start", "status", "end"},
    "Schedule": SERVICE | {"active", "actor", "date"},
    "Patient": PERSON
    | {"birthdate", "death-date", "deceased", "family", "general-practitioner", "given", "language", "link"}
    | {"organization"},
    "RelatedPerson": PERSON | {"birthdate", "patient", "relationship"},
    "Group": {
        "actual",
        "characteristic",
        "code",
        "exclude",
        "identifier",
        "managing-entity",
        "member",
        "type",
        "value",
    },
    "Practitioner": PERSON | {"communication", "family", "given"},
    "PractitionerRole": CONTACT
    | {"active", "date", "endpoint", "identifier", "location", "organization", "practitioner", "role", "service"}
    | {"specialty"},
    "Location": ADDRESS
    | {"endpoint", "identifier", "name", "near", "operational-status", "organization", "partof", "status", "type"},
    "Organization": ADDRESS | {"active", "endpoint", "identifier", "name", "partof", "phonetic", "type"},
    "HealthcareService": SERVICE
    | {"active", "characteristic", "coverage-area", "endpoint", "location", "name", "organization", "program"},
}


def of(kind: str, name: str) -> Parameter:
    return TYPES[kind].parameters[name]


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_a_type_has_the_parameters_of_r4_and_our_own(kind: str) -> None:
    assert set(TYPES[kind].parameters) == COMMON | NAMES[kind]
    assert all(name == one.name for name, one in TYPES[kind].parameters.items())


@pytest.mark.parametrize(
    ("kind", "name", "definition"),
    [
        ("Appointment", "date", f"{R4}/Appointment-date"),
        ("Slot", "_lastUpdated", f"{R4}/Resource-lastUpdated"),
        ("Slot", "_id", f"{R4}/Resource-id"),
        ("Patient", "family", f"{R4}/individual-family"),
        ("Practitioner", "address-city", f"{R4}/individual-address-city"),
        ("RelatedPerson", "birthdate", f"{R4}/individual-birthdate"),
        ("PractitionerRole", "email", f"{R4}/individual-email"),
        ("RelatedPerson", "relationship", f"{R4}/RelatedPerson-relationship"),
        ("Organization", "phonetic", f"{R4}/Organization-phonetic"),
        ("Location", "address", f"{R4}/Location-address"),
        ("Slot", "end", f"{OWN}/Slot-end"),
        ("Appointment", "-date-or-req-period", f"{OWN}/Appointment-date-or-req-period"),
    ],
)
def test_a_parameter_names_its_definition(kind: str, name: str, definition: str) -> None:
    assert of(kind, name).definition == definition


def test_a_parameter_carries_the_expression_of_r4() -> None:
    published = {(base, one["code"]): one["expression"] for one in r4.search_parameters() for base in one["base"]}
    for declared in TYPES.values():
        for one in declared.parameters.values():
            if one.definition.startswith(R4):
                base = "Resource" if one.name.startswith("_") else declared.name
                assert one.expression == published[base, one.name]


def test_the_actors_of_one_kind_share_the_field_of_all() -> None:
    for kind in ("Appointment", "AppointmentResponse"):
        for name, target in (("patient", "Patient"), ("practitioner", "Practitioner"), ("location", "Location")):
            assert of(kind, name).field == "actor"
            assert of(kind, name).targets == (target,)
    others = {
        (kind, one.name)
        for kind, declared in TYPES.items()
        for one in declared.parameters.values()
        if one.field != one.name and one.field != "actor"
    }
    assert others == {("Appointment", "-date-or-req-period")}


@pytest.mark.parametrize(
    ("kind", "name", "single", "interval"),
    [
        ("Appointment", "status", True, False),
        ("Appointment", "date", True, False),
        ("Appointment", "-date-or-req-period", False, True),
        ("Appointment", "appointment-type", False, False),
        ("Appointment", "part-status", False, False),
        ("Appointment", "actor", False, False),
        ("AppointmentResponse", "actor", True, False),
        ("AppointmentResponse", "part-status", True, False),
        ("Schedule", "active", True, False),
        ("Schedule", "date", True, True),
        ("Slot", "end", True, False),
        ("Slot", "_lastUpdated", True, False),
        ("Slot", "_profile", False, False),
        ("Slot", "_source", True, False),
        ("Slot", "_id", True, False),
        ("Patient", "birthdate", True, True),
        ("Patient", "death-date", True, True),
        ("Patient", "deceased", True, False),
        ("Patient", "address-use", False, False),
        ("Location", "address-use", True, False),
        ("HealthcareService", "name", False, False),
        ("Location", "near", True, False),
    ],
)
def test_how_a_value_is_stored_follows_from_its_element(kind: str, name: str, single: bool, interval: bool) -> None:
    assert (of(kind, name).single, of(kind, name).interval) == (single, interval)


@pytest.mark.parametrize(
    ("kind", "name", "system"),
    [
        ("Appointment", "status", "http://hl7.org/fhir/appointmentstatus"),
        ("Appointment", "part-status", "http://hl7.org/fhir/participationstatus"),
        ("Slot", "status", "http://hl7.org/fhir/slotstatus"),
        ("Patient", "gender", "http://hl7.org/fhir/administrative-gender"),
        ("Location", "status", "http://hl7.org/fhir/location-status"),
        ("Location", "address-use", "http://hl7.org/fhir/address-use"),
        ("Schedule", "active", None),
        ("Appointment", "appointment-type", None),
    ],
)
def test_a_bound_code_has_the_system_of_its_binding(kind: str, name: str, system: str | None) -> None:
    assert of(kind, name).system == system


def test_a_reference_without_targets_may_lead_anywhere() -> None:
    assert of("Appointment", "supporting-info").targets == ()
    assert of("Slot", "schedule").targets == ("Schedule",)
