"""What stands in the way of a PractitionerRole that gets another practitioner: the appointments come along.

Whoever holds time in that role holds it for its practitioner. So a role is given to somebody else, stored for one who
is referred to already, or left, only where that makes no two appointments of one practitioner overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from adapter.aside import aside
from adapter.errors import Problem
from adapter.scheduling import booking, claiming, claims, intervals, occupancy, people
from adapter.scheduling.claimset import ClaimSet, Draft
from adapter.scheduling.crowd import Crowd, presence
from adapter.scheduling.intervals import Interval
from adapter.scheduling.status import HOLDING
from adapter.scheduling.wish import Facts, Wish
from store.codec import Resource
from store.extract import id_of, references
from store.indexing import naming
from store.unit_of_work import UnitOfWork

_ROLE = "PractitionerRole"
PARAM = "PractitionerRole.practitioner"
"""What a refusal is about."""

_FEW = 300  # appointments that are judged at once; more beside other requests (`aside`)


class _Moved(NamedTuple):
    """An appointment of roles that change hands, with its time and these roles."""

    appointment: Resource
    when: Interval
    roles: Sequence[str]


def roles(names: Iterable[str]) -> Iterator[str]:
    """Yield the roles among `names`: an appointment that takes time shares them, who gives one to another seizes it."""
    return (name for name in names if name.startswith(f"{_ROLE}/"))


def moved(asked: ClaimSet) -> dict[str, Draft]:
    """Return the roles of a set that get another practitioner, or lose the one that they have."""
    return {name: draft for name, draft in asked.written_of(_ROLE).items() if _changes_hands(draft)}


async def conflicts(work: UnitOfWork, asked: ClaimSet) -> list[Problem]:
    """Return what the appointments of roles that get another practitioner have against it (409); rivals meet."""
    given = moved(asked)
    if not given:
        return []
    work.seize(given)
    query = naming("actor", sorted(given), {"_index.status": {"$in": list(HOLDING)}})
    theirs = [
        _Moved(one, when, [name for name in claims.practitioners(one) if name in given])
        for one in as_asked(asked, await work.find("Appointment", query))
        if not claims.stands_beside(one) and (when := intervals.of(one)) is not None
    ]
    known = await people.read(work, given, {name: draft.after for name, draft in asked.written_of(_ROLE).items()})
    names: list[str] = []
    for _, when, named in theirs:
        persons = known.of(named)
        work.guard(claims.names(persons, when))
        names += claims.names(known.names(persons), when)
    near = await claiming.found(work, "Appointment", names)
    rivals = [one for one in as_asked(asked, near.values()) if _counts(one) and intervals.of(one) is not None]
    slots = asked.overlaid("Slot", await work.read_many({name for one in rivals for name in claims.slots(one)}))
    schedules = asked.overlaid("Schedule", await work.read_many(map(claims.schedule_of, slots.values())))
    ways = await aside(
        lambda: _ways(theirs, rivals, slots, Facts(schedules=schedules, people=known)),
        much=len(theirs) + len(rivals) > _FEW,
    )
    return [_refusal(given[name], list(told)) for name, told in ways.items()]


def _ways(
    theirs: Sequence[_Moved], rivals: Sequence[Resource], slots: Mapping[str, Resource], facts: Facts
) -> dict[str, dict[str, None]]:
    """Return the ids of appointments in each other's way, by the role that makes them so.

    Args:
        theirs: the appointments of roles that change hands.
        rivals: all that may be in their way, these among them.
        slots: those that they hold, by relative reference.
        facts: their Schedules, and who is behind the roles.
    """
    known = facts.people
    counting = [moved for moved in theirs if _counts(moved.appointment)]
    there = {one["id"]: one for one in (*(moved.appointment for moved in counting), *rivals)}
    present = {ident: found for ident, one in there.items() if (found := presence(one, slots, known)) is not None}
    crowd = Crowd(present.values(), facts.schedules, known)
    filed: dict[str, list[int]] = {}
    for place, rival in enumerate(rivals):
        for claim in claims.names(present[rival["id"]].people, present[rival["id"]].when):
            filed.setdefault(claim, []).append(place)
    ways: dict[str, dict[str, None]] = {}
    for one, when, named in counting:
        name = f"Appointment/{one['id']}"
        if crowd.leaves_alone(name):
            continue
        persons, company = known.of(named), crowd.company(name)
        places = sorted({place for claim in claims.names(persons, when) for place in filed.get(claim, ())})
        near = [rivals[place] for place in places if f"Appointment/{rivals[place]['id']}" not in company]
        told = ways.get(named[0], {})
        tell(told, Wish(when, persons, own=name), replace(facts, appointments=near), present[one["id"]].slots)
        if told:
            ways[named[0]] = told
    return ways


def tell(told: dict[str, None], wish: Wish, facts: Facts, held: Sequence[Resource]) -> None:
    """Add to the ids in `told` that of an appointment, if somebody is in its way, and of whoever is.

    Args:
        told: those that are in each other's way; of these it is not asked again who is in whose.
        wish: what the appointment takes; `Wish.own` is its name.
        facts: with those who may be in its way.
        held: the Slots that it holds.
    """
    own = id_of(str(wish.own))
    fresh = [one for one in facts.appointments if one["id"] not in told]
    known = () if own in told else ([one] for one in facts.appointments if one["id"] in told)
    for some in chain((fresh,), known):  # of those who are told already one is enough
        for problem in booking.busy(wish, replace(facts, appointments=some), held):
            told |= dict.fromkeys([own, *problem.details["appointments"]])  # type: ignore[misc]  # a list of ids
            return


def _changes_hands(draft: Draft) -> bool:
    before, after = (references(one or {}, "practitioner") for one in (draft.before, draft.after))
    return set(before) != set(after)


def as_asked(asked: ClaimSet, appointments: Iterable[Resource]) -> Iterator[Resource]:
    """Yield each once as it is going to be; what takes time anew is decided itself, what takes none is in no way."""
    for name, one in {f"Appointment/{one['id']}": one for one in appointments}.items():
        visit = asked.visits.get(name)
        if visit is None:
            yield one
        elif visit.takes is not None and not visit.is_new:
            yield visit.appointment


def _counts(appointment: Resource) -> bool:
    return occupancy.reason(appointment) is None


def _refusal(draft: Draft, appointments: list[str]) -> Problem:
    text = (
        "Appointments in this role would overlap others of whoever is to have it. Move or cancel them first, or in the "
        "same transaction."
    )
    return Problem("time_conflict", text, PARAM, {"appointments": appointments}, entry=draft.entry)
