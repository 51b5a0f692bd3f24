"""FHIRPath of search parameters, read into paths through JSON."""

from __future__ import annotations

import pytest

from store import expressions
from store.parameters import Path


@pytest.mark.parametrize(
    ("kind", "expression", "paths", "many"),
    [
        ("Appointment", "Appointment.status", [Path("status", "code")], False),
        ("Appointment", "Appointment.participant.actor", [Path("participant.actor", "Reference")], True),
        (
            "Appointment",
            "Appointment.participant.actor.where(resolve() is Patient)",
            [Path("participant.actor", "Reference")],
            True,
        ),
        ("Slot", "Resource.meta.tag", [Path("meta.tag", "Coding")], True),
        ("Slot", "Resource.id", [Path("id", "id")], False),
        ("Patient", "Patient.name.family | Practitioner.name.family", [Path("name.family", "string")], True),
        ("Location", "Location.name | Location.alias", [Path("name", "string"), Path("alias", "string")], True),
        ("Patient", "(Patient.deceased as dateTime)", [Path("deceasedDateTime", "dateTime")], False),
        (
            "Patient",
            "Patient.deceased.exists() and Patient.deceased != false",
            [Path("deceasedBoolean", "boolean"), Path("deceasedDateTime", "boolean")],
            False,
        ),
        (
            "Patient",
            "Patient.telecom.where(system='email') | Person.telecom.where(system='email')",
            [Path("telecom", "ContactPoint", ("system", "email"))],
            True,
        ),
    ],
)
def test_an_expression_leads_through_json_to_a_datatype(
    kind: str, expression: str, paths: list[Path], many: bool
) -> None:
    found = expressions.read(kind, expression)
    assert list(found.paths) == paths
    assert found.many is many


def test_references_of_one_type_are_told_from_those_of_any() -> None:
    assert expressions.read("Appointment", "Appointment.supportingInformation").anything
    assert not expressions.read("Appointment", "Appointment.slot").anything


def test_the_required_binding_of_a_code_is_known() -> None:
    found = expressions.read("Appointment", "Appointment.status").bindings
    assert found == {"http://hl7.org/fhir/ValueSet/appointmentstatus"}


@pytest.mark.parametrize("expression", ["Appointment.start + 1 day", "Patient.name.first()", "%context"])
def test_an_expression_of_another_form_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        expressions.read("Appointment", expression)


def test_an_element_that_the_type_does_not_have_is_refused() -> None:
    with pytest.raises(LookupError):
        expressions.read("Appointment", "Appointment.subject")
