"""The pass that every request goes through before and after its handler, in one middleware.

It gives the request an id, authenticates its key, enforces the rate limit and the largest body, adds the headers that
all answers have, writes the log line and the metrics, and answers when a fault of ours escapes the handler. It is plain
ASGI, because every request pays for it. Whether a key may do a thing is asked by the route
(`adapter.security.callers`), so an unknown path is 404 with or without a key.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Self

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapter.errors import Problem, Refused, TooLarge, Unauthenticated
from adapter.logs import logger
from adapter.metrics import answered
from adapter.refusals import FHIR_BASE, METHODS, respond, stopped, unavailable, unexpected
from adapter.security.ratelimit import RateState
from adapter.service import Service
from store.connection import Deadline, within
from store.errors import Unreachable

_API = ("/api/", "/fhir")
_UNKEPT = b"private, no-store"
"""Cache-Control of answers that have none of their own: they may be about patients (RFC 9111 section 5.2.2.5)."""
REQUEST_SECONDS = 12.0
"""How long a request may wait for MongoDB in all; in a batch each entry may."""
_GONE = 499  # what nginx logs for a client that has disconnected; it is never sent
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_CORRELATION_ID = re.compile(r"[\x20-\x7e]{1,1024}")


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids by which an answer names its request."""

    request: str
    correlation: str | None

    @classmethod
    def of(cls, headers: Headers) -> Self:
        """Return the ids of a request with these headers."""
        given = headers.get("x-request-id", "")
        request = given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
        # https://hl7.org/fhir/R4/http.html#custom: the client's own id, where the answer has another one.
        own = headers.get("x-correlation-id", "" if given == request else given)
        return cls(request, own if _CORRELATION_ID.fullmatch(own) else None)


def add_common(headers: list[tuple[bytes, bytes]], ids: Ids, path: str, now: datetime) -> None:
    """Add to the headers of an answer those that every answer has."""
    # Uvicorn's own date may be a second old: what was just written would be newer than the answer (RFC 9110, 8.8.2.1).
    headers.append((b"date", format_datetime(now, usegmt=True).encode()))
    headers.append((b"x-request-id", ids.request.encode("latin-1")))
    if ids.correlation is not None:
        headers.append((b"x-correlation-id", ids.correlation.encode("latin-1")))
    headers.append((b"x-content-type-options", b"nosniff"))
    if path.startswith(_API) and not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", _UNKEPT))


def known(method: str) -> str:
    """Return the name under which a method is counted: all unknown ones share one, so that the metrics stay few."""
    return method if method in METHODS else "other"


class Gate:
    """The middleware; `service` is made before the first request."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with within(REQUEST_SECONDS) as deadline:
            passage = _Passage(self._service, scope, receive, send, deadline)
            await passage.run(self._app)


class _Passage:
    """One request on its way through."""

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send, deadline: Deadline) -> None:
        self.service = service
        self.deadline = deadline
        self.scope = scope
        self.receive_ = receive
        self.send_ = send
        self.headers = Headers(scope=scope)
        self.started = time.perf_counter()
        self.status = 500
        self.admitted = False
        self.answering = False
        self.received = 0
        self.rate: RateState | None = None
        self.ids = Ids.of(self.headers)

    async def run(self, app: ASGIApp) -> None:
        """Admit the request, have it answered, and record how it went."""
        state = self.scope.setdefault("state", {})
        state["request_id"] = self.ids.request
        structlog.contextvars.bind_contextvars(request_id=self.ids.request)
        self._unify_path()
        try:
            await self._admit(state)
            self.admitted = True
            await app(self.scope, self.receive, self.send)
        except Refused as refused:
            await self._refuse(refused)
        except Unreachable:
            await self._refuse(unavailable())
        except asyncio.CancelledError:  # the service is stopped and has waited for as long as it does
            if self.answering:
                raise
            await self._refuse(stopped())
        except ClientDisconnect:  # before its body was whole: no fault, and nobody is left to answer
            self.status = _GONE
        except Exception:  # noqa: BLE001  (whatever it is: the client gets a whole answer, the log the story)
            logger.exception("request_failed", method=known(self.scope["method"]), route=self._route())
            await self._refuse(unexpected(self.scope["method"]))
        finally:
            self._record()
            structlog.contextvars.unbind_contextvars("request_id")

    def _unify_path(self) -> None:
        """Take a path with or without its trailing slash, without a redirect: MediLoop's get one, FHIR's lose it."""
        path: str = self.scope["path"]
        if path.startswith("/api/") and not path.endswith("/"):
            self.scope["path"] = path + "/"
        elif path.startswith(f"{FHIR_BASE}/") and path.endswith("/"):
            self.scope["path"] = path[:-1]

    async def _admit(self, state: dict[str, object]) -> None:
        if not self.scope["path"].startswith(_API):
            return
        key, silent = None, None
        try:
            key = await self.service.keyring.authenticate(self._authorization())
        except Unauthenticated as refused:
            state["refused"] = refused
        except Unreachable as error:  # raised below: this answer gets the headers of the rate limit, too
            silent = error
        state["key"] = key
        client = self.scope.get("client")
        self.rate = await self.service.limiter.check(key, client[0] if client else "")
        if silent is not None:
            raise silent
        if not self.rate.allowed:
            raise self.rate.refusal()
        declared = self.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self.service.settings.max_body_bytes:
            raise self._too_large()

    def _authorization(self) -> str | None:
        """Return the Authorization header; several lines are joined into one (RFC 9110 section 5.3), which is no key.

        If the first line counted, a proxy that checks the last one would let in somebody other than whom we serve.
        """
        return ", ".join(self.headers.getlist("authorization")) or None

    def _too_large(self) -> TooLarge:
        most = self.service.settings.max_body_bytes
        return TooLarge(Problem("body_too_large", f"The body is larger than {most} bytes. Send less.", None))

    async def receive(self) -> Message:
        """Pass on a part of the body, as long as the whole is not too large."""
        message = await self.receive_()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            if self.received > self.service.settings.max_body_bytes:
                raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.answering = True
            self.deadline.lift()  # of an answer that is sent piece by piece each piece has a time limit of its own
            self.status = message["status"]
            headers: list[tuple[bytes, bytes]] = message["headers"]
            add_common(headers, self.ids, self.scope["path"], self.service.now())
            if self.rate is not None:
                headers.extend((name.lower().encode(), value.encode()) for name, value in self.rate.headers().items())
        await self.send_(message)

    async def _refuse(self, refused: Refused) -> None:
        if self.answering:  # too late for another answer: the connection is cut, so the client sees a failure
            raise refused
        await respond(self.scope, refused)(self.scope, self.receive_, self.send)

    def _route(self) -> str:
        """Return the route's template: a path can hold what no log may (an id can be a UHID)."""
        route = self.scope.get("route") if self.admitted else self._meant()
        path: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
        return path or "unmatched"

    def _meant(self) -> object:
        """Return the route that a request would have got which was refused before, as Starlette finds it."""
        routes = self.scope["app"].router.routes
        match, route = max(((one.matches(self.scope)[0], one) for one in routes), key=lambda found: found[0].value)
        return None if match is Match.NONE else route

    def _record(self) -> None:
        elapsed = time.perf_counter() - self.started
        method, route = known(self.scope["method"]), self._route()
        answered(method, route, self.status, elapsed)
        logger.info("request", method=method, route=route, status=self.status, milliseconds=round(elapsed * 1000, 2))
