"""What is in the way of computed openings: Slots for several, whoever a visit names, what the same set writes."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from adapter.scheduling.availability import Wanted
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling import looking
from tests.adapter.scheduling.sharing import group
from tests.adapter.scheduling.support import linking, refused, settle_all, span, visit
from tests.adapter.scheduling.weekly import parameters, weekly
from tests.store.support import create

DAY = span("00:00", "23:59")
MRI = "HealthcareService/mri"
GRID = parameters(duration=30, alignmentInterval=15)
HOURS = weekly()["extension"]
TEN, QUARTER, HALF = (f"w.20240120T{clock}Z.30" for clock in ("1000", "1015", "1030"))
TAKEN = [("slot_unavailable", "Appointment.slot[0]", 0)]


def nameless(ident: str, start: str, end: str, name: str) -> Resource:
    """A visit that names a Slot and no practitioner."""
    return visit(ident, start, end, who=(), **linking(name))


async def offered(store: Store, **wanted: Any) -> list[str]:
    return [one.ident for one in await looking.openings(store, Wanted(DAY, **wanted), zone=UTC)]


# Slots for several.


@pytest.mark.parametrize("name", [TEN, "group"])
@pytest.mark.parametrize("actor", [MRI, "Practitioner/p", "Location/l"])
async def test_a_slot_for_several_is_a_published_one_whatever_its_id(store: Store, name: str, actor: str) -> None:
    await create(store, weekly("w", *HOURS, GRID, actors=(actor,)), group(name, 2, schedule="w"))
    await settle_all(store, nameless("x", "10:00", "10:30", name))
    assert await refused(store, nameless("z", "10:15", "10:45", QUARTER)) == TAKEN
    there = await offered(store)
    assert [one for one in there if one == name or "T10" in one] == [name, HALF, "w.20240120T1045Z.30"]
    await settle_all(store, nameless("y", "10:00", "10:30", name))
    assert await refused(store, nameless("z", "10:00", "10:30", name)) == TAKEN
    assert [one for one in await offered(store) if one in (name, TEN, QUARTER)] == []


async def test_who_leaves_a_slot_for_several_passes_over_the_others_in_it_no_more_than_anybody(store: Store) -> None:
    await create(store, weekly("w", *HOURS, GRID, actors=(MRI,)), group(TEN, 2, schedule="w"))
    await settle_all(store, nameless("x", "10:00", "10:30", TEN), nameless("y", "10:00", "10:30", TEN))
    moved = nameless("x", "10:15", "10:45", QUARTER)
    assert await refused(store, moved) == TAKEN
    await settle_all(store, nameless("y", "10:00", "10:30", TEN) | {"status": "cancelled"})
    await settle_all(store, moved)
