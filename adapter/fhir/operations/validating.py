"""``$validate``: what would be said of a resource if it were sent.

https://hl7.org/fhir/R4/resource-operation-validate.html. The answer is 200 however much is wrong with the resource; the
call is refused only where the validation cannot be carried out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from adapter.aside import aside
from adapter.errors import Problem, Refused, Unprocessable
from adapter.fhir import outcome, reads, validation
from adapter.fhir.access import require_type
from adapter.fhir.call import Call, Reply
from adapter.fhir.elsewhere import require_here
from adapter.fhir.operations.parameters import Sent, once, parameters
from adapter.fhir.refusing import Faults
from adapter.fhir.writes import Write
from adapter.fhir.writing import carry_out
from adapter.scheduling import by_itself
from adapter.scheduling.road import decide
from adapter.security.permissions import told
from store.codec import Resource, decode
from store.search.results import PASSED_BY
from store.unit_of_work import UnitOfWork

_TAKES = ("mode", "profile")


class _Possible(Exception):
    """It could be done: whatever a unit of work has staged is dropped with it."""


async def validate(call: Call, kind: str, ident: str | None) -> Reply:
    """Answer with an OperationOutcome about the resource in the body, or the one named (``delete``, ``profile``).

    Raises:
        Malformed: there is no resource, no such mode, profile or parameter, or two of one.
        NotFound, Gone: nothing is stored by that id.
    """
    require_type(call.who, kind, "read")
    wrong = Faults()
    sent = await aside(lambda: parameters(call, wrong, bare=True), much=call.large)
    resource = sent.resource
    mode, profile = _read(sent, kind, ident, wrong)
    stored = b""
    if mode == "profile" and resource is None and ident is not None:
        stored = await _stored(call, kind, ident)
    bases = (call.base, *call.who.service.settings.fhir_bases)

    def judged() -> list[Problem]:
        further = partial(_refused, bases=bases)
        subject = decode(stored) if stored else resource
        return validation.outcome_of(subject, kind, mode, ident=ident, profile=profile, further=further)

    # What is stored may be large, and a short batch may ask five hundred times.
    problems = await aside(judged, much=call.large or bool(stored))
    if mode == "delete" and ident is not None:
        problems = await _deletable(call, kind, ident)
    return Reply(200, outcome.of(problems, call.who.service.settings.canonical_base, "invalid"))


def _read(sent: Sent, kind: str, ident: str | None, faults: Faults) -> tuple[str | None, str | None]:
    """Return mode and profile. No parameter is passed over: who misspells `profile` would be told that all is well.

    Raises:
        Malformed: with everything that is wrong with the call; `faults` has what is wrong already.
    """
    mode: str | None = None
    profile: str | None = None
    given = (*(name for name, value in sent.pairs if value), *(name for name in sent.unreadable if name != "resource"))
    for name in dict.fromkeys(name for name in given if name not in (*_TAKES, *PASSED_BY)):
        text = f"$validate does not take {name} so. It takes {', '.join(_TAKES)}, and in the body resource."
        faults.add(name, text, "not-supported")
    with faults.noted():
        mode = once(sent.pairs, "mode")
    with faults.noted():
        profile = once(sent.pairs, "profile")
    has_subject = sent.resource is not None or (mode == "profile" and ident is not None)
    unknown = not {"mode", "resource"}.isdisjoint(sent.unreadable)  # what is there and cannot be read is not missing
    with faults.noted():
        validation.require_call(kind, mode, ident, profile, has_subject=has_subject or unknown)
    faults.require_none()
    return mode, profile


async def _stored(call: Call, kind: str, ident: str) -> bytes:
    raw = await call.who.store.read(kind, ident)
    if raw is None:
        raise await reads.absent(call, kind, ident)
    return raw


def _refused(resource: Resource, bases: Sequence[str]) -> Iterator[Problem]:
    """Yield what a valid resource is refused for whatever is stored, once it is known where this server lies."""
    found: list[Problem] = [*by_itself.faults(resource)]
    try:
        require_here([resource], [0], bases)
    except Unprocessable as refused:
        found += refused.problems
    return (replace(one, issue=one.issue or "business-rule", entry=None) for one in found)


async def _deletable(call: Call, kind: str, ident: str) -> list[Problem]:
    """Tell what stands in the way of a deletion: it is decided, and not done."""
    await _stored(call, kind, ident)

    async def step(work: UnitOfWork) -> None:
        await carry_out(work, call.who, call.base, [Write("DELETE", kind, ident)])
        raise _Possible

    try:
        await decide(call.who.store, step)
    except _Possible:
        pass
    except Refused as refused:  # 409 or 422: both stand in the way
        return [
            replace(one, param=one.param or kind, issue=one.issue or "conflict", entry=None)
            for one in told(call.who.key, refused.problems)
        ]
    return [Problem("no_issues", "No issues", issue="informational", severity="information")]
