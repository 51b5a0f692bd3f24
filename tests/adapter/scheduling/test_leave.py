"""Leave closes what is published inside it, at every door alike; and it is the leave of one Schedule."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from adapter.errors import Conflict
from adapter.scheduling import commands
from adapter.scheduling.intervals import Interval
from adapter.scheduling.lookup import Wanted
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.fhir.door import Json, bundled, call, made
from tests.adapter.mediloop.clinic import (
    KAMPALA,
    MULAGO,
    PATH,
    SARAH,
    booking,
    concept,
    ids,
    location,
    patient,
    practitioner,
    put,
    with_actors,
)
from tests.adapter.scheduling import looking
from tests.adapter.scheduling.sharing import group, holders
from tests.adapter.scheduling.support import (
    advance,
    at,
    book,
    codes,
    linking,
    links,
    move,
    refused,
    schedule,
    settle_all,
    settling,
    slot,
    statuses,
    visit,
)
from tests.adapter.scheduling.weekly import available, away, open_on, weekly
from tests.conftest import Api
from tests.store.support import create

HOURS = open_on("", "09:00", "11:00")
LEAVE = away("2024-01-20", "2024-01-20")
HERE = (f"Practitioner/{SARAH}", f"Location/{MULAGO}")
THERE = (f"Practitioner/{SARAH}", f"Location/{KAMPALA}")
DAY = {"date_from": "2024-01-20", "date_to": "2024-01-20"}
SPAN = {"start": "2024-01-20", "end": "2024-01-20"}


@pytest.fixture
async def clinic(api: Api) -> Api:
    """Sarah has hours and a published Slot at Mulago, and is on leave from there."""
    await put(
        api.service.stores["test"],
        practitioner(SARAH, "Dr. Sarah Nakamya"),
        location(MULAGO, "Mulago Hospital"),
        location(KAMPALA, "Kampala Family Clinic"),
        patient("john", "UG123456789A", "John Doe"),
        weekly("w", available(HOURS, LEAVE), actors=HERE),
        slot("hand", "13:00", "13:30", schedule="w"),
    )
    return api


async def offered(api: Api, **more: str) -> list[list[str]]:
    """What MediLoop's availability and the two operations show."""
    shown = [ids(await api.get(f"{PATH}availability/", params={**DAY, **more}))]
    query = "&".join(f"{name}={value}" for name, value in SPAN.items())
    for path in (f"Slot/$prefetch?{query}", f"Appointment/$find?{query}"):
        entries = [one["resource"] for one in bundled(await call(api, "GET", path))["entry"]]
        found = [one["slot"][0]["reference"][5:] if "slot" in one else one.get("id") for one in entries]
        shown.append([ident for ident in found if ident is not None])
    return shown


async def tried(api: Api, **wanted: Any) -> httpx.Response:
    return await api.post(PATH, booking(**wanted))


def wish(start: str, end: str, *slots: str, actors: tuple[str, ...] = HERE) -> Json:
    return {
        "resourceType": "Appointment",
        "status": "booked",
        "start": f"2024-01-20T{start}:00Z",
        "end": f"2024-01-20T{end}:00Z",
        "participant": with_actors("Patient/john", *actors),
        **named(*slots),
    }


def named(*slots: str) -> Json:
    return linking(*slots) if slots else {}


def told(answer: httpx.Response) -> tuple[int, list[str], list[str]]:
    """Status, codes and Schedules in the way of a MediLoop refusal."""
    errors = answer.json()["error"]["errors"]
    return (
        answer.status_code,
        [one["code"] for one in errors],
        [name for one in errors for name in one.get("schedules", ())],
    )


