"""What a key may do through FHIR: by type and verb, and by no way round (decision: write does not imply read)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from adapter.service import Service
from store.store import Store
from store.types import TYPES
from tests.adapter.fhir.door import TAGS, bare, bundled, call, get, link, names, notes, outcome, person, tagged
from tests.adapter.mediloop.clinic import (
    JAMES,
    NAME,
    SARAH,
    UHID,
    appointment,
    booking,
    open_clinic,
    put,
    slot,
    stored,
    with_actors,
)
from tests.conftest import Api, ApiMaker

Json = dict[str, Any]
WORDS = ("appointments", "slots", "schedules", "patients", "practitioners", "locations")
EXPECTED = {
    "Appointment": "appointments",
    "AppointmentResponse": "appointments",
    "Slot": "slots",
    "Schedule": "schedules",
    "Patient": "patients",
    "RelatedPerson": "patients",
    "Group": "patients",
    "Practitioner": "practitioners",
    "PractitionerRole": "practitioners",
    "Location": "locations",
    "Organization": "locations",
    "HealthcareService": "locations",
}
PATCH = [{"op": "add", "path": "/language", "value": "en"}]


class Keys:
    """Makes callers by what they may do."""

    def __init__(self, make: ApiMaker, service: Service) -> None:
        self._make, self._service = make, service

    async def __call__(self, *granted: str) -> Api:
        made: Api = await self._make(self._service, granted=list(granted))
        return made

    async def all_but(self, word: str, verb: str) -> Api:
        return await self(*(f"{one}:{verb}" for one in WORDS if one != word))


@pytest.fixture
def keys(make_api: ApiMaker, service: Service) -> Keys:
    return Keys(make_api, service)


@pytest.fixture
async def clinic(store: Store) -> None:
    await open_clinic(store)
    await put(store, appointment("a1"), tagged("p", "1"))


def forbidden(answer: Any, permission: str) -> None:
    assert permission in outcome(answer, 403, "forbidden")["diagnostics"]
    assert NAME not in answer.text


def test_every_type_has_its_word() -> None:
    assert {name: one.permission for name, one in TYPES.items()} == EXPECTED


@pytest.mark.parametrize("kind", TYPES)
async def test_reading_takes_the_permission_of_the_type(keys: Keys, kind: str) -> None:
    word = EXPECTED[kind]
    may, may_not = await keys(f"{word}:read"), await keys.all_but(word, "read")
    writer = await keys(f"{word}:write")
    for path, status in (
        (f"{kind}/x", 404),
        (f"{kind}/x/_history", 404),
        (f"{kind}/x/_history/1", 404),
        (f"{kind}/_history", 200),
        (kind, 200),
        (f"?_type={kind}", 200),
    ):
        assert (await get(may, path)).status_code == status
        forbidden(await get(may_not, path), f"{word}:read")
        forbidden(await get(writer, path), f"{word}:read")
        assert (await call(may_not, "HEAD", path)).status_code == 403
    assert (await call(may, "POST", f"{kind}/_search", data={"_id": "x"})).status_code == 200
    forbidden(await call(may_not, "POST", f"{kind}/_search", data={"_id": "x"}), f"{word}:read")
    body = {"resourceType": kind}
    assert (await call(may, "POST", f"{kind}/$validate", body)).status_code == 200
    forbidden(await call(may_not, "POST", f"{kind}/$validate", body), f"{word}:read")


@pytest.mark.parametrize("kind", TYPES)
async def test_writing_takes_the_permission_of_the_type(keys: Keys, kind: str) -> None:
    word = EXPECTED[kind]
    may, may_not, reader = await keys(f"{word}:write"), await keys.all_but(word, "write"), await keys(f"{word}:read")
    both = await keys(f"{word}:read,write")
    body = {"resourceType": kind, "id": "x"}
    for method, path, sent in (
        ("POST", kind, bare(body)),
        ("PUT", f"{kind}/x", body),
        ("PATCH", f"{kind}/x", PATCH),
        ("DELETE", f"{kind}/x", None),
    ):
        permitted = both if method == "PATCH" else may
        assert (await call(permitted, method, path, sent)).status_code not in (401, 403)
        forbidden(await call(may_not, method, path, sent), f"{word}:write")
        forbidden(await call(reader, method, path, sent), f"{word}:write")


FHIRPATH: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "delete"},
                {"name": "path", "valueString": "Patient.maritalStatus"},
            ],
        }
    ],
}


@pytest.mark.usefixtures("clinic")
@pytest.mark.parametrize("patch", [[{"op": "test", "path": "/resourceType", "value": "Patient"}], FHIRPATH])
@pytest.mark.parametrize("way", ["alone", "transaction", "batch"])
async def test_a_patch_reads(keys: Keys, patch: Any, way: str) -> None:
    """It goes by what is stored, and its answer shows that: tested for a value, or whole."""
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json"}
    sent = (
        patch if isinstance(patch, dict) else binary | {"data": base64.b64encode(json.dumps(patch).encode()).decode()}
    )
    entry = {"request": {"method": "PATCH", "url": "Patient/john"}, "resource": sent}

    async def patched(api: Api) -> Any:
        if way == "alone":
            return await call(api, "PATCH", "Patient/john", patch)
        return await call(api, "POST", "", {"resourceType": "Bundle", "type": way, "entry": [entry]})

    answer = await patched(await keys("patients:write"))
    assert NAME not in answer.text
    assert "patients:read" in answer.text
    if way == "batch":
        assert bundled(answer, "batch-response")["entry"][0]["response"]["status"].startswith("403")
    else:
        forbidden(answer, "patients:read")
    assert (await patched(await keys("patients:read,write"))).status_code == 200


@pytest.mark.parametrize("way", ["alone", "transaction", "batch", "repeated"])
async def test_labels_that_were_there_are_told_to_who_may_read_them(keys: Keys, store: Store, way: str) -> None:
    """An update leaves them; its answer shows them to a reader, as a read does."""
    await put(store, person("vip", meta={"security": [{"code": "V"}], "tag": [{"code": "hiv-clinic"}]}))
    body = person("vip", meta={"tag": [{"code": "mine"}]})

    async def updated(*granted: str) -> Json:
        api = await keys(*granted)
        if way == "alone":
            return dict((await call(api, "PUT", "Patient/vip", body)).json())
        kind = "batch" if way == "batch" else "transaction"
        entry = {"request": {"method": "PUT", "url": "Patient/vip"}, "resource": body}
        sent = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
        headers = {"Prefer": "return=representation"} | ({"X-Idempotency-Key": "k"} if way == "repeated" else {})
        answers = [await call(api, "POST", "", sent, headers=headers) for _ in range(2)]
        return dict(bundled(answers[1], f"{kind}-response")["entry"][0]["resource"])

    for granted, labels in (("write", None), ("read,write", [{"code": "V"}])):
        shown = await updated(f"patients:{granted}")
        assert (shown["meta"].get("security"), shown["meta"]["tag"]) == (labels, [{"code": "mine"}])
        assert {"versionId", "lastUpdated"} <= shown["meta"].keys()
        assert (await stored(store, "Patient", "vip"))["meta"]["security"] == [{"code": "V"}]


@pytest.mark.usefixtures("clinic")
class TestConditions:
    """What asks whether something is there needs the permission to know."""

    async def test_a_conditional_create_reads(self, keys: Keys) -> None:
        headers = {"If-None-Exist": f"identifier={TAGS}|1"}
        body = bare(tagged("x", "1"))
        forbidden(await call(await keys("patients:write"), "POST", "Patient", body, headers=headers), "patients:read")
        forbidden(await call(await keys("patients:read"), "POST", "Patient", body, headers=headers), "patients:write")
        both = await keys("patients:read,write")
        assert (await call(both, "POST", "Patient", body, headers=headers)).status_code == 200

    @pytest.mark.parametrize(("method", "body"), [("PUT", bare(tagged("p", "1"))), ("PATCH", PATCH), ("DELETE", None)])
    async def test_other_conditional_writes_read(self, keys: Keys, method: str, body: Any) -> None:
        path = f"Patient?identifier={TAGS}|1"
        forbidden(await call(await keys("patients:write"), method, path, body), "patients:read")
        forbidden(await call(await keys("patients:read"), method, path, body), "patients:write")
        assert (await call(await keys("patients:read,write"), method, path, body)).status_code in (200, 204)

    async def test_criteria_look_into_no_hidden_type(self, keys: Keys) -> None:
        writer = await keys("patients:read,write")
        path = "Patient?_has:Appointment:patient:status=booked"
        outcome(await call(writer, "DELETE", path), 403, "forbidden")
        outcome(await call(writer, "DELETE", f"Patient?general-practitioner.name={'Sarah'}"), 403, "forbidden")

    async def test_what_hinders_a_deletion_is_named_to_who_may_read_it(self, keys: Keys) -> None:
        issue = outcome(await call(await keys("patients:write"), "DELETE", "Patient/john"), 409, "conflict")
        assert "a1" not in issue["diagnostics"]
        knowing = await keys("patients:write", "appointments:read")
        issue = outcome(await call(knowing, "DELETE", "Patient/john"), 409, "conflict")
        assert "Appointment/a1" in issue["diagnostics"]


FIRST, SECOND = "UG111111111A", "UG222222222B"
"""Ids of appointments: some use the patient's number."""
AT = "2024-01-22T09:00"


