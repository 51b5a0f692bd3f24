"""What the entries of a Bundle call each other.

An entry without an id may be a resource that is stored already: its identifiers tell, when it is written
(`adapter.importing.referring`). Until then what refers to it holds a name that is made for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapter.fhir.bundles.urls import pairs
from adapter.fhir.criteria import require_clear
from adapter.fhir.references import Conditional, Names, comparable, rewriting
from adapter.importing.criteria import identifier_in, sought
from adapter.importing.item import Item, Referent, kind_of, name_without_id
from adapter.importing.unwritable import spelled
from store.codec import Resource, encode
from store.extract import escaped, identifiers, token
from store.types import TYPES

_URN = "urn:uuid:"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")  # anything else is no name for good


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
        self._tokens: dict[int, tuple[tuple[str, str], ...]] = {}
        self._carried: Counter[tuple[str, str]] = Counter()
        self._sought: dict[int, str] = {}

    def add(self, line: int, entry: Resource, *, faulty: bool = False) -> None:
        """Let the fullUrl of an entry mean its resource; one that is `faulty` is not going to be there."""
        resource, url = entry.get("resource"), entry.get("fullUrl")
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        if not isinstance(resource, dict) or not isinstance(kind, str):
            return
        # What is faulty comes in under no name, and with it nothing that refers to it.
        named = [] if faulty else [one for one in identifiers(resource, "identifier") if one[0]]
        tokens = tuple(token(*one) for one in named)
        by = "" if faulty else sought(entry, "")
        self._sought[line] = by
        ident = resource.get("id")
        lacks = "id" not in resource and bool(by) and by not in tokens
        if lacks:  # nothing that it carries finds it again: so the next one that is looked for by this is the same one
            ident = self._idents[line] = name_without_id(kind, f"sought {by}")
        if not isinstance(url, str):
            return
        if "id" not in resource:
            own = url.removeprefix(_URN)
            is_own = own != url and _UUID.fullmatch(own) is not None
            made = own if is_own else name_without_id(kind, _told_by(resource, url, named))
            if f"{kind}/{made}" in self._made:  # by an identifier that both have: they may be two for all that
                made = name_without_id(kind, _told_by(resource, url, ()))
            ident = self._idents.setdefault(line, made)
            if kind in TYPES:  # what is not stored here is referred to by the name that it would have
                self._made[f"{kind}/{ident}"] = Referent(line, (*tokens, by) if lacks else tokens)
            self._tokens[line] = tuple((kind, one) for one in tokens)
            self._carried.update(self._tokens[line])
            if not is_own and not named and not lacks:
                self._of_urls[line] = f"{kind}/{ident}"
        if isinstance(ident, str):
            self._names.add(url, f"{kind}/{ident}")

    def close(self, line: int, entry: Resource) -> None:
        """Let a fullUrl that several entries share, or that is another's address, mean nobody, stored before or not."""
        resource, url = entry.get("resource"), entry["fullUrl"]
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        if isinstance(kind, str):
            name = f"{kind}/{name_without_id(kind, f'shared fullUrl {comparable(url)}')}"
            self._names.add(url, name)
            if kind in TYPES:
                self._made[name] = Referent(line)

    def item(self, line: int, entry: Resource, resource: Resource) -> Item:
        """Return the item of an entry, its references following those that were added."""
        url, request = entry.get("fullUrl"), entry.get("request")
        table = _Noting(self._names.seen_from(url if isinstance(url, str) else None))
        walk = rewriting(table, copied=True)
        try:
            value = walk.resource(resource)
        except (LookupError, TypeError, ValueError, AttributeError):  # of no FHIR shape: validation says what is wrong
            value = resource
        referents = {name: self._referent(name) for name in table.used if name in self._made}
        self._used.update(referents)
        if self._by_criteria:
            referents |= _by_identifiers(walk.conditionals)
        if_none = isinstance(request, dict) and request.get("method") == "POST" and "ifNoneExist" in request
        ident, by = self._idents.get(line, ""), self._sought.get(line, "")
        shared = self._shared(self._tokens.get(line, ()))
        if shared:
            by, if_none = "", False  # of visits that share an order's number each is its own
        came = encode(entry) if referents else b""
        item = Item(
            line, b"", kind_of(value), value, ident=ident, if_none=if_none, sought=by, entry=came, shared=shared
        )
        item.referents, item.roots = referents, tuple(table.roots)
        return item

    def _shared(self, tokens: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        """Return those of some identifiers, each with its type, that several Appointments of the Bundle have."""
        return tuple(text for kind, text in tokens if kind == "Appointment" and self._carried[kind, text] > 1)

    def _referent(self, name: str) -> Referent:
        """Return what a name means: of visits that share an identifier not what has that."""
        made, kind = self._made[name], name.partition("/")[0]
        shared = self._shared((kind, text) for text in made.tokens)
        return Referent(made.entry, tuple(text for text in made.tokens if text not in shared)) if shared else made

    def settle(self, items: Iterable[Item]) -> None:
        """Let entries that only a fullUrl could give an id, and that nobody names, get one as outside of a Bundle."""
        for item in items:
            if item.line in self._of_urls and self._of_urls[item.line] not in self._used:
                item.ident = ""


def _told_by(resource: Resource, url: str, named: Sequence[tuple[str, str]]) -> str:
    """Return what an entry is told by: an identifier, as outside of a Bundle; its address; or else its content."""
    if named:
        system, number = named[0]
        return f"{escaped(system)}|{number.casefold()}"
    return spelled(resource).decode() if url.startswith(_URN) else f"fullUrl {url}"


class _Noting(Mapping[str, str]):
    """A table that notes what was found in it, and below which addresses that has its own name."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table
        self.used: dict[str, None] = {}
        self.roots: dict[str, None] = {}

    def get(self, key: str, default: Any = None) -> Any:
        found = self._table.get(key)
        if found is None:
            return default
        self.used[found] = None
        if key.endswith(f"/{found}"):
            self.roots[key.removesuffix(found)] = None
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
        kind, _, query = one.search.partition("?")
        try:
            require_clear(query)
            wanted = identifier_in(kind, pairs(query))
        except ValueError:
            wanted = None
        if wanted is None:
            return {}  # the check says that it is no reference
        found[one.text] = Referent(0, (wanted,))
    return found
