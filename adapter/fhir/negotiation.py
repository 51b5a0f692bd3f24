"""What the headers and the result parameters of a request ask for: formats, preferences, versions, dates.

Pure functions. Sources: https://hl7.org/fhir/R4/http.html#mime-type, RFC 9110 (Accept, ETag, dates), RFC 7240
(Prefer). What is asked for in one request is asked for in the next one too, so the answers are remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers

from adapter.errors import Malformed, NotAcceptable, Problem, UnsupportedMediaType
from adapter.scheduling.road import IDEMPOTENCY_HEADER
from store.remembering import remembered

FHIR_JSON = "application/fhir+json"
FHIR_NDJSON = "application/fhir+ndjson"
JSON_PATCH = "application/json-patch+json"
FORM = "application/x-www-form-urlencoded"

_VERSION = "4.0"
_VERSIONS = (_VERSION, "4.0.1")  # the second is what some send, the CapabilityStatement has it so
_JSON = (FHIR_JSON, "application/json", "text/json", "application/json+fhir")  # in order of preference
_SHORT = {"json": FHIR_JSON}
_CHARSETS = ("utf-8", "utf8", "us-ascii")
_TAKEN = "application/fhir+json (or application/json)"


@dataclass(frozen=True, slots=True)
class Format:
    """How an answer is to be written.

    Attributes:
        media_type: of the answer, with its parameters (``application/fhir+json; charset=utf-8``).
        pretty: indented, for people.
    """

    media_type: str
    pretty: bool = False


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the Prefer headers ask for (https://hl7.org/fhir/R4/http.html#ops).

    Attributes:
        returns: ``minimal``, ``representation`` or ``OperationOutcome``; None where nothing is said.
        handling: ``strict`` or ``lenient``; None where nothing is said.
    """

    returns: str | None = None
    handling: str | None = None

    @property
    def strict(self) -> bool:
        """Whether an unknown search parameter is to be refused."""
        return self.handling == "strict"

    @property
    def applied(self) -> str | None:
        """The value for Preference-Applied (RFC 7240 section 3)."""
        said = (("return", self.returns), ("handling", self.handling))
        return ", ".join(f"{name}={value}" for name, value in said if value is not None) or None


def response_format(headers: Headers, query: Sequence[tuple[str, str]]) -> Format:
    """Return the format of the answer: what ``_format`` says, else what Accept takes, else FHIR's own.

    Raises:
        NotAcceptable: neither is JSON of FHIR 4.0.
    """
    asked = next((value for name, value in query if name == "_format" and value), None)
    pretty = any(name == "_pretty" and value == "true" for name, value in query)
    text = ",".join(headers.getlist("accept")) if asked is None else asked
    return _response_format(text, asked is not None, pretty)


@remembered(256)
def _response_format(text: str, by_parameter: bool, pretty: bool) -> Format:
    found = _by_parameter(text) if by_parameter else _best(text or "*/*")
    if found is None:
        told = f"Answers are written as {_TAKEN} of FHIR {_VERSION}. Ask for that in Accept or _format."
        raise NotAcceptable(Problem("not_acceptable", told, "_format" if by_parameter else "Accept"))
    media_type, versioned = found
    version = f"; fhirVersion={_VERSION}" if versioned else ""
    return Format(f"{media_type}{version}; charset=utf-8", pretty)


def _by_parameter(asked: str) -> tuple[str, bool] | None:
    name, parameters = _media_type(asked)
    name = _SHORT.get(name, name.replace(" ", "+"))  # a bare plus of a query is read as a blank
    if name not in _JSON or not _is_ours(parameters):
        return None
    return name, "fhirversion" in parameters


