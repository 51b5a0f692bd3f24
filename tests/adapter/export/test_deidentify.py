"""De-identified: nothing of whom it was about occurs in the output, it is valid FHIR, and equal ids stay equal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.export import allowed
from adapter.export.deidentify import PSEUDONYMISED, REDACTED, Deidentifier
from adapter.fhir.validation import check
from adapter.fhir.validation.definitions import Type, type_of
from adapter.scheduling.hours import TIMEZONE
from mappings.elements import ABSENT_REASON
from store.codec import decode, encode
from store.slotids import CAPACITY
from store.types import TYPES
from tests import strategies
from tests.adapter.fhir.validation import generated
from tests.scale import examples

Json = dict[str, Any]
KEY = b"a key of this test alone"
SYSTEMS = strategies.SYSTEMS
EXAMPLES = sorted((Path(__file__).parents[1] / "fhir" / "examples").glob("*.json"))
_SECRET = ("string", "markdown", "id", "elementId", "xhtml", "url", "uri", "canonical", "oid", "uuid", "base64Binary")


@pytest.fixture(scope="module")
def deidentifier() -> Deidentifier:
    return Deidentifier(KEY, SYSTEMS, ("https://fhir.example.org/fhir/R4",))


class Marked:
    """Puts a word that occurs nowhere else into everything that is text, id or address."""

    def __init__(self) -> None:
        self.count = 0
        self.ids: dict[str, str] = {}

    def word(self) -> str:
        self.count += 1
        return f"Qx{self.count}Zq"

    def resource(self, resource: Json) -> Json:
        return self.object(resource, type_of(resource["resourceType"]))

    def object(self, node: Json, of: Type) -> Json:
        made: Json = {}
        for name, value in node.items():
            member = of.members[name]
            if name == "resourceType":
                made[name] = value
            elif member.primitive is not None:
                many = member.many
                marked = [self.primitive(one, name, member.primitive.name) for one in (value if many else [value])]
                made[name] = marked if many else marked[0]
            else:
                inner = [self.complex(one, member) for one in (value if member.many else [value])]
                made[name] = inner if member.many else inner[0]
        return made

    def complex(self, value: Any, member: Any) -> Any:
        if value is None:
            return None
        return self.resource(value) if member.type is None else self.object(value, member.type())

    def primitive(self, value: Any, name: str, kind: str) -> Any:
        if not isinstance(value, str) or kind not in _SECRET or (name == "system" and value.startswith("http")):
            return value
        if kind == "xhtml":
            return f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{self.word()}</p></div>'
        if name == "reference":
            head, slash, ident = value.rpartition("/")
            if value.startswith("#"):
                return "#" + self.ids.setdefault(value[1:], self.word())
            return f"urn:uuid:{self.word()}" if value.startswith("urn:") else f"{head}{slash}{ident}{self.word()}"
        if name == "id":
            return self.ids.setdefault(value, self.word())
        if name == "url" and value.startswith(SYSTEMS.extensions[:20]):
            return value
        return f"http://{self.word()}/x" if value.startswith("http") else f"{value}{self.word()}"


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield name
            yield from _texts(value)
    elif isinstance(node, list):
        for item in node:
            yield from _texts(item)
    elif isinstance(node, str):
        yield node


def _is_clean(deidentifier: Deidentifier, resource: Json) -> None:
    marked = Marked().resource(resource)
    before = encode(marked)
    made = deidentifier.resource(marked)
    assert encode(marked) == before, "the input was changed"
    assert "Qx" not in json.dumps(made, default=str, ensure_ascii=False), made
    assert PSEUDONYMISED in made["meta"]["security"]


def _is_valid(deidentifier: Deidentifier, resource: Json) -> None:
    resource = decode(encode(resource))
    if not check(resource):
        problems = check(deidentifier.resource(resource))
        assert not problems, (problems, deidentifier.resource(resource))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_official_examples_lose_every_text_and_stay_valid(deidentifier: Deidentifier, path: Path) -> None:
    resource = json.loads(path.read_text())
    _is_clean(deidentifier, resource)
    _is_valid(deidentifier, resource)
    kept = set(_texts(deidentifier.resource(resource)))
    names = {one["text"] for one in resource.get("name", ()) if isinstance(one, dict) and "text" in one}
    secrets = {one["value"] for one in resource.get("identifier", ())} | {resource["id"]} | names
    assert not secrets & kept


@settings(
    max_examples=examples(240),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(st.one_of(strategies.appointments(), strategies.slots(), strategies.schedules()))
def test_nothing_that_tells_who_occurs_in_scheduling_resources(deidentifier: Deidentifier, resource: Json) -> None:
    _is_clean(deidentifier, resource)
    _is_valid(deidentifier, resource)


@settings(
    max_examples=examples(300),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(st.sampled_from(generated.KINDS).flatmap(generated.resources))
def test_nothing_that_tells_who_occurs_in_resources_of_any_shape(deidentifier: Deidentifier, resource: Json) -> None:
    _is_clean(deidentifier, resource)
    _is_valid(deidentifier, resource)


def test_equal_ids_and_identifiers_map_equally_wherever_they_stand(deidentifier: Deidentifier) -> None:
    patient = deidentifier.resource(
        {
            "resourceType": "Patient",
            "id": "p1",
            "identifier": [{"system": SYSTEMS.uhid, "value": " ug123456789a "}],
        }
    )

    def actor(reference: str, **more: Any) -> Any:
        resource = {
            "resourceType": "Appointment",
            "status": "proposed",
            "participant": [{"status": "accepted", "actor": {"reference": reference, **more}}],
        }
        return deidentifier.resource(resource)["participant"][0]["actor"]

    name = f"Patient/{patient['id']}"
    assert deidentifier.name("Patient/p1") == name
    assert actor("Patient/p1") == {"reference": name}
    assert actor("Patient/p1/_history/4", display="Amina") == {"reference": name}
    assert actor("https://fhir.example.org/fhir/R4/Patient/p1") == {"reference": name}
    assert actor("https://elsewhere.example.org/Patient/p1") != {"reference": name}
    there = "https://elsewhere.example.org"
    others = [f"{there}/x", f"{there}/y", f"{there}/Basis/p1", f"{there}/Patient?identifier=p1", "urn:oid:1.2.3"]
    made = [actor(one) for one in others]
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", one["reference"]) for one in made)
    assert len({one["reference"] for one in made}) == len(others)
    assert made == [actor(one, display="Amina") for one in others]
    assert actor(others[0], type="Practitioner") == {**made[0], "type": "Practitioner"}
    assert "reference" not in actor("#gone")
    assert actor("Practitioner/p1")["reference"].partition("/")[2] != patient["id"]
    alias = {"system": SYSTEMS.uhid_aliases[0], "value": "UG123456789A"}
    assert actor("Patient/p1", identifier=alias)["identifier"] == patient["identifier"][0]


def test_another_key_gives_other_pseudonyms_and_tells_by_its_fingerprint(deidentifier: Deidentifier) -> None:
    other = Deidentifier(b"another key, as long", SYSTEMS)
    assert other.name("Patient/p1") != deidentifier.name("Patient/p1")
    assert other.fingerprint != deidentifier.fingerprint
    assert Deidentifier(KEY, SYSTEMS).name("Patient/p1") == deidentifier.name("Patient/p1")
    with pytest.raises(ValueError, match="16 are needed"):
        Deidentifier(b"short", SYSTEMS)


def test_a_contained_patient_goes_and_the_pseudonym_of_the_uhid_stays(deidentifier: Deidentifier) -> None:
    uhid = {"system": SYSTEMS.uhid, "value": "UG123456789A"}
    others = [{"system": "urn:example:mrn", "value": "7"}, uhid]
    inside = {"resourceType": "Patient", "id": "c", "name": [{"text": "Amina"}], "identifier": others}
    resource = {
        "resourceType": "Appointment",
        "contained": [inside],
        "status": "proposed",
        "participant": [{"status": "accepted", "actor": {"reference": "#c"}}],
    }
    made = deidentifier.resource(resource)
    known = deidentifier.resource({"resourceType": "Patient", "identifier": [uhid]})["identifier"][0]
    assert "contained" not in made
    assert made["participant"][0]["actor"] == {"type": "Patient", "identifier": known}
    inside["identifier"] = [others[0]]
    assert "system" not in deidentifier.resource(resource)["participant"][0]["actor"]["identifier"]
    del inside["identifier"]
    assert deidentifier.resource(resource)["participant"][0]["actor"] == {"type": "Patient"}


def test_known_extensions_stay_and_their_texts_go(deidentifier: Deidentifier) -> None:
    own = SYSTEMS.extensions
    opening = {"url": "daysOfWeek", "valueCode": "mon"}
    closed = {"url": "during", "valuePeriod": {"start": "2026-12-25", "id": "secret"}}
    hours = [
        {"url": "availableTime", "extension": [opening, {"url": "daysOfWeek", "valueCode": "secret"}]},
        {"url": "notAvailable", "extension": [{"url": "description", "valueString": "Amina's birthday"}, closed]},
        {"url": "secret", "valueString": "secret"},
    ]
    resource = {
        "resourceType": "Schedule",
        "actor": [{"display": "secret"}],
        "extension": [
            {"url": f"{own}/availability", "extension": hours},
            {"url": f"{own}/scheduling-parameters", "extension": [{"url": "duration", "valuePositiveInt": 20}]},
            {"url": f"{own}/scheduling-parameters", "extension": [{"url": "secret", "valuePositiveInt": 20}]},
            {"url": TIMEZONE, "valueCode": "Africa/Kampala"},
            {"url": TIMEZONE, "valueCode": "secret"},
            {"url": f"{own}/appointment-reschedule-reason", "valueString": "secret"},
            {"url": f"{own}/hold-expires", "valueInstant": "secret"},
            {"url": CAPACITY, "valueInteger": 3},
        ],
    }
    made = deidentifier.resource(resource)
    assert "secret" not in json.dumps(made)
    assert made["extension"] == [
        {
            "url": f"{own}/availability",
            "extension": [
                {"url": "availableTime", "extension": [opening]},
                {
                    "url": "notAvailable",
                    "extension": [{"url": "during", "valuePeriod": {"start": "2026-12-25"}}],
                },
            ],
        },
        {"url": f"{own}/scheduling-parameters", "extension": [{"url": "duration", "valuePositiveInt": 20}]},
        {"url": TIMEZONE, "valueCode": "Africa/Kampala"},
        {"url": CAPACITY, "valueInteger": 3},
    ]
    assert made["actor"] == [{"extension": [{"url": ABSENT_REASON, "valueCode": "masked"}]}]


def test_codes_of_unknown_systems_and_codes_like_a_uhid_go(deidentifier: Deidentifier) -> None:
    def codes(*codings: Json) -> Any:
        resource = {"resourceType": "Slot", "serviceType": [{"coding": list(codings), "text": "secret"}]}
        return deidentifier.resource(resource)["serviceType"][0]

    kept = {"system": SYSTEMS.service_type, "code": "57"}
    assert codes(kept | {"display": "General"}, {"system": "urn:x", "code": "1"}) == {"coding": [kept]}
    assert "coding" not in codes({"system": SYSTEMS.service_type, "code": "UG123456789A"})
    assert "coding" not in codes({"code": "57"}, {"system": SYSTEMS.service_type, "code": "Amina Nakato"})
    assert "coding" not in codes({"system": "http://snomed.info/sct?x=Amina Nakato", "code": "57"})


_ABSENT = {"extension": [{"url": ABSENT_REASON, "valueCode": "unknown"}]}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"deceasedDateTime": "2024-01-20"}, {"deceasedBoolean": True}),
        ({"deceasedDateTime": "2024-01-20", "_deceasedDateTime": _ABSENT}, {"deceasedBoolean": True}),
        ({"_deceasedDateTime": _ABSENT}, {"deceasedBoolean": True}),  # a moment that nobody knows
        ({"deceasedBoolean": True}, {"deceasedBoolean": True}),
        ({"deceasedBoolean": False}, {"deceasedBoolean": False}),
        ({"_deceasedBoolean": _ABSENT}, {"_deceasedBoolean": _ABSENT}),
        ({}, {}),
    ],
)
def test_the_dead_do_not_read_as_living(deidentifier: Deidentifier, said: Json, kept: Json) -> None:
    made = deidentifier.resource({"resourceType": "Patient"} | said)
    assert {name: made[name] for name in made if "deceased" in name} == kept
    assert not check(made)


def test_a_lost_modifier_is_told_by_a_label(deidentifier: Deidentifier) -> None:
    plain = {"resourceType": "Slot", "meta": {"security": [PSEUDONYMISED], "tag": [{"code": "t"}]}}
    assert deidentifier.resource(plain)["meta"] == {"security": [PSEUDONYMISED]}
    modified = plain | {"modifierExtension": [{"url": "http://example.org/m", "valueBoolean": True}]}
    assert deidentifier.resource(modified)["meta"]["security"] == [PSEUDONYMISED, REDACTED]


def test_what_has_no_table_is_refused(deidentifier: Deidentifier) -> None:
    with pytest.raises(ValueError, match="no de-identification"):
        deidentifier.resource({"resourceType": "Observation"})


def test_every_stored_type_has_a_table_and_what_is_kept_is_closed() -> None:
    assert set(allowed.RESOURCES) == set(TYPES)
    seen = []

    def look(of: Type, table: Any) -> None:
        for name, rule in table.items():
            member = of.members[name]
            if rule == allowed.KEPT:
                assert member.primitive is not None
                closed = member.codes is not None or member.primitive.name in (
                    *("boolean", "integer", "positiveInt", "unsignedInt", "decimal"),
                    *("date", "dateTime", "instant", "time"),
                )
                assert closed or (of.name, name) == ("Meta", "versionId"), (of.name, name)
            elif rule == allowed.DEAD:
                assert (of.name, name) == ("Patient", "deceasedDateTime")
            else:
                assert member.type is not None
                if rule == allowed.CODES:
                    assert member.type().name in ("CodeableConcept", "Coding")
                elif rule == allowed.REFERENCE:
                    assert member.type().name == "Reference"
                elif rule == allowed.IDENTIFIER:
                    assert member.type().name == "Identifier"
                else:
                    seen.append(rule)
                    look(member.type(), allowed.NESTED[rule])

    for kind, table in allowed.RESOURCES.items():
        look(type_of(kind), table)
    look(type_of("Meta"), allowed.NESTED["Meta"])
    assert {*seen, "Meta"} == set(allowed.NESTED)
