"""What a path of the FHIR API takes, for requests that no route takes.

Routes know forms of paths (``[type]/[id]/$[name]``); which types and operations there are stands in the declarations.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapter.errors import Refused
from adapter.fhir import conformance
from adapter.fhir.addresses import BASE
from adapter.fhir.operations import operations_on
from adapter.fhir.refusing import not_allowed, unknown_type
from store.types import TYPES

_READ = ("GET", "HEAD")


def misdirected(address: str, routed: Sequence[str]) -> Refused:
    """Return the refusal of a request by a method that its path does not take: 405 with ``Allow``, or 404.

    Args:
        address: its path, from the root of the service.
        routed: the methods that paths of this form take.
    """
    path = [part for part in address.removeprefix(BASE).split("/") if part]
    kind = path[0] if path else ""
    if kind == "metadata" or (kind in conformance.DEFINITIONS and path[1:] != ["_search"]):
        return not_allowed(*_READ)
    if kind[:1] not in ("", "_", "$") and kind not in (*TYPES, *conformance.DEFINITIONS):
        return unknown_type(kind)
    if path and path[-1].startswith("$"):
        kind = kind if kind in TYPES else ""
        found = [one.methods for one in operations_on(kind) if one.name == path[-1][1:]]
        if found:
            return not_allowed(*found[0])
    return not_allowed(*routed)
