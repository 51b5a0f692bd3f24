"""Is what is stored consistent in itself? The store's part of ``mediloop-fhir check``.

`_json`, the readable document and `_index` must say the same, by the rules of the declaration; every version must be in
the history, without gaps; no two resources share an identifier that must be unique; what is remembered for repeated
requests must be readable; a time in an extension must be one. Who may have which time is not decided here.

Everything is read in batches, each in a snapshot of its own (one moment of committed data, MongoDB's ``snapshot`` read
concern): memory stays flat, no snapshot is kept for long, and a write that happens meanwhile is seen whole or not at
all. The history's own order is the matter of `store.checking_history`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import bson
import orjson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.cursor import AsyncCursor

from store import revision
from store.codec import CODEC_OPTIONS, Resource, decode
from store.connection import bounded
from store.dates import span
from store.documents import Rules, compose, history_id
from store.extract import identifiers, instant, token, walk
from store.history import HISTORY
from store.reading import Moment
from store.staged import IDEMPOTENCY
from store.store import Store
from store.types import TYPES, ResourceType

BATCH = 1_000
SECONDS = 60.0  # for one call: nobody waits for an answer here
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument, tz_aware=True)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: a stable word for it (``overlap``).
        resource: what it is about (``Appointment/a``).
        message: one sentence, without anything about a patient.
        note: it may be meant so: hospitals set Slots busy by hand.
    """

    kind: str
    resource: str
    message: str
    note: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A batch that was looked at: of what, how many, and what is wrong."""

    what: str
    checked: int
    findings: list[Finding] = field(default_factory=list)


async def total(store: Store) -> int:
    """Return about how many documents there are to look at."""
    names = [*TYPES, HISTORY, IDEMPOTENCY]
    counts = [await bounded(store.database[name].estimated_document_count, SECONDS) for name in names]
    return sum(counts) + counts[names.index("Appointment")] + counts[names.index("Slot")]  # those are read twice


async def documents(store: Store, declared: ResourceType, batch: int = BATCH) -> AsyncIterator[Step]:
    """Hold every document of a type to its own bytes and to the newest entry of its history."""
    kind, after = declared.name, ""
    while True:
        async with store.moment(SECONDS) as view:
            found = await _raw(view, kind, after, batch)
            if not found:
                return
            findings = [flaw for one in found for flaw in _disagreements(declared, one, store.rules)]
            findings += await _unlike_history(view, kind, found)
            if store.rules.unique_systems:
                findings += await _doubles(view, kind, found, store.rules)
        yield Step(kind, len(found), findings)
        after = found[-1]["_id"]


async def _raw(view: Moment, kind: str, after: str, batch: int) -> list[RawBSONDocument]:
    collection = view.database.get_collection(kind, codec_options=_RAW)
    find: AsyncCursor[Any] = collection.find(
        {"_id": {"$gt": after}}, sort=[("_id", 1)], limit=batch, batch_size=batch + 1, session=view.session
    )
    raw: list[Any] = await bounded(find.to_list, SECONDS)
    return raw


def _disagreements(declared: ResourceType, found: RawBSONDocument, rules: Rules) -> list[Finding]:
    """Return in what a document, its bytes and its search values disagree."""
    name = f"{declared.name}/{found['_id']}"
    try:
        resource = decode(found["_json"])
        moment = instant(resource["meta"]["lastUpdated"])
        if resource["resourceType"] != declared.name or moment is None:
            raise ValueError("another type, or no meta.lastUpdated")  # noqa: TRY301  (all is told below)
        composed = compose(declared, resource, bytes(found["_json"]), moment, rules)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return [Finding("json", name, f"Its _json cannot be used: {error!r}.")]
    findings = [Finding("time", name, text) for text in _no_times(resource)]
    expected = bson.encode({"_id": composed.pop("_id"), **composed}, codec_options=CODEC_OPTIONS)
    if expected == found.raw:
        return findings
    right, wrong = bson.decode(expected), bson.decode(found.raw)
    members = _differing(right, wrong)
    if "_index" in members:
        filed = wrong.get("_index")
        fields = ", ".join(_differing(right["_index"], filed)) if isinstance(filed, dict) else "everything"
        text = f"Its _index says otherwise than its _json in: {fields}. `mediloop-fhir reindex` makes it anew."
        findings.append(Finding("index", name, text))
    readable = [member for member in members if member != "_index"]
    if readable:
        text = f"The document says otherwise than its _json in: {', '.join(readable)}. "
        findings.append(Finding("document", name, text + "`mediloop-fhir reindex` makes it anew from the _json."))
    return findings


def _no_times(resource: Resource) -> Iterator[str]:
    """Yield what is to be said of the resource's own extensions whose time is none: earlier releases wrote such."""
    for element in ("valueDateTime", "valueInstant"):
        for value in walk(resource, f"extension.{element}"):
            try:
                span(value, UTC)
            except (TypeError, ValueError):
                yield f"An extension of it has a {element} that is no time. Write one that is, or leave it out."


