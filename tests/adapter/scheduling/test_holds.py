"""Holds lapse at their moment, though no cleaner ran: reads, searches, lists and bookings all tell the truth."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from adapter import chores
from adapter.errors import Conflict
from adapter.scheduling import commands, expiry, holds
from adapter.scheduling.expiry import LAPSED
from adapter.scheduling.road import decide
from adapter.service import Service
from mappings.fields import CANCELLED_AT
from mappings.systems import DEFAULT_SYSTEMS
from store.codec import decode
from store.errors import Unreachable
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.mediloop.clinic import SARAH, appointment, location, practitioner, put, schedule, slot, with_actors
from tests.adapter.records import recorded
from tests.conftest import Api, Clock, ServiceMaker
from tests.store.support import explain

Json = dict[str, Any]


def held(clock: Clock, seconds: float = 300, ident: str = "h", **members: Any) -> Json:
    """Return a hold of Sarah's slot."""
    made = appointment(ident, status="pending", **({"slot": [{"reference": "Slot/s1"}]} | members))
    return holds.holding(made, clock() + timedelta(seconds=seconds), DEFAULT_SYSTEMS.extensions)


@pytest.fixture
def store(service: Service) -> Store:
    """The service's own: what is told by its doors is about it."""
    return service.stores["test"]


@pytest.fixture(autouse=True)
async def clinic(store: Store, clock: Clock) -> None:
    await put(
        store,
        practitioner(SARAH, "Dr. Sarah Nakamya"),
        location("fac-xyz-789", "Mulago"),
        schedule("sarah", f"Practitioner/{SARAH}"),
        slot("s1", "2024-01-20T10:00", "2024-01-20T10:30", status="busy-tentative"),
        held(clock),
    )


async def status(store: Store, kind: str, ident: str) -> str:
    raw = await store.read(kind, ident)
    assert raw is not None
    found: str = decode(raw)["status"]
    return found


async def book(store: Store, ident: str) -> Json:
    async def step(work: UnitOfWork) -> Json:
        planned = await commands.plan(work, appointment(ident), slot_id="s1")
        return commands.stage(work, None, planned)

    return await decide(store, step)


def test_what_a_hold_says(clock: Clock) -> None:
    other = {"url": "urn:other", "valueString": "kept"}
    made = held(clock, extension=[other])
    assert holds.expires(made) is not None
    assert holds.expires({**made, "status": "booked"}) is None
    proposed = {**made, "status": "proposed"}
    assert holds.holding(proposed, clock() + timedelta(seconds=300), DEFAULT_SYSTEMS.extensions) == made
    assert holds.ended({**made, "status": "cancelled"}) == holds.expires(made)
    for status in ("booked", "fulfilled"):
        assert expiry.released({**made, "status": status})["extension"] == [other]
        assert "extension" not in expiry.released({**held(clock), "status": status})
    for ended in (made, {**made, "status": "cancelled"}, appointment("a", extension=[other])):
        assert expiry.released(ended) == ended
    assert holds.expires(appointment("a", status="pending")) is None
    broken = {"url": f"{DEFAULT_SYSTEMS.extensions}/hold-expires"}
    assert holds.expires(appointment("a", status="pending", extension=[broken])) is None


@pytest.mark.parametrize("more", [{"valueString": "x"}, {"extension": [{"url": "urn:other", "valueCode": "x"}]}])
async def test_of_several_ends_the_first_that_is_an_instant_counts(api: Api, clock: Clock, more: Json) -> None:
    """It lapses then, and what is decided about it goes by the same."""
    other, slot = {"url": f"{DEFAULT_SYSTEMS.extensions}/hold-expires"} | more, [{"reference": "Slot/s1"}]
    await api.delete("/fhir/R4/Appointment/h")
    one = held(clock, ident="two", slot=slot)
    answer = await api.put("/fhir/R4/Appointment/two", one | {"extension": [other, *one["extension"]]})
    assert answer.status_code == 201, answer.text
    clock.advance(seconds=300)
    assert (await api.get("/fhir/R4/Appointment/two")).json()["status"] == "cancelled"
    assert (await api.get("/fhir/R4/Slot/s1")).json()["status"] == "free"


@pytest.mark.parametrize("door", ["PUT", "PATCH"])
async def test_what_is_booked_says_no_longer_when_it_ends(api: Api, store: Store, clock: Clock, door: str) -> None:
    fhir = "/fhir/R4/Appointment/h"
    if door == "PUT":
        for _ in range(2):  # the answer of the first was lost, and what it brings is of before it
            answer = await api.put(fhir, json=held(clock) | {"status": "booked"})
    else:
        patch = json.dumps([{"op": "replace", "path": "/status", "value": "booked"}])
        answer = await api.patch(fhir, content=patch, headers={"Content-Type": "application/json-patch+json"})
    assert answer.status_code == 200, answer.text
    raw = await store.read("Appointment", "h")
    assert raw is not None
    assert holds.ended(decode(raw)) is None


