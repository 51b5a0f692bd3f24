"""``$validate`` and ``Patient/$everything`` through the door (https://hl7.org/fhir/R4/operations.html)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from store.store import Store
from tests.adapter.fhir.door import BASE, HOST, bare, bundled, call, get, link, made, names, outcome, person
from tests.adapter.mediloop.clinic import (
    MULAGO,
    SARAH,
    appointment,
    open_clinic,
    patient,
    put,
    schedule,
    stored,
    with_actors,
)
from tests.conftest import Api, Clock

Json = dict[str, Any]
INVALID = {"resourceType": "Patient", "gender": "f", "foo": 1}
PATIENT_PROFILE = "http://hl7.org/fhir/StructureDefinition/Patient"


def parameters(**named: Any) -> Json:
    """Return a Parameters resource; the keyword tells the name and the member (``mode__valueCode``)."""
    sent = [(name.partition("__"), value) for name, value in named.items()]
    return {"resourceType": "Parameters", "parameter": [{"name": one[0], one[2]: value} for one, value in sent]}


def issues(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["resourceType"] == "OperationOutcome"
    return [(one["severity"], one["code"]) for one in found["issue"]]


class TestValidate:
    async def test_a_valid_resource_has_an_issue_that_says_so(self, api: Api, store: Store) -> None:
        text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Okello</div>'}
        for body in (person("p", text=text), parameters(resource__resource=person("p", text=text))):
            answer = await call(api, "POST", "Patient/$validate", body)
            assert issues(answer) == [("information", "informational")]
            assert answer.json()["issue"][0]["diagnostics"] == "No issues"
        assert await store.read("Patient", "p") is None

    async def test_a_missing_narrative_is_a_warning(self, api: Api) -> None:
        found = issues(await call(api, "POST", "Patient/$validate", person("p")))
        assert found == [("warning", "invariant"), ("information", "informational")]

    @pytest.mark.parametrize("body", [INVALID, parameters(resource__resource=INVALID)])
    async def test_an_invalid_resource_is_200_with_its_problems(self, api: Api, body: Json) -> None:
        answer = await call(api, "POST", "Patient/$validate", body)
        assert sorted(issues(answer)) == [("error", "code-invalid"), ("error", "structure")]
        said = [one["expression"][0] for one in answer.json()["issue"]]
        assert sorted(said) == ["Patient.foo", "Patient.gender"]

    async def test_another_type_is_a_problem_of_the_resource(self, api: Api) -> None:
        assert issues(await call(api, "POST", "Slot/$validate", person("p"))) == [("error", "structure")]

    @pytest.mark.parametrize("mode", ["create", "profile"])
    async def test_modes_of_a_type(self, api: Api, mode: str) -> None:
        body = parameters(mode__valueCode=mode, resource__resource=person("p"))
        assert ("information", "informational") in issues(await call(api, "POST", "Patient/$validate", body))
        answer = await call(api, "POST", f"Patient/$validate?mode={mode}", person("p"))
        assert ("information", "informational") in issues(answer)

    async def test_an_update_needs_the_id_of_the_instance(self, api: Api) -> None:
        for ident, code in (("p", "informational"), ("q", "value")):
            answer = await call(api, "POST", f"Patient/{ident}/$validate?mode=update", person("p"))
            assert code in [found for _, found in issues(answer)]
        missing = await call(api, "POST", "Patient/p/$validate?mode=update", bare(person("p")))
        assert ("error", "value") in issues(missing)

    async def test_on_an_instance_without_a_mode(self, api: Api) -> None:
        assert ("information", "informational") in issues(await call(api, "POST", "Patient/p/$validate", person("p")))

    @pytest.mark.parametrize("mode", ["update", "delete"])
    async def test_modes_of_an_instance_are_refused_for_a_type(self, api: Api, mode: str) -> None:
        answer = await call(api, "POST", f"Patient/$validate?mode={mode}", person("p"))
        assert outcome(answer, 400, "required")["location"] == ["http.mode"]

    async def test_a_deletion_tells_what_hinders_it(self, api: Api, store: Store) -> None:
        await open_clinic(store)
        await put(store, appointment("a1"), person("free"))
        body = parameters(mode__valueCode="delete")
        assert issues(await call(api, "POST", "Patient/free/$validate", body)) == [("information", "informational")]
        answer = await call(api, "POST", "Patient/john/$validate", body)
        assert issues(answer) == [("error", "conflict")]
        assert "Appointment/a1" in answer.json()["issue"][0]["diagnostics"]
        assert await stored(store, "Patient", "john")

    async def test_a_deletion_of_what_is_not_there(self, api: Api) -> None:
        outcome(await call(api, "POST", "Patient/none/$validate?mode=delete"), 404, "not-found")
        await made(api, person("p"))
        await call(api, "DELETE", "Patient/p")
        outcome(await call(api, "POST", "Patient/p/$validate?mode=delete"), 410, "deleted")

    async def test_the_profile_of_the_type_is_known_and_no_other(self, api: Api) -> None:
        body = parameters(profile__valueUri=PATIENT_PROFILE, resource__resource=person("p"))
        assert ("information", "informational") in issues(await call(api, "POST", "Patient/$validate", body))
        answer = await call(api, "POST", "Patient/$validate?profile=urn:other", person("p"))
        assert outcome(answer, 400, "not-supported")["location"] == ["http.profile"]

    async def test_what_cannot_be_carried_out_is_400(self, api: Api) -> None:
        outcome(await call(api, "POST", "Patient/$validate"), 400, "required")
        outcome(await call(api, "POST", "Patient/$validate", {"resourceType": "Parameters"}), 400, "required")
        outcome(await call(api, "POST", "Patient/$validate?mode=whatever", person("p")), 400, "value")
        wrong: Json = {"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": 7}]}
        assert (await call(api, "POST", "Patient/$validate", wrong)).status_code == 400
        parameter: Any
        for parameter in ("x", {}, 7):
            wrong = {"resourceType": "Parameters", "parameter": parameter}
            assert (await call(api, "POST", "Patient/$validate", wrong)).status_code == 400
        complex_one = parameters(mode__valuePeriod={"start": "2024"}, resource__resource=person("p"))
        outcome(await call(api, "POST", "Patient/$validate", complex_one), 400, "value")


@pytest.fixture
async def record(store: Store, clock: Clock) -> None:
    """John has three visits, the last of them written an hour later; Mary has one of her own."""
    await open_clinic(store)
    related = {"resourceType": "RelatedPerson", "id": "wife", "patient": {"reference": "Patient/john"}}
    organization = {"resourceType": "Organization", "id": "mulago", "name": "Mulago"}
    await put(
        store,
        organization,
        related,
        patient("john", "UG123456789A", "John Doe") | {"managingOrganization": {"reference": "Organization/mulago"}},
        person("mary"),
        schedule("of-mary", "Patient/mary"),
        *(appointment(f"a{day}", start=f"2024-02-0{day}T10:00") for day in (1, 2)),
        appointment("hers", start="2024-02-05T10:00", participant=with_actors("Patient/mary", f"Location/{MULAGO}")),
    )
    clock.advance(hours=1)
    await put(store, appointment("a3", start="2024-02-03T10:00"))


@pytest.mark.usefixtures("record")
class TestEverything:
    async def found(self, api: Api, query: str = "", path: str = "Patient/john/$everything") -> Json:
        return bundled(await get(api, f"{path}{query}"))

    async def test_the_record_and_what_it_refers_to(self, api: Api) -> None:
        bundle = await self.found(api)
        assert names(bundle)[0] == "Patient/john"
        assert set(names(bundle)) == {
            "Patient/john",
            "RelatedPerson/wife",
            *(f"Appointment/a{day}" for day in (1, 2, 3)),
            f"Practitioner/{SARAH}",
            f"Location/{MULAGO}",
            "Organization/mulago",
        }
        assert len(set(names(bundle))) == len(names(bundle))
        assert link(bundle, "self") == f"{HOST}/Patient/john/$everything"
        assert all(entry["fullUrl"].startswith(HOST) for entry in bundle["entry"])

    async def test_by_post(self, api: Api) -> None:
        body = parameters(_type__valueCode="Appointment", start__valueDate="2024-02-02", _count__valueInteger=50)
        answer = await call(api, "POST", "Patient/john/$everything", body)
        assert names(bundled(answer)) == ["Appointment/a2", "Appointment/a3"]
        assert len(names(bundled(await call(api, "POST", "Patient/john/$everything")))) == 8

    @pytest.mark.parametrize(
        ("query", "days"),
        [
            ("start=2024-02-02", {2, 3}),
            ("end=2024-02-02", {1, 2}),
            ("start=2024-02-02&end=2024-02-02", {2}),
            ("start=2024-02-04", set[int]()),
        ],
    )
    async def test_start_and_end_are_of_what_takes_place(self, api: Api, query: str, days: set[int]) -> None:
        bundle = await self.found(api, f"?{query}&_type=Appointment")
        assert set(names(bundle)) == {f"Appointment/a{day}" for day in days}
        assert "Patient/john" in names(await self.found(api, f"?{query}"))

    async def test_since_is_what_has_changed(self, api: Api) -> None:
        assert names(await self.found(api, "?_since=2024-01-15T10:30:00Z")) == ["Appointment/a3"]

    @pytest.mark.parametrize(
        "query",
        ["_type=Patient,RelatedPerson", "_type=Patient, RelatedPerson", "_type=Patient&_type=RelatedPerson"],
    )
    async def test_types(self, api: Api, query: str) -> None:
        assert names(await self.found(api, f"?{query}")) == ["Patient/john", "RelatedPerson/wife"]

    async def test_a_type_that_is_only_referred_to(self, api: Api) -> None:
        assert names(await self.found(api, "?_type=Practitioner")) == [f"Practitioner/{SARAH}"]

    @pytest.mark.parametrize("count", [1, 2, 3, 5])
    async def test_its_pages(self, api: Api, count: int) -> None:
        record = {"Patient/john", "RelatedPerson/wife", *(f"Appointment/a{day}" for day in (1, 2, 3))}
        page = await self.found(api, f"?_count={count}")
        seen: list[str] = names(page, "match")
        while (following := link(page, "next")) is not None:
            assert [name for name, _ in parse_qsl(urlsplit(following).query)] == ["_page"]
            page = bundled(await get(api, following))
            seen += names(page, "match")
        assert len(seen) == len(set(seen))
        assert set(seen) == record

    async def test_of_all_patients(self, api: Api) -> None:
        found = names(await self.found(api, path="Patient/$everything"))
        assert {"Patient/john", "Patient/mary", "Appointment/a1", "Appointment/hers", "Schedule/of-mary"} <= set(found)
        assert "Schedule/sarah" not in found
        page = await self.found(api, "?_count=2&_type=Appointment", path="Patient/$everything")
        following = link(page, "next")
        assert following is not None
        second = names(bundled(await get(api, following)))
        assert names(page) + second == ["Appointment/a1", "Appointment/a2", "Appointment/a3", "Appointment/hers"]

    async def test_another_patient_is_no_part_of_it(self, api: Api, store: Store) -> None:
        together = with_actors("Patient/john", "Patient/mary")
        await put(store, appointment("both", start="2024-02-09T10:00", participant=together))
        found = names(await self.found(api))
        assert "Appointment/both" in found
        assert "Patient/mary" not in found

    async def test_what_is_not_there(self, api: Api) -> None:
        outcome(await get(api, "Patient/none/$everything"), 404, "not-found")
        await call(api, "PUT", "Patient/x", person("x"))
        await call(api, "DELETE", "Patient/x")
        outcome(await get(api, "Patient/x/$everything"), 410, "deleted")

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("foo=1", "not-supported"),
            ("_type=Encounter", "not-supported"),
            ("_count=-1", "value"),
            ("_count=x", "value"),
            ("start=x", "value"),
            ("_since=x", "value"),
            ("start=2024&start=2025", "value"),
            ("_page=x", "invalid"),
            ("_after_type=Slot&_after_id=x", "value"),
            ("_after_type=Patient", "value"),
        ],
    )
    async def test_a_bad_parameter_is_400(self, api: Api, query: str, code: str) -> None:
        outcome(await get(api, f"Patient/john/$everything?{query}"), 400, code)

    async def test_pretty(self, api: Api) -> None:
        assert b"\n" in (await get(api, "Patient/john/$everything?_pretty=true&_format=json&start=")).content


async def test_an_operation_that_there_is_none_of_is_404(api: Api) -> None:
    for path in ("Patient/$foo", "Slot/$everything", "Patient/x/$everything/y"):
        assert (await api.get(f"{BASE}/{path}")).status_code == 404
