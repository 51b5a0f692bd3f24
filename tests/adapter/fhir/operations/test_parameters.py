"""What operations are called with: a Parameters resource, or nothing; a resource alone only where one is taken."""

from __future__ import annotations

import pytest

from tests.adapter.fhir.door import HOST, Json, bundled, call, get, made, outcome, person
from tests.adapter.fhir.operations.calling import END, START, operate, parameters, visit
from tests.adapter.mediloop.clinic import appointment
from tests.conftest import Api, ApiMaker, ServiceMaker

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
        issue = outcome(await call(api, "POST", path, body), 400, *codes(path, body))
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


NEEDED = {
    **dict.fromkeys(("Appointment/$find", "Slot/$find", "Slot/$prefetch"), 2),
    **dict.fromkeys(("Appointment/$hold", "Appointment/$book", "Appointment/a/$reschedule"), 1),
}
"""How many parameters an operation needs."""


def codes(path: str, body: Json) -> list[str]:
    """The types of the issues: of what an operation takes as such, its type is wrong; else what it needs is missing."""
    if body.get("resourceType") == "Parameters":
        return ["value" if "$e" in path else "not-supported", *["required"] * NEEDED.get(path, 0)]
    return ["value" if path.endswith("$book") else "structure"]


ALL_WRONG: list[tuple[str, Json, list[str]]] = [
    (
        "Appointment/$find",
        parameters(start="soon", practitioner="Patient/p", duration=0, reason="x|", _count=-1, colour="red"),
        [*("[5]", "start", "end", "[1]", "[2]", "[3]", "[4]")],
    ),
    ("Slot/$find", parameters(end="2024-01-20", organization="x/y", specialty="x|"), ["start", "[1]", "[2]"]),
    ("Appointment/$hold", parameters(patient="Patient/p"), ["[0]", "appointment-reference"]),
    ("Appointment/a/$hold", parameters(appt_id="Patient/p"), ["[0]", "appointment-reference"]),
    (
        "Appointment/$book",
        parameters(
            appt_resource=visit(status="guess", colour="red"),
            patient_resource={"resourceType": "Patient", "gender": "m"},
            patient_reference="Location/l",
            cancelled_appt_id={"identifier": {"value": "b"}},
            comment=[1, "x"],
            overbook=2,
            schedule={"identifier": {"value": "s"}},
        ),
        ["Appointment.status", "Appointment.colour", "Patient.gender", *("[2]", "[3]", "[4]", "[5]", "[6]", "[7]")],
    ),
    ("Appointment/a/$cancel", parameters(reason=[1, "x"], comment=5, why="x"), ["[0]", "[1]", "[2]", "[3]"]),
    (
        "Appointment/a/$reschedule",
        parameters(start="soon", end=5, slot=["x/y", {"identifier": {"value": "s"}}], reason=1, comment=2),
        ["start", "[1]", "[2]", "[3]", "[4]", "[5]"],
    ),
]


async def test_what_is_no_parameter_hides_no_wrong_one(api: Api) -> None:
    body = parameters(start="soon", colour="red", reason="x|", duration=0)
    body["parameter"] += [
        {"name": "end", "valueDateTime": "2024-13-01"},
        {"name": "practitionr", "valueReference": []},
        {"valueString": "x"},
        {"name": []},
    ]
    answer = await call(api, "POST", "Appointment/$find", body)
    told = [issue.get("expression", issue.get("location"))[0] for issue in answer.json()["issue"]]
    places = ["[4].value", "[5].value", "[5]", "[6].name", "[7].name"]
    wanted = ["http.start", *(f"Parameters.parameter{one}" for one in ("[1]", "[2]", "[3]", "[5]", *places))]
    assert (answer.status_code, sorted({*told})) == (400, sorted({*wanted}))
    body["parameter"] += [{"name": "reason", "valueString": "urn:x|y"}] * 100  # looked at one by one they would be many
    many = await call(api, "POST", "Appointment/$find", body)
    assert (many.status_code, "start" in many.text) == (400, False)


@pytest.mark.parametrize("path", ["Appointment/$find", "Appointment/$book", "Slot/$prefetch"])
async def test_a_scheduling_operation_takes_no_more_parameters_than_a_search(api: Api, path: str) -> None:
    """Each may be somebody who is looked for."""
    given = [{"name": "colour", "valueString": "red"}] * 1_001
    for many, issue in ((1_000, "not-supported"), (1_001, "too-costly")):
        body = {"resourceType": "Parameters", "parameter": given[:many]}
        answer = await call(api, "POST", path, body)
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, issue)


BESIDE: list[tuple[str, Json, list[str]]] = [
    (
        "$export",
        {
            "resourceType": "Parameters",
            "parameter": [
                {"name": name, "valueString": value}
                for name, value in (("_outputFormat", "csv"), ("colour", "red"), ("_since", "soon"), ("_since", "now"))
            ],
        },
        ["_outputFormat", "colour", "typ", "end", "_since", "_since"],
    ),
    ("Patient/p/$everything", parameters(start="soon", colour="red", _count="x"), ["start", "colour", "typ", "_count"]),
    ("Patient/$validate", parameters(mode="guess", colour="red"), ["mode", "colour", "typ", "end", "resource"]),
]
NO_VALUES: list[Json] = [{"name": "typ", "valueString": []}, {"name": "end", "valueDate": None}, {"name": []}]


