"""Which status may follow which, against a table written out by hand."""

from __future__ import annotations

from itertools import product

import pytest

from adapter.errors import Conflict
from adapter.scheduling.status import (
    FINAL,
    GRAPH,
    HOLDING,
    RESCHEDULABLE,
    UPCOMING,
    move_problem,
    require_move,
    require_reschedulable,
)

ORDER = (
    *("proposed", "pending", "waitlist", "booked", "arrived"),
    *("checked-in", "fulfilled", "cancelled", "noshow", "entered-in-error"),
)
TABLE = """
                  pro pen wai boo arr che ful can nos err
proposed           -   x   -   x   -   -   -   x   -   x
pending            -   -   -   x   -   -   -   x   -   x
waitlist           -   -   -   x   -   -   -   x   -   x
booked             -   -   -   -   x   x   x   x   x   x
arrived            -   -   -   -   -   x   x   x   x   x
checked-in         -   -   -   -   -   -   x   x   -   x
fulfilled          -   -   -   -   -   -   -   -   -   x
cancelled          -   -   -   -   -   -   -   -   -   x
noshow             -   -   -   -   -   -   -   -   -   x
entered-in-error   -   -   -   -   -   -   -   -   -   -
"""
ALLOWED = {
    (present, wanted): mark == "x"
    for present, *marks in (line.split() for line in TABLE.strip().splitlines()[1:])
    for wanted, mark in zip(ORDER, marks, strict=True)
}


def test_the_table_has_every_pair_of_the_ten_statuses() -> None:
    assert set(ALLOWED) == set(product(ORDER, ORDER))
    assert set(GRAPH) == set(ORDER)


@pytest.mark.parametrize(("present", "wanted"), [pair for pair, allowed in ALLOWED.items() if allowed])
def test_a_move_along_the_graph_is_allowed(present: str, wanted: str) -> None:
    assert require_move(present, wanted) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(("present", "wanted"), [pair for pair, allowed in ALLOWED.items() if not allowed])
def test_any_other_move_is_refused_and_names_what_is_allowed(present: str, wanted: str) -> None:
    with pytest.raises(Conflict) as refused:
        require_move(present, wanted)
    [problem] = refused.value.problems
    assert (refused.value.status, problem.code, problem.param) == (409, "invalid_status_transition", "status")
    left = [status for status in ORDER[:-1] if ALLOWED[present, status]]
    shown = "pending" if present == "waitlist" else present
    assert problem.details["status"] == shown
    assert sorted(problem.details["allowed"]) == sorted(left)  # type: ignore[call-overload]
    assert f"is {shown} cannot become {wanted}" in problem.message
    assert all(status in problem.message for status in left)
    assert ("That status is final." in problem.message) == (not left)


@pytest.mark.parametrize(("present", "wanted"), ALLOWED)
def test_fhir_callers_are_told_in_fhirs_words(present: str, wanted: str) -> None:
    problem = move_problem(present, wanted, "Appointment.status")
    assert (problem is None) == ALLOWED[present, wanted]
    if problem is not None:
        assert (problem.code, problem.param) == ("invalid_status_transition", "Appointment.status")
        allowed = [status for status in ORDER if ALLOWED[present, status]]
        assert problem.details["status"] == present
        assert sorted(problem.details["allowed"]) == sorted(allowed)  # type: ignore[call-overload]
        assert f"is {present} cannot become {wanted}" in problem.message


@pytest.mark.parametrize("present", ["proposed", "pending", "waitlist", "booked"])
def test_what_has_not_begun_can_be_rescheduled(present: str) -> None:
    assert require_reschedulable(present) is None  # type: ignore[func-returns-value]
    assert present in RESCHEDULABLE


@pytest.mark.parametrize("present", ["arrived", "checked-in", "fulfilled", "cancelled", "noshow", "entered-in-error"])
def test_what_has_begun_or_is_over_cannot_be_rescheduled(present: str) -> None:
    with pytest.raises(Conflict, match=f"{present} cannot be rescheduled") as refused:
        require_reschedulable(present)
    assert refused.value.problems[0].code == "invalid_status_transition"


def test_five_statuses_hold_time_and_only_a_pending_one_tentatively() -> None:
    assert dict(HOLDING) == {
        "pending": "busy-tentative",
        "booked": "busy",
        "arrived": "busy",
        "checked-in": "busy",
        "fulfilled": "busy",
    }


def test_what_can_still_move_is_upcoming() -> None:
    assert set(UPCOMING) == {status for status in ORDER if any(ALLOWED[status, next_] for next_ in ORDER[:-1])}
    assert not set(UPCOMING) & set(FINAL)
    assert set(UPCOMING) | set(FINAL) == set(ORDER)
