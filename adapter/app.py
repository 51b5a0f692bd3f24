"""Puts the doors together into one ASGI application."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from adapter import __version__, chores, docs_page, logs, memory, operations, refusals, service
from adapter.compression import Compression
from adapter.export import running
from adapter.export.router import router as export
from adapter.fhir import describe as describe_fhir
from adapter.fhir import validation
from adapter.fhir.router import router as fhir
from adapter.gate import Gate
from adapter.handing import handed_over, has_same_zones
from adapter.mediloop import describe
from adapter.mediloop.router import router as mediloop
from adapter.metrics import PoolWatch
from adapter.origins import Origins
from adapter.publishing.router import PATH as PUBLISHED
from adapter.publishing.router import router as publishing
from store.types import TYPES

_ABOUT = """The MediLoop Appointments API over FHIR R4 documents: the same appointment through both APIs.

Authorize with a key (`sk_test_...` or `sk_live_...`). Test keys see test data, live keys live data."""


def create_app(parts: service.Service) -> FastAPI:
    """Return the application that serves `parts`; it closes them when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        validation.warm_up(TYPES)  # else the first write of each type waits for it
        memory.settle()
        beside = [
            asyncio.create_task(chores.run(parts), name="chores"),
            asyncio.create_task(running.run(parts), name="exports"),
        ]
        yield
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if hasattr(app.state, "publisher"):
            await app.state.publisher.close()
        await parts.close()

    app = FastAPI(
        title="MediLoop FHIR adapter",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = parts
    for router in (mediloop, publishing, fhir, export, operations.router):
        # Taken as they are: an included router is matched anew, twice over, for every request.
        app.router.routes.extend(router.routes)
    docs_page.install(app)
    refusals.install(app)
    app.add_middleware(Compression)
    app.add_middleware(Gate, service=parts)
    if parts.settings.cors_origins:
        app.add_middleware(Origins, origins=parts.settings.cors_origins)
    _describe(app, hidden=() if parts.settings.bulk_publish != "off" else (PUBLISHED,))
    return app


def worker() -> FastAPI:
    """Return the application of one worker process: what it is told is in its environment.

    Raises:
        SystemExit: it would go by other time zones than its siblings; that is final (`adapter.serving`).
    """
    _end_with_parent()
    _pass_nothing_on()
    read, uri = handed_over()
    logs.configure(read.log_format, read.log_level, read.uhid_pattern)
    if not has_same_zones():
        remedy = "start the service again: it tells whether the new rules are those of what is stored"
        logs.logger.error("time_zones_changed", package="tzdata", remedy=remedy)
        sys.exit(STARTUP_FAILURE)
    return create_app(service.build(read, uri, watches=[PoolWatch()]))


def _tell_only_what_is_sent(responses: dict[str, Any]) -> None:
    """Take away the answers that FastAPI assumes: its own 422, and 200 where the endpoint answers 201."""
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    if "201" in responses and responses.get("200", {}).get("description") == "Successful Response":
        del responses["200"]


def _end_with_parent() -> None:
    """Have this worker stop when the process that started it is gone, however it went.

    uvicorn's workers outlive a parent that is killed: they would go on with a MongoDB that is about to be taken over,
    and keep the port from the next start.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def _pass_nothing_on() -> None:
    """Keep what this process has inherited, the listening socket above all, from those that it starts.

    The process of exports would go on listening for minutes where the service takes no more connections.
    """
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  (numbers)
        if int(name) > 2:
            with suppress(OSError):  # the one by which the folder was read
                os.set_inheritable(int(name), False)


def _describe(app: FastAPI, *, hidden: tuple[str, ...]) -> None:
    """Add to the OpenAPI document what FastAPI cannot see: shared schemas, where its paths are and how to authorize.

    Args:
        app: the application.
        hidden: what paths begin with that answer no more than that they are switched off.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["paths"] = {path: one for path, one in document["paths"].items() if not path.startswith(hidden)}
            for path in document["paths"].values():
                for operation in path.values():
                    _tell_only_what_is_sent(operation["responses"])
            # Beside this document, wherever that came from: without `servers` OpenAPI means the root of the host (3.1,
            # 4.8.1), which is not ours where a proxy takes a prefix away.
            document["servers"] = [{"url": ".", "description": "The service that this document comes from"}]
            components = document.setdefault("components", {})
            components["schemas"] = describe.schemas() | describe_fhir.schemas()
            components["headers"] = describe.headers()
            components["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "sk_..."}}
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
