"""Takes a batch or transaction Bundle apart: one `Entry` for each thing that is asked for.

https://hl7.org/fhir/R4/bundle.html. What is wrong with the Bundle itself refuses it whole; what is wrong with one entry
is kept with that entry, as a batch has only that one fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from adapter.errors import Malformed, Problem, Refused, TooLarge, Unprocessable
from adapter.fhir.bundles.urls import address, is_of_another, sharing
from adapter.fhir.call import MODIFIED_SINCE, Pairs
from adapter.fhir.operations import changes_state
from adapter.fhir.validation import strict_json
from adapter.fhir.validation.findings import Findings
from adapter.fhir.validation.structure import around, check_structure
from adapter.fhir.validation.walk import Walk
from store.codec import Resource

MAX_BUNDLE_ENTRIES = 1_000
"""More than this is not carried out as one request: a transaction would come near the time that it has."""

Kind = Literal["batch", "transaction"]

_BRINGING = ("POST", "PUT", "PATCH")
_PRECONDITIONS = {"ifMatch": "if-match", "ifNoneMatch": "if-none-match", "ifNoneExist": "if-none-exist"}
_VERSIONED = re.compile(r"/_history(/|$)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One interaction that a Bundle asks for.

    Attributes:
        index: its place in the Bundle.
        method: GET HEAD POST PUT PATCH DELETE.
        path: below the base, decoded.
        query: decoded pairs.
        full_url: what the other entries call its resource.
        resource: what it brings.
        headers: its preconditions, under the names that HTTP has for them.
    """

    index: int
    method: str
    path: tuple[str, ...]
    query: Pairs = ()
    full_url: str | None = None
    resource: Resource | None = None
    headers: Mapping[str, str] | None = None

    @property
    def reads(self) -> bool:
        """Whether it changes nothing: a read, a search, or an operation that only looks."""
        if self.operates:
            return not changes_state(self.path)
        return self.method in ("GET", "HEAD") or (bool(self.path) and self.path[-1].startswith("_"))

    @property
    def operates(self) -> bool:
        """Whether it calls an operation, whatever that does."""
        return any(part.startswith("$") for part in self.path)

    @property
    def writes(self) -> bool:
        """Whether it creates, updates, patches or deletes."""
        return not self.reads and not self.operates


@dataclass(frozen=True, slots=True)
class Parsed:
    """A Bundle that was taken apart.

    Attributes:
        kind: batch or transaction.
        size: how many entries it has.
        entries: those that can be carried out, in order.
        faults: what is wrong with the others, by their places.
    """

    kind: Kind
    size: int
    entries: tuple[Entry, ...]
    faults: Mapping[int, Refused]


def read(bundle: Resource | None, base: str, limit: int = MAX_BUNDLE_ENTRIES) -> Parsed:
    """Take a Bundle apart.

    Args:
        bundle: what was sent, as `strict_json.read_as_sent` reads it.
        base: of this server.
        limit: so many entries at most.

    Raises:
        Malformed: 400, it is no Bundle, or not one that FHIR allows. TooLarge: 413, it has too many entries.
        Unprocessable: 422, a Bundle of a kind that asks for nothing.
    """
    kind = _kind(bundle)
    entries = (bundle or {}).get("entry", [])
    if isinstance(entries, list) and len(entries) > limit:
        text = f"A Bundle has at most {limit} entries here, this one {len(entries)}. Send it in parts."
        raise TooLarge(Problem("too_many_entries", text, "Bundle.entry", issue="too-costly"))
    _require_sound(bundle or {})
    read_, faults = [], {}
    for index, raw in enumerate(entries):
        try:
            entry = _entry(index, raw, base)
            _require_sound_resource(entry)
            read_.append(entry)
        except Refused as refused:
            faults[index] = refused
    return Parsed(kind, len(entries), tuple(read_), faults)


def _kind(bundle: Resource | None) -> Kind:
    if bundle is None or bundle.get("resourceType") != "Bundle":
        text = "Send a Bundle of type batch or transaction here. A single resource is sent to its type: POST /Patient."
        raise Malformed(Problem("wrong_type", text, "Bundle", issue="structure"))
    kind = bundle.get("type")
    if kind == "batch" or kind == "transaction":
        return kind  # type: ignore[no-any-return]  # one of the two, as just seen
    if kind is None:
        raise Malformed(Problem("missing_element", "Bundle needs type. Add it.", "Bundle.type", issue="required"))
    findings = Findings()
    Walk(findings).resource({"resourceType": "Bundle", "type": kind}, "Bundle")
    if findings.all():  # no type that FHIR has
        raise Malformed(findings.all())
    text = "Only Bundles of type batch or transaction can be carried out; others are not stored here."
    raise Unprocessable(Problem("unsupported_bundle", text, "Bundle.type", issue="not-supported"))


