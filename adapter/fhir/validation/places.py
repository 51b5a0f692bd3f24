"""From a place by its names in JSON to the same place in FHIRPath, which knows no type in the name of a choice."""

from __future__ import annotations

from typing import Any

from adapter.fhir.validation.definitions import Member, Type, resource_types, type_of
from adapter.fhir.validation.findings import Place
from store.codec import Resource


def in_fhirpath(place: Place, resource: Resource) -> Place:
    """Return `place`, a place within `resource`, with ``value`` for ``valueString``; what R4 does not have stays."""
    steps: list[tuple[str, int | None]] = []
    while not isinstance(place, str):
        place, name, index = place
        steps.append((name, index))
    node: Any = resource
    made = _resource_type(node)
    for name, index in reversed(steps):
        member = None if made is None else made.members.get(name)
        place = (place, name if member is None else member.name, index)
        node = node[name] if index is None else node[name][index]
        made = _resource_type(node) if member is None else _within(member, node)
    return place


def _within(member: Member, node: Any) -> Type | None:
    if member.type is not None:
        return member.type()
    return None if member.primitive is not None else _resource_type(node)


def _resource_type(node: Any) -> Type | None:
    kind = node.get("resourceType") if isinstance(node, dict) else None
    return type_of(kind) if isinstance(kind, str) and kind in resource_types() else None
