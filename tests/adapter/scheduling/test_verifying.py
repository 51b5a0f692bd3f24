"""`mediloop-fhir check` finds what is wrong: a real store is spoilt on purpose in each way; a sound one is clean."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from bson.binary import Binary

from adapter.console.check import walk
from adapter.errors import Conflict
from adapter.scheduling import holds, verifying
from store import revision
from store.checking import Finding
from store.codec import Resource, decode, encode
from store.connection import within
from store.documents import compose
from store.errors import Unreachable
from store.extract import instant
from store.ordering import COUNTER
from store.store import Store
from store.types import TYPES
from store.unit_of_work import UnitOfWork
from tests.adapter.scheduling.sharing import EXTENSIONS, group, mediloop, over
from tests.adapter.scheduling.support import (
    advance,
    advancing,
    at,
    book,
    booking,
    linking,
    of_type,
    role,
    schedule,
    slot,
    visit,
)
from tests.snapshots import Snapshot
from tests.store.support import NUMBERS, change, create


def numbered(value: str) -> dict[str, Any]:
    return {"identifier": [{"system": NUMBERS, "value": value}]}


@pytest.fixture(scope="module")
def happened() -> dict[str, Snapshot]:
    return {}


@pytest.fixture
async def clinic(store: Store, happened: dict[str, Snapshot], mongodb_uri: str) -> Store:
    """A store in which everything has happened that may happen."""
    name = store.database.name
    if name in happened:
        happened[name].restore()
    else:
        await _everything_happens(store)
        happened[name] = Snapshot(mongodb_uri, [name])
    return store


async def _everything_happens(store: Store) -> None:
    await create(
        store,
        schedule(),
        schedule("t", "PractitionerRole/r"),
        role("r", "q"),
        slot("a"),
        slot("b", "10:30", "11:00"),
        slot("no", "12:00", "12:30", status="busy-unavailable"),
        group("g", 3, "11:00", "12:00"),
        group("h", 2, "10:00", "11:00", schedule="t"),
    )
    await book(store, visit("x", **numbered("APT-2024-000001")), "a")
    await store.transact(_over(visit("over", **numbered("APT-2024-000002")), "a"))
    await book(store, visit("beside", appointmentType=of_type("WALKIN")))
    for ident in ("g1", "g2", "g3"):
        await book(store, visit(ident, "11:00", "11:30"), "g")
    for ident in ("h1", "h2"):
        await book(store, visit(ident, "10:00", "10:45", who=("PractitionerRole/r",)), "h")
    await advance(store, "g3", "cancelled")
    await book(store, visit("y", "10:30", "11:00"), "b")
    await advance(store, "y", "noshow")
    await create(store, visit("declined"), visit("late", "10:00", "11:00", status="proposed"))
    declined = {"actor": {"reference": "Practitioner/p"}, "status": "declined"}
    await change(store, "Appointment", "declined", participant=[declined])
    await create(store, visit("gone", "20:00", "21:00"))

    async def go(work: UnitOfWork) -> None:
        before = await work.read("Appointment", "gone")
        assert before is not None
        work.delete(before)
        work.remember("k", "f" * 64, 201, b'{"id": "x"}')

    await store.transact(go)
    await at_rest(store)


async def at_rest(store: Store) -> None:
    """Do what is done beside the writes: the history has its order, and it is known by which rules all is filed."""
    await store.sequence_all()
    await revision.finish(store.database, store.rules)


def _over(wanted: Resource, slot_id: str) -> Any:
    return mediloop(over(wanted), slot_id)


async def found(store: Store, batch: int = 3) -> list[Finding]:
    return [finding async for step in walk(store, batch) for finding in step.findings]


async def kinds(store: Store) -> dict[str, set[str]]:
    """What is found, by kind: of which resources; the same in small batches as in one."""
    told: dict[str, set[str]] = {}
    small, whole = await found(store), await found(store, 1000)
    assert set(small) == set(whole)
    for one in whole:
        told.setdefault(one.kind, set()).add(one.resource)
    return told


async def rewrite(store: Store, kind: str, ident: str, **members: Any) -> None:
    """Spoil a resource as nobody can through a door: document, index, bytes and history agree, and it is wrong."""
    document = await store.database[kind].find_one({"_id": ident})
    assert document is not None
    resource = decode(document["_json"]) | members
    for name in [name for name, value in members.items() if value is None]:
        del resource[name]
    moment = instant(resource["meta"]["lastUpdated"])
    assert moment is not None
    raw = encode(resource)
    await store.database[kind].replace_one({"_id": ident}, compose(TYPES[kind], resource, raw, moment, store.rules))
    version = f"{kind}/{ident}/{int(resource['meta']['versionId']):010}"
    await store.database["history"].update_one({"_id": version}, {"$set": {"_json": Binary(raw)}})


@pytest.mark.parametrize("batch", [1, 2, 5, 1000])
async def test_a_sound_store_is_clean_whatever_has_happened_in_it(clinic: Store, batch: int) -> None:
    assert await found(clinic, batch) == []
    counted: Counter[str] = Counter()
    async for step in walk(clinic, batch):
        counted[step.what] += step.checked
    assert counted["Appointment"] == await clinic.count("Appointment", {})
    assert counted["history"] == await clinic.database["history"].count_documents({})
    assert counted["idempotency"] == 1


async def test_a_database_that_does_not_answer_holds_up_no_walk_for_ever(clinic: Store) -> None:
    steps = verifying.appointments(clinic, 1)
    await anext(steps)
    with within(0), pytest.raises(Unreachable):
        await anext(steps)
    async with clinic.moment() as view:
        with within(0), pytest.raises(Unreachable):
            await verifying._by_start(view, [{}], 1)


@pytest.mark.parametrize(
    ("kind", "ident", "members", "expected"),
    [
        ("Appointment", "over", {"extension": None}, {"overlap": {"Appointment/x"}, "capacity": {"Slot/a"}}),
        ("Appointment", "beside", {"appointmentType": of_type("ROUTINE")}, {"overlap": {"Appointment/x"}}),
        ("Appointment", "y", {"status": "booked", "start": at("10:15")}, {"overlap": {"Appointment/y"}}),
        ("Appointment", "g1", {"end": at("12:15"), "slot": []}, {"overlap": {"Appointment/g2"}}),
        ("Appointment", "h1", {"end": at("11:15")}, {}),  # nobody else is there after the group
        ("Slot", "g", {"schedule": {"reference": "Schedule/t"}}, {"overlap": {"Appointment/g2"}}),
        ("Slot", "h", {"extension": []}, {"overlap": {"Appointment/h2"}, "capacity": {"Slot/h"}}),
        ("PractitionerRole", "r", {"practitioner": {"reference": "Practitioner/p"}}, None),
        ("Slot", "a", {"status": "free"}, {"slot-not-busy": {"Slot/a"}}),
        ("Slot", "g", {"status": "busy-unavailable"}, {"slot-not-busy": {"Slot/g"}}),
        ("Slot", "a", {"status": "busy-tentative"}, {"slot-otherwise-busy": {"Slot/a"}}),
        ("Slot", "a", {"start": at("15:00"), "end": at("15:30")}, {"slot-elsewhere": {"Slot/a"}}),
        ("Slot", "b", {"start": at("11:00"), "end": at("11:30")}, {}),  # a noshow stays where it was
        ("Slot", "no", {"status": "busy"}, {"slot-without-owner": {"Slot/no"}}),
        ("Appointment", "g1", linking("nowhere"), {"slot-missing": {"Appointment/g1"}, "overlap": {"Appointment/g2"}}),
        ("Slot", "no", {"schedule": {"reference": "Schedule/none"}}, {"schedule-missing": {"Slot/no"}}),
        ("Slot", "no", {"schedule": {"reference": "Schedule/none"}, "status": "entered-in-error"}, {}),
        ("Appointment", "x", numbered("APT-2024-000002"), {"number": {"Appointment/x"}}),
    ],
)
async def test_what_must_not_be_booked_is_found(
    clinic: Store, kind: str, ident: str, members: dict[str, Any], expected: dict[str, set[str]] | None
) -> None:
    if kind == "Appointment" and "identifier" in members:
        await clinic.database.Appointment.drop_index("_index.unique_1")
    await rewrite(clinic, kind, ident, **members)
    told = await kinds(clinic)
    if "identifier" in members:
        assert told.pop("missing-index") == {"Appointment"}
        await clinic.database.Appointment.delete_many({})
        await clinic.prepare()
    if expected is None:  # who was r's is p's now: those of p and of r stand in each other's way
        assert told["overlap"] >= {"Appointment/x"}
    else:
        assert told == expected


async def test_an_extension_whose_time_is_none_is_found(clinic: Store) -> None:
    told = {"url": "urn:when", "valueDateTime": "2024-01"}
    await rewrite(clinic, "Appointment", "x", extension=[told, told | {"valueDateTime": "1-01-01T00:00:00Z"}])
    await rewrite(clinic, "Slot", "no", extension=[{"url": "urn:when", "valueInstant": "2024-13-01T00:00:00Z"}])
    assert await kinds(clinic) == {"time": {"Appointment/x", "Slot/no"}}


async def test_who_is_known_by_an_address_alone_and_booked_twice_is_found(store: Store) -> None:
    who = [{"actor": {"type": "Practitioner", "reference": "https://other.example/doctors/7"}, "status": "accepted"}]
    times = {"x": ("10:00", "10:30"), "y": ("10:15", "10:45"), "z": ("10:45", "11:00")}
    await create(store, *({**visit(ident, *when), "participant": who} for ident, when in times.items()))
    await at_rest(store)
    assert await kinds(store) == {"overlap": {"Appointment/y"}}


async def _spoil(store: Store, kind: str, ident: str, **change_: Any) -> None:
    assert (await store.database[kind].update_one({"_id": ident}, change_)).matched_count == 1


@pytest.mark.parametrize(
    ("ident", "spoiling", "expected"),
    [
        ("x", {"$set": {"_index.status": "cancelled"}}, "index"),
        ("x", {"$set": {"_index.claims": ["Slot/a"]}}, "index"),
        ("x", {"$unset": {"_index": ""}}, "index"),
        ("x", {"$set": {"comment": "by hand"}}, "document"),
        ("x", {"$unset": {"start": ""}}, "document"),
        ("x", {"$set": {"_json": Binary(b"{")}}, "json"),
        ("x", {"$set": {"_json": Binary(b"[]")}}, "json"),
        ("x", {"$set": {"_json": Binary(b'{"resourceType": "Slot", "meta": {"lastUpdated": null}}')}}, "json"),
        ("x", {"$unset": {"_json": ""}}, "json"),
        ("x", {"$unset": {"meta": ""}}, "document"),
    ],
)
async def test_what_does_not_agree_with_the_bytes_is_found(
    clinic: Store, ident: str, spoiling: dict[str, Any], expected: str
) -> None:
    await _spoil(clinic, "Appointment", ident, **spoiling)
    told = await kinds(clinic)
    assert told[expected] == {f"Appointment/{ident}"}


async def _history(store: Store, version: str, **change_: Any) -> None:
    versions = store.database["history"]
    if change_:
        assert (await versions.update_one({"_id": version}, change_)).matched_count == 1
    else:
        assert (await versions.delete_one({"_id": version})).deleted_count == 1


@pytest.mark.parametrize(
    ("version", "spoiling", "expected"),
    [
        ("Appointment/x/0000000001", {"$set": {"_json": Binary(b"{}")}}, {"history": {"Appointment/x"}}),
        ("Appointment/x/0000000001", {}, {"history": {"Appointment/x"}, "order-gap": None}),
        ("Appointment/g3/0000000001", {}, {"history-gap": {"Appointment/g3"}, "order-gap": None}),
        ("Appointment/g3/0000000002", {}, {"history": {"Appointment/g3"}, "order-gap": None}),
        ("Appointment/gone/0000000002", {}, {"history": {"Appointment/gone"}, "order-gap": None}),
        ("Appointment/x/0000000001", {"$set": {"method": "DELETE"}}, {"history": {"Appointment/x"}}),
        ("Appointment/x/0000000001", {"$inc": {"seq": 100}}, {"order-gap": None}),
    ],
)
async def test_a_history_that_is_not_whole_is_found(
    clinic: Store, version: str, spoiling: dict[str, Any], expected: dict[str, set[str] | None]
) -> None:
    await _history(clinic, version, **spoiling)
    told = await kinds(clinic)
    assert set(told) == set(expected)
    assert all(names is None or told[kind] == names for kind, names in expected.items())


@pytest.mark.parametrize(
    "spoiling",
    [
        {"$set": {"_json": Binary(b"{")}},
        {"$set": {"_json": Binary(b"[]")}},
        {"$set": {"_json": "a text"}},
        {"$unset": {"_json": ""}},
        {"$set": {"_json": Binary(encode({"resourceType": "Slot", "id": "g3", "meta": {"versionId": "1"}}))}},
        {"$set": {"_json": Binary(encode({"resourceType": "Appointment", "id": "g3", "meta": {"versionId": "2"}}))}},
        {"$set": {"lastUpdated": at("08:00")}},
    ],
)
async def test_an_old_version_that_cannot_be_served_is_found(clinic: Store, spoiling: dict[str, Any]) -> None:
    await _history(clinic, "Appointment/g3/0000000001", **spoiling)
    (wrong,) = await found(clinic)
    assert (wrong.kind, wrong.resource) == ("history", "Appointment/g3")
    assert wrong.message.startswith("Version 1 in its history")


async def test_numbers_of_the_order_that_are_gone_at_its_end_are_found(clinic: Store) -> None:
    await _spoil(clinic, "counters", COUNTER, **{"$inc": {"value": 2}})
    (wrong,) = await found(clinic)
    assert (wrong.kind, "lacks" in wrong.message) == ("order-gap", True)


async def test_a_document_that_is_gone_is_found(clinic: Store) -> None:
    await clinic.database.Appointment.delete_one({"_id": "h1"})
    assert await kinds(clinic) == {"history": {"Appointment/h1"}}


@pytest.mark.parametrize(
    "spoiling",
    [
        {"$unset": {"body": ""}},
        {"$set": {"body": Binary(b"{")}},
        {"$set": {"status": "201"}},
        {"$set": {"fingerprint": 1}},
        {"$unset": {"at": ""}},
    ],
)
async def test_an_answer_that_cannot_be_repeated_is_found(clinic: Store, spoiling: dict[str, Any]) -> None:
    await _spoil(clinic, "idempotency", "k", **spoiling)
    assert await kinds(clinic) == {"idempotency": {"idempotency/k"}}


async def test_a_hold_that_has_lapsed_is_a_note(clinic: Store) -> None:
    hold = holds.holding(visit("held", "15:00", "15:30"), clinic.now() - timedelta(minutes=2), EXTENSIONS)
    await create(clinic, hold)
    (note,) = [one for one in await found(clinic) if one.kind == "lapsed-hold"]
    assert (note.resource, note.note) == ("Appointment/held", True)


async def test_an_index_that_is_not_there_is_found(clinic: Store) -> None:
    await clinic.database.Slot.drop_index("_index.unique_1")
    try:
        assert await kinds(clinic) == {"missing-index": {"Slot"}}
    finally:
        await clinic.prepare()


async def test_an_index_that_a_release_no_longer_uses_is_a_note_with_what_removes_it(clinic: Store) -> None:
    name = await clinic.database.Appointment.create_index([("_index.former", 1)])
    try:
        [note] = await found(clinic)
        assert (note.kind, note.resource, note.note) == ("unused-index", "Appointment", True)
        assert note.message.endswith(': db.Appointment.dropIndex("_index.former_1")')
    finally:
        await clinic.database.Appointment.drop_index(name)


async def test_a_resource_that_nobody_can_read_ends_no_check(clinic: Store) -> None:
    for kind in ("Appointment", "Slot", "PractitionerRole"):
        one = await clinic.database[kind].find_one({})
        assert one is not None
        await _spoil(clinic, kind, one["_id"], **{"$set": {"_json": Binary(b"{")}})
    assert (await kinds(clinic))["json"] >= {"PractitionerRole/r"}


async def test_a_store_in_which_16_clients_book_is_clean_all_the_while(clinic: Store) -> None:
    """What is in flight raises no alarm: bookings, moves and cancellations beside checks in small batches."""
    await create(clinic, *(slot(f"s{n}", f"{h:02}:{m:02}", f"{h:02}:{m + 15:02}")
                           for n, (h, m) in enumerate((h, m) for h in range(13, 22) for m in (0, 15, 30))))  # fmt: skip
    stop = asyncio.Event()

    async def client(number: int) -> int:
        done = 0
        while not stop.is_set():
            ident, place = f"c{number}-{done}", (number * 7 + done) % 27
            h, m = 13 + place // 3, 15 * (place % 3)
            wanted = visit(ident, f"{h:02}:{m:02}", f"{h:02}:{m + 15:02}")
            try:
                await clinic.transact(booking(wanted, f"s{place}"))
                await asyncio.sleep(0.05)
                await clinic.transact(advancing(ident, "cancelled"))
            except (Conflict, Unreachable):
                pass
            done += 1
        return done

    clients = [asyncio.create_task(client(number)) for number in range(16)]
    try:
        for batch in (20, 200):
            assert await found(clinic, batch) == []
    finally:
        stop.set()
        booked = await asyncio.gather(*clients)
    assert sum(booked) > 0
    await clinic.sequence_all()
    assert await found(clinic) == []


async def test_a_room_that_two_have_at_once_is_told(store: Store) -> None:
    room, site = "Location/room", ("Location/site", "HealthcareService/lab")
    await create(
        store,
        *(schedule(ident, room) for ident in "st"),
        schedule("d", "Device/d", room),
        schedule("lab", *site),
        *(slot(f"{ident}1", status="busy", schedule=ident) for ident in ("s", "t", "d", "lab")),
        *(slot(f"{ident}2", "10:15", "10:45", status="busy", schedule=ident) for ident in ("s", "lab")),
        slot("s3", "10:30", "10:45", status="busy"),
        *(visit(f"of-{ident}", who=(), **linking(ident)) for ident in ("s1", "t1", "d1", "lab1")),
        visit("of-s2", "10:15", "10:30", who=(), **linking("s2")),
        visit("of-lab2", "10:15", "10:30", who=(), **linking("lab2")),
        visit("of-s3", "10:30", "10:45", who=(), **linking("s3")),
        visit("asked", "10:15", "10:30", status="proposed", who=(), **linking("s2")),
    )
    await at_rest(store)
    told = {one.message for one in await found(store)}
    assert {one.kind for one in await found(store)} == {"room-overlap"}
    assert told == {one.message for one in await found(store, 1000)}
    overlap = "from 2024-01-20T10:15:00+00:00 to 2024-01-20T10:30:00+00:00, by"
    assert sorted(told) == [
        f"{room} is had by Appointment/of-s1 and Appointment/of-s2 {overlap} Slot/s1 and Slot/s2.",
        f"{room} is had by Appointment/of-s1 and Appointment/of-t1 from 2024-01-20T10:00:00+00:00 to "
        "2024-01-20T10:30:00+00:00, by Slot/s1 and Slot/t1.",
        f"{room} is had by Appointment/of-s2 and Appointment/of-t1 {overlap} Slot/s2 and Slot/t1.",
    ]


async def test_rooms_are_read_some_at_a_time_and_those_of_one_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "_ROOMS", 1)
    await create(store, *(schedule(ident, f"Location/{ident[0]}") for ident in ("a1", "b", "a2", "c")))
    await create(store, *(slot(f"of-{ident}", status="busy", schedule=ident) for ident in ("a1", "a2", "b", "c")))
    await create(store, *(visit(f"x-{ident}", who=(), **linking(f"of-{ident}")) for ident in ("a1", "a2", "b", "c")))
    await at_rest(store)
    assert [one.resource for one in await found(store)] == ["Appointment/x-a2"]
