"""Slots that an import frees on its way, and what makes them again what they were before.

Where one leaves a Slot in one batch and another takes it in a later one, or was there and did not come, it is free for
a while, and may stay so: a place in a group that was closed by hand, a Slot that a no-show leaves busy. The source had
it busy all the time, did not write it, and so its files do not tell of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapter.importing.checking import Ready
from adapter.importing.identity import same
from adapter.scheduling import claims
from adapter.scheduling.claimset import Change, left_busy
from store import narrative
from store.codec import Resource
from store.extract import instant
from store.unit_of_work import UnitOfWork

_NOT_EXPECTED = ("pending", "noshow")
"""The Slot was busy-tentative, and nobody holds it: whether it was confirmed in between, its own file tells."""


@dataclass(frozen=True, slots=True)
class Freed:
    """A Slot that appointments have given up, or may have.

    Attributes:
        was: as it was before the stage; None where the stage had written it by then: it was another one before.
        closed: it was closed by hand with places left, and not full.
    """

    was: Resource | None
    closed: bool


def noted(
    changes: Iterable[Change], cascades: Iterable[Change], shut: Mapping[str, Resource], since: datetime | None
) -> dict[str, Freed]:
    """Return what is to be noted of a batch, before it is written.

    Args:
        changes: what the batch changes.
        cascades: what follows from that.
        shut: the Slots that it touches and that were closed by hand (`slot_changes.shut`).
        since: when the stage began.
    """
    found: dict[str, Freed] = {}
    for before, after in ((one.before, one.after) for one in changes):
        if before is not None and after is not None and (before.get("status"), after.get("status")) == _NOT_EXPECTED:
            found |= dict.fromkeys(claims.slots(before), Freed(None, closed=False))
    for before, after in ((one.before, one.after) for one in cascades):
        if after is not None and after["resourceType"] == "Slot" and after["status"] == "free":
            was = before if before is not None and is_before(before, since) else None
            found[f"Slot/{after['id']}"] = Freed(was, closed=False)
    return found | {name: Freed(slot, closed=True) for name, slot in shut.items() if is_before(slot, since)}


def is_before(resource: Resource, since: datetime | None) -> bool:
    """Tell whether a stored resource was written before a moment; not where that is not known."""
    written = instant(resource["meta"]["lastUpdated"])
    return since is not None and written is not None and written < since


async def restore(
    work: UnitOfWork, wanted: list[Resource | None], batch: Sequence[Ready], stored: Mapping[str, Resource]
) -> None:
    """Let Slots that are to be what they were stay as they are, unless they are free still and are left busy.

    By an appointment that holds one which was closed by hand, or by a no-show of this stage. What was full is free by
    right when one of those who hold it has left.

    Args:
        work: the unit of work to read through.
        wanted: what each is to be; it is changed.
        batch: the items.
        stored: what is stored of them.
    """
    again = [(place, ready) for place, ready in enumerate(batch) if ready.left_by]
    if not again:
        return
    visits = await work.read_many(sorted({name for _, ready in again for name in ready.left_by}))
    for place, ready in again:
        now, was = stored.get(ready.name), ready.resource
        left = any(_leaves(visits[name], ready) for name in ready.left_by if name in visits)
        if now is None or now["status"] != "free" or not left:
            wanted[place] = now
        elif not same(now, narrative.fitting({**was, "status": "free"}, was)):  # somebody has changed it meanwhile
            wanted[place] = narrative.fitting({**now, "status": was["status"]}, now)


def _leaves(visit: Resource, ready: Ready) -> bool:
    if ready.name not in left_busy(visit):
        return False
    return ready.closed if visit["status"] != "noshow" else not is_before(visit, ready.since)
