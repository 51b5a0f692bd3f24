"""``$validate``: 200 for whatever is wrong with the resource; refused only where there is nothing to validate."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from adapter.scheduling.occupancy import CAPACITY
from store.store import Store
from tests.adapter.fhir.door import bare, call, get, made, outcome, person
from tests.adapter.mediloop.clinic import appointment, open_clinic, put
from tests.conftest import Api, ApiMaker

Json = dict[str, Any]


@pytest.fixture(autouse=True)
async def clinic(store: Store) -> None:
    await open_clinic(store)
    await put(store, appointment("a1"))


def parameters(resource: Any = None, **values: str) -> Json:
    """Return a Parameters resource for the operation."""
    listed: list[Json] = [{"name": name, "valueCode": value} for name, value in values.items() if name == "mode"]
    listed += [{"name": name, "valueUri": value} for name, value in values.items() if name != "mode"]
    if resource is not None:
        listed.append({"name": "resource", "resource": resource})
    return {"resourceType": "Parameters"} | ({"parameter": listed} if listed else {})


def said(answer: httpx.Response) -> list[tuple[str, str, str | None]]:
    """Return severity, code and expression of the issues in a successful answer."""
    assert answer.status_code == 200, answer.text
    OperationOutcome.model_validate_json(answer.content)
    return [(one["severity"], one["code"], one.get("expression", [None])[0]) for one in answer.json()["issue"]]


def narrated(resource: Json) -> Json:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'
    return resource | {"text": {"status": "generated", "div": div}}


FHIR_JSON = {"Content-Type": "application/fhir+json"}
FINE = [("information", "informational", None)]


@pytest.mark.parametrize("path", ["Appointment/$validate", "Appointment/a1/$validate"])
async def test_a_resource_as_it_is_or_as_a_parameter(api: Api, path: str) -> None:
    for body in (appointment("a1"), parameters(appointment("a1")), parameters(appointment("a1"), mode="create")):
        found = said(await call(api, "POST", path, body))
        assert {severity for severity, _, _ in found} <= {"information", "warning"}
    assert said(await call(api, "POST", path, narrated(appointment("a1")))) == FINE
    wrong = appointment("a1", status="foo", priority=-1)
    for body in (wrong, parameters(wrong), parameters(wrong, mode="profile")):
        found = said(await call(api, "POST", path, body))
        assert ("error", "code-invalid", "Appointment.status") in found
        assert ("error", "value", "Appointment.priority") in found


async def test_a_part_of_a_resource_is_said_to_be_one(api: Api) -> None:
    part = (await get(api, "Appointment/a1?_summary=true")).json()
    found = said(await call(api, "POST", "Appointment/$validate", part))
    assert found[0] == ("error", "business-rule", "Appointment.meta.tag[0]")


async def test_nothing_is_stored(api: Api) -> None:
    await call(api, "POST", "Patient/$validate", person("new"))
    assert (await get(api, "Patient/new")).status_code == 404


OVER = "https://mediloop.co/fhir/StructureDefinition/overbooked"
TEN, HALF = "2024-01-21T10:00:00Z", "2024-01-21T10:30:00Z"
OPEN: Json = {"resourceType": "Slot", "schedule": {"reference": "Schedule/sarah"}, "status": "free"}
OPEN |= {"start": TEN, "end": HALF}
HERS: Json = {"resourceType": "Schedule", "id": "s", "actor": [{"reference": "Practitioner/p"}]}
ANSWER: Json = {"resourceType": "AppointmentResponse", "actor": {"reference": "Patient/john"}}
ANSWER |= {"participantStatus": "accepted"}


@pytest.mark.parametrize(
    "resource",
    [
        appointment("new", start=None) | {"start": TEN, "end": TEN},
        appointment("new", extension=[{"url": OVER, "valueString": " "}]),
        appointment("new", slot=[{"reference": "http://o.org/Slot/1"}]),
        appointment("new", slot=[{"display": "the first"}]),
        OPEN | {"extension": [{"url": CAPACITY, "valueInteger": 0}]},
        OPEN | {"extension": [{"url": CAPACITY, "valuePositiveInt": 3}]},
        OPEN | {"extension": [{"url": CAPACITY, "valueInteger": 1}] * 2},
        OPEN | {"schedule": {"display": "hers"}},
        OPEN | {"schedule": {"reference": "#s"}, "contained": [HERS]},
        OPEN | {"schedule": {"reference": "http://o.org/Schedule/1"}},
        ANSWER | {"appointment": {"display": "his"}},
        ANSWER | {"appointment": {"identifier": {"value": "his"}}},
    ],
)
async def test_what_no_store_could_let_in_is_said_as_a_write_says_it(api: Api, resource: Json) -> None:
    resource = resource | {"id": "new"}
    kind = resource["resourceType"]
    written = await call(api, "PUT", f"{kind}/new", resource)
    assert written.status_code == 422, written.text
    found = (await call(api, "POST", f"{kind}/$validate", narrated(resource))).json()["issue"]
    for mine, theirs in zip(found, written.json()["issue"], strict=True):
        for member in ("severity", "code", "expression"):
            assert mine[member] == theirs[member]
        assert mine["details"]["coding"] == theirs["details"]["coding"]


@pytest.mark.parametrize(
    "members",
    [
        '"active":null',
        '"name":[]',
        '"name":[{}]',
        '"language":""',
        '"active":true,"active":false',
        '"meta":{"tag":[null]}',
        '"id":{"a":[[]]}',
        '"meta":7',
        '"meta":{"tag":{}}',
        f'"photo":[{{"size":{"9" * 400}}}]',
    ],
)
async def test_what_fhir_json_does_not_allow_is_a_finding_too(api: Api, members: str) -> None:
    resource = f'{{"resourceType":"Patient",{members}}}'
    wrapped = f'{{"resourceType":"Parameters","parameter":[{{"name":"resource","resource":{resource}}}]}}'
    for body in (resource, wrapped):
        answer = await call(api, "POST", "Patient/$validate?mode=create", content=body.encode(), headers=FHIR_JSON)
        found = said(answer)
        assert found[0][0] == "error"
        assert (found[0][2] or "").startswith("Patient.")


@pytest.mark.parametrize("empty", ['"actor":[]', '"actor":{}', '"actor":null', '"actor":[{"display":"\\u0000"}]'])
async def test_a_write_is_refused_for_all_that_it_finds(api: Api, empty: str) -> None:
    """What FHIR's JSON does not allow hides nothing else."""
    rest = '"foo":1,"serviceType":["1"],"active":true,"active":true'
    sent = f'{{"resourceType":"Schedule","id":"x",{empty},{rest}}}'.encode()
    found = said(await call(api, "POST", "Schedule/$validate", content=sent, headers=FHIR_JSON))
    assert {place for _, _, place in found} >= {"Schedule.active", "Schedule.foo", "Schedule.serviceType[0]"}
    assert any((place or "").startswith("Schedule.actor") for _, _, place in found)
    for method, path in (("POST", "Schedule"), ("PUT", "Schedule/x"), ("PUT", "Schedule?identifier=urn:x|1")):
        written = await call(api, method, path, content=sent, headers=FHIR_JSON)
        assert written.status_code == 400
        assert [("error", one["code"], one["expression"][0]) for one in written.json()["issue"]] == found


