"""Exports that want pseudonyms go on under the key they were begun with, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bson
import pytest
from pydantic import SecretStr

from adapter.export.deidentify import Deidentifier
from adapter.export.worker import work
from adapter.service import Service
from store.codec import decode
from store.errors import Unreachable
from store.export_jobs import EXPORTS, ExportJobs
from tests.adapter.export.exports import content, exported, jobs_of, put
from tests.conftest import Api, ApiMaker, ServiceMaker

KEY = "a key of some length"


@pytest.fixture
def service(make_service: ServiceMaker, tmp_path: Path) -> Service:
    return make_service(data_dir=tmp_path, deidentify_key=KEY, export_file_resources=1)


async def worked_under(api: Api, key: str | None) -> int:
    """Take a job and carry it out in a process that has another key."""
    settings = api.service.settings.model_copy(update={"deidentify_key": key and SecretStr(key)})
    job = await jobs_of(api.service, lease=0).take("w")
    assert job is not None
    return await work(settings, api.service.stores["test"], "test", job.ident, "w", api.service.now)


async def begun(api: Api, monkeypatch: pytest.MonkeyPatch) -> str:
    """Begin an export of two files, of which one gets finished; return its address."""
    for ident in ("a", "b"):
        await put(api, "Patient", ident)
    location: str = (await api.get("/fhir/R4/$export?_type=Patient&_deidentify=true")).headers["content-location"]
    add, done = ExportJobs.add, 0

    async def failing(self: ExportJobs, *given: Any) -> bool:
        nonlocal done
        done += 1
        if done == 2:
            raise Unreachable("gone")
        return await add(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(ExportJobs, "add", failing)
        with pytest.raises(Unreachable):
            await worked_under(api, KEY)
    await jobs_of(api.service).release(location.rpartition("/")[2], "w")
    return location


@pytest.mark.parametrize(
    ("key", "said"),
    [("another key, as long", "has another value than when this export was begun"), (None, "is not set any more")],
)
async def test_an_export_does_not_mix_pseudonyms_of_two_keys(
    api: Api, monkeypatch: pytest.MonkeyPatch, key: str | None, said: str
) -> None:
    location = await begun(api, monkeypatch)
    folder = api.service.settings.data_dir / "exports" / "test" / location.rpartition("/")[2]
    assert folder.exists()
    assert await worked_under(api, key) == 0
    assert not folder.exists(), "nobody can ask for its files"
    answer = await api.get(location)
    [issue] = answer.json()["issue"]
    assert (answer.status_code, f"ADAPTER_DEIDENTIFY_KEY {said}" in issue["diagnostics"]) == (500, True)
    assert "Ask for" in issue["diagnostics"]
    assert await jobs_of(api.service).take("another") is None


@pytest.mark.parametrize("earlier", [False, True], ids=["this version's", "an earlier version's"])
async def test_an_export_goes_on_under_its_key(api: Api, monkeypatch: pytest.MonkeyPatch, earlier: bool) -> None:
    location = await begun(api, monkeypatch)
    jobs = api.service.stores["test"].database[EXPORTS]
    if earlier:  # which kept nothing of the key
        job = await jobs_of(api.service).read(location.rpartition("/")[2])
        assert job is not None
        plan = {name: value for name, value in job.plan.items() if name != "key"}
        await jobs.update_one({"_id": job.ident}, {"$set": {"plan": bson.encode(plan)}})
    assert await worked_under(api, KEY) == 0
    manifest = (await api.get(location)).json()
    assert [one["count"] for one in manifest["output"]] == [1, 1]


async def test_who_asks_for_elements_and_pseudonyms_gets_both(api: Api) -> None:
    identity = {
        "name": [{"family": "Zebulon"}],
        "identifier": [{"system": api.service.systems.uhid, "value": "UG123456789A"}],
        "telecom": [{"system": "phone", "value": "+256700000001"}],
    }
    await put(api, "Patient", "jane-1", **identity, gender="female", birthDate="1990-05-01")
    path = "$export?_type=Patient&_deidentify=true&_elements=name,identifier,telecom,gender"
    [told] = await content(api, await exported(api, path))
    assert not [one for one in ("Zebulon", "UG123456789A", "+256700000001", "jane-1") if one in str(told)]
    assert (told["gender"], "birthDate" in told) == ("female", False)
    assert {"PSEUDED", "SUBSETTED"} <= {one["code"] for kind in ("security", "tag") for one in told["meta"][kind]}


@pytest.mark.parametrize("base", [None, "http://adapter.test"], ids=["no setting", "ADAPTER_BASE_URL"])
async def test_pseudonyms_do_not_go_by_the_address_of_a_request(
    make_service: ServiceMaker, make_api: ApiMaker, tmp_path: Path, base: str | None
) -> None:
    api: Api = await make_api(make_service(data_dir=tmp_path, deidentify_key=KEY, base_url=base))
    named = [{"reference": f"{address}Practitioner/p"} for address in ("", "http://adapter.test/fhir/R4/")]
    await put(api, "Schedule", "s", actor=named)
    raw = (await api.get("/fhir/R4/Schedule/s")).content
    # As the command makes them, which knows of no request.
    expected = Deidentifier(KEY.encode(), api.service.systems, api.service.settings.fhir_bases).resource(decode(raw))
    for host in ("adapter.test", "other.test"):
        path = "$export?_type=Schedule&_deidentify=true"
        [told] = await content(api, await exported(api, path, headers={"host": host}))
        assert told["actor"] == expected["actor"]
    relative, absolute = (one["reference"] for one in told["actor"])
    assert (relative == absolute) is (base is not None)
