"""Refusals in MediLoop's envelope (https://docs.mediloop.co/docs/errors).

``{"error": {code, message, type, param?, doc_url?}}``: one error has room there, so the first problem fills it
and all of them stand in ``error.errors``.
"""

from __future__ import annotations

from typing import Any

import orjson

from adapter.errors import Problem, Refused
from adapter.security.permissions import Holder, told

DOCS = "https://docs.mediloop.co/errors/"

_TYPES = {
    400: "validation_error",
    401: "authentication_error",
    403: "authentication_error",
    422: "validation_error",
    429: "rate_limit_error",
}


def error_type(status: int) -> str:
    """Return the documented ``type`` of an error with that HTTP status."""
    return "api_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")


def envelope(refused: Refused, key: Holder | None = None) -> bytes:
    """Return the JSON of the documented error envelope, for who calls with `key`, if with any."""
    kind = error_type(refused.status)
    every = [_one(problem, kind) for problem in told(key, refused.problems)]
    return orjson.dumps({"error": {**every[0], "doc_url": DOCS + kind, "errors": every}})


def _one(problem: Problem, kind: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"code": problem.code, "message": problem.message, "type": kind}
    if problem.param is not None:
        shown["param"] = problem.param
    return shown | dict(problem.details)
