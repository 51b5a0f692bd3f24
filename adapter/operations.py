"""For those who run the service: alive, ready, metrics. No key needed; nothing about anyone is told."""

from __future__ import annotations

import orjson
import pymongo
from fastapi import APIRouter, Request, Response
from pymongo.errors import OperationFailure

from adapter import metrics
from adapter.logs import logger
from adapter.service import Service
from store.connection import refusal
from store.errors import Unreachable

_PATIENCE = 2.0
"""Seconds after which MongoDB counts as not there: who asks `/readyz` does not wait for long."""

router = APIRouter(tags=["Operations"])


@router.get("/healthz")
async def healthz() -> Response:
    """Whether the process answers."""
    return _said(200, "alive")


@router.get("/readyz", responses={503: {"description": "It cannot, or takes none; `reason` says why."}})
async def readyz(request: Request) -> Response:
    """Whether MongoDB can be reached and takes writes: 200, or 503 with the reason."""
    service: Service = request.app.state.service
    try:
        # Not `bounded`: what ends the driver's search for a server from outside may break its lock (gh-106176), and
        # here the bound falls together with the pauses of that search.
        with pymongo.timeout(_PATIENCE):
            await service.stores["live"].ping()
    except Unreachable as error:
        cause = error.__cause__
        said = refusal(cause) if isinstance(cause, OperationFailure) else None
        logger.warning("not_ready", reason=str(error), mongodb_says=said)
        return _said(503, "not ready", str(error))
    return _said(200, "ready")


@router.get("/metrics")
async def figures() -> Response:
    """Figures for Prometheus."""
    body, media_type = metrics.exposition()
    return Response(body, headers={"Content-Type": media_type})


for _path, _endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", figures)):
    router.add_api_route(_path, _endpoint, methods=["HEAD"], include_in_schema=False)  # as many a monitor asks


def _said(status: int, text: str, reason: str | None = None) -> Response:
    body = {"status": text} | ({"reason": reason} if reason else {})
    return Response(orjson.dumps(body), status, media_type="application/json")
