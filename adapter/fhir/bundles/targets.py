"""What an entry of a Bundle writes to, as its URL and its headers tell."""

from __future__ import annotations

import uuid

from adapter.fhir.bundles.reading import Entry
from adapter.fhir.call import Pairs
from adapter.fhir.conformance import DEFINITIONS
from adapter.fhir.refusing import not_allowed, unknown_type
from adapter.fhir.shaping import SHOWN_BY
from store.extract import relative
from store.types import TYPES


def kind_of(entry: Entry) -> str:
    """Return the resource type that an entry writes to.

    Raises:
        NotFound: there is none of that name. MethodNotAllowed: not there, by that method.
    """
    if not entry.path:
        raise not_allowed("GET", "HEAD")
    kind = entry.path[0]
    if kind in DEFINITIONS:
        raise not_allowed("GET", "HEAD")
    if kind not in TYPES:
        raise unknown_type(kind)
    if len(entry.path) > 2:
        raise not_allowed("GET", "HEAD")
    if entry.method == "POST" and len(entry.path) == 2:
        raise not_allowed("GET", "HEAD", "PUT", "PATCH", "DELETE")
    return kind


def criteria_of(entry: Entry) -> Pairs | None:
    """Return the criteria by which a PUT, PATCH or DELETE finds its resource; None where its URL names that."""
    if entry.method == "POST" or len(entry.path) > 1:
        return None
    return tuple(pair for pair in entry.query if pair[0] not in SHOWN_BY)


def is_conditional(entry: Entry) -> bool:
    """Tell whether it is only known within the transaction which resource an entry makes or changes."""
    return "if-none-exist" in (entry.headers or {}) or (entry.method in ("PUT", "PATCH") and len(entry.path) == 1)


def ident_of(entry: Entry) -> str:
    """Return the id that the resource of an entry has, or is called by until it is known which one that is."""
    return entry.path[1] if len(entry.path) > 1 else str(uuid.uuid4())


def is_named(entry: Entry, full_url: str, bases: tuple[str, ...]) -> bool:
    """Tell whether the others may mean this entry by its fullUrl: not by an address that its resource keeps here."""
    return entry.method != "DELETE" and relative(full_url, bases) != "/".join(entry.path)
