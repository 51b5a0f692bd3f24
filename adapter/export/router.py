"""The addresses of an export: how far it is, its manifest, its files.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html. They are for the key that has asked for the export, for those that it
was rolled to since, and for keys with ``admin``: ``read`` to look, ``write`` to delete; to others there is no such job.
Whom another key's export is about is told to those alone who may read it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from adapter.compression import headed
from adapter.errors import NotFound, Problem, RateLimited, Refused
from adapter.export.files import Files
from adapter.export.pace import Pace
from adapter.export.plan import Plan
from adapter.export.working import tidy
from adapter.fhir import outcome
from adapter.fhir.access import may_read, require_type
from adapter.fhir.addresses import BASE, EXPORT_JOBS, base_of
from adapter.fhir.negotiation import FHIR_NDJSON, as_http_date
from adapter.routes import RequestRoute
from adapter.security.callers import Caller, caller
from adapter.security.permissions import Verb, require
from store.connection import bounded
from store.dates import as_instant
from store.export_jobs import ExportJobs, File, Job
from store.types import TYPES

_SHOWN = ("_deidentify", "_elements", "_outputFormat", "_since", "_type")
"""The parameters whose values tell nobody: a manifest whose request is masked has those of no others."""
_SECONDS = 10.0
_GROUP = re.compile(r"(/Group/)[^/]+(/\$export)$")

router = APIRouter(prefix=f"{BASE}/{EXPORT_JOBS}", tags=["FHIR R4"], route_class=RequestRoute)

_MEANINGS = {
    401: "No valid API key.",
    403: "The key lacks a permission, which the issue names.",
    404: "There is no such export: it was deleted, has expired, or belongs to another key.",
    405: "Not a method of this path.",
    429: "Too many requests; Retry-After says when to come back.",
    500: "The export has failed, or a fault of ours.",
    503: "The database did not answer in time; repeat the request.",
}


async def status(request: Request) -> Response:
    """Tell how far an export is (202), or give its manifest (200)."""
    who, job, own = await _job(request)
    if job.state == "failed":
        raise Refused(Problem("export_failed", job.problem or "The export has failed.", issue="exception"), status=500)
    if job.state == "open":
        age = (who.service.now() - job.created).total_seconds()
        again = {"Retry-After": "1" if age < 30 else "5" if age < 300 else "30"}
        if not _pace(request).is_kept(job.ident, time.monotonic()):
            text = "That is too often. Wait for as many seconds as Retry-After says before you ask again."
            raise RateLimited(Problem("too_many_requests", text), headers=again)
        return Response(
            b"", 202, {"X-Progress": _progress(job, counted=own or _may_read(who, job.plan["kinds"])), **again}
        )
    body = orjson.dumps(_manifest(base_of(request, who.service), job, who, own=own))
    headers = {"Expires": as_http_date(job.expires or who.service.now())}
    if request.method == "HEAD":
        return headed(request, 200, headers, "application/json", len(body))
    return Response(body, 200, headers, "application/json")


def _pace(request: Request) -> Pace:
    state = request.app.state
    if not hasattr(state, "export_pace"):
        state.export_pace = Pace()
    made: Pace = state.export_pace
    return made


async def delete(request: Request) -> Response:
    """End an export, or remove its files."""
    who, job, _ = await _job(request, "write")
    files = Files(who.service.settings, who.key.mode)
    text = "The export is ended and its files are removed."
    if not await tidy(ExportJobs(who.store.database), files, job.ident, who.service.now()):
        text = "The export is ended. Its files could not be removed yet; the server tries again every minute."
    problem = Problem("export_deleted", text, severity="information")
    body = outcome.of([problem], who.service.settings.canonical_base)
    return Response(body, 202, media_type=outcome.MEDIA_TYPE)


async def file(request: Request) -> Response:
    """Give a file, as a stream."""
    who, job, _ = await _job(request)
    found = next((one for one in job.files if one.name == request.path_params["file"]), None)
    files = Files(who.service.settings, who.key.mode)
    size = None if found is None or job.state != "done" else await files.size(job.ident, found.path)
    if found is None or size is None:
        raise _absent("There is no such file in this export.")
    for kind in _kinds(job, found):
        require_type(who, kind, "read")
    if size != found.size:
        text = f"The file is not as it was written: it has {size} bytes and should have {found.size}. Export anew."
        raise Refused(Problem("export_failed", text, issue="exception"), status=500)
    headers = {"Expires": as_http_date(job.expires or who.service.now())}
    if request.method == "HEAD":
        return headed(request, 200, headers, FHIR_NDJSON, found.size, is_stream=True)
    headers["Content-Length"] = str(found.size)
    return StreamingResponse(files.read(job.ident, found.path), 200, headers, FHIR_NDJSON)


def _kinds(job: Job, one: File) -> Sequence[str]:
    """Return the types that a file tells about: deletions and errors can be of any in the export."""
    kinds: Sequence[str] = job.plan["kinds"]
    return (one.kind,) if one.kind in TYPES else kinds


async def _job(request: Request, verb: Verb = "read") -> tuple[Caller, Job, bool]:
    """Return who calls, the job that is asked about, and whether it is the caller's own.

    Args:
        request: of the job's address, or below it.
        verb: what ``admin`` must allow a key that the job is not of.

    Raises:
        Unauthenticated, Forbidden: a key is missing, or ``export:read``, or `verb`. NotFound: it has no such job.
    """
    who = caller(request)
    require(who.key, "export", "read")
    job = await ExportJobs(who.store.database).read(request.path_params["job"])
    own = job is not None and job.state != "removed" and await _is_of(job, who)
    if job is None or job.state == "removed" or not (own or "admin" in who.key.permissions):
        raise _absent("There is no such export: it was deleted, has expired, or belongs to another key.")
    if not own:
        require(who.key, "admin", verb)
    if job.expires is not None and job.expires <= who.service.now():
        raise _absent("The export has expired. Ask for it again.")
    return who, job, own


async def _is_of(job: Job, who: Caller) -> bool:
    """Tell whether a job is a caller's own: of the key that asked for it, or was made of that one."""
    if job.key == who.key.id:
        return True
    keys = who.service.keys[who.key.mode]
    return await bounded(lambda: keys.became(job.key, who.key.id), _SECONDS)


