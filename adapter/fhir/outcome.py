"""Refusals as OperationOutcome (https://hl7.org/fhir/R4/operationoutcome.html): an issue for each problem."""

from __future__ import annotations

from typing import Any

import orjson

from adapter.errors import Problem, Refused

MEDIA_TYPE = "application/fhir+json; charset=utf-8"

_ISSUE_CODES = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    409: "conflict",
    410: "deleted",
    412: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "business-rule",
    429: "throttled",
    503: "transient",
}


def outcome(refused: Refused, canonical_base: str) -> bytes:
    """Return the JSON of an OperationOutcome; ``details.coding`` carries the stable code for machines."""
    code = _ISSUE_CODES.get(refused.status, "exception")
    issues = [_issue(problem, code, canonical_base) for problem in refused.problems]
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": issues})


def _issue(problem: Problem, code: str, canonical_base: str) -> dict[str, Any]:
    issue: dict[str, Any] = {
        "severity": "error",
        "code": code,
        "details": {
            "coding": [{"system": f"{canonical_base}/CodeSystem/operation-outcome", "code": problem.code}],
            "text": problem.message,
        },
        "diagnostics": problem.message,
    }
    if problem.param is not None:
        issue["expression"] = [problem.param]
    return issue