def in_role(practitioner: str) -> Json:
    return {
        "resourceType": "PractitionerRole",
        "id": "r",
        "practitioner": {"reference": f"Practitioner/{practitioner}"},
    }


@pytest.mark.usefixtures("clinic")
class TestRefusals:
    """An Appointment that is in the way is named to who may read it, whatever the way is."""

    @pytest.fixture(autouse=True)
    async def visits(self, store: Store) -> None:
        first = appointment(FIRST, start=AT, slot=[{"reference": "Slot/held"}])
        second = appointment(SECOND, start=AT, participant=with_actors("PractitionerRole/r"))
        await put(store, in_role(JAMES), slot("held", AT, "2024-01-22T09:30", status="busy"), first, second)

    @pytest.mark.parametrize("way", ["alone", "transaction", "batch"])
    @pytest.mark.parametrize(
        ("word", "body"),
        [
            ("slots", slot("held", AT, "2024-01-22T09:30")),
            ("practitioners", in_role(SARAH)),
            ("appointments", appointment("new", start=AT)),
        ],
    )
    async def test_through_fhir(self, keys: Keys, word: str, body: Json, way: str) -> None:
        name = f"{body['resourceType']}/{body['id']}"
        entry = {"request": {"method": "PUT", "url": name}, "resource": body}

        async def refused(*granted: str) -> str:
            api = await keys(*granted)
            if way == "alone":
                answer = await call(api, "PUT", name, body)
            else:
                answer = await call(api, "POST", "", {"resourceType": "Bundle", "type": way, "entry": [entry]})
            assert (200 if way == "batch" else 409, '"conflict"' in answer.text) == (answer.status_code, True)
            return answer.text

        told = await refused(f"{word}:write")
        assert FIRST not in told
        assert SECOND not in told
        assert f"Appointment/{FIRST}" in await refused(f"{word}:write", "appointments:read")

    async def test_by_operation(self, keys: Keys) -> None:
        wanted = {"name": "appointment-resource", "resource": bare(appointment("new", "pending", AT))}
        asked = {"resourceType": "Parameters", "parameter": [wanted]}
        for granted, named in (("appointments:write", False), ("appointments:read,write", True)):
            answer = await call(await keys(granted, "slots:read"), "POST", "Appointment/$book", asked)
            assert (answer.status_code, FIRST in answer.text) == (409, named), answer.text

    async def test_in_a_validation(self, keys: Keys) -> None:
        path = "Slot/held/$validate?mode=delete"
        issue = outcome(await call(await keys("slots:read"), "POST", path), 200, "conflict")
        assert FIRST not in issue["diagnostics"]
        knowing = await keys("slots:read", "appointments:read")
        assert f"Appointment/{FIRST}" in outcome(await call(knowing, "POST", path), 200, "conflict")["diagnostics"]

    async def test_through_mediloop(self, keys: Keys) -> None:
        wanted = booking(start_time=f"{AT}:00Z")
        for granted, named in (("appointments:write", False), ("appointments:read,write", True)):
            answer = await (await keys(granted)).post("/api/v1/appointments/", wanted)
            assert (answer.status_code, FIRST in answer.text) == (409, named), answer.text


