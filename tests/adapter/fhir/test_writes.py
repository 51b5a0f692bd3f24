"""Creating, updating, patching and deleting, with and without conditions (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from adapter.errors import Conflict, Malformed
from adapter.fhir import negotiation, ties
from adapter.fhir.writes import Write
from adapter.fhir.writing import carry_out
from adapter.security.callers import Caller
from store.search.text import escaped
from store.store import Store
from store.types import TYPES
from store.unit_of_work import UnitOfWork
from tests.adapter.fhir.door import (
    BASE,
    HOST,
    MEDIA_TYPE,
    TAGS,
    bare,
    bundled,
    call,
    get,
    made,
    names,
    outcome,
    person,
    tagged,
)
from tests.adapter.mediloop.clinic import SARAH, appointment, open_clinic, put, schedule, slot, stored, with_actors
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker

Json = dict[str, Any]
SECURE = HOST.replace("http://", "https://")
ACTIVE = [{"op": "add", "path": "/active", "value": True}]
FHIRPATH: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "add"},
                {"name": "path", "valueString": "Patient"},
                {"name": "name", "valueString": "active"},
                {"name": "value", "valueBoolean": True},
            ],
        }
    ],
}


def criteria(value: str) -> str:
    return f"identifier={quote(f'{TAGS}|{value}')}"


async def conditionally(api: Api, method: str, value: str, body: Any = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return await call(api, method, f"Patient?{criteria(value)}", body, headers=named)


async def family(store: Store, ident: str = "p") -> str:
    found: str = (await stored(store, "Patient", ident))["name"][0]["family"]
    return found


class TestCreate:
    async def test_201_with_the_address_of_the_version(self, api: Api) -> None:
        answer = await call(api, "POST", "Patient", bare(person("x")))
        assert answer.status_code == 201
        assert answer.headers["content-type"] == MEDIA_TYPE
        found = answer.json()
        assert answer.headers["Location"] == f"{HOST}/Patient/{found['id']}/_history/1"
        assert answer.headers["ETag"] == 'W/"1"'
        assert answer.headers["Last-Modified"] == "Mon, 15 Jan 2024 10:00:00 GMT"
        assert (await get(api, answer.headers["Location"])).json() == found

    async def test_id_and_version_of_the_client_are_ignored_and_other_meta_kept(self, api: Api) -> None:
        meta = {"versionId": "7", "lastUpdated": "1999-01-01T00:00:00Z", "tag": [{"code": "vip"}], "source": "urn:x"}
        found = (await call(api, "POST", "Patient", person("mine", meta=meta))).json()
        assert found["id"] != "mine"
        assert found["meta"] == meta | {"versionId": "1", "lastUpdated": "2024-01-15T10:00:00.000Z"}

    async def test_what_is_not_valid_is_400_with_every_problem(self, api: Api) -> None:
        answer = await call(api, "POST", "Patient", {"resourceType": "Patient", "gender": "f", "foo": 1})
        assert answer.status_code == 400
        assert {one["code"] for one in answer.json()["issue"]} == {"structure", "code-invalid"}
        assert bundled(await get(api, "Patient?_summary=count"))["total"] == 0

    async def test_another_type_in_the_body_is_400(self, api: Api) -> None:
        outcome(await call(api, "POST", "Slot", bare(person("x"))), 400, "structure")

    async def test_no_body_is_400(self, api: Api) -> None:
        for method, path in (("POST", "Patient"), ("PUT", "Patient/x"), ("PUT", "Patient?_id=x")):
            outcome(await call(api, method, path), 400, "required")
        assert (await call(api, "PATCH", "Patient/x")).status_code == 400

    async def test_a_breach_of_a_rule_is_422(self, api: Api, store: Store) -> None:
        await open_clinic(store)
        slotless = bare(appointment("x", slot=[{"reference": "Slot/none"}]))
        assert (await call(api, "POST", "Appointment", slotless)).status_code == 422

    async def test_an_if_match_says_nothing_of_what_is_only_made(self, api: Api) -> None:
        answer = await call(api, "POST", "Patient", bare(person("x")), headers={"If-Match": 'W/"9"'})
        assert answer.status_code == 201


class TestPrefer:
    async def write(self, api: Api, wanted: str | None) -> httpx.Response:
        return await call(api, "POST", "Patient", bare(person("x")), headers={"Prefer": wanted} if wanted else {})

    async def test_without_a_wish_the_resource_comes_back(self, api: Api) -> None:
        answer = await self.write(api, None)
        assert answer.json()["resourceType"] == "Patient"
        assert "Preference-Applied" not in answer.headers

    async def test_minimal_is_without_a_body(self, api: Api) -> None:
        answer = await self.write(api, "return=minimal")
        assert (answer.status_code, answer.content) == (201, b"")
        assert answer.headers["Preference-Applied"] == "return=minimal"
        assert {"location", "etag", "last-modified"} <= set(answer.headers)

    async def test_representation(self, api: Api) -> None:
        answer = await self.write(api, "return=representation")
        assert answer.json()["resourceType"] == "Patient"
        assert answer.headers["Preference-Applied"] == "return=representation"

    async def test_an_outcome(self, api: Api) -> None:
        answer = await self.write(api, "return=OperationOutcome")
        assert answer.headers["Preference-Applied"] == "return=OperationOutcome"
        assert "location" in answer.headers
        outcome(answer, 201)
        ident = answer.headers["Location"].split("/")[-3]
        again = await call(api, "PUT", f"Patient/{ident}", person(ident), headers={"Prefer": "return=OperationOutcome"})
        assert outcome(again, 200)["severity"] == "information"

    async def test_of_several_only_what_was_done_is_said(self, api: Api) -> None:
        answer = await self.write(api, "respond-async, return=minimal; handling=strict")
        assert answer.content == b""
        assert answer.headers["Preference-Applied"] == "return=minimal"

    async def test_a_refusal_is_an_outcome_whatever_was_wished(self, api: Api) -> None:
        wish = {"Prefer": "return=minimal"}
        answer = await call(api, "POST", "Patient", {"resourceType": "Patient", "foo": 1}, headers=wish)
        outcome(answer, 400, "structure")
        assert "Preference-Applied" not in answer.headers

    async def test_a_deletion_answers_as_wished(self, api: Api) -> None:
        for wish, status in (("return=minimal", 204), ("return=representation", 204), ("return=OperationOutcome", 200)):
            await made(api, person("p"))
            answer = await call(api, "DELETE", "Patient/p", headers={"Prefer": wish})
            assert answer.status_code == status
            assert ("Preference-Applied" in answer.headers) == (wish != "return=representation")
            if status == 200:
                assert outcome(answer, 200)["severity"] == "information"

    async def test_a_part_of_what_was_written_is_shown_as_such(self, api: Api) -> None:
        for answer in (
            await call(api, "PUT", "Patient/p?_elements=gender", tagged("p", "1", active=True)),
            await call(api, "PUT", f"Patient?{criteria('1')}&_summary=text", tagged("p", "1", active=True)),
            await call(api, "PATCH", "Patient/p?_elements=gender&_pretty=true", ACTIVE),
        ):
            assert answer.status_code in (200, 201)
            assert answer.json()["meta"]["tag"][0]["code"] == "SUBSETTED"
            assert "identifier" not in answer.json()
        whole = (await get(api, "Patient/p")).json()
        assert (whole["meta"]["versionId"], "tag" in whole["meta"], "identifier" in whole) == ("3", False, True)

    async def test_what_cannot_be_shown_is_not_done(self, api: Api) -> None:
        outcome(await call(api, "PUT", "Patient/p?_summary=all", person("p")), 400, "value")
        strict = {"Prefer": "handling=strict"}
        refused = await call(api, "PUT", "Patient/p?_elements=bogus", person("p"), headers=strict)
        outcome(refused, 400, "not-supported")
        outcome(await get(api, "Patient/p"), 404, "not-found")

    async def test_nothing_is_said_to_be_done_that_was_not(self, api: Api) -> None:
        await made(api, person("p"))
        wish = {"Prefer": "return=minimal, handling=strict"}
        assert "Preference-Applied" not in (await get(api, "Patient/p", **wish)).headers
        validated = await call(api, "POST", "Patient/$validate", person("p"), headers=wish)
        assert "Preference-Applied" not in validated.headers
        assert (await get(api, "Patient", **wish)).headers["Preference-Applied"] == "handling=strict"
        assert (await get(api, "_history", **wish)).headers["Preference-Applied"] == "handling=strict"
        form = await call(api, "POST", "Patient/_search", headers=wish, data={"active": "true"})
        assert form.headers["Preference-Applied"] == "handling=strict"


class TestUpdate:
    async def test_with_an_id_of_the_client_201_then_200(self, api: Api) -> None:
        answer = await call(api, "PUT", "Patient/my.Own-1", person("my.Own-1"))
        assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"1"')
        assert answer.headers["Location"] == f"{HOST}/Patient/my.Own-1/_history/1"
        answer = await call(api, "PUT", "Patient/my.Own-1", person("my.Own-1", "New"))
        assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
        assert "Location" not in answer.headers

    async def test_the_whole_is_replaced(self, api: Api) -> None:
        await made(api, person("p", active=True))
        await made(api, person("p", gender="male"))
        assert "active" not in (await get(api, "Patient/p")).json()

    async def test_version_and_time_of_the_client_are_ignored_and_other_meta_kept(self, api: Api, clock: Clock) -> None:
        await made(api, person("p"))
        clock.advance(minutes=1)
        meta = {"versionId": "7", "lastUpdated": "1999-01-01T00:00:00Z", "security": [{"code": "R"}]}
        found = await made(api, person("p", meta=meta))
        assert found["meta"] == meta | {"versionId": "2", "lastUpdated": "2024-01-15T10:01:00.000Z"}

    @pytest.mark.parametrize("way", ["id", "criteria", "transaction"])
    async def test_labels_and_tags_stay_where_an_update_has_none_of_its_own(self, api: Api, way: str) -> None:
        labels: Json = {"security": [{"code": "R"}, {"code": "PSY"}], "tag": [{"code": "vip"}]}
        await made(api, tagged("p", "1", meta=labels | {"profile": ["urn:x"], "source": "urn:y"}))

        async def stored_by(**members: Any) -> Json:
            body = tagged("p", "1", **members)
            url = f"Patient?{criteria('1')}" if way == "criteria" else "Patient/p"
            if way == "transaction":
                entry = {"resource": body, "request": {"method": "PUT", "url": url}}
                bundled(
                    await call(api, "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
                    "transaction-response",
                )
            else:
                assert (await call(api, "PUT", url, body)).status_code == 200
            meta: Json = (await get(api, "Patient/p")).json()["meta"]
            return {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")}

        assert await stored_by() == labels
        assert await stored_by(meta={"source": "urn:z"}) == labels | {"source": "urn:z"}
        assert await stored_by(meta={"security": [{"code": "N"}]}) == labels | {"security": [{"code": "N"}]}
        assert await stored_by(meta={"tag": [{"code": "new"}]}) == {
            "security": [{"code": "N"}],
            "tag": [{"code": "new"}],
        }

    async def test_a_patch_takes_labels_away_and_a_deletion_too(self, api: Api) -> None:
        await made(api, person("p", meta={"security": [{"code": "R"}], "tag": [{"code": "vip"}]}))
        found = (await call(api, "PATCH", "Patient/p", [{"op": "remove", "path": "/meta/security"}])).json()["meta"]
        assert ("security" in found, found["tag"]) == (False, [{"code": "vip"}])
        await call(api, "DELETE", "Patient/p")
        assert (await made(api, person("p")))["meta"].keys() == {"versionId", "lastUpdated"}

    @pytest.mark.parametrize("ident", [None, "other", "P"])
    async def test_an_id_that_lacks_or_differs_is_400(self, api: Api, ident: str | None) -> None:
        body = bare(person("x")) | ({"id": ident} if ident else {})
        issue = outcome(await call(api, "PUT", "Patient/p", body), 400, "value")
        assert issue["expression"] == ["Patient.id"]

    async def test_an_id_that_is_none_is_400(self, api: Api) -> None:
        for ident in ("no_id", "x" * 65, "a b"):
            outcome(await call(api, "PUT", f"Patient/{ident}", person(ident)), 400, "value")
            outcome(await call(api, "PATCH", f"Patient/{ident}", ACTIVE), 400, "value")
            outcome(await call(api, "DELETE", f"Patient/{ident}"), 404, "not-found")

    async def test_what_was_deleted_comes_back_as_201(self, api: Api) -> None:
        await made(api, person("p"))
        await call(api, "DELETE", "Patient/p")
        answer = await call(api, "PUT", "Patient/p", person("p"))
        assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"3"')
        assert answer.headers["Location"] == f"{HOST}/Patient/p/_history/3"

    @pytest.mark.parametrize("tag", ['W/"1"', '"1"', "1", 'W/"7", W/"1"', "*", 'w/"1"'])
    async def test_if_match_in_every_spelling(self, api: Api, store: Store, tag: str) -> None:
        await made(api, person("p"))
        answer = await call(api, "PUT", "Patient/p", person("p", "New"), headers={"If-Match": tag})
        assert answer.status_code == 200
        assert await family(store) == "New"

    @pytest.mark.parametrize("tag", ['W/"2"', '"11"', "0", "", "abc", 'W/"1 "'])
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    async def test_another_version_is_412_and_nothing_is_done(
        self, api: Api, store: Store, method: str, tag: str
    ) -> None:
        await made(api, person("p"))
        body = {"PUT": person("p", "New"), "PATCH": ACTIVE}.get(method)
        answer = await call(api, method, "Patient/p", body, headers={"If-Match": tag})
        assert outcome(answer, 412, "conflict")["location"] == ["http.If-Match"]
        found = await stored(store, "Patient", "p")
        assert (found["meta"]["versionId"], "active" in found) == ("1", False)

    async def test_if_match_for_what_is_not_there_is_412(self, api: Api) -> None:
        for method, body, told in (("PUT", person("p"), "create it"), ("DELETE", None, "nothing to delete")):
            answer = await call(api, method, "Patient/p", body, headers={"If-Match": "*"})
            assert told in outcome(answer, 412, "conflict")["diagnostics"]

    async def test_if_none_match_star_makes_and_never_replaces(self, api: Api, store: Store) -> None:
        first = await call(api, "PUT", "Patient/p", person("p"), headers={"If-None-Match": "*"})
        assert first.status_code == 201
        second = await call(api, "PUT", "Patient/p", person("p", "New"), headers={"If-None-Match": "*"})
        assert outcome(second, 412, "conflict")["location"] == ["http.If-None-Match"]
        assert await family(store) == "Okello"
        await call(api, "DELETE", "Patient/p")
        third = await call(api, "PUT", "Patient/p", person("p", "New"), headers={"If-None-Match": "*"})
        assert third.status_code == 201

    async def test_if_none_match_of_another_version_is_no_hindrance(self, api: Api) -> None:
        await made(api, person("p"))
        answer = await call(api, "PUT", "Patient/p", person("p"), headers={"If-None-Match": 'W/"2"'})
        assert answer.status_code == 200

    async def test_rivals_for_a_new_id_are_all_answered(self, api: Api) -> None:
        answers = await asyncio.gather(
            *(call(api, "PUT", "Patient/p", person("p", f"Rival{chr(65 + n)}")) for n in range(8))
        )
        counted = Counter(one.status_code for one in answers)
        assert counted == {201: 1, 200: 7}


class TestPatch:
    @pytest.mark.parametrize("patch", [ACTIVE, FHIRPATH])
    async def test_both_kinds(self, api: Api, patch: Any) -> None:
        await made(api, person("p"))
        answer = await call(api, "PATCH", "Patient/p", patch)
        assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
        assert answer.json()["active"] is True
        assert "Location" not in answer.headers

    async def test_with_the_right_version(self, api: Api) -> None:
        await made(api, person("p"))
        for number in (1, 2):
            answer = await call(api, "PATCH", "Patient/p", ACTIVE, headers={"If-Match": f'W/"{number}"'})
            assert answer.headers["ETag"] == f'W/"{number + 1}"'

    async def test_what_is_not_there_is_404_and_what_was_410(self, api: Api) -> None:
        for headers in ({}, {"If-Match": 'W/"1"'}):
            outcome(await call(api, "PATCH", "Patient/none", ACTIVE, headers=headers), 404, "not-found")
        await made(api, person("p"))
        await call(api, "DELETE", "Patient/p")
        for headers in ({}, {"If-Match": 'W/"1"'}):
            outcome(await call(api, "PATCH", "Patient/p", ACTIVE, headers=headers), 410, "deleted")

    async def test_a_result_that_is_not_valid_is_refused(self, api: Api, store: Store) -> None:
        await made(api, person("p"))
        bad = [{"op": "add", "path": "/gender", "value": "f"}]
        outcome(await call(api, "PATCH", "Patient/p", bad), 400, "code-invalid")
        assert "gender" not in await stored(store, "Patient", "p")

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "test", "path": "/active", "value": False},
            {"op": "replace", "path": "/id", "value": "q"},
            {"op": "replace", "path": "/meta/versionId", "value": "9"},
            {"op": "replace", "path": "/resourceType", "value": "Slot"},
            {"op": "add", "path": "/contact/0/gender", "value": "male"},
        ],
    )
    async def test_what_cannot_be_done_is_422(self, api: Api, operation: Json) -> None:
        await made(api, person("p", active=True))
        assert (await call(api, "PATCH", "Patient/p", [operation])).status_code == 422

    async def test_no_subset_can_be_made(self, api: Api) -> None:
        await made(api, person("p"))
        mark = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
        patch = [{"op": "add", "path": "/meta/tag", "value": [mark]}]
        assert (await call(api, "PATCH", "Patient/p", patch)).status_code == 422

    async def test_what_is_no_patch_is_400(self, api: Api) -> None:
        await made(api, person("p"))
        assert (await call(api, "PATCH", "Patient/p", person("p"))).status_code == 400
        assert (await call(api, "PATCH", "Patient/p", [{"op": "leap", "path": "/active"}])).status_code == 400

    @pytest.mark.parametrize("media_type", ["application/json", "application/fhir+json"])
    async def test_a_json_patch_of_another_type_is_told_its_own(self, api: Api, media_type: str) -> None:
        patch = [{"op": "add", "path": "/active", "value": True}]
        answer = await call(api, "PATCH", "Patient/p", patch, headers={"Content-Type": media_type})
        assert "application/json-patch+json" in outcome(answer, 400, "structure")["diagnostics"]

    @pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/xml-patch+xml", "text/plain"])
    async def test_another_language_is_415(self, api: Api, media_type: str) -> None:
        answer = await call(api, "PATCH", "Patient/p", {"active": True}, headers={"Content-Type": media_type})
        outcome(answer, 415, "not-supported")
        assert answer.headers["Accept-Patch"] == "application/json-patch+json, application/fhir+json"


class TestSomebodyElsesPeople:
    """An absolute reference names whoever is there, not whoever has the same id here (references.html#literal)."""

    @pytest.mark.parametrize(
        ("base_url", "root", "linked"),
        [
            ("https://here.example", "http://other.example/fhir", False),
            ("https://here.example", "https://here.example/fhir/R4", True),
            (None, "http://other.example/fhir", True),  # nobody has said which addresses are ours: it may be one
            (None, HOST, True),
        ],
    )
    async def test_slots_are_taken_for_our_own_alone(
        self, make_service: ServiceMaker, make_api: ApiMaker, base_url: str | None, root: str, linked: bool
    ) -> None:
        api = await make_api(make_service(base_url=base_url))
        await open_clinic(api.service.stores["test"])
        busy = bundled(await get(api, "Slot?status=busy"))["total"]
        actors = with_actors("Patient/john", f"{root}/Practitioner/{SARAH}")
        found = await made(api, appointment("a1", participant=actors))
        assert ("slot" in found) is linked
        assert bundled(await get(api, "Slot?status=busy"))["total"] == busy + linked
        outcome(await call(api, "PUT", "Appointment/a2", appointment("a2")), 409, *["conflict"] * (1 + linked))

    async def test_nobody_answers_for_ours(self, api: Api, store: Store) -> None:
        await open_clinic(store)
        await made(api, appointment("a1", status="proposed"))
        answer = {
            "resourceType": "AppointmentResponse",
            "appointment": {"reference": "Appointment/a1"},
            "actor": {"reference": "http://other.example/fhir/Patient/john"},
            "participantStatus": "declined",
        }
        outcome(await call(api, "POST", "AppointmentResponse", answer), 422, "not-found")
        statuses = {one["status"] for one in (await stored(store, "Appointment", "a1"))["participant"]}
        assert statuses == {"accepted"}


class TestDelete:
    async def test_204_whether_it_was_there_or_not(self, api: Api) -> None:
        await made(api, person("p"))
        for ident in ("p", "p", "never"):
            answer = await call(api, "DELETE", f"Patient/{ident}")
            assert (answer.status_code, answer.content) == (204, b"")

    async def test_with_the_right_version(self, api: Api) -> None:
        await made(api, person("p"))
        assert (await call(api, "DELETE", "Patient/p", headers={"If-Match": 'W/"1"'})).status_code == 204

    async def test_a_second_deletion_makes_no_version(self, api: Api) -> None:
        await made(api, person("p"))
        for _ in range(2):
            await call(api, "DELETE", "Patient/p")
        assert bundled(await get(api, "Patient/p/_history"), "history")["total"] == 2

    async def test_it_is_no_longer_found(self, api: Api) -> None:
        await made(api, tagged("p", "1"))
        await call(api, "DELETE", "Patient/p")
        assert bundled(await get(api, f"Patient?{criteria('1')}"))["total"] == 0

    async def test_what_others_refer_to_stays(self, api: Api, store: Store) -> None:
        await open_clinic(store)
        await put(store, appointment("a1"))
        for name, by in (("Patient/john", "Appointment/a1"), ("Schedule/sarah", "Slot/slot-001")):
            answer = await call(api, "DELETE", name)
            issue = outcome(answer, 409, "conflict")
            assert by in issue["diagnostics"]
            assert (await get(api, name)).status_code == 200

    async def test_what_refers_to_itself_alone_may_go(self, api: Api) -> None:
        link = [{"other": {"reference": "Patient/p"}, "type": "seealso"}]
        await made(api, person("p", link=link))
        assert (await call(api, "DELETE", "Patient/p")).status_code == 204

    async def test_a_reference_that_may_lead_to_any_type_is_a_tie_too(self, api: Api, store: Store) -> None:
        await put(store, person("p"), appointment("a1", supportingInformation=[{"reference": "Patient/p"}]))
        issue = outcome(await call(api, "DELETE", "Patient/p"), 409, "conflict")
        assert "Appointment/a1" in issue["diagnostics"]
        asked = (await call(api, "POST", "Patient/p/$validate?mode=delete")).json()["issue"]
        assert "Appointment/a1" in asked[0]["diagnostics"]

    async def test_a_reference_that_spells_our_address_out_is_a_tie_too(self, api: Api, store: Store) -> None:
        for root in (HOST, SECURE):
            link = [{"other": {"reference": f"{root}/Patient/p"}, "type": "seealso"}]
            await put(store, person("p"), person("q", link=link))
            outcome(await call(api, "DELETE", "Patient/p"), 409, "conflict")

    async def test_it_is_one_for_what_the_same_transaction_writes(self, api: Api, store: Store) -> None:
        await put(store, person("p"))
        link = [{"other": {"reference": f"{SECURE}/Patient/p"}, "type": "seealso"}]
        entries: list[Json] = [
            {"request": {"method": "DELETE", "url": "Patient/p"}},
            {"request": {"method": "PUT", "url": "Patient/q"}, "resource": person("q", link=link)},
        ]
        body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        outcome(await call(api, "POST", "", body), 409, "conflict")

    async def test_someone_elses_patient_of_the_same_id_is_none(self, api: Api, store: Store) -> None:
        other = "http://other.example/fhir/R4/Patient/p"
        await put(store, person("p"), person("q", link=[{"other": {"reference": other}, "type": "seealso"}]))
        assert (await call(api, "DELETE", "Patient/p")).status_code == 204

    async def test_every_look_up_for_ties_has_an_index(self, store: Store) -> None:
        await put(store, person("p"))
        asked = [one for kind in TYPES for one in ties.look_ups(f"{kind}/p", HOST)]
        forms = ["Patient/p", f"{HOST}/Patient/p", f"{SECURE}/Patient/p"]
        assert ("Appointment", {"_index.supporting-info": {"$in": forms}}) in asked
        for kind, query in asked:
            plan = (await store.explain(kind, query))["queryPlanner"]["winningPlan"]
            assert "COLLSCAN" not in str(plan), (kind, query)
            assert "IXSCAN" in str(plan) or "EOF" in str(plan), (kind, query)

    async def test_a_versioned_reference_is_a_tie_too(self, api: Api) -> None:
        await made(api, person("p"))
        await made(api, person("q", link=[{"other": {"reference": "Patient/p/_history/1"}, "type": "seealso"}]))
        outcome(await call(api, "DELETE", "Patient/p"), 409, "conflict")


class TestDeleteInASet:
    """What others refer to is judged by what the whole set leaves."""

    def related(self, ident: str, *others: str) -> Json:
        return person(ident, link=[{"other": {"reference": other}, "type": "seealso"} for other in others])

    async def together(self, api: Api, store: Store, *writes: Write) -> None:
        who = Caller(await api.service.keyring.authenticate(f"Bearer {api.key}"), api.service, store)
        await store.transact(lambda work: carry_out(work, who, HOST, writes))

    async def test_with_those_that_refer_to_it(self, api: Api, store: Store) -> None:
        idents = [f"p{number}" for number in range(12)]
        await put(store, person("q"), *(self.related(ident, "Patient/q") for ident in idents))
        with pytest.raises(Conflict) as refused:  # one of them stays
            await self.together(api, store, *(Write("DELETE", "Patient", ident) for ident in ("q", *idents[:11])))
        assert (refused.value.problems[0].entry, "Patient/p11" in str(refused.value)) == (0, True)
        await self.together(api, store, *(Write("DELETE", "Patient", ident) for ident in ("q", *idents)))
        assert await store.read("Patient", "q") is None

    async def test_many_cost_no_more_look_ups_than_one_and_no_tie_hides_another(
        self, api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ties, "_MOST", 5)  # fewer than refer to the first of them
        crowd = [self.related(f"p{number:02}", "Patient/g00") for number in range(20)]
        gone = [person(f"g{number:02}") for number in range(30)]
        await put(store, *gone, *crowd, self.related("q", "Patient/g01", f"{HOST}/Patient/g29"))
        wanted = [f"Patient/g{number:02}" for number in range(30)]
        asked: list[str] = []
        real = UnitOfWork.values

        async def values(work: UnitOfWork, kind: str, *words: Any, **more: Any) -> list[Json]:
            asked.append(kind)
            return await real(work, kind, *words, **more)

        monkeypatch.setattr(UnitOfWork, "values", values)
        found = await store.transact(lambda work: ties.referrers_of(work, wanted, HOST, wanted))
        assert ({*found}, found["Patient/g29"]) == ({"Patient/g00", "Patient/g01", "Patient/g29"}, ["Patient/q"])
        assert len(found["Patient/g00"]) == 5
        many = len(asked)
        await store.transact(lambda work: ties.referrers_of(work, ["Patient/g05"], HOST))
        assert many == len(asked) - many + 1  # once more for those behind the crowd

    async def test_with_a_change_that_no_longer_refers_to_it(self, api: Api, store: Store) -> None:
        await put(store, person("q"), self.related("p", "Patient/q"))
        change = Write("PUT", "Patient", "p", resource=person("p"))
        await self.together(api, store, Write("DELETE", "Patient", "q"), change)
        assert await store.read("Patient", "q") is None

    @pytest.mark.parametrize("reference", ["Patient/q", "Patient/q/_history/1", f"{HOST}/Patient/q"])
    async def test_with_a_change_that_refers_to_it(self, api: Api, store: Store, reference: str) -> None:
        await put(store, person("q"))
        change = Write("PUT", "Patient", "p", resource=self.related("p", reference))
        with pytest.raises(Conflict):
            await self.together(api, store, Write("DELETE", "Patient", "q"), change)
        assert await store.read("Patient", "q") is not None


class TestConditionalCreate:
    async def create(self, api: Api, header: str, body: Json | None = None) -> httpx.Response:
        return await call(api, "POST", "Patient", body or bare(tagged("x", "1")), headers={"If-None-Exist": header})

    async def test_no_match_creates(self, api: Api) -> None:
        answer = await self.create(api, criteria("1"))
        assert answer.status_code == 201

    @pytest.mark.parametrize("prefix", ["", "?", "Patient?"])
    async def test_one_match_is_answered_and_the_body_ignored(self, api: Api, prefix: str) -> None:
        await made(api, tagged("p", "1"))
        answer = await self.create(api, prefix + criteria("1"), bare(tagged("x", "1", active=False)))
        assert answer.status_code == 200
        assert answer.headers["Location"] == f"{HOST}/Patient/p/_history/1"
        assert answer.headers["ETag"] == 'W/"1"'
        assert (answer.json()["id"], "active" in answer.json()) == ("p", False)
        assert bundled(await get(api, "Patient/p/_history"), "history")["total"] == 1

    async def test_one_match_as_preferred(self, api: Api) -> None:
        await made(api, tagged("p", "1"))
        headers = {"If-None-Exist": criteria("1"), "Prefer": "return=OperationOutcome"}
        answer = await call(api, "POST", "Patient", bare(tagged("x", "1")), headers=headers)
        assert "already" in outcome(answer, 200)["diagnostics"]

    async def test_several_matches_are_412(self, api: Api) -> None:
        for ident in ("p", "q"):
            await made(api, tagged(ident, "1"))
        outcome(await self.create(api, criteria("1")), 412, "multiple-matches")

    @pytest.mark.parametrize(
        ("header", "code"),
        [
            ("", "value"),
            ("identifier", "value"),
            ("foo=1", "not-supported"),
            ("_count=1", "invalid"),
            ("Slot?status=free", "value"),
            ("http://adapter.test/fhir/R4/Slot?identifier=1", "value"),
            ("name=", "invalid"),
        ],
    )
    async def test_criteria_that_are_none_are_400(self, api: Api, header: str, code: str) -> None:
        outcome(await self.create(api, header), 400, code)
        assert bundled(await get(api, "Patient?_summary=count"))["total"] == 0

    async def test_many_at_once_make_one(self, api: Api) -> None:
        answers = await asyncio.gather(*(self.create(api, criteria("1")) for _ in range(8)))
        assert Counter(one.status_code for one in answers) == {201: 1, 200: 7}
        assert len({one.json()["id"] for one in answers}) == 1

    @pytest.mark.parametrize(
        "spelled", ["identifier=one", f"identifier={TAGS}|ONE", f"identifier={TAGS}|one&active=true"]
    )
    async def test_rivals_that_spell_it_differently_make_one(self, api: Api, store: Store, spelled: str) -> None:
        who = Caller(await api.service.keyring.authenticate(f"Bearer {api.key}"), api.service, store)
        neither_is_there_yet = asyncio.Barrier(2)

        async def create(text: str) -> int:
            asked = Write("POST", "Patient", resource=tagged("x", "One", active=True))
            write = replace(asked, if_none_exist=negotiation.criteria(text, "Patient"))
            runs = 0

            async def step(work: UnitOfWork) -> int:
                nonlocal runs
                runs += 1
                written = await carry_out(work, who, HOST, [write])
                if runs == 1:
                    await neither_is_there_yet.wait()
                return written[0].status

            return await store.transact(step)

        assert sorted(await asyncio.gather(create(criteria("one")), create(spelled))) == [200, 201]

    @pytest.mark.parametrize("number", ["one,x|y", "back\\slash|", "1$"])
    async def test_rivals_that_escape_it_make_one(self, api: Api, store: Store, number: str) -> None:
        plain = escaped(number)
        for turn in range(6):
            body = bare(tagged("x", f"{turn}{number}"))
            headers = [f"identifier={quote(text)}" for text in (f"{TAGS}|{turn}{plain}", f"{turn}{plain}")]
            answers = await asyncio.gather(*(self.create(api, header, body) for header in headers * 2))
            assert Counter(one.status_code for one in answers) == {201: 1, 200: 3}


class TestConditionalUpdate:
    async def test_no_match_without_an_id_creates(self, api: Api) -> None:
        answer = await conditionally(api, "PUT", "1", bare(tagged("x", "1")))
        assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"1"')
        assert answer.headers["Location"] == f"{HOST}/Patient/{answer.json()['id']}/_history/1"

    async def test_no_match_with_an_id_creates_with_it(self, api: Api) -> None:
        answer = await conditionally(api, "PUT", "1", tagged("mine", "1"))
        assert (answer.status_code, answer.json()["id"]) == (201, "mine")

    async def test_no_match_never_replaces_another_that_has_the_id(self, api: Api, store: Store) -> None:
        await made(api, tagged("mine", "other"))
        outcome(await conditionally(api, "PUT", "1", tagged("mine", "1", gender="male")), 409, "conflict")
        assert "gender" not in await stored(store, "Patient", "mine")

    async def test_no_match_with_the_id_of_what_was_deleted_revives_it(self, api: Api) -> None:
        await made(api, tagged("mine", "1"))
        await call(api, "DELETE", "Patient/mine")
        answer = await conditionally(api, "PUT", "1", tagged("mine", "1"))
        assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"3"')

    @pytest.mark.parametrize("ident", [None, "p"])
    async def test_one_match_is_updated(self, api: Api, ident: str | None) -> None:
        await made(api, tagged("p", "1"))
        body = tagged("p", "1", active=True)
        answer = await conditionally(api, "PUT", "1", body if ident else bare(body))
        assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
        assert (answer.json()["id"], answer.json()["active"]) == ("p", True)

    async def test_one_match_with_another_id_is_400(self, api: Api) -> None:
        await made(api, tagged("p", "1"))
        issue = outcome(await conditionally(api, "PUT", "1", tagged("q", "1")), 400, "value")
        assert issue["expression"] == ["Patient.id"]

    async def test_several_matches_are_412(self, api: Api) -> None:
        for ident in ("p", "q"):
            await made(api, tagged(ident, "1"))
        outcome(await conditionally(api, "PUT", "1", bare(tagged("p", "1"))), 412, "multiple-matches")

    async def test_with_a_version(self, api: Api) -> None:
        await made(api, tagged("p", "1"))
        body = bare(tagged("p", "1", active=True))
        outcome(await conditionally(api, "PUT", "1", body, if_match='W/"2"'), 412, "conflict")
        assert (await conditionally(api, "PUT", "1", body, if_match='W/"1"')).status_code == 200
        outcome(await conditionally(api, "PUT", "none", body, if_match='W/"1"'), 412, "conflict")

    async def test_many_at_once_make_one(self, api: Api) -> None:
        body = bare(tagged("x", "1"))
        answers = await asyncio.gather(*(conditionally(api, "PUT", "1", body) for _ in range(8)))
        assert Counter(one.status_code for one in answers) == {201: 1, 200: 7}
        assert len(names(bundled(await get(api, f"Patient?{criteria('1')}")))) == 1


class TestConditionalPatch:
    async def test_no_match_is_404(self, api: Api) -> None:
        outcome(await conditionally(api, "PATCH", "1", ACTIVE), 404, "not-found")

    @pytest.mark.parametrize("patch", [ACTIVE, FHIRPATH])
    async def test_one_match_is_patched(self, api: Api, patch: Any) -> None:
        await made(api, tagged("p", "1"))
        answer = await conditionally(api, "PATCH", "1", patch)
        assert (answer.status_code, answer.json()["active"], answer.headers["ETag"]) == (200, True, 'W/"2"')

    async def test_several_matches_are_412(self, api: Api) -> None:
        for ident in ("p", "q"):
            await made(api, tagged(ident, "1"))
        outcome(await conditionally(api, "PATCH", "1", ACTIVE), 412, "multiple-matches")

    async def test_with_a_version(self, api: Api) -> None:
        await made(api, tagged("p", "1"))
        outcome(await conditionally(api, "PATCH", "1", ACTIVE, if_match='W/"2"'), 412, "conflict")


class TestConditionalDelete:
    async def test_no_match_is_204(self, api: Api) -> None:
        assert (await conditionally(api, "DELETE", "1")).status_code == 204

    async def test_one_match_is_deleted(self, api: Api) -> None:
        await made(api, tagged("p", "1"))
        await made(api, tagged("q", "2"))
        assert (await conditionally(api, "DELETE", "1")).status_code == 204
        assert [(await get(api, f"Patient/{ident}")).status_code for ident in "pq"] == [410, 200]

    @pytest.mark.parametrize("identifier", [{"system": "urn:other", "value": f"{TAGS}|1"}, {"value": f"{TAGS}|1"}])
    async def test_a_value_with_a_bar_is_no_system_and_value(self, api: Api, identifier: Json) -> None:
        await made(api, person("p", identifier=[identifier]))
        assert (await call(api, "DELETE", f"Patient?{criteria('1')}")).status_code == 204
        assert (await conditionally(api, "PUT", "1", bare(tagged("x", "1")))).status_code == 201
        assert (await get(api, "Patient/p")).json()["identifier"] == [identifier]

    async def test_several_matches_are_412_and_none_is_deleted(self, api: Api) -> None:
        for ident in ("p", "q"):
            await made(api, tagged(ident, "1"))
        outcome(await conditionally(api, "DELETE", "1"), 412, "multiple-matches")
        assert [(await get(api, f"Patient/{ident}")).status_code for ident in "pq"] == [200, 200]

    async def test_with_a_version(self, api: Api) -> None:
        await made(api, tagged("p", "1"))
        outcome(await conditionally(api, "DELETE", "1", if_match='W/"2"'), 412, "conflict")


class TestCriteria:
    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("", "required"),
            ("?_format=json", "required"),
            ("?foo=1", "not-supported"),
            ("?identifier=", "invalid"),
            ("?_sort=name", "invalid"),
            ("?name:nonsense=x", "not-supported"),
            ("?birthdate=x", "value"),
        ],
    )
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    async def test_what_would_mean_more_than_was_meant_is_400(
        self, api: Api, method: str, query: str, code: str
    ) -> None:
        await made(api, person("p"))
        body = {"PUT": bare(person("p")), "PATCH": ACTIVE}.get(method)
        outcome(await call(api, method, f"Patient{query}", body), 400, code)
        assert (await get(api, "Patient/p")).headers["ETag"] == 'W/"1"'

    async def test_a_lenient_client_is_refused_too(self, api: Api) -> None:
        wish = {"Prefer": "handling=lenient"}
        outcome(await call(api, "DELETE", "Patient?foo=1", headers=wish), 400, "not-supported")


