"""Changing single elements of a FHIR resource without disturbing their neighbours.

FHIR's JSON has rules of its own that are easy to break by hand (a primitive's extensions live in a sibling
``_name``; nothing may be empty or null), so every writer goes through these. They work in place, on the copy
that `copied` has made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Resource = dict[str, Any]
Known = Mapping[str, Resource]
"""Relative reference (``Patient/123``) -> stored resource."""

NOBODY: Known = MappingProxyType({})

ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def copied(value: Any) -> Any:
    """Return a deep copy of the JSON `value` (much faster than `copy.deepcopy`, which allows for cycles)."""
    if isinstance(value, dict):
        return {name: copied(member) for name, member in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def put(element: Resource, name: str, value: Any) -> None:
    """Write the primitive `name`; `None` removes it with the extensions it carries.

    A change keeps the primitive's extensions, except one that says why there is no value: now there is one.
    """
    sibling = f"_{name}"
    if value is None:
        element.pop(name, None)
        element.pop(sibling, None)
        return
    element[name] = value
    extra = element.get(sibling)
    if extra is not None and "extension" in extra:
        kept = [extension for extension in extra["extension"] if extension.get("url") != ABSENT_REASON]
        put_list(extra, "extension", kept)
        if not extra:
            del element[sibling]


def put_list(element: Resource, name: str, items: list[Any]) -> None:
    """Write the list `name`; without items there is no such element."""
    if items:
        element[name] = items
    else:
        element.pop(name, None)


def coded(concept: Resource, codings: list[Resource]) -> None:
    """Give `concept` a new meaning: these codings, and no text or coding of the former one."""
    put(concept, "text", None)
    concept["coding"] = codings


def emptied(concept: Resource) -> Resource | None:
    """Return what is left of `concept` without its meaning (its extensions), `None` if that is nothing."""
    rest = {name: value for name, value in concept.items() if name not in {"coding", "text", "_text"}}
    return rest if rest.keys() - {"id"} else None


def withdraw(resource: Resource, name: str, shown: Callable[[Resource], object]) -> None:
    """Remove concepts from the front of the list `name` until `shown` finds nothing in its first item.

    Of a concept with extensions these are kept, at the front of the list.
    """
    items = resource[name]
    while items and shown(items[0]) is not None:
        rest = emptied(items[0])
        items[:1] = [] if rest is None else [rest]
    put_list(resource, name, items)


def put_extension(resource: Resource, url: str, kind: str, value: Any) -> None:
    """Write `value` as the member `kind` (``valueDateTime``) of the extension `url`; `None` removes it.

    Readers take the first extension with that URL. So a removal takes all of them: else the next one would be shown.
    """
    extensions = resource.get("extension", [])
    if value is None:
        put_list(resource, "extension", [one for one in extensions if one.get("url") != url])
        return
    for extension in extensions:
        if extension.get("url") == url:
            for other in extension.keys() - {"id", "url", kind, f"_{kind}"}:  # it has one value, or extensions
                del extension[other]
            put(extension, kind, value)
            return
    resource["extension"] = [*extensions, {"url": url, kind: value}]
