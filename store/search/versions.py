"""Versions that what is included is referred to by, where it is another one than the present, which a page shows.

https://hl7.org/fhir/R4/search.html#versions: a search that does not act on the version of a reference says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from store.codec import Resource, decode
from store.extract import relative, walk
from store.search.model import Include, Note
from store.search.paging import at

VERSION = "meta.versionId"
"""Path of the version of a document."""

_MARK = "/_history/"
_NAMED = 10  # in one note


class Versions:
    """Collects the references to versions that are followed on one page.

    Args:
        base: of the server: references below it are relative ones.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._asked: dict[tuple[str, str], None] = {}  # a resource (``Patient/1``), and its version

    async def look(self, front: Iterable[tuple[str, Mapping[str, Any]]], following: Iterable[Include]) -> None:
        """Remember the references to versions in the documents, each with its type, that are followed from."""
        forward = [one for one in following if not one.reverse]
        kinds, mark = {one.kind for one in forward}, _MARK.encode()
        # Nearly always none: the index has references without, so these are read again. A page has 16 MB of them.
        marked = [(kind, one["_json"]) for kind, one in front if kind in kinds and mark in one["_json"]]
        if marked:
            await asyncio.to_thread(self._look, marked, forward)

    def _look(self, marked: Iterable[tuple[str, bytes]], forward: Iterable[Include]) -> None:
        for kind, raw in marked:
            resource = decode(raw)
            for one in forward:
                if one.kind == kind:
                    self._asked |= dict.fromkeys(self._found(resource, one))

    def _found(self, resource: Resource, one: Include) -> Iterator[tuple[str, str]]:
        items = (item for path in one.parameter.paths for item in walk(resource, path.steps))
        for reference in (item["reference"] for item in items if isinstance(item, dict) and "reference" in item):
            text, mark, version = str(reference).rpartition(_MARK)
            name = relative(text, (self._base,))
            if mark and (not one.targets or name.partition("/")[0] in one.targets):
                yield name, version

    async def notes(self, shown: Mapping[tuple[str, str], Mapping[str, Any]]) -> tuple[Note, ...]:
        """Return what is to be told: which versions are referred to and not on the page.

        Args:
            shown: the documents that are on it, with their `VERSION`.
        """
        others = await asyncio.to_thread(self._others, shown) if self._asked else []
        if not others:
            return ()
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        text = (
            f"The present versions are included. Referred to is another one: {', '.join(others[:_NAMED])}{more}. "
            "Read it by that address."
        )
        return (Note("not-supported", "_include", text),)

    def _others(self, shown: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
        others = []
        for name, version in self._asked:
            kind, _, ident = name.partition("/")
            document = shown.get((kind, ident))
            if document is not None and version != at(document, VERSION):
                others.append(f"{name}{_MARK}{version}")
        return others
