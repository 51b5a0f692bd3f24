"""The names of search parameters: ``status``, ``status:not``, ``patient.name``, ``_has:Appointment:patient:date``.

https://hl7.org/fhir/R4/search.html#modifiers, #chaining and #has. What a name means depends on the type that is
searched alone, so it is worked out once for each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain

from store import r4
from store.parameters import Parameter
from store.remembering import remembered
from store.search.model import Note, SearchRefused
from store.types import TYPES

_LONGEST = 512
_WITH_TEXT = frozenset({"CodeableConcept", "Coding", "Identifier"})
_BY_KIND = {
    "token": ("not", "missing"),
    "string": ("exact", "contains", "missing"),
    "reference": ("identifier", "missing"),
    "date": ("missing",),
    "uri": ("above", "below", "missing"),
    "special": ("missing",),
}


class Unknown(SearchRefused):
    """A parameter that the type does not have, by itself or in a chain.

    By itself it is left out where the caller did not ask for strictness; a chain goes to the types that have it.
    """


@dataclass(frozen=True, slots=True)
class Plain:
    """A parameter of the type itself; `modifier` may be the name of a target type."""

    parameter: Parameter
    modifier: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """A chain: `rest` is a name for the resources of one of the types `targets` that `parameter` refers to."""

    parameter: Parameter
    targets: tuple[str, ...]
    rest: str


@dataclass(frozen=True, slots=True)
class Reverse:
    """A reverse chain: `rest` is a name for the resources of type `kind` that refer to this one by `parameter`."""

    kind: str
    parameter: Parameter
    rest: str


@cache
def every_type() -> tuple[str, ...]:
    """Return the names of all resource types that a reference may name."""
    named = (target for one in r4.search_parameters() for target in one.get("target") or ())
    return tuple(dict.fromkeys(chain(TYPES, sorted(named))))


def modifiers(parameter: Parameter) -> tuple[str, ...]:
    """Return the modifiers that a parameter takes, target types apart."""
    if parameter.name == "phonetic":
        return ("missing",)
    datatypes = {path.datatype for path in parameter.paths}
    more: list[str] = []
    if parameter.kind == "token" and datatypes & _WITH_TEXT:
        more.append("text")
    if parameter.kind == "token" and "Identifier" in datatypes:
        more.append("of-type")
    return (*_BY_KIND[parameter.kind], *more)


def target_types(parameter: Parameter) -> tuple[str, ...]:
    """Return the types that a reference parameter may name."""
    return parameter.targets or every_type()


def named(kind: str, name: str) -> Plain | Step | Reverse:
    """Return what `name` means for resources of type `kind`.

    Raises:
        Unknown: the type has no such parameter, or none that leads on.
        SearchRefused: a modifier that the parameter does not take, or a name out of shape.
    """
    if len(name) > _LONGEST:
        raise _refused("too-long", name[:40] + "...", f"A parameter's name has at most {_LONGEST} characters.")
    return _named(name, kind)


@remembered(2_048)
def _named(name: str, kind: str) -> Plain | Step | Reverse:
    if name == "_has" or name.startswith("_has:"):
        return _reverse(kind, name)
    first, dot, rest = name.partition(".")
    head, colon, modifier = first.partition(":")
    parameter = _parameter(kind, head, name, chained=bool(dot))
    if dot:
        return _step(kind, parameter, modifier if colon else None, rest, name)
    if not colon:
        return Plain(parameter, None)
    if modifier in modifiers(parameter) or (parameter.kind == "reference" and modifier in target_types(parameter)):
        return Plain(parameter, modifier)
    takes: Iterable[str] = modifiers(parameter)
    if parameter.kind == "reference":
        takes = (*takes, *(parameter.targets or ("the name of a resource type",)))
    text = f"'{head}' of {kind} does not take the modifier ':{modifier}'. It takes: {', '.join(takes)}."
    raise _refused("not-supported", name, text)


def _parameter(kind: str, head: str, name: str, *, chained: bool) -> Parameter:
    parameters = TYPES[kind].parameters
    # NHS BaRS writes chains with a capital (`Schedule.actor:HealthcareService`); no name of R4 has one at its start.
    found = parameters.get(head) or (parameters.get(head[:1].lower() + head[1:]) if chained else None)
    if found is not None:
        return found
    if head == "_query":  # https://hl7.org/fhir/R4/search.html#query: it SHALL be refused, never left out
        raise _refused("not-supported", name, "This server has no named queries: leave _query out.")
    text = f"{kind} has no search parameter '{head}'. It has: {', '.join(sorted(parameters))}."
    raise Unknown(Note("not-supported", name, text))


def _step(kind: str, parameter: Parameter, target: str | None, rest: str, name: str) -> Step:
    if parameter.kind != "reference":
        text = f"'{parameter.name}' of {kind} is not a reference: it cannot be followed with a dot."
        raise Unknown(Note("not-supported", name, text))
    served = tuple(one for one in target_types(parameter) if one in TYPES)
    nowhere = f"'{parameter.name}' of {kind} refers to no type that this server has: it cannot be followed."
    if target is not None:
        if target not in served:
            text = f"'{parameter.name}' of {kind} cannot be followed to ':{target}'. It can to: {', '.join(served)}."
            raise _refused("not-supported", name, text if served else nowhere)
        served = (target,)
    if not served:
        raise Unknown(Note("not-supported", name, nowhere))
    return Step(parameter, served, rest)


def _reverse(kind: str, name: str) -> Reverse:
    parts = name.split(":", 3)
    if len(parts) < 4 or not parts[3]:
        text = "A reverse chain names a type, its reference and its parameter: _has:Appointment:patient:date."
        raise _refused("invalid", name, text)
    _, other, reference, rest = parts
    if other not in TYPES:
        raise _refused("not-supported", name, f"This server has no {other}. It has: {', '.join(TYPES)}.")
    references = [one.name for one in TYPES[other].parameters.values() if one.kind == "reference"]
    parameter = TYPES[other].parameters.get(reference)
    if parameter is None or parameter.kind != "reference" or kind not in target_types(parameter):
        text = f"{other} has no reference '{reference}' to {kind}. Its references: {', '.join(references)}."
        raise Unknown(Note("not-supported", name, text))
    return Reverse(other, parameter, rest)


def _refused(code: str, name: str, text: str) -> SearchRefused:
    return SearchRefused(Note(code, name, text))
