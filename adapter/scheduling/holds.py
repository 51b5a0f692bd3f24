"""Holds: appointments that keep time for a moment, and lapse by themselves.

A hold is a ``pending`` Appointment that says when it ends (extension ``hold-expires``, an instant). It holds its
Slots like any pending one, up to that moment; from it on it holds nothing. Nobody has to come by for that:

- Who decides is never refused for a lapsed hold: before a refusal is answered, the road lets those that are due lapse,
  in units of work of their own, and runs the step again (`adapter.scheduling.road.decide`).
- Who reads lets those that are due lapse first (`settle_due`, `settled`). That costs nothing while this process knows,
  from a look at the index not long ago and what it has written since, that none is.

A lapsed hold is a cancelled Appointment, its Slots free; it goes through the rules like every other change. One that
cannot lapse, whatever is wrong with it, is in nobody's way but that of its own time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from adapter.clock import text
from adapter.scheduling import settling
from adapter.scheduling.claimset import Change
from adapter.scheduling.expiry import LAPSED, ended, expires, other_extensions
from mappings.fields import CANCELLED_AT
from store.chunks import chunks
from store.codec import Resource
from store.dates import LAST
from store.errors import Oversized, Unreachable
from store.extract import walk
from store.finishing import HOLD_EXPIRES
from store.reading import Moment
from store.staged import Write
from store.store import Store
from store.unit_of_work import UnitOfWork

SECONDS = 300
"""How long a hold lasts, unless a setting says otherwise."""

_LOOK_AGAIN = 10.0  # seconds for which a look is good, at most
_BATCH = 100
_TOGETHER = 20  # in one unit of work: whoever reads waits for all that are due; each may have some megabytes
_REST = timedelta(minutes=1)  # for one that could not lapse
_NEVER = datetime.min.replace(tzinfo=UTC)


def holding(appointment: Resource, until: datetime, extensions: str) -> Resource:
    """Return the appointment as a hold that ends at `until`; `extensions` is the base of our StructureDefinitions."""
    rest = other_extensions(appointment)
    held = {"url": f"{extensions}/{HOLD_EXPIRES}", "valueInstant": text(until)}
    return {**appointment, "status": "pending", "extension": [*rest, held]}


def due_query(moment: datetime) -> dict[str, Any]:
    """Return the MongoDB query for the holds that have ended at `moment` (holds alone are in that index)."""
    return {"_index.hold": {"$lte": moment}}


async def lapse(store: Store, idents: Sequence[str]) -> int:
    """Let holds lapse, some in one unit of work, or each in one of its own where that fails; return how many did.

    One that was booked, prolonged or cancelled meanwhile is left as it is. One that cannot lapse is told in the log,
    and not tried for a while: it is in the way of its own time alone, and nobody's reading waits for it.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    known = _watch(store)
    async with known.lapsing:  # rivals of this process, who all have met the same holds, do not meet once more
        return sum([await _all_lapse(store, known, part) for part in chunks(idents, _TOGETHER)])


async def _all_lapse(store: Store, known: _Watch, idents: Sequence[str]) -> int:
    if len(idents) > 1:
        try:
            return await store.transact(partial(_lapse, idents=idents))
        except Unreachable:
            raise
        except Exception:  # noqa: BLE001, S110  (whatever is wrong with one of them, it is met again below)
            pass
    done = 0
    for ident in idents:
        try:
            done += await _let_lapse(store, ident)
        except Unreachable:
            raise
        except Exception:  # noqa: BLE001  (whatever is wrong with one, others must lapse, and whoever reads go on)
            from adapter.logs import logger  # loads what draws tracebacks: not for every command

            logger.exception("hold_not_lapsed")
            known.stuck[ident] = store.now() + _REST
    return done


async def _let_lapse(store: Store, ident: str) -> int:
    # Not by `road.decide`, which lets holds lapse by this very function; and a lapse takes nothing.
    try:
        return await store.transact(partial(_lapse, idents=[ident]))
    except Oversized:  # it fills its document up to the last bytes: there is no room to say why
        return await store.transact(partial(_lapse, idents=[ident], told=False))


async def _lapse(work: UnitOfWork, idents: Sequence[str], *, told: bool = True) -> int:
    found = await work.read_many([f"Appointment/{ident}" for ident in idents])
    ends = [(before, end) for before in found.values() if (end := expires(before)) is not None and end <= work.now]
    changes = [Change(before, _lapsed(before, end, told=told)) for before, end in ends]
    if changes:
        settling.stage(work, await settling.settle(work, changes, fills_slots=False))
    return len(changes)


