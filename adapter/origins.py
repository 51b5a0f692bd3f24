"""Lets pages of other origins call from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol).

Starlette's middleware wraps every answer, whoever asks; this one steps aside for who is no browser, and for all
but the APIs: metrics need no key, so a page in the browser of whoever can reach them would read them. It stands
outermost: a page reads refusals too, and what a browser asks beforehand has no key and counts for no limit.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SHOWN = (
    *("ETag", "Last-Modified", "Location", "Content-Location", "Expires", "Allow", "Accept-Patch", "WWW-Authenticate"),
    *("Preference-Applied", "Retry-After", "X-Progress", "X-Request-Id", "X-Correlation-Id"),
    "X-Idempotency-Replayed",
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
)
"""The headers of answers that scripts may read, beside those that every page may."""

_APIS = ("/api/", "/fhir/")
_AGAIN_AFTER = 3_600  # seconds for which a browser need not ask


class Origins(CORSMiddleware):
    """The middleware; `origins` as in the setting, ``*`` is any."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=("*",),
            expose_headers=SHOWN,
            max_age=_AGAIN_AFTER,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through (ASGI)."""
        open_ = scope["type"] == "http" and scope["path"].startswith(_APIS)
        if open_ and any(name == b"origin" for name, _ in scope["headers"]):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def shown(origins: Sequence[str], origin: str | None) -> list[tuple[bytes, bytes]]:
    """Return the headers that let a page of `origin`, if it is one of `origins`, read an answer of no application."""
    made = Origins(_nothing, origins)
    if origin is None or not made.is_allowed_origin(origin):
        return []
    headers = MutableHeaders(made.simple_headers)
    if not made.allow_all_origins:
        made.allow_explicit_origin(headers, origin)
    return headers.raw


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("no request comes here")
