"""Parts of resources: what stays, what goes, and that a part says that it is one."""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.fhir import presentation
from adapter.fhir.presentation import part_faults, pretty, subset
from store import r4
from store.codec import Resource, decode, encode

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
TYPES = (
    "Appointment",
    "AppointmentResponse",
    "Group",
    "HealthcareService",
    "Location",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "RelatedPerson",
    "Schedule",
    "Slot",
)
APPOINTMENT = rb"""{
  "resourceType": "Appointment", "id": "a1", "meta": {"versionId": "3", "lastUpdated": "2024-01-15T10:00:00.000Z"},
  "implicitRules": "urn:rules", "language": "en",
  "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">visit</div>"},
  "contained": [
    {"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "#o"}},
    {"resourceType": "Organization", "id": "o", "name": "Clinic"},
    {"resourceType": "Condition", "id": "c", "subject": {"reference": "#p"}}
  ],
  "extension": [{"url": "urn:dose", "valueDecimal": 1.10}],
  "modifierExtension": [{"url": "urn:negated", "valueBoolean": true}],
  "status": "booked", "_status": {"extension": [{"url": "urn:how", "valueDecimal": 2.50}]},
  "reasonReference": [{"reference": "#c"}],
  "priority": 5, "start": "2024-03-01T13:00:00.100+03:00", "end": "2024-03-01T13:30:00+03:00",
  "comment": "bring papers", "_comment": {"id": "c1"},
  "participant": [
    {"id": "one", "type": [{"text": "guest"}], "actor": {"reference": "#p"}, "required": "required",
     "status": "accepted", "_status": {"id": "s"}, "extension": [{"url": "urn:x", "valueCode": "x"}],
     "period": {"start": "2024-03-01"}},
    {"actor": {"reference": "Practitioner/d"}, "status": "accepted"}
  ]
}"""
ALWAYS = {"resourceType", "id", "meta"}
MANDATORY = {"status", "_status", "participant"}
MODIFIERS = {"implicitRules", "modifierExtension"}


def part(summary: str | None = None, *elements: str, kind: str = "Appointment", raw: bytes = APPOINTMENT) -> Resource:
    return decode(subset(raw, kind, summary=summary, elements=elements))


class TestSummary:
    def test_true_keeps_what_r4_marks_and_the_participants(self) -> None:
        found = part("true")
        assert found.keys() == ALWAYS | MANDATORY | MODIFIERS | {"start", "end", "contained"}
        assert found["participant"] == [
            {
                "type": [{"text": "guest"}],
                "actor": {"reference": "#p"},
                "required": "required",
                "status": "accepted",
                "_status": {"id": "s"},
            },
            {"actor": {"reference": "Practitioner/d"}, "status": "accepted"},
        ]

    def test_what_a_part_refers_to_within_stays(self) -> None:
        assert [inner["id"] for inner in part("true")["contained"]] == ["p", "o"]
        assert [inner["id"] for inner in part(None, "reasonReference")["contained"]] == ["p", "o", "c"]
        assert "contained" not in part("true", raw=APPOINTMENT.replace(b'"#p"', b'"Patient/1"'))
        assert len(part(None, "contained")["contained"]) == 3

    def test_text_keeps_the_narrative_and_what_is_mandatory(self) -> None:
        found = part("text")
        assert found.keys() == ALWAYS | MANDATORY | MODIFIERS | {"text", "contained"}
        assert "period" in found["participant"][0]

    def test_data_keeps_all_but_the_narrative(self) -> None:
        whole = decode(APPOINTMENT)
        assert part("data").keys() == whole.keys() - {"text"}
        assert part("data")["_comment"] == {"id": "c1"}

    @pytest.mark.parametrize("summary", [None, "false"])
    def test_without_a_wish_the_bytes_are_served_as_they_are(self, summary: str | None) -> None:
        assert subset(APPOINTMENT, "Appointment", summary=summary, elements=()) is APPOINTMENT

    @pytest.mark.parametrize("summary", ["true", "text", "data"])
    def test_every_part_is_marked_as_one_and_can_be_marked_once(self, summary: str) -> None:
        raw = subset(APPOINTMENT, "Appointment", summary=summary, elements=())
        assert decode(raw)["meta"]["tag"] == [SUBSETTED]
        assert decode(raw)["meta"]["versionId"] == "3"
        assert subset(raw, "Appointment", summary=summary, elements=()) == raw

    def test_other_tags_stay(self) -> None:
        tagged = decode(APPOINTMENT)
        tagged["meta"]["tag"] = [{"system": "urn:mine", "code": "x"}]
        assert part("true", raw=encode(tagged))["meta"]["tag"] == [{"system": "urn:mine", "code": "x"}, SUBSETTED]

    def test_digits_and_offsets_stay(self) -> None:
        raw = subset(APPOINTMENT, "Appointment", summary="data", elements=())
        assert b'"valueDecimal":1.10' in raw
        assert b"2.50" in raw
        assert b"2024-03-01T13:00:00.100+03:00" in subset(APPOINTMENT, "Appointment", summary="true", elements=())

    def test_a_choice_and_a_backbone_of_another_type(self) -> None:
        patient = {
            "resourceType": "Patient",
            "id": "p",
            "deceasedDateTime": "2020",
            "multipleBirthInteger": 2,
            "link": [{"id": "l", "other": {"reference": "Patient/q"}, "type": "seealso"}],
            "contact": [{"gender": "male"}],
        }
        found = part("true", kind="Patient", raw=encode(patient))
        assert found.keys() == ALWAYS | {"deceasedDateTime", "link"}
        assert found["link"] == [{"other": {"reference": "Patient/q"}, "type": "seealso"}]