async def test_what_is_published_inside_a_leave_is_closed_at_every_door(clinic: Api) -> None:
    assert await offered(clinic) == [[], [], []]
    assert await offered(clinic, practitioner_id=SARAH, service_type="none") == [[], [], []]
    for times in ({"start_time": "2024-01-20T13:00:00Z"}, {"start_time": "2024-01-20T13:00:00Z", "slot_id": "hand"}):
        assert told(await tried(clinic, **times)) == (409, ["slot_unavailable"], ["w"])
    for sent in (wish("13:00", "13:30"), wish("13:00", "13:30", "hand")):
        answer = await call(clinic, "POST", "Appointment", sent)
        assert answer.status_code == 409, answer.text
        assert "Schedule/w" in answer.json()["issue"][0]["diagnostics"]
        assert (await call(clinic, "POST", "Appointment/$book", sent | {"status": "pending"})).status_code == 409
    assert (await call(clinic, "GET", "Slot/hand")).json()["status"] == "free", "as it is stored"
    await made(clinic, weekly("w", available(HOURS), actors=HERE))
    assert [len(door) for door in await offered(clinic)] == [5, 5, 5]
    assert (await tried(clinic, start_time="2024-01-20T13:00:00Z")).status_code == 201
    assert (await call(clinic, "GET", "Slot/hand")).json()["status"] == "busy"


async def test_who_is_away_from_one_schedule_can_be_had_in_another(clinic: Api) -> None:
    await put(clinic.service.stores["test"], weekly("other", available(HOURS), actors=THERE))
    nine, ten = "other.20240120T0900Z.30", "other.20240120T1000Z.30"
    assert all(nine in door for door in await offered(clinic))
    assert (await tried(clinic, start_time="2024-01-20T09:00:00Z")).status_code == 201
    assert (await tried(clinic, start_time="2024-01-20T10:00:00Z", facility_id=KAMPALA)).status_code == 201
    assert all({nine, ten}.isdisjoint(door) for door in await offered(clinic))
    at_mulago = {"start_time": "2024-01-20T10:30:00Z", "facility_id": MULAGO}
    assert told(await tried(clinic, **at_mulago)) == (409, ["slot_unavailable"], ["w"])
    # Outside of the other's hours the leave is all that is said of that time.
    assert told(await tried(clinic, start_time="2024-01-20T12:00:00Z")) == (409, ["slot_unavailable"], ["w"])
    last = wish("10:30", "11:00", actors=(f"Practitioner/{SARAH}",))
    assert (await call(clinic, "POST", "Appointment", last)).status_code == 201


async def test_a_closed_slot_does_not_keep_anybody_from_hours_in_another_schedule(store: Store) -> None:
    await create(
        store,
        weekly("w", available(HOURS, LEAVE)),
        slot("hand", schedule="w"),
        weekly("other", available(HOURS), actors=("Practitioner/p", "Location/m")),
    )
    assert (await book(store, visit("x", who=("Practitioner/p", "Location/m")))).get("slot") is None
    await settle_all(store, visit("y", "10:30", "11:00"))
    assert await statuses(store, "hand") == ["free"]


@pytest.mark.parametrize("door", ["mediloop", "fhir"])
@pytest.mark.parametrize("slots", [(), ("a",)])
async def test_a_slot_that_only_touches_leave_is_closed_whole(store: Store, door: str, slots: tuple[str, ...]) -> None:
    leave = away("2024-01-20T13:15:00Z", "2024-01-20")
    await create(store, weekly("w", available(HOURS, leave)), slot("a", "13:00", "13:30", schedule="w"))
    wanted = visit("x", "13:00", "13:10", **named(*slots))
    if door == "fhir":
        param = "Appointment.slot[0]" if slots else "Appointment.start"
        assert [one[:2] for one in await refused(store, wanted)] == [("slot_unavailable", param)]
    else:
        with pytest.raises(Conflict) as raised:
            await book(store, wanted, *slots)
        assert codes(raised.value) == [("slot_unavailable", "slot_id" if slots else "start_time")]
        assert raised.value.problems[0].details == {"slots": ["a"], "schedules": ["w"]}


async def test_within_the_hours_a_closed_slot_leaves_the_rest_of_its_time_to_who_names_none(store: Store) -> None:
    leave = away("2024-01-20T10:15:00Z", "2024-01-20")
    await create(store, weekly("w", available(HOURS, leave)), slot("a", schedule="w"))
    assert "slot" not in await book(store, visit("x", "10:00", "10:10"))
    with pytest.raises(Conflict):
        await book(store, visit("y", "10:10", "10:20"))