async def test_the_wrong_type_is_a_finding(api: Api) -> None:
    for body in (person("x"), parameters(person("x")), parameters({"resourceType": "Unheard"})):
        found = said(await call(api, "POST", "Appointment/$validate", body))
        assert [(severity, code) for severity, code, _ in found] == [("error", "structure")]


async def test_an_update_is_of_the_resource_that_is_called(api: Api) -> None:
    body = narrated(appointment("a1"))
    assert said(await call(api, "POST", "Appointment/a1/$validate?mode=update", body)) == FINE
    for other in (bare(body), body | {"id": "a2"}):
        found = said(await call(api, "POST", "Appointment/a1/$validate", parameters(other, mode="update")))
        assert ("error", "value", "Appointment.id") in found


async def test_whether_it_could_be_deleted(api: Api) -> None:
    assert said(await call(api, "POST", "Appointment/a1/$validate?mode=delete")) == FINE
    answer = await call(api, "POST", "Patient/john/$validate", parameters(mode="delete"))
    assert said(answer) == [("error", "conflict", "Patient")]
    assert "Appointment/a1" in answer.text
    outcome(await call(api, "POST", "Patient/never/$validate?mode=delete"), 404, "not-found")


async def test_a_slot_that_is_held_could_not_be_deleted_and_stays(api: Api) -> None:
    await made(api, appointment("a2", start="2024-01-20T10:30", slot=[{"reference": "Slot/slot-003"}]))
    answer = await call(api, "POST", "Slot/slot-003/$validate?mode=delete")
    assert said(answer) == [("error", "conflict", "Slot")]
    assert "a2" in answer.text
    assert (await call(api, "DELETE", "Slot/slot-003")).status_code == 409
    assert (await call(api, "POST", "Appointment/a2/$cancel")).status_code == 200
    assert said(await call(api, "POST", "Slot/slot-003/$validate?mode=delete")) == FINE
    assert (await call(api, "DELETE", "Slot/slot-003")).status_code == 204


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("Patient/$validate", None, "required"),
        ("Patient/$validate", parameters(), "required"),
        ("Patient/$validate", parameters(mode="create"), "required"),
        ("Patient/$validate", parameters(person("x"), mode="guess"), "value"),
        ("Patient/$validate", parameters(person("x"), mode="update"), "required"),
        ("Patient/$validate", parameters(mode="delete"), "required"),
        ("Patient/$validate", parameters(person("x"), profile="http://example.org/p"), "not-supported"),
        ("Patient/$validate", {"resourceType": "Parameters", "parameter": [{"name": "mode"}]}, "value"),
    ],
)
async def test_what_cannot_be_carried_out(api: Api, path: str, body: Any, code: str) -> None:
    answer = await call(api, "POST", path, body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0]["code"] == code


