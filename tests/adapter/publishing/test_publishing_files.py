"""``$bulk-publish``: what the public sees of availability, how often it is made, and how it is cached."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from adapter import gate
from adapter.publishing.making import Publisher
from store.errors import Unreachable
from store.publications import Draft, Publications
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker
from tests.store.support import explain

Json = dict[str, Any]
PATH = "/fhir/R4/$bulk-publish"
SMART = "http://fhir-registry.smarthealthit.org/StructureDefinition"

PLACE: Json = {
    "resourceType": "Location",
    "id": "l",
    "name": "Ward",
    "status": "active",
    "telecom": [{"system": "phone", "value": "+256 1"}, {"system": "email", "value": "nurse@example.org"}],
    "address": {"line": ["1 Road"], "city": "Kampala", "text": "1 Road, Kampala"},
}
CALENDAR: Json = {
    "resourceType": "Schedule",
    "id": "s",
    "actor": [{"reference": "Practitioner/p", "display": "Dr. Atim"}, {"reference": "Location/l"}],
    "serviceType": [{"coding": [{"system": "urn:s", "code": "c"}], "text": "for John"}],
    "comment": "secret",
}


def slot(ident: str, hour: int, status: str = "free", **members: Any) -> Json:
    return {
        "resourceType": "Slot",
        "id": ident,
        "schedule": {"reference": "Schedule/s"},
        "status": status,
        "start": f"2027-01-20T{hour:02d}:00:00Z",
        "end": f"2027-01-20T{hour:02d}:30:00Z",
        "comment": "secret",
    } | members


async def put(store: Store, *resources: Json) -> None:
    async def step(work: UnitOfWork) -> None:
        for one in resources:
            before = await work.read(one["resourceType"], one["id"])
            _ = work.create(one) if before is None else work.update(before, one)

    await store.transact(step)


@pytest.fixture
async def open_api(make_service: ServiceMaker, make_api: ApiMaker) -> Api:
    service = make_service(bulk_publish="test", booking_link="https://book.example.org/?slot={slot}")
    made: Api = await make_api(service)
    await put(service.stores["test"], PLACE, CALENDAR, slot("a", 9), slot("b", 10, "busy-tentative"))
    return made


async def read(api: Api, path: str = PATH, **headers: str) -> httpx.Response:
    return await api.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def files(api: Api) -> dict[str, list[Json]]:
    manifest = (await read(api)).json()
    found = {}
    for one in manifest["output"]:
        answer = await read(api, one["url"])
        assert answer.status_code == 200
        assert answer.text == "" or answer.text.endswith("\n")
        found[one["type"]] = [json.loads(line) for line in answer.text.splitlines()]
        assert len(found[one["type"]]) == one["count"]
    return found


async def test_nothing_is_published_unless_it_is_set(api: Api) -> None:
    for path in (PATH, f"{PATH}/abc/Slot.ndjson"):
        answer = await read(api, path)
        assert (answer.status_code, answer.json()["resourceType"]) == (404, "OperationOutcome")


async def test_the_manifest_satisfies_both_specifications(open_api: Api) -> None:
    for headers in ({}, {"accept": "application/json"}, {"accept": "*/*"}):
        answer = await read(open_api, **headers)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    said = answer.json()
    assert said["request"] == f"http://adapter.test{PATH}"
    assert (said["transactionTime"], said["requiresAccessToken"]) == ("2024-01-15T10:00:00.000Z", False)
    assert [one["type"] for one in said["output"]] == ["Location", "Schedule", "Slot"]
    assert all(one["url"].startswith("http://adapter.test/") for one in said["output"])
    assert said["error"] == said["deleted"] == said["outcome"] == []
    assert "max-age=300" in answer.headers["cache-control"]
    for one in said["output"]:
        answer = await read(open_api, one["url"], accept_encoding="identity")
        assert answer.headers["content-type"] == "application/fhir+ndjson"
        assert "max-age=300" in answer.headers["cache-control"]
        assert int(answer.headers["content-length"]) == len(answer.content)
        head = await open_api.http.head(one["url"])
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_head_says_what_get_says(open_api: Api, coding: str) -> None:
    await put(open_api.service.stores["test"], *(slot(f"m{number}", 11) for number in range(20)))
    for address in (PATH, (await read(open_api)).json()["output"][2]["url"]):
        answer = await read(open_api, address, accept_encoding=coding)
        head = await open_api.http.head(address, headers={"Accept-Encoding": coding})
        assert (head.status_code, head.content) == (200, b"")
        for name in ("etag", "last-modified", "cache-control", "content-type"):
            assert head.headers[name] == answer.headers[name]
        # The length of GET's answer, or none (RFC 9110 section 8.6).
        assert head.headers.get("content-length") in {answer.headers.get("content-length"), None}
        assert ("content-length" in head.headers) is (answer.headers.get("content-encoding") != "gzip")


async def test_one_tag_is_of_all_codings_and_so_a_weak_one(open_api: Api) -> None:
    """Two that are not the same byte for byte have no strong tag in common (RFC 9110 section 8.8.1)."""
    await put(open_api.service.stores["test"], *(slot(f"m{number}", 11) for number in range(20)))
    for address in (PATH, (await read(open_api)).json()["output"][2]["url"]):
        plain = await read(open_api, address, accept_encoding="identity")
        packed = await read(open_api, address, accept_encoding="gzip")
        tag = plain.headers["etag"]
        assert tag == packed.headers["etag"]
        assert tag.startswith('W/"')
        for known in (tag, tag.removeprefix("W/"), f'"x", {tag}'):
            for coding in ("identity", "gzip"):
                again = await read(open_api, address, if_none_match=known, accept_encoding=coding)
                assert (again.status_code, again.headers["etag"]) == (304, tag)


async def test_what_is_published(open_api: Api) -> None:
    found = await files(open_api)
    meta = {"lastUpdated": "2024-01-15T10:00:00.000Z"}
    assert found["Location"] == [
        {name: PLACE[name] for name in ("resourceType", "id", "status", "name")}
        | {"meta": meta, "telecom": PLACE["telecom"][:1], "address": {"city": "Kampala", "line": ["1 Road"]}}
    ]
    assert found["Schedule"] == [
        {
            "resourceType": "Schedule",
            "id": "s",
            "meta": meta,
            "serviceType": [{"coding": [{"system": "urn:s", "code": "c"}]}],
            "actor": [{"reference": "Location/l"}],
        }
    ]
    link = {"url": f"{SMART}/booking-deep-link", "valueUrl": "https://book.example.org/?slot=a"}
    head = {"resourceType": "Slot", "schedule": {"reference": "Schedule/s"}}
    assert found["Slot"] == [
        head
        | {"id": "a", "status": "free", "start": "2027-01-20T09:00:00Z", "end": "2027-01-20T09:30:00Z"}
        | {"extension": [link]},
        head | {"id": "b", "status": "busy", "start": "2027-01-20T10:00:00Z", "end": "2027-01-20T10:30:00Z"},
    ]


async def test_what_is_left_out(open_api: Api) -> None:
    store = open_api.service.stores["test"]
    others: dict[str, Json] = {
        "patients": {"actor": [{"reference": "Location/l"}, {"reference": "Patient/p"}]},
        "relatives": {"actor": [{"reference": "Location/l"}, {"type": "RelatedPerson", "display": "x"}]},
        "contained": {
            "contained": [{"resourceType": "Patient", "id": "p"}],
            "actor": [{"reference": "Location/l"}, {"reference": "#p"}],
        },
        "unknown": {"actor": [{"reference": "Location/l"}, {"display": "John"}]},
        "nowhere": {"actor": [{"reference": "Practitioner/p"}]},
        "elsewhere": {"actor": [{"reference": "Location/unknown"}]},
        "closed": {"active": False},
    }
    await put(store, *(CALENDAR | {"id": ident} | members for ident, members in others.items()))
    await put(store, *(slot(ident, 9, schedule={"reference": f"Schedule/{ident}"}) for ident in others))
    await put(store, slot("wrong", 9, "entered-in-error"))
    await put(store, slot("past", 9, start="2024-01-15T09:59:00Z", end="2024-01-15T10:10:00Z"))
    await put(store, PLACE | {"id": "gone", "status": "inactive"})
    found = await files(open_api)
    assert {kind: [one["id"] for one in resources] for kind, resources in found.items()} == {
        "Location": ["l"],
        "Schedule": ["s"],
        "Slot": ["a", "b"],
    }


async def test_only_places_of_published_schedules_are_published_and_no_homes(open_api: Api) -> None:
    store = open_api.service.stores["test"]
    home = PLACE | {"physicalType": {"coding": [{"code": "ho"}]}, "name": "Home of Nakato Sarah"}
    await put(store, home | {"id": "home-1"}, home | {"id": "home-2"}, PLACE | {"id": "unused"})
    await put(store, PLACE | {"id": "bare"}, PLACE | {"id": "l2"}, *(PLACE | {"id": f"l{n}"} for n in range(3, 9)))
    await put(store, CALENDAR | {"id": "visits", "actor": [{"reference": "Location/home-2"}]})
    both = [{"reference": "Location/home-1"}, {"reference": "http://adapter.test/fhir/R4/Location/l2"}]
    await put(store, CALENDAR | {"id": "s2", "actor": both}, CALENDAR | {"id": "bare", "active": False})
    await put(store, CALENDAR | {"id": "z", "actor": [{"reference": f"Location/l{n}"} for n in range(3, 9)]})
    await put(store, slot("h", 9, schedule={"reference": "Schedule/visits"}))
    found = await files(open_api)
    assert {kind: [one["id"] for one in resources] for kind, resources in found.items()} == {
        "Location": ["l", "l2", "l3"],
        "Schedule": ["s", "s2", "z"],
        "Slot": ["a", "b"],
    }
    assert [one["actor"] for one in found["Schedule"]] == [[{"reference": f"Location/{n}"}] for n in ("l", "l2", "l3")]
    assert "Nakato" not in json.dumps(found)


async def test_a_slot_for_several_is_published_with_the_places_that_are_left(
    open_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SMART Scheduling Links: that it is free, with a capacity, is short for so many free ones."""
    monkeypatch.setattr("adapter.publishing.making._BATCH", 3)
    store = open_api.service.stores["test"]
    other = {"url": f"{SMART}/booking-phone", "valueString": "+256 1"}
    rooms = {"empty": 3, "two": 3, "last": 3, "full": 2, "alone": 1}
    slots = [
        slot(name, 11, extension=[{"url": f"{SMART}/slot-capacity", "valueInteger": room}, other])
        for name, room in rooms.items()
    ]
    await put(store, *slots, slot("closed", 11, "busy", extension=slots[0]["extension"]))
    held = {"b1": "two", "b2": "last", "b3": "last", "b4": "full", "b5": "full", "c1": "closed"}
    visits = [
        {
            "resourceType": "Appointment",
            "id": ident,
            "status": "cancelled" if ident == "gone" else "booked",
            "slot": [{"reference": f"Slot/{name}"}],
            "participant": [{"actor": {"reference": "Patient/p"}, "status": "accepted"}],
        }
        for ident, name in (held | {"gone": "empty"}).items()
    ]
    await put(store, *visits)
    told = {one["id"]: one for one in (await files(open_api))["Slot"]}
    left = {
        name: [one["valueInteger"] for one in told[name]["extension"] if one["url"] == f"{SMART}/slot-capacity"]
        for name in ("empty", "two", "last", "alone")
    }
    assert left == {"empty": [3], "two": [2], "last": [1], "alone": [1]}
    assert {name: told[name]["status"] for name in rooms} == dict.fromkeys(rooms, "free") | {"full": "busy"}
    assert all(other in told[name]["extension"] for name in left)
    assert told["closed"]["status"] == "busy"
    assert not [name for name in ("closed", "full") if "extension" in told[name]]


