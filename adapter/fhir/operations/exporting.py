"""``$export``: the kick-off of FHIR Bulk Data Access (https://hl7.org/fhir/uv/bulkdata/STU2/export.html).

Of everything, of all patients, of the members of a Group. The answer is the address of a job; what becomes of it is in
`adapter.export`. The moment that the export shows is that of the kick-off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapter.aside import aside
from adapter.errors import Malformed, Problem, RateLimited, few
from adapter.export import running
from adapter.export.engine import take_cut
from adapter.export.plan import Plan
from adapter.export.shaping import fingerprint
from adapter.fhir import outcome, repeating, searching
from adapter.fhir.addresses import EXPORT_JOBS
from adapter.fhir.call import Call, Reply
from adapter.fhir.operations import exporting_asked, exporting_filters
from adapter.fhir.operations.exporting_asked import Asked
from adapter.fhir.operations.exporting_patients import Whose, patients
from adapter.scheduling.road import IDEMPOTENCY_HEADER
from adapter.security.permissions import require
from store import revision
from store.export_jobs import ExportJobs

_RETRY_SECONDS = 30
_MOST_BYTES = 15_000_000  # of a query: a command has 16 MB, and ids or documents stand beside it


async def export(call: Call, kind: str, ident: str | None) -> Reply:
    """Keep a job for what is asked for, and answer with its address.

    Raises:
        Forbidden: the key lacks ``export:read``, or may not read one of the types.
        NotFound, Gone: there is no such Group.
        Malformed: a parameter that cannot be carried out; an idempotency key.
        RateLimited: as many jobs as may be are open.
    """
    require(call.who.key, "export", "read")
    if repeating.is_repeatable(call):
        text = f"An export is of the moment at which it is asked for, and takes no {IDEMPOTENCY_HEADER}. Leave it out."
        raise Malformed(Problem("export_not_repeatable", text, IDEMPOTENCY_HEADER, issue="not-supported"))
    asked = await aside(lambda: exporting_asked.read(call, kind), much=call.large)
    kinds = exporting_asked.kinds_of(call, kind, asked)
    exporting_asked.check_elements(kinds, asked)
    if asked.problems and not asked.lenient:
        raise Malformed(few(asked.problems))
    cut = await take_cut(call.who.store)
    whose = await patients(call, cut, ident, asked.patients, asked.since)
    asked.problems += whose.problems
    plan = await _plan(call, kinds, whose, asked, everybody=bool(kind) and whose.patients is None)
    _require_room(plan)
    jobs = ExportJobs(call.who.store.database)
    settings = call.who.service.settings
    request = searching.url(f"{call.base}/{'/'.join(call.path)}", call.query)
    job = await jobs.create(
        call.who.key.id, request, plan.document(), cut, call.who.service.now(), settings.export_jobs
    )
    if job is None:
        text = f"{settings.export_jobs} exports are open already. Come back when one has ended, or delete one."
        raise RateLimited(Problem("too_many_exports", text), headers={"Retry-After": str(_RETRY_SECONDS)})
    running.wake()
    begun = Problem(
        "export_begun", "The export has begun; Content-Location tells how far it is.", severity="information"
    )
    return Reply(
        202, outcome.of([begun], settings.canonical_base), {"Content-Location": f"{call.base}/{EXPORT_JOBS}/{job}"}
    )


async def _plan(call: Call, kinds: list[str], whose: Whose, asked: Asked, *, everybody: bool) -> Plan:
    filters = {}
    for name in tuple(kinds):
        if name in asked.filters:
            found = []
            for pairs in asked.filters[name]:
                query, left_out = await exporting_filters.query(call, name, pairs, strict=not asked.lenient)
                asked.problems += left_out
                found += [] if query is None else [query]
            if not found:  # nothing can match
                kinds.remove(name)
            elif all(found):  # one that is empty is met by every resource: the type is wanted whole
                filters[name] = found
    return Plan(
        kinds=tuple(kinds),
        since=asked.since,
        filters=filters,
        patients=whose.patients,
        joined=whose.joined,
        everybody=everybody,
        base=call.base,
        elements=tuple(asked.elements),
        notes=_notes(call, asked.problems),
        deidentified=asked.deidentified,
        key=fingerprint(call.who.service.settings) if asked.deidentified else None,
        rules=revision.revision(call.who.store.rules),
    )


def _require_room(plan: Plan) -> None:
    """Refuse at once what MongoDB would not take later.

    Raises:
        Malformed: it names too much.
    """
    size = plan.largest
    if size > _MOST_BYTES:
        text = (
            f"This makes a query of {size / 1e6:.1f} MB, and MongoDB takes {_MOST_BYTES / 1e6:.0f} here. Export fewer "
            "patients at a time (patient), or all of them (Patient/$export), or narrow _typeFilter."
        )
        raise Malformed(Problem("too_costly", text, issue="too-costly"))


def _notes(call: Call, problems: Sequence[Problem]) -> tuple[Mapping[str, Any], ...]:
    passed_over = [replace(one, severity="warning") for one in few(problems)]
    base = call.who.service.settings.canonical_base
    return tuple(outcome.resource([one], base) for one in passed_over)
