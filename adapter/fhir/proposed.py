"""Appointments that ``$find`` has proposed, for those who read or write by id: they are stored nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from adapter.errors import Gone, NotFound, Problem
from adapter.fhir.call import Call
from adapter.fhir.writes import Written
from store.unit_of_work import UnitOfWork

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
        raise expired()
    return found.raw


def expired(param: str | None = None) -> Gone:
    """Return the refusal of what was proposed until a moment that is over; `param` is what named it."""
    text = "That proposal has expired. Search for time again, with Appointment/$find."
    return Gone(Problem("proposal_expired", text, param, issue="expired"))


async def require_none(call: Call, kind: str, ident: str) -> None:
    """Refuse to change what is not stored, but only proposed.

    Raises:
        NotFound: it is proposed. Gone: it was, and has expired.
    """
    if await read(call, kind, ident) is not None:
        text = "That is a proposal of Appointment/$find, which is not stored. $hold or $book it, and change it then."
        raise NotFound(Problem("unknown_resource", text))


async def deleted(work: UnitOfWork, results: Mapping[int, Written]) -> dict[int, Written]:
    """Delete the proposals that deletions mean which have found nothing stored; return what becomes of all."""
    meant = {
        index: one.ident
        for index, one in results.items()
        if one.kind == _KIND and one.ident and one.status == 204 and not one.changed
    }
    there = await work.take_up(meant.values()) if meant else {}
    return {**results, **{index: replace(results[index], changed=ident in there) for index, ident in meant.items()}}
