"""Patches in transactions: what they bring is named and looked for as in every other entry."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from adapter.fhir.bundles.patches import rewritten
from adapter.fhir.patching import Patch
from adapter.fhir.references import rewriting
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


def element(kind: str, path: str, value: Json, name: str | None = None, **numbers: int) -> Json:
    """Return an operation of a FHIRPath Patch that brings `value`, a part."""
    texts: Json = {"type": {"valueCode": kind}, "path": {"valueString": path}}
    texts |= {} if name is None else {"name": {"valueString": name}}
    parts = [{"name": key, **part} for key, part in texts.items()]
    parts += [{"name": key, "valueInteger": number} for key, number in numbers.items()]
    return {"name": "operation", "part": [*parts, {"name": "value", **value}]}


def parameters(*operations: Json) -> Json:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def parts(name: str, **value: Any) -> Json:
    return {"name": name, **value}


OTHER = "Patient.link[0].other"
LINKS = [
    element("replace", f"{OTHER}.reference", {"valueString": "{}"}),
    element("replace", f"{OTHER}.reference.first()", {"valueString": "{}"}),
    element("replace", f"{OTHER}.reference", {"valueUri": "{}"}),
    element("replace", OTHER, {"valueReference": {"reference": "{}"}}),
    element("replace", OTHER, {"part": [parts("display", valueString="{}"), parts("reference", valueString="{}")]}),
    element(
        "insert",
        "Patient.link",
        {
            "part": [
                parts("other", part=[parts("reference", valueString="{}")]),
                parts("type", valueCode="seealso"),
            ]
        },
        index=0,
    ),
]


@pytest.mark.parametrize("operation", LINKS)
@pytest.mark.parametrize("conditional", [False, True])
async def test_a_name_in_a_fhirpath_patch_is_what_the_entry_makes(api: Api, operation: Json, conditional: bool) -> None:
    before = person(id="a", link=[{"other": {"reference": "Patient/x"}, "type": "refer"}])
    await done(api, bundle("transaction", entry("PUT", "Patient/a", before)))
    if conditional:  # it is found, and known by another name than the entry was given
        await done(api, bundle("transaction", entry("PUT", "Patient/b", person("Opio", id="b"))))
    patch = json.loads(json.dumps(parameters(operation)).replace("{}", urn(1)))
    maker = entry("POST", "Patient", person("Opio"), urn(1).upper(), ifNoneExist="family=Opio")
    found = await done(api, bundle("transaction", entry("PATCH", "Patient/a", patch), maker))
    assert statuses(found) == ["200", "200" if conditional else "201"]
    other = (await stored(api, "Patient/a"))["link"][0]["other"]
    assert other["reference"] == f"Patient/{ident(found[1])}"
    assert other.get("display") in (None, urn(1))


async def test_a_name_that_is_added_as_the_text_alone_is_what_the_entry_makes(api: Api) -> None:
    before = person(id="a", managingOrganization={"display": "Clinic"})
    await done(api, bundle("transaction", entry("PUT", "Patient/a", before)))
    patch = parameters(element("add", "Patient.managingOrganization", {"valueString": urn(1)}, "reference"))
    maker = entry("POST", "Organization", {"resourceType": "Organization", "name": "Clinic"}, urn(1))
    found = await done(api, bundle("transaction", entry("PATCH", "Patient/a", patch), maker))
    after = (await stored(api, "Patient/a"))["managingOrganization"]
    assert after == {"display": "Clinic", "reference": f"Organization/{ident(found[1])}"}


async def test_a_name_that_may_look_like_a_reference_stays_in_a_fhirpath_patch(api: Api) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/a", person(id="a"))))
    patch = parameters(
        element("add", "Patient", {"part": [parts("text", valueString=urn(1))]}, "name"),
        element("delete", "Patient.photo", {"part": 7}),
        element("delete", "Patient.photo", {"valueString": urn(1)}),
    )
    found = await done(
        api, bundle("transaction", entry("PATCH", "Patient/a", patch), entry("POST", "Patient", person(), urn(1)))
    )
    assert statuses(found) == ["200", "201"]
    assert (await stored(api, "Patient/a"))["name"][1] == {"text": urn(1)}


@pytest.mark.parametrize("operation", LINKS)
async def test_a_name_that_no_entry_has_leads_nowhere_in_a_patch_either(api: Api, operation: Json) -> None:
    before = person(id="a", link=[{"other": {"reference": "Patient/x"}, "type": "refer"}])
    await done(api, bundle("transaction", entry("PUT", "Patient/a", before)))
    patch = json.loads(json.dumps(parameters(operation)).replace("{}", urn(1)))
    answer = await send(api, bundle("transaction", entry("GET", "Patient/a"), entry("PATCH", "Patient/a", patch)))
    assert issues(answer, 400) == [("value", "Bundle.entry[1].resource.link[0].other.reference")]


async def test_references_by_criteria_as_the_text_in_a_fhirpath_patch(api: Api) -> None:
    before = person(id="a", link=[{"other": {"reference": "Patient/x"}, "type": "refer"}])
    await done(api, bundle("transaction", entry("PUT", "Patient/a", before)))
    patch = parameters(element("replace", f"{OTHER}.reference", {"valueString": "Patient?family=Opio"}))
    answer = await send(api, bundle("transaction", entry("PATCH", "Patient/a", patch)))
    assert issues(answer, 412) == [("not-found", "Bundle.entry[0].resource.parameter[0].part[2].valueString")]
    await done(api, bundle("transaction", entry("PUT", "Patient/b", person("Opio", id="b"))))
    await done(api, bundle("transaction", entry("PATCH", "Patient/a", patch)))
    assert (await stored(api, "Patient/a"))["link"][0]["other"] == {"reference": "Patient/b"}