async def test_whoever_books_finds_the_time_free_though_no_cleaner_ran(store: Store, clock: Clock) -> None:
    with pytest.raises(Conflict):
        await book(store, "a")
    clock.advance(seconds=299)
    with pytest.raises(Conflict):
        await book(store, "a")
    clock.advance(seconds=1)
    assert (await book(store, "a"))["status"] == "booked"
    assert await status(store, "Appointment", "h") == "cancelled"
    raw = await store.read("Appointment", "h")
    assert raw is not None
    lapsed = decode(raw)
    assert lapsed["cancelationReason"] == {"text": LAPSED}
    assert {"url": CANCELLED_AT, "valueDateTime": "2024-01-15T10:05:00Z"} in lapsed["extension"]


async def test_it_lapses_while_two_book(store: Store, clock: Clock) -> None:
    clock.advance(seconds=300)
    results = await asyncio.gather(*(book(store, f"a{n}") for n in range(64)), return_exceptions=True)
    assert sum(isinstance(one, dict) for one in results) == 1
    assert sum(isinstance(one, Conflict) for one in results) == 63
    assert await status(store, "Slot", "s1") == "busy"


async def test_every_reader_is_told_the_truth(api: Api, clock: Clock) -> None:
    """FHIR read and search, MediLoop's list, detail and availability."""

    async def told() -> list[Any]:
        days = "date_from=2024-01-20&date_to=2024-01-20"
        return [
            (await api.get("/fhir/R4/Slot/s1")).json()["status"],
            (await api.get("/fhir/R4/Appointment?status=pending")).json()["total"],
            (await api.get("/fhir/R4/Slot?status=free")).json()["total"],
            (await api.get("/api/v1/appointments/h/")).json()["status"],
            (await api.get("/api/v1/appointments/?status=pending")).json()["total"],
            (await api.get(f"/api/v1/appointments/availability/?{days}")).json()["total"],
        ]

    assert await told() == ["busy-tentative", 1, 0, "pending", 1, 0]
    clock.advance(seconds=299)
    assert await told() == ["busy-tentative", 1, 0, "pending", 1, 0]
    clock.advance(seconds=1)
    assert await told() == ["free", 0, 1, "cancelled", 0, 1]


@pytest.mark.parametrize(
    ("path", "truth"),
    [
        ("/fhir/R4/Slot/s1", "free"),
        ("/fhir/R4/Appointment/h", "cancelled"),
        ("/api/v1/appointments/h/", "cancelled"),
        ("/fhir/R4/Appointment?status=pending", 0),
        ("/fhir/R4/Slot?status=free", 1),
        ("/api/v1/appointments/?status=pending", 0),
        ("/api/v1/appointments/availability/?date_from=2024-01-20&date_to=2024-01-20", 1),
    ],
)
async def test_the_first_one_to_read_finds_it_lapsed(api: Api, clock: Clock, path: str, truth: Any) -> None:
    clock.advance(seconds=300)
    answer = (await api.get(path)).json()
    assert answer.get("total", answer.get("status")) == truth


