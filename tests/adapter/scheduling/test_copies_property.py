"""Whatever is accepted at the front door, the second program finds nothing wrong, and a copy of it comes in whole."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from adapter.errors import Refused
from adapter.scheduling import commands, publishing, verifying
from adapter.scheduling.occupancy import CAPACITY
from adapter.scheduling.settling import Change, settle, stage
from adapter.scheduling.wish import MOVING
from adapter.service import Service
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import at, linking, role, schedule, settle_all, slot, span, visit
from tests.adapter.scheduling.test_settling_property import clock, documents
from tests.scale import examples
from tests.store.support import create

KINDS = ("PractitionerRole", "Schedule", "Slot", "Appointment")
"""In the order in which an import takes them."""

WHO = ("Practitioner/p", "Practitioner/p", "Practitioner/q", "PractitionerRole/r")
PLACES = ("Location/l", "Location/m")
TAKEN = ("busy", "busy-tentative")


class History:
    """Lets things happen at the front door, by chance; what is refused there has not happened."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)

    async def begin(self) -> None:
        await create(self.store, role("r"), schedule("s", WHO[0], PLACES[0]), schedule("t", WHO[2]))
        await create(self.store, *(schedule(ident, "Location/room") for ident in "uv"))
        for ident, quarter in (("a", 0), ("b", 2), ("c", 4)):
            await create(self.store, slot(ident, clock(quarter), clock(quarter + 2)))

    async def go_on(self) -> None:
        happen = (*[self.books] * 5, self.books_by_time, self.offers, self.publishes, self.makes_room)
        happen += (self.changes_schedule, self.changes_role, self.leaves, self.moves, *[self.advances] * 2)
        what = self.chance.choice(happen)
        with suppress(Refused):
            await what()

    async def some(self, kind: str) -> Resource | None:
        found = await documents(self.store, kind)
        return found[self.chance.choice(sorted(found))] if found else None

    def ident(self, of: str, most: int) -> str:
        return f"{of}{self.chance.randrange(most)}"

    async def books(self) -> bool:
        """In a Slot, with whom it is of, often at its place."""
        one = await self.some("Slot")
        schedules = await documents(self.store, "Schedule")
        assert one is not None
        who = [link["reference"] for link in schedules[one["schedule"]["reference"]]["actor"]]
        named = tuple(name for name in who if self.chance.random() < 0.9)
        made = visit(self.ident("x", 12), who=named, **linking(one["id"])) | {"start": one["start"], "end": one["end"]}
        return bool(await settle_all(self.store, made))

    async def books_by_time(self) -> bool:
        start = self.chance.randrange(12)
        end = start + self.chance.randrange(1, 4)
        who = (self.chance.choice(WHO), *self.chance.choice([(), PLACES[:1]]))
        return bool(await settle_all(self.store, visit(self.ident("x", 12), clock(start), clock(end), who=who)))

    async def offers(self) -> bool:
        start = self.chance.randrange(12)
        status = self.chance.choice(["free", "free", "busy", "busy-unavailable"])
        end = clock(start + self.chance.randrange(1, 5))
        made = slot(self.ident("o", 6), clock(start), end, status=status, schedule=self.chance.choice("stuuv"))
        return bool(await settle_all(self.store, made))

    async def publishes(self) -> bool:
        start = self.chance.randrange(10)
        when = span(clock(start), clock(start + 4))

        async def step(work: UnitOfWork) -> bool:
            [found] = (await work.read_many(["Schedule/s"])).values()
            return bool(await publishing.publish(work, found, [publishing.slot(found, when)]))

        return await self.store.transact(step)

    async def makes_room(self) -> bool:
        one = await self.some("Slot")
        room = [{"url": CAPACITY, "valueInteger": self.chance.choice([1, 3, 4, 5])}]
        return bool(await settle_all(self.store, {**one, "extension": room})) if one else False

    async def changes_schedule(self) -> bool:
        who, where = self.chance.choice(WHO), self.chance.choice(PLACES)
        return bool(await settle_all(self.store, schedule(self.chance.choice("st"), who, where)))

    async def changes_role(self) -> bool:
        return bool(await settle_all(self.store, role("r", self.chance.choice(["p", "q", None]))))

    async def leaves(self) -> bool:
        """Whoever was asked last does not come; the Slot stays."""
        one = await self.some("Appointment")
        if one is None or len(one["participant"]) == 1:
            return False
        return bool(await settle_all(self.store, {**one, "participant": one["participant"][:-1]}))

    async def moves(self) -> bool:
        one = await self.some("Appointment")
        if one is None:
            return False
        moved = {**one, "start": at(clock(self.chance.randrange(12)))}
        moved["end"] = commands.ending(one, moved["start"])

        async def step(work: UnitOfWork) -> bool:
            commands.stage(work, one, await commands.reschedule(work, one, moved, slot_id=None, names=MOVING))
            return True

        return await self.store.transact(step)

    async def advances(self) -> bool:
        one = await self.some("Appointment")
        status = self.chance.choice(["fulfilled", "fulfilled", "arrived", "noshow", "cancelled"])
        return bool(await settle_all(self.store, {**one, "status": status})) if one else False


async def everything(store: Store) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for kind in KINDS:
        found |= await documents(store, kind)
    return {name: {key: value for key, value in one.items() if key != "meta"} for name, one in found.items()}


async def findings(store: Store) -> list[str]:
    checks = (verifying.appointments, verifying.slots, verifying.rooms, verifying.links)
    walks = (check(store) for check in checks)
    found = [one for walk in walks async for step in walk for one in step.findings]
    return [f"{one.kind} {one.message}" for one in found if not one.note or one.kind == "slot-otherwise-busy"]


async def bring(store: Store, resources: list[Resource]) -> None:
    """Bring some resources in, as a batch of an import is."""

    async def step(work: UnitOfWork) -> None:
        names = [f"{one['resourceType']}/{one['id']}" for one in resources]
        stored = await work.read_many(names)
        changes = [Change(stored.get(name), one, one) for name, one in zip(names, resources, strict=True)]
        stage(work, await settle(work, changes, fills_slots=True, copied=True, overbooks=""))

    await store.transact(step)


@pytest.mark.parametrize("seed", range(examples(15)))
async def test_what_was_accepted_is_sound_and_a_copy_of_it_is_the_same(service: Service, seed: int) -> None:
    store, empty = service.stores["test"], service.stores["live"]
    history = History(store, seed)
    await history.begin()
    for _ in range(60):
        await history.go_on()
    assert await findings(store) == []
    before = await everything(store)
    size = history.chance.choice([1, 2, 100])
    for kind in KINDS:
        ones = [one for name, one in sorted(before.items()) if name.startswith(f"{kind}/")]
        history.chance.shuffle(ones)
        for start in range(0, len(ones), size):
            await bring(empty, ones[start : start + size])
    after = await everything(empty)
    for name, one in after.items():  # that of a held Slot follows its appointments, not the file
        if name.startswith("Slot/") and one["status"] in TAKEN and before[name]["status"] in TAKEN:
            one["status"] = before[name]["status"]
    assert after == before
