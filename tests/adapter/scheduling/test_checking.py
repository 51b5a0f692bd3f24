"""The rules that a store must obey, each by itself; `test_verifying` holds real stores to them."""

from __future__ import annotations

import pytest

from adapter.scheduling import checking, checking_claims
from adapter.scheduling.checking import Sweep
from adapter.scheduling.checking_claims import Visit, visit_of
from store.codec import Resource
from tests.adapter.scheduling.sharing import EXTENSIONS, group
from tests.adapter.scheduling.support import (
    HELD,
    NOT_HELD,
    at,
    linking,
    of_type,
    slot,
    visit,
)

REASON = {"extension": [{"url": f"{EXTENSIONS}/overbooked", "valueString": "a mother in labour"}]}
P, Q = "Practitioner/p", "Practitioner/q"
ROLES = {"PractitionerRole/r": Q}


def test_visits_that_overlap_are_found_in_the_order_of_their_starts() -> None:
    sweep, pairs = Sweep(), list[tuple[str, str]]()
    times = [("a", "09:00", "12:00"), ("b", "10:00", "10:30"), ("b", "10:00", "10:30"), ("c", "10:30", "11:00"),
             ("d", "12:00", "12:30")]  # fmt: skip
    for ident, start, end in times:
        one = visit_of(visit(ident, start, end), {})
        assert one is not None
        pairs += [(first.name[-1], second.name[-1]) for first, second in sweep.add(one)]
    assert sorted(set(pairs)) == [("a", "b"), ("a", "c")]


def test_two_who_have_a_room_together_or_by_permission_are_sound() -> None:
    slots = {"Slot/a": slot("a", status="busy"), "Slot/b": slot("b", status="busy")}
    rooms = {"Schedule/s": "Location/room"}
    one, other = visit("x", **linking("a")), visit("y", **linking("b"))

    def wrong(first: Resource, second: Resource) -> bool:
        both = [checking.doubled("Location/room", *two, slots, rooms) for two in ((first, second), (second, first))]
        assert both[0] == both[1]
        return both[0] is not None

    assert wrong(one, other)
    assert not wrong(one, {**other, **linking("a", "b")})
    assert not wrong(one, {**other, "status": "cancelled"})
    assert not wrong(one, other | REASON)
    assert not wrong(one, visit("y", **linking("unknown")))
    timeless = {name: value for name, value in other.items() if name not in ("start", "end")}
    assert wrong(one, timeless)
    assert checking_claims.stay("Location/room", slot("a", "10:00", "10:00"), one) is None


def test_two_that_have_moved_apart_do_not_overlap() -> None:
    first, second = visit_of(visit("x"), {}), visit_of(visit("y", "11:00", "11:30"), {})
    assert first is not None
    assert second is not None
    assert checking.overlap(first, second, {}, {}) is None


def test_visits_one_after_another_in_a_slot_that_was_published_over_them_are_a_note() -> None:
    busy = slot("a", status="busy")
    apart = [visit("x", "10:00", "10:15", **linking("a")), visit("y", "10:15", "10:30", **linking("a"))]
    assert [(one.kind, one.note) for one in checking.slot_findings(busy, apart)] == [("slot-shared", True)]
    timeless = {name: value for name, value in apart[1].items() if name not in ("start", "end")}
    assert [one.kind for one in checking.slot_findings(busy, [apart[0], timeless])] == ["capacity"]


def test_a_slot_that_is_busy_otherwise_than_its_appointments_have_it_is_a_note() -> None:
    held = {ident: visit(ident, status=status, **linking("a")) for ident, status in (("x", "pending"), ("y", "booked"))}

    def told(status: str, room: int, *idents: str) -> list[str]:
        wrong = checking.slot_findings(group("a", room, status=status), [held[ident] for ident in idents])
        return [one.message for one in wrong if one.kind == "slot-otherwise-busy" and one.note]

    assert told("busy", 1, "x") == ["It is busy, but busy-tentative for Appointment/x."]
    assert told("busy-tentative", 2, "x", "y") == ["It is busy-tentative, but busy for Appointment/x, Appointment/y."]
    sound = told("busy-tentative", 1, "x"), told("busy", 1, "y"), told("busy", 2, "x", "y"), told("busy", 3, "x")
    assert (*sound, told("busy", 1)) == ([],) * 5


