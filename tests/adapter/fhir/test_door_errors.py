"""Whatever is refused under ``/fhir`` is an OperationOutcome with the issue type that FHIR has for it."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import httpx
import pytest

from adapter.app import create_app
from adapter.aside import LARGE
from adapter.errors import MethodNotAllowed, Problem, Refused
from adapter.fhir import outcome as outcomes
from adapter.fhir.call import Call
from adapter.fhir.interactions import answer as answer_to
from adapter.fhir.refusing import clashed
from adapter.security import keyring
from adapter.security.callers import Caller
from adapter.service import Service, build
from adapter.settings import Settings
from store.errors import AlreadyExists
from store.store import Store
from tests.adapter.fhir.door import BASE, MEDIA_TYPE, call, get, outcome, person
from tests.adapter.mediloop.clinic import put
from tests.adapter.records import recorded
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker

Json = dict[str, Any]
EVERY_PATH = (
    "",
    "Patient",
    "Patient/p",
    "Patient/p/_history",
    "Patient/p/_history/1",
    "Patient/_history",
    "_history",
    "Patient/$everything",
    "Patient/p/Appointment",
    "SearchParameter",
    "SearchParameter/Slot-end",
    "Encounter",
)
CODES = "https://mediloop.co/fhir/CodeSystem/operation-outcome"


def coded(answer: httpx.Response) -> str:
    coding: Json = answer.json()["issue"][0]["details"]["coding"][0]
    assert coding["system"] == CODES
    code: str = coding["code"]
    return code


class TestKeys:
    @pytest.mark.parametrize("path", EVERY_PATH)
    async def test_without_a_key_401(self, api: Api, path: str) -> None:
        answer = await api.http.get(f"{BASE}/{path}".rstrip("/"))
        outcome(answer, 401, "login")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("header", ["Bearer sk_test_unknown", "Basic dTpw", "Bearer", "Bearer sk_live_x"])
    async def test_with_a_key_that_is_none_401(self, api: Api, header: str) -> None:
        answer = await get(api, "Patient/p", Authorization=header)
        outcome(answer, 401, "login")
        assert header.split()[-1] not in answer.json()["issue"][0]["diagnostics"] or header == "Bearer"

    async def test_a_key_that_has_ended_is_expired(self, service: Service, make_api: ApiMaker, clock: Clock) -> None:
        api: Api = await make_api(service)
        await service.stores["test"].database["keys"].update_many({}, {"$set": {"expires": clock.moment}})
        answer = await get(api, "Patient/p")
        outcome(answer, 401, "expired")
        assert coded(answer) == "api_key_expired"

    async def test_without_the_permission_403(self, service: Service, make_api: ApiMaker) -> None:
        api: Api = await make_api(service, granted=["slots:read"])
        answer = await get(api, "Patient/p")
        assert "patients:read" in outcome(answer, 403, "forbidden")["diagnostics"]
        assert coded(answer) == "permission_denied"


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("Encounter", "not-supported"),
            ("Encounter/1", "not-supported"),
            ("Encounter/1/_history", "not-supported"),
            ("Encounter/$validate", "not-supported"),
            ("patient/1", "not-supported"),
            ("Patient/$match", "not-supported"),
            ("Patient/p/$meta", "not-supported"),
            ("Slot/$everything", "not-supported"),
            ("Patient/none", "not-found"),
            ("SearchParameter/none", "not-found"),
            ("SearchParameter/Slot-end/_history", "not-found"),
            ("$import", "not-supported"),
            ("a/b/c/d/e/f", "not-found"),
            (".well-known/smart-configuration", "not-found"),
        ],
    )
    async def test_what_is_not_there_is_404(self, api: Api, path: str, code: str) -> None:
        issue = outcome(await get(api, path), 404, code)
        assert issue["diagnostics"].endswith(".")

    async def test_outside_of_the_version_too(self, api: Api) -> None:
        for path in ("/fhir", "/fhir/", "/fhir/R5/Patient/1", "/fhir/R4B/metadata"):
            outcome(await api.get(path), 404, "not-found")


ALLOWED = {
    "": {"GET", "HEAD", "POST"},
    "metadata": {"GET", "HEAD"},
    "Patient": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
    "Patient/p": {"GET", "HEAD", "PUT", "PATCH", "DELETE"},
    "Patient/_search": {"POST"},
    "Patient/_history": {"GET", "HEAD"},
    "Patient/p/_history": {"GET", "HEAD"},
    "Patient/p/_history/1": {"GET", "HEAD"},
    "Patient/$validate": {"GET", "HEAD", "POST"},
    "Patient/p/$validate": {"GET", "HEAD", "POST"},
    "Patient/$everything": {"GET", "HEAD", "POST"},
    "Patient/p/$everything": {"GET", "HEAD", "POST"},
    "Patient/p/Appointment": {"GET", "HEAD"},
    "Patient/p/Appointment/_search": {"POST"},
    "Appointment/$book": {"POST"},
    "Slot/$find": {"GET", "HEAD", "POST"},
    "SearchParameter": {"GET", "HEAD"},
    "SearchParameter/_search": {"POST"},
    "SearchParameter/Slot-end": {"GET", "HEAD"},
    "OperationDefinition/slot-find": {"GET", "HEAD"},
    "_history": {"GET", "HEAD"},
    "_search": {"POST"},
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW")


class TestMethods:
    @pytest.mark.parametrize("path", ALLOWED)
    async def test_allow_names_the_methods_that_are_taken(self, api: Api, path: str) -> None:
        for method in METHODS:
            answer = await call(api, method, path)
            if method in ALLOWED[path]:
                assert answer.status_code != 405, (method, path)
                continue
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["Allow"].split(", ")) == ALLOWED[path], (method, path)
            if method != "HEAD":
                outcome(answer, 405, "not-supported")

    @pytest.mark.parametrize("path", ["Observation", "Observation/1", "Observation/1/_history", "Observation/_search"])
    async def test_a_type_that_is_not_there_is_404_by_whatever_method(self, api: Api, path: str) -> None:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
            answer = await call(api, method, path, headers={"Content-Type": "application/x-www-form-urlencoded"})
            outcome(answer, 404, "not-supported")

    async def test_in_a_batch_too(self, api: Api) -> None:
        entries = [
            {"request": {"method": method, "url": url}, "resource": person("p")}
            for method, url in (("POST", "Patient/p"), ("PUT", "Patient/p/$everything"), ("PUT", "metadata"))
        ]
        body = {"resourceType": "Bundle", "type": "batch", "entry": entries}
        answer = await call(api, "POST", "", body)
        for entry in answer.json().get("entry", ()):
            assert entry["response"]["status"][0] == "4", entry
        assert answer.status_code in (200, 400)

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("PUT", "", "GET, HEAD, POST"),
            ("GET", "_search", "GET, HEAD"),
            ("POST", "_history", "GET, HEAD"),
            ("GET", "Patient/_search", "POST"),
            ("POST", "Patient/_history", "GET, HEAD"),
            ("POST", "Patient/p", "GET, HEAD, PUT, PATCH, DELETE"),
            ("DELETE", "Patient/p/_history", "GET, HEAD"),
            ("DELETE", "Patient/p/Appointment", "GET, HEAD"),
            ("DELETE", "Patient/$everything", "GET, HEAD, POST"),
            ("GET", "SearchParameter/_search", "POST"),
            ("DELETE", "metadata", "GET, HEAD"),
        ],
    )
    async def test_a_call_that_no_route_has_sorted_out(self, api: Api, method: str, path: str, allow: str) -> None:
        """An entry of a batch, which comes by no route."""
        key = await api.service.keyring.authenticate(f"Bearer {api.key}")
        who = Caller(key, api.service, api.service.stores["test"])
        asked = Call(who, f"http://adapter.test{BASE}", method, tuple(filter(None, path.split("/"))), body=person("p"))
        with pytest.raises(MethodNotAllowed) as refused:
            await answer_to(asked)
        assert refused.value.headers["Allow"] == (allow if path != "_search" else "POST")


class TestFormats:
    @pytest.mark.parametrize("accept", ["application/fhir+xml", "text/html", "application/fhir+json;fhirVersion=5.0"])
    async def test_an_answer_that_there_is_not_is_406(self, api: Api, accept: str) -> None:
        for path in ("Patient", "metadata"):
            answer = await get(api, path, accept=accept)
            assert outcome(answer, 406, "not-supported")["location"] == ["http.Accept"]

    @pytest.mark.parametrize("wanted", ["xml", "ttl", "html", "application/fhir+xml", "nonsense"])
    async def test_a_format_that_there_is_not_is_406(self, api: Api, wanted: str) -> None:
        for path in ("Patient/p", "metadata"):
            assert outcome(await get(api, f"{path}?_format={wanted}"), 406, "not-supported")["location"] == [
                "http._format"
            ]

    @pytest.mark.parametrize(
        ("path", "accept", "media_type"),
        [
            ("", "application/json", "application/json; charset=utf-8"),
            ("", "application/fhir+json; fhirVersion=4.0", "application/fhir+json; fhirVersion=4.0; charset=utf-8"),
            ("?_format=text/json", "application/json", "text/json; charset=utf-8"),
            ("", "*/*", MEDIA_TYPE),
            ("", "application/fhir+xml", MEDIA_TYPE),
            ("?_format=xml", "application/json", MEDIA_TYPE),
            ("?_format=%FF", "application/json", MEDIA_TYPE),
        ],
    )
    async def test_a_refusal_is_written_as_the_client_takes_it(
        self, api: Api, path: str, accept: str, media_type: str
    ) -> None:
        for asked in ("Patient/none", "Encounter", "metadata/x", "$nothing"):
            answer = await get(api, f"{asked}{path}", accept=accept)
            assert (answer.is_client_error, answer.headers["content-type"]) == (True, media_type)
        keyless = await api.http.get(f"{BASE}/Patient/p{path}", headers={"Accept": accept})
        assert (keyless.is_client_error, keyless.headers["content-type"]) == (True, media_type)
        for method, body in (("DELETE", None), ("POST", b"{")):
            answer = await call(api, method, f"Patient/_history{path}", content=body, headers={"Accept": accept})
            assert (answer.status_code, answer.headers["content-type"]) == (405, media_type)

    async def test_laid_out_too(self, api: Api) -> None:
        plain, pretty = await get(api, "Patient/none"), await get(api, "Patient/none?_pretty=true")
        assert (plain.json(), plain.status_code) == (pretty.json(), pretty.status_code)
        assert (b"\n  " in plain.content, b"\n  " in pretty.content) == (False, True)
        assert int(pretty.headers["content-length"]) == len(pretty.content)
        wrong = person("p") | {"name": [{"use": "x"}] * 150}
        entries = [{"resource": wrong, "request": {"method": "POST", "url": "Patient"}}] * 5
        body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        large = await call(api, "POST", "?_pretty=true", body)
        assert (large.status_code, len(large.content) > LARGE, b"\n" in large.content) == (400, True, False)

    async def test_as_a_search_by_post_wants_it_in_its_body(self, api: Api) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        form = b"_id:x=1&_format=application/json&_pretty=true"
        answer = await call(api, "POST", "Patient/_search", content=form, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json; charset=utf-8")
        assert b"\n  " in answer.content

    async def test_about_a_job_of_an_export_as_bulk_data_has_it(self, api: Api) -> None:
        answer = await get(api, "$export-jobs/none", accept="application/json")
        outcome(answer, 404, "not-found")

    async def test_nothing_is_done_that_cannot_be_answered(self, api: Api) -> None:
        answer = await call(api, "PUT", "Patient/p", person("p"), headers={"Accept": "application/fhir+xml"})
        outcome(answer, 406, "not-supported")
        assert (await get(api, "Patient/p")).status_code == 404

    @pytest.mark.parametrize(
        "content_type",
        [
            "application/fhir+xml",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json-patch+json",
            "application/fhir+json; fhirVersion=3.0",
            "application/fhir+json; charset=latin1",
            "",
        ],
    )
    async def test_a_body_of_another_type_is_415(self, api: Api, content_type: str) -> None:
        for method, path in (("POST", "Patient"), ("PUT", "Patient/p"), ("POST", "")):
            answer = await call(api, method, path, person("p"), headers={"Content-Type": content_type})
            outcome(answer, 415, "not-supported")

    @pytest.mark.parametrize("content_type", ["application/json", "text/json", "application/json+fhir; charset=UTF-8"])
    async def test_the_other_names_of_json_are_taken(self, api: Api, content_type: str) -> None:
        answer = await call(api, "PUT", "Patient/p", person("p"), headers={"Content-Type": content_type})
        assert answer.status_code == 201

    @pytest.mark.parametrize(
        "raw", [b"{", b"", b"\xff", b"[]", b"7", b'{"resourceType":"Patient","x":NaN}', b"null", b'"Patient"']
    )
    async def test_a_body_that_is_no_resource_is_400(self, api: Api, raw: bytes) -> None:
        headers = {"Content-Type": "application/fhir+json"}
        answer = await call(api, "POST", "Patient", content=raw, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.json()["issue"][0]["code"] in ("structure", "required", "invalid", "value")


PACKED = gzip.compress(json.dumps(person("p")).encode(), mtime=0)  # the moment would be part of the tests' names


class TestEncodings:
    async def test_gzip_is_taken(self, api: Api) -> None:
        headers = {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}
        assert (await call(api, "PUT", "Patient/p", content=PACKED, headers=headers)).status_code == 201
        assert (await get(api, "Patient/p")).json()["name"] == person("p")["name"]
        form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "x-gzip"}
        answer = await call(api, "POST", "Patient/_search", content=gzip.compress(b"_id=p"), headers=form)
        assert answer.json()["total"] == 1

    async def test_its_members_follow_each_other(self, api: Api) -> None:
        headers = {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}
        plain, text = json.dumps(person("p", "x" * 2_000)).encode(), b""
        for part in (plain[:5], b"", plain[5:1_500], plain[1_500:]):
            text += gzip.compress(part)
        assert (await call(api, "PUT", "Patient/p", content=text, headers=headers)).status_code == 201
        assert (await get(api, "Patient/p")).json()["name"] == person("p", "x" * 2_000)["name"]

    @pytest.mark.parametrize("raw", [b"{}", PACKED[:-1], PACKED + b"x", PACKED + PACKED[:-1], b""])
    async def test_what_says_so_and_is_none_is_400(self, api: Api, raw: bytes) -> None:
        headers = {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}
        outcome(await call(api, "PUT", "Patient/p", content=raw, headers=headers), 400, "structure")

    @pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip"])
    async def test_another_is_415(self, api: Api, coding: str) -> None:
        answer = await call(api, "PUT", "Patient/p", person("p"), headers={"Content-Encoding": coding})
        outcome(answer, 415, "not-supported")
        assert answer.headers["accept-encoding"] == "gzip"

    async def test_what_becomes_too_large_is_413(self, make_service: ServiceMaker, make_api: ApiMaker) -> None:
        api: Api = await make_api(make_service(max_body_bytes=1_024))
        headers = {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}
        for raw in (gzip.compress(b" " * 100_000), gzip.compress(b" " * 500) * 3, gzip.compress(b" " * 1_025)):
            outcome(await call(api, "POST", "Patient", content=raw, headers=headers), 413, "too-long")


class TestLimits:
    async def test_a_body_that_is_too_large_is_413(self, make_service: ServiceMaker, make_api: ApiMaker) -> None:
        api: Api = await make_api(make_service(max_body_bytes=1_024))
        outcome(await call(api, "POST", "Patient", person("p", "x" * 2_000)), 413, "too-long")

        async def chunks() -> Any:
            for _ in range(4):
                yield b" " * 500

        headers = {"Content-Type": "application/fhir+json"}
        outcome(await call(api, "POST", "Patient", content=chunks(), headers=headers), 413, "too-long")

    async def test_what_no_document_can_hold_is_413(self, api: Api) -> None:
        names = [f"{number}" + "x" * 1_000_000 for number in range(4)]
        large = person("p") | {"name": [{"given": names}]}  # it stands there twice, and to be searched for in more ways
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"Patient/{one['id']}"}}
            for one in (person("q"), large)
        ]
        batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
        answer = (await call(api, "POST", "", batch)).json()
        assert [one["response"]["status"][:3] for one in answer["entry"]] == ["201", "413"]

    async def test_too_many_requests_are_429(self, make_service: ServiceMaker, make_api: ApiMaker) -> None:
        api: Api = await make_api(make_service(rate_limit_test=2))
        for _ in range(2):
            assert (await get(api, "Patient")).status_code == 200
        answer = await get(api, "Patient")
        outcome(answer, 429, "throttled")
        assert int(answer.headers["Retry-After"]) > 0


class TestFaults:
    async def test_a_fault_of_ours_is_500_and_tells_nothing(self, api: Api, store: Store) -> None:
        await put(store, person("p"))
        await store.database.Patient.update_one({"_id": "p"}, {"$set": {"_json": b"{secret"}})
        with recorded() as log:
            answer = await get(api, "Patient/p")
        outcome(answer, 500, "exception")
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert "request_failed" in log.text

    async def test_a_database_that_does_not_answer_is_503(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keyring, "PATIENCE", 0.5)
        dead = build(Settings(_env_file=None), "mongodb://%2Fnowhere%2Fm.sock/?directConnection=true", clock)
        transport = httpx.ASGITransport(app=create_app(dead), raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://adapter.test") as http:
                answer = await http.get(f"{BASE}/Patient/p", headers={"Authorization": "Bearer sk_test_x"})
                outcome(answer, 503, "transient")
                assert answer.headers["Retry-After"] == "1"
                assert (await http.get(f"{BASE}/metadata")).status_code == 200
        finally:
            await dead.close()


class TestIssues:
    def one(self, problem: Problem, status: int = 400) -> Json:
        found: Json = outcomes.resource(
            [problem], "https://mediloop.co/fhir", outcomes._ISSUE_TYPES.get(status, "exception")
        )["issue"][0]
        return found

    def test_a_problem_says_what_it_is_about(self) -> None:
        assert self.one(Problem("x", "Wrong.", "Patient.name"))["expression"] == ["Patient.name"]
        assert "expression" not in self.one(Problem("x", "Wrong."))

    def test_in_a_bundle_it_leads_through_the_entry(self) -> None:
        for param, expression in (
            ("Patient.name[0]", "Bundle.entry[3].resource.name[0]"),
            ("Patient", "Bundle.entry[3]"),
            (None, "Bundle.entry[3]"),
            ("Bundle.entry[3].request.url", "Bundle.entry[3].request.url"),
        ):
            assert self.one(Problem("x", "Wrong.", param, entry=3))["expression"] == [expression]

    def test_what_is_no_element_is_named_as_a_place_in_http(self) -> None:
        for param in (
            "If-Match",
            "Accept",
            "Authorization",
            "Content-Type",
            "_count",
            "name:zz",
            "patient.name",
            "start",
        ):
            found = self.one(Problem("x", "Wrong.", param))
            assert ("expression" in found, found["location"]) == (False, [f"http.{param}"])
        assert self.one(Problem("x", "Wrong.", "Schedule.actor:Location"))["location"] == [
            "http.Schedule.actor:Location"
        ]
        for param in ("Patient", "Patiens.name", "Resource", "Patient.extension('urn:a').value", "Bundle.entry[0]"):
            found = self.one(Problem("x", "Wrong.", param))
            assert ("location" in found, found["expression"]) == (False, [param])

    def test_control_characters_of_a_request_are_not_told(self) -> None:
        found = self.one(Problem("x", "Not a\x01b\x7fc\x85\n.", "a\x01b\x7fc\x85\n"))
        assert found["diagnostics"] == found["details"]["text"] == "Not a\ufffdb\ufffdc\ufffd\ufffd."
        assert found["location"] == ["http.a\ufffdb\ufffdc\ufffd\ufffd"]

    async def test_nor_those_of_a_parameters_name(self, api: Api) -> None:
        for path in ("Patient?a%01b=1", "Patient?na%01me:exact=1", "Patient?name:%1bx=1", "Patient?birthdate:%00.x=1"):
            answer = await get(api, path, prefer="handling=strict")
            issue = outcome(answer, 400, "not-supported")
            assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join((issue["diagnostics"], *issue["location"]))), path

    def test_in_a_bundle_a_precondition_is_an_element_and_a_parameter_is_within_its_entry(self) -> None:
        found = self.one(Problem("x", "Wrong.", "If-Match", entry=3))
        assert ("location" in found, found["expression"]) == (False, ["Bundle.entry[3].request.ifMatch"])
        found = self.one(Problem("x", "Wrong.", "patient.name", entry=3))
        assert (found["location"], found["expression"]) == (["http.patient.name"], ["Bundle.entry[3]"])

    def test_a_status_that_has_no_issue_type_is_an_exception(self) -> None:
        assert outcomes.outcome(Refused(Problem("x", "Wrong."), status=418), CODES).count(b'"exception"') == 1

    def test_two_who_make_the_same_at_once(self) -> None:
        found = clashed(AlreadyExists("a Patient with that id is stored already"))
        assert (found.status, found.problems[0].code) == (409, "exists")
        assert b'"conflict"' in outcomes.outcome(found, CODES)