async def test_many_schedules_and_places(open_api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.publishing.making._BATCH", 2)
    store = open_api.service.stores["test"]
    names = [f"m{number}" for number in range(7)]
    await put(store, *(PLACE | {"id": name} for name in names))
    actors = {name: [{"reference": f"Location/{name}"}] for name in reversed(names)}
    await put(store, *(CALENDAR | {"id": f"of-{name}", "actor": actor} for name, actor in actors.items()))
    found = await files(open_api)
    assert [one["id"] for one in found["Location"]] == ["l", *names]
    assert len(found["Schedule"]) == 8
    first = (await read(open_api)).headers["etag"]
    clock.advance(seconds=301)  # what nobody sees makes no other publication
    await put(store, PLACE | {"id": "home", "physicalType": {"coding": [{"code": "ho"}]}})
    assert (await read(open_api)).headers["etag"] == first
    clock.advance(seconds=301)
    await put(store, CALENDAR | {"id": "of-m0", "active": False})
    assert [one["id"] for one in (await files(open_api))["Location"]] == ["l", *names[1:]]
    assert (await read(open_api)).headers["etag"] != first


async def test_who_has_it_already_is_told_so(open_api: Api) -> None:
    first = await read(open_api)
    addresses = [PATH, first.json()["output"][2]["url"]]
    for address in addresses:
        answer = await read(open_api, address)
        tag, modified = answer.headers["etag"], answer.headers["last-modified"]
        for known in ({"if_none_match": tag}, {"if_none_match": f'"x", {tag}'}, {"if_none_match": "*"}):
            again = await read(open_api, address, **known)
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
            assert "max-age=300" in again.headers["cache-control"]
        in_lines = [("If-None-Match", '"x"'), ("If-None-Match", tag)]
        assert (await open_api.http.get(address, headers=in_lines)).status_code == 304
        assert (await read(open_api, address, if_modified_since=modified)).status_code == 304
        for other in (
            {"if_none_match": '"other"', "if_modified_since": modified},
            {"if_modified_since": "Mon, 01 Jan 2024 00:00:00 GMT"},
            {"if_modified_since": "yesterday"},
            {"if_modified_since": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"},
        ):
            assert (await read(open_api, address, **other)).status_code == 200


async def test_it_is_made_once_in_five_minutes_and_only_where_it_changed(
    open_api: Api, clock: Clock, make_service: ServiceMaker, make_api: ApiMaker
) -> None:
    store = open_api.service.stores["test"]
    first = (await read(open_api)).json()
    await put(store, slot("a", 9, "busy"))
    clock.advance(seconds=299)
    assert (await read(open_api)).json() == first
    clock.advance(seconds=2)
    other: Api = await make_api(make_service(bulk_publish="test", booking_link="https://book.example.org/?slot={slot}"))
    second = (await read(other)).json()
    assert second["transactionTime"] > first["transactionTime"]
    assert (await read(open_api)).json() == second
    assert [one["status"] for one in (await files(open_api))["Slot"]] == ["busy", "busy"]
    clock.advance(seconds=301)
    assert (await read(open_api)).json() == second  # nothing has changed: neither has its tag
    assert (await read(other, first["output"][2]["url"])).status_code == 200
    clock.advance(hours=2)
    await put(store, slot("c", 12))
    third = (await read(open_api)).json()
    assert third["output"][2]["url"] != second["output"][2]["url"]
    assert (await read(other, first["output"][2]["url"])).status_code == 404
    assert (await read(other, second["output"][2]["url"])).status_code == 200


async def test_what_was_said_before_may_be_said_again(open_api: Api, clock: Clock) -> None:
    store = open_api.service.stores["test"]
    first = (await read(open_api)).json()
    for place in (PLACE | {"name": "Other"}, PLACE):
        clock.advance(seconds=301)
        await put(store, place)
        await read(open_api)
    meta = [one["meta"]["lastUpdated"] for one in (await files(open_api))["Location"]]
    assert meta == ["2024-01-15T10:10:02.000Z"]
    assert (await read(open_api, first["output"][0]["url"])).status_code == 200


async def test_a_dead_maker_holds_nobody_up_for_long(
    open_api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_api.service.stores["test"]
    await store.database["publications"].insert_one({"_id": "current", "making": clock.moment.replace(minute=2)})
    with monkeypatch.context() as hurried:  # not where files are made: that takes its time on a busy machine
        hurried.setattr("adapter.publishing.making._PATIENCE", 0.2)
        answer = await read(open_api)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    clock.advance(minutes=3)
    assert (await read(open_api)).status_code == 200


async def test_files_may_take_longer_than_a_request(open_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of hundreds of thousands of openings do: they are for all who ask in the next minutes."""
    begin = Publications.draft

    async def slow(self: Publications, *given: Any) -> Draft:
        await asyncio.sleep(0.6)
        return await begin(self, *given)

    monkeypatch.setattr(Publications, "draft", slow)
    monkeypatch.setattr(gate, "REQUEST_SECONDS", 0.5)
    assert (await read(open_api)).status_code == 200


async def test_who_fails_to_make_the_files_leaves_it_to_the_next(
    open_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(self: Publications, *given: Any) -> Draft:
        raise Unreachable("MongoDB did not answer in time")

    with monkeypatch.context() as patch:
        patch.setattr(Publications, "draft", nothing)
        assert (await read(open_api)).status_code == 503
    assert (await read(open_api)).status_code == 200


async def test_files_of_many_pieces_are_whole_and_drafts_of_the_dead_are_removed(
    open_api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.publications.PIECE", 100)
    store = open_api.service.stores["test"]
    publisher = Publisher(open_api.service)
    await publisher._publications.draft("dead", clock.moment)
    await store.database["publication-pieces"].insert_one({"_id": "dead/Slot/00000000", "data": b"x"})
    await put(store, *(slot(f"m{number}", 11, "busy") for number in range(20)))
    assert len((await files(open_api))["Slot"]) == 22
    clock.advance(hours=2)
    await put(store, slot("late", 13))
    assert len((await files(open_api))["Slot"]) == 23
    assert await store.database["publication-pieces"].find_one({"_id": "dead/Slot/00000000"}) is None


async def test_the_slots_are_read_by_an_index(open_api: Api) -> None:
    store = open_api.service.stores["test"]
    query = {"_index.start": {"$gt": open_api.service.now()}}
    told = await explain(store, "Slot", query, sort=[("_index.start", 1), ("_id", 1)])
    text = json.dumps(told["queryPlanner"]["winningPlan"], default=str)
    assert "IXSCAN" in text
    assert "SORT" not in text.replace("SORT_KEY", "")


async def test_what_a_clock_that_was_ahead_has_published_does_not_stay(open_api: Api, clock: Clock) -> None:
    clock.advance(days=1)
    await read(open_api)
    clock.advance(days=-1)
    await put(open_api.service.stores["test"], slot("a", 9, "busy"))
    await read(open_api)
    assert [one["status"] for one in (await files(open_api))["Slot"]] == ["busy", "busy"]
