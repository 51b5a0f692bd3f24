"""The jobs of ``$export`` and their files: whose they are, how long they are kept, what becomes of them in faults."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapter.export import running, working
from adapter.export.files import Files
from adapter.export.worker import work
from adapter.security.permissions import parse
from adapter.service import Service
from store.errors import Unreachable
from store.export_jobs import EXPORTS, ExportJobs, File, Job
from store.exporting import take_cut
from tests.adapter.export.exports import BASE, clinic, content, exported, jobs_of, names, put, worked
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker


@pytest.fixture
def service(make_service: ServiceMaker, tmp_path: Path) -> Service:
    return make_service(data_dir=tmp_path, export_file_resources=3, export_jobs=2)


async def test_files_hold_so_many_at_most(api: Api) -> None:
    for number in range(7):
        await put(api, "Patient", f"p{number}")
    manifest = await exported(api, "$export?_type=Patient")
    assert [file["count"] for file in manifest["output"]] == [3, 3, 1]
    assert await names(api, manifest) == [f"Patient/p{number}" for number in range(7)]
    assert manifest["request"] == f"{BASE}/$export?_type=Patient"


async def test_without_a_key_nobody_is_made_a_pseudonym(api: Api) -> None:
    assert (await api.get("/fhir/R4/$export?_deidentify=true")).status_code == 400


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


async def test_who_looks_after_the_service_deletes_the_exports_of_others_only_with_write(
    api: Api, make_api: ApiMaker
) -> None:
    await put(api, "Patient", "a")
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    for verb, looks, deletes in (("read", 202, 403), ("write", 403, 202)):
        other: Api = await make_api(api.service, granted=["export:read", f"admin:{verb}"])
        assert (await other.get(location)).status_code == looks
        assert (await other.delete(location)).status_code == deletes


async def test_whom_another_keys_export_is_about_is_told_to_those_alone_who_may_read_it(
    api: Api, make_api: ApiMaker
) -> None:
    await put(api, "Patient", "a", name=[{"family": "Namukasa"}])
    await put(api, "Practitioner", "d")
    path = "$export?_type=Patient,Practitioner&_typeFilter=Patient%3Fname%3DNamukasa"
    location = (await api.get(f"/fhir/R4/{path}")).headers["content-location"]
    await worked(api.service)
    whole, counted = f"{BASE}/{path}", {"Patient": 1, "Practitioner": 1}
    masked = f"{BASE}/$export?_type=Patient,Practitioner&_typeFilter=(masked)"
    every = [f"{one}:read" for one in ("appointments", "slots", "schedules", "patients", "practitioners", "locations")]
    for granted, request, counts in (
        (every, whole, counted),
        (["patients:read", "practitioners:read"], masked, counted),  # a chain may look into any type
        (["practitioners:read"], masked, {"Patient": None, "Practitioner": 1}),
        ([], masked, {"Patient": None, "Practitioner": None}),
    ):
        other: Api = await make_api(api.service, granted=["export:read", "admin:read", *granted])
        manifest = (await other.get(location)).json()
        assert manifest["request"] == request
        assert {one["type"]: one.get("count") for one in manifest["output"]} == counts
    assert (await api.get(location)).json()["request"] == whole


async def test_who_asked_for_an_export_is_told_what_was_asked(api: Api, make_api: ApiMaker) -> None:
    some: Api = await make_api(api.service, granted=["export:read", "patients:read"])
    await put(api, "Patient", "a")
    manifest = await exported(some, "$export?_type=Patient&_typeFilter=Patient%3Fgender%3Dmale,")
    assert manifest["request"].endswith("gender%3Dmale,")


async def test_of_deletions_it_tells_who_may_read_all_that_it_is_about(api: Api, make_api: ApiMaker) -> None:
    for kind in ("Patient", "Practitioner"):
        await put(api, kind, "a")
        assert (await api.delete(f"/fhir/R4/{kind}/a")).status_code == 204
    location = (await api.get("/fhir/R4/$export?_type=Patient,Practitioner&_since=2024-01-01")).headers
    await worked(api.service)
    for granted, told in ((["practitioners:read"], False), (["practitioners:read", "patients:read"], True)):
        other: Api = await make_api(api.service, granted=["export:read", "admin:read", *granted])
        deleted = (await other.get(location["content-location"])).json()["deleted"]
        assert deleted
        assert all(("count" in one) is told for one in deleted)


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


async def test_how_many_were_found_for_another_key_is_told_to_those_alone_who_may_read_them(
    api: Api, make_api: ApiMaker
) -> None:
    path = "$export?_type=Patient,Practitioner&_typeFilter=Patient%3Fname%3DNamukasa"
    location = (await api.get(f"/fhir/R4/{path}")).headers["content-location"]
    job = await jobs_of(api.service).take("w")
    assert job is not None
    for total, told in ((0, "Patient: 1 resources so far"), (2, "1 of about 2 resources")):
        assert await jobs_of(api.service).prolong(job.ident, "w", 1, total)
        for granted, expected in ((["patients:read"], "Patient"), (["patients:read", "practitioners:read"], told)):
            other: Api = await make_api(api.service, granted=["export:read", "admin:read", *granted])
            assert (await other.get(location)).headers["x-progress"] == expected


async def test_an_export_expires(api: Api, clock: Clock, tmp_path: Path) -> None:
    await put(api, "Patient", "a")
    begun = await api.get("/fhir/R4/$export?_type=Patient")
    await worked(api.service)
    location = begun.headers["content-location"]
    manifest = await api.get(location)
    assert manifest.headers["expires"] == "Tue, 16 Jan 2024 10:00:00 GMT"
    for url in (location, manifest.json()["output"][0]["url"]):
        assert (await api.get(url)).headers["cache-control"] == "private, no-store"
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
    assert len(modes) == 5  # exports, the mode, the job, the worker, the file
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())


async def test_an_export_is_for_what_its_key_was_rolled_to_as_well(api: Api, make_api: ApiMaker) -> None:
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    job = await jobs_of(api.service).read(location.rpartition("/")[2])
    assert job is not None
    granted = ["export:read", "patients:read"]
    other: Api = await make_api(api.service, granted=granted)
    keys = api.service.keys["test"]
    first, _ = await keys.create("limited", parse(granted))
    await jobs_of(api.service)._jobs.update_one({"_id": job.ident}, {"$set": {"key": first.id}})
    second, _ = await keys.roll(first.id)
    _, secret = await keys.roll(second.id)
    await keys.revoke(first.id)
    assert (await other.get(location)).status_code == 404
    rolled = replace(other, key=secret)
    assert (await rolled.get(location)).status_code == 202
    assert (await rolled.send("DELETE", location)).status_code == 202


async def test_what_another_release_notes_of_a_file_is_passed_over(api: Api) -> None:
    await put(api, "Patient", "a")
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    await worked(api.service)
    jobs = api.service.stores["test"].database[EXPORTS]
    await jobs.update_one({}, {"$set": {"files.0.sha256": "0"}})
    assert (await api.get(location)).status_code == 200
    await jobs.update_one({}, {"$unset": {"files.0.worker": ""}})
    assert (await api.get(location)).status_code == 200


async def test_files_that_are_not_there(api: Api) -> None:
    await put(api, "Patient", "a")
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    await worked(api.service)
    assert (await api.get(f"{location}/../../secret")).status_code == 404
    assert (await api.get(f"{location}/Slot.00001.ndjson")).status_code == 404
    answer = await api.send("HEAD", f"{location}/Patient.00001.ndjson", headers={"Accept-Encoding": "identity"})
    assert answer.headers["content-type"] == "application/fhir+ndjson"
    assert int(answer.headers["content-length"]) > 0
    assert answer.content == b""
    await Files(api.service.settings, "test").remove(location.rpartition("/")[2])
    assert (await api.get(f"{location}/Patient.00001.ndjson")).status_code == 404


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_head_says_what_get_says(api: Api, coding: str) -> None:
    asks = {"headers": {"Accept-Encoding": coding}}
    for number in range(20):
        await put(api, "Patient", f"p{number}")
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    waiting = await api.send("HEAD", location, **asks)
    assert (waiting.status_code, waiting.content) == (202, b"")
    assert {"x-progress", "retry-after"} <= waiting.headers.keys()
    await worked(api.service)
    [url, *_] = [one["url"] for one in (await api.get(location)).json()["output"]]
    for address in (location, url):
        answer, head = await api.get(address, **asks), await api.send("HEAD", address, **asks)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("expires", "content-type"):
            assert head.headers[name] == answer.headers[name]
        # The length of GET's answer, or none (RFC 9110 section 8.6).
        assert head.headers.get("content-length") in {answer.headers.get("content-length"), None}
        assert ("content-length" in head.headers) is (answer.headers.get("content-encoding") != "gzip")
    await api.delete(location)
    assert (await api.send("HEAD", location)).status_code == 404


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


@pytest.mark.parametrize("after", range(5))
async def test_it_goes_on_with_what_is_of_who_joined(api: Api, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def group(*members: str) -> None:
        ones = [{"entity": {"reference": f"Patient/{one}"}} for one in members]
        await put(api, "Group", "g", type="person", actual=True, member=ones)

    for number in range(8):
        await put(api, "Patient", f"p{number}")
    await group("p0", "p1")
    who = [{"actor": {"reference": "Patient/p0"}, "status": "needs-action"}]
    await put(api, "Appointment", "of-p0", status="proposed", participant=who)
    first = (await exported(api, "Group/g/$export"))["transactionTime"]
    await group(*(f"p{number}" for number in range(8)))
    await put(api, "Patient", "p0", active=True)
    assert (await api.delete("/fhir/R4/Appointment/of-p0")).status_code == 204
    path = f"Group/g/$export?_since={first}"
    whole = await exported(api, path)
    assert [(file["type"], file["count"]) for file in whole["output"]] == [
        *(("Patient", 1), ("Group", 1)),
        *(("Patient", 3), ("Patient", 3)),
    ]
    location = (await api.get(f"/fhir/R4/{path}")).headers["content-location"]
    await interrupted(api, after, monkeypatch)
    await put(api, "Patient", "p2", active=True)  # after its moment
    ident = location.rpartition("/")[2]
    await api.service.stores["test"].database[EXPORTS].update_one({"_id": ident}, [{"$set": {"lease": "$created"}}])
    assert (await api.get(location)).status_code == 202
    await worked(api.service)
    manifest = (await api.get(location)).json()
    for role in ("output", "deleted"):
        assert await content(api, manifest, role) == await content(api, whole, role)
        assert len({file["url"] for file in manifest[role]}) == len(whole[role])


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


@pytest.mark.parametrize(("failing", "lease", "bound"), [(0.0, 0.1, 10), (0.3, 0.5, 2)])
async def test_a_worker_that_cannot_report_for_too_long_stops(
    api: Api, monkeypatch: pytest.MonkeyPatch, failing: float, lease: float, bound: float
) -> None:
    """What a report takes that fails counts as well: one may take ten seconds."""
    await api.get("/fhir/R4/$export?_type=Patient")
    job = await jobs_of(api.service).take("mine")
    assert job is not None

    async def silent(*_: Any) -> bool:
        await asyncio.sleep(failing)
        raise Unreachable("no answer")

    async def resources(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()
        yield None

    monkeypatch.setattr(working, "resources", resources)
    monkeypatch.setattr(working, "LEASE_SECONDS", lease)
    monkeypatch.setattr(ExportJobs, "prolong", silent)
    with pytest.raises(Unreachable):
        await asyncio.wait_for(_work(api.service, job), bound)


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
