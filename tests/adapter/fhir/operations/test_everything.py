"""``Patient/$everything``: the whole record, nothing of others, page by page."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from store.store import Store
from tests.adapter.fhir.door import HOST, bundled, call, get, link, made, names, outcome, person
from tests.adapter.mediloop.clinic import SARAH, appointment, open_clinic, put, schedule, with_actors
from tests.conftest import Api, ApiMaker, Clock
from tests.repeated import repeatable
from tests.store.support import explain

Json = dict[str, Any]
RECORD = [
    *("Patient/john", "Appointment/a1", "Appointment/a2", "Appointment/shared"),
    *("AppointmentResponse/r1", "Schedule/own", "RelatedPerson/mother"),
]
REFERRED = ["Location/fac-xyz-789", "Organization/o", "Practitioner/prov-abc-123", "Slot/slot-002"]


@pytest.fixture(autouse=True)
async def records(store: Store) -> None:
    await _records(store)


@repeatable
async def _records(store: Store) -> None:
    await open_clinic(store)
    john = person("john", "Doe", managingOrganization={"reference": "Organization/o"})
    john["link"] = [{"other": {"reference": "Patient/jane"}, "type": "seealso"}]
    response = {"resourceType": "AppointmentResponse", "participantStatus": "accepted"}
    await put(
        store,
        john,
        person("jane", "Nansubuga"),
        {"resourceType": "Organization", "id": "o", "name": "Clinic"},
        {"resourceType": "Organization", "id": "other", "name": "Other"},
        appointment("a1", slot=[{"reference": "Slot/slot-002"}]),
        appointment("a2", status="cancelled", start="2024-02-20T10:00"),
        appointment("shared", status="proposed", start=None, participant=with_actors("Patient/john", "Patient/jane"))
        | {"requestedPeriod": [{"start": "2024-03-01", "end": "2024-03-02"}]},
        appointment("janes", start="2024-01-22T10:00", participant=with_actors("Patient/jane", "Location/fac-kla-002")),
        appointment("nobodys", start="2024-01-23T10:00", participant=with_actors(f"Practitioner/{SARAH}")),
        response | {"id": "r1", "appointment": {"reference": "Appointment/a1"}, "actor": {"reference": "Patient/john"}},
        response
        | {"id": "r2", "appointment": {"reference": "Appointment/a1"}, "actor": {"reference": f"Practitioner/{SARAH}"}},
        {"resourceType": "RelatedPerson", "id": "mother", "patient": {"reference": "Patient/john"}},
        schedule("own", "Patient/john"),
    )


async def everything(api: Api, path: str) -> Json:
    return bundled(await get(api, path))


async def pages(api: Api, path: str) -> list[Json]:
    found = [await everything(api, path)]
    while (following := link(found[-1], "next")) is not None:
        found.append(await everything(api, following))
    return found


async def test_a_record_is_the_compartment_and_what_it_refers_to(api: Api) -> None:
    found = await everything(api, "Patient/john/$everything")
    assert names(found, "match") == RECORD
    assert sorted(names(found, "include")) == REFERRED
    assert link(found, "self") == f"{HOST}/Patient/john/$everything"
    assert link(found, "next") is None
    assert found["entry"][0]["fullUrl"] == f"{HOST}/Patient/john"
    head = await call(api, "HEAD", "Patient/john/$everything")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
async def test_pages_hold_everything_once_and_can_each_be_read_by_itself(api: Api, count: int) -> None:
    found = await pages(api, f"Patient/john/$everything?_count={count}")
    assert [name for page in found for name in names(page, "match")] == RECORD
    assert {name for page in found for name in names(page, "include")} == set(REFERRED)
    assert all(len(names(page, "match")) <= count for page in found)
    assert len(found) == -(-len(RECORD) // count)
    for page in found:
        if "Appointment/a1" in names(page):
            assert {"Slot/slot-002", f"Practitioner/{SARAH}"} <= set(names(page, "include"))
    assert all("john" not in str(link(page, "next")).partition("?")[2] for page in found)


async def test_the_link_to_itself_of_each_page_leads_to_that_page(api: Api) -> None:
    found = await pages(api, "Patient/john/$everything?_count=2&_type=Appointment,AppointmentResponse&_pretty=true")
    assert len(found) == 2
    for page in found:
        assert await everything(api, link(page, "self") or "") == page


async def test_a_page_of_a_large_record_has_fewer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a search's (tests/store/search)."""
    for most in (800, 300):
        monkeypatch.setattr(import_module("adapter.fhir.operations.everything"), "PAGE_BYTES", most)
        found = await pages(api, "Patient/john/$everything")
        assert [name for page in found for name in names(page, "match")] == RECORD
        assert len(found) > 2
    said = [entry["resource"] for page in found for entry in page["entry"] if entry["search"]["mode"] == "outcome"]
    assert {one["issue"][0]["code"] for one in said} == {"too-costly"}
    assert "Ask for fewer" in said[0]["issue"][0]["diagnostics"]


