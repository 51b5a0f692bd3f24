"""``Patient/$everything``: a patient's record, or all of them, in pages.

https://hl7.org/fhir/R4/patient-operation-everything.html. The Patient comes first, then what is in the compartment,
type by type and by id; with each page comes what its resources refer to, so that a page can be read by itself. Other
patients are no part of a record, even where they share an appointment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import orjson

from adapter.aside import aside
from adapter.export.plan import MEMBERS, OWNER, of_anybody
from adapter.fhir import reads, searching
from adapter.fhir.access import may_read, require_type
from adapter.fhir.call import Call, Pairs, Reply
from adapter.fhir.operations.parameters import parameters
from adapter.fhir.refusing import Faults, invalid
from store import search as engine
from store.dates import span
from store.extract import relative
from store.search import Entry, Note, SearchRefused, results
from store.search.dates import repaired
from store.source import PAGE_BYTES, by_kind, fitting
from store.types import TYPES

_PLACE = ("_after_type", "_after_id")  # of our own links to the next page
_TAKES = ("start", "end", "_since", "_type", "_count")
_SPAN = "-date-or-req-period"
_TOO_LARGE = Note(
    "too-costly",
    "_count",
    f"Not all that these refer to is here: a page has {PAGE_BYTES // 1_000_000} MB of it at most. Ask for fewer.",
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters, read.

    Attributes:
        used: as they are used.
        types: to be shown; none: all.
        span: the query for what takes place within it; empty for any time.
        since: pairs of a search for what has changed.
        count: resources of the record on a page.
        after: type and id of the last one on the page before.
    """

    used: Pairs
    types: frozenset[str]
    span: Mapping[str, Any]
    since: Pairs
    count: int
    after: tuple[str, str] | None


async def everything(call: Call, kind: str, ident: str | None) -> Reply:
    """Answer with a page of a patient's record, or (without `ident`) of all patients' records.

    Raises:
        NotFound, Gone: there is no such patient. Malformed: a parameter that it does not take, or a bad value.
    """
    require_type(call.who, kind, "read")
    if ident is not None and await call.who.store.read(kind, ident) is None:
        raise await reads.absent(call, kind, ident)
    wrong = Faults()
    sent = await aside(lambda: parameters(call, wrong), much=call.large)
    beside = searching.beside(sent.pairs)
    for name in beside:
        wrong.add(name, searching.BESIDE, "not-supported")
    if beside:
        wrong.require_none()
    asked = _read(call, searching.unpacked("/".join(call.path), sent.pairs), sent.unreadable, wrong)
    found, more = await _members(call, ident, asked)
    entries = [Entry(name, document["_id"], document["_json"], "match") for name, document in found]
    notes: tuple[Note, ...] = ()
    if not asked.types or asked.types - set(MEMBERS):
        referred, whole = await _referred(call, found, asked)
        entries += referred
        notes = () if whole else (_TOO_LARGE,)
    following = (found[-1][0], found[-1][1]["_id"]) if more else None
    shown = [one for one in entries if not asked.types or one.kind in asked.types]
    return Reply(200, _bundle(call, asked, shown, following, notes))


