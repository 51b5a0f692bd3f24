"""The page at ``/docs``: Swagger UI from a package, so that it needs no internet.

What it loads is named relative to it. An absolute address would be as the service sees itself: ``http://`` behind a
proxy that ends TLS, which a browser does not load into a page that came by ``https://``.

Keys are typed into it, so its own scripts alone run there, no other page shows it in a frame, and it forgets a key when
it is closed or loaded anew.
"""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi_swagger import patch_fastapi

_SHOWN = {
    "tryItOutEnabled": True,
    "persistAuthorization": False,
    "filter": True,
    "displayRequestDuration": True,
    "validatorUrl": None,  # it would show a picture of validator.swagger.io
}
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def policy(page: str) -> str:
    """Return the Content-Security-Policy of a page: of scripts within it those that are there now, by their hashes.

    https://www.w3.org/TR/CSP3/. Swagger UI writes styles and small pictures into the page itself.
    """
    digests = [hashlib.sha256(script.encode()).digest() for script in _INLINE.findall(page)]
    scripts = " ".join(["'self'", *(f"'sha256-{base64.b64encode(one).decode()}'" for one in digests)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def install(app: FastAPI) -> None:
    """Add the page, what it loads, and the way to it from the root."""

    page = bytes(
        get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title} - Swagger UI",
            swagger_js_url="swagger/swagger-ui-bundle.js",
            swagger_css_url="swagger/swagger-ui.css",
            swagger_favicon_url="swagger/favicon-32x32.png",
            swagger_ui_parameters=_SHOWN,
        ).body
    ).decode()
    headers = {"Content-Security-Policy": policy(page)}

    async def docs(_: Request) -> Response:
        return HTMLResponse(page, headers=headers)

    async def root(_: Request) -> Response:
        return RedirectResponse("docs")

    app.add_api_route("/docs", docs, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/", root, methods=["GET", "HEAD"], include_in_schema=False)
    patch_fastapi(app, redirect_from_root_to_docs=False)  # its own page comes second, and is never reached
