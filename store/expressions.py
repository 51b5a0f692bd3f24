"""The FHIRPath of R4's search parameters, read into paths through JSON.

Only the forms that the served types use are understood (https://hl7.org/fhir/R4/searchparameter-registry.html); any
other raises at import, so that a parameter is never indexed by less than it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from store import r4
from store.parameters import Path

_BRANCH = re.compile(
    r"\(?(?:(?P<type>[A-Z]\w+)\.)?(?P<steps>[a-z]\w*(?:\.[a-z]\w*)*)"
    r"(?:\.where\((?:resolve\(\) is \w+|(?P<member>\w+)='(?P<value>[^']*)')\))?"
    r"(?: as (?P<choice>\w+)\))?"
)
_TRUTH = re.compile(r"(?P<type>\w+)\.(?P<steps>\w+)\.exists\(\) and (?P=type)\.(?P=steps) != false")
_NESTED = ("BackboneElement", "Element")


@dataclass(frozen=True, slots=True)
class Source:
    """Where an expression leads.

    Attributes:
        paths: one for each branch that is about the type, and for each JSON name of a choice.
        many: there may be several values.
        bindings: the value sets of required bindings there.
        anything: a reference that may lead to any type.
    """

    paths: tuple[Path, ...]
    many: bool
    bindings: frozenset[str]
    anything: bool


def read(kind: str, expression: str) -> Source:
    """Return where `expression` leads in resources of type `kind`.

    Raises:
        ValueError: it is of a form that is not understood.
        LookupError: it names an element that the type does not have.
    """
    truth = _TRUTH.fullmatch(expression)
    if truth:
        return _truth(kind, truth["steps"])
    paths: list[Path] = []
    ends: list[_End] = []
    for text in expression.split(" | "):
        found = _BRANCH.fullmatch(text)
        if found is None:
            raise ValueError(f"cannot be read: {text}")
        if found["type"] not in (kind, "Resource", None):
            continue
        end = _end(kind, found["steps"], found["choice"])
        where = (found["member"], found["value"]) if found["member"] else None
        paths.append(Path(end.steps, end.datatype, where))
        ends.append(end)
    return Source(
        tuple(paths),
        many=len(paths) > 1 or any(end.many for end in ends),
        bindings=frozenset(end.element["bind"] for end in ends if "bind" in end.element),
        anything=any("Resource" in (one.get("target") or ()) for end in ends for one in end.element["type"]),
    )


def _truth(kind: str, element: str) -> Source:
    """``Patient.deceased.exists() and Patient.deceased != false``: a boolean, whichever choice is there."""
    choices = _elements(kind)[f"{kind}.{element}[x]"]["type"]
    paths = tuple(Path(_choice(element, one["code"]), "boolean") for one in choices)
    return Source(paths, many=False, bindings=frozenset(), anything=False)


@dataclass(frozen=True, slots=True)
class _End:
    steps: str
    datatype: str
    many: bool
    element: Mapping[str, Any]


def _end(kind: str, steps: str, choice: str | None) -> _End:
    owner = prefix = datatype = kind
    names: list[str] = []
    many = False
    element: Mapping[str, Any] = {}
    for step in steps.split("."):
        elements = _elements(owner)
        path = f"{prefix}.{step}"
        element = elements[f"{path}[x]"] if choice and f"{path}[x]" in elements else elements[path]
        chosen = element["path"].endswith("[x]")
        datatype = (choice if chosen else None) or element["type"][0]["code"]
        names.append(_choice(step, datatype) if chosen else step)
        many = many or element["max"] != "1"
        if datatype in _NESTED:
            prefix = path
        else:
            owner = prefix = datatype
    return _End(".".join(names), "id" if steps == "id" else datatype, many, element)


def _choice(element: str, datatype: str) -> str:
    return element + datatype[0].upper() + datatype[1:]


@cache
def _elements(kind: str) -> dict[str, dict[str, Any]]:
    return {element["path"]: element for element in r4.elements(kind)}
