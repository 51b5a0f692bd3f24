"""Decides the writes that come by FHIR, one or a whole transaction, as one claim set.

`settle` reads what the set touches in a handful of queries, judges the state that the set would leave behind, and
returns the changes completed by what follows from them: Slots taken and given back, answers carried over into their
appointments. It stages none of them, only the guards at which rivals meet.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from adapter.aside import aside
from adapter.errors import Conflict, Problem, Unprocessable
from adapter.scheduling import (
    actor_changes,
    claims,
    expiry,
    inherent,
    mismatches,
    moments,
    occupancy,
    reading,
    responses,
    role_changes,
    slot_changes,
    turns,
    visits,
)
from adapter.scheduling.claimset import Change, ClaimSet, Draft, Stake, Visit
from adapter.scheduling.intervals import Interval
from adapter.scheduling.reading import Stored
from adapter.scheduling.world import World
from mappings.systems import Systems
from store import slotids
from store.codec import Resource
from store.extract import id_of, reference, reference_to
from store.unit_of_work import UnitOfWork

_CONCERNED = ("Appointment", "AppointmentResponse", "Slot", "Schedule", "PractitionerRole")
_FEW = 300  # changes and appointments that are judged at once; more beside other requests (`aside`)


async def settle(
    work: UnitOfWork,
    changes: Sequence[Change],
    *,
    fills_slots: bool,
    free: Container[str] = (),
    copied: bool = False,
    overbooks: str | None = None,
    bases: Sequence[str] = (),
    configured: Sequence[str] = (),
    stamps: Systems | None = None,
    shut: dict[str, Resource] | None = None,
) -> list[Change]:
    """Decide `changes` together.

    Appointments, Slots, Schedules, AppointmentResponses and PractitionerRoles are decided; everything else passes as
    it is.

    Args:
        work: the unit of work to read through, and in which the result is to be staged.
        changes: what is asked for, each resource once; `before` as this unit of work has read it.
        fills_slots: whether an Appointment may fill a Slot that is busy but held by none.
        free: Slots that were found for an Appointment: it may not fill these, they have to be free.
        copied: whether the changes bring in what has been decided elsewhere (an import). Then a status may have gone
            several steps at once; a hold that has lapsed here may have been booked in time, and a Slot before its
            Schedule was closed or changed hands; what was booked over others may be stored before them; and an
            AppointmentResponse is kept without effect, as its Appointment says itself what came of it. An Appointment
            holds the Slots that it names, and no others. One that was not sent as an Appointment (`Change.sent`: a
            MediLoop object names no Slots) takes those that cover its time, if there are any, and may fill one that is
            busy but held by nobody. Nobody is booked twice all the same.
        overbooks: the id of the key, if it may book over others; that is recorded in what does (`occupancy`).
            Empty where decisions of others are brought in: an Appointment that says who did it goes on saying so.
        bases: addresses of this server, without a slash at the end. A response of somebody at another address counts
            for none of our participants. Where there are no bases, an absolute address may be ours.
        configured: the addresses that the deployment has set as its own. Only if it has set some is it certain which
            are not ours: a practitioner at another one then takes none of our Slots.
        stamps: the canonical URLs under which an appointment records when it moved to another status (`moments`); None
            where what comes brings these moments along.
        shut: is filled with the Slots concerned that somebody closed by hand with places left (`slot_changes.shut`).

    Returns:
        The given changes, in their order, `after` completed; then those that follow from them.

    Raises:
        Forbidden: an Appointment is to be booked over others, by one who may not.
        Unprocessable: a status that may not follow, a slot, schedule or participant that is not there or does not fit,
            a time that makes no sense, or takes too many hours of practitioners (``too_many_hours``).
        TooLarge: all together they take too many.
        Conflict: a slot is not free (``slot_unavailable``) or still held (``slot_held``), or a practitioner is busy
            (``time_conflict``), who is to have a role or a Schedule among them; or a hold is over
            (``hold_expired``). Every problem of the whole set is named; ``Problem.entry`` is the index of its change.
    """
    if not any(_type(change) in _CONCERNED for change in changes):
        return list(changes)
    drafts = [Draft(entry, change.before, change.after, sent=change.sent) for entry, change in enumerate(changes)]
    found: list[Problem]
    if copied:
        found = await responses.kept(work, drafts)
    else:
        drafts, found = await responses.carry_over(work, drafts, bases)
    asked = ClaimSet(drafts, copied=copied)
    for visit in asked.visits.values():
        if visit.draft.before is not None and not copied:
            expiry.require_running(visit.draft.before, visit.draft.after, work.now, visit.draft.entry)
        if visit.books_over and overbooks is None:
            raise occupancy.forbidden("Appointment.extension", visit.draft.entry)
        visit.sign(overbooks)
        if visit.draft.after is not None and not copied:
            visit.draft.after = expiry.released(visit.draft.after)
        if stamps is not None and visit.draft.after is not None:
            visit.draft.after = moments.stamped(visit.draft.before, visit.draft.after, stamps, work.now)
    stored = await reading.read(work, asked, copied=copied)
    stored.schedules.update(await _of_ids(work, asked, stored))
    against = [*await role_changes.conflicts(work, asked), *await actor_changes.conflicts(work, asked)]
    judged = partial(
        decide, asked, stored, found, against, fills_slots=fills_slots, free=free, copied=copied, bases=configured
    )
    world = await aside(judged, much=len(drafts) + len(stored.appointments) > _FEW)
    if shut is not None:
        shut.update(slot_changes.shut(world))
    work.guard(slot_changes.guards(world))
    work.share(slot_changes.shared(world))
    # A response that agrees with its appointment does not write it: unguarded, the older of two at once could prevail.
    work.guard(responses.guards(drafts))
    return _completed(world)


async def _of_ids(work: UnitOfWork, asked: ClaimSet, stored: Stored) -> Mapping[str, Resource]:
    """Read the Schedules whose openings have the ids of Slots that are written: `slot_changes.faults` asks."""
    idents = (parts for name in asked.written_of("Slot") if (parts := slotids.parts(id_of(name))) is not None)
    names = {f"Schedule/{parts.schedule}" for parts in idents}
    return await work.read_many(sorted(names - asked.written.keys() - stored.schedules.keys()))


def _type(change: Change) -> str:
    kind: str = (change.after or change.before or {})["resourceType"]
    return kind


def decide(
    asked: ClaimSet,
    stored: Stored,
    found: Iterable[Problem] = (),
    against: Iterable[Problem] = (),
    *,
    fills_slots: bool,
    free: Container[str] = (),
    copied: bool = False,
    bases: Sequence[str] = (),
) -> World:
    """Judge the state that `asked` would make of `stored`, and return it.

    Raises:
        Unprocessable: as `settle` says, with what was `found` wrong before.
        Conflict: likewise, with what was found to be in the way before (`against`).
    """
    world = World(asked, stored, bases, copied=copied)
    slots = asked.written_of("Slot")
    faults = list(found)
    for visit in asked.visits.values():
        faults += _about(visit.draft, inherent.faults(visit, copied=copied))
        if visit.is_new and visit.takes is not None and visit.takes.when is None:
            faults += _about(visit.draft, mismatches.unknown_slots(world, visit))
    for visit, stake, when in asked.new:
        faults += _about(visit.draft, mismatches.contradictions(world, visit, stake, when))
    for draft in slots.values():
        faults += _about(draft, slot_changes.faults(world, draft))
    if faults:
        raise Unprocessable(_sorted(faults))

    def taken(visit: Visit, stake: Stake, when: Interval) -> list[Problem]:
        fills = {name for name in claims.slots(visit.appointment) if fills_slots and name not in free}
        in_the_way = visits.taken_slots(world, visit, stake, when, fills_named=fills, fills_found=copied)
        return _about(visit.draft, in_the_way)

    conflicts = [*against, *turns.take(world, taken)]
    for visit, problem in visits.conflicts(world):
        conflicts += _about(visit.draft, [problem])
    for name, draft in slots.items():
        conflicts += _about(draft, slot_changes.conflicts(world, name, draft))
    if conflicts:
        raise Conflict(_sorted(conflicts))
    return world


def _about(draft: Draft, problems: Iterable[Problem]) -> list[Problem]:
    return [replace(problem, entry=draft.entry, param=draft.param or problem.param) for problem in problems]


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.entry or 0)


def _completed(world: World) -> list[Change]:
    """Return all changes, with the links to the Slots found and the Slots taken and given back."""
    for name, slots in world.taken.items():
        draft = world.asked.visits[name].draft
        linking = {"slot": [link for one in (draft.after, draft.before) for link in (one or {}).get("slot", ())]}
        appointment = {member: value for member, value in (draft.after or {}).items() if member != "slot"}
        draft.after = appointment | ({"slot": [claims.link(linking, slot) for slot in slots]} if slots else {})
    for name, gone in world.given_back.items():
        draft = world.asked.visits[name].draft
        appointment = draft.after or {}
        kept = [link for link in appointment["slot"] if reference(link.get("reference", "")) not in gone]
        draft.after = {**appointment, "slot": kept}
    cascades: list[Change] = []
    for name, after in slot_changes.settled(world).items():
        if name in world.asked.written:
            world.asked.written[name].after = after
        else:
            before = world.stored.slots[name]
            # Computed until now, and stored from now on.
            cascades.append(Change(before if "meta" in before else None, after))
    return [*(Change(draft.before, draft.after, draft.sent) for draft in world.asked.drafts), *cascades]


def stage(
    work: UnitOfWork, changes: Iterable[Change], versions: Mapping[str, int] | None = None
) -> list[Resource | None]:
    """Stage settled changes; return each resource as it will be stored, None for one that is deleted.

    Args:
        work: the unit of work in which they were settled.
        changes: from `settle`.
        versions: the last ones of created resources that were deleted before (`UnitOfWork.last_versions`).
    """
    staged: list[Resource | None] = []
    for change in changes:
        if change.after is None:
            work.delete(change.before or {})
            staged.append(None)
        elif change.before is None:
            name = reference_to(change.after)
            staged.append(work.create(change.after, version=(versions or {}).get(name, 0) + 1, sent=change.sent))
        else:
            staged.append(work.update(change.before, change.after, sent=change.sent))
    return staged


__all__ = ["Change", "decide", "settle", "stage"]
