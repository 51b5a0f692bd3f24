"""A file taken apart into items: lines of NDJSON, entries of a Bundle, objects of a MediLoop list.

What kind of file it is stands in its first bytes: a JSON document over several lines, or one whose first line is a
Bundle or a list of MediLoop's, is read whole; everything else goes line by line, with memory for one line.
"""

from __future__ import annotations

import codecs
import gzip
import re
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from adapter.errors import Malformed, Problem, Refused
from adapter.fhir.bundles.references import Names, rewriting
from adapter.fhir.validation import strict_json
from adapter.importing.fetching import SourceError
from adapter.importing.sources import Source
from store.codec import Resource
from store.types import TYPES

RANKS = (
    ("Organization", "Location", "Patient", "Practitioner"),
    ("HealthcareService", "PractitionerRole", "RelatedPerson", "Group"),
    ("Schedule",),
    ("Slot",),
    ("Appointment", "MediLoop"),
    ("AppointmentResponse",),
)
"""The passes: what a type refers to comes before it. MediLoop's objects become Appointments."""

_RANK = {kind: rank for rank, kinds in enumerate(RANKS) for kind in kinds}
_HEAD = re.compile(rb'\s*\{\s*"resourceType"\s*:\s*"([A-Za-z]+)"')
_BUNDLES = ("collection", "searchset", "transaction", "batch", "document", "history")
_URN = "urn:uuid:"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(slots=True)
class Item:
    """One thing to import.

    Attributes:
        line: its number in the file from 1; of a Bundle or list, the number of the entry.
        raw: its JSON; None for an entry of a Bundle that has been read.
        kind: its FHIR type; ``MediLoop`` for an object of that API; empty where neither can be told.
        value: what was read of it.
        fault: why it cannot be imported.
    """

    line: int
    raw: bytes
    kind: str = ""
    value: Any = None
    fault: Refused | None = None

    @property
    def rank(self) -> int:
        """The pass that it belongs to; what is of no type that is stored is told of in the first."""
        return _RANK.get(self.kind, 0)


def items(source: Source, wanted: int | None = None, after: int = 0) -> Iterator[Item]:
    """Yield the items of a file in order.

    Args:
        source: the file.
        wanted: only those of this rank.
        after: only those after this line.

    Raises:
        SourceError: it is packed, and spoilt or cut off.
    """
    try:
        yield from _items(source, wanted, after)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{source.name}: it cannot be unpacked ({error}). Fetch it again.") from error


def _items(source: Source, wanted: int | None, after: int) -> Iterator[Item]:
    with source.open() as file:
        first = file.readline().removeprefix(codecs.BOM_UTF8)  # as Windows writes it
        whole = _is_document(first)
        if whole:
            raw = first + file.read()
        else:
            for line, text in enumerate(_lines(first, file), 1):
                if line > after and not text.isspace():
                    item = _line(line, text)
                    if wanted is None or item.rank == wanted:
                        yield item
            return
    for item in _document(raw) if raw.strip() else ():
        if item.line > after and (wanted is None or item.rank == wanted):
            yield item


def _lines(first: bytes, file: Any) -> Iterator[bytes]:
    if first:
        yield first
    yield from file


def _is_document(first: bytes) -> bool:
    """Tell whether the file is one JSON document, not lines of them, by its first line."""
    found = _HEAD.match(first)
    if found is not None and found[1] not in (b"Bundle",) and first.rstrip().endswith(b"}"):
        return False
    try:
        value = orjson.loads(first)
    except orjson.JSONDecodeError:
        # A document over several lines, or a first line that is spoilt: only the former begins like one.
        return first.strip() in (b"{", b"[", b"") or (found is not None and b"}" not in first)
    if isinstance(value, list):
        return True
    return isinstance(value, dict) and (value.get("resourceType") == "Bundle" or isinstance(value.get("results"), list))


def _line(line: int, raw: bytes) -> Item:
    item = Item(line, raw.strip())
    found = _HEAD.match(raw)
    if found is not None:
        item.kind = found[1].decode()
        return item
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return item
    item.kind = _kind(value)
    return item


def _kind(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    kind = value.get("resourceType")
    if kind is None:
        return "MediLoop" if "start_time" in value or "appointment_number" in value else ""
    return kind if isinstance(kind, str) else ""


def read(item: Item) -> Any:
    """Return the parsed JSON of an item.

    Raises:
        Malformed: it is no JSON object, or of no type that is stored.
    """
    if item.fault is not None:
        raise item.fault
    if item.kind == "MediLoop":
        return orjson.loads(item.raw)  # as `_kind` has; its nulls are no fault
    value = strict_json.read(item.raw) if item.value is None else item.value
    if item.kind not in TYPES:
        text = f"Resources of this type are not stored here; these are: {', '.join(TYPES)}."
        raise Malformed(Problem("unknown_type", text, "resourceType", issue="not-supported"))
    return value


def _document(raw: bytes) -> Iterator[Item]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        problem = Problem("invalid_json", f"The file is no JSON that can be read: {error}.", issue="structure")
        yield Item(1, raw[:1_000], fault=Malformed(problem))
        return
    if isinstance(document, dict) and document.get("resourceType") == "Bundle":
        yield from _entries(strict_json.read(raw))
        return
    listed = document.get("results") if isinstance(document, dict) else document
    if isinstance(document, dict) and "resourceType" in document:
        listed = [document]
    for line, value in enumerate(listed if isinstance(listed, list) else [document], 1):
        yield Item(line, orjson.dumps(value), _kind(value))


def _entries(bundle: Resource) -> Iterator[Item]:
    """Yield the resources of a Bundle under the ids that they keep, their references following them.

    An entry of a transaction that has only a ``urn:uuid`` gets that as its id: imported again, it is the same resource.
    """
    entries = bundle.get("entry")
    entries = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    names = Names("")
    for entry in entries:
        resource, url = entry.get("resource"), entry.get("fullUrl")
        if isinstance(resource, dict) and isinstance(url, str):
            if "id" not in resource and url.startswith(_URN) and _ID.fullmatch(url.removeprefix(_URN)):
                resource["id"] = url.removeprefix(_URN)
            if isinstance(resource.get("id"), str) and isinstance(resource.get("resourceType"), str):
                names.add(url, f"{resource['resourceType']}/{resource['id']}")
    for line, entry in enumerate(entries, 1):
        found = _entry(line, entry, names)
        if found is not None:
            yield found


def _entry(line: int, entry: Resource, names: Names) -> Item | None:
    resource = entry.get("resource")
    mode = entry["search"].get("mode") if isinstance(entry.get("search"), dict) else None
    if mode == "outcome":
        return None  # it is about the search
    request = entry.get("request")
    method = request.get("method") if isinstance(request, dict) else None
    if not isinstance(resource, dict) or method in ("DELETE", "PATCH", "GET", "HEAD"):
        text = "Only entries with a resource to store are imported: PUT, POST, or no request at all."
        fault = Malformed(Problem("not_importable", text, "Bundle.entry.request", issue="not-supported"))
        return Item(line, orjson.dumps(entry, default=str), fault=fault)
    url = entry.get("fullUrl")
    try:
        value = rewriting(names.seen_from(url if isinstance(url, str) else None)).resource(resource)
    except (LookupError, TypeError, ValueError, AttributeError):  # of no FHIR shape: validation says what is wrong
        value = resource
    return Item(line, b"", _kind(value), value)


def name_without_id(item_kind: str, text: str) -> str:
    """Return the id for what has none: always the same one for the same thing."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"mediloop-fhir:import:{item_kind}:{text}"))
