"""How the tests of the FHIR door call it, and what they make of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from tests.conftest import Api

Json = dict[str, Any]

BASE = "/fhir/R4"
HOST = "http://adapter.test/fhir/R4"
MEDIA_TYPE = "application/fhir+json; charset=utf-8"
JSON_PATCH = "application/json-patch+json"
TAGS = "urn:example:tags"
"""A system of identifiers that the tests give out."""


async def call(
    api: Api, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **options: Any
) -> httpx.Response:
    """Call ``path`` below the base with the key; a `body` is sent as FHIR JSON, a list as a JSON Patch."""
    named = {"Authorization": f"Bearer {api.key}"}
    if body is not None:
        named["Content-Type"] = JSON_PATCH if isinstance(body, list) else "application/fhir+json"
        options["json"] = body
    url = path if path.startswith("http") else f"{BASE}/{path}" if path else BASE
    return await api.http.request(method, url, headers=named | dict(headers or {}), **options)


async def get(api: Api, path: str, **headers: str) -> httpx.Response:
    """GET; headers as keywords (``if_none_match``)."""
    return await call(api, "GET", path, headers=dashed(headers))


async def made(api: Api, resource: Json, **headers: str) -> Json:
    """Store a resource by PUT under its own id and return what is answered."""
    answer = await call(api, "PUT", f"{resource['resourceType']}/{resource['id']}", resource, headers=dashed(headers))
    assert answer.status_code in (200, 201), answer.text
    found: Json = answer.json()
    return found


def dashed(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers given as keywords."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


def person(ident: str, family: str = "Okello", **members: Any) -> Json:
    """Return a Patient."""
    return {"resourceType": "Patient", "id": ident, "name": [{"family": family}]} | members


def tagged(ident: str, value: str, **members: Any) -> Json:
    """Return a Patient with an identifier of the tests."""
    return person(ident, identifier=[{"system": TAGS, "value": value}], **members)


def bare(resource: Json) -> Json:
    """Return it without an id."""
    return {name: value for name, value in resource.items() if name != "id"}


def outcome(answer: httpx.Response, status: int, *codes: str) -> Json:
    """Check that an answer is an OperationOutcome with errors of these issue types; return the first issue."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    read = OperationOutcome.model_validate_json(answer.content)
    found = [issue.code for issue in read.issue if issue.severity == "error"]
    assert found == list(codes), answer.text
    sent = answer.json()["issue"]
    assert all(issue["diagnostics"] and issue["details"]["coding"][0]["code"] for issue in sent)
    first: Json = sent[0]
    return first


def bundled(answer: httpx.Response, kind: str = "searchset") -> Json:
    """Check that an answer is a valid Bundle of that type, and return it."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert Bundle.model_validate_json(answer.content).type == kind
    found: Json = answer.json()
    assert found.get("entry", [1]), "an empty list is no list"
    if kind in ("searchset", "history"):
        assert all(entry["fullUrl"] for entry in found.get("entry", ())), "each entry has the identity of its resource"
    return found


def names(bundle: Json, mode: str | None = None) -> list[str]:
    """Return the ``Type/id`` of the entries, of one search mode or all."""
    return [
        f"{one['resource']['resourceType']}/{one['resource'].get('id', '')}"
        for one in bundle.get("entry", ())
        if mode is None or one["search"]["mode"] == mode
    ]


def link(bundle: Json, relation: str) -> str | None:
    """Return a link of a Bundle."""
    return next((one["url"] for one in bundle["link"] if one["relation"] == relation), None)


def notes(bundle: Json) -> list[Json]:
    """Return the issues of the outcome among the entries of a searchset."""
    outcomes = [one["resource"] for one in bundle.get("entry", ()) if one["search"]["mode"] == "outcome"]
    return [issue for one in outcomes for issue in one["issue"]]
