"""What the door makes of a search: links, pages, forms, notes, compartments (https://hl7.org/fhir/R4/search.html).

Which resources a search finds is tested with `store.search`.
"""

from __future__ import annotations

import re
from uuid import UUID

import bson
import pytest

from adapter.service import Service
from tests.adapter.fhir.door import BASE, HOST, bundled, call, get, link, made, names, notes, outcome, person
from tests.adapter.fhir.searching import UHIDS, found, pages, used, visits
from tests.adapter.mediloop.clinic import MULAGO, SARAH, UHID
from tests.conftest import Api, ApiMaker, ServiceMaker

__all__ = ["visits"]


URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-F]{2})+")
"""What RFC 3986 lets a URI without a fragment be made of."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
STRICT = {"prefer": "handling=strict"}


class TestBundle:
    async def test_entries_have_address_resource_and_mode(self, api: Api) -> None:
        bundle = await found(api, "Appointment?_id=a1&_include=Appointment:patient")
        match, included = bundle["entry"]
        assert match["fullUrl"] == f"{HOST}/Appointment/a1"
        assert (match["search"], included["search"]) == ({"mode": "match"}, {"mode": "include"})
        assert match["resource"] == (await get(api, "Appointment/a1")).json()
        assert bundle["total"] == 1

    async def test_without_a_match_there_are_no_entries(self, api: Api) -> None:
        bundle = await found(api, "Appointment?_id=none")
        assert bundle == {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": 0,
            "link": [{"relation": "self", "url": f"{HOST}/Appointment?_id=none"}],
        }

    async def test_a_total_that_is_not_wanted_is_left_out(self, api: Api) -> None:
        assert "total" not in await found(api, "Appointment?_total=none&_count=1")

    @pytest.mark.parametrize("query", ["_count=0", "_summary=count"])
    async def test_a_count_alone(self, api: Api, query: str) -> None:
        bundle = await found(api, f"Appointment?{query}")
        assert bundle["total"] == 5
        assert "entry" not in bundle
        assert link(bundle, "next") is None

    async def test_a_summary_is_of_matches_and_of_what_comes_with_them(self, api: Api) -> None:
        bundle = await found(api, "Appointment?_id=a1&_include=Appointment:patient&_summary=true")
        for entry in bundle["entry"]:
            assert entry["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"

    async def test_elements_are_for_matches_alone(self, api: Api) -> None:
        bundle = await found(api, "Appointment?_id=a1&_include=Appointment:patient&_elements=start")
        match, included = (entry["resource"] for entry in bundle["entry"])
        assert match.keys() == {"resourceType", "id", "meta", "status", "participant", "start"}
        assert included == (await get(api, "Patient/john")).json()

    async def test_blanks_around_elements_are_none_of_them_as_in_a_read(self, api: Api) -> None:
        bundle = await found(api, "Appointment?_id=a1&_elements=start, end ,,%20")
        assert link(bundle, "self") == f"{HOST}/Appointment?_id=a1&_elements=start,end"
        assert notes(bundle) == []
        read = (await get(api, "Appointment/a1?_elements=start, end ,,%20")).json()
        assert bundle["entry"][0]["resource"] == read
        assert {"start", "end"} <= read.keys()
        assert (await get(api, "Appointment/a1?_elements=%20")).json() == (await get(api, "Appointment/a1")).json()


class TestSelf:
    async def test_it_lists_what_was_used(self, api: Api) -> None:
        bundle = await found(api, "Appointment?status=fulfilled&foo=1&date=ge2024-02-03&_sort=-date&empty=&_count=2")
        assert link(bundle, "self") == f"{HOST}/Appointment?status=fulfilled&date=ge2024-02-03&_sort=-date&_count=2"

    async def test_it_finds_the_same(self, api: Api) -> None:
        for query in (
            f"patient.identifier={UHIDS}|{UHID}&_count=3",
            "date=ge2024-02-03T10:00:00%2B00:00&_sort=date",
            "_include=Appointment:patient:Patient&status:not=booked",
            "status=fulfilled,booked&_elements=start,end",
            "date=le2024-02-03T13:00:00+03:00",
            'reason-code:text=a "b" <c> {d} é \\\\ ^`',
        ):
            bundle = await found(api, f"Appointment?{query}")
            own = link(bundle, "self")
            assert own is not None
            again = await found(api, own)
            assert names(again) == names(bundle)
            assert link(again, "self") == own
            assert URI.fullmatch(own), own

    async def test_a_plus_that_was_not_escaped_is_repaired(self, api: Api) -> None:
        bundle = await found(api, "Appointment?date=ge2024-02-03T13:00:00+03:00&_format=application/fhir+json")
        assert names(bundle) == ["Appointment/a3", "Appointment/a4", "Appointment/a5"]
        assert used(bundle)[0] == ("date", "ge2024-02-03T13:00:00+03:00")

    async def test_a_blank_before_a_time_of_day_is_one_in_a_name(self, api: Api) -> None:
        await made(api, {"resourceType": "Location", "id": "w", "name": "Ward 5 10:30"})
        for query in ("name=Ward 5 10:30", "name:exact=Ward+5+10:30", "identifier:text=5 10:30&_id=w"):
            bundle = await found(api, f"Location?{query}")
            assert next(value for _, value in used(bundle)) in ("Ward 5 10:30", "5 10:30")
            assert names(await found(api, link(bundle, "self") or "")) == names(bundle)
        chained = "_has:Appointment:location:date=ge2024-01-20T13:00:00+03:00"
        assert used(await found(api, f"Location?{chained}")) == [(chained[:-28], "ge2024-01-20T13:00:00+03:00")]

    async def test_the_address_is_the_one_that_the_client_used(
        self, make_service: ServiceMaker, make_api: ApiMaker
    ) -> None:
        api = await make_api(make_service(base_url="https://fhir.example.org/clinic"))
        bundle = bundled(await get(api, "Appointment?_id=a1"))
        assert link(bundle, "self") == "https://fhir.example.org/clinic/fhir/R4/Appointment?_id=a1"
        assert bundle["entry"][0]["fullUrl"] == "https://fhir.example.org/clinic/fhir/R4/Appointment/a1"


class TestForms:
    async def test_parameters_in_both_places_count(self, api: Api) -> None:
        answer = await call(api, "POST", "Appointment/_search?date=ge2024-02-03", data={"date": "le2024-02-04"})
        bundle = bundled(answer)
        assert names(bundle) == ["Appointment/a3", "Appointment/a4"]
        assert used(bundle) == [("date", "ge2024-02-03"), ("date", "le2024-02-04")]

    async def test_it_finds_what_a_get_finds(self, api: Api) -> None:
        form = {"patient.identifier": f"{UHIDS}|{UHID}", "_sort": "-date", "_count": "3"}
        posted = bundled(await call(api, "POST", "Appointment/_search", data=form))
        got = bundled(await call(api, "GET", "Appointment", params=form))
        assert names(posted) == names(got)
        assert link(posted, "self") == link(got, "self")

    async def test_an_empty_form_finds_all(self, api: Api) -> None:
        assert bundled(await call(api, "POST", "Appointment/_search"))["total"] == 5
        assert bundled(await call(api, "POST", "Appointment/_search", content=b"", headers=FORM))["total"] == 5

    async def test_the_format_may_be_in_the_form(self, api: Api) -> None:
        answer = await call(api, "POST", "Appointment/_search", data={"_format": "application/json", "_pretty": "true"})
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert b"\n" in answer.content
        outcome(await call(api, "POST", "Appointment/_search", data={"_format": "xml"}), 406, "not-supported")

    async def test_another_body_is_415(self, api: Api) -> None:
        outcome(await call(api, "POST", "Appointment/_search", {"status": "booked"}), 415, "not-supported")

    async def test_what_is_no_text_is_400(self, api: Api) -> None:
        outcome(await call(api, "POST", "Appointment/_search", content=b"status=%ff", headers=FORM), 400, "invalid")
        outcome(await get(api, "Appointment?status=%ff"), 400, "invalid")


class TestSystem:
    async def test_several_types_at_once(self, api: Api) -> None:
        bundle = await found(api, "?_type=Patient,Practitioner&_lastUpdated=ge2024-01-01")
        assert set(names(bundle)) == {"Patient/john", f"Practitioner/{SARAH}", "Practitioner/prov-def-456"}
        assert bundle["total"] == 3
        assert link(bundle, "self") == f"{HOST}?_type=Patient,Practitioner&_lastUpdated=ge2024-01-01"

    async def test_by_post(self, api: Api) -> None:
        for path in ("_search", "_search?_type=Patient"):
            answer = await call(api, "POST", path, data={"_type": "Slot", "_id": "slot-001"})
            assert names(bundled(answer)) == ["Slot/slot-001"]

    async def test_its_pages(self, api: Api) -> None:
        whole = names(await found(api, "?_type=Appointment, Slot"))
        shown = await pages(api, "?_type=Appointment,Slot&_count=3")
        assert [name for page in shown for name in names(page)] == whole
        assert len(whole) == 8

    async def test_what_a_link_names_counts_and_not_what_stands_beside_it(self, api: Api) -> None:
        following = link(await found(api, "?_type=Appointment,Slot&_count=3"), "next")
        assert following is not None
        first, _, query = following.partition("?")
        beside = await found(api, f"{first}?_type=Patient&{query}")
        assert names(beside) == [*names(await found(api, following)), "OperationOutcome/"]

    @pytest.mark.parametrize("query", ["?_id=john,sarah", "?_type=&_id=john,sarah", "?_type=,&_id=john,sarah"])
    async def test_without_types_it_is_of_all(self, api: Api, query: str) -> None:
        assert names(await found(api, query)) == ["Schedule/sarah", "Patient/john"]

    async def test_the_pages_of_everything(self, api: Api) -> None:
        shown = [name for page in await pages(api, "?_count=5") for name in names(page)]
        assert sorted(shown) == sorted(set(shown))
        assert len(shown) == (await found(api, "?_summary=count"))["total"] > 10

    async def test_what_only_some_types_are_searched_by_is_400(self, api: Api) -> None:
        without = ("Appointment", "AppointmentResponse", "Slot", "Group", "Location")
        outcome(await get(api, "?active=true"), 400, *["not-supported" for _ in without])

    async def test_a_type_that_there_is_none_of_is_400(self, api: Api) -> None:
        issue = outcome(await get(api, "?_type=Patient,Encounter"), 400, "not-supported")
        assert (issue["location"], "Slot" in issue["diagnostics"]) == (["http._type"], True)

    @pytest.mark.parametrize("kind", ["SearchParameter", "OperationDefinition"])
    async def test_definitions_are_searched_at_their_own_address(self, api: Api, kind: str) -> None:
        issue = outcome(await get(api, f"?_type=Patient,{kind}"), 400, "not-supported")
        assert (issue["location"], f"GET {kind}." in issue["diagnostics"]) == (["http._type"], True)

    async def test_a_parameter_that_one_of_them_lacks_is_no_filter(self, api: Api) -> None:
        answer = await get(api, "?_type=Patient,Slot&status=free")
        assert answer.status_code == 400 or notes(bundled(answer))

    async def test_a_changed_link_is_400(self, api: Api) -> None:
        outcome(await get(api, "?_page=x"), 400, "invalid")

    async def test_the_base_with_a_slash(self, api: Api) -> None:
        assert bundled(await api.get(f"{BASE}/?_type=Patient"))["total"] == 1


class TestCompartments:
    async def test_what_a_patient_takes_part_in(self, api: Api) -> None:
        bundle = await found(api, "Patient/john/Appointment?date=ge2024-02-04")
        assert names(bundle) == ["Appointment/a4", "Appointment/a5"]
        assert link(bundle, "self") == f"{HOST}/Patient/john/Appointment?date=ge2024-02-04"
        assert "entry" not in await found(api, "Patient/jane/Appointment")

    async def test_what_a_practitioner_takes_part_in(self, api: Api) -> None:
        assert (await found(api, f"Practitioner/{SARAH}/Appointment"))["total"] == 5
        assert names(await found(api, f"Practitioner/{SARAH}/Schedule")) == ["Schedule/sarah"]

    async def test_everything_in_it(self, api: Api) -> None:
        bundle = await found(api, f"Practitioner/{SARAH}/*")
        assert set(names(bundle)) == {
            *(f"Appointment/a{day}" for day in range(1, 6)),
            "Schedule/sarah",
            f"Practitioner/{SARAH}",
        }
        shown = await pages(api, f"Practitioner/{SARAH}/*?_count=4")
        assert [name for page in shown for name in names(page)] == names(bundle)

    async def test_whose_it_is_is_in_it(self, api: Api) -> None:
        await made(api, {"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": "Patient/john"}})
        for name in ("Patient/john", f"Practitioner/{SARAH}", "RelatedPerson/r"):
            assert name in names(await found(api, f"{name}/*"))
            assert names(await found(api, f"{name}/{name.partition('/')[0]}")) == [name]

    async def test_by_post(self, api: Api) -> None:
        answer = await call(api, "POST", "Patient/john/Appointment/_search", data={"date": "2024-02-04"})
        assert names(bundled(answer)) == ["Appointment/a4"]

    async def test_its_pages(self, api: Api) -> None:
        shown = await pages(api, "Patient/john/Appointment?_count=2&_sort=-date")
        assert [name for page in shown for name in names(page)] == [f"Appointment/a{day}" for day in (5, 4, 3, 2, 1)]

    @pytest.mark.parametrize("path", ["Patient/john/Slot", f"Location/{MULAGO}/Appointment", "Patient/john/Encounter"])
    async def test_what_is_no_compartment_is_404(self, api: Api, path: str) -> None:
        outcome(await get(api, path), 404, "not-supported")

    async def test_it_cannot_be_written(self, api: Api) -> None:
        for method in ("POST", "PUT", "DELETE"):
            answer = await call(api, method, "Patient/john/Appointment", person("x") if method != "DELETE" else None)
            outcome(answer, 405, "not-supported")
            assert "GET" in answer.headers["Allow"]


async def test_too_many_parameters_are_said_to_be_that(api: Api) -> None:
    for answer in (
        await get(api, "Appointment?" + "&".join(["_id=a"] * 1_001)),
        await call(api, "POST", "Appointment/_search", data={"_id": ["a"] * 1_001}),
    ):
        assert "1000" in outcome(answer, 400, "too-costly")["diagnostics"]
    bundled(await get(api, "Appointment?" + "&".join(["_id=a"] * 1_000)))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Appointment/_search", "_sort"),
        ("Appointment/_search", "_elements"),
        ("_search", "_type"),
        ("$export", "_type"),
        ("$export", "_elements"),
        ("Patient/$everything", "_type"),
        ("Slot/$find?start=2024-01-20T00:00:00Z&end=2024-01-21T00:00:00Z", "visit-type"),
    ],
)
async def test_too_many_names_are_said_to_be_that(api: Api, path: str, name: str) -> None:
    names = ",".join(f"a{index}" for index in range(1_001))
    parameters = {"resourceType": "Parameters", "parameter": [{"name": name, "valueString": names}]}
    sent = {"data": {name: names}} if path.endswith("_search") else {"body": parameters}
    assert "1,000" in outcome(await call(api, "POST", path, **sent), 400, "too-costly")["diagnostics"]


@pytest.mark.parametrize("headers", [STRICT, {}])
@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("Appointment/_search", [("_sort", ",".join(f"s{index}" for index in range(300)))]),
        ("Appointment/_search", [("_elements", ",".join(f"e{index}" for index in range(300)))]),
        ("Appointment/_search", [(f"a{index}", "x") for index in range(300)]),
        ("OperationDefinition", [(f"a{index}", "x") for index in range(300)]),
        ("Slot/$find?start=2024-01-20&end=2024-01-20", [(f"a{index}", "x") for index in range(300)]),
        ("Appointment/a/$book", [(f"a{index}", "x") for index in range(300)]),
        ("$export", [(f"a{index}", "x") for index in range(300)]),
        ("$export", [("_elements", ",".join(f"e{index}" for index in range(300)))]),
    ],
)
async def test_of_many_problems_the_first_are_told_and_how_many_more_there_are(
    api: Api, path: str, sent: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    body = {"resourceType": "Parameters", "parameter": [{"name": name, "valueString": value} for name, value in sent]}
    if path == "OperationDefinition":
        answer = await api.http.get(
            f"{BASE}/{path}", params=dict(sent), headers={"Authorization": f"Bearer {api.key}", **headers}
        )
    elif path.endswith("_search"):
        answer = await call(api, "POST", path, data=dict(sent), headers=headers)
    else:
        answer = await call(api, "POST", path, body, headers=headers)
    issues = answer.json()["issue"] if answer.status_code == 400 else notes(answer.json())
    assert (len(issues), "200 further" in issues[-1]["diagnostics"]) == (101, True)
    severity = "error" if answer.status_code == 400 else "warning"
    assert {issue["severity"] for issue in issues} == {severity}


async def test_what_a_lenient_export_passes_over_is_kept_as_a_few_notes(api: Api) -> None:
    sent = [{"name": f"a{index}", "valueString": "x"} for index in range(300)]
    headers = {"prefer": "respond-async, handling=lenient"}
    body = {"resourceType": "Parameters", "parameter": sent}
    assert (await call(api, "POST", "$export", body, headers=headers)).status_code == 202
    job = await api.service.stores["test"].database["exports"].find_one({})
    assert job is not None
    kept = bson.decode(job["plan"])["notes"]
    assert (len(kept), "200 further" in kept[-1]["issue"][0]["diagnostics"]) == (101, True)


async def test_filters_of_an_export_have_as_many_parameters_as_a_search(api: Api) -> None:
    for filters in (["Patient?active=true"] * 1_001, ["Patient?" + "&".join(["active=true"] * 1_001)]):
        sent = [{"name": "_typeFilter", "valueString": one} for one in filters]
        answer = await call(api, "POST", "$export", {"resourceType": "Parameters", "parameter": sent})
        assert "1,000" in outcome(answer, 400, "too-costly")["diagnostics"]


class TestUnknown:
    async def test_an_unknown_parameter_is_said_to_be_left_out(self, api: Api) -> None:
        bundle = await found(api, "Appointment?foo=1&_id=a1")
        [note] = notes(bundle)
        assert (note["severity"], note["code"], note["location"]) == ("warning", "not-supported", ["http.foo"])
        assert bundle["total"] == 1
        assert used(bundle) == [("_id", "a1")]

    async def test_what_tells_it_is_an_entry_with_a_name_of_its_own(self, api: Api) -> None:
        # https://hl7.org/fhir/R4/bundle.html#bundle-unique: every entry but those of batches and transactions has one.
        told = [(await found(api, "Appointment?foo=1&_id=a1"))["entry"][-1] for _ in range(2)]
        assert [entry["search"]["mode"] for entry in told] == ["outcome"] * 2
        assert len({UUID(entry["fullUrl"].removeprefix("urn:uuid:")) for entry in told}) == 2

    async def test_lenient_is_the_same(self, api: Api) -> None:
        answer = await get(api, "Appointment?foo=1", prefer="handling=lenient")
        assert len(notes(bundled(answer))) == 1
        assert answer.headers["Preference-Applied"] == "handling=lenient"

    async def test_strict_refuses_each(self, api: Api) -> None:
        answer = await get(api, "Appointment?foo=1&bar=2&_id=a1", prefer="handling=strict")
        assert outcome(answer, 400, "not-supported", "not-supported")["location"] == ["http.foo"]

    @pytest.mark.parametrize(
        ("kind", "name"),
        [("Patient", "general-practitioner"), ("Appointment", "-actor"), ("Appointment", "slot"), ("Location", "near")],
    )
    async def test_what_cannot_be_sorted_by_is_told_or_refused(self, api: Api, kind: str, name: str) -> None:
        bundle = await found(api, f"{kind}?_sort={name}")
        [note] = notes(bundle)
        assert (note["severity"], note["code"], note["location"]) == ("warning", "not-supported", ["http._sort"])
        assert "_sort" not in str(link(bundle, "self"))
        strict = await get(api, f"{kind}?_sort={name}", prefer="handling=strict")
        assert outcome(strict, 400, "not-supported")["location"] == ["http._sort"]

    @pytest.mark.parametrize(("order", "expected"), [("family", "abc"), ("-family", "bac")])
    async def test_of_several_values_the_one_that_comes_first_counts(self, api: Api, order: str, expected: str) -> None:
        for ident, families in (("a", ("Akello", "Mukasa")), ("b", ("Babirye", "Zziwa")), ("c", ("Kato",))):
            await made(api, person(ident) | {"name": [{"family": one} for one in families]})
        for page in ("", "&_count=1"):
            shown = await pages(api, f"Patient?_id=a,b,c&_sort={order}{page}")
            assert [name for one in shown for name in names(one)] == [f"Patient/{ident}" for ident in expected]

    @pytest.mark.parametrize("handling", ["strict", "lenient"])
    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("status:above=booked", "not-supported"),
            ("date=yesterday", "value"),
            ("_count=-1", "value"),
            ("_summary=most", "value"),
            ("_total=exactly", "value"),
            ("patient.foo=1", "not-supported"),
            ("_has:Encounter:patient:status=x", "not-supported"),
            ("_query=free-slots", "not-supported"),
        ],
    )
    async def test_what_would_change_the_meaning_is_400_in_every_mode(
        self, api: Api, query: str, code: str, handling: str
    ) -> None:
        outcome(await get(api, f"Appointment?{query}", prefer=f"handling={handling}"), 400, code)

    async def test_all_that_is_wrong_is_said_at_once(self, api: Api) -> None:
        outcome(await get(api, "Appointment?status:above=x&date=y&_count=z"), 400, "not-supported", "value", "value")

    async def test_an_unknown_type_is_404(self, api: Api) -> None:
        outcome(await get(api, "Encounter?status=x"), 404, "not-supported")
        outcome(await call(api, "POST", "Encounter/_search", data={"status": "x"}), 404, "not-supported")


async def test_a_write_is_found_as_soon_as_it_is_answered(api: Api, service: Service) -> None:
    for number in range(3):
        await made(api, person("fresh", f"Fresh{number}"))
        assert names(await found(api, f"Patient?family=Fresh{number}")) == ["Patient/fresh"]
        assert (await found(api, f"Patient?family=Fresh{number - 1}"))["total"] == 0
    assert service.stores["test"] is not service.stores["live"]
