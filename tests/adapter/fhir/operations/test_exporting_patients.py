"""``$export`` of some patients: those who are named, and the members of a Group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapter.fhir.operations import exporting_patients
from adapter.service import Service
from tests.adapter.export.exports import BASE, clinic, content, exported, names, parameters, put
from tests.conftest import Api, ApiMaker, ServiceMaker


@pytest.fixture
def service(make_service: ServiceMaker, tmp_path: Path) -> Service:
    return make_service(data_dir=tmp_path)


@pytest.fixture
async def api(service: Service, make_api: ApiMaker) -> Api:
    made: Api = await make_api(service)
    return made


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


async def test_a_reference_to_no_patient(api: Api) -> None:
    body = parameters(("patient", "valueReference", {"reference": "Practitioner/doctor"}))
    assert (await api.post("/fhir/R4/Patient/$export", body)).status_code == 400
    assert (
        await api.post("/fhir/R4/Patient/$export", {"resourceType": "Parameters", "parameter": 3})
    ).status_code == 400
