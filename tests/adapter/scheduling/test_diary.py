"""Whose time is taken when: each appointment once, however many of its people and hours are asked for."""

from __future__ import annotations

from adapter.scheduling.diary import Diary, Entry
from tests.adapter.scheduling.support import span

P, Q = "Practitioner/p", "Practitioner/q"


def diary() -> Diary:
    found = Diary()
    for name, when, people in (
        ("Appointment/both", span("10:00", "12:30"), (P, Q)),
        ("Appointment/early", span("10:00", "10:20"), (P,)),
        ("Appointment/late", span("10:40", "11:00"), (Q,)),
    ):
        found.add(Entry(name, {}, when, people))
    return found


def test_each_is_found_once_whose_time_meets_one_that_is_asked_for() -> None:
    def names(**times: str) -> list[str]:
        asked = {f"Practitioner/{who}": [span(when[:5], when[6:])] for who, when in times.items()}
        return [one.name.partition("/")[2] for one in diary().at(asked)]

    assert names(p="10:00-12:00", q="10:00-12:00") == ["both", "early", "late"]
    assert names(p="10:20-10:40") == ["both"], "the hour alone is not enough"
    assert names(q="10:50-11:10") == ["both", "late"]
    assert names(q="12:30-13:00", r="10:00-12:00") == []


def test_all_are_told_in_the_order_in_which_they_came() -> None:
    assert [(one.name, one.people) for one in diary()] == [
        ("Appointment/both", (P, Q)),
        ("Appointment/early", (P,)),
        ("Appointment/late", (Q,)),
    ]
