"""``GET /fhir/R4/$bulk-publish`` and the files that it names: for anybody, to be cached by anybody.

The manifest is the superset of SMART Scheduling Links and of Bulk Data's STU 4 ballot: it has both the old members
(`request`, `error`) and the new ones (`manifestType`, `outcome`, `deleted`, `updateCadence`).
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import State

from adapter.compression import headed
from adapter.errors import NotFound, Problem, Unavailable
from adapter.fhir import negotiation
from adapter.fhir.addresses import BASE, base_of
from adapter.publishing.making import MAX_AGE, TYPES, Publisher
from adapter.routes import RequestRoute
from adapter.service import Service
from store.dates import as_instant
from store.publications import Publication

PATH = f"{BASE}/$bulk-publish"
_MANIFEST = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkPublishManifest"
_CACHE = f"public, max-age={MAX_AGE}"

router = APIRouter(tags=["Published availability"], route_class=RequestRoute)


async def manifest(request: Request) -> Response:
    """The manifest of published availability (Location, Schedule, Slot); no key needed. 404 unless it is set on."""
    publisher = _publisher(request)
    try:
        found = await publisher.current()
    except TimeoutError:
        text = "There are no files as yet: they are being made, or cannot be just now. Ask again in a moment."
        raise Unavailable(Problem("service_unavailable", text), headers={"Retry-After": "5"}) from None
    service: Service = request.app.state.service
    address = f"{base_of(request, service)}/$bulk-publish"
    body = orjson.dumps(_said(address, found))
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = _headers(tag, found.moment)
    if _is_known(request, tag, found.moment):
        return Response(b"", 304, headers)
    if request.method == "HEAD":
        return headed(request, 200, headers, "application/json", len(body))
    return Response(body, 200, headers, "application/json")


def _said(address: str, found: Publication) -> dict[str, object]:
    return {
        "manifestType": _MANIFEST,
        "transactionTime": as_instant(found.moment),
        "request": address,
        "requiresAccessToken": False,
        "updateCadence": f"PT{MAX_AGE // 60}M",
        "outputFormat": negotiation.FHIR_NDJSON,
        "output": [
            {"type": kind, "url": f"{address}/{found.name}/{kind}.ndjson", "count": found.files[kind].lines}
            for kind in TYPES
        ],
        "deleted": [],
        "outcome": [],
        "error": [],
    }


async def file(request: Request) -> Response:
    """One published file (NDJSON); no key needed. It never changes; it is kept for an hour after it was replaced."""
    publisher = _publisher(request)
    name, kind = request.path_params["publication"], request.path_params["type"]
    found = await publisher.named(name)
    if found is None or kind not in found.files:
        text = "There is no such file, or not any more: the manifest at $bulk-publish names those there are."
        raise NotFound(Problem("not_found", text))
    tag = f"{name}-{kind}"
    headers = _headers(tag, found.moment)
    if _is_known(request, tag, found.moment):
        return Response(b"", 304, headers)
    size = found.files[kind].size
    if request.method == "HEAD":
        return headed(request, 200, headers, negotiation.FHIR_NDJSON, size, is_stream=True)
    headers["Content-Length"] = str(size)
    return StreamingResponse(publisher.read(name, kind), 200, headers, negotiation.FHIR_NDJSON)


def _publisher(request: Request) -> Publisher:
    """Return this process's publisher.

    Raises:
        NotFound: nothing is to be published.
    """
    service: Service = request.app.state.service
    if service.settings.bulk_publish == "off":
        text = "Availability is not published here (ADAPTER_BULK_PUBLISH is off)."
        raise NotFound(Problem("not_found", text, issue="not-supported"))
    state: State = request.app.state
    if not hasattr(state, "publisher"):
        state.publisher = Publisher(service)
    made: Publisher = state.publisher
    return made


def _headers(tag: str, moment: datetime) -> dict[str, str]:
    return {
        "ETag": f'W/"{tag}"',  # weak: it is the same with gzip and without (RFC 9110 section 8.8.1)
        "Last-Modified": negotiation.as_http_date(moment),
        "Cache-Control": _CACHE,
        "Access-Control-Allow-Origin": "*",  # public, and read by web pages
    }


def _is_known(request: Request, tag: str, moment: datetime) -> bool:
    """Tell whether the client has it (RFC 9110 sections 13.1.2 and 13.1.3)."""
    tags = negotiation.known(request.headers)
    if tags is not None:
        return negotiation.names(tags, tag)
    since = negotiation.http_date(request.headers.get("if-modified-since"))
    return since is not None and since >= moment.replace(microsecond=0)


_ANSWERS = {
    304: {"description": "The client has this already."},
    404: {"description": "Nothing is published, or not (any more) under this name."},
    429: {"description": "Too many requests; Retry-After says when to come back."},
}
_NAMED = [
    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": meaning}
    for name, meaning in (("publication", "As the manifest names it."), ("type", "Location, Schedule or Slot."))
]
for _path, _endpoint, _given in ((PATH, manifest, []), (PATH + "/{publication}/{type}.ndjson", file, _NAMED)):
    router.add_api_route(
        _path,
        _endpoint,
        methods=["GET"],
        responses=_ANSWERS,  # type: ignore[arg-type]  # FastAPI asks for int | str as keys, and dict is invariant
        openapi_extra={"parameters": _given} if _given else None,
    )
    router.add_api_route(_path, _endpoint, methods=["HEAD"], include_in_schema=False)

__all__ = ["PATH", "router"]