async def test_all_records(api: Api) -> None:
    for path in ("Patient/$everything", "Patient/$everything?_count=2"):
        found = await pages(api, path)
        assert [name for page in found for name in names(page, "match")] == [
            *("Patient/jane", "Patient/john", "Appointment/a1", "Appointment/a2", "Appointment/janes"),
            *("Appointment/shared", "AppointmentResponse/r1", "Schedule/own", "RelatedPerson/mother"),
        ]
        assert {name for page in found for name in names(page, "include")} == {*REFERRED, "Location/fac-kla-002"}


@pytest.mark.parametrize(
    ("asked", "appointments"),
    [
        ("start=2024-02-01", ["a2", "shared"]),
        ("end=2024-01-20", ["a1"]),
        ("start=2024-01-20&end=2024-01-20", ["a1"]),
        ("start=2024-02-20T13:00:00%2B03:00&end=2024-02-20T13:00:00+03:00", ["a2"]),
        ("start=2024-03-02", ["shared"]),
        ("end=2023", []),
    ],
)
async def test_a_span_of_care(api: Api, asked: str, appointments: list[str]) -> None:
    found = await everything(api, f"Patient/john/$everything?{asked}")
    assert names(found, "match") == [
        name
        for name in RECORD
        if not name.startswith("Appointment/") or name.removeprefix("Appointment/") in appointments
    ]


async def test_of_many_visits_those_of_the_span_of_care_are_read(
    store: Store, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = [
        f"2023-{month:02}-{day:02}T{hour:02}:00" for month in (5, 6) for day in range(1, 31) for hour in (8, 9, 10)
    ]
    await put(store, *(appointment(f"h{at}", "fulfilled", start=start) for at, start in enumerate(hours)))
    asked: list[dict[str, Any]] = []
    real = store.documents

    async def documents(kind: str, query: Any, **options: Any) -> Any:
        if kind == "Appointment":
            asked.append({"query": query, "sort": options["sort"], "limit": options["limit"]})
        return await real(kind, query, **options)

    monkeypatch.setattr(store, "documents", documents)
    found = await everything(api, "Patient/john/$everything?start=2023-06-15&end=2023-06-16")
    assert len([name for name in names(found, "match") if name.startswith("Appointment/h")]) == 6
    read = asked[-1]  # the one before looks for holds that are due
    done = (await explain(store, "Appointment", **read))["executionStats"]
    assert (done["nReturned"], done["totalDocsExamined"]) == (6, 7)  # what is wished for is looked at


async def test_what_has_changed_since(api: Api, clock: Clock) -> None:
    clock.advance(hours=1)
    await made(api, {"resourceType": "Organization", "id": "o", "name": "Renamed"})
    await made(api, appointment("a2", status="cancelled", start="2024-02-20T10:00", comment="changed"))
    found = await everything(api, "Patient/john/$everything?_since=2024-01-15T11:00:00Z")
    assert (names(found, "match"), names(found, "include")) == (["Appointment/a2"], [])
    clock.advance(hours=1)
    await made(api, (await get(api, "Patient/john")).json())
    found = await everything(api, "Patient/john/$everything?_since=2024-01-15T11:00:00Z")
    assert (names(found, "match"), names(found, "include")) == (["Patient/john", "Appointment/a2"], ["Organization/o"])


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ("_type=Appointment", RECORD[1:4]),
        ("_type=Appointment,Patient", RECORD[:4]),
        ("_type=RelatedPerson&_type=Patient", ["Patient/john", "RelatedPerson/mother"]),
        ("_type=Practitioner", [f"Practitioner/{SARAH}"]),
        ("_type=Slot,Schedule", ["Schedule/own", "Slot/slot-002"]),
        ("_type=HealthcareService", []),
    ],
)
async def test_some_types_alone(api: Api, types: str, expected: list[str]) -> None:
    assert names(await everything(api, f"Patient/john/$everything?{types}")) == expected
    found = await pages(api, f"Patient/john/$everything?{types}&_count=1")
    assert sorted({name for page in found for name in names(page)}) == sorted(expected)


