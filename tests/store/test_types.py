"""What is declared of each resource type: its search values, its indexes and what follows from them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from adapter.security.permissions import RESOURCES
from store.codec import CODEC_OPTIONS, encode
from store.connection import Client
from store.documents import Rules, compose
from store.indexing import naming
from store.store import Store
from store.types import TYPES, ResourceType, includes, key_pattern, rev_includes
from tests import strategies
from tests.store.support import Database, explain

MOMENT = datetime(2024, 1, 15, 10, tzinfo=UTC)
RULES = Rules()


def index_of(resource: dict[str, Any]) -> dict[str, Any]:
    return TYPES[resource["resourceType"]].extract(resource, RULES)


def test_an_appointment_is_found_by_status_time_actors_and_slot() -> None:
    resource = {
        "resourceType": "Appointment",
        "status": "booked",
        "start": "2024-01-20T10:00:00+03:00",
        "end": "2024-01-20T10:30:00+03:00",
        "identifier": [{"system": "urn:n", "value": "7"}],
        "slot": [{"reference": "Slot/s/_history/2"}],
        "participant": [
            {"actor": {"reference": "Patient/a", "identifier": {"system": "urn:uhid", "value": "UG1"}}},
            {"actor": {"reference": "Practitioner/b"}},
        ],
    }
    start = datetime(2024, 1, 20, 7, tzinfo=UTC)
    assert index_of(resource) == {
        "status": "booked",
        "date": start,
        "end": datetime(2024, 1, 20, 7, 30, tzinfo=UTC),
        "actor": ["Patient/a", "Practitioner/b"],
        "actor:identifier": ["ug1", "urn:uhid|ug1"],
        "patient:identifier": ["ug1", "urn:uhid|ug1"],
        "identifier": ["7", "urn:n|7"],
        "identifier:sort": "7",
        "identifier:last": "7",
        "slot": ["Slot/s"],
        "date-or-req-period": [{"lo": start, "hi": start.replace(microsecond=1_000)}],
        "date-or-req-period:sort": start,
        "date-or-req-period:last": start,
    }


def test_a_slot_is_found_by_schedule_time_and_length() -> None:
    resource = {
        "resourceType": "Slot",
        "status": "free",
        "schedule": {"reference": "Schedule/s"},
        "start": "2024-01-20T10:00:00Z",
        "end": "2024-01-20T10:45:30Z",
    }
    assert index_of(resource) == {
        "status": "free",
        "start": datetime(2024, 1, 20, 10, tzinfo=UTC),
        "end": datetime(2024, 1, 20, 10, 45, 30, tzinfo=UTC),
        "minutes": 45,
        "schedule": "Schedule/s",
    }


@pytest.mark.parametrize(("kind", "start"), [("Appointment", "date"), ("Slot", "start")])
@pytest.mark.parametrize(("end", "long"), [("2024-01-21T10:00:00Z", False), ("2024-01-21T10:01:00Z", True)])
def test_what_lasts_longer_than_a_day_is_found_by_its_end(kind: str, start: str, end: str, long: bool) -> None:
    found = index_of({"resourceType": kind, "start": "2024-01-20T10:00:00Z", "end": end})
    assert found["end"] - found[start] >= timedelta(days=1)
    assert found.get("long") == (found["end"] if long else None)


def test_a_slot_without_an_end_has_no_length() -> None:
    found = index_of({"resourceType": "Slot", "start": "2024-01-20T10:00:00Z"})
    assert found == {"start": datetime(2024, 1, 20, 10, tzinfo=UTC)}


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_what_a_resource_does_not_say_is_left_out(kind: str) -> None:
    assert index_of({"resourceType": kind}) == ({"deceased": "false"} if kind == "Patient" else {})


def test_the_key_and_the_moment_of_the_write_are_not_taken_from_the_resource() -> None:
    assert index_of({"resourceType": "Slot", "id": "s", "meta": {"lastUpdated": "2020-01-01T00:00:00Z"}}) == {}


@given(strategies.appointments())
def test_every_appointment_that_has_times_is_found_by_them(resource: dict[str, Any]) -> None:
    found = index_of(resource)
    assert ("date" in found) == ("start" in resource)
    assert found["status"] == resource["status"]
    assert all(isinstance(name, str) for name in found.get("actor", []))


@given(strategies.slots())
def test_every_slot_is_found_by_its_schedule(resource: dict[str, Any]) -> None:
    found = index_of(resource)
    assert found["schedule"] == "Schedule/s1"
    assert isinstance(found["minutes"], int)


# Declarations.


def test_every_type_has_a_permission_that_keys_can_carry() -> None:
    assert {one.permission for one in TYPES.values()} <= set(RESOURCES)


def test_what_may_be_sorted_by_is_declared_with_its_field() -> None:
    assert TYPES["Patient"].sorts == ("name", "family", "given", "address-city", "identifier")
    assert "-date-or-req-period" in TYPES["Appointment"].sorts
    for declared in TYPES.values():
        for name in declared.sorts:
            assert not declared.parameters[name].single


def test_compartments_are_those_of_r4() -> None:
    found = {kind: one.compartments for kind, one in TYPES.items() if one.compartments}
    actors = {"Patient": ("actor",), "Practitioner": ("actor",), "RelatedPerson": ("actor",)}
    assert found == {
        "Appointment": actors,
        "AppointmentResponse": actors,
        "Schedule": actors,
        "Patient": {"Patient": ("link",), "Practitioner": ("general-practitioner",), "RelatedPerson": ("link",)},
        "RelatedPerson": {"Patient": ("patient",), "RelatedPerson": ()},
        "Group": {"Patient": ("member",), "Practitioner": ("member",)},
        "Practitioner": {"Practitioner": ()},
        "PractitionerRole": {"Practitioner": ("practitioner",)},
    }
    for kind, compartments in found.items():
        for owner, names in compartments.items():
            for name in names:
                assert owner in TYPES[kind].parameters[name].targets


def test_references_can_be_included_and_the_other_way_round() -> None:
    assert includes("Slot") == ("Slot:schedule",)
    assert rev_includes("Schedule") == ("Appointment:supporting-info", "Slot:schedule")
    assert "Appointment:patient" in includes("Appointment")
    assert {"Appointment:actor", "Appointment:patient", "RelatedPerson:patient"} <= set(rev_includes("Patient"))
    assert "Appointment:practitioner" not in rev_includes("Patient")


# Indexes.


def test_an_index_is_over_the_search_values_and_the_id() -> None:
    assert key_pattern(("status", "_id")) == [("_index.status", 1), ("_id", 1)]


def test_a_type_has_its_declared_indexes_and_the_unique_one() -> None:
    declared = ResourceType("Thing", "things", {}, lambda _, __: {}, (("a", "_id"), ("b",)))
    models = [model.document for model in declared.index_models()]
    assert [model["key"] for model in models] == [
        {"_index.a": 1, "_id": 1},
        {"_index.b": 1},
        {"_index.unique": 1},
    ]
    assert [model.get("unique", False) for model in models] == [False, False, True]


def test_every_field_leads_an_index_or_is_in_the_one_for_the_rest() -> None:
    for declared in TYPES.values():
        leading = {keys[0] for keys in declared.indexes}
        fields = {one.field for one in declared.parameters.values() if one.kind != "special"} - {"_id"}
        assert fields <= leading | set(declared.wildcard())
        assert not leading & set(declared.wildcard())


@pytest.fixture(scope="module")
async def indexed(module_client: Client) -> AsyncIterator[Store]:
    """A database with the declared indexes."""
    name = f"t_types_{os.getpid()}"
    store = Store(module_client, name)
    await store.prepare()
    yield store
    await module_client.drop_database(name)


def _indexes_of(plan: Any) -> set[str]:
    """The names of the indexes that a plan uses; a scan of the collection is None."""
    if isinstance(plan, list):
        return {name for one in plan for name in _indexes_of(one)}
    if not isinstance(plan, dict):
        return set()
    here = {plan["indexName"]} if "indexName" in plan else {"none"} if plan.get("stage") == "COLLSCAN" else set()
    return here | {name for one in plan.values() for name in _indexes_of(one)}


@pytest.mark.parametrize("kind", sorted(TYPES))
async def test_every_field_is_searched_in_an_index(indexed: Store, kind: str) -> None:
    declared = TYPES[kind]
    names = {model.document["name"] for model in declared.index_models()}
    for field in declared.wildcard():
        for asked in ("x", {"$in": ["x", "y"]}, {"$regex": "^x"}):
            plan = await explain(indexed, kind, {f"_index.{field}": asked})
            used = _indexes_of(plan["queryPlanner"]["winningPlan"])
            assert len(used) == 1
            assert next(iter(used)).startswith("search_"), (field, used)
            assert used <= names


@pytest.mark.parametrize(
    ("kind", "field"), [("Patient", "birthdate"), ("Schedule", "date"), ("Appointment", "date-or-req-period")]
)
async def test_spans_are_searched_in_an_index_by_both_ends(indexed: Store, kind: str, field: str) -> None:
    for end in ("lo", "hi"):
        plan = await explain(indexed, kind, {f"_index.{field}.{end}": {"$gt": MOMENT}})
        assert {name[:7] for name in _indexes_of(plan["queryPlanner"]["winningPlan"])} == {"search_"}


@pytest.mark.parametrize(("kind", "field"), [(one.name, field) for one in TYPES.values() for field in one.named])
async def test_who_is_named_at_whatever_address_is_found_in_two_indexes(indexed: Store, kind: str, field: str) -> None:
    query = naming(field, ["Practitioner/a", "Practitioner/b"])
    plan = await explain(indexed, kind, query)
    used = _indexes_of(plan["queryPlanner"]["winningPlan"])
    assert "none" not in used
    assert {name for name in used if name.startswith(f"_index.{field}:named_1")}
    assert len(used) == 2


async def test_who_names_none_elsewhere_is_not_in_the_index_for_it(indexed: Store) -> None:
    visits = [
        {"resourceType": "Appointment", "id": ident, "start": "2024-01-20T10:00:00Z", "participant": [{"actor": who}]}
        for ident, who in (
            ("near", {"reference": "Practitioner/a"}),
            ("far", {"reference": "https://x.example/Practitioner/a"}),
        )
    ]
    documents = [compose(TYPES["Appointment"], one, encode(one), MOMENT, RULES) for one in visits]
    await indexed.database.Appointment.insert_many(documents)
    hint = "_index.actor:named_1__index.date_1"
    found = await indexed.database.Appointment.find({"_index.actor:named": {"$exists": True}}, hint=hint).to_list()
    assert [one["_id"] for one in found] == ["far"]
    await indexed.database.Appointment.delete_many({})


async def test_places_are_searched_in_an_index_on_the_globe(indexed: Store) -> None:
    around = {"$geoWithin": {"$centerSphere": [[32.58, 0.35], 10 / 6_378.1]}}
    location = {"resourceType": "Location", "id": "near", "position": {"longitude": 32.5825, "latitude": 0.3476}}
    away = {"resourceType": "Location", "id": "far", "position": {"longitude": 0.1, "latitude": 51.5}}
    nowhere = {"resourceType": "Location", "id": "nowhere", "position": {"longitude": 200, "latitude": 0}}
    documents = [compose(TYPES["Location"], one, encode(one), MOMENT, RULES) for one in (location, away, nowhere)]
    await indexed.database.Location.insert_many(documents)
    assert await indexed.keys("Location", {"_index.near": around}, limit=5) == ["near"]
    plan = await explain(indexed, "Location", {"_index.near": around})
    assert _indexes_of(plan["queryPlanner"]["winningPlan"]) == {"_index.near_2dsphere"}


@pytest.mark.parametrize("kind", sorted(TYPES))
async def test_values_of_the_wrong_shape_can_be_stored(indexed: Store, kind: str) -> None:
    """No index refuses a document: not two lists in one compound index, not a list where one value is expected."""
    documents = []
    for number, junk in enumerate(([], {}, [{}], ["a", "b"], "a", 1, True, [[]], {"reference": ["x"]}, {"coding": 1})):
        resource: dict[str, Any] = {"resourceType": kind, "id": f"r{number}"}
        for one in TYPES[kind].parameters.values():
            for path in one.paths:
                first, _, rest = path.steps.partition(".")
                if first not in ("id", "meta"):
                    resource[first] = [{rest: junk}, {rest: junk}] if rest else [junk, junk] if number % 2 else junk
        documents.append(compose(TYPES[kind], resource, encode(resource), MOMENT, RULES))
    collection = indexed.database.get_collection(kind, codec_options=CODEC_OPTIONS)
    found = await collection.insert_many(documents)
    assert found.acknowledged
    assert len(found.inserted_ids) == len(documents)
    await collection.delete_many({})


async def test_a_release_with_other_fields_makes_its_index_beside_the_old_one(
    client: Client, database: Database
) -> None:
    slot = TYPES["Slot"]
    less = ResourceType("Slot", "slots", dict(list(slot.parameters.items())[:8]), slot.extract)
    for declared in (less, slot, slot):
        await database.Slot.create_indexes(declared.index_models())
    found = [one["name"] async for one in await database.Slot.list_indexes()]
    assert sum(name.startswith("search_") for name in found) == 2
