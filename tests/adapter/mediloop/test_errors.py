"""The table of errors in docs/mediloop.md names each code that a MediLoop caller can be given, and no other."""

from __future__ import annotations

from tests.adapter.codes import given, told

# What the modules that this door shares with others say to FHIR's writers, or to who makes keys.
TO_OTHERS = {
    *("ambiguous_participant", "appointment_final", "contradicting_answers", "unknown_appointment"),
    *("unknown_participant", "unknown_schedule", "invalid_capacity", "invalid_hours", "slot_held", "blank_reason"),
    *("api_key_already_rolled", "api_key_not_found", "too_many_hours", "reserved_id"),
}
_MODULES = ("mediloop/*.py", "scheduling/*.py", "security/*.py", "encoding.py", "gate.py", "protocol.py", "refusals.py")


def test_the_table_of_errors_is_complete() -> None:
    can_be = {code for code, _ in given(*_MODULES)}
    assert can_be >= TO_OTHERS
    assert {code for code, _ in told("mediloop.md", "## Errors")} == can_be - TO_OTHERS


def test_a_code_stands_with_each_status_that_it_comes_with() -> None:
    known = {one for one in given(*_MODULES) if one[0] not in TO_OTHERS and one[1] is not None}
    assert len(known) > 10
    assert known <= told("mediloop.md", "## Errors")
