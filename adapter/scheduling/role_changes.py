"""What stands in the way of a PractitionerRole that gets another practitioner: the appointments come along.

Whoever holds time in that role holds it for its practitioner. So a role is given to somebody else, stored for one who
is referred to already, or left, only where that makes no two appointments of one practitioner overlap (decision 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from adapter.errors import Problem
from adapter.scheduling import booking, claims, intervals, occupancy, people
from adapter.scheduling.claimset import ClaimSet, Draft
from adapter.scheduling.status import HOLDING
from adapter.scheduling.wish import Facts, Wish
from store.codec import Resource
from store.extract import references
from store.indexing import naming
from store.unit_of_work import UnitOfWork

_ROLE = "PractitionerRole"
PARAM = "PractitionerRole.practitioner"
"""What a refusal is about."""

_BATCH = 20_000  # values in one query


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
        (one, when, [name for name in claims.practitioners(one) if name in given])
        for one in as_asked(asked, await work.find("Appointment", query))
        if not claims.stands_beside(one) and (when := intervals.of(one)) is not None
    ]
    known = await people.read(work, given, {name: draft.after for name, draft in asked.written_of(_ROLE).items()})
    names: list[str] = []
    for _, when, named in theirs:
        persons = known.of(named)
        work.guard(claims.names(persons, when))
        names += claims.names(known.names(persons), when)
    near = [
        one
        for start in range(0, len(names), _BATCH)
        for one in await work.find("Appointment", {"_index.claims": {"$in": names[start : start + _BATCH]}})
    ]
    rivals = [(one, {*known.of(claims.practitioners(one))}) for one in as_asked(asked, near) if _counts(one)]
    slots = asked.overlaid("Slot", await work.read_many({name for one, _ in rivals for name in claims.slots(one)}))
    schedules = asked.overlaid("Schedule", await work.read_many(map(booking.schedule_of, slots.values())))
    ways: dict[str, dict[str, None]] = {}
    for one, when, named in theirs:
        persons = known.of(named)
        others = [rival for rival, those in rivals if not those.isdisjoint(persons)]
        wish = Wish(when, persons, own=f"Appointment/{one['id']}")
        facts = Facts(schedules=schedules, appointments=others, people=known)
        held = [slots[name] for name in claims.slots(one) if name in slots]
        for problem in booking.busy(wish, facts, held) if _counts(one) else ():
            told = ways.setdefault(named[0], {})
            told |= dict.fromkeys([one["id"], *problem.details["appointments"]])  # type: ignore[misc]  # a list of ids
    return [_refusal(given[name], list(told)) for name, told in ways.items()]


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