async def test_reading_asks_the_database_seldom(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    tidy = holds.tidy

    async def counted(one: Store) -> int:
        nonlocal looks
        looks += 1
        return await tidy(one)

    monkeypatch.setattr(holds, "tidy", counted)
    await asyncio.gather(*(holds.settle_due(store) for _ in range(20)))
    assert looks == 1
    clock.advance(seconds=9)
    await holds.settle_due(store)
    assert looks == 1
    clock.advance(seconds=2)
    await holds.settle_due(store)
    assert looks == 2


async def test_a_look_is_good_until_the_next_hold_ends(store: Store, clock: Clock) -> None:
    clock.advance(seconds=295)
    await holds.settle_due(store)
    assert await status(store, "Appointment", "h") == "pending"
    clock.advance(seconds=5)
    await holds.settle_due(store)
    assert await status(store, "Appointment", "h") == "cancelled"


@pytest.mark.parametrize("seconds", [2, 0, -60])
async def test_one_that_is_written_by_fhir_lapses_at_its_moment(api: Api, clock: Clock, seconds: float) -> None:
    assert (await api.get("/fhir/R4/Slot/s1")).json()["status"] == "busy-tentative"  # none is due for ten seconds
    assert (await api.put("/fhir/R4/Appointment/h", held(clock, seconds))).status_code == 200
    clock.advance(seconds=max(seconds, 0))
    assert (await api.get("/fhir/R4/Slot/s1")).json()["status"] == "free"
    assert (await api.get("/fhir/R4/Appointment/h")).json()["status"] == "cancelled"


async def test_one_that_is_written_during_a_look_lapses_at_its_moment(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = store.documents

    async def slowly(*asked: Any, **more: Any) -> list[Json]:
        found = await look(*asked, **more)
        await put(store, held(clock, 3))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(store, "documents", slowly)
        await holds.settle_due(store)
    clock.advance(seconds=3)
    await holds.settle_due(store)
    assert await status(store, "Appointment", "h") == "cancelled"


async def test_what_holds_for_longer_or_not_at_all_asks_for_no_look(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(_: Store) -> int:
        pytest.fail("a look")

    await holds.settle_due(store)
    monkeypatch.setattr(holds, "tidy", none)
    await put(store, held(clock, 300), appointment("a"), held(clock, 2, "over") | {"status": "cancelled"})
    clock.advance(seconds=9)
    await holds.settle_due(store)


@pytest.fixture
def other(make_service: ServiceMaker) -> Store:
    """That of another process."""
    return make_service().stores["test"]


async def test_a_shorter_hold_than_was_known_refuses_nobody(store: Store, other: Store, clock: Clock) -> None:
    await holds.settle_due(store)  # from now on this process believes that none is due for ten seconds
    await put(other, held(clock, 3))
    with pytest.raises(Conflict):
        await book(store, "early")
    clock.advance(seconds=5)
    assert (await book(store, "b"))["status"] == "booked"
    assert await status(store, "Appointment", "h") == "cancelled"


async def test_a_hold_that_somebody_else_lets_lapse_meanwhile_refuses_nobody(
    store: Store, other: Store, clock: Clock
) -> None:
    await holds.settle_due(store)  # as above
    await put(other, held(clock, 3))
    clock.advance(seconds=5)
    runs = 0

    async def step(work: UnitOfWork) -> Json:
        nonlocal runs
        runs += 1
        try:
            return commands.stage(work, None, await commands.plan(work, appointment("b"), slot_id="s1"))
        except Conflict:
            assert await holds.tidy(store) == 1
            raise

    assert (await decide(store, step))["status"] == "booked"
    assert runs == 2


async def test_what_another_process_holds_is_seen_in_time(make_service: ServiceMaker, clock: Clock) -> None:
    one, other = (make_service(hold_seconds=3).stores["test"] for _ in range(2))
    await holds.settle_due(one)
    clock.advance(seconds=0.5)
    await put(other, held(clock, 3, ident="short", start="2024-01-21T10:00", slot=None))
    clock.advance(seconds=3)
    await holds.settle_due(one)
    assert await status(one, "Appointment", "short") == "cancelled"


async def test_one_that_was_booked_or_prolonged_meanwhile_stays(store: Store, clock: Clock) -> None:
    await put(store, held(clock, 600))
    clock.advance(seconds=300)
    assert await holds.lapse(store, ["h", "unknown"]) == 0
    await put(store, appointment("h", slot=[{"reference": "Slot/s1"}]))
    clock.advance(seconds=600)
    assert await holds.lapse(store, ["h"]) == 0
    assert await status(store, "Appointment", "h") == "booked"


async def test_the_chore_tidies(service: Service, store: Store, clock: Clock) -> None:
    clock.advance(seconds=300)
    await chores.tidy_holds(service)
    assert (await status(store, "Appointment", "h"), await status(store, "Slot", "s1")) == ("cancelled", "free")


async def test_due_holds_are_found_by_their_index(store: Store, clock: Clock) -> None:
    plan = str(await explain(store, "Appointment", holds.due_query(clock()), sort=[("_index.hold", 1)], limit=1))
    assert "_index.hold_1" in plan
    assert "COLLSCAN" not in plan


async def test_an_index_that_tells_of_a_hold_that_is_none_stops_nobody(store: Store, clock: Clock) -> None:
    """Somebody has edited the database by hand: readers go on, `mediloop-fhir check` tells."""
    await put(store, appointment("x"))
    await store.database["Appointment"].update_one({"_id": "x"}, {"$set": {"_index.hold": clock()}})
    clock.advance(seconds=301)
    await asyncio.wait_for(holds.settle_due(store), 20)
    with pytest.raises(Conflict):
        await asyncio.wait_for(book(store, "late"), 20)
    assert await status(store, "Appointment", "x") == "booked"
    assert await status(store, "Appointment", "h") == "cancelled"


async def _size(store: Store, ident: str) -> int:
    pipeline: list[Json] = [{"$match": {"_id": ident}}, {"$project": {"size": {"$bsonSize": "$$ROOT"}}}]
    [found] = await (await store.database["Appointment"].aggregate(pipeline)).to_list()
    return int(found["size"])


@pytest.mark.parametrize("left", [0, 300])
async def test_one_that_fills_its_document_lapses_without_a_word(store: Store, clock: Clock, left: int) -> None:
    """A reason and a date would be too many bytes for MongoDB: the time is free, and whoever reads is answered."""
    await put(store, held(clock, comment="x"))
    letters = 1 + (16 * 2**20 - left - await _size(store, "h")) // 2
    await put(store, held(clock, comment="x" * letters))
    assert 16 * 2**20 - left - await _size(store, "h") in (0, 1)
    clock.advance(seconds=300)
    await holds.settle_due(store)
    assert (await status(store, "Appointment", "h"), await status(store, "Slot", "s1")) == ("cancelled", "free")
    raw = await store.read("Appointment", "h")
    assert raw is not None
    lapsed = decode(raw)
    assert "cancelationReason" not in lapsed
    assert holds.ended(lapsed) == clock()
    assert (await book(store, "b"))["status"] == "booked"


@pytest.mark.parametrize("batch", [1, 100])
async def test_one_that_cannot_lapse_is_logged_and_stops_nobody(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(holds, "_BATCH", batch)
    await put(store, held(clock, 200, ident="broken", slot=None, participant=with_actors("Patient/john")))
    whole = await store.database["Appointment"].find_one({"_id": "broken"})
    assert whole is not None
    await store.database["Appointment"].update_one({"_id": "broken"}, {"$set": {"_json": b"{"}})
    clock.advance(seconds=300)
    with recorded() as records:
        await holds.settle_due(store)
        await holds.tidy(store)  # it is not tried again at once
    assert [line["event"] for line in records.lines] == ["hold_not_lapsed"]
    assert await status(store, "Appointment", "h") == "cancelled"
    await store.database["Appointment"].replace_one({"_id": "broken"}, whole)
    clock.advance(seconds=60)
    await holds.settle_due(store)
    assert await status(store, "Appointment", "broken") == "cancelled"


@pytest.mark.parametrize("all_due", [True, False])
async def test_many_lapse_in_few_units_of_work(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, all_due: bool
) -> None:
    """Whoever reads waits for all that are due: one by one, those of a busy hour would take seconds."""
    many = [
        held(
            clock,
            ident=f"h{n}",
            slot=None,
            start=f"2024-02-{n // 2 + 1:02}T1{n % 2}:00",
            participant=with_actors(f"Practitioner/{SARAH}"),
        )
        for n in range(40)
    ]
    await put(store, *many)
    units, transact = 0, store.transact

    async def counted(*asked: Any, **more: Any) -> Any:
        nonlocal units
        units += 1
        return await transact(*asked, **more)

    monkeypatch.setattr(store, "transact", counted)
    clock.advance(seconds=300)
    idents = ["h", *(one["id"] for one in many)]
    assert await (holds.tidy(store) if all_due else holds.lapse(store, idents)) == 41
    assert units == 3
    assert await status(store, "Appointment", "h39") == "cancelled"
    assert (await status(store, "Appointment", "h"), await status(store, "Slot", "s1")) == ("cancelled", "free")


@pytest.mark.parametrize("more", [0, 1])
async def test_a_database_that_does_not_answer_is_no_fault_of_a_hold(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    await put(store, *(held(clock, ident=f"h{n}", slot=None, start="2024-02-01T10:00") for n in range(more)))

    async def silent(*_: Any, **__: Any) -> None:
        raise Unreachable("MongoDB did not answer in time")

    clock.advance(seconds=300)
    with monkeypatch.context() as patch:
        patch.setattr(store, "transact", silent)
        with pytest.raises(Unreachable):
            await holds.settle_due(store)
    await holds.settle_due(store)
    assert await status(store, "Appointment", "h") == "cancelled"


async def test_a_look_by_a_clock_that_was_ahead_hides_no_hold(store: Store, clock: Clock) -> None:
    clock.advance(days=-1)
    await holds.settle_due(store)
    clock.advance(days=2)
    await holds.settle_due(store)
    clock.advance(days=-1)
    clock.advance(seconds=301)
    await holds.settle_due(store)
    assert await status(store, "Appointment", "h") == "cancelled"


async def test_one_that_ended_in_the_first_year_lapses_then(api: Api, clock: Clock) -> None:
    ended = {"url": "https://mediloop.co/fhir/StructureDefinition/hold-expires", "valueInstant": "0001-01-01T00:00:00Z"}
    body = appointment("early", "pending", "2024-01-20T11:00", extension=[ended])
    assert (await api.put("/fhir/R4/Appointment/early", body)).status_code == 201
    clock.advance(minutes=1)
    listed = await api.get("/api/v1/appointments/?status=cancelled")
    assert [one["cancelled_at"] for one in listed.json()["results"]] == ["0001-01-01T00:00:00Z"]
    shown = (await api.get("/fhir/R4/Appointment/early")).json()
    assert (await api.put("/fhir/R4/Appointment/early", shown)).status_code == 200
