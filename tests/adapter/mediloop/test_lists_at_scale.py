"""Every list on many appointments, 100,000 in `make proof`: by an index, sorted by it, with work for the page alone.

What MongoDB did is read from `explain()`. Deep pages are measured too, and said as they are: a skipped entry is a key
read in the index, never a document.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from adapter.mediloop.asked import asked_for
from adapter.mediloop.lists import appointment_query, availability
from adapter.mediloop.requests import AvailabilityQuery, ListQuery
from adapter.scheduling.claims import claims
from adapter.security.callers import Caller
from adapter.security.keys import Key
from adapter.security.permissions import everything
from adapter.service import build
from adapter.settings import Settings
from mappings import appointment as lens
from store.codec import CODEC_OPTIONS, Resource, encode
from store.documents import Rules, compose, stamped
from store.reading import Moment
from store.types import TYPES
from tests.scale import LONG
from tests.store.support import explain

APPOINTMENTS, SLOTS = (100_000, 20_000) if LONG else (11_000, 6_000)
PRACTITIONERS, FACILITIES, PATIENTS = (50 if LONG else 10), 5, 2_000
STATUSES = ("booked", "fulfilled", "cancelled", "noshow", "pending", "proposed", "entered-in-error")
FIRST = datetime(2024, 1, 1, 8, tzinfo=UTC)
ORDER = (("_index.date", 1), ("_id", 1))


def _uhid(number: int) -> str:
    return f"UG{number:09d}A"


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _appointments() -> Iterator[Resource]:
    dice = random.Random(1)
    members = {
        "status": "booked",
        "service_type_code": "consultation",
        "appointment_type_code": "ROUTINE",
        "priority": 5,
    }
    pattern = lens.update(
        lens.blank(),
        members
        | {"patient_uhid": _uhid(0), "practitioner_id": "p0", "facility_id": "f0"}
        | {"start_time": _text(FIRST), "end_time": _text(FIRST), "duration_minutes": 30},
    )
    for number in range(APPOINTMENTS):
        patient, practitioner, facility = (dict(one) for one in pattern["participant"])
        uhid = {**patient["actor"]["identifier"], "value": _uhid(dice.randrange(PATIENTS))}
        patient["actor"] = {**patient["actor"], "identifier": uhid}
        practitioner["actor"] = {"reference": f"Practitioner/p{dice.randrange(PRACTITIONERS)}"}
        facility["actor"] = {"reference": f"Location/f{dice.randrange(FACILITIES)}"}
        start = FIRST + timedelta(minutes=30 * dice.randrange(48 * 365))
        times = {"start": _text(start), "end": _text(start + timedelta(minutes=30))}
        participants = {"participant": [patient, practitioner, facility], "status": dice.choice(STATUSES)}
        yield {**pattern, "id": f"a{number}", **times, **participants}


def _slots() -> Iterator[Resource]:
    for number in range(SLOTS):
        start = FIRST + timedelta(minutes=30 * (number // PRACTITIONERS))
        yield {
            "resourceType": "Slot",
            "id": f"s{number}",
            "schedule": {"reference": f"Schedule/sch{number % PRACTITIONERS}"},
            "status": "busy" if number % 3 else "free",
            "start": _text(start),
            "end": _text(start + timedelta(minutes=30)),
        }


def _schedules() -> Iterator[Resource]:
    for number in range(PRACTITIONERS):
        actors = [{"reference": f"Practitioner/p{number}"}, {"reference": f"Location/f{number % FACILITIES}"}]
        specialty = {"coding": [{"code": f"specialty-{number % 4}"}]}
        yield {"resourceType": "Schedule", "id": f"sch{number}", "actor": actors, "specialty": [specialty]}


@pytest.fixture(scope="module")
async def large(mongodb_uri: str) -> AsyncIterator[Caller]:
    """A caller of a service with that much in its test store (written past the unit of work, as by a restore)."""
    name = f"t_large_{os.getpid()}"
    # Of practitioners and places that are only named availability would show nothing.
    service = build(Settings(database=name, unknown_actors="accept", _env_file=None), mongodb_uri)
    await service.prepare()
    store = service.stores["test"]
    rules = Rules(claims=claims)
    for kind, resources in (("Appointment", _appointments()), ("Slot", _slots()), ("Schedule", _schedules())):
        collection = store.database.get_collection(kind, codec_options=CODEC_OPTIONS)
        batch: list[dict[str, Any]] = []
        for resource in resources:
            whole = stamped(resource, 1, FIRST)
            batch.append(compose(TYPES[kind], whole, encode(whole), FIRST, rules))
            if len(batch) == 1_000:  # small ones: the driver's own tasks share this event loop
                await collection.insert_many(batch, ordered=False)
                batch = []
        if batch:
            await collection.insert_many(batch, ordered=False)
    key = Key("k", "k", "test", everything(), None, FIRST, None, "hint", "k")
    yield Caller(key, service, store)
    for mode in ("test", "live"):
        await service.client.drop_database(f"{name}_{mode}")
    await service.close()


def _stages(plan: dict[str, Any]) -> set[str]:
    found = {plan["stage"]}
    for inner in [plan.get("inputStage"), *plan.get("inputStages", [])]:
        if inner:
            found |= _stages(inner)
    return found


def _leading(plan: dict[str, Any]) -> Iterator[str]:
    """Give the first key of each index that a plan reads."""
    yield from [next(iter(plan["keyPattern"]))] if "keyPattern" in plan else []
    for inner in [plan.get("inputStage"), *plan.get("inputStages", [])]:
        if inner:
            yield from _leading(inner)


async def _explained(
    who: Caller, filters: dict[str, Any], *, skip: int = 0, limit: int = 20
) -> tuple[set[str], dict[str, Any]]:
    wanted = ListQuery.model_validate(filters)
    query, hint = appointment_query(who, wanted, await asked_for(who, wanted, who.store))
    explained = await explain(who.store, "Appointment", query, sort=ORDER, skip=skip, limit=limit, hint=hint)
    return _stages(explained["queryPlanner"]["winningPlan"]), explained["executionStats"]


DAYS = {"date_from": "2024-03-01", "date_to": "2024-03-31"}
SELECTIVE: list[dict[str, Any]] = [
    {},
    {"status": "booked"},
    {"status": "booked,pending"},
    {"patient_uhid": _uhid(7)},
    {"practitioner_id": "p7"},
    {"facility_id": "f3"},
    DAYS,
    {"upcoming_only": "true"},
    {"practitioner_id": "p7", "status": "booked"},
    {"practitioner_id": "p7", **DAYS},
    {"patient_uhid": _uhid(7), "status": "fulfilled"},
    {"status": "booked", **DAYS},
    {"facility_id": "f3", "status": "booked,pending", **DAYS},
]


@pytest.mark.parametrize("filters", SELECTIVE, ids=str)
async def test_a_page_reads_the_documents_it_shows_and_no_more(large: Caller, filters: dict[str, Any]) -> None:
    stages, did = await _explained(large, filters)
    assert "COLLSCAN" not in stages
    assert "SORT" not in stages
    assert did["totalDocsExamined"] == did["nReturned"]
    # Keys beyond the page are those of other statuses between its entries.
    assert did["totalKeysExamined"] <= 20 * 12


@pytest.mark.parametrize(
    "filters",
    [{"practitioner_id": "p7", "facility_id": "f3"}, {"patient_uhid": _uhid(7), "practitioner_id": "p7"}],
    ids=str,
)
async def test_two_people_or_places_read_what_one_of_them_has_at_most(large: Caller, filters: dict[str, Any]) -> None:
    stages, did = await _explained(large, filters)
    assert stages & {"COLLSCAN", "SORT"} == set()
    assert did["totalDocsExamined"] <= APPOINTMENTS / PRACTITIONERS * 1.2


@pytest.mark.parametrize("filters", [{}, {"practitioner_id": "p7"}, {"status": "booked"}], ids=str)
async def test_a_deep_page_skips_keys_not_documents(large: Caller, filters: dict[str, Any]) -> None:
    _, did = await _explained(large, filters, skip=1_000)
    assert did["totalDocsExamined"] <= 20
    assert did["totalKeysExamined"] >= 1_020


OF_ONE: list[dict[str, Any]] = [
    {},
    {"status": "proposed"},
    {"status": "proposed,pending"},
    {"status": "arrived"},
    {"status": "pending", **DAYS},
    {"date_to": "2024-03-31"},
    {"upcoming_only": "true"},
    {"practitioner_id": "p7"},
    {"practitioner_id": "p7", "facility_id": "f3", "status": "pending", **DAYS},
]


@pytest.fixture(scope="module", params=[1, 3])
async def known(large: Caller, request: pytest.FixtureRequest) -> tuple[str, str]:
    """The UHID of a patient who is stored, and how the ids of the appointments begin.

    Some are without a start, beside all others. One patient has that UHID alone, and one has two more, which some of
    the appointments state alone.
    """
    ident = f"k{request.param}"
    uhid, *others = (_uhid(PATIENTS + 10 * request.param + number) for number in range(request.param))
    identifiers = [{"system": large.service.systems.uhid, "value": one} for one in (*others, uhid)]
    patient = {"resourceType": "Patient", "id": ident, "identifier": identifiers}
    *further, stated = ({"type": "Patient", "identifier": one} for one in identifiers)
    referred = {"reference": f"Patient/{ident}"}
    ways: list[dict[str, Any]] = [stated, referred, stated | referred, *further]

    async def put(work: Any) -> None:
        work.create(patient)
        for number in range(60):
            names = (f"Practitioner/p{number % 9}", "Location/f3")
            actors = [ways[number % len(ways)], *({"reference": name} for name in names)]
            made = {
                "resourceType": "Appointment",
                "id": f"{ident}-{(number * 7) % 60:02d}",
                "status": "arrived" if number % 20 == 0 else ("proposed", "pending", "cancelled")[number % 5 % 3],
                "participant": [{"actor": actor, "status": "accepted"} for actor in actors],
            }
            if number % 2:
                start = FIRST + timedelta(days=7 * (number // 4), weeks=50_000 * (number % 10 == 3))
                made |= {"start": _text(start), "end": _text(start)}
            work.create(made)

    await large.store.transact(put)
    return uhid, f"{ident}-"


@pytest.mark.parametrize("filters", OF_ONE, ids=str)
async def test_a_stored_patient_is_found_by_two_indexes_merged(
    large: Caller, known: tuple[str, str], filters: dict[str, Any]
) -> None:
    wanted = ListQuery.model_validate({"patient_uhid": known[0], **filters})
    query, hint = appointment_query(large, wanted, await asked_for(large, wanted, large.store))
    explained = await explain(large.store, "Appointment", query, sort=ORDER, limit=20, hint=hint)
    plan, did = explained["queryPlanner"]["winningPlan"], explained["executionStats"]
    stages = _stages(plan)
    assert stages & {"COLLSCAN", "SORT"} == set()
    assert "SORT_MERGE" in stages
    assert set(_leading(plan)) == {"_index.actor", "_index.patient:identifier"}
    # Where a visit may be found by another UHID, one that is found in both ways is read for each.
    has_others = known[1] == "k3-"
    assert did["totalDocsExamined"] <= (75 if has_others else 60)
    assert did["totalKeysExamined"] <= 90
    if not filters:
        assert did["nReturned"] == 20
        assert did["totalDocsExamined"] <= (30 if has_others else 20)


@pytest.mark.parametrize("filters", OF_ONE, ids=str)
async def test_a_stored_patients_list_is_the_filtered_list_of_all_in_its_order(
    large: Caller, known: tuple[str, str], filters: dict[str, Any]
) -> None:
    """Those without a start are in the order of their ids too, and the pages together are the list."""

    async def listed(filters: dict[str, Any], skip: int = 0, limit: int = 0) -> list[str]:
        wanted = ListQuery.model_validate(filters)
        query, hint = appointment_query(large, wanted, await asked_for(large, wanted, large.store))
        found = await large.store.find("Appointment", query, sort=ORDER, skip=skip, limit=limit, hint=hint)
        idents = [orjson.loads(one)["id"] for one in found]
        assert limit or await large.store.count("Appointment", query, hint=hint) == len(idents)
        return idents

    mine = await listed({"patient_uhid": known[0], **filters})
    everybodys = await listed(filters)
    assert mine == [ident for ident in everybodys if ident.startswith(known[1])]
    pages = [await listed({"patient_uhid": known[0], **filters}, skip, 7) for skip in range(0, 63, 7)]
    assert [ident for page in pages for ident in page] == mine
    assert mine or "practitioner_id" in filters


async def test_a_practitioner_with_a_role_reads_no_more(large: Caller) -> None:
    role = {"resourceType": "PractitionerRole", "id": "p8-here", "practitioner": {"reference": "Practitioner/p8"}}

    async def put(work: Any) -> None:
        work.create(role)

    await large.store.transact(put)
    stages, did = await _explained(large, {"practitioner_id": "p8"})
    assert stages & {"COLLSCAN", "SORT"} == set()
    assert did["totalDocsExamined"] == did["nReturned"] == 20
    sought = await explain(large.store, "PractitionerRole", {"_index.practitioner": "Practitioner/p8"})
    assert "COLLSCAN" not in _stages(sought["queryPlanner"]["winningPlan"])


COUNTED: list[dict[str, Any]] = [{}, {"status": "booked"}, {"practitioner_id": "p7"}, {"patient_uhid": _uhid(8)}, DAYS]


@pytest.mark.parametrize("filters", COUNTED, ids=str)
async def test_a_total_is_counted_in_the_index(large: Caller, filters: dict[str, Any]) -> None:
    wanted = ListQuery.model_validate(filters)
    query, hint = appointment_query(large, wanted, await asked_for(large, wanted, large.store))
    did = await explain(large.store, "Appointment", query, hint=hint, count=True)
    did = did["stages"][0]["$cursor"] if "stages" in did else did
    assert did["executionStats"]["totalDocsExamined"] == 0


FREE = {"date_from": "2024-01-01", "date_to": "2024-01-31"}


async def _page_of_slots(
    who: Caller, monkeypatch: pytest.MonkeyPatch, filters: dict[str, Any]
) -> tuple[set[str], dict[str, Any]]:
    """Ask for availability, and have explained how it read its page."""
    read: list[dict[str, Any]] = []
    usual = Moment.documents

    async def seen(self: Moment, kind: str, query: Any, **options: Any) -> list[dict[str, Any]]:
        if kind == "Slot" and "skip" in options:
            read.append({"query": query, **{name: value for name, value in options.items() if name != "most"}})
        return await usual(self, kind, query, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Moment, "documents", seen)
        await availability(who, AvailabilityQuery.model_validate(filters))
    [page] = read
    explained = await explain(who.store, "Slot", **page)
    return _stages(explained["queryPlanner"]["winningPlan"]), explained["executionStats"]


@pytest.mark.parametrize(
    "filters",
    [FREE, FREE | {"practitioner_id": "p6"}, FREE | {"facility_id": "f1"}, FREE | {"duration_minutes": "30"}],
    ids=str,
)
@pytest.mark.parametrize("page", ["1", "5"])
async def test_availability_reads_the_slots_it_shows_and_no_more(
    large: Caller, monkeypatch: pytest.MonkeyPatch, filters: dict[str, Any], page: str
) -> None:
    stages, did = await _page_of_slots(large, monkeypatch, filters | {"page": page})
    assert stages & {"COLLSCAN", "SORT"} == set()
    assert did["nReturned"] == 20
    assert did["totalDocsExamined"] == 20


@pytest.mark.parametrize("filters", [FREE | {"specialty": "specialty-1"}], ids=str)
async def test_availability_by_specialty_reads_within_its_days(
    large: Caller, monkeypatch: pytest.MonkeyPatch, filters: dict[str, Any]
) -> None:
    stages, did = await _page_of_slots(large, monkeypatch, filters)
    assert stages & {"COLLSCAN", "SORT"} == set()
    assert did["nReturned"] == 20
    assert did["totalDocsExamined"] <= 20 * 12
