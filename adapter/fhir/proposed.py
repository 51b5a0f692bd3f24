"""Appointments that ``$find`` has proposed, for those who read or write by id: they are stored nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapter.errors import Gone, NotFound, Problem
from adapter.fhir.call import Call
from adapter.fhir.writes import Written

_KIND = "Appointment"


async def read(call: Call, kind: str, ident: str) -> bytes | None:
    """Return what was proposed with that id; None if nothing was, or what became of it was deleted.

    Raises:
        Gone: it has expired.
    """
    found = await call.who.store.proposals.read(ident) if kind == _KIND else None
    if found is None or await call.who.store.gone(kind, ident) is not None:
        return None
    if found.expires <= call.who.store.now():
        text = "That proposal has expired. Search for time again, with Appointment/$find."
        raise Gone(Problem("proposal_expired", text, issue="expired"))
    return found.raw


async def require_none(call: Call, kind: str, ident: str) -> None:
    """Refuse to change what is not stored, but only proposed.

    Raises:
        NotFound: it is proposed. Gone: it was, and has expired.
    """
    if await read(call, kind, ident) is not None:
        text = "That is a proposal of Appointment/$find, which is not stored. $hold or $book it, and change it then."
        raise NotFound(Problem("unknown_resource", text))


async def dropped(call: Call, results: Sequence[Written]) -> list[Written]:
    """Drop the proposals that `results` would delete; return what became of each.

    A deletion that found nothing stored has done nothing else: whoever repeats it after a failure ends it.
    """
    made = list(results)
    for index, one in enumerate(made):
        if one.kind == _KIND and one.ident and one.status == 204 and not one.changed:
            made[index] = replace(one, changed=await call.who.store.proposals.drop(one.ident))
    return made
