"""``$export`` from the kick-off to the files, in one process: what is refused, what is kept, what each job holds."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bson
import orjson
import pytest
from structlog.testing import capture_logs

from adapter.export import running, working
from adapter.export.files import Files
from adapter.export.processes import Workers
from adapter.export.worker import URI_VARIABLE, work
from adapter.fhir.operations import exporting_patients
from adapter.service import Service
from store.errors import Unreachable
from store.export_jobs import EXPORTS, ExportJobs, File, Job
from store.exporting import take_cut
from tests.conftest import URI, Api, ApiMaker, Clock, ServiceMaker

BASE = "http://adapter.test/fhir/R4"


@pytest.fixture
def service(make_service: ServiceMaker, tmp_path: Path) -> Service:
    return make_service(data_dir=tmp_path, export_file_resources=3, export_jobs=2)


@pytest.fixture
async def api(service: Service, make_api: ApiMaker) -> Api:
    made: Api = await make_api(service)
    return made


def jobs_of(service: Service, **options: Any) -> ExportJobs:
    return ExportJobs(service.stores["test"].database, **options)


async def put(api: Api, kind: str, ident: str, **members: Any) -> None:
    answer = await api.put(f"/fhir/R4/{kind}/{ident}", {"resourceType": kind, "id": ident, **members})
    assert answer.status_code in (200, 201), answer.text


async def worked(service: Service) -> int:
    """Take a job and carry it out here, as its process would."""
    worker = secrets.token_hex(4)
    job = await jobs_of(service).take(worker)
    assert job is not None
    return await work(service.settings, service.stores["test"], "test", job.ident, worker, service.now)


async def exported(api: Api, path: str = "$export", body: Any = None, **options: Any) -> dict[str, Any]:
    """Export and return the manifest."""
    url = f"/fhir/R4/{path}"
    begun = await (api.get(url, **options) if body is None else api.post(url, body, **options))
    assert begun.status_code == 202, begun.text
    await worked(api.service)
    answer = await api.get(begun.headers["content-location"])
    assert answer.status_code == 200, answer.text
    manifest: dict[str, Any] = answer.json()
    return manifest


async def content(api: Api, manifest: dict[str, Any], role: str = "output") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in manifest[role]:
        answer = await api.get(file["url"])
        lines = [orjson.loads(line) for line in answer.content.splitlines()]
        assert len(lines) == file["count"]
        found += lines
    return found


async def names(api: Api, manifest: dict[str, Any]) -> list[str]:
    return [f"{one['resourceType']}/{one['id']}" for one in await content(api, manifest)]


def parameters(*given: tuple[str, str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": name, kind: value} for name, kind, value in given]}


async def clinic(api: Api) -> None:
    """Three patients; two have an appointment that somebody asked for, one of them a schedule of his own."""
    ones: list[dict[str, Any]] = [_one("Patient", ident, active=ident != "c") for ident in ("a", "b", "c")]
    ones.append(_one("Practitioner", "doctor", active=True))
    for ident, actor in (("of-a", "Patient/a"), ("of-b", "Patient/b"), ("of-nobody", "Practitioner/doctor")):
        who = [{"actor": {"reference": actor}, "status": "needs-action"}]
        ones.append(_one("Appointment", ident, status="proposed", participant=who))
    for ident, actor in (("of-a", "Patient/a"), ("of-doctor", "Practitioner/doctor")):
        ones.append(_one("Schedule", ident, actor=[{"reference": actor}]))
    times = {"start": "2024-02-01T10:00:00Z", "end": "2024-02-01T10:30:00Z"}
    ones.append(_one("Slot", "s", schedule={"reference": "Schedule/of-doctor"}, status="free", **times))
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}} for one in ones
    ]
    answer = await api.post("/fhir/R4", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200, answer.text


def _one(kind: str, ident: str, **members: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": ident, **members}


async def test_files_hold_so_many_at_most(api: Api) -> None:
    for number in range(7):
        await put(api, "Patient", f"p{number}")
    manifest = await exported(api, "$export?_type=Patient")
    assert [file["count"] for file in manifest["output"]] == [3, 3, 1]
    assert await names(api, manifest) == [f"Patient/p{number}" for number in range(7)]
    assert manifest["request"] == f"{BASE}/$export?_type=Patient"


async def test_an_empty_store(api: Api) -> None:
    manifest = await exported(api)
    assert (manifest["output"], manifest["deleted"], manifest["error"]) == ([], [], [])


async def test_patients_and_what_is_theirs(api: Api) -> None:
    await clinic(api)
    manifest = await exported(api, "Patient/$export")
    own = ["Patient/a", "Patient/b", "Patient/c", "Appointment/of-a", "Appointment/of-b", "Schedule/of-a"]
    assert sorted(await names(api, manifest)) == sorted(own)
    refused = await api.get("/fhir/R4/Patient/$export?_type=Slot")
    assert refused.status_code == 400


async def test_a_group(api: Api) -> None:
    await clinic(api)
    members = [{"entity": {"reference": "Patient/a"}}, {"entity": {"reference": f"{BASE}/Patient/b"}, "inactive": True}]
    await put(api, "Group", "g", type="person", actual=True, member=members)
    manifest = await exported(api, "Group/g/$export?_type=Patient,Appointment,Schedule")
    assert sorted(await names(api, manifest)) == ["Appointment/of-a", "Patient/a", "Schedule/of-a"]
    assert (await api.get("/fhir/R4/Group/none/$export")).status_code == 404
    stranger = parameters(("patient", "valueReference", {"reference": "Patient/c"}))
    refused = await api.post("/fhir/R4/Group/g/$export", stranger)
    assert (refused.status_code, "Patient/c is no member" in refused.text) == (400, True)


async def test_named_patients(api: Api) -> None:
    await clinic(api)
    body = parameters(
        ("patient", "valueReference", {"reference": "Patient/b"}),
        ("patient", "valueReference", {"reference": f"{BASE}/Patient/c"}),
        ("_type", "valueString", "Patient"),
        ("_type", "valueString", "Appointment"),
        ("_outputFormat", "valueString", "ndjson"),
    )
    manifest = await exported(api, "Patient/$export", body)
    assert sorted(await names(api, manifest)) == ["Appointment/of-b", "Patient/b", "Patient/c"]


async def test_filters(api: Api) -> None:
    await clinic(api)
    either = "_typeFilter=Patient%3F_id%3Da,Patient%3Factive%3Dfalse&_type=Patient,Practitioner"
    manifest = await exported(api, f"$export?{either}")
    assert sorted(await names(api, manifest)) == ["Patient/a", "Patient/c", "Practitioner/doctor"]
    chained = "_type=Appointment&_typeFilter=Appointment%3Fpatient.active%3Dtrue%26status%3Dproposed,booked"
    assert sorted(await names(api, await exported(api, f"$export?{chained}"))) == [
        "Appointment/of-a",
        "Appointment/of-b",
    ]
    nothing = "_type=Appointment,Patient&_typeFilter=Appointment%3Fpatient.identifier%3Dnobody&_elements=id"
    assert {one["resourceType"] for one in await content(api, await exported(api, f"$export?{nothing}"))} == {"Patient"}
    within = "_type=Appointment&_typeFilter=Appointment%3Factor%3DPractitioner/doctor"
    assert await names(api, await exported(api, f"Patient/$export?{within}")) == []


async def test_patients_who_are_not_known_are_refused_by_name(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for ident in ("there", "was-there"):
        await put(api, "Patient", ident)
    first = (await exported(api, "$export?_type=Patient"))["transactionTime"]
    await api.delete("/fhir/R4/Patient/was-there")

    def asked(*idents: str, **more: str) -> dict[str, Any]:
        named = [("patient", "valueReference", {"reference": f"Patient/{ident}"}) for ident in idents]
        return parameters(
            ("_type", "valueString", "Patient"), *named, *((n, "valueInstant", v) for n, v in more.items())
        )

    for unknown in ("nope", "was-there"):
        refused = await api.post("/fhir/R4/Patient/$export", asked("there", unknown))
        assert refused.status_code == 400
        [issue] = refused.json()["issue"]
        assert (issue["code"], f"Patient/{unknown} is not known" in issue["diagnostics"]) == ("not-found", True)
    told = await content(api, await exported(api, "Patient/$export", asked("was-there", _since=first)), "deleted")
    assert [entry["request"]["url"] for one in told for entry in one["entry"]] == ["Patient/was-there"]
    assert (await api.post("/fhir/R4/Patient/$export", asked("nope", _since=first))).status_code == 400
    monkeypatch.setattr(exporting_patients, "_MOST", 1)
    assert (await api.post("/fhir/R4/Patient/$export", asked("there", "was-there"))).status_code == 400


@pytest.mark.parametrize(
    "filters", ["Appointment%3Fdate%3D", "Appointment%3Fstatus%3D,Appointment%3Fstatus%3Dbooked"], ids=["one", "of two"]
)
@pytest.mark.parametrize("path", ["$export", "Patient/$export"])
async def test_a_filter_that_all_match_leaves_nothing_out(api: Api, path: str, filters: str) -> None:
    await clinic(api)
    whole = await names(api, await exported(api, f"{path}?_type=Appointment"))
    assert await names(api, await exported(api, f"{path}?_type=Appointment&_typeFilter={filters}")) == whole
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


async def test_without_a_key_nobody_is_made_a_pseudonym(api: Api) -> None:
    assert (await api.get("/fhir/R4/$export?_deidentify=true")).status_code == 400
    await api.get("/fhir/R4/$export?_type=Patient")
    job = await jobs_of(api.service).take("w")
    assert job is not None
    await (
        api.service.stores["test"]
        .database[EXPORTS]
        .update_one({"_id": job.ident}, {"$set": {"plan": bson.encode({**job.plan, "deidentified": True})}})
    )
    with pytest.raises(LookupError):
        await work(api.service.settings, api.service.stores["test"], "test", job.ident, "w", api.service.now)


async def test_deletions_within_a_compartment(api: Api) -> None:
    await clinic(api)
    first = await exported(api, "Patient/$export?_type=Appointment")
    for ident in ("of-a", "of-nobody"):
        assert (await api.delete(f"/fhir/R4/Appointment/{ident}")).status_code == 204
    path = f"$export?_type=Appointment&_since={first['transactionTime']}"
    [bundle] = await content(api, await exported(api, f"Patient/{path}"), "deleted")
    assert [entry["request"]["url"] for entry in bundle["entry"]] == ["Appointment/of-a"]
    [bundle] = await content(api, await exported(api, path), "deleted")
    assert len(bundle["entry"]) == 2


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


@pytest.mark.parametrize(
    "query",
    [
        "_outputFormat=text/csv",
        "_since=yesterday",
        "_since=2024-13-01",
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


async def test_a_reference_to_no_patient(api: Api) -> None:
    body = parameters(("patient", "valueReference", {"reference": "Practitioner/doctor"}))
    assert (await api.post("/fhir/R4/Patient/$export", body)).status_code == 400
    assert (
        await api.post("/fhir/R4/Patient/$export", {"resourceType": "Parameters", "parameter": 3})
    ).status_code == 400


@pytest.mark.parametrize("path", ["Patient/a/$export", "Group/$export", "Slot/$export", "$validate"])
async def test_there_is_no_such_operation(api: Api, path: str) -> None:
    assert (await api.get(f"/fhir/R4/{path}")).status_code == 404


async def test_since_may_have_an_offset(api: Api) -> None:
    await put(api, "Patient", "a")
    for since in ("2024-01-15T12:00:00+03:00", "2024-01-15", "2024-01-15T10:00:00.000Z"):
        assert await names(api, await exported(api, f"$export?_type=Patient&_since={since}")) == ["Patient/a"]


async def test_permissions(api: Api, make_api: ApiMaker) -> None:
    service = api.service
    nobody: Api = await make_api(service, granted=["patients:read"])
    assert (await nobody.get("/fhir/R4/$export")).status_code == 403
    some: Api = await make_api(service, granted=["export:read", "patients:read"])
    assert (await some.get("/fhir/R4/$export?_type=Slot")).status_code == 403
    useless: Api = await make_api(service, granted=["export:read"])
    assert (await useless.get("/fhir/R4/$export")).status_code == 403
    await clinic(api)
    location = (await some.get("/fhir/R4/$export")).headers["content-location"]
    await worked(service)
    manifest = (await some.get(location)).json()
    assert {file["type"] for file in manifest["output"]} == {"Patient"}  # what it may read
    url = manifest["output"][0]["url"]
    for who, status in ((some, 200), (api, 200), (useless, 404), (nobody, 403)):
        assert [(await who.get(one)).status_code for one in (location, url)] == [status, status]
    assert (await useless.delete(location)).status_code == 404


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
    assert (answer.status_code, issue["expression"], issue["diagnostics"]) == (
        400,
        [name],
        f"Give {name} once: it says one thing.",
    )


async def test_progress(api: Api) -> None:
    await put(api, "Patient", "a")
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    waiting = await api.get(location)
    assert (waiting.status_code, waiting.headers["x-progress"]) == (202, "waiting for a worker")
    job = await jobs_of(api.service).take("w")
    assert job is not None
    assert (await api.get(location)).headers["x-progress"] == "Patient: 0 resources so far"
    assert await jobs_of(api.service).prolong(job.ident, "w", 1_000, 2_000)
    assert (await api.get(location)).headers["x-progress"] == "1,000 of about 2,000 resources"
    assert (await api.get(location, headers={"Accept": "application/json"})).headers["retry-after"] == "1"


async def test_an_export_expires(api: Api, clock: Clock, tmp_path: Path) -> None:
    await put(api, "Patient", "a")
    begun = await api.get("/fhir/R4/$export?_type=Patient")
    await worked(api.service)
    location = begun.headers["content-location"]
    manifest = await api.get(location)
    assert manifest.headers["expires"] == "Tue, 16 Jan 2024 10:00:00 GMT"
    folder = tmp_path / "exports" / "test" / location.rpartition("/")[2]
    assert folder.is_dir()
    await running.remove_expired(api.service)
    clock.advance(hours=24)
    for url in (location, manifest.json()["output"][0]["url"]):
        assert (await api.get(url)).status_code == 404
    await running.remove_expired(api.service)
    assert not folder.exists()
    assert await jobs_of(api.service).read(location.rpartition("/")[2]) is None


async def test_files_that_cannot_be_removed_are_tried_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await put(api, "Patient", "a")
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    await worked(api.service)
    folder = tmp_path / "exports" / "test" / location.rpartition("/")[2]
    [url] = [one["url"] for one in (await api.get(location)).json()["output"]]

    async def immutable(self: Files, job: str) -> None:
        raise PermissionError(1, "Operation not permitted", f"{job}/Patient.00001.ndjson")

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Files, "remove", immutable)
        answer = await api.delete(location)
        assert answer.status_code == 202
        assert "could not be removed yet" in answer.json()["issue"][0]["diagnostics"]
        await running.remove_expired(api.service)
    assert [one["log_level"] for one in logs if one["event"] == "export_files_left"] == ["warning"] * 2
    assert folder.is_dir()
    for address in (location, url):
        assert (await api.get(address)).status_code == 404
    assert (await api.delete(location)).status_code == 404
    await running.remove_expired(api.service)
    assert not folder.exists()
    assert await jobs_of(api.service).read(location.rpartition("/")[2]) is None


async def test_a_deleted_job_is_nobodys_to_take_or_to_end(api: Api) -> None:
    jobs = jobs_of(api.service)
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    job = await jobs.take("w")
    assert job is not None
    await jobs.discard(job.ident, api.service.now())
    assert not await jobs.finish(job.ident, "w", api.service.now())
    assert not await jobs.prolong(job.ident, "w", 1, 1)
    await jobs.release(job.ident, "w")
    assert await jobs.take("x") is None
    assert (await api.get(location)).status_code == 404
    for _ in range(2):  # its place is free
        assert (await api.get("/fhir/R4/$export?_type=Patient")).status_code == 202


async def test_files_are_their_owners_alone(api: Api, tmp_path: Path) -> None:
    await put(api, "Patient", "a")
    before = os.umask(0o022)
    try:
        await exported(api, "$export?_type=Patient")
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "exports", *(tmp_path / "exports").rglob("*"))}
    assert len(modes) == 4
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())


async def test_files_that_are_not_there(api: Api) -> None:
    await put(api, "Patient", "a")
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    await worked(api.service)
    assert (await api.get(f"{location}/../../secret")).status_code == 404
    assert (await api.get(f"{location}/Slot.00001.ndjson")).status_code == 404
    answer = await api.send("HEAD", f"{location}/Patient.00001.ndjson")
    assert answer.headers["content-type"] == "application/fhir+ndjson"
    assert int(answer.headers["content-length"]) > 0
    assert answer.content == b""
    await Files(api.service.settings, "test").remove(location.rpartition("/")[2])
    assert (await api.get(f"{location}/Patient.00001.ndjson")).status_code == 404


async def test_files_in_an_object_store(make_service: ServiceMaker, make_api: ApiMaker) -> None:
    service = make_service(export_url="memory://bucket/folder")
    await service.prepare()
    api: Api = await make_api(service)
    await put(api, "Patient", "a")
    assert await names(api, await exported(api, "$export?_type=Patient")) == ["Patient/a"]


# Leases, and workers that end too early.


async def test_a_job_is_held_by_one_until_its_lease_ends(api: Api) -> None:
    await api.get("/fhir/R4/$export?_type=Patient")
    jobs = jobs_of(api.service, lease=0.3)
    taken = await asyncio.gather(*(jobs.take(f"w{number}") for number in range(5)))
    [job] = [one for one in taken if one is not None]
    holder = f"w{taken.index(job)}"
    assert await jobs.take("other") is None
    assert await jobs.prolong(job.ident, holder, 0, 0)
    await asyncio.sleep(0.35)
    again = await jobs.take("other")
    assert again is not None
    assert again.attempts == 2
    assert not await jobs.prolong(job.ident, holder, 0, 0)
    assert not await jobs.add(job.ident, holder, [File("output", "Patient", "x", 1, 1)], 1, "", 1)
    assert not await jobs.finish(job.ident, holder, api.service.now())
    await jobs.release(job.ident, "other")
    assert await jobs.take("third") is not None


async def interrupted(api: Api, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work until so many files are finished, then end as if MongoDB had gone."""
    add, done = ExportJobs.add, 0

    async def failing(self: ExportJobs, *given: Any) -> bool:
        nonlocal done
        if done == after:
            raise Unreachable("gone")
        done += 1
        return await add(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(ExportJobs, "add", failing)
        with pytest.raises(Unreachable):
            await worked(api.service)


@pytest.mark.parametrize("after", range(7))
async def test_it_goes_on_after_the_last_finished_file(api: Api, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        await put(api, "Patient", f"p{number}")
        await put(api, "Practitioner", f"d{number}")
    await api.delete("/fhir/R4/Patient/p3")
    path = "$export?_type=Patient,Practitioner&_since=2024-01-01&nonsense=1"
    lenient = {"headers": {"Prefer": "handling=lenient"}}
    whole = await exported(api, path, **lenient)
    location = (await api.get(f"/fhir/R4/{path}", **lenient)).headers["content-location"]
    await interrupted(api, after, monkeypatch)
    await put(api, "Patient", "p1", active=True)  # after its moment
    await api.delete("/fhir/R4/Practitioner/d6")
    ident = location.rpartition("/")[2]
    await api.service.stores["test"].database[EXPORTS].update_one({"_id": ident}, [{"$set": {"lease": "$created"}}])
    await worked(api.service)
    manifest = (await api.get(location)).json()
    for role in ("output", "deleted", "error"):
        assert await content(api, manifest, role) == await content(api, whole, role)
        assert len(manifest[role]) == len(whole[role])


async def test_a_job_that_was_deleted_leaves_nothing(api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    await put(api, "Patient", "a")
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    add = ExportJobs.add

    async def late(self: ExportJobs, *given: Any) -> bool:
        assert (await api.delete(location)).status_code == 202
        (tmp_path / "exports" / "test" / str(given[0])).mkdir(parents=True)
        return await add(self, *given)

    monkeypatch.setattr(ExportJobs, "add", late)
    assert await worked(api.service) == 0
    assert list((tmp_path / "exports" / "test").iterdir()) == []
    assert (await api.get(location)).status_code == 404
    assert await work(api.service.settings, api.service.stores["test"], "test", "none", "w", api.service.now) == 0


async def test_a_worker_that_has_lost_its_job_stops(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another has it: what is being written is not listed."""
    await put(api, "Patient", "a")
    await api.get("/fhir/R4/$export?_type=Patient")
    service = api.service
    job = await jobs_of(service).take("mine")
    assert job is not None
    stuck = asyncio.Event()

    async def resources(*_: Any, **__: Any) -> Any:
        await stuck.wait()
        yield None

    monkeypatch.setattr(working, "resources", resources)
    database = service.stores["test"].database
    at_work = asyncio.create_task(_work(service, job))
    await database[EXPORTS].update_one({"_id": job.ident}, {"$set": {"worker": "another"}})
    with pytest.raises(working.Lost):
        await asyncio.wait_for(at_work, 10)


async def _work(service: Service, job: Job) -> None:
    files = Files(service.settings, "test")
    jobs = jobs_of(service)
    await working.Work(service.stores["test"], jobs, files, service.settings, job, "mine").carry_out(beat=0.05)


async def test_a_worker_that_cannot_report_for_too_long_stops(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.get("/fhir/R4/$export?_type=Patient")
    job = await jobs_of(api.service).take("mine")
    assert job is not None

    async def silent(*_: Any) -> bool:
        raise Unreachable("no answer")

    async def resources(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()
        yield None

    monkeypatch.setattr(working, "resources", resources)
    monkeypatch.setattr(working, "LEASE_SECONDS", 0.1)
    monkeypatch.setattr(ExportJobs, "prolong", silent)
    with pytest.raises(Unreachable):
        await asyncio.wait_for(_work(api.service, job), 10)


# What a service process does about it.


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int | BaseException]:
    """How the next processes end, in the place of processes."""
    codes: list[int | BaseException] = []

    async def carry_out(*_: Any) -> int:
        code = codes.pop(0)
        if isinstance(code, BaseException):
            raise code
        return code

    monkeypatch.setattr(Workers, "carry_out", carry_out)
    return codes


async def test_a_job_that_never_comes_on_is_given_up(api: Api, ends: list[int | BaseException]) -> None:
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    ends += [1] * running.ATTEMPTS
    for _ in range(running.ATTEMPTS + 1):
        assert await running.take_one(api.service, Workers())
    assert not await running.take_one(api.service, Workers())
    answer = await api.get(location)
    assert answer.status_code == 500
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert (await api.delete(location)).status_code == 202


async def test_a_service_that_is_stopped_gives_its_job_back(api: Api, ends: list[int | BaseException]) -> None:
    await api.get("/fhir/R4/$export?_type=Patient")
    ends.append(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await running.take_one(api.service, Workers())
    assert await jobs_of(api.service).take("another") is not None


async def test_the_process_stays_for_the_next_export(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URI_VARIABLE, os.environ[URI])
    workers = Workers()
    assert await workers.carry_out("test", "none", "w") == 0
    first = workers.process
    assert first is not None
    await workers.end(unless_younger=60)
    assert await workers.carry_out("test", "none", "w") == 0
    assert workers.process is first
    first.kill()
    await first.wait()
    assert await workers.carry_out("test", "none", "w") == 0
    second = workers.process
    assert second is not None
    assert second is not first
    second.send_signal(signal.SIGSTOP)
    asked = asyncio.create_task(workers.carry_out("test", "none", "w"))
    await asyncio.sleep(0.01)
    second.kill()
    assert await asked == 1
    await workers.end()  # there is none any more


async def test_the_process_ends_with_the_service(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URI_VARIABLE, os.environ[URI])
    workers = Workers()
    assert await workers.carry_out("test", "none", "w") == 0
    process = workers.process
    assert process is not None
    await workers.end()
    assert process.returncode is not None


async def test_the_runner_looks_at_once_when_there_is_something(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []
    again = asyncio.Event()

    async def take_one(*_: Any) -> bool:
        looked.append(asyncio.get_running_loop().time())
        again.set()
        if len(looked) == 1:
            raise Unreachable("the first time")
        return False

    monkeypatch.setattr(running, "take_one", take_one)
    task = asyncio.create_task(running.run(api.service, pause=30))
    await again.wait()
    again.clear()
    await asyncio.sleep(0)
    running.wake()
    await asyncio.wait_for(again.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    running.wake()  # nobody is there any more
    quick = asyncio.create_task(running.run(api.service, pause=0.01))
    again.clear()
    await asyncio.wait_for(again.wait(), 5)
    again.clear()
    await asyncio.wait_for(again.wait(), 5)
    quick.cancel()
    await asyncio.gather(quick, return_exceptions=True)


async def test_the_queries_for_jobs_have_an_index(api: Api) -> None:
    database = api.service.stores["test"].database
    await take_cut(api.service.stores["test"])
    queries: Sequence[dict[str, Any]] = (
        {"state": "open", "$expr": {"$lt": ["$lease", "$$NOW"]}},
        {"expires": {"$lte": api.service.now()}},
    )
    for query in queries:
        found = await database.command({"explain": {"find": EXPORTS, "filter": query}, "verbosity": "queryPlanner"})
        assert "COLLSCAN" not in str(found["queryPlanner"]["winningPlan"])
