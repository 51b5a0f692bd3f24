"""What a search is made of, between the text of its parameters and the documents it finds.

A search is parsed once, without the database, into values that say all there is to do: queries of MongoDB, and
look-ups (chains, ``_has``) that become one when they are carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal, TypeAlias

from store.errors import StoreError
from store.parameters import Parameter

Query: TypeAlias = dict[str, Any]
"""A query of MongoDB over a document as it is stored."""

Pair = tuple[str, str]
Order = tuple[tuple[str, int], ...]
"""Paths with 1 or -1, as MongoDB sorts."""

NOTHING: Query = {"_id": {"$in": []}}
"""What no document matches (always this very object): nothing is asked then."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell the caller about a search.

    Attributes:
        code: FHIR's issue-type (https://hl7.org/fhir/R4/valueset-issue-type.html).
        parameter: the name it is about, as it was written.
        text: what is the matter, and what to do.
    """

    code: str
    parameter: str
    text: str


class SearchRefused(StoreError):
    """A search that is not carried out; every reason at once."""

    def __init__(self, *problems: Note) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems = problems

    @property
    def status(self) -> int:
        """The HTTP status that says it: 403 if only permissions are missing, else 400."""
        return 403 if all(problem.code == "forbidden" for problem in self.problems) else 400


@dataclass(frozen=True, slots=True)
class Reading:
    """How parameters are to be read.

    Attributes:
        zone: of dates that name none.
        base: of the server, without a slash at its end: absolute references below it are relative ones.
        now: for ``ap``.
        strict: what is unknown is refused; else left out, with a note.
        readable: may the caller read resources of that type?
        conditional: something is written or not by what is found: a value that leads nowhere is refused.
    """

    zone: tzinfo
    base: str
    now: datetime
    strict: bool
    readable: Callable[[str], bool]
    conditional: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """Resources that refer, by `parameter`, to one that matches (``patient.identifier=...``).

    Attributes:
        wire: the whole name as it was written.
        branches: by target type, what the target must match.
    """

    parameter: Parameter
    wire: str
    branches: Mapping[str, Filter]


@dataclass(frozen=True, slots=True)
class Has:
    """Resources of type `target` to which one of type `kind` that matches refers, by `parameter` (``_has:...``)."""

    target: str
    kind: str
    parameter: Parameter
    wire: str
    matching: Filter


Filter: TypeAlias = "Query | Chain | Has"


@dataclass(frozen=True, slots=True)
class Include:
    """One ``_include`` or ``_revinclude``.

    Attributes:
        kind: the type that holds the reference.
        parameter: which reference.
        targets: the types that may be referred to; none: any.
        reverse: from the referred resource to those that refer to it.
        iterate: from included resources also.
    """

    kind: str
    parameter: Parameter
    targets: tuple[str, ...]
    reverse: bool
    iterate: bool


Total = Literal["none", "estimate", "accurate"]
SortKey = tuple[tuple[str, ...], int]
"""The paths of a sort parameter, one for each type searched, and the direction."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended.

    Attributes:
        kind: of its last match: a place in `Search.kinds`.
        total: as the first page found it; None if it did not find out.
        values: of the sort keys, the id last.
    """

    kind: int
    total: int | None
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """A search, ready to be run.

    Attributes:
        kinds: the types that are searched.
        filters: for each of them, what a resource must match.
        includes: what comes with the matches.
        sort: as asked for; none: the order that costs least.
        count: matches of a page.
        total: as asked for.
        summary: ``true``, ``text``, ``data``, ``count`` or None.
        elements: that are wanted of each match; none: all.
        position: of the page before.
        base: as in `Reading`.
        readable: as in `Reading`.
        used: the parameters that have an effect, for the link to itself.
        ignored: about those that have none.
    """

    kinds: tuple[str, ...]
    filters: tuple[tuple[Filter, ...], ...]
    includes: tuple[Include, ...]
    sort: tuple[SortKey, ...]
    count: int
    total: Total | None
    summary: str | None
    elements: tuple[str, ...]
    position: Position | None
    base: str
    readable: Callable[[str], bool]
    used: tuple[Pair, ...]
    ignored: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource of a page: its stored bytes, and whether it matches or comes with one that does."""

    kind: str
    ident: str
    raw: bytes
    mode: Literal["match", "include"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of results.

    Attributes:
        entries: matches in their order, then what is included.
        total: matches on all pages, if it is known.
        cursor: for the next page; None if this is the last.
        notes: what was left out of it.
    """

    entries: tuple[Entry, ...]
    total: int | None
    cursor: str | None
    notes: tuple[Note, ...]
