"""The CapabilityStatement: valid, and true."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from adapter import __version__
from adapter.fhir.conformance import capability_statement
from tests.conftest import Api, ApiMaker, ServiceMaker

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


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "@", "x:99999", "x" * 5_000])
async def test_a_strange_host_makes_no_fault(api: Api, host: str) -> None:
    assert (await api.http.get(METADATA, headers={"Host": host})).status_code == 200


async def test_who_has_it_is_told_so(api: Api) -> None:
    first = await api.http.get(METADATA)
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    for known in (tag, f'"other", {tag}', "*"):
        again = await api.http.get(METADATA, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    in_lines = [("If-None-Match", '"other"'), ("If-None-Match", tag)]
    assert (await api.http.get(METADATA, headers=in_lines)).status_code == 304
    assert (await api.http.get(METADATA, headers={"If-None-Match": 'W/"other"'})).content == first.content


async def test_a_deployment_has_its_own_canonical_urls(make_service: ServiceMaker, make_api: ApiMaker) -> None:
    api: Api = await make_api(make_service(canonical_base="https://clinic.example/fhir"))
    [rest] = (await _statement(api))["rest"]
    urls = [one["definition"] for kind in rest["resource"] for one in kind["searchParam"]]
    own = [url for url in urls if not url.startswith("http://hl7.org/fhir/")]
    assert own == [
        "https://clinic.example/fhir/SearchParameter/Appointment-date-or-req-period",
        "https://clinic.example/fhir/SearchParameter/Slot-end",
    ]
    for url in own:
        answer = await api.get(f"/fhir/R4/SearchParameter?url={url}")
        assert [one["resource"]["url"] for one in answer.json()["entry"]] == [url]


@pytest.mark.parametrize("what", ["off", "test", "live"])
async def test_what_is_published_is_said_where_it_is(make_service: ServiceMaker, make_api: ApiMaker, what: str) -> None:
    api: Api = await make_api(make_service(bulk_publish=what))
    [rest] = (await _statement(api))["rest"]
    told = {one["name"]: one["definition"] for one in rest["operation"]}
    definition = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/bulk-publish"
    assert told.get("bulk-publish") == (None if what == "off" else definition)
    paths = [path for path in (await api.http.get("/openapi.json")).json()["paths"] if "$bulk-publish" in path]
    assert len(paths) == (0 if what == "off" else 2)


def test_it_says_what_fhir_has_a_place_for() -> None:
    said = capability_statement("https://clinic.example/fhir/R4", datetime(2024, 1, 15, tzinfo=UTC))
    CapabilityStatement.model_validate(said)
    by_type = {one["type"]: one for one in said["rest"][0]["resource"]}
    visit = by_type["Appointment"]
    assert visit["referencePolicy"] == ["literal", "logical"]
    assert {"Appointment:patient", "Appointment:slot", "*"} <= set(visit["searchInclude"])
    assert {"AppointmentResponse:appointment"} <= set(visit["searchRevInclude"])
    parameters = {one["name"]: one for one in visit["searchParam"]}
    assert parameters["date"]["definition"] == "http://hl7.org/fhir/SearchParameter/Appointment-date"
    assert parameters["_id"]["definition"] == "http://hl7.org/fhir/SearchParameter/Resource-id"
    assert {one["type"] for one in parameters.values()} == {"token", "reference", "date", "uri"}
    assert "searchInclude" not in by_type["Practitioner"], "it refers to nothing, and an empty list is no JSON of FHIR"
