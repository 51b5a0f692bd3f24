"""May this caller? The permission of a FHIR type is part of its declaration (`store.types`)."""

from __future__ import annotations

from typing import cast

from adapter.security.callers import Caller
from adapter.security.permissions import Resource, Verb, require
from store.types import TYPES


def require_type(who: Caller, kind: str, verb: Verb) -> None:
    """Let a caller through who may `verb` resources of type `kind`.

    Raises:
        Forbidden: naming the permission that is missing.
    """
    require(who.key, cast(Resource, TYPES[kind].permission), verb)


def may_read(who: Caller, kind: str) -> bool:
    """Tell whether a caller may read resources of type `kind`."""
    return "read" in who.key.permissions.get(TYPES[kind].permission, ())
