"""A practitioner and a room whose visit moves: where both have Slots, and where the room has openings."""

from __future__ import annotations

from typing import Any

from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import linking, schedule, settle_all, slot, visit
from tests.adapter.scheduling.weekly import weekly
from tests.store.support import create

HOURS = {"10": ("10:00", "10:30"), "11": ("11:00", "11:30"), "12": ("12:00", "12:30"), "13": ("13:00", "13:30")}
ROOM = "Location/room"


def hourly(schedule: str, **states: str) -> list[Resource]:
    """The Slots of a Schedule at ten, eleven, twelve and one; `states` of some (``_11="busy"``)."""
    return [
        slot(f"{schedule}{hour}", *times, schedule=schedule, status=states.get(f"_{hour}", "free"))
        for hour, times in HOURS.items()
    ]


async def in_room(store: Store, **more: Any) -> None:
    """Practitioner p and room r, each with a Schedule: the room is taken at eleven and closed at twelve. Visit x."""
    await create(
        store,
        schedule(),
        schedule("r", "Location/room"),
        *hourly("s"),
        *hourly("r", _11="busy", _12="busy-unavailable"),
    )
    await settle_all(store, visit("x", **linking("s10", "r10"), **more))


async def in_computed_room(store: Store, *extensions: Resource) -> None:
    await create(
        store,
        schedule(),
        *hourly("s"),
        slot("long", "09:00", "12:00"),
        weekly("r", *extensions, actors=(ROOM,)),
    )
    await settle_all(store, visit("x", **linking("s10", opening("10:00"))))


def opening(clock: str, schedule: str = "r") -> str:
    return f"{schedule}.20240120T{clock.replace(':', '')}Z.30"
