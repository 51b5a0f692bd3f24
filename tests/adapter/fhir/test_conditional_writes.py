"""Writes on condition of what a search finds (https://hl7.org/fhir/R4/http.html#ccreate)."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from adapter.errors import Malformed
from adapter.fhir.criteria import read_criteria
from adapter.fhir.writes import Write
from adapter.fhir.writing import carry_out
from adapter.security.callers import Caller
from store.search.text import escaped
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.fhir.door import (
    BASE,
    HOST,
    MEDIA_TYPE,
    TAGS,
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
from tests.adapter.fhir.writes import ACTIVE, FHIRPATH, conditionally, criteria
from tests.adapter.mediloop.clinic import appointment, open_clinic, stored
from tests.conftest import Api


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

    @pytest.mark.parametrize("none", [{}, {"If-None-Match": "*"}])
    async def test_an_if_match_is_about_the_match(self, api: Api, none: dict[str, str]) -> None:
        await made(api, tagged("p", "1"))
        for tag, status in (('W/"1"', 200), ('W/"2"', 412)):
            headers = {"If-None-Exist": criteria("1"), "If-Match": tag} | none
            answer = await call(api, "POST", "Patient", bare(tagged("x", "1")), headers=headers)
            assert answer.status_code == status

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

    async def send(self, api: Api, *lines: bytes) -> httpx.Response:
        """POST with these lines of If-None-Exist, byte by byte."""
        headers = [(b"Authorization", f"Bearer {api.key}".encode()), (b"Content-Type", b"application/fhir+json")]
        headers += [(b"If-None-Exist", line) for line in lines]
        return await api.http.post(f"{BASE}/Patient", json=bare(tagged("x", "Zoë-1")), headers=headers)

    async def test_criteria_in_utf_8_find_what_is_there(self, api: Api) -> None:
        await made(api, tagged("p", "Zoë-1"))
        for spelled in (f"identifier={TAGS}|Zoë-1", criteria("Zoë-1")):
            answer = await self.send(api, spelled.encode())
            assert (answer.status_code, answer.json()["id"]) == (200, "p")

    async def test_criteria_in_another_charset_or_twice_are_400(self, api: Api) -> None:
        raw, encoded = f"identifier={TAGS}|Zoë-1".encode("latin-1"), f"identifier={TAGS}|Zo%EB-1"
        for lines in ([raw], [encoded.encode()], [b"_id=x", b"_id=p"]):
            outcome(await self.send(api, *lines), 400, "value")
        request = {"method": "POST", "url": "Patient", "ifNoneExist": encoded}
        entries = [{"resource": bare(tagged("x", "Zoë-1")), "request": request}]
        transaction = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        outcome(await call(api, "POST", "", transaction), 400, "value")
        assert bundled(await get(api, "Patient?_summary=count"))["total"] == 0

    async def test_a_plus_that_may_be_a_blank_makes_no_second_one(self, api: Api) -> None:
        await made(api, tagged("p", "A+B"))
        issue = outcome(await self.create(api, f"identifier={TAGS}|A+B", bare(tagged("x", "A+B"))), 400, "value")
        assert issue["location"] == ["http.If-None-Exist"]
        assert (await self.create(api, f"identifier={TAGS}|A%2BB", bare(tagged("x", "A+B")))).json()["id"] == "p"

    async def test_in_an_address_a_plus_is_a_blank(self, api: Api) -> None:
        await made(api, tagged("p", "A B"))
        query = f"Patient?identifier={TAGS}|A+B"
        assert (await call(api, "PUT", query, bare(tagged("x", "A B")))).json()["id"] == "p"

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
            write = replace(asked, if_none_exist=read_criteria(text, "Patient"))
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
        outcome(await conditionally(api, "DELETE", "none", if_match='W/"1"'), 412, "conflict")


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

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
    async def test_the_name_of_a_bundles_entry_is_400_and_names_the_place(self, api: Api, method: str) -> None:
        asked = "general-practitioner=urn:uuid:0c3151bd-1cbf-4d64-b04d-000000000001"
        body = {"PATCH": ACTIVE, "DELETE": None}.get(method, bare(person("p")))
        path, headers, place = f"Patient?{asked}", {}, "http.general-practitioner"
        if method == "POST":
            path, headers, place = "Patient", {"If-None-Exist": asked}, "http.If-None-Exist"
        issue = outcome(await call(api, method, path, body, headers=headers), 400, "value")
        assert issue["location"] == [place]
        assert bundled(await get(api, f"Patient?{asked}", prefer="handling=strict"))["total"] == 0

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
