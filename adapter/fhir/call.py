"""One FHIR interaction as values: what HTTP and the entries of a Bundle have in common.

The router makes a `Call` of a request, a Bundle makes one of each entry; the same functions answer both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from adapter.errors import Malformed, Problem
from adapter.security.callers import Caller
from store.codec import Resource
from store.remembering import remembered

Pairs = tuple[tuple[str, str], ...]

LONGEST_URL = 65_535
"""The most characters of an address that the HTTP parser takes (`adapter.protocol`)."""

MOST_PARAMETERS = 1_000
"""So many parameters a request may have."""

MODIFIED_SINCE = "modified-since"
"""In the headers of a Bundle's entry: ``if-modified-since`` as an instant, to the millisecond. HTTP has none so fine,
and no request brings this name (`adapter.fhir.router`)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One interaction.

    Attributes:
        who: the caller.
        base: the service's root as this caller sees it (``http://host/fhir/R4``).
        method: GET HEAD POST PUT PATCH DELETE.
        path: below the base: ``("Appointment", "123", "_history", "2")``; empty for the root.
        query: decoded pairs, in order.
        headers: of the request, names in lower case.
        body: the resource that was sent, read strictly.
        patch: a JSON Patch document; a FHIRPath Patch comes as `body`, a Parameters resource.
        large: whether what was sent is so large that it is judged beside other requests (`adapter.aside`).
    """

    who: Caller
    base: str
    method: str
    path: tuple[str, ...]
    query: Pairs = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Resource | None = None
    patch: list[Any] | None = None
    large: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer.

    Attributes:
        status: of HTTP.
        body: JSON.
        headers: that belong to it (ETag, Location, Last-Modified).
        moment: when the version shown was made, if it is one: an entry of a Bundle tells more of it than a header.
        version: that a write has left (``Patient/123/_history/2``): an entry of a Bundle tells of it where HTTP, for
            what is not new, does not.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    moment: str | None = None
    version: str | None = None


@remembered(1_024)
def pairs_of(raw: bytes) -> Pairs:
    """Read ``a=b&c=d``.

    Raises:
        Malformed: it is not UTF-8, or has too many parts.
    """
    if not raw:
        return ()
    if raw.count(b"&") >= MOST_PARAMETERS:
        text = f"There are more than {MOST_PARAMETERS} parameters. Send fewer: one takes several values, with commas."
        raise Malformed(Problem("invalid_search", text, None, issue="too-costly"))
    try:
        return tuple(parse_qsl(raw.decode(), keep_blank_values=True, errors="strict"))
    except ValueError:
        problem = Problem("invalid_search", "The parameters cannot be read. Send them as UTF-8, percent-encoded.", None)
        raise Malformed(problem) from None
