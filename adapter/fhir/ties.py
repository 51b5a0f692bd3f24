"""What refers to a resource, and so stands in the way of its deletion."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapter.fhir.access import may_read
from adapter.security.callers import Caller
from store.codec import Resource
from store.extract import every_reference, reference_to, relative
from store.search.references import own_forms
from store.source import by_kind
from store.types import TYPES
from store.unit_of_work import UnitOfWork

_NAMED = 10  # so many are found and named
_MOST = 1_000  # are read in one go, however much refers to what is to go


async def referrers_of(
    work: UnitOfWork, names: Sequence[str], base: str, without: Collection[str] = ()
) -> dict[str, list[str]]:
    """Return for each of `names` (``Practitioner/p``) that others refer to some of these; a visit's Slots are no tie.

    Found are the references that a search parameter finds: nothing else is indexed. All names are looked for at once;
    once more only those that were not met before so many answers had come.

    Args:
        work: the unit of work to look through.
        names: what they refer to; these themselves do not count.
        base: the address of this server, as the caller sees it: those who wrote it out refer to it as well.
        without: others that do not count: what is deleted or written in the same go.
    """
    forms: dict[tuple[str, str], dict[str, str]] = {}
    for name in dict.fromkeys(names):
        for kind, query in look_ups(name, base):
            for path, one in query.items():
                forms.setdefault((kind, path), {}).update(dict.fromkeys(one["$in"], name))
    others = by_kind((*names, *without))
    found: dict[str, dict[str, None]] = {}
    for (kind, path), meant in forms.items():
        left = meant
        while left:
            limit = min(_NAMED * len(left), _MOST)
            query = {path: {"$in": [*left]}, "_id": {"$nin": others.get(kind, [])}}
            documents = await work.values(kind, query, [path], limit=limit)
            met: set[str] = set()
            for document in documents:
                to = {left[one] for one in _values(document, path) if one in left}
                for name in to:
                    found.setdefault(name, {})[f"{kind}/{document['_id']}"] = None
                met |= to
            left = {form: name for form, name in left.items() if name not in met} if len(documents) == limit else {}
    return {name: [*holders][:_NAMED] for name, holders in found.items()}


def _values(document: Mapping[str, Any], path: str) -> list[str]:
    value = document["_index"][path.removeprefix("_index.")]
    return value if isinstance(value, list) else [value]


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
            yield source.name, {f"_index.{field}": {"$in": [*own_forms(kind, ident, base)]}}


def referred(resources: Iterable[Resource], base: str) -> Mapping[str, list[str]]:
    """Return who refers to what among `resources`: by relative reference, the names of those that hold it."""
    found: dict[str, list[str]] = {}
    for resource in resources:
        holder = reference_to(resource)
        for text in set(every_reference(resource)):
            name = relative(text, (base,))
            if name != holder and not name.startswith("Slot/"):
                found.setdefault(name, []).append(holder)
    return found


def told(who: Caller, names: Sequence[str]) -> tuple[str, list[str]]:
    """Return what a caller is told of `names`, which refer to what is to go, and those that are named."""
    shown = [name for name in names if may_read(who, name.partition("/")[0])]
    return refusal(shown), shown


def refusal(names: Sequence[str]) -> str:
    """Return what is said where others refer to what is to go: `names`, of those that may be named."""
    listed = f": {', '.join(names)}" if names else ", of types that this key may not read"
    return f"Others refer to it{listed}. Delete or change these first."
