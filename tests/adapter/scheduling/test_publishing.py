"""Opening hours become slots: on every kind of day, again without doubling, and never over a standing visit unseen."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Conflict, Unprocessable
from adapter.scheduling import lookup, openings, publishing, verifying
from adapter.scheduling.hours import Timetable
from adapter.scheduling.intervals import Interval
from adapter.scheduling.publishing import Opening, parse_hours, schedule_id, spans
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling import looking
from tests.adapter.scheduling.sharing import group, mediloop, over
from tests.adapter.scheduling.support import (
    advance,
    at,
    book,
    booking,
    codes,
    links,
    of_type,
    schedule,
    slot,
    span,
    statuses,
    visit,
)
from tests.store.support import change, create, everything, guards, overtaken, present, side_by_side, stored

NINE, TWELVE = time(9), time(12)


# Hours.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon 09:00-12:00", [Opening(0, NINE, TWELVE)]),
        ("MON 09:00-12:00", [Opening(0, NINE, TWELVE)]),
        ("  sun\t09:00-12:00 ; ", [Opening(6, NINE, TWELVE)]),
        ("mon,wed 09:00-12:00", [Opening(0, NINE, TWELVE), Opening(2, NINE, TWELVE)]),
        ("mon-wed 09:00-12:00", [Opening(day, NINE, TWELVE) for day in (0, 1, 2)]),
        ("sat-mon 09:00-12:00", [Opening(day, NINE, TWELVE) for day in (5, 6, 0)]),
        ("mon-mon 09:00-12:00", [Opening(0, NINE, TWELVE)]),
        ("fri,mon-tue 09:00-12:00", [Opening(day, NINE, TWELVE) for day in (4, 0, 1)]),
        ("mon 09:00-12:00,14:00-17:00", [Opening(0, NINE, TWELVE), Opening(0, time(14), time(17))]),
        ("mon 09:00-12:00; sat 10:00-11:00", [Opening(0, NINE, TWELVE), Opening(5, time(10), time(11))]),
        ("mon 18:00-00:00", [Opening(0, time(18), time())]),
        ("mon 18:00-24:00", [Opening(0, time(18), time())]),
        ("mon 00:00-00:00", [Opening(0, time(), time())]),
        ("mon 00:00-24:00", [Opening(0, time(), time())]),
        ("fri 22:00-06:00", [Opening(4, time(22), time(6))]),
    ],
)
def test_weekly_hours_are_read(text: str, expected: list[Opening]) -> None:
    assert list(parse_hours(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ";", "mon", "09:00-12:00", "mon09:00-12:00", "monday 09:00-12:00", "mon 09:00", "mon 09:00-12:00 x"),
        *("xyz 09:00-12:00", "mon-xyz 09:00-12:00", "xyz-mon 09:00-12:00", "mon, 09:00-12:00", "mon- 09:00-12:00"),
        *("mon 9:00-12:00", "mon 09:00-12:00,", "mon 09:00-12.00", "mon 25:00-26:00", "mon 09:60-12:00"),
        *(
            "mon 24:00-06:00",
            "mon 09:00-24:01",
            "mon 09:00-09:00",
            "mon 09:00-12:00,13:00-13:00",
            "mon 09:00-12:00; tue",
            "mon ٠٩:٠٠-١٢:٠٠",
        ),
    ],
)
def test_hours_that_cannot_be_read_are_refused_with_the_form_that_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="write them like 'mon-fri 09:00-12:00,14:00-17:00; sat 09:00-12:00'"):
        parse_hours(text)


def test_the_part_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match="cannot read the hours 'tue 9-12'"):
        parse_hours("mon 09:00-12:00; tue 9-12")


# Slots of a day.


def starts(hours: str, day: str, zone: str, length: int = 30, last: str | None = None) -> list[str]:
    """The starts of the slots, in UTC."""
    first, until = date.fromisoformat(day), date.fromisoformat(last or day)
    found = spans(parse_hours(hours), length, first, until, ZoneInfo(zone))
    return [one.start.strftime("%dT%H:%M") for one in found]


def test_a_day_is_cut_into_slots_of_the_length() -> None:
    assert starts("sat 09:00-10:30", "2024-01-20", "UTC") == ["20T09:00", "20T09:30", "20T10:00"]


def test_what_is_left_of_the_hours_is_no_slot() -> None:
    assert starts("sat 09:00-10:20", "2024-01-20", "UTC", 45) == ["20T09:00"]
    assert starts("sat 09:00-09:30", "2024-01-20", "UTC", 45) == []


def test_both_days_of_a_range_are_part_of_it_and_other_days_of_the_week_are_not() -> None:
    found = starts("mon,sat 09:00-09:30", "2024-01-20", "UTC", last="2024-01-29")
    assert found == ["20T09:00", "22T09:00", "27T09:00", "29T09:00"]


def test_a_range_that_ends_before_it_begins_has_no_slots() -> None:
    assert starts("sat 09:00-10:00", "2024-01-20", "UTC", last="2024-01-19") == []


def test_hours_are_those_of_the_clinics_clock() -> None:
    assert starts("sat 09:00-09:30", "2024-01-20", "Africa/Kampala") == ["20T06:00"]
    assert starts("sat 01:00-01:30", "2024-01-20", "Africa/Kampala") == ["19T22:00"]


def test_hours_may_last_until_midnight() -> None:
    assert starts("sat 23:00-00:00", "2024-01-20", "UTC") == ["20T23:00", "20T23:30"]
    assert len(starts("sat 00:00-00:00", "2024-01-20", "Africa/Kampala")) == 48


def test_hours_may_end_on_the_next_day_and_are_those_of_the_day_on_which_they_begin() -> None:
    assert starts("sat 23:30-00:30", "2024-01-20", "UTC") == ["20T23:30", "21T00:00"]
    assert starts("sat 23:30-00:30", "2024-01-21", "UTC") == []


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2024-03-31", 23),
        ("Europe/Berlin", "2024-10-27", 25),
        ("America/New_York", "2024-03-10", 23),
        ("America/New_York", "2024-11-03", 25),
        ("Africa/Kampala", "2024-03-31", 24),
    ],
)
def test_a_day_on_which_the_clocks_change_has_its_real_hours(zone: str, day: str, hours: int) -> None:
    found = list(
        spans(parse_hours("sun 00:00-00:00"), 30, date.fromisoformat(day), date.fromisoformat(day), ZoneInfo(zone))
    )
    assert len(found) == hours * 2
    assert all((one.end - one.start).total_seconds() == 1800 for one in found)
    assert all(one.end == other.start for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("zone", "day", "first"),
    [
        ("Europe/Berlin", "2024-03-30", "30T08:00"),
        ("Europe/Berlin", "2024-03-31", "31T07:00"),
        ("Europe/Berlin", "2024-10-27", "27T08:00"),
        ("America/New_York", "2024-03-10", "10T13:00"),
        ("America/New_York", "2024-11-03", "03T14:00"),
    ],
)
def test_nine_in_the_morning_is_nine_by_the_clock_when_the_clocks_have_changed(zone: str, day: str, first: str) -> None:
    assert starts("sat,sun 09:00-12:00", day, zone)[0] == first
    assert len(starts("sat,sun 09:00-12:00", day, zone)) == 6


@pytest.mark.parametrize(("zone", "day"), [("Europe/Berlin", "2024-03-31"), ("America/New_York", "2024-03-10")])
def test_an_hour_that_the_clocks_leave_out_has_no_slots(zone: str, day: str) -> None:
    assert starts("sun 02:00-03:00", day, zone) == []


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Europe/Berlin", "2024-10-27", "02:00-03:00"), ("America/New_York", "2024-11-03", "01:00-02:00")],
)
def test_an_hour_that_the_clocks_repeat_has_slots_twice(zone: str, day: str, hours: str) -> None:
    assert len(starts(f"sun {hours}", day, zone)) == 4


@pytest.mark.parametrize("length", [0, -30])
def test_a_slot_without_a_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="a minute at least"):
        starts("sat 09:00-10:00", "2024-01-20", "UTC", length)


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Africa/Kampala", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    st.dates(date(2024, 1, 1), date(2024, 12, 31)),
    st.integers(1, 300),
    st.integers(0, 22),
)
def test_no_two_slots_of_one_opening_overlap_and_none_is_cut(zone: str, day: date, length: int, opens: int) -> None:
    openings = [Opening(day.weekday(), time(opens), time(opens + 1, 30))]
    found = list(spans(openings, length, day, day, ZoneInfo(zone)))
    assert all(not one.overlaps(other) for one, other in pairwise(found))
    # Where the clocks change, that time may come twice or not at all.
    both = (datetime.combine(day, time(opens + 1, 30, fold=fold), ZoneInfo(zone)) for fold in (0, 1))
    closes = max(one.astimezone(UTC) for one in both)
    assert all((one.end - one.start).total_seconds() == length * 60 and one.end <= closes for one in found)


# Names.


def test_the_schedule_of_a_practitioner_at_a_place_always_has_the_same_id() -> None:
    ids = [schedule_id("p", "l"), schedule_id("p", "m"), schedule_id("q", "l"), schedule_id("p", None)]
    assert len(set(ids)) == 4
    assert ids[0] == schedule_id("p", "l")


def test_a_slot_is_free_and_named_after_schedule_and_start() -> None:
    made = publishing.slot(schedule(), span("10:00", "10:30"))
    assert made == {**slot(made["id"])}
    assert made["id"] == publishing.slot(schedule(), span("10:00", "11:00"))["id"]
    assert made["id"] != publishing.slot(schedule("t"), span("10:00", "10:30"))["id"]
    assert publishing.slot(schedule(), span("10:00", "10:30"), "own")["id"] == "own"


# Publishing.

MORNING = (slot("a"), slot("b", "10:30", "11:00"), slot("c", "11:00", "11:30"))


async def publish(store: Store, *slots: Resource, of: str = "s") -> list[Resource]:
    async def step(work: UnitOfWork) -> list[Resource]:
        return await publishing.publish(work, schedule(of), slots)

    return await store.transact(step)


async def test_published_slots_are_stored_free(store: Store) -> None:
    await create(store, schedule())
    assert [one["id"] for one in await publish(store, *MORNING)] == ["a", "b", "c"]
    assert await statuses(store, "a", "b", "c") == ["free"] * 3


async def test_publishing_the_same_again_changes_no_slot(store: Store) -> None:
    await create(store, schedule())
    await publish(store, *MORNING)
    before = await everything(store.database)
    assert await publish(store, *MORNING) == []
    after = await everything(store.database)
    assert {name: after[name] for name in ("Slot", "history")} == {name: before[name] for name in ("Slot", "history")}


async def test_nothing_to_publish_writes_nothing(store: Store) -> None:
    assert await publish(store) == []
    assert await publish(store, slot("a", "10:00", "10:00")) == []
    assert await guards(store.database) == {}


async def test_a_slot_that_overlaps_a_published_one_is_left_out(store: Store) -> None:
    await create(store, schedule(), slot("old", "10:15", "10:45", status="busy-unavailable"))
    assert [one["id"] for one in await publish(store, *MORNING)] == ["c"]


async def test_of_two_that_overlap_each_other_the_first_is_published(store: Store) -> None:
    await create(store, schedule())
    assert [one["id"] for one in await publish(store, slot("a"), slot("b", "10:15", "10:45"))] == ["a"]


async def test_a_slot_of_another_schedule_is_not_in_the_way(store: Store) -> None:
    await create(store, schedule(), slot("old", schedule="t"))
    assert [one["id"] for one in await publish(store, slot("a"))] == ["a"]


async def test_a_visit_in_the_same_hour_that_no_slot_overlaps_is_left_alone(store: Store) -> None:
    await create(store, schedule(), visit("x", "10:30", "11:00"), visit("y"))
    await publish(store, slot("a"))
    assert links(await stored(store, "Appointment", "y")) == ["Slot/a"]
    assert (await stored(store, "Appointment", "x"))["meta"]["versionId"] == "1"


async def test_a_time_whose_slot_was_entered_in_error_can_be_published_again(store: Store) -> None:
    await create(store, schedule())
    await publish(store, slot("a"))
    await change(store, "Slot", "a", status="entered-in-error")
    [made] = await publish(store, slot("a"))
    assert made["id"] != "a"
    assert made["start"] == at("10:00")
    assert await statuses(store, "a", made["id"]) == ["entered-in-error", "free"]
    assert await publish(store, slot("a")) == []


async def test_a_time_whose_slot_was_moved_away_can_be_published_again(store: Store) -> None:
    await create(store, schedule())
    await publish(store, slot("a"))
    await change(store, "Slot", "a", start=at("15:00"), end=at("15:30"))
    [made] = await publish(store, slot("a"))
    assert (made["start"], await statuses(store, "a")) == (at("10:00"), ["free"])


async def test_a_slot_that_was_deleted_can_be_published_again(store: Store) -> None:
    await create(store, schedule())
    await publish(store, slot("a"))

    async def step(work: UnitOfWork) -> None:
        work.delete(await present(work, "Slot", "a"))

    await store.transact(step)
    [made] = await publish(store, *MORNING[:1])
    assert (made["id"], made["meta"]["versionId"]) == ("a", "3")
    assert await statuses(store, "a") == ["free"]


@pytest.mark.parametrize(
    ("status", "becomes"), [("booked", "busy"), ("pending", "busy-tentative"), ("arrived", "busy")]
)
async def test_a_slot_over_a_standing_visit_is_held_by_it(store: Store, status: str, becomes: str) -> None:
    await create(store, schedule())
    await book(store, visit("x", "10:15", "10:45", status=status))
    await publish(store, *MORNING)
    assert await statuses(store, "a", "b", "c") == [becomes, becomes, "free"]
    found = await stored(store, "Appointment", "x")
    assert (links(found), found["meta"]["versionId"]) == (["Slot/a", "Slot/b"], "2")


async def test_a_slot_that_was_held_from_the_start_is_freed_by_the_cancellation(store: Store) -> None:
    await create(store, schedule())
    await book(store, visit("x"))
    await publish(store, *MORNING)
    await advance(store, "x", "cancelled")
    assert await statuses(store, "a") == ["free"]
    assert links(await book(store, visit("y"))) == ["Slot/a"]


async def test_a_visit_keeps_the_slots_it_had_beside_those_that_are_published_over_it(store: Store) -> None:
    await create(store, schedule(), schedule("t"), slot("a"))
    await book(store, visit("x"))
    await publish(store, slot("t", schedule="t"), of="t")
    assert links(await stored(store, "Appointment", "x")) == ["Slot/a", "Slot/t"]


async def test_a_slot_over_two_visits_is_freed_when_the_last_of_them_leaves(store: Store) -> None:
    await create(store, schedule())
    await book(store, visit("x", status="pending"))
    await book(store, visit("y", "10:30", "11:00"))
    await publish(store, slot("wide", "10:00", "11:00"))
    assert await statuses(store, "wide") == ["busy"]
    await advance(store, "x", "cancelled")
    assert await statuses(store, "wide") == ["busy"]
    await advance(store, "y", "cancelled")
    assert await statuses(store, "wide") == ["free"]


async def test_over_visits_that_share_their_time_no_slot_for_one_is_published(store: Store) -> None:
    await create(store, schedule(), schedule("t"), group("several", 2, "10:00", "11:00", schedule="t"))
    await book(store, visit("x", "10:00", "10:45"), "several")
    await book(store, visit("y", "10:00", "10:30"), "several")
    made = await publish(store, slot("a"), slot("b", "10:30", "11:00"), slot("whole", "10:00", "11:00"))
    assert [one["id"] for one in made] == ["b"]
    assert links(await stored(store, "Appointment", "x")) == ["Slot/several", "Slot/b"]
    assert links(await stored(store, "Appointment", "y")) == ["Slot/several"]
    assert [step.findings async for step in verifying.slots(store)] == [[]]


async def test_who_was_booked_over_a_visit_holds_with_it_what_is_published(store: Store) -> None:
    await create(store, schedule())
    await book(store, visit("x"))
    await store.transact(mediloop(over(visit("y"))))
    await publish(store, slot("a"))
    assert [links(await stored(store, "Appointment", one)) for one in "xy"] == [["Slot/a"], ["Slot/a"]]
    assert [step.findings async for step in verifying.slots(store)] == [[]]


@pytest.mark.parametrize(
    "standing",
    [
        visit("x", status="proposed"),
        visit("x", status="cancelled"),
        visit("x", who=("Practitioner/q",)),
        visit("x", "09:30", "10:00"),
        visit("x", appointmentType=of_type("EMERGENCY")),
    ],
    ids=["proposed", "cancelled", "another's", "touching", "beside"],
)
async def test_a_slot_that_no_visit_holds_is_published_free(store: Store, standing: Resource) -> None:
    await create(store, schedule(), standing)
    await publish(store, slot("a"))
    assert await statuses(store, "a") == ["free"]


async def test_a_slot_at_another_place_is_held_by_no_visit_here_and_not_offered(store: Store) -> None:
    await create(store, schedule("s", "Practitioner/p", "Location/m"), visit("x", who=("Practitioner/p", "Location/l")))
    await publish(store, slot("a"), slot("b", "10:30", "11:00"))
    assert "slot" not in await stored(store, "Appointment", "x")
    assert await statuses(store, "a", "b") == ["free", "free"]
    wanted = lookup.Wanted(span("00:00", "23:59"))
    found = await looking.openings(store, wanted, zone=UTC)
    assert [one.ident for one in found] == ["b"]
    await advance(store, "x", "cancelled")
    assert links(await book(store, visit("y"))) == ["Slot/a"]


async def test_a_schedule_without_a_practitioner_can_be_published(store: Store) -> None:
    await create(store, schedule("s", "Location/l"))
    await publish(store, slot("a"))
    assert await guards(store.database) == {"Schedule/s|2024-01-20T10": 1}


async def test_publishing_meets_bookings_at_the_practitioners_hours(store: Store) -> None:
    await create(store, schedule())
    await publish(store, slot("a"), slot("b", "11:00", "11:30"))
    assert {name for name in await guards(store.database) if name.startswith("Practitioner/")} == {
        "Practitioner/p|2024-01-20T10",
        "Practitioner/p|2024-01-20T11",
    }


async def test_a_booking_that_saw_no_slot_takes_the_one_published_meanwhile(store: Store) -> None:
    await create(store, schedule())
    made, runs = await overtaken(store, booking(visit("x")), lambda: publish(store, *MORNING))
    assert (links(made), runs) == (["Slot/a"], 2)
    assert await statuses(store, "a") == ["busy"]


async def test_a_booking_that_saw_no_slot_is_refused_where_the_one_published_meanwhile_is_not_free(
    store: Store,
) -> None:
    await create(store, schedule())
    with pytest.raises(Conflict):
        await overtaken(store, booking(visit("x")), lambda: publish(store, slot("a", status="busy-unavailable")))


async def test_slots_published_while_a_visit_is_booked_are_held_by_it(store: Store) -> None:
    await create(store, schedule())

    async def publishing_step(work: UnitOfWork) -> list[Resource]:
        return await publishing.publish(work, schedule(), MORNING)

    made, runs = await overtaken(store, publishing_step, lambda: book(store, visit("x")))
    assert ([one["status"] for one in made], runs) == (["busy", "free", "free"], 2)
    assert links(await stored(store, "Appointment", "x")) == ["Slot/a"]


async def test_two_who_publish_the_same_hours_at_once_publish_them_once(store: Store) -> None:
    await create(store, schedule())

    async def publishing_step(work: UnitOfWork) -> list[Resource]:
        fresh = [{**one, "id": f"{id(work)}-{one['id']}"} for one in MORNING]
        return await publishing.publish(work, schedule(), fresh)

    results = await side_by_side(store, publishing_step, publishing_step)
    assert sorted(len(result) for result in results) == [0, 3]
    assert await store.count("Slot", {}) == 3


async def _deleting(work: UnitOfWork) -> str:
    """Delete the Schedule, as a door does: not while it has Slots."""
    if await work.find("Slot", {"_index.schedule": "Schedule/s"}):
        return "kept"
    work.delete(await present(work, "Schedule", "s"))
    return "deleted"


async def _publishing(work: UnitOfWork) -> int:
    return len(await publishing.publish(work, schedule(), MORNING))


async def test_nothing_is_published_in_a_schedule_that_is_deleted(store: Store) -> None:
    await create(store, schedule())
    assert await store.transact(_deleting) == "deleted"
    with pytest.raises(Unprocessable, match="deleted meanwhile") as refused:
        await store.transact(_publishing)
    assert codes(refused.value) == [("unknown_schedule", "Slot.schedule")]
    assert await store.count("Slot", {}) == 0


async def test_who_publishes_and_who_deletes_the_schedule_meanwhile_see_each_other(store: Store) -> None:
    await create(store, schedule())
    gone, made = await side_by_side(store, _deleting, _publishing)
    assert (gone, made) == ("kept", 3) or (gone == "deleted" and isinstance(made, Unprocessable))
    assert await store.count("Slot", {}) == (3 if gone == "kept" else 0)


async def test_a_schedule_that_is_deleted_while_it_is_published_stays_empty(store: Store) -> None:
    await create(store, schedule())
    with pytest.raises(Unprocessable, match="deleted meanwhile"):
        await overtaken(store, _publishing, lambda: store.transact(_deleting))
    assert await store.count("Slot", {}) == 0


async def test_a_schedule_in_which_slots_are_published_while_it_is_deleted_is_kept(store: Store) -> None:
    await create(store, schedule())
    assert await overtaken(store, _deleting, lambda: store.transact(_publishing)) == ("kept", 2)
    assert await store.count("Slot", {}) == 3


async def test_whose_slots_are_published_is_told_by_the_schedule_as_it_is_by_now(store: Store) -> None:
    await create(store, schedule(), visit("x", who=("Practitioner/q",)))
    await change(store, "Schedule", "s", actor=schedule("s", "Practitioner/q")["actor"])
    await store.transact(_publishing)
    assert await statuses(store, "a", "b", "c") == ["busy", "free", "free"]


# As weekly hours have it.


@pytest.mark.parametrize(
    ("zone", "day", "opens", "closes"),
    [
        ("America/New_York", "2027-03-14", "01:00", "02:30"),
        ("America/New_York", "2027-03-14", "02:30", "04:30"),
        ("America/New_York", "2027-11-07", "01:30", "02:30"),
        ("America/New_York", "2027-11-07", "00:30", "01:30"),
        ("Africa/Casablanca", "2027-02-07", "02:30", "04:30"),
        ("America/Havana", "2027-11-07", "00:30", "01:30"),
        ("America/Santiago", "2027-04-03", "23:30", "00:00"),
        ("Europe/Berlin", "2027-10-30", "22:00", "06:00"),
        ("Europe/Dublin", "2027-03-28", "00:30", "01:30"),
        ("Australia/Lord_Howe", "2027-04-04", "01:00", "03:00"),
        ("Pacific/Apia", "2011-12-30", "09:00", "10:00"),
    ],
)
def test_where_the_clocks_change_slots_are_those_of_weekly_hours(zone: str, day: str, opens: str, closes: str) -> None:
    on = date.fromisoformat(day)
    [opening] = parse_hours(f"{on:%a} {opens}-{closes}".lower())
    table = Timetable(ZoneInfo(zone), (opening.weekly(),), minutes=30)
    midnight = datetime(on.year, on.month, on.day, tzinfo=UTC)
    around = Interval(midnight - timedelta(days=2), midnight + timedelta(days=2))
    assert list(spans([opening], 30, on, on, ZoneInfo(zone))) == openings.candidates(table, around)


_CHANGING = (
    *("America/New_York", "America/Havana", "America/Santiago", "America/St_Johns", "Africa/Casablanca"),
    *("Europe/Dublin", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "Antarctica/Troll"),
)


@given(
    zone=st.sampled_from(_CHANGING),
    nth=st.integers(0, 30),
    beside=st.integers(-1, 1),
    opens=st.integers(0, 95),
    quarters=st.integers(1, 95),
    length=st.sampled_from([15, 20, 30, 45]),
)
def test_published_slots_are_those_of_weekly_hours_whatever_the_clocks_do(
    zone: str, nth: int, beside: int, opens: int, quarters: int, length: int
) -> None:
    changes = _changes(zone)
    on = changes[nth % len(changes)] + timedelta(days=beside)
    first, last = (time(minute // 60 % 24, minute % 60) for minute in (opens * 15, (opens + quarters) * 15))
    opening = Opening(on.weekday(), first, last)
    table = Timetable(ZoneInfo(zone), (opening.weekly(),), minutes=length)
    midnight = datetime(on.year, on.month, on.day, tzinfo=UTC)
    around = Interval(midnight - timedelta(days=2), midnight + timedelta(days=3))
    assert list(spans([opening], length, on, on, ZoneInfo(zone))) == openings.candidates(table, around)


@cache
def _changes(zone: str) -> list[date]:
    """The days of some years on which the clocks change there."""
    noons = [datetime(2010, 1, 1, 12, tzinfo=ZoneInfo(zone)) + timedelta(days=day) for day in range(18 * 365)]
    return [later.date() for before, later in pairwise(noons) if before.utcoffset() != later.utcoffset()]
