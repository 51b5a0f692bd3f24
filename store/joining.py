"""Queries of one transaction that may be sent as one: those that look for values in the same fields.

What each would have found alone is told from the answer to all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from store.source import Find, Hint

_FEW = 200  # values that one query may look for and still be joined to others

Values = Mapping[str, Sequence[str]]
"""What a query looks for: in one of these fields one of these values. Fields are paths, one level below ``_index``."""


class Kind(NamedTuple):
    """What queries have in common that are sent as one."""

    kind: str
    fields: tuple[str, ...]
    sought: tuple[str, ...]
    hint: Hint

    @classmethod
    def of(cls, find: Find, values: Values) -> Kind:
        """Return the kind of a query that looks for `values`."""
        hint = find.hint if find.hint is None or isinstance(find.hint, str) else (*find.hint,)
        return cls(find.kind, find.fields, (*values,), hint)

    @property
    def read(self) -> tuple[str, ...]:
        """Return the fields that are read: those that are asked for, and those that tell whose a document is."""
        return (*self.fields, *self.sought)

    def merged(self, asked: Sequence[Values]) -> dict[str, Any]:
        """Return the MongoDB query of all that is looked for."""
        values = {path: list(dict.fromkeys(one for each in asked for one in each[path])) for path in self.sought}
        branches = [{path: {"$in": wanted}} for path, wanted in values.items()]
        return branches[0] if len(branches) == 1 else {"$or": branches}

    def own(self, documents: Sequence[Mapping[str, Any]], values: Values) -> list[dict[str, Any]]:
        """Return copies of those documents that match `values`, as they were asked for."""
        return [self._shown(one) for one in documents if _matches(one, values)]

    def _shown(self, document: Mapping[str, Any]) -> dict[str, Any]:
        apart = {path.partition(".")[0] for path in self.sought if path != "_id" and path not in self.fields}
        return {name: value for name, value in document.items() if name not in apart}


def values_of(find: Find) -> Values | None:
    """Return what a query looks for; None where it is another one than those that can be joined."""
    query = find.query
    if find.sort or find.skip or find.most or (find.limit and not _is_one(query)):
        return None
    branches = query["$or"] if [*query] == ["$or"] else [query]
    found: dict[str, Sequence[str]] = {}
    for branch in branches:
        if len(branch) != 1:
            return None
        [(path, wanted)] = branch.items()
        values = wanted.get("$in") if isinstance(wanted, dict) and len(wanted) == 1 else [wanted]
        if values is None or path in found or not all(isinstance(one, str) for one in values):
            return None
        if "." in path.removeprefix("_index."):  # it may lead through lists, of which `_held` knows nothing
            return None
        found[path] = values
    apart = any(path != "_id" and path not in find.fields for path in found)
    if sum(map(len, found.values())) > _FEW or (apart and any(one.startswith("_index") for one in find.fields)):
        return None
    return found


def _is_one(query: Mapping[str, Any]) -> bool:
    return [*query] == ["_id"] and isinstance(query["_id"], str)


def _matches(document: Mapping[str, Any], values: Values) -> bool:
    return any(not set(_held(document, path)).isdisjoint(wanted) for path, wanted in values.items())


def _held(document: Mapping[str, Any], path: str) -> Iterator[str]:
    found: Any = document
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    yield from found if isinstance(found, list) else () if found is None else (found,)
