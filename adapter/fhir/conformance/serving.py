"""Serves what this server says of itself as resources: definitions, to be read and listed, never written.

Every caller with a key may see them, they tell of nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from adapter.errors import Malformed, NotFound, Problem, few
from adapter.fhir import negotiation, outcome, searching
from adapter.fhir.call import Call, Pairs, Reply
from adapter.fhir.refusing import not_allowed
from store.search import SearchRefused, results

_CURSOR = "_cursor"  # of our page links: how many were shown before
_READ = ("GET", "HEAD")
Definitions = Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Searched:
    """A search parameter of such a type: the element, its kind, the definition in R4, and the system of its codes."""

    element: str
    kind: str
    definition: str
    system: str = ""


Parameters = Mapping[str, Searched]


def serve(call: Call, kind: str, made: Definitions, searched: Parameters) -> Reply:
    """Answer for a type of definitions: read one, or search them.

    Raises:
        NotFound: there is none of that id. MethodNotAllowed: they cannot be changed. Malformed: a bad search.
    """
    rest = call.path[1:]
    if rest == ("_search",):
        if call.method != "POST":
            raise not_allowed("POST")
        return _found(call, kind, made, searched)
    if call.method not in _READ:
        raise not_allowed(*_READ)
    if not rest:
        return _found(call, kind, made, searched)
    one = made.get(rest[0]) if len(rest) == 1 else None
    if one is None:
        raise NotFound(Problem("unknown_resource", f"There is no {kind} of our own with that id."))
    return Reply(200, orjson.dumps(one))


def _found(call: Call, kind: str, made: Definitions, searched: Parameters) -> Reply:
    pairs = searching.unpacked(kind, call.query)
    page = _page_of(pairs)
    asked, notes = _asked(call, kind, pairs, searched)
    filters = [(searched[name], name, value) for name, value in asked if name in searched]
    found = [one for one in made.values() if all(_matches(one, *each) for each in filters)]
    address = f"{call.base}/{kind}"
    asked = searching.counted(asked, page.size)
    form = searching.form_of(call)
    links = [{"relation": "self", "url": searching.url(address, (*asked, *form))}]
    if page.size and page.end < len(found):
        rest = (*(pair for pair in asked if pair[0] != _CURSOR), (_CURSOR, str(page.end)))
        links.append(searching.following(address, kind, rest, form))
    entries: list[Any] = [
        {"fullUrl": f"{address}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in found[page.start : page.end]
    ]
    if notes:
        entries.append(orjson.Fragment(outcome.entry(few(notes), call.who.service.settings.canonical_base)))
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": links,
    }
    return Reply(200, orjson.dumps(bundle | ({"entry": entries} if entries else {})))


@dataclass(frozen=True, slots=True)
class _Page:
    """Which of the matches are shown: none where the total alone is wanted."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


def _page_of(pairs: Sequence[tuple[str, str]]) -> _Page:
    """Return what of the matches is wanted; of a parameter that is repeated the last one counts.

    Raises:
        Malformed: ``_count`` or ``_summary`` has a value that there is none of, or a page link was changed.
    """
    given = {name: value for name, value in pairs if value}
    start = given.get(_CURSOR, "0")
    if not (start.isascii() and start.isdigit() and len(start) <= len(str(results.MOST_COUNT))):
        raise searching.changed_link()
    try:
        size = results.count(given.get("_count", str(results.DEFAULT_COUNT)))
        summary = results.summary(given.get("_summary", "false"))
    except SearchRefused as refused:
        raise searching.as_refusal(refused) from None
    return _Page(int(start), 0 if summary == "count" else size)


def _is_used(name: str, value: str, searched: Parameters) -> bool:
    # Of the summaries, which nobody need offer, only those that leave each definition whole.
    return name in (*searched, "_count", _CURSOR) or (name == "_summary" and value in ("count", "false"))


def _asked(
    call: Call, kind: str, pairs: Sequence[tuple[str, str]], searched: Parameters
) -> tuple[Pairs, list[Problem]]:
    """Return the parameters that are used, and what there is to tell of the others.

    Raises:
        Malformed: a modifier, a named query, or what else does not count where the caller wants to be told.
    """
    given = [(name, value) for name, value in pairs if value and name not in results.PASSED_BY]
    ignored = [name for name, value in given if not _is_used(name, value, searched)]
    strict = negotiation.preferences(call.headers.get("prefer")).strict
    told = [(name, f"{kind} is not searched by {name} here. It is by: {', '.join(searched)}.") for name in ignored]
    told += [(name, searching.BESIDE) for name in searching.beside(call.query)]
    notes = [Problem("invalid_search", text, name, issue="not-supported", severity="warning") for name, text in told]
    wrong = [replace(note, severity="error") for note in notes if strict or _is_refused(note.param or "")]
    if wrong:
        raise Malformed(few(wrong))
    return tuple(pair for pair in given if _is_used(*pair, searched)), notes


def _is_refused(name: str) -> bool:
    """Tell whether a parameter may not be left out, as in every search: a modifier, or a named query."""
    return ":" in name or name == "_query"


def _matches(one: Mapping[str, Any], by: Searched, name: str, value: str) -> bool:
    element = one.get(by.element, [])
    own = element if isinstance(element, list) else [element]
    if name == "name":
        return any(own[0].casefold().startswith(text.casefold()) for text in searching.listed(name, [value]))
    return any(_is(text, own, by) for text in searching.listed(name, [value]))


def _is(text: str, own: Sequence[str], by: Searched) -> bool:
    if by.kind != "token":
        return text in own
    system, bar, code = text.rpartition("|")
    if bar and system != by.system:
        return False
    return code in own if code else bool(system)
