"""A JSON document taken apart into items: a Bundle, a list of MediLoop's, an array.

Each entry is judged by itself: what is wrong with one of them is told as its fault, and the others come in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from adapter.errors import Malformed, Problem
from adapter.fhir.bundles.urls import is_of_another, sharing
from adapter.fhir.validation.findings import Findings, Place
from adapter.fhir.validation.structure import Repeated, as_object, check_structure
from adapter.importing import mediloop
from adapter.importing.criteria import sought
from adapter.importing.item import Item, kind_of
from adapter.importing.lines import SHOWN
from adapter.importing.naming import Naming
from adapter.importing.unwritable import is_writable, softened, spelled
from store.codec import Resource, encode, parse

_TARGET = re.compile(r"(?:\S*/)?(?P<kind>[A-Z][A-Za-z]+)/(?P<ident>[A-Za-z0-9\-.]{1,64})")
_BY_NAME = b'"reference":"urn:'  # as `encode` writes what may refer to another entry


def listed(document: Any) -> bool:
    """Tell whether parsed JSON is a document of several items: a Bundle, an array, a list as MediLoop returns it."""
    if isinstance(document, dict):
        return document.get("resourceType") == "Bundle" or isinstance(document.get("results"), list)
    return isinstance(document, list)


def is_page(value: Any) -> bool:
    """Tell whether parsed JSON is a page of a list as MediLoop returns it."""
    return isinstance(value, dict) and "resourceType" not in value and isinstance(value.get("results"), list)


def entries(document: Any) -> Iterator[Item]:
    """Yield the items of a document that is `listed`, read exactly, with repeated names noted (`as_object`)."""
    if isinstance(document, Repeated):
        said = ", ".join(document.names)
        problem = Problem("duplicate_key", f"Given twice: {said}. What is meant cannot be told; give it once.")
        yield _refused(document, problem)
    elif isinstance(document, dict) and document.get("resourceType") == "Bundle":
        yield from _bundle(document)
    else:
        for line, value in enumerate(_objects(document["results"] if isinstance(document, dict) else document), 1):
            yield _value(line, value)


def _objects(values: Iterable[Any]) -> Iterator[Any]:
    """Yield what stands in an array, and of pages in it (`jq -s`) what stands in them."""
    for value in values:
        if is_page(value) and not isinstance(value, Repeated):
            yield from value["results"]
        else:
            yield value


def deletions(line: int, raw: bytes) -> Iterator[Item]:
    """Yield what a line of a file of deletions deletes, a transaction as a bulk export writes it; numbered from `line`.

    https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status
    """
    try:
        document = parse(raw, as_object=as_object, checked=False)
    except ValueError:
        yield Item(line, raw, fault=Malformed(Problem("invalid_json", "The line is not JSON.", issue="structure")))
        return
    given = document.get("entry") if isinstance(document, dict) and document.get("resourceType") == "Bundle" else None
    if not isinstance(given, list) or isinstance(document, Repeated):
        yield _no_deletion(line, document)
        return
    for number, entry in enumerate(given, line):
        target = deleted(entry)
        if target is None:
            yield _no_deletion(number, entry)
        elif not is_writable(entry):
            yield Item(number, spelled(entry)[:SHOWN], fault=_unwritable("Bundle.entry"))
        else:
            yield Item(number, encode(entry), target[0], deletes=True)


def deleted(entry: Any) -> tuple[str, str] | None:
    """Return type and id of what an entry of a Bundle deletes; None for what is no such entry."""
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict) or request.get("method") != "DELETE" or "resource" in entry:
        return None
    url = request.get("url")
    target = _TARGET.fullmatch(url) if isinstance(url, str) else None
    return None if target is None else (target["kind"], target["ident"])


def _no_deletion(line: int, value: Any) -> Item:
    text = "Of a file of deletions only transactions are imported whose entries are a DELETE of Type/id each."
    fault = Malformed(Problem("not_importable", text, "Bundle.entry.request", issue="not-supported"))
    return Item(line, spelled(value)[:SHOWN], fault=fault)


def _refused(document: Any, problem: Problem) -> Item:
    return Item(1, spelled(document)[:SHOWN], fault=Malformed(problem))


def _value(line: int, value: Any) -> Item:
    kind = kind_of(value)
    if not is_writable(value):
        return Item(line, spelled(value), kind)  # refused where it is read, as on a line of its own
    if not isinstance(value, dict) or kind == "MediLoop":
        return Item(line, encode(value), kind, fault=mediloop.repeated(value))
    return Item(line, b"", kind, value, _fault(value, f"[{line - 1}]"))


def _fault(value: Resource, place: Place) -> Malformed | None:
    findings = Findings()
    check_structure(value, findings, place)
    return Malformed(findings.all()) if findings.problems else None


def _bundle(bundle: Resource) -> Iterator[Item]:
    """Yield the resources of a Bundle; what refers to another one of it follows that one.

    One without an id is whatever carries its identifiers, and else gets its ``urn:uuid`` as its id, or one that is made
    of its fullUrl: imported again, it is the same resource.
    """
    if bundle.get("type") == "history":
        text = (
            "A Bundle of type history holds old versions beside the current ones. "
            "Import the current resources: a search, or a bulk export."
        )
        yield _refused(bundle, Problem("not_importable", text, "Bundle.type", issue="not-supported"))
        return
    given = bundle.get("entry", [])
    if not isinstance(given, list):
        text = "Bundle.entry is no list. Give a list of entries."
        yield _refused(bundle, Problem("wrong_type", text, "Bundle.entry", issue="structure"))
        return
    faults: dict[int, Malformed] = {}
    names = Naming(by_criteria=bundle.get("type") == "transaction")
    plain = [entry if is_writable(entry) else softened(entry) for entry in given]
    for line, entry in enumerate(plain, 1):
        fault = _unfit(line, entry) or (None if entry is given[line - 1] else _unwritable(f"Bundle.entry[{line - 1}]"))
        if isinstance(entry, dict):
            names.add(line, entry, faulty=fault is not None)
        if fault is not None:
            faults[line] = fault
    for line, refused in (*_misnamed(plain), *_shared(plain)):
        faults.setdefault(line, refused)
        names.close(line, plain[line - 1])
    found = [
        _entry(line, entry, names) if line not in faults else _faulty(line, entry, faults[line])
        for line, entry in enumerate(given, 1)
    ]
    names.settle(item for item in found if item is not None)
    yield from (item for item in found if item is not None)


def _misnamed(given: Sequence[Any]) -> Iterator[tuple[int, Malformed]]:
    """Yield the number of each entry whose fullUrl is the address of another resource, with its refusal."""
    for index, entry in enumerate(given):
        resource, url = (entry.get("resource"), entry.get("fullUrl")) if isinstance(entry, dict) else (None, None)
        if not isinstance(resource, dict) or not isinstance(url, str) or _is_outcome(entry):
            continue
        kind, ident = resource.get("resourceType"), resource.get("id")
        if isinstance(kind, str) and is_of_another(url, kind, ident if isinstance(ident, str) else None):
            text = "The fullUrl is the address of another resource. Give the entry its own, or a urn:uuid."
            yield index + 1, Malformed(Problem("id_mismatch", text, f"Bundle.entry[{index}].fullUrl", issue="value"))


def _shared(given: Sequence[Any]) -> Iterator[tuple[int, Malformed]]:
    """Yield the number of each entry that shares its fullUrl with another one, with its refusal.

    What is one resource by its id may be there twice, as on two pages of a search.
    """
    for places in sharing(given):
        if len({_stated(given[place]) for place in places}) > 1 or _stated(given[places[0]]) is None:
            first, second, *_ = places
            for place in places:
                yield place + 1, _shares(place + 1, (second if place == first else first) + 1)


def _stated(entry: Resource) -> tuple[str, str] | None:
    resource = entry.get("resource")
    if not isinstance(resource, dict) or "id" not in resource:
        return None
    return (str(resource.get("resourceType")), str(resource["id"]))


def _shares(line: int, other: int) -> Malformed:
    text = f"Entry {other} has this fullUrl, too. Give each entry one of its own. (bdl-7)"
    return Malformed(Problem("bdl-7", text, f"Bundle.entry[{line - 1}].fullUrl", issue="invariant"))


def _unwritable(place: str) -> Malformed:
    text = "The entry has text or a number that JSON cannot carry, or is nested too deeply. Correct it."
    return Malformed(Problem("invalid_json", text, place, issue="structure"))


def _unfit(line: int, entry: Any) -> Malformed | None:
    """Return why an entry is none that can be looked into; let a PUT give its resource the id that it goes to."""
    place = f"Bundle.entry[{line - 1}]"
    if not isinstance(entry, dict):
        text = "An entry is an object with a resource. Correct or remove it."
        return Malformed(Problem("wrong_type", text, place, issue="structure"))
    fault = _fault(entry, place)
    if fault is not None:
        return fault
    try:
        sought(entry, place)
    except Malformed as refused:
        return refused
    resource, request = entry.get("resource"), entry.get("request")
    if not isinstance(resource, dict) or not isinstance(request, dict) or request.get("method") != "PUT":
        return None
    url = request.get("url")
    target = _TARGET.fullmatch(url) if isinstance(url, str) else None
    if target is None:
        return None  # conditional
    stated = f"{resource.get('resourceType')}/{resource.setdefault('id', target['ident'])}"
    if stated == f"{target['kind']}/{target['ident']}":
        return None
    text = "The PUT goes to another resource than the one that is given with it. Give both the same type and id."
    return Malformed(Problem("id_mismatch", text, f"{place}.request.url", issue="value"))


def _faulty(line: int, entry: Any, fault: Malformed) -> Item:
    resource = entry.get("resource") if isinstance(entry, dict) else None
    shown = resource if isinstance(resource, dict) else entry
    raw = spelled(shown)
    return Item(line, raw, kind_of(shown), fault=fault, entry=spelled(entry) if _BY_NAME in raw else b"")


def _is_outcome(entry: Resource) -> bool:
    """Tell whether an entry is about the search that found the others."""
    return isinstance(entry.get("search"), dict) and entry["search"].get("mode") == "outcome"


def _entry(line: int, entry: Resource, names: Naming) -> Item | None:
    resource = entry.get("resource")
    if _is_outcome(entry):
        return None
    request = entry.get("request")
    method = request.get("method") if isinstance(request, dict) else None
    if not isinstance(resource, dict) or method in ("DELETE", "PATCH", "GET", "HEAD"):
        text = (
            "Only entries with a resource to store are imported: PUT, POST, or no request at all. Deletions come from "
            "the files that a bulk manifest lists as deleted: import the manifest, or its folder."
        )
        fault = Malformed(Problem("not_importable", text, "Bundle.entry.request", issue="not-supported"))
        return Item(line, encode(entry), fault=fault)
    return names.item(line, entry, resource)
