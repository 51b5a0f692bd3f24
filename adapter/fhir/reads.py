"""Read, vread and history: stored bytes with the headers of their version (https://hl7.org/fhir/R4/http.html#read)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import orjson

from adapter.errors import Gone, Malformed, NotFound, Problem
from adapter.fhir import negotiation, presentation, proposed, searching
from adapter.fhir.access import may_read, require_type
from adapter.fhir.call import MODIFIED_SINCE, Call, Reply
from adapter.fhir.refusing import invalid
from adapter.scheduling import availability, holds
from store.codec import Resource, encode
from store.dates import as_instant
from store.history import Version
from store.search import SearchRefused, results
from store.types import TYPES

_KEPT = ("_since", "_count", "_summary", "_elements")  # parameters of history that its pages share
_NARROWING = ("_at", "_list")  # FHIR has these of history, too: who asks for less is not given everything
_VERSION = re.compile(r"[1-9][0-9]{0,9}")  # as it is written: 01 is the name of no version
_STATUSES = {"POST": "201 Created", "PUT": "200 OK", "PATCH": "200 OK", "DELETE": "204 No Content"}


async def read(call: Call, kind: str, ident: str) -> Reply:
    """Read a resource, or tell that the client has it already (304).

    Raises:
        NotFound, Gone.
    """
    raw = await call.who.store.read(kind, ident)
    if raw is None:
        offered = await proposed.read(call, kind, ident)
        if offered is not None:
            return Reply(200, shown(call, kind, offered), {})  # nor has it a version: it is not stored
        opening = await _opening(call, ident) if kind == "Slot" else None
        if opening is None:
            raise await absent(call, kind, ident)
        return Reply(200, shown(call, kind, encode(opening)), {})  # it has no version: nothing is stored yet
    return await _present(call, kind, raw, latest=True)


async def _opening(call: Call, ident: str) -> Resource | None:
    """Return the Slot of that id which weekly hours make; None if none do."""
    async with holds.settled(call.who.store) as moment:
        return await availability.computed_slot(moment, ident, call.who.service.settings.zone)


def shown(call: Call, kind: str, raw: bytes) -> bytes:
    """Return a resource's JSON as the parameters ``_summary`` and ``_elements`` want it.

    Raises:
        Malformed: as `part`.
    """
    return _reduced(raw, kind, part(call, (kind,)))


def _reduced(raw: bytes, kind: str, wanted: Part) -> bytes:
    return raw if wanted is None else presentation.subset(raw, kind, summary=wanted[0], elements=wanted[1])


Part = tuple[str | None, tuple[str, ...]] | None
"""The summary and the elements that are wanted; None for the whole."""


def part(call: Call, kinds: Sequence[str]) -> Part:
    """Return what of a resource, of one of `kinds`, is wanted; parameters are read as a search reads them.

    Raises:
        Malformed: ``_summary`` has a value that it does not know; ``_elements`` has too many names, or
            (handling=strict) one of no element.
    """
    if not call.query:
        return None
    summary = next((value for name, value in reversed(call.query) if name == "_summary" and value), None)
    asked = searching.listed("_elements", (value for name, value in call.query if name == "_elements"))
    elements, unknown = results.elements(asked, kinds)
    if unknown and negotiation.preferences(call.headers.get("prefer")).strict:
        raise searching.as_refusal(SearchRefused(*unknown))
    if summary not in (None, "true", "false", "text", "data"):
        problem = Problem("invalid_search", "_summary takes true, false, text or data here.", "_summary", issue="value")
        raise Malformed(problem)
    if summary in (None, "false") and not elements:
        return None
    return summary, elements


async def _is_known(call: Call, kind: str, resource: Resource, *, latest: bool) -> bool:
    """Tell whether the client has this version; `latest`: it is to have no other one."""
    meta = resource["meta"]
    known = call.headers.get("if-none-match")
    if known is not None:
        return negotiation.matches(known, int(meta["versionId"]))
    changed = datetime.fromisoformat(meta["lastUpdated"])
    if MODIFIED_SINCE in call.headers:
        return changed <= datetime.fromisoformat(call.headers[MODIFIED_SINCE])
    since = negotiation.http_date(call.headers.get("if-modified-since"))
    second = changed.replace(microsecond=0)  # an HTTP date knows nothing finer
    if since is None or second > since:
        return False
    if second < since or meta["versionId"] == "1" or not latest:
        return True
    # The client may have the one before, if that is of the same second (https://www.rfc-editor.org/rfc/rfc9110#8.8.2.2).
    before = await call.who.store.read_version(kind, resource["id"], int(meta["versionId"]) - 1)
    return before is None or before.moment < second


async def absent(call: Call, kind: str, ident: str) -> NotFound | Gone:
    """Return the refusal for a resource that is not there: 410 with the version of the deletion, or 404."""
    version = await call.who.store.gone(kind, ident)
    if version is None:
        return NotFound(Problem("unknown_resource", f"There is no {kind} with that id."))
    problem = Problem("deleted", f"That {kind} has been deleted. Its history is at {kind}/{ident}/_history.")
    return Gone(problem, headers={"ETag": f'W/"{version}"'})


async def vread(call: Call, kind: str, ident: str, version: str) -> Reply:
    """Read one version of a resource, or tell that the client has it already (304).

    Raises:
        NotFound: there is no such version. Gone: that version is the deletion.
    """
    found = await call.who.store.read_version(kind, ident, int(version)) if _VERSION.fullmatch(version) else None
    if found is None:
        raise NotFound(Problem("unknown_version", f"There is no such version of that {kind}."))
    if found.raw is None:
        raise Gone(
            Problem("deleted", f"With that version the {kind} was deleted."),
            headers={"ETag": f'W/"{found.version}"'},
        )
    return await _present(call, kind, found.raw, latest=False)


async def _present(call: Call, kind: str, raw: bytes, *, latest: bool) -> Reply:
    """Answer with a version, or 304 where the client has it (https://hl7.org/fhir/R4/http.html#cread)."""
    resource = orjson.loads(raw)
    meta = resource["meta"]
    headers = negotiation.version_headers(meta)
    if call.headers and await _is_known(call, kind, resource, latest=latest):
        return Reply(304, b"", headers, meta["lastUpdated"])
    return Reply(200, shown(call, kind, raw), headers, meta["lastUpdated"])


async def history(call: Call, kind: str | None = None, ident: str | None = None) -> Reply:
    """Answer the history of a resource, a type or the system: newest first, deletions included.

    Raises:
        NotFound: there never was such a resource. Malformed: a parameter that history does not take, or a bad value.
    """
    since, limit, before = _parameters(call)
    kinds: Sequence[str] | None = None
    if kind is None:
        kinds = [one for one in TYPES if may_read(call.who, one)]
    else:
        require_type(call.who, kind, "read")
    wanted = part(call, tuple(TYPES) if kind is None else (kind,))
    page = await call.who.store.history(kind, ident, since=since, limit=limit, before=before, kinds=kinds)
    if kind is not None and ident is not None and page.total == 0 and not await _ever_was(call, kind, ident, since):
        raise NotFound(Problem("unknown_resource", f"No {kind} ever had that id."))
    path = "/".join(call.path)
    used = searching.counted((pair for pair in call.query if pair[0] in _KEPT and pair[1]), limit)
    form = searching.form_of(call)
    place = [pair for pair in call.query if pair[0] == "_before" and pair[1]]
    address = f"{call.base}/{path}"
    links = [{"relation": "self", "url": searching.url(address, (*used, *place, *form))}]
    if page.cursor is not None:
        following = (*used, ("_before", str(page.cursor)), *form)
        links.append({"relation": "next", "url": searching.url(address, following)})
    head: dict[str, object] = {"resourceType": "Bundle", "type": "history"}
    if page.total is not None:
        head["total"] = page.total
    if page.moment is not None:
        # The moment to ask `_since` with next time, without missing anything.
        head["meta"] = {"lastUpdated": as_instant(page.moment)}
    head["link"] = links
    body = orjson.dumps(head)
    entries = [_entry(call.base, version, wanted) for version in (() if limit == 0 else page.entries)]
    return Reply(200, body[:-1] + b',"entry":[' + b",".join(entries) + b"]}" if entries else body)


async def _ever_was(call: Call, kind: str, ident: str, since: datetime | None) -> bool:
    """Tell whether a resource has a history at all, of which there is nothing from `since` on."""
    return since is not None and (await call.who.store.history(kind, ident, limit=0)).total != 0


def _entry(base: str, version: Version, wanted: Part) -> bytes:
    name = f"{version.kind}/{version.ident}"
    method = version.method
    made = version.version == 1 or version.revives
    status = "201 Created" if method == "PUT" and made else _STATUSES[method]
    rest = {
        "request": {"method": method, "url": version.kind if method == "POST" else name},
        "response": {"status": status, "etag": f'W/"{version.version}"', "lastModified": as_instant(version.moment)},
    }
    resource = b"" if version.raw is None else b',"resource":%b' % _reduced(version.raw, version.kind, wanted)
    return b'{"fullUrl":"%b/%b"%b,%b' % (base.encode(), name.encode(), resource, orjson.dumps(rest)[1:])


def _parameters(call: Call) -> tuple[datetime | None, int, int | None]:
    given: dict[str, str] = {}
    for name, value in call.query:
        if not value:
            continue
        if name in given:
            raise invalid(name, f"{name} may be given once.")
        given[name] = value
    strict = negotiation.preferences(call.headers.get("prefer")).strict
    unknown = [name for name in given if name not in (*_KEPT, "_before", "_format", "_pretty")]
    refused = next((name for name in unknown if strict or name in _NARROWING), None)
    if refused is not None:
        raise invalid(refused, f"History does not take {refused}: it takes _since and _count.", "not-supported")
    return _since(given.get("_since")), _count(given.get("_count")), _before(given.get("_before"))


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = searching.moment(text)
    if moment is None:
        raise invalid("_since", "_since takes an instant such as 2024-01-20T10:00:00Z.")
    return moment


def _count(text: str | None) -> int:
    if text is None:
        return results.DEFAULT_COUNT
    try:
        return results.count(text)
    except SearchRefused:
        raise invalid("_count", "_count takes a number from 0.") from None


def _before(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise invalid("_before", "That page link was changed. Ask for the history again and follow its links.")
    return int(text)


__all__ = ["absent", "history", "read", "shown", "vread"]
