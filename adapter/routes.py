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


class RequestRoute(APIRoute):
    """A route whose endpoint takes the request alone, and reads from it what it needs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request (FastAPI's own place to replace it)."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


class DirectRoute(APIRoute):
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
            return await endpoint(**values)

        return handler
