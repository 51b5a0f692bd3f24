"""The page at ``/docs``: Swagger UI from a package, so that it needs no internet.

What it loads is named relative to it. An absolute address would be as the service sees itself: ``http://`` behind a
proxy that ends TLS, which a browser does not load into a page that came by ``https://``.
"""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import RedirectResponse
from fastapi_swagger import patch_fastapi

_SHOWN = {"tryItOutEnabled": True, "persistAuthorization": True, "filter": True, "displayRequestDuration": True}


def install(app: FastAPI) -> None:
    """Add the page, what it loads, and the way to it from the root."""

    async def docs(_: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title} - Swagger UI",
            swagger_js_url="swagger/swagger-ui-bundle.js",
            swagger_css_url="swagger/swagger-ui.css",
            swagger_favicon_url="swagger/favicon-32x32.png",
            swagger_ui_parameters=_SHOWN,
        )

    async def root(_: Request) -> Response:
        return RedirectResponse("docs")

    app.add_api_route("/docs", docs, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/", root, methods=["GET", "HEAD"], include_in_schema=False)
    patch_fastapi(app, redirect_from_root_to_docs=False)  # its own page comes second, and is never reached