class TestElements:
    def test_what_is_asked_for_stays_with_what_is_mandatory_or_changes_the_meaning(self) -> None:
        found = part(None, "start", "comment")
        assert found.keys() == ALWAYS | MANDATORY | MODIFIERS | {"start", "comment", "_comment", "contained"}
        assert "period" in found["participant"][0]
        assert found["meta"]["tag"] == [SUBSETTED]

    @pytest.mark.parametrize("name", ["start", "Appointment.start", "start.value"])
    def test_ways_to_name_an_element(self, name: str) -> None:
        assert "start" in part(None, name)

    @pytest.mark.parametrize("name", ["nonsense", "Appointment", "start[0]", "", "Appointment.Start"])
    def test_unknown_names_are_ignored(self, name: str) -> None:
        assert "start" not in part(None, name)
        assert "comment" in part(None, name, "comment")

    def test_names_for_another_type_do_not_concern_this_one(self) -> None:
        assert subset(APPOINTMENT, "Appointment", summary=None, elements=("Slot.start", "Patient")) is APPOINTMENT
        assert "start" not in part(None, "Slot.start", "comment")

    def test_modifiers_and_choices_stay(self) -> None:
        raw = encode(
            {"resourceType": "Patient", "id": "p", "active": False, "deceasedBoolean": True, "multipleBirthInteger": 2}
        )
        assert part(None, "name", kind="Patient", raw=raw).keys() == ALWAYS | {"active", "deceasedBoolean"}
        assert "multipleBirthInteger" in part(None, "multipleBirth", kind="Patient", raw=raw)
        assert "multipleBirthInteger" in part(None, "multipleBirth[x]", kind="Patient", raw=raw)
        assert "multipleBirthInteger" in part(None, "multipleBirthInteger", kind="Patient", raw=raw)

    def test_with_a_summary_either_is_kept(self) -> None:
        assert {"start", "comment"} <= part("true", "comment").keys()
        assert "period" in part("true", "participant")["participant"][0]
        assert {"text", "comment"} <= part("text", "comment").keys()
        assert {"text", "start"}.isdisjoint(part("data", "comment"))


class TestWhole:
    def test_a_part_is_refused_when_it_comes_back(self) -> None:
        [fault] = part_faults(part("true"), "Appointment")
        assert (fault.code, fault.param) == ("subsetted", "Appointment.meta.tag[0]")

    @pytest.mark.parametrize("meta", [None, "x", {}, {"tag": "x"}, {"tag": ["x", {"code": "SUBSETTED"}]}])
    def test_a_whole_one_passes(self, meta: Any) -> None:
        assert not [*part_faults({"resourceType": "Slot"} | ({} if meta is None else {"meta": meta}), "Slot")]


def names_of(model: Any) -> set[str]:
    return set(model.summary_elements_sequence())


@cache
def model(kind: str) -> Any:
    kind, _, nested = kind.partition(".")
    return getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind + nested.capitalize())


class TestTables:
    """`summaries.json` says what the models of `fhir.resources` say."""

    def test_every_type_has_its_own(self) -> None:
        assert {name for name in presentation._summaries() if "." not in name} == set(TYPES)

    @pytest.mark.parametrize("kind", [*TYPES, "Appointment.participant", "Patient.link"])
    def test_elements(self, kind: str) -> None:
        assert set(presentation._summaries()[kind]) == names_of(model(kind))

    @pytest.mark.parametrize("kind", TYPES)
    def test_every_backbone_that_a_summary_keeps_has_its_own(self, kind: str) -> None:
        elements = [element for element in r4.elements(kind) if element["path"].count(".") == 1]
        backbones = {e["path"] for e in elements if e.get("type", [{}])[0].get("code") == "BackboneElement"}
        shape = presentation._shape(kind)
        kept = {
            path for path in backbones if path.partition(".")[2] in shape.summary | shape.mandatory | shape.modifiers
        }
        assert kept == {name for name in presentation._summaries() if name.startswith(f"{kind}.")}

    @pytest.mark.parametrize("kind", TYPES)
    def test_what_is_mandatory_within_is_kept(self, kind: str) -> None:
        for name, names in presentation._shape(kind).nested.items():
            needed = [e["path"] for e in r4.elements(kind) if e["path"].startswith(f"{kind}.{name}.") and e["min"] > 0]
            assert {path.rpartition(".")[2] for path in needed} <= names


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


class TestPretty:
    @given(st.dictionaries(st.text(max_size=6), JSON, max_size=4))
    def test_it_is_what_others_write(self, value: dict[str, Any]) -> None:
        assert pretty(orjson.dumps(value)) == orjson.dumps(value, option=orjson.OPT_INDENT_2)
        assert pretty(json.dumps(value).encode()) == json.dumps(value, indent=2).encode()

    def test_numbers_stay_as_they_are(self) -> None:
        raw = b'{"a":1.10,"b":[1e2,-0,12345678901234567890.00],"c":{},"d":[]}'
        written = pretty(raw)
        assert written == (
            b'{\n  "a": 1.10,\n  "b": [\n    1e2,\n    -0,\n    12345678901234567890.00\n  ],\n  "c": {},\n  "d": []\n}'
        )
        assert pretty(written) == written
