"""What is against a Slot that is written by hand, and what becomes of the Slots that appointments take and leave.

A hospital may keep its Slots itself; but one that an appointment holds stays busy until that appointment is moved
or cancelled, and which of the two busy statuses it has is told by its holders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapter.errors import Problem
from adapter.scheduling import claims, hours, intervals, occupancy, reasons, role_changes
from adapter.scheduling.claimset import Draft
from adapter.scheduling.intervals import Interval
from adapter.scheduling.world import World
from store import slotids
from store.codec import Resource
from store.extract import id_of, references


def faults(world: World, draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with a Slot in itself (422): its time, its Schedule, its id."""
    slot = draft.after
    if slot is None or slot["status"] == "entered-in-error":
        return
    if draft.before is None or intervals.ends(draft.before) != intervals.ends(slot):
        start, end = intervals.ends(slot)
        if start is None or end is None or end <= start:
            yield Problem("invalid_time", "A slot needs a start and an end that is after it.", "Slot.start")
        elif problem := reasons.too_long("A slot", start, end, "Slot.end"):
            yield problem
    stating = occupancy.stating_capacity(slot)
    if (draft.before is None or stating != occupancy.stating_capacity(draft.before)) and not _is_capacity(stating):
        text = "A slot's capacity must be an integer (valueInteger), 1 at least, and be stated once."
        yield Problem("invalid_capacity", text, "Slot.extension")
    if world.schedule_of(slot) is None:
        text = "There is no such schedule. Store it first, or in the same transaction."
        yield Problem("unknown_schedule", text, "Slot.schedule", issue="not-found")
    if not world.copied and (draft.before is None or claims.schedule_of(draft.before) != claims.schedule_of(slot)):
        yield from _id_faults(world, slot)


def _is_capacity(stating: Sequence[Resource]) -> bool:
    """Tell whether the extensions that state a capacity, if there are any, state one."""
    numbers = [one.get("valueInteger") for one in stating]
    return not numbers or (len(numbers) == 1 and isinstance(numbers[0], int) and numbers[0] >= 1)


def _id_faults(world: World, slot: Resource) -> Iterator[Problem]:
    """Yield that the id is that of another Schedule's opening: the opening could not be booked, and has that id too."""
    named = slotids.parts(slot["id"])
    whose = "" if named is None else f"Schedule/{named.schedule}"
    if whose != claims.schedule_of(slot) and hours.is_computed(world.schedules.get(whose, {})):
        text = "That is the id of an opening of another schedule, which has weekly hours. Give the slot another id."
        yield Problem("reserved_id", text, "Slot.id")


def conflicts(world: World, name: str, draft: Draft) -> Iterator[Problem]:
    """Yield what the appointments that hold the Slot, and go on doing so, have against its change (409)."""
    holders = world.standing(name)
    found = _breach(draft, holders) if holders else None
    if found is not None:
        param, what = found
        idents = [holder["id"] for holder in holders]
        yield Problem(
            "slot_held",
            f"An appointment holds this slot: {what}. Move or cancel that one first, or in the same transaction.",
            param,
            {"slots": [id_of(name)], "appointments": idents},
        )


def _breach(draft: Draft, holders: list[Resource]) -> tuple[str, str] | None:
    before, after = draft.before, draft.after
    if after is None:
        return "Slot", "it cannot be deleted"
    room = occupancy.capacity(after)
    full = len(holders) >= room
    allowed = occupancy.TAKEN if full else ("free", *occupancy.TAKEN)
    lowered = before is not None and room < occupancy.capacity(before)
    if lowered and occupancy.exceeds(holders, room):
        return "Slot.extension", f"its capacity cannot become {room}"
    fills_up = lowered and after["status"] == "free"  # by its lower capacity: it is made busy
    changes = before is None or before["status"] != after["status"]
    if after["status"] not in allowed and changes and not fills_up:
        return "Slot.status", "it must stay busy or busy-tentative"
    if before is None:
        return None
    if claims.schedule_of(before) != claims.schedule_of(after):
        return "Slot.schedule", "it must stay in its schedule"
    old, new = intervals.of(before), intervals.of(after)
    for holder in holders:
        when = intervals.of(holder)
        if old is None or when is None or not old.overlaps(when):
            continue
        covered = Interval(max(old.start, when.start), min(old.end, when.end))
        if new is None or not intervals.covered(covered, [new]):
            return "Slot.start", "it must go on covering the appointment's time"
    return None


