"""A parameter with its value as a filter: a query, or the look-up that becomes one.

https://hl7.org/fhir/R4/search.html#chaining and #has. A chain is never left out: what follows a dot and is not known is
refused whether or not the caller asked for strictness, because a search without it would return everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from store.search import names
from store.search.conditions import condition
from store.search.matching import BadValue
from store.search.model import Chain, Filter, Has, Note, Query, Reading, SearchRefused
from store.search.weight import Budget

MOST_STEPS = 6


def compiled(kind: str, name: str, value: str, reading: Reading, budget: Budget) -> Filter:
    """Return what a parameter asks of resources of type `kind`.

    Args:
        kind: a type.
        name: the parameter's, with its modifier or what follows in a chain.
        value: its values, with commas between them.
        reading: how to read them.
        budget: of the whole search; what this takes is charged.

    Raises:
        names.Unknown: the type has no such parameter.
        SearchRefused: it cannot be carried out as it stands.
    """
    try:
        return _Compiling(value, reading, name, budget).compiled(kind, name, 0)
    except SearchRefused as refused:
        if isinstance(refused, names.Unknown) and "." not in name and not name.startswith("_has"):
            raise
        # Named as the caller wrote it, not as the part of it that is wrong.
        raise SearchRefused(*(replace(problem, parameter=name) for problem in refused.problems)) from None


@dataclass(frozen=True, slots=True)
class _Compiling:
    """A parameter that becomes a filter, on whatever way.

    Attributes:
        value: its values, as they were written.
        reading: how to read them.
        wire: its whole name as it was written.
        budget: of the whole search.
    """

    value: str
    reading: Reading
    wire: str
    budget: Budget

    def compiled(self, kind: str, name: str, depth: int) -> Filter:
        if depth > MOST_STEPS:
            raise SearchRefused(Note("too-costly", self.wire, f"A chain has at most {MOST_STEPS} steps."))
        found = names.named(kind, name)
        if isinstance(found, names.Plain):
            return self._plain(found)
        if isinstance(found, names.Reverse):
            _require_readable((found.kind,), self.reading, self.wire)
            self.budget.look_up(self.wire)
            inner = self.compiled(found.kind, found.rest, depth + 1)
            return Has(kind, found.kind, found.parameter, self.wire, inner)
        return self._chain(found, depth)

    def _plain(self, found: names.Plain) -> Query:
        try:
            query = condition(found.parameter, found.modifier, self.value, self.reading)
        except BadValue as error:
            self.budget.waste(self.value.count(",") + 1)
            raise SearchRefused(
                Note("value", self.wire, f"The value of '{self.wire}' cannot be used. {error}")
            ) from None
        self.budget.charge(query, self.wire)
        return query

    def _chain(self, step: names.Step, depth: int) -> Chain:
        """Follow a reference to every type that has what comes next."""
        branches: dict[str, Filter] = {}
        unknown: list[names.Unknown] = []
        for target in step.targets:
            try:
                branches[target] = self.compiled(target, step.rest, depth + 1)
            except names.Unknown as error:
                unknown.append(error)
        if not branches:
            texts = dict.fromkeys(problem.text for error in unknown for problem in error.problems)
            raise names.Unknown(Note("not-supported", self.wire, f"'{self.wire}' leads nowhere. {' '.join(texts)}"))
        _require_readable(branches, self.reading, self.wire)
        self.budget.look_up(self.wire)
        return Chain(step.parameter, self.wire, branches)


def _require_readable(kinds: Mapping[str, Filter] | Sequence[str], reading: Reading, wire: str) -> None:
    hidden = [kind for kind in kinds if not reading.readable(kind)]
    if hidden:
        text = f"'{wire}' looks into {', '.join(hidden)}, which this key may not read."
        if len(kinds) > len(hidden):
            text += " Name the type to follow to, as in actor:Practitioner.name."
        raise SearchRefused(Note("forbidden", wire, text))
