"""What the tests of scheduling share: a day of slots and visits, and the ways to put them into a store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from adapter.errors import Conflict, Refused, Unprocessable
from adapter.scheduling import commands
from adapter.scheduling.intervals import Interval
from adapter.scheduling.settling import Change, settle, stage
from adapter.scheduling.wish import MOVING
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.support import create, everything, present, stored

PATIENT = "Amina Nakato"
UHID = "UG123456789A"
HERE = ("https://here.example/fhir/R4",)
"""The address of the server, where a test tells it."""
ABROAD = "https://x.example/fhir"
"""Another server."""
HELD = ["pending", "booked", "arrived", "checked-in", "fulfilled"]
NOT_HELD = ["proposed", "waitlist", "cancelled", "noshow", "entered-in-error"]
"""The statuses in which an appointment holds no time; it does in those of `HELD`."""
TYPE_SYSTEM = "http://terminology.hl7.org/CodeSystem/v2-0276"


def at(clock: str, day: int = 20) -> str:
    """A time of the day that most tests are about: ``at("10:30")``."""
    return f"2024-01-{day:02}T{clock}:00Z"


def span(start: str, end: str, day: int = 20) -> Interval:
    """A span of that day."""
    return Interval(datetime.fromisoformat(at(start, day)), datetime.fromisoformat(at(end, day)))


def of_type(code: str) -> Resource:
    """An appointmentType."""
    return {"coding": [{"system": TYPE_SYSTEM, "code": code}]}


def visit(
    ident: str,
    start: str = "10:00",
    end: str | None = "10:30",
    *,
    status: str = "booked",
    who: tuple[str, ...] = ("Practitioner/p",),
    **more: Any,
) -> Resource:
    """An Appointment of a patient with practitioners and places."""
    patient = {"display": PATIENT, "identifier": {"value": UHID}, "reference": "Patient/1"}
    actors = [patient, *({"reference": name} for name in who)]
    times = {"start": at(start)} | ({} if end is None else {"end": at(end)})
    participants = [{"actor": actor, "status": "accepted"} for actor in actors]
    return {
        "resourceType": "Appointment", "id": ident, "status": status, **times, "participant": participants, **more
    }  # fmt: skip


def slot(
    ident: str, start: str = "10:00", end: str = "10:30", *, status: str = "free", schedule: str = "s"
) -> Resource:
    """A Slot."""
    return {
        "resourceType": "Slot",
        "id": ident,
        "status": status,
        "schedule": {"reference": f"Schedule/{schedule}"},
        "start": at(start),
        "end": at(end),
    }


def schedule(ident: str = "s", *actors: str, **more: Any) -> Resource:
    """A Schedule, of practitioner p at place l unless others are named."""
    named = actors or ("Practitioner/p", "Location/l")
    return {"resourceType": "Schedule", "id": ident, "actor": [{"reference": name} for name in named], **more}


async def publish_day(store: Store, *slots: Resource, **more: Any) -> None:
    """Store the Schedule of practitioner p and Slots; a to d from 10:00 to 12:00 unless others are given."""
    usual = (slot("a"), slot("b", "10:30", "11:00"), slot("c", "11:00", "11:30"), slot("d", "11:30", "12:00"))
    await create(store, schedule(**more), *(slots or usual))


async def book(store: Store, wanted: Resource, slot_id: str | None = None) -> Resource:
    """Plan and stage a new appointment."""
    return await store.transact(booking(wanted, slot_id))


def booking(wanted: Resource, slot_id: str | None = None) -> Callable[[UnitOfWork], Awaitable[Resource]]:
    """The step that `book` runs."""

    async def step(work: UnitOfWork) -> Resource:
        return commands.stage(work, None, await commands.plan(work, wanted, slot_id=slot_id))

    return step


async def advance(store: Store, ident: str, status: str, **members: Any) -> Resource:
    """Move a stored appointment along the graph."""
    return await store.transact(advancing(ident, status, **members))


def advancing(ident: str, status: str, **members: Any) -> Callable[[UnitOfWork], Awaitable[Resource]]:
    """The step that `advance` runs."""

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", ident)
        return await commands.advance(work, before, {**before, "status": status, **members})

    return step


async def move(store: Store, ident: str, start: str, end: str | None, slot_id: str | None = None) -> Resource:
    """Reschedule a stored appointment."""
    return await store.transact(moving(ident, start, end, slot_id))


def moving(
    ident: str, start: str, end: str | None, slot_id: str | None = None
) -> Callable[[UnitOfWork], Awaitable[Resource]]:
    """The step that `move` runs."""

    async def step(work: UnitOfWork) -> Resource:
        before = await present(work, "Appointment", ident)
        moved = {**before, "start": at(start)} | ({} if end is None else {"end": at(end)})
        if end is None:
            del moved["end"]
        planned = await commands.reschedule(work, before, moved, slot_id=slot_id, names=MOVING)
        return commands.stage(work, before, planned)

    return step


async def statuses(store: Store, *idents: str) -> list[str]:
    """The statuses of stored Slots."""
    return [(await stored(store, "Slot", ident))["status"] for ident in idents]


def links(appointment: Resource) -> list[str]:
    """The Slots that an appointment names."""
    return [link["reference"] for link in appointment.get("slot", [])]


def codes(refused: Refused) -> list[tuple[str, str | None]]:
    """Code and member of every problem."""
    return [(problem.code, problem.param) for problem in refused.problems]


def settling(
    *wanted: Resource | str,
    fills_slots: bool = True,
    bases: tuple[str, ...] = (),
    copied: bool = False,
    sent: bool = True,
    overbooks: str | None = None,
) -> Callable[[UnitOfWork], Awaitable[list[Change]]]:
    """The step that `settle_all` runs; what is `copied` was `sent` as it is, or comes of a MediLoop object."""

    async def step(work: UnitOfWork) -> list[Change]:
        names = [one if isinstance(one, str) else f"{one['resourceType']}/{one['id']}" for one in wanted]
        stored = await work.read_many(names)
        changes = [
            Change(stored.get(name), None, None)
            if isinstance(one, str)
            else Change(stored.get(name), one, one if copied and sent else None)
            for name, one in zip(names, wanted, strict=True)
        ]
        over = "" if copied else overbooks
        final = await settle(
            work, changes, fills_slots=fills_slots, copied=copied, overbooks=over, bases=bases, configured=bases
        )
        stage(work, final, await work.last_versions([name for name in names if name not in stored]))
        return final

    return step


async def settle_all(
    store: Store,
    *wanted: Resource | str,
    fills_slots: bool = True,
    bases: tuple[str, ...] = (),
    copied: bool = False,
    sent: bool = True,
) -> list[Resource]:
    """Write resources as FHIR does, in one transaction: a resource is created or updated, a name (``Slot/a``) deleted.

    Returns what is there afterwards, in the order of the writes, then what followed from them.
    """
    final = await store.transact(settling(*wanted, fills_slots=fills_slots, bases=bases, copied=copied, sent=sent))
    return [change.after or {} for change in final]


async def refused(
    store: Store,
    *wanted: Resource | str,
    fills_slots: bool = True,
    bases: tuple[str, ...] = (),
    copied: bool = False,
    sent: bool = True,
) -> list[tuple[str, str | None, Any]]:
    """Code, element and change of every problem of writes that are refused, and that leave everything as it was."""
    before = await everything(store.database)
    with pytest.raises(Refused) as raised:
        await settle_all(store, *wanted, fills_slots=fills_slots, bases=bases, copied=copied, sent=sent)
    assert await everything(store.database) == before
    told = f"{raised.value} {[problem.details for problem in raised.value.problems]}"
    assert PATIENT not in told
    assert UHID not in told
    kinds = {422: Unprocessable, 409: Conflict}
    assert type(raised.value) is kinds[raised.value.status]
    return [(problem.code, problem.param, problem.entry) for problem in raised.value.problems]


def linking(*idents: str) -> dict[str, Any]:
    """The member ``slot`` of an Appointment: ``visit("x", **linking("a"))``."""
    return {"slot": [{"reference": f"Slot/{ident}"} for ident in idents]}


def role(ident: str, practitioner: str | None = "p") -> Resource:
    """A PractitionerRole."""
    player = {} if practitioner is None else {"practitioner": {"reference": f"Practitioner/{practitioner}"}}
    return {"resourceType": "PractitionerRole", "id": ident, **player}


def of_q(ident: str, *times: str, **more: Any) -> Resource:
    """A visit of practitioner q."""
    return visit(ident, *times, who=("Practitioner/q",), **more)