class TestDuplicates:
    async def test_a_set_writes_each_once(self, api: Api, store: Store) -> None:
        key = await api.service.keyring.authenticate(f"Bearer {api.key}")
        who = Caller(key, api.service, store)
        twice = [Write("PUT", "Patient", "p", resource=person("p")), Write("DELETE", "Patient", "p")]
        with pytest.raises(Malformed) as refused:
            await store.transact(lambda work: carry_out(work, who, HOST, twice))
        assert [(one.entry, one.issue) for one in refused.value.problems] == [(1, "duplicate")]
        assert await store.read("Patient", "p") is None

    async def test_an_identifier_that_only_one_may_have(self, api: Api, store: Store) -> None:
        await open_clinic(store)
        number = {"system": "https://mediloop.co/fhir/sid/appointment-number", "value": "APT-1"}
        system = api.service.systems.appointment_number
        body = bare(appointment("x", "proposed", identifier=[number | {"system": system}]))
        assert (await call(api, "POST", "Appointment", body)).status_code == 201
        outcome(await call(api, "POST", "Appointment", body), 409, "duplicate")

    async def test_a_practitioner_is_not_booked_twice(self, api: Api, store: Store) -> None:
        await open_clinic(store)
        body = bare(appointment("x"))
        assert (await call(api, "POST", "Appointment", body)).status_code == 201
        answer = await call(api, "POST", "Appointment", body)
        assert answer.status_code == 409
        assert answer.headers["content-type"] == MEDIA_TYPE


