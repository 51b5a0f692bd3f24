"""The answer to a Bundle: an entry for each, in the order in which they were asked for.

Made of bytes: resources are put in as they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import orjson

from adapter.errors import Problem, Refused, TooLarge
from adapter.fhir import negotiation, outcome
from adapter.fhir.bundles.reading import Entry
from adapter.fhir.call import Call, Reply

MAX_ANSWER_BYTES = 64_000_000
"""How large the answer to a Bundle becomes: it is made in memory, and a thousand short reads may each ask for all there
is. An answer of a thousand resources of the largest usual size has a fifth."""


class Budget:
    """What is left of the bytes that one answer may have."""

    def __init__(self) -> None:
        self._left = MAX_ANSWER_BYTES

    @property
    def is_spent(self) -> bool:
        """Whether something has not fitted already."""
        return self._left < 0

    def takes(self, size: int) -> bool:
        """Tell whether so many bytes still fit; they are spent then, and where they do not fit, all is."""
        self._left -= size
        return not self.is_spent


def beyond() -> TooLarge:
    """Return the refusal of what would have made the answer too large."""
    text = (
        f"The answer would have more than {MAX_ANSWER_BYTES} bytes. Ask for what was left out in another Bundle, "
        "or for less of it with _count or _elements."
    )
    return TooLarge(Problem("answer_too_large", text, issue="too-costly"))


def bundle(kind: str, entries: Sequence[bytes]) -> Reply:
    """Return the answer to a Bundle of type `kind`."""
    head = b'{"resourceType":"Bundle","type":"%b-response"' % kind.encode()
    if not entries:
        return Reply(200, head + b"}")
    parts = [one for entry in entries for one in (b",", entry)][1:]
    return Reply(200, b"".join((head, b',"entry":[', *parts, b"]}")))


def body_of(method: str, reply: Reply) -> bytes:
    """Return what an entry has of the body of its reply: of a HEAD nothing."""
    return b"" if method == "HEAD" else reply.body


def replied(call: Call, entry: Entry, reply: Reply) -> bytes:
    """Return the entry for an interaction that was answered by itself."""
    response = {"status": _status(reply.status)}
    # An export that was begun is found at its status (https://hl7.org/fhir/R4/async.html), which is absolute.
    location = reply.version or reply.headers.get("Location", reply.headers.get("Content-Location"))
    if location is not None:
        response["location"] = location.removeprefix(f"{call.base}/")
    if "ETag" in reply.headers:
        response["etag"] = reply.headers["ETag"]
    if reply.moment is not None:
        response["lastModified"] = reply.moment
    body = body_of(entry.method, reply) or None
    if entry.writes and negotiation.preferences(call.headers.get("prefer")).returns == "OperationOutcome":
        return _entry(response, told=body)
    return _entry(response, body)


def failed(call: Call, refused: Refused) -> bytes:
    """Return the entry for what was refused."""
    response = {"status": _status(refused.status)}
    if "ETag" in refused.headers:  # of the version with which it was deleted
        response["etag"] = refused.headers["ETag"]
    return _entry(response, told=outcome.outcome(refused, _canonical(call), call.who.key))


def _canonical(call: Call) -> str:
    return call.who.service.settings.canonical_base


def _status(code: int) -> str:
    return f"{code} {HTTPStatus(code).phrase}"


def _entry(response: Mapping[str, str], resource: bytes | None = None, told: bytes | None = None) -> bytes:
    said = orjson.dumps(response)
    if told is not None:
        said = said[:-1] + b',"outcome":%b}' % told
    return b'{"response":%b}' % said if resource is None else b'{"resource":%b,"response":%b}' % (resource, said)
