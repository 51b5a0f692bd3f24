"""Makes the answer to a request that is refused or fails, in the shape of the API that was called."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from adapter.aside import LARGE
from adapter.errors import OUR_FAULT, Problem, Refused, Unavailable, oversized
from adapter.fhir import negotiation, outcome, presentation
from adapter.fhir.addresses import BASE, EXPORT_JOBS
from adapter.fhir.call import pairs_of
from adapter.fhir.misdirected import misdirected
from adapter.mediloop.errors import envelope
from adapter.scheduling.road import IDEMPOTENCY_HEADER
from adapter.security.keys import Key
from adapter.service import Service
from store.errors import Oversized, StoreError, Unreachable

FHIR_BASE = "/fhir"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_READING = ("GET", "HEAD", "OPTIONS")

_HTTP_PROBLEMS = {
    404: Problem("not_found", "There is nothing at this path. /docs lists what there is."),
    405: Problem("method_not_allowed", "This path does not take that method. The Allow header names those it takes."),
}


_FHIR_PROBLEMS = {
    404: Problem("not_found", f"There is nothing at this path. {FHIR_BASE}/R4/metadata says what there is."),
}


def respond(scope: Scope, refused: Refused) -> Response:
    """Return the answer to `refused`."""
    key: Key | None = scope.get("state", {}).get("key")
    if scope["path"].startswith(FHIR_BASE):
        service: Service = scope["app"].state.service
        body, wanted = outcome.outcome(refused, service.settings.canonical_base, key), _format(scope)
        if wanted.pretty and len(body) <= LARGE:  # what is larger comes as it is: others wait meanwhile
            body = presentation.pretty(body)
        return Response(body, refused.status, refused.headers, wanted.media_type)
    return Response(envelope(refused, key), refused.status, refused.headers, "application/json")


def _format(scope: Scope) -> negotiation.Format:
    """Return how an OperationOutcome is to be written: as the request asks for it, else in FHIR's own way.

    https://hl7.org/fhir/R4/http.html#mime-type. About an export's job it is always FHIR's own
    (https://hl7.org/fhir/uv/bulkdata/STU2/export.html, Response - Error Status).
    """
    own = negotiation.Format(outcome.MEDIA_TYPE)
    if scope["path"].startswith(f"{BASE}/{EXPORT_JOBS}"):
        return own
    said: negotiation.Format | None = scope.get("state", {}).get("format")  # in the body of a search
    try:
        headers, query = scope.get("headers", ()), scope.get("query_string", b"")
        return said or negotiation.response_format(Headers(raw=list(headers)), pairs_of(query))
    except Refused:  # that there is no such form has to be said in one that there is
        return own


def unexpected(method: str) -> Refused:
    """Return the refusal for a fault of ours while answering a request with `method`: nothing of its inside is told.

    Where it struck is not known, so neither is whether what was asked for was done before.
    """
    text = OUR_FAULT
    if method not in _READING:
        text += f" Whether it was done is not known: look, or send a POST again with the same {IDEMPOTENCY_HEADER}."
    return Refused(Problem("api_error", text), status=500)


def unavailable() -> Unavailable:
    """Return the refusal for a MongoDB that does not answer."""
    problem = Problem(
        "service_unavailable",
        f"The database did not answer in time. Repeat the request, a POST with the same {IDEMPOTENCY_HEADER}.",
    )
    return Unavailable(problem, headers={"Retry-After": "1"})


def stopped() -> Unavailable:
    """Return the refusal for what was not answered, or had not come in whole, when the service was stopped."""
    problem = Problem(
        "service_unavailable",
        "The service was stopped before this was answered. Repeat the request, a POST with the same "
        f"{IDEMPOTENCY_HEADER}.",
    )
    return Unavailable(problem, headers={"Retry-After": "1", "Connection": "close"})


def _allowed(scope: Scope) -> list[str]:
    """Return every method that the path takes; the framework names those of one of its routes alone."""
    routes = scope["app"].router.routes
    return [
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def install(app: FastAPI) -> None:
    """Register the handlers."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)  # noqa: S101  (registered for this class alone)
        return respond(request.scope, error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  (likewise)
        fhir = _FHIR_PROBLEMS if request.scope["path"].startswith(FHIR_BASE) else {}
        problem = fhir.get(error.status_code) or _HTTP_PROBLEMS.get(
            error.status_code, Problem("invalid_request_error", str(error.detail))
        )
        headers = dict(error.headers or {})
        if error.status_code == 405 and fhir:
            return respond(request.scope, misdirected(request.scope["path"], _allowed(request.scope)))
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(request.scope))
        return respond(request.scope, Refused(problem, status=error.status_code, headers=headers))

    async def store(request: Request, error: Exception) -> Response:
        if isinstance(error, Unreachable):
            return respond(request.scope, unavailable())
        if isinstance(error, Oversized):
            return respond(request.scope, oversized())
        raise error

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(StoreError, store)
