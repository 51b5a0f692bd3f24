"""FHIRPath Patches for tests: how to write them and apply them."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Malformed, Unprocessable
from adapter.fhir.patching import Patch, apply
from store.codec import Resource, encode

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    """Make an operation; a part is ``name={"valueString": ...}``, or a number for an index."""
    given = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, value in parts.items():
        if isinstance(value, int):
            value = {"valueInteger": value}
        elif isinstance(value, str):
            value = {"valueString": value}
        given.append({"name": name} | value)
    return {"name": "operation", "part": given}


def parameters(*operations: dict[str, Any]) -> Resource:
    """Make a patch."""
    return {"resourceType": "Parameters"} | ({"parameter": list(operations)} if operations else {})


def change(resource: Resource, *operations: dict[str, Any]) -> Resource:
    """Apply a patch to a resource, which stays as it is."""
    before = encode(resource)
    after = apply(Patch.read(parameters(*operations)), resource)
    assert encode(resource) == before
    return after


def patient(**elements: Any) -> Resource:
    """Make a Patient."""
    return {"resourceType": "Patient", "id": "p"} | elements


def numbered(*numbers: int) -> Resource:
    """Make a Patient with an identifier for each number."""
    return patient(identifier=[{"system": "http://example.org", "value": f"value {number}"} for number in numbers])


THIRD = {"valueIdentifier": {"system": "http://example.org", "value": "value 3"}}
LISTED = "Patient.identifier"


def refusal(resource: Resource, *operations: dict[str, Any]) -> Unprocessable:
    """Check that a patch cannot be applied; return why."""
    with pytest.raises(Unprocessable) as refused:
        change(resource, *operations)
    assert refused.value.status == 422
    return refused.value


def malformed(document: Any) -> Malformed:
    """Check that this is no patch; return why."""
    with pytest.raises(Malformed) as refused:
        Patch.read(document)
    assert refused.value.status == 400
    return refused.value
