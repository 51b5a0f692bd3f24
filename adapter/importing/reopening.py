"""Slots that a stage has closed for visits which are refused, and which are stored as not having them.

An older export, given again, has a visit as booked that was called off since. The visit is refused, as it never goes
back, and its Slot would be busy for nobody: it is again what it was before the stage. Where the visit is not stored,
or is newer than what is, the Slot stays busy: a patient may have been promised that time elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from adapter.errors import Refused
from adapter.importing.deciding import Writer
from adapter.importing.freeing import is_before
from adapter.importing.item import Item
from adapter.importing.waiting import TurnedAway, Waiting
from adapter.patience import patiently
from adapter.scheduling import claims, occupancy
from adapter.scheduling.claimset import Change, Stake
from adapter.scheduling.road import decide
from adapter.scheduling.settling import settle, stage
from store import narrative
from store.codec import Resource, decode
from store.extract import instant
from store.store import Store
from store.unit_of_work import UnitOfWork


def turned_away(name: str, item: Item) -> Iterator[TurnedAway]:
    """Yield the Slots that a refused item names, if it is a visit."""
    if name.startswith("Appointment/") and not item.deletes:
        visit = item.resource()
        meta = visit.get("meta")
        written = meta.get("lastUpdated") if isinstance(meta, dict) else ""
        yield from (TurnedAway(slot, name, str(written or "")) for slot in dict.fromkeys(claims.slots(visit)))


async def reopen(writer: Writer, waiting: Waiting, size: int) -> None:
    """Let Slots be again what they were that were closed for nobody but visits which are refused.

    Args:
        writer: knows where to, and when the stage began.
        waiting: knows who was refused.
        size: of a batch.
    """
    for some in waiting.turned_away(size):
        before: dict[str, Resource] = {}
        for name, slot in (await _closed_for_nobody(writer.store, some, writer.since)).items():
            was = await _before(writer.store, slot, writer.since)
            if was is not None and was["status"] not in occupancy.TAKEN:
                before[name] = {**slot, "status": was["status"]}
        if before and not await _written(writer, before):
            for name, slot in before.items():
                await _written(writer, {name: slot})


async def _closed_for_nobody(
    store: Store, refused: Iterable[TurnedAway], since: datetime | None
) -> dict[str, Resource]:
    by_slot = {slot: [*them] for slot, them in groupby(refused, key=lambda one: one.slot)}
    slots = await store.read_all([*by_slot])
    visits = await store.read_all(list({one.visit for them in by_slot.values() for one in them}))
    found = {}
    for name, raw in slots.items():
        slot = decode(raw)
        closed = slot["status"] in occupancy.TAKEN and not is_before(slot, since)
        if closed and all(one.visit in visits and _leaves(decode(visits[one.visit]), one) for one in by_slot[name]):
            found[name] = slot
    return found


def _leaves(visit: Resource, refused: TurnedAway) -> bool:
    """Tell whether a visit, as it is stored, has left the Slot that one like it was refused for."""
    stake = Stake.of(visit)
    if stake is not None and refused.slot in stake.slots:
        return False
    written, stored = instant(refused.written or None), instant(visit["meta"]["lastUpdated"])
    return written is None or stored is None or written <= stored


async def _before(store: Store, slot: Resource, since: datetime | None) -> Resource | None:
    """Return what a Slot was before the stage; None where it was not there."""
    for number in range(int(slot["meta"]["versionId"]) - 1, 0, -1):
        version = await store.read_version("Slot", slot["id"], number)
        if version is None or version.raw is None:
            return None
        was = decode(version.raw)
        if is_before(was, since):
            return was
    return None


async def _written(writer: Writer, wanted: Mapping[str, Resource]) -> bool:
    """Write Slots that nobody has changed meanwhile; tell whether somebody who holds one has nothing against it."""
    own = writer.service.settings.fhir_bases

    async def step(work: UnitOfWork) -> None:
        stored = await work.read_many(wanted)
        changes = [
            Change(now, narrative.fitting({**now, "status": wanted[name]["status"]}, now))
            for name, now in stored.items()
            if now["meta"] == wanted[name]["meta"]
        ]
        final: Sequence[Change] = await settle(
            work, changes, fills_slots=True, copied=True, overbooks="", bases=own, configured=own
        )
        stage(work, final)

    try:
        await patiently(writer.store, lambda: decide(writer.store, step))
    except Refused:
        return False
    return True
