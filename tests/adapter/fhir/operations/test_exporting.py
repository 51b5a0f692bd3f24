"""``$export``: what is refused, what is passed over, and what the files then hold."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import pytest

from adapter.service import Service
from tests.adapter.export.exports import clinic, content, exported, names, put, worked
from tests.conftest import Api, ApiMaker, ServiceMaker


@pytest.fixture
def service(make_service: ServiceMaker, tmp_path: Path) -> Service:
    return make_service(data_dir=tmp_path, export_file_resources=3, export_jobs=2)


async def test_an_empty_store(api: Api) -> None:
    manifest = await exported(api)
    assert (manifest["output"], manifest["deleted"], manifest["error"]) == ([], [], [])


async def test_patients_and_what_is_theirs(api: Api) -> None:
    await clinic(api)
    manifest = await exported(api, "Patient/$export")
    own = ["Patient/a", "Patient/b", "Patient/c", "Appointment/of-a", "Appointment/of-b", "Schedule/of-a"]
    assert sorted(await names(api, manifest)) == sorted(own)
    for kinds in ("Slot", ",", "%20"):
        refused = await api.get(f"/fhir/R4/Patient/$export?_type={kinds}")
        assert refused.status_code == 400


async def test_filters(api: Api) -> None:
    await clinic(api)
    either = "_typeFilter=Patient%3F_id%3Da, Patient%3Factive%3Dfalse&_type=Patient,Practitioner"
    manifest = await exported(api, f"$export?{either}")
    assert sorted(await names(api, manifest)) == ["Patient/a", "Patient/c", "Practitioner/doctor"]
    chained = "_type=Appointment&_typeFilter=Appointment%3Fpatient.active%3Dtrue%26status%3Dproposed,booked"
    assert sorted(await names(api, await exported(api, f"$export?{chained}"))) == [
        "Appointment/of-a",
        "Appointment/of-b",
    ]
    nothing = "_type=Appointment, Patient&_typeFilter=Appointment%3Fpatient.identifier%3Dnobody&_elements=id"
    assert {one["resourceType"] for one in await content(api, await exported(api, f"$export?{nothing}"))} == {"Patient"}
    within = "_type=Appointment&_typeFilter=Appointment%3Factor%3DPractitioner/doctor"
    assert await names(api, await exported(api, f"Patient/$export?{within}")) == []


@pytest.mark.parametrize(
    "filters", ["Appointment%3Fno%3D1", "Appointment%3Fno%3D1,Appointment%3Fstatus%3Dbooked"], ids=["one", "of two"]
)
@pytest.mark.parametrize("path", ["$export", "Patient/$export"])
async def test_a_filter_that_all_match_leaves_nothing_out(api: Api, path: str, filters: str) -> None:
    await clinic(api)
    whole = await names(api, await exported(api, f"{path}?_type=Appointment"))
    filtered = await exported(api, f"{path}?_type=Appointment&_typeFilter={filters}", **LENIENT)
    assert await names(api, filtered) == whole
    assert whole


async def test_elements(api: Api) -> None:
    await clinic(api)
    [one, *_] = await content(api, await exported(api, "$export?_type=Appointment&_elements=id"))
    assert one.keys() == {"resourceType", "id", "meta", "status", "participant"}
    assert one["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_nobody_is_told(make_service: ServiceMaker, make_api: ApiMaker, tmp_path: Path) -> None:
    service = make_service(data_dir=tmp_path, deidentify_key="a key of some length")
    await service.prepare()
    api: Api = await make_api(service)
    await clinic(api)
    await put(api, "Patient", "named", name=[{"text": "Akello"}])
    first = await exported(api, "$export?_deidentify=true&_type=Patient,Appointment")
    told = {one["id"]: one for one in await content(api, first)}
    assert len(told) == 7
    assert not told.keys() & {"a", "b", "c", "of-a", "of-b", "named"}
    assert "Akello" not in str(told)
    await api.delete("/fhir/R4/Patient/named")
    since = f"_since={first['transactionTime']}&_type=Patient"
    [bundle] = await content(api, await exported(api, f"$export?_deidentify=true&{since}"), "deleted")
    assert bundle["entry"][0]["request"]["url"].removeprefix("Patient/") in told
    assert (await api.get("/fhir/R4/$export?_deidentify=perhaps")).status_code == 400
    assert len(await names(api, await exported(api, "$export?_deidentify=false&_type=Patient"))) == 3


async def test_what_is_not_known_is_refused_or_passed_over(api: Api) -> None:
    await put(api, "Patient", "a")
    path = "$export?_type=Patient,Basic&includeAssociatedData=LatestProvenanceResources"
    refused = await api.get(f"/fhir/R4/{path}")
    assert refused.status_code == 400
    assert refused.json()["issue"][0]["code"] == "not-supported"
    assert (await api.get("/fhir/R4/$export?_type=Basic")).status_code == 400
    manifest = await exported(api, path, headers={"Prefer": "respond-async, handling=lenient"})
    assert await names(api, manifest) == ["Patient/a"]
    notes = await content(api, manifest, "error")
    assert [one["resourceType"] for one in notes] == ["OperationOutcome"] * 2
    assert [one["type"] for one in manifest["error"]] == ["OperationOutcome"]


LENIENT = {"headers": {"Prefer": "respond-async, handling=lenient"}}


@pytest.mark.parametrize(
    ("query", "told", "found"),
    [
        ("_type=Patient&_typeFilter=Basic%3Fcode%3Dx", "There is no Basic in this server", "abc"),
        ("_type=Patient&_typeFilter=Slot%3Fstatus%3Dfree", "for a type that is not exported", "abc"),
        ("_type=Patient&_typeFilter=Patient%3Factive%3Dfalse%26nonsense%3D1", "nonsense", "c"),
        ("_type=Patient&_typeFilter=Patient%3Fnonsense%3D1", "nonsense", "abc"),
        ("_type=Patient&_typeFilter=Patient%3F_id%3Da%26_sort%3Dname", "_sort has no place in a _typeFilter", "a"),
        ("_type=Patient&_typeFilter=Patient%3F_include%3DPatient:link", "_include has no place", "abc"),
    ],
)
async def test_what_a_filter_says_and_is_not_known_is_refused_or_passed_over(
    api: Api, query: str, told: str, found: str
) -> None:
    await clinic(api)
    refused = await api.get(f"/fhir/R4/$export?{query}")
    assert (refused.status_code, told in refused.text) == (400, True)
    assert ("Name it in _type" in refused.text) is ("Slot" in query)
    manifest = await exported(api, f"$export?{query}", **LENIENT)
    assert await names(api, manifest) == [f"Patient/{one}" for one in found]
    [note] = await content(api, manifest, "error")
    assert note["resourceType"] == "OperationOutcome"
    assert note["issue"][0]["severity"] == "warning"
    assert told in note["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("query", "told", "kept"),
    [
        ("_type=Patient&_elements=Pateint.gender", "There is no element 'Pateint.gender' in Patient", None),
        ("_type=Patient&_elements=Patient.gendr,id", "There is no element 'Patient.gendr' in Patient", set()),
        ("_type=Patient&_elements=gendr,gender", "There is no element 'gendr' in Patient", {"gender"}),
        ("_type=Patient&_elements=gender,Slot.start", "There is no Slot in this export", {"gender"}),
    ],
)
async def test_an_element_that_is_not_known_is_refused_or_passed_over(
    api: Api, query: str, told: str, kept: set[str] | None
) -> None:
    await put(api, "Patient", "a", birthDate="1990-05-17", gender="female")
    for options in ({}, {"headers": {"Prefer": "respond-async, handling=strict"}}):
        refused = await api.get(f"/fhir/R4/$export?{query}", **options)
        assert refused.status_code == 400
        assert (told in refused.text, refused.json()["issue"][0]["location"]) == (True, ["http._elements"])
        assert "left out" not in refused.text  # nothing was exported
    manifest = await exported(api, f"$export?{query}", **LENIENT)
    [one] = await content(api, manifest)
    assert one.keys() == {"resourceType", "id", "meta"} | ({"birthDate", "gender"} if kept is None else kept)
    assert ("tag" in one["meta"]) is (kept is not None)
    [note] = await content(api, manifest, "error")
    assert (note["issue"][0]["severity"], told in note["issue"][0]["diagnostics"]) == ("warning", True)


async def test_elements_are_those_of_the_types_that_are_exported(api: Api) -> None:
    await put(api, "Patient", "a", active=True)
    assert len(await content(api, await exported(api, "$export?_elements=active,Slot.start"))) == 1
    manifest = await exported(api, "$export?_type=Basic&_elements=active", **LENIENT)
    assert (manifest["output"], len(await content(api, manifest, "error"))) == ([], 1)


async def test_a_filter_for_what_is_in_no_compartment_says_so(api: Api) -> None:
    refused = await api.get("/fhir/R4/Patient/$export?_typeFilter=Slot%3Fstatus%3Dfree")
    assert (refused.status_code, "There is no Slot in the compartment of a Patient" in refused.text) == (400, True)


@pytest.mark.parametrize("query", ["Patient%3Fbirthdate%3Dyesterday", "Patient%3Factive:nonsense%3Dtrue", "active%3Dx"])
async def test_what_cannot_be_read_is_refused_even_so(api: Api, query: str) -> None:
    answer = await api.get(f"/fhir/R4/$export?_type=Patient&_typeFilter={query}", **LENIENT)
    assert answer.status_code == 400


async def test_a_filter_that_is_passed_over_widens_nothing_beyond_the_permissions(api: Api, make_api: ApiMaker) -> None:
    await clinic(api)
    some: Api = await make_api(api.service, granted=["export:read", "patients:read"])
    for query in ("_typeFilter=Slot%3Fnonsense%3D1", "_type=Basic&_typeFilter=Patient%3Fnonsense%3D1"):
        manifest = await exported(some, f"$export?{query}", **LENIENT)
        assert {file["type"] for file in manifest["output"]} == ({"Patient"} if "Slot" in query else set())
    asked = "_type=Patient&_typeFilter=Patient%3F_has:Appointment:patient:status%3Dbooked"
    assert (await some.get(f"/fhir/R4/$export?{asked}", **LENIENT)).status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "_outputFormat=text/csv",
        "_since=yesterday",
        "_since=2024-13-01",
        "_since=2024-01",
        "_typeFilter=status%3Dbooked",
        "_typeFilter=Patient%3F_sort%3Dname&_type=Patient",
        "_typeFilter=Patient%3F_include%3DPatient:link&_type=Patient",
        "_typeFilter=Patient%3Fnonsense%3D1&_type=Patient",
        "_typeFilter=Slot%3Fstatus%3Dfree&_type=Patient",
        "patient=Patient/a",
    ],
)
async def test_bad_parameters(api: Api, query: str) -> None:
    answer = await api.get(f"/fhir/R4/$export?{query}")
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("path", ["Patient/a/$export", "Group/$export", "Slot/$export", "$validate"])
async def test_there_is_no_such_operation(api: Api, path: str) -> None:
    assert (await api.get(f"/fhir/R4/{path}")).status_code == 404


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ("0001-01-01T00:00:00%2B03:00", ["Patient/a"]),
        ("0001-01-01", ["Patient/a"]),
        ("9999-12-31T23:59:59-12:00", []),
        ("9999-12-31T23:59:59Z", []),
    ],
)
async def test_since_may_be_beyond_the_calendar(
    make_service: ServiceMaker, make_api: ApiMaker, tmp_path: Path, since: str, found: list[str]
) -> None:
    api: Api = await make_api(make_service(data_dir=tmp_path, timezone="Africa/Kampala"))
    await put(api, "Patient", "a")
    assert await names(api, await exported(api, f"$export?_type=Patient&_since={since}")) == found


async def test_since_is_an_instant_or_a_day(api: Api) -> None:
    await put(api, "Patient", "a")
    for since in ("2024-01-15T12:00:00+03:00", "2024-01-15", "2024-01-15T10:00:00.000Z", "2016-12-31T23:59:60Z"):
        assert await names(api, await exported(api, f"$export?_type=Patient&_since={since}")) == ["Patient/a"]


@pytest.mark.parametrize("path", ["$export", "Patient/$export"])
async def test_one_that_is_to_be_begun_once_is_refused_and_not_begun_twice(api: Api, path: str) -> None:
    key = {"headers": {"X-Idempotency-Key": "tonight"}}
    for _ in range(3):  # there is room for two
        refused = await api.post(f"/fhir/R4/{path}", None, **key)
        assert refused.status_code == 400
        [issue] = refused.json()["issue"]
        assert (issue["code"], issue["location"]) == ("not-supported", ["http.X-Idempotency-Key"])
    assert (await api.get(f"/fhir/R4/{path}", **key)).status_code == 202


async def test_so_many_jobs_and_no_more(api: Api) -> None:
    begun = await asyncio.gather(*(api.get("/fhir/R4/$export") for _ in range(6)))
    assert sorted(one.status_code for one in begun) == [202, 202, 429, 429, 429, 429]
    refused = next(one for one in begun if one.status_code == 429)
    assert int(refused.headers["retry-after"]) > 0
    await worked(api.service)
    another = await api.get("/fhir/R4/$export")
    assert another.status_code == 202
    assert (await api.get("/fhir/R4/$export")).status_code == 429
    await api.delete(another.headers["content-location"])
    assert (await api.get("/fhir/R4/$export")).status_code == 202


@pytest.mark.parametrize(
    "query",
    [
        "_since=2024-01-01T00:00:00Z&_since=2025-01-01T00:00:00Z",
        "_outputFormat=ndjson&_outputFormat=text/csv",
        "_deidentify=false&_deidentify=true",
    ],
)
async def test_what_says_one_thing_is_given_once(api: Api, query: str) -> None:
    answer = await api.get(f"/fhir/R4/$export?{query}")
    name = query.partition("=")[0]
    issue = answer.json()["issue"][0]
    assert (answer.status_code, issue["location"], issue["diagnostics"]) == (
        400,
        [f"http.{name}"],
        f"Give {name} once: it says one thing.",
    )


@pytest.mark.parametrize("name", ["_outputFormat", "_since", "_type", "_typeFilter", "_elements", "_deidentify"])
async def test_what_is_left_empty_does_not_widen_the_export(api: Api, name: str) -> None:
    for options in ({}, LENIENT):
        answer = await api.get(f"/fhir/R4/$export?{name}=", **options)
        issue = answer.json()["issue"][0]
        told = f"{name} is empty: give a value, or leave it out."
        assert (answer.status_code, issue["location"], issue["diagnostics"]) == (400, [f"http.{name}"], told)


@pytest.mark.parametrize(
    "query",
    [
        "Appointment?patient=",
        "Appointment?status=,",
        "Appointment?date=",
        "Patient?_id=",
        "Patient?active=true&identifier=",
        "Appointment?patient=,Patient?active=true",
        "Appointment?patient.identifier=",
        "Appointment?nonsense=",
    ],
)
async def test_what_is_left_empty_in_a_filter_does_not_widen_the_export(api: Api, query: str) -> None:
    asked = urlencode({"_type": "Appointment,Patient", "_typeFilter": query})
    for options in ({}, LENIENT):
        answer = await api.get(f"/fhir/R4/$export?{asked}", **options)
        [issue] = answer.json()["issue"]
        assert (answer.status_code, issue["location"]) == (400, ["http._typeFilter"])
        assert "is empty in a _typeFilter: give a value, or leave it out." in issue["diagnostics"]


@pytest.mark.parametrize("plus", ["+", "%2B", "%252B"])
@pytest.mark.parametrize(
    "moment", ["start=2024-02-01T13:00:00", "schedule:Schedule._lastUpdated=le2024-01-15T13:00:00.000"]
)
async def test_the_plus_of_an_offset_in_a_filter_is_read_as_what_it_was(api: Api, plus: str, moment: str) -> None:
    await clinic(api)
    for others in ("", ",Slot?status=entered-in-error"):
        query = f"_type=Slot&_typeFilter=Slot?{moment}{plus}03:00{others}"
        assert await names(api, await exported(api, f"$export?{query}")) == ["Slot/s"]


@pytest.mark.parametrize("query", ["Patient?telecom=+256700000001", "Patient?name=Anna+Maria", "Patient?na+me=x"])
async def test_a_plus_in_a_filter_that_may_be_a_blank_is_refused(api: Api, query: str) -> None:
    for options in ({}, LENIENT):
        answer = await api.get(f"/fhir/R4/$export?{urlencode({'_typeFilter': query})}", **options)
        [issue] = answer.json()["issue"]
        assert (answer.status_code, issue["location"]) == (400, ["http._typeFilter"])
        assert "Write %2B for a plus, %20 for a blank." in issue["diagnostics"]
    clear = urlencode({"_typeFilter": query.replace("+", "%2B", 1).replace("na%2Bme", "name"), "_type": "Patient"})
    assert (await api.get(f"/fhir/R4/$export?{clear}")).status_code == 202


async def test_a_filter_that_is_not_utf_8_is_refused(api: Api) -> None:
    answer = await api.get(f"/fhir/R4/$export?{urlencode({'_typeFilter': 'Patient?family=M%FCller'})}", **LENIENT)
    [issue] = answer.json()["issue"]
    told = "A _typeFilter cannot be read. Write it as UTF-8, percent-encoded: name=value."
    assert (answer.status_code, issue["diagnostics"]) == (400, told)


@pytest.mark.parametrize("name", ["_type", "_elements"])
async def test_a_list_names_something(api: Api, name: str) -> None:
    answer = await api.get(f"/fhir/R4/$export?{name}=,")
    assert (answer.status_code, "Name one." in answer.text) == (400, True)


async def test_what_is_empty_and_not_known_is_passed_by(api: Api) -> None:
    assert (await api.get("/fhir/R4/$export?_format=&nonsense=")).status_code == 202


@pytest.mark.parametrize("query", ["Patient?_format=json", "Patient?_pretty=true", "Patient?active=true&_pretty="])
async def test_the_form_of_an_answer_filters_nobody(api: Api, query: str) -> None:
    filtered = urlencode({"_type": "Patient", "_typeFilter": query})
    refused = await api.get(f"/fhir/R4/$export?{filtered}")
    assert (refused.status_code, "has no place in a _typeFilter" in refused.text) == (400, True)
    assert (await api.get(f"/fhir/R4/$export?{filtered}", **LENIENT)).status_code == 202
