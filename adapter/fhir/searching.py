"""Searches through the door: parameters to `store.search`, pages to searchset Bundles of stored bytes.

https://hl7.org/fhir/R4/search.html and https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlencode

import orjson

from adapter.errors import Forbidden, Malformed, Problem, Refused, few
from adapter.fhir import outcome, presentation
from adapter.fhir.access import may_read, require_type
from adapter.fhir.call import LONGEST_URL, MOST_PARAMETERS, Call, Pairs, Reply
from adapter.fhir.validation.primitives import PRIMITIVES
from adapter.security.callers import Caller
from store import search as engine
from store.extract import instant
from store.search import Note, Page, Reading, Search, SearchRefused, results
from store.search.dates import repaired
from store.source import Source
from store.types import TYPES

PAGE = "_page"
"""The parameter of our own page links: it holds the whole search and the place to go on from, so that no link to a
page shows what was searched for."""

_LONGEST = 1_048_576  # of what a page link holds, in bytes: what fits into an address, unpacked, and no bomb
_MOST_PAIRS = MOST_PARAMETERS + 2  # in a page link: those of the search, and the place to go on from


def reading(who: Caller, base: str, *, strict: bool) -> Reading:
    """Return how a caller's parameters are to be read."""
    return Reading(
        zone=who.service.settings.zone,
        base=base,
        now=who.service.now(),
        strict=strict,
        readable=lambda kind: may_read(who, kind),
    )


async def matches(source: Source, kind: str, criteria: Pairs, how: Reading, gone: Collection[str] = ()) -> list[str]:
    """Return the ids that the criteria of a conditional interaction match, two at most.

    `gone`: what the same transaction deletes (``Patient/123``): by then it is not there any more.

    Raises:
        Malformed, Forbidden: criteria that are empty, unknown or not to be read.
    """
    try:
        own = {name.removeprefix(f"{kind}/") for name in gone if name.startswith(f"{kind}/")}
        return await engine.matches(source, kind, criteria, how, without=own)
    except SearchRefused as refused:
        raise as_refusal(refused) from None


def as_refusal(refused: SearchRefused) -> Refused:
    """Return the refusal of a search in the vocabulary of all doors."""
    problems = [
        Problem("invalid_search", note.text, note.parameter or None, issue=note.code) for note in refused.problems
    ]
    if all(note.code == "forbidden" for note in refused.problems):
        return Forbidden(few(problems))
    return Malformed(few(problems))


