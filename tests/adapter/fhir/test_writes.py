"""Creating, updating and patching (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx
import pytest

from store.store import Store
from tests.adapter.fhir.door import (
    BASE,
    HOST,
    MEDIA_TYPE,
    Json,
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
from tests.adapter.fhir.writes import ACTIVE, FHIRPATH, criteria, family
from tests.adapter.mediloop.clinic import SARAH, appointment, open_clinic, schedule, slot, stored, with_actors
from tests.conftest import Api, ApiMaker, Clock, ServiceMaker

MARK = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


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

    @pytest.mark.parametrize("tag", ['W/"9"', "*"])
    async def test_an_if_match_is_met_by_nothing_that_is_only_made(self, api: Api, tag: str) -> None:
        answer = await call(api, "POST", "Patient", bare(person("x")), headers={"If-Match": tag})
        assert outcome(answer, 412, "conflict")["location"] == ["http.If-Match"]
        assert bundled(await get(api, "Patient?_summary=count"))["total"] == 0
        answer = await call(api, "POST", "Patient", bare(person("x")), headers={"If-None-Match": "*"})
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

    async def test_of_another_id_or_a_part_it_is_told_with_all_else_that_is_wrong(self, api: Api) -> None:
        part: Json = {"meta": {"tag": [MARK]}}
        place = "Patient.meta.tag[0]"
        for body, places in (
            (person("other", gender="q"), ["Patient.gender", "Patient.id"]),
            (bare(person("p", gender="q")), ["Patient.gender", "Patient.id"]),
            (person("other", **part), ["Patient.id", place]),
            (person("p", gender="q", **part), ["Patient.gender", place]),
        ):
            for method, path in (("PUT", "Patient/p"), ("POST", "Patient/p/$validate?mode=update")):
                answer = await call(api, method, path, body)
                assert answer.status_code == (400 if method == "PUT" else 200)
                assert [one["expression"] for one in answer.json()["issue"]] == [[one] for one in places]
        outcome(await call(api, "PUT", "Patient/p", person("p", **part)), 422, "business-rule")

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

    async def test_if_match_in_several_lines_is_one_list(self, api: Api) -> None:
        await made(api, person("p"))
        lines = [("Authorization", f"Bearer {api.key}"), ("If-Match", 'W/"7"'), ("If-Match", 'W/"1"')]
        assert (await api.http.delete(f"{BASE}/Patient/p", headers=lines)).status_code == 204

    async def test_if_match_for_what_is_not_there_is_412(self, api: Api) -> None:
        for method, body, told in (("PUT", person("p"), "create it"), ("DELETE", None, "nothing to delete")):
            answer = await call(api, method, "Patient/p", body, headers={"If-Match": "*"})
            assert told in outcome(answer, 412, "conflict")["diagnostics"]

    @pytest.mark.parametrize("path", ["Patient/p", "Patient?_id=p"])
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    async def test_what_was_changed_after_a_date_is_412(
        self, api: Api, store: Store, clock: Clock, method: str, path: str
    ) -> None:
        """https://www.rfc-editor.org/rfc/rfc9110#section-13.1.4, to the second."""
        clock.moment += timedelta(seconds=1, milliseconds=500)
        await made(api, person("p"))
        body = {"PUT": person("p", "New"), "PATCH": ACTIVE}.get(method)
        before, then = ({"If-Unmodified-Since": f"Mon, 15 Jan 2024 10:00:0{second} GMT"} for second in (0, 1))
        found = outcome(await call(api, method, path, body, headers=before), 412, "conflict")
        assert found["location"] == ["http.If-Unmodified-Since"]
        assert (await stored(store, "Patient", "p"))["meta"]["versionId"] == "1"
        assert (await call(api, method, path, body, headers=then)).status_code in (200, 204)

    async def test_a_date_counts_for_what_is_there_and_where_no_version_is_named(self, api: Api) -> None:
        old = {"If-Unmodified-Since": "Mon, 15 Jan 2024 09:00:00 GMT"}
        assert (await call(api, "PUT", "Patient/p", person("p"), headers=old)).status_code == 201
        for headers in (old | {"If-Match": "*"}, {"If-Unmodified-Since": "yesterday"}):
            assert (await call(api, "PUT", "Patient/p", person("p"), headers=headers)).status_code == 200

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
        patch = [{"op": "add", "path": "/meta/tag", "value": [MARK]}]
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
