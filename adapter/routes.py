"""Routes that call their endpoint with the request, the caller and the path's ids, and nothing else.

FastAPI describes the endpoints (OpenAPI) and matches the paths; what it would do beside, solving dependencies and
parsing parameters anew for each request, these endpoints do not use: they read requests themselves, for the
documented errors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from adapter.compression import headed


class _OurRoute(APIRoute):
    """A route that looks at the fixed beginning of its path first.

    Each route is tried in turn; for most, their beginning tells at once that the path is another's.
    """

    def __init__(self, path: str, *arguments: Any, **options: Any) -> None:
        super().__init__(path, *arguments, **options)
        self._beginning = path.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether the request is for this route (Starlette's own place to ask)."""
        if scope["type"] == "http" and not scope["path"].startswith(self._beginning):
            return Match.NONE, {}
        return super().matches(scope)


class RequestRoute(_OurRoute):
    """A route whose endpoint takes the request alone, and reads from it what it needs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request (FastAPI's own place to replace it)."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


class DirectRoute(_OurRoute):
    """A route whose endpoint takes a ``request``, path parameters (as texts), and dependencies on the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request (FastAPI's own place to replace it)."""
        endpoint: Callable[..., Awaitable[Response]] = self.endpoint
        request_name = self.dependant.request_param_name
        needed: list[tuple[str, Any]] = [(str(one.name), one.call) for one in self.dependant.dependencies]

        async def handler(request: Request) -> Response:
            values: dict[str, Any] = dict(request.path_params)
            if request_name is not None:
                values[request_name] = request
            for name, dependency in needed:
                values[name] = await dependency(request)
            response = await endpoint(**values)
            if request.method == "HEAD":
                return headed(request, response.status_code, response.headers, None, len(response.body))
            return response

        return handler
