"""What is published as a code is one, and neither a code nor a link holds a patient's number."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.publishing import scrubbing
from adapter.publishing.codes import Codes
from adapter.publishing.scrubbing import DEEP_LINK, SMART
from mappings.uhid import PATTERN
from tests.adapter.publishing.test_scrubbing import CODES, SCHEDULE, SECRET, SLOT, SYSTEMS
from tests.scale import examples

Json = dict[str, Any]
_ELEMENTS = ("serviceCategory", "serviceType", "specialty")
_IDENTITIES = ("Jane Zebulon", "UG123456789A", "987-65-4321", "987654321", "B1234567")
_SYSTEMS = (
    *("urn:s", "http://example.org/services", "http://snomed.info/sct", "http://hl7.org/fhir/sid/us-ssn"),
    *("http://hl7.org/fhir/sid/cvx", SYSTEMS.service_type, SYSTEMS.specialty, *SYSTEMS.all_uhid),
    SYSTEMS.appointment_number,
)


@st.composite
def planted(draw: st.DrawFn) -> Json:
    """A Coding with an identity as its code, or in its system."""
    said = draw(st.sampled_from(["{}", "for {}", "uhid:{}", "x{}y", "Patient/{}", "{}-1"]))
    said = said.format(draw(st.sampled_from([*_IDENTITIES, *map(str.lower, _IDENTITIES)])))
    system = draw(st.sampled_from(_SYSTEMS))
    if draw(st.booleans()):
        return {"system": system, "code": said}
    return {"system": draw(st.sampled_from(["{0}/{1}", "{0}?x={1}", "urn:{1}"])).format(system, said), "code": "57"}


@settings(max_examples=examples(180), deadline=None)
@given(planted())
def test_no_identity_is_published_as_a_code(coding: Json) -> None:
    said: Json = {element: [{"coding": [coding]}] for element in _ELEMENTS}
    said["extension"] = [{"url": f"{SMART}/vaccine-product", "valueCoding": coding}]
    made = json.dumps(
        [
            scrubbing.slot(SLOT | {"status": "free"} | said, CODES),
            scrubbing.schedule(SCHEDULE | said, {"Location/l"}, CODES),
        ]
    ).casefold()
    assert not [one for one in _IDENTITIES if one.casefold() in made]


@pytest.mark.parametrize(
    ("system", "code", "published"),
    [
        ("urn:s", "c", True),
        ("http://example.org/services", "general-practice", True),
        (SYSTEMS.specialty, "394814009", True),
        ("http://snomed.info/sct", "394814009", True),
        ("http://snomed.info/sct", "394814008", False),
        ("http://hl7.org/fhir/sid/cvx", "207", True),
        ("http://hl7.org/fhir/sid/us-ssn", "57", False),
        ("https://example.org/SID/patients", "57", False),
        ("http://example.org/Patient/p", "57", False),
        ("http://example.org/NamingSystem/mrn", "57", False),
        ("urn:example:UHID/", "57", False),
        (SYSTEMS.appointment_number, "APT-2024-000001", False),
        (f"{SYSTEMS.service_type}/987654321", "57", False),
        ("urn:x:UG123456789A", "57", False),
        ("urn:oid:1.2.840.1136191", "57", True),
        ("with blanks", "57", False),
        ("urn:s", "a b", False),
    ],
)
def test_which_codes_are_published(system: str, code: str, published: bool) -> None:
    coding = {"system": system, "code": code}
    resource = SLOT | {"status": "free", "serviceType": [{"coding": [coding | {"display": "x"}, {"code": "57"}]}]}
    made = scrubbing.slot(resource, CODES)
    assert made is not None
    assert made.get("serviceType") == ([{"coding": [coding]}] if published else None)


@pytest.mark.parametrize(
    "link",
    [
        "https://a.example/?p=UG123456789A",
        "https://a.example/ug123456789a/book",
        "https://a.example/?p=%55G123456789A",
        "https://a.example/?p=%2555G12345678%39A",
        "https://UG123456789A@a.example/",
        "https://a.example/?patient=Patient/p1",
        "https://a.example/?for=Patient/p1",
        "https://a.example/?for=Patient%252Fp1",
        "https://a.example/Patient/p1/book",
        "https://a.example/relatedperson/r1",
        "https://a.example/?who=https://fhir.example.org/fhir/RelatedPerson/r1",
        "https://a.example/book/patients/7",
        "https://a.example/book;person=7",
        "https://a.example/?slot=a&patientId=7",
        "https://a.example/?slot=a&amp;patient_name=Jane",
        "https://a.example/?patient%5Bid%5D=7",
        "https://a.example/?personId=7",
        "https://a.example/?actor:Patient=p1",
        "https://a.example/?UHID=7",
        "https://a.example/#/patient-id/7",
        "https://a.example/#related-person=7",
    ],
)
def test_a_link_for_one_patient_is_not_published(link: str) -> None:
    resource = SLOT | {"status": "free", "extension": [{"url": DEEP_LINK, "valueUrl": link}]}
    made = scrubbing.slot(resource, CODES)
    assert made is not None
    assert "extension" not in made
    made = scrubbing.slot(resource, CODES, "https://b.example/{slot}")
    assert made is not None
    assert made["extension"] == [{"url": DEEP_LINK, "valueUrl": "https://b.example/a"}]


@pytest.mark.parametrize(
    "link",
    [
        "https://patients.a.example/book?slot=a",
        "https://a.example/patient-portal/?slot=a",
        "https://a.example/outpatient/book/a",
        "https://a.example/new-patient/book?slot=a&personnel=7",
        "https://a.example/?practitioner=Practitioner/p&type=patient",
    ],
)
def test_a_link_that_says_patient_and_means_none_is_published(link: str) -> None:
    said = {"url": DEEP_LINK, "valueUrl": link}
    made = scrubbing.slot(SLOT | {"status": "free", "extension": [said]}, CODES)
    assert made is not None
    assert made["extension"] == [said]


def test_a_uhid_is_told_by_the_shape_that_it_has_here() -> None:
    link = {"url": DEEP_LINK, "valueUrl": "https://a.example/?p=KE12"}
    said = SLOT | {
        "status": "free",
        "extension": [link],
        "serviceType": [{"coding": [{"system": "urn:s", "code": "KE12"}]}],
    }
    made = scrubbing.slot(said, Codes(SYSTEMS, "^KE[0-9]+$"))
    assert made is not None
    assert not made.keys() & {"extension", "serviceType"}
    made = scrubbing.slot(said, Codes(SYSTEMS, PATTERN))
    assert made is not None
    assert made.keys() > {"extension", "serviceType"}


@pytest.mark.parametrize(("zone", "published"), [("Africa/Kampala", True), ("UG123456789A", False), (SECRET, False)])
def test_a_time_zone_is_one(zone: str, published: bool) -> None:
    said = {"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": zone}
    made = scrubbing.schedule(SCHEDULE | {"extension": [said]}, {"Location/l"}, CODES)
    assert made is not None
    assert made.get("extension") == ([said] if published else None)
