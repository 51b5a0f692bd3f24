"""The parameters of a request, read into a search: what they ask for, what is left out, what is refused.

https://hl7.org/fhir/R4/search.html. A parameter that is repeated narrows, values after commas widen. Every problem is
found before any is reported. What is unknown is left out with a note, or refused where the caller is strict; what
would change the meaning if it were left out (a modifier, a chain, a value) is always refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from store.search import filters, includes, names, paging, results
from store.search.matching import path_of
from store.search.model import (
    Filter,
    Include,
    Note,
    Pair,
    Position,
    Query,
    Reading,
    Search,
    SearchRefused,
    SortKey,
    Total,
)
from store.search.references import own_forms
from store.search.weight import Budget
from store.types import TYPES

_FINAL = frozenset({"_count", "_summary", "_total", "_cursor"})
"""Of these the last one counts."""


def parse(
    kinds: tuple[str, ...],
    pairs: Sequence[Pair],
    reading: Reading,
    compartment: tuple[str, str] | None = None,
) -> Search:
    """Read the parameters of a search.

    Args:
        kinds: the types to search, one or several.
        pairs: names and values in their order, decoded.
        reading: how to read them.
        compartment: a type and an id (``("Patient", "123")``): only what belongs to that resource.

    Raises:
        SearchRefused: it cannot be carried out, for each of the reasons.
    """
    made = _Parsing(kinds, reading)
    pairs = made.narrowed(pairs)
    for name, value in pairs:
        if value.strip(",") and name not in results.PASSED_BY:
            made.add(name, value)
    made.finish()
    if made.problems:
        raise SearchRefused(*made.problems)
    placed = made.filters
    if compartment is not None:
        placed = [
            [_within(kind, *compartment, reading.base), *own] for kind, own in zip(made.kinds, placed, strict=True)
        ]
    return Search(
        kinds=made.kinds,
        filters=tuple(tuple(own) for own in placed),
        includes=tuple(dict.fromkeys(made.includes)),
        sort=made.sort,
        count=made.count,
        total=made.total,
        summary=made.summary,
        elements=made.elements,
        position=made.position,
        base=reading.base,
        readable=reading.readable,
        used=made.each_used(),
        ignored=tuple(made.ignored),
    )


def _within(kind: str, owner: str, ident: str, base: str) -> Query:
    """Return the query for a compartment.

    Raises:
        SearchRefused: resources of that type are in no such compartment.
    """
    parameters = TYPES[kind].compartments.get(owner)
    if parameters is None:
        text = f"{kind} is not in the compartment of {owner}."
        raise SearchRefused(Note("not-supported", kind, text))
    wanted = list(own_forms(owner, ident, base))
    queries: list[Query] = [{path_of(TYPES[kind].parameters[name]): {"$in": wanted}} for name in parameters]
    if kind == owner:
        queries.append({"_id": ident})
    return queries[0] if len(queries) == 1 else {"$or": queries}


@dataclass(slots=True)
class _Parsing:
    """A search in the making."""

    kinds: tuple[str, ...]
    reading: Reading
    filters: list[list[Filter]] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    sort: tuple[SortKey, ...] = ()
    count: int = results.DEFAULT_COUNT
    total: Total | None = None
    summary: str | None = None
    elements: tuple[str, ...] = ()
    position: Position | None = None
    listed: int = 0
    used: list[Pair] = field(default_factory=list)
    ignored: list[Note] = field(default_factory=list)
    problems: list[Note] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)

    def narrowed(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """Choose the types that ``_type`` names, and return the other parameters."""
        asked = [value for name, value in pairs if name == "_type" and value]
        if asked:
            wanted = results.listed("_type", ",".join(asked))
            wrong = [kind for kind in wanted if kind not in self.kinds]
            if wrong:
                text = f"{', '.join(wrong)} cannot be searched here. Possible: {', '.join(self.kinds)}."
                self._leave(Note("not-supported", "_type", text))
            kept = tuple(kind for kind in wanted if kind in self.kinds)
            if kept:
                self.kinds = kept
                self.used.append(("_type", ",".join(kept)))
            pairs = [pair for pair in pairs if pair[0] != "_type"]
        self.filters = [[] for _ in self.kinds]
        return pairs

    def add(self, name: str, value: str) -> None:
        """Take one parameter."""
        base, colon, modifier = name.partition(":")
        try:
            if base not in results.NAMES:
                self._filter(name, value)
            elif colon and not (base in _INCLUDES and modifier in ("iterate", "recurse")):
                self.problems.append(Note("not-supported", name, f"'{base}' does not take the modifier ':{modifier}'."))
            else:
                _TAKEN[base](self, name, value)
        except SearchRefused as refused:
            self.problems += refused.problems

    def finish(self) -> None:
        """Check what only the whole shows."""
        if self.summary == "text" and self.includes:
            text = "'_summary=text' cannot be combined with included resources."
            self.problems.append(Note("invalid", "_summary", text))

    def _leave(self, note: Note) -> None:
        """Leave something out, if the caller lets it be."""
        (self.problems if self.reading.strict else self.ignored).append(note)

    def _use(self, name: str, value: str) -> None:
        self.used.append((name, value))

    def each_used(self) -> tuple[Pair, ...]:
        """Return the parameters that are used, in their order: of one that counts once the last."""
        last = {name: place for place, (name, _) in enumerate(self.used) if name in _FINAL}
        return tuple(pair for place, pair in enumerate(self.used) if last.get(pair[0], place) == place)

    def _filter(self, name: str, value: str) -> None:
        if self.budget.spent:  # refused for that already, and no more time is taken by it
            return
        found: list[Filter] = []
        unknown: list[Note] = []
        for kind in self.kinds:
            try:
                found.append(filters.compiled(kind, name, value, self.reading, self.budget))
            except names.Unknown as error:
                unknown += error.problems
        if not unknown:
            for own, one in zip(self.filters, found, strict=True):
                if one:
                    own.append(one)
            self._use(name, value)
        elif found:  # FHIR: only parameters that all the types have
            self.problems += unknown
        else:
            self._leave(unknown[0])

    def _listed(self, name: str, value: str) -> tuple[str, ...]:
        """Return the names in a list; all lists together may have so many."""
        names = results.listed(name, value)
        self.listed += len(names)
        if self.listed > results.MOST_NAMES:
            raise results.too_many(name)
        return names

    def _sort(self, name: str, value: str) -> None:
        keys, items, notes = results.sort(self._listed(name, value), self.kinds)
        for note in notes:
            self._leave(note)
        if keys:
            known = {paths for paths, _ in self.sort}
            self.sort += tuple(key for key in keys if key[0] not in known)
            self._use(name, ",".join(items))

    def _count(self, name: str, value: str) -> None:
        self.count = results.count(value)
        self._use(name, str(self.count))

    def _summary(self, name: str, value: str) -> None:
        self.summary = results.summary(value)
        self._use(name, value)

    def _total(self, name: str, value: str) -> None:
        self.total = results.total(value)
        self._use(name, value)

    def _elements(self, name: str, value: str) -> None:
        known, notes = results.elements(self._listed(name, value), self.kinds)
        for note in notes:
            self._leave(note)
        if known:
            self.elements += known
            self._use(name, ",".join(known))

    def _include(self, name: str, value: str) -> None:
        try:
            self.includes += includes.parsed(name, value, self.kinds, self.reading)
        except SearchRefused as refused:
            if refused.status == _FORBIDDEN:
                self.ignored += refused.problems
                return
            for note in refused.problems:
                self._leave(note)
            return
        self._use(name, value)

    def _contained(self, name: str, value: str) -> None:
        try:
            results.contained(name, value)
        except SearchRefused as refused:
            for note in refused.problems:
                self._leave(note)
            return
        self._use(name, value)

    def _cursor(self, name: str, value: str) -> None:
        self.position = paging.position(value, len(self.kinds))
        self._use(name, value)


_FORBIDDEN = 403
_INCLUDES = ("_include", "_revinclude")
_TAKEN: dict[str, Callable[[_Parsing, str, str], None]] = {
    "_sort": _Parsing._sort,
    "_count": _Parsing._count,
    "_summary": _Parsing._summary,
    "_total": _Parsing._total,
    "_elements": _Parsing._elements,
    "_include": _Parsing._include,
    "_revinclude": _Parsing._include,
    "_contained": _Parsing._contained,
    "_containedType": _Parsing._contained,
    "_cursor": _Parsing._cursor,
}
