"""Bundles for tests: how to write them, send them and look at what comes back."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx

from tests.adapter.mediloop.clinic import appointment
from tests.conftest import Api

Json = dict[str, Any]
BASE = "/fhir/R4"
ROOT = f"http://adapter.test{BASE}"
UHIDS = "https://mediloop.co/fhir/sid/uhid"
NO_PATCH = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="}
"""A JSON Patch that changes nothing."""


def urn(number: int) -> str:
    """Return a name for an entry that has none yet."""
    return f"urn:uuid:0c3151bd-1cbf-4d64-b04d-{number:012d}"


def entry(method: str, url: str, resource: Any = None, full: str | None = None, **request: str) -> Json:
    """Return a Bundle entry; `request` has its preconditions (``ifMatch``)."""
    found: Json = {"request": {"method": method, "url": url} | request}
    if full is not None:
        found["fullUrl"] = full
    if resource is not None:
        found["resource"] = resource
    return found


def bundle(kind: str, *entries: Json, **members: Any) -> Json:
    """Return a Bundle."""
    return {"resourceType": "Bundle", "type": kind} | members | ({"entry": list(entries)} if entries else {})


def person(family: str = "Auma", **members: Any) -> Json:
    """Return a Patient."""
    return {"resourceType": "Patient", "name": [{"family": family}]} | members


def identified(value: str, system: str = "urn:mrn", **members: Any) -> Json:
    """Return a Patient with an identifier."""
    return {"resourceType": "Patient", "identifier": [{"system": system, "value": value}]} | members


async def send(api: Api, body: Json, **headers: str) -> httpx.Response:
    """Send a Bundle; `headers` as keywords."""
    return await api.post(BASE, body, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def done(api: Api, body: Json, **headers: str) -> list[Json]:
    """Send a Bundle that must succeed, and return the entries of the answer."""
    answer = await send(api, body, **headers)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["resourceType"], found["type"]) == ("Bundle", f"{body['type']}-response")
    entries: list[Json] = found.get("entry", [])
    assert len(entries) == len(body.get("entry", []))
    return entries


def statuses(entries: list[Json]) -> list[str]:
    """Return the status codes of response entries."""
    return [one["response"]["status"][:3] for one in entries]


def ident(answered: Json) -> str:
    """Return the id in the location of a response entry."""
    return str(answered["response"]["location"]).split("/")[1]


async def stored(api: Api, name: str) -> Json:
    """Return a stored resource (``Patient/123``)."""
    answer = await api.get(f"{BASE}/{name}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def count(api: Api, search: str) -> int:
    """Return how many resources a search matches."""
    answer = await api.get(f"{BASE}/{search}{'&' if '?' in search else '?'}_total=accurate")
    assert answer.status_code == 200, answer.text
    total: int = answer.json()["total"]
    return total


def issues(answer: httpx.Response, status: int) -> list[tuple[str, str | None]]:
    """Check that an answer is a bare OperationOutcome, and return code and expression of each issue."""
    assert answer.status_code == status, answer.text
    found = answer.json()
    assert found["resourceType"] == "OperationOutcome"
    return [(one["code"], one.get("expression", [None])[0]) for one in found["issue"]]


def visit(*references: str, status: str = "proposed", **members: Any) -> Json:
    """Return an Appointment of these, without an id."""
    actors = [{"actor": {"reference": reference}, "status": "accepted"} for reference in references]
    found = appointment("x", status=status, participant=actors, **members)
    del found["id"]
    return found


def actors(resource: Json) -> list[str]:
    """Return whom the participants of an Appointment are."""
    return [one["actor"]["reference"] for one in resource["participant"]]


def adding(path: str, value: Any) -> Json:
    """Return a Binary with a JSON Patch."""
    data = base64.b64encode(json.dumps([{"op": "add", "path": path, "value": value}]).encode()).decode()
    return NO_PATCH | {"data": data}
