"""What a decision asks for is foreseen: a booking is read by few commands, whatever it depends on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import monitoring

from adapter.errors import Conflict
from adapter.scheduling import foresight
from adapter.scheduling.claimset import ClaimSet, Draft
from store.codec import Resource
from store.connection import Client, connect
from store.store import Store
from tests.adapter.scheduling.support import (
    booking,
    linking,
    moving,
    of_type,
    publish_day,
    role,
    schedule,
    settling,
    slot,
    visit,
)
from tests.conftest import Clock
from tests.store.support import RULES, Listener, create

NAMING_P = {"$or": [{f"_index.actor{end}": {"$in": ["Practitioner/p"]}} for end in ("", ":named")]}
ROLES_OF_P = {"$or": [{f"_index.practitioner{end}": {"$in": ["Practitioner/p"]}} for end in ("", ":named")]}
HOUR = "Practitioner/p|2024-01-20T10"


class Reads(Listener):
    """Notes what is read in transactions, as the types that are looked up by each command."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        command = event.command
        if "autocommit" not in command or event.command_name not in ("find", "aggregate"):
            return
        stages = command.get("pipeline", ())
        looked_up = [stage["$lookup"]["from"] for stage in stages if "$lookup" in stage]
        self.sent.append(looked_up or [command[event.command_name]])


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
async def watched(mongodb_uri: str, store: Store, reads: Reads, clock: Clock) -> AsyncIterator[Store]:
    """The test's own store, with every read noted."""
    client: Client = connect(mongodb_uri, listeners=[reads])
    yield Store(client, store.database.name, rules=RULES, now=clock)
    await client.close()


def claims(*names: str) -> tuple[str, dict[str, Any]]:
    return "Appointment", {"_index.claims": {"$in": [*names]}}


def test_a_visit_by_time_is_looked_up_by_who_and_when() -> None:
    assert [*foresight.visit(visit("v"), None, None)] == [
        ("PractitionerRole", ROLES_OF_P),
        ("Schedule", NAMING_P),
        claims(HOUR),
    ]


def test_one_with_a_slot_needs_no_other_schedules() -> None:
    assert [*foresight.visit(visit("v"), None, "Slot/a")] == [
        ("Slot", {"_id": {"$in": ["a"]}}),
        ("PractitionerRole", ROLES_OF_P),
        claims(HOUR, "Slot/a"),
    ]


def test_what_it_has_is_looked_up_when_it_moves() -> None:
    before = visit("v", "11:00", "11:30", **linking("c"))
    assert [*foresight.visit(visit("v"), before, None)] == [
        ("Slot", {"_id": {"$in": ["c"]}}),
        ("PractitionerRole", ROLES_OF_P),
        ("Schedule", NAMING_P),
        claims(HOUR, "Slot/c"),
    ]


def test_what_stands_beside_others_meets_nobody() -> None:
    walk_in = visit("v", appointmentType=of_type("WALKIN"))
    assert [*foresight.visit(walk_in, None, None)] == [("PractitionerRole", ROLES_OF_P)]


def test_of_a_visit_of_nobody_nothing_is_looked_up() -> None:
    assert [*foresight.visit(visit("v", who=()), None, None)] == []


@pytest.mark.parametrize("end", [None, "9999-12-31T23:59:59Z"])
def test_hours_without_number_are_not_named(end: str | None) -> None:
    long = {name: value for name, value in visit("v").items() if name != "end"} | ({} if end is None else {"end": end})
    assert [*foresight.visit(long, None, None)] == [("PractitionerRole", ROLES_OF_P), ("Schedule", NAMING_P)]


def set_of(*resources: Resource) -> ClaimSet:
    return ClaimSet([Draft(entry, None, one) for entry, one in enumerate(resources)])


def test_a_set_is_looked_up_as_a_whole() -> None:
    asked = set_of(
        visit("v"),
        visit("w", "12:00", "12:30", who=("Practitioner/q",), **linking("a", "b")),
        visit("x", appointmentType=of_type("WALKIN")),
        slot("b", "12:00", "12:30"),
    )
    both = ["Practitioner/p", "Practitioner/q"]
    assert [*foresight.claim_set(asked)] == [
        ("Slot", {"_id": {"$in": ["a"]}}),
        ("Schedule", {"_id": {"$in": ["s"]}}),
        (
            "PractitionerRole",
            {"$or": [{f"_index.practitioner{end}": {"$in": both}} for end in ("", ":named")]},
        ),
        ("Schedule", NAMING_P),
        claims(HOUR, "Practitioner/q|2024-01-20T12", "Slot/a", "Slot/b"),
    ]


def test_of_very_many_each_query_goes_by_itself() -> None:
    assert [*foresight.claim_set(set_of(*(visit(f"v{number}") for number in range(101))))] == []


def test_of_many_names_the_query_goes_by_itself() -> None:
    assert len([*foresight.named(f"Slot/{number}" for number in range(20))]) == 1
    assert [*foresight.named(f"Slot/{number}" for number in range(21))] == []


async def test_a_booking_by_time_is_read_by_two_commands(watched: Store, reads: Reads) -> None:
    await publish_day(watched)
    reads.sent.clear()
    await watched.transact(booking(visit("v")))
    assert reads.sent == [["PractitionerRole", "Schedule", "Appointment"], ["Slot"]]


async def test_a_booking_of_a_slot_is_read_by_two_commands(watched: Store, reads: Reads) -> None:
    await publish_day(watched)
    reads.sent.clear()
    await watched.transact(booking(visit("v"), "a"))
    assert reads.sent == [["Slot", "PractitionerRole", "Appointment"], ["Schedule"]]


async def test_a_move_is_read_by_four_commands(watched: Store, reads: Reads) -> None:
    await publish_day(watched)
    await watched.transact(booking(visit("v")))
    reads.sent.clear()
    await watched.transact(moving("v", "11:00", "11:30"))
    assert reads.sent == [
        ["Appointment"],
        ["Slot", "PractitionerRole", "Schedule", "Appointment"],
        ["Schedule"],  # those of the practitioner and those of the Slots that it has, in one query
        ["Slot"],
    ]


async def test_a_set_of_fhir_is_read_by_few_commands(watched: Store, reads: Reads) -> None:
    await publish_day(watched)
    reads.sent.clear()
    await watched.transact(settling(slot("a", status="busy"), visit("v", **linking("a"))))
    assert reads.sent == [  # what the names mean is the step's own
        ["Slot"],
        ["Appointment"],
        ["Schedule", "PractitionerRole", "Appointment"],
        ["history"],
    ]


async def test_what_was_not_foreseen_is_read_when_it_is_asked_for(watched: Store, reads: Reads) -> None:
    await create(watched, role("r"), schedule("s", "PractitionerRole/r"), slot("a"))
    reads.sent.clear()
    await watched.transact(booking(visit("v")))
    with pytest.raises(Conflict):
        await watched.transact(booking(visit("w", who=("PractitionerRole/r",))))
    assert reads.sent[:4] == [
        ["PractitionerRole", "Schedule", "Appointment"],
        ["Schedule"],  # by the role as well
        ["Slot"],
        ["Appointment"],
    ]
