"""The moment at which an appointment came to its status, where nobody says it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.scheduling.moments import MEMBERS, MOVED, REASON, stamped
from adapter.scheduling.settling import Change, settle
from adapter.scheduling.status import GRAPH
from mappings import appointment as lens
from mappings.systems import DEFAULT_SYSTEMS
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.support import visit
from tests.store.support import create

NOW = datetime(2024, 1, 15, 10, tzinfo=UTC)
SHOWN = "2024-01-15T10:00:00Z"
EARLIER = "2024-01-14T08:00:00+03:00"


def dated(resource: Resource, **moments: str) -> Resource:
    return lens.update(resource, moments)


def told(before: Resource | None, after: Resource) -> dict[str, Any]:
    """The moments that are shown of `after` as it is stored."""
    shown = lens.view(stamped(before, after, DEFAULT_SYSTEMS, NOW))
    return {name: shown[name] for name in (*MEMBERS.values(), MOVED) if shown[name] is not None}


@pytest.mark.parametrize("status", GRAPH)
def test_each_move_to_what_is_remembered_has_its_moment(status: str) -> None:
    before, after = visit("x", status="booked"), visit("x", status=status)
    assert told(before, after) == ({MEMBERS[status]: SHOWN} if status in MEMBERS else {})
    assert "extension" not in after


@pytest.mark.parametrize("before", [None, visit("x", status="arrived")])
def test_what_does_not_move_here_is_left_as_it_was_sent(before: Resource | None) -> None:
    after = visit("x", status="arrived")
    assert stamped(before, after, DEFAULT_SYSTEMS, NOW) is after


def test_a_moment_that_is_sent_stands() -> None:
    after = dated(visit("x", status="arrived"), arrived_at=EARLIER)
    assert stamped(visit("x"), after, DEFAULT_SYSTEMS, NOW) is after


def test_one_that_was_therebefore_is_of_another_time() -> None:
    before = dated(visit("x", status="booked"), arrived_at=EARLIER, cancelled_at=EARLIER)
    found = told(before, before | {"status": "arrived"})
    assert found == {"arrived_at": SHOWN, "cancelled_at": "2024-01-14T05:00:00Z"}


def test_who_sends_a_change_again_does_not_take_its_moment_away() -> None:
    before = dated(visit("x", status="cancelled"), cancelled_at=EARLIER)
    again = visit("x", status="cancelled")
    assert stamped(before, again, DEFAULT_SYSTEMS, NOW)["extension"] == before["extension"]
    other = dated(again, cancelled_at=SHOWN)
    assert stamped(before, other, DEFAULT_SYSTEMS, NOW) is other


def test_another_start_has_its_moment_whatever_the_status() -> None:
    before, after = dated(visit("x"), rescheduled_at=EARLIER), visit("x", "11:00", "11:30")
    assert told(before, after) == {MOVED: SHOWN}
    assert told(before, dated(after, rescheduled_at=EARLIER)) == {MOVED: SHOWN}
    assert told(visit("x"), visit("x", "11:00", "11:30", status="arrived")) == {MOVED: SHOWN, "arrived_at": SHOWN}
    other = dated(after, rescheduled_at="2024-01-15T09:00:00Z")
    assert stamped(before, other, DEFAULT_SYSTEMS, NOW) is other


def test_who_does_not_move_keeps_the_moment_of_the_last_move() -> None:
    before = dated(visit("x"), rescheduled_at=EARLIER)
    again = {**visit("x", end="10:20"), "start": "2024-01-20T13:00:00+03:00"}
    assert told(before, again) == {MOVED: "2024-01-14T05:00:00Z"}
    assert told(visit("x"), again) == {}
    for first, second in (({}, again), (again, {})):  # a proposal may have no time, and get its first one
        without = {name: value for name, value in visit("x", status="proposed").items() if name not in ("start", "end")}
        assert told({**without, **first}, {**without, **second}) == {}


@pytest.mark.parametrize(
    ("before", "moment", "reason", "expected"),
    [
        ("Doctor ill", EARLIER, "Doctor ill", None),
        ("Doctor ill", EARLIER, "Room flooded", "Room flooded"),
        ("Doctor ill", "2024-01-15T09:00:00Z", "Doctor ill", "Doctor ill"),
        (None, EARLIER, "Room flooded", "Room flooded"),
        (None, EARLIER, None, None),
    ],
)
def test_another_start_has_no_reason_but_one_that_is_said_for_it(
    before: str | None, moment: str, reason: str | None, expected: str | None
) -> None:
    there = lens.update(visit("x"), {MOVED: EARLIER, REASON: before})
    after = lens.update(visit("x", "11:00", "11:30"), {MOVED: moment, REASON: reason})
    assert lens.view(stamped(there, after, DEFAULT_SYSTEMS, NOW))[REASON] == expected
    stays = lens.update(there, {"notes": "stays where it is"})
    assert lens.view(stamped(there, stays, DEFAULT_SYSTEMS, NOW))[REASON] == before


def test_a_reason_that_is_said_again_within_a_second_is_that_of_the_second_move() -> None:
    there = lens.update(visit("x"), {MOVED: SHOWN, REASON: "Doctor ill"})
    after = lens.update(there, {"start_time": "2024-01-20T11:00:00Z", "end_time": "2024-01-20T11:30:00Z"})
    assert lens.view(stamped(there, after, DEFAULT_SYSTEMS, NOW))[REASON] == "Doctor ill"


async def test_who_brings_in_what_others_decided_has_it_left_as_it_is(store: Store) -> None:
    before, after = visit("x", status="booked"), visit("x", status="noshow")
    await create(store, before)
    for stamps, expected in ((None, False), (DEFAULT_SYSTEMS, True)):
        change = Change(before, after)

        async def step(work: Any, change: Change = change, stamps: Any = stamps) -> list[Change]:
            return await settle(work, [change], fills_slots=False, stamps=stamps)

        [settled] = await store.transact(step)
        assert ("extension" in (settled.after or {})) is expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, ("2024-01-14T05:00:00Z", "Doctor ill")),
        ({REASON: "Room flooded"}, ("2024-01-14T05:00:00Z", "Room flooded")),
        ({MOVED: SHOWN}, (SHOWN, None)),
    ],
)
def test_who_does_not_move_keeps_the_reason_with_the_moment(sent: dict[str, str], expected: tuple[str, str]) -> None:
    before = lens.update(visit("x"), {MOVED: EARLIER, REASON: "Doctor ill"})
    shown = lens.view(stamped(before, lens.update(visit("x", end="10:20"), sent), DEFAULT_SYSTEMS, NOW))
    assert (shown[MOVED], shown[REASON]) == expected


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("arrived", "checked-in", {"arrived"}),
        ("arrived", "noshow", {"arrived"}),
        ("checked-in", "fulfilled", {"arrived", "checked-in"}),
        ("checked-in", "cancelled", {"arrived", "checked-in"}),
        ("fulfilled", "fulfilled", {"arrived", "checked-in", "fulfilled"}),
        ("checked-in", "entered-in-error", {"arrived", "checked-in"}),
        ("entered-in-error", "entered-in-error", set(MEMBERS)),
        ("booked", "booked", set()),  # what cannot have happened yet was sent so, and may be taken away
    ],
)
def test_a_step_that_is_sent_alone_leaves_the_moments_of_those_before(before: str, after: str, kept: set[str]) -> None:
    there = dated(visit("x", status=before), **dict.fromkeys(MEMBERS.values(), EARLIER))
    shown = told(there, visit("x", status=after))
    assert {status for status, member in MEMBERS.items() if shown.get(member) == "2024-01-14T05:00:00Z"} == kept


@pytest.mark.parametrize("status", ["arrived", "checked-in", "fulfilled", "noshow", "cancelled"])
def test_the_reason_of_a_move_stays_when_the_visit_goes_on(status: str) -> None:
    before = lens.update(visit("x"), {"rescheduled_at": EARLIER, "reschedule_reason": "Conflict"})
    shown = lens.view(stamped(before, before | {"status": status}, DEFAULT_SYSTEMS, NOW))
    assert (shown["rescheduled_at"], shown["reschedule_reason"]) == ("2024-01-14T05:00:00Z", "Conflict")
