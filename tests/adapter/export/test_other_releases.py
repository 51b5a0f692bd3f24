"""Exports that others have begun: what they have read of them goes by how they file what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bson
import pytest

from adapter.service import Service
from store.export_jobs import EXPORTS
from tests.adapter.export.exports import jobs_of, put, worked
from tests.conftest import Api, ServiceMaker

FILTERED = "$export?_type=Patient&_typeFilter=Patient%3Fgender%3Dfemale"


@pytest.fixture
def service(make_service: ServiceMaker, tmp_path: Path) -> Service:
    return make_service(data_dir=tmp_path)


async def begun(api: Api, path: str, rules: str | None) -> str:
    """Begin an export and keep it as a release of other rules has, or of a time that kept none; return its address."""
    await put(api, "Patient", "a", gender="female")
    location: str = (await api.get(f"/fhir/R4/{path}")).headers["content-location"]
    job = await jobs_of(api.service).read(location.rpartition("/")[2])
    assert job is not None
    plan: dict[str, Any] = {name: value for name, value in job.plan.items() if name != "rules"}
    plan |= {} if rules is None else {"rules": rules}
    jobs = api.service.stores["test"].database[EXPORTS]
    await jobs.update_one({"_id": job.ident}, {"$set": {"plan": bson.encode(plan)}})
    return location


@pytest.mark.parametrize("rules", [None, "0"], ids=["an earlier version's", "of other rules"])
async def test_filters_that_another_release_has_read_are_not_looked_for(api: Api, rules: str | None) -> None:
    location = await begun(api, FILTERED, rules)
    assert await worked(api.service) == 0
    answer = await api.get(location)
    [issue] = answer.json()["issue"]
    assert answer.status_code == 500
    assert issue["diagnostics"].startswith(
        "Another release, or one with other settings, has begun this export, and read its _typeFilter"
    )
    assert issue["diagnostics"].endswith("Ask for it again.")


@pytest.mark.parametrize("rules", [None, "0"], ids=["an earlier version's", "of other rules"])
async def test_what_another_release_has_begun_without_filters_goes_on(api: Api, rules: str | None) -> None:
    location = await begun(api, "$export?_type=Patient", rules)
    assert await worked(api.service) == 0
    assert [one["count"] for one in (await api.get(location)).json()["output"]] == [1]


async def test_filters_that_were_read_in_another_time_zone_are_not_looked_for(
    api: Api, make_service: ServiceMaker, tmp_path: Path
) -> None:
    """Their days begin at other hours."""
    location: str = (
        await api.get("/fhir/R4/$export?_type=Patient&_typeFilter=Patient%3Fbirthdate%3D2024-01-01")
    ).headers["content-location"]
    elsewhere = make_service(data_dir=tmp_path, timezone="Asia/Tokyo")
    assert await worked(elsewhere) == 0
    assert (await api.get(location)).status_code == 500
