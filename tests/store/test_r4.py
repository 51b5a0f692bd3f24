"""The definitions of R4 that the service carries."""

from __future__ import annotations

import pytest

from store import r4
from store.types import TYPES

NAMES_ALONE = {"Any", "Type", "MoneyQuantity", "SimpleQuantity"}
"""What R4 counts among its types and does not define as one."""
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


def test_every_required_binding_is_listed_or_kept_by_others() -> None:
    """What is contained or in an extension is of any type. What is not listed is not checked (docs/fhir.md)."""
    kinds = {code for _, code in r4.value_set("http://hl7.org/fhir/ValueSet/all-types") or ()} - NAMES_ALONE
    assert kinds >= {*TYPES, "Money", "Attachment", "Claim"}
    bound = {element["bind"] for kind in kinds for element in r4.elements(kind) if "bind" in element}
    assert {url for url in bound if r4.value_set(url) is None} == {
        "http://hl7.org/fhir/ValueSet/mimetypes",
        "http://hl7.org/fhir/ValueSet/currencies",
        "http://hl7.org/fhir/ValueSet/ucum-units",
        "http://loinc.org/vs/LL379-9",
    }


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
