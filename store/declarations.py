"""The parameters of a resource type, derived from the definitions of R4; and our own beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from store import expressions, r4
from store.parameters import Parameter, Path

OWN = "https://mediloop.co/fhir/SearchParameter"
"""Where our own parameters are published by default: a deployment has its own base of canonical URLs."""

_SCALAR = frozenset({"code", "boolean"})
_SPANS = frozenset({"date", "dateTime", "Period"})


def parameters(kind: str) -> dict[str, Parameter]:
    """Return the search parameters of a resource type by name: those of all types first, then its own."""
    common = [_parameter(kind, found) for found in r4.search_parameters() if found["base"] == ["Resource"]]
    own = [_parameter(kind, found) for found in r4.search_parameters() if kind in found["base"]]
    made = {one.name: one for one in (*common, *own, *_OURS.get(kind, ()))}
    return {name: _sharing(one, made) for name, one in made.items()}


def _parameter(kind: str, found: Mapping[str, Any]) -> Parameter:
    source = expressions.read(kind, found["expression"])
    datatypes = {path.datatype for path in source.paths}
    scalar = found["type"] != "string" and not source.many
    if found["type"] == "token":
        scalar = scalar and datatypes <= _SCALAR
    return Parameter(
        name=found["code"],
        kind=found["type"],
        paths=source.paths,
        field=found["code"],
        single=scalar or found["code"] == "_id",
        interval=bool(datatypes & _SPANS) and found["type"] == "date",
        targets=() if source.anything else tuple(found.get("target", ())),
        system=_system(source.bindings),
        definition=found["url"],
        expression=found["expression"],
    )


def _system(bindings: frozenset[str]) -> str | None:
    """Return the system of the codes that required bindings allow, if it is one."""
    systems = {system for url in bindings for system, _ in r4.value_set(url) or ()}
    return systems.pop() if len(systems) == 1 else None


def _sharing(one: Parameter, made: Mapping[str, Parameter]) -> Parameter:
    """Let ``patient``, which is ``actor`` where that is a Patient, use the field of ``actor``."""
    if "resolve()" not in one.expression:
        return one
    whole = next(other for other in made.values() if other.paths == one.paths and "resolve()" not in other.expression)
    return replace(one, field=whole.field)


def _ours(kind: str, name: str, expression: str, *paths: Path, single: bool) -> Parameter:
    return Parameter(
        name=name,
        kind="date",
        paths=paths,
        field=name.lstrip("-"),
        single=single,
        interval=not single,
        targets=(),
        system=None,
        definition=f"{OWN}/{kind}-{name.lstrip('-')}",
        expression=expression,
    )


_OURS = {
    "Slot": (_ours("Slot", "end", "Slot.end", Path("end", "instant"), single=True),),
    "Appointment": (
        _ours(
            "Appointment",
            "-date-or-req-period",
            "iif(Appointment.start.exists(), Appointment.start, Appointment.requestedPeriod)",
            Path("start", "instant"),
            Path("requestedPeriod", "Period"),
            single=False,
        ),
    ),
}
