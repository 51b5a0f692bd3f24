"""Which slots an appointment takes that comes by FHIR: those it names, those that are found, those of roles."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import Conflict
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.sharing import over
from tests.adapter.scheduling.support import (
    ABROAD,
    HELD,
    HERE,
    NOT_HELD,
    book,
    linking,
    links,
    of_q,
    of_type,
    publish_day,
    refused,
    role,
    schedule,
    settle_all,
    settling,
    slot,
    statuses,
    visit,
)
from tests.store.support import change, create, stored

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


async def test_of_two_at_the_time_who_moves_keeps_its_own(store: Store) -> None:
    await publish_day(store, slot("a"), slot("b"))
    await settle_all(store, visit("x", "10:00", "10:20", **linking("b")))
    assert links((await settle_all(store, visit("x", "10:10", "10:30")))[0]) == ["Slot/b"]
    assert await statuses(store, "a", "b") == ["free", "busy"]


async def test_of_two_at_the_time_who_books_over_takes_the_free_one(store: Store) -> None:
    await publish_day(store, slot("a"), slot("b"))
    await settle_all(store, visit("x", **linking("a")))
    await store.transact(settling(over(visit("y")), overbooks="key-1"))
    assert links(await stored(store, "Appointment", "y")) == ["Slot/b"]


async def test_a_closed_slot_that_is_published_later_is_not_held_against_who_was_there(store: Store) -> None:
    await settle_all(store, visit("x"))
    await publish_day(store, slot("a", status="busy-unavailable"))
    [changed] = await settle_all(store, visit("x", who=("Practitioner/p", "Location/l")))
    assert (len(changed["participant"]), links(changed)) == (3, [])


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


@pytest.mark.parametrize("actors", [("Practitioner/q", "Location/l"), ("Practitioner/p", "Location/m")])
async def test_who_had_a_slot_is_not_moved_into_one_of_somebody_else_nor_at_another_place(
    store: Store, actors: tuple[str, ...]
) -> None:
    who = "Practitioner/p", "Location/l"
    await publish_day(store)
    await create(store, schedule("t", *actors), slot("k", schedule="t"))
    await settle_all(store, visit("x", who=who, **linking("a")))
    assert await refused(store, visit("x", who=who, **linking("k"))) == [("slot_mismatch", "Appointment.slot[0]", 0)]
