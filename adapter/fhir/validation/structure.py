"""FHIR's JSON as such (https://hl7.org/fhir/R4/json.html): what no resource of any type may contain.

Judges without definitions, so that Bundles and Parameters are held to it, too: nothing empty, `null` only where it
keeps two lists aligned, text and numbers that can be stored. One pass, as every write goes through here.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from copy import copy
from decimal import Decimal
from typing import Any

from adapter.errors import Problem
from adapter.fhir.validation.findings import Findings, Place, tellable
from adapter.fhir.validation.places import in_fhirpath
from store.codec import DECIMAL128, Resource

DEEPEST = 64
"""Levels of nesting; MongoDB takes 100, some of which the stored document needs itself."""

MOST_VALUES = 50_000
"""Values in one resource, every member and every item of a list counted: with fewer than a second's work it is judged,
indexed and written. What an appointment of a thousand participants has is a fifth."""
MOST_IN_LISTS = 500_000
"""In what lists others: a Group's members, and the patients of an export, are 50,000 each
(`adapter.fhir.operations.exporting_patients`), of some values each."""
_LISTS = ("Group", "Parameters")
_STAND_IN = {"resourceType": "Parameters"}  # nothing in it is required

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_TOO_DEEP = f"It is nested more than {DEEPEST} levels deep. Send it flatter."
_WIDEST = Decimal(sys.float_info.max)  # beyond it, readers of JSON see infinity or give up: ours does


class Repeated(dict[str, Any]):
    """An object that was sent with a name twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.names = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]


