"""What the server says of itself, as a client reads it (https://hl7.org/fhir/R4/capabilitystatement.html)."""

from __future__ import annotations

from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.searchparameter import SearchParameter

from store.types import TYPES
from tests.adapter.fhir.door import BASE, HOST, MEDIA_TYPE, bundled, call, get, link, names, notes, outcome
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker

Json = dict[str, Any]
OWN = {"Slot-end": "end", "Appointment-date-or-req-period": "-date-or-req-period"}
CANONICAL = "https://mediloop.co/fhir"


async def statement(api: Api) -> Json:
    found: Json = (await get(api, "metadata")).json()
    return found


class TestStatement:
    async def test_it_is_valid_and_of_r4(self, api: Api) -> None:
        answer = await api.http.get(f"{BASE}/metadata")
        assert answer.headers["content-type"] == MEDIA_TYPE
        read = CapabilityStatement.model_validate_json(answer.content)
        assert (read.status, read.kind, read.fhirVersion) == ("active", "instance", "4.0.1")

    async def test_all_types_are_in_it(self, api: Api) -> None:
        [rest] = (await statement(api))["rest"]
        assert {one["type"] for one in rest["resource"]} == {*TYPES, "SearchParameter", "OperationDefinition"}
        assert {one["code"] for one in rest["interaction"]} == {
            *("transaction", "batch", "search-system", "history-system"),
        }

    async def test_definitions_are_those_of_r4(self, api: Api) -> None:
        [rest] = (await statement(api))["rest"]
        found = {
            f"{one['type']}.{parameter['name']}": parameter["definition"]
            for one in rest["resource"]
            for parameter in one["searchParam"]
        }
        assert found["Appointment.date"] == "http://hl7.org/fhir/SearchParameter/Appointment-date"
        assert found["Slot.start"] == "http://hl7.org/fhir/SearchParameter/Slot-start"
        assert found["Slot.end"] == f"{CANONICAL}/SearchParameter/Slot-end"
        assert found["Patient.address-city"] == "http://hl7.org/fhir/SearchParameter/individual-address-city"

    async def test_operations_are_named_without_the_dollar(self, api: Api) -> None:
        [rest] = (await statement(api))["rest"]
        found = {one["type"]: [operation["name"] for operation in one.get("operation", ())] for one in rest["resource"]}
        assert found["Patient"] == ["validate", "everything", "export"]
        assert found["Location"] == ["validate"]
        assert {"find", "hold", "book"} <= set(found["Appointment"])
        assert [operation["name"] for operation in rest["operation"]] == ["export"]

    async def test_who_knows_it_gets_304(self, api: Api) -> None:
        first = await get(api, "metadata")
        tag = first.headers["ETag"]
        assert tag.startswith('W/"')
        for known in (tag, tag.removeprefix("W/"), f'W/"other", {tag}', "*"):
            answer = await get(api, "metadata", if_none_match=known)
            assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
        for other in ('W/"other"', f'W/"{tag.removeprefix("W/").strip(chr(34))}0"'):
            assert (await get(api, "metadata", if_none_match=other)).content == first.content

    async def test_its_tag_is_of_what_it_says(
        self, make_service: ServiceMaker, make_api: ApiMaker, clock: Clock
    ) -> None:
        tags = []
        for settings in ({}, {}, {"canonical_base": "https://fhir.example.org"}):
            api = await make_api(make_service(**settings))
            tags.append((await get(api, "metadata")).headers["ETag"])
            clock.advance(minutes=1)
        assert tags[0] == tags[1] != tags[2]

    async def test_the_public_address_is_a_setting(self, make_service: ServiceMaker, make_api: ApiMaker) -> None:
        api = await make_api(make_service(base_url="https://fhir.example.org/clinic"))
        assert (await statement(api))["implementation"]["url"] == "https://fhir.example.org/clinic/fhir/R4"

    async def test_it_is_pretty_if_asked_for(self, api: Api) -> None:
        assert b"\n" in (await get(api, "metadata?_pretty=true&_format=json&mode=full")).content

    async def test_it_can_be_asked_for_in_a_batch(self, api: Api) -> None:
        entries = [
            {
                "request": {"method": method, "url": "metadata"},
                "resource": {"resourceType": "Basic", "code": {"text": "x"}},
            }
            for method in ("GET", "PUT")
        ]
        body = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": entries[0]["request"]}]}
        answer = bundled(await call(api, "POST", "", body), "batch-response")
        assert answer["entry"][0]["resource"]["resourceType"] == "CapabilityStatement"
        outcome(await call(api, "PUT", "metadata", entries[1]["resource"]), 405, "not-supported")


