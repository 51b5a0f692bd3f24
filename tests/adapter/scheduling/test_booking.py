"""Does a booking stand? Every rule one by one, and against a slow and obvious oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from adapter.errors import Conflict, Refused, Unprocessable
from adapter.scheduling import booking
from adapter.scheduling.intervals import Interval
from adapter.scheduling.wish import MOVING, Facts, Names, Wish
from store.codec import Resource
from tests.adapter.scheduling.support import PATIENT, UHID, at, codes, schedule, slot, span, visit

P, Q, HERE, THERE = "Practitioner/p", "Practitioner/q", "Location/l", "Location/m"
WISH = Wish(span("10:00", "10:30"), (P,), facilities=(HERE,))
DAY = {"Schedule/s": schedule()}


def facts(*slots: Resource, named: Resource | None = None, visits: tuple[Resource, ...] = (), **more: Any) -> Facts:
    return Facts(slot=named, schedules=more.get("schedules", DAY), slots=slots, appointments=visits)


def taken(wish: Wish, found: Facts) -> list[str]:
    return [one["id"] for one in booking.decide(wish, found)]


def refusal(wish: Wish, found: Facts) -> Refused:
    with pytest.raises(Refused) as refused:
        booking.decide(wish, found)
    return refused.value


# Rule by rule.


def test_without_published_slots_a_booking_stands_where_nobody_else_does() -> None:
    assert taken(WISH, Facts()) == []


def test_a_free_slot_that_covers_the_time_is_taken() -> None:
    assert taken(WISH, facts(slot("a"))) == ["a"]


def test_several_slots_are_taken_where_one_is_too_short() -> None:
    wish = replace(WISH, when=span("10:10", "10:50"))
    assert taken(wish, facts(slot("b", "10:30", "11:00"), slot("c", "11:00", "11:30"), slot("a"))) == ["a", "b"]


def test_of_slots_that_reach_equally_far_rivals_choose_the_same() -> None:
    assert taken(WISH, facts(slot("a"), slot("b"))) == taken(WISH, facts(slot("b"), slot("a"))) == ["a"]


def test_of_slots_that_reach_the_end_the_shortest_is_taken() -> None:
    assert taken(WISH, facts(slot("long", "10:00", "11:00"), slot("short"))) == ["short"]


def test_of_slots_that_do_not_reach_the_end_the_furthest_reaching_is_taken() -> None:
    wish = replace(WISH, when=span("10:00", "11:00"))
    offered = facts(slot("a", "10:00", "10:20"), slot("b", "10:00", "10:40"), slot("c", "10:40", "11:00"))
    assert taken(wish, offered) == ["b", "c"]


def test_a_gap_between_slots_is_not_covered() -> None:
    wish = replace(WISH, when=span("10:00", "11:00"))
    found = refusal(wish, facts(slot("a"), slot("b", "10:40", "11:00")))
    assert (found.status, codes(found)) == (409, [("slot_unavailable", "start_time")])
    assert found.problems[0].details == {"slots": ["a", "b"]}


def told(wish: Wish, found: Facts) -> str:
    [problem] = refusal(wish, found).problems
    return problem.message


def test_where_free_slots_cover_a_part_it_is_told_which() -> None:
    wish = replace(WISH, when=span("09:45", "10:15"))
    assert "only a part" in told(wish, facts(slot("a")))
    assert f"{at('10:00')} to {at('10:30')}. Give a time" in told(wish, facts(slot("a")))
    several = [slot(f"s{n}", f"10:{n}0", f"10:{n}5") for n in (4, 0, 1, 2)]
    long = told(replace(WISH, when=span("10:00", "11:00")), facts(*several))
    assert f"{at('10:00')} to {at('10:05')}, {at('10:10')} to {at('10:15')}, {at('10:20')} to {at('10:25')}, .." in long
    assert at("10:40") not in long


def test_the_times_of_slots_are_told_in_utc_whatever_they_are_stored_in() -> None:
    there = {**slot("a"), "start": "2024-01-20T06:00:00-04:00", "end": "2024-01-20T06:30:00-04:00"}
    told_in_utc = f"{at('10:00')} to {at('10:30')}"
    assert told_in_utc in told(replace(WISH, when=span("09:45", "10:15")), facts(there))
    assert told_in_utc in told(replace(NAMED, when=span("09:45", "10:15")), facts(named=there))


def test_a_part_at_one_facility_and_the_rest_at_another_is_told_as_parts() -> None:
    schedules = {"Schedule/s": schedule(), "Schedule/t": schedule("t", P, THERE)}
    halves = facts(slot("a", "10:00", "10:15"), slot("b", "10:15", "10:30", schedule="t"), schedules=schedules)
    assert "at one facility" in told(replace(WISH, facilities=()), halves)
    here = told(WISH, halves)
    assert (at("10:00") in here, at("10:30") in here) == (True, False)


def test_where_free_slots_are_at_another_facility_it_is_told() -> None:
    wish = replace(WISH, facilities=(THERE,))
    assert told(wish, facts(slot("a"))).startswith("The free slots of that time are at another facility: give")
    moving = told(replace(wish, names=MOVING), facts(slot("a")))
    assert moving.startswith("The free slots of that time are at another facility. A reschedule keeps")
    assert told(wish, facts(slot("a", status="busy"))).startswith("No free slot covers that time.")


@pytest.mark.parametrize("status", ["busy", "busy-tentative", "busy-unavailable"])
def test_a_slot_that_is_not_free_is_unavailable_and_named(status: str) -> None:
    wish = replace(WISH, when=span("10:00", "11:00"))
    found = refusal(wish, facts(slot("a"), slot("b", "10:30", "11:00", status=status)))
    assert codes(found) == [("slot_unavailable", "start_time")]
    assert found.problems[0].details == {"slots": ["b"]}


def test_a_slot_entered_in_error_is_not_published() -> None:
    assert taken(WISH, facts(slot("a", status="entered-in-error"))) == []


def test_a_slot_without_a_time_is_not_published() -> None:
    assert taken(WISH, facts(slot("a", "10:00", "10:00", status="busy"))) == []


def test_a_slot_that_only_touches_the_time_is_not_published_for_it() -> None:
    assert taken(WISH, facts(slot("a", "09:30", "10:00", status="busy"), slot("b", "10:30", "11:00"))) == []


IDLE = {"Schedule/s": schedule(active=False)}


def test_a_slot_of_an_inactive_schedule_is_not_published() -> None:
    open_ones = {"Schedule/t": schedule("t", P, HERE)}
    assert taken(WISH, facts(slot("a"), schedules=IDLE | open_ones)) == []


@pytest.mark.parametrize("published", [(), (slot("a"),), (slot("a", status="busy-unavailable"),)])
def test_who_has_inactive_schedules_alone_is_not_to_be_booked(published: tuple[Resource, ...]) -> None:
    both = IDLE | {"Schedule/r": schedule("r", P, active=False)}
    found = refusal(WISH, facts(*published, schedules=both))
    assert (found.status, codes(found)) == (409, [("slot_unavailable", "start_time")])
    assert found.problems[0].details == {"slots": [], "schedules": ["r", "s"]}
    assert "active" in found.problems[0].message
    assert refusal(replace(WISH, overbooks=True), facts(*published, schedules=both)).status == 409
    assert taken(replace(WISH, beside=True), facts(*published, schedules=both)) == []


def test_it_is_the_schedules_of_the_place_asked_for_that_count() -> None:
    there = {"Schedule/t": schedule("t", P, THERE)}
    assert refusal(WISH, facts(schedules=IDLE | there)).problems[0].details == {"slots": [], "schedules": ["s"]}
    assert taken(replace(WISH, facilities=(THERE,)), facts(schedules=IDLE | there)) == []
    assert taken(replace(WISH, facilities=()), facts(schedules=IDLE | there)) == []
    assert taken(replace(WISH, facilities=(THERE,)), facts(schedules=IDLE)) == []
    assert taken(replace(WISH, practitioners=(Q,)), facts(schedules=IDLE)) == []


def test_of_the_time_that_it_had_a_visit_is_not_asked_whether_a_schedule_is_active() -> None:
    moved = replace(WISH, own="Appointment/x", had=span("10:00", "11:00"))
    assert taken(moved, facts(schedules=IDLE)) == []
    assert refusal(replace(moved, had=span("10:00", "10:15")), facts(schedules=IDLE)).status == 409


def test_its_own_slot_of_an_inactive_schedule_is_kept_where_it_covers_the_time() -> None:
    closed = facts(slot("a", status="busy"), schedules=IDLE)
    wish = replace(WISH, own="Appointment/x", own_slots=frozenset({"Slot/a"}))
    assert taken(wish, closed) == ["a"]
    assert refusal(replace(wish, when=span("10:00", "11:00")), closed).problems[0].details["schedules"] == ["s"]


def test_a_slot_of_another_practitioner_is_none_of_this_ones() -> None:
    assert taken(WISH, facts(slot("a"), schedules={"Schedule/s": schedule("s", Q)})) == []


def test_a_slot_whose_schedule_is_not_named_is_nobodys() -> None:
    assert taken(WISH, facts({**slot("a"), "schedule": {"display": "paper"}})) == []


def test_a_practitioner_who_is_published_elsewhere_is_not_here() -> None:
    assert codes(refusal(replace(WISH, facilities=(THERE,)), facts(slot("a")))) == [("slot_unavailable", "start_time")]


def test_a_practitioner_who_is_published_without_a_place_can_be_booked_anywhere() -> None:
    assert taken(WISH, facts(slot("a"), schedules={"Schedule/s": schedule("s", P)})) == ["a"]


def test_where_no_facility_is_asked_for_any_will_do() -> None:
    assert taken(replace(WISH, facilities=()), facts(slot("a"))) == ["a"]


def test_each_of_two_practitioners_must_be_free() -> None:
    schedules = {"Schedule/s": schedule(), "Schedule/t": schedule("t", Q, HERE)}
    wish = replace(WISH, practitioners=(P, Q))
    assert taken(wish, facts(slot("a"), slot("b", schedule="t"), schedules=schedules)) == ["a", "b"]
    found = refusal(wish, facts(slot("a"), slot("b", schedule="t", status="busy"), schedules=schedules))
    assert found.problems[0].details == {"slots": ["b"]}


def test_a_slot_of_both_practitioners_is_taken_once() -> None:
    schedules = {"Schedule/s": schedule("s", P, Q)}
    assert taken(replace(WISH, practitioners=(P, Q)), facts(slot("a"), schedules=schedules)) == ["a"]


def test_an_appointment_that_holds_the_time_is_a_conflict_and_named() -> None:
    found = refusal(WISH, facts(visits=(visit("x", "10:15", "10:45"), visit("y", "09:00", "11:00"))))
    assert (found.status, codes(found)) == (409, [("time_conflict", "start_time")])
    assert found.problems[0].details == {"appointments": ["x", "y"]}


def test_an_appointment_that_only_touches_is_no_conflict() -> None:
    assert taken(WISH, facts(visits=(visit("x", "09:30", "10:00"), visit("y", "10:30", "11:00")))) == []


def test_an_appointment_without_a_time_is_no_conflict() -> None:
    assert taken(WISH, facts(visits=({**visit("x"), "end": at("09:00")},))) == []


def test_an_appointment_is_not_in_its_own_way() -> None:
    assert taken(replace(WISH, own="Appointment/x"), facts(visits=(visit("x"),))) == []


@pytest.mark.parametrize("status", ["free", "busy", "busy-tentative"])
def test_an_appointment_may_take_its_own_slot_again(status: str) -> None:
    wish = replace(WISH, own="Appointment/x", own_slots=frozenset({"Slot/a"}))
    assert taken(wish, facts(slot("a", status=status))) == ["a"]


def test_an_own_slot_that_was_withdrawn_cannot_be_taken_again() -> None:
    wish = replace(WISH, own="Appointment/x", own_slots=frozenset({"Slot/a"}))
    assert codes(refusal(wish, facts(slot("a", status="busy-unavailable")))) == [("slot_unavailable", "start_time")]


def test_what_stands_beside_others_takes_no_slot_and_meets_nobody() -> None:
    wish = replace(WISH, beside=True)
    assert taken(wish, facts(slot("a", status="busy"), visits=(visit("x"),))) == []


def test_busy_slots_and_other_appointments_are_named_at_once() -> None:
    found = refusal(WISH, facts(slot("a", status="busy"), visits=(visit("x"),)))
    assert codes(found) == [("slot_unavailable", "start_time"), ("time_conflict", "start_time")]


# A slot by name.

NAMED = replace(WISH, slot="Slot/a", names=Names("new_slot_id", "new_start_time"))


def test_a_named_slot_that_is_free_is_taken() -> None:
    assert taken(NAMED, facts(named=slot("a"))) == ["a"]


def test_a_named_slot_may_be_longer_than_the_visit() -> None:
    assert taken(NAMED, facts(named=slot("a", "10:00", "11:00"))) == ["a"]


def test_a_named_slot_is_taken_by_what_stands_beside_others_too() -> None:
    assert taken(replace(NAMED, beside=True), facts(named=slot("a"), visits=(visit("x"),))) == ["a"]


@pytest.mark.parametrize(
    "named",
    [None, slot("a", status="entered-in-error"), slot("a", "10:00", "10:00"), slot("a", "10:00", "09:00")],
    ids=["none", "in error", "empty", "backwards"],
)
def test_a_slot_that_there_is_none_of_is_unknown(named: Resource | None) -> None:
    found = refusal(NAMED, facts(named=named))
    assert (found.status, codes(found)) == (422, [("unknown_slot", "new_slot_id")])


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [
        ("09:30", "10:30", "new_start_time"),
        ("10:15", "10:45", "new_start_time"),
        ("09:00", "10:00", "new_start_time"),
        ("10:00", "10:15", "new_end_time"),
    ],
)
def test_a_named_slot_must_begin_with_the_visit_and_last_as_long(start: str, end: str, named: str) -> None:
    found = refusal(replace(NAMED, names=MOVING), facts(named=slot("a", start, end)))
    assert (found.status, codes(found)) == (422, [("slot_mismatch", named)])
    assert at(start) in found.problems[0].message


def test_a_named_slot_must_be_the_practitioners() -> None:
    found = refusal(NAMED, facts(named=slot("a"), schedules={"Schedule/s": schedule("s", Q, HERE)}))
    assert (found.status, codes(found)) == (422, [("slot_mismatch", "practitioner_id")])


def test_of_a_move_the_slot_is_at_fault_for_whom_and_where_it_is() -> None:
    known = {"Schedule/s": schedule("s", Q, THERE)}
    found = refusal(replace(NAMED, names=MOVING, facilities=(HERE,)), facts(named=slot("a"), schedules=known))
    assert codes(found) == [("slot_mismatch", "new_slot_id"), ("slot_mismatch", "new_slot_id")]
    assert all("A reschedule keeps practitioner and facility" in one.message for one in found.problems)


@pytest.mark.parametrize("known", [{}, {"Schedule/s": {}}])
def test_a_named_slot_whose_schedule_is_gone_is_nobodys(known: dict[str, Resource]) -> None:
    assert codes(refusal(NAMED, facts(named=slot("a"), schedules=known))) == [("slot_mismatch", "practitioner_id")]


def test_a_named_slot_must_be_at_the_facility() -> None:
    found = refusal(replace(NAMED, facilities=(THERE,)), facts(named=slot("a")))
    assert (found.status, codes(found)) == (422, [("slot_mismatch", "facility_id")])


def test_all_that_a_named_slot_disagrees_with_is_named_at_once() -> None:
    wish = replace(NAMED, when=span("09:00", "09:30"), practitioners=(Q,), facilities=(THERE,))
    assert codes(refusal(wish, facts(named=slot("a", status="busy")))) == [
        ("slot_mismatch", "new_start_time"),
        ("slot_mismatch", "practitioner_id"),
        ("slot_mismatch", "facility_id"),
    ]


@pytest.mark.parametrize("status", ["busy", "busy-tentative", "busy-unavailable"])
def test_a_named_slot_that_is_not_free_is_unavailable(status: str) -> None:
    found = refusal(NAMED, facts(named=slot("a", status=status)))
    assert (found.status, codes(found)) == (409, [("slot_unavailable", "new_slot_id")])
    assert found.problems[0].details == {"slots": ["a"]}


def test_a_named_slot_of_an_inactive_schedule_is_unavailable() -> None:
    found = refusal(NAMED, facts(named=slot("a"), schedules={"Schedule/s": schedule(active=False)}))
    assert codes(found) == [("slot_unavailable", "new_slot_id")]
    assert found.problems[0].details == {"slots": ["a"]}
    assert found.problems[0].message.startswith("The slot's schedule is not active.")


def test_a_named_slot_over_another_appointment_is_a_conflict() -> None:
    found = refusal(NAMED, facts(named=slot("a", status="busy"), visits=(visit("x"),)))
    assert codes(found) == [("slot_unavailable", "new_slot_id"), ("time_conflict", "new_start_time")]


# Against an oracle, on a grid of quarters of an hour.

QUARTERS = 12
HOLDING = ("pending", "booked", "arrived", "checked-in", "fulfilled")
SLOT_STATUSES = ("free", "free", "free", "busy", "busy-tentative", "busy-unavailable", "entered-in-error")
SCHEDULES = {
    "Schedule/p-here": schedule("p-here", P, HERE),
    "Schedule/p-there": schedule("p-there", P, THERE),
    "Schedule/p": schedule("p", P),
    "Schedule/q-here": schedule("q-here", Q, HERE),
    "Schedule/both": schedule("both", P, Q, HERE),
    "Schedule/closed": schedule("closed", P, HERE, active=False),
}


@dataclass(frozen=True)
class Piece:
    """A slot or an appointment on the grid."""

    first: int
    length: int
    resource: Resource

    @property
    def quarters(self) -> set[int]:
        return set(range(self.first, self.first + self.length))


def clock(quarter: int) -> str:
    return f"{8 + quarter // 4:02}:{quarter % 4 * 15:02}"


spans = st.tuples(st.integers(0, QUARTERS - 1), st.integers(1, 4))
who = st.sampled_from([(P,), (P,), (Q,), (P, Q)])
slots = st.lists(st.tuples(spans, st.sampled_from(SLOT_STATUSES), st.sampled_from(sorted(SCHEDULES))), max_size=7)
visits = st.lists(st.tuples(spans, st.sampled_from(HOLDING), who), max_size=2)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Wish, Facts, list[Piece], list[Piece]]:
    """A wish, what the transaction reads about it, and the same once more on the grid."""
    published = [
        Piece(
            first,
            length,
            slot(f"s{n}", clock(first), clock(first + length), status=status, schedule=whose.partition("/")[2]),
        )
        for n, ((first, length), status, whose) in enumerate(draw(slots))
    ]
    (first, length), people = draw(spans), draw(who)
    standing = [
        Piece(begin, size, visit(f"v{n}", clock(begin), clock(begin + size), status=status, who=whose))
        for n, ((begin, size), status, whose) in enumerate(draw(visits))
        if set(whose) & set(people)
    ]
    named = draw(st.none() | st.sampled_from(published)) if published else None
    if named is not None and draw(st.booleans()):
        first, length = named.first, min(length, named.length)
    own = draw(st.none() | st.sampled_from(standing)) if standing else None
    kept = draw(st.lists(st.sampled_from(published), max_size=2)) if own and published else []
    wish = Wish(
        Interval(span(clock(first), "23:00").start, span(clock(first + length), "23:00").start),
        people,
        facilities=draw(st.sampled_from([(), (HERE,), (THERE,), (HERE, THERE)])),
        slot=f"Slot/{named.resource['id']}" if named else draw(st.sampled_from([None, None, "Slot/none"])),
        beside=draw(st.sampled_from([False, False, False, True])),
        own=None if own is None else f"Appointment/{own.resource['id']}",
        own_slots=frozenset(f"Slot/{one.resource['id']}" for one in kept),
    )
    found = Facts(
        None if named is None else named.resource,
        SCHEDULES,
        [one.resource for one in published],
        [one.resource for one in standing],
    )
    return wish, found, published, standing


def asked(wish: Wish) -> set[int]:
    """The quarters of the wish."""
    minutes = [(moment.hour - 8) * 60 + moment.minute for moment in (wish.when.start, wish.when.end)]
    return set(range(minutes[0] // 15, minutes[1] // 15))


def actors(one: Piece) -> list[str]:
    return [actor["reference"] for actor in SCHEDULES[one.resource["schedule"]["reference"]]["actor"]]


def is_active(one: Piece) -> bool:
    return bool(one.resource["schedule"]["reference"] != "Schedule/closed")


def usable(one: Piece, wish: Wish) -> bool:
    """Whether the wish may have that slot: open, free or its own, and at the place."""
    status, own = one.resource["status"], f"Slot/{one.resource['id']}" in wish.own_slots
    places = {actor for actor in actors(one) if actor.startswith("Location/")}
    return (
        (own or is_active(one))
        and (status == "free" or (own and status in ("busy", "busy-tentative")))
        and (not wish.facilities or not places or bool(places & set(wish.facilities)))
    )


def oracle(wish: Wish, published: list[Piece], standing: list[Piece]) -> tuple[int, list[str]]:
    """The status and the codes of the refusal, in order; 201 and none where the booking stands."""
    if wish.slot is not None:
        named = next((one for one in published if f"Slot/{one.resource['id']}" == wish.slot), None)
        if named is None or named.resource["status"] == "entered-in-error":
            return 422, ["unknown_slot"]
        places = [actor for actor in actors(named) if actor.startswith("Location/")]
        wrong = [
            named.first != min(asked(wish)) or not asked(wish) <= named.quarters,
            not set(wish.practitioners) & set(actors(named)),
            bool(wish.facilities and places) and not set(places) & set(wish.facilities),
        ]
        if any(wrong):
            return 422, ["slot_mismatch"] * sum(wrong)
        problems = [] if usable(named, wish) else ["slot_unavailable"]
        served = set(actors(named))
    else:
        problems, served = [], set()
    for practitioner in () if wish.beside else wish.practitioners:
        offered = of_practitioner(practitioner, published, wish)
        if practitioner not in served and any(map(is_active, offered)) and not is_covered(offered, wish):
            problems.append("slot_unavailable")
    rivals = [one for one in standing if f"Appointment/{one.resource['id']}" != wish.own]
    if not wish.beside and any(one.quarters & asked(wish) for one in rivals):
        problems.append("time_conflict")
    return (409, problems) if problems else (201, [])


def is_covered(offered: list[Piece], wish: Wish) -> bool:
    """Whether slots that the wish may have leave no gap in its time: at one place, if it says none."""
    quarters = [
        {q for one in offered if usable(one, wish) and fits(one) for q in one.quarters} for fits in places(wish)
    ]
    return any(asked(wish) <= covered for covered in quarters)


def places(wish: Wish) -> list[Callable[[Piece], bool]]:
    """What may be put together: everything, or what is at one place or says none."""
    if wish.facilities:
        return [lambda _: True]
    return [lambda one: THERE not in actors(one), lambda one: HERE not in actors(one)]


def of_practitioner(practitioner: str, published: list[Piece], wish: Wish) -> list[Piece]:
    """The slots that are published for a practitioner at the time of the wish, and its own."""
    return [
        one
        for one in published
        if practitioner in actors(one)
        and one.quarters & asked(wish)
        and one.resource["status"] != "entered-in-error"
        and (is_active(one) or f"Slot/{one.resource['id']}" in wish.own_slots)
    ]


@given(worlds())
def test_a_booking_is_refused_exactly_where_the_rules_say_so(
    world: tuple[Wish, Facts, list[Piece], list[Piece]],
) -> None:
    wish, found, published, standing = world
    expected = oracle(wish, published, standing)
    event(str(expected))
    refused = answer_to(wish, found)
    if not isinstance(refused, Refused):
        assert expected == (201, [])
        return
    assert (refused.status, [problem.code for problem in refused.problems]) == expected
    told = f"{refused} {[problem.details for problem in refused.problems]}"
    assert PATIENT not in told
    assert UHID not in told


def answer_to(wish: Wish, found: Facts) -> list[Resource] | Refused:
    try:
        return booking.decide(wish, found)
    except (Unprocessable, Conflict) as refused:
        return refused


@given(worlds())
def test_a_booking_that_stands_has_all_its_time_to_itself(world: tuple[Wish, Facts, list[Piece], list[Piece]]) -> None:
    wish, found, published, standing = world
    answer = answer_to(wish, found)
    if isinstance(answer, Refused):
        event("refused")
        return
    pieces = [one for one in published if one.resource in answer]
    event(f"{len(pieces)} slots")
    assert len(pieces) == len(answer)
    assert all(usable(one, wish) for one in pieces)
    assert all(set(actors(one)) & set(wish.practitioners) for one in pieces)
    assert all(one.quarters & asked(wish) for one in pieces)
    if wish.slot is not None:
        assert wish.slot in [f"Slot/{one.resource['id']}" for one in pieces]
    if wish.beside:
        assert len(pieces) == (wish.slot is not None)
    else:
        for practitioner in wish.practitioners:
            own = [one for one in pieces if practitioner in actors(one)]
            if any(map(is_active, of_practitioner(practitioner, published, wish))):
                assert asked(wish) <= {quarter for one in own for quarter in one.quarters}
    for other in standing:
        if not wish.beside and f"Appointment/{other.resource['id']}" != wish.own:
            assert not other.quarters & asked(wish)
