"""What contradicts an Appointment of a claim set in the Slots that it names.

Pure functions on the `World`. Problems name the Appointment's elements by FHIRPath, and never a patient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapter.errors import Problem
from adapter.scheduling import booking, claims, intervals, reasons
from adapter.scheduling.claimset import Stake, Visit
from adapter.scheduling.inherent import SLOT
from adapter.scheduling.intervals import Interval
from adapter.scheduling.world import World
from store.codec import Resource
from store.extract import reference, references


def contradictions(world: World, visit: Visit, stake: Stake, when: Interval) -> Iterator[Problem]:
    """Yield everything in which the Slots that it names disagree with it.

    A copy may hold Slots whose Schedule has got other actors since, whose practitioner has left it, or that were
    published over a part of its time: it is enough that one is at its time.
    """
    yield from unknown_slots(world, visit)
    named = list(_named(world, visit))
    if visit.is_copy:
        held = [span for _, slot in named if slot is not None and (span := intervals.of(slot)) is not None]
        if held and not any(span.overlaps(when) for span in held):
            text = "None of the slots named is at the appointment's time. Name those that it holds, or none."
            yield Problem("slot_mismatch", text, SLOT)
        return
    spans: list[Interval] = []
    for param, slot in named:
        if slot is not None:
            span = intervals.of(slot)
            spans += [] if span is None else [span]
            yield from _schedule_contradictions(world, visit, stake, slot, param)
    # Beside others it keeps a Slot of its own that it leaves in part (`surplus`), and may say so.
    stays = stake.beside and visit.had is not None and set(visit.had.slots).issuperset(claims.slots(visit.appointment))
    whole = all(slot is not None for _, slot in named)
    if named and whole and not stays and not intervals.covered(when, spans):
        told = " and ".join(f"{slot.start.isoformat()} to {slot.end.isoformat()}" for slot in spans)
        yield Problem(
            "slot_mismatch",
            f"The slots named ({told}) do not cover the appointment's time without a gap. Name others, or give a time "
            "within them, or name none: free ones are then looked for.",
            SLOT,
        )
    elif whole:
        for param, slot in named:
            span = None if slot is None else intervals.of(slot)
            if span is None or not span.overlaps(when):
                text = (
                    "The slot is outside of the appointment's time. Leave it out, or give a time that reaches into it."
                )
                yield Problem("slot_mismatch", text, param)


def unknown_slots(world: World, visit: Visit) -> Iterator[Problem]:
    """Yield the Slots that it names and that are not there; that can be told of one without a time as well."""
    for param, slot in _named(world, visit):
        if slot is None:
            yield Problem(
                "unknown_slot",
                "There is no such slot. Name one that is stored, as Slot/<id>, or none: free ones are then looked for.",
                param,
                issue="not-found",
            )


def _named(world: World, visit: Visit) -> Iterator[tuple[str, Resource | None]]:
    """Yield the elements that name Slots, each with the Slot, None for none that can be booked."""
    for param, name in links(world, visit):
        slot = world.slots.get(name)
        there = slot is not None and slot["status"] != "entered-in-error"
        yield param, slot if there else None


def links(world: World, visit: Visit) -> Iterator[tuple[str, str]]:
    """Yield the elements that name Slots, each with the Slot's name; what is given back is named no longer."""
    gone = world.given_back.get(visit.name, ())
    for index, link in enumerate(visit.appointment.get("slot", ())):
        name = reference(link.get("reference", ""))
        if name not in gone:
            yield f"{SLOT}[{index}]", name


def _schedule_contradictions(world: World, visit: Visit, stake: Stake, slot: Resource, param: str) -> Iterator[Problem]:
    schedule = world.schedule_of(slot)
    if schedule is None:
        text = "The slot belongs to no schedule that is stored. Name another one."
        yield Problem("unknown_schedule", text, param, issue="not-found")
        return
    before = held_in(world, visit, slot)
    offered = world.people.of(references(schedule, "actor"))
    published = {name for name in offered if name.startswith(claims.PRACTITIONERS)}
    asked, were = (_everyone(world, one) for one in (visit.appointment, before))
    if _disagree(published, asked) and not (were & asked and _disagree(published, were)):
        yield reasons.not_theirs(param)
    if not is_at(stake.places, claims.locations(before), schedule):
        text = "The slot is at another place: give the slot's own location or another slot."
        yield Problem("slot_mismatch", text, param)


def _everyone(world: World, appointment: Resource) -> set[str]:
    named = world.people.of(claims.practitioners(appointment, declined=True))
    return {name for name in named if name.startswith(claims.PRACTITIONERS)}


def _disagree(published: set[str], asked: set[str]) -> bool:
    return bool(published and asked) and published.isdisjoint(asked)


def held_in(world: World, visit: Visit, slot: Resource) -> Resource:
    """Return the appointment as it was when it got the Slot, where the set puts that into no other Schedule; or {}.

    What it disagrees in with a Slot that it has, it does since the Schedule has changed hands, or moved house, or since
    the Slot was published over it. That is not held against what stays of it.
    """
    name = f"Slot/{slot['id']}"
    written = world.asked.written.get(name)
    before = slot if written is None else (written.before or {})
    is_kept = claims.schedule_of(before) == claims.schedule_of(slot)
    is_own = visit.had is not None and name in visit.had.slots
    return (visit.draft.before or {}) if is_own and is_kept else {}


def is_at(places: Sequence[str], were: Sequence[str], schedule: Resource) -> bool:
    """Tell whether Slots of `schedule` are at one of its `places`, or were as little at those it had (`held_in`)."""
    stays = not set(places).isdisjoint(were)
    return booking.is_at(places, schedule) or (stays and not booking.is_at(were, schedule))
