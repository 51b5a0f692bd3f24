"""Headers of a MediLoop request that writes: the key under which it may be repeated, the reason to book over others."""

from __future__ import annotations

from contextlib import suppress

import orjson
from fastapi import Request

from adapter.errors import Malformed, Problem
from adapter.mediloop.parsing import read_header
from adapter.scheduling import occupancy
from adapter.scheduling.road import IDEMPOTENCY_HEADER, Once
from adapter.security.callers import Caller

OVERBOOK_HEADER = "X-Overbook-Reason"
OVERBOOK_LENGTH = 500


def once(request: Request, who: Caller, raw: bytes) -> Once | None:
    """Return what makes this request repeatable, if its sender asked for that.

    Raises:
        Malformed: the key is empty, too long, or given twice.
    """
    given, overbook = read_header(request, IDEMPOTENCY_HEADER), read_header(request, OVERBOOK_HEADER)
    request_line = f"{request.method} {request.scope['path']}"
    if overbook is not None:
        request_line += f"\n{overbook}"
    return Once.of(given, who.key.origin, request_line, None if given is None else orjson.loads(raw))


def overbooking(request: Request, who: Caller) -> str | None:
    """Return why this booking may pass over busy slots and other appointments, if its sender asks for that.

    Raises:
        Forbidden: without the permission ``overbook:write``.
        Malformed: the reason is empty, too long, or given twice.
    """
    given = read_header(request, OVERBOOK_HEADER)
    if given is None:
        return None
    if "write" not in who.key.permissions.get("overbook", ()):
        raise occupancy.forbidden(OVERBOOK_HEADER)
    with suppress(UnicodeDecodeError):
        given = given.encode("latin-1").decode()  # headers are read as Latin-1; people send UTF-8
    if not 1 <= len(given.strip()) <= OVERBOOK_LENGTH:
        text = f"{OVERBOOK_HEADER} must say why, in 1 to {OVERBOOK_LENGTH} characters."
        raise Malformed(Problem("invalid_request_error", text, OVERBOOK_HEADER))
    return given.strip()
