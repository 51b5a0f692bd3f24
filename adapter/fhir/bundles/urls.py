"""What the URL of an entry means, a path below the base and the pairs of a query; and what its fullUrl must not be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

from adapter.fhir.call import Pairs
from adapter.fhir.references import comparable
from adapter.fhir.validation.definitions import resource_types
from store.extract import reference, spellings, type_of

_SEGMENT = re.compile(r"[A-Za-z0-9\-.]{1,64}|_search|_history|\$[a-z\-]+|\*")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_MOST = 1_000


def address(url: str, base: str) -> tuple[tuple[str, ...], Pairs]:
    """Return the path below the base, decoded, and the pairs of the query.

    Args:
        url: of a Bundle's entry: relative to the base (``Patient/123``, ``Patient?name=x``, ``/Patient``), or absolute
            below it.
        base: of this server, without a slash at its end; by http and by https it is one.

    Raises:
        ValueError: it leads nowhere here; the text says why, and what to write.
    """
    own = next((one for one in spellings(base) if url == one or url.startswith((f"{one}/", f"{one}?"))), None)
    if own is not None:
        url = url[len(own) :].removeprefix("/")
    elif _ABSOLUTE.match(url):
        raise ValueError("The URL leads to another server. Write it relative to this one: Patient/123.")
    else:
        url = url.removeprefix("/")  # other servers read it so, and nothing else can be meant
    if "#" in url:
        raise ValueError("The URL has a fragment (#...). Leave it out.")
    path, _, query = url.partition("?")
    segments = tuple(unquote(part, errors="replace") for part in path.split("/")) if path else ()
    if not all(_SEGMENT.fullmatch(part) for part in segments):
        raise ValueError("The URL is none of this server's. Write it as Patient, Patient/123 or Patient?name=value.")
    return segments, pairs(query)


def pairs(query: str) -> Pairs:
    """Return the decoded pairs of a query (``a=b&c=d``).

    Raises:
        ValueError: it is not UTF-8, or has more than a thousand.
    """
    try:
        return tuple(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MOST)) if query else ()
    except ValueError as error:
        raise ValueError("The query cannot be read. Write it as UTF-8, percent-encoded: name=value.") from error


def is_of_another(full_url: str, kind: str, ident: str | None) -> bool:
    """Tell whether a fullUrl is the address of another resource than this one (`ident`: None where it is not known).

    https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl: it does not disagree with the id. Who named
    that other resource would mean this one. A name of another form (``urn:uuid:``, any URL) stands for nothing else.
    """
    named = type_of(full_url)
    if named is None or named not in resource_types():
        return False
    return named != kind or (ident is not None and reference(full_url) != f"{kind}/{ident}")


def sharing(entries: Sequence[Any], *, as_versions: bool = False) -> list[list[int]]:
    """Return the places of the entries that have one fullUrl (bdl-7); entries that are none have no fullUrl.

    `as_versions`: what says that it is another version of the resource may have it, too
    (https://hl7.org/fhir/R4/bundle.html#invs).
    """
    places: dict[tuple[str, object], list[int]] = {}
    for index, entry in enumerate(entries):
        full_url = entry.get("fullUrl") if isinstance(entry, dict) else None
        if isinstance(full_url, str):
            version = _version(entry) if as_versions else None
            places.setdefault((comparable(full_url), version), []).append(index)
    return [found for found in places.values() if len(found) > 1]


def _version(entry: dict[str, Any]) -> object:
    meta = entry["resource"].get("meta") if isinstance(entry.get("resource"), dict) else None
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None
