"""The search values of a resource, by its declared parameters: what `_index` holds of it.

One function for all types: parameters become small functions that hang in the tree of elements, and one walk down
that tree fills every field. Stored resources have been validated, but what is not of the expected shape is passed over:
nothing that can be stored may fail to be indexed.

Tokens are ``code`` and ``system|code``; a `code` that can be there once is itself. References are relative where they
are ours. Dates are moments, or spans ``{"lo", "hi"}``. Beside a field stand, where they apply, ``<name>:text``,
``<name>:of-type``, ``<name>:identifier``, ``<name>:exact``, and what it sorts by: ``<name>:sort`` and ``<name>:last``.

``<name>:named`` is no search's, but for who decides about time: what is named by an address that is not known to be
ours, by its type and id alone (`naming`), and whose time is taken by another name (`store.documents`). Documents that
name nothing so do not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Protocol

from store.codec import Resource
from store.filing import Emit, Run, Sort
from store.parameters import Parameter
from store.values import emit


class Reading(Protocol):
    """How resources are read (`store.documents.Rules`)."""

    @property
    def zone(self) -> tzinfo:
        """Where dates are that do not say it."""
        ...

    @property
    def bases(self) -> tuple[str, ...]:
        """Addresses of this server: references below them are relative ones."""
        ...

    @property
    def patient_systems(self) -> tuple[str, ...]:
        """Identifier systems that patients alone have."""
        ...


Extractor = Callable[[Resource, Reading], dict[str, Any]]


@dataclass(slots=True)
class _Node:
    """An element: what is to be taken of it, and of those below it."""

    emits: list[Emit] = field(default_factory=list)
    below: dict[str, _Node] = field(default_factory=dict)


def extractor(parameters: Iterable[Parameter], sorts: Collection[str] = (), named: Collection[str] = ()) -> Extractor:
    """Return the function that gives the search values of a resource.

    Args:
        parameters: of its type.
        sorts: the names of those with several values that can be sorted by.
        named: the fields of references that are kept by type and id alone as well (`naming`).
    """
    root = _Node()
    for steps, take in _emits(tuple(parameters), sorts, named):
        node = root
        for step in steps.split("."):
            node = node.below.setdefault(step, _Node())
        node.emits.append(take)

    branches = _frozen(root)

    def values(resource: Resource, reading: Reading) -> dict[str, Any]:
        index: dict[str, Any] = {}
        lists: dict[str, dict[str, None]] = {}
        _visit(branches, resource, Run(resource, reading.zone, reading.bases, reading.patient_systems, index, lists))
        for name, found in lists.items():
            index[name] = list(found)
        return index

    return values


def fields(parameter: Parameter) -> tuple[str, ...]:
    """Return the fields of `_index` that a parameter writes, those that it sorts by apart."""
    datatypes = {path.datatype for path in parameter.paths}
    names = [parameter.field]
    if parameter.kind == "token" and datatypes & {"CodeableConcept", "Coding", "Identifier"}:
        names.append(f"{parameter.field}:text")
    if parameter.kind == "token" and "Identifier" in datatypes:
        names.append(f"{parameter.field}:of-type")
    if parameter.kind == "string" and parameter.name != "phonetic":
        names.append(f"{parameter.field}:exact")
    if parameter.kind == "reference":
        names.append(f"{parameter.name}:identifier")
    return tuple(names)


def sort_fields(parameter: Parameter) -> Sort:
    """Return the fields of `_index` with the least and the greatest of several values."""
    return f"{parameter.field}:sort", f"{parameter.field}:last"


def named_field(field: str) -> str:
    """Return the field of `_index` with what `field` does not have in its relative form, by type and id alone."""
    return f"{field}:named"


def naming(field: str, names: Iterable[str], rest: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the query of the documents that refer to one of `names`, at whatever address.

    Each of its two branches has an index: what is not ours for certain is looked for beside what is.

    Args:
        field: one that is declared as `named` (`store.types`).
        names: relative references (``Practitioner/p``).
        rest: what else is asked for, of each.
    """
    wanted = {"$in": list(names)}
    return {"$or": [{f"_index.{one}": wanted, **(rest or {})} for one in (field, named_field(field))]}


_Branches = tuple[tuple[str, tuple[Emit, ...], "_Branches"], ...]
"""For each element below: its name, what is taken of it, its own branches. Tuples are walked faster than nodes."""


def _frozen(node: _Node) -> _Branches:
    return tuple((step, tuple(inner.emits), _frozen(inner)) for step, inner in node.below.items())


def _visit(branches: _Branches, value: Mapping[str, Any], run: Run) -> None:
    for step, emits, below in branches:
        found = value.get(step)
        if found is None:
            continue
        for item in found if isinstance(found, list) else (found,):
            for take in emits:
                take(item, run)
            if below and isinstance(item, dict):
                _visit(below, item, run)


def _emits(
    parameters: tuple[Parameter, ...], sorts: Collection[str], named: Collection[str]
) -> Iterator[tuple[str, Emit]]:
    for parameter in parameters:
        if parameter.kind == "reference" and parameter.field != parameter.name:
            continue  # it is filled with the one whose element it shares
        sort = sort_fields(parameter) if parameter.name in sorts else None
        shared = [one for one in parameters if one.field == parameter.field and one is not parameter]
        alone = named_field(parameter.field) if parameter.field in named else None
        for path in parameter.paths:
            yield path.steps, emit(parameter, path, sort, shared, alone)
