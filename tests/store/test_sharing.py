"""Who refers to a resource and who deletes it at the same moment meet; those who refer to it do not meet each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from store import sharing
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.store.support import (
    appointment,
    change,
    create,
    overtaken,
    patient,
    present,
    shares,
    side_by_side,
)

Step = Callable[[UnitOfWork], Awaitable[Any]]


def to(name: str) -> Resource:
    return {"reference": name}


def visit(ident: str, *actors: str, **members: Any) -> Resource:
    people = [{"actor": to(name), "status": "accepted"} for name in actors]
    return appointment(ident, status="proposed", participant=people, **members)


REFERRERS = {
    "Patient/x": visit("r", "Patient/x"),
    "Practitioner/x": {"resourceType": "Schedule", "id": "r", "actor": [to("Practitioner/x")]},
    "Location/x": visit("r", "Practitioner/p", "Location/x/_history/3"),
    "PractitionerRole/x": visit("r", "http://clinic.test/fhir/PractitionerRole/x"),
    "Schedule/x": {"resourceType": "Slot", "id": "r", "status": "free", "schedule": to("Schedule/x")},
    "Appointment/x": {"resourceType": "AppointmentResponse", "id": "r", "appointment": to("Appointment/x")},
    "RelatedPerson/x": patient("r", link=[{"other": to("RelatedPerson/x"), "type": "seealso"}]),
    "Organization/x": {"resourceType": "Location", "id": "r", "managingOrganization": to("Organization/x")},
    "HealthcareService/x": {
        "resourceType": "PractitionerRole",
        "id": "r",
        "healthcareService": [to("HealthcareService/x")],
    },
    "Group/x": {"resourceType": "Group", "id": "r", "type": "person", "member": [{"entity": to("Group/x")}]},
}


def deleting(name: str, holder: Resource) -> Step:
    """A deletion that leaves what is referred to."""
    kind, _, ident = name.partition("/")

    async def step(work: UnitOfWork) -> str:
        if await work.read(holder["resourceType"], holder["id"]) is not None:
            return "kept"
        work.delete(await present(work, kind, ident))
        return "deleted"

    return step


def referring(name: str, holder: Resource) -> Step:
    """A creation that refers to what is there alone."""
    kind, _, ident = name.partition("/")

    async def step(work: UnitOfWork) -> str:
        if await work.read(kind, ident) is None:
            return "refused"
        work.create(holder)
        return "created"

    return step


@pytest.mark.parametrize("name", REFERRERS)
async def test_a_deletion_and_a_new_reference_at_once_see_each_other(store: Store, name: str) -> None:
    kind, _, ident = name.partition("/")
    holder = REFERRERS[name]
    delete, refer = deleting(name, holder), referring(name, holder)
    await create(store, {"resourceType": kind, "id": ident, "status": "proposed"})
    assert await overtaken(store, delete, lambda: store.transact(refer)) == ("kept", 2)

    async def leave(work: UnitOfWork) -> None:
        work.delete(await present(work, holder["resourceType"], "r"))

    await store.transact(leave)
    back = {**holder, "id": "s"}
    assert await overtaken(store, referring(name, back), lambda: store.transact(deleting(name, back))) == ("refused", 2)


@pytest.mark.parametrize("turn", range(5))
async def test_they_meet_whoever_is_first_to_write(store: Store, turn: int) -> None:
    name, holder = "Patient/x", REFERRERS["Patient/x"]
    await create(store, patient("x"))
    for _ in range(turn):
        await store.transact(lambda work: present(work, "Patient", "x"))  # each takes the next turn
    found = await side_by_side(store, deleting(name, holder), referring(name, holder))
    assert found in (["deleted", "refused"], ["kept", "created"])


async def test_those_who_refer_to_the_same_do_not_meet(store: Store) -> None:
    runs: Counter[str] = Counter()

    def booking(number: int) -> Step:
        async def step(work: UnitOfWork) -> None:
            await work.read("Practitioner", "p")
            runs[f"a{number}"] += 1
            work.create(visit(f"a{number}", "Practitioner/p", "Location/l"))

        return step

    await store.transact(booking(99))  # its guards may be there, or not
    await side_by_side(store, *map(booking, range(16)))
    assert set(runs.values()) == {1}
    assert len(runs) == 17


async def test_a_change_meets_who_deletes_what_it_refers_to_newly(store: Store) -> None:
    await create(store, visit("a", "Patient/x", "Practitioner/p"))
    made = await shares(store.database)
    assert [name.partition("~")[0] for name in sorted(made)] == ["Patient/x", "Practitioner/p"]
    await change(store, "Appointment", "a", comment="here")
    assert await shares(store.database) == made
    participant = visit("a", "Patient/x", "Location/l")["participant"]
    await change(store, "Appointment", "a", participant=participant)
    added = await shares(store.database)
    assert added.keys() >= made.keys()
    assert [name.partition("~")[0] for name in added.keys() - made.keys()] == ["Location/l"]


async def test_one_unit_of_work_writes_one_guard_for_each_that_it_refers_to(store: Store) -> None:
    await create(store, *(visit(f"a{number}", "Patient/x", "Practitioner/p") for number in range(20)))
    assert sorted((await shares(store.database)).values()) == [1, 1]


async def test_what_cannot_be_deleted_here_has_no_such_guard(store: Store) -> None:
    strange = ("#inside", "urn:uuid:0c3151bd-1cbf-4d64-b04d-000000000001", "Device/d", "nothing", "Patient")
    holder = visit("a", *strange, slot=[to("Slot/s")])
    holder["participant"] += [{"actor": {"display": "Somebody"}, "status": "accepted"}, {"status": "accepted"}]
    await create(store, {**holder, "supportingInformation": [to("Observation/o")]})
    assert await shares(store.database) == {}


async def test_a_deletion_writes_all_guards_of_what_it_deletes(store: Store) -> None:
    slot = {"resourceType": "Slot", "id": "s", "status": "free"}
    await create(store, patient("x"), {"resourceType": "Location", "id": "l"}, slot)

    async def delete(work: UnitOfWork) -> None:
        for kind, ident in (("Patient", "x"), ("Location", "l"), ("Slot", "s")):
            work.delete(await present(work, kind, ident))

    await store.transact(delete)
    wanted = {*sharing.parts("Patient/x"), *sharing.parts("Location/l")}
    assert wanted <= (await shares(store.database)).keys()


@pytest.mark.parametrize("name", ["Patient/x", "Practitioner/x"])
def test_every_turn_has_a_part_that_a_deletion_writes(name: str) -> None:
    parts = set(sharing.parts(name))
    assert {sharing.part(name, turn) for turn in range(1_000)} == parts
