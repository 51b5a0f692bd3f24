"""What `_index` holds of a resource, by the declared parameters of its type."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import CODEC_OPTIONS, decode, encode
from store.dates import FIRST, LAST
from store.documents import Rules
from store.indexing import extractor, fields, naming
from store.parameters import Parameter, Path
from store.types import TYPES
from tests import strategies
from tests.scale import examples

RULES = Rules(zone=ZoneInfo("Africa/Kampala"), bases=("https://fhir.example.org/fhir/R4",))
BOUND = "http://hl7.org/fhir/participationstatus"


def index_of(kind: str, **members: Any) -> dict[str, Any]:
    return TYPES[kind].extract({"resourceType": kind, **members}, RULES)


def part_of(kind: str, field: str, **members: Any) -> dict[str, Any]:
    found = index_of(kind, **members)
    return {name: value for name, value in found.items() if name == field or name.startswith(f"{field}:")}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


# Tokens.


def test_what_many_long_names_are_found_by_is_bounded_and_each_is_found_from_its_beginning() -> None:
    names = [" ".join(f"{number}w{word:05}" for word in range(34)) for number in range(2_000)]
    found = index_of("Patient", name=[{"given": names}])
    for field in ("name", "given"):
        further = set(found[field]) - set(names)
        assert 900 < len(further) < 1_100
        assert len(found[field]) == len(names) + len(further)


def test_a_concept_is_found_by_codes_with_and_without_system_and_by_its_text() -> None:
    concept = {
        "coding": [{"system": "urn:S", "code": "Gp", "display": "Génerale"}, {"code": "gp"}, {"display": "No code"}],
        "text": "GP  visit",
    }
    assert part_of("Slot", "service-type", serviceType=[concept, {"coding": [{"system": "urn:T", "code": "A"}]}]) == {
        "service-type": ["gp", "urn:S|gp", "|gp", "a", "urn:T|a"],
        "service-type:text": ["generale", "no code", "gp visit"],
        "service-type:sort": "a",
        "service-type:last": "gp",
    }


def test_a_coding_is_found_like_a_concept() -> None:
    meta = {"tag": [{"system": "urn:t", "code": "X", "display": "Test"}], "security": [{"code": "R"}]}
    found = index_of("Slot", meta=meta)
    assert found == {"_tag": ["x", "urn:t|x"], "_tag:text": ["test"], "_security": ["r", "|r"]}


def test_what_has_a_system_and_no_code_is_found_by_its_system() -> None:
    bare = {"system": "urn:S|1"}
    found = index_of(
        "Practitioner", identifier=[bare, {"use": "old"}], telecom=[{"system": "phone"}], meta={"tag": [bare]}
    )
    assert found == {"identifier": ["urn:S\\|1|"], "telecom": ["phone|"], "phone": ["phone|"], "_tag": ["urn:S\\|1|"]}
    actor = [{"actor": {"type": "Patient", "identifier": bare}}]
    found = index_of("Appointment", participant=actor)
    assert found == {"actor:identifier": ["urn:S\\|1|"], "patient:identifier": ["urn:S\\|1|"]}


def test_a_code_that_is_there_once_is_itself() -> None:
    assert index_of("Slot", status="free") == {"status": "free"}


@pytest.mark.parametrize(("value", "stored"), [(True, "true"), (False, "false")])
def test_a_boolean_is_a_word(value: bool, stored: str) -> None:
    assert index_of("Schedule", active=value) == {"active": stored}


def test_codes_of_several_elements_have_the_system_of_their_binding() -> None:
    participant = [{"status": "accepted"}, {"status": "declined"}, {"status": "accepted"}]
    expected = ["accepted", f"{BOUND}|accepted", "declined", f"{BOUND}|declined"]
    assert part_of("Appointment", "part-status", participant=participant) == {"part-status": expected}


def test_an_identifier_is_found_by_value_with_and_without_system_and_by_type() -> None:
    kind = {"coding": [{"system": "urn:v2", "code": "MR"}, {"code": "XX"}], "text": "Record  Number"}
    identifier = [{"type": kind, "system": "urn:MRN", "value": "AbC-1"}, {"value": "9"}]
    assert part_of("Practitioner", "identifier", identifier=identifier) == {
        "identifier": ["abc-1", "urn:MRN|abc-1", "9", "|9"],
        "identifier:text": ["record number"],
        "identifier:of-type": ["urn:v2|mr|abc-1", "|xx|abc-1"],
        "identifier:sort": "9",
        "identifier:last": "abc-1",
    }


def test_a_contact_is_found_by_its_value_and_its_kind() -> None:
    telecom = [{"system": "phone", "value": "+256 700"}, {"system": "email", "value": "A@x.example"}]
    found = index_of("Practitioner", telecom=telecom)
    assert found == {
        "telecom": ["+256 700", "phone|+256 700", "a@x.example", "email|a@x.example"],
        "phone": ["+256 700", "phone|+256 700"],
        "email": ["a@x.example", "email|a@x.example"],
    }


@pytest.mark.parametrize(
    ("members", "dead"),
    [
        ({}, "false"),
        ({"deceasedBoolean": False}, "false"),
        ({"deceasedBoolean": True}, "true"),
        ({"deceasedDateTime": "2024-01"}, "true"),
    ],
)
def test_whether_a_patient_is_dead_is_never_unknown(members: dict[str, Any], dead: str) -> None:
    assert index_of("Patient", **members)["deceased"] == dead


# References.


def test_references_are_relative_where_they_are_ours() -> None:
    actor = [
        {"reference": "Practitioner/a/_history/2"},
        {"reference": "https://fhir.example.org/fhir/R4/Practitioner/a"},
        {"reference": "https://elsewhere.example/Practitioner/a"},
        {"reference": "#x"},
        {"reference": ""},
        {"display": "nobody"},
    ]
    found = index_of("Schedule", actor=actor)
    assert found["actor"] == ["Practitioner/a", "https://elsewhere.example/Practitioner/a", "#x"]


def test_who_is_not_known_to_be_ours_is_found_by_the_id_alone_apart() -> None:
    elsewhere = [{"reference": f"https://{host}.example/Practitioner/a/_history/2"} for host in ("x", "y")]
    actors = [*elsewhere, {"reference": "https://fhir.example.org/fhir/R4/Practitioner/b"}, {"reference": "Device/d"}]
    assert part_of("Schedule", "actor", actor=actors)["actor:named"] == ["Practitioner/a"]
    assert part_of("Schedule", "actor", actor=actors[2:]) == {"actor": ["Practitioner/b", "Device/d"]}
    slot = part_of("Slot", "schedule", schedule={"reference": "https://x.example/Schedule/s"})
    assert slot == {"schedule": "https://x.example/Schedule/s", "schedule:named": ["Schedule/s"]}


def test_a_query_by_name_finds_both() -> None:
    assert naming("slot", ("Slot/a",)) == {
        "$or": [{"_index.slot": {"$in": ["Slot/a"]}}, {"_index.slot:named": {"$in": ["Slot/a"]}}]
    }
    found = naming("slot", ["Slot/a"], {"_index.status": "booked"})
    assert [one["_index.status"] for one in found["$or"]] == ["booked", "booked"]


def test_a_reference_that_is_there_once_is_itself() -> None:
    found = index_of("Slot", schedule={"reference": "Schedule/s", "identifier": {"system": "urn:s", "value": "S"}})
    assert found == {"schedule": "Schedule/s", "schedule:identifier": ["s", "urn:s|s"]}


@pytest.mark.parametrize(
    ("actor", "whose"),
    [
        ({"reference": "Patient/p"}, "patient"),
        ({"reference": "https://elsewhere.example/fhir/Patient/p"}, "patient"),
        ({"type": "Practitioner"}, "practitioner"),
        ({"type": "http://hl7.org/fhir/StructureDefinition/Location"}, "location"),
        ({"reference": "#c"}, "practitioner"),
        ({"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "type": "Patient"}, "patient"),
        ({"reference": "#missing", "type": "Patient"}, "patient"),
        ({"reference": "Device/d"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("kind", ["Appointment", "AppointmentResponse"])
def test_an_actors_identifier_is_also_that_of_its_type(kind: str, actor: dict[str, Any], whose: str | None) -> None:
    reference = {**actor, "identifier": {"system": "urn:s", "value": "N"}}
    members = {"participant": [{"actor": reference}]} if kind == "Appointment" else {"actor": reference}
    found = index_of(kind, contained=["junk", {"resourceType": "Practitioner", "id": "c"}], **members)
    assert found.pop("actor:identifier") == ["n", "urn:s|n"]
    for name in ("actor", "actor:named"):
        found.pop(name, None)
    assert found == ({f"{whose}:identifier": ["n", "urn:s|n"]} if whose else {})


PATIENTS = replace(RULES, patient_systems=("urn:uhid",))


@pytest.mark.parametrize(
    ("actor", "is_patients"),
    [
        ({}, True),
        ({"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}, True),
        ({"reference": "#missing"}, True),
        ({"reference": "#c"}, False),
        ({"reference": "#c", "type": "Patient"}, True),
        ({"reference": "#p", "type": "RelatedPerson"}, False),
        ({"type": "RelatedPerson"}, False),
        ({"reference": "Practitioner/p"}, False),
    ],
)
def test_who_is_named_by_an_identifier_that_only_patients_have_is_one_where_nothing_else_tells(
    actor: dict[str, Any], is_patients: bool
) -> None:
    contained = [{"resourceType": "Practitioner", "id": "c"}, {"resourceType": "Patient", "id": "p"}]
    for system in ("urn:uhid", "urn:other"):
        reference = {**actor, "identifier": {"system": system, "value": "N"}}
        resource = {"resourceType": "Appointment", "contained": contained, "participant": [{"actor": reference}]}
        found = TYPES["Appointment"].extract(resource, PATIENTS)
        told = "type" in actor or system == "urn:uhid"
        assert found.get("patient:identifier") == (["n", f"{system}|n"] if is_patients and told else None), system


# Dates.


def test_an_instant_is_a_moment_and_a_date_a_span() -> None:
    assert index_of("Slot", start="2024-01-20T10:00:00.1239+03:00") == {"start": utc(2024, 1, 20, 7, 0, 0, 123_000)}
    assert part_of("Patient", "birthdate", birthDate="1980-02") == {
        "birthdate": {"lo": utc(1980, 1, 31, 21), "hi": utc(1980, 2, 29, 21)}
    }


@pytest.mark.parametrize(
    ("horizon", "span"),
    [
        ({"start": "2024-01-20", "end": "2024-01"}, (utc(2024, 1, 19, 21), utc(2024, 1, 31, 21))),
        ({"start": "2024-01-20T10:00:00Z"}, (utc(2024, 1, 20, 10), LAST)),
        ({"end": "2024-01-20T10:00:00Z"}, (FIRST, utc(2024, 1, 20, 10, 0, 1))),
    ],
)
def test_a_period_is_a_span_that_may_be_open(horizon: dict[str, str], span: tuple[datetime, datetime]) -> None:
    assert index_of("Schedule", planningHorizon=horizon) == {"date": {"lo": span[0], "hi": span[1]}}


def test_a_period_that_says_nothing_is_left_out() -> None:
    assert index_of("Schedule", planningHorizon={"extension": []}) == {}


def test_an_appointment_is_found_by_its_start_else_by_what_was_asked_for() -> None:
    periods = [{"start": "2024-02-02", "end": "2024-02-03"}, {"start": "2024-02-01T08:00:00Z"}, "junk"]
    found = part_of("Appointment", "date-or-req-period", requestedPeriod=periods)
    first = {"lo": utc(2024, 2, 1, 21), "hi": utc(2024, 2, 3, 21)}
    second = {"lo": utc(2024, 2, 1, 8), "hi": LAST}
    sorts = {"date-or-req-period:sort": second["lo"], "date-or-req-period:last": first["lo"]}
    assert found == {"date-or-req-period": [first, second]} | sorts
    start = utc(2024, 1, 20, 10)
    found = part_of("Appointment", "date-or-req-period", start="2024-01-20T10:00:00Z", requestedPeriod=periods)
    span = {"lo": start, "hi": start.replace(microsecond=1_000)}
    sorts = {"date-or-req-period:sort": start, "date-or-req-period:last": start}
    assert found == {"date-or-req-period": [span]} | sorts


# Text.


def test_a_name_is_found_by_all_its_parts() -> None:
    name = [
        {"text": "Dr. Éva  Nakato", "family": "Nakato", "given": ["Éva", "B."], "prefix": ["Dr."], "suffix": ["PhD"]},
        {"family": "Achola"},
    ]
    found = index_of("Practitioner", name=name)
    assert found.pop("phonetic")
    assert found == {
        "name": ["dr. eva nakato", "drevanakato", "evanakato", "nakato", "eva", "b.", "dr.", "phd", "achola"],
        "name:exact": ["Dr. Éva  Nakato", "Nakato", "Éva", "B.", "Dr.", "PhD", "Achola"],
        "name:sort": "achola",
        "name:last": "phd",
        "family": ["nakato", "achola"],
        "family:exact": ["Nakato", "Achola"],
        "family:sort": "achola",
        "family:last": "nakato",
        "given": ["eva", "b."],
        "given:exact": ["Éva", "B."],
        "given:sort": "b.",
        "given:last": "eva",
    }


def test_a_name_is_found_from_each_word_on_and_sorted_as_it_is() -> None:
    for kind in ("Patient", "Practitioner"):
        name = [{"family": "O'Neil-Smith", "given": ["-"]}]
        assert part_of(kind, "name", name=name) == {
            "name": ["o'neil-smith", "oneilsmith", "smith", "-"],
            "name:exact": ["O'Neil-Smith", "-"],
            "name:sort": "-",
            "name:last": "o'neil-smith",
        }
        assert part_of(kind, "family", name=name)["family"] == ["o'neil-smith", "oneilsmith", "smith"]
        assert part_of(kind, "given", name=name)["given"] == ["-"]
    assert index_of("RelatedPerson", name=[{"text": "Anne-Marie"}])["name"] == ["anne-marie", "annemarie", "marie"]


def test_a_name_is_found_by_its_sound() -> None:
    one = index_of("Organization", name="Mukaasa Clinic")["phonetic"]
    assert one == index_of("Organization", name="mukasa klinic")["phonetic"]
    assert len(one) == 2


def test_an_address_is_found_by_all_its_parts() -> None:
    address = {
        "use": "work",
        "text": "A",
        "line": ["B 1", "C"],
        "city": "D",
        "district": "E",
        "state": "F",
        "postalCode": "G",
        "country": "UG",
    }
    found = part_of("Location", "address", address=address)
    assert found == {
        "address": ["a", "b 1", "c", "d", "e", "f", "g", "ug"],
        "address:exact": ["A", "B 1", "C", "D", "E", "F", "G", "UG"],
    }
    assert part_of("Location", "address-city", address=address) == {
        "address-city": ["d"],
        "address-city:exact": ["D"],
        "address-city:sort": "d",
        "address-city:last": "d",
    }
    assert index_of("Location", address=address)["address-use"] == "work"
    assert index_of("Organization", address=[address])["address-use"] == [
        "work",
        "http://hl7.org/fhir/address-use|work",
    ]


def test_a_place_is_found_by_its_other_names_too() -> None:
    assert index_of("Location", name="Main", alias=["Old Mill"])["name"] == ["main", "old mill"]


def test_places_and_addresses_are_filed_as_they_are_written() -> None:
    for kind in ("Location", "Organization", "HealthcareService"):
        assert index_of(kind, name="St. Mary's")["name"] == ["st. mary's"]
    assert index_of("Patient", address=[{"city": "Fort-Portal"}])["address-city"] == ["fort-portal"]


# The rest.


def test_what_meta_says_of_source_and_profiles_is_kept_and_profiles_without_their_version_too() -> None:
    found = index_of("Slot", meta={"source": "urn:A", "profile": ["http://x.example/P|1", "http://x.example/Q"]})
    profiles = ["http://x.example/P", "http://x.example/P|1", "http://x.example/Q"]
    assert found == {"_source": "urn:A", "_profile": profiles}


def test_a_bar_is_a_version_in_canonical_urls_alone() -> None:
    assert index_of("Slot", meta={"source": "urn:A|1", "profile": [None, 1]}) == {"_source": "urn:A|1"}


def test_a_position_is_a_point() -> None:
    resource = decode(b'{"resourceType":"Location","position":{"longitude":32.5825,"latitude":0.3476}}')
    assert TYPES["Location"].extract(resource, RULES) == {"near": {"type": "Point", "coordinates": [32.5825, 0.3476]}}


@pytest.mark.parametrize(
    "position",
    [
        "here",
        {},
        {"longitude": 1},
        {"longitude": 181, "latitude": 0},
        {"longitude": 0, "latitude": -90.5},
        {"longitude": [1], "latitude": 1},
        {"longitude": "east", "latitude": 1},
    ],
)
def test_a_position_that_is_not_on_the_globe_is_left_out(position: Any) -> None:
    assert index_of("Location", position=position) == {}


def test_the_fields_that_a_parameter_writes_are_known() -> None:
    def of(kind: str, name: str) -> tuple[str, ...]:
        return fields(TYPES[kind].parameters[name])

    assert of("Patient", "identifier") == ("identifier", "identifier:text", "identifier:of-type")
    assert of("Patient", "name") == ("name", "name:exact")
    assert of("Patient", "phonetic") == ("phonetic",)
    assert of("Appointment", "patient") == ("actor", "patient:identifier")
    assert of("Appointment", "date") == ("date",)


def test_a_parameter_over_several_elements_collects_from_all() -> None:
    paths = (Path("a.b", "code"), Path("c", "code"))
    parameter = Parameter("x", "token", paths, "x", False, False, (), None, "", "")
    find = extractor([parameter])
    assert find({"a": [{"b": "1"}, {"b": "2"}, "junk"], "c": "3"}, RULES) == {"x": ["1", "|1", "2", "|2", "3", "|3"]}


# Whatever is stored can be indexed.

_JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=5) | st.just("2024-01-01T00:00:00Z"),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["coding", "code", "system", "value", "reference", "identifier", "start", "end", "text", "type"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=examples(300))
@given(st.data())
def test_what_is_not_of_the_expected_shape_is_passed_over(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(TYPES)))
    steps = {path.steps for one in TYPES[kind].parameters.values() for path in one.paths}
    resource: dict[str, Any] = {"resourceType": kind, "contained": data.draw(_JUNK)}
    for path in data.draw(st.lists(st.sampled_from(sorted(steps)), min_size=1, max_size=5)):
        first, _, rest = path.partition(".")
        value = data.draw(_JUNK)
        for step in reversed(rest.split(".") if rest else []):
            value = {step: value}
        resource[first] = value
    found = TYPES[kind].extract(resource, RULES)
    assert all(value is not None and value != [] for value in found.values())
    bson.encode(found, codec_options=CODEC_OPTIONS)


@given(strategies.appointments() | strategies.slots() | strategies.schedules())
def test_finding_the_values_changes_nothing_and_follows_from_the_bytes_alone(resource: dict[str, Any]) -> None:
    before = copy.deepcopy(resource)
    found = TYPES[resource["resourceType"]].extract(resource, RULES)
    assert resource == before
    assert found == TYPES[resource["resourceType"]].extract(decode(encode(resource)), RULES)


@pytest.mark.parametrize("ident", [None, 7, ["S-a.20240120T1000Z.30"]])
def test_a_slot_whose_id_is_no_text_is_indexed_without_one(ident: object) -> None:
    slot = {"resourceType": "Slot", "id": ident, "start": "2024-01-20T10:00:00Z"}
    assert TYPES["Slot"].extract(slot, RULES).keys() == TYPES["Slot"].extract(slot | {"id": "x"}, RULES).keys()
