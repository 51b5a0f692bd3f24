"""The second opinion on a resource's shape: the R4B models of `fhir.resources`.

They are imported when a type is first met, and asked only about what the walk has found sound: on anything else some of
them fail, and the walk has said it better. What they find is said in words of ours, as theirs are pydantic's. They know
R4B's types: of the few that only R4 has, they are not asked.

Asking takes twice the time of everything else at the door together. So they are asked once about each shape, which is
what the resource is without its values: every value has been judged by the walk, by the same definitions. What they say
of the form of a value does not count: to them only UUIDs of version 4 are UUIDs, and only the first resource of a shape
would be told. Systems send many resources of few shapes. Of a list's items one of each shape is enough: of 50,000
members of a Group there are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from adapter.fhir.validation.definitions import type_of
from adapter.fhir.validation.findings import Findings, Place
from store.codec import Resource
from store.remembering import remembered

_MISSING = ("missing_element", "required", "This element is required. Add it.")
_SAYS = {"missing": _MISSING, "model_field_validation.missing": _MISSING}
_OTHERWISE = ("bad_value", "value", "This is not a valid value here. See the R4 definition of the element.")

# The walk knows every element that R4 has, the models lack some (Extension._valueDate); and it has judged every value.
_NO_SHAPE = frozenset({"extra_forbidden", "string_pattern_mismatch", "uuid_version"})


def limit_ids() -> None:
    """Have the models take FHIR's limit for ids, not the library's own of 255; they read it when they are imported."""
    import fhir_core.constraints

    fhir_core.constraints.TYPES_ID_MAX_LENGTH = 64


@remembered(256)
def _model(kind: str) -> type[BaseModel] | None:
    """Return the model of a resource type; None where R4B has no such type."""
    limit_ids()
    from fhir.resources.R4B import get_fhir_model_class

    try:
        model: type[BaseModel] = get_fhir_model_class(kind)
    except (KeyError, ValueError):
        return None
    return model


_SHAPES = 20_000
_FEW = 3  # items of which each is looked at
_approved: set[int] = set()


def check_shape(resource: Resource, kind: str, findings: Findings) -> None:
    """Do as `check_model`, unless a resource of the same shape has passed it before."""
    # The interpreter's own hash: seeded anew in every process, so nobody can send a shape that hides behind another's.
    shape = hash((kind, _shape(resource)))
    if shape in _approved:
        return
    once, trial = _each_once(resource), Findings()
    check_model(once, kind, trial)
    if trial.problems and once != resource:
        check_model(resource, kind, findings)  # in which of the items it is
        return
    for problem in trial.problems:
        findings.take(problem)
    if trial.problems:
        return
    if len(_approved) >= _SHAPES:
        _approved.clear()
    _approved.add(shape)


def _shape(node: Any) -> Any:
    """Return the members and the kinds of their values; what names a type stays."""
    kind = type(node)
    if kind is dict:
        return tuple([(name, value if name == "resourceType" else _shape(value)) for name, value in node.items()])
    if kind is not list:
        return kind
    items = [_shape(item) for item in node]
    return tuple(items) if len(items) <= _FEW else tuple(dict.fromkeys(items))


def _each_once(node: Any) -> Any:
    """Return `node` with one item of each shape alone in its long lists of objects."""
    if type(node) is dict:
        return {name: _each_once(value) for name, value in node.items()}
    if type(node) is not list:
        return node
    objects = len(node) > _FEW and all(type(item) is dict for item in node)
    kept = {_shape(item): item for item in reversed(node)}.values() if objects else node
    return [_each_once(item) for item in kept]


def check_model(resource: Resource, kind: str, findings: Findings) -> None:
    """Add what the model of `kind` finds in `resource`, which the walk has found sound."""
    model = _model(kind)
    if model is None:
        return
    try:
        model.model_validate(_within_r4b(resource))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            if detail["type"] in _NO_SHAPE:
                continue
            code, issue, text = _SAYS.get(detail["type"], _OTHERWISE)
            findings.add(code, issue, text, _place(kind, detail["loc"]))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError):
        # The library's own failures, over a type that it does not know (KeyError) and the like: the walk decides.
        return


def _within_r4b(resource: Resource) -> Resource:
    """Return `resource` without what it contains of types that R4B does not have."""
    contained = resource.get("contained")
    if not isinstance(contained, list):
        return resource
    known = [inner for inner in contained if isinstance(inner, dict) and _known(inner.get("resourceType"))]
    return resource if len(known) == len(contained) else {**resource, "contained": known}


def _known(kind: Any) -> bool:
    return isinstance(kind, str) and _model(kind) is not None


def _place(kind: str, location: Sequence[str | int]) -> Place:
    place: Place = kind
    for step in location:
        if isinstance(step, str):
            if step not in ("root", "__root__"):
                place = (place, _unchosen(kind, step), None)
        elif not isinstance(place, str):
            place = (place[0], place[1], step)
    return place


def _unchosen(kind: str, name: str) -> str:
    """Return a member's name as FHIRPath has it: ``value`` for ``valueString``."""
    for owner in ("Extension", kind):
        member = type_of(owner).members.get(name)
        if member is not None:
            return member.name
    return name
