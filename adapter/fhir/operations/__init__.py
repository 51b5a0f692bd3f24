"""The operations: ``$validate``, ``Patient/$everything``, and those of scheduling.

Each is declared once, in `OPERATIONS`: the CapabilityStatement and the dispatcher both read it there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from adapter.errors import NotFound, Problem
from adapter.fhir.call import Call, Reply
from adapter.fhir.operations import scheduling
from adapter.fhir.operations.everything import everything
from adapter.fhir.operations.exporting import export
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
        run: carries it out, for a type and an id, or for the type alone; for everything where the type is empty.
        system: it is for everything, not for a type.
        levels: whether it is called on a ``type``, on one ``instance`` or on both.
        own: whether the definition is one of ours, `definition` then only its id: it is below the deployment's base.
        affects_state: whether anything is stored or changed by it, as ``OperationDefinition.affectsState`` has it; so
            it is taken for unless it says otherwise.
    """

    name: str
    definition: str
    kinds: tuple[str, ...]
    methods: tuple[str, ...]
    run: Callable[[Call, str, str | None], Awaitable[Reply]]
    system: bool = False
    levels: tuple[str, ...] = ("type", "instance")
    own: bool = False
    affects_state: bool = True

    def canonical(self, canonical_base: str) -> str:
        """Return the canonical URL of the definition."""
        return f"{canonical_base}/OperationDefinition/{self.definition}" if self.own else self.definition


_DEFINITIONS = "http://hl7.org/fhir/OperationDefinition/"
IHE = "https://profiles.ihe.net/ITI/Scheduling/OperationDefinition/"
_VISIT = ("Appointment",)
_BULK_DATA = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/"

OPERATIONS = (
    Operation(
        "validate",
        f"{_DEFINITIONS}Resource-validate",
        (),
        ("GET", "HEAD", "POST"),
        validate,
        affects_state=False,
    ),
    Operation(
        "everything",
        f"{_DEFINITIONS}Patient-everything",
        ("Patient",),
        ("GET", "HEAD", "POST"),
        everything,
        affects_state=False,
    ),
    Operation("export", f"{_BULK_DATA}export", (), ("GET", "POST"), export, system=True, levels=("type",)),
    Operation("export", f"{_BULK_DATA}patient-export", ("Patient",), ("GET", "POST"), export, levels=("type",)),
    Operation("export", f"{_BULK_DATA}group-export", ("Group",), ("GET", "POST"), export, levels=("instance",)),
    # Argonaut calls $find by GET as well, and $hold and $book on an instance. What $find proposes is kept for a while.
    Operation("find", f"{IHE}appointment-find", _VISIT, ("GET", "HEAD", "POST"), scheduling.find, levels=("type",)),
    Operation("hold", f"{IHE}appointment-hold", _VISIT, ("POST",), scheduling.hold),
    Operation("book", f"{IHE}appointment-book", _VISIT, ("POST",), scheduling.book),
    Operation("cancel", "appointment-cancel", _VISIT, ("POST",), scheduling.cancel, levels=("instance",), own=True),
    Operation(
        "reschedule", "appointment-reschedule", _VISIT, ("POST",), scheduling.reschedule, levels=("instance",), own=True
    ),
    *(
        Operation(
            name,
            f"slot-{name}",
            ("Slot",),
            ("GET", "HEAD", "POST"),
            scheduling.prefetch,
            levels=("type",),
            own=True,
            affects_state=False,
        )
        for name in ("prefetch", "find")
    ),
)


def operations_on(kind: str) -> tuple[Operation, ...]:
    """Return the operations on resources of type `kind`, and on the type; those on everything where it is empty."""
    if not kind:
        return tuple(one for one in OPERATIONS if one.system)
    return tuple(one for one in OPERATIONS if not one.system and (not one.kinds or kind in one.kinds))


def changes_state(path: tuple[str, ...]) -> bool:
    """Tell whether `path`, below the base, may lead to an operation that stores or changes something."""
    names = {part for part in path if part.startswith("$")}
    kind = path[0] if path and path[0] not in names else ""
    return any(one.affects_state and f"${one.name}" in names for one in operations_on(kind))


async def run(call: Call, kind: str, ident: str | None, name: str) -> Reply:
    """Carry out the operation `name` (``$validate``) on a type, or on one resource.

    Raises:
        NotFound: there is no such operation here. MethodNotAllowed: not by that method.
        Whatever the operation refuses.
    """
    level = "type" if ident is None else "instance"
    there = {f"${one.name}": one for one in operations_on(kind) if level in one.levels}
    operation = there.get(name) if call.path[-1] == name else None
    if operation is None:
        text = f"There is no such operation on {kind or 'the whole server'}. There is: {', '.join(there)}."
        raise NotFound(Problem("unknown_operation", text, issue="not-supported"))
    if call.method not in operation.methods:
        raise not_allowed(*operation.methods)
    return await operation.run(call, kind, ident)


__all__ = ["IHE", "OPERATIONS", "Operation", "changes_state", "operations_on", "run"]