async def test_what_another_server_keeps_is_none_of_ours_that_has_the_same_id(api: Api, store: Store) -> None:
    await open_clinic(store)
    await put(store, appointment("a1", status="proposed"))
    other, foreign = "https://other.example/fhir", "foreign_reference"
    answer: Json = {"resourceType": "AppointmentResponse", "participantStatus": "declined"}
    answer |= {"actor": {"reference": "Patient/john"}, "appointment": {"reference": f"{other}/Appointment/a1"}}
    booked = appointment("a2", slot=[{"reference": f"{SECURE}/Slot/slot-002"}, {"reference": f"{other}/Slot/slot-002"}])
    offered = slot("s2", "2024-01-21T10:00", "2024-01-21T10:30") | {
        "schedule": {"reference": f"{other}/Schedule/sarah"}
    }
    for resource, where in (
        (booked, "Appointment.slot[1].reference"),
        (answer, "AppointmentResponse.appointment.reference"),
        (offered, "Slot.schedule.reference"),
    ):
        issue = outcome(await call(api, "POST", resource["resourceType"], resource), 422, "not-found")
        assert (issue["details"]["coding"][0]["code"], issue["expression"]) == (foreign, [where])
    assert (await stored(store, "Slot", "slot-002"))["status"] == "free"
    booked["slot"].pop()
    assert (await call(api, "POST", "Appointment", booked)).status_code == 201
    assert (await stored(store, "Slot", "slot-002"))["status"] == "busy"


