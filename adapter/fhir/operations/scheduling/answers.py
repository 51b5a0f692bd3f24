"""How the scheduling operations answer: a searchset with the Appointments, or with nothing but what is against it.

IHE wants a refusal as a Bundle whose only entry is an OperationOutcome of severity ``fatal``, and says nothing of the
status; ours says the same as the Bundle, so that who reads either is right.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from adapter.errors import Problem, Refused
from adapter.fhir import outcome, repeating, searching
from adapter.fhir.call import Call, Reply
from adapter.fhir.negotiation import as_http_date
from adapter.fhir.pointing import alone
from adapter.fhir.refusing import clashed
from adapter.scheduling import holds
from adapter.scheduling.road import travel
from adapter.security.permissions import told
from store.codec import Resource, encode
from store.errors import AlreadyExists, NotUnique
from store.extract import reference_to
from store.unit_of_work import UnitOfWork

_AS_BUNDLE = {404: "not-found", 409: "conflict", 410: "deleted", 412: "conflict", 422: "business-rule"}
_NO_LONGER_THERE = ("slot_unavailable", "time_conflict")


def bundle(
    call: Call, resources: Sequence[Resource], problems: Sequence[Problem] = (), total: int | None = None
) -> bytes:
    """Return a searchset of `resources`, and of what is to be told beside; `total` counts what is not shown too."""
    root = call.base
    asked = call.query if call.method in ("GET", "HEAD") else ()
    entries: list[Any] = [
        {
            "fullUrl": f"{root}/{reference_to(one)}",
            "resource": orjson.Fragment(encode(one)),
            "search": {"mode": "match"},
        }
        for one in resources
    ]
    if problems:
        entries.append(orjson.Fragment(outcome.entry(problems, call.who.service.settings.canonical_base)))
    answer = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(resources) if total is None else total,
        "link": [{"relation": "self", "url": searching.url(f"{root}/{'/'.join(call.path)}", asked)}],
        "entry": entries,
    }
    return orjson.dumps(answer)


async def written(
    call: Call, step: Callable[[UnitOfWork], Awaitable[Resource]], *, status: int = 200, holding: bool = False
) -> Reply:
    """Carry out a step that books, and answer with its Appointment.

    Args:
        call: the call; with an idempotency key it may be repeated.
        step: decides and stages; returns the Appointment as it will be stored.
        status: of success.
        holding: what is in the way is told as IHE wants it of ``$hold``: no longer to be found.

    Raises:
        Refused: where the request as such is refused (400, 403); everything else is told in a Bundle.
    """
    repeat = repeating.once(call)
    try:
        answer = await travel(call.who.store, step, lambda one: bundle(call, [one]), status=status, once=repeat)
    except (AlreadyExists, NotUnique) as clash:
        return _refused(call, clashed(clash), holding)
    except Refused as refused:
        return _refused(call, alone(refused), holding)
    appointment = orjson.loads(answer.body)["entry"][0]["resource"]
    headers = dict(repeating.REPLAYED) if answer.replayed else {}
    if answer.status == 201:
        version = appointment["meta"]["versionId"]
        headers["Location"] = f"{call.base}/Appointment/{appointment['id']}/_history/{version}"
    ends = holds.expires(appointment)
    if ends is not None:
        headers["Expires"] = as_http_date(ends)
    return Reply(answer.status, answer.body, headers)


def _refused(call: Call, refused: Refused, holding: bool) -> Reply:
    if refused.status not in _AS_BUNDLE:
        raise refused
    usual = _AS_BUNDLE[refused.status]
    problems = [
        replace(
            one,
            severity="fatal",
            issue="not-found" if holding and one.code in _NO_LONGER_THERE else one.issue or usual,
        )
        for one in told(call.who.key, refused.problems)
    ]
    return Reply(refused.status, bundle(call, [], problems), refused.headers)
