"""De-identified, no code and no code system says who somebody is: only what looks like a vocabulary's codes is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.export import allowed
from adapter.export.deidentify import PSEUDONYMISED, Deidentifier
from adapter.fhir.validation.definitions import Type, type_of
from mappings.vocabulary import Vocabulary
from tests import strategies
from tests.scale import examples

Json = dict[str, Any]
KEY = b"a key of this test alone"
SYSTEMS = strategies.SYSTEMS


@pytest.fixture(scope="module")
def deidentifier() -> Deidentifier:
    return Deidentifier(KEY, SYSTEMS)


_PLANTED = ("Jane Zebulon", "UG987654321Z", "987-65-4321", "987654321", "B1234567", "+256 772 123456")
"""Identities that are told by their shape, under whichever system they stand."""
_TOKENS = ("zebulon", "Zebulon", "pat-uniq-1", "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0")
"""Those that could be codes: only where the vocabulary says how its codes look are they told."""
_AROUND = ("{}", "uhid:{}", "x{}y", "Patient/{}", "{}-1", " {} ")
_OWN_SYSTEMS = (SYSTEMS.service_type, SYSTEMS.specialty, SYSTEMS.cancellation_reason)
_PLACES = (
    "http://hl7.org/fhir/sid/us-ssn",
    "http://hl7.org/fhir/sid/passport-UGA",
    "http://terminology.hl7.org/CodeSystem/patients",
    SYSTEMS.uhid,
    *SYSTEMS.uhid_aliases,
    SYSTEMS.appointment_number,
    *allowed.VOCABULARIES,
)


def test_every_code_of_our_code_tables_is_kept() -> None:
    told = {
        (system, one["code"])
        for table in Vocabulary.default().maps
        for group in table.resource["group"]
        for element in group["element"]
        for system, some in ((group["source"], [element]), (group["target"], element.get("target", ())))
        for one in some
        if "code" in one and system in allowed.VOCABULARIES
    }
    assert {system for system, _ in told} >= {
        "http://terminology.hl7.org/CodeSystem/v2-0276",
        "http://hl7.org/fhir/v2/0276",
        "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason",
    }
    assert [(system, code) for system, code in sorted(told) if not allowed.VOCABULARIES[system](code)] == []


@st.composite
def planted_codings(draw: st.DrawFn) -> Json:
    """A Coding with an identity as its code, or in its system."""
    own = draw(st.booleans())
    identity = draw(st.sampled_from(_PLANTED if own else (*_PLANTED, *_TOKENS)))
    said = draw(st.sampled_from(_AROUND)).format(draw(st.sampled_from([identity, identity.lower()])))
    system = draw(st.sampled_from(_OWN_SYSTEMS if own else _PLACES))
    if draw(st.booleans()):
        return {"system": system, "code": said}
    # Under no system of this service is anything but the system itself: here every identity is told.
    text = draw(st.sampled_from(["{0}/{1}", "{0}{1}", "{0}/{1}/version/20240101", "{0}?x={1}", "{0}|{1}", "urn:{1}"]))
    return {"system": text.format(system, said), "code": draw(st.sampled_from(["57", "ROUTINE", "394814009"]))}


def _planted(kind: str, of: Type, table: Any, coding: Json) -> Json:
    """Return a resource, or a part of one, that has `coding` wherever a code may be kept."""
    made: Json = {"resourceType": kind} if kind else {}
    for name, rule in table.items():
        member = of.members[name]
        if rule == allowed.CODES:
            assert member.type is not None
            value = coding if member.type().name == "Coding" else {"coding": [coding], "text": "x"}
        elif rule in allowed.NESTED:
            assert member.type is not None
            value = _planted("", member.type(), allowed.NESTED[rule], coding)
        else:
            continue
        made[name] = [value] if member.many else value
    if kind:
        made["meta"] = _planted("", type_of("Meta"), allowed.NESTED["Meta"], coding)
    return made


@settings(
    max_examples=examples(300),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(st.sampled_from(sorted(allowed.RESOURCES)), planted_codings())
def test_no_identity_passes_as_a_code_or_a_system(deidentifier: Deidentifier, kind: str, coding: Json) -> None:
    made = deidentifier.resource(_planted(kind, type_of(kind), allowed.RESOURCES[kind], coding))
    text = json.dumps(made).casefold()
    assert not [one for one in (*_PLANTED, *_TOKENS) if one.casefold() in text], made
    assert made["meta"] == {"security": [PSEUDONYMISED]}


@pytest.mark.parametrize(
    ("system", "code", "kept"),
    [
        ("http://snomed.info/sct", "394814009", True),
        ("http://snomed.info/sct/900000000000207008", "394814009", True),
        ("http://snomed.info/sct/731000124108/version/20240301", "394814009", True),
        ("http://snomed.info/sct/731000124108/version/20249999", "394814009", False),
        ("http://snomed.info/sct/987654321", "394814009", False),  # no module: its check digit is wrong
        ("http://snomed.info/sct", "394814008", False),
        ("http://snomed.info/sct", "987654321", False),
        ("http://snomed.info/sct", "pat-uniq-1", False),
        ("http://loinc.org", "8302-2", True),
        ("http://loinc.org", "LA6576-8", True),
        ("http://loinc.org", "987-65-4321", False),
        ("http://hl7.org/fhir/sid/icd-10", "J18.9", True),
        ("http://hl7.org/fhir/sid/icd-10-cm", "S72.001A", True),
        ("http://hl7.org/fhir/sid/icd-10", "B1234567", False),
        ("http://hl7.org/fhir/sid/icd-9-cm", "250.00", True),
        ("http://hl7.org/fhir/sid/cvx", "207", True),
        ("http://hl7.org/fhir/sid/ndc", "0777-3105-02", True),
        ("http://hl7.org/fhir/sid/ndc", "987-65-4321", False),
        ("http://hl7.org/fhir/sid/us-npi", "1234567893", False),
        ("urn:ietf:bcp:47", "en-UG", True),
        ("urn:ietf:bcp:47", "x-zebulon", False),
        ("http://terminology.hl7.org/CodeSystem/v2-0360/2.7", "MD", True),
        ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "PSEUDED", True),
        ("http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "pat-crs", True),
        ("http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "pat-uniq-1", False),
        (SYSTEMS.specialty, "394814009", True),  # long, but it is one of SNOMED CT's
        (SYSTEMS.specialty, "general-practice", True),
    ],
)
def test_codes_have_the_shape_of_their_vocabulary(
    deidentifier: Deidentifier, system: str, code: str, kept: bool
) -> None:
    made = deidentifier.resource(
        {"resourceType": "Slot", "specialty": [{"coding": [{"system": system, "code": code}]}]}
    )
    assert ("coding" in made["specialty"][0]) is kept


@pytest.mark.parametrize(
    ("pattern", "code", "kept"),
    [
        (r"^[A-Z]{2}-[0-9]{4}$", "a.ke-1234b", False),
        (r"^(?:KE[0-9]{3}|TZ[0-9]{3})$", "xtz123y", False),
        (r"\AKE[0-9]{3}\Z", "xke123y", False),
        (r"KE[0-9]+", "general", True),
        (r"^[0-9]*$", "general", True),
        (r"^[^a]\$$", "general", True),
        (r"^K[^^$]E$", "kae", False),
        (r"^K[^^$]E$", "general", True),
    ],
)
def test_a_uhid_of_any_shape_is_found_within_a_code(pattern: str, code: str, kept: bool) -> None:
    made = Deidentifier(KEY, SYSTEMS, (), pattern).resource(
        {"resourceType": "Slot", "serviceType": [{"coding": [{"system": SYSTEMS.service_type, "code": code}]}]}
    )
    assert ("coding" in made["serviceType"][0]) is kept