@pytest.mark.parametrize(
    ("query", "body", "name"),
    [
        ("?profil=urn:x", person("x"), "profil"),
        ("?modus=delete", person("x"), "modus"),
        ("", parameters(person("x"), profil="urn:x"), "profil"),
        ("?resource=Patient/x", person("x"), "resource"),  # it comes in the body
    ],
)
async def test_a_parameter_that_it_does_not_take_is_not_passed_over(
    api: Api, query: str, body: Json | None, name: str
) -> None:
    issue = outcome(await call(api, "POST", f"Patient/x/$validate{query}", body), 400, "not-supported")
    assert issue["location"] == [f"http.{name}"]


async def test_what_is_empty_or_about_the_answers_form_is_taken(api: Api) -> None:
    path = "Patient/$validate?_format=json&_pretty=true&foo="
    assert said(await call(api, "POST", path, narrated(person("x")))) == FINE
    for empty in ("mode=", "profile=", "mode=&profile=", "mode=&mode=create"):
        assert said(await call(api, "POST", f"Patient/$validate?{empty}", narrated(person("x")))) == FINE


async def test_a_profile_of_r4(api: Api) -> None:
    url = "http://hl7.org/fhir/StructureDefinition/Patient"
    assert said(await call(api, "POST", "Patient/$validate", parameters(narrated(person("x")), profile=url))) == FINE
    assert said(await call(api, "POST", f"Patient/$validate?profile={url}", narrated(person("x")))) == FINE


@pytest.mark.parametrize(
    ("query", "further"),
    [
        ("", [{"name": "resource", "resource": {"resourceType": "Patient"}}]),
        ("mode=nope&mode=create", []),
        ("mode=create", [{"name": "mode", "valueCode": "create"}]),
        ("", [{"name": "mode", "valueCode": "nope"}, {"name": "mode", "valueCode": "create"}]),
        ("profile=http://x.org/p&profile=http://hl7.org/fhir/StructureDefinition/Patient", []),
    ],
)
async def test_what_may_be_given_once_is_not_given_twice(api: Api, query: str, further: list[Json]) -> None:
    """The last one was judged, and the others passed over."""
    body = parameters({"resourceType": "Patient", "gender": "m"})
    body["parameter"] += further
    issue = outcome(await call(api, "POST", f"Patient/$validate?{query}", body), 400, "value")
    assert "may be given once" in issue["diagnostics"]


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ('"parameter":[{"name":"resource","resource":%s,"resource":%s}]', "Parameters.parameter[0].resource"),
        ('"parameter":[{"name":"resource","resource":%s}],"parameter":[{"name":"resource","resource":%s}]', None),
    ],
)
async def test_nor_by_a_name_that_is_there_twice(api: Api, parts: str, place: str | None) -> None:
    both = '{"resourceType":"Patient","gender":"m"}', '{"resourceType":"Patient"}'
    sent = f'{{"resourceType":"Parameters",{parts % both}}}'.encode()
    answer = await call(api, "POST", "Patient/$validate", content=sent, headers=FHIR_JSON)
    assert outcome(answer, 400, "structure")["expression"] == [place or "Parameters.parameter"]


async def test_it_needs_the_permission_to_read(api: Api, make_api: ApiMaker) -> None:
    limited: Api = await make_api(api.service, granted=["slots:read"])
    outcome(await call(limited, "POST", "Patient/$validate", person("x")), 403, "forbidden")


async def test_what_is_stored_can_be_asked_about_by_get(api: Api) -> None:
    """https://hl7.org/fhir/R4/operations.html#request: all parameters are primitive, and nothing is changed."""
    asked = await get(api, "Patient/john/$validate?mode=delete")
    assert said(asked) == [("error", "conflict", "Patient")]
    assert asked.json() == (await call(api, "POST", "Patient/john/$validate?mode=delete")).json()
    assert (await call(api, "HEAD", "Appointment/a1/$validate?mode=delete")).status_code == 200
    assert (await get(api, "Appointment/a1")).status_code == 200
    outcome(await get(api, "Patient/never/$validate?mode=delete"), 404, "not-found")
    for path in ("Patient/$validate", "Patient/$validate?mode=create", "Patient/john/$validate"):
        outcome(await get(api, path), 400, "required")


async def test_whether_what_is_stored_is_of_a_profile(api: Api) -> None:
    url = "http://hl7.org/fhir/StructureDefinition/Appointment"
    await made(api, narrated(appointment("fine", start="2024-01-20T15:00")))
    assert said(await get(api, f"Appointment/fine/$validate?mode=profile&profile={url}")) == FINE
    assert said(await call(api, "POST", "Appointment/fine/$validate", parameters(mode="profile", profile=url))) == FINE
    bare_one = said(await get(api, "Appointment/a1/$validate?mode=profile"))
    assert bare_one[0] == ("warning", "invariant", "Appointment.text")
    outcome(await get(api, "Appointment/never/$validate?mode=profile"), 404, "not-found")
    outcome(await get(api, "Appointment/a1/$validate?mode=profile&profile=urn:p"), 400, "not-supported")
    outcome(await get(api, "Appointment/$validate?mode=profile"), 400, "required")