def _differing(right: Mapping[str, Any], wrong: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in right.keys() | wrong.keys() if right.get(name) != wrong.get(name))


async def _unlike_history(view: Moment, kind: str, found: Sequence[RawBSONDocument]) -> list[Finding]:
    """Return the documents that are not what their newest version is."""
    keys = {one["_id"]: _version_key(kind, one) for one in found}
    find = view.database[HISTORY].find({"_id": {"$in": list(keys.values())}}, {"_json": 1}, session=view.session)
    versions = {one["_id"]: one.get("_json") for one in await bounded(find.to_list, SECONDS)}
    findings: list[Finding] = []
    for one in found:
        key = keys[one["_id"]]
        if key not in versions:
            findings.append(Finding("history", f"{kind}/{one['_id']}", "Its present version is not in its history."))
        elif versions[key] != one.get("_json"):
            text = "Its present version says otherwise in its history."
            findings.append(Finding("history", f"{kind}/{one['_id']}", text))
    return findings


def _version_key(kind: str, found: RawBSONDocument) -> str:
    version = str((found.get("meta") or {}).get("versionId", ""))
    return history_id(kind, found["_id"], int(version)) if version.isdecimal() else ""


async def _doubles(view: Moment, kind: str, found: Sequence[RawBSONDocument], rules: Rules) -> list[Finding]:
    """Return the unique identifiers that several resources carry."""
    numbers = {
        name: one["_id"]
        for one in found
        for name in identifiers(_readable(one), "identifier")
        if name[0] in rules.unique_systems
    }
    if not numbers:
        return []
    tokens = [token(*name) for name in numbers]
    same = await view.documents(kind, {"_index.identifier": {"$in": tokens}})
    carried: Counter[tuple[str, str]] = Counter()
    carriers: dict[tuple[str, str], list[str]] = {}
    for one in same:
        for name in identifiers(_readable(one), "identifier"):
            carried[name] += 1
            carriers.setdefault(name, []).append(one["_id"])
    return [
        Finding("number", f"{kind}/{ident}", f"Its number {name[1]} is also that of {others}.")
        for name, ident in numbers.items()
        if carried[name] > 1 and ident == max(carriers[name])
        for others in [", ".join(f"{kind}/{other}" for other in sorted(carriers[name]) if other != ident)]
    ]


def _readable(found: Mapping[str, Any]) -> dict[str, Any]:
    try:
        resource = orjson.loads(found["_json"])
    except (KeyError, ValueError):
        return {}
    return resource if isinstance(resource, dict) else {}


async def remembered(store: Store, batch: int = BATCH) -> AsyncIterator[Step]:
    """Make sure that what is remembered for repeated requests can be given again."""
    after: Any = ""
    while True:
        async with store.moment(SECONDS) as view:
            find = view.database[IDEMPOTENCY].find(
                {"_id": {"$gt": after}}, sort=[("_id", 1)], limit=batch, session=view.session
            )
            found = await bounded(find.to_list, SECONDS)
        if not found:
            return
        yield Step(IDEMPOTENCY, len(found), [_unreadable(one["_id"]) for one in found if not _repeatable(one)])
        after = found[-1]["_id"]


def _unreadable(key: object) -> Finding:
    text = "What is remembered for a repeated request cannot be read: it would fail, and expires in 24 hours."
    return Finding("idempotency", f"{IDEMPOTENCY}/{key}", text)


def _repeatable(found: Mapping[str, Any]) -> bool:
    try:
        orjson.loads(found["body"])
    except (KeyError, TypeError, ValueError):
        return False
    status, fingerprint = found.get("status"), found.get("fingerprint")
    return isinstance(status, int) and 200 <= status < 600 and isinstance(fingerprint, str) and "at" in found


async def rules(store: Store) -> list[Finding]:
    """Return whether what is stored is filed by other rules than the present ones."""
    if not await bounded(lambda: revision.is_due(store.database, store.rules), SECONDS):
        return []
    text = (
        "What is stored was made searchable by another release or under other settings, at least in part: somebody may "
        "be booked twice. Stop the service everywhere, run `mediloop-fhir reindex`, and start it again."
    )
    return [Finding("reindex-due", store.database.name, text)]


async def indexes(store: Store) -> list[Finding]:
    """Return the declared indexes that are not there, and as notes those that are there and not declared."""
    findings: list[Finding] = []
    for kind, declared in TYPES.items():
        there = await bounded(store.database[kind].index_information, SECONDS)
        names = {str(model.document["name"]) for model in declared.index_models()}
        lacking = sorted(names - there.keys())
        if lacking:
            text = f"It lacks the indexes {', '.join(lacking)}: start the service or run `mediloop-fhir reindex`."
            findings.append(Finding("missing-index", kind, text))
        for name in sorted(there.keys() - names - {"_id_"}):
            text = (
                "This release does not use an index of it, which each write fills. If it is not of your own making, "
                f"and no older release serves: db.{kind}.dropIndex({json.dumps(name)})"
            )
            findings.append(Finding("unused-index", kind, text, note=True))
    return findings