def _best(accept: str) -> tuple[str, bool] | None:
    """Return the offer that `accept` likes best, and whether it names FHIR's version; None if it takes none.

    For each offer the most specific range counts (RFC 9110 section 12.5.1). Where several are liked equally, one that
    is named goes before one that a wildcard covers: who asks for ``application/json, */*`` is answered with that.
    """
    ranges = [(name, said, quality) for name, said, quality in _ranges(accept) if _is_ours(said)]
    best: tuple[float, int, int] | None = None
    found: tuple[str, bool] | None = None
    for order, offer in enumerate(_JSON):
        covering = [(_specificity(name, offer), said, quality) for name, said, quality in ranges]
        specificity, said, quality = max(covering, key=lambda one: (one[0], one[2]), default=(0, {}, 0.0))
        rank = (quality, specificity, -order)
        if specificity and quality > 0 and (best is None or rank > best):
            best, found = rank, (offer, "fhirversion" in said)
    return found


def _is_ours(parameters: Mapping[str, str]) -> bool:
    return parameters.get("fhirversion", _VERSION) in _VERSIONS


def _specificity(name: str, offer: str) -> int:
    if name == offer:
        return 3
    if name.endswith("/*") and offer.startswith(name[:-1]):
        return 2
    return 1 if name == "*/*" else 0


