"""A batch: entries that stand for themselves (https://hl7.org/fhir/R4/http.html#transaction).

Each would be a transaction of its own, and most of the time of a small transaction is waiting for the disk. So plain
writes are tried together first; those that are refused then are carried out one by one, as are all others. What comes
of it could also have come of the entries one after the other, which is all that a batch promises. Entries that name
one resource are carried out in the order of the Bundle: R4 forbids that they depend on each other, but all of them are
answered with success, and the sender takes the last one to stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from adapter.aside import aside
from adapter.errors import Malformed, Problem, Refused
from adapter.fhir import repeating
from adapter.fhir.bundles import responses
from adapter.fhir.bundles.alone import Answer, answered, fault, told, unavailable
from adapter.fhir.bundles.planning import write_of
from adapter.fhir.bundles.reading import Entry, Parsed
from adapter.fhir.bundles.responses import Budget
from adapter.fhir.call import Call, Reply
from adapter.fhir.writes import Write, Written
from adapter.fhir.writing import carry_out
from adapter.logs import logger
from adapter.scheduling.road import IDEMPOTENCY_HEADER
from store.chunks import chunks
from store.connection import renew_deadline
from store.errors import AlreadyExists, NotUnique, Oversized, Unreachable
from store.extract import references
from store.unit_of_work import UnitOfWork

_AT_ONCE = 16
_TOGETHER = 200  # writes tried in one transaction: what is lost where a rival comes first is bounded
_Plain = tuple[Entry, Write]
_DEPTH = 4  # so often are writes halved where some of them are refused, before each is carried out alone


async def run(call: Call, parsed: Parsed, answer: Answer) -> Reply:
    """Carry out a batch; whatever becomes of its entries, the answer is 200.

    Raises:
        Malformed: it is to be carried out once as a whole, and writes: it is many units of work, not one.
    """
    if repeating.is_repeatable(call) and not all(entry.reads for entry in parsed.entries):
        text = (
            f"The entries of a batch are carried out one by one, and {IDEMPOTENCY_HEADER} is for what is done as a "
            "whole. Send a transaction, or leave the header out."
        )
        raise Malformed(Problem("batch_not_repeatable", text, IDEMPOTENCY_HEADER, issue="not-supported"))
    done: dict[int, bytes] = {index: responses.failed(call, refused) for index, refused in parsed.faults.items()}
    writes = [entry for entry in parsed.entries if not entry.reads]
    budget = Budget()
    done |= await _together(call, writes, budget)
    done |= await _each(call, (entry for entry in writes if entry.index not in done), answer, budget)
    done |= await _each(call, (entry for entry in parsed.entries if entry.reads), answer, budget)
    return responses.bundle("batch", [done[index] for index in range(parsed.size)])


async def _each(call: Call, entries: Iterable[Entry], answer: Answer, budget: Budget) -> dict[int, bytes]:
    """Return the response entries of `entries`, by their places; what names one resource is done in their order."""
    turns = asyncio.Semaphore(_AT_ONCE)
    last: dict[str, asyncio.Event] = {}

    async def one(entry: Entry, before: Sequence[asyncio.Event], done: asyncio.Event) -> tuple[int, bytes]:
        for earlier in before:  # outside of the turns: who waits must not keep from theirs whom it waits for
            await earlier.wait()
        try:
            async with turns:
                await asyncio.sleep(0)  # other requests go on: what is refused at once waits for nothing
                return entry.index, await answered(call, entry, answer, budget)
        finally:
            done.set()

    asked = []
    for entry in entries:
        written, done = _written_by(entry), asyncio.Event()
        asked.append(one(entry, [last[name] for name in written if name in last], done))
        last |= dict.fromkeys(written, done)
    return dict(await asyncio.gather(*asked))


def _written_by(entry: Entry) -> list[str]:
    """Return what an entry writes by name (``Slot/1``), as far as that shows; an answer writes to its Appointment."""
    if entry.reads or not entry.path:
        return []
    kind, *rest = entry.path
    own = [f"{kind}/{rest[0]}"] if rest and not rest[0].startswith("$") else []
    if kind == "AppointmentResponse" and entry.resource is not None:
        own += references(entry.resource, "appointment")
    return own


async def _together(call: Call, entries: Sequence[Entry], budget: Budget) -> dict[int, bytes]:
    """Return the response entries of the plain writes that could be carried out together, by their places."""
    plain = await aside(lambda: _plain(call, entries), much=call.large)
    done: dict[int, bytes] = {}
    for places in chunks(list(plain), _TOGETHER):
        done |= await _attempted(call, {place: plain[place] for place in places}, budget)
    return done


def _plain(call: Call, entries: Iterable[Entry]) -> dict[int, _Plain]:
    plain: dict[int, _Plain] = {}
    before: set[str] = set()
    for entry in entries:
        written = _written_by(entry)
        follows = not before.isdisjoint(written)
        before.update(written)
        if _is_plain(entry) and not follows:
            try:
                plain[entry.index] = entry, write_of(call, entry, entry.resource)
            except Refused:  # it is told when the entry is carried out by itself
                continue
    return plain


def _is_plain(entry: Entry) -> bool:
    conditional = bool(entry.query) or "if-none-exist" in (entry.headers or {})
    return entry.writes and entry.method in ("POST", "PUT", "DELETE") and not conditional


async def _attempted(call: Call, writes: dict[int, _Plain], budget: Budget, depth: int = 0) -> dict[int, bytes]:
    """Return the response entries of those of `writes`, by their places, that could be carried out together.

    Where some are refused, the others are tried again in two halves: the next refusal then costs less.
    """
    if len(writes) < 2 or depth == _DEPTH:
        return {}
    places = list(writes)
    try:
        results = await _written(call, [write for _, write in writes.values()])
    except Refused as refused:
        wrong = {places[problem.entry] for problem in refused.problems if problem.entry is not None}
        right = [place for place in places if place not in wrong]
        if not wrong:
            return {}
        halves = right[: len(right) // 2], right[len(right) // 2 :]
        return {
            place: answer
            for half in halves
            for place, answer in (await _attempted(call, {at: writes[at] for at in half}, budget, depth + 1)).items()
        }
    except (AlreadyExists, NotUnique, Oversized):
        return {}
    except Unreachable:  # it may have been done: doing it again could make everything twice
        return dict.fromkeys(places, responses.failed(call, unavailable()))
    except Exception:  # noqa: BLE001  (nor is it known of this; those before are committed, and are to be told)
        logger.exception("bundle_entry_failed", entries=len(places))
        return dict.fromkeys(places, responses.failed(call, fault(reads=False)))
    renew_deadline()
    return {
        place: told(call, entry, result, budget)
        for (place, (entry, _)), result in zip(writes.items(), results, strict=True)
    }


async def _written(call: Call, writes: Sequence[Write]) -> list[Written]:
    async def step(work: UnitOfWork) -> list[Written]:
        return await carry_out(work, call.who, call.base, writes)

    return await call.who.store.transact(step, large=True)
