"""What an operation is called with: the query, and the body, which is a resource or a Parameters resource.

https://hl7.org/fhir/R4/operations.html#request
"""

from __future__ import annotations

from typing import Any

from adapter.errors import Malformed, Problem
from adapter.fhir.call import Call, Pairs
from adapter.fhir.validation import check
from store.codec import Resource
from store.extract import value_of


def parameters(call: Call, *, bare: bool = False) -> tuple[Pairs, Resource | None]:
    """Return the primitive parameters as pairs, and the resource: sent as such, or as the parameter ``resource``.

    Args:
        call: the call.
        bare: whether the operation takes a resource. If it does not, one must not be passed over: who sends
            ``{"_type": "Patient"}`` wants less than all there is.

    Raises:
        Malformed: the body is a resource that is not taken, or a Parameters resource that is not valid or holds what is
            no primitive value.
    """
    body = call.body
    if body is not None and body.get("resourceType") != "Parameters" and not bare:
        raise no_parameters()
    if body is None or body.get("resourceType") != "Parameters":
        return call.query, body
    pairs: list[tuple[str, str]] = []
    resource: Resource | None = None
    for index, one in enumerate(sent(body)):
        if bare and isinstance(one.get("resource"), dict) and one["name"] == "resource":
            resource = one["resource"]
            continue
        value = value_of(one)
        if not isinstance(value, str | int):
            text = f"{one['name']} takes a primitive value, such as valueString."
            if isinstance(value, dict) and "identifier" in value:
                text = f"{one['name']} is by an identifier, which is not looked for. Give a reference: Patient/1."
            raise Malformed(Problem("invalid_parameter", text, f"Parameters.parameter[{index}]", issue="value"))
        pairs.append((one["name"], str(value)))
    return (*call.query, *pairs), resource


def no_parameters() -> Malformed:
    """Return the refusal of a body that is no Parameters resource."""
    return Malformed(Problem("invalid_parameter", "Send a Parameters resource.", "Parameters", issue="structure"))


def sent(body: Resource) -> list[dict[str, Any]]:
    """Return the parameters of a Parameters resource; what resources they hold is for the operation to check.

    Raises:
        Malformed: it is not valid.
    """
    parts = body.get("parameter", [])
    bare = [_without_resource(one) for one in parts] if isinstance(parts, list) else parts
    # Also where there is none: who writes `parameters` has asked for less than all there is.
    problems = check({**body, "parameter": bare} if "parameter" in body else body)
    if problems:
        raise Malformed(problems)
    return list(parts)


def _without_resource(one: object) -> object:
    """Return a parameter with a stand-in for its resource, so that it is as valid as the rest of it."""
    if not isinstance(one, dict) or "resource" not in one:
        return one
    return {**one, "resource": {"resourceType": "Basic", "code": {"text": "stand-in"}}}