async def _members(call: Call, ident: str | None, asked: _Asked) -> tuple[list[tuple[str, Mapping[str, Any]]], bool]:
    """Return a page of the record, and whether there is more."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for kind in _kinds(call, asked):
        query = await _query(call, kind, ident, asked)
        wanted = asked.count + 1 - len(found)
        documents = await call.who.store.documents(
            kind, query, fields=_reference_fields(kind), sort=[("_id", 1)], limit=wanted, most=PAGE_BYTES
        )
        found += [(kind, document) for document in documents]
        room = min(asked.count, fitting([document for _, document in found], PAGE_BYTES))
        if len(found) > room:
            return found[:room], True
    return found, False


def _kinds(call: Call, asked: _Asked) -> Sequence[str]:
    kinds = [kind for kind in MEMBERS if may_read(call.who, kind)]
    if asked.types and asked.types <= set(MEMBERS):
        kinds = [kind for kind in kinds if kind in asked.types]
    if asked.after is not None:
        kinds = [kind for kind in kinds if MEMBERS.index(kind) >= MEMBERS.index(asked.after[0])]
    return kinds


async def _query(call: Call, kind: str, ident: str | None, asked: _Asked) -> dict[str, Any]:
    """Return the query for what of type `kind` is left of the record."""
    own: Mapping[str, Any] = {}
    compartment = None
    if kind == OWNER:
        own = {} if ident is None else {"_id": ident}
    elif ident is not None:
        compartment = (OWNER, ident)
    else:
        own = of_anybody(kind, call.base)
    after = {"_id": {"$gt": asked.after[1]}} if asked.after is not None and asked.after[0] == kind else {}
    span = asked.span if _SPAN in TYPES[kind].parameters else {}
    wanted = await _compiled(call, kind, asked, compartment)
    return {"$and": [part for part in (wanted, own, span, after) if part] or [{}]}


async def _compiled(call: Call, kind: str, asked: _Asked, compartment: tuple[str, str] | None = None) -> dict[str, Any]:
    """Return the query for what has changed, and lies in the compartment."""
    how = searching.reading(call.who, call.base, strict=True)
    wanted = engine.parse((kind,), asked.since, how, compartment)
    [compiled] = await engine.compiled(call.who.store, wanted)
    return compiled.query


def _reference_fields(kind: str) -> list[str]:
    fields = {one.field for one in TYPES[kind].parameters.values() if one.kind == "reference"}
    return [f"_index.{name}" for name in sorted(fields)]


async def _referred(
    call: Call, found: Sequence[tuple[str, Mapping[str, Any]]], asked: _Asked
) -> tuple[list[Entry], bool]:
    """Return what the resources of a page refer to, and whether that is all of it.

    It is of the types that are no part of a record, those to be read.
    """
    names = [name for _, document in found for name in _references(document, call.base)]
    entries: list[Entry] = []
    for kind, idents in by_kind(names).items():
        wanted = not asked.types or kind in asked.types
        if kind in MEMBERS or not wanted or not may_read(call.who, kind):
            continue
        query = {"$and": [{"_id": {"$in": idents}}, await _compiled(call, kind, asked)]}
        left = PAGE_BYTES - sum(len(one.raw) for one in entries)
        documents = await call.who.store.documents(kind, query, sort=[("_id", 1)], most=max(left, 1))
        for document in documents:
            left -= len(document["_json"])
            if left < 0:
                return entries, False
            entries.append(Entry(kind, document["_id"], document["_json"], "include"))
    return entries, True


def _references(document: Mapping[str, Any], base: str) -> Iterator[str]:
    for value in document.get("_index", {}).values():
        for one in value if isinstance(value, list) else (value,):
            yield relative(str(one), (base,))


def _read(call: Call, pairs: Pairs, unreadable: Sequence[str], faults: Faults) -> _Asked:
    """Read the parameters; `faults` has what is wrong with them already, and the `unreadable` ones are named there.

    Raises:
        Malformed: with each that it does not take, or that has a bad value.
    """
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in ("_format", "_pretty") and value:
            given.setdefault(name, []).append(value)
    for name in dict.fromkeys((*given, *unreadable)):
        if name not in (*_TAKES, *_PLACE):
            text = f"$everything does not take {name}. It takes {', '.join(_TAKES)}."
            faults.add(name, text, "not-supported")
        elif len(given.get(name, ())) > 1 and name != "_type":
            faults.add(name, f"{name} may be given once.")
    types = frozenset[str]()
    with faults.noted():
        types = _types(given.get("_type", ()))
    count = results.DEFAULT_COUNT
    with faults.noted():
        count = _count(given.get("_count", [str(count)])[0])
    span = dict[str, Any]()
    with faults.noted():
        span = _span(given, call.who.service.settings.zone)
    since = tuple(("_lastUpdated", f"ge{value}") for value in given.get("_since", ()))
    with faults.noted():
        _require_date(call, since)
    after = [given[name][0] for name in _PLACE if name in given]
    if after and (len(after) != len(_PLACE) or after[0] not in MEMBERS):
        faults.add(_PLACE[0], "That page link was changed, or is of another release. Ask again and follow the links.")
    faults.require_none()
    used = ((name, value) for name, values in given.items() if name not in _PLACE for value in values)
    place = (after[0], after[1]) if after else None
    return _Asked(searching.counted(used, count), types, span, since, count, place)


def _types(values: Sequence[str]) -> frozenset[str]:
    types = frozenset(searching.listed("_type", values))
    faults = Faults()
    for name in sorted(types - TYPES.keys()):
        text = f"This server has no {name}. It has: {', '.join(TYPES)}."
        faults.add("_type", text, "not-supported")
    faults.require_none()
    return types


def _count(text: str) -> int:
    try:
        return results.count(text, least=1)
    except SearchRefused:
        raise invalid("_count", "_count takes a number from 1.") from None


def _require_date(call: Call, since: Pairs) -> None:
    """Let pass what has changed since a date.

    Raises:
        Malformed: it is none.
    """
    try:
        engine.parse((OWNER,), since, searching.reading(call.who, call.base, strict=True))
    except SearchRefused:  # nothing else is asked
        raise invalid("_since", "_since takes an instant such as 2024-01-20T10:00:00Z.") from None


def _span(given: Mapping[str, Sequence[str]], zone: tzinfo) -> dict[str, Any]:
    """Return the query for what overlaps the time from the beginning of ``start`` to the end of ``end``.

    Appointments that have a start are looked for by that, as one index has it behind the patient.
    """
    fixed: dict[str, Any] = {}
    wished: dict[str, Any] = {}
    faults = Faults()
    for name, place, bound, at, beyond in (("start", "hi", 0, "$gte", "$gt"), ("end", "lo", 1, "$lt", "$lt")):
        if name in given:
            try:
                moment = span(repaired(given[name][0]), zone)[bound]
            except ValueError:
                faults.add(name, f"{name} takes a date such as 2024-01-20.")
            else:
                fixed[at], wished[place] = moment, {beyond: moment}
    faults.require_none()
    date, spans = (f"_index.{TYPES['Appointment'].parameters[one].field}" for one in ("date", _SPAN))
    return {"$or": [{date: fixed}, {date: None, spans: {"$elemMatch": wished}}]} if wished else {}


def _bundle(
    call: Call, asked: _Asked, entries: Sequence[Entry], following: tuple[str, str] | None, notes: Sequence[Note]
) -> bytes:
    path = "/".join(call.path)
    address = f"{call.base}/{path}"
    form = searching.form_of(call)
    own = (*asked.used, *_placed(asked.after), *form)
    links = [{"relation": "self", "url": searching.url(address, own)}]
    if following is not None:
        # Opaque: what was asked for may tell something about the patient.
        pairs = (*asked.used, *_placed(following))
        links.append(searching.following(address, path, pairs, form))
    body = orjson.dumps({"resourceType": "Bundle", "type": "searchset", "link": links})
    shown = [searching.entry(call.base, one) for one in entries]
    shown += [searching.told(call, notes)] if notes else []
    return body[:-1] + b',"entry":[' + b",".join(shown) + b"]}" if shown else body


def _placed(after: tuple[str, str] | None) -> Pairs:
    """Return the parameters of our links for what comes after a resource."""
    return () if after is None else tuple(zip(_PLACE, after, strict=True))
