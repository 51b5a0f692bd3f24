"""Reads, versions and histories through the door (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from store.store import Store
from tests.adapter.fhir.door import BASE, HOST, MEDIA_TYPE, bundled, call, get, link, made, outcome, person
from tests.adapter.mediloop.clinic import appointment, put
from tests.conftest import Api, Clock

Json = dict[str, Any]
MARK = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


@pytest.fixture
async def story(api: Api, clock: Clock) -> Api:
    """Patient/p made, changed, deleted and brought back, a minute between each."""
    await made(api, person("p", "One"))
    clock.advance(minutes=1)
    await made(api, person("p", "Two"))
    clock.advance(minutes=1)
    assert (await call(api, "DELETE", "Patient/p")).status_code == 204
    clock.advance(minutes=1)
    await made(api, person("p", "Four"))
    clock.advance(minutes=1)
    return api


def versions(bundle: Json) -> list[str]:
    return [one["response"]["etag"] for one in bundle.get("entry", ())]


async def walk(api: Api, path: str) -> list[Json]:
    """Return all pages from `path` on."""
    pages = [bundled(await get(api, path), "history")]
    while (url := link(pages[-1], "next")) is not None:
        pages.append(bundled(await get(api, url), "history"))
    return pages


class TestRead:
    async def test_with_the_version_that_the_client_has_it_is_304(self, story: Api) -> None:
        for spelling in ('W/"4"', '"4"', "4", 'W/"1", W/"4"', "*"):
            answer = await get(story, "Patient/p", if_none_match=spelling)
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == 'W/"4"'
        assert (await get(story, "Patient/p", if_none_match='W/"3"')).status_code == 200

    async def test_not_changed_since_then_is_304(self, story: Api) -> None:
        moment = (await get(story, "Patient/p")).headers["Last-Modified"]
        assert (await get(story, "Patient/p", if_modified_since=moment)).status_code == 304
        assert (await get(story, "Patient/p", if_modified_since="Mon, 15 Jan 2024 10:02:59 GMT")).status_code == 200
        assert (await get(story, "Patient/p", if_modified_since="yesterday")).status_code == 200

    async def test_changed_within_the_second_that_the_client_knows_is_not_304(self, api: Api, clock: Clock) -> None:
        await made(api, person("p", "One"))
        first = await get(api, "Patient/p")
        assert (await get(api, "Patient/p", if_modified_since=first.headers["Last-Modified"])).status_code == 304
        clock.advance(seconds=0.077)
        await made(api, person("p", "Two"))
        answer = await get(api, "Patient/p", if_modified_since=first.headers["Last-Modified"])
        assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
        # Of that version it is true for good; and the next second is another one.
        for path, since in (("/_history/2", "00"), ("", "01")):
            moment = f"Mon, 15 Jan 2024 10:00:{since} GMT"
            assert (await get(api, f"Patient/p{path}", if_modified_since=moment)).status_code == 304

    async def test_the_version_goes_before_the_date(self, story: Api) -> None:
        moment = (await get(story, "Patient/p")).headers["Last-Modified"]
        answer = await get(story, "Patient/p", if_none_match='W/"3"', if_modified_since=moment)
        assert answer.status_code == 200

    async def test_deleted_is_410_with_the_version_of_the_deletion(self, story: Api) -> None:
        await call(story, "DELETE", "Patient/p")
        answer = await get(story, "Patient/p")
        outcome(answer, 410, "deleted")
        assert answer.headers["ETag"] == 'W/"5"'

    async def test_unknown_is_404(self, api: Api) -> None:
        outcome(await get(api, "Patient/nobody"), 404, "not-found")
        outcome(await get(api, "Patient/no_id"), 404, "not-found")

    @pytest.mark.parametrize(
        "path", ["Patient/p", "Patient/p/_history/1", "Patient/p/_history", "Patient?_id=p", "metadata", "_history"]
    )
    async def test_head_is_get_without_the_body(self, story: Api, path: str) -> None:
        plain = {"Accept-Encoding": "identity"}
        whole, head = await call(story, "GET", path, headers=plain), await call(story, "HEAD", path, headers=plain)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "content-length", "etag", "last-modified"):
            assert head.headers.get(name) == whole.headers.get(name)
        assert int(head.headers["content-length"]) == len(whole.content) > 0

    async def test_not_modified_has_no_length(self, story: Api) -> None:
        answer = await call(story, "HEAD", "Patient/p", headers={"If-None-Match": 'W/"4"'})
        assert (answer.status_code, "content-length" in answer.headers) == (304, False)

    async def test_head_tells_no_length_where_get_would_be_compressed(self, api: Api) -> None:
        packed = {"Accept-Encoding": "gzip"}
        whole, head = (
            await call(api, "GET", "metadata", headers=packed),
            await call(api, "HEAD", "metadata", headers=packed),
        )
        assert whole.headers["content-encoding"] == "gzip"
        assert (head.status_code, "content-length" in head.headers) == (200, False)
        assert head.headers["etag"] == whole.headers["etag"]

    async def test_head_of_nothing_is_404_and_of_what_is_gone_410(self, story: Api) -> None:
        assert (await call(story, "HEAD", "Patient/x")).status_code == 404
        await call(story, "DELETE", "Patient/p")
        assert (await call(story, "HEAD", "Patient/p")).status_code == 410


class TestShapes:
    @pytest.fixture(autouse=True)
    async def visit(self, store: Store) -> None:
        text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Visit</div>'}
        await put(store, appointment("a1", text=text, comment="Bring the X-ray", description="Review"))

    async def shown(self, api: Api, query: str) -> Json:
        answer = await get(api, f"Appointment/a1?{query}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["ETag"] == 'W/"1"'
        found: Json = answer.json()
        return found

    async def test_a_summary_keeps_status_and_participants(self, api: Api) -> None:
        found = await self.shown(api, "_summary=true")
        assert MARK in found["meta"]["tag"]
        assert {"status", "participant", "start", "end"} <= found.keys()
        assert not {"text", "comment"} & found.keys()

    async def test_a_summary_of_the_text(self, api: Api) -> None:
        found = await self.shown(api, "_summary=text")
        assert found.keys() == {"resourceType", "id", "meta", "text", "status", "participant"}

    async def test_data_is_all_but_the_text(self, api: Api) -> None:
        found = await self.shown(api, "_summary=data")
        assert "text" not in found
        assert found["comment"] == "Bring the X-ray"
        assert MARK in found["meta"]["tag"]

    async def test_false_and_an_empty_value_are_the_whole(self, api: Api) -> None:
        whole = (await get(api, "Appointment/a1")).content
        for query in ("_summary=false", "_summary=", "_elements=", "unknown=1"):
            answer = await get(api, f"Appointment/a1?{query}")
            assert (answer.status_code, answer.content) == (200, whole), query

    async def test_elements_come_with_what_is_mandatory(self, api: Api) -> None:
        found = await self.shown(api, "_elements=comment,start&_elements=end,nonsense")
        assert found.keys() == {"resourceType", "id", "meta", "comment", "start", "end", "status", "participant"}

    async def test_a_name_that_is_no_element_is_left_out_or_refused_as_in_a_search(self, api: Api) -> None:
        whole = (await get(api, "Appointment/a1")).json()
        for path in ("Appointment/a1", "Appointment/a1/_history/1", "Appointment/a1/_history", "_history"):
            found = (await get(api, f"{path}?_elements=bogus, Bogus,Patient.bogus")).json()
            assert (found["entry"][0]["resource"] if "entry" in found else found) == whole
            refused = await get(api, f"{path}?_elements=start,bogus", prefer="handling=strict")
            assert outcome(refused, 400, "not-supported")["location"] == ["http._elements"]
            assert (await get(api, f"{path}?_elements=start", prefer="handling=strict")).status_code == 200

    async def test_of_two_summaries_the_last_counts_as_in_a_search(self, api: Api) -> None:
        for query, tagged in (
            ("_summary=true&_summary=false", False),
            ("_summary=false&_summary=true&_summary=", True),
        ):
            found = (await get(api, f"Appointment?{query}")).json()["entry"][0]["resource"]
            assert found == await self.shown(api, query)
            assert ("tag" in found["meta"]) == tagged

    async def test_a_version_is_shown_in_parts_too(self, api: Api) -> None:
        found = (await get(api, "Appointment/a1/_history/1?_elements=comment")).json()
        assert MARK in found["meta"]["tag"]
        assert "start" not in found

    @pytest.mark.parametrize("value", ["count", "maybe", "TRUE"])
    async def test_a_summary_that_there_is_none_of_is_400(self, api: Api, value: str) -> None:
        issue = outcome(await get(api, f"Appointment/a1?_summary={value}"), 400, "value")
        assert issue["location"] == ["http._summary"]

    async def test_pretty_has_lines_and_the_same_content(self, api: Api) -> None:
        plain, pretty = await get(api, "Appointment/a1"), await get(api, "Appointment/a1?_pretty=true")
        assert pretty.json() == plain.json()
        assert b"\n  " in pretty.content
        assert b"\n" not in (await get(api, "Appointment/a1?_pretty=false")).content

    @pytest.mark.parametrize(
        ("wanted", "media_type"),
        [
            ("json", "application/fhir+json"),
            ("application/json", "application/json"),
            ("application/fhir+json", "application/fhir+json"),  # an unescaped plus is a blank
            ("application/fhir%2Bjson", "application/fhir+json"),
            ("text/json", "text/json"),
        ],
    )
    async def test_the_format_parameter_goes_before_accept(self, api: Api, wanted: str, media_type: str) -> None:
        answer = await get(api, f"Appointment/a1?_format={wanted}", accept="application/fhir+xml")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"

    async def test_a_version_of_fhir_is_named_if_it_was_asked_for(self, api: Api) -> None:
        answer = await get(api, "Appointment/a1", accept="application/fhir+json; fhirVersion=4.0")
        assert answer.headers["content-type"] == "application/fhir+json; fhirVersion=4.0; charset=utf-8"


class TestVersions:
    async def test_every_version_can_be_read(self, story: Api) -> None:
        for number, family in ((1, "One"), (2, "Two"), (4, "Four")):
            answer = await get(story, f"Patient/p/_history/{number}")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == MEDIA_TYPE
            assert answer.headers["ETag"] == f'W/"{number}"'
            assert answer.headers["Last-Modified"] == f"Mon, 15 Jan 2024 10:0{number - 1}:00 GMT"
            found = answer.json()
            assert (found["name"][0]["family"], found["meta"]["versionId"]) == (family, str(number))

    async def test_a_version_that_the_client_has_is_304(self, story: Api) -> None:
        moment = (await get(story, "Patient/p/_history/2")).headers["Last-Modified"]
        for headers in ({"if_none_match": 'W/"2"'}, {"if_none_match": "*"}, {"if_modified_since": moment}):
            answer = await get(story, "Patient/p/_history/2", **headers)
            assert (answer.status_code, answer.content) == (304, b"")
            assert (answer.headers["ETag"], answer.headers["Last-Modified"]) == ('W/"2"', moment)
        for headers in ({"if_none_match": 'W/"4"'}, {"if_modified_since": "Mon, 15 Jan 2024 10:00:59 GMT"}):
            assert (await get(story, "Patient/p/_history/2", **headers)).status_code == 200

    async def test_the_version_that_is_the_deletion_is_410(self, story: Api) -> None:
        answer = await get(story, "Patient/p/_history/3")
        outcome(answer, 410, "deleted")
        assert answer.headers["ETag"] == 'W/"3"'

    @pytest.mark.parametrize("number", ["5", "0", "01", "x", "1.0", "-1", "99999999999", "%D9%A1"])
    async def test_a_version_that_there_is_none_of_is_404(self, story: Api, number: str) -> None:
        outcome(await get(story, f"Patient/p/_history/{number}"), 404, "not-found")

    async def test_a_version_of_an_unknown_resource_is_404(self, story: Api) -> None:
        outcome(await get(story, "Patient/x/_history/1"), 404, "not-found")
        outcome(await get(story, "Slot/p/_history/1"), 404, "not-found")


class TestHistory:
    @pytest.mark.parametrize("path", ["Patient/p/_history", "Patient/_history", "_history"])
    async def test_newest_first_with_the_deletion(self, story: Api, path: str) -> None:
        found = bundled(await get(story, path), "history")
        assert found["total"] == 4
        assert versions(found) == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']
        assert link(found, "self") == f"{HOST}/{path}"
        for entry in found["entry"]:
            assert entry["fullUrl"] == f"{HOST}/Patient/p"
        newest, deletion, change, first = found["entry"]
        assert newest["request"] == change["request"] == {"method": "PUT", "url": "Patient/p"}
        assert deletion["request"] == {"method": "DELETE", "url": "Patient/p"}
        assert "resource" not in deletion
        assert first["resource"]["name"] == [{"family": "One"}]
        assert first["response"] == {
            "status": "201 Created",
            "etag": 'W/"1"',
            "lastModified": "2024-01-15T10:00:00.000Z",
        }
        assert (change["response"]["status"], deletion["response"]["status"]) == ("200 OK", "204 No Content")
        assert newest["response"]["status"] == "201 Created"  # it was brought back

    @pytest.mark.parametrize("path", ["Patient/p/_history", "Patient/_history", "_history"])
    async def test_what_was_brought_back_is_told_to_be_created_on_whatever_page(self, story: Api, path: str) -> None:
        await made(story, person("p", "Five"))
        newest = bundled(await get(story, f"{path}?_count=1"), "history")
        (back,) = bundled(await get(story, link(newest, "next") or ""), "history")["entry"]
        assert newest["entry"][0]["response"]["status"] == "200 OK"
        assert (back["response"]["etag"], back["response"]["status"]) == ('W/"4"', "201 Created")

    async def test_every_way_of_writing_has_its_method(self, api: Api) -> None:
        ident = (await call(api, "POST", "Patient", {"resourceType": "Patient", "active": True})).json()["id"]
        await call(api, "PATCH", f"Patient/{ident}", [{"op": "replace", "path": "/active", "value": False}])
        found = bundled(await get(api, f"Patient/{ident}/_history"), "history")
        assert [one["request"] for one in found["entry"]] == [
            {"method": "PATCH", "url": f"Patient/{ident}"},
            {"method": "POST", "url": "Patient"},
        ]
        assert [one["response"]["status"] for one in found["entry"]] == ["200 OK", "201 Created"]

    @pytest.mark.parametrize("path", ["Patient/p/_history", "Patient/_history", "_history"])
    @pytest.mark.parametrize(
        "since", ["2024-01-15T10:02:00Z", "2024-01-15T13:02:00%2B03:00", "2024-01-15T13:02:00+03:00"]
    )
    async def test_since_is_from_that_moment_on(self, story: Api, path: str, since: str) -> None:
        found = bundled(await get(story, f"{path}?_since={since}"), "history")
        assert versions(found) == ['W/"4"', 'W/"3"']
        assert found["total"] == 2
        own = link(found, "self")
        assert own == f"{HOST}/{path}?_since={since.replace('+', '%2B')}"
        assert versions(bundled(await get(story, own), "history")) == versions(found)

    async def test_since_then_nothing(self, story: Api) -> None:
        found = bundled(await get(story, "Patient/p/_history?_since=2024-01-15T10:03:00.001Z"), "history")
        assert found["total"] == 0
        assert "entry" not in found

    @pytest.mark.parametrize(
        ("since", "count"),
        [
            ("2016-12-31T23:59:60Z", 4),
            ("2024-01-15T10:01:60Z", 2),
            ("0001-01-01T00:00:00%2B14:00", 4),
            ("9999-12-31T23:59:59-14:00", 0),
        ],
    )
    @pytest.mark.parametrize("path", ["Patient/p/_history", "Patient/_history"])
    async def test_since_may_be_a_leap_second_or_beyond_the_calendar(
        self, story: Api, path: str, since: str, count: int
    ) -> None:
        assert bundled(await get(story, f"{path}?_since={since}"), "history")["total"] == count

    @pytest.mark.parametrize("path", ["Patient/p/_history", "Patient/_history", "_history"])
    async def test_pages_give_each_version_once(self, story: Api, path: str) -> None:
        for count in (1, 2, 3, 4):
            pages = await walk(story, f"{path}?_count={count}")
            assert len(pages) == -(-4 // count)
            assert {page["total"] for page in pages} == {4}
            assert [tag for page in pages for tag in versions(page)] == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']

    @pytest.mark.parametrize("path", ["Patient/_history", "_history"])
    async def test_what_is_written_meanwhile_does_not_move_the_pages(self, story: Api, path: str) -> None:
        first = bundled(await get(story, f"{path}?_count=2"), "history")
        await made(story, person("q"))
        following = link(first, "next")
        assert following is not None
        assert versions(bundled(await get(story, following), "history")) == ['W/"2"', 'W/"1"']

    @pytest.mark.parametrize("path", ["Patient/p/_history", "Patient/_history", "_history"])
    async def test_a_count_of_zero_is_the_total_alone(self, story: Api, path: str) -> None:
        found = bundled(await get(story, f"{path}?_count=0"), "history")
        assert found["total"] == 4
        assert "entry" not in found
        assert link(found, "next") is None

    async def test_a_poller_goes_on_from_the_moment_it_is_told(self, story: Api, clock: Clock) -> None:
        told = bundled(await get(story, "_history?_count=1"), "history")["meta"]["lastUpdated"]
        await made(story, person("q"))
        clock.advance(minutes=1)
        found = bundled(await get(story, f"_history?_since={told}"), "history")
        assert "Patient/q" in [one["request"]["url"] for one in found["entry"]]

    async def test_the_history_of_what_never_was_is_404(self, api: Api) -> None:
        for query in ("", "?_count=0", "?_since=2020-01-01T00:00:00Z"):
            outcome(await get(api, f"Patient/nobody/_history{query}"), 404, "not-found")
        issue = outcome(await get(api, "Appointment/none/_history"), 404, "not-found")
        assert issue["diagnostics"] == "No Appointment ever had that id."

    async def test_the_history_of_what_is_deleted_remains(self, story: Api) -> None:
        await call(story, "DELETE", "Patient/p")
        assert versions(bundled(await get(story, "Patient/p/_history"), "history"))[0] == 'W/"5"'

    async def test_the_history_of_a_type_without_any_is_empty(self, story: Api) -> None:
        found = bundled(await get(story, "Location/_history"), "history")
        assert found["total"] == 0

    @pytest.mark.parametrize(
        ("query", "issue"),
        [
            ("_since=yesterday", "value"),
            ("_since=2024-01-15", "value"),
            ("_since=2024-13-15T10:00:00Z", "value"),
            ("_since=2024-01-15T10:00:00%2B15:00", "value"),
            ("_count=-1", "value"),
            ("_count=many", "value"),
            ("_before=x", "value"),
            ("_count=1&_count=2", "value"),
            ("_at=2024", "not-supported"),
            ("_list=42", "not-supported"),
        ],
    )
    async def test_a_bad_parameter_is_400_and_named(self, api: Api, query: str, issue: str) -> None:
        found = outcome(await get(api, f"Patient/_history?{query}"), 400, issue)
        assert found["location"] == [f"http.{query.partition('=')[0]}"]

    async def test_an_empty_parameter_is_none(self, story: Api) -> None:
        found = bundled(await get(story, "Patient/p/_history?_since=&_count=&_count=2&_before=&foo="), "history")
        assert len(versions(found)) == 2
        assert link(found, "self") == f"{HOST}/Patient/p/_history?_count=2"

    async def test_an_unknown_parameter_is_ignored_or_refused_as_preferred(self, story: Api) -> None:
        found = bundled(await get(story, "Patient/_history?foo=1"), "history")
        assert link(found, "self") == f"{HOST}/Patient/_history"
        outcome(await get(story, "Patient/_history?foo=1", prefer="handling=strict"), 400, "not-supported")

    async def test_parts_of_the_versions(self, story: Api) -> None:
        found = bundled(await get(story, "Patient/p/_history?_elements=active&_count=2"), "history")
        assert ["name" in one["resource"] for one in found["entry"] if "resource" in one] == [False]
        assert "_elements=active" in (link(found, "next") or "")
        outcome(await get(story, "Patient/_history?_summary=count"), 400, "value")

    async def test_a_page_has_no_more_than_a_thousand(self, story: Api) -> None:
        for count in ("999999999", "9" * 5_000, "0" * 5_000 + "4"):
            assert len(versions(bundled(await get(story, f"_history?_count={count}"), "history"))) == 4

    async def test_form_parameters_are_taken(self, story: Api) -> None:
        answer: httpx.Response = await get(story, "_history?_format=json&_pretty=true")
        assert b"\n" in answer.content

    async def test_a_history_cannot_be_written(self, api: Api) -> None:
        for path in ("_history", "Patient/_history", "Patient/p/_history", "Patient/p/_history/1"):
            for method in ("POST", "PUT", "DELETE"):
                answer = await call(api, method, path)
                outcome(answer, 405, "not-supported")
                assert "GET" in answer.headers["Allow"]
        assert (await api.get(f"{BASE}/Patient/_history")).status_code == 200
