"""What is open, as the doors ask for it: at one moment, when the holds that are due have lapsed."""

from __future__ import annotations

from datetime import tzinfo

from adapter.scheduling import availability, holds
from adapter.scheduling import nobodys as passing
from adapter.scheduling.lookup import Opening, Wanted
from store.codec import Resource
from store.store import Store


async def openings(store: Store, wanted: Wanted, *, zone: tzinfo) -> list[Opening]:
    """`availability.openings`."""
    async with holds.settled(store) as moment:
        return await availability.openings(moment, wanted, zone=zone)


async def first(store: Store, wanted: Wanted, *, zone: tzinfo) -> tuple[list[Opening], int]:
    """`availability.first`."""
    async with holds.settled(store) as moment:
        return await availability.first(moment, wanted, zone=zone)


async def page(store: Store, wanted: Wanted, skip: int, *, zone: tzinfo) -> tuple[list[Resource], int]:
    """`availability.page`."""
    async with holds.settled(store) as moment:
        computing = await availability.computed_schedules(moment, wanted)
        return await availability.page(moment, wanted, computing, skip, zone=zone)


async def nobodys(store: Store, *, strangers: bool = False) -> frozenset[str]:
    """`nobodys.schedules`."""
    async with holds.settled(store) as moment:
        return await passing.schedules(moment, store if strangers else None)