@pytest.mark.parametrize(
    "text",
    [
        "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
        "urn:oid:1.2.3",
        f"{HOST}/Practitioner?identifier=urn:x|yb",
        # Below our own address what is no Type/id would be another name of who has one.
        f"{HOST}/Practitioner/sarah/x",
        f"{HOST}/Practitioner//sarah",
        f"{HOST.replace('http:', 'https:')}/practitioner/sarah",
        f"{HOST}/Doctor/sarah",
    ],
)
async def test_what_leads_nowhere_is_refused(api: Api, store: Store, text: str) -> None:
    """Nor would anybody's time be taken by it."""
    await open_clinic(store)
    who = {"actor": {"reference": text, "type": "Practitioner"}, "status": "accepted"}
    wanted = appointment("a1", participant=[who])
    where = ["Appointment.participant[0].actor.reference"]
    for method, path in (("PUT", "Appointment/a1"), ("POST", "Appointment")):
        issue = outcome(await call(api, method, path, wanted), 400, "value")
        assert (issue["details"]["coding"][0]["code"], issue["expression"]) == ("bad_reference", where)
    plain = appointment("a2")
    await made(api, plain)
    patch = [{"op": "add", "path": "/participant/0", "value": who}]
    issue = outcome(await call(api, "PATCH", "Appointment/a2", patch), 400, "value")
    assert issue["expression"] == where
    # An import brings such a reference, and one that was taken in earlier may be there: changes go on being possible.
    await put(store, wanted)
    assert (await call(api, "PUT", "Appointment/a1", wanted | {"comment": "x"})).status_code == 200
    wanted["participant"].append({"actor": {"reference": "urn:oid:1.2.4"}, "status": "accepted"})
    issue = outcome(await call(api, "PUT", "Appointment/a1", wanted), 400, "value")
    assert issue["expression"] == ["Appointment.participant[1].actor.reference"]


