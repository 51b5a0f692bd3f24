"""OperationOutcome (https://hl7.org/fhir/R4/operationoutcome.html): an issue for each problem.

``expression`` is the FHIRPath of an element. ``location`` names a header or a parameter: ``http.If-Match``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson

from adapter.errors import Problem, Refused, few
from adapter.security.permissions import Holder, told

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
    414: "too-long",
    415: "not-supported",
    422: "business-rule",
    429: "throttled",
    431: "too-long",
    501: "not-supported",
    503: "transient",
}


_MOST = 1_000
"""Problems that one answer names: one for each entry of a Bundle. A transaction may have a hundred in each, an
appointment one for each of thousands of slots, and the answer many times the size of what was sent."""


def outcome(refused: Refused, canonical_base: str, key: Holder | None = None) -> bytes:
    """Return the JSON of an OperationOutcome for who calls with `key`, if with any.

    ``details.coding`` carries the stable code for machines.
    """
    return of(told(key, refused.problems), canonical_base, _ISSUE_TYPES.get(refused.status, "exception"))


def of(problems: Iterable[Problem], canonical_base: str, issue_type: str = "informational") -> bytes:
    """Return the JSON of an OperationOutcome; `issue_type` is that of problems without one of their own."""
    return orjson.dumps(resource(problems, canonical_base, issue_type))


def resource(problems: Iterable[Problem], canonical_base: str, issue_type: str = "informational") -> dict[str, Any]:
    """Return an OperationOutcome with an issue for each problem, a thousand at most."""
    issues = [_issue(one, one.issue or issue_type, canonical_base) for one in few([*problems], _MOST)]
    return {"resourceType": "OperationOutcome", "issue": issues}


def entry(problems: Iterable[Problem], canonical_base: str) -> bytes:
    """Return the JSON of a searchset's entry with an OperationOutcome of `problems`.

    It has no address, so a UUID is its identity (https://hl7.org/fhir/R4/bundle.html#bundle-unique).
    """
    body = of(problems, canonical_base)
    return b'{"fullUrl":"%b","resource":%b,"search":{"mode":"outcome"}}' % (uuid4().urn.encode(), body)


def _issue(problem: Problem, issue_type: str, canonical_base: str) -> dict[str, Any]:
    problem = replace(problem, message=_told(problem.message), param=problem.param and _told(problem.param))
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
    if problem.param is None or is_element(problem.param):
        expression = _expression(problem)
    else:
        expression = _of_request(problem.param, problem.entry)
        if expression is None or problem.param not in _IN_ENTRIES:
            issue["location"] = [f"http.{problem.param}"]
    if expression is not None:
        issue["expression"] = [expression]
    return issue


def _told(text: str) -> str:
    """Return `text` as a string of FHIR may be: what a request names may hold control characters, no string may."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ELEMENT = re.compile(
    r"[A-Z][A-Za-z]*(?:[.\[](?:[^:']|'[^']*')*)?"
)  # a colon outside of quotes: `Schedule.actor:Patient`
_HEADERS = frozenset({"Accept", "Authorization", "Prefer"})  # all others have a hyphen
_IN_ENTRIES = {"If-Match": "ifMatch", "If-None-Match": "ifNoneMatch", "If-None-Exist": "ifNoneExist"}


def is_element(param: str) -> bool:
    """Tell whether what a problem is about is an element (``Patient.name[0]``), no header and no parameter."""
    return _ELEMENT.fullmatch(param) is not None and param not in _HEADERS


def _of_request(param: str, entry: int | None) -> str | None:
    """Return the FHIRPath for what stands in HTTP's headers and queries, and in a Bundle within the entry."""
    if entry is None:
        return None
    element = f".request.{_IN_ENTRIES[param]}" if param in _IN_ENTRIES else ""
    return f"Bundle.entry[{entry}]{element}"


IN_THE_WAY = {"slots": "Slot", "appointments": "Appointment", "schedules": "Schedule"}
"""The details of a problem that name resources by their ids, and of which type."""


def _in_the_way(problem: Problem) -> str:
    """Return the references of what a conflict is with; ids alone, nothing about a patient."""
    found: list[str] = []
    for member, kind in IN_THE_WAY.items():
        idents = problem.details.get(member)
        found += [f"{kind}/{ident}" for ident in idents] if isinstance(idents, (list, tuple)) else []
    return ", ".join(found)


def _expression(problem: Problem) -> str | None:
    """Return the FHIRPath of what a problem is about; within a Bundle it leads through the entry."""
    if problem.entry is None:
        return problem.param
    entry = f"Bundle.entry[{problem.entry}]"
    if problem.param is None or problem.param.startswith("Bundle"):
        return entry if problem.param is None else problem.param
    return f"{entry}.resource.{problem.param.partition('.')[2]}" if "." in problem.param else entry