def test_a_slot_that_opens_later_is_no_excuse() -> None:
    people = {"Schedule/s": frozenset({"Practitioner/p"})}
    shared = {"Slot/a": group("a", 2, "10:15", "10:30")}
    first, second = (visit_of(visit(ident, **linking("a")), {}) for ident in "xy")
    assert first is not None
    assert second is not None
    wrong = checking.overlap(first, second, shared, people)
    assert wrong is not None
    assert (wrong.kind, wrong.resource) == ("overlap", "Appointment/y")


def test_a_slot_that_cannot_be_read_is_told_of_as_that_alone() -> None:
    assert list(checking.missing_schedule({"id": "a"}, ())) == []


def visits(*several: Resource) -> list[Visit]:
    found = [visit_of(one, ROLES) for one in several]
    assert None not in found
    return [one for one in found if one is not None]


@pytest.mark.parametrize("status", [*HELD, *NOT_HELD])
def test_the_statuses_that_hold_are_those_of_the_bookings(status: str) -> None:
    one, busy = visit("x", status=status, **linking("a")), slot("a", status="busy")
    holds = status in HELD
    assert (visit_of(one, {}) is not None) is holds
    assert (checking_claims.stay("Location/l", busy, one) is not None) is holds
    assert [wrong.kind for wrong in checking.missing_slots(one, ["Slot/b"])] == ["slot-missing"] * holds
    told = [wrong.kind for wrong in checking.slot_findings({**busy, "status": "free"}, [one])]
    assert told == ["slot-not-busy"] * holds


def test_what_a_visit_holds_and_takes_goes_by_whatever_address() -> None:
    far = "https://elsewhere.example/fhir"
    named = [{"reference": f"{far}/Slot/a/_history/2"}, {"reference": "Slot/b"}, {"reference": "Other/c"}, {}]
    one = visit("x", who=(f"{far}/PractitionerRole/r", "Location/l"), slot=named)
    [taken] = visits(one)
    assert taken.name == "Appointment/x"
    assert taken.people == {Q}
    assert taken.slots == {"Slot/a", "Slot/b"}
    of_far = slot("a") | {"schedule": {"reference": f"{far}/Schedule/s"}}
    assert (checking_claims.schedule_of(of_far), checking_claims.schedule_of({"id": "a", "schedule": {}})) == (
        "Schedule/s",
        "",
    )
    assert [wrong.message.split()[2] for wrong in checking.missing_slots(one, ["Slot/b"])] == ["Slot/a,"]
    assert list(checking.missing_slots(one, ["Slot/b", "Slot/a"])) == []


def test_a_sweep_passes_over_who_may_stand_beside_others_and_who_is_met_again() -> None:
    usual, beside, over = visits(visit("x"), visit("y", appointmentType=of_type("WALKIN")), visit("z") | REASON)
    for first, second in ((usual, beside), (beside, usual), (usual, over), (over, usual), (usual, usual)):
        sweep = Sweep()
        assert sweep.add(first) == sweep.add(second) == []
    several = visits(
        *(visit(ident, who=who) for ident, who in (("x", (P,)), ("o", (Q,)), ("b", (P, Q)), ("c", (P, Q))))
    )
    sweep = Sweep()
    pairs = [(first.name[-1], second.name[-1]) for one in several for first, second in sweep.add(one)]
    assert sorted(pairs) == [("b", "c"), ("o", "b"), ("o", "c"), ("x", "b"), ("x", "c")]


