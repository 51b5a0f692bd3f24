"""One entry as an interaction of its own: answered by the dispatcher that answers HTTP, or told as that tells it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from adapter.errors import OUR_FAULT, Problem, Refused, Unavailable, oversized
from adapter.fhir.bundles import responses
from adapter.fhir.bundles.reading import Entry
from adapter.fhir.bundles.responses import Budget
from adapter.fhir.call import Call, Reply
from adapter.fhir.shaping import shaped
from adapter.fhir.writes import Written
from adapter.logs import logger
from store.connection import renew_deadline
from store.errors import Oversized, Unreachable

Answer = Callable[[Call], Awaitable[Reply]]
"""`adapter.fhir.interactions.answer`, which calls this package: so it is handed in."""


def as_call(call: Call, entry: Entry) -> Call:
    """Return the interaction that an entry of the Bundle in `call` asks for."""
    headers = dict(entry.headers or {})
    prefer = call.headers.get("prefer")
    if entry.writes:  # whole resources come back where that was asked for: of two that differ, the first counts
        prefer = "return=minimal" if prefer is None else f"{prefer}, return=minimal"
    if prefer is not None:
        headers["prefer"] = prefer
    return Call(call.who, call.base, entry.method, entry.path, entry.query, headers, entry.resource, None, call.large)


async def answered(call: Call, entry: Entry, answer: Answer, budget: Budget) -> bytes:
    """Return the response entry for an entry, whatever comes of it.

    Once the answer is too large nothing more is read; what was done is told without what it has made.
    """
    if entry.reads and budget.is_spent:
        return responses.failed(call, responses.beyond())
    try:
        reply = await answer(as_call(call, entry))
        renew_deadline()  # a long batch may go on for as long as MongoDB answers
        return _fitted(call, entry, reply, budget)
    except Refused as refused:
        return responses.failed(call, refused)
    except Unreachable:
        return responses.failed(call, unavailable())
    except Oversized:
        return responses.failed(call, oversized())
    except Exception:  # noqa: BLE001  (the others have been done and are to be told: the log has the story)
        logger.exception("bundle_entry_failed", method=entry.method)
        return responses.failed(call, fault(reads=entry.reads))


def told(call: Call, entry: Entry, written: Written, budget: Budget) -> bytes:
    """Return the response entry for a write that was carried out with others: it is as if it had been by itself."""
    asked = as_call(call, entry)
    if budget.is_spent:
        asked = replace(asked, headers={**asked.headers, "prefer": "return=minimal"})
    return _fitted(call, entry, shaped(asked, written), budget)


def _fitted(call: Call, entry: Entry, reply: Reply, budget: Budget) -> bytes:
    """Return the response entry for a reply: what was done is told without a body that the budget does not take."""
    if budget.takes(len(responses.body_of(entry.method, reply))):
        return responses.replied(call, entry, reply)
    if entry.reads:
        return responses.failed(call, responses.beyond())
    return responses.replied(call, entry, replace(reply, body=b""))


def unavailable() -> Unavailable:
    """Return the refusal of an entry for which the database did not answer."""
    text = "The database did not answer in time. See whether this entry was done, and else send it again."
    return Unavailable(Problem("service_unavailable", text))


def fault(*, reads: bool) -> Refused:
    """Return the refusal of an entry that a fault of ours has ended."""
    text = OUR_FAULT
    if not reads:
        text += " Whether this entry was done is not known: look before it is sent again."
    return Refused(Problem("api_error", text), status=500)
