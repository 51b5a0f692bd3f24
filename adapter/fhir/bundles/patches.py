"""Names of other entries in a JSON Patch (https://hl7.org/fhir/R4/http.html#trules).

A FHIRPath Patch is a resource, and its references are found as in any other. What the operations of a JSON Patch bring
is JSON without a type: where it is put tells what it is.
"""

from __future__ import annotations

from dataclasses import replace

from adapter.fhir.bundles.references import Rewriting
from adapter.fhir.patching import Patch
from adapter.fhir.patching.json_patch import JsonOperation


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