@pytest.mark.parametrize("door", ["mediloop", "fhir"])
@pytest.mark.parametrize("slots", [(), ("a",)])
async def test_nobody_books_over_leave(store: Store, door: str, slots: tuple[str, ...]) -> None:
    await create(store, weekly("w", available(HOURS, LEAVE)), slot("a", status="busy", schedule="w"))
    wanted = visit("x", **named(*slots))
    why = {"url": "https://mediloop.co/fhir/StructureDefinition/overbooked", "valueString": "urgent"}

    async def over(work: UnitOfWork) -> object:
        return await commands.plan(work, wanted, slot_id=next(iter(slots), None), overbooks=True)

    step: Callable[[UnitOfWork], Awaitable[object]] = over
    if door == "fhir":
        step = settling({**wanted, "extension": [why]}, overbooks="key")
    with pytest.raises(Conflict) as raised:
        await store.transact(step)
    assert {code for code, _ in codes(raised.value)} == {"slot_unavailable"}


@pytest.mark.parametrize("door", ["mediloop", "fhir"])
async def test_who_had_a_slot_before_the_leave_keeps_it(store: Store, door: str) -> None:
    held = visit("x", status="pending", **linking("a"))
    await create(store, weekly("w", available(HOURS, LEAVE)), slot("a", status="busy-tentative", schedule="w"), held)
    if door == "fhir":
        moved = {**held, "status": "booked", "participant": [*held["participant"], *with_actors("Location/l")]}
        await settle_all(store, moved)
    else:
        await advance(store, "x", "booked")
    assert await statuses(store, "a") == ["busy"]


@pytest.mark.parametrize("slots", [(), ("a",)])
async def test_who_has_a_slot_in_the_leave_may_use_more_of_it(store: Store, slots: tuple[str, ...]) -> None:
    held = visit("x", end="10:20", **linking("a"))
    await create(store, weekly("w", available(HOURS, LEAVE)), slot("a", status="busy", schedule="w"), held)
    assert links(await move(store, "x", "10:00", "10:30", *slots)) == ["Slot/a"]


async def test_who_has_a_place_in_a_group_that_is_still_free_keeps_it_in_the_leave(store: Store) -> None:
    held = visit("x", **linking("a"))
    await create(store, weekly("w", available(HOURS, LEAVE)), group("a", 3, schedule="w"), held)
    await settle_all(store, {**held, "end": at("10:20")})
    assert (await holders(store, "a"), await statuses(store, "a")) == (1, ["free"])
    assert [one[0] for one in await refused(store, visit("y", **linking("a")))] == ["slot_unavailable"]


async def test_who_may_write_slots_brings_in_what_was_agreed_before(store: Store) -> None:
    """A Slot that is set busy by hand is meant for its appointment; one that is free is not to be had."""
    await create(store, weekly("w", available(HOURS, LEAVE)), slot("a", status="busy", schedule="w"))
    await settle_all(store, visit("x", **linking("a")))
    both = slot("b", "10:30", "11:00", status="busy", schedule="w"), visit("y", "10:30", "11:00", **linking("b"))
    await settle_all(store, *both)
    await create(store, slot("d", "09:30", "10:00", status="busy", schedule="w"))
    again = slot("d", "09:30", "10:00", status="busy", schedule="w"), visit("u", "09:30", "10:00", **linking("d"))
    await settle_all(store, *again)
    await create(store, slot("c", "11:00", "11:30", schedule="w"))
    taking = slot("c", "11:00", "11:30", status="busy", schedule="w"), visit("z", "11:00", "11:30", **linking("c"))
    assert [one[0] for one in await refused(store, *taking)] == ["slot_unavailable"]
    handed = (
        visit("y", "10:30", "11:00", status="cancelled", **linking("b")),
        visit("v", "10:30", "11:00", **linking("b")),
    )
    assert [one[0] for one in await refused(store, *handed)] == ["slot_unavailable"]


