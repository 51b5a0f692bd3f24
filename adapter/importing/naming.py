"""What the entries of a Bundle call each other.

An entry without an id may be a resource that is stored already: its identifiers tell, when it is written
(`adapter.importing.referring`). Until then what refers to it holds a name that is made for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapter.fhir.bundles.urls import pairs
from adapter.fhir.references import Conditional, Names, rewriting
from adapter.importing.item import Item, Referent, kind_of, name_without_id
from store.codec import Resource
from store.extract import identifiers, token
from store.search.matching import BadValue
from store.search.text import split
from store.search.tokens import stored_token, system_and_code
from store.types import TYPES

_URN = "urn:uuid:"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class Naming:
    """The names within one Bundle: all entries are added first, then made into items, and the items settled.

    Args:
        by_criteria: references may be by criteria (``Patient?identifier=system|value``), as in a transaction.
    """

    def __init__(self, *, by_criteria: bool) -> None:
        self._by_criteria = by_criteria
        self._names = Names("")
        self._made: dict[str, Referent] = {}
        self._idents: dict[int, str] = {}
        self._of_urls: dict[int, str] = {}  # the names that are made of a fullUrl, for want of a better one
        self._used: set[str] = set()

    def add(self, line: int, entry: Resource) -> None:
        """Let the fullUrl of an entry mean its resource."""
        resource, url = entry.get("resource"), entry.get("fullUrl")
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        if not isinstance(resource, dict) or not isinstance(url, str) or not isinstance(kind, str):
            return
        ident = resource.get("id")
        if "id" not in resource:
            own = url.removeprefix(_URN)
            is_own = own != url and _ID.fullmatch(own) is not None
            ident = self._idents[line] = own if is_own else name_without_id(kind, f"fullUrl {url}")
            tokens = tuple(token(system, value) for system, value in identifiers(resource, "identifier") if system)
            self._made[f"{kind}/{ident}"] = Referent(line, tokens)
            if not is_own:
                self._of_urls[line] = f"{kind}/{ident}"
        if isinstance(ident, str):
            self._names.add(url, f"{kind}/{ident}")

    def item(self, line: int, entry: Resource, resource: Resource) -> Item:
        """Return the item of an entry, its references following those that were added."""
        url, request = entry.get("fullUrl"), entry.get("request")
        table = _Noting(self._names.seen_from(url if isinstance(url, str) else None))
        walk = rewriting(table)
        try:
            value = walk.resource(resource)
        except (LookupError, TypeError, ValueError, AttributeError):  # of no FHIR shape: validation says what is wrong
            value = resource
        referents = {name: self._made[name] for name in table.used if name in self._made}
        self._used.update(referents)
        if self._by_criteria:
            referents |= _by_identifiers(walk.conditionals)
        if_none = isinstance(request, dict) and request.get("method") == "POST" and "ifNoneExist" in request
        ident = self._idents.get(line, "")
        return Item(line, b"", kind_of(value), value, ident=ident, if_none=if_none, referents=referents)

    def settle(self, items: Iterable[Item]) -> None:
        """Let entries that only a fullUrl could give an id, and that nobody names, get one as outside of a Bundle."""
        for item in items:
            if item.line in self._of_urls and self._of_urls[item.line] not in self._used:
                item.ident = ""


class _Noting(Mapping[str, str]):
    """A table that notes what was found in it."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table
        self.used: dict[str, None] = {}

    def get(self, key: str, default: Any = None) -> Any:
        found = self._table.get(key)
        if found is None:
            return default
        self.used[found] = None
        return found

    def __getitem__(self, key: str) -> str:
        return self._table[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def _by_identifiers(conditionals: Sequence[Conditional]) -> dict[str, Referent]:
    """Return what references by criteria lead to; nothing where one of them is not by one identifier alone."""
    found: dict[str, Referent] = {}
    for one in conditionals:
        wanted = _token(one.search)
        if wanted is None:
            return {}  # the check says that it is no reference
        found[one.text] = Referent(0, (wanted,))
    return found


def _token(search: str) -> str | None:
    kind, _, query = search.partition("?")
    try:
        [(name, value)] = pairs(query)
        found = stored_token(*system_and_code(value))
    except (BadValue, ValueError):
        return None
    fits = kind in TYPES and name == "identifier" and len(split(value, ",")) == 1
    return found if fits and isinstance(found, str) else None
