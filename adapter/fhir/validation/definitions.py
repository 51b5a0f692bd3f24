"""The official R4 definitions, made ready for checking: one `Type` for each type and each nested element.

Nothing of a resource type is typed in here: elements, cardinalities, choices, bindings, reference targets and the keys
of invariants all come from `store.r4`. A type is made when it is first met, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from adapter.fhir.validation.invariants import INVARIANTS, Invariant
from adapter.fhir.validation.primitives import LANGUAGE, PRIMITIVES, Primitive
from store import r4

_RESOURCE_TYPES = "http://hl7.org/fhir/ValueSet/resource-types"
_GENERIC = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})
_CONTAINER = "Resource"


@dataclass(frozen=True, slots=True)
class Member:
    """A member that an object of some type may have.

    Attributes:
        name: in FHIRPath: without the type of a choice and without the underscore of a sibling.
        many: it is a list in JSON.
        primitive: its type, if it is a primitive one.
        accepts: short for that type's, for speed.
        type: gives its type, if it is a complex one; what has neither holds a whole resource of any type.
        codes: what a required binding allows, codes with their systems; None for no such binding.
        targets: which types a Reference may lead to; empty for any.
        invariants: those that hold here, beyond the type's own.
        sibling: it carries the id and the extensions of a primitive one.
    """

    name: str
    many: bool
    primitive: Primitive | None = None
    accepts: Callable[[Any], bool] | None = None
    type: Callable[[], Type] | None = None
    codes: frozenset[str] | None = None
    codings: frozenset[tuple[str, str]] | None = None
    targets: frozenset[str] = frozenset()
    invariants: tuple[Invariant, ...] = ()
    sibling: bool = False


@dataclass(slots=True)
class Type:
    """A type, or the nested element of one (``Appointment.participant``).

    Attributes:
        name: FHIR's name or path.
        members: by their names in JSON, choices and siblings included.
        required: for each element that must be there, its name and the members of which one must be there.
        choices: for each choice of types, its name and its members, of which one with its sibling may be there.
        invariants: what must hold for an object of it.
        resource: it is a resource type.
    """

    name: str
    members: dict[str, Member] = field(default_factory=dict)
    required: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    choices: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    invariants: tuple[Invariant, ...] = ()
    resource: bool = False


@cache
def resource_types() -> frozenset[str]:
    """Return the names of R4's resource types."""
    found = r4.value_set(_RESOURCE_TYPES) or frozenset()
    return frozenset(code for _, code in found) - _GENERIC


@cache
def type_of(name: str) -> Type:
    """Return the resource type or datatype called `name`.

    Raises:
        KeyError: R4 has none of that name.
    """
    return _types(name, r4.elements(name))[name]


def _types(name: str, elements: Sequence[Mapping[str, Any]]) -> dict[str, Type]:
    """Make the type `name` and those of its nested elements, by their paths."""
    nested = {element["path"].rpartition(".")[0] for element in elements if "." in element["path"]}
    made = {path: Type(path, resource=path in resource_types()) for path in nested | {name}}
    for element in elements:
        path: str = element["path"]
        if path == name:
            made[name].invariants = _invariants(element)
            continue
        owner, _, called = path.rpartition(".")
        _add(made[owner], called, element, made)
    if made[name].resource:
        text = Primitive("resourceType", lambda value: value == name, name)
        made[name].members["resourceType"] = Member("resourceType", many=False, primitive=text, accepts=text.accepts)
    return made


def _add(owner: Type, called: str, element: Mapping[str, Any], made: Mapping[str, Type]) -> None:
    name, many = called.removesuffix("[x]"), element["max"] != "1"
    names: list[str] = []
    for kind in element.get("type") or [{"code": ""}]:
        code = kind["code"]
        choice = name + code[0].upper() + code[1:] if called.endswith("[x]") else name
        names.append(choice)
        nested = made.get(element.get("cref", element["path"]))
        member = _member(owner, name, many, kind, element, nested)
        owner.members[choice] = member
        if member.primitive is not None and code != "xhtml":
            names.append(f"_{choice}")
            owner.members[f"_{choice}"] = Member(name, many, type=_element, sibling=True)
    if called == "id" or (owner.name == "Extension" and called == "url"):
        owner.members.pop(f"_{called}", None)  # attributes in XML: they cannot be extended
    if element["min"] > 0:
        owner.required.append((name, tuple(names)))
    if called.endswith("[x]"):
        owner.choices.append((name, frozenset(names)))


def _member(
    owner: Type, name: str, many: bool, kind: Mapping[str, Any], element: Mapping[str, Any], nested: Type | None
) -> Member:
    code = kind["code"]
    if name == "id":
        code = "id" if owner.resource else "elementId"
    if nested is not None:
        made = nested
        return Member(name, many, type=lambda: made, invariants=_invariants(element))
    codings = r4.value_set(element["bind"]) if "bind" in element else None
    codes = None if codings is None else frozenset(found for _, found in codings)
    primitive = LANGUAGE if _is_language(name, code, element) else PRIMITIVES.get(code)
    if primitive is not None:
        accepts = primitive.accepts if codes is None else _one_of(codes)
        return Member(name, many, primitive, accepts, codes=codes)
    if code == _CONTAINER:
        return Member(name, many)
    targets = frozenset(kind.get("target", ())) - {_CONTAINER} if code == "Reference" else frozenset()
    known = {invariant.key for invariant in _invariants(r4.elements(code)[0])}
    return Member(
        name,
        many,
        type=partial(type_of, code),
        codings=codings,
        targets=targets,
        invariants=tuple(found for found in _invariants(element) if found.key not in known),
    )


def _is_language(name: str, code: str, element: Mapping[str, Any]) -> bool:
    """Tell whether a code is bound to BCP 47: R4's elements of this name are, where they are not bound otherwise.

    The binding names it as its largest value set (http://hl7.org/fhir/R4/extension-elementdefinition-maxvalueset.html),
    which `store.r4` does not carry, as it cannot be listed.
    """
    return name == "language" and code == "code" and "bind" not in element and "xbind" not in element


def _one_of(codes: frozenset[str]) -> Callable[[Any], bool]:
    return lambda value: type(value) is str and value in codes


def _invariants(element: Mapping[str, Any]) -> tuple[Invariant, ...]:
    return tuple(INVARIANTS[found["key"]] for found in element.get("con", ()) if found["key"] in INVARIANTS)


def _element() -> Type:
    return type_of("Element")