@pytest.mark.usefixtures("clinic")
async def test_a_slot_that_is_set_busy_is_filled_by_who_may_write_slots(keys: Keys, store: Store) -> None:
    """Others must not book what the hospital has closed: the Slot's status is not theirs to pass over."""
    await put(store, slot("closed", "2024-01-20T12:00", "2024-01-20T12:30", "busy"))
    visit = bare(appointment("x", start="2024-01-20T12:00", slot=[{"reference": "Slot/closed"}]))
    outcome(await call(await keys("appointments:write"), "POST", "Appointment", visit), 409, "conflict")
    may = await keys("appointments:write", "slots:write")
    assert (await call(may, "POST", "Appointment", visit)).status_code == 201


@pytest.mark.usefixtures("clinic")
class TestSearches:
    @pytest.mark.parametrize(
        "query",
        [
            f"patient.identifier={UHID}",
            "actor:Patient.name=John",
            "slot.schedule.actor:Practitioner.name=x",
            "actor.name=x",
        ],
    )
    async def test_a_chain_into_a_hidden_type_is_403(self, keys: Keys, query: str) -> None:
        issue = outcome(
            await get(await keys("appointments:read", "slots:read"), f"Appointment?{query}"), 403, "forbidden"
        )
        assert issue["location"] == [f"http.{query.partition('=')[0]}"]

    async def test_a_chain_to_the_type_that_may_be_read(self, keys: Keys) -> None:
        reader = await keys("appointments:read", "practitioners:read")
        assert bundled(await get(reader, "Appointment?actor:Practitioner.name=Dr."))["total"] == 1

    async def test_a_reverse_chain_into_a_hidden_type_is_403(self, keys: Keys) -> None:
        path = "Patient?_has:Appointment:patient:status=booked"
        outcome(await get(await keys("patients:read"), path), 403, "forbidden")
        assert bundled(await get(await keys("patients:read", "appointments:read"), path))["total"] == 1

    async def test_what_may_not_be_read_is_not_included(self, keys: Keys) -> None:
        reader = await keys("appointments:read", "practitioners:read")
        bundle = bundled(await get(reader, "Appointment?_include=*"))
        assert names(bundle, "include") == [f"Practitioner/{SARAH}"]
        assert NAME not in str([one for one in bundle["entry"] if one["search"]["mode"] == "include"])

    async def test_what_may_not_be_read_is_not_included_by_name_either(self, keys: Keys) -> None:
        bundle = bundled(await get(await keys("appointments:read"), "Appointment?_include=Appointment:patient"))
        assert names(bundle, "include") == []

    async def test_what_refers_and_may_not_be_read_is_not_included(self, keys: Keys) -> None:
        bundle = bundled(await get(await keys("patients:read"), "Patient?_id=john&_revinclude=Appointment:patient"))
        assert names(bundle, "include") == []
        assert [one["code"] for one in notes(bundle)] == ["forbidden"]

    async def test_iterating_leads_through_no_hidden_type(self, keys: Keys) -> None:
        reader = await keys("slots:read", "practitioners:read")
        query = "_include=Slot:schedule&_include:iterate=Schedule:actor"
        assert names(bundled(await get(reader, f"Slot?{query}")), "include") == []

    async def test_several_types_need_each_permission(self, keys: Keys) -> None:
        forbidden(await get(await keys("slots:read"), "?_type=Slot,Schedule"), "schedules:read")

    async def test_a_page_link_gives_no_permission(self, keys: Keys, api: Api) -> None:
        following = link(bundled(await get(api, "Slot?_count=1")), "next")
        assert following is not None
        forbidden(await get(await keys("patients:read"), following), "slots:read")
        everybody = link(bundled(await get(api, "?_type=Slot,Patient&_count=1")), "next")
        assert everybody is not None
        forbidden(await get(await keys("slots:read"), everybody), "patients:read")

    async def test_a_compartment_needs_the_permission_of_what_it_holds(self, keys: Keys) -> None:
        forbidden(await get(await keys("patients:read"), "Patient/john/Appointment"), "appointments:read")
        assert bundled(await get(await keys("appointments:read"), "Patient/john/Appointment"))["total"] == 1

    async def test_everything_of_a_compartment_is_what_may_be_read(self, keys: Keys) -> None:
        path = f"Practitioner/{SARAH}/*"
        assert names(bundled(await get(await keys("schedules:read"), path))) == ["Schedule/sarah"]
        both = await keys("schedules:read", "appointments:read")
        assert set(names(bundled(await get(both, path)))) == {"Schedule/sarah", "Appointment/a1"}
        outcome(await get(await keys("locations:read"), path), 403, "forbidden")


