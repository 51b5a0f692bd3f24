"""What is in the way of a refused item, and whether it is in the way of it alone as well."""

from __future__ import annotations

from adapter.errors import Conflict, Problem, Unprocessable
from adapter.importing import blocking

TAKEN = Problem("slot_unavailable", "", details={"slots": ["x"], "appointments": ["a"]}, entry=1)
BUSY = Problem("time_conflict", "", details={"appointments": ["b"]}, entry=1)
CLOSED = Problem("slot_unavailable", "", details={"slots": ["y"]}, entry=2)
HELD = Problem("still_referenced", "", details={"references": ["Slot/x"]}, entry=3)
OTHER = Problem("identifier_taken", "", details={"resources": ["Patient/p"], "status": "booked"}, entry=4)
ALL = Conflict([TAKEN, BUSY, CLOSED, HELD, OTHER])


def test_what_is_in_the_way_is_named() -> None:
    assert blocking.named(blocking.of(ALL, 1)) == {"Slot/x", "Appointment/a", "Appointment/b"}
    assert blocking.named(ALL) >= {"Slot/y", "Patient/p"}
    assert blocking.of(ALL, 2).problems == (CLOSED,)
    assert blocking.of(ALL, 2).status == 409


def test_what_only_stored_appointments_are_in_the_way_of_need_not_be_tried_alone() -> None:
    one = blocking.of(ALL, 1)
    assert blocking.is_stored(one, {"Appointment/c"})
    assert not blocking.is_stored(one, {"Appointment/b"})
    assert not blocking.is_stored(one, {"Slot/x"})
    assert not blocking.is_stored(blocking.of(ALL, 2), set())  # perhaps one of the batch has it
    assert not blocking.is_stored(Unprocessable([TAKEN]), set())


def test_what_keeps_time_may_have_to_come_together() -> None:
    raw = b'{"slot":[{"reference":"Slot/x"}],"actor":{"reference" : "Patient/p"},"a":{"reference":"#b"}}'
    assert blocking.references(raw) == {"Slot/x"}
