"""``$export`` of some patients: those who are named, and the members of a Group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapter.export.engine import Cut, take_cut
from adapter.fhir.operations import exporting, exporting_patients
from adapter.service import Service
from store.store import Store
from tests.adapter.export.exports import BASE, clinic, content, exported, names, parameters, put
from tests.conftest import Api, ApiMaker, ServiceMaker


@pytest.fixture
def service(make_service: ServiceMaker, tmp_path: Path) -> Service:
    return make_service(data_dir=tmp_path)


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


@pytest.mark.parametrize("stated", [{}, {"base_url": "http://adapter.test"}], ids=["no setting", "ADAPTER_BASE_URL"])
async def test_our_address_by_the_other_scheme_is_ours(
    make_service: ServiceMaker, make_api: ApiMaker, tmp_path: Path, stated: dict[str, str]
) -> None:
    api: Api = await make_api(make_service(data_dir=tmp_path, **stated))
    await put(api, "Patient", "a")
    named = {"reference": "https://adapter.test/fhir/R4/Patient/a"}
    await put(api, "Group", "g", type="person", actual=True, member=[{"entity": named}])
    await put(api, "Appointment", "v", status="proposed", participant=[{"actor": named, "status": "needs-action"}])
    whole = ["Appointment/v", "Group/g", "Patient/a"]
    asked = parameters(("patient", "valueReference", named))
    for path, body in (("Patient", None), ("Group/g", None), ("Patient", asked), ("Group/g", asked)):
        assert sorted(await names(api, await exported(api, f"{path}/$export", body))) == whole


async def test_who_is_known_is_told_to_a_key_that_may_read_patients(api: Api, make_api: ApiMaker) -> None:
    await put(api, "Patient", "a")
    other: Api = await make_api(api.service, granted=["export:read", "appointments:read"])
    for ident in ("a", "nobody"):
        named = parameters(("patient", "valueReference", {"reference": f"Patient/{ident}"}))
        refused = await other.post("/fhir/R4/Patient/$export", named)
        assert (refused.status_code, "patients:read" in refused.text) == (403, True)
    assert (await other.post("/fhir/R4/Patient/$export")).status_code == 202


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


async def test_members_who_cannot_be_told_are_told_of(api: Api) -> None:
    await clinic(api)
    system = "https://mediloop.co/fhir/sid/uhid"
    members: list[dict[str, Any]] = [
        {"entity": {"reference": "Patient/a"}},
        {"entity": {"identifier": {"system": system, "value": "UG123456789A"}}},
        {"entity": {"type": "Patient", "identifier": {"system": "urn:mrn", "value": "1"}}},
        {"entity": {"identifier": {"system": "urn:mrn", "value": "2"}}},
        {"entity": {"reference": "Group/other"}},
        {"entity": {"reference": "https://elsewhere.example/fhir/Patient/a"}},
        {"entity": {"reference": "https://elsewhere.example/fhir/Patient/b"}, "inactive": True},
        {"entity": {"reference": "Practitioner/p"}},
    ]
    await put(api, "Group", "other", type="person", actual=True)
    await put(api, "Group", "g", type="person", actual=True, member=members)
    manifest = await exported(api, "Group/g/$export?_type=Patient")
    assert await names(api, manifest) == ["Patient/a"]
    [told] = await content(api, manifest, "error")
    [issue] = told["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "incomplete")
    assert issue["diagnostics"].startswith("5 of the Group's members cannot be told")
    later = await exported(api, f"Group/g/$export?_type=Patient&_since={manifest['transactionTime']}")
    assert len(later["error"]) == 1
    one = parameters(("patient", "valueReference", {"reference": "Patient/a"}))
    assert (await exported(api, "Group/g/$export", one))["error"] == []


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ({"identifier": {"system": "urn:mrn", "value": "1"}}, "patient is by an identifier, which is not looked for."),
        ({"display": "John"}, "patient has no reference."),
    ],
)
async def test_a_patient_is_named_by_a_reference(api: Api, by: dict[str, Any], told: str) -> None:
    refused = await api.post("/fhir/R4/Patient/$export", parameters(("patient", "valueReference", by)))
    [issue] = refused.json()["issue"]
    assert (refused.status_code, issue["diagnostics"]) == (400, f"{told} Give a reference: Patient/1.")


async def test_several_filters_within_a_compartment(api: Api) -> None:
    await clinic(api)
    await group(api, "a", "b")
    either = "_type=Appointment&_typeFilter=Appointment%3F_id%3Dof-a,Appointment%3F_id%3Dof-b,of-nobody"
    manifest = await exported(api, f"Group/g/$export?{either}")
    assert sorted(await names(api, manifest)) == ["Appointment/of-a", "Appointment/of-b"]


async def test_what_mongodb_would_not_take_is_refused_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await clinic(api)
    await group(api, "a", "b")
    monkeypatch.setattr(exporting, "_MOST_BYTES", 100)
    refused = await api.get("/fhir/R4/Group/g/$export")
    [issue] = refused.json()["issue"]
    assert (refused.status_code, issue["code"]) == (400, "too-costly")
    assert "fewer patients" in issue["diagnostics"]
    monkeypatch.undo()
    monkeypatch.setattr(exporting, "_MOST_BYTES", 3_000)
    await exported(api, "Group/g/$export")


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


# Increments of a Group.


async def visit(api: Api, ident: str, *patients: str, **members: Any) -> None:
    who = [{"actor": {"reference": f"Patient/{one}"}, "status": "needs-action"} for one in patients]
    await put(api, "Appointment", ident, status="proposed", participant=who, **members)


async def group(api: Api, *members: str, inactive: tuple[str, ...] = (), ident: str = "g") -> None:
    ones = [
        {"entity": {"reference": f"Patient/{one}"}, **({"inactive": True} if one in inactive else {})}
        for one in members
    ]
    await put(api, "Group", ident, type="person", actual=True, member=ones)


async def told_since(api: Api, since: str, query: str = "", **options: Any) -> list[str]:
    manifest = await exported(api, f"Group/g/$export?_since={since}{query}", **options)
    return sorted(await names(api, manifest))


@pytest.fixture
async def ward(api: Api) -> Api:
    """A Group of a, and of b who is inactive in it; visits of a, b, c, and of two together; patients alone."""
    for ident in ("a", "b", "c"):
        await put(api, "Patient", ident)
        await visit(api, f"of-{ident}", ident)
    await visit(api, "of-a-and-c", "a", "c")
    await visit(api, "of-b-and-c", "b", "c")
    await group(api, "a", "b", inactive=("b",))
    return api


async def test_who_joined_a_group_comes_whole_with_the_next_export(ward: Api) -> None:
    first = await exported(ward, "Group/g/$export")
    had = set(await names(ward, first))
    assert had == {"Group/g", "Patient/a", "Appointment/of-a", "Appointment/of-a-and-c"}
    await group(ward, "a", "b", "c")
    await visit(ward, "of-a", "a", comment="changed")
    joined = [
        *("Appointment/of-a", "Appointment/of-b", "Appointment/of-b-and-c", "Appointment/of-c", "Group/g"),
        *("Patient/b", "Patient/c"),
    ]
    second = await exported(ward, f"Group/g/$export?_since={first['transactionTime']}")
    # of-a-and-c came with a: nothing comes twice.
    assert sorted(await names(ward, second)) == joined
    assert len({file["url"] for file in second["output"]}) == len(second["output"])
    assert await told_since(ward, second["transactionTime"]) == []
    whole = await exported(ward, "Group/g/$export")
    assert set(await names(ward, whole)) == had | set(joined)


async def test_who_left_a_group_comes_no_more_and_whole_again_when_back(ward: Api) -> None:
    first = (await exported(ward, "Group/g/$export"))["transactionTime"]
    await group(ward, "b", inactive=("b",))
    await visit(ward, "of-a", "a", comment="changed")
    gone = await exported(ward, f"Group/g/$export?_since={first}")
    assert (await names(ward, gone), gone["deleted"]) == ([], [])
    await group(ward, "a")
    back = ["Appointment/of-a", "Appointment/of-a-and-c", "Group/g", "Patient/a"]
    assert await told_since(ward, gone["transactionTime"]) == back
    # To one who has not looked meanwhile, a never left.
    assert await told_since(ward, first) == ["Appointment/of-a", "Group/g"]


async def test_a_group_that_is_younger_is_told_whole(ward: Api) -> None:
    since = (await exported(ward, "Patient/$export"))["transactionTime"]
    await ward.delete("/fhir/R4/Group/g")
    await group(ward, "c")
    of_c = ["Appointment/of-a-and-c", "Appointment/of-b-and-c", "Appointment/of-c", "Group/g", "Patient/c"]
    deleted = (await exported(ward, f"Group/g/$export?_since={since}"))["transactionTime"]
    assert await told_since(ward, "2020-01-01") == of_c
    assert await told_since(ward, deleted) == []


async def test_filters_and_named_patients_hold_for_who_joined(ward: Api) -> None:
    first = (await exported(ward, "Group/g/$export"))["transactionTime"]
    await group(ward, "a", "c")
    filtered = "&_type=Appointment,Patient&_typeFilter=Appointment%3F_id%3Dof-c,of-a-and-c,of-b-and-c"
    assert await told_since(ward, first, filtered) == ["Appointment/of-b-and-c", "Appointment/of-c", "Patient/c"]
    # Who names c alone was told of c alone: what c shares with a is new.
    body = parameters(
        ("patient", "valueReference", {"reference": "Patient/c"}),
        ("_since", "valueInstant", first),
        ("_type", "valueString", "Appointment"),
    )
    manifest = await exported(ward, "Group/g/$export", body)
    of_c = ["Appointment/of-a-and-c", "Appointment/of-b-and-c", "Appointment/of-c"]
    assert sorted(await names(ward, manifest)) == of_c


async def test_the_members_are_those_as_of_the_cut(ward: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member who is added while an export is begun is in this one or joins with the next: never in neither."""

    async def cut_and_join(store: Store) -> Cut:
        cut = await take_cut(store)
        await group(ward, "a", "c")
        return cut

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "take_cut", cut_and_join)
        first = await exported(ward, "Group/g/$export")
    assert "Patient/c" not in await names(ward, first)
    assert "Patient/c" in await told_since(ward, first["transactionTime"])
