"""The search queries by which an ``$export`` is filtered: its ``_typeFilter``.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#_typefilter-query-parameter. What is not supported in one is told; an
export that is asked for leniently passes it over, as a search does: it narrows nothing then, and the types stay those
that were asked for and may be read.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from adapter.errors import Problem
from adapter.fhir import searching
from adapter.fhir.call import Call, Pairs
from adapter.fhir.criteria import require_clear
from adapter.fhir.refusing import invalid
from store import search as engine
from store.search import SearchRefused
from store.search.model import NOTHING
from store.search.results import NAMES, PASSED_BY


def parsed(text: str) -> tuple[str, Pairs, list[Problem]]:
    """Read one search query (``Appointment?status=booked``): its type, its parameters, and what has no place in it.

    Raises:
        Malformed: it is none, or a parameter is empty: passed by, as a search does it, it would export everybody; or a
            plus in it may be a blank (`require_clear`): once decoded it stands in no URL any more.
    """
    kind, mark, query = text.partition("?")
    try:
        require_clear(query)
    except ValueError as unclear:
        raise invalid("_typeFilter", f"In a _typeFilter: {unclear}") from None
    try:
        pairs = tuple(parse_qsl(query, keep_blank_values=True, errors="strict"))
    except ValueError:
        raise invalid(
            "_typeFilter", "A _typeFilter cannot be read. Write it as UTF-8, percent-encoded: name=value."
        ) from None
    if not kind or not mark or not pairs:
        wrong = "_typeFilter takes search queries such as Appointment?status=booked."
        raise invalid("_typeFilter", wrong)
    shown = dict.fromkeys(name for name, _ in pairs if name.partition(":")[0] in NAMES | PASSED_BY)
    for name, value in pairs:
        if not value.strip(", ") and name not in shown:
            raise invalid("_typeFilter", f"{kind}?{name} is empty in a _typeFilter: give a value, or leave it out.")
    problems = [
        _unsupported(f"{name} has no place in a _typeFilter: it says how results are shown. Leave it out.")
        for name in shown
    ]
    return kind, tuple(pair for pair in pairs if pair[0] not in shown), problems


def not_exported(kind: str) -> Problem:
    """Return what is to be told of a filter for a type that could be exported, and is not."""
    return _unsupported(f"The _typeFilter for {kind} is for a type that is not exported. Name it in _type.")


async def query(call: Call, kind: str, pairs: Pairs, *, strict: bool) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Return the query of MongoDB for a filter, and what it leaves out; None where nothing can match.

    Args:
        call: the kick-off.
        kind: of the resources.
        pairs: the parameters.
        strict: a parameter that the type does not have is refused; else it is left out.

    Raises:
        Malformed, Forbidden: as of a search.
    """
    how = searching.reading(call.who, call.base, strict=strict)
    try:
        wanted = engine.parse((kind,), pairs, how)
        [compiled] = await engine.compiled(call.who.store, wanted)
    except SearchRefused as refused:
        raise searching.as_refusal(refused) from None
    left_out = [_unsupported(f"_typeFilter for {kind}: {note.text}") for note in wanted.ignored]
    return None if compiled.query is NOTHING else compiled.query, left_out


def _unsupported(text: str) -> Problem:
    return Problem("unsupported_parameter", text, "_typeFilter", issue="not-supported")
