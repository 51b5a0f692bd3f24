"""The stored form: readable document, search values and bytes, made together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bson.binary import Binary
from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.codec import decode, encode
from store.connection import Client
from store.documents import (
    NO_CLAIMS,
    Claims,
    Rules,
    compose,
    history_id,
    labelled,
    no_claims,
    past,
    stamped,
    version_of,
)
from store.store import Store
from store.types import TYPES
from tests import strategies
from tests.store.support import NUMBERS, Database, appointment, create, document, patient, stored

MOMENT = datetime(2024, 1, 15, 10, 0, 0, 7_000, tzinfo=UTC)


def composed(resource: dict[str, Any], rules: Rules | None = None) -> dict[str, Any]:
    return compose(TYPES[resource["resourceType"]], resource, encode(resource), MOMENT, rules or Rules())


def test_a_stamp_sets_version_and_moment_and_keeps_other_meta() -> None:
    meta = {"tag": [{"code": "t"}], "versionId": "99", "source": "urn:x", "lastUpdated": "1999-01-01T00:00:00Z"}
    assert stamped(patient("a", meta=meta), 3, MOMENT)["meta"] == {
        "tag": [{"code": "t"}],
        "versionId": "3",
        "source": "urn:x",
        "lastUpdated": "2024-01-15T10:00:00.007Z",
    }


@pytest.mark.parametrize("name", ["_versionId", "_lastUpdated"])
def test_a_stamp_leaves_no_extension_of_a_version_that_was_another(name: str) -> None:
    resource = patient("a", meta={name: {"extension": [{"url": "urn:e", "valueCode": "x"}]}})
    assert stamped(resource, 1, MOMENT)["meta"].keys() == {"versionId", "lastUpdated"}


def test_a_stamp_puts_type_id_and_meta_first_and_keeps_the_order_of_the_rest() -> None:
    resource = {"z": 1, "id": "a", "b": 2, "resourceType": "Patient", "a": 3}
    assert list(stamped(resource, 1, MOMENT)) == ["resourceType", "id", "meta", "z", "b", "a"]


def test_a_stamp_leaves_what_it_is_given_alone() -> None:
    resource = patient("a", meta={"tag": []})
    stamped(resource, 1, MOMENT)
    assert resource == patient("a", meta={"tag": []})


def test_a_stamp_is_in_utc() -> None:
    moment = datetime(2024, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=3)))
    assert stamped(patient("a"), 1, moment)["meta"]["lastUpdated"] == "2023-12-31T22:00:00.000Z"


def test_labels_and_tags_are_kept_where_there_are_none_of_its_own() -> None:
    before = stamped(
        patient("a", meta={"security": [{"code": "R"}], "tag": [{"code": "t"}], "source": "urn:x"}), 1, MOMENT
    )
    meta = {"tag": [{"code": "own"}]}
    assert labelled(patient("a", meta=meta), before)["meta"] == meta | {"security": [{"code": "R"}]}
    whole = patient("a")
    assert labelled(whole, stamped(patient("a"), 1, MOMENT)) is whole


def test_the_version_is_read_from_meta() -> None:
    assert version_of(stamped(patient("a"), 12, MOMENT)) == 12


def test_a_document_holds_the_resource_its_search_values_and_its_bytes() -> None:
    resource = stamped(appointment("a"), 1, MOMENT)
    found = composed(resource)
    assert found["_id"] == "a"
    assert found["_json"] == Binary(encode(resource))
    assert found["_index"] == {**TYPES["Appointment"].extract(resource, Rules()), "_lastUpdated": MOMENT}
    assert {name: value for name, value in found.items() if name not in ("_id", "_index", "_json")} == resource


def test_a_document_names_what_it_claims() -> None:
    rules = Rules(claims=lambda _: Claims(("Practitioner/p|2024-01-20T10",), ()))
    assert composed(stamped(appointment("a"), 1, MOMENT), rules)["_index"]["claims"] == ["Practitioner/p|2024-01-20T10"]


def test_a_document_that_claims_nothing_has_no_such_member() -> None:
    assert "claims" not in composed(stamped(appointment("a"), 1, MOMENT))["_index"]
    assert no_claims(appointment("a")) == NO_CLAIMS


@pytest.mark.parametrize("start", ["2024-01-20T10:00:00Z", "2024-01-20T11:00:00Z"])
@pytest.mark.parametrize("named", ["s", "t"])
def test_a_slot_that_is_not_the_opening_of_its_id_is_filed_by_the_openings_start(start: str, named: str) -> None:
    end = start.replace(":00:00Z", ":30:00Z")
    slot = {"resourceType": "Slot", "id": "s.20240120T1000Z.30", "status": "free", "start": start, "end": end}
    index = composed({**slot, "schedule": {"reference": f"Schedule/{named}"}})["_index"]
    is_one = named == "s" and start == "2024-01-20T10:00:00Z"
    opening = datetime(2024, 1, 20, 10, tzinfo=UTC)
    assert (index.get("computed"), index.get("otherwise")) == ((opening, None) if is_one else (None, opening))


def test_whose_time_it_takes_is_filed_beside_the_actors_that_are_those() -> None:
    whose = ("Practitioner/p", "Practitioner/q", "identifier:urn:k|7")
    actors = ["Practitioner/p", "#k", "https://x.example/Practitioner/q"]
    rules = Rules(claims=lambda _: Claims(("Practitioner/p|2024-01-20T10",), (), whose))
    visit = appointment("a", participant=[{"actor": {"reference": name}} for name in actors])
    assert composed(visit, rules)["_index"]["actor"] == actors
    assert composed(visit, rules)["_index"]["actor:named"] == ["Practitioner/q", "identifier:urn:k|7"]
    slot = {"resourceType": "Slot", "id": "s", "schedule": {"reference": "Schedule/s"}}
    assert "actor:named" not in composed(slot, rules)["_index"]


def test_only_identifiers_of_the_named_systems_are_unique() -> None:
    found = [{"system": NUMBERS, "value": "1"}, {"system": f"{NUMBERS}x", "value": "2"}, {"value": "3"}]
    rules = Rules(unique_systems=(NUMBERS,))
    assert composed(patient("a", identifier=found), rules)["_index"]["unique"] == [f"{NUMBERS}|1"]


def test_a_document_without_a_unique_identifier_has_no_such_member() -> None:
    assert (
        "unique" not in composed(patient("a", identifier=[{"value": "3"}]), Rules(unique_systems=(NUMBERS,)))["_index"]
    )


def test_unique_identifiers_keep_the_case_that_searches_ignore() -> None:
    rules = Rules(unique_systems=(NUMBERS,))
    found = composed(patient("a", identifier=[{"system": NUMBERS, "value": "APT-1"}]), rules)["_index"]
    assert found["unique"] == [f"{NUMBERS}|APT-1"]
    assert found["identifier"] == ["apt-1", f"{NUMBERS}|apt-1"]


def test_unique_identifiers_of_two_systems_are_never_the_same() -> None:
    given = [{"system": NUMBERS, "value": "a|b"}, {"system": f"{NUMBERS}|a", "value": "b"}]
    rules = Rules(unique_systems=(NUMBERS,))
    assert composed(patient("a", identifier=given), rules)["_index"]["unique"] == [rf"{NUMBERS}|a\|b"]
    rules = Rules(unique_systems=(NUMBERS, f"{NUMBERS}|a"))
    assert len(composed(patient("a", identifier=given), rules)["_index"]["unique"]) == 2


def test_dates_and_references_are_read_by_the_rules() -> None:
    rules = Rules(zone=timezone(timedelta(hours=3)), bases=("https://fhir.example.org/fhir/R4",))
    given = {"birthDate": "1980-02-29", "managingOrganization": {"reference": f"{rules.bases[0]}/Organization/o"}}
    found = composed(patient("a", **given), rules)["_index"]
    assert found["birthdate"]["lo"] == datetime(1980, 2, 28, 21, tzinfo=UTC)
    assert found["organization"] == "Organization/o"
    found = composed(patient("a", **given))["_index"]
    assert found["birthdate"]["lo"] == datetime(1980, 2, 29, tzinfo=UTC)
    assert found["organization"] == f"{rules.bases[0]}/Organization/o"


def test_a_history_entry_holds_the_bytes_under_type_id_and_version() -> None:
    assert past("Patient", "a", 3, MOMENT, "PUT", b"{}") == {
        "_id": "Patient/a/0000000003",
        "type": "Patient",
        "id": "a",
        "version": 3,
        "lastUpdated": MOMENT,
        "method": "PUT",
        "pending": True,
        "_json": Binary(b"{}"),
    }


def test_the_history_entry_of_a_deletion_holds_no_bytes() -> None:
    assert "_json" not in past("Patient", "a", 3, MOMENT, "DELETE", None)


def test_the_history_entry_of_what_was_brought_back_says_so() -> None:
    assert past("Patient", "a", 3, MOMENT, "PUT", b"{}", new=True)["revives"] is True
    assert "revives" not in past("Patient", "a", 1, MOMENT, "PUT", b"{}", new=True)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_history_keys_of_a_resource_sort_by_version(one: int, other: int) -> None:
    assert (history_id("Patient", "a", one) < history_id("Patient", "a", other)) == (one < other)


EXACT = (
    b'{"resourceType":"Patient","id":"exact","extension":[{"url":"urn:a","valueDecimal":1.10},'
    b'{"url":"urn:b","valueDecimal":1e2},{"url":"urn:c","valueDecimal":-0.0},{"url":"urn:d","valueDecimal":1E-7},'
    b'{"url":"urn:e","valueDecimal":1234567890123456789012345678901234567890},'
    b'{"url":"urn:f","valueInstant":"2024-01-20T10:00:60.100+00:00"},'
    b'{"url":"urn:g","valueString":"\xc3\x89va \\u0000"}]}'
)


async def test_a_stored_resource_is_read_again_byte_for_byte(store: Store) -> None:
    await create(store, decode(EXACT))
    raw = await store.read("Patient", "exact")
    assert raw is not None
    meta = b'"meta":{"versionId":"1","lastUpdated":"2024-01-15T10:00:00.000Z"},'
    assert raw.replace(meta, b"") == EXACT


async def test_the_readable_copy_holds_decimals_that_mongodb_can_compare(store: Store) -> None:
    await create(store, decode(EXACT))
    found = await document(store.database, "Patient", "exact")
    values = [member["valueDecimal"] for member in found["extension"][:5]]
    texts = ["1.10", "1E+2", "-0.0", "1E-7", "1.234567890123456789012345678901235E+39"]
    assert values == [Decimal128(text) for text in texts]
    between = {"extension": {"$elemMatch": {"url": "urn:a", "valueDecimal": {"$gt": 1.05, "$lt": 1.15}}}}
    assert await store.count("Patient", between) == 1


@settings(max_examples=5, suppress_health_check=list(HealthCheck), deadline=None)
@given(resources=st.lists(strategies.appointments() | strategies.slots() | strategies.schedules(), min_size=5))
async def test_any_fhir_resource_is_stored_and_read_as_it_came(
    client: Client, database: Database, resources: list[dict[str, Any]]
) -> None:
    numbered = [{**resource, "id": f"r{number}"} for number, resource in enumerate(resources)]
    plain = Store(client, database.name)
    for name in await database.list_collection_names():
        await database[name].delete_many({})
    await create(plain, *numbered)
    for resource in numbered:
        found = await stored(plain, resource["resourceType"], resource["id"])
        own = {"versionId": "1", "lastUpdated": found["meta"]["lastUpdated"]}
        assert found == {**resource, "meta": {**resource.get("meta", {}), **own}}


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-05:00"])
async def test_the_edges_of_the_calendar_can_be_stored(store: Store, text: str) -> None:
    await create(store, appointment("edge", text, text, status="proposed"))
    assert (await stored(store, "Appointment", "edge"))["start"] == text
