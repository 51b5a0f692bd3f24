"""The definitions of R4 that the service carries."""

from __future__ import annotations

import pytest

from store import r4
from store.types import TYPES

STATUSES = "http://hl7.org/fhir/ValueSet/appointmentstatus"


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_served_type_has_its_elements_the_type_itself_first(kind: str) -> None:
    found = r4.elements(kind)
    assert found[0]["path"] == kind
    assert all(element["path"].startswith(f"{kind}.") for element in found[1:])
    assert {"min", "max", "type"} <= found[1].keys()


@pytest.mark.parametrize("kind", ["Bundle", "Parameters", "HumanName", "instant", "Device", "ServiceRequest"])
def test_other_types_that_they_may_hold_are_there_too(kind: str) -> None:
    assert r4.elements(kind)[0]["path"] == kind


def test_an_unknown_type_has_no_elements() -> None:
    with pytest.raises(KeyError):
        r4.elements("Nothing")


def test_every_type_that_an_element_of_a_served_type_has_is_defined() -> None:
    for kind in TYPES:
        for element in r4.elements(kind)[1:]:
            for one in element.get("type", ()):
                assert r4.elements(one["code"])


def test_every_required_binding_of_a_served_type_is_listed_or_cannot_be() -> None:
    bound = {element["bind"] for kind in TYPES for element in r4.elements(kind) if "bind" in element}
    assert {url for url in bound if r4.value_set(url) is None} <= {"http://hl7.org/fhir/ValueSet/mimetypes"}


def test_a_value_set_is_known_with_and_without_its_version() -> None:
    found = r4.value_set(STATUSES)
    assert found is not None
    assert ("http://hl7.org/fhir/appointmentstatus", "noshow") in found
    assert len(found) == 10
    assert r4.value_set(f"{STATUSES}|4.0.1") == found
    assert r4.value_set("urn:nothing") is None


def test_search_parameters_have_an_address_a_base_and_an_expression_and_are_named_once() -> None:
    found = r4.search_parameters()
    assert all({"url", "code", "base", "type", "expression"} <= one.keys() for one in found)
    assert len({one["url"] for one in found}) == len(found)
    names = [(base, one["code"]) for one in found for base in one["base"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["age", "birthOrderBoolean", "mothersMaidenName", "part-agree"])
def test_examples_are_no_parameters(name: str) -> None:
    assert name not in {one["code"] for one in r4.search_parameters()}
