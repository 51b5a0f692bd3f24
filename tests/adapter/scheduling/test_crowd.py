"""Who is certainly in nobody's way is told as by a look at each, and where many share Slots it is told of all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.scheduling import booking
from adapter.scheduling.crowd import Crowd, presence
from adapter.scheduling.people import People
from adapter.scheduling.wish import Facts, Wish
from store.codec import Resource
from tests.adapter.scheduling.sharing import group
from tests.adapter.scheduling.support import linking, schedule, visit

P, Q, ROLE = "Practitioner/p", "Practitioner/q", "PractitionerRole/r"
PEOPLE = People({ROLE: P})
SCHEDULES = {"Schedule/s": schedule("s"), "Schedule/t": schedule("t", Q), "Schedule/both": schedule("both", ROLE, Q)}

CLOCKS = [f"10:{minute:02}" for minute in range(0, 60, 10)]
times = st.lists(st.sampled_from(CLOCKS), min_size=2, max_size=2, unique=True).map(sorted)
slots = st.builds(
    lambda when, of, several: group("", 3 if several else 1, *when, schedule=of),
    times,
    st.sampled_from(["s", "t", "both", "unknown"]),
    st.booleans(),
)
visits = st.builds(
    lambda when, who, held: visit("", *when, who=tuple(who), **linking(*held)),
    times,
    st.sets(st.sampled_from([P, Q, ROLE]), min_size=1),
    st.lists(st.sampled_from(["0", "1", "2", "gone"]), max_size=4),
)


def crowd_of(appointments: list[Resource], known: dict[str, Resource]) -> Crowd:
    found = [presence(one, known, PEOPLE) for one in appointments]
    return Crowd([one for one in found if one is not None], SCHEDULES, PEOPLE)


def in_the_way(one: Resource, others: list[Resource], known: dict[str, Resource]) -> list[Any]:
    there = presence(one, known, PEOPLE)
    assert there is not None
    near = [other for other in others if (them := presence(other, known, PEOPLE)) and {*them.people} & {*there.people}]
    wish = Wish(there.when, there.people, own=there.name)
    return booking.busy(wish, Facts(schedules=SCHEDULES, appointments=near, people=PEOPLE), there.slots)


@given(st.lists(slots, min_size=3, max_size=3), st.lists(visits, max_size=6))
def test_who_is_left_alone_finds_nobody_in_the_way(some: list[Resource], several: list[Resource]) -> None:
    known = {f"Slot/{ident}": {**one, "id": f"{ident}"} for ident, one in enumerate(some)}
    appointments = [{**one, "id": f"{ident}"} for ident, one in enumerate(several)]
    crowd = crowd_of(appointments, known)
    for one in appointments:
        name = f"Appointment/{one['id']}"
        assert not crowd.leaves_alone(name) or not in_the_way(one, appointments, known)
        company = [other for other in appointments if f"Appointment/{other['id']}" in crowd.company(name)]
        assert not in_the_way(one, company, known)


SHARED = {
    "Slot/whole": group("whole", 9),
    "Slot/first": group("first", 9, "10:00", "10:15"),
    "Slot/second": group("second", 9, "10:15", "10:30"),
}


@pytest.mark.parametrize("held", [("whole",), ("first", "second"), ("whole", "whole", "first"), ("gone", "whole")])
@pytest.mark.parametrize(
    ("beside", "alone"),
    [
        ([], True),
        ([visit("next", "10:30", "11:00")], True),
        ([visit("other", who=(Q,))], True),
        ([visit("in the way", "10:15", "10:20")], False),
    ],
)
def test_those_who_share_a_slot_are_left_alone(held: tuple[str, ...], beside: list[Resource], alone: bool) -> None:
    sharing = [visit(str(number), **linking(*held)) for number in range(3)]
    crowd = crowd_of([*sharing, *beside], SHARED)
    assert [crowd.leaves_alone(f"Appointment/{one['id']}") for one in sharing] == [alone] * 3
    whole = "whole" in held
    assert sorted(crowd.company("Appointment/0")) == [f"Appointment/{number}" for number in range(3 if whole else 0)]


def test_a_slot_that_is_of_one_of_two_alone_is_no_reason_for_the_other() -> None:
    crowd = crowd_of([visit(ident, who=(P, Q), **linking("whole")) for ident in ("x", "y")], SHARED)
    assert not crowd.leaves_alone("Appointment/x")
    assert not crowd.company("Appointment/x")


def test_who_has_no_time_takes_none() -> None:
    assert presence(visit("x", end=None), {}, PEOPLE) is None


def test_of_who_is_not_among_them_nothing_is_certain() -> None:
    crowd = crowd_of([], {})
    assert not crowd.leaves_alone("Appointment/x")
    assert not crowd.company("Appointment/x")
