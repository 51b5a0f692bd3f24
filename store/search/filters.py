"""A parameter with its value as a filter: a query, or the look-up that becomes one.

https://hl7.org/fhir/R4/search.html#chaining and #has. A chain is never left out: what follows a dot and is not known is
refused whether or not the caller asked for strictness, because a search without it would return everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from store.search import names
from store.search.conditions import condition
from store.search.matching import BadValue
from store.search.model import Chain, Filter, Has, Note, Query, Reading, SearchRefused

MOST_STEPS = 6
MOST_LOOKUPS = 64


def compiled(kind: str, name: str, value: str, reading: Reading) -> Filter:
    """Return what a parameter asks of resources of type `kind`.

    Raises:
        names.Unknown: the type has no such parameter.
        SearchRefused: it cannot be carried out as it stands.
    """
    try:
        return _compiled(kind, name, value, reading, name, 0)
    except SearchRefused as refused:
        if isinstance(refused, names.Unknown) and "." not in name and not name.startswith("_has"):
            raise
        # Named as the caller wrote it, not as the part of it that is wrong.
        raise SearchRefused(*(replace(problem, parameter=name) for problem in refused.problems)) from None


def _compiled(kind: str, name: str, value: str, reading: Reading, wire: str, depth: int) -> Filter:
    if depth > MOST_STEPS:
        raise SearchRefused(Note("too-costly", wire, f"A chain has at most {MOST_STEPS} steps."))
    found = names.named(kind, name)
    if isinstance(found, names.Plain):
        return _plain(found, value, reading, wire)
    if isinstance(found, names.Reverse):
        _require_readable((found.kind,), reading, wire)
        inner = _compiled(found.kind, found.rest, value, reading, wire, depth + 1)
        return Has(kind, found.kind, found.parameter, wire, inner)
    return _chain(found, value, reading, wire, depth)


def _plain(found: names.Plain, value: str, reading: Reading, wire: str) -> Query:
    try:
        return condition(found.parameter, found.modifier, value, reading)
    except BadValue as error:
        raise SearchRefused(Note("value", wire, f"The value of '{wire}' cannot be used. {error}")) from None


def _chain(step: names.Step, value: str, reading: Reading, wire: str, depth: int) -> Chain:
    """Follow a reference to every type that has what comes next."""
    branches: dict[str, Filter] = {}
    unknown: list[names.Unknown] = []
    for target in step.targets:
        try:
            branches[target] = _compiled(target, step.rest, value, reading, wire, depth + 1)
        except names.Unknown as error:
            unknown.append(error)
    if not branches:
        texts = dict.fromkeys(problem.text for error in unknown for problem in error.problems)
        raise names.Unknown(Note("not-supported", wire, f"'{wire}' leads nowhere. {' '.join(texts)}"))
    _require_readable(branches, reading, wire)
    return Chain(step.parameter, wire, branches)


def _require_readable(kinds: Mapping[str, Filter] | Sequence[str], reading: Reading, wire: str) -> None:
    hidden = [kind for kind in kinds if not reading.readable(kind)]
    if hidden:
        text = f"'{wire}' looks into {', '.join(hidden)}, which this key may not read."
        if len(kinds) > len(hidden):
            text += " Name the type to follow to, as in actor:Practitioner.name."
        raise SearchRefused(Note("forbidden", wire, text))


def lookups(found: Filter) -> Iterator[Chain | Has]:
    """Yield every look-up that a filter takes."""
    if isinstance(found, Chain):
        yield found
        for branch in found.branches.values():
            yield from lookups(branch)
    elif isinstance(found, Has):
        yield found
        yield from lookups(found.matching)
