"""``$validate``: what would be said of a resource if it were sent.

https://hl7.org/fhir/R4/resource-operation-validate.html. The answer is 200 however much is wrong with the resource; the
call is refused only where the validation cannot be carried out.
"""

from __future__ import annotations

from adapter.errors import Problem
from adapter.fhir import outcome, reads, ties, validation
from adapter.fhir.access import require_type
from adapter.fhir.call import Call, Reply
from adapter.fhir.operations.parameters import parameters
from store.unit_of_work import UnitOfWork


async def validate(call: Call, kind: str, ident: str | None) -> Reply:
    """Answer with an OperationOutcome about the resource in the body, or (mode ``delete``) about the one named.

    Raises:
        Malformed: there is no resource, or no such mode or profile. NotFound, Gone: nothing that could be deleted.
    """
    require_type(call.who, kind, "read")
    pairs, resource = parameters(call, bare=True)
    asked = dict(pairs)
    mode = asked.get("mode")
    problems = validation.outcome_of(resource, kind, mode, ident=ident, profile=asked.get("profile"))
    if mode == "delete" and ident is not None:
        problems = await _deletable(call, kind, ident)
    return Reply(200, outcome.of(problems, call.who.service.settings.canonical_base, "invalid"))


async def _deletable(call: Call, kind: str, ident: str) -> list[Problem]:
    """Tell what stands in the way of a deletion."""
    if await call.who.store.read(kind, ident) is None:
        raise await reads.absent(call, kind, ident)

    async def step(work: UnitOfWork) -> list[str]:
        return await ties.referrers(work, f"{kind}/{ident}", call.base)

    found = await call.who.store.transact(step)
    if not found:
        return [Problem("no_issues", "No issues", issue="informational", severity="information")]
    text, shown = ties.told(call.who, found)
    return [Problem("still_referenced", f"It cannot be deleted. {text}", kind, {"references": shown}, issue="conflict")]
