"""The rules that a store must obey, each by itself; `test_verifying` holds real stores to them."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.scheduling import checking, occupancy
from adapter.scheduling.checking import Sweep, visit_of
from store.codec import Resource
from tests.adapter.scheduling.sharing import EXTENSIONS, group
from tests.adapter.scheduling.support import at, linking, slot, visit

REASON = {"extension": [{"url": f"{EXTENSIONS}/overbooked", "valueString": "a mother in labour"}]}


def test_who_takes_the_time_of_a_visit() -> None:
    contained = [
        {"resourceType": "Practitioner", "id": "in", "identifier": [{"system": "urn:s", "value": "1"}]},
        {"resourceType": "Patient", "id": "pat"},
    ]
    actors: list[Resource] = [
        {"reference": "Practitioner/p"},
        {"reference": "http://elsewhere/fhir/PractitionerRole/r"},
        {"reference": "#in"},
        {"reference": "#pat"},
        {"type": "Practitioner", "identifier": {"system": "urn:s", "value": "2"}},
        {"type": "PractitionerRole", "identifier": {"system": "urn:S", "value": " Three "}},
        {
            "type": "http://hl7.org/fhir/StructureDefinition/Practitioner",
            "reference": "http://elsewhere/d/7/_history/2",
        },
        {"type": "Practitioner", "reference": "http://elsewhere/d/8", "identifier": {"system": "urn:s", "value": "4"}},
        {"reference": "http://elsewhere/d/9"},
        {"display": "nobody"},
    ]
    one = {**visit("x"), "contained": contained, "participant": [{"actor": actor} for actor in actors]}
    expected = {"Practitioner/p", "Practitioner/q", "http://elsewhere/d/7", "http://elsewhere/d/8"}
    expected |= {"urn:s|1", "urn:s|2", "urn:s|three", "urn:s|4"}
    assert checking.people_of(one, {"PractitionerRole/r": "Practitioner/q"}) == expected


@pytest.mark.parametrize("members", [{"status": "proposed"}, {"start": None}, {"end": at("09:00")}])
def test_what_takes_no_time_is_no_visit(members: dict[str, Any]) -> None:
    assert visit_of({**visit("x"), **members}, {}) is None


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
        return checking.doubled("Location/room", first, second, slots, rooms) is not None

    assert wrong(one, other)
    assert not wrong(one, {**other, **linking("a", "b")})
    assert not wrong(one, {**other, "status": "cancelled"})
    assert not wrong(one, other | REASON)
    assert not wrong(one, visit("y", **linking("unknown")))
    timeless = {name: value for name, value in other.items() if name not in ("start", "end")}
    assert wrong(one, timeless)
    assert checking.stay("Location/room", slot("a", "10:00", "10:00"), one) is None


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


@pytest.mark.parametrize(("stated", "room"), [(None, 1), (0, 1), ("2", 1), (4, 4)])
def test_the_room_of_a_slot(stated: Any, room: int) -> None:
    assert checking.capacity(group("a", stated)) == room
    assert occupancy.CAPACITY == checking._CAPACITY  # written twice, meant once


def test_a_slot_that_cannot_be_read_is_told_of_as_that_alone() -> None:
    assert list(checking.missing_schedule({"id": "a"}, ())) == []
