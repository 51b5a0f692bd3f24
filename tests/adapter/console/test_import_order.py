"""``mediloop-fhir import`` of changes to what is there: what frees a time may stand behind what takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapter.console.imports import MEDILOOP, PEOPLE, SCHEDULE, Import, Json, Stored, content, lines, slot, visit
from tests.adapter.console.increments import BASE, CAPACITY, OVERBOOKED, cancelled, check, closed

_MEMBERS = {*MEDILOOP} - {"id", "branch", "cancellation_reason_code", "cancelled_at"}


def test_what_frees_a_time_may_come_after_what_takes_it(small: Import, stored: Stored) -> None:
    small(a__ndjson=lines(*BASE, visit("m", 9, "x"), visit("n", 10, "y")))
    # In the order of their ids: a takes what m lets go, b what n leaves for w, and c what n had.
    later = [visit("a", 9, "x"), visit("b", 10, "y"), cancelled("m", 9, "x"), visit("n", 12, "w")]
    assert small(b__ndjson=lines(*later)) == {"created": 2, "updated": 2}
    assert {one["_id"]: one["status"] for one in stored("Slot")} == dict.fromkeys("xyw", "busy") | {"z": "free"}
    assert not small.errors.exists()
    assert small(b__ndjson=lines(*later)) == {"unchanged": 4}
    check(small.cli)


def test_a_chain_and_a_ring_of_moves(small: Import, stored: Stored) -> None:
    small(a__ndjson=lines(*BASE, visit("a", 9, "x"), visit("b", 10, "y"), visit("c", 11, "z")))
    chain = [visit("a", 10, "y"), visit("b", 11, "z"), visit("c", 12, "w")]
    assert small(b__ndjson=lines(*chain)) == {"updated": 3}
    ring = [visit("a", 11, "z"), visit("b", 12, "w"), visit("c", 10, "y")]
    filler = [{**PEOPLE[2], "id": f"p{number}"} for number in range(3)]
    assert small(c__ndjson=lines(ring[0], *filler, *ring[1:])) == {"updated": 3, "created": 3}
    assert {one["_id"]: one["slot"][0]["reference"] for one in stored("Appointment")} == {
        "a": "Slot/z",
        "b": "Slot/w",
        "c": "Slot/y",
    }
    check(small.cli)


def test_a_ring_comes_in_beside_one_that_clashes_with_it(small: Import, stored: Stored) -> None:
    small(a__ndjson=lines(*BASE, visit("a", 9, "x"), visit("b", 10, "y")))
    swapped = [visit("a", 10, "y"), visit("b", 9, "x")]
    assert small(b__ndjson=lines(visit("0", 10, "y"), *swapped)) == {"updated": 2, "refused": 1}
    assert small.refused() == [(1, ["slot_unavailable", "time_conflict"])]
    check(small.cli)


def test_what_still_clashes_is_refused_with_its_reasons(small: Import, stored: Stored) -> None:
    small(a__ndjson=lines(*BASE, visit("m", 9, "x")))
    found = small(b__ndjson=lines(visit("a", 9, "x"), visit("b", 10, "y"), visit("c", 10, "y")))
    assert found == {"created": 1, "refused": 2}
    assert small.refused() == [(1, ["slot_unavailable", "time_conflict"]), (3, ["slot_unavailable", "time_conflict"])]
    assert sorted(one.name for one in Path().iterdir()) == ["files"]


def test_slots_move_and_close_with_their_visits(small: Import, stored: Stored) -> None:
    small(a__ndjson=lines(*BASE, visit("a", 9, "x"), visit("b", 10, "y"), visit("c", 11, "z")))
    later = [
        slot("x", 13, status="busy"),  # moved with its visit
        visit("a", 13, "x"),
        slot("y", 10, status="busy-unavailable"),  # closed when its visit was cancelled
        cancelled("b", 10, "y"),
        slot("z", 11, status="busy"),  # closed likewise, by the word that it had
        cancelled("c", 11, "z"),
    ]
    assert small(b__ndjson=lines(*later)).get("refused") is None
    after = {one["_id"]: (one["status"], one["start"][11:13]) for one in stored("Slot")}
    assert after == {"x": ("busy", "13"), "y": ("busy-unavailable", "10"), "z": ("busy", "11"), "w": ("free", "12")}
    assert small(b__ndjson=lines(*later)) == {"unchanged": 6}
    check(small.cli)


def test_a_slot_that_gets_more_places_is_open_again(small: Import, stored: Stored) -> None:
    small(a__ndjson=lines(*BASE, visit("a", 9, "x")))
    room = CAPACITY | {"valueInteger": 2}
    assert small(b__ndjson=lines(slot("x", 9, extension=[room]))) == {"updated": 1}
    assert [one["status"] for one in stored("Slot") if one["_id"] == "x"] == ["free"]
    assert small(b__ndjson=lines(slot("x", 9, extension=[room]), visit("b", 9, "x"))) == {"created": 1, "unchanged": 1}
    assert small(b__ndjson=lines(slot("x", 9, extension=[room]), visit("b", 9, "x"))) == {"unchanged": 2}
    assert [one["status"] for one in stored("Slot") if one["_id"] == "x"] == ["busy"]


def test_uhids_and_numbers_change_hands(small: Import, stored: Stored) -> None:
    def known(ident: str, value: str) -> Json:
        return PEOPLE[2] | {
            "id": ident,
            "identifier": [{"system": "https://mediloop.co/fhir/sid/uhid", "value": value}],
        }

    small(a__ndjson=lines(known("a", "UG123456789A"), known("b", "UG987654321B")))
    assert small(b__ndjson=lines(known("a", "UG987654321B"), known("b", "UG123456789A"))) == {"updated": 2}
    assert small(b__ndjson=lines(known("a", "UG987654321B"), known("b", "UG123456789A"))) == {"unchanged": 2}
    assert small(b__ndjson=lines(known("c", "UG123456789A"))) == {"refused": 1}
    assert small.refused() == [(1, ["identifier_taken"])]


def test_of_two_new_patients_with_one_uhid_the_first_stands_whatever_the_batch(small: Import) -> None:
    uhid = {"identifier": [{"system": "https://mediloop.co/fhir/sid/uhid", "value": "UG777000001A"}]}
    twins = lines(PEOPLE[2] | uhid | {"id": "tw-1"}, PEOPLE[2] | uhid | {"id": "tw-2"})
    for word in ("created", "unchanged"):
        assert small(a__ndjson=twins) == {word: 1, "refused": 1}
        assert small.refused() == [(2, ["identifier_taken"])]


def test_an_older_line_never_comes_after_a_newer_one(small: Import, stored: Stored) -> None:
    small(a__ndjson=lines(*BASE, visit("m", 9, "x"), visit("a", 10, "y")))
    twice = [visit("a", 9, "x"), visit("a", 11, "z"), cancelled("m", 9, "x")]
    refused = small(b__ndjson=lines(*twice)).get("refused")
    [after] = [one for one in stored("Appointment") if one["_id"] == "a"]
    assert after["slot"] == [{"reference": "Slot/z"}]
    # In one batch the older one comes in first; it is too late for it when the newer one has.
    assert not refused or small.refused() == [(1, ["slot_unavailable", "time_conflict"])]


NUMBER = "https://mediloop.co/fhir/sid/appointment-number"


def test_an_older_line_without_an_id_never_comes_after_a_newer_one(small: Import, stored: Stored) -> None:
    number = {"identifier": [{"system": NUMBER, "value": "APT-1"}]}
    small(a__ndjson=lines(*BASE, visit("m", 9, "x"), visit("a", 10, "y", **number)))
    older = {name: value for name, value in visit("a", 9, "x", **number).items() if name != "id"}
    refused = small(b__ndjson=lines(older, visit("a", 11, "z", **number), cancelled("m", 9, "x"))).get("refused")
    assert {one["_id"]: one["start"][11:13] for one in stored("Appointment")} == {"m": "09", "a": "11"}
    assert not refused or small.refused() == [(1, ["slot_unavailable", "time_conflict"])]
    check(small.cli)


def test_an_older_line_without_an_id_never_comes_after_what_a_newer_one_has_made(small: Import, stored: Stored) -> None:
    number = {"identifier": [{"system": NUMBER, "value": "APT-1"}]}
    small(a__ndjson=lines(*BASE, visit("m", 9, "x")))
    older = {name: value for name, value in visit("a", 9, "x", **number).items() if name != "id"}
    found = small(b__ndjson=lines(older, visit("a", 11, "z", **number), cancelled("m", 9, "x")))
    assert found == {"created": 1, "updated": 1, "refused": 1}
    assert {one["_id"]: one["start"][11:13] for one in stored("Appointment")} == {"m": "09", "a": "11"}


def test_two_without_ids_change_places(small: Import, stored: Stored) -> None:
    def object_(number: str, hour: int) -> Json:
        members = {name: value for name, value in MEDILOOP.items() if name in _MEMBERS}
        times = {"start_time": f"2027-01-20T{hour:02d}:00:00Z", "end_time": f"2027-01-20T{hour:02d}:30:00Z"}
        return members | times | {"appointment_number": number, "status": "booked"}

    def known(ident: str, number: str, hour: int) -> Json:  # under an id that is not made from its number
        return visit(ident, hour, identifier=[{"system": NUMBER, "value": number}])

    small(a__ndjson=lines(*PEOPLE, known("a", "APT-1", 9), known("b", "APT-2", 10)))
    assert small(b__json=lines(object_("APT-1", 10), object_("APT-2", 9))) == {"updated": 2}
    assert small(b__json=lines(object_("APT-1", 10), object_("APT-2", 9))) == {"unchanged": 2}
    check(small.cli)


# What was there, what is told of it later, and what was booked over others or closed by hand stays busy by.
_BUSY_STILL: dict[str, tuple[list[Json], list[Json]]] = {
    "one takes the place of another in a closed group": (
        [closed("x", 9, 2), visit("m", 9, "x")],
        [cancelled("m", 9, "x"), visit("n", 9, "x")],
    ),
    "one who comes first takes the last place of a closed group": (
        [closed("x", 9, 2), visit("m", 9, "x")],
        [visit("a", 9, "x"), cancelled("m", 9, "x")],
    ),
    "one who was booked over another does not come": (
        [slot("x", 9), visit("m", 9, "x"), visit("n", 9, "x", extension=[OVERBOOKED])],
        [cancelled("m", 9, "x"), visit("n", 9, "x", extension=[OVERBOOKED], status="noshow")],
    ),
    "one who took the place of another does not come": (
        [slot("x", 9), visit("m", 9, "x")],
        [cancelled("m", 9, "x"), visit("n", 9, "x", status="noshow")],
    ),
}


@pytest.mark.parametrize("case", _BUSY_STILL)
def test_a_slot_that_was_not_written_is_as_it_was_though_it_was_free_for_a_while(
    small: Import, stored: Stored, case: str
) -> None:
    before, after = _BUSY_STILL[case]
    text = {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Busy</div>'}}
    before = [{**before[0], **text, "status": "busy"}, *before[1:]]
    small(a__ndjson=lines(*PEOPLE, SCHEDULE, *before))
    assert small(b__ndjson=lines(*after)).get("refused") is None
    [found] = [content(one) for one in stored("Slot")]
    assert found == before[0]
    assert small(b__ndjson=lines(*after)) == {"unchanged": 2}
    check(small.cli)
    assert sorted(one.name for one in Path().iterdir()) == ["files"]


def test_a_slot_is_busy_for_who_was_expected_and_did_not_come(small: Import, stored: Stored) -> None:
    small(a__ndjson=lines(*BASE, visit("m", 9, "x", status="pending")))
    later = lines(slot("x", 9, status="busy"), visit("m", 9, "x", status="noshow"))  # it was confirmed in between
    assert small(b__ndjson=later).get("refused") is None
    assert {one["_id"]: one["status"] for one in stored("Slot")} == dict.fromkeys("yzw", "free") | {"x": "busy"}
    assert small(b__ndjson=later) == {"unchanged": 2}


def test_files_without_slots_free_what_is_given_up(small: Import, stored: Stored) -> None:
    room = {"extension": [CAPACITY | {"valueInteger": 2}]}
    absent = visit("o", 12, "w", extension=[OVERBOOKED], status="noshow")
    here = [visit("m", 9, "x"), visit("n", 9, "x"), visit("p", 10, "y"), visit("q", 12, "w"), absent]
    small(a__ndjson=lines(*PEOPLE, SCHEDULE, slot("x", 9, **room), slot("y", 10), slot("w", 12, status="busy"), *here))
    nightly = [cancelled("m", 9, "x"), visit("n", 9, "x"), cancelled("p", 10, "y"), cancelled("q", 12, "w"), absent]
    assert small(b__ndjson=lines(*nightly)) == {"updated": 3, "unchanged": 2}
    assert {one["_id"]: one["status"] for one in stored("Slot")} == dict.fromkeys("xyw", "free")


def test_a_slot_is_as_it_was_though_the_import_was_interrupted(
    bring: Import, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter.importing.books import Books

    bring(a__ndjson=lines(*PEOPLE, SCHEDULE, closed("x", 9, 2), visit("m", 9, "x")))
    file = bring.folder / "b.ndjson"
    file.write_bytes(lines(cancelled("m", 9, "x"), visit("n", 9, "x")))
    words = ["import", str(file), "--state", "s", "--batch", "1", "--errors", str(bring.errors)]

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Books, "note", stop)  # it is written, and not noted
        assert bring.cli.run(*words).exit_code == 130
    assert [one["status"] for one in stored("Slot")] == ["free"]
    assert bring.cli.run(*words).stdout.startswith("1 created, 0 updated, 1 unchanged, 0 refused")
    assert [one["status"] for one in stored("Slot")] == ["busy"]
