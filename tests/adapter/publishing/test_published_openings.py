"""Openings of weekly hours in `$bulk-publish`: the same that can be found and booked, for the days that are stated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.publishing import computed
from tests.adapter.publishing.test_publishing_files import CALENDAR, PATH, PLACE, files, put, slot
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker

Json = dict[str, Any]
EXT = "https://mediloop.co/fhir/StructureDefinition"


def hours(*away: Json, opens: str = "09:00:00", closes: str = "11:00:00") -> list[Json]:
    """Mondays, by the clock of Berlin."""
    time = [
        {"url": "daysOfWeek", "valueCode": "mon"},
        {"url": "availableStartTime", "valueTime": opens},
        {"url": "availableEndTime", "valueTime": closes},
    ]
    leave = [{"url": "notAvailable", "extension": [{"url": "during", "valuePeriod": one}]} for one in away]
    return [
        {"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": "Europe/Berlin"},
        {"url": f"{EXT}/availability", "extension": [{"url": "availableTime", "extension": time}, *leave]},
    ]


WEEKLY: Json = CALENDAR | {"id": "w", "extension": hours({"start": "2024-01-29", "end": "2024-01-29"})}
PRACTITIONER: Json = {"resourceType": "Practitioner", "id": "p", "name": [{"text": "Dr. Atim"}]}


@pytest.fixture
async def weekly_api(make_service: ServiceMaker, make_api: ApiMaker) -> Api:
    service = make_service(bulk_publish="test", booking_link="https://book.example.org/?slot={slot}", publish_days=14)
    made: Api = await make_api(service)
    await put(service.stores["test"], PLACE, PRACTITIONER, WEEKLY)
    return made


async def published(api: Api) -> dict[str, str]:
    return {one["id"]: one["status"] for one in (await files(api))["Slot"]}


async def test_openings_are_published_under_the_ids_by_which_they_are_booked(weekly_api: Api, clock: Clock) -> None:
    # It is Monday the 15th, 10:00 UTC; on the 29th, the last of the 14 days, they are away.
    found = (await files(weekly_api))["Slot"]
    assert [one["id"] for one in found] == [f"w.20240122T{time}Z.30" for time in ("0800", "0830", "0900", "0930")]
    assert found[0] == {
        "resourceType": "Slot",
        "id": "w.20240122T0800Z.30",
        "schedule": {"reference": "Schedule/w"},
        "status": "free",
        "start": "2024-01-22T08:00:00Z",
        "end": "2024-01-22T08:30:00Z",
        "extension": [
            {
                "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/booking-deep-link",
                "valueUrl": "https://book.example.org/?slot=w.20240122T0800Z.30",
            }
        ],
    }
    proposed = await weekly_api.get(
        "/fhir/R4/Appointment/$find", params={"start": "2024-01-15T10:00:00Z", "end": "2024-01-30"}
    )
    theirs = [one["resource"]["slot"][0]["reference"] for one in proposed.json()["entry"]]
    assert theirs == [f"Slot/{one['id']}" for one in found]


async def test_what_is_booked_held_or_given_back_is_published_once_as_it_is(weekly_api: Api, clock: Clock) -> None:
    window = {"start": "2024-01-15T10:00:00Z", "end": "2024-01-30"}
    proposed = (await weekly_api.get("/fhir/R4/Appointment/$find", params=window)).json()["entry"]
    booked, held = (one["resource"]["id"] for one in proposed[:2])
    assert (await weekly_api.post(f"/fhir/R4/Appointment/{booked}/$book?patient=Patient/p")).status_code == 200
    assert (await weekly_api.post(f"/fhir/R4/Appointment/{held}/$hold")).status_code == 200
    first, second, *others = (f"w.20240122T{time}Z.30" for time in ("0800", "0830", "0900", "0930"))
    assert await published(weekly_api) == {first: "busy", second: "busy"} | dict.fromkeys(others, "free")
    clock.advance(seconds=301)  # the hold has lapsed, and nobody else has looked
    assert await published(weekly_api) == {first: "busy"} | dict.fromkeys([second, *others], "free")
    assert (await weekly_api.post(f"/fhir/R4/Appointment/{booked}/$cancel")).status_code == 200
    clock.advance(seconds=301)
    assert await published(weekly_api) == dict.fromkeys([first, second, *others], "free")
    # The hours end an hour earlier now: what was stored once is not offered any more.
    store = weekly_api.service.stores["test"]
    await put(store, WEEKLY | {"extension": hours(opens="10:00:00")})
    clock.advance(seconds=301)
    assert {name[:11] for name in await published(weekly_api)} == {"w.20240122T", "w.20240129T"}
    assert first not in await published(weekly_api)


async def test_an_opening_that_was_given_back_is_published_no_further_ahead_than_the_others(weekly_api: Api) -> None:
    beyond: Json = {"schedule": {"reference": "Schedule/w"}}  # the days end with the 29th of January
    there = {"start": "2024-02-05T08:00:00Z", "end": "2024-02-05T08:30:00Z"}
    taken = {"start": "2024-02-05T08:30:00Z", "end": "2024-02-05T09:00:00Z", "status": "busy"}
    store = weekly_api.service.stores["test"]
    await put(store, slot("w.20240205T0800Z.30", 0, **beyond, **there))
    await put(store, slot("w.20240205T0830Z.30", 0, **beyond, **taken), slot("a", 0, **beyond, **there))
    found = await published(weekly_api)
    assert {name: status for name, status in found.items() if not name.startswith("w.20240122T")} == {
        "w.20240205T0830Z.30": "busy",
        "a": "free",
    }


async def test_a_free_slot_that_nobody_can_have_is_published_as_busy(weekly_api: Api, clock: Clock) -> None:
    store = weekly_api.service.stores["test"]
    there = {"resourceType": "Location", "id": "l2", "name": "The other ward", "status": "active"}
    other = CALENDAR | {"id": "s2", "actor": [{"reference": "Practitioner/p"}, {"reference": "Location/l2"}]}
    elsewhere: Json = {"schedule": {"reference": "Schedule/s2"}}
    room: Json = {"schedule": {"reference": "Schedule/s3"}}
    far: Json = {"start": "2027-03-20T09:00:00Z", "end": "2027-03-20T09:30:00Z"}  # weeks later: judged by another look
    await put(store, CALENDAR, there, other)
    await put(store, slot("a", 9), slot("b", 9, **elsewhere), slot("c", 10, **elsewhere))
    await put(store, slot("d", 0, **far), slot("e", 0, **far, **elsewhere))
    await put(store, CALENDAR | {"id": "s3", "actor": [{"reference": "Location/l2"}]})
    await put(store, slot("f", 11, **room), slot("g", 11, **room), slot("h", 12, **room))
    held = (("x", "a", slot("a", 9)), ("y", "d", slot("d", 0, **far)), ("z", "f", slot("f", 11)))
    for ident, named_slot, of in held:
        named = [{"reference": f"Slot/{named_slot}"}]
        actors = [{"actor": {"reference": one}, "status": "accepted"} for one in ("Patient/z", "Practitioner/p")]
        visit: Json = {
            "resourceType": "Appointment",
            "id": ident,
            "status": "booked",
            "slot": named,
            "participant": actors,
        }
        visit |= {"start": of["start"], "end": of["end"]}
        assert (await weekly_api.put(f"/fhir/R4/Appointment/{ident}", visit)).status_code == 201
    found = {name: status for name, status in (await published(weekly_api)).items() if len(name) == 1}
    assert found == {"a": "busy", "b": "busy", "c": "free", "d": "busy", "e": "busy"} | {
        "f": "busy",
        "g": "busy",
        "h": "free",
    }


async def test_a_free_slot_inside_a_leave_is_published_as_busy(weekly_api: Api) -> None:
    leave: Json = {
        "schedule": {"reference": "Schedule/w"},
        "start": "2024-01-29T13:00:00Z",
        "end": "2024-01-29T13:30:00Z",
    }
    later: Json = {
        "schedule": {"reference": "Schedule/w"},
        "start": "2024-01-30T13:00:00Z",
        "end": "2024-01-30T13:30:00Z",
    }
    await put(weekly_api.service.stores["test"], slot("a", 0, **leave), slot("b", 0, **later))
    found = await published(weekly_api)
    assert {name: found[name] for name in ("a", "b")} == {"a": "busy", "b": "free"}


async def test_nothing_that_happens_leaves_the_manifest_as_it_is(weekly_api: Api, clock: Clock) -> None:
    first = (await weekly_api.http.get(PATH)).json()
    clock.advance(hours=13, minutes=59)
    assert (await weekly_api.http.get(PATH)).json() == first
    clock.advance(days=7)
    later = list(await published(weekly_api))  # it is Monday the 22nd, 23:59 UTC
    assert {name[:10] for name in later} == {"w.20240205"}


async def test_schedules_that_are_not_published_publish_no_openings(weekly_api: Api, clock: Clock) -> None:
    store = weekly_api.service.stores["test"]
    patient = {"actor": [{"reference": "Location/l"}, {"reference": "Patient/x"}]}
    await put(store, WEEKLY | patient, WEEKLY | {"id": "off", "active": False}, CALENDAR, slot("a", 9))
    assert await published(weekly_api) == {"a": "free"}


async def test_many_schedules_come_in_order(weekly_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computed, "_AT_A_TIME", 2)
    store = weekly_api.service.stores["test"]
    names = ("w", "w1", "w2", "w3", "w4")
    await put(
        store,
        *(PRACTITIONER | {"id": f"p-{name}"} for name in names),
        *(
            WEEKLY | {"id": name, "actor": [{"reference": f"Practitioner/p-{name}"}, {"reference": "Location/l"}]}
            for name in names
        ),
    )
    assert [name.partition(".")[0] for name in await published(weekly_api)] == [one for one in names for _ in range(4)]


@pytest.mark.parametrize(("days", "end"), [(0, "2024-01-15T10:00"), (1, "2024-01-17T00:00"), (30, "2024-02-15T00:00")])
def test_the_time_that_is_published(days: int, end: str) -> None:
    now = datetime(2024, 1, 15, 10, tzinfo=UTC)
    found = computed.window(now, days)
    assert (found.start, found.end) == (now, datetime.fromisoformat(f"{end}Z"))
