"""Versions that what is included is referred to by, where it is another one than the present, which a page shows.

https://hl7.org/fhir/R4/search.html#versions: a search that does not act on the version of a reference says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from store.codec import Resource, decode
from store.documents import version_of
from store.extract import relative, walk
from store.search.model import Include, Note

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

    def look(self, kind: str, document: Mapping[str, Any], following: Iterable[Include]) -> None:
        """Remember the references to versions in a document that is followed from."""
        raw = document["_json"]
        if _MARK.encode() not in raw:
            return  # as nearly always: the index has them without
        resource = decode(raw)
        for one in following:
            if one.kind == kind and not one.reverse:
                self._asked |= dict.fromkeys(self._found(resource, one))

    def _found(self, resource: Resource, one: Include) -> Iterator[tuple[str, str]]:
        items = (item for path in one.parameter.paths for item in walk(resource, path.steps))
        for reference in (item["reference"] for item in items if isinstance(item, dict) and "reference" in item):
            text, mark, version = str(reference).rpartition(_MARK)
            name = relative(text, (self._base,))
            if mark and (not one.targets or name.partition("/")[0] in one.targets):
                yield name, version

    def notes(self, shown: Mapping[tuple[str, str], bytes]) -> tuple[Note, ...]:
        """Return what is to be told: which versions are referred to and not on the page; `shown`: what is."""
        others = []
        for name, version in self._asked:
            kind, _, ident = name.partition("/")
            raw = shown.get((kind, ident))
            if raw is not None and version != str(version_of(decode(raw))):
                others.append(f"{name}{_MARK}{version}")
        if not others:
            return ()
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        text = (
            f"The present versions are included. Referred to is another one: {', '.join(others[:_NAMED])}{more}. "
            "Read it by that address."
        )
        return (Note("not-supported", "_include", text),)
