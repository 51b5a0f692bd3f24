"""Exports for tests: a small clinic, the kick-off, the work of a process that carries it out, and what comes of it."""

from __future__ import annotations

import secrets
from typing import Any

import orjson

from adapter.export.worker import work
from adapter.reading import store_of
from adapter.service import Service
from store.export_jobs import ExportJobs
from tests.conftest import Api

BASE = "http://adapter.test/fhir/R4"


def jobs_of(service: Service, **options: Any) -> ExportJobs:
    """Return the jobs of the test mode."""
    return ExportJobs(service.stores["test"].database, **options)


async def put(api: Api, kind: str, ident: str, **members: Any) -> None:
    """Write a resource."""
    answer = await api.put(f"/fhir/R4/{kind}/{ident}", {"resourceType": kind, "id": ident, **members})
    assert answer.status_code in (200, 201), answer.text


async def worked(service: Service) -> int:
    """Take a job and carry it out here, as its process would."""
    worker = secrets.token_hex(4)
    job = await jobs_of(service).take(worker)
    assert job is not None
    store = store_of(service.settings, service.client, "test")
    return await work(service.settings, store, "test", job.ident, worker, service.now)


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
    """Return the resources of the files of a manifest."""
    found: list[dict[str, Any]] = []
    for file in manifest[role]:
        answer = await api.get(file["url"])
        lines = [orjson.loads(line) for line in answer.content.splitlines()]
        assert len(lines) == file["count"]
        found += lines
    return found


async def names(api: Api, manifest: dict[str, Any]) -> list[str]:
    """Return what is in the output, as ``Type/id``."""
    return [f"{one['resourceType']}/{one['id']}" for one in await content(api, manifest)]


def parameters(*given: tuple[str, str, Any]) -> dict[str, Any]:
    """Return a body: names, kinds of value, values."""
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
