"""FHIRPath Patch: the cases of HL7's own test file, in our words."""

from __future__ import annotations

import pytest

from tests.adapter.fhir.patching.fhirpath import DIV, LISTED, THIRD, change, numbered, operation, patient, refusal

ONE_CONTACT = {"name": {"text": "a name"}, "gender": "male"}
OFFICIAL = {
    "No Difference": (patient(birthDate="1920-01-01"), [], patient(birthDate="1920-01-01")),
    "Replace Primitive": (
        patient(birthDate="1920-01-01"),
        [operation("replace", "Patient.birthDate", value={"valueDate": "1930-01-01"})],
        patient(birthDate="1930-01-01"),
    ),
    "Delete Primitive": (patient(birthDate="1920-01-01"), [operation("delete", "Patient.birthDate")], patient()),
    "Add Primitive": (
        patient(),
        [operation("add", "Patient", name="birthDate", value={"valueDate": "1930-01-01"})],
        patient(birthDate="1930-01-01"),
    ),
    "Replace Nested Primitive #1": (
        patient(contact=[ONE_CONTACT]),
        [operation("replace", "Patient.contact[0].gender", value={"valueCode": "female"})],
        patient(contact=[ONE_CONTACT | {"gender": "female"}]),
    ),
    "Replace Nested Primitive #2": (
        patient(contact=[ONE_CONTACT]),
        [operation("replace", "Patient.contact[0].name.text", value={"valueString": "the name"})],
        patient(contact=[ONE_CONTACT | {"name": {"text": "the name"}}]),
    ),
    "Delete Nested Primitive #1": (
        patient(contact=[ONE_CONTACT]),
        [operation("delete", "Patient.contact[0].gender")],
        patient(contact=[{"name": {"text": "a name"}}]),
    ),
    "Delete Nested Primitive #2": (
        patient(contact=[ONE_CONTACT]),
        [operation("delete", "Patient.contact[0].name.text")],
        patient(contact=[{"gender": "male"}]),
    ),
    "Add Nested Primitive": (
        patient(contact=[{"name": {"text": "a name"}}]),
        [operation("add", "Patient.contact[0]", name="gender", value={"valueCode": "male"})],
        patient(contact=[ONE_CONTACT]),
    ),
    "Add Complex": (
        patient(),
        [operation("add", "Patient", name="maritalStatus", value={"valueCodeableConcept": {"text": "married"}})],
        patient(maritalStatus={"text": "married"}),
    ),
    "Replace Complex": (
        patient(maritalStatus={"id": "1", "text": "married"}),
        [
            operation(
                "replace",
                "Patient.maritalStatus",
                value={"valueCodeableConcept": {"id": "2", "text": "not married"}},
            )
        ],
        patient(maritalStatus={"id": "2", "text": "not married"}),
    ),
    "Delete Complex": (
        patient(maritalStatus={"text": "married"}),
        [operation("delete", "Patient.maritalStatus")],
        patient(),
    ),
    "Add Anonymous Type": (
        patient(),
        [
            operation(
                "add",
                "Patient",
                name="contact",
                value={"part": [{"name": "name", "valueHumanName": {"text": "a name"}}]},
            )
        ],
        patient(contact=[{"name": {"text": "a name"}}]),
    ),
    "Delete Anonymous Type": (patient(contact=[ONE_CONTACT]), [operation("delete", "Patient.contact[0]")], patient()),
    "List unchanged": (numbered(1, 2), [], numbered(1, 2)),
    "List unchanged, contents changed": (
        numbered(1, 2),
        [
            operation("replace", "Patient.identifier[0].value", value="value 2"),
            operation("replace", "Patient.identifier[1].value", value="value 1"),
        ],
        numbered(2, 1),
    ),
    "Add to list": (numbered(1, 2), [operation("add", "Patient", name="identifier", value=THIRD)], numbered(1, 2, 3)),
    "Insert in list #1": (numbered(1, 2), [operation("insert", LISTED, index=1, value=THIRD)], numbered(1, 3, 2)),
    "Insert in list #2": (numbered(1, 2), [operation("insert", LISTED, index=0, value=THIRD)], numbered(3, 1, 2)),
    "Insert at the end": (numbered(1, 2), [operation("insert", LISTED, index=2, value=THIRD)], numbered(1, 2, 3)),
    "Delete from List #1": (numbered(1, 2, 3), [operation("delete", f"{LISTED}[0]")], numbered(2, 3)),
    "Delete from List #2": (numbered(1, 2, 3), [operation("delete", f"{LISTED}[1]")], numbered(1, 3)),
    "Delete from List #3": (numbered(1, 2, 3), [operation("delete", f"{LISTED}[2]")], numbered(1, 2)),
    "Reorder List #1": (
        numbered(1, 2, 3, 4),
        [operation("move", LISTED, source=3, destination=1)],
        numbered(1, 4, 2, 3),
    ),
    "Reorder List #2": (
        numbered(1, 2, 3, 4),
        [operation("move", LISTED, source=3, destination=0)],
        numbered(4, 1, 2, 3),
    ),
    "Reorder List #3": (
        numbered(1, 2, 3, 4),
        [operation("move", LISTED, source=3, destination=2)],
        numbered(1, 2, 4, 3),
    ),
    "Reorder List #4": (
        numbered(1, 2, 3, 4),
        [operation("move", LISTED, source=0, destination=3)],
        numbered(2, 3, 4, 1),
    ),
    "Reorder List #5": (
        numbered(1, 2, 3, 4),
        [operation("move", LISTED, source=1, destination=0), operation("move", LISTED, source=2, destination=1)],
        numbered(2, 3, 1, 4),
    ),
    "Reorder List #6": (
        numbered(1, 2, 3, 4),
        [operation("move", LISTED, source=3, destination=place) for place in (0, 1, 2)],
        numbered(4, 3, 2, 1),
    ),
    "Operation on missing element #2": (
        patient(),
        [operation("add", "Patient", name="identifier", value=THIRD)],
        numbered(3),
    ),
    "Full Resource": (
        patient(
            text={"status": "generated", "div": DIV.format("Peter Chalmers")},
            name=[{"use": "official", "family": "Chalmers"}, {"use": "usual", "given": ["Jim"]}],
            birthDate="1974-12-25",
            _birthDate={"extension": [{"url": "urn:time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
        ),
        [
            operation("replace", "Patient.text.div", value=DIV.format("Peter Chalmers1")),
            operation("replace", "Patient.name[0].family", value="Chalmers1"),
        ],
        patient(
            text={"status": "generated", "div": DIV.format("Peter Chalmers1")},
            name=[{"use": "official", "family": "Chalmers1"}, {"use": "usual", "given": ["Jim"]}],
            birthDate="1974-12-25",
            _birthDate={"extension": [{"url": "urn:time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
        ),
    ),
    "Consecutive operations": (
        patient(
            contact=[
                {"name": {"family": "du Marché", "_family": {"extension": [{"url": "urn:p", "valueString": "V"}]}}}
            ]
        ),
        [
            operation("add", "Patient.contact[0]", name="gender", value={"valueCode": "male"}),
            operation("add", "Patient", name="contact", value={"part": [{"name": "gender", "valueCode": "male"}]}),
        ],
        patient(
            contact=[
                {
                    "name": {"family": "du Marché", "_family": {"extension": [{"url": "urn:p", "valueString": "V"}]}},
                    "gender": "male",
                },
                {"gender": "male"},
            ]
        ),
    ),
}


class TestOfficial:
    """https://github.com/FHIR/fhir-test-cases, r4/patch/fhir-patch-tests.xml."""

    @pytest.mark.parametrize("name", OFFICIAL)
    def test_it_applies(self, name: str) -> None:
        before, operations, after = OFFICIAL[name]
        assert change(before, *operations) == after

    def test_operation_on_missing_element(self) -> None:
        before = patient(identifier=[{"use": "official", "value": "123"}])
        path = "Patient.identifier.where(use = 'official').period"
        refused = refusal(before, operation("add", path, name="end", value={"valueDate": "2021-12-01"}))
        assert "no element at the path" in str(refused)
        assert refused.problems[0].param == path
