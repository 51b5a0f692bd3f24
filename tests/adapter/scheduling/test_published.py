"""Which Slots of whom there are: by all their Schedules, and by the roles that these name."""

from __future__ import annotations

from adapter.scheduling.people import People
from adapter.scheduling.published import Published
from tests.adapter.scheduling.support import schedule, slot, span

P, Q, ROLE = "Practitioner/p", "Practitioner/q", "PractitionerRole/r"
SCHEDULES = {
    "Schedule/s": schedule("s", P),
    "Schedule/t": schedule("t", ROLE, Q),
    "Schedule/room": schedule("room", "Location/l"),
}
SLOTS = {
    f"Slot/{one['id']}": one
    for one in (
        slot("a"),
        slot("b", "10:00", "11:30", schedule="t", status="busy"),
        slot("c", "11:00", "11:30", schedule="t"),
        slot("hidden"),
        slot("r", schedule="room"),
    )
}


def test_the_slots_of_a_practitioner_are_those_of_all_their_schedules_each_once() -> None:
    published = Published(SLOTS, SCHEDULES, People({ROLE: P}), hidden={"Slot/hidden"})
    assert published.offers(P, span("10:00", "10:30")) == ["Slot/a", "Slot/b"]
    assert sorted(published.offers(P, span("10:00", "11:30"))) == ["Slot/a", "Slot/b", "Slot/c"]
    assert published.offers(Q, span("11:00", "12:00")) == ["Slot/b", "Slot/c"]
    assert published.offers(ROLE, span("10:00", "12:00")) == [], "by the practitioner's own name"
    assert published.calendars(P) == {name: SCHEDULES[name] for name in ("Schedule/s", "Schedule/t")}
    assert published.calendars("Practitioner/unknown") == {}