async def test_parameters_may_come_in_the_body(api: Api) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "start", "valueDate": "2024-02-01"},
            {"name": "_type", "valueCode": "Appointment"},
            {"name": "_type", "valueCode": "Patient"},
            {"name": "_count", "valueInteger": 2},
        ],
    }
    found = bundled(await call(api, "POST", "Patient/john/$everything", body))
    assert names(found) == ["Patient/john", "Appointment/a2"]
    rest = await everything(api, str(link(found, "next")))
    assert names(rest) == ["Appointment/shared"]


async def test_references_by_an_address_of_ours_count(api: Api, store: Store) -> None:
    secure = HOST.replace("http://", "https://")
    absolute = with_actors(f"{secure}/Patient/john", f"{HOST}/Location/fac-kla-002")
    await put(store, appointment("absolute", status="proposed", participant=absolute))
    for path in ("Patient/john/$everything", "Patient/$everything"):
        found = await everything(api, path)
        assert {"Appointment/absolute", "Location/fac-kla-002"} <= set(names(found))


async def test_only_what_the_key_may_read(api: Api, make_api: ApiMaker) -> None:
    limited: Api = await make_api(api.service, granted=["patients:read", "locations:read"])
    found = await everything(limited, "Patient/john/$everything")
    assert names(found) == ["Patient/john", "RelatedPerson/mother", "Organization/o"]
    other: Api = await make_api(api.service, granted=["appointments:read"])
    outcome(await get(other, "Patient/john/$everything"), 403, "forbidden")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("_count=0", "value"),
        ("_count=x", "value"),
        (f"_count={'0' * 5_000}", "value"),
        ("_count=٣", "value"),
        ("_type=Device", "not-supported"),
        ("_since=soon", "value"),
        ("start=soon", "value"),
        ("start=2024&start=2025", "value"),
        ("status=booked", "not-supported"),
        ("_page=x", "invalid"),
        ("_after_type=Patient", "value"),
        ("_after_type=Device&_after_id=1", "value"),
    ],
)
async def test_what_it_does_not_take(api: Api, asked: str, code: str) -> None:
    outcome(await get(api, f"Patient/john/$everything?{asked}"), 400, code)


@pytest.mark.parametrize("count", [f"{'0' * 5_000}9", "9" * 5_000])
async def test_a_count_is_a_number_however_long(api: Api, count: str) -> None:
    found = await everything(api, f"Patient/john/$everything?_count={count}")
    assert names(found, "match") == RECORD


async def test_what_is_empty_is_not_asked_for(api: Api) -> None:
    found = await everything(api, "Patient/john/$everything?start=&_type=,&_count=&_format=json&_pretty=true")
    assert names(found, "match") == RECORD


@pytest.mark.parametrize(
    "parameter",
    [
        [{"name": "start", "valuePeriod": {"start": "2024"}}],
        [{"valueDate": "2024"}],
        "x",
        [{"name": "start"}],
        ["x"],
    ],
)
async def test_bodies_that_are_no_parameters(api: Api, parameter: Any) -> None:
    body = {"resourceType": "Parameters", "parameter": parameter}
    answer = await call(api, "POST", "Patient/john/$everything", body)
    assert answer.status_code == 400, answer.text


async def test_who_is_not_there(api: Api) -> None:
    outcome(await get(api, "Patient/nobody/$everything"), 404, "not-found")
    await made(api, person("late"))
    await call(api, "DELETE", "Patient/late")
    outcome(await get(api, "Patient/late/$everything"), 410, "deleted")
    outcome(await get(api, "Practitioner/prov-abc-123/$everything"), 404, "not-supported")
    outcome(await get(api, "Patient/john/$everything/more"), 404, "not-found")
