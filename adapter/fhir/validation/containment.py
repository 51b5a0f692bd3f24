"""Contained resources (https://hl7.org/fhir/R4/references.html#contained): dom-2 to dom-5, and an id for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapter.fhir.validation.definitions import Type, resource_types, type_of
from adapter.fhir.validation.findings import Findings, Place
from store.codec import Resource

MOST = 1_000
"""Resources in another: who takes part is looked for among all of them, for each who does, in every look at it."""
_LINKS = frozenset({"uri", "url", "canonical"})


def check_contained(resource: Resource, findings: Findings, place: Place) -> None:
    """Add what is wrong with the resources that `resource`, which is not contained itself, contains."""
    contained = resource["contained"]
    if not isinstance(contained, list):
        return
    if len(contained) > MOST:
        text = f"It contains more than {MOST} resources. Send them by themselves, and refer to them."
        findings.add("too_many_values", "too-costly", text, (place, "contained", None))
        return
    used = {link[1:] for link in _local_links(resource)}
    seen: set[str] = set()
    for index, inner in enumerate(contained):
        if not isinstance(inner, dict):
            continue
        here: Place = (place, "contained", index)
        if "contained" in inner:
            text = "A contained resource must not contain others (dom-2). Move these one level up."
            findings.add("dom-2", "invariant", text, (here, "contained", None))
        ident = inner.get("id")
        if not (isinstance(ident, str) and ident in used) and "#" not in _local_links(inner):
            text = "Nothing refers to this contained resource (dom-3). Refer to it as #id, or leave it out."
            findings.add("dom-3", "invariant", text, here)
        if isinstance(ident, str):
            if ident in seen:
                text = "Another contained resource has the same id. Give each its own."
                findings.add("duplicate_id", "invariant", text, (here, "id", None))
            seen.add(ident)
        _check_meta(inner.get("meta"), findings, here)


def _check_meta(meta: Any, findings: Findings, place: Place) -> None:
    for name, key in (("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5")):
        if isinstance(meta, dict) and (name in meta or f"_{name}" in meta):
            text = f"A contained resource must not have a meta.{name} ({key}). Leave it out."
            findings.add(key, "invariant", text, ((place, "meta", None), name, None))


def _local_links(resource: Resource) -> set[str]:
    """Return every reference and URI in `resource` that starts with ``#``."""
    return set(_links(resource, _made(resource)))


def _made(resource: Resource) -> Type | None:
    kind = resource.get("resourceType")
    return type_of(kind) if isinstance(kind, str) and kind in resource_types() else None


def _links(node: Resource, made: Type | None) -> Iterator[str]:
    """Yield them; what no definition knows has none."""
    for name, value in node.items():
        member = None if made is None else made.members.get(name)
        if made is None or member is None:
            continue
        links = (made.name == "Reference" and name == "reference") or (
            member.primitive is not None and member.primitive.name in _LINKS
        )
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                yield from _links(item, _made(item) if member.type is None else member.type())
            elif links and isinstance(item, str) and item.startswith("#"):
                yield item
