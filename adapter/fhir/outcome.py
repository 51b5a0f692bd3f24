"""OperationOutcome (https://hl7.org/fhir/R4/operationoutcome.html): an issue for each problem."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from adapter.errors import Problem, Refused

MEDIA_TYPE = "application/fhir+json; charset=utf-8"

_ISSUE_TYPES = {
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
    return of(refused.problems, canonical_base, _ISSUE_TYPES.get(refused.status, "exception"))


def of(problems: Iterable[Problem], canonical_base: str, issue_type: str = "informational") -> bytes:
    """Return the JSON of an OperationOutcome; `issue_type` is that of problems without one of their own."""
    return orjson.dumps(resource(problems, canonical_base, issue_type))


def resource(problems: Iterable[Problem], canonical_base: str, issue_type: str = "informational") -> dict[str, Any]:
    """Return an OperationOutcome with an issue for each problem."""
    issues = [_issue(problem, problem.issue or issue_type, canonical_base) for problem in problems]
    return {"resourceType": "OperationOutcome", "issue": issues}


def _issue(problem: Problem, issue_type: str, canonical_base: str) -> dict[str, Any]:
    in_the_way = _in_the_way(problem)
    issue: dict[str, Any] = {
        "severity": problem.severity,
        "code": issue_type,
        "details": {
            "coding": [{"system": f"{canonical_base}/CodeSystem/operation-outcome", "code": problem.code}],
            "text": problem.message,
        },
        "diagnostics": f"{problem.message} In the way: {in_the_way}." if in_the_way else problem.message,
    }
    expression = _expression(problem)
    if expression is not None:
        issue["expression"] = [expression]
    return issue


_NAMED = {"slots": "Slot/", "appointments": "Appointment/"}


def _in_the_way(problem: Problem) -> str:
    """Return the references of what a conflict is with; ids alone, nothing about a patient."""
    found: list[str] = []
    for member, prefix in _NAMED.items():
        idents = problem.details.get(member)
        found += [f"{prefix}{ident}" for ident in idents] if isinstance(idents, (list, tuple)) else []
    return ", ".join(found)


def _expression(problem: Problem) -> str | None:
    """Return the FHIRPath of what a problem is about; within a Bundle it leads through the entry."""
    if problem.entry is None:
        return problem.param
    entry = f"Bundle.entry[{problem.entry}]"
    if problem.param is None or problem.param.startswith("Bundle"):
        return entry if problem.param is None else problem.param
    return f"{entry}.resource.{problem.param.partition('.')[2]}" if "." in problem.param else entry