def test_two_of_one_room_are_told_of_with_the_time_that_both_have_of_it() -> None:
    known = {
        "Slot/b": slot("b", status="busy"),
        "Slot/a": slot("a", "10:15", "10:45", status="busy"),
        "Slot/late": slot("late", "10:30", "11:00", status="busy"),
        "Slot/timeless": {name: value for name, value in slot("timeless").items() if name not in ("start", "end")},
        "Slot/elsewhere": slot("elsewhere", status="busy", schedule="other"),
    }
    of = {"Schedule/s": "Location/l", "Schedule/other": "Location/m"}

    def told(first: Resource, second: Resource) -> tuple[str, str, str] | None:
        wrong = checking.doubled("Location/l", first, second, known, of)
        assert wrong == checking.doubled("Location/l", second, first, known, of)
        return None if wrong is None else (wrong.kind, wrong.resource, wrong.message)

    whole = visit("y", "10:00", "11:00", **linking("b"))
    by = "from 2024-01-20T10:15:00+00:00 to {}, by {}."
    assert told(whole, visit("x", "10:00", "11:00", **linking("a"))) == (
        "room-overlap",
        "Appointment/y",
        "Location/l is had by Appointment/x and Appointment/y "
        + by.format("2024-01-20T10:30:00+00:00", "Slot/a and Slot/b"),
    )
    short = visit("x", "10:15", "10:20", **linking("timeless"))
    assert told(whole, short) == (
        "room-overlap",
        "Appointment/y",
        "Location/l is had by Appointment/x and Appointment/y "
        + by.format("2024-01-20T10:20:00+00:00", "Slot/b and Slot/timeless"),
    )
    for sound in ("late", "elsewhere", "b"):
        assert told(whole, visit("x", "10:00", "11:00", **linking(sound))) is None
    assert told(whole, visit("x", "10:30", "11:00", **linking("a"))) is None
    assert told(visit("y", "10:00", "10:15", **linking("b")), visit("x", "10:15", "10:30", **linking("a"))) is None


BY_NUMBER = "urn:s|7"
NUMBERED = {"type": "Practitioner", "identifier": {"system": "urn:s", "value": "7"}}


@pytest.mark.parametrize(
    ("first", "second", "room", "whose", "expected"),
    [
        ({}, {}, 2, {P}, None),
        ({}, {}, 1, {P}, P),
        ({}, {}, 2, {Q}, P),
        ({}, {}, 2, set(), P),
        ({}, {}, 2, None, P),
        ({}, {"slot": []}, 2, {P}, P),
        ({"slot": []}, {}, 2, {P}, P),
        ({}, {"start": at("10:30"), "end": at("11:00")}, 1, {P}, None),
        ({}, {"appointmentType": of_type("WALKIN")}, 1, {P}, None),
        (REASON, {}, 1, {P}, None),
        ({"participant": [{"actor": NUMBERED}]}, {"participant": [{"actor": NUMBERED}]}, 2, {P}, None),
        ({"participant": [{"actor": NUMBERED}]}, {"participant": [{"actor": NUMBERED}]}, 2, set(), BY_NUMBER),
        (
            {"participant": [{"actor": NUMBERED}, {"actor": {"reference": "PractitionerRole/unknown"}}]},
            {"participant": [{"actor": NUMBERED}]},
            2,
            {P},
            BY_NUMBER,
        ),
        ({"participant": [{"actor": {"reference": Q}}]}, {}, 1, {P}, None),
    ],
)
def test_two_of_one_practitioner_may_be_there_by_a_slot_for_several_of_theirs(
    first: Resource, second: Resource, room: int, whose: set[str] | None, expected: str | None
) -> None:
    one, other = visits(visit("y", **linking("a")) | first, visit("x", **linking("a")) | second)
    calendars = {} if whose is None else {"Schedule/s": frozenset(whose)}
    shared = {"Slot/a": group("a", room)}
    for both in ((one, other), (other, one)):
        wrong = checking.overlap(*both, shared, calendars)
        assert (wrong is None) is (expected is None)
        if wrong is not None:
            when = "from 2024-01-20T10:00:00+00:00 to 2024-01-20T10:30:00+00:00."
            assert wrong.message == f"{expected} has {both[0].name} and {both[1].name} {when}"
            assert (wrong.kind, wrong.resource) == ("overlap", "Appointment/y")


@pytest.mark.parametrize(
    ("times", "covered"),
    [
        ([("10:00", "10:30")], True),
        ([("10:15", "10:30"), ("10:00", "10:15")], True),
        ([("09:45", "11:00"), ("09:50", "10:05")], True),
        ([("10:00", "10:15"), ("10:20", "10:30")], False),
        ([("10:00", "10:29")], False),
        ([("10:01", "10:30")], False),
        ([], False),
    ],
)
def test_slots_for_several_that_both_hold_leave_no_gap(times: list[tuple[str, str]], covered: bool) -> None:
    timeless = {name: value for name, value in group("timeless", 2).items() if name != "end"}
    shared = {f"Slot/{n}": group(str(n), 2, *when) for n, when in enumerate(times)} | {"Slot/timeless": timeless}
    held = linking(*(str(n) for n in range(len(times))), "timeless")
    one, other = visits(visit("x", **held), visit("y", **held))
    wrong = checking.overlap(one, other, shared, {"Schedule/s": frozenset({P})})
    assert (wrong is None) is covered


