"""What a decision is going to read, as far as the request tells it: one command reads all of that.

Nothing is decided here. What is foreseen wrongly is read in vain, and what is not foreseen is read when it is asked for
(`UnitOfWork.foresee`). The queries are those of `people`, `reading` and `seeing`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from adapter.scheduling import claiming, claims, intervals, taking
from adapter.scheduling.claimset import ClaimSet
from adapter.scheduling.intervals import Interval
from store.codec import Resource
from store.indexing import naming
from store.source import by_kind
from store.unit_of_work import SEVERAL

_MOST_VISITS = 100  # of more, the queries are large, and go by themselves
_MOST_HOURS = 100  # no visit takes as many; of one that lasts centuries they are not to be named

Query = tuple[str, Mapping[str, Any]]
"""A type and what is looked for, as MongoDB takes it."""


def named(references: Iterable[str]) -> Iterator[Query]:
    """Yield the queries for what is named by relative `references`; of many they go by themselves."""
    for kind, idents in by_kind(references).items():
        if len(idents) <= SEVERAL:
            yield kind, {"_id": {"$in": idents}}


def visit(appointment: Resource, before: Resource | None, slot: str | None) -> Iterator[Query]:
    """Yield what is looked up for an appointment that takes time (`seeing`).

    Args:
        appointment: as it is wanted.
        before: as it is stored, if it is.
        slot: the Slot asked for (``Slot/s``); without one, Slots are found by time.
    """
    whose, when = claims.practitioners(appointment, declined=True), intervals.of(appointment)
    beside = claims.stands_beside(appointment)
    slots = [*([] if slot is None else [slot]), *claims.slots(before or {})]
    yield from named(slots)
    yield from _of(whose, () if beside or slot is not None else whose, {*_hours(() if beside else whose, when), *slots})


def claim_set(asked: ClaimSet) -> Iterator[Query]:
    """Yield what is looked up for a set that is decided together (`reading`)."""
    if len(asked.visits) > _MOST_VISITS:
        return
    people: set[str] = set()
    seeking: set[str] = set()
    claimed = {*asked.written, *(name for one in asked.visits.values() for name in one.stirs)}
    slots = [name for name in claimed if name.startswith("Slot/")]
    for one, stake, when in asked.new:
        whose = claims.practitioners(one.appointment, declined=True)
        people.update(whose)
        if not stake.beside:
            seeking.update(() if stake.slots else whose)
            claimed.update(_hours(stake.people, when))
    yield from named(sorted(set(slots) - asked.written.keys()))
    written = {name: draft.after for name, draft in asked.written_of("Slot").items()}
    schedules = {taking.schedule_of(name, written.get(name)) for name in slots}
    yield from named(sorted(name for name in schedules if name is not None and name not in asked.written))
    yield from _of(sorted(people), sorted(seeking), claimed)


def _of(people: Collection[str], seeking: Collection[str], claimed: Collection[str]) -> Iterator[Query]:
    """Yield the queries for the roles of `people`, the Schedules of `seeking`, and who has what is `claimed`."""
    own = [name for name in people if name.startswith("Practitioner/")]
    if own:
        yield "PractitionerRole", naming("practitioner", own)
    if seeking:
        yield "Schedule", naming("actor", seeking)
    if claimed:
        yield "Appointment", claiming.one_of(sorted(claimed))


def _hours(whose: Collection[str], when: Interval | None) -> tuple[str, ...]:
    if when is None or len(whose) * when.how_many_hours() > _MOST_HOURS:
        return ()
    return claims.names(whose, when)
