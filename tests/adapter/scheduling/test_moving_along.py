"""What a visit needs beside the Slot that is named: its room moves along, and each of its practitioners is asked."""

from __future__ import annotations

import pytest

from adapter.errors import Conflict, Refused, Unprocessable
from store.codec import Resource
from store.store import Store
from tests.adapter.scheduling.moving import HOURS, ROOM, hourly, in_computed_room, in_room, opening
from tests.adapter.scheduling.support import (
    advance,
    book,
    codes,
    linking,
    links,
    move,
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
from tests.adapter.scheduling.weekly import available, away, open_on, parameters, weekly
from tests.store.support import create, everything, stored

BOTH = ("Practitioner/p", "Practitioner/q")


async def refusal(store: Store, *asked: str | None) -> Refused:
    """Why a move of x is refused; nothing has changed."""
    before = await everything(store.database)
    with pytest.raises(Refused) as raised:
        await move(store, "x", *asked)  # type: ignore[arg-type]  # start, end, slot
    assert await everything(store.database) == before
    return raised.value


# The room.


async def test_the_room_of_a_copy_that_names_the_house_alone_moves_along(store: Store) -> None:
    await create(store, schedule(), schedule("r", "Location/room"), *hourly("s"), *hourly("r"))
    await settle_all(store, visit("x", who=("Practitioner/p", "Location/l"), **linking("s10", "r10")), copied=True)
    assert links(await move(store, "x", "13:00", "13:30")) == ["Slot/s13", "Slot/r13"]


async def test_a_visit_that_becomes_shorter_keeps_its_room(store: Store) -> None:
    await in_room(store)
    moved = await move(store, "x", "10:00", "10:20")
    assert links(moved) == ["Slot/s10", "Slot/r10"]
    assert await statuses(store, "s10", "r10") == ["busy", "busy"]
    assert (await stored(store, "Slot", "r10"))["meta"]["versionId"] == "2"


async def test_a_room_is_looked_for_where_a_shorter_visit_has_no_slot_of_it_left(store: Store) -> None:
    await in_room(store)
    half = ("10:30", "11:00")
    await create(store, slot("s1", *half), slot("r1", *half, schedule="r"))
    await settle_all(store, visit("x", "10:00", "11:00", **linking("s10", "s1", "r10")))
    assert links(await move(store, "x", *half)) == ["Slot/s1", "Slot/r1"]
    assert await statuses(store, "r10", "r1") == ["free", "busy"]


async def test_a_visit_takes_its_room_along(store: Store) -> None:
    await in_room(store)
    moved = await move(store, "x", "13:00", "13:30")
    assert links(moved) == ["Slot/s13", "Slot/r13"]
    assert await statuses(store, "s10", "r10", "s13", "r13") == ["free", "free", "busy", "busy"]


@pytest.mark.parametrize(
    ("times", "slots"),
    [(HOURS["11"], ["r11"]), (HOURS["12"], ["r12"]), (("15:00", "15:30"), []), (("12:45", "13:15"), ["r13"])],
    ids=["taken", "closed", "not published", "published in part"],
)
async def test_a_visit_does_not_move_to_where_its_room_is_not_free(
    store: Store, times: tuple[str, str], slots: list[str]
) -> None:
    await in_room(store)
    found = await refusal(store, *times)
    told = [one for one in found.problems if one.details.get("schedules") == ["r"]]
    assert [(one.code, one.param, one.details["slots"]) for one in told] == [
        ("slot_unavailable", "new_start_time", slots)
    ]


@pytest.mark.parametrize("who", [(), ("Practitioner/p",)])
async def test_a_slot_of_a_room_that_it_does_not_have_is_none_for_a_visit(store: Store, who: tuple[str, ...]) -> None:
    await in_room(store)
    with pytest.raises(Unprocessable) as raised:
        await book(store, visit("y", *HOURS["13"], who=who), "r13")
    assert codes(raised.value) == [("slot_mismatch", "practitioner_id")]


async def test_a_room_moves_along_to_a_slot_by_name(store: Store) -> None:
    await in_room(store)
    found = await refusal(store, *HOURS["11"], "s11")
    assert (codes(found), found.problems[0].details["slots"]) == ([("slot_unavailable", "new_start_time")], ["r11"])
    assert links(await move(store, "x", "13:00", None, "s13")) == ["Slot/s13", "Slot/r13"]


async def test_the_rooms_own_slot_may_be_named(store: Store) -> None:
    await in_room(store)
    assert links(await move(store, "x", "13:00", None, "r13")) == ["Slot/r13", "Slot/s13"]


async def test_a_visit_without_a_practitioner_moves_in_its_room(store: Store) -> None:
    await create(store, schedule("r", "Location/room"), *hourly("r", _11="busy"))
    await settle_all(store, visit("x", who=("Location/room",), **linking("r10")))
    assert codes(await refusal(store, *HOURS["11"])) == [("slot_unavailable", "new_start_time")]
    assert codes(await refusal(store, *HOURS["11"], "r11")) == [("slot_unavailable", "new_slot_id")]
    assert links(await move(store, "x", "12:00", None, "r12")) == ["Slot/r12"]
    assert links(await move(store, "x", "13:00", "13:20")) == ["Slot/r13"]
    assert await statuses(store, "r10", "r12", "r13") == ["free", "free", "busy"]


async def test_a_slot_that_was_named_without_its_practitioner_moves_alike(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", who=(), **linking("a")))
    assert links(await move(store, "x", "11:00", "11:30")) == ["Slot/c"]


async def test_what_somebody_has_who_has_declined_does_not_move_along(store: Store) -> None:
    await create(store, schedule(), schedule("t", "Practitioner/q"), *hourly("s"), *hourly("t", _11="busy"))
    wanted = visit("x", who=BOTH, **linking("s10", "t10"))
    await settle_all(store, wanted)
    wanted["participant"][2]["status"] = "declined"
    await settle_all(store, wanted)
    assert links(await move(store, "x", *HOURS["11"])) == ["Slot/s11"]
    assert await statuses(store, "t10") == ["free"]


async def test_a_schedule_that_has_become_somebody_elses_is_no_room(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await settle_all(store, schedule("s", "Practitioner/q", "Location/l"))
    assert codes(await refusal(store, "11:00", None, "c")) == [("slot_mismatch", "new_slot_id")]
    assert links(await move(store, "x", "11:00", "11:30")) == []
    assert await statuses(store, "a", "c") == ["free", "free"]


@pytest.mark.parametrize("left", [True, False], ids=["free", "not published"])
async def test_what_somebody_has_who_has_left_does_not_move_along(store: Store, left: bool) -> None:
    await create(
        store, schedule(), *hourly("s"), schedule("t", "Practitioner/q"), slot("k", "10:30", "11:00", schedule="t")
    )
    await create(store, *([slot("t12", *HOURS["12"], schedule="t")] if left else []))
    [made, *_] = await settle_all(store, visit("x", end="11:00", who=BOTH, **linking("s10", "k")))
    [kept] = await settle_all(store, {**made, "participant": made["participant"][:2]})
    assert links(kept) == ["Slot/s10", "Slot/k"]  # it covers half of the time
    assert links(await move(store, "x", *HOURS["12"])) == ["Slot/s12"]
    assert await statuses(store, "k") == ["free"]


async def test_what_a_role_has_is_its_practitioners(store: Store) -> None:
    await create(store, role("n"), schedule(), *hourly("s"))
    await settle_all(store, visit("x", who=("PractitionerRole/n",), **linking("s10")))
    assert links(await move(store, "x", "15:00", "15:30")) == []


async def test_what_stands_beside_others_takes_its_room_along_all_the_same(store: Store) -> None:
    await in_room(store, appointmentType=of_type("WALKIN"))
    assert codes(await refusal(store, *HOURS["11"])) == [("slot_unavailable", "new_start_time")]
    assert links(await move(store, "x", *HOURS["13"])) == ["Slot/r13"]


async def test_a_room_that_is_gone_is_left_behind(store: Store) -> None:
    await create(store, schedule(), *hourly("s"), slot("gone", schedule="lost", status="busy"))
    await create(store, visit("x", **linking("s10", "gone", "nowhere")))
    assert links(await move(store, "x", *HOURS["11"])) == ["Slot/s11"]


async def test_a_proposal_that_becomes_a_visit_takes_the_room_it_noted(store: Store) -> None:
    await create(store, schedule(), schedule("r", "Location/room"), *hourly("s"), *hourly("r"))
    await create(store, visit("x", status="proposed", **linking("s10", "r10")))
    assert links(await advance(store, "x", "booked")) == ["Slot/s10", "Slot/r10"]
    assert await statuses(store, "s10", "r10") == ["busy", "busy"]


async def test_a_proposal_may_be_moved_to_a_slot_of_its_room(store: Store) -> None:
    await create(store, schedule("r", "Location/room"), *hourly("r"))
    await create(store, visit("x", status="proposed", who=("Location/room",), **linking("r10")))
    assert links(await move(store, "x", "11:00", None, "r11")) == ["Slot/r11"]


async def closed(store: Store, ident: str, *actors: str) -> None:
    """Set a Schedule inactive."""
    await settle_all(store, schedule(ident, *actors, active=False))


@pytest.mark.parametrize("named", [None, "r10"])
async def test_a_visit_keeps_the_slot_of_a_room_that_is_closed_since(store: Store, named: str | None) -> None:
    await in_room(store)
    await closed(store, "r", "Location/room")
    moved = await move(store, "x", "10:00", "10:20", named)
    assert sorted(links(moved)) == ["Slot/r10", "Slot/s10"]
    found = await refusal(store, *HOURS["13"])
    assert codes(found) == [("slot_unavailable", "new_start_time")]
    assert found.problems[0].details == {"slots": [], "schedules": ["r"]}


async def test_so_it_does_a_practitioners_where_that_covers_the_time(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await closed(store, "s")
    assert links(await move(store, "x", "10:10", "10:30")) == ["Slot/a"]
    # Else it takes time of who is not to be booked any more.
    found = await refusal(store, "10:10", "10:40")
    assert codes(found) == [("slot_unavailable", "new_start_time")]
    assert found.problems[0].details == {"slots": [], "schedules": ["s"]}


async def test_fhir_does_the_same(store: Store) -> None:
    await publish_day(store)
    await settle_all(store, visit("x", **linking("a")))
    await closed(store, "s")
    assert links((await settle_all(store, visit("x", "10:10", "10:30")))[0]) == ["Slot/a"]
    wanted = visit("x", "10:10", "10:40")
    assert await refused(store, wanted) == [("slot_unavailable", "Appointment.start", 0)]
    await settle_all(store, schedule("t"))
    assert links((await settle_all(store, wanted))[0]) == []


async def test_an_import_and_who_stands_beside_others_do_not_ask(store: Store) -> None:
    await publish_day(store)
    await closed(store, "s")
    assert await refused(store, visit("x")) == [("slot_unavailable", "Appointment.start", 0)]
    await settle_all(store, visit("x", appointmentType=of_type("WALKIN")))
    await settle_all(store, visit("y"), copied=True)


# A room whose openings are computed.


async def test_an_opening_of_a_room_moves_along(store: Store) -> None:
    await in_computed_room(store)
    moved = await move(store, "x", "11:00", "11:30")
    assert links(moved) == ["Slot/s11", f"Slot/{opening('11:00')}"]
    assert await statuses(store, opening("10:00"), opening("11:00")) == ["free", "busy"]
    moved = await move(store, "x", "10:00", "10:20")
    assert links(moved) == ["Slot/s10", f"Slot/{opening('10:00')}"]
    assert await statuses(store, opening("10:00"), opening("11:00")) == ["busy", "free"]
    assert codes(await refusal(store, "13:00", "13:30")) == [("slot_unavailable", "new_start_time")]


async def test_a_longer_visit_takes_further_openings_of_its_room(store: Store) -> None:
    await in_computed_room(store)
    moved = await move(store, "x", "10:00", "11:00")
    assert links(moved) == ["Slot/long", f"Slot/{opening('10:00')}", f"Slot/{opening('10:30')}"]
    assert links(await move(store, "x", "10:00", "10:30"))[1:] == [f"Slot/{opening('10:00')}"]


async def test_of_openings_that_overlap_one_is_taken(store: Store) -> None:
    await in_computed_room(
        store, available(open_on("", "09:00", "12:00")), parameters(duration=30, alignmentInterval=15)
    )
    assert links(await move(store, "x", "10:15", "10:45")) == ["Slot/long", f"Slot/{opening('10:15')}"]
    # 10:15 would reach to 10:45, and 10:30 begin before that.
    assert links(await move(store, "x", "10:15", "11:05")) == [
        "Slot/long",
        *(f"Slot/{opening(clock)}" for clock in ("10:15", "10:45")),
    ]


async def test_an_opening_that_has_begun_is_taken(store: Store) -> None:
    hours = available(open_on("", "09:00", "17:00"))
    room = weekly("r", hours, parameters(duration=60, alignmentInterval=60), actors=(ROOM,))
    begun, later = (f"r.20240120T{clock}Z.60" for clock in ("1000", "1400"))
    await create(store, schedule(), *hourly("s"), slot("late", "14:30", "15:00"), room)
    await settle_all(store, visit("x", **linking("s10", begun)))
    assert links(await move(store, "x", "14:30", "15:00")) == ["Slot/late", f"Slot/{later}"]


async def test_leave_of_a_room_is_in_the_way(store: Store) -> None:
    closed = available(open_on("", "09:00", "12:00"), away("2024-01-20T11:00:00Z", "2024-01-20T12:00:00Z"))
    await in_computed_room(store, closed)
    found = await refusal(store, "11:00", "11:30")
    assert codes(found) == [("slot_unavailable", "new_start_time")]
    assert found.problems[0].details["schedules"] == ["r"]


async def test_two_who_move_to_one_opening_of_a_room_do_not_both_have_it(store: Store) -> None:
    await in_computed_room(store)
    wanted = visit("y", "09:30", "10:00", who=(ROOM,), **linking(opening("09:30")))
    await settle_all(store, wanted)
    await move(store, "y", "11:00", "11:30")
    assert codes(await refusal(store, "11:00", "11:30")) == [("slot_unavailable", "new_start_time")]


# A second practitioner.


async def with_two(store: Store, **states: str) -> None:
    """Practitioners p and q with a Schedule each, q closed at eleven; visit x of both at ten."""
    await create(
        store,
        schedule(),
        schedule("t", "Practitioner/q"),
        *hourly("s"),
        *hourly("t", **{"_11": "busy-unavailable", **states}),
    )
    await settle_all(store, visit("x", who=BOTH, **linking("s10", "t10")))


async def test_a_slot_of_one_practitioner_leaves_the_other_to_the_rule_of_time(store: Store) -> None:
    await with_two(store)
    by_name, by_time = await refusal(store, *HOURS["11"], "s11"), await refusal(store, *HOURS["11"])
    for found in (by_name, by_time):
        assert codes(found) == [("slot_unavailable", "new_start_time")]
        assert found.problems[0].details["slots"] == ["t11"]
    assert links(await move(store, "x", "12:00", None, "s12")) == ["Slot/s12", "Slot/t12"]
    assert await statuses(store, "t10", "t12") == ["free", "busy"]


async def test_where_the_other_has_published_nothing_the_slot_stands(store: Store) -> None:
    await with_two(store)
    await create(store, slot("late", "15:00", "15:30"))
    assert links(await move(store, "x", "15:00", None, "late")) == ["Slot/late"]


async def test_leave_of_the_other_practitioner_is_in_the_way(store: Store) -> None:
    closed = available(open_on("", "09:00", "10:00"), away("2024-01-20T11:00:00Z", "2024-01-20T14:00:00Z"))
    await create(store, schedule(), weekly("w", closed, actors=("Practitioner/q",)), *hourly("s"))
    await settle_all(store, visit("x", who=BOTH, **linking("s10")))
    found = await refusal(store, *HOURS["11"], "s11")
    assert codes(found) == [("slot_unavailable", "new_start_time")]
    assert found.problems[0].details["schedules"] == ["w"]
    assert await refused(store, visit("x", *HOURS["11"], who=BOTH, **linking("s11"))) == [
        ("slot_unavailable", "Appointment.start", 0)
    ]


async def test_a_booking_by_slot_asks_everybody(store: Store) -> None:
    await create(store, schedule(), schedule("t", "Practitioner/q"), *hourly("s"), *hourly("t", _11="busy"))
    made = await book(store, visit("y", who=BOTH), "s10")
    assert links(made) == ["Slot/s10", "Slot/t10"]
    with pytest.raises(Conflict) as raised:
        await book(store, visit("z", *HOURS["11"], who=BOTH), "s11")
    assert codes(raised.value) == [("slot_unavailable", "start_time")]


async def test_what_stands_beside_others_takes_the_slot_it_names_alone(store: Store) -> None:
    await with_two(store)
    wanted = visit("y", *HOURS["12"], who=BOTH, appointmentType=of_type("EMERGENCY"))
    assert links(await book(store, wanted, "s12")) == ["Slot/s12"]
    assert await statuses(store, "t12") == ["free"]


# The same through FHIR.


async def test_fhir_finds_slots_for_whom_none_is_named(store: Store) -> None:
    await with_two(store)
    assert await refused(store, visit("x", *HOURS["11"], who=BOTH, **linking("s11")), fills_slots=False) == [
        ("slot_unavailable", "Appointment.start", 0)
    ]
    link = {"reference": "Slot/s12", "display": "at noon"}
    [moved, *_] = await settle_all(store, visit("x", *HOURS["12"], who=BOTH, slot=[link]), fills_slots=False)
    assert moved["slot"] == [link, {"reference": "Slot/t12"}]
    assert await statuses(store, "s10", "t10", "s12", "t12") == ["free", "free", "busy", "busy"]


@pytest.mark.parametrize("named", [("s12",), ("s12", "t10"), ("t10", "s12")], ids=["alone", "before", "after"])
async def test_fhir_finds_slots_for_whose_link_is_left_over_from_before(store: Store, named: tuple[str, ...]) -> None:
    await with_two(store)
    wanted = visit("x", *HOURS["12"], who=BOTH, **linking(*named))
    [moved, *_] = await settle_all(store, wanted, fills_slots=False)
    assert links(moved) == ["Slot/s12", "Slot/t12"]
    assert await statuses(store, "s10", "t10", "s12", "t12") == ["free", "free", "busy", "busy"]
    closed = [named_ if named_ == "t10" else "s11" for named_ in named]
    await settle_all(store, visit("x", who=BOTH, **linking("s10", "t10")))
    assert await refused(store, visit("x", *HOURS["11"], who=BOTH, **linking(*closed)), fills_slots=False) == [
        ("slot_unavailable", "Appointment.start", 0)
    ]


async def test_so_it_does_where_the_other_link_is_to_an_opening(store: Store) -> None:
    await create(store, weekly("w"), schedule("t", "Practitioner/q"), *hourly("t"))
    await settle_all(store, visit("x", who=BOTH, **linking(opening("10:00", "w"), "t10")))
    wanted = visit("x", *HOURS["11"], who=BOTH, **linking(opening("11:00", "w"), "t10"))
    [moved, *_] = await settle_all(store, wanted, fills_slots=False)
    assert links(moved) == [f"Slot/{opening('11:00', 'w')}", "Slot/t11"]
    assert await statuses(store, "t10", "t11") == ["free", "busy"]


async def test_fhir_finds_the_practitioners_slot_where_a_room_is_named(store: Store) -> None:
    await create(store, schedule(), schedule("r", "Location/room"), *hourly("s", _11="busy-unavailable"), *hourly("r"))
    assert await refused(store, visit("x", *HOURS["11"], **linking("r11"))) == [
        ("slot_unavailable", "Appointment.start", 0)
    ]
    [made, *_] = await settle_all(store, visit("x", **linking("r10")))
    assert links(made) == ["Slot/r10", "Slot/s10"]


async def test_fhir_keeps_the_slot_that_an_update_leaves_out(store: Store) -> None:
    await with_two(store)
    [kept, *_] = await settle_all(store, visit("x", who=BOTH, **linking("s10")))
    assert links(kept) == ["Slot/s10", "Slot/t10"]
    assert await statuses(store, "s10", "t10") == ["busy", "busy"]


async def test_who_names_a_slot_that_is_busy_for_nobody_fills_those_of_the_others_too(store: Store) -> None:
    await with_two(store, _12="busy")
    await settle_all(store, slot("s12", *HOURS["12"], status="busy"))
    wanted = visit("x", *HOURS["12"], who=BOTH, **linking("s12"))
    assert ("slot_unavailable", "Appointment.start", 0) in await refused(store, wanted, fills_slots=False)
    [moved, *_] = await settle_all(store, wanted)
    assert links(moved) == ["Slot/s12", "Slot/t12"]


async def test_who_names_a_slot_that_is_free_fills_none_of_the_others(store: Store) -> None:
    """The closed one was not set busy for this visit: nobody has set all its Slots busy."""
    await with_two(store, _12="busy")
    wanted = visit("x", *HOURS["12"], who=BOTH, **linking("s12"))
    assert await refused(store, wanted) == [("slot_unavailable", "Appointment.start", 0)]
    closing = slot("s12", *HOURS["12"], status="busy")
    [moved, *_] = await settle_all(store, wanted, closing)
    assert links(moved) == ["Slot/s12", "Slot/t12"]


async def test_who_names_a_slot_that_another_gives_up_fills_none_of_the_others(store: Store) -> None:
    await with_two(store, _12="busy")
    await settle_all(store, visit("y", *HOURS["12"], **linking("s12")))
    wanted = visit("x", *HOURS["12"], who=BOTH, **linking("s12"))
    given = visit("y", *HOURS["12"], status="cancelled", **linking("s12"))
    assert await refused(store, given, wanted) == [("slot_unavailable", "Appointment.start", 1)]


async def test_a_copy_holds_what_it_names(store: Store) -> None:
    await with_two(store)
    wanted = visit("x", *HOURS["11"], who=BOTH, **linking("s11"))
    [moved, *_] = await settle_all(store, wanted, copied=True)
    assert links(moved) == ["Slot/s11"]


async def test_what_stands_beside_others_takes_through_fhir_what_it_names_alone(store: Store) -> None:
    await with_two(store)
    wanted = visit("y", *HOURS["12"], who=BOTH, appointmentType=of_type("WALKIN"), **linking("s12"))
    [made, *_] = await settle_all(store, wanted)
    assert links(made) == ["Slot/s12"]


# Where it is.


async def test_slots_at_two_facilities_do_not_cover_a_visit_together(store: Store) -> None:
    await create(
        store,
        schedule("here", "Practitioner/p", "Location/l"),
        schedule("there", "Practitioner/p", "Location/m"),
        slot("a", schedule="here"),
        slot("b", "10:30", "11:00", schedule="there"),
    )
    wanted = visit("x", "10:15", "10:45")
    before = await everything(store.database)
    with pytest.raises(Conflict) as raised:
        await book(store, wanted)
    assert codes(raised.value) == [("slot_unavailable", "start_time")]
    assert await everything(store.database) == before
    assert await refused(store, wanted) == [("slot_unavailable", "Appointment.start", 0)]


async def test_slots_at_one_facility_are_chosen_before_those_that_reach_further(store: Store) -> None:
    await create(
        store,
        schedule("here", "Practitioner/p", "Location/l", "Location/site"),
        schedule("there", "Practitioner/p", "Location/m"),
        schedule("any", "Practitioner/p"),
        slot("a", schedule="here"),
        slot("far", "10:00", "10:50", schedule="there"),
        slot("b", "10:30", "11:00", schedule="here"),
        slot("c", "11:00", "11:30", schedule="any"),
    )
    assert links(await book(store, visit("x", "10:15", "11:15"))) == ["Slot/a", "Slot/b", "Slot/c"]


# Whoever has declined.


async def declining(store: Store, ident: str, *places: int) -> None:
    """Let participants of an appointment decline."""
    wanted = await stored(store, "Appointment", ident)
    for place in places:
        wanted["participant"][place]["status"] = "declined"
    await settle_all(store, wanted)


def parts(appointment: Resource) -> list[str]:
    """The answers of an appointment's participants."""
    return [one["status"] for one in appointment["participant"]]


@pytest.mark.parametrize("named", [None, "s11"])
async def test_another_time_is_asked_anew_of_the_one_who_declined(store: Store, named: str | None) -> None:
    await create(store, schedule(), *hourly("s", _12="busy-unavailable"))
    await settle_all(store, visit("x", **linking("s10")))
    await declining(store, "x", 0, 1)
    assert codes(await refusal(store, *HOURS["12"])) == [("slot_unavailable", "new_start_time")]
    moved = await move(store, "x", "11:00", None if named else "11:30", named)
    # A patient's answer is no claim to anybody's time.
    assert (links(moved), parts(moved)) == (["Slot/s11"], ["declined", "needs-action"])
    assert await statuses(store, "s10", "s11") == ["free", "busy"]
    with pytest.raises(Conflict):
        await book(store, visit("y", *HOURS["11"]))


async def test_the_time_of_who_declined_is_decided_like_a_bookings_in_place_too(store: Store) -> None:
    await create(store, role("n"), schedule(), *hourly("s"))
    await settle_all(store, visit("x", who=("PractitionerRole/n", "Location/l"), **linking("s10")))
    await declining(store, "x", 1, 2)
    await settle_all(store, visit("y", "10:10", "10:20", appointmentType=of_type("WALKIN")))
    moved = await move(store, "x", "10:00", "10:20")
    assert (links(moved), parts(moved)) == (["Slot/s10"], ["accepted", "needs-action", "declined"])
    await declining(store, "x", 1)
    await create(store, visit("z", "10:10", "10:30"))
    assert codes(await refusal(store, "10:00", "10:20")) == [("time_conflict", "new_start_time")]


async def test_who_declined_stays_away_where_another_one_comes(store: Store) -> None:
    await settle_all(store, visit("x", who=BOTH))
    await declining(store, "x", 1)
    assert parts(await move(store, "x", *HOURS["11"])) == ["accepted", "declined", "accepted"]


@pytest.mark.parametrize("actor", [{"type": "Practitioner", "display": "Locum"}, {"reference": "#locum"}])
async def test_another_one_may_be_known_by_the_name_alone(store: Store, actor: Resource) -> None:
    locum = {"resourceType": "Practitioner", "id": "locum", "name": [{"text": "Locum"}]}
    contained = {"contained": [locum]} if "reference" in actor else {}
    coming = [{"actor": {"reference": "Practitioner/p"}, "status": "declined"}, {"actor": actor, "status": "accepted"}]
    await settle_all(store, visit("x") | contained | {"participant": coming})
    await create(store, visit("y", *HOURS["11"]))
    assert parts(await move(store, "x", *HOURS["11"])) == ["declined", "accepted"]
