"""An increment goes on from an export that held whatever it holds itself, under the same names; others are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.export.before import Before
from adapter.export.folder import NotUsable

Json = dict[str, Any]
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
FIRST: Json = {"database": "d_test", "types": ["Appointment", "Slot"], "filters": {}, "deidentified": None}


def refusal(before: Json, now: Json) -> str:
    with pytest.raises(NotUsable) as caught:
        Before(NOON, "mon/manifest.json", FIRST | before).require(FIRST | now)
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, {}),
        ({}, {"types": ["Slot"]}),
        ({}, {"filters": {"practitioner": "p"}}),
        ({"filters": {"status": ["arrived", "booked"]}}, {"filters": {"status": ["booked"], "facility": "l"}}),
        ({"filters": {"date_from": "2026-01-01"}}, {"filters": {"date_from": "2026-01-02", "timezone": "UTC"}}),
        ({"filters": {"date_to": "2026-02-01"}}, {"filters": {"date_to": "2026-02-01"}}),
        ({"deidentified": "k"}, {"deidentified": "k", "filters": "hidden"}),
        ({"deidentified": "k", "filters": "hidden"}, {"deidentified": "k", "filters": "hidden"}),
    ],
)
def test_what_was_held_before_is_gone_on_from(before: Json, now: Json) -> None:
    Before(NOON, "mon/manifest.json", FIRST | before).require(FIRST | now)


@pytest.mark.parametrize(
    ("before", "now", "difference", "remedy"),
    [
        ({}, {"types": ["Appointment", "Patient", "Group"]}, "without Patient, Group:", "out of --type"),
        ({"deidentified": "a"}, {"deidentified": "b"}, "another key", "Give that one"),
        ({"deidentified": "a"}, {}, "this export has none", "Give --deidentify"),
        ({}, {"deidentified": "a"}, "this export has:", "Leave out --deidentify"),
        ({"filters": {"practitioner": "p"}}, {}, "other --practitioner:", "the same"),
        ({"filters": {"patient_uhid": "A"}}, {"filters": {"patient_uhid": "B"}}, "other --patient-uhid:", "the same"),
        (
            {"filters": {"status": ["booked"]}},
            {"filters": {"status": ["arrived", "booked"]}},
            "other --status:",
            "same",
        ),
        (
            {"filters": {"date_from": "2026-01-02", "date_to": "2026-01-03", "timezone": "UTC"}},
            {"filters": {"date_from": "2026-01-01", "date_to": "2026-01-04", "timezone": "Africa/Kampala"}},
            "other --date-from, --date-to, ADAPTER_TIMEZONE:",
            "the same",
        ),
        (
            {"deidentified": "k", "filters": "hidden"},
            {"deidentified": "k", "filters": "other"},
            "other filters:",
            "the same",
        ),
        ({"deidentified": "k", "filters": "hidden"}, {"deidentified": "k"}, "other filters:", "the same"),
    ],
)
def test_the_difference_is_told_with_what_to_do(before: Json, now: Json, difference: str, remedy: str) -> None:
    said = refusal(before, now)
    assert said.startswith("--since mon/manifest.json ")
    assert difference in said
    assert remedy in said
    assert said.endswith("or give the instant: --since 2026-01-10T12:00:00.000Z.")


def test_another_database_is_told() -> None:
    said = refusal({}, {"database": "d_live"})
    assert said == "--since mon/manifest.json is of the database d_test, this export of d_live: check --mode."


def test_what_is_not_known_hinders_nothing() -> None:
    Before(NOON, "2026-01-10T12:00:00Z").require(FIRST | {"deidentified": "k", "filters": "hidden"})