class TestSearchParameters:
    @pytest.mark.parametrize(("ident", "code"), OWN.items())
    async def test_each_can_be_read(self, api: Api, ident: str, code: str) -> None:
        answer = await get(api, f"SearchParameter/{ident}")
        assert answer.headers["content-type"] == MEDIA_TYPE
        read = SearchParameter.model_validate_json(answer.content)
        assert (read.id, read.code, read.type, read.url) == (
            ident,
            code,
            "date",
            f"{CANONICAL}/SearchParameter/{ident}",
        )

    async def test_they_are_listed(self, api: Api) -> None:
        bundle = bundled(await get(api, "SearchParameter"))
        assert set(names(bundle)) == {f"SearchParameter/{ident}" for ident in OWN}
        assert bundle["total"] == 2
        assert {entry["fullUrl"] for entry in bundle["entry"]} == {f"{HOST}/SearchParameter/{ident}" for ident in OWN}

    @pytest.mark.parametrize(
        ("query", "idents"),
        [
            (f"url={CANONICAL}/SearchParameter/Slot-end", {"Slot-end"}),
            ("code=end", {"Slot-end"}),
            ("code=end,-date-or-req-period", set(OWN)),
            ("name=slot", {"Slot-end"}),
            ("base=Appointment", {"Appointment-date-or-req-period"}),
            ("base=http://hl7.org/fhir/resource-types|Slot&status=active", {"Slot-end"}),
            ("_id=none", set[str]()),
            ("status=draft", set[str]()),
        ],
    )
    async def test_they_are_searched(self, api: Api, query: str, idents: set[str]) -> None:
        bundle = bundled(await get(api, f"SearchParameter?{query}"))
        assert set(names(bundle)) == {f"SearchParameter/{ident}" for ident in idents}
        assert link(bundle, "self") == f"{HOST}/SearchParameter?{query.replace('|', '%7C')}"
        form = dict(pair.split("=", 1) for pair in query.split("&"))
        posted = bundled(await call(api, "POST", "SearchParameter/_search", data=form))
        assert names(posted) == names(bundle)

    @pytest.mark.parametrize(
        ("query", "total"),
        [
            ("code=find", 2),
            ("code=|find", 2),
            ("code=http://x|find", 0),
            ("code=http://x|", 0),
            ("status=http://hl7.org/fhir/publication-status|", None),
            ("status=http://hl7.org/fhir/publication-status|active", None),
            ("status=http://hl7.org/fhir/publication-status|draft", 0),
            ("status=|active", 0),
            ("_id=appointment-find,", 1),
        ],
    )
    async def test_a_code_has_its_own_system_and_no_other(self, api: Api, query: str, total: int | None) -> None:
        whole = bundled(await get(api, "OperationDefinition"))["total"]
        assert bundled(await get(api, f"OperationDefinition?{query}"))["total"] == (whole if total is None else total)

    @pytest.mark.parametrize("kind", ["SearchParameter", "OperationDefinition"])
    async def test_they_come_in_pages_of_the_size_asked_for(self, api: Api, kind: str) -> None:
        whole = bundled(await get(api, kind))
        assert link(whole, "next") is None
        asked = f"{kind}?status=active&_count=1"
        pages = [bundled(await get(api, asked))]
        assert link(pages[0], "self") == f"{HOST}/{asked}"
        while (url := link(pages[-1], "next")) is not None:
            pages.append(bundled(await get(api, url, prefer="handling=strict")))
        assert [names(page) for page in pages] == [[name] for name in names(whole)]
        assert {page["total"] for page in pages} == {whole["total"]}

    @pytest.mark.parametrize("query", ["_count=0", "_summary=count", "_summary=count&_count=1"])
    @pytest.mark.parametrize("kind", ["SearchParameter", "OperationDefinition"])
    async def test_the_total_alone_can_be_asked_for(self, api: Api, kind: str, query: str) -> None:
        bundle = bundled(await get(api, f"{kind}?{query}", prefer="handling=strict"))
        assert bundle["total"] == bundled(await get(api, kind))["total"]
        assert "entry" not in bundle
        assert link(bundle, "next") is None

    async def test_a_definition_is_shown_whole(self, api: Api) -> None:
        for path in ("SearchParameter/Slot-end", "OperationDefinition/slot-find"):
            for query in ("_summary=true", "_elements=url"):
                assert (await get(api, f"{path}?{query}")).content == (await get(api, path)).content
        whole = bundled(await get(api, "SearchParameter?_summary=false", prefer="handling=strict"))
        assert len(whole["entry"]) == len(OWN)
        bundle = bundled(await get(api, "SearchParameter?_summary=true"))
        assert [one["location"] for one in notes(bundle)] == [["http._summary"]]
        outcome(await get(api, "SearchParameter?_summary=true", prefer="handling=strict"), 400, "not-supported")

    @pytest.mark.parametrize(
        ("query", "issue"),
        [("_count=x", "value"), ("_count=-1", "value"), ("_summary=some", "value"), ("_cursor=x", "invalid")],
    )
    async def test_a_page_that_there_cannot_be_is_refused(self, api: Api, query: str, issue: str) -> None:
        outcome(await get(api, f"SearchParameter?{query}"), 400, issue)

    async def test_what_is_unknown_is_said_or_refused(self, api: Api) -> None:
        bundle = bundled(await get(api, "SearchParameter?foo=1&_pretty=true"))
        assert [(one["code"], one["location"]) for one in notes(bundle)] == [("not-supported", ["http.foo"])]
        assert bundle["total"] == 2
        outcome(await get(api, "SearchParameter?foo=1", prefer="handling=strict"), 400, "not-supported")
        outcome(await get(api, "SearchParameter?name:exact=x"), 400, "not-supported")
        outcome(await get(api, "SearchParameter?_query=all"), 400, "not-supported")

    async def test_they_are_under_the_base_of_the_deployment(
        self, make_service: ServiceMaker, make_api: ApiMaker
    ) -> None:
        api = await make_api(make_service(canonical_base="https://fhir.example.org"))
        found = (await get(api, "SearchParameter/Slot-end")).json()
        assert found["url"] == "https://fhir.example.org/SearchParameter/Slot-end"
        [rest] = (await statement(api))["rest"]
        [slot] = [one for one in rest["resource"] if one["type"] == "Slot"]
        [end] = [one for one in slot["searchParam"] if one["name"] == "end"]
        assert end["definition"] == found["url"]

    async def test_they_cannot_be_written(self, api: Api) -> None:
        body = {"resourceType": "SearchParameter", "id": "Slot-end"}
        for method, path in (
            ("POST", "SearchParameter"),
            ("PUT", "SearchParameter/Slot-end"),
            ("DELETE", "SearchParameter/Slot-end"),
            ("DELETE", "SearchParameter?code=end"),
            ("PATCH", "SearchParameter/Slot-end"),
        ):
            answer = await call(api, method, path, None if method == "DELETE" else body)
            outcome(answer, 405, "not-supported")
            assert answer.headers["Allow"] == "GET, HEAD"

    async def test_what_is_none_is_404(self, api: Api) -> None:
        outcome(await get(api, "SearchParameter/Slot-start"), 404, "not-found")
        outcome(await get(api, "SearchParameter/Slot-end/_history/1"), 404, "not-found")
