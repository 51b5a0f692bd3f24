"""Resources that come with the matches of a page: what they refer to, and what refers to them.

https://hl7.org/fhir/R4/search.html#include. References are read from the index fields of the documents, not from
resources. Each round asks once for every type, and later rounds follow only what is to be iterated, until nothing new
comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from store.extract import relative
from store.search.matching import path_of, shares
from store.search.model import Entry, Include, Note, Reading, SearchRefused
from store.search.names import target_types
from store.search.paging import at
from store.search.references import own_forms
from store.search.versions import VERSION, Versions
from store.source import PAGE_BYTES, Source
from store.types import TYPES

MOST = 1_000
"""Included resources of a page."""

MOST_SOUGHT = 10_000
"""Referred resources of a type that are looked for in one go: many may not be stored here."""

_ITERATE = (":iterate", ":recurse")  # STU3's name for it, which clients still send


def parsed(name: str, value: str, kinds: tuple[str, ...], reading: Reading) -> tuple[Include, ...]:
    """Return what a parameter ``_include`` or ``_revinclude`` asks for; a wildcard is several.

    Args:
        name: with its modifier.
        value: ``Type:parameter``, ``Type:parameter:Target``, ``Type:*`` or ``*``.
        kinds: the types searched.
        reading: whose permissions count for what refers to matches.

    Raises:
        SearchRefused: there is no such reference, or it would never be followed.
    """
    reverse = name.startswith("_revinclude")
    iterate = name.endswith(_ITERATE)
    source, _, rest = value.partition(":")
    parameter, _, target = rest.partition(":")
    if value == "*":
        sources = tuple(TYPES) if reverse or iterate else kinds
        parameter = "*"
    else:
        sources = (source,)
    found = [one for kind in sources if kind in TYPES for one in _of(kind, parameter, target, reverse, iterate)]
    if not found:
        text = "There is no such reference. It is Type:parameter, of the type that holds the reference."
        raise _refused("not-supported", name, value, text)
    from_matches = [one for one in found if iterate or _starts(one, kinds)]
    if not from_matches:
        text = f"It does not lead from {', '.join(kinds)}. To go on from included resources write {name}:iterate."
        raise _refused("not-supported", name, value, text)
    readable = tuple(one for one in from_matches if not reverse or reading.readable(one.kind))
    if not readable:
        raise _refused("forbidden", name, value, "This key may not read that type.")
    return readable


def _of(kind: str, name: str, target: str, reverse: bool, iterate: bool) -> Iterator[Include]:
    for parameter in TYPES[kind].parameters.values():
        if parameter.kind != "reference" or name not in (parameter.name, "*"):
            continue
        if name == "*" and shares(parameter):
            continue  # `actor` has them all
        targets = target_types(parameter) if target else parameter.targets
        if target and target not in targets:
            continue
        yield Include(kind, parameter, (target,) if target else targets, reverse, iterate)


def _starts(one: Include, kinds: tuple[str, ...]) -> bool:
    if one.reverse:
        return not one.targets or any(kind in one.targets for kind in kinds)
    return one.kind in kinds


def _refused(code: str, name: str, value: str, text: str) -> SearchRefused:
    return SearchRefused(Note(code, name, f"'{name}={value}' has no effect. {text}"))


def fields(includes: Iterable[Include], kind: str) -> list[str]:
    """Return the paths that a document of type `kind` must bring along, to be followed from and to be referred to."""
    forward = [one for one in includes if not one.reverse]
    paths = dict.fromkeys(path_of(one.parameter) for one in forward if one.kind == kind)
    return [*paths, VERSION] if forward else []


class Included:
    """Collects what is included on one page.

    Args:
        source: to read from.
        includes: of the search.
        base: of the server: references below it are relative ones.
        readable: may the caller read a type?
    """

    def __init__(self, source: Source, includes: tuple[Include, ...], base: str, readable: Any) -> None:
        self._source = source
        self._includes = includes
        self._base = base
        self._readable = readable
        self._seen: dict[tuple[str, str], Mapping[str, Any]] = {}  # documents, by type and id
        self._versions = Versions(base)
        self._hidden: dict[str, None] = {}
        self._full = False
        self._cut = False
        self._left = PAGE_BYTES
        self.entries: list[Entry] = []

    async def collect(self, matches: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Follow everything from the documents of the matches, each with its type."""
        front = list(matches)
        self._seen = {(kind, document["_id"]): document for kind, document in front}
        following = self._includes
        while front and following and not self._full:
            found: list[tuple[str, Mapping[str, Any]]] = []
            await self._versions.look(front, following)
            for kind, idents in self._referred(front, following).items():
                self._cut = self._cut or len(idents) > MOST_SOUGHT
                if not self._full:
                    found += await self._read(kind, {"_id": {"$in": idents[:MOST_SOUGHT]}})
            for one in following:
                if one.reverse and not self._full:
                    found += await self._referring(front, one)
            front = found
            following = tuple(one for one in following if one.iterate)

    async def notes(self) -> tuple[Note, ...]:
        """Return what was left out, and why."""
        text = "Included resources of type {} are left out: this key may not read them."
        notes = [Note("forbidden", "_include", text.format(kind)) for kind in self._hidden]
        if self._full:
            text = (
                f"Not everything is included: a page has at most {MOST} included resources, "
                f"{PAGE_BYTES // 1_000_000} MB. Ask for fewer matches."
            )
            notes.append(Note("too-costly", "_include", text))
        elif self._cut:
            text = f"Not everything is included: {MOST_SOUGHT} of a type are looked for at most. Ask for fewer matches."
            notes.append(Note("too-costly", "_include", text))
        return (*notes, *await self._versions.notes(self._seen))

    def _referred(
        self, front: list[tuple[str, Mapping[str, Any]]], following: tuple[Include, ...]
    ) -> dict[str, list[str]]:
        """Return the ids that documents refer to, by type, of what is not there yet."""
        wanted: dict[str, dict[str, None]] = {}
        forward = [(one.kind, path_of(one.parameter), one.targets) for one in following if not one.reverse]
        for kind, document in front:
            for source, path, targets in forward:
                if source != kind:
                    continue
                found = at(document, path)
                for text in found if isinstance(found, list) else [found] if found else []:
                    target, _, ident = relative(text, (self._base,)).partition("/")
                    if target not in TYPES or (targets and target not in targets):
                        continue
                    if not self._readable(target):
                        self._hidden[target] = None
                    elif (target, ident) not in self._seen:
                        wanted.setdefault(target, {})[ident] = None
        return {kind: list(idents) for kind, idents in wanted.items()}

    async def _referring(
        self, front: list[tuple[str, Mapping[str, Any]]], one: Include
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """Read what refers to the documents."""
        names = [
            name
            for kind, document in front
            if not one.targets or kind in one.targets
            for name in own_forms(kind, document["_id"], self._base)
        ]
        if not names:
            return []
        return await self._read(one.kind, {path_of(one.parameter): {"$in": names}})

    async def _read(self, kind: str, query: dict[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        room = MOST - len(self.entries)
        # Those that are there already may come again: room for these too.
        limit = room + 1 + sum(seen == kind for seen, _ in self._seen)
        paths = fields(self._includes, kind)
        found: list[tuple[str, Mapping[str, Any]]] = []
        most = 1 + self._left + sum(len(one["_json"]) for (seen, _), one in self._seen.items() if seen == kind)
        for document in await self._source.documents(kind, query, fields=paths, limit=limit, most=most):
            key = (kind, document["_id"])
            if key in self._seen:
                continue
            size = len(document["_json"])
            if len(self.entries) == MOST or size > self._left:
                self._full = True
                break
            self._seen[key] = document
            self._left -= size
            self.entries.append(Entry(kind, document["_id"], document["_json"], "include"))
            found.append((kind, document))
        return found
