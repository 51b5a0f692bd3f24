"""What operations are called with: a Parameters resource, or nothing; a resource alone only where one is taken."""

from __future__ import annotations

import pytest

from tests.adapter.fhir.door import Json, call, get, made, outcome, person
from tests.adapter.mediloop.clinic import appointment
from tests.conftest import Api

OTHERS: list[Json] = [
    {"_type": "Patient"},
    {"resourceType": "Patient"},
    {"resourceType": 5},
    {"resourceType": {"of": "Patient"}},
    {"resourceType": "no type"},
    {"resourceType": "Bundle", "type": "collection"},
    {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": {"resourceType": "Patient"}}]},
]
PATHS = (
    *("$export", "Patient/$export", "Group/g/$export", "Patient/$everything", "Patient/p/$everything"),
    *("Appointment/$find", "Appointment/$hold", "Appointment/a/$cancel", "Appointment/a/$reschedule"),
    *("Slot/$find", "Slot/$prefetch", "Appointment/$book", "Appointment/a/$book"),
)


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_not_read_is_refused(api: Api, path: str) -> None:
    await made(api, person("p"))
    await made(api, appointment("a"))
    before = (await get(api, "Appointment/a")).json()
    for body in OTHERS:
        issue = outcome(await call(api, "POST", path, body), 400, *one_code(path, body))
        if path != "Appointment/$book" and not path.endswith("a/$book"):
            expected = "Send a Parameters resource." if body.get("resourceType") != "Parameters" else "resource"
            assert expected in issue["diagnostics"]
    assert (await get(api, "Appointment/a")).json() == before
    jobs = api.service.stores["test"].database["exports"]
    assert await jobs.count_documents({}) == 0


NO_PARAMETERS: list[tuple[Json, str]] = [
    ({"parameters": [{"name": "_type", "valueString": "Patient"}]}, "unknown_element"),  # it is called `parameter`
    ({"parameter": 0}, "wrong_type"),
    ({"parameter": False}, "wrong_type"),
]


@pytest.mark.parametrize("path", [*PATHS, "Patient/$validate"])
async def test_parameters_that_are_none_are_not_passed_over(api: Api, path: str) -> None:
    await made(api, person("p"))
    await made(api, appointment("a"))
    before = (await get(api, "Appointment/a")).json()
    for members, code in NO_PARAMETERS:
        answer = await call(api, "POST", path, {"resourceType": "Parameters", **members})
        assert outcome(answer, 400, "structure")["details"]["coding"][0]["code"] == code
    assert (await get(api, "Appointment/a")).json() == before


async def test_null_is_no_list_of_parameters(api: Api) -> None:
    body = {"resourceType": "Parameters", "parameter": None}  # only $validate is sent what is no JSON of FHIR
    outcome(await call(api, "POST", "Patient/$validate", body), 400, "structure", "structure")


def one_code(path: str, body: Json) -> list[str]:
    """The type of the issue: of what an operation takes as such, its type is wrong."""
    if body.get("resourceType") == "Parameters":
        return ["value" if "$e" in path else "not-supported"]
    return ["value" if path.endswith("$book") else "structure"]
