"""Appointments that come by FHIR, one or several at once, in a real store: which stand, and what becomes of slots."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict, Unprocessable
from adapter.scheduling.claimset import ClaimSet, Draft
from adapter.scheduling.reading import Stored
from adapter.scheduling.settling import Change, decide, settle
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.support import (
    ABROAD,
    HERE,
    advance,
    book,
    linking,
    links,
    of_type,
    publish_day,
    refused,
    role,
    schedule,
    settle_all,
    slot,
    statuses,
    visit,
)
from tests.store.support import change, create, everything, patient, stored

HELD = ["pending", "booked", "arrived", "checked-in", "fulfilled"]
NOT_HELD = ["proposed", "waitlist", "cancelled", "noshow", "entered-in-error"]
UNTIMED: Resource = {key: value for key, value in visit("x", status="proposed").items() if key not in ("start", "end")}


def of_q(ident: str, *times: str, **more: Any) -> Resource:
    return visit(ident, *times, who=("Practitioner/q",), **more)


# What passes.


async def test_other_resources_pass_untouched(store: Store) -> None:
    changes = [Change(None, patient("1")), Change(patient("2"), None)]
    assert await store.transact(lambda work: settle(work, changes, fills_slots=False)) == changes


async def test_what_does_not_concern_time_passes_without_a_word(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await change(store, "Slot", "a", status="busy-unavailable")
    [after] = await settle_all(store, visit("x", comment="bring the film", **linking("a")))
    assert after["comment"] == "bring the film"
    assert await statuses(store, "a") == ["busy-unavailable"]


@pytest.mark.parametrize("status", [*HELD, *NOT_HELD])
async def test_an_appointment_may_come_in_any_status(store: Store, status: str) -> None:
    [made] = await settle_all(store, visit("x", status=status))
    assert made["status"] == status


# Status.


async def test_a_move_that_the_graph_does_not_have_is_refused(store: Store) -> None:
    await settle_all(store, visit("x", status="fulfilled"))
    assert await refused(store, visit("x", status="booked")) == [("invalid_status_transition", "Appointment.status", 0)]


async def test_a_refused_move_names_the_present_status_and_what_it_allows(store: Store) -> None:
    await settle_all(store, visit("x", status="waitlist"))
    with pytest.raises(Unprocessable, match="is waitlist cannot become noshow") as raised:
        await settle_all(store, visit("x", status="noshow"))
    [problem] = raised.value.problems
    assert problem.details == {"status": "waitlist", "allowed": ["booked", "cancelled", "entered-in-error"]}


@pytest.mark.parametrize("status", [*HELD, "proposed", "waitlist", "cancelled", "noshow"])
async def test_everything_can_be_entered_in_error_and_then_stays(store: Store, status: str) -> None:
    await settle_all(store, visit("x", status=status))
    await settle_all(store, visit("x", status="entered-in-error"))
    assert await refused(store, visit("x", status=status)) == [("invalid_status_transition", "Appointment.status", 0)]


# Time.


@pytest.mark.parametrize("status", ["proposed", "waitlist", "cancelled"])
async def test_a_proposal_needs_no_time(store: Store, status: str) -> None:
    await settle_all(store, {**UNTIMED, "status": status})
    [after] = await settle_all(store, {**UNTIMED, "status": "cancelled"})
    assert after["status"] == "cancelled"


@pytest.mark.parametrize("status", HELD)
async def test_what_holds_time_needs_one(store: Store, status: str) -> None:
    assert await refused(store, {**UNTIMED, "status": status}) == [("invalid_time", "Appointment.start", 0)]


async def test_a_proposal_without_a_time_is_given_one_when_it_is_booked(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, UNTIMED)
    assert await refused(store, {**UNTIMED, "status": "booked"}) == [("invalid_time", "Appointment.start", 0)]
    [after, _] = await settle_all(store, visit("x"))
    assert links(after) == ["Slot/a"]


@pytest.mark.parametrize("status", ["booked", "proposed"])
async def test_an_end_before_the_start_is_refused(store: Store, status: str) -> None:
    wanted = visit("x", "10:00", "09:00", status=status)
    assert await refused(store, wanted) == [("invalid_time", "Appointment.start", 0)]


async def test_only_what_holds_time_needs_some_of_it(store: Store) -> None:
    assert await refused(store, visit("x", "10:00", "10:00")) == [("invalid_time", "Appointment.start", 0)]
    await settle_all(store, visit("x", "10:00", "10:00", status="proposed"))


@pytest.mark.parametrize("status", ["booked", "proposed"])
async def test_an_appointment_of_more_than_a_month_is_refused(store: Store, status: str) -> None:
    long = {**visit("x", status=status), "end": "2024-02-20T10:00:01Z"}
    assert await refused(store, long) == [("invalid_time", "Appointment.end", 0)]
    await settle_all(store, {**long, "end": "2024-02-20T10:00:00Z"})


async def test_a_time_that_was_stored_wrong_does_not_keep_an_appointment_from_being_cancelled(store: Store) -> None:
    await create(store, visit("x", "10:00", "09:00"))
    [after] = await settle_all(store, visit("x", "10:00", "09:00", status="cancelled"))
    assert after["status"] == "cancelled"


@pytest.mark.parametrize("status", ["arrived", "checked-in", "fulfilled", "cancelled", "noshow"])
async def test_what_has_begun_or_is_over_is_not_moved(store: Store, status: str) -> None:
    await settle_all(store, visit("x", status=status))
    moved = visit("x", "11:00", "11:30", status=status)
    assert await refused(store, moved) == [("invalid_status_transition", "Appointment.start", 0)]


async def test_the_same_moment_written_otherwise_is_no_move(store: Store) -> None:
    await settle_all(store, visit("x", status="arrived"))
    again = {**visit("x", status="arrived"), "start": "2024-01-20T13:00:00.000+03:00"}
    assert (await settle_all(store, again))[0]["start"] == again["start"]


async def test_a_wrong_status_and_a_wrong_time_are_told_once(store: Store) -> None:
    await settle_all(store, visit("x", status="cancelled"))
    assert await refused(store, visit("x", "12:00", "11:00", status="booked")) == [
        ("invalid_status_transition", "Appointment.status", 0),
        ("invalid_time", "Appointment.start", 0),
    ]


# Slots by name.


@pytest.mark.parametrize("status", HELD)
async def test_a_free_slot_that_is_named_is_taken(store: Store, status: str) -> None:
    await publish_day(store)
    [made, taken] = await settle_all(store, visit("x", status=status, **linking("a")), fills_slots=False)
    assert (links(made), taken["id"]) == (["Slot/a"], "a")
    assert await statuses(store, "a", "b") == ["busy-tentative" if status == "pending" else "busy", "free"]


@pytest.mark.parametrize("status", [one for one in NOT_HELD if one != "noshow"])
async def test_what_holds_no_time_takes_no_slot_and_may_name_any(store: Store, status: str) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", status=status, **linking("a", "none")))
    assert await statuses(store, "a") == ["free"]


async def test_several_slots_are_taken_together(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:10", "11:20", **linking("c", "a", "b")))
    assert await statuses(store, "a", "b", "c", "d") == ["busy", "busy", "busy", "free"]


async def test_a_gap_between_the_named_slots_is_refused(store: Store) -> None:
    await publish_day(store)
    wanted = visit("x", "10:00", "11:30", **linking("a", "c"))
    assert await refused(store, wanted) == [("slot_mismatch", "Appointment.slot", 0)]


@pytest.mark.parametrize("link", [{"reference": "Slot/none"}, {"reference": "urn:uuid:x"}, {"display": "the first"}])
async def test_a_slot_that_is_not_there_is_unknown(store: Store, link: Resource) -> None:
    await publish_day(store)
    wanted = visit("x", slot=[{"reference": "Slot/a"}, link])
    assert await refused(store, wanted) == [("unknown_slot", "Appointment.slot[1]", 0)]


async def test_a_slot_entered_in_error_is_unknown(store: Store) -> None:
    await create(store, schedule(), slot("a", status="entered-in-error"))
    assert await refused(store, visit("x", **linking("a"))) == [("unknown_slot", "Appointment.slot[0]", 0)]


async def test_a_slot_without_a_time_covers_nothing(store: Store) -> None:
    await create(store, schedule(), slot("a", "10:00", "10:00"))
    assert await refused(store, visit("x", **linking("a"))) == [("slot_mismatch", "Appointment.slot", 0)]


@pytest.mark.parametrize("more", [{}, {"schedule": {"display": "the paper book"}}])
async def test_a_slot_without_a_schedule_is_refused(store: Store, more: Resource) -> None:
    await create(store, {**slot("a"), **more})
    assert await refused(store, visit("x", **linking("a"))) == [("unknown_schedule", "Appointment.slot[0]", 0)]


async def test_a_slot_of_another_practitioner_and_place_is_refused_with_every_reason(store: Store) -> None:
    await publish_day(store)
    wanted = visit("x", "15:00", "15:30", who=("Practitioner/q", "Location/m"), **linking("a"))
    assert await refused(store, wanted) == [
        ("slot_mismatch", "Appointment.slot[0]", 0),
        ("slot_mismatch", "Appointment.slot[0]", 0),
        ("slot_mismatch", "Appointment.slot", 0),
    ]


@pytest.mark.parametrize(
    "who", [("Practitioner/q", "Practitioner/p"), ("Location/l",), (), ("Location/m", "Location/l")]
)
async def test_one_practitioner_and_one_place_in_common_will_do(store: Store, who: tuple[str, ...]) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", who=who, **linking("a")))
    assert await statuses(store, "a") == ["busy"]


async def test_a_slot_of_a_room_takes_any_practitioner(store: Store) -> None:
    await create(store, schedule("s", "Location/l"), slot("a"))
    await settle_all(store, visit("x", **linking("a")))


async def test_a_practitioner_known_by_an_identifier_alone_is_not_held_against_the_schedule(store: Store) -> None:
    await publish_day(store)
    who = [{"actor": {"type": "Practitioner", "identifier": {"value": "7"}}, "status": "accepted"}]
    await settle_all(store, {**visit("x", **linking("a")), "participant": who})
    again = {**visit("y", "10:15", "10:45"), "participant": who}
    assert await refused(store, again) == [("time_conflict", "Appointment.start", 0)]


DOCTOR = "https://other.example/doctors/7"
NUMBER = {"system": "urn:doctors", "value": "7"}


@pytest.mark.parametrize("bases", [(), HERE])
@pytest.mark.parametrize(
    "again", [{"reference": DOCTOR}, {"reference": f"{DOCTOR}/_history/2"}, {"identifier": NUMBER}]
)
async def test_a_practitioner_whose_address_does_not_tell_an_id_is_booked_once(
    store: Store, again: Resource, bases: tuple[str, ...]
) -> None:
    def of(ident: str, actor: Resource, *times: str) -> Resource:
        return {
            **visit(ident, *times),
            "participant": [{"actor": {"type": "Practitioner", **actor}, "status": "accepted"}],
        }

    await settle_all(store, of("x", {"reference": DOCTOR, "identifier": NUMBER}), bases=bases)
    assert await refused(store, of("y", again, "10:15", "10:45"), bases=bases) == [
        ("time_conflict", "Appointment.start", 0)
    ]
    await settle_all(store, of("y", again, "10:30", "11:00"), of("z", {"reference": f"{DOCTOR}0"}), bases=bases)


async def test_a_slot_of_an_inactive_schedule_is_not_to_be_had(store: Store) -> None:
    await publish_day(store, active=False)
    assert await refused(store, visit("x", **linking("a"))) == [("slot_unavailable", "Appointment.slot[0]", 0)]


async def test_a_slot_is_not_withdrawn_from_who_has_it_already(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await change(store, "Schedule", "s", active=False)
    await settle_all(store, visit("x", "10:00", "10:20", **linking("a")))
    assert await refused(store, visit("x", "10:30", "11:00", **linking("b"))) == [
        ("slot_unavailable", "Appointment.slot[0]", 0)
    ]


async def test_a_slot_that_another_appointment_has_is_refused_and_that_one_named(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    rival = visit("y", who=(), **linking("a"))
    assert await refused(store, rival) == [("slot_unavailable", "Appointment.slot[0]", 0)]
    with pytest.raises(Conflict) as raised:
        await settle_all(store, rival)
    assert raised.value.problems[0].details == {"slots": ["a"], "appointments": ["x"]}


@pytest.mark.parametrize("code", ["EMERGENCY", "WALKIN"])
async def test_what_may_stand_beside_others_takes_the_slot_it_names_and_no_other(store: Store, code: str) -> None:
    await publish_day(store)
    beside: dict[str, Any] = {"appointmentType": of_type(code)}
    await settle_all(store, visit("x"))
    [made] = await settle_all(store, visit("y", **beside))
    assert "slot" not in made
    assert await refused(store, visit("z", **beside, **linking("a"))) == [
        ("slot_unavailable", "Appointment.slot[0]", 0)
    ]
    await settle_all(store, visit("z", "10:30", "11:00", **beside, **linking("b")))
    assert await statuses(store, "a", "b", "c") == ["busy", "busy", "free"]


@pytest.mark.parametrize("status", ["busy", "busy-tentative"])
async def test_a_slot_that_is_busy_for_nobody_is_filled_by_who_may_write_slots(store: Store, status: str) -> None:
    await publish_day(store, slot("a", status=status))
    wanted = visit("x", status="pending", **linking("a"))
    assert await refused(store, wanted, fills_slots=False) == [("slot_unavailable", "Appointment.slot[0]", 0)]
    await settle_all(store, wanted)
    assert await statuses(store, "a") == ["busy-tentative"]


async def test_nobody_books_a_slot_that_is_busy_unavailable(store: Store) -> None:
    await publish_day(store, slot("a", status="busy-unavailable"))
    assert await refused(store, visit("x", **linking("a"))) == [("slot_unavailable", "Appointment.slot[0]", 0)]


async def test_a_slot_and_a_practitioner_in_the_way_are_both_told(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    assert await refused(store, visit("y", **linking("a"))) == [
        ("slot_unavailable", "Appointment.slot[0]", 0),
        ("time_conflict", "Appointment.start", 0),
    ]


# Slots that are looked for.


async def test_without_a_named_slot_free_ones_are_taken_and_linked(store: Store) -> None:
    await publish_day(store)
    [made, *taken] = await settle_all(store, visit("x", "10:15", "11:00"))
    assert links(made) == ["Slot/a", "Slot/b"]
    assert [one["status"] for one in taken] == ["busy", "busy"]


async def test_who_is_known_to_be_another_servers_takes_no_slot_of_ours(store: Store) -> None:
    await publish_day(store)
    abroad = visit("x", who=(f"{ABROAD}/Practitioner/p",))
    assert links((await settle_all(store, abroad, bases=HERE))[0]) == []
    assert await statuses(store, "a") == ["free"]
    # In doubt the time is taken all the same: the guard goes by the id.
    assert [code for code, *_ in await refused(store, visit("y"), bases=HERE)] == ["time_conflict"]


@pytest.mark.parametrize("base", ["", f"{HERE[0]}/", f"{ABROAD}/"])
async def test_who_may_be_ours_takes_our_slots(store: Store, base: str) -> None:
    await publish_day(store)
    bases = () if base == f"{ABROAD}/" else HERE  # without an address of our own every one may be it
    [made, _] = await settle_all(store, visit("x", who=(f"{base}Practitioner/p",)), bases=bases)
    assert links(made) == ["Slot/a"]


async def test_where_ours_is_away_another_servers_of_the_same_id_is_still_refused(store: Store) -> None:
    await publish_day(store, slot("a", status="busy-unavailable"))
    abroad = visit("x", who=(f"{ABROAD}/Practitioner/p",))
    assert [code for code, *_ in await refused(store, abroad, bases=HERE)] == ["slot_unavailable"]


async def test_where_slots_are_published_and_not_free_it_is_refused(store: Store) -> None:
    await publish_day(store, slot("a", status="busy"), slot("e", "12:00", "12:30", status="entered-in-error"))
    assert await refused(store, visit("x")) == [("slot_unavailable", "Appointment.start", 0)]
    await settle_all(store, visit("x", "12:00", "12:30"))


async def test_a_free_slot_that_is_held_all_the_same_is_not_given_away(store: Store) -> None:
    await publish_day(store)
    await create(store, visit("x", who=(), **linking("a")))
    assert await refused(store, visit("y")) == [("slot_unavailable", "Appointment.start", 0)]


async def test_where_none_are_published_it_stands_if_the_practitioner_is_free(store: Store) -> None:
    await settle_all(store, visit("x"))
    assert await refused(store, visit("y", "10:15", "10:45")) == [("time_conflict", "Appointment.start", 0)]
    await settle_all(store, visit("y", "10:30", "11:00"))
    await settle_all(store, of_q("z"))


async def test_each_practitioner_needs_a_free_slot(store: Store) -> None:
    await publish_day(store)
    await create(store, schedule("t", "Practitioner/q"), slot("k", schedule="t"))
    both = visit("x", who=("Practitioner/p", "Practitioner/q"))
    assert links((await settle_all(store, both))[0]) == ["Slot/a", "Slot/k"]
    assert await refused(store, {**both, "id": "y"}) == [
        ("slot_unavailable", "Appointment.start", 0),
        ("slot_unavailable", "Appointment.start", 0),
        ("time_conflict", "Appointment.start", 0),
    ]


async def test_who_has_declined_holds_no_time_until_accepting(store: Store) -> None:
    declined = visit("x")
    declined["participant"][1]["status"] = "declined"
    await settle_all(store, declined)
    await settle_all(store, visit("y"))
    assert await refused(store, visit("x")) == [("time_conflict", "Appointment.start", 0)]


async def test_who_declines_leaves_the_rest_as_it_is(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await change(store, "Slot", "a", status="busy-unavailable")
    declined = visit("x", **linking("a"))
    declined["participant"][1]["status"] = "declined"
    await settle_all(store, declined)
    assert links(await stored(store, "Appointment", "x")) == ["Slot/a"]


# Roles.


async def test_a_practitioner_is_busy_in_whatever_role(store: Store) -> None:
    await create(store, role("r"), role("s"), role("other", "q"))
    await settle_all(store, visit("x", who=("PractitionerRole/r",)))
    for who in ("Practitioner/p", "PractitionerRole/r", "PractitionerRole/s"):
        assert await refused(store, visit("y", who=(who,))) == [("time_conflict", "Appointment.start", 0)]
    await settle_all(store, visit("y", who=("PractitionerRole/other",)))


async def test_a_role_is_busy_where_its_practitioner_is(store: Store) -> None:
    await create(store, role("r"))
    await settle_all(store, visit("x"))
    assert await refused(store, visit("y", who=("PractitionerRole/r",))) == [("time_conflict", "Appointment.start", 0)]


async def test_mediloop_callers_meet_a_practitioner_who_is_booked_in_a_role(store: Store) -> None:
    await create(store, role("r"))
    await settle_all(store, visit("x", who=("PractitionerRole/r",)))
    with pytest.raises(Conflict):
        await book(store, visit("y"))


async def test_the_slots_of_a_role_are_its_practitioners(store: Store) -> None:
    await create(store, role("r"), schedule("s", "PractitionerRole/r"), slot("a"), slot("b", "10:30", "11:00"))
    assert links((await settle_all(store, visit("x")))[0]) == ["Slot/a"]
    await settle_all(store, visit("y", "10:30", "11:00", who=("PractitionerRole/r",), **linking("b")))
    assert await refused(store, of_q("z", **linking("a"))) == [("slot_mismatch", "Appointment.slot[0]", 0)]


async def test_mediloop_callers_get_the_slots_of_a_role(store: Store) -> None:
    await create(store, role("r"), schedule("s", "PractitionerRole/r"), slot("a"), slot("b", "10:30", "11:00"))
    assert links(await book(store, visit("x"))) == ["Slot/a"]
    assert links(await book(store, visit("y", "10:30", "11:00"), "b")) == ["Slot/b"]


async def test_a_role_that_comes_with_the_appointment_counts_already(store: Store) -> None:
    await settle_all(store, visit("x"))
    assert await refused(store, role("r"), visit("y", who=("PractitionerRole/r",))) == [
        ("time_conflict", "Appointment.start", 1)
    ]


# Changes.


async def test_confirming_makes_a_tentative_slot_busy(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", status="pending", **linking("a")))
    await settle_all(store, visit("x", **linking("a")))
    assert await statuses(store, "a") == ["busy"]


async def test_a_booked_proposal_takes_the_slot_it_noted(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", status="proposed", **linking("a")))
    await settle_all(store, visit("x", **linking("a")))
    assert await statuses(store, "a") == ["busy"]


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
async def test_what_is_called_off_gives_its_slots_back(store: Store, status: str) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:00", "11:00"))
    [_, *freed] = await settle_all(store, visit("x", "10:00", "11:00", status=status, **linking("a", "b")))
    assert [(one["id"], one["status"]) for one in freed] == [("a", "free"), ("b", "free")]


async def test_a_deleted_appointment_gives_its_slots_back(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await settle_all(store, "Appointment/x")
    assert await statuses(store, "a") == ["free"]
    assert await store.read("Appointment", "x") is None


@pytest.mark.parametrize("named", [("a",), ()])
async def test_a_noshow_leaves_its_slot_busy(store: Store, named: tuple[str, ...]) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    [after, *_] = await settle_all(store, visit("x", status="noshow", **linking(*named)))
    assert (links(after), await statuses(store, "a")) == (["Slot/a"], ["busy"])
    [after, *_] = await settle_all(store, visit("x", status="noshow", comment="called twice", **linking(*named)))
    assert (links(after), await statuses(store, "a")) == (["Slot/a"], ["busy"])


async def test_a_move_to_another_slot_frees_the_old_one(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await settle_all(store, visit("x", "11:00", "11:30", **linking("c")))
    assert await statuses(store, "a", "c") == ["free", "busy"]


async def test_a_move_that_still_names_the_old_slot_is_told_so(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    assert await refused(store, visit("x", "11:00", "11:30", **linking("a"))) == [
        ("slot_mismatch", "Appointment.slot", 0)
    ]


async def test_a_move_without_a_slot_finds_one(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    [moved, *_] = await settle_all(store, visit("x", "10:30", "11:00"))
    assert links(moved) == ["Slot/b"]
    assert await statuses(store, "a", "b") == ["free", "busy"]


async def test_a_move_is_never_blocked_by_itself(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:00", "11:00", **linking("a", "b")))
    await settle_all(store, visit("x", "10:15", "11:15", **linking("a", "b", "c")))
    await settle_all(store, visit("x", "10:45", "11:15", **linking("b", "c")))
    assert await statuses(store, "a", "b", "c") == ["free", "busy", "busy"]


async def test_an_update_that_leaves_the_slots_out_keeps_them_as_they_were_linked(store: Store) -> None:
    await publish_day(store)
    link = {"reference": "Slot/a", "display": "the first of the day"}
    await settle_all(store, visit("x", slot=[link]))
    await create(store, slot("0"))
    [after] = await settle_all(store, visit("x", comment="called"))
    assert after["slot"] == [link]
    assert await statuses(store, "0", "a") == ["free", "busy"]


async def test_another_practitioner_is_another_claim(store: Store) -> None:
    await settle_all(store, visit("x"))
    await settle_all(store, of_q("y"))
    assert await refused(store, of_q("x")) == [("time_conflict", "Appointment.start", 0)]


async def test_another_place_must_suit_the_slot(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    moved = visit("x", who=("Practitioner/p", "Location/m"), **linking("a"))
    assert await refused(store, moved) == [("slot_mismatch", "Appointment.slot[0]", 0)]


async def test_what_stood_beside_others_needs_its_time_when_it_does_so_no_longer(store: Store) -> None:
    await settle_all(store, visit("x", appointmentType=of_type("WALKIN")))
    await settle_all(store, visit("y"))
    assert await refused(store, visit("x")) == [("time_conflict", "Appointment.start", 0)]


async def test_what_shared_a_slot_may_be_moved_within_it(store: Store) -> None:
    link = linking("a")
    await create(store, schedule(), slot("a", "10:00", "11:00", status="busy"))
    await create(store, visit("x", **link), visit("y", "10:30", "11:00", **link))
    await settle_all(store, visit("x", "10:00", "10:20", **link))
    await settle_all(store, visit("x", "10:00", "10:20", status="cancelled", **link))
    assert await statuses(store, "a") == ["busy"]


async def test_slots_given_back_are_those_that_are_there(store: Store) -> None:
    await create(store, visit("x", **linking("gone")))
    await settle_all(store, visit("x", status="cancelled", **linking("gone")))


async def test_a_slot_that_was_withdrawn_is_not_freed(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await change(store, "Slot", "a", status="busy-unavailable")
    await settle_all(store, visit("x", status="cancelled"))
    assert await statuses(store, "a") == ["busy-unavailable"]


async def test_an_appointment_stored_without_a_time_is_in_nobodys_way(store: Store) -> None:
    timeless = {**UNTIMED, "status": "booked", **linking("a")}
    await create(store, timeless)
    await publish_day(store)
    await settle_all(store, {**timeless, "comment": "?"})
    await settle_all(store, visit("y", "10:30", "11:00"))
    assert await refused(store, of_q("z", **linking("a"))) == [("slot_mismatch", "Appointment.slot[0]", 0)]
    assert await refused(store, visit("z", **linking("a"))) == [("slot_unavailable", "Appointment.slot[0]", 0)]


# Both doors.


async def test_what_mediloop_booked_fhir_cancels_and_back(store: Store) -> None:
    await publish_day(store)
    await book(store, visit("x"))
    await settle_all(store, visit("x", status="cancelled", **linking("a")))
    await settle_all(store, visit("y"))
    await advance(store, "y", "cancelled")
    assert await statuses(store, "a") == ["free"]


async def test_mediloop_is_told_that_an_appointment_has_no_time_yet(store: Store) -> None:
    await settle_all(store, UNTIMED)
    before = await everything(store.database)
    with pytest.raises(Unprocessable, match="no time yet") as raised:
        await advance(store, "x", "booked")
    assert raised.value.problems[0].code == "invalid_time"
    assert await everything(store.database) == before
    assert (await advance(store, "x", "cancelled"))["status"] == "cancelled"


# Several at once.


async def test_two_of_one_set_that_want_one_slot_are_both_told(store: Store) -> None:
    await publish_day(store)
    assert await refused(
        store, visit("x", **linking("a")), of_q("o", "14:00", "14:30"), visit("y", **linking("a"))
    ) == [
        ("slot_unavailable", "Appointment.slot[0]", 0),
        ("time_conflict", "Appointment.start", 0),
        ("slot_unavailable", "Appointment.slot[0]", 2),
        ("time_conflict", "Appointment.start", 2),
    ]


async def test_two_of_one_set_that_overlap_are_refused(store: Store) -> None:
    assert await refused(store, visit("x"), visit("y", "10:15", "10:45")) == [
        ("time_conflict", "Appointment.start", 0),
        ("time_conflict", "Appointment.start", 1),
    ]


async def test_two_of_one_set_find_different_slots(store: Store) -> None:
    await publish_day(store)
    await create(store, schedule("t", "Location/l", "Practitioner/p", "Practitioner/q"), slot("k", schedule="t"))
    [x, y, *_] = await settle_all(store, visit("x"), of_q("y"))
    assert (links(x), links(y)) == (["Slot/a"], ["Slot/k"])


async def test_what_is_named_is_not_found_by_another_of_the_set(store: Store) -> None:
    await publish_day(store, slot("a"))
    await create(store, schedule("t", "Practitioner/q", "Practitioner/p"), slot("k", schedule="t"))
    [x, y, *_] = await settle_all(store, of_q("x"), visit("y", **linking("a")))
    assert (links(x), links(y)) == (["Slot/k"], ["Slot/a"])


async def test_two_that_swap_their_slots_pass(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")), visit("y", "10:30", "11:00", **linking("b")))
    await settle_all(store, visit("x", "10:30", "11:00", **linking("b")), visit("y", **linking("a")), fills_slots=False)
    assert await statuses(store, "a", "b") == ["busy", "busy"]


async def test_one_that_leaves_makes_room_for_another_of_the_set(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(
        store, visit("y", status="pending", **linking("a")), visit("x", status="cancelled"), fills_slots=False
    )
    assert await statuses(store, "a") == ["busy-tentative"]
    await settle_all(store, "Appointment/y", visit("z"), fills_slots=False)
    assert await statuses(store, "a") == ["busy"]


async def test_a_noshow_that_is_deleted_gives_its_slot_back(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await settle_all(store, visit("x", status="noshow"))
    await settle_all(store, "Appointment/x")
    assert await statuses(store, "a") == ["free"]
    await book(store, visit("y"))


async def test_a_noshow_that_is_deleted_takes_no_slot_from_who_has_it_now(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x"))
    await settle_all(store, visit("x", status="noshow"))
    await settle_all(store, visit("y", **linking("a")))
    await settle_all(store, "Appointment/x")
    assert await statuses(store, "a") == ["busy"]


async def test_a_noshow_that_names_fewer_slots_gives_the_others_back(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", "10:00", "11:00"))
    await settle_all(store, visit("x", "10:00", "11:00", status="noshow", **linking("a", "b")))
    await settle_all(store, visit("x", "10:00", "11:00", status="noshow", **linking("b")))
    assert await statuses(store, "a", "b") == ["free", "busy"]
    await settle_all(store, visit("x", "10:00", "11:00", status="entered-in-error"))
    assert await statuses(store, "a", "b") == ["free", "free"]


async def test_a_noshow_that_never_had_a_slot_names_none(store: Store) -> None:
    await settle_all(store, visit("x"))
    [after] = await settle_all(store, visit("x", status="noshow"))
    assert "slot" not in after
    [made] = await settle_all(store, visit("y", status="noshow"))
    assert "slot" not in made


async def test_a_noshow_that_was_an_error_gives_its_slot_back(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(store, visit("x", status="noshow", **linking("a")))
    assert await statuses(store, "a") == ["busy"]
    await settle_all(store, visit("x", status="entered-in-error", **linking("a")))
    assert await statuses(store, "a") == ["free"]


async def test_a_noshow_that_was_an_error_takes_no_slot_from_who_has_it_now(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(store, visit("x", status="noshow", **linking("a")))
    await settle_all(store, visit("y", **linking("a")))  # by hand: it was busy for nobody
    await settle_all(store, visit("x", status="entered-in-error", **linking("a")))
    assert await statuses(store, "a") == ["busy"]


async def test_a_noshow_of_the_set_leaves_no_room(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    both = visit("x", status="noshow", **linking("a")), visit("y", **linking("a"))
    assert await refused(store, *both, fills_slots=False) == [("slot_unavailable", "Appointment.slot[0]", 1)]
    await settle_all(store, *both)


async def test_what_is_wrong_in_itself_is_told_before_what_is_in_the_way(store: Store) -> None:
    await settle_all(store, visit("x"))
    found = await refused(store, visit("y"), visit("z", "11:00", "10:00"), visit("w", **linking("none")))
    assert found == [("invalid_time", "Appointment.start", 1), ("unknown_slot", "Appointment.slot[0]", 2)]


def test_a_set_is_judged_on_what_was_read_and_nothing_else() -> None:
    stored = Stored({"Slot/a": slot("a")}, {"Schedule/s": schedule()})
    world = decide(ClaimSet([Draft(0, None, visit("x"))]), stored, fills_slots=False)
    assert world.taken == {"Appointment/x": ["Slot/a"]}
    rival = Stored(stored.slots, stored.schedules, {"Appointment/y": visit("y", **linking("a"))})
    with pytest.raises(Conflict) as raised:
        decide(ClaimSet([Draft(0, None, visit("x", **linking("a")))]), rival, fills_slots=True)
    assert [problem.code for problem in raised.value.problems] == ["slot_unavailable", "time_conflict"]


def test_of_what_is_busy_by_hand_a_slot_is_filled_that_is_named_and_none_that_was_found() -> None:
    closed = {f"Slot/{ident}": slot(ident, status="busy", schedule=ident) for ident in ("a", "r")}
    stored = Stored(closed, {"Schedule/a": schedule("a"), "Schedule/r": schedule("r", "Location/l")})
    asked = [Draft(0, None, visit("x", **linking("a", "r")))]
    decide(ClaimSet(asked), stored, fills_slots=True)
    with pytest.raises(Conflict) as raised:
        decide(ClaimSet(asked), stored, fills_slots=True, free={"Slot/r"})
    assert [problem.param for problem in raised.value.problems] == ["Appointment.slot[1]"]


async def test_a_hundred_appointments_need_no_more_queries_than_one(store: Store) -> None:
    await create(store, *(schedule(f"s{n}", f"Practitioner/{n}", "Location/l") for n in range(100)))
    await create(store, *(slot(f"{n}", schedule=f"s{n}") for n in range(100)))
    await create(store, *(role(f"{n}", f"{n}") for n in range(100)))

    async def queries(*wanted: Resource) -> int:
        async def step(work: UnitOfWork) -> list[str]:
            asked: list[str] = []
            documents = work.documents

            async def counted(kind: str, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
                asked.append(kind)
                return await documents(kind, *arguments, **options)

            work.documents = counted  # type: ignore[method-assign]
            await settle(work, [Change(None, one) for one in wanted], fills_slots=False)
            return asked

        return len(await store.transact(step))

    seeking = [visit(f"v{n}", who=(f"PractitionerRole/{n}",)) for n in range(100)]
    naming = [visit(f"n{n}", who=(f"Practitioner/{n}",), **linking(str(n))) for n in range(100)]
    assert await queries(*seeking) == await queries(seeking[0]) <= 6
    assert await queries(*naming) == await queries(naming[0]) <= 4
    assert await queries(visit("x", status="proposed")) == 0


async def test_what_has_no_time_is_told_which_of_its_slots_are_not_there(store: Store) -> None:
    await publish_day(store)
    wanted = visit("x", "10:30", "10:00", **linking("none", "a"))
    assert await refused(store, wanted) == [
        ("invalid_time", "Appointment.start", 0),
        ("unknown_slot", "Appointment.slot[0]", 0),
    ]