@pytest.mark.parametrize(
    ("slot_", "naming", "expected"),
    [
        (group("a", 1, status="free"), [visit("x")], ["slot-not-busy"]),
        (group("a", 2, status="free"), [visit("x")], []),
        (group("a", 2, status="busy"), [visit("x")], []),
        (group("a", 2, status="busy-tentative"), [visit("x")], []),
        (group("a", 2, status="busy-unavailable"), [visit("x")], ["slot-not-busy"]),
        (group("a", 2, status="free"), [visit("x"), visit("y")], ["slot-not-busy"]),
        (group("a", 2, status="busy"), [visit("x"), visit("y")], []),
        (group("a", 2, status="busy"), [visit("x"), visit("y"), visit("z")], ["capacity"]),
        (group("a", 2, status="busy"), [visit("x"), visit("y"), visit("z") | REASON], []),
        (group("a", 2, status="busy"), [visit("x"), visit("y"), visit("z", status="cancelled")], []),
        (group("a", 1, status="busy"), [visit("x"), visit("y", appointmentType=of_type("WALKIN"))], ["capacity"]),
        (
            group("a", 2, status="busy"),
            [visit("x", "10:00", "10:10"), visit("y"), visit("z", "10:10")],
            ["slot-shared"],
        ),
        (group("a", 2, status="busy"), [*map(visit, "wxy"), visit("z", "10:29", "10:30")], ["capacity"]),
        (slot("a", status="busy"), [visit("x", end=None), visit("y", end=None)], ["capacity"]),
        (slot("a", status="busy"), [], ["slot-without-owner"]),
        (slot("a", status="busy-tentative"), [visit("x", status="cancelled")], ["slot-without-owner"]),
        (slot("a", status="busy"), [visit("x", status="cancelled"), visit("y", status="noshow")], []),
        (slot("a", status="busy-unavailable"), [], []),
        (slot("a"), [visit("x", status="proposed")], []),
        (slot("a", status="busy"), [visit("x", "10:30", "11:00")], ["slot-elsewhere"]),
        (slot("a", status="busy"), [visit("x", "09:30", "10:00")], ["slot-elsewhere"]),
        (slot("a", status="busy"), [visit("x", "10:29", "11:00")], []),
        (slot("a", status="busy"), [visit("x", "09:30", "10:01")], []),
        (slot("a", status="busy"), [visit("x", "11:00", None)], []),
        (slot("a", status="busy"), [visit("x") | {"start": None, "end": at("09:00")}], []),
        (slot("a", status="busy") | {"start": None}, [visit("x", "11:00", "12:00")], []),
        (slot("a", status="busy") | {"end": None}, [visit("x", "08:00", "09:00")], []),
    ],
)
def test_what_is_wrong_with_a_slot_and_those_who_name_it(
    slot_: Resource, naming: list[Resource], expected: list[str]
) -> None:
    told = list(checking.slot_findings(slot_, iter(naming)))
    assert [wrong.kind for wrong in told] == expected
    assert all(wrong.resource == "Slot/a" for wrong in told)
    assert [wrong.note for wrong in told] == [kind in ("slot-shared", "slot-without-owner") for kind in expected]


@pytest.mark.parametrize(
    ("slot_", "present", "expected"),
    [
        (slot("a"), ["Schedule/s"], []),
        (slot("a"), ["Schedule/t"], ["schedule-missing"]),
        (slot("a", status="entered-in-error"), [], []),
    ],
)
def test_a_slot_whose_schedule_is_gone_is_told_of(slot_: Resource, present: list[str], expected: list[str]) -> None:
    told = [(wrong.kind, wrong.resource) for wrong in checking.missing_schedule(slot_, present)]
    assert told == [(kind, "Slot/a") for kind in expected]
