"""What refers to a resource, and so stands in the way of its deletion."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapter.fhir.access import may
from adapter.security.callers import Caller
from store.codec import Resource
from store.search.references import both_forms
from store.source import by_kind
from store.types import TYPES
from store.unit_of_work import UnitOfWork

_NAMED = 10  # so many are found and named


async def referrers(work: UnitOfWork, name: str, base: str, without: Collection[str] = ()) -> list[str]:
    """Return some of the stored resources that refer to `name` (``Practitioner/p``); a visit's Slots are no tie.

    Found are the references that a search parameter finds: nothing else is indexed.

    Args:
        work: the unit of work to look through.
        name: what they refer to.
        base: the address of this server, as the caller sees it: those who wrote it out refer to it as well.
        without: those that do not count: what is deleted or written in the same go.
    """
    others = by_kind((name, *without))
    found: list[str] = []
    for kind, query in look_ups(name, base):
        if kind in others:
            query["_id"] = {"$nin": others[kind]}
        found += [f"{kind}/{ident}" for ident in await work.keys(kind, query, limit=_NAMED)]
    return list(dict.fromkeys(found))[:_NAMED]


def look_ups(name: str, base: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield for each type the MongoDB queries, each with an index, for those of it that refer to `name`."""
    kind, _, ident = name.partition("/")
    if kind == "Slot":
        return
    for source in TYPES.values():
        fields = {
            parameter.field
            for parameter in source.parameters.values()
            # One without targets may lead to any type (supporting-info).
            if parameter.kind == "reference" and (kind in parameter.targets or not parameter.targets)
        }
        for field in sorted(fields):
            yield source.name, {f"_index.{field}": {"$in": [*both_forms(kind, ident, base)]}}


def referred(resources: Iterable[Resource], base: str) -> Mapping[str, list[str]]:
    """Return who refers to what among `resources`: by relative reference, the names of those that hold it."""
    found: dict[str, list[str]] = {}
    for resource in resources:
        holder = f"{resource['resourceType']}/{resource['id']}"
        for text in set(_references(resource)):
            name = text.removeprefix(f"{base}/").partition("/_history/")[0]
            if name != holder and not name.startswith("Slot/"):
                found.setdefault(name, []).append(holder)
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        reference = node.get("reference")
        if isinstance(reference, str):
            yield reference
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def told(who: Caller, names: Sequence[str]) -> tuple[str, list[str]]:
    """Return what a caller is told of `names`, which refer to what is to go, and those that are named."""
    shown = [name for name in names if may(who, name.partition("/")[0], "read")]
    listed = f": {', '.join(shown)}" if shown else ", of types that this key may not read"
    return f"Others refer to it{listed}. Delete or change these first.", shown
