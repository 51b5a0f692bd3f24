"""``$validate``: always issues, never a refusal for what is wrong with the resource."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from adapter.errors import Malformed
from adapter.fhir.validation import outcome_of, warm_up
from adapter.fhir.validation.findings import Findings, expression
from adapter.fhir.validation.models import check_model

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'
PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "p1", "text": {"status": "generated", "div": DIV}}
BARE: dict[str, Any] = {"resourceType": "Patient", "id": "p1"}
MODIFIER: dict[str, Any] = {"url": "http://example.org/not-so", "valueBoolean": True}
CONTACT: dict[str, Any] = {"name": {"text": "x"}}
OF_R4 = "http://hl7.org/fhir/StructureDefinition/Patient"


@pytest.mark.parametrize("mode", [None, "create", "update", "profile"])
def test_no_issues(mode: str | None) -> None:
    (problem,) = outcome_of(PATIENT, "Patient", mode, ident="p1" if mode == "update" else None)
    assert (problem.severity, problem.issue, problem.message) == ("information", "informational", "No issues")


def test_no_narrative_is_worth_a_warning() -> None:
    warning, nothing = outcome_of(BARE, "Patient")
    assert (warning.code, warning.severity, warning.issue, warning.param) == (
        *("dom-6", "warning", "invariant"),
        "Patient.text",
    )
    assert nothing.severity == "information"


def test_what_is_wrong_is_listed() -> None:
    problems = outcome_of({**BARE, "gender": "f", "foo": 1}, "Patient")
    assert [(problem.severity, problem.param) for problem in problems] == [
        ("error", "Patient.gender"),
        ("error", "Patient.foo"),
    ]


def test_update_needs_the_same_id() -> None:
    assert [problem.code for problem in outcome_of(PATIENT, "Patient", "update", ident="p2")] == ["id_mismatch"]
    bare = {name: value for name, value in PATIENT.items() if name != "id"}
    assert [problem.code for problem in outcome_of(bare, "Patient", "update", ident="p2")] == ["id_mismatch"]


def test_delete_needs_no_resource() -> None:
    assert [problem.code for problem in outcome_of(None, "Patient", "delete", ident="p1")] == ["no_issues"]


@pytest.mark.parametrize("profile", [OF_R4, f"{OF_R4}|4.0.1", f"{OF_R4}|4.0"])
def test_the_profile_of_r4_itself_is_known(profile: str) -> None:
    stated = {**PATIENT, "meta": {"profile": [profile]}}
    assert [problem.code for problem in outcome_of(stated, "Patient", profile=profile)] == ["no_issues"]


@pytest.mark.parametrize(
    "profile", ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient", f"{OF_R4}|5.0.0", f"{OF_R4}s"]
)
def test_a_profile_that_a_resource_states_and_nobody_has_looked_at_is_told(profile: str) -> None:
    unknown = {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]}
    stated = {**PATIENT, "meta": {"profile": [None, OF_R4, profile], "_profile": [unknown, None, None]}}
    warning, nothing = outcome_of(stated, "Patient")
    assert (warning.code, warning.severity, warning.issue, warning.param) == (
        *("unknown_profile", "warning", "not-supported"),
        "Patient.meta.profile",
    )
    assert nothing.severity == "information"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"modifierExtension": [MODIFIER]}, "Patient.modifierExtension"),
        ({"contact": [CONTACT, CONTACT | {"modifierExtension": [MODIFIER]}]}, "Patient.contact[1].modifierExtension"),
        ({"implicitRules": "http://example.org/rules"}, "Patient.implicitRules"),
    ],
)
def test_what_changes_the_meaning_in_a_way_that_nobody_here_knows_is_told(members: dict[str, Any], param: str) -> None:
    warning, nothing = outcome_of(PATIENT | members, "Patient")
    assert (warning.code, warning.severity, warning.issue, warning.param) == (
        *("unknown_modifier", "warning", "extension"),
        param,
    )
    assert nothing.severity == "information"


@pytest.mark.parametrize(
    ("resource", "mode", "profile", "param", "issue"),
    [
        (PATIENT, "check", None, "mode", "value"),
        (PATIENT, "update", None, "mode", "required"),
        (None, "delete", None, "mode", "required"),
        (None, None, None, "resource", "required"),
        (PATIENT, None, "http://example.org/profile", "profile", "not-supported"),
        (PATIENT, None, f"{OF_R4}|5.0.0", "profile", "not-supported"),
        (PATIENT, None, f"{OF_R4}|", "profile", "not-supported"),
    ],
)
def test_what_cannot_be_carried_out(resource: Any, mode: str, profile: str, param: str, issue: str) -> None:
    with pytest.raises(Malformed) as caught:
        outcome_of(resource, "Patient", mode, profile=profile)
    (problem,) = caught.value.problems
    assert (problem.param, problem.issue) == (param, issue)


def modelled(resource: dict[str, Any], kind: str) -> list[tuple[str, str | None]]:
    findings = Findings()
    check_model(resource, kind, findings)
    assert all("pydantic" not in problem.message for problem in findings.problems)
    return [(problem.code, problem.param) for problem in findings.all()]


def test_the_second_opinion_in_our_words() -> None:
    wrong = {
        "resourceType": "Appointment",
        "id": "x" * 65,
        "extension": [{"url": "http://x", "valueInstant": "today"}],
        "start": "today",
        "unknown": 1,
    }
    assert sorted(modelled(wrong, "Appointment")) == [
        ("bad_value", "Appointment.extension[0].value"),
        ("bad_value", "Appointment.id"),
        ("bad_value", "Appointment.start"),
        ("missing_element", "Appointment.participant"),
    ]
    assert modelled({"resourceType": "Patient", "meta": []}, "Patient") == [("bad_value", "Patient.meta")]
    assert modelled({**BARE, "deceasedBoolean": True, "deceasedDateTime": "2020"}, "Patient") == [
        ("bad_value", "Patient")
    ]


def test_the_second_opinion_fails_in_silence() -> None:
    assert modelled({"resourceType": "MedicinalProduct"}, "MedicinalProduct") == []
    assert modelled({**BARE, "contained": [{"resourceType": "Foo"}, 5]}, "Patient") == []
    nested = {"resourceType": "Foo"}
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "a", "resource": nested}]}
    assert modelled(parameters, "Parameters") == []


def test_warming_up_loads_the_models() -> None:
    code = """
import sys
from adapter.fhir.validation import warm_up
assert "fhir.resources.R4B.slot" not in sys.modules
warm_up(["Slot"])
assert "fhir.resources.R4B.slot" in sys.modules
from fhir_core.constraints import TYPES_ID_MAX_LENGTH
assert TYPES_ID_MAX_LENGTH == 64
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    warm_up(["Slot"])


def test_an_expression_is_fhirpath() -> None:
    assert expression("Patient") == "Patient"
    assert (
        expression(((("Patient", "name", 0), "_given", 1), "extension", 0)) == "Patient.name[0].given[1].extension[0]"
    )
