"""Who is behind a role, and under which names a practitioner is known."""

from __future__ import annotations

import pytest

from adapter.scheduling import people
from adapter.scheduling.people import People
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import role, schedule
from tests.store.support import create


async def read(store: Store, *names: str, written: dict[str, Resource | None] | None = None) -> People:
    return await store.transact(lambda work: people.read(work, names, written))


def test_a_role_is_its_practitioner_and_everybody_else_is_as_named() -> None:
    known = People({"PractitionerRole/r": "Practitioner/p"})
    names = ("PractitionerRole/r", "Practitioner/p", "PractitionerRole/vacant", "identifier:|7")
    assert known.of(names) == ("Practitioner/p", "PractitionerRole/vacant", "identifier:|7")
    assert known.names(["Practitioner/q"]) == ("Practitioner/q",)
    assert known.names(["Practitioner/q", "Practitioner/p"]) == (
        "Practitioner/q",
        "Practitioner/p",
        "PractitionerRole/r",
    )


def test_a_schedule_is_of_whom_it_names_in_a_role_as_well() -> None:
    known = People({"PractitionerRole/r": "Practitioner/p", "PractitionerRole/t": "Practitioner/p"})
    schedules = {"Schedule/s": schedule("s", "PractitionerRole/t"), "Schedule/r": schedule("r", "Location/l")}
    assert known.serving(["PractitionerRole/r", "Practitioner/q"], schedules) == ["Schedule/s"]
    assert known.serving([], schedules) == []


OF_P, ROOM = "Schedule/p", "Schedule/room"
BY_NUMBER = {"actor": {"type": "Practitioner", "identifier": {"value": "7"}}}
BY_NAME = {"actor": {"reference": "Practitioner/q"}}


@pytest.mark.parametrize(
    ("participants", "along"),
    [
        ([], [OF_P, ROOM]),
        ([{"actor": {"reference": "Patient/1"}}, {"actor": {"reference": "Location/l"}}], [OF_P, ROOM]),
        ([BY_NUMBER], [OF_P, ROOM]),
        ([BY_NUMBER, BY_NAME], [ROOM]),
        ([{"actor": {"reference": "PractitionerRole/r"}, "status": "declined"}], [ROOM]),
    ],
)
def test_only_who_names_no_practitioner_has_the_slots_of_one_move_along(
    participants: list[Resource], along: list[str]
) -> None:
    schedules = {OF_P: schedule("p", "Location/l", "Practitioner/p"), ROOM: schedule("room", "Location/l")}
    visit = {"resourceType": "Appointment", "participant": [{"status": "accepted", **one} for one in participants]}
    assert list(people.moving_along(visit, schedules)) == along


async def test_a_practitioner_is_known_under_every_role(store: Store) -> None:
    await create(store, role("r"), role("s"), role("other", "q"), role("vacant", None))
    assert dict((await read(store, "Practitioner/p")).behind) == {
        "PractitionerRole/r": "Practitioner/p",
        "PractitionerRole/s": "Practitioner/p",
    }


async def test_a_role_leads_to_its_practitioner_and_from_there_to_the_other_roles(store: Store) -> None:
    within = {**role("within"), "practitioner": {"reference": "#somebody"}}  # of another resource it is another one
    await create(store, role("r"), role("s"), role("vacant", None), within, role("other", "q"))
    names = (f"PractitionerRole/{one}" for one in ("r", "vacant", "within", "gone"))
    known = await read(store, *names)
    assert "PractitionerRole/other" not in known.behind
    assert sorted(known.names(known.of(["PractitionerRole/r"]))) == [
        "Practitioner/p",
        "PractitionerRole/r",
        "PractitionerRole/s",
    ]
    nobodys = ("PractitionerRole/vacant", "PractitionerRole/within")
    assert known.of(nobodys) == nobodys


async def test_roles_that_are_written_count_as_they_are_going_to_be(store: Store) -> None:
    await create(store, role("r"), role("s"), role("t"))
    written: dict[str, Resource | None] = {
        "PractitionerRole/r": role("r", "q"),
        "PractitionerRole/s": None,
        "PractitionerRole/new": role("new"),
    }
    known = await read(store, "Practitioner/p", "PractitionerRole/r", written=written)
    assert dict(known.behind) == {
        "PractitionerRole/r": "Practitioner/q",
        "PractitionerRole/new": "Practitioner/p",
        "PractitionerRole/t": "Practitioner/p",
    }


async def test_of_nobody_nothing_is_read(store: Store) -> None:
    assert (await read(store, "identifier:|7")).behind == {}