@pytest.mark.usefixtures("clinic")
class TestHistory:
    async def test_the_history_of_all_is_of_what_may_be_read(self, keys: Keys) -> None:
        found = bundled(await get(await keys("slots:read", "locations:read"), "_history"), "history")
        kinds = {entry["resource"]["resourceType"] for entry in found["entry"]}
        assert kinds == {"Slot", "Location"}
        assert found["total"] == len(found["entry"]) == 5

    async def test_a_deletion_is_told_only_to_who_may_read(self, keys: Keys, api: Api) -> None:
        await call(api, "DELETE", "Patient/p")
        found = bundled(await get(await keys("slots:read"), "_history"), "history")
        assert all(entry["request"]["method"] != "DELETE" for entry in found["entry"])

    async def test_who_may_read_nothing_is_told_nothing(self, keys: Keys) -> None:
        answer = await get(await keys("slots:write"), "_history")
        assert answer.status_code == 403 or "entry" not in answer.json()

    async def test_the_other_mode_is_another_world(self, make_api: ApiMaker, service: Service, api: Api) -> None:
        live: Api = await make_api(service, mode="live")
        outcome(await get(live, "Patient/john"), 404, "not-found")
        assert bundled(await get(live, "_history"), "history")["total"] == 0
        assert bundled(await get(live, "Patient"))["total"] == 0
        assert (await get(api, "Patient/john")).status_code == 200


