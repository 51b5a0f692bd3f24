"""The FHIR endpoints: HTTP to a `Call`, a `Reply` to HTTP (https://hl7.org/fhir/R4/http.html).

The paths are here for matching, for OpenAPI and for the names in logs and metrics; what is done is found from the
path by `adapter.fhir.interactions`, which the entries of a batch use too. Ids cannot hold ``_`` or ``$``, so no
fixed word is ever read as one; what else they cannot hold is refused there, with a reason.
"""

from __future__ import annotations

import re
from dataclasses import replace

from fastapi import APIRouter, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from adapter import encoding
from adapter.aside import LARGE, aside
from adapter.compression import headed
from adapter.fhir import conformance, negotiation, presentation
from adapter.fhir.addresses import BASE, base_of
from adapter.fhir.call import Call, Pairs, Reply, pairs_of
from adapter.fhir.describe import described, described_metadata
from adapter.fhir.interactions import answer
from adapter.fhir.validation import strict_json
from adapter.routes import RequestRoute
from adapter.security.callers import caller
from adapter.service import Service

router = APIRouter(prefix=BASE, tags=["FHIR R4"], route_class=RequestRoute)


class _Id(Convertor[str]):
    regex = r"[^/_$][^/]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _Word(_Id):
    regex = r"[A-Za-z]+|\*"


register_url_convertor("fhirid", _Id())
register_url_convertor("fhirtype", _Word())
register_url_convertor("operation", type("_Operation", (_Id,), {"regex": r"\$[a-z\-]+"})())


async def serve(request: Request) -> Response:
    """Answer one request under the base."""
    path = tuple(part for part in request.scope["path"].removeprefix(BASE).split("/") if part)
    query = pairs_of(request.scope["query_string"])
    wanted = negotiation.response_format(request.headers, query)
    call = await _call(request, path, query)
    if call.query is not query:  # a search by POST may say in its body what it wants
        wanted = request.state.format = negotiation.response_format(request.headers, call.query)
    reply = await answer(call)
    return await _response(request, call, reply, wanted)


async def metadata(request: Request) -> Response:
    """The CapabilityStatement: what this server can do; no key needed."""
    wanted = negotiation.response_format(request.headers, pairs_of(request.scope["query_string"]))
    service: Service = request.app.state.service
    known = negotiation.known(request.headers)
    reply = conformance.metadata(base_of(request, service), service, known)
    return await _finish(request, reply, wanted)


async def _call(request: Request, path: tuple[str, ...], query: Pairs) -> Call:
    who = caller(request)
    method = request.method
    body = patch = None
    large = False
    if method in ("POST", "PUT", "PATCH"):
        raw = await request.body()
        if "content-encoding" in request.headers:
            most = who.service.settings.max_body_bytes
            raw = await encoding.plain(raw, request.headers["content-encoding"], most)
        large = len(raw) > LARGE
        form = path[-1:] == ("_search",)
        kind = negotiation.request_format(request.headers, method=method, form=form, empty=not raw)
        if form:
            query = (*query, *pairs_of(raw))
        elif kind == negotiation.JSON_PATCH:
            patch = await aside(lambda: strict_json.read_patch(raw), much=large)
        elif raw:
            # Judged as a whole later: told beforehand, one empty list would hide all else that is wrong with it.
            read = strict_json.read_patch_resource if method == "PATCH" else strict_json.read_as_sent
            body = await aside(lambda: read(raw), much=large)
    headers = {name: negotiation.header(request.headers, name) for name in _HEADERS if name in request.headers}
    return Call(who, base_of(request, who.service), method, path, query, headers, body, patch, large)


_HEADERS = (
    "if-match",
    "if-none-match",
    "if-none-exist",
    "if-modified-since",
    "if-unmodified-since",
    "prefer",
    "x-idempotency-key",
)


async def _response(request: Request, call: Call, reply: Reply, wanted: negotiation.Format) -> Response:
    applied = _applied(call, reply) if "prefer" in call.headers else None
    response = await _finish(request, reply, wanted)
    if applied:
        response.headers["Preference-Applied"] = applied
    return response


def _applied(call: Call, reply: Reply) -> str | None:
    """Return what of the preferences has been done: ``return`` is for writes, ``handling`` for lists."""
    wanted = negotiation.preferences(call.headers["prefer"])
    last = call.path[-1] if call.path else ""
    if call.method in ("GET", "HEAD") or last == "_search":
        alone = (len(call.path) == 2 and not last.startswith(("_", "$"))) or call.path[-2:-1] == ("_history",)
        wanted = replace(wanted, returns=None, handling=None if alone else wanted.handling)
    else:
        wanted = replace(wanted, handling=None)
        if last.startswith("$") or (wanted.returns == "representation" and reply.status == 204):
            wanted = replace(wanted, returns=None)
    return wanted.applied


async def _finish(request: Request, reply: Reply, wanted: negotiation.Format) -> Response:
    body = reply.body
    if body and wanted.pretty and len(body) <= presentation.MOST_PRETTY:
        body = await aside(lambda: presentation.pretty(reply.body), much=len(body) > LARGE)
    media_type = wanted.media_type if reply.body else None
    if request.method == "HEAD" and reply.status != 304:  # which tells nothing of the content
        return headed(request, reply.status, reply.headers, media_type, len(body))
    return Response(body, reply.status, reply.headers, media_type)


_ROUTES = (
    # What is called most stands first: each path is tried in turn.
    ("/{type:fhirtype}/{id:fhirid}", ("GET", "PUT", "PATCH", "DELETE")),
    ("/{type:fhirtype}", ("GET", "POST", "PUT", "PATCH", "DELETE")),
    ("", ("POST", "GET")),
    ("/_search", ("POST",)),
    ("/_history", ("GET",)),
    ("/{operation:operation}", ("GET", "POST")),
    ("/{type:fhirtype}/_search", ("POST",)),
    ("/{type:fhirtype}/_history", ("GET",)),
    ("/{type:fhirtype}/{operation:operation}", ("GET", "POST")),
    ("/{type:fhirtype}/{id:fhirid}/_history", ("GET",)),
    ("/{type:fhirtype}/{id:fhirid}/_history/{vid:fhirid}", ("GET",)),
    ("/{type:fhirtype}/{id:fhirid}/{operation:operation}", ("GET", "POST")),
    ("/{type:fhirtype}/{id:fhirid}/{compartment:fhirtype}", ("GET",)),
    ("/{type:fhirtype}/{id:fhirid}/{compartment:fhirtype}/_search", ("POST",)),
)


def _add_routes() -> None:
    router.add_api_route("/metadata", metadata, methods=["GET"], **described_metadata())
    router.add_api_route("/metadata", metadata, methods=["HEAD"], include_in_schema=False)
    for path, methods in _ROUTES:
        for method in methods:
            said = described(method, re.sub(r":\w+}", "}", path))
            router.add_api_route(path, serve, methods=[method], **said)
        if "GET" in methods:
            router.add_api_route(path, serve, methods=["HEAD"], include_in_schema=False)


_add_routes()