def _lapsed(hold: Resource, end: datetime, *, told: bool) -> Resource:
    after = {**hold, "status": "cancelled"}
    if told:
        stamp = {"url": CANCELLED_AT, "valueDateTime": text(end)}
        rest = (one for one in walk(hold, "extension") if one.get("url") != CANCELLED_AT)
        after |= {"cancelationReason": {"text": LAPSED}, "extension": [*rest, stamp]}
    return after


@dataclass(slots=True)
class _Watch:
    """What this process knows of the holds of one store.

    Attributes:
        seconds: how long holds last.
        clear_until: before this moment none is due that was there at the last look.
        heard: nor, before this one, any that this process has written since that look began.
        looking, lapsing: one at a time.
        stuck: the holds that could not lapse, and until when they are left alone.
    """

    seconds: float
    clear_until: datetime = _NEVER
    heard: datetime = LAST
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    lapsing: asyncio.Lock = field(default_factory=asyncio.Lock)
    stuck: dict[str, datetime] = field(default_factory=dict)

    def is_clear(self, now: datetime) -> bool:
        """Tell whether none is due by the last look; one that was taken by a clock that was ahead tells nothing."""
        return now < self.clear_until <= now + timedelta(seconds=_LOOK_AGAIN) and now < self.heard

    def look(self) -> None:
        """Begin a look: none is known to be clear until it has ended, and what is written meanwhile it may not see."""
        self.clear_until, self.heard = _NEVER, LAST

    def hear(self, write: Write) -> None:
        """Note when a hold ends that this process has written."""
        end = expires(write.after) if write.kind == "Appointment" and write.after is not None else None
        self.heard = self.heard if end is None else min(self.heard, end)

    def due(self, now: datetime, until: datetime) -> dict[str, Any]:
        """Return the query for the holds that are due by `until`, but for those that are left alone now."""
        self.stuck = {ident: end for ident, end in self.stuck.items() if end > now}
        return due_query(until) | ({"_id": {"$nin": [*self.stuck]}} if self.stuck else {})


_WATCHES: WeakKeyDictionary[Store, _Watch] = WeakKeyDictionary()


def watch(store: Store, seconds: float) -> None:
    """Say how long holds of a store last: what others make after a look is not due before the next one."""
    known = _WATCHES[store] = _Watch(seconds)
    store.committed.follow(known.hear)


def _watch(store: Store) -> _Watch:
    if store not in _WATCHES:
        watch(store, SECONDS)
    return _WATCHES[store]


async def settle_due(store: Store) -> None:
    """Let the holds that are due lapse, before somebody reads.

    Free while a look, not older than ten seconds and than a third of the time that holds last, says that none is due,
    nor any that this process has written since. Of one that another process has written with a shorter life it is told
    by the next look.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    known = _watch(store)
    if known.is_clear(store.now()):
        return
    async with known.looking:
        if known.is_clear(store.now()):
            return  # somebody else has looked while we waited
        known.look()
        await tidy(store)
        now = store.now()
        good = now + timedelta(seconds=min(_LOOK_AGAIN, known.seconds / 3))
        first = await store.documents(
            "Appointment", known.due(now, good), fields=("_index.hold",), sort=[("_index.hold", 1)], limit=1
        )
        known.clear_until = min([good, *(one["_index"]["hold"] for one in first)])


@asynccontextmanager
async def settled(store: Store, patience: float | None = None) -> AsyncIterator[Moment]:
    """Give what is stored at one moment to read from, after the holds that are due have lapsed.

    For whoever is told by several queries what is open: one time may be given up, and another taken, between any two.

    Args:
        store: where to look.
        patience: seconds after which a query gives up; None: those of the store.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    await settle_due(store)
    async with store.moment(patience) as moment:
        yield moment


async def tidy(store: Store) -> int:
    """Let all holds lapse that are due; return how many did.

    Raises:
        Unreachable: MongoDB did not answer in time.
    """
    done = 0
    known = _watch(store)
    while due := await store.keys("Appointment", known.due(store.now(), store.now()), limit=_BATCH):
        lapsed = await lapse(store, due)
        done += lapsed
        # Others were quicker; or the index says what no document does (`mediloop-fhir check` tells).
        if not lapsed and known.stuck.keys().isdisjoint(due):
            break
    return done


__all__ = ["ended", "expires", "holding", "lapse", "settle_due", "settled", "tidy", "watch"]
