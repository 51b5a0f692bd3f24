"""Reads what a client sent, strictly: JSON that FHIR does not allow is refused, never repaired.

Most readers take the last of two equal names, drop nulls and round decimals. Then what is stored is not what was sent,
and nobody is told.
"""

from __future__ import annotations

import json
from typing import Any

from adapter.errors import Malformed, Problem
from adapter.fhir.validation.findings import Findings, tellable
from adapter.fhir.validation.structure import as_object, check_operations, check_structure
from store.codec import Resource, parse

_BODY = "Resource"
_ONE = "Send one resource: { ... }."
_PATCHES = "A FHIRPath Patch is one (Parameters). A JSON Patch is a list: send it as application/json-patch+json."


def read(raw: bytes) -> Resource:
    """Return the resource in `raw` with exact decimals, as it was sent.

    Raises:
        Malformed: 400, with every problem: it is no JSON, or none that FHIR allows.
    """
    resource = read_as_sent(raw)
    require_structure(resource)
    return resource


def read_patch_resource(raw: bytes) -> Resource:
    """Return the resource by which a patch is sent, as `read` does; a JSON Patch of the wrong type is told its own.

    Raises:
        Malformed: as `read` does.
    """
    resource = read_as_sent(raw, _PATCHES)
    require_structure(resource)
    return resource


def require_structure(resource: Resource) -> None:
    """Make sure that `resource`, which was read as it was sent, is JSON that FHIR allows.

    Raises:
        Malformed: 400, with every problem.
    """
    problems = faults(resource)
    if problems:
        raise Malformed(problems)


def faults(resource: Resource) -> list[Problem]:
    """Return what FHIR's JSON does not allow in `resource`, which was read as it was sent."""
    findings = Findings()
    check_structure(resource, findings, _named(resource))
    return findings.all()


def read_as_sent(raw: bytes, remedy: str = _ONE) -> Resource:
    """Return the object in `raw` with exact decimals; what FHIR does not allow in it is for who judges the whole of it.

    `adapter.fhir.validation.check` finds it beside all else that is wrong: told first, it would hide the rest.

    Raises:
        Malformed: 400, it is no JSON object.
    """
    resource = _parsed(raw)
    if not isinstance(resource, dict):
        raise _unreadable(f"The body is not a JSON object. {remedy}")
    return resource


def read_patch(raw: bytes) -> list[Any]:
    """Return the JSON Patch document in `raw` (RFC 6902): a list; its operations are for the patch to judge.

    Raises:
        Malformed: 400, it is no JSON list, has a name twice in one object, or is nested too deeply.
    """
    operations = _parsed(raw)
    if not isinstance(operations, list):
        raise _unreadable('The body is not a JSON list. A JSON Patch is [{"op": ..., "path": ..., "value": ...}].')
    problem = check_operations(operations)
    if problem is not None:
        raise Malformed(problem)
    return operations


def _named(resource: Resource) -> str:
    """Return what the FHIRPath of a problem starts with."""
    stated = resource.get("resourceType")
    return stated if isinstance(stated, str) and tellable(stated) else _BODY


def _parsed(raw: bytes) -> Any:
    try:
        return parse(raw, as_object=as_object)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _unreadable(f"The body is not JSON: {error.msg} ({where}).") from None
    except UnicodeDecodeError:
        raise _unreadable("The body is not UTF-8. Send JSON in UTF-8.") from None
    except ValueError as error:
        if isinstance(error.__cause__, RecursionError):
            raise _unreadable("The body is nested too deeply to be read. Send a flatter resource.") from None
        raise _unreadable("The body has text or a number that JSON cannot carry. Correct it.") from None


def _unreadable(text: str) -> Malformed:
    return Malformed(Problem("invalid_json", text, issue="structure"))
