"""PATCH: a change described, applied to a copy (https://hl7.org/fhir/R4/http.html#patch).

Two languages, one outcome: JSON Patch (RFC 6902) on the stored JSON, FHIRPath Patch (a Parameters resource) on its
elements. The result is a resource like any that is PUT: whoever applies the patch checks it, after all operations.

A patch says what it changes, and nothing that it does not name is lost; but a narrative that was generated from what is
changed is taken away where the result is stored (`store.narrative`), unless the patch changes it, too. What makes a
narrative unsafe otherwise (active content) is refused by validation, as in every other write.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapter.errors import Malformed, Problem, Unprocessable
from adapter.fhir.negotiation import JSON_PATCH
from adapter.fhir.patching import json_patch, operations
from adapter.fhir.patching.values import Budget, NotApplicable, clone, malformed, tidy
from adapter.fhir.refusing import Faults
from adapter.fhir.validation import check, strict_json
from store.codec import Resource

MOST_OPERATIONS = 1_000


class Operation(Protocol):
    """One step of a patch."""

    @property
    def label(self) -> str:
        """What it does and where, for people: ``replace /status``."""

    def expression(self, kind: str) -> str:
        """Return the FHIRPath of the element that it is about."""

    def carry_out(self, resource: Resource, budget: Budget) -> Any:
        """Change `resource`, which is ours to change, and return what is the resource then.

        Raises:
            NotApplicable: it cannot be done with this resource.
        """


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch that is well formed; whether it applies depends on the resource."""

    operations: tuple[Operation, ...]

    @classmethod
    def read(cls, document: Sequence[Any] | Resource | None) -> Patch:
        """Read a JSON Patch (a list), a FHIRPath Patch (a Parameters resource), or a Binary that holds a JSON Patch.

        Raises:
            Malformed: 400, it is none of these, has an operation that is not whole, or more than a thousand.
        """
        if isinstance(document, dict) and document.get("resourceType") == "Binary":
            document = _unwrapped(document)
        if isinstance(document, list):
            return cls(tuple(_few(json_patch.read)(document)))
        if isinstance(document, dict) and document.get("resourceType") == "Parameters":
            return cls(_of_parameters(document))
        raise malformed("Send a JSON Patch (a list) or a FHIRPath Patch (a Parameters resource).")


def _of_parameters(document: Resource) -> tuple[Operation, ...]:
    faults = Faults()
    problems = check({name: value for name, value in document.items() if name != "parameter"})
    if problems:  # `parameters`, say: passed over, it would be a patch that changes nothing
        faults.take(Malformed(problems))
    parameters = document.get("parameter", [])
    found: list[operations.ElementOperation] = []
    if isinstance(parameters, list):
        with faults.noted():
            found = _few(operations.read)(parameters)
    else:
        faults.take(malformed("Parameters.parameter is a list of operations.", "Parameters.parameter"))
    faults.require_none()
    return tuple(found)


def apply(patch: Patch, resource: Resource) -> Resource:
    """Return what `resource` becomes by `patch`; `resource` itself stays as it is.

    Raises:
        Unprocessable: 422, an operation does not apply, or changes what is the server's; the problem names which.
    """
    made = clone(resource)
    budget = Budget(resource)
    for index, operation in enumerate(patch.operations):
        meta = made.get("meta")
        budget.step = index
        try:
            made = operation.carry_out(made, budget)
            _keep_identity(resource, made, meta)
        except NotApplicable as refused:
            raise _refusal(refused, index, operation, str(resource.get("resourceType"))) from None
    try:
        made, left = tidy(made), budget.left_empty(made)
    except NotApplicable as refused:
        raise Unprocessable(Problem(refused.code, refused.text, issue=refused.issue)) from None
    if left is not None:
        text = "Its value is empty, or has something empty in it, which FHIR does not allow. To take it away: remove."
        empty = NotApplicable(text, code="empty_value", issue="structure")
        raise _refusal(empty, left, patch.operations[left], str(resource.get("resourceType")))
    return made


def _few(read: Any) -> Any:
    def checked(items: list[Any]) -> Any:
        if len(items) > MOST_OPERATIONS:
            text = f"A patch has at most {MOST_OPERATIONS} operations. Send several patches, or the whole resource."
            raise Malformed(Problem("patch_too_long", text, issue="too-costly"))
        return read(items)

    return checked


def _unwrapped(binary: Resource) -> list[Any]:
    """Return the JSON Patch in a Binary, which is how one travels in a Bundle."""
    kind, data = binary.get("contentType"), binary.get("data")
    if not isinstance(kind, str) or kind.partition(";")[0].strip() != JSON_PATCH or not isinstance(data, str):
        raise malformed(f"A Binary that is a patch has the contentType {JSON_PATCH}, and data.", "Binary.contentType")
    try:
        document = base64.b64decode("".join(data.split()), validate=True)  # MIME's base64 has lines
    except ValueError:  # also what is not ASCII
        raise malformed("The data of a Binary are base64.", "Binary.data") from None
    return strict_json.read_patch(document)


def _keep_identity(before: Resource, after: Any, meta: Any) -> None:
    """Refuse a change of what no client may change; put back the version that a whole new `meta` leaves out."""
    if not isinstance(after, dict):
        raise NotApplicable("The result is no resource.")
    for name in ("resourceType", "id"):
        if after.get(name) != before.get(name):
            raise NotApplicable(f"{name} cannot be changed.", code="immutable_element")
    stored, now = before.get("meta", {}), after.get("meta", {})
    owned = {name: stored[name] for name in ("versionId", "lastUpdated") if name in stored}
    if not isinstance(now, dict):
        return  # validation says what is wrong with it
    for name, value in owned.items():
        if now.get(name, None if now is meta else value) != value:
            raise NotApplicable(f"meta.{name} is the server's and cannot be changed.", code="immutable_element")
        beside = f"_{name}"
        if beside in now and now[beside] != stored.get(beside):
            raise NotApplicable(
                f"Nothing can be said beside meta.{name}: it is the server's.", code="immutable_element"
            )
    if owned.keys() - now.keys():
        after["meta"] = owned | now


def _refusal(refused: NotApplicable, index: int, operation: Operation, kind: str) -> Unprocessable:
    text = f"Operation {index} (from 0), {operation.label}: {refused.text}"
    problem = Problem(refused.code, text, operation.expression(kind), {"operation": index}, issue=refused.issue)
    return Unprocessable(problem)


__all__ = ["MOST_OPERATIONS", "Patch", "apply"]
