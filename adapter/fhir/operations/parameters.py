"""What an operation is called with: the query, and the body, which is a resource or a Parameters resource.

https://hl7.org/fhir/R4/operations.html#request
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adapter.errors import MOST_NAMED, Malformed, Problem
from adapter.fhir.call import Call, Pairs
from adapter.fhir.refusing import Faults, invalid
from adapter.fhir.validation import check
from adapter.fhir.validation.structure import around
from store.codec import Resource
from store.extract import value_of


@dataclass(frozen=True, slots=True)
class Sent:
    """What an operation is called with.

    Attributes:
        pairs: the primitive parameters.
        resource: sent as such, or as the parameter ``resource``.
        unreadable: names of parameters that are there, and are no valid ones.
    """

    pairs: Pairs
    resource: Resource | None = None
    unreadable: tuple[str, ...] = ()


def parameters(call: Call, wrong: Faults, *, bare: bool = False, naming: str | None = None) -> Sent:
    """Return what an operation is called with; what is wrong with one parameter is kept, and hides no other.

    Args:
        call: the call.
        wrong: keeps parameters that are not valid, a second ``resource``, and what is no primitive value.
        bare: whether the operation takes a resource. If it does not, one must not be passed over: who sends
            ``{"_type": "Patient"}`` wants less than all there is.
        naming: a parameter of which a Reference stands for whom it names.

    Raises:
        Malformed: the body is a resource that is not taken, or a Parameters resource that is not valid as a whole.
    """
    body = call.body
    if body is not None and body.get("resourceType") != "Parameters" and not bare:
        raise no_parameters()
    if body is None or body.get("resourceType") != "Parameters":
        return Sent(call.query, body)
    pairs: list[tuple[str, str]] = []
    resources: list[Resource] = []
    unreadable: list[str] = []
    for place, one, is_sound in each(body, wrong):
        if not is_sound:
            unreadable += names(one)
        elif bare and one["name"] == "resource" and "resource" in one:
            if not isinstance(one["resource"], dict):
                wrong.add(place, "resource is an object, in { }.", "structure")
                unreadable.append("resource")
                continue
            if resources:
                wrong.add(place, "resource may be given once.")
            resources.append(one["resource"])
        else:
            with wrong.noted():
                pairs.append((one["name"], _primitive(one, place, naming)))
    return Sent((*call.query, *pairs), resources[0] if resources else None, tuple(dict.fromkeys(unreadable)))


def each(body: Resource, wrong: Faults) -> Iterator[tuple[str, Any, bool]]:
    """Yield the parameters of a Parameters resource with their places, and whether each is valid; keep what is wrong.

    What resources they hold is for the operation to check.

    Raises:
        Malformed: it is not valid as a whole.
    """
    problems = faults(body)
    unsound = _unsound(body) if problems else frozenset[int]()
    if problems and not unsound:
        raise Malformed(problems)
    wrong.take(Malformed(problems))
    for index, one in enumerate(body.get("parameter", [])):
        yield f"Parameters.parameter[{index}]", one, index not in unsound


def names(one: Any) -> list[str]:
    """Return the name of a parameter that is not valid, if it has one."""
    name = one.get("name") if isinstance(one, dict) else None
    return [name] if isinstance(name, str) else []


def _primitive(given: dict[str, Any], place: str, naming: str | None) -> str:
    value = value_of(given)
    if isinstance(value, dict) and given["name"] == naming:
        value = value.get("reference", value)
    if isinstance(value, str | int):
        return str(value)
    text = f"{given['name']} takes a primitive value, such as valueString."
    if isinstance(value, dict) and (given["name"] == naming or "identifier" in value):
        why = "is by an identifier, which is not looked for" if "identifier" in value else "has no reference"
        text = f"{given['name']} {why}. Give a reference: Patient/1."
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


def faults(body: Resource) -> list[Problem]:
    """Return what is wrong with a Parameters resource, but for the resources that its parameters hold."""
    # Also where there is none: who writes `parameters` has asked for less than all there is.
    return check(around(body, "parameter"))


def _unsound(body: Resource) -> frozenset[int]:
    """Return which parameters of a Parameters resource that is not valid are not, by their places; of many none."""
    listed = body.get("parameter")
    if not isinstance(listed, list) or len(listed) > MOST_NAMED:
        return frozenset()
    alone = ({"resourceType": "Parameters", "parameter": [one]} for one in listed)
    return frozenset(index for index, one in enumerate(alone) if faults(one))
