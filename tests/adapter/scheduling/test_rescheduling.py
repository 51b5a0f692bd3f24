"""Moves to another time in a real store: the old slots are given back, the new ones taken."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict
from mappings.elements import ABSENT_REASON
from store.store import Store
from tests.adapter.scheduling.support import (
    at,
    book,
    codes,
    linking,
    links,
    move,
    of_type,
    publish_day,
    schedule,
    slot,
    statuses,
    visit,
)
from tests.adapter.scheduling.weekly import weekly
from tests.store.support import create, everything, stored


async def test_a_move_frees_the_old_slot_and_takes_the_new_one(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    moved = await move(store, "x", "11:00", "11:30")
    assert (moved["id"], moved["start"], links(moved)) == ("x", at("11:00"), ["Slot/c"])
    assert await statuses(store, "a", "c") == ["free", "busy"]


async def test_a_move_to_a_slot_by_name_takes_that_slot_and_its_length(store: Store) -> None:
    await publish_day(store, slot("a"), slot("long", "11:00", "11:45"))
    await book(store, visit("x"))
    moved = await move(store, "x", "11:00", None, "long")
    assert (moved["end"], moved["minutesDuration"], links(moved)) == (at("11:45"), 45, ["Slot/long"])
    assert await statuses(store, "a", "long") == ["free", "busy"]


@pytest.mark.parametrize(
    "stated",
    [
        {"minutesDuration": 20, "_minutesDuration": {"id": "net"}},
        {"_minutesDuration": {"extension": [{"url": ABSENT_REASON, "valueCode": "unknown"}]}},
        {},
    ],
)
@pytest.mark.parametrize(("end", "slot_id"), [("11:30", None), (None, "c")])
async def test_a_visit_that_lasts_as_long_keeps_the_minutes_that_it_states(
    store: Store, stated: dict[str, Any], end: str | None, slot_id: str | None
) -> None:
    await publish_day(store)
    await book(store, visit("x") | stated)
    moved = await move(store, "x", "11:00", end, slot_id)
    assert (moved["start"], moved["end"], links(moved)) == (at("11:00"), at("11:30"), ["Slot/c"])
    assert {name: value for name, value in moved.items() if "minutesDuration" in name} == stated


async def test_a_move_into_the_visits_own_time_is_not_blocked_by_itself(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", "10:00", "11:00"))
    moved = await move(store, "x", "10:30", "11:30")
    assert links(moved) == ["Slot/b", "Slot/c"]
    assert await statuses(store, "a", "b", "c") == ["free", "busy", "busy"]


async def test_a_move_within_its_own_slot_keeps_it(store: Store) -> None:
    await publish_day(store, slot("a", "10:00", "11:00"))
    await book(store, visit("x"))
    moved = await move(store, "x", "10:15", "10:45")
    assert links(moved) == ["Slot/a"]
    assert await statuses(store, "a") == ["busy"]
    assert (await stored(store, "Slot", "a"))["meta"]["versionId"] == "2"


async def test_a_move_of_a_pending_visit_takes_the_new_slot_tentatively(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", status="pending"))
    await move(store, "x", "11:00", "11:30")
    assert await statuses(store, "a", "c") == ["free", "busy-tentative"]


async def test_a_move_out_of_published_time_gives_the_slot_back(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    assert "slot" not in await move(store, "x", "15:00", "15:30")
    assert await statuses(store, "a") == ["free"]


async def test_a_move_to_a_taken_time_changes_nothing(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await book(store, visit("y", "11:00", "11:30"))
    before = await everything(store.database)
    with pytest.raises(Conflict) as refused:
        await move(store, "x", "11:00", "11:30")
    assert codes(refused.value) == [("slot_unavailable", "new_start_time"), ("time_conflict", "new_start_time")]
    assert await everything(store.database) == before


async def test_a_move_to_a_taken_slot_by_name_names_the_member_of_the_request(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await book(store, visit("y", "11:00", "11:30"))
    with pytest.raises(Conflict) as refused:
        await move(store, "x", "11:00", "11:30", "c")
    assert codes(refused.value) == [("slot_unavailable", "new_slot_id"), ("time_conflict", "new_start_time")]


async def test_a_move_does_not_free_a_slot_that_another_visit_has(store: Store) -> None:
    await create(store, schedule(), slot("a", status="busy"))
    link = [{"reference": "Slot/a"}]
    await create(store, visit("x", slot=link), visit("y", slot=link, appointmentType=of_type("WALKIN")))
    await move(store, "x", "15:00", "15:30")
    assert await statuses(store, "a") == ["busy"]


@pytest.mark.parametrize("status", ["arrived", "fulfilled", "cancelled", "noshow"])
async def test_what_has_begun_or_is_over_is_not_moved(store: Store, status: str) -> None:
    await create(store, visit("x", status=status))
    with pytest.raises(Conflict) as refused:
        await move(store, "x", "15:00", "15:30")
    assert codes(refused.value) == [("invalid_status_transition", "status")]


async def test_a_proposal_is_moved_without_taking_anything(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x", status="proposed"), "a")
    moved = await move(store, "x", "11:00", "11:30", "c")
    assert links(moved) == ["Slot/c"]
    assert await statuses(store, "a", "c") == ["free", "free"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (("10:00", "11:00"), ["Slot/a", "Slot/b"]),
        (("10:15", "10:45"), ["Slot/a", "Slot/b"]),
        (("10:30", "11:00"), ["Slot/b"]),
        (("10:30", "11:30"), []),
        (("12:00", "12:30"), []),
    ],
)
async def test_a_proposal_goes_on_noting_the_slots_that_cover_its_time(
    store: Store, times: tuple[str, str], expected: list[str]
) -> None:
    await publish_day(store)
    noted = [{"reference": "Slot/a", "display": "ten"}, {"reference": "Slot/b"}, {"reference": "Slot/gone"}]
    await create(store, visit("x", end="11:00", status="proposed", slot=noted))
    moved = await move(store, "x", *times)
    assert links(moved) == expected
    assert [link for link in moved.get("slot", []) if "display" in link] == noted[: expected.count("Slot/a")]
    assert await statuses(store, "a", "b") == ["free", "free"]


async def test_a_proposal_goes_on_noting_an_opening(store: Store) -> None:
    await create(store, weekly(), visit("x", status="proposed", **linking("w.20240120T1000Z.30")))
    assert links(await move(store, "x", "10:00", "10:20")) == ["Slot/w.20240120T1000Z.30"]
    assert links(await move(store, "x", "10:30", "11:00")) == []


async def test_a_visit_that_is_moved_away_and_back_has_its_slot_again(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await move(store, "x", "11:00", "11:30")
    assert links(await move(store, "x", "10:00", "10:30")) == ["Slot/a"]
    assert await statuses(store, "a", "c") == ["busy", "free"]
