"""What an operation is called with: the query, and the body, which is a resource or a Parameters resource.

https://hl7.org/fhir/R4/operations.html#request
"""

from __future__ import annotations

from typing import Any

from adapter.errors import MOST_NAMED, Malformed, Problem
from adapter.fhir.call import Call, Pairs
from adapter.fhir.refusing import Faults, invalid
from adapter.fhir.validation import check
from adapter.fhir.validation.structure import around
from store.codec import Resource
from store.extract import value_of


def parameters(call: Call, *, bare: bool = False) -> tuple[Pairs, Resource | None]:
    """Return the primitive parameters as pairs, and the resource: sent as such, or as the parameter ``resource``.

    Args:
        call: the call.
        bare: whether the operation takes a resource. If it does not, one must not be passed over: who sends
            ``{"_type": "Patient"}`` wants less than all there is.

    Raises:
        Malformed: the body is a resource that is not taken, or a Parameters resource that is not valid, has a second
            ``resource`` or holds what is no primitive value; with each such parameter.
    """
    body = call.body
    if body is not None and body.get("resourceType") != "Parameters" and not bare:
        raise no_parameters()
    if body is None or body.get("resourceType") != "Parameters":
        return call.query, body
    pairs: list[tuple[str, str]] = []
    resources: list[Resource] = []
    wrong = Faults()
    for index, one in enumerate(sent(body)):
        place = f"Parameters.parameter[{index}]"
        if bare and isinstance(one.get("resource"), dict) and one["name"] == "resource":
            if resources:
                wrong.add(place, "resource may be given once.")
            resources.append(one["resource"])
        else:
            with wrong.noted():
                pairs.append((one["name"], _primitive(one, place)))
    wrong.require_none()
    return (*call.query, *pairs), resources[0] if resources else None


def _primitive(given: dict[str, Any], place: str) -> str:
    value = value_of(given)
    if isinstance(value, str | int):
        return str(value)
    text = f"{given['name']} takes a primitive value, such as valueString."
    if isinstance(value, dict) and "identifier" in value:
        text = f"{given['name']} is by an identifier, which is not looked for. Give a reference: Patient/1."
    raise invalid(place, text)


def once(pairs: Pairs, name: str) -> str | None:
    """Return the value of a parameter that says one thing, if it is given: one that is empty is as if it were not.

    Raises:
        Malformed: it is given several times: of two values nobody may choose one.
    """
    values = [value for given, value in pairs if given == name and value]
    if len(values) > 1:
        raise invalid(name, f"{name} may be given once.")
    return values[0] if values else None


def no_parameters() -> Malformed:
    """Return the refusal of a body that is no Parameters resource."""
    return Malformed(Problem("invalid_parameter", "Send a Parameters resource.", "Parameters", issue="structure"))


def sent(body: Resource) -> list[dict[str, Any]]:
    """Return the parameters of a Parameters resource; what resources they hold is for the operation to check.

    Raises:
        Malformed: it is not valid.
    """
    problems = faults(body)
    if problems:
        raise Malformed(problems)
    return list(body.get("parameter", []))


def faults(body: Resource) -> list[Problem]:
    """Return what is wrong with a Parameters resource, but for the resources that its parameters hold."""
    # Also where there is none: who writes `parameters` has asked for less than all there is.
    return check(around(body, "parameter"))


def unsound(body: Resource) -> frozenset[int]:
    """Return which parameters of a Parameters resource that is not valid are not, by their places; of many none."""
    listed = body.get("parameter")
    if not isinstance(listed, list) or len(listed) > MOST_NAMED:
        return frozenset()
    alone = ({"resourceType": "Parameters", "parameter": [one]} for one in listed)
    return frozenset(index for index, one in enumerate(alone) if faults(one))
