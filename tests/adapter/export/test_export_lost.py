"""A worker that lost its job to another, or to a deletion, leaves nothing in an object store and harms nothing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from adapter.export import engine, working
from adapter.export.worker import work
from store.export_jobs import EXPORTS, ExportJobs
from tests.adapter.export import objects
from tests.adapter.export.exports import content, exported, jobs_of, put, worked
from tests.conftest import Api, ApiMaker, ServiceMaker


@pytest.fixture
async def api(make_service: ServiceMaker, make_api: ApiMaker) -> Api:
    made: Api = await make_api(make_service(export_url="obj://bucket"))
    for number in range(3):
        await put(made, "Patient", f"p{number}")
    return made


@pytest.fixture(autouse=True)
def emptied() -> Iterator[None]:
    yield
    objects.STORED.clear()
    objects.STARTED.clear()


async def stopped(api: Api, monkeypatch: pytest.MonkeyPatch) -> asyncio.Task[int]:
    """Have a worker stop after a part of a file, as one that gets no time does."""
    read = engine.resources

    async def some(*given: Any, **options: Any) -> AsyncIterator[Any]:
        async for part in read(*given, **options):
            yield part
        await asyncio.Event().wait()

    job = await jobs_of(api.service).take("first")
    assert job is not None
    with monkeypatch.context() as patch:
        patch.setattr(working, "resources", some)
        task = asyncio.create_task(
            work(api.service.settings, api.service.stores["test"], "test", job.ident, "first", api.service.now)
        )
        async with asyncio.timeout(10):
            while not objects.STARTED:
                await asyncio.sleep(0.01)
    return task


async def test_an_export_that_is_deleted_while_it_is_written_leaves_no_object(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    task = await stopped(api, monkeypatch)
    assert (await api.delete(location)).status_code == 202
    assert await task == 0
    del task
    gc.collect()
    assert not objects.STORED
    assert not objects.STARTED
    assert await jobs_of(api.service).read(location.rpartition("/")[2]) is None


async def test_a_worker_that_goes_on_after_another_one_has_finished_changes_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    task = await stopped(api, monkeypatch)
    ident = location.rpartition("/")[2]
    await api.service.stores["test"].database[EXPORTS].update_one({"_id": ident}, [{"$set": {"lease": "$created"}}])
    await worked(api.service)
    finished = dict(objects.STORED)
    assert await task == 0
    del task
    gc.collect()
    assert finished == objects.STORED
    assert not objects.STARTED
    assert len(await content(api, (await api.get(location)).json())) == 3


async def test_a_worker_that_finds_out_when_its_file_is_ended_wrote_over_no_other(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = (await api.get("/fhir/R4/$export?_type=Patient")).headers["content-location"]
    add, ident = ExportJobs.add, location.rpartition("/")[2]

    async def late(self: ExportJobs, *given: Any) -> bool:
        monkeypatch.setattr(ExportJobs, "add", add)
        await api.service.stores["test"].database[EXPORTS].update_one({"_id": ident}, [{"$set": {"lease": "$created"}}])
        await worked(api.service)
        return await add(self, *given)

    monkeypatch.setattr(ExportJobs, "add", late)
    await worked(api.service)
    assert len(objects.STORED) == 2  # of each its own
    [url] = [one["url"] for one in (await api.get(location)).json()["output"]]
    assert url == f"{location}/Patient.00001.ndjson"
    assert (await api.delete(location)).status_code == 202
    assert not objects.STORED


async def test_a_file_that_is_not_as_it_was_written_is_not_given(api: Api) -> None:
    [url] = [one["url"] for one in (await exported(api, "$export?_type=Patient"))["output"]]
    [name] = objects.STORED
    objects.STORED[name] = objects.STORED[name][:50]
    for method in ("GET", "HEAD"):
        assert (await api.send(method, url)).status_code == 500
    said = (await api.get(url)).json()["issue"][0]["diagnostics"]
    assert "it has 50 bytes and should have " in said


async def test_a_file_of_an_earlier_version_is_where_it_was(api: Api) -> None:
    """It was written beside all others of its job, and the job does not say by whom."""
    manifest = await exported(api, "$export?_type=Patient")
    [name] = objects.STORED
    job, worker, file = name.split("/")[-3:]
    objects.STORED[name.replace(f"/{worker}/", "/")] = objects.STORED.pop(name)
    jobs = api.service.stores["test"].database[EXPORTS]
    await jobs.update_one({"_id": job}, {"$unset": {"files.0.worker": ""}})
    assert file == "Patient.00001.ndjson"
    assert len(await content(api, manifest)) == 3