@pytest.mark.parametrize(("path", "body", "beside"), BESIDE, ids=[path for path, _, _ in BESIDE])
@pytest.mark.parametrize("in_batch", [False, True])
async def test_what_is_no_value_hides_no_wrong_parameter_of_any_operation(
    api: Api, path: str, body: Json, beside: list[str], in_batch: bool
) -> None:
    await made(api, person("p"))
    first = len(body["parameter"])
    wanted = {f"Parameters.parameter[{first}].value", f"Parameters.parameter[{first + 1}].value"}
    sent = {**body, "parameter": [*body["parameter"], *NO_VALUES]}
    answer = await told_of(api, path, sent, in_batch)
    told = [(issue.get("expression") or issue["location"])[0].removeprefix("http.") for issue in answer]
    assert set(told) >= wanted, answer
    assert sorted(one for one in told if "Parameters" not in one) == sorted(beside)


async def told_of(api: Api, path: str, body: Json, in_batch: bool) -> list[Json]:
    """What is wrong with a call of an operation: by itself, or in a batch."""
    if not in_batch:
        answer = await call(api, "POST", path, body)
        assert answer.status_code == 400, answer.text
        return list(answer.json()["issue"])
    entry = {"request": {"method": "POST", "url": path}, "resource": body}
    done = bundled(
        await call(api, "POST", "", {"resourceType": "Bundle", "type": "batch", "entry": [entry]}), "batch-response"
    )
    response = done["entry"][0]["response"]
    assert response["status"].startswith("400")
    return list(response["outcome"]["issue"])


async def test_what_cannot_be_read_is_not_said_to_be_missing(api: Api) -> None:
    for part in ({"name": "resource", "resource": 5}, {"name": "mode", "valueCode": ["delete"]}):
        answer = await call(api, "POST", "Patient/p/$validate", {"resourceType": "Parameters", "parameter": [part]})
        assert answer.status_code == 400
        assert {issue["expression"][0].split(".")[1] for issue in answer.json()["issue"]} == {"parameter[0]"}


QUERIES: list[tuple[str, list[str]]] = [
    (
        "Patient/p/$everything?_count=x&_since=soon&start=soon&end=soon&_type=Device,Basic&colour=red&_count=2",
        ["_count", "_count", "_since", "_type", "_type", "colour", "end", "start"],
    ),
    ("Patient/$validate?mode=guess&profile=urn:x&colour=red", ["colour", "mode", "profile", "resource"]),
    ("Patient/$validate?mode=create&mode=update&profile=urn:x", ["mode", "profile", "resource"]),
    (
        "$export?_outputFormat=csv&_since=soon&_deidentify=perhaps&_type=,&_elements=,&_typeFilter=x,Patient?active="
        "&patient=x&colour=red&_since=now&_typeFilter=",
        [
            *("_deidentify", "_elements", "_outputFormat", "_since", "_since", "_type"),
            *("_typeFilter", "_typeFilter", "_typeFilter", "colour", "patient", "patient"),
        ],
    ),
]


@pytest.mark.parametrize(("path", "places"), QUERIES, ids=[path.partition("?")[0] for path, _ in QUERIES])
async def test_every_wrong_parameter_of_a_query_is_named_at_once(api: Api, path: str, places: list[str]) -> None:
    await made(api, person("p"))
    answer = await get(api, path)
    assert answer.status_code == 400, answer.text
    assert sorted(issue["location"][0].removeprefix("http.") for issue in answer.json()["issue"]) == places


async def test_every_parameter_of_another_type_is_named_at_once(api: Api) -> None:
    await made(api, person("p"))
    body = parameters(start={"reference": "Patient/p"}, end={"identifier": {"value": "x"}}, _count=1)
    answer = await call(api, "POST", "Patient/p/$everything", body)
    outcome(answer, 400, "value", "value")


@pytest.mark.parametrize(("path", "body", "places"), ALL_WRONG, ids=[path for path, _, _ in ALL_WRONG])
async def test_every_wrong_parameter_is_named_at_once(api: Api, path: str, body: Json, places: list[str]) -> None:
    await made(api, appointment("a"))
    before = (await get(api, "Appointment/a")).json()
    answer = await call(api, "POST", path, body)
    assert answer.status_code == 400, answer.text
    told = [issue.get("expression", issue.get("location", [""]))[0] for issue in answer.json()["issue"]]
    assert sorted(one.removeprefix("http.").removeprefix("Parameters.parameter") for one in told) == sorted(places)
    assert (await get(api, "Appointment/a")).json() == before


@pytest.mark.parametrize(
    "named",
    [
        *("John Doe", "Patient/John Doe", "Patient/", "Patient//p", "Patient/p/name", "Patient/p#name", "#p"),
        *("urn:uuid:1", "Patient?identifier=UG1", f"Patient/{'p' * 65}", "https://other.org/fhir/Patient/p"),
        {"identifier": {"system": "urn:licences", "value": "1"}, "type": "Practitioner"},
    ],
)
async def test_what_names_no_patient_is_not_booked_for_one(api: Api, named: str | Json) -> None:
    for path, given in (("$book", {"appointment_resource": visit()}), ("$find", {"start": START, "end": END})):
        answer = await operate(api, path, patient_reference=named, **given)
        assert "patient-reference takes a reference to Patient/<id>" in outcome(answer, 400, "value")["diagnostics"]
    assert bundled(await get(api, "Appointment"))["total"] == 0


@pytest.mark.parametrize("own", [HOST, HOST.replace("http:", "https:"), "https://fhir.example.org/fhir/R4"])
async def test_a_parameter_names_what_is_ours_by_each_of_our_addresses(
    make_service: ServiceMaker, make_api: ApiMaker, own: str
) -> None:
    configured = own.removesuffix("/fhir/R4") if own.startswith("https://fhir.") else None
    api: Api = await make_api(make_service(base_url=configured))
    await made(api, appointment("a", "pending"))
    answer = await operate(api, "$book", patient=f"{own}/Patient/john", appt_id=f"{own}/Appointment/a")
    assert answer.status_code == 200, answer.text
    assert answer.json()["entry"][0]["resource"]["status"] == "booked"
