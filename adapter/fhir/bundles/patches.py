"""Names of other entries in patches (https://hl7.org/fhir/R4/http.html#trules).

A FHIRPath Patch is a resource, and its references are found as in any other; but the text of one may also stand alone,
as a valueString that is put into a ``Reference.reference``. What the operations of a JSON Patch bring is JSON without a
type: where it is put tells what it is.
"""

from __future__ import annotations

from dataclasses import replace

from adapter.fhir.patching import Patch
from adapter.fhir.patching.fhirpath import Name, read_path
from adapter.fhir.patching.json_patch import JsonOperation
from adapter.fhir.references import Rewriting
from adapter.fhir.validation.findings import Place
from store.codec import Resource

_TEXT = "reference"
"""The element that holds the text: of all that is called so, only ``Reference.reference`` is a string."""

_BRINGING = ("add", "insert", "replace")


def rewritten(patch: Patch, kind: str, walk: Rewriting) -> Patch:
    """Return `patch`, of a resource of type `kind`, with all names in what its JSON operations bring replaced."""
    return Patch(
        tuple(
            replace(one, value=walk.value(one.value, one.path, kind, one.expression(kind)))
            if isinstance(one, JsonOperation)
            else one
            for one in patch.operations
        )
    )


def bare_texts(parameters: Resource, walk: Rewriting) -> Resource:
    """Return a FHIRPath Patch, one that can be read, with the names replaced that stand in it as the text alone."""
    return {
        **parameters,
        "parameter": [
            _operation(one, walk, ("Parameters", "parameter", index))
            for index, one in enumerate(parameters.get("parameter", ()))
        ],
    }


def _operation(operation: Resource, walk: Rewriting, place: Place) -> Resource:
    parts = {part["name"]: part for part in operation["part"]}
    kind = _text(parts["type"])
    if kind not in _BRINGING:  # nobody has looked at what it has for a value
        return operation
    name = _text(parts["name"]) if kind == "add" else _last(_text(parts["path"]))
    return {
        **operation,
        "part": [
            _part(part, name, walk, (place, "part", index)) if part["name"] == "value" else part
            for index, part in enumerate(operation["part"])
        ],
    }


def _text(part: Resource) -> str:
    return next(str(value) for key, value in part.items() if key.startswith("value"))


def _last(path: str) -> str:
    """Return the name of the element that a path leads to."""
    return next((step.name for step in reversed(read_path(path).steps) if isinstance(step, Name)), "")


def _part(part: Resource, name: str, walk: Rewriting, place: Place) -> Resource:
    """Return what is to be put into the element called `name`."""
    if "part" in part:
        inner = [_part(one, one["name"], walk, (place, "part", index)) for index, one in enumerate(part["part"])]
        return {**part, "part": inner}
    value = part.get("valueString")
    if name != _TEXT or not isinstance(value, str):
        return part
    return {**part, "valueString": walk.reference(value, (place, "valueString", None))}