async def test_a_slot_is_written_and_read_by_either_door(api: Api, store: Store) -> None:
    await open_clinic(store)
    await made(api, schedule("extra", "Practitioner/prov-def-456"))
    await made(api, slot("s", "2024-01-21T09:00", "2024-01-21T09:30", of="extra"))
    answer = await api.get("/api/v1/appointments/availability/", params={"practitioner_id": "prov-def-456"})
    assert "s" in answer.text
    assert (await api.get(f"{BASE}/Slot/s")).status_code == 200


@pytest.mark.parametrize("numbers", [{"n1": "1", "n2": "3"}, {"n2": "3", "n1": "1"}, {"n1": "1", "n2": "2"}])
async def test_a_transaction_moves_appointment_numbers_in_any_order(
    api: Api, store: Store, numbers: dict[str, str]
) -> None:
    """https://hl7.org/fhir/R4/http.html#trules"""
    await open_clinic(store)

    def numbered(ident: str, number: str) -> Json:
        named = {"system": api.service.systems.appointment_number, "value": f"APT-2024-00000{number}"}
        return appointment(ident, status="cancelled", identifier=[named])

    for ident, number in (("n1", "2"), ("n2", "1")):
        await made(api, numbered(ident, number))
    entries = [
        {"resource": numbered(ident, number), "request": {"method": "PUT", "url": f"Appointment/{ident}"}}
        for ident, number in numbers.items()
    ]
    body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await call(api, "POST", "", body)
    assert [one["response"]["status"][:3] for one in bundled(answer, "transaction-response")["entry"]] == ["200", "200"]
    for ident, number in numbers.items():
        found = bundled(await get(api, f"Appointment?identifier=APT-2024-00000{number}"))
        assert names(found) == [f"Appointment/{ident}"]
