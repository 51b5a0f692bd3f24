"""Nothing about a patient is published: whatever stands in a Slot or a Schedule, and wherever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.publishing import scrubbing
from adapter.publishing.codes import Codes
from adapter.publishing.scrubbing import DEEP_LINK, PHONE
from mappings.systems import Systems
from mappings.uhid import PATTERN
from store import r4
from store.slotids import CAPACITY
from tests.scale import examples

Json = dict[str, Any]
SECRET = "Nakato"
SYSTEMS = Systems.under(uhid_aliases=("urn:example:uhid",))
CODES = Codes(SYSTEMS, PATTERN)

_KEPT = ("id", "status", "start", "end", "schedule", "actor", "active", "meta")
_ALLOWED_URLS = (DEEP_LINK, PHONE, CAPACITY, "http://hl7.org/fhir/StructureDefinition/timezone")


def spoilt(depth: int = 3) -> st.SearchStrategy[Any]:
    """Any JSON with the secret somewhere in it."""
    said = st.sampled_from([SECRET, f"for {SECRET}", f"Patient/{SECRET}", f"<div>{SECRET}</div>"])
    if depth == 0:
        return said
    inner = spoilt(depth - 1)
    concept = st.builds(
        lambda a, b: {"text": a, "coding": [{"display": b, "extension": [{"valueString": a}]}]}, said, said
    )
    link = st.builds(lambda a: {"reference": f"Patient/{a}", "display": a, "identifier": {"value": a}}, said)
    extension = st.builds(
        lambda url, value: {"url": url, "valueString": value, "valueUrl": value, "valueInteger": value},
        st.sampled_from([*_ALLOWED_URLS, "urn:own"]),
        said,
    )
    return st.one_of(said, st.lists(inner, min_size=1, max_size=2), concept, link, extension)


def elements(kind: str) -> list[str]:
    tops = [one["path"].partition(".")[2] for one in r4.elements(kind) if one["path"].count(".") == 1]
    return [name for name in tops if name not in _KEPT]


def resources(kind: str, base: Json) -> st.SearchStrategy[Json]:
    names = [*elements(kind), *(f"_{name}" for name in ("status", "start", "end", "comment", "schedule")), "unheard-of"]
    one = st.one_of(spoilt(), st.lists(spoilt(), min_size=1, max_size=3))
    return st.dictionaries(st.sampled_from(names), one, max_size=6).map(lambda members: base | members)


SLOT = {
    "resourceType": "Slot",
    "id": "a",
    "meta": {"lastUpdated": "2024-01-15T10:00:00Z", "tag": [{"display": SECRET}], "source": SECRET},
    "schedule": {"reference": "Schedule/s", "display": SECRET, "identifier": {"value": SECRET}},
    "start": "2027-01-20T09:00:00Z",
    "end": "2027-01-20T09:30:00Z",
}
SCHEDULE = {
    "resourceType": "Schedule",
    "id": "s",
    "meta": {"tag": [{"display": SECRET}]},
    "actor": [
        {"reference": "Location/l", "display": SECRET, "identifier": {"value": SECRET}},
        {"reference": "Practitioner/p", "display": SECRET},
    ],
}


@settings(max_examples=examples(180), deadline=None)
@given(
    st.sampled_from(["free", "busy", "busy-tentative", "busy-unavailable"]).flatmap(
        lambda status: resources("Slot", SLOT | {"status": status})
    )
)
def test_no_slot_tells_of_anybody(resource: Json) -> None:
    made = scrubbing.slot(resource, CODES)
    assert made is not None
    assert SECRET not in json.dumps(made)
    assert made["status"] in ("free", "busy")


@settings(max_examples=examples(180), deadline=None)
@given(resources("Schedule", SCHEDULE))
def test_no_schedule_tells_of_anybody(resource: Json) -> None:
    made = scrubbing.schedule(resource, {"Location/l"}, CODES)
    assert made is not None
    assert SECRET not in json.dumps(made)
    assert made["actor"] == [{"reference": "Location/l"}]


_DEFINITION = "http://hl7.org/fhir/StructureDefinition"


@pytest.mark.parametrize(
    ("actor", "published"),
    [
        ({"reference": "Practitioner/p"}, True),
        ({"reference": "https://fhir.example.org/fhir/R4/PractitionerRole/r/_history/2"}, True),
        ({"reference": "Device/d", "type": "Device"}, True),
        ({"type": "HealthcareService", "display": "Triage"}, True),
        ({"type": f"{_DEFINITION}/Practitioner", "identifier": {"value": "7"}}, True),
        ({"reference": "#d", "type": "Practitioner"}, True),
        ({"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "type": "Practitioner"}, True),
        ({"reference": "Patient/p"}, False),
        ({"reference": "https://fhir.example.org/fhir/R4/RelatedPerson/r"}, False),
        ({"reference": "Group/g"}, False),
        ({"reference": "#p"}, False),
        ({"reference": "#d"}, False),  # who is contained is not asked: its type is not stated where it must be
        ({"reference": "#p", "type": "Practitioner"}, False),  # it says otherwise itself
        ({"reference": "#lost"}, False),
        ({"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}, False),
        ({"reference": "Patient?identifier=7", "type": "Practitioner"}, False),
        ({"reference": "Practitioner/p", "type": "Patient"}, False),
        ({"type": "Patient", "display": SECRET}, False),
        ({"type": f"{_DEFINITION}/Patient"}, False),
        ({"type": f"{_DEFINITION}/RelatedPerson", "reference": "#d"}, False),
        ({"identifier": {"system": "https://mediloop.co/fhir/sid/uhid", "value": "UG123456789A"}}, False),
        ({"display": SECRET}, False),
        ({"type": 7}, False),
        ({"reference": 7, "type": "Practitioner"}, False),
        (None, False),
    ],
)
def test_a_schedule_is_public_only_if_every_actor_is_known_to_be_no_patient(actor: Any, published: bool) -> None:
    inside = [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Practitioner", "id": "d"}]
    resource = SCHEDULE | {"contained": inside, "actor": [{"reference": "Location/l"}, actor]}
    assert (scrubbing.schedule(resource, {"Location/l"}, CODES) is not None) is published


@pytest.mark.parametrize("status", ["free", "busy", "busy-tentative", "busy-unavailable"])
def test_no_slot_tells_when_it_was_booked_or_given_back(status: str) -> None:
    made = scrubbing.slot(SLOT | {"status": status}, CODES)
    assert made is not None
    assert made.keys() == {"resourceType", "id", "schedule", "status", "start", "end"}


@pytest.mark.parametrize(
    ("ident", "published"),
    [("morning", True), ("hv-UG123456789A", False), ("visit-ug123456789a-0900", False), ("UG123456789A", False)],
)
def test_no_uhid_stands_in_an_id(ident: str, published: bool) -> None:
    when = {"start": "2027-01-20T09:00:00Z", "end": "2027-01-20T09:30:00Z", "status": "free"}
    computed = {"id": f"{ident}.20270120T0900Z.30", "schedule": {"reference": f"Schedule/{ident}"}}
    made = [
        scrubbing.schedule(SCHEDULE | {"id": ident}, {"Location/l"}, CODES),
        scrubbing.slot(SLOT | when | {"id": ident}, CODES),
        scrubbing.slot(SLOT | when | computed, CODES),
    ]
    assert [one is not None for one in made] == [published] * 3


def test_the_time_in_a_computed_id_is_no_uhid() -> None:
    computed = {"id": "s.20270120T0900Z.30", "status": "free"}
    assert scrubbing.slot(SLOT | computed, Codes(SYSTEMS, "[0-9]{8}")) is not None


def test_what_may_be_said_of_a_free_slot() -> None:
    said = [
        {"url": DEEP_LINK, "valueUrl": "https://a.example/b?c=d"},
        {"url": PHONE, "valueString": "+256 (41) 123-456"},
        {"url": CAPACITY, "valueInteger": 3},
    ]
    free = scrubbing.slot(SLOT | {"status": "free", "extension": said}, CODES, "https://x/{slot}", "123")
    assert free is not None
    assert free["extension"] == said
    busy = scrubbing.slot(SLOT | {"status": "busy", "extension": said}, CODES, "https://x/{slot}", "123")
    assert busy is not None
    assert "extension" not in busy


def test_what_may_be_said_of_a_schedule_and_a_place() -> None:
    said = [
        {"url": f"{scrubbing.SMART}/vaccine-dose", "valueInteger": 2},
        {"url": f"{scrubbing.SMART}/vaccine-product", "valueCoding": {"system": "urn:cvx", "code": "207"}},
        {"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": "Africa/Kampala"},
    ]
    horizon = {"start": "2027-01-01", "end": "2027-02-01", "id": SECRET}
    made = scrubbing.schedule(SCHEDULE | {"extension": said, "planningHorizon": horizon}, ["Location/l"], CODES)
    assert made is not None
    assert made["extension"] == said
    assert made["planningHorizon"] == {"start": "2027-01-01", "end": "2027-02-01"}
    vague = [{"url": f"{scrubbing.SMART}/vaccine-product", "valueCoding": {"display": SECRET}}]
    made = scrubbing.schedule(SCHEDULE | {"extension": vague}, ["Location/l"], CODES)
    assert made is not None
    assert "extension" not in made
    place = scrubbing.location(
        {
            "resourceType": "Location",
            "id": "l",
            "identifier": [{"system": "urn:i", "value": "7", "assigner": {"display": SECRET}}, {"system": "urn:i"}],
            "position": {"longitude": 1, "latitude": 2, "altitude": 3},
            "description": SECRET,
        },
        CODES,
    )
    assert place == {
        "resourceType": "Location",
        "id": "l",
        "identifier": [{"system": "urn:i", "value": "7"}],
        "position": {"longitude": 1, "latitude": 2},
    }


WARD: Json = {
    "resourceType": "Location",
    "id": "l",
    "name": "Ward",
    "mode": "instance",
    "physicalType": {"coding": [{"code": "wa"}]},
    "type": [{"coding": [{"code": "HOSP"}]}],
    "address": {"use": "work", "line": ["1 Road"], "city": "Kampala"},
}


@pytest.mark.parametrize(
    ("members", "published"),
    [
        ({}, True),
        ({"physicalType": {"coding": [{"code": "ve"}]}}, True),  # a clinic on wheels
        ({"status": "suspended"}, True),
        ({"status": "inactive"}, False),
        ({"physicalType": {"coding": [{"code": "x"}, {"system": "urn:own", "code": "HO"}]}}, False),
        ({"type": [{"text": "Ward"}, {"coding": [{"code": "ptres"}]}]}, False),
        ({"type": [{"coding": [{"system": "http://snomed.info/sct", "code": "394778007"}]}]}, False),
        ({"physicalType": {"coding": [{"system": "http://snomed.info/sct", "code": "264362003"}]}}, False),
        ({"type": [{"coding": [{"code": 7}, None]}], "physicalType": "ho"}, True),
        ({"address": {"use": "home", "line": ["1 Road"]}}, False),
        ({"address": [], "telecom": [None]}, True),
        ({"id": "ug123456789a"}, False),
    ],
)
def test_a_home_is_no_public_place(members: Json, published: bool) -> None:
    assert (scrubbing.location(WARD | members, CODES) is not None) is published


def test_no_uhid_stands_in_a_place() -> None:
    uhid, escaped = "UG123456789A", "%55G123456789A"
    known = {"system": "https://cdc.gov/vaccines/programs/vtrcks", "value": "7"}
    identifiers = [
        {"system": SYSTEMS.uhid, "value": "7"},
        {"system": "urn:example:uhid", "value": "8"},
        {"system": "urn:example:patient", "value": "8"},
        {"system": f"urn:{uhid}", "value": "9"},
        {"system": "urn:i", "value": uhid.lower()},
        {"value": f"of {uhid}"},
        known,
        {"value": "8"},
    ]
    telecom = [
        {"system": "phone", "value": "0800 CLINIC"},
        {"system": "phone", "use": "home", "value": "+256 1"},
        {"system": "phone", "value": f"call {uhid}"},
        {"system": "url", "value": "www.a.example"},
        {"system": "url", "value": f"https://a.example/{escaped}"},
        {"system": "url"},
    ]
    address = {"use": "work", "city": uhid, "district": "Kampala", "line": ["1 Road", f"at {uhid}"]}
    said = {"name": f"Room of {uhid}", "identifier": identifiers, "telecom": telecom, "address": address}
    assert scrubbing.location(WARD | said, CODES) == {
        "resourceType": "Location",
        "id": "l",
        "identifier": [known, {"value": "8"}],
        "telecom": [telecom[0], telecom[3]],
        "address": {"use": "work", "district": "Kampala", "line": ["1 Road"]},
    }
