"""What an operation is called with: the query, and the body, which is a resource or a Parameters resource.

https://hl7.org/fhir/R4/operations.html#request
"""

from __future__ import annotations

from adapter.errors import Malformed, Problem
from adapter.fhir.call import Call, Pairs
from adapter.fhir.validation import check
from store.codec import Resource


def parameters(call: Call) -> tuple[Pairs, Resource | None]:
    """Return the primitive parameters as pairs, and the resource: sent as such, or as the parameter ``resource``.

    Raises:
        Malformed: the Parameters resource is not valid, or holds what is no primitive value.
    """
    body = call.body
    if body is None or body.get("resourceType") != "Parameters":
        return call.query, body
    # Not the resource in it: what is wrong with that is for the operation to say.
    sent = body.get("parameter", [])
    bare = [_without_resource(one) for one in sent] if isinstance(sent, list) else sent
    problems = check({**body, "parameter": bare}) if bare else []
    if problems:
        raise Malformed(problems)
    pairs: list[tuple[str, str]] = []
    resource: Resource | None = None
    for index, one in enumerate(sent):
        if isinstance(one.get("resource"), dict) and one["name"] == "resource":
            resource = one["resource"]
            continue
        value = next((value for name, value in one.items() if name.startswith("value")), None)
        if not isinstance(value, str | int):
            text = f"{one['name']} takes a primitive value, such as valueString."
            raise Malformed(Problem("invalid_parameter", text, f"Parameters.parameter[{index}]", issue="value"))
        pairs.append((one["name"], str(value)))
    return (*call.query, *pairs), resource


def _without_resource(one: object) -> object:
    """Return a parameter with a stand-in for its resource, so that it is as valid as the rest of it."""
    if not isinstance(one, dict) or "resource" not in one:
        return one
    return {**one, "resource": {"resourceType": "Basic", "code": {"text": "stand-in"}}}
