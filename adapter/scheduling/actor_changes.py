"""What stands in the way of a Schedule that loses an actor: those who share its Slots for several.

They may have the same time because the Slot is their practitioner's. So a Schedule lets go of a practitioner, or a role
that it names becomes somebody else's, only where that makes no two appointments of one practitioner overlap. What one
appointment holds alone it keeps, whosever the Schedule becomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from adapter.aside import aside
from adapter.errors import Problem
from adapter.scheduling import claiming, claims, occupancy, people, role_changes
from adapter.scheduling.claimset import ClaimSet, Draft
from adapter.scheduling.crowd import Crowd, presence
from adapter.scheduling.wish import Facts, Wish
from store.codec import Resource
from store.extract import references
from store.indexing import naming
from store.unit_of_work import UnitOfWork

_FEW = 300  # who share a Slot and are judged at once; more beside other requests (`aside`)


async def conflicts(work: UnitOfWork, asked: ClaimSet) -> list[Problem]:
    """Return what those who share Slots have against Schedules and roles that others are to have (409); rivals meet.

    Nothing is read where no Schedule loses a practitioner and no role changes hands.
    """
    causes = await _causes(work, asked)
    if not causes:
        return []
    query = naming("schedule", sorted(causes), {"extension.url": occupancy.CAPACITY})
    stored = await work.find("Slot", query)
    shared = {f"Slot/{slot['id']}": slot for slot in stored if occupancy.capacity(slot) > 1}
    work.guard(shared)  # who takes a place in one
    work.seize(causes)  # who gives one a Slot, or a Slot more places
    holders = await _holders(work, asked, shared)
    crowds = {name: ones for name, ones in holders.items() if len(ones) > 1}
    if not crowds:
        return []
    visits = {one["id"]: one for ones in crowds.values() for one in ones}
    held = {name for one in visits.values() for name in claims.slots(one)}
    slots = asked.overlaid("Slot", await work.read_many(sorted(held)))
    schedules = await work.read_many(sorted({claims.schedule_of(slot) for slot in slots.values()}))
    schedules = asked.overlaid("Schedule", schedules)
    names = {name for one in visits.values() for name in claims.practitioners(one)}
    names.update(name for one in schedules.values() for name in references(one, "actor"))
    roles = {name: draft.after for name, draft in asked.written_of("PractitionerRole").items()}
    known = await people.read(work, names, roles)
    facts = Facts(schedules=schedules, people=known)
    told: dict[str, dict[str, None]] = {}
    for name, ones in crowds.items():
        cause = causes[claims.schedule_of(shared[name])].name
        found = await aside(partial(_overlaps, ones, slots, facts, told.get(cause, {})), much=len(ones) > _FEW)
        if found:
            told[cause] = found
    drafts = {draft.name: draft for draft in causes.values()}
    return [_refusal(drafts[name], list(found)) for name, found in told.items()]


async def _causes(work: UnitOfWork, asked: ClaimSet) -> dict[str, Draft]:
    """Return the Schedules that may be others' than they were, each with the change that makes them so."""
    moved = role_changes.moved(asked)
    causes = {name: draft for name, draft in asked.written_of("Schedule").items() if _loses_somebody(draft)}
    for draft in causes.values():
        # Who gives one of its roles away at the same time meets us there.
        work.share(role_changes.roles(references(draft.after or {}, "actor")))
    if moved:
        for schedule in await work.find("Schedule", naming("actor", sorted(moved))):
            role = next(name for name in references(schedule, "actor") if name in moved)
            causes.setdefault(f"Schedule/{schedule['id']}", moved[role])
    return causes


def _loses_somebody(draft: Draft) -> bool:
    before, after = (
        {name for name in references(one or {}, "actor") if name.startswith(claims.PRACTITIONERS)}
        for one in (draft.before, draft.after)
    )
    return not before <= after


async def _holders(work: UnitOfWork, asked: ClaimSet, shared: Mapping[str, Resource]) -> dict[str, list[Resource]]:
    """Return those who go on sharing Slots, by the Slot's name; who may stand beside others is in nobody's way."""
    found = await claiming.found(work, "Appointment", shared)
    holders: dict[str, list[Resource]] = {}
    for one in role_changes.as_asked(asked, found.values()):
        if not claims.stands_beside(one) and occupancy.reason(one) is None:
            for name in shared.keys() & set(claims.slots(one)):
                holders.setdefault(name, []).append(one)
    return holders


def _overlaps(
    ones: Sequence[Resource], slots: Mapping[str, Resource], facts: Facts, told: dict[str, None]
) -> dict[str, None]:
    """Return the ids in `told`, and those of appointments that share a Slot and are in each other's way."""
    found = [(one, there) for one in ones if (there := presence(one, slots, facts.people)) is not None]
    crowd = Crowd([there for _, there in found], facts.schedules, facts.people)
    for _, (name, when, persons, held) in found:
        if not crowd.leaves_alone(name):
            apart = crowd.company(name)
            near = [one for one, other in found if other.name not in apart and not {*persons}.isdisjoint(other.people)]
            role_changes.tell(told, Wish(when, persons, own=name), replace(facts, appointments=near), held)
    return told


def _refusal(draft: Draft, appointments: list[str]) -> Problem:
    param = "Schedule.actor" if draft.name.startswith("Schedule/") else role_changes.PARAM
    text = (
        "Appointments share a slot of one practitioner, and would overlap if it were another's. Keep the practitioner "
        "beside the new one, or give the new one a schedule of their own; or move or cancel the appointments first, or "
        "in the same transaction."
    )
    return Problem("time_conflict", text, param, {"appointments": appointments}, entry=draft.entry)
