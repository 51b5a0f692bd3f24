"""The CapabilityStatement is true: everything that it claims is called, and what it does not claim is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from adapter.fhir.conformance.statement import INTERACTIONS, SYSTEM_INTERACTIONS, owners
from adapter.fhir.operations import OPERATIONS, operations_on
from adapter.fhir.validation.definitions import resource_types
from mappings.systems import BASE as CANONICAL_BASE
from store.search.names import target_types
from store.types import TYPES
from tests.adapter.fhir.door import BASE, bundled, call, get, link, notes, outcome
from tests.adapter.mediloop.clinic import appointment, slot
from tests.conftest import Api, Clock

Json = dict[str, Any]

# One of each type, in an order in which they can be stored.
_ONES: tuple[Json, ...] = (
    {"resourceType": "Organization", "id": "x", "name": "Clinic"},
    {"resourceType": "Location", "id": "x", "name": "Ward"},
    {"resourceType": "HealthcareService", "id": "x", "name": "Care"},
    {"resourceType": "Practitioner", "id": "x", "name": [{"family": "Atim"}]},
    {"resourceType": "PractitionerRole", "id": "x", "practitioner": {"reference": "Practitioner/x"}},
    {"resourceType": "Patient", "id": "x", "name": [{"family": "Okello"}]},
    {"resourceType": "RelatedPerson", "id": "x", "patient": {"reference": "Patient/x"}},
    {"resourceType": "Group", "id": "x", "type": "person", "actual": True},
    {"resourceType": "Schedule", "id": "x", "active": True, "actor": [{"reference": "Practitioner/x"}]},
    slot("x", "2024-01-20T10:00", "2024-01-20T10:30", of="x"),
    appointment("x", status="proposed"),
    {
        "resourceType": "AppointmentResponse",
        "id": "x",
        "appointment": {"reference": "Appointment/x"},
        "actor": {"reference": "Patient/john"},
        "participantStatus": "tentative",
    },
)
EXAMPLES = {one["resourceType"]: one for one in _ONES}
STRICT = {"prefer": "handling=strict"}
MODIFIERS = {
    "missing": "true",
    "not": "true",
    "text": "x",
    "of-type": "urn:s|c|v",
    "identifier": "urn:s|v",
    "exact": "x",
    "contains": "x",
    "above": "urn:x",
    "below": "urn:x",
    "in": "http://example.org/vs",
    "not-in": "http://example.org/vs",
}
VALUES = {"token": "true", "date": "2024-01-20", "string": "x", "uri": "urn:x", "special": "0.3|32.5|10|km"}


@pytest.fixture(autouse=True)
async def stored(api: Api) -> None:
    entries = [
        {"resource": example, "request": {"method": "PUT", "url": f"{kind}/x"}} for kind, example in EXAMPLES.items()
    ]
    answer = await call(api, "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200, answer.text


async def claims(api: Api) -> Json:
    """Return the only ``rest`` of the statement that is served."""
    answer = await api.http.get(f"{BASE}/metadata")
    [rest] = answer.json()["rest"]
    found: Json = rest
    return found


async def claimed(api: Api, kind: str) -> Json:
    """Return what is claimed of a type."""
    found: Json
    [found] = [one for one in (await claims(api))["resource"] if one["type"] == kind]
    return found


def fine(answer: httpx.Response, *statuses: int) -> httpx.Response:
    assert answer.status_code in statuses, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer


def value(parameter: Json) -> str:
    """Return a legal value."""
    return "Patient/x" if parameter["type"] == "reference" else VALUES[parameter["type"]]


async def searched(api: Api, path: str) -> Json:
    """Search strictly; whatever is not known or not supported would be refused."""
    answer = await get(api, path, **STRICT)
    assert answer.status_code == 200, f"{path}: {answer.text}"
    found = bundled(answer)
    assert notes(found) == [], path
    own = str(link(found, "self"))
    assert path.partition("=")[0].rpartition("?")[2].split(":")[0] in own, (path, own)
    return found


async def test_every_type_that_is_declared_is_claimed_and_no_other(api: Api) -> None:
    rest = await claims(api)
    assert [one["type"] for one in rest["resource"]] == [*TYPES, "SearchParameter", "OperationDefinition"]
    assert set(EXAMPLES) == set(TYPES)
    for kind in sorted(resource_types() - TYPES.keys() - {"SearchParameter", "OperationDefinition"}):
        for method, path, body in (("GET", kind, None), ("GET", f"{kind}/x", None), ("PUT", f"{kind}/x", {"a": 1})):
            outcome(await call(api, method, path, body), 404, "not-supported")


@pytest.mark.parametrize("kind", TYPES)
async def test_the_interactions_with_a_type(api: Api, kind: str) -> None:
    said = await claimed(api, kind)
    assert tuple(one["code"] for one in said["interaction"]) == INTERACTIONS
    example = EXAMPLES[kind]
    patch = [{"op": "add", "path": "/language", "value": "en"}]
    fine(await get(api, f"{kind}/x"), 200)
    fine(await get(api, f"{kind}/x/_history/1"), 200)
    fine(await call(api, "PUT", f"{kind}/x", example), 200)
    fine(await call(api, "PATCH", f"{kind}/x", patch), 200)
    bundled(await get(api, f"{kind}/x/_history"), "history")
    bundled(await get(api, f"{kind}/_history"), "history")
    new = fine(await call(api, "POST", kind, example), 201).json()["id"]
    assert [one["resource"]["id"] for one in (await searched(api, f"{kind}?_id={new}"))["entry"]] == [new]
    form = await api.http.post(f"{BASE}/{kind}/_search", data={"_id": new}, headers=authorized(api))
    assert bundled(form)["total"] == 1
    fine(await call(api, "DELETE", f"{kind}/{new}"), 204)
    fine(await get(api, f"{kind}/{new}"), 410)


def authorized(api: Api) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.key}"}


@pytest.mark.parametrize("kind", TYPES)
async def test_versions_and_conditions(api: Api, clock: Clock, kind: str) -> None:
    said = await claimed(api, kind)
    example = EXAMPLES[kind]
    assert (said["versioning"], said["readHistory"], said["updateCreate"]) == ("versioned", True, True)
    first = fine(await get(api, f"{kind}/x"), 200)
    clock.advance(seconds=1)  # of two versions of one second an HTTP date cannot tell which is meant
    stale = await call(api, "PUT", f"{kind}/x", example, headers={"If-Match": 'W/"9"'})
    outcome(stale, 412, "conflict")
    fine(await call(api, "PUT", f"{kind}/new-id", {**example, "id": "new-id"}), 201)
    assert (said["conditionalCreate"], said["conditionalUpdate"]) == (True, True)
    there = await call(api, "POST", kind, example, headers={"If-None-Exist": "_id=x"})
    assert fine(there, 200).json()["id"] == "x"
    fine(await call(api, "PUT", f"{kind}?_id=x", example), 200)
    assert said["conditionalRead"] == "full-support"
    now = await get(api, f"{kind}/x")
    fine(await get(api, f"{kind}/x", if_none_match=now.headers["etag"]), 304)
    fine(await get(api, f"{kind}/x", if_none_match=first.headers["etag"]), 200)
    fine(await get(api, f"{kind}/x", if_modified_since=now.headers["last-modified"]), 304)
    assert said["conditionalDelete"] == "single"
    outcome(await call(api, "DELETE", f"{kind}?_id=x,new-id"), 412, "multiple-matches")
    fine(await call(api, "DELETE", f"{kind}?_id=new-id"), 204)
    fine(await get(api, f"{kind}/new-id"), 410)


@pytest.mark.parametrize("kind", TYPES)
async def test_search_parameters_and_their_modifiers(api: Api, kind: str) -> None:
    said = (await claimed(api, kind))["searchParam"]
    assert [one["name"] for one in said] == list(TYPES[kind].parameters)
    for one in said:
        await searched(api, f"{kind}?{one['name']}={value(one)}")
        text = one.get("documentation", "")
        for modifier, of in MODIFIERS.items():
            asked = f"{kind}?{one['name']}:{modifier}={of}"
            if f":{modifier}," in text or f":{modifier}." in text:
                await searched(api, asked)
            else:
                outcome(await get(api, asked), 400, "not-supported")
        targets = target_types(TYPES[kind].parameters[one["name"]]) if one["type"] == "reference" else ()
        assert (":[type]" in text) == bool(targets)
        for target in targets:
            await searched(api, f"{kind}?{one['name']}:{target}=x")
        outcome(await get(api, f"{kind}?{one['name']}:Nothing=x"), 400, "not-supported")
    outcome(await get(api, f"{kind}?unheard-of=1", **STRICT), 400, "not-supported")
    assert notes(bundled(await get(api, f"{kind}?unheard-of=1")))


@pytest.mark.parametrize("kind", TYPES)
async def test_what_can_be_included(api: Api, kind: str) -> None:
    said = await claimed(api, kind)
    for name, every in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude")):
        for one in said.get(every, ()):
            await searched(api, f"{kind}?{name}={one}")
            if ":" in one:
                await searched(api, f"{kind}?{name}:iterate={one}")
        outcome(await get(api, f"{kind}?{name}={kind}:unheard-of", **STRICT), 400, "not-supported")
    others = {f"{other}:{one.name}" for other, t in TYPES.items() for one in t.parameters.values()}
    for one in sorted(others - set(said.get("searchInclude", ()))):
        if one.startswith(f"{kind}:"):
            outcome(await get(api, f"{kind}?_include={one}", **STRICT), 400, "not-supported")


@pytest.mark.parametrize("kind", TYPES)
async def test_operations(api: Api, kind: str) -> None:
    said = {one["name"]: one["definition"] for one in (await claimed(api, kind))["operation"]}
    there = {one.name: one for one in operations_on(kind)}
    assert said == {name: one.canonical(CANONICAL_BASE) for name, one in there.items()}
    for name in sorted({one.name for one in OPERATIONS}):
        one = there.get(name)
        for level, path in (("type", f"{kind}/${name}"), ("instance", f"{kind}/x/${name}")):
            for method in ("GET", "POST"):
                # The bare resource is what $validate is called with, except of a deletion; $everything needs none.
                body = EXAMPLES[kind] if method == "POST" and name == "validate" else None
                query = "?start=2024-01-20&end=2024-01-20" if name in ("find", "prefetch") else ""
                query = "?mode=delete" if name == "validate" and method == "GET" else query
                answer = await call(api, method, path + query, body)
                if one is None or level not in one.levels:
                    outcome(answer, 404, "not-supported")
                elif method not in one.methods:
                    outcome(answer, 405, "not-supported")
                    assert answer.headers["allow"] == ", ".join(one.methods)
                elif query == "?mode=delete" and level == "type":
                    outcome(answer, 400, "required")
                elif name in ("validate", "everything", "find", "prefetch"):
                    fine(answer, 200)
                elif name != "export":  # called without what it needs: it is there all the same
                    assert "unknown_operation" not in answer.text
                    assert answer.status_code in (200, 202, 400, 409, 410, 422), answer.text
    for name in ("meta", "meta-add", "expunge", "match", "lastn", "process-message"):
        outcome(await call(api, "POST", f"{kind}/${name}", {"resourceType": "Parameters"}), 404, "not-supported")
        outcome(await get(api, f"{kind}/x/${name}"), 404, "not-supported")


async def test_the_operations_of_scheduling_are_defined(api: Api) -> None:
    everything = bundled(await get(api, "OperationDefinition"))
    defined = {one["resource"]["id"]: one["resource"] for one in everything["entry"]}
    for one in OPERATIONS:
        found = defined.get(one.definition.rpartition("/")[2])
        if found is None:
            assert one.name in ("validate", "everything", "export"), "defined by HL7"
            continue
        assert (found["code"], found["resource"]) == (one.name, list(one.kinds))
        assert (found["type"], found["instance"]) == ("type" in one.levels, "instance" in one.levels)
        assert one.canonical(CANONICAL_BASE) in (found["url"], found.get("base"))
        [said] = [each for each in (await claimed(api, one.kinds[0]))["operation"] if each["name"] == one.name]
        # What is an implementation of somebody else's is named as that, and what it takes beyond that by our own name.
        assert found["url"] in (said["definition"], said.get("documentation", "").rpartition(" ")[2])
    for parameter in (await claimed(api, "OperationDefinition"))["searchParam"]:
        found = await searched(api, f"OperationDefinition?{parameter['name']}=x")
        assert (found["total"], "entry" in found) == (0, False)
    body = {"resourceType": "OperationDefinition"}
    outcome(await call(api, "PUT", "OperationDefinition/x", body), 405, "not-supported")


async def test_the_interactions_with_the_system(api: Api) -> None:
    rest = await claims(api)
    assert tuple(one["code"] for one in rest["interaction"]) == SYSTEM_INTERACTIONS
    for kind in ("transaction", "batch"):
        bundled(await call(api, "POST", "", {"resourceType": "Bundle", "type": kind}), f"{kind}-response")
    bundled(await get(api, "_history"), "history")
    every = ",".join(TYPES)
    for parameter in rest["searchParam"]:
        await searched(api, f"?{parameter['name']}={value(parameter)}&_type={every}")
    form = {"_type": every, "_id": "x"}
    answer = await api.http.post(f"{BASE}/_search", data=form, headers=authorized(api))
    assert bundled(answer)["total"] == len(TYPES)
    assert (await get(api, f"?_type={every}&status=x")).status_code == 400, "not a parameter of all of them"
    assert {one["name"] for one in rest["operation"]} == {one.name for one in OPERATIONS if one.system}
    for one in rest["operation"]:
        assert (await get(api, f"${one['name']}")).status_code == 202
    outcome(await get(api, "$meta"), 404, "not-supported")


async def test_compartments(api: Api) -> None:
    said = (await claims(api))["compartment"]
    assert said == [
        f"http://hl7.org/fhir/CompartmentDefinition/{name}" for name in ("patient", "practitioner", "relatedPerson")
    ]
    assert owners() == ["Patient", "Practitioner", "RelatedPerson"]
    for owner in TYPES:
        for member in TYPES:
            answer = await get(api, f"{owner}/x/{member}")
            if owner in TYPES[member].compartments:
                bundled(answer)
            else:
                outcome(answer, 404, "not-supported")
        if owner in owners():
            bundled(await get(api, f"{owner}/x/*"))


async def test_formats(api: Api) -> None:
    statement = (await api.http.get(f"{BASE}/metadata")).json()
    for one in statement["format"]:
        fine(await get(api, "Patient/x", accept=one if "/" in one else "*/*"), 200)
        fine(await api.get(f"{BASE}/Patient/x", params={"_format": one}), 200)
    for other in ("xml", "application/fhir+xml", "text/turtle", "ttl", "html"):
        outcome(await api.get(f"{BASE}/Patient/x", params={"_format": other}), 406, "not-supported")
    parts = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Patient.language"}]
    patches = {
        "application/json-patch+json": b'[{"op":"add","path":"/language","value":"en"}]',
        "application/fhir+json": httpx.Request(
            "POST", "http://x", json={"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
        ).content,
    }
    assert set(statement["patchFormat"]) == set(patches)
    for media_type, body in patches.items():
        headers = authorized(api) | {"Content-Type": media_type}
        fine(await api.http.patch(f"{BASE}/Patient/x", content=body, headers=headers), 200)
    for media_type in ("application/merge-patch+json", "application/xml-patch+xml", "application/json"):
        headers = authorized(api) | {"Content-Type": media_type}
        answer = await api.http.patch(f"{BASE}/Patient/x", content=b"[]", headers=headers)
        assert answer.status_code in (400, 415)


async def test_methods_that_nothing_takes(api: Api) -> None:
    for method, path, allowed in (
        ("DELETE", "", {"GET", "HEAD", "POST"}),
        ("PUT", "_history", {"GET", "HEAD"}),
        ("POST", "metadata", {"GET", "HEAD"}),
        ("POST", "Patient/x", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("DELETE", "Patient/x/_history", {"GET", "HEAD"}),
        ("DELETE", "Patient/x/_history/1", {"GET", "HEAD"}),
        ("GET", "Patient/_search", {"POST"}),
        ("DELETE", "Patient/$validate", {"GET", "HEAD", "POST"}),
    ):
        answer = await call(api, method, path)
        outcome(answer, 405, "not-supported")
        assert set(answer.headers["allow"].split(", ")) <= allowed, (method, path, answer.headers["allow"])


# The search parameters of our own.


async def test_our_own_parameters_are_published(api: Api) -> None:
    said = await claimed(api, "SearchParameter")
    assert [one["code"] for one in said["interaction"]] == ["read", "search-type"]
    everything = bundled(await get(api, "SearchParameter"))
    assert [one["resource"]["id"] for one in everything["entry"]] == ["Appointment-date-or-req-period", "Slot-end"]
    for entry in everything["entry"]:
        one = entry["resource"]
        assert fine(await get(api, f"SearchParameter/{one['id']}"), 200).json() == one
        [base] = one["base"]
        [listed] = [p for p in (await claimed(api, base))["searchParam"] if p["definition"] == one["url"]]
        assert (listed["name"], listed["type"]) == (one["code"], one["type"])
        for comparator in one["comparator"]:
            await searched(api, f"{base}?{one['code']}={comparator}2024-01-20")
    of_ours = {p["definition"] for kind in TYPES for p in (await claimed(api, kind))["searchParam"]}
    assert {url for url in of_ours if not url.startswith("http://hl7.org/fhir/")} == {
        entry["resource"]["url"] for entry in everything["entry"]
    }


async def test_our_own_parameters_are_found_and_not_changed(api: Api) -> None:
    for parameter in (await claimed(api, "SearchParameter"))["searchParam"]:
        found = await searched(api, f"SearchParameter?{parameter['name']}=x")
        assert (found["total"], "entry" in found) == (0, False)
    for asked in (
        "_id=Slot-end",
        "url=https://mediloop.co/fhir/SearchParameter/Slot-end",
        "name=slot",
        "code=end",
        "base=Slot,Patient&status=active",
        "base=http://hl7.org/fhir/resource-types|Slot",
    ):
        found = await searched(api, f"SearchParameter?{asked}")
        assert [one["resource"]["id"] for one in found["entry"]] == ["Slot-end"], asked
    answer = await api.http.post(f"{BASE}/SearchParameter/_search", data={"code": "end"}, headers=authorized(api))
    assert bundled(answer)["total"] == 1
    lenient = bundled(await get(api, "SearchParameter?unheard-of=1&code=end&_format=json"))
    assert (lenient["total"], len(notes(lenient))) == (1, 1)
    assert link(lenient, "self") == f"http://adapter.test{BASE}/SearchParameter?code=end&_format=json"
    outcome(await get(api, "SearchParameter?unheard-of=1", **STRICT), 400, "not-supported")
    outcome(await get(api, "SearchParameter?code:exact=end"), 400, "not-supported")
    outcome(await get(api, "SearchParameter/Slot-start"), 404, "not-found")
    outcome(await get(api, "SearchParameter/Slot-end/_history"), 404, "not-found")
    for method, path in (
        ("POST", "SearchParameter"),
        ("PUT", "SearchParameter/Slot-end"),
        ("DELETE", "SearchParameter/x"),
    ):
        answer = await call(api, method, path, {"resourceType": "SearchParameter"})
        outcome(answer, 405, "not-supported")
        assert answer.headers["allow"] == "GET, HEAD"
    outcome(await get(api, "SearchParameter/_search"), 405, "not-supported")
