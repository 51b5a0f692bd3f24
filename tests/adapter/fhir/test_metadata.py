"""The CapabilityStatement: valid, and true."""

from __future__ import annotations

from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from adapter import __version__
from store.store import Store
from tests.adapter.fhir.test_read import STORED
from tests.adapter.mediloop.clinic import appointment, open_clinic, put
from tests.conftest import Api

METADATA = "/fhir/R4/metadata"


async def _statement(api: Api, **options: Any) -> dict[str, Any]:
    answer = await api.http.get(METADATA, **options)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_it_is_valid_and_needs_no_key(api: Api) -> None:
    answer = await api.http.get(METADATA)
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    read = CapabilityStatement.model_validate_json(answer.content)
    assert (read.status, read.kind, read.fhirVersion) == ("active", "instance", "4.0.1")


async def test_it_names_the_software_and_where_it_is(api: Api) -> None:
    statement = await _statement(api, headers={"Host": "clinic.example:8443"})
    assert statement["software"]["version"] == __version__
    assert statement["implementation"]["url"] == "http://clinic.example:8443/fhir/R4"
    assert statement["date"] == "2024-01-15T10:00:00Z"


async def test_what_it_claims_works_and_what_it_does_not_claim_does_not(api: Api, store: Store) -> None:
    await open_clinic(store)
    await put(store, appointment("a1"))
    [rest] = (await _statement(api))["rest"]
    claimed = {one["type"]: {i["code"] for i in one["interaction"]} for one in rest["resource"]}
    assert set(claimed) == set(STORED)
    headers = {"Authorization": f"Bearer {api.key}"}
    for kind, interactions in claimed.items():
        calls = {
            "read": ("GET", f"/fhir/R4/{kind}/{STORED[kind]}"),
            "vread": ("GET", f"/fhir/R4/{kind}/{STORED[kind]}/_history/1"),
            "update": ("PUT", f"/fhir/R4/{kind}/{STORED[kind]}"),
            "delete": ("DELETE", f"/fhir/R4/{kind}/{STORED[kind]}"),
            "search-type": ("GET", f"/fhir/R4/{kind}"),
        }
        for interaction, (method, path) in calls.items():
            answer = await api.http.request(method, path, headers=headers)
            assert (answer.status_code < 400) == (interaction in interactions), (kind, interaction)


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "@", "x:99999", "x" * 5_000])
async def test_a_strange_host_makes_no_fault(api: Api, host: str) -> None:
    assert (await api.http.get(METADATA, headers={"Host": host})).status_code == 200
