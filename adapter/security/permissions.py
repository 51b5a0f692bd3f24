"""What a key may do: a resource and a verb, written ``appointments:write``.

Why it exists: MediLoop documents restricted keys as ``{"patients": ["read"], ...}``
(https://docs.mediloop.co/docs/authentication) but the table of resources is not public, so the vocabulary is
ours and is kept in this one place: the command line, the key store and both doors all read it here.

**Write does not imply read.** A feed that only pushes slots needs no sight of anybody's appointments, and a
permission that quietly brings another one cannot be taken away again. Whoever needs both says
``appointments:read,write``. (The answer to a write still shows the resource that was just written.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal, Protocol, get_args

from adapter.errors import Forbidden, Problem

Resource = Literal[
    "appointments",
    "slots",
    "schedules",
    "patients",
    "practitioners",
    "locations",
    "overbook",
    "export",
    "admin",
]
Verb = Literal["read", "write"]

#: Resource -> the verbs that are allowed on it; what is not named is not allowed.
Permissions = Mapping[str, frozenset[str]]

RESOURCES: tuple[str, ...] = get_args(Resource)
VERBS: tuple[str, ...] = get_args(Verb)


_NAMING = {"appointments": "appointments"}
"""Members of a problem's details that name what is stored, and the resource that a key must be allowed to read."""


class Holder(Protocol):
    """Whatever holds permissions: a `adapter.security.keys.Key`."""

    @property
    def permissions(self) -> Permissions:
        """Resource -> verbs."""
        ...


def parse(specs: Iterable[str]) -> Permissions:
    """Read permissions as people write them.

    Args:
        specs: one string per resource, ``appointments:read,write``; a resource named twice gets both.

    Returns:
        Resource -> verbs, in the order of `RESOURCES`.

    Raises:
        ValueError: an unknown word or a missing verb; names it and what is allowed instead.
    """
    found: dict[str, set[str]] = {}
    for spec in specs:
        resource, _, verbs = (part.strip() for part in spec.partition(":"))
        if resource not in RESOURCES:
            raise ValueError(f"Unknown resource {resource!r} in {spec!r}: use one of {', '.join(RESOURCES)}.")
        for verb in (word.strip() for word in verbs.split(",")):
            if verb not in VERBS:
                raise ValueError(
                    f"Unknown verb {verb!r} in {spec!r}: use {' or '.join(VERBS)}, as in {resource}:{','.join(VERBS)}."
                )
            found.setdefault(resource, set()).add(verb)
    return {resource: frozenset(found[resource]) for resource in RESOURCES if resource in found}


def everything() -> Permissions:
    """Return every verb on every resource, ``admin`` included."""
    return {resource: frozenset(VERBS) for resource in RESOURCES}


def to_document(permissions: Permissions) -> dict[str, list[str]]:
    """Return the JSON and BSON form, MediLoop's own: ``{"appointments": ["read", "write"]}``."""
    return {
        resource: [verb for verb in VERBS if verb in permissions[resource]]
        for resource in RESOURCES
        if permissions.get(resource)
    }


def from_document(document: Mapping[str, Iterable[str]]) -> Permissions:
    """Read what `to_document` wrote.

    A word that this version does not know is left out instead of refused: a newer version may have written
    it, and it grants nothing here.
    """
    known = {
        resource: frozenset(document[resource]).intersection(VERBS) for resource in RESOURCES if resource in document
    }
    return {resource: verbs for resource, verbs in known.items() if verbs}


def require(key: Holder, resource: Resource, verb: Verb) -> None:
    """Let a request through only if its key may `verb` the `resource`.

    Raises:
        Forbidden: 403 with code ``permission_denied``; the message and ``details["permission"]`` name what is
            missing (``appointments:write``).
    """
    if verb in key.permissions.get(resource, ()):
        return
    missing = f"{resource}:{verb}"
    raise Forbidden(
        Problem(
            code="permission_denied",
            message=(
                f"This API key lacks the permission {missing}. Use a key that has it, or ask an administrator for one."
            ),
            details={"permission": missing},
        )
    )


def told(key: Holder | None, problems: Iterable[Problem]) -> list[Problem]:
    """Return problems as a key may be told of them: without the names of what it may not read.

    Whoever may write slots is refused for an appointment that holds one; which one that is, is for those who may read
    appointments. Texts name none: what is stored stands in the details alone.
    """
    held = {} if key is None else key.permissions
    hidden = {member for member, resource in _NAMING.items() if "read" not in held.get(resource, ())}
    return [
        replace(one, details={name: value for name, value in one.details.items() if name not in hidden})
        if hidden & one.details.keys()
        else one
        for one in problems
    ]