@pytest.mark.usefixtures("clinic")
class TestEverything:
    async def test_it_needs_patients(self, keys: Keys) -> None:
        for path in ("Patient/john/$everything", "Patient/$everything"):
            forbidden(await get(await keys("appointments:read"), path), "patients:read")

    async def test_it_holds_what_may_be_read(self, keys: Keys) -> None:
        path = "Patient/john/$everything"
        assert names(bundled(await get(await keys("patients:read"), path))) == ["Patient/john"]
        found = names(bundled(await get(await keys("patients:read", "appointments:read"), path)))
        assert set(found) == {"Patient/john", "Appointment/a1"}
        more = await keys("patients:read", "appointments:read", "practitioners:read")
        assert f"Practitioner/{SARAH}" in names(bundled(await get(more, path)))

    async def test_what_hinders_a_deletion_is_named_to_who_may_read_it(self, keys: Keys) -> None:
        path = "Patient/john/$validate?mode=delete"
        issue = outcome(await call(await keys("patients:read"), "POST", path), 200, "conflict")
        assert "a1" not in issue["diagnostics"]
        knowing = await keys("patients:read", "appointments:read")
        assert "Appointment/a1" in outcome(await call(knowing, "POST", path), 200, "conflict")["diagnostics"]


async def test_a_search_parameter_needs_a_key_and_no_permission(keys: Keys) -> None:
    assert (await get(await keys("slots:write"), "SearchParameter/Slot-end")).status_code == 200


async def test_a_batch_is_judged_entry_by_entry(keys: Keys, store: Store) -> None:
    await put(store, person("p"))
    entries = [{"request": {"method": "GET", "url": url}} for url in ("Patient/p", "Slot")]
    body = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = bundled(await call(await keys("patients:read"), "POST", "", body), "batch-response")
    assert [one["response"]["status"][:3] for one in answer["entry"]] == ["200", "403"]
