"""The operations that every FHIR client expects: ``$validate`` and ``Patient/$everything``.

Each is declared once, in `OPERATIONS`: the CapabilityStatement and the dispatcher both read it there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from adapter.errors import NotFound, Problem
from adapter.fhir.call import Call, Reply
from adapter.fhir.operations.everything import everything
from adapter.fhir.operations.validating import validate
from adapter.fhir.refusing import not_allowed


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        name: without the ``$``.
        definition: the canonical URL of its OperationDefinition.
        kinds: the resource types that it is for; none: all.
        methods: of HTTP by which it can be called; GET where all of its parameters fit into a URL.
        run: carries it out, for a type and an id, or for the type alone.
    """

    name: str
    definition: str
    kinds: tuple[str, ...]
    methods: tuple[str, ...]
    run: Callable[[Call, str, str | None], Awaitable[Reply]]


_DEFINITIONS = "http://hl7.org/fhir/OperationDefinition/"

OPERATIONS = (
    Operation("validate", f"{_DEFINITIONS}Resource-validate", (), ("POST",), validate),
    Operation("everything", f"{_DEFINITIONS}Patient-everything", ("Patient",), ("GET", "HEAD", "POST"), everything),
)


def operations_on(kind: str) -> tuple[Operation, ...]:
    """Return the operations on resources of type `kind`, and on the type."""
    return tuple(one for one in OPERATIONS if not one.kinds or kind in one.kinds)


async def run(call: Call, kind: str, ident: str | None, name: str) -> Reply:
    """Carry out the operation `name` (``$validate``) on a type, or on one resource.

    Raises:
        NotFound: there is no such operation here. MethodNotAllowed: not by that method.
        Whatever the operation refuses.
    """
    there = {f"${one.name}": one for one in operations_on(kind)}
    operation = there.get(name) if call.path[-1] == name else None
    if operation is None:
        text = f"There is no such operation on {kind}. There is: {', '.join(there)}."
        raise NotFound(Problem("unknown_operation", text, issue="not-supported"))
    if call.method not in operation.methods:
        raise not_allowed(*operation.methods)
    return await operation.run(call, kind, ident)


__all__ = ["OPERATIONS", "Operation", "operations_on", "run"]
