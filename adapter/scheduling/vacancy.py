"""Whether a visit of a claim set may have a Slot: who is in the way there, what its status says, what keeps it closed.

Pure functions on the `World`.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapter.scheduling import claims, leave, occupancy
from adapter.scheduling.claimset import Visit
from adapter.scheduling.giving import share_a_moment
from adapter.scheduling.world import World
from store.codec import Resource


def is_free_for(world: World, name: str, visit: Visit, *, fills: bool) -> bool:
    """Tell whether the visit may take a Slot that exists; one that somebody set busy by hand only if it `fills` it.

    The Slot is free, or the visit's own already; or it is busy because the same set says so, or because the set gives
    it up: that is one claim, not two.
    """
    return not in_the_way(world, name, visit) and is_to_be_had(world, name, visit, fills=fills)


def is_to_be_had(world: World, name: str, visit: Visit, *, fills: bool = False) -> bool:
    """Tell the same as `is_free_for` of a Slot in which no appointment is in the way of the visit (`in_the_way`)."""
    slot = world.slots[name]
    status = slot["status"]
    if is_closed_to(world, name, visit):
        return False
    if visit.books_over:
        return is_open(world, slot) and status in ("free", *occupancy.TAKEN)
    own = world.was_held(name, visit.name)
    if not (own or is_open(world, slot)):
        return False
    if status in occupancy.TAKEN:
        if own or name in world.asked.written or _is_opened(world, name):
            return True
        return fills and is_for_nobody(world, name)
    return bool(status == "free")


def is_kept(world: World, slot: str, visit: Visit) -> bool:
    """Tell whether the visit keeps a Slot that it held: the set does not change it, nor has another take it."""
    there = world.slots[slot]["status"] != "entered-in-error"
    return there and not world.is_written(slot) and not in_the_way(world, slot, visit)


def is_open(world: World, slot: Resource) -> bool:
    """Tell whether the Schedule of a Slot offers it."""
    schedule = world.schedule_of(slot)
    return schedule is not None and claims.is_active(schedule)


def is_closed_to(world: World, name: str, visit: Visit) -> bool:
    """Tell whether leave keeps the visit from a Slot: not from its own, nor from one set busy by hand for it."""
    if not leave.closes(world.tables, world.slots[name]) or world.was_held(name, visit.name):
        return False
    written = world.asked.written.get(name)
    before = None if written is None else written.before
    by_hand = world.slots[name]["status"] in occupancy.TAKEN and name not in world.freed
    return visit.books_over or not by_hand or (before is not None and before["status"] == "free")


def is_for_nobody(world: World, name: str) -> bool:
    """Tell whether a Slot is busy though nobody who had it stays, so that somebody may fill it.

    A Slot for several that is busy while others stay in it was closed by hand. A copy was let in elsewhere already.
    """
    return world.copied or not _stay(world, name)


def is_to_be_filled(world: World, name: str) -> bool:
    """Tell whether a Slot was set busy by hand, in the same set perhaps, and is for nobody yet."""
    return world.slots[name]["status"] in occupancy.TAKEN and name not in world.freed and is_for_nobody(world, name)


def _is_opened(world: World, name: str) -> bool:
    """Tell whether a busy Slot can be had because appointments of the set give it up (`occupancy.status_after`).

    It must have been full, or the last one has left it: a place in a Slot that was closed by hand does not open it.
    """
    was_full = world.held[name] >= occupancy.capacity(world.slots[name])
    return name in world.freed and (was_full or not _stay(world, name))


def _stay(world: World, name: str) -> bool:
    """Tell whether somebody who held a Slot goes on holding it."""
    return any(world.was_held(name, one) for one in world.holders.get(name, ()))


def in_the_way(world: World, slot: str, visit: Visit) -> list[str]:
    """Return the appointments that leave it no place in a Slot; if it held it already, only newcomers may."""
    if visit.books_over:
        return []
    # If it was booked over others and no longer is, even its own Slot is no longer certain.
    yields = visit.had is not None and visit.takes is not None and visit.takes.lets_go_of(visit.had)
    is_own = not yields and world.was_held(slot, visit.name)
    full = _filling(world, slot, visit, is_own=is_own)
    return list(dict.fromkeys((*full, *_in_its_room(world, slot, visit, is_own=is_own))))


def _filling(world: World, slot: str, visit: Visit, *, is_own: bool) -> list[str]:
    """Return the others that hold a Slot itself, where they leave no place in it."""
    holders = world.holders.get(slot, {})
    if len(holders) - (visit.name in holders) < occupancy.capacity(world.slots[slot]):
        return []
    others = [name for name, one in holders.items() if name != visit.name and not world.books_over(name, one)]
    if visit.is_copy:  # one after another, in a Slot that was published over both
        others = [name for name in others if share_a_moment(holders[name], visit.appointment)]
    if len(others) < occupancy.capacity(world.slots[slot]):
        return []
    if _is_smaller(world, slot) or not is_own:
        return others
    return [name for name in others if not world.was_held(slot, name)]


def _in_its_room(world: World, slot: str, visit: Visit, *, is_own: bool) -> Iterator[str]:
    """Return the others that have the room of a Slot by another one (`neighbours`)."""
    return world.near.rivals(
        slot,
        visit,
        is_own=is_own,
        leaves=_left_beside(world, visit),
        held=world.was_held,
        is_passed_over=world.books_over,
    )


def _left_beside(world: World, visit: Visit) -> list[str]:
    """Return the Slots that it gives up and in which it was beside others, but for what was booked over them."""
    if visit.had is None or visit.takes is None or visit.takes.overbooked:
        return []
    return world.leaves(visit, visit.had)


def _is_smaller(world: World, slot: str) -> bool:
    written = world.asked.written.get(slot)
    before = {} if written is None else written.before or {}
    return occupancy.capacity(world.slots[slot]) < occupancy.capacity(before)