async def test_a_copy_was_booked_before_the_leave(store: Store) -> None:
    await create(store, weekly("w", available(HOURS, LEAVE)), slot("a", schedule="w"))
    await settle_all(store, visit("x", **linking("a")), visit("y", "10:30", "11:00"), copied=True)
    assert await statuses(store, "a") == ["busy"]


async def test_a_computed_slot_that_is_given_up_during_leave_is_nobodys(store: Store) -> None:
    name = "w.20240120T1000Z.30"
    held = visit("x", **linking(name))
    await create(store, weekly("w", available(HOURS, LEAVE)), slot(name, status="busy", schedule="w"), held)
    handed = {**held, "status": "cancelled"}, visit("y", **linking(name))
    assert [one[0] for one in await refused(store, *handed)] == ["slot_unavailable"]


async def test_a_service_that_is_closed_closes_too_and_an_inactive_schedule_says_nothing(store: Store) -> None:
    holiday = [{"during": {"start": "2024-01-20", "end": "2024-01-20"}}]
    await create(
        store,
        {"resourceType": "HealthcareService", "id": "h", "notAvailable": holiday},
        weekly("w", available(HOURS), actors=("Practitioner/p", "HealthcareService/h")),
        slot("a", schedule="w"),
        weekly("off", available(HOURS, LEAVE), actors=("Practitioner/q",), active=False),
        schedule("on", "Practitioner/q"),
    )
    with pytest.raises(Conflict):
        await book(store, visit("x"), "a")
    await book(store, visit("y", who=("Practitioner/q",)))
    await settle_all(store, visit("z", "10:30", "11:00", who=("Practitioner/q",)))


async def test_leave_hides_what_begins_in_it_or_reaches_into_it(store: Store) -> None:
    leave = away("2024-01-20T10:00:00Z", "2024-01-20T11:00:00Z")
    await create(
        store,
        weekly("w", available(open_on("mon", "09:00", "11:00"), leave), specialty=concept("urn:s", "eyes")),
        schedule("s", "Practitioner/q"),
        slot("before", "09:30", "10:00", schedule="w"),
        slot("into", "09:45", "10:15", schedule="w"),
        slot("within", "10:15", "10:30", schedule="w"),
        slot("after", "11:00", "11:30", schedule="w"),
        slot("others", "10:15", "10:30"),
    )

    async def found(**wanted: Any) -> list[str]:
        day = Interval(datetime(2024, 1, 20, tzinfo=UTC), datetime(2024, 1, 20, 12, tzinfo=UTC))
        asked = Wanted(day, **wanted)
        every = [one.ident for one in await looking.openings(store, asked, zone=UTC)]
        page, total = await looking.first(store, Wanted(day, limit=9, **wanted), zone=UTC)
        assert ([one.ident for one in page], total) == (every, len(every))
        return every

    assert await found() == ["before", "others", "after"]
    assert await found(actors=(("Practitioner/p",),)) == await found(specialties=("eyes",)) == ["before", "after"]


@pytest.mark.parametrize("asked", ["service_types", "specialties"])
async def test_leave_hides_what_says_itself_of_what_it_is(store: Store, asked: str) -> None:
    """Its Schedule says nothing of it, so its hours are not among those that are computed for who asks."""
    leave = away("2024-01-20T10:00:00Z", "2024-01-20T11:00:00Z")
    says: dict[str, Any] = {asked: ("check",)}
    stated = {"serviceType" if asked == "service_types" else "specialty": concept("urn:s", "check")}
    times = {"within": ("10:15", "10:30"), "after": ("11:00", "11:30")}
    await create(
        store,
        weekly("w", available(HOURS, leave)),
        *(slot(ident, *when, schedule="w") | stated for ident, when in times.items()),
    )
    day = Interval(datetime(2024, 1, 20, tzinfo=UTC), datetime(2024, 1, 20, 12, tzinfo=UTC))
    for actors in ((), (("Practitioner/p",),)):
        found = await looking.openings(store, Wanted(day, actors, **says), zone=UTC)
        assert [one.ident for one in found] == ["after"]