def _ranges(accept: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for item in accept.split(","):
        name, parameters = _media_type(item)
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        if name and 0 <= quality <= 1:
            yield name, parameters, quality


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    name, *rest = text.split(";")
    pairs = (part.partition("=") for part in rest)
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def request_format(headers: Headers, *, method: str, form: bool, empty: bool) -> str:
    """Return what the body is: `FHIR_JSON`, `JSON_PATCH` or `FORM`.

    Args:
        headers: of the request.
        method: the HTTP method; PATCH takes a JSON Patch too.
        form: it is a search by POST, which takes form fields and nothing else.
        empty: there is no body, so its type does not matter.

    Raises:
        UnsupportedMediaType: anything else, another version of FHIR or another charset.
    """
    if empty:
        return FORM if form else FHIR_JSON
    return _request_format(headers.get("content-type", ""), method == "PATCH", form)


@remembered(256)
def _request_format(content_type: str, patch: bool, form: bool) -> str:
    name, parameters = _media_type(content_type)
    taken = FORM if form else f"{JSON_PATCH} (a JSON Patch) or {FHIR_JSON} (a FHIRPath Patch)" if patch else _TAKEN
    kinds = (FORM,) if form else (*_JSON, JSON_PATCH) if patch else _JSON
    if name not in kinds:
        sent = "has no Content-Type" if not name else "is of a type that is not read here"
        raise UnsupportedMediaType(
            Problem("unsupported_media_type", f"The body {sent}. Send {taken}.", "Content-Type"),
            headers={"Accept-Patch": f"{JSON_PATCH}, {FHIR_JSON}"} if patch else None,
        )
    if not _is_ours(parameters):
        text = f"This server speaks FHIR {_VERSION}. Send fhirVersion={_VERSION}, or leave it out."
        raise UnsupportedMediaType(Problem("unsupported_fhir_version", text, "Content-Type"))
    if parameters.get("charset", "utf-8").lower() not in _CHARSETS:
        raise UnsupportedMediaType(Problem("unsupported_charset", "FHIR is sent as UTF-8. Do so.", "Content-Type"))
    return name if name in (FORM, JSON_PATCH) else FHIR_JSON


_LISTS = ("if-match", "if-none-match", "prefer")
_CRITERIA = "if-none-exist"
_SEARCH = "If-None-Exist takes the query of a search, such as identifier=system|value, in UTF-8."


def header(headers: Headers, name: str) -> str:
    """Return a header that is there. A list may come in several lines (RFC 9110 section 5.3).

    Raises:
        Malformed: If-None-Exist is there twice, or not in UTF-8. No list is made of two searches, and to look for
            another text than was meant finds nobody: each POST would make a duplicate. So it would by another one of
            two keys of one request.
    """
    lines = headers.getlist(name)
    if name in _LISTS:
        return ", ".join(lines)
    if name == IDEMPOTENCY_HEADER.lower() and len(lines) > 1:
        text = f"{IDEMPOTENCY_HEADER} is given twice. Give it once."
        raise Malformed(Problem("invalid_request_error", text, IDEMPOTENCY_HEADER, issue="value"))
    if name != _CRITERIA:
        return lines[0]
    if len(lines) > 1:
        raise bad_criteria("If-None-Exist is there twice. Send it once, its criteria joined with &.")
    try:
        return lines[0].encode("latin-1").decode()  # Starlette reads headers as Latin-1
    except UnicodeDecodeError:
        raise bad_criteria() from None


def bad_criteria(text: str = _SEARCH) -> Malformed:
    """Return the refusal of an If-None-Exist (of an ifNoneExist, in a Bundle)."""
    return Malformed(Problem("invalid_criteria", text, "If-None-Exist", issue="value"))


def known(headers: Headers) -> str | None:
    """Return the tags of what the client has already (If-None-Match); None where it says nothing of that."""
    return header(headers, "if-none-match") if "if-none-match" in headers else None


_RETURNS = {name.lower(): name for name in ("minimal", "representation", "OperationOutcome")}
_HANDLING = {"strict": "strict", "lenient": "lenient"}


def preferences(prefer: str | None) -> Preferences:
    """Read the Prefer headers, joined with commas. What is unknown is ignored; of two that differ the first counts."""
    return _preferences(prefer or "")


@remembered(256)
def _preferences(prefer: str) -> Preferences:
    said: dict[str, str] = {}
    for part in re.split(r"[,;]", prefer):
        name, _, value = part.partition("=")
        name, value = name.strip().lower(), value.strip().strip('"').lower()
        known = _RETURNS if name == "return" else _HANDLING if name == "handling" else {}
        if value in known:
            said.setdefault(name, known[value])
    return Preferences(said.get("return"), said.get("handling"))


_TAG = re.compile(r'(?:[Ww]/)?(?:"([^"]*)"|([^\s,"]+))')


def names(tags: str, opaque: str) -> bool:
    """Tell whether a list of entity tags has one: ``W/"3"``, ``"3"``, ``3``, or ``*`` for any.

    Compared weakly (RFC 9110 section 8.8.3.2); ours have no quotes and no blanks in them.
    """
    return any(bare == "*" or opaque in (quoted, bare) for quoted, bare in _TAG.findall(tags))


def matches(tags: str, version: int | None) -> bool:
    """Tell whether If-Match or If-None-Match names `version`.

    FHIR's version tags are weak, and compared as if they were strong (https://hl7.org/fhir/R4/http.html#concurrency).
    What is not there (None) has no version, and matches nothing.
    """
    return version is not None and names(tags, str(version))


def http_date(text: str | None) -> datetime | None:
    """Read If-Modified-Since; None where it is missing or malformed, which is to be ignored (RFC 9110 13.1.3)."""
    if text is None:
        return None
    try:
        read = parsedate_to_datetime(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def as_http_date(moment: datetime) -> str:
    """Return an aware moment as headers write it (RFC 9110 section 5.6.7).

    As `email.utils.format_datetime` does, in a fifth of its time: every read sends one.
    """
    at = moment.astimezone(UTC)
    return f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04} {at.isoformat()[11:19]} GMT"


def version_headers(meta: Mapping[str, str]) -> dict[str, str]:
    """Return ETag and Last-Modified of a stored resource.

    They are for clients that ask again themselves. They say nothing of caching, so that no cache keeps the answer
    (`adapter.gate`): another key's data may have the same id and the same tag, and a cache that has one asks with its
    tag for the other, whatever Vary says (RFC 9111 section 4.1).
    """
    changed = datetime.fromisoformat(meta["lastUpdated"])
    return {"ETag": f'W/"{meta["versionId"]}"', "Last-Modified": as_http_date(changed)}