def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members, as they were sent."""
    made = dict(pairs)
    return made if len(made) == len(pairs) else Repeated(pairs)


def repeated_names(value: Any) -> list[str]:
    """Return the names that are there twice in one object, anywhere in JSON that is no resource; each once."""
    if isinstance(value, dict):
        found = value.names if isinstance(value, Repeated) else []
        return list(dict.fromkeys([*found, *repeated_names([*value.values()])]))
    if isinstance(value, list):
        return list(dict.fromkeys(name for item in value for name in repeated_names(item)))
    return []


def around(wrapper: Resource, name: str) -> Resource:
    """Return a Bundle or Parameters with stand-ins for the resources in its list `name`: each is judged by itself.

    Its parts are copied, and not made anew: they remember which names were there twice.
    """
    items = wrapper.get(name)
    if not isinstance(items, list):
        return wrapper
    bare = copy(wrapper)
    bare[name] = [_without_resource(one) for one in items]
    return bare


def _without_resource(item: Any) -> Any:
    if not isinstance(item, dict) or "resource" not in item:
        return item
    bare = copy(item)
    bare["resource"] = _STAND_IN
    return bare


def check_structure(resource: Resource, findings: Findings, place: Place) -> bool:
    """Add what is wrong with `resource` as FHIR JSON; tell whether it can be looked into any further."""
    kind = resource.get("resourceType")
    most = MOST_IN_LISTS if kind in _LISTS else MOST_VALUES
    if kind != "Bundle" and _has_more(resource, most):  # of a Bundle each resource is counted by itself
        text = f"It has more than {most} values (members, and items of lists). Send what it says in several resources."
        findings.add("too_many_values", "too-costly", text, place)
        return False
    return _object(resource, _Told(findings, resource), place, 1)


class _Told:
    """Adds what is found in `resource` to `findings`, its place as FHIRPath has it and not by the names in JSON."""

    __slots__ = ("_findings", "_resource")

    def __init__(self, findings: Findings, resource: Resource) -> None:
        self._findings = findings
        self._resource = resource

    def add(self, code: str, issue: str, message: str, place: Place) -> None:
        """Do as `Findings.add`."""
        told = place if self._findings.full else in_fhirpath(place, self._resource)
        self._findings.add(code, issue, message, told)


def _has_more(resource: Resource, most: int) -> bool:
    """Tell whether there are more than `most` values within, however deep; what is beyond is not looked at."""
    left: list[Any] = [resource]
    found = 0
    while left and found <= most:
        node = left.pop()
        found += len(node)
        left += [one for one in (node.values() if isinstance(node, dict) else node) if isinstance(one, dict | list)]
    return found > most


def check_operations(value: Any, depth: int = 1) -> Problem | None:
    """Return what is wrong with JSON that is no resource (a JSON Patch), where null is a value like any other."""
    if isinstance(value, Repeated):
        text = "A name is there twice in one object. Send it once."
        return Problem("duplicate_key", text, issue="structure")
    if not isinstance(value, dict | list):
        return None
    if depth > DEEPEST:
        return Problem("too_deep", _TOO_DEEP, issue="structure")
    items = value.values() if isinstance(value, dict) else value
    return next((found for item in items if (found := check_operations(item, depth + 1)) is not None), None)


def _object(node: dict[str, Any], findings: _Told, place: Place, depth: int) -> bool:
    sound = True
    if depth > DEEPEST:
        findings.add("too_deep", "structure", _TOO_DEEP, place)
        return False
    if type(node) is not dict:
        _repeated(node, findings, place)
    if not node:
        findings.add("empty_value", "structure", "An object must not be empty. Leave the element out.", place)
    for name, value in node.items():
        kind = type(value)
        if kind is str:
            if not value.isprintable() or not value:
                _text(value, findings, (place, name, None))
        elif kind is dict or kind is Repeated:
            sound &= _object(value, findings, (place, name, None), depth + 1)
        elif kind is list:
            sound &= _list(value, node, findings, place, name, depth + 1)
        elif value is None:
            text = "null stands only in lists of primitive values. Leave the element out."
            findings.add("null_value", "structure", text, (place, name, None))
        elif isinstance(value, Decimal | int):
            _number(value, findings, (place, name, None))
    return sound


def _list(items: list[Any], node: dict[str, Any], findings: _Told, place: Place, name: str, depth: int) -> bool:
    sound = True
    if depth > DEEPEST:
        findings.add("too_deep", "structure", _TOO_DEEP, (place, name, None))
        return False
    if not items:
        text = "A list must not be empty. Leave the element out."
        findings.add("empty_value", "structure", text, (place, name, None))
    for index, value in enumerate(items):
        kind = type(value)
        if kind is dict or kind is Repeated:
            sound &= _object(value, findings, (place, name, index), depth + 1)
        elif kind is str:
            if not value.isprintable() or not value:
                _text(value, findings, (place, name, index))
        elif value is None:
            if not _aligns(node, name, index):
                text = (
                    "null only keeps a list of primitive values aligned with the list of their extensions (given with "
                    "_given), where the other one has a value. Leave it out."
                )
                findings.add("null_value", "structure", text, (place, name, index))
        elif kind is list:
            text = "A list must not stand in a list. Send its items one by one."
            findings.add("nested_list", "structure", text, (place, name, index))
            sound = False
        elif isinstance(value, Decimal | int):
            _number(value, findings, (place, name, index))
    return sound


def _other(name: str) -> str:
    return name[1:] if name.startswith("_") else f"_{name}"


def _aligns(node: dict[str, Any], name: str, index: int) -> bool:
    """Tell whether the `null` at `index` stands for what the sibling list has there."""
    other = node.get(_other(name))
    return isinstance(other, list) and index < len(other) and other[index] is not None


def _repeated(node: dict[str, Any], findings: _Told, place: Place) -> None:
    for name in node.names if isinstance(node, Repeated) else ():
        if tellable(name):
            text = f"{name} is there twice in one object. Send it once; what repeats is a list."
            findings.add("duplicate_key", "structure", text, (place, name, None))
        else:
            findings.add("duplicate_key", "structure", "A name is there twice in one object. Send it once.", place)


def _text(value: str, findings: _Told, place: Place) -> None:
    if not value:
        findings.add("empty_value", "structure", "Text must not be empty. Leave the element out.", place)
    elif _FORBIDDEN.search(value):
        text = "Text must not contain control characters, other than tab, line feed and carriage return."
        findings.add("bad_text", "value", text, place)


def _number(value: Decimal | int, findings: _Told, place: Place) -> None:
    if isinstance(value, Decimal):
        # Comparisons are exact. `abs` rounds, and fails at exponents that Python does not reckon with.
        readable = value.is_finite() and value.adjusted() >= DECIMAL128.Emin and value.copy_abs() <= _WIDEST
    else:
        readable = abs(value) <= _WIDEST
    if not readable:
        text = "The number is beyond what can be stored and read: its exponent lies outside -6143 to 308."
        findings.add("number_out_of_range", "value", text, place)
