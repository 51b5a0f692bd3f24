"""JSON Patches in transactions: what they bring is named and looked for as in every other entry."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from adapter.fhir.bundles.patches import rewritten
from adapter.fhir.bundles.references import rewriting
from adapter.fhir.patching import Patch
from tests.adapter.fhir.bundles.sending import bundle, done, entry, ident, issues, person, send, statuses, stored, urn
from tests.conftest import Api

Json = dict[str, Any]
CLINIC = {"resourceType": "Organization", "name": "Clinic", "identifier": [{"value": "c"}]}
URN = urn(1)


def binary(*operations: Json) -> Json:
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


def add(path: str, value: Any) -> Json:
    return {"op": "add", "path": path, "value": value}


def brought(path: str, value: Any, kind: str = "Patient") -> Any:
    """Return what stands in the place of `value` after the names are replaced."""
    patch = rewritten(Patch.read([add(path, value)]), kind, rewriting({URN: "Organization/new"}))
    [operation] = patch.operations
    return operation.value  # type: ignore[attr-defined]


async def test_a_name_in_a_json_patch_is_what_the_entry_makes(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/a", person(id="a"))))
    found = await done(
        api,
        bundle(
            "transaction",
            entry("PATCH", "Patient/a", binary(add("/managingOrganization", {"reference": URN}))),
            entry("POST", "Organization", CLINIC, URN),
        ),
    )
    made = {"reference": f"Organization/{ident(found[1])}"}
    assert (await stored(api, "Patient/a"))["managingOrganization"] == made
    again = entry("POST", "Organization", CLINIC, URN, ifNoneExist="identifier=c")
    expected = [{"op": "test", "path": "/managingOrganization/reference", "value": URN}]
    found = await done(
        api,
        bundle(
            "transaction",
            entry("PATCH", "Patient/a", binary(*expected, add("/generalPractitioner", [{"reference": URN}]))),
            again,
        ),
    )
    assert statuses(found) == ["200", "200"]
    assert (await stored(api, "Patient/a"))["generalPractitioner"] == [made]


async def test_references_by_criteria_in_a_json_patch(api: Api) -> None:
    await done(
        api,
        bundle(
            "transaction",
            entry("PUT", "Patient/a", person(id="a")),
            entry("PUT", "Organization/c", {**CLINIC, "id": "c"}),
        ),
    )
    by = entry("PATCH", "Patient/a", binary(add("/managingOrganization", {"reference": "Organization?name=clinic"})))
    await done(api, bundle("transaction", by))
    assert (await stored(api, "Patient/a"))["managingOrganization"] == {"reference": "Organization/c"}
    place = "Bundle.entry[1].resource.managingOrganization.reference"
    for value, status, code in (
        ("Organization?name=other", 412, "not-found"),
        ("Organization?unheard=1", 400, "not-supported"),
        ("Organization?name=%FF", 400, "value"),
        ("Device?identifier=1", 400, "not-found"),
    ):
        for operation in (
            add("/managingOrganization", {"reference": value}),
            {"op": "replace", "path": "/managingOrganization/reference", "value": value},
        ):
            wrong = entry("PATCH", "Patient/a", binary(operation))
            answer = await send(api, bundle("transaction", entry("GET", "Patient/a"), wrong))
            assert issues(answer, status) == [(code, place)], value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/managingOrganization/reference", "{}"),
        ("/generalPractitioner", [{"reference": "{}"}, {"reference": "Practitioner/1"}]),
        ("/generalPractitioner/-", {"reference": "{}"}),
        ("/generalPractitioner/0/reference", "{}"),
        ("/link/0", {"other": {"reference": "{}"}}),
        ("/extension/0/valueReference", {"reference": "{}"}),
        ("/_birthDate/extension/0/valueUri", "{}"),
        ("/_birthDate", {"extension": [{"url": "urn:e", "valueUri": "{}"}]}),
        ("/meta/source", "{}"),
        ("/text/div", '<div><a href="{}">x</a></div>'),
        ("", {"resourceType": "Patient", "managingOrganization": {"reference": "{}"}}),
        ("/contained", [{"resourceType": "Patient", "managingOrganization": {"reference": "{}"}}]),
        ("/contained/0/managingOrganization", {"reference": "{}"}),
        ("/contained/0/managingOrganization/reference", "{}"),
        ("/contained/0/contact", [{"organization": {"reference": "{}"}}]),
    ],
)
def test_wherever_fhir_has_an_address(path: str, value: Any) -> None:
    text = json.dumps(value)
    found = brought(path, json.loads(text.replace("{}", URN)))
    assert found == json.loads(text.replace("{}", "Organization/new"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/managingOrganization/display", URN),
        ("/meta/profile/0", URN),
        ("/meta/profile", [URN]),
        ("/birthDate/x", URN),
        ("/unheard", {"reference": URN}),
        ("/unheard/reference", URN),
        ("/generalPractitioner/reference", URN),
        ("/contained/0/display", URN),
        ("/contained/0/reference", 7),
        ("/contained", 7),
        ("", URN),
        ("", [URN]),
        ("/active", True),
        ("/managingOrganization", None),
    ],
)
def test_nowhere_else(path: str, value: Any) -> None:
    assert brought(path, value) == value