def _absent(text: str) -> NotFound:
    return NotFound(Problem("unknown_export", text))


def _may_read(who: Caller, kinds: Sequence[str]) -> bool:
    return all(may_read(who, kind) for kind in kinds)


def _progress(job: Job, *, counted: bool) -> str:
    """Say how far a job is; how many were found only where it is `counted`."""
    if not job.attempts and not job.files:
        return "waiting for a worker"
    steps = Plan.of(job.plan).steps
    kind = steps[job.step][0] if job.step < len(steps) else "the rest"
    if not counted:
        return kind
    return f"{job.done:,} of about {job.total:,} resources" if job.total else f"{kind}: {job.done:,} resources so far"


def _manifest(base: str, job: Job, who: Caller, *, own: bool) -> dict[str, Any]:
    """Return what is told of an export that is done.

    What was filtered by can be of any type (chains): of another key's export it is told to those who may read all. How
    many were found needs the types that were counted.
    """
    masked = job.plan["deidentified"] or not (own or _may_read(who, tuple(TYPES)))
    manifest: dict[str, Any] = {
        "transactionTime": as_instant(job.cut.moment),
        "request": _masked(job.request) if masked else job.request,
        "requiresAccessToken": True,
        "output": [],
        "deleted": [],
        "error": [],
    }
    for one in job.files:
        url = f"{base}/{EXPORT_JOBS}/{job.ident}/{one.name}"
        counted = own or _may_read(who, _kinds(job, one))
        manifest[one.role].append({"type": one.kind, "url": url} | ({"count": one.count} if counted else {}))
    return manifest


def _masked(request: str) -> str:
    """Return the address that was called without what tells whom it was about: a Group, and values filtered by."""
    address, _, query = request.partition("?")
    address = _GROUP.sub(r"\1(masked)\2", address)
    pairs = [
        (name, value if name in _SHOWN else "(masked)") for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return f"{address}?{urlencode(pairs, safe=':,/$*()')}" if pairs else address


def _described(name: str, summary: str, good: Mapping[int, tuple[str, str | None]], *parameters: str) -> dict[str, Any]:
    """Return what FastAPI is to say of an endpoint; `good` answers are a meaning with a media type each."""
    issue = {"application/fhir+json": {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}}
    responses: dict[int, dict[str, Any]] = {
        code: {"description": text} | ({"content": {media_type: {"schema": {}}}} if media_type else {})
        for code, (text, media_type) in good.items()
    }
    responses |= {code: {"description": text, "content": issue} for code, text in _MEANINGS.items()}
    named = [{"name": one, "in": "path", "required": True, "schema": {"type": "string"}} for one in parameters]
    return {
        "summary": summary,
        "operation_id": f"fhir-{name}",
        "responses": dict(sorted(responses.items())),
        "openapi_extra": {"security": [{"apiKey": []}], "parameters": named},
    }


_STATUS = {200: ("The manifest.", "application/json"), 202: ("Not yet; X-Progress tells how far it is.", None)}
_DELETED = {202: ("It is ended, and its files are removed.", "application/fhir+json")}
_FILE = {200: ("A resource in each line.", FHIR_NDJSON)}


def _add_routes() -> None:
    said = _described("get-export", "How far an export is, or its manifest", _STATUS, "job")
    router.add_api_route("/{job}", status, methods=["GET"], **said)
    router.add_api_route("/{job}", status, methods=["HEAD"], include_in_schema=False)
    said = _described("delete-export", "End an export, or remove its files", _DELETED, "job")
    router.add_api_route("/{job}", delete, methods=["DELETE"], **said)
    said = _described("get-export-file", "A file of an export", _FILE, "job", "file")
    router.add_api_route("/{job}/{file}", file, methods=["GET"], **said)
    router.add_api_route("/{job}/{file}", file, methods=["HEAD"], include_in_schema=False)


_add_routes()