def settled(world: World) -> dict[str, Resource]:
    """Return the Slots that become something else than they are, or were written to be, by relative reference."""
    changed: dict[str, Resource] = {}
    visits = world.asked.visits.values()
    touched = (name for visit in visits for name in (*visit.stirs, *world.taken.get(visit.name, ())))
    for name in dict.fromkeys(touched):
        slot = world.slots.get(name)
        if slot is not None:
            wanted = _status(world, name, slot)
            if wanted != slot["status"]:
                changed[name] = {**slot, "status": wanted}
    for name, draft in world.asked.written_of("Slot").items():
        if draft.after is not None:
            wanted = _status(world, name, draft.after)
            if wanted != draft.after["status"]:
                changed[name] = {**draft.after, "status": wanted}
    return changed


def _status(world: World, name: str, slot: Resource) -> str:
    """Return what a Slot becomes: full, it is what its holders make it, whatever is written."""
    status: str = slot["status"]
    holders = world.holders.get(name, {})
    has_places = len(holders) < occupancy.capacity(slot)
    if name in world.asked.written and status in occupancy.TAKEN and has_places:
        return status
    wanted = occupancy.status_after(slot, world.held[name], holders.values())
    return status if wanted == "free" and name not in world.freed else wanted


def shut(world: World) -> Iterator[tuple[str, Resource]]:
    """Yield the stored Slots that appointments of the set touch and that were closed by hand with places left."""
    for visit in world.asked.visits.values():
        for name in visit.stirs:
            slot = world.stored.slots.get(name, {})
            if "meta" in slot and slot["status"] in occupancy.TAKEN and 0 < world.held[name] < occupancy.capacity(slot):
                yield name, slot


def guards(world: World) -> Iterator[str]:
    """Yield where rivals of what the decision has read are met, beside the claims of what it writes."""
    for visit, stake, when in world.asked.new:
        for slot in world.slots_of(visit):  # what overlaps it in its room is another Slot
            yield from world.near.met.get(f"Slot/{slot['id']}", ())
        if not stake.beside:
            # It claims the names that it uses; rivals may use the practitioner's own.
            yield from claims.names([p for p in world.people.of(stake.people) if p not in stake.people], when)
    for visit in world.asked.visits.values():
        if visit.had is None:
            yield from visit.gives_up  # it claims them no longer: who fills one at the same time meets us here
        # Whoever fills it up, or leaves it, at the same time tells by its holders what it becomes.
        yield from (name for name in visit.stirs if _is_for_several(world, name))
    for name, draft in world.asked.written.items():
        if name.startswith("Slot/"):
            yield from _slot_guards(world, name, draft)


def shared(world: World) -> Iterator[str]:
    """Yield the roles and Schedules that the decision goes by, which nobody else must change hands of meanwhile."""
    for _, stake, _ in world.asked.new:
        if not stake.beside:
            yield from role_changes.roles(stake.people)
    for draft in world.asked.written_of("Slot").values():
        # Who shares it must be able to by the Schedule's actors; a Schedule that is named anew is met in any case.
        if draft.before is not None and draft.after is not None and _has_other_room(draft.before, draft.after):
            yield claims.schedule_of(draft.after)


def _slot_guards(world: World, name: str, draft: Draft) -> Iterator[str]:
    before, after = draft.before, draft.after
    if before is not None:
        yield name  # who holds it, or is about to
    if before is None or after is None or _offers_otherwise(before, after):
        for slot in filter(None, (before, after)):
            when = intervals.of(slot)
            if when is not None:
                # A booking of the practitioner that found no slot published, or this one, must not pass unseen.
                actors = references(world.schedule_of(slot) or {}, "actor")
                people = [actor for actor in actors if actor.startswith(claims.PRACTITIONERS)]
                yield from claims.names(people, when)


def _is_for_several(world: World, name: str) -> bool:
    """Tell whether a Slot has room for several, or several have it: some were booked over the others."""
    return occupancy.capacity(world.slots.get(name, {})) > 1 or len(world.holders.get(name, ())) > 1


def _has_other_room(before: Resource, after: Resource) -> bool:
    return occupancy.capacity(before) != occupancy.capacity(after)


def _offers_otherwise(before: Resource, after: Resource) -> bool:
    """Tell whether a booking would look at the Slot otherwise; that takes it writes it, and is met there."""
    old, new = before["status"], after["status"]
    return (
        intervals.ends(before) != intervals.ends(after)
        or claims.schedule_of(before) != claims.schedule_of(after)
        or (old != new and (new == "free" or "entered-in-error" in (old, new)))
    )
