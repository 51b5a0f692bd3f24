"""``mediloop-fhir import`` of MediLoop's own objects: into Slots that stand busy, with patients who come later."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.adapter.console.imports import MEDILOOP, PEOPLE, SCHEDULE, Import, Json, Stored, lines, slot

_LEFT_OUT = ("branch", "cancellation_reason_code", "cancelled_at")
VISIT: Json = {name: value for name, value in MEDILOOP.items() if name not in _LEFT_OUT} | {
    "status": "booked",
    "start_time": "2027-01-20T09:00:00Z",
    "end_time": "2027-01-20T09:30:00Z",
}


def patient(ident: str, uhid: str, system: str = "https://mediloop.co/fhir/sid/uhid") -> Json:
    return PEOPLE[2] | {"id": ident, "identifier": [{"system": system, "value": uhid}]}


@pytest.mark.parametrize("status", ["busy", "busy-tentative"])
def test_a_slot_that_is_busy_for_nobody_is_filled(bring: Import, stored: Stored, status: str) -> None:
    hospital = lines(*PEOPLE, SCHEDULE, slot("x", 9, status=status))
    assert bring(a__ndjson=hospital, b__json=lines(VISIT)) == {"created": 6}
    [appointment] = stored("Appointment")
    assert appointment["slot"] == [{"reference": "Slot/x"}]
    assert [one["status"] for one in stored("Slot")] == ["busy"]
    assert bring(a__ndjson=hospital, b__json=lines(VISIT)) == {"unchanged": 6}
    second = VISIT | {"id": "apt-2", "appointment_number": "APT-2"}
    assert bring(b__json=lines(second)) == {"refused": 1}
    assert bring.refused() == [(1, ["time_conflict"])]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(("member", "outcome"), [("score", {"left_out": {"score": 1}}), ("duration_minutes", {})])
def test_a_number_beyond_all_in_what_nobody_knows_is_left_out_with_it(
    bring: Import, listed: bool, member: str, outcome: dict[str, Any]
) -> None:
    visit, second = VISIT | {member: "?"}, VISIT | {"id": "apt-2", "appointment_number": "APT-2"}
    second |= {"start_time": "2027-01-20T10:00:00Z", "end_time": "2027-01-20T10:30:00Z"}
    raw = json.dumps({"count": 2, "results": [visit, second]}).encode() if listed else lines(visit, second)
    brought = bring(a__ndjson=lines(*PEOPLE, SCHEDULE), b__ndjson=raw.replace(b'"?"', b"1e400"))
    assert brought == ({"created": 6} if outcome else {"created": 5, "refused": 1}) | outcome


def test_a_free_slot_goes_before_one_that_is_busy_and_no_closed_one_is_filled(bring: Import, stored: Stored) -> None:
    busy, closed = slot("a", 9, status="busy"), slot("c", 10, status="busy-unavailable")
    later = VISIT | {"id": "apt-2", "appointment_number": "APT-2", "start_time": "2027-01-20T10:00:00Z"}
    later["end_time"] = "2027-01-20T10:30:00Z"
    bring(a__ndjson=lines(*PEOPLE, SCHEDULE, busy, slot("b", 9), closed))
    assert bring(b__json=lines(VISIT, later)) == {"created": 2}
    held = {one["_id"]: one.get("slot") for one in stored("Appointment")}
    assert held == {VISIT["id"]: [{"reference": "Slot/b"}], "apt-2": None}
    assert {one["_id"]: one["status"] for one in stored("Slot")} == {"a": "busy", "b": "busy", "c": "busy-unavailable"}


def test_patients_who_are_not_stored_are_refused_where_the_settings_say_so(
    bring: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias = "https://aliases.example/uhid"
    monkeypatch.setenv("ADAPTER_UNKNOWN_PATIENTS", "refuse")
    stranger = VISIT | {"id": "apt-2", "appointment_number": "APT-2", "patient_uhid": "UG111111111C"}
    monkeypatch.setenv("ADAPTER_UHID_ALIASES", alias)
    known = patient("john", VISIT["patient_uhid"], alias)
    assert bring(a__ndjson=lines(*PEOPLE[:2], known), b__json=lines(stranger, VISIT)) == {"created": 4, "refused": 1}
    assert bring.refused() == [(1, ["unknown_patient"])]
    nowhere = stranger | {"practitioner_id": "nobody"}
    assert bring(b__json=lines(nowhere)) == {"refused": 1}
    assert bring.refused() == [(1, ["unknown_patient", "unknown_practitioner"])]
    monkeypatch.setenv("ADAPTER_UNKNOWN_ACTORS", "accept")
    assert bring(b__json=lines(nowhere)) == {"refused": 1}
    assert bring.refused() == [(1, ["unknown_patient"])]
    monkeypatch.setenv("ADAPTER_UNKNOWN_PATIENTS", "accept")
    assert bring(b__json=lines(nowhere)) == {"created": 1}


def test_a_patient_who_comes_later_is_referred_to_when_the_object_comes_again(bring: Import, stored: Stored) -> None:
    assert bring(a__ndjson=lines(*PEOPLE[:2]), b__json=lines(VISIT)) == {"created": 3}
    [before] = stored("Appointment")
    people = lines(patient("john", VISIT["patient_uhid"]), patient("jane", "UG987654321B"))
    assert bring(p__ndjson=people, b__json=lines(VISIT)) == {"created": 2, "updated": 1}
    [after] = stored("Appointment")
    [actor] = [one["actor"] for one in after["participant"] if one["actor"].get("type") == "Patient"]
    [bare] = [one["actor"] for one in before["participant"] if one["actor"].get("type") == "Patient"]
    assert actor == bare | {"reference": "Patient/john"}
    assert bring(p__ndjson=people, b__json=lines(VISIT)) == {"unchanged": 3}


@pytest.mark.parametrize("as_list", [True, False])
def test_a_member_that_is_given_twice_is_refused_by_name(bring: Import, as_list: bool) -> None:
    line = lines(VISIT).strip()
    twice = line.replace(b'"status":', b'"status": "cancelled", "status":')
    inner = line.replace(b'"status":', b'"branch": {"room": 1, "room": 2}, "status":')
    sound = lines(VISIT | {"id": "apt-2", "appointment_number": "APT-2", "status": "noshow"}).strip()
    one_each = b"\n".join([twice, inner, sound])
    file = b'{"results": [' + one_each.replace(b"\n", b",") + b"]}" if as_list else one_each
    assert bring(a__ndjson=lines(*PEOPLE), b__json=file) == {"created": 4, "refused": 2}
    assert bring.refused() == [(1, ["duplicate_key"]), (2, ["duplicate_key"])]
    reasons = [json.loads(one)["reasons"] for one in bring.errors.read_text().splitlines()]
    assert ["status" in reasons[0][0]["message"], "room" in reasons[1][0]["message"]] == [True, True]


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"duration_minutes": 45}, "duration_minutes"),  # longer than from start to end: it would show as 30
        ({"duration_minutes": 0}, "duration_minutes"),
        ({"duration_minutes": True}, "duration_minutes"),
        ({"end_time": "2027-01-20T09:00:00Z"}, "end_time"),
        ({"end_time": "2027-01-20T08:00:00Z", "duration_minutes": 30}, "end_time"),
        ({"start_time": "1900-01-01T00:00:00+14:00"}, "start_time"),
        ({"start_time": "2999-12-31T23:30:00Z", "end_time": None}, "duration_minutes"),  # would end in 3000
        ({"priority": 0}, "priority"),
        ({"priority": 11}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"appointment_type_code": "FOO"}, "appointment_type_code"),
        ({"reason_text": "a\u0007b"}, "reason_text"),
    ],
)
def test_what_the_door_refuses_is_refused(bring: Import, members: Json, wrong: str) -> None:
    assert bring(a__ndjson=lines(*PEOPLE), b__json=lines(VISIT | members)) == {"created": 3, "refused": 1}
    [line] = bring.errors.read_text().splitlines()
    assert [reason["param"] for reason in json.loads(line)["reasons"]] == [wrong]


@pytest.mark.parametrize(
    "members",
    [
        {"duration_minutes": 20},  # as FHIR may have it, and our own lists show it
        {"end_time": "2027-01-20T09:00:30Z", "duration_minutes": 1},
        {"end_time": "2027-01-22T09:00:00Z", "duration_minutes": 2880},
        {"reason_text": "x" * 20_000, "notes": "y" * 20_000},
        {"appointment_type_code": None, "priority": None},
    ],
)
def test_what_another_server_can_show_comes_in_as_it_is(bring: Import, stored: Stored, members: Json) -> None:
    from mappings.appointment import view

    visit = VISIT | members
    assert bring(a__ndjson=lines(*PEOPLE), b__json=lines(visit)) == {"created": 4}
    shown = view(stored("Appointment")[0])
    assert {name: shown[name] for name, value in members.items() if value is not None} == {
        name: value for name, value in members.items() if value is not None
    }
