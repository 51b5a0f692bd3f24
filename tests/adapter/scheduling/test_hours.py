"""What a Schedule and its services say of hours: read leniently, and held to at the door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapter import timezones
from adapter.scheduling import hours, hours_faults, openings
from adapter.scheduling.hours import Timetable, Weekly
from adapter.scheduling.intervals import Interval
from store.codec import Resource
from store.dates import FIRST, LAST
from tests.adapter.scheduling.weekly import available, away, open_on, parameters, parts, timezone, weekly

KAMPALA = timezones.zone("Africa/Kampala")
ALL = frozenset(range(7))


def table(schedule: Resource, *services: Resource) -> Timetable:
    found = hours.read(schedule, services, UTC)
    assert found is not None
    return found


def hour(count: float) -> timedelta:
    return timedelta(hours=count)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_schedule_without_hours_has_no_timetable() -> None:
    assert hours.read({"resourceType": "Schedule", "id": "s", "actor": []}, (), UTC) is None


def test_hours_are_read_by_day() -> None:
    found = table(
        weekly(
            "s",
            timezone("Africa/Kampala"),
            available(
                open_on("mon,tue", "09:00", "12:00"), open_on("", "22:00", "06:00"), open_on("sun", "00:00", "00:00")
            ),
        )
    )
    assert found.zone == KAMPALA
    assert found.weekly == (
        Weekly(frozenset({0, 1}), hour(9), hour(12)),
        Weekly(ALL, hour(22), hour(30)),
        Weekly(frozenset({6}), hour(0), hour(24)),
    )
    assert (found.minutes, found.before, found.after, found.every, found.offset) == (30, 0, 0, None, 0)
    assert found.horizon == Interval(FIRST, LAST)


def test_hours_that_are_given_often_are_read_once() -> None:
    often = [open_on("mon", "09:00", "12:00"), open_on("tue", "09:00", "12:00")]
    found = table(weekly("s", available(*often, open_on("", "09:00", "13:00"), *often * 100)))
    assert found.weekly == (Weekly(frozenset({0, 1}), hour(9), hour(12)), Weekly(ALL, hour(9), hour(13)))


def test_all_day_is_all_day() -> None:
    entry = {"url": "availableTime", "extension": parts(daysOfWeek=("Code", "mon"), allDay=("Boolean", True))}
    assert table(weekly("s", available(entry))).weekly == (Weekly(frozenset({0}), hour(0), hour(24)),)


def test_what_makes_no_sense_opens_nothing() -> None:
    nonsense = available(open_on("monday", "09:00", "10:00"), open_on("", "9", "10"), {"url": "notAvailable"})
    found = table(weekly("s", nonsense, timezone("Mars/Olympus"), parameters(duration=0, bufferBefore=-1)))
    assert found.weekly == (Weekly(frozenset(), hour(9), hour(10)),)
    assert (found.zone, found.minutes, found.before, found.away) == (UTC, 30, 0, ())


def test_what_tells_no_time_closes_nothing_and_opens_nothing() -> None:
    times = parts(availableStartTime=("Time", "09:00:00"), availableEndTime=("Time", "noon"))
    half = {"url": "availableTime", "extension": times}
    silent = {"url": "notAvailable", "extension": parts(during=("Period", {"id": "x"}))}
    found = table(weekly("s", available(half, silent), parameters(duration=45, rooms=3)))
    assert found.weekly == ()
    assert found.away == ()
    assert found.minutes == 45


def test_of_several_times_of_leave_one_is_enough() -> None:
    found = table(weekly("s", available(away("2024-01-20", "2024-01-20"), away("2024-01-22", "2024-01-22"))))
    begins = moment("2024-01-22T10:00:00Z")
    assert found.is_away(Interval(begins, begins + hour(1)))
    assert not found.is_away(Interval(begins - hour(24), begins - hour(23)))


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("duration", 1, 1440),
        ("bufferBefore", 0, 1440),
        ("bufferAfter", 0, 1440),
        ("alignmentInterval", 1, 1440),
        ("alignmentOffset", 0, 1439),
    ],
)
def test_a_parameter_is_at_most_a_day(name: str, least: int, most: int) -> None:
    assert hours.in_range(name, least)
    assert hours.in_range(name, most)
    assert not hours.in_range(name, least - 1)
    assert not hours.in_range(name, most + 1)


def test_the_days_of_a_horizon_are_those_of_the_schedules_own_zone() -> None:
    planned = {"start": "2024-01-20", "end": "2024-01-20"}
    begins = moment("2024-01-20T00:00:00+03:00")
    found = hours.horizon(weekly("s", timezone("Africa/Kampala"), planningHorizon=planned), UTC)
    assert found == Interval(begins, begins + hour(24))


def test_the_schedule_has_the_last_word_on_parameters_and_the_first_service_the_next() -> None:
    found = table(
        weekly("s", available(), parameters(bufferAfter=5)),
        {"extension": [parameters(duration=20, bufferAfter=10, alignmentInterval=15)]},
        {"extension": [parameters(duration=40, bufferBefore=7, alignmentInterval=10, alignmentOffset=5)]},
    )
    assert (found.minutes, found.before, found.after, found.every, found.offset) == (20, 7, 5, 15, 5)


def test_hours_of_services_bound_those_of_the_schedule_or_stand_for_them() -> None:
    morning = {"availableTime": [{"availableStartTime": "08:00:00", "availableEndTime": "12:00:60"}]}
    own = table(weekly("s", available(open_on("", "09:00", "17:00"))), morning, {})
    assert own.within == ((Weekly(ALL, hour(8), hour(12) + timedelta(minutes=1)),),)
    none = table(weekly("s", available()), {}, morning)
    assert (none.weekly, none.within) == (own.within[0], ())
    assert table(weekly("s", available())).weekly == ()


def test_leave_and_holidays_are_away() -> None:
    schedule = weekly("s", timezone("Africa/Kampala"), available(away("2024-01-20", "2024-01-21")))
    holidays = {
        "notAvailable": [
            {"description": "always told"},
            {"description": "x", "during": {"start": "2024-02-01T10:00:00+03:00", "end": "2024-02-01T12:00:00+03:00"}},
            {"description": "x", "during": {"end": "2020"}},
            {"description": "x", "during": {"start": "2030-06"}},
            {"description": "x", "during": {"start": "2024-02-02", "end": "2024-02-01"}},
        ]
    }
    assert table(schedule, holidays).away == (
        Interval(moment("2024-01-20T00:00:00+03:00"), moment("2024-01-22T00:00:00+03:00")),
        Interval(moment("2024-02-01T10:00:00+03:00"), moment("2024-02-01T12:00:00+03:00")),
        Interval(FIRST, moment("2021-01-01T00:00:00+03:00")),
        Interval(moment("2030-06-01T00:00:00+03:00"), LAST),
    )


def test_nothing_is_open_beyond_the_horizon() -> None:
    found = table(weekly("s", planningHorizon={"start": "2024-01-20", "end": "2024-01-20T12:00:00Z"}))
    assert found.horizon == Interval(moment("2024-01-20T00:00:00Z"), moment("2024-01-20T12:00:00Z"))


def test_buffers_end_with_time_itself() -> None:
    found = table(weekly("s", available(), parameters(bufferBefore=10, bufferAfter=20)))
    noon = moment("2024-01-20T12:00:00Z")
    when = Interval(noon, noon + hour(1))
    assert found.kept(when) == Interval(noon - timedelta(minutes=10), when.end + timedelta(minutes=20))
    assert found.reach(when) == Interval(noon - timedelta(minutes=30), when.end + timedelta(minutes=30))
    assert found.kept(Interval(FIRST, LAST)) == Interval(FIRST, LAST)


# The door.

PLACE = "Schedule.extension[0]"
INNER = f"{PLACE}.extension[0]"
GOOD = open_on("mon", "09:00", "12:00")


def period(**during: str) -> Resource:
    return {"url": "notAvailable", "extension": parts(during=("Period", during))}


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        (available(GOOD, away("2024-01-20", "2024-01-21"), period(start="2024"), period(end="2024")), []),
        (available(open_on("", "22:00", "06:00"), open_on("", "00:00", "00:00")), []),
        (available({"url": "x"}), [INNER]),
        (available({"url": "availableTime", "extension": parts(allDay=("Boolean", True))}), []),
        (
            available({"url": "availableTime", "extension": [*parts(allDay=("Boolean", True)), *GOOD["extension"]]}),
            [INNER],
        ),
        (available({"url": "availableTime", "extension": parts(allDay=("Boolean", False))}), [INNER]),
        (available({"url": "availableTime", "extension": parts(availableStartTime=("Time", "09:00:00"))}), [INNER]),
        (
            available({"url": "availableTime", "extension": [*GOOD["extension"], {"url": "x"}]}),
            [f"{INNER}.extension[3]"],
        ),
        (
            available({"url": "availableTime", "extension": [*GOOD["extension"], *GOOD["extension"][1:2]]}),
            [f"{INNER}.extension[3]"],
        ),
        (available(open_on("mon,someday", "09:00", "12:00")), [f"{INNER}.extension[1]"]),
        (available(open_on("mon", "09:00", "09:00")), [INNER]),
        (available(period()), [INNER]),
        (available({"url": "notAvailable"}), [INNER]),
        (parameters(duration=30, bufferBefore=0, bufferAfter=5, alignmentInterval=15, alignmentOffset=5), []),
        (parameters(duration=0), [INNER]),
        (parameters(duration=1441), [INNER]),
        (parameters(duration=True), [INNER]),
        (parameters(speed=1), [INNER]),
        (parameters(alignmentOffset=5), [PLACE]),
        ({**parameters(), "extension": [*parts(duration=("PositiveInt", [20, 30]))]}, [f"{PLACE}.extension[1]"]),
        (timezone("Africa/Kampala"), []),
        (timezone("../etc/passwd"), [PLACE]),
        (timezone("Nowhere/Land"), [PLACE]),
        (timezone("localtime"), [PLACE]),
        (timezone("posix/Europe/Berlin"), [PLACE]),
        (timezone("Factory"), [PLACE]),
        ({"url": "urn:other", "valueString": "x"}, []),
    ],
)
def test_each_fault_is_named_at_its_element(extension: Any, expected: list[str]) -> None:
    found = list(hours_faults.faults(weekly("s", extension)))
    assert [problem.param for problem in found] == expected
    assert {problem.code for problem in found} <= {"invalid_hours"}


KAMPALA_ENDS = {"start": "2024-01-20T22:00:00Z", "end": "2024-01-20"}  # that day ends at 21:00Z there
EMPTY = {"start": "2024-01-20T09:00:00Z", "end": "2024-01-20T12:00:00+03:00"}


@pytest.mark.parametrize(
    ("during", "zone", "fault"),
    [
        (EMPTY, None, True),
        (EMPTY, "Africa/Kampala", True),
        (KAMPALA_ENDS, "Africa/Kampala", True),
        (KAMPALA_ENDS, "America/New_York", False),
        (KAMPALA_ENDS, None, False),  # whose zone that will be is not known here
        ({"start": "2024-01-21T12:00:00Z", "end": "2024-01-20"}, None, True),
        ({"start": "2024-01-20", "end": "2024-01-19T10:00:00Z"}, None, True),
        ({"start": "2024-01-20", "end": "2024-01-19T10:00:01Z"}, None, False),
        ({"start": "2024-01-20", "end": "2024-01-20"}, None, False),
    ],
)
def test_leave_that_closes_nothing_is_named(during: dict[str, str], zone: str | None, fault: bool) -> None:
    named = [] if zone is None else [timezone(zone)]
    of_schedule = weekly("s", available(period(**during)), *named)
    assert [one.param for one in hours_faults.faults(of_schedule)] == ([INNER] if fault else [])
    if zone is None:
        service = {
            "resourceType": "HealthcareService",
            "extension": [timezone("Africa/Kampala")],  # hours are read in the Schedule's
            "notAvailable": [{"description": "x"}, {"during": during}],
        }
        expected = ["HealthcareService.notAvailable[1]"] if fault else []
        assert [one.param for one in hours_faults.faults(service)] == expected


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"availableStartTime": "09:00:00", "availableEndTime": "09:00:00"}, True),
        ({"availableStartTime": "09:00:00", "availableEndTime": "09:00:00.5"}, True),  # read by whole seconds
        ({"availableStartTime": "00:00:00", "availableEndTime": "00:00:00"}, False),
        ({"availableStartTime": "09:00:00"}, False),
        ({"availableEndTime": "09:00:00"}, False),
        ({"daysOfWeek": ["mon"]}, False),
        ({"allDay": True, "availableStartTime": "09:00:00", "availableEndTime": "09:00:00"}, False),  # R4 ignores them
        ({"allDay": False, "availableStartTime": "09:00:00", "availableEndTime": "09:00:00"}, True),
    ],
)
def test_hours_of_a_service_that_close_when_they_open_are_named(entry: Resource, fault: bool) -> None:
    service = {"resourceType": "HealthcareService", "availableTime": [{"allDay": True}, entry]}
    expected = ["HealthcareService.availableTime[1]"] if fault else []
    assert [one.param for one in hours_faults.faults(service)] == expected


def test_one_that_is_there_twice_is_named() -> None:
    found = hours_faults.faults(weekly("s", available(GOOD), available(GOOD)))
    assert [problem.param for problem in found] == ["Schedule.extension[1]"]


def test_an_id_must_leave_room_for_those_of_the_openings() -> None:
    assert [one.param for one in hours_faults.faults(weekly("s" * 45, available(GOOD)))] == ["Schedule.id"]
    assert list(hours_faults.faults(weekly("s" * 44, available(GOOD)))) == []
    assert list(hours_faults.faults(weekly("s" * 45, parameters(duration=30)))) == []


def test_a_service_has_parameters_and_its_own_hours() -> None:
    service = {"resourceType": "HealthcareService", "extension": [available(), parameters(duration=0)]}
    assert [one.param for one in hours_faults.faults(service)] == ["HealthcareService.extension[1].extension[0]"]


@pytest.mark.parametrize("name", ["availableTime", "notAvailable"])
def test_only_so_many_hours_and_so_much_leave_are_taken(name: str) -> None:
    part = {"availableTime": GOOD, "notAvailable": away("2024-01-20", "2024-01-21")}[name]
    most = hours.MOST_ENTRIES[name]
    assert list(hours_faults.faults(weekly("s", available(*[part] * most)))) == []
    [problem] = hours_faults.faults(weekly("s", available(*[part] * (most + 1))))
    assert problem.param == PLACE
    assert problem.message.startswith(f"It has {most + 1} {name}, and {most} at most.")
    service = {"resourceType": "HealthcareService", name: [{}] * (most + 1)}
    assert [one.param for one in hours_faults.faults(service)] == ["HealthcareService"]


@pytest.mark.parametrize(
    "period",
    [
        {"start": "2024-01-20T09:00:00Z", "end": "2024-01-20T09:00:00Z"},
        {"start": "2024-01-20T22:00:00Z", "end": "2024-01-20"},  # that day has ended by then in Kampala
    ],
)
def test_a_horizon_without_time_is_one_all_the_same(period: dict[str, str]) -> None:
    found = hours.read(weekly("s", available(open_on("", "09:00", "17:00")), planningHorizon=period), [], KAMPALA)
    assert found is not None
    assert openings.candidates(found, Interval(moment("2024-01-01T00:00:00Z"), moment("2024-03-01T00:00:00Z"))) == []
    assert not found.horizon.overlaps(Interval(FIRST, LAST))


def test_a_leap_second_begins_the_next_minute() -> None:
    assert hours.clock("23:59:60") == timedelta(days=1)
    assert hours.clock("12:00:60") == timedelta(hours=12, minutes=1)