def listed(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return the names that the values of parameter `name` list.

    Raises:
        Malformed: there are too many.
    """
    try:
        return results.listed(name, ",".join(values))
    except SearchRefused as refused:
        raise as_refusal(refused) from None


def moment(text: str) -> datetime | None:
    """Return the moment that a parameter has as an instant of FHIR; None if that is none."""
    text = repaired(text)
    return instant(text) if PRIMITIVES["instant"].accepts(text) else None


async def search(
    call: Call,
    kinds: tuple[str, ...],
    path: str,
    pairs: Pairs,
    *,
    strict: bool,
    compartment: tuple[str, str] | None = None,
) -> Reply:
    """Answer a search of `kinds`; `path` is what stands between the base and the question mark in links.

    Raises:
        Malformed, Forbidden: as `matches`; also for a page link that was changed.
    """
    for kind in kinds:
        require_type(call.who, kind, "read")
    passed_over = [Note("not-supported", name, BESIDE) for name in beside(pairs)]
    pairs = unpacked(path, pairs)
    if strict and passed_over:
        raise as_refusal(SearchRefused(*passed_over))
    how = reading(call.who, call.base, strict=strict)
    try:
        wanted = engine.parse(kinds, pairs, how, compartment=compartment)
        wanted = replace(wanted, ignored=(*passed_over, *wanted.ignored))
        page = await engine.run(call.who.store, wanted)
    except SearchRefused as refused:
        raise as_refusal(refused) from None
    return Reply(200, bundle(call, path, wanted, page))


def bundle(call: Call, path: str, wanted: Search, page: Page) -> bytes:
    """Return the searchset Bundle of a page, from the stored bytes as they are."""
    address = f"{call.base}/{path}" if path else call.base
    form = form_of(call)
    links = [_link("self", url(address, (*wanted.used, *form)))]
    if page.cursor is not None:
        filters = tuple(pair for pair in wanted.used if pair[0] != "_cursor")
        links.append(following(address, path, (*filters, ("_cursor", page.cursor)), form))
    entries = [entry(call.base, _shown(one, wanted)) for one in page.entries]
    notes = (*wanted.ignored, *page.notes)
    if notes:
        entries.append(told(call, notes))
    head: dict[str, object] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        head["total"] = page.total
    head["link"] = links
    body = orjson.dumps(head)
    if not entries:
        return body
    return body[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def _shown(entry: engine.Entry, wanted: Search) -> engine.Entry:
    """Return an entry as ``_summary`` and ``_elements`` want it; the latter is for matches only."""
    elements = wanted.elements if entry.mode == "match" else ()
    if wanted.summary is None and not elements:
        return entry
    return replace(entry, raw=presentation.subset(entry.raw, entry.kind, summary=wanted.summary, elements=elements))


def entry(base: str, one: engine.Entry) -> bytes:
    """Return an entry of a searchset, around the stored bytes."""
    name = f"{base}/{one.kind}/{one.ident}".encode()
    return b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}' % (name, one.raw, one.mode.encode())


def told(call: Call, notes: Sequence[Note]) -> bytes:
    """Return the entry of a searchset that tells what was passed over or left out."""
    problems = [
        Problem("search_note", note.text, note.parameter or None, issue=note.code, severity="warning") for note in notes
    ]
    return outcome.entry(few(problems), call.who.service.settings.canonical_base)


def form_of(call: Call) -> Pairs:
    """Return what was asked about the form of the answer: a link that asks for it too can be followed as it is.

    It is told apart from what was searched for, and stands beside a page link's token: it is read before that is.
    """
    found: dict[str, str] = {}
    for name, value in call.query:
        if name in results.PASSED_BY and value:
            found.setdefault(name, value)
    return tuple(found.items())


def counted(pairs: Iterable[tuple[str, str]], count: int) -> Pairs:
    """Return parameters as they are used: `count` is the size of the page, which may be less than was asked for."""
    return tuple((name, str(count) if name == "_count" else value) for name, value in pairs)


def url(address: str, pairs: Pairs) -> str:
    """Return `address` with the parameters `pairs`, as RFC 3986 has URIs (a bar is escaped, `system%7Ccode`).

    The plus of a date's offset that came as a blank is one again.
    """
    shown = [(name, repaired(value) if is_date(name) else value) for name, value in pairs]
    return f"{address}?{urlencode(shown, safe=':,/$*')}" if pairs else address


def is_date(name: str) -> bool:
    """Tell whether a parameter, perhaps the end of a chain, is one of dates: it is that for every type which has it."""
    return _LAST_NAME.split(name)[-1] in _DATES


_LAST_NAME = re.compile("[.:]")  # after the steps of a chain; what is before a modifier looks like none of these
_DATES = frozenset(
    {"_since", *(one.name for kind in TYPES.values() for one in kind.parameters.values() if one.kind == "date")}
)


def _link(relation: str, url: str) -> dict[str, str]:
    return {"relation": relation, "url": url}


def following(address: str, path: str, pairs: Pairs, form: Pairs) -> dict[str, str]:
    """Return the link to a next page: `pairs`, packed, at `address`, which is `path` below the base.

    Raises:
        Malformed: nobody could follow it, as it would be too long. A form (``POST _search``) brings more.
    """
    held = orjson.dumps((path, pairs))
    token = base64.urlsafe_b64encode(zlib.compress(held)).rstrip(b"=").decode()
    link = _link("next", url(address, ((PAGE, token), *form)))
    if len(pairs) > _MOST_PAIRS or len(held) > _LONGEST or len(link["url"]) > LONGEST_URL:
        text = (
            "There are more matches than a page shows, and the link to the next page, which holds the whole search, "
            f"would be too long. Ask for larger pages (_count, at most {results.MOST_COUNT}), or in parts, for fewer "
            "values at once."
        )
        raise Malformed(Problem("invalid_search", text, issue="too-costly"))
    return link


def unpacked(path: str, pairs: Pairs) -> Pairs:
    """Return the parameters that a page link stands for; `path` is where it was sent to.

    Raises:
        Malformed: it was changed (none of ours has more parameters than a request may have), or is of another search.
    """
    token = next((value for name, value in pairs if name == PAGE), None)
    if token is None:
        return pairs
    try:
        packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        of, raw = orjson.loads(zlib.decompressobj().decompress(packed, _LONGEST))
        inside = tuple((str(name), str(value)) for name, value in raw) if len(raw) <= _MOST_PAIRS else None
    except (ValueError, TypeError, zlib.error):
        of, inside = None, None
    if of != path or inside is None:
        raise changed_link()
    return (*inside, *(pair for pair in pairs if pair[0] in results.PASSED_BY))


def changed_link() -> Malformed:
    """Return the refusal of a page link that is not as this release gives it."""
    text = "That page link was changed, or is of another release. Search again and follow its links."
    return Malformed(Problem("invalid_search", text, PAGE))


def beside(pairs: Pairs) -> list[str]:
    """Return the names of parameters that stand beside a page link, which holds the whole search: none counts."""
    if all(name != PAGE for name, _ in pairs):
        return []
    passed = (PAGE, *results.PASSED_BY)
    return list(dict.fromkeys(name for name, value in pairs if value.strip(",") and name not in passed))


BESIDE = "A page link holds its whole search: nothing counts beside it. Follow it as it is, or search anew."