def _require_sound(bundle: Resource) -> None:
    """Refuse a Bundle that is not as FHIR has it; the resources in it are judged where they are used."""
    bare, findings = around(bundle, "entry"), Findings()
    if check_structure(bare, findings, "Bundle"):
        Walk(findings).resource(bare, "Bundle")
    problems = findings.all() or list(_invariants(bundle))
    if problems:
        raise Malformed(problems)


def _invariants(bundle: Resource) -> Iterator[Problem]:
    """Yield the breaches of the invariants of Bundle (https://hl7.org/fhir/R4/bundle.html#invs)."""
    if "total" in bundle:
        yield _against("bdl-1", "Only the answer to a search or a history has a total. Leave it out.", "Bundle.total")
    entries = bundle.get("entry", [])
    first = {index: places[0] for places in sharing(entries, as_versions=True) for index in places[1:]}
    for index, entry in enumerate(entries):
        place = f"Bundle.entry[{index}]"
        if "request" not in entry:
            yield _against("bdl-3", "Each entry needs a request, with method and url. Add it.", f"{place}.request")
        if "search" in entry:
            yield _against("bdl-2", "Only the answer to a search has this. Leave it out.", f"{place}.search")
        if "response" in entry:
            yield _against("bdl-4", "Only an answer has a response. Leave it out.", f"{place}.response")
        full_url = entry.get("fullUrl")
        if full_url is None:
            continue
        if _VERSIONED.search(full_url):
            text = "A fullUrl names no version. Leave out /_history/ and what follows."
            yield _against("bdl-8", text, f"{place}.fullUrl")
        if index in first:
            text = f"Entry {first[index]} has this fullUrl, too. Give each entry one of its own."
            yield _against("bdl-7", text, f"{place}.fullUrl")


def _against(key: str, text: str, place: str) -> Problem:
    return Problem(key, f"{text} ({key})", place, issue="invariant")


def _entry(index: int, raw: Resource, base: str) -> Entry:
    request, resource = raw["request"], raw.get("resource")
    method: str = request["method"]
    try:
        path, query = address(request["url"], base)
    except ValueError as error:
        raise _refused(index, "bad_url", str(error), "request.url") from None
    entry = Entry(index, method, path, query, raw.get("fullUrl"), resource, _headers(request))
    if not path and method == "POST":
        text = "A Bundle in a Bundle is not carried out. Put its entries into this one."
        raise _refused(index, "nested_bundle", text, "request.url", "not-supported")
    if "if-none-exist" in (entry.headers or {}) and method != "POST":
        text = "ifNoneExist is for POST. For a conditional update, put the criteria into the url: PUT Patient?..."
        raise _refused(index, "bad_precondition", text, "request.ifNoneExist")
    if "resource" in raw and not isinstance(resource, dict):
        raise _refused(index, "wrong_type", "resource is an object, in { }.", "resource", "structure")
    # HTTP sends a form there, which is no resource.
    if resource is not None and method == "POST" and path[-1:] == ("_search",):
        text = "A search in a Bundle brings no resource. Put its parameters into the url: GET Patient?name=value."
        raise _refused(index, "search_with_body", text, "resource", "not-supported")
    if resource is None and method in _BRINGING and entry.writes:
        raise _refused(index, "missing_resource", f"{method} brings a resource. Add it.", "resource", "required")
    if _is_misnamed(entry):
        text = "The fullUrl is the address of another resource. Give the entry its own, or a urn:uuid."
        raise _refused(index, "id_mismatch", text, "fullUrl")
    return entry


def _is_misnamed(entry: Entry) -> bool:
    """Tell whether what an entry brings has the address of something else; the id that a POST brings is none."""
    if entry.full_url is None or entry.method not in _BRINGING or not entry.writes or not entry.path:
        return False
    given = (entry.resource or {}).get("id") if entry.method == "PUT" else None
    ident = entry.path[1] if len(entry.path) > 1 else given if isinstance(given, str) else None
    return is_of_another(entry.full_url, entry.path[0], ident)


def _require_sound_resource(entry: Entry) -> None:
    """Refuse an entry with a resource that is not as FHIR has its JSON, unless the whole of that is judged later.

    Whoever creates, updates or calls an operation is told of it beside all else that is wrong.
    """
    calls = entry.method == "POST" and "".join(entry.path[-1:]).startswith("$")
    judged = calls or (entry.writes and entry.method in ("POST", "PUT"))
    if entry.resource is not None and not judged:
        strict_json.require_structure(entry.resource)


def _headers(request: Resource) -> dict[str, str]:
    headers = {header: request[name] for name, header in _PRECONDITIONS.items() if name in request}
    if "ifModifiedSince" in request:
        try:
            moment = datetime.fromisoformat(request["ifModifiedSince"]).astimezone(UTC)
        except (ValueError, OverflowError):  # a leap second, or the year 1: nothing here was changed then
            return headers
        headers[MODIFIED_SINCE] = moment.isoformat()
    return headers


def _refused(index: int, code: str, text: str, where: str, issue: str = "value") -> Malformed:
    return Malformed(Problem(code, text, f"Bundle.entry[{index}].{where}", issue=issue, entry=index))
