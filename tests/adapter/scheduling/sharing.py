"""What the tests of capacity and overbooking share: Slots for several, visits booked over, and both ways to decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapter.scheduling import commands, occupancy
from adapter.scheduling.settling import Change, settle, stage
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import linking, slot
from tests.store.support import present

EXTENSIONS = "https://example.org/fhir/StructureDefinition"
Step = Callable[[UnitOfWork], Awaitable[Any]]


def group(ident: str, room: Any, *times: str, **more: Any) -> Resource:
    """A Slot for several."""
    return {**slot(ident, *times, **more), "extension": [{"url": occupancy.CAPACITY, "valueInteger": room}]}


def over(appointment: Resource, why: str = "a mother in labour") -> Resource:
    """The appointment as one to be booked over others."""
    return occupancy.overbooking(appointment, why, EXTENSIONS)


def mediloop(one: Resource, slot_id: str | None = None) -> Step:
    """The step of a MediLoop booking."""

    async def step(work: UnitOfWork) -> Resource:
        planned = await commands.plan(work, one, slot_id=slot_id, overbooks=occupancy.reason(one) is not None)
        return commands.stage(work, None, planned)

    return step


def fhir(*wanted: Resource, key: str | None = "key-1") -> Step:
    """The step of a FHIR write by somebody who may book over others, unless `key` is None."""

    async def step(work: UnitOfWork) -> list[Resource]:
        found = await work.read_many([f"{one['resourceType']}/{one['id']}" for one in wanted])
        changes = [Change(found.get(f"{one['resourceType']}/{one['id']}"), one) for one in wanted]
        final = await settle(work, changes, fills_slots=False, overbooks=key)
        return [one or {} for one in stage(work, final)]

    return step


def fhir_changes(ident: str, status: str) -> Step:
    """The step of a FHIR write that moves a stored appointment."""

    async def step(work: UnitOfWork) -> list[Resource]:
        before = await present(work, "Appointment", ident)
        return [
            one or {}
            for one in stage(
                work, await settle(work, [Change(before, {**before, "status": status})], fills_slots=False)
            )
        ]

    return step


DOORS: dict[str, Callable[[Resource, str], Step]] = {
    "mediloop": lambda one, slot_id: mediloop(one, slot_id),
    "fhir": lambda one, slot_id: fhir({**one, **linking(slot_id)}),
}
both_doors = pytest.mark.parametrize("door", list(DOORS))


async def holders(store: Store, slot_id: str) -> int:
    """How many appointments hold a Slot."""
    return await store.count("Appointment", {"_index.claims": f"Slot/{slot_id}"})
