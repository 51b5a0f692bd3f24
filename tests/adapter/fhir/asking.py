"""How the tests of what is commonly wrong ask, and what they expect: as any client does, with little help."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from store.store import Store
from tests.adapter.mediloop.clinic import NAME, appointment, open_clinic, stored
from tests.conftest import Api

Json = dict[str, Any]
BASE = "/fhir/R4"
UHIDS = "https://mediloop.co/fhir/sid/uhid"
V2_0276 = "http://terminology.hl7.org/CodeSystem/v2-0276"
CANCELLED_BY_PATIENT = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"}]}
CANCELLED_BY_PATIENT["coding"][0]["code"] = "pat"


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)


async def send(api: Api, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    """Call ``BASE/path`` with the key; `headers` as keywords (``if_match``)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {} if body is None else {"json": body}
    url = path if path.startswith("http") else f"{BASE}/{path}".rstrip("/")
    return await api.http.request(method, url, headers={"Authorization": f"Bearer {api.key}"} | named, **given)


async def search(api: Api, path: str, **headers: str) -> Json:
    """Return the Bundle of a search, which must succeed."""
    answer = await send(api, "GET", path, **headers)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    assert found["resourceType"] == "Bundle"
    assert found["type"] == "searchset"
    return found


def matches(bundle: Json) -> set[str]:
    """Return the ids of the matches in a searchset."""
    return {one["resource"]["id"] for one in bundle.get("entry", ()) if one["search"]["mode"] == "match"}


def included(bundle: Json) -> set[str]:
    """Return what a searchset includes, as ``Type/id``."""
    found = (one["resource"] for one in bundle.get("entry", ()) if one["search"]["mode"] == "include")
    return {f"{one['resourceType']}/{one['id']}" for one in found}


def refused(answer: httpx.Response, status: int, code: str, expression: str | None = None) -> Json:
    """Check that an answer is an OperationOutcome with that issue; return the issue."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    found = answer.json()
    assert found["resourceType"] == "OperationOutcome"
    issues = [
        one
        for one in found["issue"]
        if one["severity"] in ("error", "fatal")
        and one["code"] == code
        and (expression is None or expression in one.get("expression", ()))
    ]
    assert issues, found
    assert NAME not in answer.text
    first: Json = issues[0]
    return first


def bare(**changes: Any) -> Json:
    """Return an Appointment without an id; None leaves a member out."""
    found = appointment("x", **changes)
    del found["id"]
    return found


def entry(method: str, url: str, resource: Json | None = None, full: str | None = None, **request: str) -> Json:
    """Return a Bundle entry."""
    found: Json = {"request": {"method": method, "url": url} | request}
    if full:
        found["fullUrl"] = full
    if resource is not None:
        found["resource"] = resource
    return found


def bundle(kind: str, *entries: Json) -> Json:
    """Return a batch or transaction."""
    return {"resourceType": "Bundle", "type": kind} | ({"entry": list(entries)} if entries else {})


async def taken(api: Api, store: Store, ident: str, **members: Any) -> Json:
    """Create an Appointment of John with Sarah in a Slot of hers, through FHIR."""
    found = await stored(store, "Slot", ident)
    body = bare(slot=[{"reference": f"Slot/{ident}"}], **members) | {"start": found["start"], "end": found["end"]}
    answer = await send(api, "POST", "Appointment", body)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made
